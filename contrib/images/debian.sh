#!/bin/sh
# Builds an image whose root is a Debian with the packages of a list:  debian.sh RECIPE/packages STORE [TALKOO_INIT]
# writes STORE/RECIPE@VERSION: the kernel and an initramfs with little but talkoo-init, as in mini, and root.img, a squashfs.
#
# The list: `version V` on a line of its own; else a package a line, with alternatives beside it (the first that the release
# has is taken); # starts a comment. The release and its mirrors are this machine's own, by apt's lists.
#
# mmdebstrap does it, as a normal user in a user namespace (packages uidmap, and a line in /etc/subuid), as root without
# one. Equal package versions and an equal talkoo-init give equal bytes: every time is at most $EPOCH, nothing of this
# machine (names, mirrors, logs, caches) stays in it.
set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=contrib/images/lib.sh
. "$here/lib.sh"

EPOCH=1767225600 # 2026-01-01: no file of an image says that it is younger
if [ $# -lt 2 ] || [ $# -gt 3 ]; then
	say "usage: debian.sh RECIPE/packages STORE [TALKOO_INIT]"
	exit 2
fi
list=$1
name=$(basename "$(dirname "$list")")
version=$(sed -n 's/^version \([A-Za-z0-9._+-]*\)$/\1/p' "$list")
[ -n "$version" ] || fail "$list has no line 'version V'" "it begins with 'version 1'"

need mmdebstrap mmdebstrap
need mksquashfs squashfs-tools
begin_image "$name" "$2" "${3:-}"

# apt's word for where this machine's packages come from: "deb URI RELEASE COMPONENT", the distribution's alone
sources() {
	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
		awk '($4 == "Debian" || $4 == "Ubuntu") && $2 !~ /backports|proposed|experimental/ && !seen[$1 $2 $3]++ { print "deb", $1, $2, $3 }'
}

# The list's packages, one a line, each the first of its alternatives that apt knows; "?NAMES" where it knows none.
chosen_packages() {
	sed 's/#.*//; /^version /d; /^ *$/d' "$list" >"$work/list"
	# shellcheck disable=SC2046 # one word a package
	apt-cache policy $(cat "$work/list") >"$work/policy"
	awk '
		NR == FNR && /^[^ ].*:$/ { name = $1; sub(/:$/, "", name) }
		NR == FNR && /^  Candidate: [^(]/ { known[name] = 1 }
		NR == FNR { next }
		{
			for (i = 1; i <= NF && !($i in known); i++);
			print (i <= NF ? $i : "?" $0)
		}' "$work/policy" "$work/list"
}

# How far it is, every few seconds while a background process lives: packages set up, out of those that apt has named
watch_progress() { # PID LOG
	began=$(date +%s)
	shown=0
	while kill -0 "$1" 2>/dev/null; do
		sleep 1
		now=$(($(date +%s) - began))
		[ $((now - shown)) -ge 5 ] || continue
		shown=$now
		awk -v name="$name" -v now="$now" '
			/newly installed/ { total += $3 }
			/^Get:[0-9]/ { got++ }
			/^Setting up / { done++ }
			END {
				if (done) printf "%s: %d of %d packages installed (%d s)\n", name, done, total, now
				else printf "%s: downloading, %d files (%d s)\n", name, got, now
			}' "$2" >&2
	done
}

build_root() { # TAR: a Debian with the packages, as a tar
	sources >"$work/sources"
	[ -s "$work/sources" ] || fail "apt has no lists of this machine's distribution" "\`apt-get update\` fetches them"
	chosen_packages >"$work/packages"
	if grep '^?' "$work/packages" >"$work/unknown"; then
		fail "apt does not know: $(tr -d '?' <"$work/unknown" | paste -sd ',')" "\`apt-get update\` fetches the lists; the recipe's list is $list"
	fi
	suite=$(head -n 1 "$work/sources" | cut -d ' ' -f 3)
	say "$name: $(wc -l <"$work/packages" | tr -d ' ') packages and what they depend on, of $suite"
	mkdir "$work/tmp"
	# shellcheck disable=SC2016 # the hook's own variable
	SOURCE_DATE_EPOCH=$EPOCH TMPDIR=$work/tmp mmdebstrap --verbose --variant=essential --format=tar \
		--include="$(paste -sd ',' "$work/packages")" \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--customize-hook='rm -f "$1/etc/resolv.conf" "$1/etc/apt/sources.list" "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap' \
		--customize-hook='rm -rf "$1"/etc/apt/sources.list.d/* "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/apt/trusted.gpg.d/mmdebstrap*' \
		--customize-hook='rm -rf "$1"/var/log/* "$1"/var/cache/* "$1"/var/lib/apt/* "$1"/var/lib/dpkg/*-old "$1"/var/backups/*' \
		--customize-hook='echo talkoo >"$1/etc/hostname"; : >"$1/etc/machine-id"' \
		--customize-hook='printf "127.0.0.1 localhost talkoo\n::1 localhost\n" >"$1/etc/hosts"' \
		--customize-hook='mkdir -p "$1/ci"; ln -sfn /ci "$1/workspace"' \
		"$suite" "$1" "$work/sources" >"$work/log" 2>&1 &
	child=$!
	watch_progress $child "$work/log"
	if ! wait $child; then
		grep -v '^I: ' "$work/log" | tail -n 20 | sed 's/^/  mmdebstrap: /' >&2
		fail "mmdebstrap could not build the image's root" \
			"the lines above are its own; as a normal user it needs the package uidmap and a line in /etc/subuid"
	fi
	child=
}

mkdir "$work/initramfs"
say "$name: downloading the kernel"
# shellcheck disable=SC2119 # the kernel alone
fetch_packages
say "$name: unpacking the kernel ($kernel)"
place_kernel "$work/image/kernel"
place_init "$work/initramfs"
make_cpio "$work/initramfs" "$work/image/initramfs"

build_root "$work/root.tar"
tar -xOf "$work/root.tar" ./var/lib/dpkg/status >"$work/status"
packages="$packages $(awk '/^Package: / { p = $2 } /^Status: / { s = $4 } /^Version: / { v = $2 } /^$/ { if (s == "installed") print p "=" v; s = "" }
	END { if (s == "installed") print p "=" v }' "$work/status")"

say "$name: packing the root ($(($(wc -c <"$work/root.tar") >> 20)) MiB)"
SOURCE_DATE_EPOCH=$EPOCH mksquashfs - "$work/image/root.img" -tar -comp zstd -Xcompression-level 9 -root-mode 0755 -root-uid 0 -root-gid 0 \
	-no-progress -quiet <"$work/root.tar" >"$work/log" 2>&1 || {
	sed 's/^/  mksquashfs: /' "$work/log" >&2
	fail "packing the root failed" "is the disk full? the lines above are mksquashfs's own; it needs squashfs-tools 4.5 or newer"
}
finish_image "$version" bash
