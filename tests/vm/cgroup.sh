#!/usr/bin/env bash
# Control groups with a real kernel: in a guest, whatever this machine has.
# shellcheck source=tests/vm/lib.sh
. "${TALKOO_SRCDIR:-.}/tests/vm/lib.sh" || exit 99

repo_of live './talkoo-live'
cp "${TALKOO_BUILDDIR:-.}/cgroup_live" "$work/live/talkoo-live"
git -C "$work/live" add -A
git -C "$work/live" commit -qm program
run_job "$work/live"
is "$(report 'r["outcome"]')" passed 'the program of the test passes in the guest'
while IFS= read -r line; do
	[[ $line == ok* ]]
	ok $? "${line#*ok }"
done < <(grep -E '^(not )?ok ' "$job/log")
is "$(grep -Ec '^all [0-9]+, 0 failed$' "$job/log")" 1 'and came to its end'
done_testing
