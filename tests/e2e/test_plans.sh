#!/usr/bin/env bash
# Plans of other formats, unchanged, through `talkoo lint` and `talkoo run`: Ambient's and Radicle's native one.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$TALKOO_SRCDIR/tests/e2e/lib.sh"
need git qemu-system-x86_64 python3
need_image

mkdir -p "$dir/project/.radicle" "$dir/project/.ambient" && cd "$dir/project" || exit
git init -q
plan() { # its text on standard input
	cat >.radicle/ambient.yaml
	git add -f . && git commit -qm plan --allow-empty
}
cat >.ambient/greet <<'X'
#!/bin/sh
echo "hello $AMBIENT_CI_whom $AMBIENT_CI_times; $(cat)" >/workspace/artifacts/out/greeting
X
chmod +x .ambient/greet

plan <<'P'
plan:
  - action: setenv
    set: { GREETING: hi }
  - action: mkdir
    pathname: /ci/artifacts/out
  - action: custom
    name: greet
    args: { whom: world, times: 2 }
  - action: shell
    shell: |
      test "$PWD" = /ci/src && test "$HOME" = /root
      case $PATH in /root/.cargo/bin:*) ;; *) false ;; esac
      test "$CARGO_HOME" = /ci/deps && test "$CARGO_TARGET_DIR" = /ci/cache
      echo "$GREETING" >/ci/artifacts/out/hi
post_plan:
  - action: rsync
P
expect 0 "lint knows an Ambient plan" -- talkoo lint
prints '^ok: .radicle/ambient.yaml, 3 steps' && prints 'rsync publishes nothing here'
expect 0 "an Ambient plan as it is" -- talkoo run --image mini --out "$dir/things"
[ "$(cat "$dir/things/out/hi")" = hi ]
ok $? "setenv, mkdir, shell"
[ "$(cat "$dir/things/out/greeting")" = 'hello "world" 2; {"whom":"world","times":2}' ]
ok $? "custom has its arguments"

plan <<'P'
plan:
  - action: shell
    shell: "false"
  - action: shell
    shell: "touch /ci/artifacts/must-not-exist"
P
expect 1 "stops at the first failure" -- talkoo run --image mini --out "$dir/none"
[ ! -e "$dir/none/must-not-exist" ]
ok $? "the second action did not run"

# the cache is kept over the runs of a branch; another's ref reads it and leaves nothing
plan <<'P'
plan:
  - action: shell
    shell: |
      n=$(cat /ci/cache/n 2>/dev/null || echo 0)
      echo $((n + 1)) > /ci/cache/n
      echo "this is run $((n + 1))"
      test $n != 1
P
counts() { # N, EXIT CODE, TEXT, OPTIONS of run
	expect "$2" "$3" -- talkoo run --image mini "${@:4}"
	prints "^this is run $1\$"
}
counts 1 0 "the cache starts empty"
counts 2 1 "and is kept over runs, also when a step fails"
git update-ref refs/pull/1/head HEAD
counts 3 0 "an untrusted ref reads it" --ref refs/pull/1/head
counts 3 0 "and has left nothing in it"

plan <<'P'
plan:
  - action: shell
    shell: "grep nothing /dev/null | cat"
P
expect 1 "a failing pipe is a failure" -- talkoo run --image mini
plan <<'P'
pre_plan:
  - action: rustup
plan: []
P
expect 2 "what cannot be honoured is refused by name" -- talkoo run --image mini
says 'ambient.yaml:2:13: .*rustup cannot be honoured'

# what a plan fetches is there before its machine starts, and need not be fetched twice
mkdir "$dir/www" && echo "from elsewhere" >"$dir/www/thing.txt"
sum=$(sha256sum <"$dir/www/thing.txt" | cut -d ' ' -f 1)
python3 -u -m http.server -b 127.0.0.1 -d "$dir/www" 0 >"$dir/www.log" 2>&1 &
server=$!
at_end+=("kill $server")
poll 10 grep -q 'port [0-9]' "$dir/www.log"
port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$dir/www.log")
fetching() { # URL's last part, SHA256
	plan <<-P
		pre_plan:
		  - action: http_get
		    items: [{url: "http://127.0.0.1:$port/$1", filename: sub/thing, sha256: $2}]
		plan:
		  - action: shell
		    shell: cat /ci/deps/sub/thing
	P
}
fetching thing.txt "${sum/%?/x}" && expect 2 "no digest" -- talkoo run --image mini
fetching thing.txt "${sum//[0-9]/0}" && expect 6 "another digest" -- talkoo run --image mini
says 'cannot fetch sub/thing from .*has the sha256 '"$sum"
fetching nothing.txt "$sum" && expect 6 "nothing there" -- talkoo run --image mini
says 'cannot fetch sub/thing from .*the server has no such file'
fetching thing.txt "$sum" && expect 0 "http_get" -- talkoo run --image mini
prints '^from elsewhere$'
kill $server
cat >.talkoo.yml <<P
image: mini
fetch:
  - {url: "http://127.0.0.1:$port/thing.txt", sha256: $sum}
steps: [{run: cat /ci/deps/thing.txt}]
P
git add .talkoo.yml && git commit -qm fetch
expect 0 "what was fetched once is here" -- talkoo run
prints '^from elsewhere$'
git rm -qf .talkoo.yml
plan <<'P'
plan:
  - action: cargo-fmt
P
expect 2 "a wrong name" -- talkoo lint
prints 'cargo-fmt: unknown action' && prints 'did you mean .cargo_fmt.'

git rm -qf .radicle/ambient.yaml && mkdir -p .radicle && printf 'shell: |\n  false | true\n' >.radicle/native.yaml
git add -f . && git commit -qm native
expect 1 "Radicle's native plan" -- talkoo run --image mini
done_testing
