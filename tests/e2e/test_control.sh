#!/usr/bin/env bash
# The control socket against clients that are wrong, slow, rude or somebody else; a real talkood, no VM.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317 # functions are called by poll
. "$TALKOO_SRCDIR/tests/e2e/lib.sh"
need git python3
at_end+=('talkoo stop')

cd "$dir" || exit
repository work - <<-'PLAN'
	image: mini
	steps:
	  - run: echo hello
PLAN
cd work || exit
commit=$(git rev-parse HEAD)
expect 0 "init" -- talkoo init
expect 0 "start" -- talkoo start
expect 0 "project create" -- talkoo project create demo --url "file://$dir/work"
link=$(cat "$out")
socket=$TALKOO_HOME/run/control.sock

cat >"$dir/client.py" <<'PY'
import json, os, socket, sys, time
path = sys.argv[1]

def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(path)
    s.settimeout(20)
    return s

def line(s):
    data = b""
    while not data.endswith(b"\n"):
        more = s.recv(65536)
        if not more:
            return data.decode() or None
        data += more
    return data.decode()

def ask(request):
    s = connect()
    s.sendall((request if isinstance(request, bytes) else json.dumps(request).encode()) + b"\n")
    return json.loads(line(s))

def leave_with(data):
    """Says something and hangs up; a node that is still busy with others may have hung up first."""
    s = connect()
    try:
        s.sendall(data)
    except OSError:
        pass
    s.close()

def answers():
    for _ in range(200):
        try:
            if ask({"v": 1, "op": "status"}).get("ok"):
                return True
        except (OSError, TypeError):
            pass
        time.sleep(0.05)
    return False

def check(what, ok, got=""):
    print(f"{'good' if ok else 'BAD'}: {what} {'' if ok else got}")

# what is wrong is refused by name, and the node goes on
for what, request, wanted in (
    ("garbage", b"\x00\xff\xfe{{{", "not a JSON object"),
    ("an empty line", b"", "not a JSON object"),
    ("a list", b"[1,2]", "not a JSON object"),
    ("deep nesting", b"[" * 30000, "not a JSON object"),
    ("another version", {"v": 2, "op": "status"}, "version 1"),
    ("no op", {"v": 1}, "op: missing"),
    ("an unknown op", {"v": 1, "op": "explode"}, "explode: no such op"),
    ("an unknown argument", {"v": 1, "op": "status", "x": 1}, "x: no such argument"),
    ("a key twice", b'{"v":1,"op":"status","op":"stop"}', "not a JSON object"),
    ("a text for a number", {"v": 1, "op": "pause", "for_ms": "1h"}, "for_ms: not a number"),
    ("a negative number", {"v": 1, "op": "pause", "for_ms": -1}, "for_ms: not a number"),
    ("a number too large", {"v": 1, "op": "results", "commit": "a" * 40, "need": 2**32 + 1}, "need: "),
    ("a number for a text", {"v": 1, "op": "job.show", "job": 5}, "job: not a text"),
    ("a job of rubbish", {"v": 1, "op": "job.show", "job": "../../etc"}, "no such job"),
    ("a job too long", {"v": 1, "op": "job.show", "job": "a" * 3000}, "longer than any id"),
    ("a commit too short", {"v": 1, "op": "results", "commit": "abc"}, "not a commit"),
    ("a path out of the folder", {"v": 1, "op": "artifact", "job": "abcd", "path": "../key"}, "no such job"),
    ("an escape in a text", {"v": 1, "op": "allow", "project": "\x1b[31m"}, "needed"),
):
    got = ask(request)
    text = json.dumps(got, ensure_ascii=False)
    check(what, got.get("ok") is False and (wanted in got["error"] or wanted in got.get("hint", "")), text)

# lines in halves, several at once, one after the other
s = connect()
for part in (b'{"v":1,', b'"op":"sta', b'tus"}\n{"v":1,"op":"trust.list"}\n{"v":1,"op":"nosuch"}\n'):
    s.sendall(part)
    time.sleep(0.05)
data = ""
while data.count("\n") < 3:
    data += s.recv(65536).decode()
replies = [json.loads(one) for one in data.splitlines()]
check("halves and three at once", "stores" in replies[0] and "trust" in replies[1] and replies[2]["ok"] is False, data)

# 10 MB without a newline: an error or a hang-up, soon, and no memory kept
s = connect()
said = ""
try:
    for _ in range(160):
        s.sendall(b"x" * 65536)
except OSError:
    pass
try:
    said = line(s) or ""
except OSError:
    pass
check("10 MB in one line", said == "" or "64 KiB" in said, said)

# half a line, then gone; many of them
for _ in range(200):
    leave_with(b'{"v":1,"op":"stat')
check("200 that hang up in a line", answers())

# streams that are left in the middle
for op in ({"op": "events", "follow": True}, {"op": "watch", "commit": "b" * 40, "timeout_ms": 60000}, {"op": "events"}, {"op": "results", "commit": "b" * 40}):
    for _ in range(100):
        leave_with(json.dumps({"v": 1, **op}).encode() + b"\n")
check("hang-ups in the middle of streams", answers())

