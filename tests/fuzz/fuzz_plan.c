/* Any bytes as a `.talkoo.yml`; what is accepted keeps the promises of plan.h. */
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "runner/plan/plan.h"
#include "tests/fuzz/fuzz.h"

struct input {
	const uint8_t *bytes;
	size_t len;
};

static int read_input(void *context, const char *path, struct buf *ret, struct err *err)
{
	const struct input *in = context;
	buf_append(ret, in->bytes, in->len);
	return buf_check(ret, path, err);
}

static void check(const struct plan_found *f)
{
	const struct plan *p = &f->plan;
	if (!plan_image_is_valid(p->image) || !p->steps_len || p->steps_len > PLAN_STEPS_MAX || strlen(f->sha256) != 64)
		abort();
	for (size_t i = 0; i < p->steps_len; i++) {
		if (!p->steps[i].name[0] || strpbrk(p->steps[i].name, "\n\t\x1b") || !p->steps[i].run[0])
			abort();
	}
	for (size_t i = 0; i < p->env_len; i++) {
		if (!p->env[i].name[0] || strpbrk(p->env[i].name, "=\n") || !strncmp(p->env[i].name, "TALKOO_", 7))
			abort();
	}
	for (size_t i = 0; i < p->globs_len; i++) {
		if (p->globs[i][0] == '/' || strchr(p->globs[i], '\n') || strstr(p->globs[i], "/../"))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(plan_found_release) struct plan_found found = {0};
	struct input in = {data, size};
	struct err err = {0};
	if (plan_discover(read_input, &in, &found, &err) < 0) {
		if (!err.what[0])
			abort();
		return 0;
	}
	check(&found);
	return 0;
}
