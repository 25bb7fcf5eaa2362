#!/usr/bin/env bash
# Steps that need each other, run side by side, run for failures only, or take too long: in real machines.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$TALKOO_SRCDIR/tests/e2e/lib.sh"
need git qemu-system-x86_64
need_image
mkdir "$dir/work" && cd "$dir/work" && git init -q || exit
plan() { # its text on standard input
	cat >.talkoo.yml
	git add . && git commit -qm plan
}

# left and right can only end when both run at once
plan <<'P'
image: mini
steps:
  - {name: first, run: mkdir /tmp/meet}
  - name: left
    run: |
      : >/tmp/meet/left
      until [ -e /tmp/meet/right ]; do sleep 0.1; done
      for i in 1 2 3; do echo "left $i"; printf 'left '; sleep 0.2; echo half; done
  - name: right
    needs: [first]
    run: |
      : >/tmp/meet/right
      until [ -e /tmp/meet/left ]; do sleep 0.1; done
      for i in 1 2 3; do echo "right $i"; printf 'right '; sleep 0.2; echo half; done
      sleep 1000 &
  - {name: both, needs: [left, right], run: "ls /tmp/meet >/ci/artifacts/list; test -z \"$(pidof sleep)\""}
  - {name: mourn, if: failed, run: touch /ci/artifacts/mourned}
P
expect 0 "side by side" -- talkoo run --out "$dir/met"
prints '^--- step 2/5: left$' && prints '^--- step 3/5: right$' && prints '^--- step 2/5 goes on: left$'
[ "$(grep -c '^left half$' "$out")" -eq 3 ] && [ "$(grep -c '^right half$' "$out")" -eq 3 ]
ok $? "no line holds output of two steps"
[ ! -e "$dir/met/mourned" ] && [ "$(cat "$dir/met/list")" = "left
right" ]
ok $? "the one for failures did not run"

# what a failure stops is what needs it, whoever is faster
plan <<'P'
image: mini
steps:
  - {name: bad, run: exit 3}
  - {name: good, needs: [], run: "sleep 1; echo good >/ci/artifacts/good"}
  - {name: after good, run: "echo too >>/ci/artifacts/good"}
  - {name: after bad, needs: [bad], run: "touch /ci/artifacts/never"}
  - {name: mourn, if: failed, run: "cp /ci/artifacts/good /ci/artifacts/mourned; exit 4"}
P
expect 1 "a failure beside" -- talkoo run --out "$dir/half"
says 'failed .*: step 1/5, bad, ended with exit code 3'
[ "$(cat "$dir/half/mourned")" = "good
too" ] && [ ! -e "$dir/half/never" ]
ok $? "what does not need it ran, then the one for failures"

plan <<'P'
image: mini
steps:
  - {name: quick, timeout: 60s, run: sleep 1}
  - {name: slow, timeout: 1s, run: "(sleep 999) & sleep 999"}
  - {name: never, run: "true"}
  - {name: mourn, if: failed, run: touch /ci/artifacts/mourned}
P
began=$(date +%s)
expect 6 "a step's own timeout" -- talkoo run --out "$dir/late"
says 'timeout .*: step 2/4, slow, ran longer than its timeout'
prints 'step 2 ran longer than its timeout and is ended' && prints '^--- step 2/4: exit 137'
[ -e "$dir/late/mourned" ] && [ $(($(date +%s) - began)) -lt 120 ]
ok $? "and the one for failures ran"
plan <<'P'
image: mini
steps: [{run: wget http://example.org/}]
P
expect 1 "a step that wants a network" -- talkoo run
says 'hint: the log says that it wanted a network, and jobs have none'
done_testing
