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
	size_t changes;              /* files of the checkout that the commit does not have as they are; only when commit is HEAD */
};

/* where: NULL is ".". commit, ref: NULL when not given. mirrors: folder for a URL's mirror. ERR_USAGE for what is neither
 * folder nor URL (with the hint for ssh), gitrepo.h's errors. */
int runsource_find(const char *where, const char *commit, const char *ref, const char *mirrors, struct runsource *ret,
		   struct err *err) MUST_CHECK;
void runsource_release(struct runsource *s);

/* What kind of place a text names; for tests. */
enum runsource_kind { RUNSOURCE_DIR = 1, RUNSOURCE_URL, RUNSOURCE_SSH };
enum runsource_kind runsource_kind_of(const char *where);

#endif
