#!/usr/bin/env bash
# What the running processes of a job really are: uid, namespaces, descriptors, capabilities, seccomp, files in sight.
# shellcheck source=tests/vm/lib.sh
. "${TALKOO_SRCDIR:-.}/tests/vm/lib.sh" || exit 99

field() { # PID NAME: of /proc/PID/status
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}

repo_of long 'echo begun; sleep 300'
start_job "$work/long"
wait_event '"type":"step".*"state":"start"'
ok $? 'a job runs'
supervisor='' machine='' logger=''
for pid in $(tree_of "$runner_pid"); do
	if [ "$(parent_of "$pid")" = "$runner_pid" ]; then
		supervisor=$pid
	fi
done
for pid in $(tree_of "$supervisor"); do
	if [[ $(readlink "/proc/$pid/exe") == *qemu* ]]; then
		machine=$pid
	elif [ "$pid" != "$supervisor" ]; then
		logger=$pid
	fi
done
[ -n "$supervisor" ] && [ -n "$machine" ] && [ -n "$logger" ]
ok $? 'supervisor, QEMU and log stage are found'

for ns in pid mnt net ipc uts user; do
	[ "$(readlink "/proc/$machine/ns/$ns")" != "$(readlink /proc/self/ns/$ns)" ]
	ok $? "QEMU has another $ns namespace than we"
	[ "$(readlink "/proc/$logger/ns/$ns")" != "$(readlink /proc/self/ns/$ns)" ]
	ok $? "so has the log stage"
done
[ "$(readlink "/proc/$supervisor/ns/net")" != "$(readlink /proc/self/ns/net)" ]
ok $? 'the supervisor has no network once fetch was started'
[ "$(readlink "/proc/$machine/ns/net")" != "$(readlink "/proc/$supervisor/ns/net")" ]
ok $? 'and QEMU shares none with it'

for pid in $machine $logger; do
	is "$(field "$pid" Seccomp)" 2 "process $pid is filtered"
	is "$(field "$pid" NoNewPrivs)" 1 'without new privileges'
	for set in CapInh CapPrm CapEff CapBnd CapAmb; do
		is "$(field "$pid" $set)" 0000000000000000 "$set"
	done
	if [ "$(id -u)" = 0 ]; then
		[ "$(field "$pid" Uid | cut -f1)" -ge 1879048192 ]
		ok $? 'and a uid of its own'
	fi
	is "$(awk '/Max core file size/ {print $5}' "/proc/$pid/limits")" 0 'no core dumps'
done

is "$(awk '/Max cpu time/ {print $4}' "/proc/$machine/limits")" 480 "QEMU's cpu time is capped: two processors' for the time limit and a boot"
[ "$(cat "/proc/$machine/oom_score_adj")" -ge 500 ]
ok $? "where memory runs out QEMU goes before the donor's own"

# every descriptor QEMU holds: what was given to it, and what it makes itself
odd=$(for fd in /proc/"$machine"/fd/*; do readlink "$fd"; done |
	grep -Ev "^(/dev/null|socket:.*|pipe:.*|anon_inode:.*|$job/[a-z]+\.(raw|tar)|/memfd:.*)$|^$job/.* \(deleted\)$")
is "$odd" '' 'QEMU holds no descriptor but its disks, sockets, pipes and events'
odd=$(for fd in /proc/"$logger"/fd/*; do readlink "$fd"; done | grep -Ev "^(/dev/null|socket:.*|pipe:.*|$job/(log|console\.log|run\.jsonl))$")
is "$odd" '' 'the log stage holds its sockets and the three files of its log'

# what they see
if [ "$(id -u)" = 0 ]; then
	is "$(ls "/proc/$logger/root")" '' 'the log stage sees an empty root'
	for path in /etc/passwd /home /root /proc/self /tmp /var /run /bin /sbin "$job"; do
		# the image is shown under its own name: of a folder that leads to it there is a shell
		case $TALKOO_TEST_IMAGES/ in
		"$path"/*) [ "$(find "/proc/$machine/root$path" -mindepth 1 -maxdepth 1 | wc -l)" = 1 ] ;;
		*) [ ! -e "/proc/$machine/root$path" ] ;;
		esac
		ok $? "QEMU does not see $path"
	done
	touch "/proc/$machine/root/x" 2>/dev/null
	ok $((! $?)) "QEMU's root is read-only"
	touch "/proc/$machine/root$TALKOO_TEST_IMAGES/mini@1/x" 2>/dev/null
	ok $((! $?)) 'and so is the image'
	is "$(tr '\0' '\n' <"/proc/$machine/environ" | grep -cv '^\(PATH\|LC_ALL\|TZ\|HOME\)=')" 0 "QEMU's environment is ours alone"
fi

tr '\0' '\n' <"/proc/$machine/cmdline" | grep -q '^on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny$'
ok $? "QEMU's own sandbox is on"
tr '\0' '\n' <"/proc/$machine/cmdline" | grep -Eq '^(virtio-net|e1000|-netdev|-nic)'
ok $((! $?)) 'there is no network device'

echo cancel >&9
wait_job
like "$(report 'r["isolation"]')" 'pidns,mountns,netns' 'the report says what was in force'
like "$(report 'r["isolation"]')" 'seccomp' 'seccomp too'

done_testing
