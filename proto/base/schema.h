/* From a strict YAML tree into structs: typed getters, and a table with one row per key of a map, which gives the reader,
 * the unknown-key error with its "did you mean", and the documentation of each key.
 *
 * Errors are yaml_err()'s: file, line, column, key path, and a hint. Must not know: any particular file's meaning.
 *
 *   static const struct schema_field fields[] = {
 *           {.name = "cpus", .kind = SCHEMA_NUMBER, .min = 1, .max = 64, SCHEMA_AT(struct limits, cpus), .help = "…"},
 *   };
 *   rc = schema_read(doc.root, fields, ARRAY_LEN(fields), &limits, err); */
#ifndef TALKOO_BASE_SCHEMA_H
#define TALKOO_BASE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/yaml.h"

/* Typed getters: 0 and *ret, or ERR_INVALID naming place, bounds and what stands there. Bounds are inclusive. */
int schema_text(const struct yaml_node *node, size_t min_bytes, size_t max_bytes, const char **ret_lent,
		struct err *err) MUST_CHECK;
/* Only `true` and `false`, not quoted. */
int schema_bool(const struct yaml_node *node, bool *ret, struct err *err) MUST_CHECK;
int schema_number(const struct yaml_node *node, uint64_t min, uint64_t max, uint64_t *ret, struct err *err) MUST_CHECK;
/* "512M", "2G"; "30m", "2h" (units.h). */
int schema_size(const struct yaml_node *node, uint64_t min_bytes, uint64_t max_bytes, uint64_t *ret,
		struct err *err) MUST_CHECK;
int schema_duration(const struct yaml_node *node, uint64_t min_ms, uint64_t max_ms, uint64_t *ret,
		    struct err *err) MUST_CHECK;
/* That node is a list (map) of min to max entries. */
int schema_list(const struct yaml_node *node, size_t min, size_t max, struct err *err) MUST_CHECK;
int schema_map(const struct yaml_node *node, size_t min, size_t max, struct err *err) MUST_CHECK;

/* Reads a value that the table's kinds do not cover; record is what schema_read() was given. */
typedef int (*schema_read_fn)(const struct yaml_node *value, void *record, struct err *err);

enum schema_kind {
	SCHEMA_TEXT = 1, /* char[size], min to max bytes; max 0 = size - 1 */
	SCHEMA_BOOL,     /* bool */
	SCHEMA_NUMBER,   /* uint64_t, min to max; max 0 = no upper bound, also below */
	SCHEMA_SIZE,     /* uint64_t, bytes */
	SCHEMA_DURATION, /* uint64_t, ms */
	SCHEMA_MAP,      /* the table `sub`, whose offsets count from record + offset */
	SCHEMA_OTHER,    /* read() */
};

/* One key of a map. */
struct schema_field {
	const char *name;
	enum schema_kind kind;
	bool is_required;
	size_t offset, size; /* SCHEMA_AT(struct, member) */
	uint64_t min, max;
	const struct schema_field *sub;
	size_t sub_len;
	schema_read_fn read;
	const char *help; /* a line for people: what the key is for */
	const char *json; /* of SCHEMA_OTHER: the value's JSON Schema, an object; "@" in it stands for that of `sub`. NULL: a string */
};

#define SCHEMA_AT(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)

/* Reads a map by its table into record. Refuses another type, unknown keys (hint: the one probably meant, or all) and
 * absent required ones; members of absent keys stay as they are. On failure record may be partly written. */
int schema_read(const struct yaml_node *node, const struct schema_field *fields, size_t len, void *record,
		struct err *err) MUST_CHECK;

/* Appends the table as a JSON Schema object to out; description may be NULL. For editors: it knows shapes, not meanings, so
 * what it lets pass may still be refused. */
void schema_to_json(const struct schema_field *fields, size_t len, const char *description, struct buf *out);

#endif
