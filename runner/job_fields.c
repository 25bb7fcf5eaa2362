#include "runner/job_fields.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/hex.h"
#include "proto/base/sanitise.h"

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

static json_t *field_to_json(const struct job_field *f, const void *at)
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
	case FIELD_OBJECT: return job_fields_write(f->sub, at);
	}
	return NULL;
}

json_t *job_fields_write(const struct job_table *t, const void *record)
{
	json_t *object = json_object();
	for (size_t i = 0; object && i < t->len; i++) {
		const struct job_field *f = &t->fields[i];
		if (json_object_set_new(object, f->key, field_to_json(f, (const char *)record + f->offset)) < 0) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

json_t *job_fields_write_list(const struct job_table *t, const void *records, size_t len, size_t size)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < len; i++) {
		if (json_array_append_new(list, job_fields_write(t, (const char *)records + i * size)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* reading */

int job_fields_wrong(const struct job_place *at, const char *key, const char *why, struct err *err)
{
	return err_set(err, ERR_INVALID, "%s: %s%s%.64s: %s", at->what, at->path, at->path[0] ? "." : "", key, why);
}

static int read_text(const struct job_field *f, const json_t *value, char *out, const struct job_place *at, struct err *err)
{
	const char *text = json_string_value(value);
	if (!text)
		return job_fields_wrong(at, f->key, "expected a text", err);
	const size_t len = json_string_length(value);
	if (strlen(text) != len)
		return job_fields_wrong(at, f->key, "contains a NUL", err);
	if (len >= f->size)
		return job_fields_wrong(at, f->key, "is too long", err);
	if (f->kind == FIELD_COMMIT && len && !hex_is_digits(text, 7, 64))
		return job_fields_wrong(at, f->key, "expected 7 to 64 hex digits", err);
	if (f->kind == FIELD_HEX && len && !hex_is_digits(text, 64, 64) && !hex_is_digits(text, 40, 40))
		return job_fields_wrong(at, f->key, "expected 40 or 64 hex digits", err);
	memcpy(out, text, len + 1);
	return 0;
}

static int read_paths(const struct job_field *f, const json_t *value, char (*out)[PATH_MAX], const struct job_place *at,
		      struct err *err)
{
	if (!json_is_array(value) || json_array_size(value) > f->size / PATH_MAX)
		return job_fields_wrong(at, f->key, "expected a short list", err);
	const struct job_field entry = {.key = f->key, .kind = FIELD_TEXT, .size = PATH_MAX};
	for (size_t i = 0; i < json_array_size(value); i++) {
		const int rc = read_text(&entry, json_array_get(value, i), out[i], at, err);
		if (rc)
			return rc;
		if (out[i][0] != '/')
			return job_fields_wrong(at, f->key, "expected absolute paths", err);
	}
	return 0;
}

static int read_number(const struct job_field *f, const json_t *value, int64_t min, int64_t max, int64_t *ret,
		       const struct job_place *at, struct err *err)
{
	if (!json_is_integer(value))
		return job_fields_wrong(at, f->key, "expected a whole number", err);
	const json_int_t number = json_integer_value(value);
	if (number < min || number > max)
		return job_fields_wrong(at, f->key, "is out of range", err);
	*ret = number;
	return 0;
}

static int read_name(const struct job_field *f, const json_t *value, void *out, const struct job_place *at, struct err *err)
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
		return job_fields_wrong(at, f->key, "is not one of the known names", err);
	return 0;
}

static int read_nested(const struct job_field *f, const json_t *value, void *out, const struct job_place *at, struct err *err)
{
	struct job_place inner = *at;
	snprintf(inner.path, sizeof inner.path, "%s%s%s", at->path, at->path[0] ? "." : "", f->key);
	return job_fields_read(f->sub, value, out, &inner, err);
}

static int read_field(const struct job_field *f, const json_t *value, void *out, const struct job_place *at, struct err *err)
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
			return job_fields_wrong(at, f->key, "expected true or false", err);
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

static bool table_has(const struct job_table *t, const char *key)
{
	for (size_t i = 0; i < t->len; i++) {
		if (!strcmp(t->fields[i].key, key))
			return true;
	}
	return false;
}

/* "v" and "type" stand only in the outermost object, and were looked at before. */
static int refuse_unknown(const struct job_table *t, const json_t *object, const struct job_place *at, struct err *err)
{
	const bool is_outermost = !at->path[0];
	const char *key;
	json_t *value;
	/* jansson's iterator wants a mutable object, and leaves it alone */
	json_object_foreach((json_t *)(uintptr_t)object, key, value) {
		if (table_has(t, key) || (is_outermost && (!strcmp(key, "v") || !strcmp(key, "type"))))
			continue;
		char safe[64];
		return job_fields_wrong(at, sanitise_line(safe, sizeof safe, key), "unknown key", err);
	}
	return 0;
}

int job_fields_read(const struct job_table *t, const json_t *object, void *record, const struct job_place *at, struct err *err)
{
	if (!json_is_object(object))
		return err_set(err, ERR_INVALID, "%s: %s: expected an object", at->what, at->path);
	if (at->is_strict) {
		const int rc = refuse_unknown(t, object, at, err);
		if (rc)
			return rc;
	}
	for (size_t i = 0; i < t->len; i++) {
		const struct job_field *f = &t->fields[i];
		const json_t *value = json_object_get(object, f->key);
		if (!value && f->is_required)
			return job_fields_wrong(at, f->key, "is missing", err);
		const int rc = value ? read_field(f, value, (char *)record + f->offset, at, err) : 0;
		if (rc)
			return rc;
	}
	return 0;
}
