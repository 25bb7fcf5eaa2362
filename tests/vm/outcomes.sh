#!/usr/bin/env bash
# Outcomes of whole jobs in real machines: what the guest does, and what the report says of it.
# shellcheck source=tests/vm/lib.sh
. "${TALKOO_SRCDIR:-.}/tests/vm/lib.sh" || exit 99

# a job that passes
repo_of good 'echo hello; mkdir -p out; echo kept > out/a.txt' 'cat out/a.txt; id -u; test ! -e /sys/class/net/eth0'
run_job "$work/good"
is "$status" 0 'a report makes exit status 0'
is "$(report 'r["outcome"]')" passed 'a good job'
is "$(report 'r["reason"]')" '' 'without a reason'
is "$(report '[a["path"] for a in r["artifacts"]]')" "['out/a.txt']" 'its artifact'
is "$(cat "$job/artifacts/out/a.txt")" kept 'is in the folder'
is "$(report 'r["log"]["sha256"]')" "$(sha256sum <"$job/log" | cut -d' ' -f1)" "the log's digest"
is "$(report 'r["log"]["size_bytes"]')" "$(stat -c %s "$job/log")" "the log's size"
is "$(cat "$job/report.json")" "$(tail -n 1 "$events")" 'report.json is the report'
only_results_left 'a good job'
like "$(cat "$job/log")" '^--- step 1/2: step1$' 'the log has headings'
like "$(cat "$job/log")" '^hello$' 'and output'
like "$(cat "$job/log")" '^--- step 2/2: exit 0 after ' 'and ends of steps'
python3 - "$job/run.jsonl" <<'X'
import json, sys
lines = [json.loads(l) for l in open(sys.argv[1])]
said = [(l["type"], l.get("step")) for l in lines]
assert said[0] == ("step-start", 0) and said[-1] == ("step-end", 1), said
assert "".join(l["text"] for l in lines if l["type"] == "output" and l["name"] == "step1") == "hello\n"
X
ok $? 'the run log, as JSON lines'
for stage in pack vm log collect; do
	grep -q "\"stage\":\"$stage\",\"state\":\"end\"" "$events"
	ok $? "an event for the end of $stage"
done
python3 -c 'import json,sys; [json.loads(l)["v"] for l in open(sys.argv[1])]' "$events"
ok $? 'every line of the events is JSON with a version'

# a step that fails: later ones do not run, artifacts are kept and marked partial
repo_of bad 'mkdir -p out; echo some > out/some.txt' 'exit 7' 'echo never'
run_job "$work/bad"
is "$(report 'r["outcome"]')" failed 'a step with exit code 7'
like "$(report 'r["reason"]')" 'step 2/3, step2, .*exit code 7' 'the reason names step and code'
is "$(report '[s["exit_code"] for s in r["steps"]]')" '[0, 7, -1]' 'exit codes'
is "$(report 'r["artifacts_partial"], len(r["artifacts"])')" 'True 1' 'partial artifacts'
only_results_left 'a failed job'

# a step that never ends
repo_of endless 'echo begun; while :; do :; done'
run_job "$work/endless" limits.timeout_ms=4000
is "$(report 'r["outcome"]')" timeout 'a step that never ends'
like "$(report 'r["reason"]')" 'time limit of 4.* in step 1/1, step1' 'the reason names limit and step'
like "$(cat "$job/log")" '^begun$' 'what it said is in the log'
is "$(report 'r["cpu_ms"] > 1000, r["memory_peak_bytes"] > 1 << 20')" 'True True' 'the report says what it took of cpu and memory'
is "$(report 'r["log"]["sha256"]')" "$(sha256sum <"$job/log" | cut -d' ' -f1)" "with the log's digest"
only_results_left 'a job that timed out'

# the donor's own cap comes after the factor
run_job "$work/endless" limits.timeout_ms=100000 timeout_factor_emulated=15 timeout_cap_ms=3000
is "$(report 'r["outcome"], r["limits"]["timeout_ms"]')" 'timeout 3000' "the donor's cap holds"

run_job "$work/good" limits.timeout_ms=9223372036854775807 timeout_factor_emulated=15
is "$(report 'r["outcome"]')" passed 'a limit beyond all time is no limit that has passed'

# endless output: cut, the job goes on
repo_of flood 'head -c 20000000 /dev/zero | tr "\\0" x' 'echo after'
run_job "$work/flood" limits.log_bytes=100000
is "$(report 'r["outcome"]')" passed 'a flood of output does not end the job'
is "$(report 'r["log_truncated"]')" True 'the log is cut'
like "$(tail -n 1 "$job/log")" '^--- the log is cut here: more than ' 'with a mark'
[ "$(stat -c %s "$job/log")" -le 100200 ]
ok $? 'at its cap'
is "$(report 'r["log"]["sha256"]')" "$(sha256sum <"$job/log" | cut -d' ' -f1)" "with the file's digest"

