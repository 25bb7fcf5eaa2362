/* The file tree that steps see: the image's root (squashfs, ext4, or the largest ext4 of a partitioned disk) with an overlay on
 * the scratch disk, or the initramfs itself (mini); in it /ci and what else may grow, on the scratch disk. Must not know: plans, frames. */
#ifndef TALKOO_RUNNER_GUEST_ROOT_H
#define TALKOO_RUNNER_GUEST_ROOT_H

#include "proto/base/err.h"
#include "runner/guest/disks.h"

/* Formats and mounts the scratch disk, makes the tree, moves into it. Afterwards / is what steps see, with
 * /ci/{src,deps,cache,artifacts} and /workspace. module_folder: for what only such a root needs. */
int root_make(const struct disk disks[GUEST_DISKS_LEN], const char *module_folder, struct err *err) MUST_CHECK;

#endif
