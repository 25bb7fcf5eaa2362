/* One table per struct names its JSON keys; one reader and one writer walk the tables. The tables nest at most three
 * deep, whatever the input. */
#include "runner/job.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/sanitise.h"

enum field_kind {
	FIELD_TEXT = 1, /* char[size], UTF-8, size-1 bytes at most */
	FIELD_HEX,      /* like text; hex digits: empty, 40 (a SHA-1 object id) or 64 */
	FIELD_COMMIT,   /* like text; empty, or 7 to 64 hex digits */
	FIELD_PATHS,    /* char[n][PATH_MAX], the first empty one ends the list; absolute paths */
	FIELD_BOOL,
	FIELD_U32,
	FIELD_U64,
	FIELD_INT,      /* an exit code: -1 … 255 */
	FIELD_OUTCOME,
	FIELD_ORIGIN,
	FIELD_ACCEL,
	FIELD_OBJECT,   /* a struct of its own table */
};

struct table;

struct field {
	const char *key;
	enum field_kind kind;
	size_t offset, size;
	bool is_required;
	const struct table *sub;
};

struct table {
	const struct field *fields;
	size_t len;
};

#define FIELD(type, member, kind, required) {#member, kind, offsetof(struct type, member), \
	sizeof(((struct type *)0)->member), required, NULL}
#define NESTED(type, member, table) {#member, FIELD_OBJECT, offsetof(struct type, member), 0, true, table}
#define TABLE(array) {array, ARRAY_LEN(array)}

static const struct field digest_fields[] = {
	FIELD(job_digest, sha256, FIELD_HEX, true),
	FIELD(job_digest, root, FIELD_HEX, true),
	FIELD(job_digest, size_bytes, FIELD_U64, true),
};
static const struct table digest_table = TABLE(digest_fields);

static const struct field limits_fields[] = {
	FIELD(job_limits, cpus, FIELD_U32, true),
	FIELD(job_limits, memory_bytes, FIELD_U64, true),
	FIELD(job_limits, disk_bytes, FIELD_U64, true),
	FIELD(job_limits, timeout_ms, FIELD_U64, true),
	FIELD(job_limits, log_bytes, FIELD_U64, true),
	FIELD(job_limits, artifact_bytes, FIELD_U64, true),
	FIELD(job_limits, artifact_count, FIELD_U32, true),
	FIELD(job_limits, source_bytes, FIELD_U64, true),
};
static const struct table limits_table = TABLE(limits_fields);

static const struct field source_fields[] = {
	FIELD(job_source, url, FIELD_TEXT, false),
	FIELD(job_source, allow_loopback, FIELD_BOOL, false),
	FIELD(job_source, allow_private, FIELD_BOOL, false),
	FIELD(job_source, allow_file, FIELD_BOOL, false),
	FIELD(job_source, ref, FIELD_TEXT, false),
	FIELD(job_source, commit, FIELD_COMMIT, true),
	FIELD(job_source, mirror, FIELD_TEXT, false),
	FIELD(job_source, local_objects, FIELD_TEXT, false),
	FIELD(job_source, local_alternates, FIELD_PATHS, false),
};
static const struct table source_table = TABLE(source_fields);

static const struct field plan_fields[] = {
	FIELD(job_plan, job, FIELD_HEX, false),
	FIELD(job_plan, dir, FIELD_TEXT, true),
	NESTED(job_plan, source, &source_table),
	FIELD(job_plan, plan_origin, FIELD_ORIGIN, true),
	FIELD(job_plan, plan_path, FIELD_TEXT, false),
	FIELD(job_plan, plan_sha256, FIELD_HEX, false),
	FIELD(job_plan, inline_cmd, FIELD_TEXT, false),
	FIELD(job_plan, image, FIELD_TEXT, false),
	FIELD(job_plan, image_store, FIELD_TEXT, true),
	FIELD(job_plan, accel, FIELD_ACCEL, true),
	FIELD(job_plan, accel_cache, FIELD_TEXT, false),
	FIELD(job_plan, emulation_allowed, FIELD_BOOL, true),
	FIELD(job_plan, isolation_required, FIELD_BOOL, false),
	FIELD(job_plan, timeout_factor_emulated, FIELD_U64, true),
	FIELD(job_plan, timeout_cap_ms, FIELD_U64, false),
	NESTED(job_plan, limits, &limits_table),
};
static const struct table plan_table = TABLE(plan_fields);

