#!/usr/bin/env bash
# What may happen to a node, with the real runner: bad clients, a second instance, a job denied first and allowed later, a pause in
# mid-job, deny --kill, kill -9 again and again under load, a full disk.
# shellcheck source-path=SCRIPTDIR source=lib.sh
# shellcheck disable=SC2016,SC2317  # at_end's are expanded at the end; functions are called through poll
. "$TALKOO_SRCDIR/tests/e2e/lib.sh"
need git qemu-system-x86_64 python3
state=$TALKOO_HOME/state

# libraries that a daemon with key and network must not carry
daemon_exe=$TALKOO_BUILDDIR/talkood
! ldd "$daemon_exe" | grep -Eq 'libgit2|libarchive'
ok $? "talkood links neither libgit2 nor libarchive"

rm -rf "$TALKOO_HOME"
expect 0 "init" -- talkoo init --alias e2e
rmdir "$state/images" # init made it; the shared store takes its place
need_image
at_end+=('talkoo stop; kill -9 $(node_pid)')
node_pid() { # of this home's node: the one that holds its lock file open
	local fd
	for fd in /proc/[0-9]*/fd/*; do
		if [ "$fd" -ef "$state/lock" ]; then
			fd=${fd#/proc/}
			echo "${fd%%/*}"
			return
		fi
	done
	return 1
}
no_jobs() { [ -z "$(ls -A "$state/jobs" 2>/dev/null)" ]; }
job_is() { talkoo job show "$1" --json 2>/dev/null | grep -q "\"state\": *\"$2\""; }
step_runs() { talkoo log "$1" 2>/dev/null | grep -q "begun"; }
results_say() { talkoo results "$1" --json 2>/dev/null | grep -q "\"outcome\": *\"$2\""; }

expect 5 "no node yet" -- talkoo status
expect 0 "start" -- talkoo start
expect 0 "start again is fine" -- talkoo start
says 'running already'
expect 7 "a second node of this home is refused" -- "$daemon_exe" --foreground
[ "$(stat -c %a "$TALKOO_HOME/run/control.sock")" = 600 ]
ok $? "the socket is 0600"

repository "$dir/work" - <<-'PLAN'
	image: mini
	steps:
	  - name: hello
	    run: |
	      echo hello from the guest
	      mkdir -p /ci/artifacts
	      echo made >/ci/artifacts/made
PLAN
git clone -q --bare "$dir/work" "$dir/bare.git"
git -C "$dir/work" remote add origin "file://$dir/bare.git"
git -C "$dir/work" fetch -q origin
cd "$dir/work" || exit
expect 0 "project create" -- talkoo project create demo --url "file://$dir/bare.git"
link=$(cat "$out")

# bad clients: each gets its answer or is hung up on, and the node goes on
python3 - "$TALKOO_HOME/run/control.sock" >"$out" 2>"$err" <<-'PY'
	import json, socket, sys
	def talk(data, answers=True):
	    s = socket.socket(socket.AF_UNIX)
	    s.settimeout(10)
	    s.connect(sys.argv[1])
	    try:
	        s.sendall(data)
	        if not answers:
	            return None
	        got = b""
	        while b"\n" not in got:
	            more = s.recv(65536)
	            if not more:
	                break
	            got += more
	        return got.split(b"\n")[0]
	    except (BrokenPipeError, ConnectionResetError):
	        return b""
	for bad in (b"not json\n", b"[]\n", b"{}\n", b'{"v":1,"op":"nosuch"}\n', b'{"v":1,"op":"status","extra":1}\n',
	            b'{"v":1,"op":"trust.add","node":"z6Mkabcd"}\n', b'{"v":1,"op":"job.show","job":5}\n', b"[" * 60000 + b"\n"):
	    answer = json.loads(talk(bad))
	    assert answer["ok"] is False and answer["error"], (bad[:40], answer)
	assert talk(b"x" * 300000) in (b"",) or json.loads(talk(b"x" * 300000 + b"\n"))["ok"] is False
	idle = []
	for _ in range(200):  # more than it takes: no crash
	    s = socket.socket(socket.AF_UNIX)
	    s.settimeout(10)
	    try:
	        s.connect(sys.argv[1])
	    except OSError:
	        pass
	    idle.append(s)
	for s in idle:
	    s.close()
	import time
	for attempt in range(100):  # it has to notice first that they are gone
	    try:
	        answer = talk(b'{"v":1,"op":"status"}\n')
	        if answer and json.loads(answer)["ok"]:
	            break
	    except OSError:
	        pass
	    time.sleep(0.1)
	else:
	    raise SystemExit("the node does not answer any more")
PY
ok $? "bad requests, a long line and 200 idle clients"

# pause gives the job back, resume takes it again; deny --kill ends it
# a job that was denied is taken once a rule allows it
expect 0 "announced before it is allowed" -- talkoo job announce "$link" --cmd 'echo begun; sleep 601'
long=$(cat "$out")
expect 0 "why not" -- talkoo job show "$long"
prints '^not here'
expect 0 "allow" -- talkoo allow "$link" --source file
poll 120 step_runs "$long"
ok $? "the waiting job is taken"
expect 0 "pause" -- talkoo pause --note lunch
poll 20 nobody_lives
ok $? "nothing runs while paused"
expect 0 "status" -- talkoo status
prints '^paused'
! results_say "$long" abandoned
ok $? "the job is given back, not given up"
expect 0 "resume" -- talkoo resume
poll 180 job_is "$long" running
ok $? "it is taken again"
poll 120 step_runs "$long"
expect 0 "deny --kill" -- talkoo deny "$link" --kill
poll 20 results_say "$long" abandoned
ok $? "it ended as abandoned"
poll 20 nobody_lives
ok $? "and left no process"

# quiet
pid=$(node_pid)
rss=$(awk '/^VmRSS/ {print $2}' "/proc/$pid/status")
echo "# resident: $rss KiB"
grep -q libasan "/proc/$pid/maps" || [ "$rss" -lt 16384 ]
ok $? "an idle node is small"
ticks() { awk '{print $14 + $15}' "/proc/$pid/stat"; }
before=$(ticks)
sleep 5
spent=$(($(ticks) - before))
[ "$spent" -le 2 ]
ok $? "and idle: $spent ticks in 5 s"

# kill -9 under load: whatever id was printed is there afterwards (nothing is allowed, so nothing runs)
: >"$dir/acknowledged"
for round in 1 2 3 4 5; do
	for worker in 1 2 3; do
		(
			i=0
			while talkoo job announce "$link" --cmd "true $round $worker $((i += 1))" 2>/dev/null; do :; done >>"$dir/acknowledged.$worker"
		) &
	done
	sleep 0.$((RANDOM % 9 + 1))
	kill -9 "$(node_pid)"
	wait
	talkoo start >/dev/null 2>&1 || break
done
[ "$round" -eq 5 ] && talkoo status >/dev/null
ok $? "five kills, five starts"
cat "$dir"/acknowledged.[123] | grep -E '^[0-9a-f]{64}$' | sort -u >"$dir/acknowledged"
talkoo job list --limit 10000 --json >"$dir/list"
python3 - "$dir/list" "$dir/acknowledged" <<-'PY'
	import json, sys
	here = {j["job"] for j in json.load(open(sys.argv[1]))["jobs"]}
	promised = set(open(sys.argv[2]).read().split())
	print("# %d acknowledged, %d missing" % (len(promised), len(promised - here)))
	sys.exit(not promised or bool(promised - here))
PY
ok $? "nothing acknowledged is lost"
expect 0 "stop" -- talkoo stop
expect 5 "it is gone" -- talkoo status

# a full disk: a small file system of its own, which needs root
full=$dir/full
mkdir "$full"
if mount -t tmpfs -o size=8m talkoo-test "$full" 2>/dev/null; then
	at_end=('talkoo --home "$full/home" stop' 'umount -l "$full"' "${at_end[@]}")
	expect 0 "init there" -- talkoo --home "$full/home" init
	echo 'caps: {free_disk: 0}' >>"$full/home/config.yml"
	expect 0 "start" -- talkoo --home "$full/home" start
	expect 0 "a project" -- talkoo --home "$full/home" project create first --url https://example.org/first.git
	first=$(cat "$out")
	acknowledged=$dir/acknowledged.full
	echo "$first" >"$acknowledged"
	dd if=/dev/zero of="$full/filler" bs=64k 2>/dev/null
	truncate -s -256K "$full/filler" # room for some
	for i in $(seq 1 400); do
		talkoo --home "$full/home" project create "p$i" --url https://example.org/p.git >"$out" 2>"$err" || break
		cat "$out" >>"$acknowledged"
	done
	[ "$i" -lt 400 ] && grep -q '^error: ' "$err"
	ok $? "a full disk is an error that is said"
	dd if=/dev/zero of="$full/filler2" bs=1k 2>/dev/null # the last bytes too
	refused() { # each try names another node
		node=$(head -c 32 /dev/urandom | python3 "$dir/id.py")
		! talkoo --home "$full/home" trust add "$node" >"$out" 2>"$err"
	}
	cat >"$dir/id.py" <<-'PY'
		import sys
		n, t = int.from_bytes(b"\xed\x01" + sys.stdin.buffer.read(), "big"), ""
		while n:
		    n, r = divmod(n, 58)
		    t = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[r] + t
		print("did:key:z" + t)
	PY
	poll 10 refused
	ok $? "in the end nothing can be stored"
	not_remembered() { ! talkoo --home "$full/home" trust list | grep -qF "${node#did:key:}"; }
	poll 5 not_remembered
	ok $? "what could not be stored is not remembered either"
	expect 0 "the node answers on" -- talkoo --home "$full/home" status
	prints '^paused: .*cannot be written' "it says why it takes nothing"
	prints "until .*disk" "and what ends that"
	rm "$full/filler" "$full/filler2"
	works() { talkoo --home "$full/home" status | grep -q '^idle'; }
	poll 30 works
	ok $? "with room again it goes on by itself"
	poll 30 talkoo --home "$full/home" project create after --url https://example.org/after.git
	ok $? "and stores again"
	kill -9 "$(TALKOO_HOME=$full/home state=$full/home/state node_pid)"
	expect 0 "start after kill -9: the database is whole" -- talkoo --home "$full/home" start
	missing=0
	while read -r link; do
		talkoo --home "$full/home" project show "$link" >"$out" 2>"$err" || missing=$((missing + 1))
	done <"$acknowledged"
	echo "# $(wc -l <"$acknowledged") acknowledged, $missing missing"
	[ "$missing" -eq 0 ]
	ok $? "nothing acknowledged is lost"
	expect 0 "stop" -- talkoo --home "$full/home" stop
	umount "$full"
else
	echo "# a full disk was not tried: no file system can be mounted here"
fi
done_testing
