/* The tables of schema.h as JSON Schema (draft 2020-12's words that older drafts have too), for editors. */
#include <inttypes.h>
#include <string.h>

#include "proto/base/schema.h"

static void put_text(struct buf *out, const char *text)
{
	buf_byte(out, '"');
	for (const char *p = text; *p; p++) {
		if (*p == '"' || *p == '\\')
			buf_byte(out, '\\');
		buf_byte(out, (uint8_t)*p);
	}
	buf_byte(out, '"');
}

/* ,"description":"…"} */
static void put_end(struct buf *out, const struct schema_field *f)
{
	buf_str(out, ",\"description\":");
	put_text(out, f->help);
	buf_byte(out, '}');
}

/* f->json, an object; "@" in it stands for the schema of f->sub. */
static void put_other(struct buf *out, const struct schema_field *f)
{
	const char *json = f->json ? f->json : "{\"type\":\"string\"}";
	const size_t len = strlen(json) - 1; /* without the last brace, which put_end() writes */
	for (size_t i = 0; i < len; i++) {
		if (json[i] == '@' && f->sub)
			schema_to_json(f->sub, f->sub_len, NULL, out);
		else
			buf_byte(out, (uint8_t)json[i]);
	}
}

static void put_field(struct buf *out, const struct schema_field *f)
{
	switch (f->kind) {
	case SCHEMA_TEXT:
		/* what YAML takes for a number or a bool is a text here */
		buf_str(out, "{\"type\":[\"string\",\"number\",\"boolean\"]");
		break;
	case SCHEMA_BOOL:
		buf_str(out, "{\"type\":\"boolean\"");
		break;
	case SCHEMA_NUMBER:
		buf_printf(out, "{\"type\":\"integer\",\"minimum\":%" PRIu64, f->min);
		if (f->max)
			buf_printf(out, ",\"maximum\":%" PRIu64, f->max);
		break;
	case SCHEMA_SIZE:
		buf_str(out, "{\"type\":[\"string\",\"integer\"],\"pattern\":\"^(0|[1-9][0-9]*)([KMGT](i?B)?|B)?$\"");
		break;
	case SCHEMA_DURATION:
		buf_str(out, "{\"type\":[\"string\",\"integer\"],\"pattern\":\"^(0|[1-9][0-9]*)(ms|s|m|h|d)?$\"");
		break;
	case SCHEMA_MAP: {
		/* the description stands before the rest: the object is whole otherwise */
		schema_to_json(f->sub, f->sub_len, f->help, out);
		return;
	}
	case SCHEMA_OTHER:
		put_other(out, f);
		break;
	}
	put_end(out, f);
}

/* The depth is that of the tables, three at most. */
void schema_to_json(const struct schema_field *fields, size_t len, const char *description, struct buf *out)
{
	const char *comma = "";
	buf_str(out, "{\"type\":\"object\",");
	if (description) {
		buf_str(out, "\"description\":");
		put_text(out, description);
		buf_byte(out, ',');
	}
	buf_str(out, "\"additionalProperties\":false,\"required\":[");
	for (size_t i = 0; i < len; i++) {
		if (!fields[i].is_required)
			continue;
		buf_str(out, comma);
		put_text(out, fields[i].name);
		comma = ",";
	}
	buf_str(out, "],\"properties\":{");
	for (size_t i = 0; i < len; i++) {
		if (i)
			buf_byte(out, ',');
		put_text(out, fields[i].name);
		buf_byte(out, ':');
		put_field(out, &fields[i]);
	}
	buf_str(out, "}}");
}
