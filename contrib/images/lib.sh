# shellcheck shell=sh
# Parts that image recipes share: Debian packages taken as data (downloaded and unpacked, never installed, nothing of
# them run), a kernel made ready for QEMU, an initramfs that is the same bytes each time, the manifest.
# Sourced by contrib/images/RECIPE/build.sh; needs a POSIX shell, apt-get, dpkg-deb, cpio, and lz4, zstd or xz for the kernel.

say() { printf '%s\n' "$*" >&2; }

# fail WHAT [HINT]
fail() {
	say "error: $1"
	[ $# -lt 2 ] || say "hint: $2"
	exit 7
}

# need PROGRAM PACKAGE
need() {
	command -v "$1" >/dev/null 2>&1 || fail "building an image needs $1, which is not here" "install the package $2"
}

# deb_download DIR PACKAGE…: into DIR, with apt's own signature checks
deb_download() {
	dir=$1
	shift
	set -- download "$@"
	[ "$(id -u)" != 0 ] || set -- -o APT::Sandbox::User=root "$@"
	if ! (cd "$dir" && apt-get -q "$@") >"$dir/apt.log" 2>&1; then
		sed 's/^/  apt: /' "$dir/apt.log" >&2
		fail "downloading the image's packages failed" \
			"is there a network, and are apt's lists there? \`apt-get update\` fetches them; the lines above are apt's own"
	fi
}

# kernel_package META: the package that a metapackage like linux-image-cloud-amd64 depends on
kernel_package() {
	apt-cache depends --important "$1" 2>/dev/null | sed -n 's/^ *|\{0,1\}Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1
}

# deb_id FILE: "name=version"
deb_id() {
	# shellcheck disable=SC2016 # dpkg-deb's own words
	dpkg-deb --show --showformat '${Package}=${Version}' "$1"
}

# le32 FILE OFFSET: a little endian number
le32() {
	od -An -tu1 -j "$2" -N 4 "$1" | awk '{ print $1 + 256 * ($2 + 256 * ($3 + 256 * $4)) }'
}

# bytes FILE OFFSET COUNT: as hex digits
bytes() {
	od -An -tx1 -j "$2" -N "$3" "$1" | tr -d ' \n'
}

# unpack_kernel BZIMAGE CONFIG OUT: the uncompressed vmlinux where its format is known and it can be started directly
# (PVH; saves 0.3 s of each boot under emulation), else the bzImage. Source: the kernel's Documentation/arch/x86/boot.rst.
unpack_kernel() {
	setup=$(od -An -tu1 -j 497 -N 1 "$1" | tr -d ' ')
	start=$(((setup + 1) * 512 + $(le32 "$1" 584)))
	length=$(le32 "$1" 588)
	case $(bytes "$1" $start 6) in
	02214c18*) tool=lz4 package=lz4 ;;
	28b52ffd*) tool=zstd package=zstd ;;
	fd377a585a00) tool=xz package=xz-utils ;;
	1f8b*) tool=gzip package=gzip ;;
	*) tool= ;;
	esac
	if [ "$(bytes "$1" 514 4)" != 48647253 ] || [ -z "$tool" ] || ! grep -q '^CONFIG_PVH=y' "$2"; then
		say "  the kernel's payload is of no known kind: its bzImage is used"
		cp "$1" "$3"
		return
	fi
	need "$tool" "$package"
	# the last four bytes are the uncompressed size, written there by the kernel's build
	dd if="$1" bs=1M iflag=skip_bytes,count_bytes skip=$start count=$((length - 4)) status=none >"$3.payload"
	"$tool" -dc "$3.payload" >"$3" 2>/dev/null || [ "$(wc -c <"$3")" = "$(le32 "$1" $((start + length - 4)))" ] ||
		fail "unpacking the kernel with $tool failed"
	rm "$3.payload"
	[ "$(bytes "$3" 0 4)" = 7f454c46 ] || fail "the kernel's payload is no ELF file"
}

