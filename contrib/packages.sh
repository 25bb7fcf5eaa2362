#!/bin/sh
# shellcheck disable=SC2086,SC2116  # lists of words are meant to be split
# Installs the Debian packages that the lists beside it name and that are missing. Says so first; as root, else by sudo.
# usage: contrib/packages.sh LIST…   (default: packages.txt)
set -eu
here=$(dirname "$0")
[ $# -gt 0 ] || set -- "$here/packages.txt"

is_installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}
is_known() {
	apt-cache policy "$1" 2>/dev/null | grep -q '^  Candidate: [^(]'
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "error: this is not a Debian: install by hand what these lists name: $*" >&2
	exit 2
fi

wanted=$(sed 's/#.*//' "$@")
pick() { # the lines of $wanted: installed or first known alternative; prints what is missing
	printf '%s\n' "$wanted" | while read -r names; do
		[ -n "$names" ] || continue
		found=
		for name in $names; do is_installed "$name" && found=yes; done
		[ -z "$found" ] || continue
		for name in $names; do
			if is_known "$name"; then found=$name; break; fi
		done
		echo "${found:-${names%% *}}"
	done
}
missing=$(pick)
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then sudo=; else sudo=sudo; fi
if [ -n "$sudo" ] && ! command -v sudo >/dev/null; then
	echo "error: these packages are missing and there is no sudo: $(echo $missing)" >&2
	echo "hint: as root: apt-get install $(echo $missing)" >&2
	exit 2
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export DEBIAN_FRONTEND=noninteractive
# a fresh machine has no package lists yet, and without them no alternative is known
if ! $sudo apt-get update >"$log" 2>&1; then
	echo "warning: apt-get update failed, going on with the lists that are here" >&2
fi
missing=$(pick)
echo "installing Debian packages${sudo:+ (with sudo)}: $(echo $missing)" >&2
if ! $sudo apt-get install -y --no-install-recommends $missing >"$log" 2>&1; then
	tail -n 15 "$log" >&2
	echo "error: apt-get could not install: $(echo $missing)" >&2
	exit 2
fi
