#!/bin/sh
# The shell scripts parse, by the shell that they name; where shellcheck is installed it has nothing to say.
# shellcheck source=tests/selfcheck/lib.sh
. "${TALKOO_SRCDIR:-.}/tests/selfcheck/lib.sh"

# scripts sh|bash: those for that shell. Sourced parts (no first line) are POSIX unless their note to shellcheck differs.
scripts() {
	shell_files | while IFS= read -r f; do
		read -r first <"$f" || first=
		case $first in
		*bash*) echo bash "$f" ;;
		*) echo sh "$f" ;;
		esac
	done | sed -n "s/^$1 //p"
}

syntax() {
	scripts "$1" | while IFS= read -r f; do
		"$1" -n "$f" 2>&1 | head -n 3
	done
}

linted() {
	shell_files | xargs shellcheck -x -f gcc 2>&1
}

verdict "sh scripts parse" "$(syntax sh)"
if command -v bash >/dev/null 2>&1; then
	verdict "bash scripts parse" "$(syntax bash)"
else
	skip "bash scripts parse" "no bash here"
fi
if command -v shellcheck >/dev/null 2>&1; then
	verdict "shellcheck" "$(linted)"
else
	skip "shellcheck" "not installed"
fi
done_checks
