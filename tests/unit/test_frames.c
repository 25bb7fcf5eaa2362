/* The guest's frames: a table of good streams, and of everything a hostile guest may send instead. */
#include <string.h>

#include "proto/base/buf.h"
#include "proto/base/cleanup.h"
#include "runner/frame_reader.h"
#include "tests/unit/tap.h"

#define STEPS 2

#define HEAD(type, step, len) type, 0, (step) & 0xff, (step) >> 8, (len) & 0xff, ((len) >> 8) & 0xff, ((len) >> 16) & 0xff, (len) >> 24
#define HELLO HEAD(FRAME_HELLO, 0, 1), 1
#define START(step) HEAD(FRAME_STEP_START, step, 0)
#define OUTPUT2(step) HEAD(FRAME_OUTPUT, step, 2), 'h', 'i'
#define END(step, code) HEAD(FRAME_STEP_END, step, 4), code, 0, 0, 0
#define STAT HEAD(FRAME_STAT, 0, 24), 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0x80
#define DONE HEAD(FRAME_DONE, 0, 9), 0, 2, 0, 0, 0, 0, 0, 0, 1
#define ERROR HEAD(FRAME_ERROR, 0, 2), 'n', 'o'
#define NOTE HEAD(FRAME_NOTE, 0, 2), 'o', 'k'
#define LIMIT(step, which) HEAD(FRAME_LIMIT, step, 1), which
#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

/* frames: how many are taken before the end; why: NULL where the rest is only incomplete */
static const struct {
	const char *name;
	const uint8_t *bytes;
	size_t len;
	size_t frames;
	bool is_broken;
} cases[] = {
	{"nothing", (const uint8_t *)"", 0, 0, false},
	{"a whole job", BYTES(HELLO, NOTE, START(0), OUTPUT2(0), STAT, END(0, 0), START(1), END(1, 3), DONE), 9, false},
	{"output after its step's end", BYTES(HELLO, START(0), END(0, 0), OUTPUT2(0)), 4, false},
	{"a limit met", BYTES(HELLO, START(0), LIMIT(0, GUEST_LIMIT_MEMORY), END(0, 137), DONE), 5, false},
	{"a limit told afterwards", BYTES(HELLO, START(0), END(0, 137), LIMIT(0, GUEST_LIMIT_DISK), DONE), 5, false},
	{"error at once", BYTES(HELLO, ERROR), 2, false},
	{"error within a step", BYTES(HELLO, START(0), ERROR), 3, false},
	{"note and stat after done", BYTES(HELLO, DONE, NOTE, STAT), 4, false},
	{"half a header", BYTES(FRAME_HELLO, 0, 0), 0, false},
	{"half a payload", BYTES(HELLO, START(0), HEAD(FRAME_OUTPUT, 0, 2), 'h'), 2, false},

	{"type 0", BYTES(HEAD(0, 0, 0)), 0, true},
	{"an unknown type", BYTES(HELLO, HEAD(FRAME_LIMIT + 1, 0, 0)), 1, true},
	{"the reserved byte", BYTES(FRAME_HELLO, 1, 0, 0, 1, 0, 0, 0, 1), 0, true},
	{"no hello", BYTES(START(0)), 0, true},
	{"output before hello", BYTES(OUTPUT2(0)), 0, true},
	{"hello twice", BYTES(HELLO, HELLO), 1, true},
	{"hello in version 2", BYTES(HEAD(FRAME_HELLO, 0, 1), 2), 0, true},
	{"hello without a version", BYTES(HEAD(FRAME_HELLO, 0, 0)), 0, true},
	{"hello too long", BYTES(HEAD(FRAME_HELLO, 0, 2), 1, 1), 0, true},
	{"a payload over the maximum", BYTES(HELLO, START(0), HEAD(FRAME_OUTPUT, 0, FRAME_PAYLOAD_MAX + 1)), 2, true},
	{"a payload of 4 GiB", BYTES(HELLO, START(0), FRAME_OUTPUT, 0, 0, 0, 0xff, 0xff, 0xff, 0xff), 2, true},
	{"output before any step", BYTES(HELLO, OUTPUT2(0)), 1, true},
	{"output of a step to come", BYTES(HELLO, START(0), OUTPUT2(1)), 2, true},
	{"steps out of order", BYTES(HELLO, START(1)), 1, true},
	{"a step twice", BYTES(HELLO, START(0), END(0, 0), START(0)), 3, true},
	{"a step within a step", BYTES(HELLO, START(0), START(1)), 2, true},
	{"more steps than planned", BYTES(HELLO, START(0), END(0, 0), START(1), END(1, 0), START(2)), 5, true},
	{"a step's number past 255", BYTES(HELLO, START(256)), 1, true},
	{"a start with a payload", BYTES(HELLO, HEAD(FRAME_STEP_START, 0, 1), 0), 1, true},
	{"an end without a start", BYTES(HELLO, END(0, 0)), 1, true},
	{"the end of another step", BYTES(HELLO, START(0), END(0, 0), START(1), END(0, 0)), 4, true},
	{"an exit code past 255", BYTES(HELLO, START(0), HEAD(FRAME_STEP_END, 0, 4), 0, 1, 0, 0), 2, true},
	{"a negative exit code", BYTES(HELLO, START(0), HEAD(FRAME_STEP_END, 0, 4), 0xff, 0xff, 0xff, 0xff), 2, true},
	{"a short exit code", BYTES(HELLO, START(0), HEAD(FRAME_STEP_END, 0, 3), 0, 0, 0), 2, true},
	{"a short stat", BYTES(HELLO, HEAD(FRAME_STAT, 0, 23)), 1, true},
	{"done within a step", BYTES(HELLO, START(0), DONE), 2, true},
	{"done twice", BYTES(HELLO, DONE, DONE), 2, true},
	{"a step after done", BYTES(HELLO, DONE, START(0)), 2, true},
	{"done with a bad flag", BYTES(HELLO, HEAD(FRAME_DONE, 0, 9), 0, 0, 0, 0, 0, 0, 0, 0, 2), 1, true},
	{"output after error", BYTES(HELLO, START(0), ERROR, OUTPUT2(0)), 3, true},
	{"an unknown limit", BYTES(HELLO, START(0), LIMIT(0, 4)), 2, true},
	{"a limit of no step", BYTES(HELLO, LIMIT(0, 1)), 1, true},
};

