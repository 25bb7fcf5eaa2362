/* Writes the artifact tar and the cache tar: ustar, with pax headers where a path or a link is over 100 bytes or a file over 8 GiB.
 * uid = gid = 0, no names. Artifacts are regular files and folders with mtime 0, so that equal artifacts make equal tars; a cache has symbolic
 * links and times too, for build systems look at them.
 *
 * Must not know: which files, frames. Links: base. Never writes past its limit: an entry that would not fit (with the
 * end mark behind it) is refused with ERR_LIMIT before its first byte, and the writer stays usable. */
#ifndef TALKOO_RUNNER_GUEST_TAR_WRITE_H
#define TALKOO_RUNNER_GUEST_TAR_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

struct tar_writer {
	int fd;
	uint64_t limit_bytes, at_bytes;
	uint8_t *buf; /* owned */
	size_t len;
	uint64_t mtime; /* of the entries that follow, in seconds; 0 until its user sets it */
};

/* fd: written from its current position on; stays the caller's. limit_bytes: of the whole tar. ERR_NOMEM. */
int tar_writer_init(struct tar_writer *w, int fd, uint64_t limit_bytes, struct err *err) MUST_CHECK;
void tar_writer_release(struct tar_writer *w);
/* path: relative, without a slash at the end, under 4,096 bytes. */
int tar_write_folder(struct tar_writer *w, const char *path, struct err *err) MUST_CHECK;
/* Exactly size_bytes from content_fd; what a shrunken file lacks is filled with zeros. ERR_LIMIT: does not fit, nothing
 * was written. ERR_IO: the tar is broken from here. */
int tar_write_file(struct tar_writer *w, const char *path, bool executable, int content_fd, uint64_t size_bytes,
		   struct err *err) MUST_CHECK;
/* A symbolic link; target: not empty, under 4,096 bytes. */
int tar_write_link(struct tar_writer *w, const char *path, const char *target, struct err *err) MUST_CHECK;
/* The end mark, and all that is buffered. Afterwards at_bytes is the tar's length. */
int tar_write_end(struct tar_writer *w, struct err *err) MUST_CHECK;

#endif