# module_file TREE NAME: path of a module, whatever its dashes and compression; "" when it is built in or absent
module_file() {
	find "$1" -name "$(printf %s "$2" | sed 's/[-_]/[-_]/g').ko*" | head -n 1
}

# add_module TREE OUT NAME WHEN: the module, those that it depends on first, each once, into OUT with a line in OUT/modules.
# Signatures are cut off: nothing asks for them in the guest, and checking one takes 20 ms under emulation.
add_module() {
	for part in $(module_order "$1" "$3"); do
		base=$(basename "${part%%.ko*}").ko
		[ ! -e "$2/$base" ] || continue
		case $part in
		*.xz) need xz xz-utils && xz -dc "$part" >"$2/$base" ;;
		*.zst) need zstd zstd && zstd -qdc "$part" >"$2/$base" ;;
		*) cp "$part" "$2/$base" ;;
		esac
		cut_signature "$2/$base"
		chmod 0644 "$2/$base"
		printf '%s %s\n' "$base" "$4" >>"$2/modules"
	done
}

# module_order TREE NAME: its file behind those of its dependencies. Depends are read from the module itself. An explicit
# loop: POSIX sh has no local variables to recurse with.
module_order() {
	wanted=$2
	files=
	while [ -n "$wanted" ]; do
		more=
		for name in $wanted; do
			file=$(module_file "$1" "$name")
			[ -n "$file" ] || continue
			files="$file $files"
			more="$more $(module_depends "$file")"
		done
		wanted=$(printf %s "$more" | tr -s ' ')
		wanted=${wanted# }
	done
	# first mention counts: the deepest dependencies stand in front
	printf '%s\n' "$files" | tr ' ' '\n' | awk 'NF && !seen[$0]++'
}

module_depends() {
	case $1 in
	*.xz) xz -dc "$1" ;;
	*.zst) zstd -qdc "$1" ;;
	*) cat "$1" ;;
	esac | tr '\0' '\n' | LC_ALL=C sed -n 's/^depends=//p' | tr ',' ' '
}

# cut_signature FILE: Documentation/admin-guide/module-signing.rst: signature, 12 bytes (the last 4 its length, big endian), mark
cut_signature() {
	size=$(wc -c <"$1")
	[ "$(tail -c 28 "$1" | tr -d '\0')" = '~Module signature appended~' ] || return 0
	length=$(od -An -tu1 -j $((size - 32)) -N 4 "$1" | awk '{ print $4 + 256 * ($3 + 256 * ($2 + 256 * $1)) }')
	head -c $((size - 40 - length)) "$1" >"$1.cut" && mv "$1.cut" "$1"
}

# applets BUSYBOX: the names it answers to, read from the table in the binary (it is not run)
applets() {
	tr '\0' '\n' <"$1" | LC_ALL=C awk '
		in_table && !/^[a-z0-9_.-]+$/ { exit }
		in_table && $0 != "busybox" { print }
		$0 == "[[" { in_table = 1; print "["; print }'
}

# make_cpio TREE OUT: the same bytes for the same tree, whoever builds it
make_cpio() {
	find "$1" -exec touch -h -d @0 {} +
	(cd "$1" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible) >"$2" ||
		fail "making the initramfs failed"
}

# file_entry FILE: {"sha256":…,"size":…} or null
file_entry() {
	[ -e "$1" ] || { printf null; return; }
	printf '{"sha256":"%s","size":%s}' "$(sha256sum "$1" | cut -d ' ' -f 1)" "$(wc -c <"$1" | tr -d ' ')"
}

# make_manifest DIR NAME VERSION ARCH SHELL PACKAGE…: DIR/manifest.json; its sha256 is the image's digest
make_manifest() {
	image=$1 name=$2 version=$3 arch=$4 shell=$5
	shift 5
	packages=
	for package in $(printf '%s\n' "$@" | LC_ALL=C sort); do
		packages="$packages${packages:+,}\"$package\""
	done
	printf '{"v":1,"name":"%s","version":"%s","arch":"%s","kernel":%s,"initramfs":%s,"root":%s,"shell":"%s","packages":[%s],"recipe":"%s"}\n' \
		"$name" "$version" "$arch" "$(file_entry "$image/kernel")" "$(file_entry "$image/initramfs")" \
		"$(file_entry "$image/root.img")" "$shell" "$packages" "$name" >"$image/manifest.json"
}

