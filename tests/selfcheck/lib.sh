# shellcheck shell=sh
# For the scripts that check the sources themselves. They run in `make check`, and as steps of this project's own plan in
# a VM that has busybox and nothing else: POSIX sh, and find, grep, sed, awk as busybox has them. They print TAP and exit
# with 1 when a check failed. Each starts with:
#   . "${TALKOO_SRCDIR:-.}/tests/selfcheck/lib.sh"
set -u
cd "${TALKOO_SRCDIR:-.}" || exit 1
LC_ALL=C
export LC_ALL
tap_count=0
tap_failed=0

# verdict NAME FAULTS: one check; it holds when FAULTS (lines "file:line: what") is empty.
verdict() {
	tap_count=$((tap_count + 1))
	if [ -z "$2" ]; then
		echo "ok $tap_count - $1"
		return 0
	fi
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count - $1"
	printf '%s\n' "$2" | sed 's/^/#   /'
}

# skip NAME WHY
skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

done_checks() {
	echo "1..$tap_count"
	[ "$tap_failed" = 0 ] && [ "$tap_count" -gt 0 ]
	exit
}

# The folders that hold our own files; what a build leaves beside them is not among them.
folders() {
	for f in proto p2p policy runner node tests contrib m4 .ci; do
		[ -d "$f" ] && echo "$f"
	done
	return 0
}

# find_files ARGUMENTS-OF-FIND…: our files, one a line, sorted.
find_files() {
	# shellcheck disable=SC2046 # folder names of ours: no spaces
	find $(folders) -type f "$@" | sort
}

# The C sources and headers.
c_files() {
	find_files '(' -name '*.c' -o -name '*.h' ')'
}

# Shell scripts, by name or first line.
shell_files() {
	find_files '(' -name '*.sh' -o ! -name '*.*' ')' | while IFS= read -r f; do
		read -r first <"$f" || first=
		case $f:$first in
		*.sh:* | *:'#!'*sh) echo "$f" ;;
		esac
	done
}
