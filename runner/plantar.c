#include "runner/plantar.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "runner/guest.h"
#include "runner/srctar.h"

#define TAR_MAX (16u << 20)
#define FILE_MAX (4u << 20)

static int put_file(struct srctar *t, const char *path, const struct buf *text, struct err *err)
{
	const int e = buf_check(text, path, err);
	return e ? e : srctar_file(t, path, false, text->data, text->len, err);
}

static int put_text(struct srctar *t, const char *path, const char *text, struct err *err)
{
	return srctar_file(t, path, false, text, strlen(text), err);
}

static void add_variable(struct buf *env, const char *name, const char *value)
{
	buf_str(env, name);
	buf_byte(env, '=');
	buf_str(env, value);
	buf_byte(env, 0);
}

static int put_env(const struct plantar *p, struct srctar *t, struct err *err)
{
	char date[24];
	snprintf(date, sizeof date, "%" PRId64, p->source_date);
	const struct {
		const char *name, *value;
	} ours[] = {{"CI", "true"}, {"SOURCE_DATE_EPOCH", date}, {"TALKOO_COMMIT", p->commit},
		    {"TALKOO_REF", p->job->source.ref}, {"TALKOO_JOB", p->job->job}};
	CLEANUP(buf_release) struct buf env;
	buf_init(&env, FILE_MAX);
	for (size_t i = 0; i < p->plan->env_len; i++)
		add_variable(&env, p->plan->env[i].name, p->plan->env[i].value);
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		add_variable(&env, ours[i].name, ours[i].value);
	return put_file(t, "env", &env, err);
}

static int put_globs(const struct plantar *p, struct srctar *t, struct err *err)
{
	CLEANUP(buf_release) struct buf globs;
	buf_init(&globs, FILE_MAX);
	for (size_t i = 0; i < p->plan->globs_len; i++)
		buf_printf(&globs, "%s\n", p->plan->globs[i]);
	return put_file(t, "globs", &globs, err);
}

static int put_cache(const struct plantar *p, struct srctar *t, struct err *err)
{
	CLEANUP(buf_release) struct buf paths;
	buf_init(&paths, FILE_MAX);
	for (size_t i = 0; i < p->plan->cache_len; i++)
		buf_printf(&paths, "%s\n", p->plan->cache[i]);
	return p->plan->has_cache ? put_file(t, "cache", &paths, err) : 0;
}

static int put_script(struct srctar *t, const char *path, const struct plan_step *step, struct err *err)
{
	CLEANUP(buf_release) struct buf script;
	buf_init(&script, FILE_MAX);
	buf_str(&script, step->prelude ? step->prelude : "");
	buf_str(&script, step->run);
	return put_file(t, path, &script, err);
}

/* What the guest cannot know by the step's place alone. */
static int put_rules(struct srctar *t, size_t index, const struct plan_step *step, struct err *err)
{
	if (!step->has_needs && !step->on_failure && !step->timeout_ms)
		return 0;
	char path[32];
	CLEANUP(buf_release) struct buf rules;
	buf_init(&rules, FILE_MAX);
	snprintf(path, sizeof path, "steps/%03zu.rules", index);
	if (step->has_needs)
		buf_str(&rules, "needs");
	for (size_t i = 0; i < step->needs_len; i++)
		buf_printf(&rules, " %u", step->needs[i]);
	if (step->has_needs)
		buf_byte(&rules, '\n');
	if (step->on_failure)
		buf_str(&rules, "if failed\n");
	if (step->timeout_ms)
		buf_printf(&rules, "timeout_ms %" PRIu64 "\n", step->timeout_ms);
	return put_file(t, path, &rules, err);
}

static int put_steps(const struct plantar *p, struct srctar *t, struct err *err)
{
	int e = 0;
	for (size_t i = 0; !e && i < p->plan->steps_len; i++) {
		const struct plan_step *step = &p->plan->steps[i];
		char path[32], name[JOB_STEP_NAME_MAX + 1];
		snprintf(path, sizeof path, "steps/%03zu.name", i);
		snprintf(name, sizeof name, "%s\n", step->name);
		e = put_text(t, path, name, err);
		snprintf(path, sizeof path, "steps/%03zu.run", i);
		if (!e)
			e = put_script(t, path, step, err);
		if (!e)
			e = put_rules(t, i, step, err);
	}
	return e;
}

int plantar_write(const struct plantar *p, int fd, struct err *err)
{
	CLEANUP(srctar_release) struct srctar t = {0};
	struct blob_digest unused;
	char limits[96];
	snprintf(limits, sizeof limits, "artifact_bytes %" PRIu64 "\nartifact_count %" PRIu32 "\n", p->job->limits.artifact_bytes,
		 p->job->limits.artifact_count);
	int e = srctar_init(&t, fd, p->source_date, TAR_MAX, err);
	if (!e)
		e = put_text(&t, "version", "1\n", err);
	if (!e)
		e = put_text(&t, "shell", "auto\n", err);
	if (!e)
		e = put_text(&t, "limits", limits, err);
	if (!e)
		e = put_env(p, &t, err);
	if (!e)
		e = put_globs(p, &t, err);
	if (!e)
		e = put_cache(p, &t, err);
	if (!e)
		e = put_steps(p, &t, err);
	return e ? e : srctar_finish(&t, &unused, err);
}
