# shellcheck shell=bash disable=SC2034
# Common parts of the stage tests: TAP, a temporary folder, servers of the test that end with it.
set -u
count=0 failed=0
dir=$(mktemp -d "${TMPDIR:-/tmp}/talkoo-stages-XXXXXX")
servers=()
tool=$TALKOO_BUILDDIR/stage_tool
here=$TALKOO_SRCDIR/tests/stages
export HOME=$dir/home GIT_CONFIG_NOSYSTEM=1 LC_ALL=C.UTF-8
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org
export GIT_AUTHOR_DATE='1600000000 +0200' GIT_COMMITTER_DATE='1700000000 +0100'
mkdir "$HOME"

finish() {
	local pid
	for pid in "${servers[@]}"; do
		kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
	done
	rm -rf "$dir"
}
trap finish EXIT

ok() { # CONDITION'S STATUS, TEXT
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		failed=$((failed + 1))
		sed 's/^/# /' "$dir/out" 2>/dev/null
	fi
}

need() { # PROGRAM…: skip the whole test where one is missing
	local program
	for program; do
		command -v "$program" >/dev/null || {
			echo "1..0 # SKIP $program is missing"
			exit 0
		}
	done
}

# expect STATUS REGEX TEXT -- COMMAND…: the command's status, and a line of its output
expect() {
	local want=$1 regex=$2 text=$3 got
	shift 4
	"$@" >"$dir/out" 2>&1
	got=$?
	[ "$got" -eq "$want" ] && grep -Eq -- "$regex" "$dir/out"
	ok $? "$text (status $got)"
}

wait_file() {
	local i
	for ((i = 0; i < 200; i++)); do
		[ -e "$1" ] && return 0
		sleep 0.05
	done
	return 1
}

done_testing() {
	echo "1..$count"
	[ "$failed" -eq 0 ]
	exit
}
