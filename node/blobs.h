/* Files that results name: log and artifacts, in BLOBS/JOB/NODE/{log,artifacts/…,index.json}. And what folders use of their caps.
 *
 * Everything here blocks: it runs in node_task threads (or at start). Must not know: records, store. Links: base. */
#ifndef TALKOO_NODE_BLOBS_H
#define TALKOO_NODE_BLOBS_H

#include <limits.h>
#include <stdbool.h>

#include "node/home.h"
#include "proto/base/err.h"
#include "proto/ids.h"

/* BLOBS/JOB/NODE. ERR_LIMIT when it does not fit. */
int blobs_dir(const struct home *home, const struct id32 *job, const struct node_id *node, char ret[PATH_MAX], struct err *err) MUST_CHECK;
/* DIR/PATH, where path is "artifacts/" and an artifact's relative name as a verified statement has it: parts "", "." and ".." are
 * ERR_INVALID. Opens it read-only, below BLOBS and through no link. *ret_fd: the caller's. */
int blobs_open(const char *dir, const char *path, int *ret_fd, struct err *err) MUST_CHECK;

/* Moves log and artifacts from a finished job's folder to blob_dir (made anew) and fsyncs all of it, folders included: afterwards they
 * may be named in a record. index: the index blob, or NULL. */
int blobs_keep(const char *job_dir, const char *blob_dir, const void *index, size_t index_len, struct err *err) MUST_CHECK;
/* Removes the oldest subfolders of root until it uses no more than cap bytes; never the one named keep (NULL: none). Returns what is used
 * afterwards. */
uint64_t blobs_prune(const char *root, uint64_t cap_bytes, const char *keep);
/* Bytes on disk below path; 0 if it is not there. */
uint64_t blobs_used(const char *path);
/* Removes everything in a folder, not itself. */
int blobs_empty_folder(const char *path, struct err *err) MUST_CHECK;

#endif
