/* From a runner's report to what this node signs: a pure step.
 *
 * The report is believed only for what it must be (ARCHITECTURE 2): commit, project, job, ref, plan digest, image name,
 * arch, ceilings and the time window are the node's own; from the report come outcome, exit codes, times (clamped to the
 * window), digests of source, log and artifacts, the image's digest, accelerator and isolation. A report that contradicts what
 * was asked becomes outcome error, and says so: it is never signed as anything else.
 * Must not know: keys, disk, clock, loop. */
#ifndef TALKOO_NODE_ATTESTOR_H
#define TALKOO_NODE_ATTESTOR_H

#include "proto/body.h"
#include "proto/statement.h"
#include "runner/job.h"

struct attest_input {
	struct node_id self;
	struct id32 job;                 /* id of the job record */
	const struct job_body *body;     /* its body */
	const struct job_plan *plan;     /* what the runner was given: the ceilings are in it */
	const struct job_report *report; /* NULL: the runner ended without one */
	uint64_t started_ms, ended_ms;   /* unix; when the node started the runner and saw it end */
	bool was_abandoned;              /* the donor left: stop, deny --kill, a restart */
};

/* What is to be published. */
struct attestation {
	enum job_outcome outcome;
	char reason[JOB_REASON_MAX];     /* "" only when passed */
	bool has_statement;              /* passed, failed, timeout */
	struct statement statement;      /* owned; attestation_release() */
};

/* ERR_NOMEM, nothing else. */
int attest(const struct attest_input *in, struct attestation *ret, struct err *err) MUST_CHECK;
void attestation_release(struct attestation *a);

#endif
