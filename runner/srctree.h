/* Walks a commit's tree into a canonical source tar. (proto/PROTOCOL.md, "Canonical source tar".)
 *
 * Must not know: plans, stages, where the objects come from. Every tree is foreign bytes: names, order, modes, depth and
 * counts are checked before anything is written for them, and the sentence names the path. Reads nothing but tree and
 * blob objects: no attributes, no filters, no submodules. */
#ifndef TALKOO_RUNNER_SRCTREE_H
#define TALKOO_RUNNER_SRCTREE_H

#include "runner/gitlib.h"
#include "runner/srctar.h"

#define SRCTREE_DEPTH_MAX 128
#define SRCTREE_ENTRIES_MAX 1000000

/* Writes all entries (not the end). ERR_REFUSED: this tree has no canonical tar. ERR_LIMIT: it does not fit under the tar's
 * ceiling. ERR_NOT_FOUND, ERR_INVALID: an object is missing or damaged. ERR_IO, ERR_NOMEM. */
int srctree_write(git_repository *repo, const git_oid *tree_id, struct srctar *out, struct err *err) MUST_CHECK;

/* Whether a tree entry may have this name: not empty, ".", "..", ".git" in any case, without '/', at most 255 bytes. */
bool srctree_name_is_allowed(const char *name);

#endif
