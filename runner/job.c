/* The tables of a job plan's and a report's keys, the names of their enums, and what makes a plan whole. */
#include "runner/job.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "runner/job_fields.h"

static const struct job_field digest_fields[] = {
	JOB_FIELD(job_digest, sha256, FIELD_HEX, true),
	JOB_FIELD(job_digest, root, FIELD_HEX, true),
	JOB_FIELD(job_digest, size_bytes, FIELD_U64, true),
};
static const struct job_table digest_table = JOB_TABLE(digest_fields);

static const struct job_field limits_fields[] = {
	JOB_FIELD(job_limits, cpus, FIELD_U32, true),
	JOB_FIELD(job_limits, memory_bytes, FIELD_U64, true),
	JOB_FIELD(job_limits, disk_bytes, FIELD_U64, true),
	JOB_FIELD(job_limits, timeout_ms, FIELD_U64, true),
	JOB_FIELD(job_limits, log_bytes, FIELD_U64, true),
	JOB_FIELD(job_limits, artifact_bytes, FIELD_U64, true),
	JOB_FIELD(job_limits, artifact_count, FIELD_U32, true),
	JOB_FIELD(job_limits, source_bytes, FIELD_U64, true),
};
static const struct job_table limits_table = JOB_TABLE(limits_fields);

static const struct job_field source_fields[] = {
	JOB_FIELD(job_source, url, FIELD_TEXT, false),
	JOB_FIELD(job_source, allow_loopback, FIELD_BOOL, false),
	JOB_FIELD(job_source, allow_private, FIELD_BOOL, false),
	JOB_FIELD(job_source, allow_file, FIELD_BOOL, false),
	JOB_FIELD(job_source, ref, FIELD_TEXT, false),
	JOB_FIELD(job_source, commit, FIELD_COMMIT, true),
	JOB_FIELD(job_source, mirror, FIELD_TEXT, false),
	JOB_FIELD(job_source, local_objects, FIELD_TEXT, false),
	JOB_FIELD(job_source, local_alternates, FIELD_PATHS, false),
};
static const struct job_table source_table = JOB_TABLE(source_fields);

static const struct job_field plan_fields[] = {
	JOB_FIELD(job_plan, job, FIELD_HEX, false),
	JOB_FIELD(job_plan, dir, FIELD_TEXT, true),
	JOB_NESTED(job_plan, source, &source_table),
	JOB_FIELD(job_plan, plan_origin, FIELD_ORIGIN, true),
	JOB_FIELD(job_plan, plan_path, FIELD_TEXT, false),
	JOB_FIELD(job_plan, plan_sha256, FIELD_HEX, false),
	JOB_FIELD(job_plan, cell, FIELD_TEXT, false),
	JOB_FIELD(job_plan, cells, FIELD_U32, false),
	JOB_FIELD(job_plan, inline_cmd, FIELD_TEXT, false),
	JOB_FIELD(job_plan, image, FIELD_TEXT, false),
	JOB_FIELD(job_plan, image_store, FIELD_TEXT, true),
	JOB_FIELD(job_plan, accel, FIELD_ACCEL, true),
	JOB_FIELD(job_plan, accel_cache, FIELD_TEXT, false),
	JOB_FIELD(job_plan, emulation_allowed, FIELD_BOOL, true),
	JOB_FIELD(job_plan, isolation_required, FIELD_BOOL, false),
	JOB_FIELD(job_plan, timeout_factor_emulated, FIELD_U64, true),
	JOB_FIELD(job_plan, timeout_cap_ms, FIELD_U64, false),
	JOB_FIELD(job_plan, cache_store, FIELD_TEXT, false),
	JOB_FIELD(job_plan, cache_scope, FIELD_HEX, false),
	JOB_FIELD(job_plan, cache_bytes, FIELD_U64, false),
	JOB_FIELD(job_plan, cache_may_write, FIELD_BOOL, false),
	JOB_FIELD(job_plan, fetch_store, FIELD_TEXT, false),
	JOB_FIELD(job_plan, fetch_hosts, FIELD_TEXT, false),
	JOB_FIELD(job_plan, fetch_any_host, FIELD_BOOL, false),
	JOB_FIELD(job_plan, fetch_bytes, FIELD_U64, false),
	JOB_FIELD(job_plan, shell, FIELD_TEXT, false),
	JOB_NESTED(job_plan, limits, &limits_table),
};
static const struct job_table plan_table = JOB_TABLE(plan_fields);

