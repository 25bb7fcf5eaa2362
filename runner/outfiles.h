/* Writes files with foreign names below one folder, and nowhere else. For what a guest or a peer calls its artifacts.
 *
 * Must not know: tar, stages, where bytes come from. Every step of a path is opened by its parent's descriptor with
 * O_NOFOLLOW, no step is "..", nothing that exists is ever opened for writing: so neither a name nor what somebody
 * put into the folder leads outside. (threats, "hostile artifact tar".)
 *
 * Names are refused rather than mended: relative, parts of 1 to 255 bytes, not "." or "..", valid UTF-8, no control
 * characters or backslashes, at most OUTFILES_DEPTH_MAX parts and OUTFILES_PATH_MAX-1 bytes. Two names that differ only in the case
 * of ASCII, Latin, Greek or Cyrillic letters are a duplicate, for they would be one file on some readers' machines
 * (not seen: differently composed accents). */
#ifndef TALKOO_RUNNER_OUTFILES_H
#define TALKOO_RUNNER_OUTFILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

#define OUTFILES_PATH_MAX 1024 /* bytes with the 0, as job_artifact.path */
#define OUTFILES_DEPTH_MAX 32

struct outfiles_node;

struct outfiles {
	int root_fd;
	uint32_t files, folders, max_files;
	uint64_t bytes, max_bytes;
	struct outfiles_node *nodes; /* owned: hash table of every file and folder so far */
	size_t nodes_cap, nodes_len;
};

/* root_fd: the folder, the caller's. max_files: files, and as many folders again; max_bytes: sum of the sizes.
 * ERR_NOMEM; ERR_BUG if libsodium does not start. */
int outfiles_init(struct outfiles *o, int root_fd, uint32_t max_files, uint64_t max_bytes, struct err *err) MUST_CHECK;
void outfiles_release(struct outfiles *o);

/* NULL, or why the path is refused: a text that completes "the entry 'x' …". Pure. */
const char *outfiles_why_not(const char *path);

/* A folder of mode 0755, its parents too. ERR_REFUSED: a bad or repeated name; ERR_LIMIT: one too many; ERR_IO. */
int outfiles_folder(struct outfiles *o, const char *path, struct err *err) MUST_CHECK;
/* A new file of mode 0644 or 0755 that is going to have size_bytes, and its parents. *ret_fd is the caller's to close.
 * Errors as above; ERR_LIMIT also for the sum of the sizes. */
int outfiles_create(struct outfiles *o, const char *path, bool is_executable, uint64_t size_bytes, int *ret_fd,
		    struct err *err) MUST_CHECK;
/* Removes a file that could not be finished. */
void outfiles_discard(struct outfiles *o, const char *path);

#endif
