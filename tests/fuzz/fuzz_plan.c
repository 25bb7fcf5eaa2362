/* Any bytes as a plan file of each format; what is accepted keeps the promises of plan.h. */
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "runner/plan/plan.h"
#include "tests/fuzz/fuzz.h"

struct input {
	const uint8_t *bytes;
	size_t len;
	const char *path;
};

static int read_input(void *context, const char *path, struct buf *ret, struct err *err)
{
	const struct input *in = context;
	if (strcmp(path, in->path) != 0)
		return err_set(err, ERR_NOT_FOUND, "%s is not there", path);
	buf_append(ret, in->bytes, in->len);
	return buf_check(ret, path, err);
}

/* a folder .builds with two files */
static int list_input(void *context, const char *folder, struct buf *ret, struct err *err)
{
	const struct input *in = context;
	if (strncmp(in->path, folder, strlen(folder)))
		return err_set(err, ERR_NOT_FOUND, "no folder");
	buf_str(ret, "one.yml\ntwo.yml\n");
	return buf_check(ret, folder, err);
}

static void check(const struct plan_found *f)
{
	const struct plan *p = &f->plan;
	if ((!plan_image_is_valid(p->image) && (p->image[0] || f->format == PLAN_FORMAT_TALKOO)) || !p->steps_len || p->steps_len > PLAN_STEPS_MAX || strlen(f->sha256) != 64)
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

static void read_as(const char *path, const uint8_t *data, size_t size)
{
	CLEANUP(plan_found_release) struct plan_found found = {0};
	struct input in = {data, size, path};
	struct err err = {0};
	if (plan_discover(&(struct plan_tree){read_input, list_input, &in}, NULL, &found, &err) == 0)
		check(&found);
	else if (!err.what[0])
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len;
	const char *const *paths = plan_paths(&len);
	for (size_t i = 0; i < len; i++)
		read_as(paths[i], data, size);
	read_as(".builds/one.yml", data, size);
	return 0;
}