# publish DIR STORE NAME@VERSION: the finished image takes its place at once, an older build of it goes
publish() {
	sync "$1"/* 2>/dev/null || true
	old=$2/.old-$3-$$
	[ ! -e "$2/$3" ] || mv "$2/$3" "$old"
	mv "$1" "$2/$3"
	rm -rf "$old"
}

# begin_image NAME STORE [TALKOO_INIT]: what every recipe starts with. Sets name, store, init, work (a folder in the store
# that goes at the end, with image/, debs/ and x/ in it); ends with a sentence where something is missing.
begin_image() {
	name=$1 init=${3:-${TALKOO_LIBEXECDIR:-/nonexistent}/talkoo-init} child=
	[ -x "$init" ] || fail "talkoo-init is not at $init" "name it as the last argument, or set TALKOO_LIBEXECDIR to its folder"
	need apt-get apt
	need dpkg-deb dpkg
	need cpio cpio
	[ "$(dpkg --print-architecture)" = amd64 ] || fail "the recipe $name is for amd64 only for now" "build it on an amd64 machine"
	mkdir -p "$2"
	store=$(cd "$2" && pwd)
	work=$(mktemp -d "$store/.build-$name-XXXXXX")
	trap '[ -z "$child" ] || kill "$child" 2>/dev/null; wait; rm -rf "$work"' EXIT
	trap 'exit 130' INT TERM HUP
	mkdir "$work/debs" "$work/x" "$work/image"
	chmod 0755 "$work" "$work/image"
}

# fetch_packages PACKAGE…: these and the kernel, unpacked into $work/x. Sets kernel, release, modules and packages ("name=version …").
fetch_packages() {
	kernel=$(kernel_package linux-image-cloud-amd64)
	[ -n "$kernel" ] || fail "apt does not know linux-image-cloud-amd64" "\`apt-get update\` fetches the lists; the main archive of Debian has it"
	deb_download "$work/debs" "$kernel" "$@"
	packages=
	for deb in "$work"/debs/*.deb; do
		dpkg-deb -x "$deb" "$work/x"
		packages="$packages $(deb_id "$deb")"
	done
	release=${kernel#linux-image-}
	modules=$(find "$work/x" -type d -path "*/lib/modules/$release")
}

# place_kernel OUT
place_kernel() {
	unpack_kernel "$work/x/boot/vmlinuz-$release" "$work/x/boot/config-$release" "$1"
}

# place_init TREE: talkoo-init and the modules that it loads, in the tree of an initramfs
place_init() {
	mkdir -p "$1/talkoo" "$1/proc" "$1/sys" "$1/dev" "$1/run" "$1/tmp" "$1/ci"
	install -m 0755 "$init" "$1/init"
	: >"$1/talkoo/modules"
	for module in virtio_ring virtio virtio_pci virtio_mmio virtio_console; do
		add_module "$modules" "$1/talkoo" $module port
	done
	for module in virtio_blk virtio_rng crc32c_generic ext4; do
		add_module "$modules" "$1/talkoo" $module disk
	done
	for module in squashfs overlay; do
		add_module "$modules" "$1/talkoo" $module root
	done
	chmod 0644 "$1/talkoo/modules"
}

# finish_image VERSION SHELL: the manifest, and $work/image takes its place in the store
finish_image() {
	chmod 0644 "$work"/image/*
	# shellcheck disable=SC2086 # one word a package
	make_manifest "$work/image" "$name" "$1" x86_64 "$2" $packages
	chmod 0644 "$work/image/manifest.json"
	publish "$work/image" "$store" "$name@$1"
	say "$name: done: $store/$name@$1 ($(sha256sum "$store/$name@$1/manifest.json" | cut -c 1-16))"
}