# as many followers as there is room for, none of which reads; then all go
idle = []
for _ in range(70):
    s = connect()
    try:
        s.sendall(b'{"v":1,"op":"events","follow":true}\n')
    except OSError:
        pass  # told so and hung up on before it could ask: what it was told is read below
    idle.append(s)
time.sleep(0.5)
got = json.loads(line(idle[-1]))
check("the 70th client is told why not", got.get("ok") is False and "too many" in got["error"], str(got))
for s in idle:
    s.close()
check("room again", answers())

# one who sends requests and reads nothing: neither memory nor anybody else suffers
s = connect()
s.settimeout(2)
try:
    for _ in range(20000):
        s.sendall(b'{"v":1,"op":"policy.show"}\n')
except OSError:
    pass
check("a client that never reads", ask({"v": 1, "op": "status"}).get("ok"))
s.close()
PY
timeout 120 python3 "$dir/client.py" "$socket" >"$out" 2>"$err"
grep -v "^good" "$out" | sed "s/^/# /"
[ "$(grep -c '^good' "$out")" -eq 25 ] && ! grep -q '^BAD' "$out" && [ ! -s "$err" ]
ok $? "hostile clients ($(grep -c '^good' "$out") good, $(grep -c '^BAD' "$out") bad)"
expect 0 "the node lives" -- talkoo status
prints '^  blobs .* of '
prints '^  mirrors .* of '

# a log of events longer than what may wait for a client arrives whole
python3 - "$socket" <<-'PY'
	import socket, sys
	s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM); s.connect(sys.argv[1])
	note = "n" * 200
	f = s.makefile("rb")
	for i in range(3000):
	    s.sendall(b'{"v":1,"op":"pause","note":"%s"}\n' % (note * 1).encode()); f.readline()
	s.sendall(b'{"v":1,"op":"resume"}\n'); f.readline()
PY
slow() { talkoo events | { sleep 1; python3 -c 'import json,sys; ids=[json.loads(l)["id"] for l in sys.stdin]; sys.exit(ids != list(range(1, len(ids)+1)) or len(ids) < 3000)'; }; }
expect 0 "thousands of events to a slow reader, whole and in order" -- slow

# followers hear what happens
talkoo events --follow >"$dir/followed" &
follower=$!
heard() { grep -q '"note":"heard"' "$dir/followed"; }
sleep 0.3
talkoo pause --note heard >/dev/null
poll 5 heard
ok $? "a follower hears of it"
kill "$follower"
wait "$follower" 2>/dev/null

# a watch ends at its time, on a node where nothing else happens
expect 0 "announce" -- talkoo job announce "$link" --commit "$commit" --ref refs/heads/main
job=$(cat "$out")
started=$SECONDS
expect 8 "watch until the time is up" -- timeout 30 talkoo watch "$job" --timeout 1s
[ $((SECONDS - started)) -le 10 ]
ok $? "in time"

# --new-only: the same job once, also when asked by many at once; another command is another job
for i in 1 2 3 4 5 6 7 8; do
	talkoo job announce "$link" --commit "$commit" --ref refs/heads/main --image mini --cmd 'echo 1' --new-only >"$dir/new$i" 2>/dev/null &
done
wait
[ "$(sort -u "$dir"/new[1-8] | wc -l)" -eq 1 ] && [ -s "$dir/new1" ]
ok $? "eight at once announce one job"
talkoo job announce "$link" --commit "$commit" --ref refs/heads/main --image mini --cmd 'echo 2' --new-only >"$dir/other"
! cmp -s "$dir/other" "$dir/new1"
ok $? "another command is another job"

# rules written by many at once all stand
for i in 1 2 3 4 5 6; do
	talkoo allow "talkoo:$(printf '%064d' "$i")" >/dev/null 2>&1 &
done
wait
expect 0 "policy show" -- talkoo policy show --json
[ "$(grep -o 'talkoo:000000[0-9]*' "$out" | sort -u | wc -l)" -eq 6 ]
ok $? "six rules at once are six rules"

# somebody else
[ "$(stat -c %a "$socket")" = 600 ]
ok $? "the socket is its owner's"
if [ "$(id -u)" = 0 ] && command -v unshare >/dev/null && unshare --pid --fork true 2>/dev/null; then
	expect 2 "another pid namespace" -- unshare --pid --fork --mount-proc "$TALKOO_BUILDDIR/talkoo" status
	says 'pid namespace'
	chmod 666 "$socket" && chmod 755 "$dir" "$TALKOO_HOME" "$TALKOO_HOME/run"
	cat >"$dir/other.py" <<-'PY'
		import os, socket, sys
		os.setgid(65534); os.setuid(65534)
		s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM); s.connect(sys.argv[1])
		try:
		    s.sendall(b'{"v":1,"op":"stop"}\n')
		except OSError:
		    pass
		sys.stdout.write(s.recv(65536).decode())
	PY
	expect 0 "another user asks" -- python3 "$dir/other.py" "$socket"
	prints "only the node's own user"
fi
expect 0 "and the node lives" -- talkoo status
expect 0 "stop" -- talkoo stop
done_testing
