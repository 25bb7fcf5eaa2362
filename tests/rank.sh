#!/bin/sh
# A folder's rank says what it may include (ARCHITECTURE.md): this script proves it. The table is the rule; a folder that is
# not in it may include nothing of ours. Prints TAP; run from the top, or with TALKOO_SRCDIR set.
# shellcheck source=tests/selfcheck/lib.sh
. "${TALKOO_SRCDIR:-.}/tests/selfcheck/lib.sh"

# ROOM: what it may include besides itself: rooms (that folder, not what lies below it) or single files; * = all.
rooms='
proto/base:
proto:         proto/base
p2p:           proto/base proto
policy:        proto/base proto/ids.h
runner:        proto/base proto runner/plan
runner/plan:   proto/base proto/ids.h runner/job.h
runner/guest:  proto/base runner/frames.h runner/guest.h runner/job.h runner/shellwire.h
node:          *
node/store:    proto/base proto
node/cli:      *
tests:         *
tests/unit:    *
tests/fuzz:    *
tests/sim:     *
tests/hostile: *
tests/bench:   *
tests/vm:      *
tests/e2e:     *
'

# LIBRARY HEADER: the rooms that may include it. <uv.h> is for files named *_uv.c or *_uv.h alone, wherever they are.
libraries='
yaml.h:     proto/base
msgpack.h:  proto p2p
git2.h:     runner node/cli
git2/:      runner node/cli
archive.h:  runner
archive_entry.h: runner
curl/:      runner
seccomp.h:  runner
sqlite3.h:  node/store
sodium.h:   proto p2p runner runner/plan node node/store node/cli
'

# Bytes in, values out: no system headers that reach further. lint starts shells, and is no part of the pure plan.
pure='proto policy runner/plan'
impure='runner/plan/lint.c runner/plan/shell_check.c'
system='unistd.h fcntl.h poll.h time.h pthread.h dirent.h signal.h spawn.h sys/socket.h sys/stat.h sys/mman.h sys/wait.h'

# What breaks a rule, "RULE file:line: why".
faults() {
	c_files | xargs grep -nH '^[ 	]*#[ 	]*include' |
		awk -v rooms="$rooms" -v libraries="$libraries" -v pure="$pure" -v impure="$impure" -v systems="$system" '
	function room_of(path) {
		sub(/\/[^\/]*$/, "", path)
		return path
	}
	function matches(header, list, n, i, parts) {
		n = split(list, parts, " ")
		for (i = 1; i <= n; i++)
			if (header == parts[i] || (parts[i] ~ /\/$/ && index(header, parts[i]) == 1))
				return 1
		return 0
	}
	function has(list, word) {
		return index(" " list " ", " " word " ") > 0
	}
	BEGIN {
		n = split(rooms, lines, "\n")
		for (i = 1; i <= n; i++)
			if (split(lines[i], parts, ":") == 2) {
				gsub(/^ +| +$/, "", parts[2])
				may[parts[1]] = parts[2]
			}
		n = split(libraries, lines, "\n")
		for (i = 1; i <= n; i++)
			if (split(lines[i], parts, ":") == 2)
				library[parts[1]] = parts[2]
	}
	{
		split($0, place, ":")
		file = place[1]
		room = room_of(file)
		at = file ":" place[2] ": "
		if (match($0, /"[^"]*"/)) {
			header = substr($0, RSTART + 1, RLENGTH - 2)
			if (header == "config.h")
				next
			target = room_of(header)
			if (!(room in may))
				print "rank " at "the folder " room " has no rank: give it a line in tests/rank.sh"
			else if (header !~ /\//)
				print "rank " at "include " header " by its path from the top"
			else if (target != room && may[room] != "*" && !has(may[room], target) && !has(may[room], header))
				print "rank " at room " must not include " header
		} else if (match($0, /<[^>]*>/)) {
			header = substr($0, RSTART + 1, RLENGTH - 2)
			if (header == "uv.h" && file !~ /_uv\.[ch]$/)
				print "uv " at "only *_uv.c files include <uv.h>"
			if (has(pure, room) && !has(impure, file) && matches(header, systems))
				print "pure " at room " is pure: no <" header ">"
			if (room !~ /^tests/)
				for (name in library)
					if (matches(header, name) && !has(library[name], room))
						print "library " at room " must not include <" header ">"
		}
	}'
}

found=$(faults)
of() {
	printf '%s\n' "$found" | sed -n "s/^$1 //p"
}
verdict "folders include by rank" "$(of rank)"
verdict "libuv stays in *_uv.c" "$(of uv)"
verdict "each library has its folders" "$(of library)"
verdict "pure folders stay pure" "$(of pure)"
done_checks