static const struct job_field timings_fields[] = {
	JOB_FIELD(job_timings, fetch_ms, FIELD_U64, false),
	JOB_FIELD(job_timings, pack_ms, FIELD_U64, false),
	JOB_FIELD(job_timings, boot_ms, FIELD_U64, false),
	JOB_FIELD(job_timings, steps_ms, FIELD_U64, false),
	JOB_FIELD(job_timings, collect_ms, FIELD_U64, false),
	JOB_FIELD(job_timings, total_ms, FIELD_U64, false),
};
static const struct job_table timings_table = JOB_TABLE(timings_fields);

static const struct job_field step_fields[] = {
	JOB_FIELD(job_step_report, name, FIELD_TEXT, true),
	JOB_FIELD(job_step_report, exit_code, FIELD_INT, true),
	JOB_FIELD(job_step_report, on_failure, FIELD_BOOL, false),
	JOB_FIELD(job_step_report, started_ms, FIELD_U64, true),
	JOB_FIELD(job_step_report, duration_ms, FIELD_U64, true),
};
static const struct job_table step_table = JOB_TABLE(step_fields);

static const struct job_field artifact_fields[] = {
	JOB_FIELD(job_artifact, path, FIELD_TEXT, true),
	JOB_NESTED(job_artifact, digest, &digest_table),
};
static const struct job_table artifact_table = JOB_TABLE(artifact_fields);

static const struct job_field report_fields[] = {
	JOB_FIELD(job_report, outcome, FIELD_OUTCOME, true),
	JOB_FIELD(job_report, reason, FIELD_TEXT, false),
	JOB_FIELD(job_report, hint, FIELD_TEXT, false),
	JOB_FIELD(job_report, commit, FIELD_HEX, false),
	JOB_FIELD(job_report, ref_seen, FIELD_TEXT, false),
	JOB_FIELD(job_report, plan_origin, FIELD_ORIGIN, false),
	JOB_FIELD(job_report, plan_path, FIELD_TEXT, false),
	JOB_FIELD(job_report, plan_sha256, FIELD_HEX, false),
	JOB_FIELD(job_report, plan_format, FIELD_TEXT, false),
	JOB_FIELD(job_report, image_name, FIELD_TEXT, false),
	JOB_FIELD(job_report, image_digest, FIELD_HEX, false),
	JOB_NESTED(job_report, limits, &limits_table),
	JOB_FIELD(job_report, accel, FIELD_ACCEL, false),
	JOB_FIELD(job_report, isolation, FIELD_TEXT, false),
	JOB_FIELD(job_report, machine, FIELD_TEXT, false),
	JOB_NESTED(job_report, source, &digest_table),
	JOB_NESTED(job_report, log, &digest_table),
	{"deps", FIELD_OBJECT, offsetof(struct job_report, deps), 0, false, &digest_table},
	JOB_FIELD(job_report, log_truncated, FIELD_BOOL, false),
	JOB_FIELD(job_report, started_unix_ms, FIELD_U64, false),
	JOB_FIELD(job_report, finished_unix_ms, FIELD_U64, false),
	JOB_NESTED(job_report, timings, &timings_table),
	JOB_FIELD(job_report, cpu_ms, FIELD_U64, false),
	JOB_FIELD(job_report, memory_peak_bytes, FIELD_U64, false),
	JOB_FIELD(job_report, artifacts_partial, FIELD_BOOL, false),
};
static const struct job_table report_table = JOB_TABLE(report_fields);

/* names of the enums */

#define NAME_CASE(name, value, text)                                                                                   \
	case name: return text;
#define PARSE_LINE(name, value, known)                                                                                 \
	if (!strcmp(text, known)) {                                                                                    \
		*ret = name;                                                                                           \
		return true;                                                                                           \
	}

const char *job_outcome_name(enum job_outcome o)
{
	switch (o) { JOB_OUTCOMES(NAME_CASE) }
	return "unknown";
}

