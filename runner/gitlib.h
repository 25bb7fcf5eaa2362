/* libgit2 as the stages use it: set up so that nothing outside the named repository has a say, its errors as ours, its
 * handles scope-bound. Only the stages fetch and pack include this. */
#ifndef TALKOO_RUNNER_GITLIB_H
#define TALKOO_RUNNER_GITLIB_H

#include <git2.h>

#include "proto/base/err.h"

/* Starts the library with no system, user or program configuration, no template folder, small caches, and no owner check
 * (in a user namespace the owner's number means nothing; what may be opened is the jail's business). */
int gitlib_setup(struct err *err) MUST_CHECK;

/* "SENTENCE: libgit2's message" with a code of ours: ERR_NOT_FOUND for what is not there, ERR_NOMEM, else ERR_INVALID for
 * bytes of a repository that make no sense. Returns the code. */
int gitlib_err(struct err *err, int git_code, const char *fmt, ...) PRINTF_LIKE(3, 4);

#define GITLIB_CLEANUP(type)                                                                                           \
	static inline void gitlib_##type##_release(git_##type **handle) { git_##type##_free(*handle); }
GITLIB_CLEANUP(blob)
GITLIB_CLEANUP(commit)
GITLIB_CLEANUP(object)
GITLIB_CLEANUP(odb)
GITLIB_CLEANUP(odb_object)
GITLIB_CLEANUP(reference)
GITLIB_CLEANUP(remote)
GITLIB_CLEANUP(repository)
GITLIB_CLEANUP(revwalk)
GITLIB_CLEANUP(tree)
#undef GITLIB_CLEANUP

#endif
