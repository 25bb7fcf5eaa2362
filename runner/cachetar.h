/* Takes a cache tar that a guest wrote off its disk: looked through, then copied. For the collect stage, in its jail.
 *
 * Nobody unpacks it but a later guest of the same project, ref and plan; it is looked through all the same, so that what is kept
 * is a tar of files, folders and symbolic links with relative names, and no guest is sent a broken one again and again.
 * Must not know: stages, stores. Links: base, libarchive. */
#ifndef TALKOO_RUNNER_CACHETAR_H
#define TALKOO_RUNNER_CACHETAR_H

#include <stdint.h>

#include "proto/base/err.h"

/* The first bytes of disk_fd are the tar; out_fd is an empty file. ERR_REFUSED, ERR_INVALID: "entry N …", nothing is written.
 * ERR_IO, ERR_NOMEM. */
int cachetar_take(int disk_fd, uint64_t bytes, int out_fd, struct err *err) MUST_CHECK;

#endif
