#!/usr/bin/env bash
# The stages that read strangers' bytes on the host, as running processes, each stalled while it works: fetch and get by a remote
# that says nothing, pack by an object that is a pipe, collect by a signal. What each is, holds and sees.
# shellcheck source=tests/vm/lib.sh
. "${TALKOO_SRCDIR:-.}/tests/vm/lib.sh" || exit 99

field() { # PID NAME: of /proc/PID/status
	sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"
}

# Waits for a child of the supervisor that is in its jail and holds a descriptor that fits; stops it, and leaves its pid in $stage.
catch() { # PATTERN
	stage=$(timeout 60 python3 - "$runner_pid" "$1" <<-'X'
		import os, re, signal, sys
		def children(pid):
		    try:
		        return [int(c) for c in open(f"/proc/{pid}/task/{pid}/children").read().split()]
		    except OSError:
		        return []
		def fits(pid):
		    try:
		        status = open(f"/proc/{pid}/status").read()
		        if not re.search(r"^Seccomp:\s*2$", status, re.M):
		            return False
		        return any(re.search(sys.argv[2], os.readlink(f"/proc/{pid}/fd/{fd}")) for fd in os.listdir(f"/proc/{pid}/fd"))
		    except OSError:
		        return False
		while os.path.exists(f"/proc/{sys.argv[1]}"):
		    for supervisor in children(sys.argv[1]):
		        for pid in children(supervisor):
		            if fits(pid):
		                os.kill(pid, signal.SIGSTOP)
		                print(pid)
		                sys.exit()
	X
	)
	[ -n "$stage" ]
}

uids=''
# Everything that is asked of each. DESCRIPTORS: a pattern beside /dev/null, sockets and pipes. VISIBLE: the top of its root.
look() { # NAME NETWORK(yes|no) DESCRIPTORS VISIBLE
	local ns set uid odd
	for ns in pid mnt ipc uts user; do
		[ "$(readlink "/proc/$stage/ns/$ns")" != "$(readlink /proc/self/ns/$ns)" ]
		ok $? "$1 has another $ns namespace than we"
	done
	[ "$(readlink "/proc/$stage/ns/net")" = "$(readlink /proc/self/ns/net)" ]
	is $? "$([ "$2" = yes ] && echo 0 || echo 1)" "$1 has the network: $2"
	is "$(field "$stage" Seccomp) $(field "$stage" NoNewPrivs)" '2 1' "$1 is filtered, without new privileges"
	set=$(sed -n 's/^Cap[A-Z][a-z]*:\t//p' "/proc/$stage/status" | sort -u)
	is "$set" 0000000000000000 "$1 has no capability"
	is "$(awk '/Max core file size/ {print $5}' "/proc/$stage/limits")" 0 "$1 dumps no core"
	uid=$(field "$stage" Uid)
	if [ "$(id -u)" = 0 ]; then
		[ "${uid%%$'\t'*}" -ge 1879048192 ] && [ "$(tr '\t' '\n' <<<"$uid" | sort -u | wc -l)" = 1 ] && [[ $uids != *" ${uid%%$'\t'*} "* ]]
		ok $? "$1 has a uid that no other stage has (${uid%%$'\t'*})"
		uids="$uids ${uid%%$'\t'*} "
		is "$(field "$stage" Gid)" "$uid" "$1 has a group of that number"
		is "$(find "/proc/$stage/root/" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort | tr '\n' ' ')" "$4" "$1 sees at the top"
		odd=''
		for path in /etc/passwd /etc/shadow /etc/ssl/private /root/.ssh /proc/self /run /var "$job/report.json" "$job/log"; do
			[ ! -e "/proc/$stage/root$path" ] || odd="$odd $path"
		done
		is "$odd" '' "$1 sees no accounts, keys, homes, nor the job's folder"
		touch "/proc/$stage/root/x" 2>/dev/null
		ok $((! $?)) "the root of $1 is read-only"
	fi
	odd=$(for fd in "/proc/$stage/fd"/*; do readlink "$fd"; done | grep -Ev "^(/dev/null|socket:.*|pipe:.*|anon_inode:.*|$3)$")
	is "$odd" '' "$1 holds no other descriptor"
}

end_job() {
	kill -CONT "$stage" 2>/dev/null
	echo cancel >&9
	wait_job
}

repo_of src 'echo x'
commit=$(git -C "$work/src" rev-parse HEAD)
python3 "$here/../stages/git_liar.py" "$work/liars" "$commit" &
liar=$!
for ((i = 0; i < 200; i++)); do
	[ ! -e "$work/liars" ] || break
	sleep 0.05
done
url=git://127.0.0.1:$(sed -n 's/^silent //p' "$work/liars")/x.git
top=$(cut -d/ -f2 <<<"$work") # of the mirror's path
shown() { # NAMES: sorted, those that this machine has
	local name
	for name in "$@"; do
		[ ! -e "/$name" ] || echo "$name"
	done | sort -u | tr '\n' ' '
}

start_job "$work/src" source.url="\"$url\"" source.local_objects='""' source.allow_loopback=true source.mirror="\"$work/mirror\"" \
	fetch_store="\"$work/fetched\"" fetch_bytes=1048576 fetch_any_host=true
catch "^$work/mirror/"
ok $? 'fetch is caught'
look fetch yes "$work/mirror/.*" "$(shown dev etc lib lib64 usr "$top")"
fetch=$stage
catch '/deps.raw$'
ok $? 'get is caught'
look get yes "$job/deps.raw" "$(shown dev etc lib lib64 usr "$top")"
kill -CONT "$fetch"
end_job
kill "$liar"
wait "$liar" 2>/dev/null

cp -r "$work/src" "$work/stuck"
blob=$(git -C "$work/stuck" rev-parse HEAD:.talkoo.yml)
object=$work/stuck/.git/objects/${blob:0:2}/${blob:2}
rm -f "$object"
mkfifo "$object"
start_job "$work/stuck"
catch '/source.tar$'
ok $? 'pack is caught'
look pack no "$job/(source|plan).tar" "$(shown "$top")"
end_job

repo_of large 'mkdir out; dd if=/dev/zero of=out/a bs=1M count=48 2>/dev/null'
start_job "$work/large" limits.artifact_bytes=67108864
catch '/artifacts$'
ok $? 'collect is caught'
look collect no "$job/artifacts(.raw|/.*)?" ''
kill -CONT "$stage"
wait_job
is "$(report 'r["outcome"], [a["digest"]["size_bytes"] for a in r["artifacts"]]')" 'passed [50331648]' 'which then does its work'
is "$(stat -c %u "$job/artifacts/out/a" "$job/artifacts" | sort -u)" "$(id -u)" 'and the launcher owns what it collected'

done_testing