bool job_outcome_parse(const char *text, enum job_outcome *ret)
{
	JOB_OUTCOMES(PARSE_LINE)
	return false;
}

const char *job_origin_name(enum job_origin o)
{
	switch (o) { JOB_ORIGINS(NAME_CASE) }
	return "unknown";
}

bool job_origin_parse(const char *text, enum job_origin *ret)
{
	JOB_ORIGINS(PARSE_LINE)
	return false;
}

const char *job_accel_name(enum job_accel a)
{
	switch (a) { JOB_ACCELS(NAME_CASE) }
	return "unknown";
}

bool job_accel_parse(const char *text, enum job_accel *ret)
{
	JOB_ACCELS(PARSE_LINE)
	return false;
}

/* Takes object; NULL passes through. */
static json_t *with_type(json_t *object, const char *type)
{
	if (object && (json_object_set_new(object, "v", json_integer(1)) < 0 ||
		       json_object_set_new(object, "type", json_string(type)) < 0)) {
		json_decref(object);
		return NULL;
	}
	return object;
}

json_t *job_plan_to_json(const struct job_plan *plan)
{
	return with_type(job_fields_write(&plan_table, plan), "plan");
}

json_t *job_report_to_json(const struct job_report *r)
{
	json_t *object = with_type(job_fields_write(&report_table, r), "report");
	if (!object)
		return NULL;
	json_t *steps = job_fields_write_list(&step_table, r->steps, r->steps_len, sizeof *r->steps);
	json_t *artifacts = job_fields_write_list(&artifact_table, r->artifacts, r->artifacts_len, sizeof *r->artifacts);
	const int failed = json_object_set_new(object, "steps", steps) | json_object_set_new(object, "artifacts", artifacts);
	if (failed) {
		json_decref(object);
		return NULL;
	}
	return object;
}


static int check_head(const json_t *object, const char *what, const char *type, struct err *err)
{
	if (!json_is_object(object))
		return err_set(err, ERR_INVALID, "%s: expected a JSON object", what);
	const json_t *v = json_object_get(object, "v");
	if (!json_is_integer(v) || json_integer_value(v) != 1)
		return err_set(err, ERR_INVALID, "%s: v: expected 1", what);
	const char *got = json_string_value(json_object_get(object, "type"));
	if (!got || strcmp(got, type) != 0)
		return err_set(err, ERR_INVALID, "%s: type: expected \"%s\"", what, type);
	return 0;
}

static int plan_check(const struct job_plan *p, const struct job_place *at, struct err *err)
{
	if (p->dir[0] != '/')
		return job_fields_wrong(at, "dir", "expected an absolute path", err);
	if (p->image_store[0] != '/')
		return job_fields_wrong(at, "image_store", "expected an absolute path", err);
	if (p->accel_cache[0] && p->accel_cache[0] != '/')
		return job_fields_wrong(at, "accel_cache", "expected an absolute path", err);
	if (!p->source.url[0] == !p->source.local_objects[0])
		return job_fields_wrong(at, "source", "expected exactly one of url and local_objects", err);
	if (p->source.local_objects[0] && p->source.local_objects[0] != '/')
		return job_fields_wrong(at, "source.local_objects", "expected an absolute path", err);
	const size_t commit_len = strlen(p->source.commit);
	if (p->source.local_objects[0] && commit_len != 40 && commit_len != 64)
		return job_fields_wrong(at, "source.commit", "expected a full id beside local_objects", err);
	if (p->source.url[0] && p->source.mirror[0] != '/')
		return job_fields_wrong(at, "source.mirror", "expected an absolute path beside url", err);
	if (p->plan_origin == JOB_ORIGIN_INLINE && (!p->inline_cmd[0] || !p->image[0]))
		return job_fields_wrong(at, "inline_cmd", "an inline plan needs its commands and an image", err);
	if (p->plan_origin != JOB_ORIGIN_INLINE && p->inline_cmd[0])
		return job_fields_wrong(at, "inline_cmd", "only an inline plan has commands of its own", err);
	if (p->plan_sha256[0] && strlen(p->plan_sha256) != 64)
		return job_fields_wrong(at, "plan_sha256", "expected 64 hex digits", err);
	if (p->fetch_store[0] && p->fetch_store[0] != '/')
		return job_fields_wrong(at, "fetch_store", "expected an absolute path", err);
	if (p->cache_store[0] && (p->cache_store[0] != '/' || strlen(p->cache_scope) != 64))
		return job_fields_wrong(at, "cache_store", "expected an absolute path, and 64 hex digits as cache_scope", err);
	if (p->shell[0] && strcmp(p->shell, "failed") != 0 && strcmp(p->shell, "always") != 0)
		return job_fields_wrong(at, "shell", "expected failed or always", err);
	if (p->shell[0] && p->job[0])
		return job_fields_wrong(at, "shell", "a node's job has none", err);
	if (!p->limits.cpus || !p->limits.memory_bytes || !p->limits.timeout_ms)
		return job_fields_wrong(at, "limits", "cpus, memory_bytes and timeout_ms must not be 0", err);
	if (!p->timeout_factor_emulated || p->timeout_factor_emulated > 1000)
		return job_fields_wrong(at, "timeout_factor_emulated", "expected 1 to 1000", err);
	return 0;
}

