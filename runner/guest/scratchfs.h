/* Makes an empty ext4 file system on a disk that holds nothing but zeros, which a fresh scratch disk does: only the
 * superblock, the group descriptors, two directories and two groups' bitmaps are written, whatever the disk's size
 * (mke2fs would write 160 MB of zeros for 10 GiB, or need a journal's and a library's worth of initramfs).
 *
 * Must not know: mounts, devices. Links: base. No journal: the disk is never used after this boot.
 * Source: the kernel's Documentation/filesystems/ext4. */
#ifndef TALKOO_RUNNER_GUEST_SCRATCHFS_H
#define TALKOO_RUNNER_GUEST_SCRATCHFS_H

#include <stdint.h>

#include "proto/base/err.h"

#define SCRATCHFS_MIN (4ull << 20)
#define SCRATCHFS_MAX (8ull << 40)

/* size_bytes: of the disk; one inode for every 16 KiB of it. ERR_LIMIT outside SCRATCHFS_MIN…MAX, ERR_IO. */
int scratchfs_make(int fd, uint64_t size_bytes, struct err *err) MUST_CHECK;

#endif
