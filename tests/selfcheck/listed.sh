#!/bin/sh
# What lies in the tree is built, what the build names is there, and each fuzz target has a corpus.
# shellcheck source=tests/selfcheck/lib.sh
. "${TALKOO_SRCDIR:-.}/tests/selfcheck/lib.sh"

makefiles() {
	echo Makefile.am
	find_files -name '*.mk'
}

# Every word of the makefiles that is a path of a source of ours.
# shellcheck disable=SC2016 # $i is awk's
named() {
	makefiles | xargs awk '{ gsub(/\\/, " "); for (i = 1; i <= NF; i++) print $i }' | grep '^[a-z0-9_./-]*/[a-z0-9_.-]*\.[ch]$' | sort -u
}

unlisted() {
	find_files -name '*.c' | awk -v named="$(named)" '
	BEGIN { n = split(named, lines, "\n"); for (i = 1; i <= n; i++) is_named[lines[i]] = 1 }
	!($0 in is_named) { print $0 ": no local.mk names it" }'
}

absent() {
	named | while IFS= read -r f; do
		[ -f "$f" ] || echo "$f: named by a makefile, but not there"
	done
}

without_corpus() {
	find_files -path 'tests/fuzz/fuzz_*.c' | while IFS= read -r f; do
		name=${f##*/fuzz_}
		name=${name%.c}
		[ -n "$(ls "tests/fuzz/corpus/$name" 2>/dev/null)" ] || echo "$f: tests/fuzz/corpus/$name has no file"
	done
}

verdict "every source is built" "$(unlisted)"
verdict "every source that is built is there" "$(absent)"
verdict "every fuzz target has a corpus" "$(without_corpus)"
done_checks
