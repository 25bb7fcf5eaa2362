#!/usr/bin/env bash
# talkoo run: real repositories, real VMs; every outcome with its exit code and sentence, and nothing left behind.
# shellcheck source-path=SCRIPTDIR source=lib.sh
# shellcheck disable=SC2016  # the commands are the VM's to expand
. "$TALKOO_SRCDIR/tests/e2e/lib.sh"
need git qemu-system-x86_64

nothing_left() { # no process of this test's runs, no folder
	poll 20 nobody_lives
	ok $? "no process is left"
	[ -z "$(find "$TALKOO_HOME/state/runs" -mindepth 1 2>/dev/null)" ]
	ok $? "no folder is left"
}

# before anything runs: what the person got wrong
cd "$dir" || exit
expect 9 "outside a checkout" -- talkoo run
says '^error: .*not in a git repository' && says '^hint: '
expect 9 "a folder that is not there" -- talkoo run nosuch
expect 2 "ssh" -- talkoo run git@example.org:demo.git
says 'not fetched by ssh'
repository plain
expect 2 "no plan" -- talkoo run plain
says 'has no plan: its tree has no .talkoo.yml' && says "hint: .*--cmd 'make check'"
repository wrong - <<-'PLAN'
	image: mini
	stepps:
	  - run: true
PLAN
expect 2 "a wrong plan" -- talkoo run wrong
says '^error: \.talkoo\.yml:2:1: stepps' && says '^hint: .*steps'
expect 9 "an image that is missing" -- talkoo run plain --cmd true
says 'no image mini' && says 'talkoo image build mini'
expect 2 "no image's name" -- talkoo run plain --cmd true --image '../x'
need_image
expect 9 "another image that is missing" -- talkoo run plain --cmd true --image mini@77
expect 9 "a commit that is missing" -- talkoo run plain --commit 1234567
says '1234567: no such commit'
expect 2 "a folder to write to that is a file" -- sh -c 'echo x >file; exec talkoo run plain --cmd true --out file/below'
git init -q empty
expect 9 "no commit yet" -- talkoo run empty --cmd true
says 'no commit yet'
nothing_left

# a plan of its own
repository good - <<-'PLAN'
	image: mini
	resources: {cpus: 1, memory: 256M, timeout: 5m}
	environment: {GREETING: hello}
	steps:
	  - name: greet
	    run: |
	      echo "$GREETING from $TALKOO_COMMIT on $TALKOO_REF"
	      printf '\033]0;owned\007\n'
	  - name: make things
	    run: |
	      mkdir -p /ci/artifacts/sub
	      echo one >/ci/artifacts/sub/one
	artifacts: ["*.md"]
PLAN
head=$(git -C good rev-parse HEAD)
cd good || exit
expect 0 "a plan passes" -- talkoo run --out "$dir/things"
prints "^hello from $head on refs/heads/main$"
! grep -q "$(printf '\033')" "$out"
ok $? "the log's escapes are harmless"
says '^\[2/2\] make things  ok' && says '^passed  ' && says 'time .* boot .* steps'
[ "$(cat "$dir/things/sub/one")" = one ] && [ -e "$dir/things/README.md" ]
ok $? "the artifacts came out"
expect 2 "into a folder that is not empty" -- talkoo run --out "$dir/things"
nothing_left

echo changed >README.md && echo new >new
mkdir sub && cd sub || exit
expect 0 "a dirty checkout runs its commit, from a subfolder too" -- talkoo run --cmd 'ls; grep -c changed README.md || true'
says '2 files of this checkout differ from the commit'
prints '^0$' "the change is not in it" && ! grep -q '^new$' "$out"
ok $? "nor is the new file"
says '[(]--dirty runs the files as they are[)]'

