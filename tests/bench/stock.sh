#!/usr/bin/env bash
# What one would take instead of Talkoo: a stock Debian in the manner of a cloud image (its kernel, initramfs-tools, systemd,
# cloud-init, ext4) under plain QEMU, to the first command of cloud-init's runcmd; beside it `talkoo run` of the same no-op,
# taking turns. Prints milliseconds, medians and spread. As root (it makes the file system), with mmdebstrap and mke2fs.
#   tests/bench/stock.sh BUILD_FOLDER [PAIRS [IMAGE]]     IMAGE: of TALKOO_HOME's store, default c
set -eu
build=$(cd "${1?usage: stock.sh BUILD_FOLDER [PAIRS [IMAGE]]}" && pwd)
pairs=${2:-10}
image=${3:-c}
top=$(cd "$(dirname "$0")/../.." && pwd)
export TALKOO_LIBEXECDIR=$build TALKOO_DATADIR=$top/contrib
stock=$build/stock
if [ ! -e "$stock/disk" ]; then
	echo "building the stock image" >&2
	rm -rf "$stock" && mkdir -p "$stock"
	# shellcheck disable=SC2016  # the hook's own variable
	mmdebstrap --quiet --variant=important \
		--include=linux-image-cloud-amd64,initramfs-tools,systemd-sysv,dbus,cloud-init,netplan.io,openssh-server,ca-certificates \
		--customize-hook='mkdir -p "$1/var/lib/cloud/seed/nocloud"; echo "instance-id: i-1" >"$1/var/lib/cloud/seed/nocloud/meta-data"
			printf "#cloud-config\nruncmd:\n  - echo first-step >/dev/ttyS0\n  - poweroff -f\n" >"$1/var/lib/cloud/seed/nocloud/user-data"
			echo "datasource_list: [ NoCloud ]" >"$1/etc/cloud/cloud.cfg.d/90_dpkg.cfg"; echo stock >"$1/etc/hostname"' \
		"$(. /etc/os-release && echo "$VERSION_CODENAME")" "$stock/tree" >&2
	cp "$stock"/tree/boot/vmlinuz-* "$stock/vmlinuz"
	cp "$stock"/tree/boot/initrd.img-* "$stock/initrd"
	mke2fs -q -t ext4 -d "$stock/tree" "$stock/disk.new" 3G
	rm -rf "$stock/tree"
	mv "$stock/disk.new" "$stock/disk"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git init -q "$work/p" && cd "$work/p" && git -c user.name=b -c user.email=b@example.invalid commit -q --allow-empty -m empty

now() { echo $(($(date +%s%N) / 1000000)); }
one_stock() {
	local began line
	began=$(now)
	timeout 300 qemu-system-x86_64 -M q35 -accel tcg,thread=multi -m 512 -smp 1 -display none -no-reboot -monitor none -serial stdio \
		-drive "file=$stock/disk,format=raw,if=virtio,snapshot=on" -nic user,model=virtio -device virtio-rng-pci \
		-kernel "$stock/vmlinuz" -initrd "$stock/initrd" -append 'root=/dev/vda rw console=ttyS0 quiet' </dev/null 2>/dev/null |
		while read -r line; do
			case $line in *first-step*) echo $(($(now) - began)) ;; esac
		done
}
one_ours() { # milliseconds of the whole command
	local began
	began=$(now)
	"$build/talkoo" run --image "$image" --cmd true >/dev/null 2>&1 || return 1
	echo $(($(now) - began))
}
one_ours >/dev/null # the accelerator's proof is asked once
for ((i = 0; i < pairs; i++)); do
	one_stock >>"$work/stock"
	one_ours >>"$work/ours"
done
for name in stock ours; do
	sort -n "$work/$name" | awk -v name=$name '{ v[NR] = $1 } END { printf "%-6s median %d ms  least %d  most %d  n %d\n", name, v[int((NR + 1) / 2)], v[1], v[NR], NR }'
done
