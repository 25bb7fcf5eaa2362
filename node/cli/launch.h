/* A launcher of talkoo-runner for one job at home (runner/job.h says what passes between them).
 *
 * The runner leads its own process group, so that Ctrl-C reaches only this program, which then cancels in order; should
 * this program die instead, the closed pipe ends the runner's whole tree.
 * Must not know: views, repositories. Links: base, job. */
#ifndef TALKOO_CLI_LAUNCH_H
#define TALKOO_CLI_LAUNCH_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>

#include "proto/base/err.h"
#include "runner/job.h"

struct launch;

enum launch_what {
	LAUNCH_EVENT = 1, /* *ret_event: an object (new reference), the report among them */
	LAUNCH_TICK,      /* timeout_ms passed */
	LAUNCH_SIGNAL,    /* SIGINT, SIGTERM or SIGHUP came */
	LAUNCH_END,       /* the runner has ended */
};

/* Path of a program of ours ("talkoo-runner"): TALKOO_LIBEXECDIR, the folder of this program, where it was installed.
 * ERR_NOT_FOUND names them. */
int launch_find_program(const char *name, char out[PATH_MAX], struct err *err) MUST_CHECK;
/* Path of a data file or folder ("images/build.sh"): below TALKOO_DATADIR, or where it was installed. */
int launch_find_data(const char *name, char out[PATH_MAX], struct err *err) MUST_CHECK;

/* Starts it and hands over the plan. shell_fd: what becomes JOB_SHELL_FD for a plan with a shell, else -1; stays the caller's. Blocks the three signals in this process until launch_free(). */
int launch_start(const struct job_plan *plan, int shell_fd, struct launch **ret, struct err *err) MUST_CHECK;
/* Waits for the next thing. ERR_INVALID: the runner wrote what is no event; ERR_IO. */
int launch_next(struct launch *l, int timeout_ms, enum launch_what *ret, json_t **ret_event, struct err *err) MUST_CHECK;
/* Can be read when LAUNCH_SIGNAL would come. Lent. */
int launch_signals(const struct launch *l);
/* Asks for the end: first a cancel (a report still comes), the second time the pipe is closed (the tree ends in 2 s). */
void launch_cancel(struct launch *l);
/* After LAUNCH_END: how the runner ended, as a sentence's end ("exit code 3", "signal 11"), and what it last said. */
const char *launch_how_ended(const struct launch *l);
const char *launch_last_words(const struct launch *l);
/* Ends what still runs. */
void launch_free(struct launch **l);

#endif
