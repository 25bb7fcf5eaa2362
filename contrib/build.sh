#!/usr/bin/env bash
# Builds and installs Talkoo below build/inst of this checkout, for contrib/try and for trying by hand.
# usage: contrib/build.sh [CONFIGURE OPTION…]; prints the prefix on stdout, progress on stderr.
set -eu
top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
"$top/contrib/packages.sh" >&2
build=$top/build/try
prefix=$top/build/inst
log=$build/build.log
mkdir -p "$build"
step() { # NAME COMMAND…: quiet unless it fails
	name=$1
	shift
	if ! "$@" >"$log" 2>&1; then
		tail -n 30 "$log" >&2
		echo "error: $name failed; the whole output is in $log" >&2
		exit 7
	fi
}
cd "$top"
if [ ! -x configure ] || [ configure -ot configure.ac ]; then
	echo "preparing the build (autoreconf)" >&2
	step autoreconf autoreconf -fi
fi
cd "$build"
if [ ! -f config.status ] || [ config.status -ot "$top/configure" ]; then
	echo "configuring" >&2
	step configure "$top/configure" --prefix="$prefix" "$@"
fi
echo "building" >&2
step make make -j"$(nproc)"
step 'make install' make install
echo "$prefix"