/* Feeds `piece` bytes at a time, as a socket may. */
static size_t take_all(struct frame_reader *r, const uint8_t *bytes, size_t len, size_t piece, bool *ret_broken)
{
	size_t frames = 0, at = 0;
	*ret_broken = false;
	for (size_t have = piece < len ? piece : len;; have = have + piece < len ? have + piece : len) {
		struct frame f;
		size_t used = 0;
		enum frame_result got;
		while ((got = frame_reader_next(r, bytes + at, have - at, &used, &f)) == FRAME_GOT) {
			frames++;
			at += used;
		}
		*ret_broken = got == FRAME_BROKEN;
		if (*ret_broken || have == len)
			return frames;
	}
}

static void test_table(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (size_t piece = 1; piece <= 64; piece += 21) {
			struct frame_reader r;
			bool is_broken;
			frame_reader_init(&r, STEPS, false);
			const size_t frames = take_all(&r, cases[i].bytes, cases[i].len, piece, &is_broken);
			OK(frames == cases[i].frames && is_broken == cases[i].is_broken && (!is_broken || r.why),
			   "%s, %zu bytes at a time: %zu frames%s", cases[i].name, piece, frames, is_broken ? ", broken" : "");
		}
	}
}

static void test_values(void)
{
	static const uint8_t bytes[] = {HELLO, START(0), OUTPUT2(0), STAT, LIMIT(0, 2), END(0, 255), DONE};
	struct frame_reader r;
	frame_reader_init(&r, STEPS, false);
	struct frame f[7];
	size_t at = 0;
	for (size_t i = 0; i < ARRAY_LEN(f); i++) {
		size_t used = 0;
		OK(frame_reader_next(&r, bytes + at, sizeof bytes - at, &used, &f[i]) == FRAME_GOT, "frame %zu", i);
		at += used;
	}
	MEMEQ(f[2].payload, "hi", 2);
	INTEQ(f[3].cpu_ms, 1);
	INTEQ(f[3].memory_bytes, 2);
	OK(f[3].scratch_bytes == (0x80ull << 56 | 3), "all 64 bits of a number");
	INTEQ(f[4].limit, GUEST_LIMIT_DISK);
	INTEQ(f[5].exit_code, 255);
	INTEQ(f[6].tar_bytes, 512);
	OK(f[6].is_partial, "partial");
}

