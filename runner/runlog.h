/* The run log: what a job's machine said, as JSON lines, for programs. Beside the plain log, which is what results name.
 *
 * One object a line, "t_ms" since the machine was started:
 *   {"v":1,"t_ms":N,"type":"step-start","step":I,"count":N,"name":"…"}     steps from 0
 *   {"v":1,"t_ms":N,"type":"output","step":I,"name":"…","text":"…"}        made safe as sanitise.h does; in pieces as they came
 *   {"v":1,"t_ms":N,"type":"step-end","step":I,"name":"…","exit_code":N}
 *   {"v":1,"t_ms":N,"type":"note","text":"…"}
 *   {"v":1,"t_ms":N,"type":"cut"}                                          output beyond the log's cap is left out from here on
 * Of steps that run side by side each line says whose it is. A run log that cannot be written is no reason to lose the job: it ends.
 * Must not know: frames, messages, clocks. Links: base. */
#ifndef TALKOO_RUNNER_RUNLOG_H
#define TALKOO_RUNNER_RUNLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/sanitise.h"
#include "runner/job.h"

struct runlog {
	int fd;                         /* -1 = none is written (any more) */
	uint64_t room_bytes;            /* what output may still take */
	uint64_t start_ms;
	bool is_cut;
	const char *const *names;       /* lent */
	uint32_t steps;
	struct sanitise states[JOB_STEPS_MAX];
	struct buf line, text;
};

/* fd: lent, written from where it stands. now_ms: monotonic. */
void runlog_init(struct runlog *r, int fd, uint64_t max_bytes, const char *const *names, uint32_t steps, uint64_t now_ms);
void runlog_release(struct runlog *r);
void runlog_start(struct runlog *r, uint32_t step, uint64_t now_ms);
void runlog_output(struct runlog *r, uint32_t step, const void *bytes, size_t len, uint64_t now_ms);
void runlog_end(struct runlog *r, uint32_t step, int exit_code, uint64_t now_ms);
/* text: safe already. */
void runlog_note(struct runlog *r, const char *text, uint64_t now_ms);

#endif
