/* Writes the plan tar (guest.h): what talkoo-init is to do, as plain files. Links: base, proto; knows plan values, not git. */
#ifndef TALKOO_RUNNER_PLANTAR_H
#define TALKOO_RUNNER_PLANTAR_H

#include "proto/base/err.h"
#include "runner/job.h"
#include "runner/plan/plan.h"

struct plantar {
	const struct plan *plan;
	const struct job_plan *job;  /* ids, ref, limits */
	const char *commit;          /* full hex id */
	int64_t source_date;         /* srctar_mtime() of the commit */
};

/* To fd, from its current position. The environment is the plan's, then ours (CI, SOURCE_DATE_EPOCH, TALKOO_*), which so
 * wins. ERR_LIMIT: over 16 MiB. ERR_IO, ERR_NOMEM. */
int plantar_write(const struct plantar *p, int fd, struct err *err) MUST_CHECK;

#endif
