#!/usr/bin/env bash
# The command line as a person and as a program meets it, against a real node: every command's exit code for what can be asked wrongly, the
# object that --json prints, and that each sentence names what it is about. What a session does in order is in test_node.sh.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$TALKOO_SRCDIR/tests/e2e/lib.sh"
need git qemu-system-x86_64 python3 openssl
need_image
at_end+=('talkoo stop')

cd "$dir" || exit
repository work - <<-'PLAN'
	image: mini
	steps:
	  - run: echo made && echo text >/ci/artifacts/file.txt
PLAN
git clone -q --bare work work.git
cd work || exit
git remote add origin "$dir/work.git" && git fetch -q

# --json: exactly one object, with "v":1; "ok" as the exit code says
one_object() { # the file
	python3 -c 'import json,sys
o=json.load(open(sys.argv[1]))
sys.exit(not (isinstance(o,dict) and o["v"]==1 and ("verdict" in o or (o.get("ok",True) is True) == (sys.argv[2]=="0")) and ("ok" in o or "verdict" in o)))' "$1" "$2"
}
json() { # EXIT CODE, ARGUMENTS…
	local want=$1
	shift
	expect "$want" "talkoo $*" -- talkoo "$@"
	expect "$want" "talkoo $* --json" -- talkoo "$@" --json
	one_object "$out" "$want" 2>"$err"
	ok $? "one object of talkoo $1"
	[ "$want" = 0 ] || grep -q '"verdict"' "$out" || { talkoo "$@" >"$out" 2>"$err"; grep -Eq '^error: .{8}' "$err" && [ ! -s "$out" ]; }
	ok $? "a sentence on stderr alone, if any"
}

# before there is a node
json 9 id
json 2 start
json 5 status
json 5 results HEAD
expect 0 "help config" -- talkoo help config
prints 'limits: timeout' && prints 'listen.*ADDRESS:PORT'
expect 7 "doctor: nothing here yet" -- talkoo --home "$dir/empty" doctor
prints '^FAIL images' && prints 'fix: talkoo image build mini'
while read -r text; do
	rm -rf "$dir/other"
	expect 2 "init --listen $text" -- talkoo --home "$dir/other" init --listen "$text"
	says 'is no address to listen at' && says '^hint: .*0.0.0.0:8255'
	[ ! -e "$dir/other/state/key" ]
	ok $? "nothing is made"
