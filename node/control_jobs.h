/* What control_jobs.c and control_watch.c share: records of some jobs, found, as a dossier. */
#ifndef TALKOO_NODE_CONTROL_JOBS_H
#define TALKOO_NODE_CONTROL_JOBS_H

#include "node/control_parts.h"
#include "node/dossier.h"

/* What a question is about: one job, or a commit. */
struct target {
	bool is_job;
	struct id32 job;
	char commit[65]; /* full */
	bool has_project;
	struct id32 project;
	unsigned need;
};

/* From the arguments job or commit, project, need. False: the call has been failed. */
bool target_read(struct node *n, struct control_call *c, const json_t *args, struct target *ret);
/* dossier_release() it. */
int target_open(struct node *n, const struct target *t, struct dossier *ret, struct err *err) MUST_CHECK;
/* CLI.md's `results` object and its verdict. */
int target_results(struct node *n, const struct target *t, json_t **ret, enum verdict *ret_verdict, struct err *err) MUST_CHECK;
/* The running or kept log of a job (node NULL: any, our own first), read-only. ret_live: it still grows. */
int job_log_open(struct node *n, const struct id32 *job, const struct node_id *node, int *ret_fd, bool *ret_live, struct err *err) MUST_CHECK;
/* A job's id from text (prefix taken). False: the call has been failed. */
bool op_job(struct node *n, struct control_call *c, const json_t *args, struct id32 *ret);

#endif
