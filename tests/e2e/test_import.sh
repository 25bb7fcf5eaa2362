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
expect 2 "a data file elsewhere is not to be had" -- talkoo image import "$dir/apart.qcow2"
says 'could not be read as qcow2'
nothing_left apart
head -c 100 "$dir/cloud.qcow2" >"$dir/short.qcow2"
talkoo image import "$dir/short.qcow2" >"$out" 2>"$err"
says 'could not be read as qcow2'
nothing_left short
qemu-img create -q -f qcow2 "$dir/huge.qcow2" 1T
expect 2 "a disk that is too large is refused" -- talkoo image import "$dir/huge.qcow2" --max-size 1G
says 'File too large' && says '^hint:.* 1024 MiB needs --max-size'
expect 2 "so it is by the default" -- talkoo image import "$dir/huge.qcow2"
nothing_left huge
expect 2 "a folder is no disk" -- talkoo image import "$dir/p" --format raw
says 'is no file'
rm "$store/secret"

printf 'QFI\xfb' | dd of="$dir/ext4" conv=notrunc status=none
cp "$dir/ext4" "$dir/unnamed"
expect 2 "a format is never guessed from a disk's bytes" -- talkoo image import "$dir/unnamed"
says '^hint: .*--format'
expect 0 "a raw disk stays one whatever it begins with" -- talkoo image import "$dir/unnamed" --format raw --name odd
cmp -s "$dir/ext4" "$store/odd@1/root.img"
ok $? "and is not read as what it claims to be"
expect 0 "an image is removed" -- talkoo image remove odd@1
nothing_left odd

sleep 1
expect 0 "using an image is noted" -- talkoo run --image bare@2 --cmd true
expect 0 "over the cap the least lately used go" -- talkoo image prune --cap 120M
[ -e "$store/bare@2" ]
ok $? "the one just used stays"
says 'removed cloud@1'
echo mine >"$store/mine"
expect 0 "and with no cap to speak of all" -- talkoo image prune --cap 1M --json
prints '"removed": *\["mini@1", *"bare@2"\]|bare@2'
[ "$(ls "$store")" = mine ]
ok $? "the store has only what was never an image"
done_testing
