# shellcheck shell=bash
# Helpers of the tests that run whole jobs through talkoo-runner. Sourced; prints TAP.
# Variables that a test may set before start_job: options (of talkoo-runner), qemu (path of a QEMU).
set -u

# shellcheck disable=SC2034 # the tests' own
here=${TALKOO_SRCDIR:-.}/tests/vm
runner=${TALKOO_BUILDDIR:-.}/talkoo-runner
work=$(mktemp -d "${TMPDIR:-/tmp}/talkoo-vm-XXXXXX") || exit 99
chmod 755 "$work"
tests=0 failures=0
runner_pid='' job='' options='' qemu=''
job_base=$work # where jobs' folders are made
# shellcheck disable=SC2034
status=''

if [ ! -e "$TALKOO_TEST_IMAGES/mini@1/manifest.json" ]; then
	echo "1..0 # SKIP there is no image mini: make test-image"
	exit 0
fi

finish() {
	[ -z "$runner_pid" ] || kill -9 "$runner_pid" 2>/dev/null
	umount "$work/small" 2>/dev/null
	rm -rf "$work"
}
trap finish EXIT

ok() { # CONDITION-STATUS WHAT
	tests=$((tests + 1))
	if [ "$1" = 0 ]; then
		echo "ok $tests - $2"
		return 0
	fi
	failures=$((failures + 1))
	echo "not ok $tests - $2"
	return 1
}

is() { # GOT WANTED WHAT
	[ "$1" = "$2" ]
	ok $? "$3: $2" || echo "# got: $1"
}

like() { # TEXT PATTERN WHAT: an extended regular expression
	grep -Eq -- "$2" <<<"$1"
	ok $? "$3" || printf '# wanted: %s\n# got: %s\n' "$2" "$1"
}

done_testing() {
	echo "1..$tests"
	[ "$failures" = 0 ]
	exit
}

# repositories

new_repo() { # NAME: an empty repository in $work/NAME
	git init -q -b main "$work/$1"
	git -C "$work/$1" config user.name test
	git -C "$work/$1" config user.email test@example.invalid
}

# One commit whose plan runs the steps given, each a shell script.
repo_of() { # NAME STEP…
	local repo=$work/$1 step n=0
	new_repo "$1"
	shift
	{
		echo 'image: mini'
		echo 'artifacts: ["out/*"]'
		echo 'steps:'
		for step; do
			n=$((n + 1))
			printf '  - name: step%d\n    run: |\n' $n
			echo "      ${step//$'\n'/$'\n'      }"
		done
	} >"$repo/.talkoo.yml"
	git -C "$repo" add -A
	git -C "$repo" commit -qm one
}

# jobs

default_plan() { # REPO
	cat <<-EOF
	{"v":1,"type":"plan","job":"","dir":"$job","source":{"url":"","ref":"refs/heads/main",
	"commit":"$(git -C "$1" rev-parse HEAD)","local_objects":"$1/.git/objects"},
	"plan_origin":"tree","image":"","image_store":"$TALKOO_TEST_IMAGES","accel":"tcg","emulation_allowed":true,
	"timeout_factor_emulated":1,"timeout_cap_ms":0,"limits":{"cpus":1,"memory_bytes":268435456,"disk_bytes":268435456,
	"timeout_ms":120000,"log_bytes":1048576,"artifact_bytes":1048576,"artifact_count":100,"source_bytes":16777216}}
	EOF
}

# Overrides are A.B=JSON; python edits, as the shell cannot.
make_plan() { # REPO [KEY=JSON]…
	local repo=$1
	shift
	default_plan "$repo" | python3 -c '
import json, sys
plan = json.load(sys.stdin)
for change in sys.argv[1:]:
	key, value = change.split("=", 1)
	at, *rest = reversed(key.split("."))
	target = plan
	for name in reversed(rest):
		target = target.setdefault(name, {})
	target[at] = json.loads(value)
print(json.dumps(plan))' "$@"
}

# Starts a job; descriptor 9 is the launcher's end of its standard input, $job/../events its output.
start_job() { # REPO [KEY=JSON]…
	job=$(mktemp -d "$job_base/job.XXXXXX")
	events=$job.events
	mkfifo "$job.in"
	: >"$events"
	# shellcheck disable=SC2086 # options are words
	${qemu:+env TALKOO_QEMU="$qemu"} "$runner" job $options <"$job.in" >"$events" 2>"$job.stderr" &
	runner_pid=$!
	exec 9>"$job.in"
	make_plan "$@" >&9
}

# Waits for the runner to end by itself; its status in $status.
wait_job() {
	wait "$runner_pid"
	# shellcheck disable=SC2034
	status=$?
	runner_pid=''
	exec 9>&-
}

run_job() { # REPO [KEY=JSON]…
	start_job "$@"
	wait_job
}

# A value of the report, which is the last line of the events.
report() { # PYTHON-EXPRESSION over r
	tail -n 1 "$events" | python3 -c '
import json, sys
try:
	r = json.loads(sys.stdin.read())
	print('"$1"')
except Exception as e:
	print("no report:", e)'
}

# Waits until a pattern is in the events, for at most this many seconds.
wait_event() { # PATTERN [SECONDS]
	local i
	for ((i = 0; i < ${2:-90} * 20; i++)); do
		grep -Eq -- "$1" "$events" && return 0
		kill -0 "$runner_pid" 2>/dev/null || break
		sleep 0.05
	done
	grep -Eq -- "$1" "$events"
}

# processes

parent_of() { # PID
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	stat=${stat##*) }
	# shellcheck disable=SC2086 # fields
	set -- $stat
	echo "$2"
}

# All descendants of a process, and itself.
tree_of() { # PID
	python3 - "$1" <<-'EOF'
	import os, sys
	children = {}
	for name in os.listdir("/proc"):
	    if name.isdigit():
	        try:
	            fields = open(f"/proc/{name}/stat").read().rsplit(") ", 1)[1].split()
	        except OSError:
	            continue
	        children.setdefault(int(fields[1]), []).append(int(name))
	todo, found = [int(sys.argv[1])], []
	while todo:
	    pid = todo.pop()
	    found.append(pid)
	    todo += children.get(pid, [])
	print(*found)
	EOF
}

is_gone() { # PID: ended, or a zombie that only waits for its parent
	local state
	state=$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)
	[ -z "$state" ] || [ "$state" = Z ] || [ "$state" = X ]
}

# Whether all of these are gone within 2 s. A deadline stated: polled with a guard of ten times, the time is printed.
all_gone() { # WHAT PID…
	local what=$1 began pid left
	shift
	began=$(date +%s%N)
	while :; do
		left=
		for pid; do
			is_gone "$pid" || left="$left $pid"
		done
		if [ -z "$left" ] || [ $((($(date +%s%N) - began) / 1000000)) -ge 20000 ]; then
			break
		fi
		sleep 0.02
	done
	local took=$((($(date +%s%N) - began) / 1000000))
	[ -z "$left" ] && [ $took -le 2000 ]
	ok $? "$what: no process is left after 2 s" || echo "# after $took ms:$left"
}

# What must remain in a job's folder, and nothing else.
only_results_left() { # WHAT
	local extra
	extra=$(find "$job" -mindepth 1 -maxdepth 1 ! -name log ! -name run.jsonl ! -name console.log ! -name qemu.log ! -name artifacts ! -name report.json)
	[ -z "$extra" ]
	ok $? "$1: only results are left in the folder" || echo "# $extra"
}
