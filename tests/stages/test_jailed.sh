#!/bin/bash
# Fetch and pack as the supervisor runs them: in their jails, with its deadlines. No VM: the image that is asked for does not exist, so a
# job whose commit was fetched and packed ends as refused for that, with all that was learnt before in its report.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$TALKOO_SRCDIR/tests/stages/lib.sh"
need git python3

root=$dir/root
mkdir "$root"
work=$root/work
git init -q -b main "$work"
printf 'image: nothing\nsteps:\n  - run: "true"\n' >"$work/.talkoo.yml"
git -C "$work" add . && git -C "$work" commit -qm one
echo more >"$work/file"
git -C "$work" add . && git -C "$work" commit -qm two
git clone -q --bare "$work" "$root/project.git"
git clone -q --shared "$work" "$dir/borrower" 2>/dev/null
c=$(git -C "$work" rev-parse HEAD)
first=$(git -C "$work" rev-parse HEAD~1)

python3 "$here/git_http.py" "$root" "$dir/http" &
servers+=($!)
python3 "$here/git_liar.py" "$dir/liars" "$c" &
servers+=($!)
wait_file "$dir/http" && wait_file "$dir/liars"
ok $? "the servers are up"
http=http://localhost:$(cat "$dir/http")
liar() { echo "git://127.0.0.1:$(sed -n "s/^$1 //p" "$dir/liars")/project.git"; }

jobs=0
mkfifo "$dir/launcher"
# job SOURCE_MEMBERS [OPTION…]: the report line alone
job() {
	local members=$1 launcher
	shift
	jobs=$((jobs + 1))
	mkdir -m 700 "$dir/job$jobs"
	"$TALKOO_BUILDDIR/talkoo-runner" job "$@" <"$dir/launcher" >"$dir/events" &
	exec {launcher}>"$dir/launcher" # open until the end: the launcher lives
	{
		printf '{"v":1,"type":"plan","job":"","dir":"%s","source":{%s},"plan_origin":"tree","image":"","image_store":"%s","accel":"auto",' \
			"$dir/job$jobs" "$members" "$dir"
		printf '"emulation_allowed":true,"timeout_factor_emulated":15,"timeout_cap_ms":0,"limits":{"cpus":1,"memory_bytes":536870912,'
		printf '"disk_bytes":1073741824,"timeout_ms":60000,"log_bytes":1048576,"artifact_bytes":1048576,"artifact_count":100,"source_bytes":67108864}}\n'
	} >&"$launcher"
	wait $!
	exec {launcher}>&-
	grep '"type":"report"' "$dir/events"
}
remote() { printf '"url":"%s","ref":"refs/heads/main","commit":"%s","mirror":"%s","allow_loopback":true' "$1" "$2" "$dir/${3:-mirror}"; }
# packed TEXT: $dir/out is the report of a job that came as far as the missing image
packed() {
	grep -q '"outcome":"refused","reason":"[^"]*image[^"]*nothing' "$dir/out" && grep -q '"plan_path":".talkoo.yml"' "$dir/out"
	ok $? "$1"
}

job "$(remote "$http/git/project.git" "$first")" >"$dir/out"
packed "http, the name resolved in the jail"
grep -q "\"commit\":\"$first\",\"ref_seen\":\"refs/heads/main\"" "$dir/out"
ok $? "commit and ref are reported"
job "$(remote "$http/git/project.git" "${c:0:8}")" >"$dir/out"
grep -q "\"commit\":\"$c\"" "$dir/out"
ok $? "a short commit is reported in full"
job "$(remote "file://$root/project.git" "$c" mirror2),\"allow_file\":true" >"$dir/out"
packed "file"
git clone -q --bare "$work" "$root/closed.git" && chmod -R go= "$root/closed.git"
job "$(remote "file://$root/closed.git" "$c" mirror2),\"allow_file\":true" >"$dir/out"
packed "file, for the owner's eyes alone, over a mirror that was a stage's"
job "$(remote "file://$root/project.git" "$c" mirror2),\"allow_file\":true" >"$dir/out"
packed "and back"
job "\"local_objects\":\"$work/.git/objects\",\"commit\":\"$c\"" >"$dir/out"
packed "a checkout"
cp -r "$work" "$dir/closed" && chmod -R go= "$dir/closed"
job "\"local_objects\":\"$dir/closed/.git/objects\",\"commit\":\"$c\"" >"$dir/out"
packed "a checkout for the owner's eyes alone"
job "\"local_objects\":\"$dir/borrower/.git/objects\",\"commit\":\"$c\",\"local_alternates\":[\"$work/.git/objects\"]" >"$dir/out"
packed "a checkout that borrows objects"
job "\"local_objects\":\"$dir/borrower/.git/objects\",\"commit\":\"$c\"" >"$dir/out"
# an older libgit2 passes over what it may not read, 1.9 says so
grep -q -e '"outcome":"refused","reason":"there is no commit' -e '"outcome":"error","reason":"cannot open the git objects' "$dir/out"
ok $? "which the jail hides if they were not named"

bad() { # REGEX TEXT MEMBERS OPTION…
	local regex=$1 text=$2
	shift 2
	job "$@" >"$dir/out"
	grep -Eq -- "$regex" "$dir/out"
	ok $? "$text"
}
bad '"error","reason":"[^"]*(fetch)[^"]*"' "a remote that hangs past the deadline" "$(remote "$(liar silent)" "$c")" --deadline fetch=1000
bad '"error","reason":"cannot fetch from' "garbage as a pack" "$(remote "$(liar garbage_pack)" "$c" mirror3)"
bad '"error","reason":"cannot fetch from[^"]*too many objects' "a pack of 2^32 objects" "$(remote "$(liar many_objects)" "$c" mirror4)"
bad '"error","reason":"cannot fetch from' "an object of 1 TiB" "$(remote "$(liar bomb)" "$c" mirror5)"
# deltas: in their jail, with its memory, and in time
for name in delta_bomb delta_double delta_lies delta_loop delta_thin delta_copy truncated trailing checksum; do
	began=$SECONDS
	bad '"error","reason":"cannot fetch from' "hostile objects: $name" "$(remote "$(liar $name)" "$c" mirror-$name)"
	[ $((SECONDS - began)) -le 20 ] && [ "$(du -sm "$dir/mirror-$name" | cut -f1)" -lt 70 ]
	ok $? "which end in time, and leave next to nothing"
done
bad '"error","reason":"cannot fetch from' "escape codes in what the remote says" "$(remote "$(liar escapes)" "$c" mirror-escapes)"
! grep -q "$(printf '[\033\233]')" "$dir/events"
ok $? "which nobody gets to see"
bad '"error","reason":"[^"]*fetch[^"]*"' "a remote that sends a byte a second" "$(remote "$(liar slow)" "$c" mirror-slow)" --deadline fetch=3000
bad '"error","reason":"cannot fetch from[^"]*sends more than 64.0 MiB' "refs without end" "$(remote "$(liar endless)" "$c")"
bad '"refused","reason":"the commit [^"]* does not exist on' "a commit that does not exist" "$(remote "$http/git/project.git" 0123456789012345678901234567890123456789)"
bad '"refused","reason":"[^"]*link-local' "a metadata service" "$(remote https://169.254.169.254/x "$c")"
mv "$dir/mirror/objects" "$dir/mirror/elsewhere" && ln -s elsewhere "$dir/mirror/objects"
bad '"error","reason":"the mirror [^"]* has no folder of objects' "a mirror whose objects are a link" "$(remote "$http/git/project.git" "$c")"

# the running fetch stage: what it is, has and sees
only_child() { # PID: its one child
	local stat pid rest
	for stat in /proc/[0-9]*/stat; do
		{ read -r pid rest <"$stat"; } 2>/dev/null || continue
		rest=${rest##*) }
		# shellcheck disable=SC2086 # fields
		set -- "$1" $rest
		[ "$3" = "$1" ] && echo "$pid" && return 0
	done
	return 1
}
mkdir -m 700 "$dir/jobx"
mkfifo "$dir/launcherx"
"$TALKOO_BUILDDIR/talkoo-runner" job <"$dir/launcherx" >"$dir/eventsx" &
runner=$!
exec {launcher}>"$dir/launcherx"
printf '{"v":1,"type":"plan","job":"","dir":"%s","source":{%s},"plan_origin":"tree","image":"","image_store":"%s","accel":"auto","emulation_allowed":true,%s' \
	"$dir/jobx" "$(remote "$(liar silent)" "${c:0:8}" mirrorx)" "$dir" '"timeout_factor_emulated":15,"limits":{"cpus":1,"memory_bytes":536870912,"disk_bytes":1073741824,"timeout_ms":60000,"log_bytes":1048576,"artifact_bytes":1048576,"artifact_count":100,"source_bytes":67108864}}
' >&"$launcher"
# it waits for the remote once it is in its jail and has connected
for ((i = 0; i < 200; i++)); do
	supervisor=$(only_child "$runner") && fetch=$(only_child "$supervisor") && grep -q '^Seccomp:.*2$' "/proc/$fetch/status" 2>/dev/null && break
	sleep 0.05
done
sleep 0.2
cp "/proc/$fetch/status" "$dir/out"
grep -q '^Seccomp:.*2$' "$dir/out" && grep -q '^NoNewPrivs:.*1$' "$dir/out" && [ "$(grep -c '^Cap.*:.*0000000000000000$' "$dir/out")" = 5 ]
ok $? "the running fetch stage is filtered and has no capabilities"
[ "$(readlink "/proc/$fetch/ns/net")" = "$(readlink /proc/self/ns/net)" ] && [ "$(readlink "/proc/$supervisor/ns/net")" != "$(readlink /proc/self/ns/net)" ]
ok $? "it has the network, its supervisor has none"
if [ "$(readlink "/proc/$fetch/ns/mnt")" != "$(readlink /proc/self/ns/mnt)" ]; then
	seen=
	for path in /etc/ssl/private /etc/pki/tls/private /etc/passwd /etc/shadow /root /home /proc/self /run /var "$dir/jobx"; do
		[ ! -e "/proc/$fetch/root$path" ] || seen="$seen $path"
	done
	echo "$seen" >"$dir/out"
	[ -z "$seen" ]
	ok $? "it sees no keys, accounts, homes, nor the job's folder"
fi
for fd in "/proc/$fetch/fd"/*; do readlink "$fd"; done | grep -Ev "^(/dev/null|socket:.*|pipe:.*|anon_inode:.*|$dir/mirrorx/.*)$" >"$dir/out"
[ ! -s "$dir/out" ]
ok $? "it holds its sockets and its mirror alone"
kill -9 "$supervisor"
wait "$runner"
exec {launcher}>&-
grep '"type":"report"' "$dir/eventsx" >"$dir/out"
grep -q '"commit":"",' "$dir/out" && grep -q 'supervisor died' "$dir/out"
ok $? "a supervisor that dies under a short commit leaves a report that can be read"

[ -z "$(find "$dir" -path '*/job*/*' ! -name '*.log' ! -name report.json ! -name log ! -name artifacts -print -quit)" ]
ok $? "the jobs' folders hold nothing else"

done_testing
