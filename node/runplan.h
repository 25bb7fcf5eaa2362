/* The immutable plan that a runner gets for a job: everything is looked up here, nothing is left to look up.
 *
 * Must not know: processes. Part of the node's core (node.h). */
#ifndef TALKOO_NODE_RUNPLAN_H
#define TALKOO_NODE_RUNPLAN_H

#include "node/node.h"

/* ERR_REFUSED when no URL of the project may be fetched from here. */
int runplan_make(struct node *n, const struct ix_job *job, const struct job_body *body, const struct node_opinion *opinion,
		 struct job_plan *ret, struct err *err) MUST_CHECK;
/* Of the project's URLs the first that this rule lets us read; the runner checks the addresses themselves. ERR_REFUSED: none. */
int runplan_url(const struct project_body *project, const struct policy_limits *grant, struct job_source *s, struct err *err) MUST_CHECK;
/* JOBS/JOB */
void runplan_dir(const struct node *n, const struct id32 *job, char ret[PATH_MAX]);
/* A report's digest as the wire's; false if it is none. */
bool runplan_digest(const struct job_digest *d, struct blob_digest *ret);

#endif
