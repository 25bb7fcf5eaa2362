/* Runs a plan's steps, streams their output, and leaves no process behind after each. A step runs once what it needs has
 * passed (without a word of its own: the step before it), side by side with others that can; one that needs a step which
 * did not pass never runs. So what ran is a function of what failed, not of who was faster. Steps for failures come last. Must not know: disks, tars. */
#ifndef TALKOO_RUNNER_GUEST_STEPS_H
#define TALKOO_RUNNER_GUEST_STEPS_H

#include <stdbool.h>

#include "proto/base/err.h"
#include "runner/guest/guest_plan.h"
#include "runner/guest/port.h"
#include "runner/guest/shell.h"

struct steps_options {
	unsigned slow;         /* factor for the steps' own timeouts */
	enum shell_when shell;
};

/* 0 with *ret_all_passed. A step that exits otherwise than 0 is no error; errors are init's own (no pipe, no fork). */
int steps_run(const struct guest_plan *plan, struct port *port, const struct steps_options *options, bool *ret_all_passed, struct err *err) MUST_CHECK;

#endif
