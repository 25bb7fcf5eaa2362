/* A tar on a disk -> files below a folder (source, dependencies). Must not know: jobs, frames.
 * Parents are opened beneath the folder and never through a symbolic link. */
#ifndef TALKOO_RUNNER_GUEST_UNPACK_H
#define TALKOO_RUNNER_GUEST_UNPACK_H

#include "proto/base/err.h"
#include "runner/guest/disks.h"

/* An empty disk leaves the folder as it is. what: for the sentence ("the source"). */
int unpack_disk(const struct disk *disk, const char *folder, const char *what, struct err *err) MUST_CHECK;
/* The same from a descriptor that is read to the tar's end. */
int unpack_fd(int fd, const char *folder, struct err *err) MUST_CHECK;

#endif
