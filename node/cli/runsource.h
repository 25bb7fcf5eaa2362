/* From what a person typed (nothing, a folder, a URL; a commit) to where a run's commit comes from.
 *
 * Must not know: plans, images, how it is run. Links: base, gitrepo, job.h. */
#ifndef TALKOO_CLI_RUNSOURCE_H
#define TALKOO_CLI_RUNSOURCE_H

#include "node/cli/gitrepo.h"
#include "runner/job.h"

struct runsource {
	struct job_source source;
	struct gitrepo *repo;        /* NULL for a URL; owned */
	struct gitrepo_commit commit;/* with repo */
	size_t changes;              /* files of the checkout that HEAD does not have as they are; only when commit is HEAD, or a snapshot */
	bool is_snapshot;            /* commit is the working tree, on HEAD */
};

struct runsource_ask {
	const char *where;       /* NULL is "." */
	const char *commit, *ref;/* NULL when not given */
	const char *mirrors;     /* folder for a URL's mirror */
	const char *snapshot;    /* the working tree is wanted: an empty folder for its objects, or that of an earlier snapshot; else NULL */
};

/* ERR_USAGE for what is neither folder nor URL (with the hint for ssh), and for a snapshot of what has no working tree;
 * gitrepo.h's errors. */
int runsource_find(const struct runsource_ask *ask, struct runsource *ret, struct err *err) MUST_CHECK;
/* What the source is to a cache: the checkout's objects, or the URL. Lent. */
const char *runsource_place(const struct job_source *s, bool is_snapshot);
void runsource_release(struct runsource *s);

/* What kind of place a text names; for tests. */
enum runsource_kind { RUNSOURCE_DIR = 1, RUNSOURCE_URL, RUNSOURCE_SSH };
enum runsource_kind runsource_kind_of(const char *where);

#endif
