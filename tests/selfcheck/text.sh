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

# What is wrong with the texts, "RULE file:line: text".
# shellcheck disable=SC2016 # $0 is awk's
faults() {
	printf '%s\n' "$texts" | xargs awk '
	function fault(rule) {
		print rule " " FILENAME ":" FNR ": " $0
	}
	/[ \t]$/ { fault("space") }
	/^[<=>|][<=>|][<=>|][<=>|][<=>|][<=>|][<=>|]( |$)/ { fault("conflict") }
	/\r/ { fault("return") }
	/(TO''DO|FIX''ME|XX''X)([ :]|$)/ { fault("note") }
	# where programs live long, or nothing may be remembered; the stages are processes of one task each. HACKING.md names err.c
	FILENAME != "proto/base/err.c" && FILENAME ~ /^(node|p2p|proto|policy)\/.*\.c$/ && /^\t*static [^(]*[;=[]/ && !/(^|[ \t*])const([ ;*[]|$)/ { fault("global") }
	FNR == 601 && FILENAME ~ /\.[ch]$/ { print "long " FILENAME ": more than 600 lines" }'
	# the last byte of each file behind a line with its name: another byte than a newline fills a line of its own
	printf '%s\n' "$texts" | xargs tail -v -c 1 | awk '
	/^==> .* <==$/ { file = substr($0, 5, length($0) - 8); next }
	NF { print "end " file ": the last line has no end" }'
}

texts=$(texts)
found=$(faults)
of() {
	printf '%s\n' "$found" | sed -n "s/^$1 //p"
}
verdict "no trailing white space" "$(of space)"
verdict "no conflict marks" "$(of conflict)"
verdict "no carriage returns" "$(of return)"
verdict "no notes to oneself" "$(of note)"
verdict "no mutable globals" "$(of global)"
verdict "files end with a newline" "$(of end)"
verdict "no source of more than 600 lines" "$(of long)"
done_checks
