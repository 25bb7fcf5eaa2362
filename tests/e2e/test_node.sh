#!/usr/bin/env bash
# One node from announcement to proof: real processes, a real bare repository, real VMs, real SQLite; and what survives a kill -9.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317 # functions are called by poll
. "$TALKOO_SRCDIR/tests/e2e/lib.sh"
need git qemu-system-x86_64 openssl
need_image
at_end+=('talkoo stop')

cd "$dir" || exit
repository work - <<-'PLAN'
	image: mini
	steps:
	  - name: build
	    run: |
	      echo made by talkoo
	      mkdir -p /ci/artifacts/sub && echo text >/ci/artifacts/sub/file.txt
PLAN
git clone -q --bare work work.git
commit=$(git -C work rev-parse HEAD)

cd work || exit # announcing reads the plan from the checkout
expect 5 "no node" -- talkoo status
expect 2 "start before init" -- talkoo start
expect 0 "init" -- talkoo init --alias e2e
expect 2 "init never overwrites" -- talkoo init
expect 0 "start" -- talkoo start
id=$(talkoo id)
expect 0 "start again" -- talkoo start
says 'running already'
expect 0 "status" -- talkoo status
prints '^idle: '

expect 0 "project create" -- talkoo project create demo --url "file://$dir/work.git"
link=$(cat "$out")
expect 0 "announced, not allowed" -- talkoo job announce "$link" --commit "$commit" --ref refs/heads/main
denied=$(cat "$out")
expect 0 "policy why" -- talkoo policy why "$denied"
prints '^deny: '
expect 0 "cancelled" -- talkoo job cancel "$denied"
expect 2 "a grant wants the full id" -- talkoo allow "${link:7:12}"
expect 0 "allow" -- talkoo allow "$link" --allow-emulation --source file
expect 0 "announce" -- talkoo job announce "$link" --commit "$commit" --ref refs/heads/main
job=$(cat "$out")
expect 4 "watch: a result, of nobody trusted" -- talkoo watch "$job" --timeout 120s
prints 'made by talkoo'
expect 4 "results before trust" -- talkoo results "$commit" --project "$link" --exit-code
expect 0 "trust add" -- talkoo trust add "$id" --operator me
expect 0 "results after trust" -- talkoo results "$commit" --project "$link" --exit-code
prints '^passed '
expect 0 "the log" -- talkoo log "$job"
prints '^made by talkoo'
expect 0 "artifacts" -- talkoo artifacts "$job" --out "$dir/got"
[ "$(cat "$dir/got/sub/file.txt")" = text ]
ok $? "the artifact is what was made"

