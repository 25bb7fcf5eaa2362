/* The guest's frames (frames.h) as bytes from a hostile guest: cut out, checked in form and in order, one at a time.
 *
 * Must not know: descriptors, files, clocks. Pure: bytes in, values out; allocates nothing.
 *
 * How it is used: keep a buffer of at least FRAME_HEADER_LEN + FRAME_PAYLOAD_MAX bytes; call frame_reader_next() on what
 * has arrived, move on by *ret_used, until it says FRAME_MORE. Once broken it stays broken. */
#ifndef TALKOO_RUNNER_FRAME_READER_H
#define TALKOO_RUNNER_FRAME_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runner/frames.h"
#include "runner/job.h"

#define FRAME_PROTOCOL_VERSION 1

enum frame_result {
	FRAME_MORE = 1, /* not a whole frame yet */
	FRAME_GOT,      /* *ret is filled */
	FRAME_BROKEN,   /* frame_reader.why says how */
};

struct frame {
	enum frame_type type;
	uint32_t step;            /* STEP_START, OUTPUT, STEP_END, LIMIT: index below the number of steps */
	const uint8_t *payload;   /* OUTPUT, ERROR, NOTE: lent, inside the caller's bytes */
	size_t payload_len;
	uint8_t exit_code;                             /* STEP_END */
	uint64_t cpu_ms, memory_bytes, scratch_bytes;  /* STAT */
	uint64_t tar_bytes;                            /* DONE, CACHE */
	bool is_partial;                               /* DONE */
	enum guest_limit limit;                        /* LIMIT */
};

/* What may come next. */
enum frame_phase {
	FRAME_PHASE_HELLO = 1, /* HELLO alone */
	FRAME_PHASE_BETWEEN,   /* no step runs: STEP_START of the next one, DONE, ERROR */
	FRAME_PHASE_STEP,      /* `running` steps run: their STEP_END, ERROR; with any_order STEP_START of others */
	FRAME_PHASE_ENDED,     /* after DONE or ERROR: STAT and NOTE at most */
	FRAME_PHASE_BROKEN,    /* nothing is read any more */
};

struct frame_reader {
	enum frame_phase phase;
	uint32_t steps; /* of the plan */
	bool any_order; /* steps may start in any order, side by side; each once all the same */
	uint32_t next;  /* steps started so far */
	uint32_t running;
	uint8_t states[JOB_STEPS_MAX]; /* 0 = not started, 1 = runs, 2 = ended */
	const char *why; /* once broken: what was wrong; static storage */
};

/* steps: how many the plan has, at most JOB_STEPS_MAX. any_order: whether they may run otherwise than one after the other. */
void frame_reader_init(struct frame_reader *r, uint32_t steps, bool any_order);
/* Looks at bytes (len of them, the oldest first). With FRAME_GOT *ret_used bytes are the frame and *ret is its content. */
enum frame_result frame_reader_next(struct frame_reader *r, const uint8_t *bytes, size_t len, size_t *ret_used,
				    struct frame *ret);

#endif
