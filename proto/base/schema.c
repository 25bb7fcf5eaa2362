#include "proto/base/schema.h"

#include <inttypes.h>
#include <string.h>

#include "proto/base/buf.h"
#include "proto/base/cleanup.h"
#include "proto/base/sanitise.h"
#include "proto/base/suggest.h"
#include "proto/base/units.h"

#define HINT_WORDS_MAX 64

static const char *type_name(const struct yaml_node *node)
{
	switch (node->type) {
	case YAML_TEXT: return node->text_len ? "a text" : "nothing";
	case YAML_LIST: return "a list";
	case YAML_MAP: return "a map";
	}
	return "nothing";
}

/* "expected WHAT, not …": what stands there is quoted when it is a short text. */
static int unexpected(const struct yaml_node *node, const char *what, struct err *err)
{
	char safe[48];
	if (node->type == YAML_TEXT && node->text_len && node->text_len < sizeof safe)
		return yaml_err(node, err, "expected %s, not \"%s\"", what, sanitise_line(safe, sizeof safe, node->text));
	return yaml_err(node, err, "expected %s, not %s", what, type_name(node));
}

int schema_text(const struct yaml_node *node, size_t min_bytes, size_t max_bytes, const char **ret_lent, struct err *err)
{
	if (node->type != YAML_TEXT)
		return unexpected(node, "a text", err);
	if (node->text_len < min_bytes) {
		if (!node->text_len)
			return yaml_err(node, err, "must not be empty");
		return yaml_err(node, err, "is shorter than %zu bytes", min_bytes);
	}
	if (node->text_len > max_bytes)
		return yaml_err(node, err, "is longer than %zu bytes", max_bytes);
	*ret_lent = node->text;
	return 0;
}

int schema_bool(const struct yaml_node *node, bool *ret, struct err *err)
{
	const bool is_plain = node->type == YAML_TEXT && node->style == YAML_STYLE_PLAIN;
	if (is_plain && !strcmp(node->text, "true")) {
		*ret = true;
		return 0;
	}
	if (is_plain && !strcmp(node->text, "false")) {
		*ret = false;
		return 0;
	}
	unexpected(node, "true or false", err);
	if (is_plain && node->text_len)
		err_hint(err, "only the words true and false are booleans here");
	return ERR_INVALID;
}

typedef const char *format_fn(char *out, uint64_t value);

static const char *format_number(char *out, uint64_t value)
{
	snprintf(out, UNITS_TEXT_MAX, "%" PRIu64, value);
	return out;
}

static int in_bounds(const struct yaml_node *node, uint64_t value, uint64_t min, uint64_t max, format_fn *format,
		     struct err *err)
{
	char bound[UNITS_TEXT_MAX];
	if (value < min)
		return yaml_err(node, err, "\"%.40s\" is less than %s", node->text, format(bound, min));
	if (value > max)
		return yaml_err(node, err, "\"%.40s\" is more than %s", node->text, format(bound, max));
	return 0;
}

int schema_number(const struct yaml_node *node, uint64_t min, uint64_t max, uint64_t *ret, struct err *err)
{
	uint64_t value;
	if (node->type != YAML_TEXT || !units_parse_number(node->text, &value))
		return unexpected(node, "a whole number", err);
	const int rc = in_bounds(node, value, min, max, format_number, err);
	if (!rc)
		*ret = value;
	return rc;
}

int schema_size(const struct yaml_node *node, uint64_t min_bytes, uint64_t max_bytes, uint64_t *ret, struct err *err)
{
	uint64_t value;
	if (node->type != YAML_TEXT || !units_parse_size(node->text, &value)) {
		unexpected(node, "a size", err);
		err_hint(err, "a whole number with K, M, G or T, for example 512M");
		return ERR_INVALID;
	}
	const int rc = in_bounds(node, value, min_bytes, max_bytes, units_format_size, err);
	if (!rc)
		*ret = value;
	return rc;
}

