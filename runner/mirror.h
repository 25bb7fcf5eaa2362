/* A project's bare mirror: one folder, made when absent, locked while it is written, mended by throwing it away.
 *
 * What an earlier fetch left in it is not believed: its configuration is written anew each time, alternates and left-over
 * temporary packs are removed, a mirror that cannot be opened or has grown past its ceiling is emptied. Must not know:
 * remotes, stages. */
#ifndef TALKOO_RUNNER_MIRROR_H
#define TALKOO_RUNNER_MIRROR_H

#include <limits.h>
#include <stdint.h>

#include "runner/gitlib.h"

struct mirror {
	char path[PATH_MAX];
	int lock_fd;
	git_repository *repo;
};

/* Waits for the lock (the caller's deadline ends that), then opens or makes the mirror. max_bytes: past it the objects are
 * thrown away first. ERR_IO, ERR_LIMIT (path). */
int mirror_open(struct mirror *m, const char *path, uint64_t max_bytes, struct err *err) MUST_CHECK;
/* Throws the content away and makes the mirror anew, the lock kept. */
int mirror_reset(struct mirror *m, struct err *err) MUST_CHECK;
/* Closes it and gives the lock up. m may be all zeros but for lock_fd = -1. */
void mirror_release(struct mirror *m);
/* Keeps a fetched tip from being asked for again: refs/talkoo/HASH of the remote's ref name (whose own form might not
 * go together with another's: a/b beside a). */
int mirror_keep(struct mirror *m, const char *ref, const git_oid *tip, struct err *err) MUST_CHECK;

#endif
