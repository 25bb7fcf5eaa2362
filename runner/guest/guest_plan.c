#include "runner/guest/guest_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "runner/guest/tar_read.h"

void guest_plan_release(struct guest_plan *p)
{
	if (!p)
		return;
	buf_release(&p->env);
	buf_release(&p->globs);
	buf_release(&p->cache);
	for (size_t i = 0; i < p->steps_len; i++)
		buf_release(&p->steps[i].script);
	p->steps_len = 0;
}

static int read_buf(struct tar_reader *r, struct buf *out, const char *what, struct err *err)
{
	const uint8_t *bytes = NULL;
	ssize_t n;
	while ((n = tar_read(r, &bytes, err)) > 0)
		buf_append(out, bytes, (size_t)n);
	return n < 0 ? (int)n : buf_check(out, what, err);
}

static int read_limits(struct tar_reader *r, struct guest_plan *p, struct err *err)
{
	char text[256];
	const ssize_t n = tar_read_text(r, text, sizeof text, err);
	if (n < 0)
		return (int)n;
	unsigned long long bytes = 0, count = 0;
	if (sscanf(text, "artifact_bytes %llu artifact_count %llu", &bytes, &count) != 2)
		return err_set(err, ERR_INVALID, "the plan tar has limits that cannot be read");
	p->artifact_bytes = bytes;
	p->artifact_count = count;
	return 0;
}

bool guest_step_needs(const struct guest_step *step, size_t other)
{
	return step->needs[other / 8] >> (other % 8) & 1;
}

static void add_need(struct guest_step *step, size_t other)
{
	step->needs[other / 8] |= (uint8_t)(1u << (other % 8));
}

/* Without a word of its own a step needs the one before it that runs anyway. */
static void add_default_need(struct guest_plan *p, size_t index)
{
	for (size_t i = index; i-- > 0;) {
		if (p->steps[i].on_failure)
			continue;
		add_need(&p->steps[index], i);
		return;
	}
}

static bool read_needs(struct guest_plan *p, size_t index, const char *numbers)
{
	memset(p->steps[index].needs, 0, sizeof p->steps[index].needs);
	while (*numbers == ' ') {
		char *end;
		const unsigned long other = strtoul(numbers + 1, &end, 10);
		if (end == numbers + 1 || other >= index || p->steps[other].on_failure)
			return false;
		add_need(&p->steps[index], other);
		numbers = end;
	}
	return !*numbers;
}

static bool read_rule(struct guest_plan *p, size_t index, const char *line)
{
	struct guest_step *const step = &p->steps[index];
	char *end;
	if (!strncmp(line, "timeout_ms ", 11)) {
		step->timeout_ms = strtoull(line + 11, &end, 10);
		return step->timeout_ms && !*end;
	}
	p->is_any_order = true;
	if (!strcmp(line, "if failed")) {
		step->on_failure = true;
		memset(step->needs, 0, sizeof step->needs);
		return true;
	}
	return !strncmp(line, "needs", 5) && read_needs(p, index, line + 5);
}

static int read_rules(struct tar_reader *r, struct guest_plan *p, size_t index, struct err *err)
{
	char text[4096], *rest = text;
	const ssize_t n = tar_read_text(r, text, sizeof text, err);
	if (n < 0)
		return (int)n;
	for (char *line; (line = strsep(&rest, "\n"));) {
		if (*line && !read_rule(p, index, line))
			return err_set(err, ERR_INVALID, "the plan tar has an unknown rule for step %zu: %.60s", index, line);
	}
	return 0;
}

