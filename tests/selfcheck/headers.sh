#!/bin/sh
# Headers say what they are for before anything else, and are guarded by a name that no other header has.
# shellcheck source=tests/selfcheck/lib.sh
. "${TALKOO_SRCDIR:-.}/tests/selfcheck/lib.sh"

# shellcheck disable=SC2046 # file names of ours: no spaces
guards() {
	awk '
	function close_file() {
		if (file == "")
			return
		if (guard == "" || defined != guard)
			print file ":1: no guard (#ifndef NAME, #define NAME)"
		else if (last !~ /^#endif/)
			print file ": the last line is not #endif"
		else if (guard in seen)
			print file ": the guard " guard " is also that of " seen[guard]
		else if (guard !~ /^TALKOO_[A-Z0-9_]+_H$/)
			print file ": the guard " guard " is not TALKOO_…_H"
		seen[guard] = file
	}
	FNR == 1 {
		close_file()
		file = FILENAME
		guard = defined = last = ""
		if ($0 !~ /^\/\*/)
			print file ":1: a header starts with a comment that says what it is for"
	}
	guard == "" && /^#ifndef / { guard = $2; next }
	guard != "" && defined == "" && /^#define / { defined = $2 }
	NF { last = $0 }
	END { close_file() }' $(find_files -name '*.h')
}

verdict "headers are documented and guarded" "$(guards)"
done_checks
