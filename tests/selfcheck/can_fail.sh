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

# run SCRIPT: what it says; it must fail.
run() {
	said=$(cd "$tree" && TALKOO_SRCDIR=. sh "$1" 2>&1)
	code=$?
}

# says NAME WANTED: whether one of the lines of the last run says it.
says() {
	case $code:$said in
	1:*"$2"*) verdict "$1" "" ;;
	*) verdict "$1" "exit code $code, and not \"$2\" but: $said" ;;
	esac
}

put() { # FILE TEXT
	printf '%b' "$2" >"$tree/$1"
}

put policy/a.c '#include "node/home.h"\n#include "proto/ids.h"\n#include <time.h>\n'
put proto/base/a.c '  # include "proto/ids.h"\n'
put runner/a.c '#include "sibling.h"\n#include <uv.h>\n#include <sqlite3.h>\n'
put runner/plan/a.c '#include "runner/stage.h"\n'
mkdir "$tree/node/attic"
put node/attic/a.c '#include "node/home.h"\n'
run tests/rank.sh
says "a folder that includes above its rank" 'policy/a.c:1: policy must not include node/home.h'
says "a pure folder with a clock" 'policy/a.c:3: policy is pure: no <time.h>'
says "the cellar that includes the ground floor" 'proto/base/a.c:1: proto/base must not include proto/ids.h'
says "a path that does not start at the top" 'runner/a.c:1: include sibling.h by its path from the top'
says "libuv outside of *_uv.c" 'runner/a.c:2: only *_uv.c files include <uv.h>'
says "a library in the wrong folder" 'runner/a.c:3: runner must not include <sqlite3.h>'
says "the plan that knows the stages" 'runner/plan/a.c:1: runner/plan must not include runner/stage.h'
says "a folder without a rank" 'node/attic/a.c:1: the folder node/attic has no rank'

put node/space.md 'a \n'
put node/conflict.md 'a\n<<''<<<<< mine\n'
put node/return.md 'a\r\n'
put node/note.md 'TO''DO: more\n'
put node/end.md 'a\nb'
put node/global.c 'static const int fine = 1;\nstatic struct stream streams[64];\n'
awk 'BEGIN { for (i = 0; i < 601; i++) print "" }' >"$tree/node/long.c"
run tests/selfcheck/text.sh
says "white space at the end" 'node/space.md:1: a '
says "a conflict mark" 'node/conflict.md:2: '
says "a carriage return" 'node/return.md:1: '
says "a note to oneself" 'node/note.md:1: '
says "a mutable global" 'node/global.c:2: static struct stream'
says "no newline at the end" 'node/end.md: the last line has no end'
says "too long a source" 'node/long.c: more than 600 lines'

put node/bare.h 'int x;\n'
put node/other.h '/* a */\n#ifndef TALKOO_A_H\n#define TALKOO_B_H\n#endif\n'
put node/a.h '/* a */\n#ifndef TALKOO_C_H\n#define TALKOO_C_H\n#endif\n'
cp "$tree/node/a.h" "$tree/node/b.h"
run tests/selfcheck/headers.sh
says "a header without a comment" 'node/bare.h:1: a header starts with a comment'
says "a header without a guard" 'node/bare.h:1: no guard'
says "a guard that guards nothing" 'node/other.h:1: no guard'
says "two headers with one guard" 'node/b.h: the guard TALKOO_C_H is also that of node/a.h'

put tests/fuzz/fuzz_x.c '/* x */\n'
put node/local.mk 'x_SOURCES = \\\n\tnode/gone.c\\\n\tproto/base/a.c\n'
run tests/selfcheck/listed.sh
says "a source that nothing builds" 'runner/a.c: no local.mk names it'
says "a source that is not there" 'node/gone.c: named by a makefile, but not there'
says "a fuzz target without a corpus" 'tests/fuzz/corpus/x has no file'

put README.md 'see [there](node/a.h), [x](http://x/) and [here](gone.md#x)\n'
run tests/selfcheck/links.sh
says "a link that leads nowhere" 'README.md:1: there is no gone.md'
put node/a.sh '#!/bin/sh\nif true\n'
run tests/selfcheck/shells.sh
says "a script that does not parse" 'node/a.sh'
done_checks
