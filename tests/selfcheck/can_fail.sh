#!/bin/sh
# The checks of the sources, given a small tree with one fault of each kind: each must name it.
# shellcheck source=tests/selfcheck/lib.sh
. "${TALKOO_SRCDIR:-.}/tests/selfcheck/lib.sh"

tree=$(mktemp -d) || exit 1
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/tests/selfcheck" "$tree/tests/fuzz" "$tree/proto/base" "$tree/policy" "$tree/runner/plan" "$tree/node" \
	"$tree/attic"
cp tests/rank.sh "$tree/tests/"
cp tests/selfcheck/*.sh "$tree/tests/selfcheck/"
: >"$tree/Makefile.am"

# check NAME SCRIPT WANTED: the script fails, and one of its lines says WANTED.
check() {
	said=$(cd "$tree" && TALKOO_SRCDIR=. sh "$2" 2>&1)
	code=$?
	fault=
	if [ "$code" != 1 ]; then
		fault="exit code $code"
	elif ! printf '%s\n' "$said" | grep -qF "$3"; then
		fault="did not say \"$3\" but: $said"
	fi
	verdict "$1" "$fault"
}

put() { # FILE TEXT
	printf '%b' "$2" >"$tree/$1"
}

put policy/a.c '#include "node/home.h"\n#include "proto/ids.h"\n#include <time.h>\n'
check "a folder that includes above its rank" tests/rank.sh 'policy/a.c:1: policy must not include node/home.h'
check "a pure folder with a clock" tests/rank.sh 'policy/a.c:3: policy is pure: no <time.h>'
put proto/base/a.c '  # include "proto/ids.h"\n'
check "the cellar that includes the ground floor" tests/rank.sh 'proto/base/a.c:1: proto/base must not include proto/ids.h'
put runner/a.c '#include "sibling.h"\n#include <uv.h>\n#include <sqlite3.h>\n'
check "a path that does not start at the top" tests/rank.sh 'runner/a.c:1: include sibling.h by its path from the top'
check "libuv outside of *_uv.c" tests/rank.sh 'runner/a.c:2: only *_uv.c files include <uv.h>'
check "a library in the wrong folder" tests/rank.sh 'runner/a.c:3: runner must not include <sqlite3.h>'
put runner/plan/a.c '#include "runner/stage.h"\n'
check "the plan that knows the stages" tests/rank.sh 'runner/plan/a.c:1: runner/plan must not include runner/stage.h'
mkdir "$tree/node/attic"
put node/attic/a.c '#include "node/home.h"\n'
check "a folder without a rank" tests/rank.sh 'node/attic/a.c:1: the folder node/attic has no rank'

put node/a.md 'a \n'
check "white space at the end" tests/selfcheck/text.sh 'node/a.md:1:a '
put node/a.md 'a\n<<''<<<<< mine\n'
check "a conflict mark" tests/selfcheck/text.sh 'node/a.md:2:'
put node/a.md 'a\r\n'
check "a carriage return" tests/selfcheck/text.sh 'not ok 3'
put node/a.md 'TO''DO: more\n'
check "a note to oneself" tests/selfcheck/text.sh 'node/a.md:1:TO'
put node/a.md 'a'
check "no newline at the end" tests/selfcheck/text.sh 'node/a.md: the last line has no end'
awk 'BEGIN { for (i = 0; i < 601; i++) print "" }' >"$tree/node/long.c"
check "too long a source" tests/selfcheck/text.sh 'node/long.c: 601 lines, at most 600'

put node/a.h 'int x;\n'
check "a header without a comment" tests/selfcheck/headers.sh 'node/a.h:1: a header starts with a comment'
check "a header without a guard" tests/selfcheck/headers.sh 'node/a.h:1: no guard'
put node/a.h '/* a */\n#ifndef TALKOO_A_H\n#define TALKOO_B_H\n#endif\n'
check "a guard that guards nothing" tests/selfcheck/headers.sh 'node/a.h:1: no guard'
put node/a.h '/* a */\n#ifndef TALKOO_A_H\n#define TALKOO_A_H\n#endif\n'
cp "$tree/node/a.h" "$tree/node/b.h"
check "two headers with one guard" tests/selfcheck/headers.sh 'node/b.h: the guard TALKOO_A_H is also that of node/a.h'

put tests/fuzz/fuzz_x.c '/* x */\n'
put node/local.mk 'x_SOURCES = \\\n\tnode/gone.c\\\n\tproto/base/a.c\n'
check "a source that nothing builds" tests/selfcheck/listed.sh 'runner/a.c: no local.mk names it'
check "a source that is not there" tests/selfcheck/listed.sh 'node/gone.c: named by a makefile, but not there'
check "a fuzz target without a corpus" tests/selfcheck/listed.sh 'tests/fuzz/corpus/x has no file'

put README.md 'see [there](node/a.h), [x](http://x/) and [here](gone.md#x)\n'
check "a link that leads nowhere" tests/selfcheck/links.sh 'README.md:1: there is no gone.md'
put node/a.sh '#!/bin/sh\nif true\n'
check "a script that does not parse" tests/selfcheck/shells.sh 'node/a.sh'
done_checks
