/* Finds what is wrong with a folder's plan before a VM does: the file by the parser's rules, the commands of every step
 * by the shell that will run them, with -n (it reads, it executes nothing).
 *
 * Starts processes, so it is not part of the pure plan library. Must not know: git, images, how findings are printed.
 *
 *   CLEANUP(lint_release) struct lint lint = {0};
 *   rc = lint_folder(".", NULL, &lint, err);         ERR_NOT_FOUND: there is no plan (err says it well)
 *   for (size_t i = 0; i < lint.len; i++) …    print lint.findings[i]; exit code 2 if lint.errors */
#ifndef TALKOO_RUNNER_LINT_H
#define TALKOO_RUNNER_LINT_H

#include "runner/plan/plan.h"

#define LINT_SEVERITIES(X)                                                                                             \
	X(LINT_ERROR, 1, "error")     /* the job would be refused or fail */                                           \
	X(LINT_WARNING, 2, "warning") /* it may go wrong, or could not be checked */

enum lint_severity {
#define X(name, value, text) name = value,
	LINT_SEVERITIES(X)
#undef X
};

struct lint_finding {
	enum lint_severity severity;
	char file[256];
	uint32_t line, column; /* from 1; column 0 = not known, line 0 = the file as a whole */
	char text[512];        /* "steps[2].run: why"; safe to print */
	char hint[512];        /* may be "" */
};

struct lint {
	struct lint_finding *findings; /* owned; in the file's order */
	size_t len, errors;            /* all, and those of LINT_ERROR */
	bool has_plan;                 /* the file could be parsed: found is set */
	struct plan_found found;
	char shell[32];                /* what checked the steps, "bash", "busybox ash"; "" = nothing did */
};

void lint_release(struct lint *l);

/* One more finding about the plan's file, for the caller to fill in; NULL when there are too many, or no memory. */
struct lint_finding *lint_add(struct lint *l, enum lint_severity severity);
/* Looks at the plan of a folder; of one with cells at that one (NULL: the first). 0 with findings (perhaps none); ERR_NOT_FOUND without a plan; ERR_IO, ERR_NOMEM. */
int lint_folder(const char *folder, const char *cell, struct lint *ret, struct err *err) MUST_CHECK;
/* Checks the commands of a plan that is known already; adds to l. deadline_ms: for each step. */
int lint_steps(struct lint *l, unsigned deadline_ms, struct err *err) MUST_CHECK;

/* plan_list_fn for a folder: context is its descriptor (int *). */
int lint_list_folder(void *context, const char *path, struct buf *ret, struct err *err);
/* plan_read_fn for a folder: context is its descriptor (int *). Follows no link as last part; regular files only. */
int lint_read_file(void *context, const char *path, struct buf *ret, struct err *err);

const char *lint_severity_name(enum lint_severity s);

#endif
