#!/bin/bash
# The fetch stage against real git servers and against servers that lie. Loopback only.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$TALKOO_SRCDIR/tests/stages/lib.sh"
need git python3 openssl pgrep

# A project: main with three commits, a side branch, an annotated tag, a tag that leads to a blob, and a fork's commit that is
# served under a ref of its own, as forges do.
root=$dir/root
repo=$root/project.git
git init -q --bare -b main "$repo"
G() { git --git-dir "$repo" "$@"; }
commit() { # TEXT PARENT…
	local text=$1 args=()
	shift
	for parent; do args+=(-p "$parent"); done
	G commit-tree -m "$text" "${args[@]}" "$(printf '100644 blob %s\tfile\n' "$(echo "$text" | G hash-object -w --stdin)" | G mktree)"
}
c1=$(commit one) c2=$(commit two "$c1") c3=$(commit three "$c2")
side=$(commit side "$c1") fork=$(commit fork "$c3")
G update-ref refs/heads/main "$c3"
G update-ref refs/heads/side "$side"
G update-ref refs/pull/1/head "$fork"
G tag -a -m v1 v1 "$c2"
G tag blob-tag "$(echo x | G hash-object -w --stdin)"

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
git daemon --listen=127.0.0.1 --port="$port" --base-path="$root" --export-all --reuseaddr 2>/dev/null &
servers+=($!)
python3 "$here/git_http.py" "$root" "$dir/http" &
servers+=($!)
python3 "$here/git_liar.py" "$dir/liars" "$c3" &
servers+=($!)
wait_file "$dir/http" && wait_file "$dir/liars"
ok $? "the servers are up"
for ((i = 0; i < 100; i++)); do
	git ls-remote "git://127.0.0.1:$port/project.git" >/dev/null 2>&1 && break
	sleep 0.05
