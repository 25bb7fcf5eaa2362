#!/usr/bin/env bash
# talkoo run --shell: a person's terminal, a real machine.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$TALKOO_SRCDIR/tests/e2e/lib.sh"
need git qemu-system-x86_64 python3
need_image
mkdir "$dir/work" && cd "$dir/work" && git init -q || exit
cat >.talkoo.yml <<'P'
image: mini
resources: {timeout: 2m}
steps:
  - name: breaks
    run: |
      mkdir deep && cd deep
      export COLOUR='light green'
      false
  - {name: mourn, if: failed, run: "cat /ci/src/deep/note"}
P
git add . && git commit -qm plan
in_terminal() { # its script on standard input
	cat >"$dir/script"
	timeout 300 python3 "$TALKOO_SRCDIR/tests/e2e/terminal.py" "$dir/script" "$@"
}
expect 2 "without a terminal" -- setsid -w talkoo run --shell
says 'there is no terminal here'
expect 2 "another word" -- talkoo run --shell=never
says "only 'always'"
in_terminal talkoo run --shell >"$out" 2>"$err" <<'S'
want a shell in the VM
want deep#
type echo "<$COLOUR>" in $(pwd)\n
want \n<light green> in /ci/src/deep
type stty size\n
want \n31 97
size 40 120
type stty size\n
want \n40 120
type echo sl''eeping; sleep 1000\n
want \nsleeping
press \x03 deep#
type echo from the person >note\n
type exit\n
want the shell has ended
want from the person
want failed
S
status=$?
[ "$status" -eq 1 ]
ok $? "folder, environment, size, another size, Ctrl-C; then the run goes on, and its exit code is the step's"
in_terminal talkoo run --shell --cmd true >"$out" 2>"$err" <<'S'
want passed
S
status=$?
[ "$status" -eq 0 ] && ! grep -q 'a shell in the VM' "$out"
ok $? "nothing failed: no shell"
in_terminal talkoo run --shell=always --cmd 'echo fine' >"$out" 2>"$err" <<'S'
want a shell in the VM
want :.*#
type \x1d
want the shell has ended
want passed
S
ok $? "--shell=always; Ctrl-] ends it"
poll 20 nobody_lives
ok $? "no process is left"
done_testing
