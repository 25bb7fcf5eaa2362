#!/bin/sh
# What the pages for people link to is there.
# shellcheck source=tests/selfcheck/lib.sh
. "${TALKOO_SRCDIR:-.}/tests/selfcheck/lib.sh"

# "file:line:target" of every link that is no URL and no place within its own page.
# shellcheck disable=SC2016 # $0 is awk's
targets() {
	{
		find_files -name '*.md'
		ls ./*.md
	} | xargs awk '
	{
		name = FILENAME
		sub(/^\.\//, "", name)
		rest = $0
		while (match(rest, /\]\([^) ]*\)/)) {
			target = substr(rest, RSTART + 2, RLENGTH - 3)
			rest = substr(rest, RSTART + RLENGTH)
			sub(/#.*/, "", target)
			if (target != "" && target !~ /^[a-z]+:/)
				print name ":" FNR ":" target
		}
	}'
}

broken() {
	targets | while IFS=: read -r file line target; do
		case $file in
		*/*) folder=${file%/*} ;;
		*) folder=. ;;
		esac
		[ -e "$folder/$target" ] || echo "$file:$line: there is no $target"
	done
}

verdict "links lead somewhere" "$(broken)"
done_checks
