/* Structs <-> JSON objects by tables: one row per member names its key, from which reader, writer and the unknown-key
 * check follow. For job.c alone; kinds are those that a job plan and its report need. Must not know: what a member means.
 *
 * Tables nest at most three deep, whatever the input: the walk's depth is that of the tables. */
#ifndef TALKOO_RUNNER_JOB_FIELDS_H
#define TALKOO_RUNNER_JOB_FIELDS_H

#include "proto/base/cleanup.h"
#include "runner/job.h"

enum job_field_kind {
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

struct job_table;

struct job_field {
	const char *key;
	enum job_field_kind kind;
	size_t offset, size;
	bool is_required;
	const struct job_table *sub;
};

struct job_table {
	const struct job_field *fields;
	size_t len;
};

#define JOB_FIELD(type, member, kind, required) {#member, kind, offsetof(struct type, member), \
	sizeof(((struct type *)0)->member), required, NULL}
#define JOB_NESTED(type, member, table) {#member, FIELD_OBJECT, offsetof(struct type, member), 0, true, table}
#define JOB_TABLE(array) {array, ARRAY_LEN(array)}

/* Where a reader stands: "source", "steps[3]"; for sentences only. */
struct job_place {
	const char *what; /* "job plan" */
	char path[64];
	bool is_strict;
};

/* The record as a new object (a new list of objects); NULL without memory. Text that is not UTF-8 gets replacement characters,
 * numbers past 2^63 - 1 become that. */
json_t *job_fields_write(const struct job_table *t, const void *record);
json_t *job_fields_write_list(const struct job_table *t, const void *records, size_t len, size_t size);

/* Reads an object into record, whose members of absent optional keys stay as they are. ERR_INVALID names the key; a strict
 * place refuses keys that are not in the table. On failure record may be partly written. */
int job_fields_read(const struct job_table *t, const json_t *object, void *record, const struct job_place *at,
		    struct err *err) MUST_CHECK;
/* "WHAT: PATH.KEY: WHY", ERR_INVALID. */
int job_fields_wrong(const struct job_place *at, const char *key, const char *why, struct err *err);

#endif
