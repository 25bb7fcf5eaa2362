/* talkoo-runner processes: started with a job plan, heard line by line, stopped, reaped. (runner/job.h says what passes.)
 * The struct is the owner's. Must not know: the node. */
#ifndef TALKOO_NODE_RUNNER_UV_H
#define TALKOO_NODE_RUNNER_UV_H

#include <uv.h>

#include "proto/ids.h"
#include "runner/job.h"

struct runner;
struct runners {
	uv_loop_t *loop;
	struct runner *first;
	void (*on_line)(void *user, const struct id32 *job, const char *line, size_t len);
	void (*on_end)(void *user, const struct id32 *job, const char *how); /* "" or a sentence */
	void *user;
};

void runners_init(struct runners *rs, uv_loop_t *loop, void (*on_line)(void *, const struct id32 *, const char *, size_t),
		  void (*on_end)(void *, const struct id32 *, const char *), void *user);
/* In the idle scheduling class, niced, with idle I/O priority. ERR_IO with a hint when it cannot be started. */
int runners_start(struct runners *rs, const struct id32 *job, const struct job_plan *plan, struct err *err) MUST_CHECK;
/* "cancel"; end of file on its input 2 s later; a kill 2 s after that. */
void runners_stop(struct runners *rs, const struct id32 *job);
void runners_kill(struct runners *rs);
bool runners_are_gone(const struct runners *rs);

#endif