/* Where the plan lets steps run side by side: any order, each once, and DONE only after all. */
static void test_any_order(void)
{
	const struct {
		const char *name;
		const uint8_t *bytes;
		size_t len, frames;
		bool is_broken;
	} table[] = {
		{"side by side", BYTES(HELLO, START(1), OUTPUT2(1), START(0), OUTPUT2(0), OUTPUT2(1), END(1, 0), END(0, 1), DONE), 9, false},
		{"the second alone", BYTES(HELLO, START(1), END(1, 1), DONE), 4, false},
		{"a timeout met", BYTES(HELLO, START(1), START(0), LIMIT(0, GUEST_LIMIT_TIME), END(0, 137), END(1, 0), DONE), 7, false},
		{"a step twice", BYTES(HELLO, START(1), END(1, 0), START(1)), 3, true},
		{"a step twice at once", BYTES(HELLO, START(1), START(1)), 2, true},
		{"one that is not planned", BYTES(HELLO, START(2)), 1, true},
		{"output of a step to come", BYTES(HELLO, START(1), OUTPUT2(0)), 2, true},
		{"the end of a step to come", BYTES(HELLO, START(1), END(0, 0)), 2, true},
		{"an end twice", BYTES(HELLO, START(1), START(0), END(1, 0), END(1, 0)), 4, true},
		{"done while one runs", BYTES(HELLO, START(1), START(0), END(1, 0), DONE), 4, true},
		{"a limit of a step to come", BYTES(HELLO, START(1), LIMIT(0, GUEST_LIMIT_TIME)), 2, true},
		{"an unknown limit", BYTES(HELLO, START(1), LIMIT(1, GUEST_LIMIT_TIME + 1)), 2, true},
	};
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct frame_reader r;
		struct frame f;
		size_t at = 0, used, frames = 0;
		enum frame_result got;
		frame_reader_init(&r, STEPS, true);
		while ((got = frame_reader_next(&r, table[i].bytes + at, table[i].len - at, &used, &f)) == FRAME_GOT) {
			at += used;
			frames++;
		}
		OK(frames == table[i].frames && (got == FRAME_BROKEN) == table[i].is_broken, "%s: %zu frames, %s", table[i].name, frames,
		   r.why ? r.why : "fine");
	}
}

static void test_stays_broken(void)
{
	static const uint8_t bad[] = {HEAD(99, 0, 0)}, good[] = {HELLO};
	struct frame_reader r;
	frame_reader_init(&r, STEPS, false);
	struct frame f;
	size_t used;
	INTEQ(frame_reader_next(&r, bad, sizeof bad, &used, &f), FRAME_BROKEN);
	INTEQ(frame_reader_next(&r, good, sizeof good, &used, &f), FRAME_BROKEN);
}

static void test_no_steps(void)
{
	static const uint8_t bytes[] = {HELLO, START(0)};
	struct frame_reader r;
	bool is_broken;
	frame_reader_init(&r, 0, false);
	INTEQ(take_all(&r, bytes, sizeof bytes, sizeof bytes, &is_broken), 1);
	OK(is_broken, "a plan without steps starts none");
}

int main(void)
{
	test_table();
	test_values();
	test_any_order();
	test_stays_broken();
	test_no_steps();
	return tap_done();
}