int schema_duration(const struct yaml_node *node, uint64_t min_ms, uint64_t max_ms, uint64_t *ret, struct err *err)
{
	uint64_t value;
	if (node->type != YAML_TEXT || !units_parse_duration(node->text, &value)) {
		unexpected(node, "a duration", err);
		err_hint(err, "a whole number with ms, s, m, h or d, for example 30m");
		return ERR_INVALID;
	}
	const int rc = in_bounds(node, value, min_ms, max_ms, units_format_duration, err);
	if (!rc)
		*ret = value;
	return rc;
}

static int expect(const struct yaml_node *node, enum yaml_type type, const char *what, size_t min, size_t max,
		  struct err *err)
{
	if (node->type != type)
		return unexpected(node, what, err);
	if (node->len < min)
		return yaml_err(node, err, "expected at least %zu %s", min, min == 1 ? "entry" : "entries");
	if (node->len > max)
		return yaml_err(node, err, "%u entries, at most %zu are allowed", node->len, max);
	return 0;
}

int schema_list(const struct yaml_node *node, size_t min, size_t max, struct err *err)
{
	return expect(node, YAML_LIST, "a list (lines that start with \"- \")", min, max, err);
}

int schema_map(const struct yaml_node *node, size_t min, size_t max, struct err *err)
{
	return expect(node, YAML_MAP, "a map (lines like \"key: value\")", min, max, err);
}

/* tables */

static const struct schema_field *find_field(const struct schema_field *fields, size_t len, const char *name)
{
	for (size_t i = 0; i < len; i++) {
		if (!strcmp(fields[i].name, name))
			return &fields[i];
	}
	return NULL;
}

static int unknown_key(const struct yaml_node *value, const struct schema_field *fields, size_t len, struct err *err)
{
	const char *words[HINT_WORDS_MAX];
	CLEANUP(buf_release) struct buf all;
	buf_init(&all, 400);
	for (size_t i = 0; i < len && i < HINT_WORDS_MAX; i++) {
		words[i] = fields[i].name;
		buf_printf(&all, "%s%s", i ? ", " : "", fields[i].name);
	}
	const char *near = suggest(value->key, words, len < HINT_WORDS_MAX ? len : HINT_WORDS_MAX);
	yaml_err_key(value, err, "unknown key");
	if (near)
		err_hint(err, "did you mean \"%s\"?", near);
	else
		err_hint(err, "known here: %s", buf_cstr(&all));
	return ERR_INVALID;
}

static int read_field(const struct schema_field *f, const struct yaml_node *value, void *record, struct err *err)
{
	char *const at = (char *)record + f->offset;
	const uint64_t max = f->max ? f->max : UINT64_MAX;
	const char *text;
	int rc;
	switch (f->kind) {
	case SCHEMA_TEXT:
		rc = schema_text(value, f->min, f->max && f->max < f->size ? f->max : f->size - 1, &text, err);
		if (!rc)
			memcpy(at, text, value->text_len + 1);
		return rc;
	case SCHEMA_BOOL: return schema_bool(value, (bool *)at, err);
	case SCHEMA_NUMBER: return schema_number(value, f->min, max, (uint64_t *)(void *)at, err);
	case SCHEMA_SIZE: return schema_size(value, f->min, max, (uint64_t *)(void *)at, err);
	case SCHEMA_DURATION: return schema_duration(value, f->min, max, (uint64_t *)(void *)at, err);
	case SCHEMA_MAP: return schema_read(value, f->sub, f->sub_len, at, err);
	case SCHEMA_OTHER: return f->read(value, record, err);
	}
	return err_set(err, ERR_BUG, "the field %s is of no kind", f->name);
}

int schema_read(const struct yaml_node *node, const struct schema_field *fields, size_t len, void *record,
		struct err *err)
{
	int rc = schema_map(node, 0, UINT32_MAX, err);
	for (const struct yaml_node *c = rc ? NULL : node->first; c && !rc; c = c->next) {
		const struct schema_field *f = find_field(fields, len, c->key);
		rc = f ? read_field(f, c, record, err) : unknown_key(c, fields, len, err);
	}
	for (size_t i = 0; i < len && !rc; i++) {
		if (fields[i].is_required && !yaml_get(node, fields[i].name))
			rc = yaml_err(node, err, "the key \"%s\" is missing", fields[i].name);
	}
	return rc;
}
