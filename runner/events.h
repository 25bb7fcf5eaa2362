/* The runner's events on standard output: one JSON object a line (job.h, end).
 *
 * Lines gather in a buffer; events_flush() hands them to the pipe in pieces that cannot block, so a launcher that does
 * not read never holds up a deadline. Events that only say "more of the same" (log, stat) are left out while it lags.
 * Must not know: stages, jails. Links: base, job. */
#ifndef TALKOO_RUNNER_EVENTS_H
#define TALKOO_RUNNER_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "runner/job.h"
#include "runner/stage.h"

struct events {
	int fd;
	struct buf out;
	uint64_t start_ms;   /* of the job, monotonic */
	bool reader_is_gone; /* nothing is kept any more */
};

void events_init(struct events *e, int fd, uint64_t start_ms);
void events_release(struct events *e);

/* now_ms: monotonic, like start_ms. */
void events_stage(struct events *e, uint64_t now_ms, enum stage_id stage, bool is_start);
void events_plan(struct events *e, uint64_t now_ms, const struct job_report *r);
void events_step(struct events *e, uint64_t now_ms, const struct job_report *r, uint32_t index, bool is_start);
void events_log(struct events *e, uint64_t now_ms, uint64_t size_bytes);
void events_stat(struct events *e, uint64_t now_ms, uint64_t cpu_ms, uint64_t memory_bytes, uint64_t log_bytes);
/* A shell begins in the guest, on the launcher's socket. */
void events_shell(struct events *e, uint64_t now_ms);
void events_note(struct events *e, uint64_t now_ms, const char *text);
/* The last line. text: the report as one line of JSON without a newline. */
void events_report(struct events *e, const char *text);

bool events_pending(const struct events *e);
/* Writes at most one piece; the caller has seen POLLOUT on fd. */
void events_flush(struct events *e);
/* Flushes until empty, the reader is gone, or this many ms went by. */
void events_drain(struct events *e, int timeout_ms);

#endif