static const struct field timings_fields[] = {
	FIELD(job_timings, fetch_ms, FIELD_U64, false),
	FIELD(job_timings, pack_ms, FIELD_U64, false),
	FIELD(job_timings, boot_ms, FIELD_U64, false),
	FIELD(job_timings, steps_ms, FIELD_U64, false),
	FIELD(job_timings, collect_ms, FIELD_U64, false),
	FIELD(job_timings, total_ms, FIELD_U64, false),
};
static const struct table timings_table = TABLE(timings_fields);

static const struct field step_fields[] = {
	FIELD(job_step_report, name, FIELD_TEXT, true),
	FIELD(job_step_report, exit_code, FIELD_INT, true),
	FIELD(job_step_report, started_ms, FIELD_U64, true),
	FIELD(job_step_report, duration_ms, FIELD_U64, true),
};
static const struct table step_table = TABLE(step_fields);

static const struct field artifact_fields[] = {
	FIELD(job_artifact, path, FIELD_TEXT, true),
	NESTED(job_artifact, digest, &digest_table),
};
static const struct table artifact_table = TABLE(artifact_fields);

static const struct field report_fields[] = {
	FIELD(job_report, outcome, FIELD_OUTCOME, true),
	FIELD(job_report, reason, FIELD_TEXT, false),
	FIELD(job_report, hint, FIELD_TEXT, false),
	FIELD(job_report, commit, FIELD_HEX, false),
	FIELD(job_report, ref_seen, FIELD_TEXT, false),
	FIELD(job_report, plan_origin, FIELD_ORIGIN, false),
	FIELD(job_report, plan_path, FIELD_TEXT, false),
	FIELD(job_report, plan_sha256, FIELD_HEX, false),
	FIELD(job_report, plan_format, FIELD_TEXT, false),
	FIELD(job_report, image_name, FIELD_TEXT, false),
	FIELD(job_report, image_digest, FIELD_HEX, false),
	NESTED(job_report, limits, &limits_table),
	FIELD(job_report, accel, FIELD_ACCEL, false),
	FIELD(job_report, isolation, FIELD_TEXT, false),
	FIELD(job_report, machine, FIELD_TEXT, false),
	NESTED(job_report, source, &digest_table),
	NESTED(job_report, log, &digest_table),
	FIELD(job_report, log_truncated, FIELD_BOOL, false),
	FIELD(job_report, started_unix_ms, FIELD_U64, false),
	FIELD(job_report, finished_unix_ms, FIELD_U64, false),
	NESTED(job_report, timings, &timings_table),
	FIELD(job_report, artifacts_partial, FIELD_BOOL, false),
};
static const struct table report_table = TABLE(report_fields);

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

/* writing */

/* What is not UTF-8 cannot stand in JSON; a report is worth more with a replaced character than not at all. */
static json_t *text_to_json(const char *text, size_t size)
{
	json_t *value = json_string(text);
	if (value)
		return value;
	CLEANUP(cleanup_free) char *safe = malloc(size);
	return safe ? json_string(sanitise_line(safe, size, text)) : NULL;
}

static json_t *number_to_json(uint64_t number)
{
	return json_integer(number > INT64_MAX ? INT64_MAX : (json_int_t)number);
}