done <<-'BAD'
	nonsense
	localhost:8255
	127.0.0.1:99999
	[::1
BAD
expect 2 "init --seed bad" -- talkoo --home "$dir/other" init --seed bad
says '"bad" is no node address'
expect 0 "init" -- talkoo init --alias cli
json 2 init
# shellcheck disable=SC2016 # the inner shell's
expect 0 "help of every command is there" -- sh -c 'talkoo help --json | python3 -c "import json,sys
for c in json.load(sys.stdin)[\"commands\"]: print(c[\"name\"])" | while read -r name; do talkoo help $name >/dev/null && talkoo $name --help >/dev/null || exit 1; done'

# a node that keeps nothing of its caller's open
exec 7>"$dir/lock" && flock 7
expect 0 "start" -- talkoo start
exec 7>&-
flock -n "$dir/lock" true
ok $? "the caller's lock is free when the caller let it go"
json 0 start
json 0 id
json 0 status
json 0 doctor
json 0 peers
json 2 connect foo
json 0 trust list
json 0 policy show
json 0 image list
json 0 image show mini
json 9 image show nosuch
json 2 image remove mini
json 9 image remove mini@9
json 9 project show nosuch
json 2 project show
json 2 job announce
json 2 project create demo
json 2 project create demo --url ssh://x/y
expect 0 "project" -- talkoo project create demo --url "file://$dir/work.git"
link=$(cat "$out")
expect 0 "follow" -- talkoo follow "$link" --as d
json 0 project show d
json 0 project list
json 2 allow "${link:7:12}"
json 2 allow "$link" --cpus 0
json 2 allow "$link" --memory much
json 2 allow "$link" --source elsewhere
json 2 allow "$link" --by somebody
json 0 policy why d
json 2 trust add "${link:7:12}"
json 2 results HEAD --need 0
json 2 job announce "$link" --want 0
json 2 job announce "$link" --commit 1234567
json 9 job show 00000000
json 9 log 00000000
json 9 artifacts 00000000
json 9 results 1234567
json 9 results HEAD --project nosuch
json 9 policy check "$dir/nosuch"
echo 'foo: bar' >"$dir/bad.yml"
json 2 policy check "$dir/bad.yml"
expect 2 "the file that is wrong is named" -- talkoo policy check "$dir/bad.yml"
says "^error: $dir/bad.yml:1:1: foo: unknown key"
json 2 pause --for long
json 2 events --since x

# a job, then what is asked about it
expect 0 "allow" -- talkoo allow "$link" --allow-emulation --source file
expect 4 "announce --wait --json: nobody is trusted yet" -- talkoo job announce "$link" --wait --timeout 120s --json
python3 - "$out" >"$dir/job" 2>>"$err" <<'X'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert all(o["v"] == 1 for o in lines)
assert lines[-1]["verdict"] == "unknown", lines[-1]
print(lines[0]["job"])
X
ok $? "every line is an object, the last one the verdict"
job=$(cat "$dir/job")
json 0 job show "$job"
expect 0 "job show" -- talkoo job show "$job"
prints '^done' && ! grep -q 'lease ends' "$out"
ok $? "a job that is done has no lease that counts"
json 0 job list
json 0 log "$job"
json 0 artifacts "$job"
json 0 results HEAD --project d
expect 0 "results --json" -- talkoo results HEAD --project d --json
python3 - "$out" >>"$err" 2>&1 <<'X'
import json, sys
o = json.load(open(sys.argv[1]))
want = {"v", "commit", "project", "plan", "verdict", "need", "have", "results"}
r = o["results"][0]
each = {"id", "node", "operator", "trusted", "outcome", "job", "cell", "image", "plan", "ref_seen", "started", "finished", "duration_ms", "log",
        "artifacts", "accel", "isolation"}
missing = (want - set(o)) | (each - set(r)) | ({"name", "digest"} - set(r["image"])) | ({"path", "digest", "origin"} - set(r["plan"]))
missing |= ({"sha256", "size"} - set(r["log"])) | ({"path", "sha256", "size"} - set(r["artifacts"][0]))
sys.exit("missing: %s" % missing if missing else 0)
X
ok $? "results --json has all its fields"
json 2 export HEAD --format xml
expect 0 "export" -- talkoo export HEAD --project d --out "$dir/result.json" --json
one_object "$out" 0
ok $? "one object"
json 2 verify "$dir/result.json" --project "$link" --trust "$dir/nosuch"
expect 0 "trust add" -- talkoo trust add "$(talkoo id)" --operator me
expect 0 "trust list" -- talkoo trust list --json
cp "$out" "$dir/trust.json"
json 0 verify "$dir/result.json" --project "$link" --trust "$dir/trust.json"
json 4 verify "$dir/result.json" --project "$link" --trust "$dir/trust.json" --need 2
json 9 verify "$dir/nosuch" --project "$link" --trust "$dir/trust.json"
json 2 verify "$dir/trust.json" --project "$link" --trust "$dir/trust.json"
json 0 watch "$job"
json 0 results HEAD --project d --exit-code

# somebody else's tools: the envelope, its statement and the key out of the node's id, by PROTOCOL.md alone
cat >"$dir/check.py" <<'X'
import base64, hashlib, json, subprocess, sys, tempfile
name, commit, project = sys.argv[1:4]
envelope = json.load(open(name))
assert envelope["payloadType"] == "application/vnd.in-toto+json"
payload = base64.b64decode(envelope["payload"], validate=True)
kind = envelope["payloadType"].encode()
pae = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
statement = json.loads(payload)
assert statement["_type"] == "https://in-toto.io/Statement/v1"
assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
subject = statement["subject"][0]
assert subject["digest"]["gitCommit"] == commit and project in subject["name"], subject
(signature,) = envelope["signatures"]
text, digits = signature["keyid"], "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
assert text.startswith("did:key:z")
number = 0
for c in text[len("did:key:z"):]:
    number = number * 58 + digits.index(c)
key = number.to_bytes(34, "big")
assert key[:2] == b"\xed\x01"
raw, sig = key[2:], base64.b64decode(signature["sig"], validate=True)
try:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    public = Ed25519PublicKey.from_public_bytes(raw)
    def is_good(message):
        try:
            public.verify(sig, message)
        except Exception:
            return False
        return True
except ImportError:
    def is_good(message):
        with tempfile.TemporaryDirectory() as d:
            for part, data in (("key", bytes.fromhex("302a300506032b6570032100") + raw), ("in", message), ("sig", sig)):
                open(d + "/" + part, "wb").write(data)
            return not subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", d + "/key", "-rawin", "-in", d + "/in",
                                       "-sigfile", d + "/sig"], capture_output=True).returncode
assert is_good(pae)
assert not is_good(pae[:-1] + bytes([pae[-1] ^ 1]))
predicate = statement["predicate"]
assert predicate["result"] == "PASSED", predicate["result"]
print(json.dumps(predicate, indent=1))
X
expect 0 "another implementation verifies the export" -- python3 "$dir/check.py" "$dir/result.json" "$(git rev-parse HEAD)" "${link:7:64}"

expect 0 "cancel" -- talkoo job cancel "$job"
json 0 pause --for 1h --note why
json 0 resume
json 0 finish
json 0 resume
json 0 deny "$link"
for command in "trust remove $(talkoo id)" "unfollow d"; do
	# shellcheck disable=SC2086 # words
	expect 0 "$command" -- talkoo $command --json
	one_object "$out" 0
	ok $? "one object"
	# shellcheck disable=SC2086 # words
	expect 9 "$command, a second time" -- talkoo $command
done
json 2 trust remove nosuch
expect 0 "events" -- talkoo events
python3 -c 'import json,sys
ids = [json.loads(line)["id"] for line in open(sys.argv[1])]
sys.exit(ids != list(range(1, len(ids) + 1)) or len(ids) < 10)' "$out"
ok $? "events: ids rise by exactly 1"
expect 0 "events that are to come" -- talkoo events --since 1000000
[ ! -s "$out" ]
ok $? "none"
expect 0 "stop" -- talkoo stop
json 5 stop
json 5 results HEAD
json 0 id
json 2 run . --commit HEAD --image '../x' --cmd true

done_testing
