#include "runner/frame_reader.h"

#include <string.h>

#include "proto/base/cleanup.h"

/* One row a type: how long its payload may be, whether its step field must name a step that was started, and in which
 * phases it may come. */
#define IN(phase) (1u << (phase))
#define IN_RUN (IN(FRAME_PHASE_BETWEEN) | IN(FRAME_PHASE_STEP))

struct frame_rule {
	enum frame_type type;
	uint32_t least, most;
	bool names_step;
	unsigned phases;
};

static const struct frame_rule rules[] = {
	{FRAME_HELLO, 1, 1, false, IN(FRAME_PHASE_HELLO)},
	{FRAME_STEP_START, 0, 0, false, IN_RUN},
	/* a process that a step left behind may still write after the step's end */
	{FRAME_OUTPUT, 0, FRAME_PAYLOAD_MAX, true, IN_RUN},
	{FRAME_STEP_END, 4, 4, true, IN(FRAME_PHASE_STEP)},
	{FRAME_STAT, 24, 24, false, IN_RUN | IN(FRAME_PHASE_ENDED)},
	{FRAME_DONE, 9, 9, false, IN(FRAME_PHASE_BETWEEN)},
	{FRAME_ERROR, 0, FRAME_PAYLOAD_MAX, false, IN_RUN},
	{FRAME_NOTE, 0, FRAME_PAYLOAD_MAX, false, IN_RUN | IN(FRAME_PHASE_ENDED)},
	{FRAME_LIMIT, 1, 1, true, IN_RUN},
	{FRAME_CACHE, 8, 8, false, IN(FRAME_PHASE_BETWEEN)},
	{FRAME_SHELL, 0, 0, false, IN(FRAME_PHASE_BETWEEN)},
};

static uint64_t little_endian(const uint8_t *bytes, size_t len)
{
	uint64_t value = 0;
	for (size_t i = len; i-- > 0;)
		value = value << 8 | bytes[i];
	return value;
}

static enum frame_result broken(struct frame_reader *r, const char *why)
{
	r->phase = FRAME_PHASE_BROKEN;
	r->why = why;
	return FRAME_BROKEN;
}

void frame_reader_init(struct frame_reader *r, uint32_t steps, bool any_order)
{
	*r = (struct frame_reader){.phase = FRAME_PHASE_HELLO, .steps = steps < JOB_STEPS_MAX ? steps : JOB_STEPS_MAX, .any_order = any_order};
}

static bool has_started(const struct frame_reader *r, uint32_t step)
{
	return step < r->steps && r->states[step] != 0;
}

static bool start_step(struct frame_reader *r, uint32_t step)
{
	const bool is_turn = r->any_order || (!r->running && step == r->next);
	if (step >= r->steps || r->states[step] || !is_turn)
		return false;
	r->states[step] = 1;
	r->next++;
	r->running++;
	r->phase = FRAME_PHASE_STEP;
	return true;
}

static bool end_step(struct frame_reader *r, uint32_t step, uint64_t exit_code)
{
	if (step >= r->steps || r->states[step] != 1 || exit_code > 255)
		return false;
	r->states[step] = 2;
	r->running--;
	if (!r->running)
		r->phase = FRAME_PHASE_BETWEEN;
	return true;
}

static const struct frame_rule *find_rule(uint8_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (rules[i].type == type)
			return &rules[i];
	return NULL;
}

/* Takes the payload apart and moves the phase. NULL, or what is wrong. */
static const char *accept(struct frame_reader *r, struct frame *f)
{
	const uint8_t *p = f->payload;
	switch (f->type) {
	case FRAME_HELLO:
		if (p[0] != FRAME_PROTOCOL_VERSION)
			return "it speaks another protocol version";
		r->phase = FRAME_PHASE_BETWEEN;
		return NULL;
	case FRAME_STEP_START:
		return start_step(r, f->step) ? NULL : "a step started out of turn";
	case FRAME_STEP_END:
		if (!end_step(r, f->step, little_endian(p, 4)))
			return "a step ended that cannot end so";
		f->exit_code = p[0];
		return NULL;
	case FRAME_STAT:
		f->cpu_ms = little_endian(p, 8);
		f->memory_bytes = little_endian(p + 8, 8);
		f->scratch_bytes = little_endian(p + 16, 8);
		return NULL;
	case FRAME_DONE:
		if (p[8] > 1)
			return "its last frame is malformed";
		f->tar_bytes = little_endian(p, 8);
		f->is_partial = p[8] == 1;
		r->phase = FRAME_PHASE_ENDED;
		return NULL;
	case FRAME_CACHE:
		f->tar_bytes = little_endian(p, 8);
		return NULL;
	case FRAME_ERROR:
		r->phase = FRAME_PHASE_ENDED;
		return NULL;
	case FRAME_LIMIT:
		if (p[0] < GUEST_LIMIT_MEMORY || p[0] > GUEST_LIMIT_TIME)
			return "an unknown limit";
		f->limit = (enum guest_limit)p[0];
		return NULL;
	case FRAME_OUTPUT:
	case FRAME_NOTE:
	case FRAME_SHELL:
		return NULL;
	}
	return "an unknown frame";
}

enum frame_result frame_reader_next(struct frame_reader *r, const uint8_t *bytes, size_t len, size_t *ret_used,
				    struct frame *ret)
{
	if (r->phase == FRAME_PHASE_BROKEN)
		return FRAME_BROKEN;
	if (len < FRAME_HEADER_LEN)
		return FRAME_MORE;
	const struct frame_rule *rule = find_rule(bytes[0]);
	const uint32_t payload_len = (uint32_t)little_endian(bytes + 4, 4);
	if (!rule || bytes[1] != 0)
		return broken(r, "an unknown frame");
	if (payload_len < rule->least || payload_len > rule->most)
		return broken(r, "a frame of impossible length");
	if (!(rule->phases & IN(r->phase)))
		return broken(r, "a frame out of turn");
	if (len - FRAME_HEADER_LEN < payload_len)
		return FRAME_MORE;
	struct frame f = {
		.type = rule->type,
		.step = (uint32_t)little_endian(bytes + 2, 2),
		.payload = bytes + FRAME_HEADER_LEN,
		.payload_len = payload_len,
	};
	if (rule->names_step && !has_started(r, f.step))
		return broken(r, "a frame of a step that never started");
	const char *why = accept(r, &f);
	if (why)
		return broken(r, why);
	*ret_used = FRAME_HEADER_LEN + payload_len;
	*ret = f;
	return FRAME_GOT;
}