static json_t *paths_to_json(const char (*paths)[PATH_MAX], size_t max)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < max && paths[i][0]; i++) {
		if (json_array_append_new(list, text_to_json(paths[i], PATH_MAX)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *table_to_json(const struct table *t, const void *record);

static json_t *field_to_json(const struct field *f, const void *at)
{
	switch (f->kind) {
	case FIELD_TEXT:
	case FIELD_HEX:
	case FIELD_COMMIT: return text_to_json(at, f->size);
	case FIELD_PATHS: return paths_to_json(at, f->size / PATH_MAX);
	case FIELD_BOOL: return json_boolean(*(const bool *)at);
	case FIELD_U32: return number_to_json(*(const uint32_t *)at);
	case FIELD_U64: return number_to_json(*(const uint64_t *)at);
	case FIELD_INT: return json_integer(*(const int *)at);
	case FIELD_OUTCOME: return json_string(job_outcome_name(*(const enum job_outcome *)at));
	case FIELD_ORIGIN: return json_string(job_origin_name(*(const enum job_origin *)at));
	case FIELD_ACCEL: return json_string(job_accel_name(*(const enum job_accel *)at));
	case FIELD_OBJECT: return table_to_json(f->sub, at);
	}
	return NULL;
}

static json_t *table_to_json(const struct table *t, const void *record)
{
	json_t *object = json_object();
	for (size_t i = 0; object && i < t->len; i++) {
		const struct field *f = &t->fields[i];
		if (json_object_set_new(object, f->key, field_to_json(f, (const char *)record + f->offset)) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

static json_t *list_to_json(const struct table *t, const void *records, size_t len, size_t size)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < len; i++) {
		if (json_array_append_new(list, table_to_json(t, (const char *)records + i * size)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
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
	return with_type(table_to_json(&plan_table, plan), "plan");
}

json_t *job_report_to_json(const struct job_report *r)
{
	json_t *object = with_type(table_to_json(&report_table, r), "report");
	if (!object)
		return NULL;
	json_t *steps = list_to_json(&step_table, r->steps, r->steps_len, sizeof *r->steps);
	json_t *artifacts = list_to_json(&artifact_table, r->artifacts, r->artifacts_len, sizeof *r->artifacts);
	const int failed = json_object_set_new(object, "steps", steps) | json_object_set_new(object, "artifacts", artifacts);
	if (failed) {
		json_decref(object);
		return NULL;
	}
	return object;
}

/* reading */

/* Where a reader stands: "source", "steps[3]"; for sentences only. */
struct place {
	const char *what; /* "job plan" */
	char path[64];
	bool is_strict;
};

static int wrong(const struct place *at, const char *key, const char *why, struct err *err)
{
	return err_set(err, ERR_INVALID, "%s: %s%s%.64s: %s", at->what, at->path, at->path[0] ? "." : "", key, why);
}

static int read_text(const struct field *f, const json_t *value, char *out, const struct place *at, struct err *err)
{
	const char *text = json_string_value(value);
	if (!text)
		return wrong(at, f->key, "expected a text", err);
	const size_t len = json_string_length(value);
	if (strlen(text) != len)
		return wrong(at, f->key, "contains a NUL", err);
	if (len >= f->size)
		return wrong(at, f->key, "is too long", err);
	if (f->kind == FIELD_COMMIT && len && !hex_is_digits(text, 7, 64))
		return wrong(at, f->key, "expected 7 to 64 hex digits", err);
	if (f->kind == FIELD_HEX && len && !hex_is_digits(text, 64, 64) && !hex_is_digits(text, 40, 40))
		return wrong(at, f->key, "expected 40 or 64 hex digits", err);
	memcpy(out, text, len + 1);
	return 0;
}

static int read_paths(const struct field *f, const json_t *value, char (*out)[PATH_MAX], const struct place *at,
		      struct err *err)
{
	if (!json_is_array(value) || json_array_size(value) > f->size / PATH_MAX)
		return wrong(at, f->key, "expected a short list", err);
	const struct field entry = {.key = f->key, .kind = FIELD_TEXT, .size = PATH_MAX};
	for (size_t i = 0; i < json_array_size(value); i++) {
		const int rc = read_text(&entry, json_array_get(value, i), out[i], at, err);
		if (rc)
			return rc;
		if (out[i][0] != '/')
			return wrong(at, f->key, "expected absolute paths", err);
	}
	return 0;
}

static int read_number(const struct field *f, const json_t *value, int64_t min, int64_t max, int64_t *ret,
		       const struct place *at, struct err *err)
{
	if (!json_is_integer(value))
		return wrong(at, f->key, "expected a whole number", err);
	const json_int_t number = json_integer_value(value);
	if (number < min || number > max)
		return wrong(at, f->key, "is out of range", err);
	*ret = number;
	return 0;
}

static int read_name(const struct field *f, const json_t *value, void *out, const struct place *at, struct err *err)
{
	const char *text = json_string_value(value);
	bool is_known = false;
	if (text && f->kind == FIELD_OUTCOME)
		is_known = job_outcome_parse(text, out);
	else if (text && f->kind == FIELD_ORIGIN)
		is_known = job_origin_parse(text, out);
	else if (text && f->kind == FIELD_ACCEL)
		is_known = job_accel_parse(text, out);
	/* a report says "unknown" for what the job never got to */
	if (!is_known && !(text && !at->is_strict && !f->is_required && !strcmp(text, "unknown")))
		return wrong(at, f->key, "is not one of the known names", err);
	return 0;
}

static int read_table(const struct table *t, const json_t *object, void *record, const struct place *at, struct err *err);

static int read_nested(const struct field *f, const json_t *value, void *out, const struct place *at, struct err *err)
{
	struct place inner = *at;
	snprintf(inner.path, sizeof inner.path, "%s%s%s", at->path, at->path[0] ? "." : "", f->key);
	return read_table(f->sub, value, out, &inner, err);
}

static int read_field(const struct field *f, const json_t *value, void *out, const struct place *at, struct err *err)
{
	int64_t number = 0;
	int rc = 0;
	switch (f->kind) {
	case FIELD_TEXT:
	case FIELD_HEX:
	case FIELD_COMMIT: return read_text(f, value, out, at, err);
	case FIELD_PATHS: return read_paths(f, value, out, at, err);
	case FIELD_OUTCOME:
	case FIELD_ORIGIN:
	case FIELD_ACCEL: return read_name(f, value, out, at, err);
	case FIELD_OBJECT: return read_nested(f, value, out, at, err);
	case FIELD_BOOL:
		if (!json_is_boolean(value))
			return wrong(at, f->key, "expected true or false", err);
		*(bool *)out = json_is_true(value);
		return 0;
	case FIELD_U32:
		rc = read_number(f, value, 0, UINT32_MAX, &number, at, err);
		if (!rc)
			*(uint32_t *)out = (uint32_t)number;
		return rc;
	case FIELD_U64:
		rc = read_number(f, value, 0, INT64_MAX, &number, at, err);
		if (!rc)
			*(uint64_t *)out = (uint64_t)number;
		return rc;
	case FIELD_INT:
		rc = read_number(f, value, -1, 255, &number, at, err);
		if (!rc)
			*(int *)out = (int)number;
		return rc;
	}
	return err_set(err, ERR_BUG, "a field of no kind");
}

static bool table_has(const struct table *t, const char *key)
{
	for (size_t i = 0; i < t->len; i++) {
		if (!strcmp(t->fields[i].key, key))
			return true;
	}
	return false;
}

/* "v" and "type" stand only in the outermost object, and were looked at before. */
static int refuse_unknown(const struct table *t, const json_t *object, const struct place *at, struct err *err)
{
	const bool is_outermost = !at->path[0];
	const char *key;
	json_t *value;
	/* jansson's iterator wants a mutable object, and leaves it alone */
	json_object_foreach((json_t *)(uintptr_t)object, key, value) {
		if (table_has(t, key) || (is_outermost && (!strcmp(key, "v") || !strcmp(key, "type"))))
			continue;
		char safe[64];
		return wrong(at, sanitise_line(safe, sizeof safe, key), "unknown key", err);
	}
	return 0;
}

static int read_table(const struct table *t, const json_t *object, void *record, const struct place *at, struct err *err)
{
	if (!json_is_object(object))
		return err_set(err, ERR_INVALID, "%s: %s: expected an object", at->what, at->path);
	if (at->is_strict) {
		const int rc = refuse_unknown(t, object, at, err);
		if (rc)
			return rc;
	}
	for (size_t i = 0; i < t->len; i++) {
		const struct field *f = &t->fields[i];
		const json_t *value = json_object_get(object, f->key);
		if (!value && f->is_required)
			return wrong(at, f->key, "is missing", err);
		const int rc = value ? read_field(f, value, (char *)record + f->offset, at, err) : 0;
		if (rc)
			return rc;
	}
	return 0;
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

static int plan_check(const struct job_plan *p, const struct place *at, struct err *err)
{
	if (p->dir[0] != '/')
		return wrong(at, "dir", "expected an absolute path", err);
	if (p->image_store[0] != '/')
		return wrong(at, "image_store", "expected an absolute path", err);
	if (p->accel_cache[0] && p->accel_cache[0] != '/')
		return wrong(at, "accel_cache", "expected an absolute path", err);
	if (!p->source.url[0] == !p->source.local_objects[0])
		return wrong(at, "source", "expected exactly one of url and local_objects", err);
	if (p->source.local_objects[0] && p->source.local_objects[0] != '/')
		return wrong(at, "source.local_objects", "expected an absolute path", err);
	const size_t commit_len = strlen(p->source.commit);
	if (p->source.local_objects[0] && commit_len != 40 && commit_len != 64)
		return wrong(at, "source.commit", "expected a full id beside local_objects", err);
	if (p->source.url[0] && p->source.mirror[0] != '/')
		return wrong(at, "source.mirror", "expected an absolute path beside url", err);
	if (p->plan_origin == JOB_ORIGIN_INLINE && (!p->inline_cmd[0] || !p->image[0]))
		return wrong(at, "inline_cmd", "an inline plan needs its commands and an image", err);
	if (p->plan_origin != JOB_ORIGIN_INLINE && p->inline_cmd[0])
		return wrong(at, "inline_cmd", "only an inline plan has commands of its own", err);
	if (p->plan_sha256[0] && strlen(p->plan_sha256) != 64)
		return wrong(at, "plan_sha256", "expected 64 hex digits", err);
	if (!p->limits.cpus || !p->limits.memory_bytes || !p->limits.timeout_ms)
		return wrong(at, "limits", "cpus, memory_bytes and timeout_ms must not be 0", err);
	if (!p->timeout_factor_emulated || p->timeout_factor_emulated > 1000)
		return wrong(at, "timeout_factor_emulated", "expected 1 to 1000", err);
	return 0;
}

int job_plan_from_json(const json_t *object, struct job_plan *ret, struct err *err)
{
	const struct place at = {.what = "job plan", .is_strict = true};
	int rc = check_head(object, at.what, "plan", err);
	if (rc)
		return rc;
	CLEANUP(cleanup_free) struct job_plan *plan = calloc(1, sizeof *plan);
	if (!plan)
		return err_set(err, ERR_NOMEM, "%s: out of memory", at.what);
	rc = read_table(&plan_table, object, plan, &at, err);
	if (!rc)
		rc = plan_check(plan, &at, err);
	if (!rc)
		*ret = *plan;
	return rc;
}

/* Reads the list under key into freshly allocated records; sized from the list that is already in memory, capped. */
static int read_list(const json_t *report, const char *key, const struct table *t, size_t size, size_t max, void **ret,
		     size_t *ret_len, struct err *err)
{
	struct place at = {.what = "job report"};
	const json_t *list = json_object_get(report, key);
	if (!list)
		return 0;
	if (!json_is_array(list))
		return wrong(&at, key, "expected a list", err);
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
		const int rc = read_table(t, json_array_get(list, i), records + i * size, &at, err);
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
	const struct place at = {.what = "job report"};
	int rc = check_head(object, at.what, "report", err);
	if (rc)
		return rc;
	CLEANUP(job_report_release) struct job_report r = {0};
	rc = read_table(&report_table, object, &r, &at, err);
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
