/* The live view of one job: the log's bytes on stdout (sanitised), stages and steps with their times on stderr; on a
 * terminal the last line ticks. Used for a run at home (log bytes from a file) and for `watch` (from events).
 *
 * Must not know: where events come from. Links: base, out. */
#ifndef TALKOO_CLI_VIEW_H
#define TALKOO_CLI_VIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "node/cli/out.h"
#include "runner/job.h"

struct view {
	struct out *out;
	bool shows_log;        /* the log's bytes go to stdout */
	bool says_steps;       /* steps are named on stderr; not where the log, which names them too, is on the same screen */
	bool is_ticking;       /* a ticker stands on the terminal's last line */
	bool at_line_start;    /* of what stdout shows */
	uint64_t began_ms;     /* monotonic */
	uint64_t stage_began_ms, step_began_ms, drawn_ms;
	uint64_t cpu_ms, memory_bytes, log_bytes;
	unsigned step, steps;  /* step: from 1; 0 before the first */
	char stage[16];
	char step_name[JOB_STEP_NAME_MAX];
	char accel[16];
	struct sanitise log_state;
};

/* Milliseconds of the monotonic clock. */
uint64_t view_now_ms(void);

void view_init(struct view *v, struct out *o, bool shows_log);
/* One event of the runner's (job.h), or of the node's that has the same "type". Unknown ones are ignored. */
void view_event(struct view *v, const json_t *event);
/* More of the log. */
void view_log(struct view *v, const void *bytes, size_t len);
/* Redraws the ticker; to be called a few times a second. */
void view_tick(struct view *v);
/* Takes the ticker away and ends an open line, before something else is printed. */
void view_pause(struct view *v);
/* Outcome digest (proto/outcome.h) of a report that passed, failed or took too long; "" of another, or without memory. */
void view_outcome_digest(const struct job_report *r, char ret[65]);
/* What a finished job comes to: outcome, reason, hint, steps, times, digest. For people; nothing with JSON. */
void view_summary(struct view *v, const struct job_report *report);

/* Style of an outcome's or a verdict's name. */
enum out_style view_style(const char *name);

#endif