# proof
expect 0 "export" -- talkoo export "$commit" --project "$link" --out "$dir/r.json"
talkoo trust list --json >"$dir/trust.json"
expect 0 "verify" -- talkoo verify "$dir/r.json" --project "$link" --commit "$commit" --trust "$dir/trust.json"
expect 2 "verify without a trust file" -- talkoo verify "$dir/r.json" --project "$link" --commit "$commit" --trust "$dir/nosuch.json"
echo '{"v":1,"trust":[]}' >"$dir/empty.json"
expect 4 "verify with an empty trust list" -- talkoo verify "$dir/r.json" --project "$link" --commit "$commit" --trust "$dir/empty.json"
expect 4 "verify for another commit" -- talkoo verify "$dir/r.json" --project "$link" --commit "${commit//[0-4]/9}" --trust "$dir/trust.json"
expect 0 "export --parts" -- talkoo export "$commit" --project "$link" --parts "$dir/parts"
expect 0 "plain openssl" -- openssl pkeyutl -verify -pubin -inkey "$dir/parts/key.pem" -rawin -in "$dir/parts/pae" -sigfile "$dir/parts/signature"
python3 - "$dir/r.json" "$dir/bent.json" <<-'PY'
	import base64, json, sys
	r = json.load(open(sys.argv[1]))
	e = r.get("envelope", r.get("dsseEnvelope", r))
	p = bytearray(base64.b64decode(e["payload"])); p[len(p) // 2] ^= 1
	e["payload"] = base64.b64encode(bytes(p)).decode()
	json.dump(r, open(sys.argv[2], "w"))
PY
! talkoo verify "$dir/bent.json" --project "$link" --commit "$commit" --trust "$dir/trust.json" >"$out" 2>"$err" && grep -q '^error: ' "$err"
ok $? "a flipped bit is refused"

# an inline plan answers for its job only
expect 0 "announce --cmd" -- talkoo job announce "$link" --commit "$commit" --ref refs/heads/main --image mini --cmd 'echo x; exit 3'
inline=$(cat "$out")
expect 1 "the inline job failed" -- talkoo watch "$inline" --timeout 120s
says '^step 1/1, .*, failed with exit code 3; its last lines:$' && says '^  \| x$'
expect 0 "job show" -- talkoo job show "$inline"
prints '^  \| x$' && prints "^again  *talkoo run 'file:.*' --commit $commit --ref refs/heads/main --image mini --cmd 'echo x; exit 3'\$|^again  *talkoo run file:.* --cmd 'echo x; exit 3'\$"
expect 1 "which fails at home too" -- sh -c "$(sed -n 's/^again  *//p' "$out")"
prints '^x$'
expect 0 "and the commit is still passed" -- talkoo results "$commit" --project "$link" --exit-code

# a log larger than what may wait for a client, to slow readers: whole, live and afterwards
expect 0 "announce a long log" -- talkoo job announce "$link" --commit "$commit" --ref refs/heads/main --image mini --cmd 'yes 0123456789abcde | head -c 6000000'
chatty=$(cat "$out")
lines() { { sleep 1; grep -c '^0123456789abcde$'; } <"$1"; }
mkfifo "$dir/pipe"
node_pid() {
	local exe
	for exe in /proc/[0-9]*/exe; do
		[ "$exe" -ef "$TALKOO_BUILDDIR/talkood" ] && exe=${exe#/proc/} && echo "${exe%/exe}" && return
	done
}
node_kib() { sed -n "s/^$1:[[:space:]]*\([0-9]*\) kB/\1/p" "/proc/$(node_pid)/status"; }
before=$(node_kib VmRSS)
echo 5 >"/proc/$(node_pid)/clear_refs" # the peak counts from here
talkoo watch "$chatty" --timeout 120s >"$dir/pipe" 2>/dev/null &
watcher=$!
[ "$(lines "$dir/pipe")" -eq 375000 ]
ok $? "watch shows all of it"
wait "$watcher"
talkoo log "$chatty" -f >"$dir/pipe" &
[ "$(lines "$dir/pipe")" -eq 375000 ]
ok $? "log -f shows all of it"
wait $!
grown=$(($(node_kib VmHWM) - before))
[ $grown -le 8192 ] || ldd "$TALKOO_BUILDDIR/talkood" | grep -q asan
ok $? "and the node grew by at most 8 MiB ($grown KiB)"

# paused: nothing is taken; then again
expect 0 "pause" -- talkoo pause --note lunch
expect 0 "status says why" -- talkoo status
prints '^paused: .*lunch'
expect 0 "resume" -- talkoo resume

# kill -9 of the node while a job runs: nothing acknowledged is lost, nothing is left running, the job ends as abandoned
expect 0 "announce a long job" -- talkoo job announce "$link" --commit "$commit" --ref refs/heads/main --image mini --cmd 'sleep 100'
long=$(cat "$out")
runs() { talkoo job show "$long" | grep -q '^running'; }
poll 30 runs
ok $? "it runs"
measured() { talkoo job show "$long" >"$out" && grep -Eq '^here      step 1 of 1, .*, for .*; cpu [0-9].*, memory [1-9].*iB, log ' "$out"; }
poll 60 measured
ok $? "job show says step, elapsed, cpu, memory, bytes"
kill -9 "$(node_pid)"
poll 3 nobody_lives
ok $? "no build outlives its node by more than 3 s"
expect 0 "start after a kill" -- talkoo start
expect 0 "what was acknowledged is there" -- talkoo results "$commit" --project "$link" --exit-code
abandoned() { talkoo results "$long" | grep -q abandoned; }
poll 10 abandoned
ok $? "the job ended as abandoned"
expect 8 "which leaves it to other volunteers" -- talkoo results "$long" --exit-code
expect 6 "and is inconclusive when none comes" -- talkoo watch "$long" --timeout 60s
no_job_folder() { [ -z "$(ls "$TALKOO_HOME/state/jobs" 2>/dev/null)" ]; }
poll 5 no_job_folder
ok $? "no job folder is left"
talkoo events | python3 -c 'import json,sys; ids=[json.loads(l)["id"] for l in sys.stdin]; sys.exit(ids != list(range(1, len(ids)+1)))'
ok $? "event ids rise by exactly 1, over the kill"

expect 0 "stop" -- talkoo stop
expect 5 "stopped" -- talkoo status
done_testing
