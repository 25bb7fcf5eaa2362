#!/usr/bin/env bash
# SIGKILL for every process of a job at several moments, and the ways in which a launcher goes away: nothing is left running
# after 2 s, the outcome is as designed, the folder holds results only.
# shellcheck source=tests/vm/lib.sh
. "${TALKOO_SRCDIR:-.}/tests/vm/lib.sh" || exit 99

repo_of long 'echo begun; sleep 300'

# The processes of a running job: $tree all, and by role.
look() {
	tree=$(tree_of "$runner_pid")
	supervisor='' machine='' logger=''
	local pid exe
	for pid in $tree; do
		exe=$(readlink "/proc/$pid/exe" 2>/dev/null)
		if [ "$pid" = "$runner_pid" ]; then
			continue
		elif [ "$(parent_of "$pid")" = "$runner_pid" ]; then
			supervisor=$pid
		elif [[ $exe == *qemu* ]]; then
			machine=$pid
		elif [ "$(parent_of "$pid")" = "$supervisor" ]; then
			logger=$pid
		fi
	done
}

# start and wait for the moment
at() { # MOMENT
	start_job "$work/long"
	case $1 in
	start) wait_event '"stage":"pack","state":"start"' ;;
	boot) wait_event '"stage":"vm","state":"start"' ;;
	step) wait_event '"type":"step".*"state":"start"' ;;
	esac
	ok $? "a job is at its $1" || tail -n 3 "$events" | cut -c1-600 | sed 's/^/# /'
	look
}

for moment in start boot step; do
	at $moment
	kill -9 "$runner_pid"
	# shellcheck disable=SC2086 # pids
	all_gone "first process killed at $moment" $tree
	wait_job 2>/dev/null
	grep -q '"type":"report"' "$events"
	ok $((! $?)) 'and no report: the launcher takes error'

	at $moment
	kill -9 "$supervisor"
	# shellcheck disable=SC2086 # pids
	all_gone "supervisor killed at $moment" $tree
	wait_job
	is "$status" 0 'the first process reports for it'
	is "$(report 'r["outcome"]')" error 'error'
	like "$(report 'r["reason"]')" 'supervisor died .signal 9.' 'the reason'
	only_results_left "supervisor killed at $moment"
done

for moment in boot step; do
	at $moment
	kill -9 "$machine"
	wait_job
	# shellcheck disable=SC2086 # pids
	all_gone "QEMU killed at $moment" $tree
	is "$(report 'r["outcome"]')" error 'error'
	like "$(report 'r["reason"]')" 'QEMU .*signal 9' 'the reason'
	only_results_left "QEMU killed at $moment"

	at $moment
	kill -9 "$logger"
	wait_job
	# shellcheck disable=SC2086 # pids
	all_gone "log stage killed at $moment" $tree
	is "$(report 'r["outcome"]')" error 'error'
	like "$(report 'r["reason"]')" 'log stage crashed .*signal 9' 'the reason'
	only_results_left "log stage killed at $moment"
done

# the pack stage, stopped first so that it can be caught
start_job "$work/long"
for ((i = 0; i < 2000; i++)); do
	look
	[ -n "$logger" ] && break
done
[ -z "$logger" ] || kill -9 "$logger" 2>/dev/null
wait_job
like "$(report 'r["outcome"]')" '^error$' 'a stage killed early'
like "$(report 'r["reason"]')" '(stage crashed|QEMU could not start) .*signal 9' 'the reason'

# a launcher that cancels, goes away, or sends a signal
for moment in start boot step; do
	at $moment
	echo cancel >&9
	# shellcheck disable=SC2086 # pids
	all_gone "cancel at $moment" $tree
	wait_job
	is "$(report 'r["outcome"]')" abandoned 'abandoned'
	like "$(report 'r["reason"]')" 'cancelled' 'the reason'
	only_results_left "cancel at $moment"

	at $moment
	exec 9>&-
	# shellcheck disable=SC2086 # pids
	all_gone "launcher gone at $moment" $tree
	wait_job
	is "$(report 'r["outcome"]')" abandoned 'abandoned'
	only_results_left "launcher gone at $moment"
done
at step
kill -TERM "$runner_pid"
# shellcheck disable=SC2086 # pids
all_gone "SIGTERM" $tree
wait_job
is "$(report 'r["outcome"]')" abandoned 'abandoned'

# a launcher that does not read: its full pipe holds up no deadline
job=$(mktemp -d "$work/job.XXXXXX")
mkfifo "$job.in" "$job.out"
exec 8<>"$job.out"
dd if=/dev/zero bs=65536 count=1 of="$job.out" oflag=nonblock status=none
"$runner" job <"$job.in" >&8 8>&- &
runner_pid=$!
exec 9>"$job.in"
repo_of talk 'while :; do echo line; sleep 0.01; done'
make_plan "$work/talk" limits.timeout_ms=5000 >&9
began=$SECONDS
(sleep 100 && kill -9 "$runner_pid") 2>/dev/null 8>&- 9>&- &
guard=$!
wait "$runner_pid"
kill "$guard" 2>/dev/null
took=$((SECONDS - began))
runner_pid=''
[ $took -lt 60 ]
ok $? "a launcher that does not read holds up no deadline ($took s)"
is "$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["outcome"])' "$job/report.json")" timeout 'its report is in the folder'
exec 8>&- 9>&-

done_testing
