#!/bin/sh
# Image `mini`: Debian's cloud kernel and static busybox, the initramfs itself being the root. Boots in a second, has a
# shell and the usual small tools, no compiler.
#   build.sh STORE [TALKOO_INIT]     writes STORE/mini@1; talkoo-init from the argument, else $TALKOO_LIBEXECDIR
# Nothing is installed and nothing of the packages is run; a normal user can do it. Equal package versions and an equal
# talkoo-init give equal bytes.
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=contrib/images/lib.sh
. "$here/../lib.sh"

VERSION=1
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
	say "usage: build.sh STORE [TALKOO_INIT]"
	exit 2
fi
begin_image mini "$1" "${2:-}"
tree=$work/tree
mkdir "$tree"

say "mini: downloading the kernel and busybox"
fetch_packages busybox-static
say "mini: unpacking the kernel ($kernel)"
place_kernel "$work/image/kernel"

say "mini: assembling the initramfs"
mkdir -p "$tree/bin" "$tree/etc" "$tree/usr" "$tree/root" "$tree/var" "$tree/mnt"
place_init "$tree"
busybox=$(find "$work/x" -type f -path '*/bin/busybox' | head -n 1)
install -m 0755 "$busybox" "$tree/bin/busybox"
applets "$busybox" >"$work/applets"
[ "$(wc -l <"$work/applets")" -gt 200 ] || fail "busybox's list of programs was not found in its file"
while read -r applet; do
	ln -s busybox "$tree/bin/$applet"
done <"$work/applets"
ln -s bin "$tree/sbin"
ln -s ../bin "$tree/usr/bin"
ln -s ../bin "$tree/usr/sbin"
ln -s ../tmp "$tree/var/tmp"
cp "$here"/etc/* "$tree/etc/"
chmod 0644 "$tree"/etc/*
make_cpio "$tree" "$work/image/initramfs"

finish_image $VERSION sh