# --dirty: the files as they are, and nothing of the repository changes
cd .. && rm -r sub
echo '*.o' >.gitignore && echo x >junk.o && ln -s README.md link && printf '#!/bin/sh\necho ran\n' >tool && chmod +x tool
repository_state() { find .git -type f | sort | xargs sha256sum; }
repository_state >"$dir/before"
expect 0 "--dirty" -- talkoo run --dirty --cmd 'cat README.md new link; ./tool; ls junk.o || echo not ignored; readlink link'
repository_state | cmp -s - "$dir/before"
ok $? "the repository is as it was"
[ "$(grep -cx changed "$out")" -eq 2 ] && prints '^new$' && prints '^ran$' && prints '^README.md$' && prints '^not ignored$'
ok $? "what runs is the files as they are: changed, new, executable, a link, none that is ignored"
says '^working tree on ' && says 'what runs is the files as they are'
nothing_left
expect 2 "--dirty and a commit" -- talkoo run --dirty --commit HEAD --cmd true
says 'no --commit or --ref'
expect 2 "--dirty of a URL" -- talkoo run --dirty git://127.0.0.1:1/x.git --cmd true
says 'no working tree'
git clone -q --bare . "$dir/nodirty.git"
expect 2 "--dirty of a bare repository" -- talkoo run --dirty "$dir/nodirty.git" --cmd true
says 'bare repository has no working tree'
rm link README.md && mkfifo pipe
expect 1 "--dirty fails" -- talkoo run --dirty --cmd 'ls; exit 1'
says '^again  *talkoo run --dirty --cmd ' "a failure says how to have it again"
prints '^tool$' && ! grep -qx -e pipe -e README.md "$out"
ok $? "what was deleted, or is no file, is not there"
git reset -q --hard && rm -f new pipe tool junk.o .gitignore
mkdir "$dir/unborn" && cd "$dir/unborn" && git init -q . && printf 'image: mini\nsteps:\n  - run: cat here\n' >.talkoo.yml && echo 'before the first commit' >here
expect 0 "--dirty before the first commit, by its own plan" -- talkoo run --dirty
prints '^before the first commit$'
cd "$dir/good" || exit

expect 1 "a step fails" -- talkoo run --cmd 'echo before; exit 3'
prints '^before$' && says '^failed .*exit(ed with| code) .*3'
says '^step 1/1, .*, failed with exit code 3; its last lines:$' && says '^  \| before$'
expect 1 "the command that it gives runs it again" -- sh -c "$(sed -n 's/^again  *//p' "$err")"
says "^again  *talkoo run --commit $head --cmd 'echo before; exit 3'$"
expect 0 "JSON, one object a line" -- talkoo run --json --cmd 'echo to JSON'
python3 - "$out" <<-'PY'
	import json, sys
	lines = [json.loads(l) for l in open(sys.argv[1])]
	last = lines[-1]
	assert all(l["v"] == 1 for l in lines), "v"
	assert last["type"] == "report" and last["outcome"] == "passed", last
	assert "to JSON" in "".join(l["text"] for l in lines if l["type"] == "output"), "output"
	assert [l["state"] for l in lines if l["type"] == "step"] == ["start", "end"], "steps"
PY
ok $? "events, output, report"
expect 0 "--keep" -- talkoo run --keep --cmd 'echo kept >/ci/artifacts/a'
kept=$(sed -n 's/^kept: \([^ ]*\).*/\1/p' "$err")
[ -s "$kept/log" ] && [ "$(cat "$kept/artifacts/a")" = kept ]
ok $? "log and artifacts are where it says"
rm -rf "${kept%/job}"
cd "$dir" || exit

