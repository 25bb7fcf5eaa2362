#!/bin/sh
# Every text file of ours: no trailing white space, no conflict marks, no carriage returns, a newline at the end, no notes
# to oneself, none of our sources past the size at which a module wants a seam.
# shellcheck source=tests/selfcheck/lib.sh
. "${TALKOO_SRCDIR:-.}/tests/selfcheck/lib.sh"

# The inputs of fuzz targets and published vectors are what they are.
texts() {
	{
		find_files ! -path 'tests/fuzz/corpus/*' ! -path '*/vectors/*' ! -name '*.patch' ! -name '*.pyc'
		for f in ./*.md LICENSE Makefile.am configure.ac .talkoo.yml .gitignore; do
			[ -f "$f" ] && echo "$f"
		done
	} | grep -v '^\./m4/\|^m4/l'
}

# grep_all PATTERN: "file:line: text" wherever it stands.
grep_all() {
	texts | xargs grep -nH -e "$1" /dev/null
}

no_newline() {
	texts | while IFS= read -r f; do
		[ -s "$f" ] && [ -n "$(tail -c 1 "$f")" ] && echo "$f: the last line has no end"
	done
}

too_long() {
	# shellcheck disable=SC2046 # file names of ours: no spaces
	wc -l $(c_files) | awk '$2 != "total" && $1 > 600 { print $2 ": " $1 " lines, at most 600" }'
}

carriage_return=$(printf '\r')
mark='[<>=|]'
verdict "no trailing white space" "$(grep_all '[ 	]$')"
verdict "no conflict marks" "$(grep_all "^$mark\\{7\\}\\( \\|\$\\)")"
verdict "no carriage returns" "$(grep_all "$carriage_return")"
verdict "no notes to oneself" "$(grep_all '\(TO''DO\|FIX''ME\|XX''X\)\( \|:\|$\)')"
verdict "files end with a newline" "$(no_newline)"
verdict "no source of more than 600 lines" "$(too_long)"
done_checks
