#!/usr/bin/env bash
# Many jobs: a canary that job A wrote to every writable byte is not found in job B; 200 jobs in a row and 8 side by side: none hangs,
# and no process, mount, control group, folder or descriptor is left. Minutes; `make check-long`.
# JOBS=N: how many in a row.
# shellcheck source=tests/vm/lib.sh disable=SC2016,SC2154 # what is in quotes is for the guest; events is lib.sh's
. "${TALKOO_SRCDIR:-.}/tests/vm/lib.sh" || exit 99
jobs_wanted=${JOBS:-200}

# what there is of this machine's that a job could leave behind
traces() {
	# what others of this machine have open comes and goes: only what a job's processes could have passed on to us
	echo "descriptors $(find "/proc/$$/fd" -mindepth 1 2>/dev/null | wc -l)"
	echo "mounts $(wc -l </proc/self/mountinfo)"
	echo "groups $(find /sys/fs/cgroup -type d -name 'talkoo-job-*' 2>/dev/null | wc -l)"
	echo "semaphores and shared memory $(($(wc -l </proc/sysvipc/shm) + $(wc -l </proc/sysvipc/sem) + $(wc -l </proc/sysvipc/msg)))"
	echo "temporary files $(find /tmp /dev/shm -maxdepth 1 -newer "$work/began" ! -path "$work" ! -path /tmp ! -path /dev/shm -user "$(id -un)" -name '*talkoo*' ! -name 'talkoo-vm-*' ! -name 'talkoo-e2e-*' ! -name 'talkoo-sim-*' ! -name 'talkoo-test-*' ! -name 'talkoo-stages-*' 2>/dev/null | wc -l)"
}
runners() { # of this build: their number
	local exe n=0
	for exe in /proc/[0-9]*/exe; do
		[ "$exe" -ef "$runner" ] && n=$((n + 1))
	done
	echo $n
}
touch "$work/began"

# the canary: on all disks that can be written, in memory, in files; in its own project's cache it may stay
canary=canary-$RANDOM$RANDOM$RANDOM
repo_of first "c=$canary"'
	yes $c | head -c 64M >/ci/src/file || true
	for d in d e g; do yes $c | dd of=/dev/vd$d bs=1M conv=notrunc 2>/dev/null || true; done
	mkdir -p /tmp/m && mount -t tmpfs none /tmp/m 2>/dev/null; yes $c | head -c 100M >/tmp/m/x || true
	yes $c | dd of=/dev/mem bs=1M 2>/dev/null || true
	echo written'
run_job "$work/first" limits.log_bytes=1048576
like "$(cat "$job/log")" '^written$' 'a canary is written to every writable byte that can be reached'
repo_of second 'echo looking
	set +e
	for d in a b c d e f g; do grep -c -a canar[y]- /dev/vd$d | sed "s/^/vd$d /"; done
	grep -r -l canar[y]- /ci /tmp /var /root 2>/dev/null | sed "s/^/file /"
	dmesg | grep -c canar[y]- | sed "s/^/dmesg /"
	echo done looking'
run_job "$work/second"
like "$(cat "$job/log")" '^done looking$' 'another job looks for it'
found=$(grep -E '^(vd. [1-9]|file |dmesg [1-9])' "$job/log")
is "$found" '' 'and finds it nowhere'
grep -rq "$canary" "$work"/job.*/ --exclude=log --exclude=run.jsonl --exclude=console.log
ok $((! $?)) 'nor is it in a folder of either'

# in a row
repo_of small 'echo small; mkdir out; echo x >out/x'
(traces) >"$work/before"
began=$(date +%s)
bad='' slowest=0
for ((i = 0; i < jobs_wanted; i++)); do
	from=$(date +%s%N)
	run_job "$work/small" limits.memory_bytes=134217728
	took=$((($(date +%s%N) - from) / 1000000))
	[ $took -le $slowest ] || slowest=$took
	[ "$(report 'r["outcome"], len(r["artifacts"])')" = 'passed 1' ] || bad="$bad $i"
	rm -rf "$job" "$job".*
done
is "$bad" '' "$jobs_wanted jobs in a row pass ($(($(date +%s) - began)) s; the slowest $slowest ms)"
is "$(runners)" 0 'no process is left'
(traces) >"$work/after"
is "$(diff "$work/before" "$work/after" | tr '\n' ' ')" '' 'no descriptor, mount, group, segment or file is left'

# side by side
began=$(date +%s)
pids=() folders=() holds=()
for ((i = 0; i < 8; i++)); do
	job=$(mktemp -d "$work/job.XXXXXX")
	folders+=("$job")
	mkfifo "$job.in"
	"$runner" job <"$job.in" >"$job.events" 2>"$job.stderr" &
	pids+=($!)
	exec {hold}>"$job.in"
	holds+=("$hold")
	make_plan "$work/small" limits.memory_bytes=134217728 limits.timeout_ms=300000 >&$hold
done
for pid in "${pids[@]}"; do
	wait "$pid"
done
good=0
for job in "${folders[@]}"; do
	events=$job.events
	[ "$(report 'r["outcome"], len(r["artifacts"])')" = 'passed 1' ] && good=$((good + 1))
done
is $good 8 "8 jobs side by side pass ($(($(date +%s) - began)) s)"
is "$(runners)" 0 'no process is left'
for hold in "${holds[@]}"; do
	exec {hold}>&-
done
(traces) >"$work/after"
is "$(diff "$work/before" "$work/after" | tr '\n' ' ')" '' 'nor anything else'

done_testing
