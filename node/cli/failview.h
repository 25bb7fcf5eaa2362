/* What a person wants to see of a job that failed: which step, its last lines, and the command that runs it at home.
 *
 * Used by `run` (from its report), `watch` and `job show` (from the node). All goes to the answer of the `out` that is given.
 * Links: base, client. */
#ifndef TALKOO_CLI_FAILVIEW_H
#define TALKOO_CLI_FAILVIEW_H

#include <jansson.h>
#include <stdbool.h>

#include "node/cli/client.h"
#include "node/cli/out.h"
#include "runner/job.h"

#define FAILVIEW_LINES 20
#define FAILVIEW_LINE_MAX 512
#define FAILVIEW_WORDS_MAX 24

struct failview_step {
	unsigned step, steps; /* from 1 */
	int exit_code;        /* -1: it did not end */
	char name[JOB_STEP_NAME_MAX];
};

/* The step that a job failed at; false when none did. */
bool failview_of_report(const struct job_report *r, struct failview_step *ret);
/* The same of one of `results` (outcome, steps). */
bool failview_of_result(const json_t *result, struct failview_step *ret);
/* The step, and the last lines of it from its job's log; log_fd -1: the log is not here. */
void failview_print(struct out *o, const struct failview_step *s, int log_fd);
/* The last lines of a step within a log (fd is read from its beginning): at most FAILVIEW_LINES, safe for a terminal. Returns how many. */
size_t failview_last_lines(int log_fd, unsigned step, char ret[FAILVIEW_LINES][FAILVIEW_LINE_MAX]);
/* "again   WORD…", as a shell takes it. NULL words are left out. */
void failview_again(struct out *o, const char *const *words, size_t len);
/* A word as a shell takes it. Returns out, cut to size. */
const char *failview_quote(const char *word, char *out, size_t size);
/* Whatever of `results` failed: step, lines, command; asks the node for the rest. Nothing where nothing failed. */
void failview_jobs(struct out *o, struct client *client, const json_t *results);

#endif
