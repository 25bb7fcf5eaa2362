#!/bin/bash
# The image recipe mini: the same bytes twice, as a normal user, nothing half-made left behind, and clear words when it
# cannot. Needs the network (or apt's cache), and a test image to compare with.
set -u
: "${TALKOO_SRCDIR:?}" "${TALKOO_LIBEXECDIR:?}"
build=$TALKOO_SRCDIR/contrib/images/build.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/talkoo-image-XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 0755 "$work"
count=0

# ok STATUS WHAT
ok() {
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		sed 's/^/# /' "$work/log"
	fi
}

# says PATTERN…: the log has them all
says() {
	for pattern; do
		grep -q -e "$pattern" "$work/log" || return 1
	done
}

"$build" mini "$work/a" >"$work/log" 2>&1
ok $? "built"
"$build" mini "$work/b" >"$work/log" 2>&1 && "$build" mini "$work/b" >>"$work/log" 2>&1
ok $? "built over an older one"
diff -r "$work/a" "$work/b" >"$work/log" 2>&1
ok $? "the same bytes each time"
[ "$(ls -A "$work/b")" = mini@1 ]
ok $? "nothing else is left in the store"

if [ "$(id -u)" = 0 ]; then
	install -m 0755 "$TALKOO_LIBEXECDIR/talkoo-init" "$work/init"
	cp -r "$TALKOO_SRCDIR/contrib/images" "$work/recipes"
	chmod -R a+rX "$work/recipes"
	install -d -o nobody "$work/c"
	setpriv --reuid=nobody --clear-groups "$work/recipes/mini/build.sh" "$work/c" "$work/init" >"$work/log" 2>&1 &&
		diff -r "$work/a" "$work/c" >>"$work/log" 2>&1
	ok $? "a normal user's build is the same too"
else
	count=$((count + 1))
	echo "ok $count # SKIP already a normal user"
fi

mkdir "$work/bin"
for program in sh bash dirname printf id mktemp rm mkdir chmod dpkg basename cat sed awk cp env; do
	ln -s "$(command -v $program)" "$work/bin/$program"
done
! PATH=$work/bin "$build" mini "$work/d" >"$work/log" 2>&1 && says 'needs apt-get' 'hint: install the package apt'
ok $? "without apt it says so"
printf '#!/bin/sh\necho "E: Could not resolve host" >&2\nexit 100\n' >"$work/apt-get"
chmod +x "$work/apt-get"
! PATH=$work:$PATH "$build" mini "$work/d" >"$work/log" 2>&1 && says 'apt: E: Could not resolve' 'downloading .* failed' 'hint: is there a network'
ok $? "without a network it says so"
[ -z "$(ls -A "$work/d" 2>/dev/null)" ]
ok $? "and leaves nothing behind"
! TALKOO_LIBEXECDIR=/nonexistent "$build" mini "$work/d" >"$work/log" 2>&1 && says 'talkoo-init is not at' 'hint:'
ok $? "without talkoo-init it says so"
! "$build" ../mini "$work/d" >"$work/log" 2>&1 && says 'no image recipe' 'recipes are:.* mini'
ok $? "an unknown recipe is named so"
echo "1..$count"
