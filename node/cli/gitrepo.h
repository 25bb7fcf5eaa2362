/* The checkout (or bare repository) that the person stands in or names: which commit is meant, what is in its tree,
 * where its objects are, whether it was pushed. Only ever reads it.
 *
 * Must not know: jobs, nodes. Runs no hook, no filter program, no configured command: libgit2 has none of them; so the
 * owner check, which guards against those, is off. Links: base, libgit2. */
#ifndef TALKOO_CLI_GITREPO_H
#define TALKOO_CLI_GITREPO_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"

struct gitrepo;

struct gitrepo_commit {
	char id[65];       /* full hex */
	char ref[256];     /* the ref that the text named, resolved: "refs/heads/main"; "" for an id or a detached HEAD */
	char subject[200]; /* first line of the message; foreign text */
};

/* The repository that dir is in (or is, when bare). ERR_NOT_FOUND: it is in none. */
int gitrepo_open(const char *dir, struct gitrepo **ret, struct err *err) MUST_CHECK;
void gitrepo_close(struct gitrepo **repo);
/* Top folder of the checkout, with a slash at its end; "" when bare. Lent. */
const char *gitrepo_workdir(const struct gitrepo *repo);
/* The repository's own folder (".git", the main one's for a worktree). Lent. */
const char *gitrepo_folder(const struct gitrepo *repo);

/* What `git rev-parse TEXT^{commit}` says. ERR_NOT_FOUND, ERR_AMBIGUOUS, ERR_USAGE (no commit: a blob, an odd syntax). */
int gitrepo_commit(struct gitrepo *repo, const char *text, struct gitrepo_commit *ret, struct err *err) MUST_CHECK;

/* The folder of objects, absolute, and what its info/alternates leads to, all levels. ERR_LIMIT past max. */
int gitrepo_objects(struct gitrepo *repo, char objects[PATH_MAX], char (*alternates)[PATH_MAX], size_t max,
		    struct err *err) MUST_CHECK;

/* How many files of the checkout differ from HEAD (new ones that are not ignored count). 0 when bare. */
int gitrepo_changes(struct gitrepo *repo, size_t *ret, struct err *err) MUST_CHECK;

/* The working tree as it is (what git tracks, and what is new and not ignored) as a commit on HEAD that nobody made: its
 * new objects go into the folder `objects`, none into the repository, whose index stays too. The same files on the same HEAD
 * give the same id; without a change it is HEAD's. From here on repo reads what lies in the folder as its own.
 * *ret_changes: files that differ. ERR_USAGE when bare; ERR_INVALID for what git could not add (a conflict, a file that cannot be read). */
int gitrepo_snapshot(struct gitrepo *repo, const char *objects, struct gitrepo_commit *ret, size_t *ret_changes,
		     struct err *err) MUST_CHECK;

/* On which ref of a remote the commit is, as that remote calls it: refs/remotes/origin/main gives "refs/heads/main".
 * Preferred: the branch HEAD is on. In a bare repository: its own branch. *ret_ref "" if on none (the person has
 * to push first). */
int gitrepo_pushed(struct gitrepo *repo, const char *commit, char ret_ref[256], struct err *err) MUST_CHECK;

/* One file of the commit's tree, appended to ret. ERR_NOT_FOUND when it is not there; ERR_INVALID: no plain
 * file; ERR_LIMIT. Fits plan.h's plan_read_fn through treeplan.h. */
int gitrepo_read(struct gitrepo *repo, const char *commit, const char *path, struct buf *ret, struct err *err) MUST_CHECK;
/* Whether the commit's tree has this path; *ret_is_folder may be NULL. */
bool gitrepo_has(struct gitrepo *repo, const char *commit, const char *path, bool *ret_is_folder);
/* The names in one folder of the tree ("" is the top), in tree order, until fn says false. */
typedef bool (*gitrepo_name_fn)(void *user, const char *name, bool is_folder);
int gitrepo_each(struct gitrepo *repo, const char *commit, const char *folder, gitrepo_name_fn fn, void *user,
		 struct err *err) MUST_CHECK;

#endif
