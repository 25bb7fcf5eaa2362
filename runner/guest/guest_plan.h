/* The plan tar (runner/guest.h) as init reads it. Must not know: processes, disks' names. */
#ifndef TALKOO_RUNNER_GUEST_GUEST_PLAN_H
#define TALKOO_RUNNER_GUEST_GUEST_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"
#include "runner/job.h"

#define GUEST_PLAN_TEXT_MAX (4u << 20) /* bytes of env, of globs, of one script */
#define GUEST_PLAN_SUM_MAX (32u << 20) /* bytes of all scripts */

struct guest_step {
	char name[JOB_STEP_NAME_MAX];
	struct buf script;
	bool on_failure;
	uint64_t timeout_ms;              /* 0 = none */
	uint8_t needs[JOB_STEPS_MAX / 8]; /* a bit for each earlier step that must have passed */
};

struct guest_plan {
	char shell[8];          /* "auto", "sh" or "bash" */
	struct buf env;         /* NAME=VALUE\0… */
	struct buf globs;       /* one a line */
	bool has_cache;
	struct buf cache;       /* paths relative to the source, one a line */
	uint64_t artifact_bytes;
	uint64_t artifact_count;
	struct guest_step steps[JOB_STEPS_MAX];
	size_t steps_len;
	bool is_any_order;      /* some step has rules other than a timeout: steps may run side by side */
};

bool guest_step_needs(const struct guest_step *step, size_t other);

/* From a descriptor that is read to the tar's end. ERR_INVALID: no version, another version, a step without a script, a
 * gap in their numbers, an unknown file, a rule that is not known or names no earlier step. Big (static storage, not the stack). */
int guest_plan_read(int fd, struct guest_plan *ret, struct err *err) MUST_CHECK;
void guest_plan_release(struct guest_plan *p);

#endif
