#!/bin/sh
# Builds a VM image:  build.sh RECIPE STORE   writes STORE/RECIPE@VERSION. A recipe is a folder here with a `build.sh`, or
# with a list `packages` that debian.sh makes a Debian of. `talkoo image build` calls this with TALKOO_LIBEXECDIR set to
# where talkoo-init is.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -ne 2 ]; then
	printf 'usage: build.sh RECIPE STORE\n' >&2
	exit 2
fi
case $1 in
*[!a-z0-9-]* | '') known=no ;;
*) known=yes ;;
esac
if [ $known = yes ] && [ -x "$here/$1/build.sh" ]; then
	exec "$here/$1/build.sh" "$2"
fi
if [ $known = yes ] && [ -e "$here/$1/packages" ]; then
	exec "$here/debian.sh" "$here/$1/packages" "$2"
fi
printf 'error: %s: no image recipe is called so\nhint: the recipes are:' "$1" >&2
for recipe in "$here"/*/; do
	printf ' %s' "$(basename "$recipe")" >&2
done
printf '\n' >&2
exit 9
