/* Results and the verdict among those trusted, for people and programs; and waiting for it, live.
 *
 * Used by `results`, `watch`, `job announce --wait` and (for its table) `verify`. Links: client, view, exitcode. */
#ifndef TALKOO_CLI_VERDICTVIEW_H
#define TALKOO_CLI_VERDICTVIEW_H

#include "node/cli/cli.h"
#include "node/cli/client.h"
#include "proto/ids.h"

struct verdictview_query {
	bool is_job;
	const char *target;             /* full job id, or commit */
	char project[ID32_TEXT_MAX];    /* "" = not said */
	uint64_t need, timeout_ms;      /* 0 = not said */
	bool output_to_notes;           /* the job's output goes to stderr: stdout is taken */
};

/* --need and, where the command has it, --timeout. */
int verdictview_options(const struct cli *c, struct verdictview_query *q, struct err *err) MUST_CHECK;
/* Asks for the results (an object as CLI.md has it). */
int verdictview_ask(struct client *client, const struct verdictview_query *q, json_t **ret, struct err *err) MUST_CHECK;
/* Waits, shows; returns the exit code by verdict, or an error. */
int verdictview_watch(struct cli *c, struct client *client, const struct verdictview_query *q, struct err *err) MUST_CHECK;
/* The table and the verdict's line (people), or the object (JSON). */
void verdictview_print(struct out *o, const json_t *results);
/* Exit code of such an object. */
int verdictview_exit_code(const json_t *results);

#endif
