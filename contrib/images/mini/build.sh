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
store=$1
init=${2:-${TALKOO_LIBEXECDIR:-/nonexistent}/talkoo-init}
[ -x "$init" ] || fail "talkoo-init is not at $init" "name it as the second argument, or set TALKOO_LIBEXECDIR to its folder"
need apt-get apt
need dpkg-deb dpkg
need cpio cpio
[ "$(dpkg --print-architecture)" = amd64 ] || fail "the recipe mini is for amd64 only for now" "build it on an amd64 machine"

mkdir -p "$store"
store=$(cd "$store" && pwd)
work=$(mktemp -d "$store/.build-mini-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
mkdir "$work/debs" "$work/x" "$work/tree" "$work/image"
chmod 0755 "$work/image"

say "mini: downloading the kernel and busybox"
kernel=$(kernel_package linux-image-cloud-amd64)
[ -n "$kernel" ] || fail "apt does not know linux-image-cloud-amd64" "\`apt-get update\` fetches the lists; the main archive of Debian has it"
deb_download "$work/debs" "$kernel" busybox-static
packages=
for deb in "$work"/debs/*.deb; do
	dpkg-deb -x "$deb" "$work/x"
	packages="$packages $(deb_id "$deb")"
done

say "mini: unpacking the kernel ($kernel)"
release=${kernel#linux-image-}
unpack_kernel "$work/x/boot/vmlinuz-$release" "$work/x/boot/config-$release" "$work/image/kernel"

say "mini: assembling the initramfs"
modules=$(find "$work/x" -type d -path "*/lib/modules/$release")
tree=$work/tree
mkdir -p "$tree/talkoo" "$tree/bin" "$tree/etc" "$tree/usr" "$tree/proc" "$tree/sys" "$tree/dev" "$tree/run" "$tree/tmp" \
	"$tree/root" "$tree/ci" "$tree/var" "$tree/mnt"
install -m 0755 "$init" "$tree/init"
: >"$tree/talkoo/modules"
for module in virtio_ring virtio virtio_pci virtio_mmio virtio_console; do
	add_module "$modules" "$tree/talkoo" $module port
done
for module in virtio_blk virtio_rng crc32c_generic ext4; do
	add_module "$modules" "$tree/talkoo" $module disk
done
for module in squashfs overlay; do
	add_module "$modules" "$tree/talkoo" $module root
done
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
chmod 0644 "$tree/talkoo/modules"
make_cpio "$tree" "$work/image/initramfs"

chmod 0644 "$work"/image/*
# shellcheck disable=SC2086 # one word a package
make_manifest "$work/image" mini $VERSION x86_64 sh $packages
chmod 0644 "$work/image/manifest.json"
publish "$work/image" "$store" "mini@$VERSION"
say "mini: done: $store/mini@$VERSION ($(sha256sum "$store/mini@$VERSION/manifest.json" | cut -c 1-16))"