done
git=git://127.0.0.1:$port/project.git
http=http://127.0.0.1:$(cat "$dir/http")
liar() { echo "git://127.0.0.1:$(sed -n "s/^$1 //p" "$dir/liars")/project.git"; }
mirrors=0
fresh() { mirrors=$((mirrors + 1)) m=$dir/mirror$mirrors; }
missing=0123456789012345678901234567890123456789

fresh
expect 0 '^ref_seen refs/heads/main$' "git daemon: the tip" -- "$tool" fetch "$m" "$git" refs/heads/main "$c3" loopback
git --git-dir "$m" fsck --no-dangling >/dev/null 2>&1
ok $? "the mirror is sound to git itself"
[ -z "$(find "$m/hooks" -type f ! -name '*.sample' 2>/dev/null)" ] && ! git --git-dir "$m" cat-file -e "$fork" 2>/dev/null
ok $? "the mirror holds the ref and no more"
packs=$(find "$m/objects" -type f | sort | sha256sum)
expect 0 '^ref_seen refs/heads/main$' "an ancestor, again" -- "$tool" fetch "$m" "$git" refs/heads/main "$c1" loopback
[ "$packs" = "$(find "$m/objects" -type f | sort | sha256sum)" ] && ! grep -q progress "$dir/out"
ok $? "which transfers nothing"
expect 0 "^commit $c3\$" "no commit: the tip" -- "$tool" fetch "$m" "$git" refs/heads/main '' loopback
expect 0 "^commit $c2\$" "a short commit" -- "$tool" fetch "$m" "$git" refs/heads/main "${c2:0:7}" loopback
expect 0 '^ref_seen refs/heads/main$' "no ref: HEAD's branch" -- "$tool" fetch "$m" "$git" '' "$c1" loopback
expect 0 '^ref_seen refs/tags/v1$' "an annotated tag" -- "$tool" fetch "$m" "$git" refs/tags/v1 "$c2" loopback
expect 0 '^ref_seen refs/heads/side$' "another branch" -- "$tool" fetch "$m" "$git" refs/heads/side "$side" loopback
expect 1 'failed refused: the commit .* is not on refs/heads/main' "known, but not on the ref" -- "$tool" fetch "$m" "$git" refs/heads/main "$side" loopback
expect 1 'failed refused: the commit .* does not exist on refs/heads/main' "a fork's commit" -- "$tool" fetch "$m" "$git" refs/heads/main "$fork" loopback
expect 0 'ref_seen refs/pull/1/head' "the fork's ref itself" -- "$tool" fetch "$m" "$git" refs/pull/1/head "$fork" loopback
expect 1 'failed refused: the commit .* is not on refs/heads/main' "the fork's commit, now in the mirror" -- "$tool" fetch "$m" "$git" refs/heads/main "$fork" loopback
expect 1 'failed refused: .* does not exist on' "a commit that does not exist" -- "$tool" fetch "$m" "$git" refs/heads/main $missing loopback
expect 1 'failed refused: .* is not on' "a short one that does not exist" -- "$tool" fetch "$m" "$git" refs/heads/main ${missing:0:9} loopback
expect 1 'failed refused: .* is no commit id' "six digits" -- "$tool" fetch "$m" "$git" refs/heads/main "${c1:0:6}" loopback
expect 1 'failed refused: .* has no refs/heads/nothing' "a ref that does not exist" -- "$tool" fetch "$m" "$git" refs/heads/nothing "$c1" loopback
for ref in 'refs/heads/*' main:refs/heads/x 'refs/heads/a..b' -x main; do
	expect 1 'failed refused: .*is no full ref name' "a ref named $ref" -- "$tool" fetch "$m" "$git" "$ref" "$c1" loopback
done
expect 1 'failed refused: .* leads to no commit' "a tag of a blob" -- "$tool" fetch "$m" "$git" refs/tags/blob-tag "$c1" loopback
expect 1 'failed error: cannot fetch from git://' "a repository that does not exist" -- "$tool" fetch "$m" "git://127.0.0.1:$port/none.git" refs/heads/main "$c1" loopback

# what the remote says now counts, not what the mirror remembers
c4=$(commit four "$c3")
G update-ref refs/heads/main "$c4"
expect 0 'ref_seen refs/heads/main' "a new commit" -- "$tool" fetch "$m" "$git" refs/heads/main "$c4" loopback
G update-ref refs/heads/main "$c2"
expect 1 'failed refused: the commit .* is not on refs/heads/main' "a commit taken back by a force push" -- "$tool" fetch "$m" "$git" refs/heads/main "$c4" loopback
expect 0 'ref_seen refs/heads/main' "one that still stands" -- "$tool" fetch "$m" "$git" refs/heads/main "$c2" loopback
G update-ref refs/heads/main "$c4"

# rules about places
expect 1 'failed refused: .*loopback address' "loopback is refused unless allowed" -- "$tool" fetch "$m" "$git" refs/heads/main "$c1"
expect 1 'failed refused: .*loopback address' "by name too" -- "$tool" fetch "$m" "git://localhost:$port/project.git" refs/heads/main "$c1"
expect 1 'failed refused: .*loopback address' "allowing private ones does not help" -- "$tool" fetch "$m" "$git" refs/heads/main "$c1" private
expect 1 'failed refused: .*private address' "a private address" -- "$tool" fetch "$m" git://10.1.2.3/x refs/heads/main "$c1" loopback
expect 1 'failed refused: .*link-local address' "a metadata service" -- "$tool" fetch "$m" https://169.254.169.254/x refs/heads/main "$c1" loopback private
expect 1 'failed refused: .*loopback address' "mapped into IPv6" -- "$tool" fetch "$m" "git://[::ffff:127.0.0.1]:$port/project.git" refs/heads/main "$c1"
expect 1 'failed refused: http is not allowed' "http" -- "$tool" fetch "$m" "$http/git/project.git" refs/heads/main "$c1"
expect 1 'failed refused: file URLs' "file" -- "$tool" fetch "$m" "file://$repo" refs/heads/main "$c1" loopback
expect 1 'failed refused: .*never used' "ssh" -- "$tool" fetch "$m" ssh://git@127.0.0.1/x refs/heads/main "$c1" loopback private file
expect 1 'failed refused: ' "ext" -- "$tool" fetch "$m" "ext::sh -c touch% $dir/evil" refs/heads/main "$c1" loopback private file
[ ! -e "$dir/evil" ]
ok $? "nothing was run"
ln -s project.git "$root/with space"
expect 0 'ref_seen refs/heads/main' "a percent sign in git://" -- "$tool" fetch "$m" "git://127.0.0.1:$port/with%20space" refs/heads/main "$c1" loopback
fresh
expect 0 'ref_seen refs/heads/main' "and in file" -- "$tool" fetch "$m" "file://$root/with%20space" refs/heads/main "$c1" file
expect 0 'ref_seen refs/heads/main' "file where allowed" -- "$tool" fetch "$m" "file://$repo" refs/heads/main "$c1" file
printf '[url "file://%s"]\n\tinsteadOf = git://10.1.2.3/\n[url "git://10.1.2.3/"]\n\tinsteadOf = git://127.0.0.1\n[http]\n\tproxy = http://10.1.2.3\n' "$root/" >"$HOME/.gitconfig"
fresh
expect 0 'ref_seen refs/heads/main' "a user's git configuration has no say" -- "$tool" fetch "$m" "$git" refs/heads/main "$c1" loopback
expect 0 'ref_seen refs/heads/main' "nor proxies of the environment" -- env http_proxy=http://10.1.2.3:1 all_proxy=http://10.1.2.3:1 "$tool" fetch "$m" "$http/git/project.git" refs/heads/main "$c1" loopback

# http
fresh
expect 0 'ref_seen refs/heads/main' "git http-backend" -- "$tool" fetch "$m" "$http/git/project.git" refs/heads/main "$c3" loopback
git --git-dir "$m" fsck --no-dangling >/dev/null 2>&1
ok $? "the mirror is sound"
c5=$(commit five "$c4")
G update-ref refs/heads/main "$c5"
expect 0 'ref_seen refs/heads/main' "incremental" -- "$tool" fetch "$m" "$http/git/project.git/" refs/heads/main "$c5" loopback
fresh
expect 0 'ref_seen refs/heads/main' "a redirect within the server" -- "$tool" fetch "$m" "$http/same/project.git" refs/heads/main "$c3" loopback
expect 1 'failed error: .*redirects to http://localhost' "a redirect elsewhere" -- "$tool" fetch "$m" "$http/other/project.git" refs/heads/main "$c3" loopback
expect 1 'failed error: .*redirects without end' "a redirect to itself" -- "$tool" fetch "$m" "$http/loop/project.git" refs/heads/main "$c3" loopback
expect 1 "failed error: .*answer is not git's" "no git server" -- "$tool" fetch "$m" "$http/dumb/project.git" refs/heads/main "$c3" loopback
expect 1 'failed error: .*answered 401' "a password" -- "$tool" fetch "$m" "$http/secret/project.git" refs/heads/main "$c3" loopback
expect 1 'failed error: .*answered 404' "not found" -- "$tool" fetch "$m" "$http/gone/project.git" refs/heads/main "$c3" loopback
expect 1 'failed error: cannot fetch from http' "garbage" -- "$tool" fetch "$m" "$http/garbage/project.git" refs/heads/main "$c3" loopback
expect 1 'failed error: .*sends more than 97.7 KiB' "refs without end" -- "$tool" fetch "$m" "$http/endless/project.git" refs/heads/main "$c3" loopback source_bytes=100000
fresh
expect 1 'failed error: cannot fetch from http' "half a pack" -- "$tool" fetch "$m" "$http/cut/project.git" refs/heads/main "$c3" loopback
expect 1 'failed error: .*silent for 1 s' "a server that hangs" -- "$tool" fetch "$m" "$http/hang/project.git" refs/heads/main "$c3" loopback idle_ms=1000
expect 0 'ref_seen refs/heads/main' "the mirror is still of use" -- "$tool" fetch "$m" "$http/git/project.git" refs/heads/main "$c3" loopback

# https: a certificate of nobody's, then of an authority that this machine trusts for the length of one command
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext 'subjectAltName=DNS:localhost' \
	-keyout "$dir/key.pem" -out "$dir/ca.pem" 2>/dev/null
cat "$dir/ca.pem" "$dir/key.pem" >"$dir/tls.pem"
python3 "$here/git_http.py" "$root" "$dir/https" "$dir/tls.pem" 2>/dev/null &
servers+=($!)
wait_file "$dir/https"
https=https://localhost:$(cat "$dir/https")
fresh
expect 1 'failed error: .*certificate' "a certificate that nobody vouches for" -- "$tool" fetch "$m" "$https/git/project.git" refs/heads/main "$c3" loopback
bundle=/etc/ssl/certs/ca-certificates.crt
# shellcheck disable=SC2016
trusted() { unshare -rm sh -c 'mount --bind "$0" "$1" && shift && exec "$@"' "$dir/ca.pem" "$bundle" "$@"; }
if [ -e "$bundle" ] && trusted true 2>/dev/null; then
	expect 0 'ref_seen refs/heads/main' "https" -- trusted "$tool" fetch "$m" "$https/git/project.git" refs/heads/main "$c3" loopback
	expect 1 'failed error: .*(certificate|subject name|SSL)' "a certificate for another name" -- trusted "$tool" fetch "$m" "${https/localhost/127.0.0.1}/git/project.git" refs/heads/main "$c3" loopback
	expect 1 'failed error: .*redirects to http://' "https that redirects to http" -- trusted "$tool" fetch "$m" "$https/other/project.git" refs/heads/main "$c3" loopback
else
	count=$((count + 1))
	echo "ok $count - https # SKIP no user namespace, or no $bundle"
fi

# liars on git://
fresh
expect 1 'failed error: cannot fetch from git://.*silent for 1 s' "silence" -- "$tool" fetch "$m" "$(liar silent)" refs/heads/main "$c3" loopback idle_ms=1000
expect 1 'failed error: .*silent for 1 s' "silence before the pack" -- "$tool" fetch "$m" "$(liar silent_pack)" refs/heads/main "$c3" loopback idle_ms=1000
expect 1 'failed error: cannot fetch from' "it hangs up" -- "$tool" fetch "$m" "$(liar closes)" refs/heads/main "$c3" loopback
expect 1 'failed error: cannot fetch from' "no git at all" -- "$tool" fetch "$m" "$(liar noise)" refs/heads/main "$c3" loopback
expect 1 'failed error: .*sends more than' "refs without end" -- "$tool" fetch "$m" "$(liar endless)" refs/heads/main "$c3" loopback source_bytes=1000000
expect 1 'failed error: cannot fetch from' "garbage as a pack" -- "$tool" fetch "$m" "$(liar garbage_pack)" refs/heads/main "$c3" loopback
expect 1 'failed error: .*(too many|announces 4294967295) objects' "too many objects" -- "$tool" fetch "$m" "$(liar many_objects)" refs/heads/main "$c3" loopback
expect 1 'failed error: cannot fetch from' "an object of 1 TiB" -- "$tool" fetch "$m" "$(liar bomb)" refs/heads/main "$c3" loopback
expect 1 'failed (refused|error): ' "a ref with an evil name" -- "$tool" fetch "$m" "$(liar badref)" refs/heads/main "$c3" loopback
expect 1 'failed error: .*(refused|no connection)' "nobody listens" -- "$tool" fetch "$m" git://127.0.0.1:1024/x refs/heads/main "$c3" loopback
expect 1 'failed error: .*does not resolve' "no such name" -- "$tool" fetch "$m" https://nothing.invalid/x refs/heads/main "$c3" loopback
expect 1 'failed error: .*sends more than' "larger than allowed" -- "$tool" fetch "$m" "$git" refs/heads/main "$c3" loopback source_bytes=400
expect 0 'ref_seen refs/heads/main' "the mirror outlived all that" -- "$tool" fetch "$m" "$git" refs/heads/main "$c3" loopback
[ -z "$(find "$m/objects" -name '*tmp*' -o -name 'pack_git2_*')" ]
ok $? "and holds nothing unfinished"

# a hanging stage dies by SIGTERM: nothing is blocked or caught
fresh
silent=$(liar silent) # here: the background shell's first child must be the stage
"$tool" fetch "$m" "$silent" refs/heads/main "$c3" loopback idle_ms=600000 >"$dir/out" &
hanging=$!
for ((i = 0; i < 100; i++)); do
	stage=$(pgrep -P $hanging) && break
	sleep 0.05
done
kill -TERM "$stage"
wait $hanging
[ $? -eq 143 ]
ok $? "a fetch that hangs can be ended"

# mirrors that went bad
fresh
"$tool" fetch "$m" "$git" refs/heads/main "$c3" loopback >/dev/null
for pack in "$m"/objects/pack/*.pack; do
	chmod u+w "$pack"
	truncate -s 40 "$pack"
done
expect 0 'ref_seen refs/heads/main' "a damaged mirror is made anew" -- "$tool" fetch "$m" "$git" refs/heads/main "$c3" loopback
rm "$m/HEAD"
expect 0 'ref_seen refs/heads/main' "one without a HEAD" -- "$tool" fetch "$m" "$git" refs/heads/main "$c3" loopback
echo "$repo/objects" >"$m/objects/info/alternates"
printf '[url "file:///"]\n\tinsteadOf = git://\n' >"$m/config"
touch "$m/objects/pack/pack_git2_left_over"
expect 0 'ref_seen refs/heads/main' "one with a configuration of its own" -- "$tool" fetch "$m" "$git" refs/heads/main "$c3" loopback
[ ! -e "$m/objects/info/alternates" ] && [ ! -e "$m/objects/pack/pack_git2_left_over" ]
ok $? "which is gone now"
fresh
"$tool" fetch "$m" "$git" refs/heads/main "$c3" loopback >"$dir/out1" &
first=$!
expect 0 'ref_seen refs/heads/main' "two fetches at once" -- "$tool" fetch "$m" "$git" refs/heads/main "$c3" loopback
wait $first
ok $? "both succeed"

done_testing
