/* Runs a plan's steps one after the other, streams their output, stops at the first that fails, and leaves no process
 * behind after each. Must not know: disks, tars. */
#ifndef TALKOO_RUNNER_GUEST_STEPS_H
#define TALKOO_RUNNER_GUEST_STEPS_H

#include <stdbool.h>

#include "proto/base/err.h"
#include "runner/guest/guest_plan.h"
#include "runner/guest/port.h"

/* 0 with *ret_all_passed. A step that exits otherwise than 0 is no error; errors are init's own (no pipe, no fork). */
int steps_run(const struct guest_plan *plan, struct port *port, bool *ret_all_passed, struct err *err) MUST_CHECK;

#endif