/* "steps/NNN.name", "steps/NNN.run" or "steps/NNN.rules", in order */
static int read_step(struct tar_reader *r, const char *path, struct guest_plan *p, struct err *err)
{
	unsigned number = 0;
	char kind[8];
	int used = 0;
	if (sscanf(path, "steps/%3u.%7[a-z]%n", &number, kind, &used) != 2 || path[used] || number > p->steps_len ||
	    number + 1 < p->steps_len)
		return err_set(err, ERR_INVALID, "the plan tar has an unknown file or steps out of order: %.60s", path);
	if (number == p->steps_len) {
		if (number >= JOB_STEPS_MAX)
			return err_set(err, ERR_LIMIT, "the plan tar has over %d steps", JOB_STEPS_MAX);
		buf_init(&p->steps[number].script, GUEST_PLAN_TEXT_MAX);
		p->steps[number].name[0] = 0;
		p->steps_len++;
		add_default_need(p, number);
	}
	struct guest_step *const step = &p->steps[number];
	if (!strcmp(kind, "run"))
		return read_buf(r, &step->script, "a step's script", err);
	if (!strcmp(kind, "rules"))
		return read_rules(r, p, number, err);
	if (strcmp(kind, "name"))
		return err_set(err, ERR_INVALID, "the plan tar has an unknown file: %.60s", path);
	char text[4096];
	const ssize_t n = tar_read_text(r, text, sizeof text, err);
	if (n < 0)
		return (int)n;
	text[strcspn(text, "\n")] = 0;
	snprintf(step->name, sizeof step->name, "%s", text);
	return 0;
}

static int read_file(struct tar_reader *r, const char *path, struct guest_plan *p, char *version, struct err *err)
{
	if (!strncmp(path, "steps/", 6))
		return read_step(r, path, p, err);
	if (!strcmp(path, "env"))
		return read_buf(r, &p->env, "the environment", err);
	if (!strcmp(path, "globs"))
		return read_buf(r, &p->globs, "the artifact globs", err);
	if (!strcmp(path, "cache")) {
		p->has_cache = true;
		return read_buf(r, &p->cache, "the cached paths", err);
	}
	if (!strcmp(path, "limits"))
		return read_limits(r, p, err);
	const bool is_version = !strcmp(path, "version");
	if (!is_version && strcmp(path, "shell"))
		return err_set(err, ERR_INVALID, "the plan tar has an unknown file: %.60s", path);
	char *const text = is_version ? version : p->shell;
	const ssize_t n = tar_read_text(r, text, 8, err);
	if (n < 0)
		return (int)n;
	text[strcspn(text, "\n")] = 0;
	return 0;
}

static int check(const struct guest_plan *p, const char *version, struct err *err)
{
	if (strcmp(version, "1"))
		return err_set(err, ERR_INVALID, "the plan tar has version '%s', this image's init reads 1", version);
	if (strcmp(p->shell, "sh") && strcmp(p->shell, "bash") && strcmp(p->shell, "auto"))
		return err_set(err, ERR_INVALID, "the plan tar asks for the shell '%s'", p->shell);
	if (!p->steps_len)
		return err_set(err, ERR_INVALID, "the plan tar has no steps");
	uint64_t sum = 0;
	for (size_t i = 0; i < p->steps_len; i++) {
		sum += p->steps[i].script.len;
		if (!p->steps[i].script.len || sum > GUEST_PLAN_SUM_MAX)
			return err_set(err, ERR_INVALID, "the plan tar's step %zu is empty or too long", i);
	}
	return 0;
}

int guest_plan_read(int fd, struct guest_plan *ret, struct err *err)
{
	memset(ret, 0, sizeof *ret);
	buf_init(&ret->env, GUEST_PLAN_TEXT_MAX);
	buf_init(&ret->globs, GUEST_PLAN_TEXT_MAX);
	buf_init(&ret->cache, GUEST_PLAN_TEXT_MAX);
	CLEANUP(tar_reader_release) struct tar_reader r = {0};
	int rc = tar_reader_init(&r, tar_source_fd, &fd, err);
	if (rc)
		return rc;
	static struct tar_entry e;
	char version[8] = "";
	while ((rc = tar_next(&r, &e, err)) == 1) {
		if (e.type == TAR_FOLDER)
			continue;
		if (e.type == TAR_SYMLINK)
			return err_set(err, ERR_INVALID, "the plan tar has a link");
		rc = read_file(&r, e.path, ret, version, err);
		if (rc)
			return rc;
	}
	return rc ? rc : check(ret, version, err);
}