int job_plan_from_json(const json_t *object, struct job_plan *ret, struct err *err)
{
	const struct job_place at = {.what = "job plan", .is_strict = true};
	int rc = check_head(object, at.what, "plan", err);
	if (rc)
		return rc;
	CLEANUP(cleanup_free) struct job_plan *plan = calloc(1, sizeof *plan);
	if (!plan)
		return err_set(err, ERR_NOMEM, "%s: out of memory", at.what);
	rc = job_fields_read(&plan_table, object, plan, &at, err);
	if (!rc)
		rc = plan_check(plan, &at, err);
	if (!rc)
		*ret = *plan;
	return rc;
}

/* Reads the list under key into freshly allocated records; sized from the list that is already in memory, capped. */
static int read_list(const json_t *report, const char *key, const struct job_table *t, size_t size, size_t max, void **ret,
		     size_t *ret_len, struct err *err)
{
	struct job_place at = {.what = "job report"};
	const json_t *list = json_object_get(report, key);
	if (!list)
		return 0;
	if (!json_is_array(list))
		return job_fields_wrong(&at, key, "expected a list", err);
	const size_t len = json_array_size(list);
	if (len > max)
		return err_set(err, ERR_LIMIT, "%s: %s: more than %zu entries", at.what, key, max);
	if (!len)
		return 0;
	CLEANUP(cleanup_free) char *records = calloc(len, size);
	if (!records)
		return err_set(err, ERR_NOMEM, "%s: out of memory", at.what);
	for (size_t i = 0; i < len; i++) {
		snprintf(at.path, sizeof at.path, "%s[%zu]", key, i);
		const int rc = job_fields_read(t, json_array_get(list, i), records + i * size, &at, err);
		if (rc)
			return rc;
	}
	*ret = records;
	*ret_len = len;
	records = NULL;
	return 0;
}

int job_report_from_json(const json_t *object, struct job_report *ret, struct err *err)
{
	const struct job_place at = {.what = "job report"};
	int rc = check_head(object, at.what, "report", err);
	if (rc)
		return rc;
	CLEANUP(job_report_release) struct job_report r = {0};
	rc = job_fields_read(&report_table, object, &r, &at, err);
	if (rc)
		return rc;
	void *steps = NULL;
	rc = read_list(object, "steps", &step_table, sizeof *r.steps, JOB_STEPS_MAX, &steps, &r.steps_len, err);
	r.steps = steps;
	if (rc)
		return rc;
	void *artifacts = NULL;
	rc = read_list(object, "artifacts", &artifact_table, sizeof *r.artifacts, JOB_ARTIFACTS_MAX, &artifacts,
		       &r.artifacts_len, err);
	r.artifacts = artifacts;
	if (rc)
		return rc;
	*ret = r;
	memset(&r, 0, sizeof r);
	return 0;
}

void job_report_release(struct job_report *r)
{
	if (!r)
		return;
	free(r->steps);
	free(r->artifacts);
	memset(r, 0, sizeof *r);
}