# where a commit can come from
git clone -q --bare good bare.git
git clone -q --shared good shared
git -C good worktree add -q ../tree HEAD
git -C good tag -a v1 -m one
short=${head:0:7}
expect 0 "a bare repository" -- talkoo run bare.git --cmd 'echo $TALKOO_COMMIT'
prints "^$head$"
expect 0 "a file:// URL" -- talkoo run "file://$dir/bare.git" --commit main --cmd true
expect 0 "a worktree, by a short id" -- talkoo run tree --commit "$short" --cmd 'echo $TALKOO_COMMIT'
prints "^$head$"
expect 0 "a clone that borrows its objects" -- talkoo run shared --cmd 'cat README.md'
prints '^# good$'
expect 0 "a tag" -- talkoo run good --commit v1 --cmd 'echo $TALKOO_REF'
prints '^refs/tags/v1$'
git -C good pack-refs --all && git -C good gc -q
expect 0 "packed" -- talkoo run good --cmd true

# a URL, served by a stock git daemon
if git daemon --help >/dev/null 2>&1 || [ -x "$(git --exec-path)/git-daemon" ]; then
	port=$((20000 + RANDOM % 20000))
	git daemon --base-path="$dir" --export-all --listen=127.0.0.1 --port=$port --pid-file="$dir/daemon.pid" "$dir" >/dev/null 2>&1 &
	at_end+=("kill \$(cat $dir/daemon.pid)")
	poll 10 git ls-remote "git://127.0.0.1:$port/bare.git"
	expect 0 "git://, its HEAD" -- talkoo run "git://127.0.0.1:$port/bare.git" --cmd 'echo $TALKOO_COMMIT on $TALKOO_REF'
	prints "^$head on refs/heads/main$"
	expect 0 "git://, a short id, its own plan" -- talkoo run "git://127.0.0.1:$port/bare.git" --commit "$short"
	says '^plan +\.talkoo\.yml, 2 steps'
	expect 6 "git://, a commit that is not there" -- talkoo run "git://127.0.0.1:$port/bare.git" --commit 7777777 --cmd true
	says '7777777' && says '^(refused|error)'
	expect 6 "git://, a branch that is not there" -- talkoo run "git://127.0.0.1:$port/bare.git" --ref nosuch --cmd true
	says 'refs/heads/nosuch'
	expect 6 "git://, no such repository" -- talkoo run "git://127.0.0.1:$port/nosuch.git" --cmd true
	says '^hint: '
fi

# time runs out: 15 times the limit under emulation, and not the project's fault there
cd good || exit
cat >.talkoo.yml <<-'PLAN'
	image: mini
	resources: {timeout: 1s}
	steps:
	  - name: sleep
	    run: sleep 300
PLAN
git commit -qam 'too long'
accel=$(talkoo run --json --cmd true | sed -n 's/.*"type":"report".*"accel":"\([a-z]*\)".*/\1/p')
[ "$accel" = kvm ] && code=1 || code=6
expect "$code" "a step that takes too long ($accel)" -- talkoo run
says '^timeout .*time limit of 1' && says '^hint: give the job more time'
nothing_left

# Ctrl-C: a cancel, in order
talkoo run --cmd 'echo started; sleep 300' >"$out" 2>"$err" &
pid=$!
poll 60 grep -q '^started' "$out"
ok $? "it runs"
! nobody_lives
ok $? "and is seen to"
kill -INT $pid
SECONDS=0
wait $pid
[ $? -eq 6 ] && [ $SECONDS -lt 10 ]
ok $? "Ctrl-C ends it as abandoned"
says '^abandoned'
nothing_left

# killed: the closed pipe ends the tree; the next run sweeps the folder
talkoo run --cmd 'echo started; sleep 300' >"$out" 2>"$err" &
pid=$!
poll 60 grep -q '^started' "$out"
kill -KILL $pid
wait $pid 2>/dev/null
SECONDS=0
poll 20 nobody_lives
[ $SECONDS -lt 4 ]
ok $? "kill -9: no process is left within seconds"
touch -d '2 hours ago' "$TALKOO_HOME"/state/runs/run-*
expect 0 "the next run" -- talkoo run --cmd true
nothing_left

# nobody reads on: the run ends
expect 0 "a closed pipe" -- sh -c "talkoo run --cmd 'while :; do echo y; done' | head -n 3"
nothing_left

done_testing
