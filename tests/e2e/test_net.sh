#!/usr/bin/env bash
# Three nodes, real processes on loopback: a maintainer announces, a volunteer builds in a real VM, a seed is all that both know; the log
# comes live, the verdict, log and artifacts through the network.
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317,SC2016 # functions are called by poll
. "$TALKOO_SRCDIR/tests/e2e/lib.sh"
need git qemu-system-x86_64
need_image
at=(env "TALKOO_HOME=$dir/seed" talkoo)
vt=(env "TALKOO_HOME=$dir/volunteer" talkoo)
mt=(env "TALKOO_HOME=$dir/maintainer" talkoo)
at_end+=('"${at[@]}" stop' '"${vt[@]}" stop' '"${mt[@]}" stop')

cd "$dir" || exit
repository work - <<-'PLAN'
	image: mini
	steps:
	  - name: build
	    run: |
	      echo made over there
	      mkdir -p /ci/artifacts/sub && echo text >/ci/artifacts/sub/file.txt
	      sleep 2
	      echo the end
PLAN
git clone -q --bare work work.git
commit=$(git -C work rev-parse HEAD)
cd work || exit

expect 0 "seed: init" -- "${at[@]}" init --alias seed --listen 127.0.0.1:0
expect 0 "seed: start" -- "${at[@]}" start
seed=$("${at[@]}" peers --json | sed -n 's/.*"address": *"\([^"]*\)".*/\1/p')
[ -n "$seed" ]
ok $? "the seed says where it can be called"
expect 0 "volunteer: init" -- "${vt[@]}" init --seed "$seed"
expect 0 "maintainer: init" -- "${mt[@]}" init --seed "$seed"
mkdir -p "$dir/volunteer/state/images"
cp -r "$TALKOO_TEST_IMAGES/mini@1" "$dir/volunteer/state/images/"
expect 0 "volunteer: start" -- "${vt[@]}" start
expect 0 "maintainer: start" -- "${mt[@]}" start
node=$("${vt[@]}" id)

two_peers() { [ "$("${at[@]}" peers --json | grep -o '"node"' | wc -l)" = 2 ]; }
poll 10 two_peers
ok $? "both call the seed"
expect 0 "connect to the seed" -- "${vt[@]}" connect "$seed"
expect 2 "connect to itself" -- "${vt[@]}" connect "${node#did:key:}@127.0.0.1:1"
other=$("${mt[@]}" id)
expect 5 "connect to nobody" -- "${vt[@]}" connect "${other#did:key:}@127.0.0.1:1"

expect 0 "project create" -- "${mt[@]}" project create demo --url "file://$dir/work.git"
link=$(cat "$out")
case $link in *seed="$seed"*) true ;; *) false ;; esac
ok $? "the link names the seed"
expect 0 "seed: follow" -- "${at[@]}" follow "$link"

# a stranger's job needs a proven KVM, unless the rule says otherwise
expect 0 "volunteer: allow, with KVM only" -- "${vt[@]}" allow "$link" --source file
expect 0 "announce" -- "${mt[@]}" job announce "$link" --commit "$commit" --ref refs/heads/main --image mini --cmd true
wary=$(cat "$out")
judged() { "${vt[@]}" results "$wary" --json >"$dir/wary.json" && grep -q '"outcome"' "$dir/wary.json"; }
poll 60 judged
ok $? "the volunteer comes to a result"
python3 - "$dir/wary.json" 2>"$err" <<-'PY'
	import json, sys
	r = json.load(open(sys.argv[1]))["results"][0]
	assert (r["outcome"], r.get("accel")) == ("passed", "kvm") or r["outcome"] == "refused" and "needs a proven KVM" in r["reason"], r
PY
ok $? "without a proven KVM a stranger's job is refused, and the result says why"
expect 0 "volunteer: allow" -- "${vt[@]}" allow "$link" --allow-emulation --source file
expect 0 "announce" -- "${mt[@]}" job announce "$link" --commit "$commit" --ref refs/heads/main
job=$(cat "$out")
live() { "${mt[@]}" log "$job" -f >"$dir/live" 2>/dev/null; }
poll 60 live
ok $? "the log follows live at the maintainer's"
grep -q '^made over there' "$dir/live"
ok $? "the guest's line is in it"
expect 4 "watch: a result, of nobody trusted" -- "${mt[@]}" watch "$job" --timeout 120s
expect 0 "trust add" -- "${mt[@]}" trust add "$node" --operator friend
expect 0 "the verdict on somebody else's machine" -- "${mt[@]}" results "$commit" --project "$link" --exit-code
prints '^passed '
"${mt[@]}" results "$commit" --project "$link" --json >"$dir/results.json"
grep -Eq '"accel": *"(kvm|tcg)"' "$dir/results.json" && grep -Eq '"isolation": *"[^"]*pidns' "$dir/results.json"
ok $? "the result says whether it was emulated, and what held it"
talkoo run --json >"$dir/run.json" 2>/dev/null
there=$(digest_of "$dir/results.json")
[ ${#there} -eq 64 ] && [ "$there" = "$(digest_of "$dir/run.json")" ]
ok $? "the same outcome digest at home and at the volunteer's ($there)"
expect 0 "the log, through the network" -- "${mt[@]}" log "$job"
prints '^the end'
expect 0 "the artifacts, through the network" -- "${mt[@]}" artifacts "$job" --out "$dir/got"
[ "$(cat "$dir/got/sub/file.txt")" = text ]
ok $? "the artifact is what was made there"

# a failure over there is seen here: the step, its last lines, how to have it again
expect 0 "announce what fails" -- "${mt[@]}" job announce "$link" --commit "$commit" --ref refs/heads/main --image mini --cmd 'seq 30; echo oh no; exit 5'
broken=$(cat "$out")
expect 1 "watch: failed" -- "${mt[@]}" watch "$broken" --timeout 120s
says '^step 1/1, .*, failed with exit code 5; its last lines:$' && says '^  \| oh no$' && says '^  \| 12$' && ! grep -q '^  | 11$' "$err"
ok $? "with its last 20 lines"
says "^again  *talkoo run '?file:.*/work.git'? --commit $commit --ref refs/heads/main --image mini --cmd 'seq 30; echo oh no; exit 5'\$"

# who joins late has everything; the one who built it may be gone
expect 0 "volunteer: stop" -- "${vt[@]}" stop
late=(env "TALKOO_HOME=$dir/late" talkoo)
at_end+=('"${late[@]}" stop')
expect 0 "late: init" -- "${late[@]}" init
expect 0 "late: start" -- "${late[@]}" start
expect 0 "late: follow" -- "${late[@]}" follow "$link"
has_it() { "${late[@]}" results "$commit" --project "$link" 2>/dev/null | grep -q '^passed'; }
poll 20 has_it
ok $? "a node that comes later learns of the result"

# forget: the files go, the verdict stays
[ -n "$(find "$dir/maintainer/state/blobs" -name log 2>/dev/null)" ]
ok $? "the maintainer holds the job's files"
expect 0 "forget" -- "${mt[@]}" forget "$link"
prints '^no longer following; files of [1-9][0-9]* jobs? removed, [1-9]'
[ -z "$(find "$dir/maintainer/state/blobs" -name log 2>/dev/null)" ]
ok $? "they are gone"
expect 0 "but not the verdict" -- "${mt[@]}" results "$commit" --project "$link" --exit-code
expect 0 "forget again" -- "${mt[@]}" forget "$link" --json
prints '"jobs": *0'
done_testing