# the host's own disk, in the shape of a small file system under the job's folder
mkdir "$work/small"
if mount -t tmpfs -o size=128m none "$work/small" 2>/dev/null; then
	job_base=$work/small
	repo_of hostdisk 'echo begun; dd if=/dev/zero of=big bs=1M count=400 2>/dev/null; sleep 60'
	run_job "$work/hostdisk" limits.disk_bytes=1073741824 limits.timeout_ms=60000
	is "$(report 'r["outcome"]')" error "a host whose disk is full"
	like "$(report 'r["reason"]')" 'the disk of this machine is full' 'the reason'
	only_results_left "a host whose disk is full"
	job_base=$work
	umount "$work/small"
else
	ok 0 'no file system can be mounted here # SKIP'
fi

repo_of panic 'sleep 0.2; echo c > /proc/sysrq-trigger; sleep 60'
run_job "$work/panic"
is "$(report 'r["outcome"]')" error 'a kernel panic'
like "$(report 'r["reason"]')" 'guest ended before it was done' 'with a reason'
only_results_left 'a panic'

repo_of off 'sleep 0.2; echo o > /proc/sysrq-trigger; sleep 60'
run_job "$work/off"
is "$(report 'r["outcome"]')" error 'a guest that powers itself off'

repo_of killer 'sleep 0.2; kill -9 1; kill -TERM 1; kill -SEGV 1; sleep 0.3; echo still here'
run_job "$work/killer"
like "$(report 'r["outcome"]')" '^(passed|error)$' 'a step that kills init: error, or nothing at all'

# what is not in the machine's power
run_job "$work/good" limits.cpus=1 image='"mini@99"'
is "$(report 'r["outcome"]')" refused 'an image that is not there'
like "$(report 'r["hint"]')" 'image build' 'the hint says how to get one'
run_job "$work/good" emulation_allowed=false
is "$(report 'r["outcome"]')" refused 'emulation that is not allowed'
like "$(report 'r["reason"]')" 'needs a proven KVM' 'says so'
run_job "$work/good" source.commit='"0123456789012345678901234567890123456789"'
is "$(report 'r["outcome"]')" refused 'a commit that is not there'
like "$(report 'r["reason"]')" '.' 'and has a reason'
run_job "$work/good" limits.memory_bytes=67108864
is "$(report 'r["outcome"]')" refused 'a machine too small to boot'

# a node of a user's where user namespaces are forbidden: nobody else's job, one's own all the same
if python3 "$here/nouserns.py" 65534 /bin/true 2>/dev/null; then
	printf '#!/bin/sh\nexec python3 "%s" 65534 "%s" "$@"\n' "$(realpath "$here")/nouserns.py" "$(realpath "$runner")" >"$work/hardened"
	chmod 755 "$work/hardened"
	ours=$runner runner=$work/hardened
	mktemp() {
		local made
		made=$(command mktemp "$@") && chown 65534 "$made" && echo "$made"
	}
	run_job "$work/good" isolation_required=true
	is "$(report 'r["outcome"], r["isolation"]')" 'refused none' "a stranger's job where there are no namespaces"
	like "$(report 'r["reason"]')" "cannot isolate a stranger's job" 'the reason'
	like "$(report 'r["hint"]')" 'user namespaces' 'the hint says what to do'
	run_job "$work/good"
	is "$(report 'r["outcome"], r["isolation"]')" 'passed none' "one's own job there, and the result says so"
	runner=$ours
	unset -f mktemp
else
	ok 0 'user namespaces cannot be forbidden here # SKIP'
fi

new_repo empty
git -C "$work/empty" commit -q --allow-empty -m one
run_job "$work/empty"
is "$(report 'r["outcome"]')" refused 'no plan'
new_repo wrong
printf 'image: mini\nstep: []\n' >"$work/wrong/.talkoo.yml"
git -C "$work/wrong" add -A
git -C "$work/wrong" commit -qm one
run_job "$work/wrong"
is "$(report 'r["outcome"]')" refused 'a wrong plan'
like "$(report 'r["reason"]')" 'talkoo.yml:2' 'names the line'

# no plan on standard input, or nonsense
"$runner" job </dev/null >"$work/out" 2>"$work/err"
is "$?" 2 'no plan at all'
echo '{"v":1}' | "$runner" job >"$work/out" 2>"$work/err"
is "$?" 2 'a plan without content'
like "$(cat "$work/err")" '^error: ' 'and says why'

done_testing
