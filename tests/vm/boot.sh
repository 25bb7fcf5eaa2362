#!/bin/bash
# talkoo-init in real machines (tests/vm/boot.c): boots of mini and of a small squashfs root, without the runner around them.
set -eu
: "${TALKOO_BUILDDIR:?}" "${TALKOO_TEST_IMAGES:?}"
work=$(mktemp -d "${TMPDIR:-/tmp}/talkoo-boot-XXXXXX")
trap 'rm -rf "$work"' EXIT
if command -v mksquashfs >/dev/null; then
	# a root of its own, out of mini's initramfs: another os-release, busybox as its shell
	mkdir "$work/root"
	(cd "$work/root" && cpio -idm --quiet --no-preserve-owner <"$TALKOO_TEST_IMAGES/mini@1/initramfs" && rm -rf init talkoo &&
		echo 'ID=squashed' >etc/os-release)
	mksquashfs "$work/root" "$work/root.img" -quiet -no-progress -all-root -comp gzip >/dev/null
	export TALKOO_TEST_ROOT=$work/root.img
fi
"$TALKOO_BUILDDIR/vm_boot"
