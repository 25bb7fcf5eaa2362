/* The seven disks (runner/guest.h), found by serial whatever the kernel called them. Must not know: what is on them. */
#ifndef TALKOO_RUNNER_GUEST_DISKS_H
#define TALKOO_RUNNER_GUEST_DISKS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "runner/guest.h"

#define DISK_EMPTY_BYTES 512 /* a disk of one sector carries nothing */

struct disk {
	char path[32]; /* "/dev/vdb" */
	uint64_t size_bytes;
};

/* All of them, waiting up to wait_ms for them to appear. ERR_NOT_FOUND names the one that is missing. */
int disks_find(struct disk ret[GUEST_DISKS_LEN], unsigned wait_ms, struct err *err) MUST_CHECK;
bool disk_is_empty(const struct disk *d);
/* Opened close-on-exec; a descriptor, or a negative code. */
int disk_open(const struct disk *d, int flags, struct err *err) MUST_CHECK;

#endif
