/* Whole reads and writes, bounded files, atomic replacement. Blocking: never on the node's loop thread. */
#ifndef TALKOO_BASE_IO_H
#define TALKOO_BASE_IO_H

#include <stddef.h>
#include <sys/types.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"

/* Writes all of it, over EINTR and short writes. 0 or ERR_IO. */
int io_write_full(int fd, const void *bytes, size_t len, struct err *err) MUST_CHECK;
/* Reads up to len bytes until end of file. Returns the number read (short only at end of file) or a negative code. */
ssize_t io_read_full(int fd, void *bytes, size_t len, struct err *err) MUST_CHECK;
/* Appends a whole regular file to ret; ERR_LIMIT past ret's ceiling, ERR_NOT_FOUND when absent, else ERR_IO. */
int io_read_file(const char *path, struct buf *ret, struct err *err) MUST_CHECK;
/* Writes PATH.tmp, fsyncs, renames over PATH, fsyncs the folder: afterwards the old or the new content is there, never
 * a part. mode: permission bits. */
int io_replace_file(const char *path, const void *bytes, size_t len, mode_t mode, struct err *err) MUST_CHECK;
/* fsync of the folder that holds path: a name made or renamed there is durable. */
int io_sync_folder_of(const char *path, struct err *err) MUST_CHECK;
/* mkdir -p; new folders get mode. */
int io_mkdirs(const char *path, mode_t mode, struct err *err) MUST_CHECK;
/* rm -rf without following links; absent is fine. Bounded depth 64. */
int io_remove_tree(const char *path, struct err *err) MUST_CHECK;

#endif
