#!/usr/bin/env bash
# A QEMU that is missing, cannot start, hangs, crashes or chatters: error, with a sentence, in time.
# shellcheck source=tests/vm/lib.sh
. "${TALKOO_SRCDIR:-.}/tests/vm/lib.sh" || exit 99

repo_of good 'echo hello'
for what in fail crash burn hang chatter silent notes limits stats output empty again; do
	cp "${TALKOO_BUILDDIR:-.}/fakeqemu" "$work/qemu-$what"
done
chmod 755 "$work"/qemu-*

qemu=$work/no-such-qemu
run_job "$work/good"
is "$(report 'r["outcome"]')" error 'a QEMU that is not there'
like "$(report 'r["reason"]')" 'QEMU could not start: no program at' 'the reason'
like "$(report 'r["hint"]')" 'install QEMU' 'the hint'

qemu=/etc/passwd
run_job "$work/good"
is "$(report 'r["outcome"]')" error 'a QEMU that is no program'

qemu=$work/qemu-fail
run_job "$work/good"
is "$(report 'r["outcome"]')" error 'a QEMU that cannot start'
like "$(report 'r["reason"]')" 'QEMU could not start .exit status 1.: qemu: could not load the moon' 'the reason has its last words'
report 'r["reason"]' | grep -q $'\033'
ok $((! $?)) 'without its escape codes'
like "$(cat "$job/qemu.log")" 'moon' 'and qemu.log all of them'
only_results_left 'a QEMU that cannot start'

qemu=$work/qemu-crash
run_job "$work/good"
is "$(report 'r["outcome"]')" error 'a QEMU that crashes'
like "$(report 'r["reason"]')" 'signal 11' 'the reason names the signal'

qemu=$work/qemu-burn
run_job "$work/good"
is "$(report 'r["outcome"]')" timeout 'a QEMU that used up its cpu time'
like "$(report 'r["reason"]')" 'more cpu time than its processors have' 'the reason names the cap'

qemu=$work/qemu-silent
run_job "$work/good"
is "$(report 'r["outcome"]')" error 'a QEMU that ends at once'
like "$(report 'r["reason"]')" 'never came up' 'the reason'

for what in hang chatter; do
	qemu=$work/qemu-$what
	options='--deadline boot-tcg=1000'
	began=$(date +%s%N)
	run_job "$work/good"
	took=$((($(date +%s%N) - began) / 1000000))
	is "$(report 'r["outcome"]')" error "a QEMU that never boots ($what)"
	like "$(report 'r["reason"]')" 'did not come up within .*, twice' 'the reason'
	like "$(cat "$events")" 'starting it once more' 'it was tried twice, and said so'
	is "$(report 'r["machine"]')" q35 'the second time as the machine that never hung'
	[ $took -lt 20000 ]
	ok $? "within its deadline ($took ms)"
	[ "$(stat -c %s "$job/qemu.log")" -le 65536 ]
	ok $? 'qemu.log stays within its cap'
	only_results_left "a QEMU that never boots ($what)"
done

# a guest that says one thing without end holds up neither the deadline nor the launcher's word
options=
for what in notes limits stats output empty; do
	qemu=$work/qemu-$what
	began=$(date +%s%N)
	run_job "$work/good" limits.timeout_ms=1500
	took=$((($(date +%s%N) - began) / 1000000))
	is "$(report 'r["outcome"]')" timeout "a guest with $what without end"
	[ $took -lt 4000 ]
	ok $? "ends at its limit ($took ms)"
	[ "$(wc -c <"$events")" -le 300000 ]
	ok $? 'and its launcher is not flooded'
	[ "$(stat -c %s "$job/log")" -le 1100000 ]
	ok $? 'nor is the log'
	only_results_left "$what without end"
done
start_job "$work/good"
wait_event '"type":"step".*"state":"start"'
echo cancel >&9
began=$(date +%s%N)
wait_job
took=$((($(date +%s%N) - began) / 1000000))
is "$(report 'r["outcome"]')" abandoned 'a flood that is cancelled'
[ $took -lt 2000 ]
ok $? "ends within 2 s ($took ms)"
qemu=$work/qemu-again
run_job "$work/good"
is "$(report 'r["outcome"]')" error 'a guest that says hello twice'
like "$(report 'r["reason"]')" 'broke the log protocol' 'the reason'

options='--deadline boot-tcg=50'
qemu=
run_job "$work/good"
is "$(report 'r["outcome"]')" error 'a real QEMU with no time to boot'

done_testing
