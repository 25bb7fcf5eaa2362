#!/usr/bin/env bash
# kill -9 of any node at a random moment under load: three real nodes on loopback, each with its own database, all announcing into one
# project. Nothing whose id was printed is lost, a killed node answers again soon, its database is whole, and all have the same in the end.
# TALKOO_KILLS says how often (50); TALKOO_READY_MS how soon it has to answer (2000); TALKOO_KILL_SEED makes the same choices again (who and
# when; what the processes are at then is the machine's).
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2016,SC2317 # at_end's are expanded at the end; functions are called by poll
. "$TALKOO_SRCDIR/tests/e2e/lib.sh"
need git python3
kills=${TALKOO_KILLS:-50} ready_ms=${TALKOO_READY_MS:-2000}
names=(seed left right)
RANDOM=${TALKOO_KILL_SEED:=$((RANDOM * 32768 + RANDOM))}
echo "# TALKOO_KILL_SEED=$TALKOO_KILL_SEED"

as() { # NODE COMMAND…
	TALKOO_HOME=$dir/$1 talkoo "${@:2}"
}
node_pid() { # NODE: the process that holds its lock file open
	local fd
	for fd in /proc/[0-9]*/fd/*; do
		if [ "$fd" -ef "$dir/$1/state/lock" ]; then
			fd=${fd#/proc/}
			echo "${fd%%/*}"
			return
		fi
	done
	return 1
}
now_ms() { echo $(($(date +%s%N) / 1000000)); }
end_all() {
	local name
	: >"$dir/enough"
	wait
	for name in "${names[@]}"; do
		as "$name" stop || kill -9 "$(node_pid "$name")"
	done
}
at_end+=(end_all)

cd "$dir" || exit
repository work - <<-'PLAN'
	image: mini
	steps:
	  - name: nothing
	    run: 'true'
PLAN
git clone -q --bare work work.git
git -C work remote add origin "file://$dir/work.git"
git -C work fetch -q origin
cd work || exit
expect 0 "seed: init" -- as seed init --alias seed --listen 127.0.0.1:0
expect 0 "seed: start" -- as seed start
seed=$(as seed peers --json | sed -n 's/.*"address": *"\([^"]*\)".*/\1/p')
[ -n "$seed" ]
ok $? "the seed says where it can be called"
# the same port after each start, or nobody finds it again
port=${seed##*:}
sed -i "s/127\.0\.0\.1:0/127.0.0.1:$port/" "$dir/seed/config.yml"
as left init --seed "$seed" && as right init --seed "$seed" && as left start && as right start
ok $? "two more nodes that know the seed"
link=$(as seed project create demo --url "file://$dir/work.git" --maintainer "$(as left id)" --maintainer "$(as right id)")
as left follow "$link" && as right follow "$link"
ok $? "all three carry the project"

# the load: each worker announces at its node; what it was told is done is noted
work_at() { # NODE
	local i=0 job
	while [ ! -e "$dir/enough" ]; do
		job=$(as "$1" job announce "$link" --cmd "true $1 $((i += 1))" 2>/dev/null) && echo "$job" >>"$dir/said.$1"
		sleep 0.2 # the announcer's share of a project is bounded
	done
}
for name in "${names[@]}"; do
	: >"$dir/said.$name"
	work_at "$name" &
done

slowest=0 late=0 unready=0
for ((round = 1; round <= kills; round++)); do
	name=${names[RANDOM % 3]}
	sleep 0.$((RANDOM % 5))$((RANDOM % 10))
	pid=$(node_pid "$name") && kill -9 "$pid"
	began=$(now_ms)
	if ! { [ -n "$pid" ] && as "$name" start && as "$name" status; } >"$out" 2>"$err"; then
		unready=$((unready + 1))
		break
	fi
	took=$(($(now_ms) - began))
	[ "$took" -gt "$slowest" ] && slowest=$took
	[ "$took" -le "$ready_ms" ] || late=$((late + 1))
done
echo "# $((round - 1)) kills, slowest start to answer: $slowest ms"
[ "$unready" -eq 0 ]
ok $? "each kill was followed by a start"
[ "$late" -eq 0 ]
ok $? "each answered within $ready_ms ms"
: >"$dir/enough"
wait

jobs_of() { as "$1" job list --limit 10000 --json | grep -o '"job": *"[0-9a-f]*"' | sort -u; }
missing() { # NODE FILE…: how many of the ids in the files it does not have
	jobs_of "$1" | grep -Eo '[0-9a-f]{64}' | sort -u >"$dir/here"
	sort -u "${@:2}" | comm -23 - "$dir/here" | wc -l
}
for name in "${names[@]}"; do
	lost=$(missing "$name" "$dir/said.$name")
	echo "# $name: $(wc -l <"$dir/said.$name") acknowledged, $lost missing"
	[ -s "$dir/said.$name" ] && [ "$lost" -eq 0 ]
	ok $? "$name: nothing acknowledged is lost"
done
same() {
	local name
	jobs_of seed >"$dir/all"
	for name in left right; do
		jobs_of "$name" | cmp -s - "$dir/all" || return 1
	done
}
poll 30 same
ok $? "all three have the same jobs"
echo "# jobs at each: $(for name in "${names[@]}"; do jobs_of "$name" | wc -l; done | tr '\n' ' ')"
for name in "${names[@]}"; do
	as "$name" stop >"$out" 2>"$err"
	python3 -c 'import sqlite3, sys; sys.exit(sqlite3.connect(sys.argv[1]).execute("pragma integrity_check").fetchall() != [("ok",)])' \
		"$dir/$name/state/talkoo.db" >"$out" 2>"$err"
	ok $? "$name: integrity check"
done
done_testing
