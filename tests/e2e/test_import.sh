#!/usr/bin/env bash
# Somebody else's disk as an image: a qcow2 with a partition, as cloud images are, is imported and a job runs in it; what names
# other files, is damaged or too large is refused and leaves nothing. The cap on images.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$TALKOO_SRCDIR/tests/e2e/lib.sh"
need git qemu-system-x86_64 qemu-img mke2fs cpio
[ -e "$TALKOO_TEST_IMAGES/mini@1/manifest.json" ] || skip_all "no image mini (make test-image)"
store=$TALKOO_HOME/state/images
mkdir -p "$store" && cp -r "$TALKOO_TEST_IMAGES/mini@1" "$store/"
mkdir "$dir/p" && repository "$dir/p" && cd "$dir/p" || exit

# a disk: 1 MiB, then a partition (type 83) with an ext4 made of mini's tree
mkdir "$dir/tree" && (cd "$dir/tree" && cpio -idm --quiet --no-preserve-owner <"$store/mini@1/initramfs" && rm -rf init talkoo &&
	echo ID=foreign >etc/os-release)
mke2fs -q -t ext4 -d "$dir/tree" "$dir/ext4" 24M || exit
truncate -s 1M "$dir/disk" && cat "$dir/ext4" >>"$dir/disk"
printf '\0\0\0\0\x83\0\0\0\0\x08\0\0\0\xc0\0\0' | dd of="$dir/disk" bs=1 seek=446 conv=notrunc status=none
printf '\x55\xaa' | dd of="$dir/disk" bs=1 seek=510 conv=notrunc status=none
qemu-img convert -f raw -O qcow2 "$dir/disk" "$dir/cloud.qcow2"

expect 0 "a qcow2 is imported" -- talkoo image import "$dir/cloud.qcow2"
prints '^cloud@1$'
cmp -s "$dir/disk" "$store/cloud@1/root.img"
ok $? "its disk is the same"
expect 0 "it is whole" -- talkoo image show cloud
expect 0 "a job runs in it" -- talkoo run --image cloud --cmd 'grep foreign /etc/os-release; echo x >/etc/new; ls /ci/src'
expect 0 "a bare ext4 is as good" -- talkoo image import "$dir/ext4" --name bare@2 --format raw
expect 0 "a job runs in that" -- talkoo run --image bare@2 --cmd 'grep foreign /etc/os-release'
expect 2 "a name that is taken" -- talkoo image import "$dir/cloud.qcow2"
says 'already' && says '^hint:.*image remove cloud@1'

echo a-secret-of-the-donor >"$dir/secret" && truncate -s 1M "$dir/secret"
cp "$dir/secret" "$store/secret"
# NAME: nothing of that name, and no folder of a try
nothing_left() {
	! ls -d "$store/$1"@* "$store"/.import-* >/dev/null 2>&1
	ok $? "$1 leaves nothing"
}
qemu-img create -q -f qcow2 -b "$dir/secret" -F raw "$dir/backed.qcow2"
talkoo image import "$dir/backed.qcow2" >"$out" 2>"$err"
! grep -rqs a-secret-of-the-donor "$store"/backed@1 "$store"/.import-*
ok $? "a backing file is not read"
qemu-img create -q -f qcow2 -o "data_file=$store/secret,data_file_raw=on" "$dir/apart.qcow2" 1M && echo a-secret-of-the-donor | dd of="$store/secret" conv=notrunc status=none
expect 3 "a data file elsewhere is not to be had" -- talkoo image import "$dir/apart.qcow2" || true
nothing_left apart
head -c 100 "$dir/cloud.qcow2" >"$dir/short.qcow2"
talkoo image import "$dir/short.qcow2" >"$out" 2>"$err"
[ $? != 0 ] && says 'could not be read as qcow2'
nothing_left short
qemu-img create -q -f qcow2 "$dir/huge.qcow2" 1T
talkoo image import "$dir/huge.qcow2" --max-size 1G >"$out" 2>"$err"
[ $? != 0 ]
ok $? "a disk that is too large is refused"
nothing_left huge
talkoo image import "$dir/p" >"$out" 2>"$err"
[ $? != 0 ] && says 'is no file'
rm "$store/secret"

sleep 1
expect 0 "using an image is noted" -- talkoo run --image bare@2 --cmd true
expect 0 "over the cap the least lately used go" -- talkoo image prune --cap 120M
[ -e "$store/bare@2" ]
ok $? "the one just used stays"
says 'removed [0-9]+ image'
expect 0 "and with no cap to speak of all" -- talkoo image prune --cap 1M
[ -z "$(ls "$store")" ]
ok $? "the store is empty"
done_testing
