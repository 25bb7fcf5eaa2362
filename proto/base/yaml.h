/* Strict YAML: bytes of a person's file -> a small tree whose every node knows its line and column; schema.h reads the
 * tree into structs. For .talkoo.yml, policy.yml and the node's config.
 *
 * The subset: one document of maps, lists and scalars. Refused: aliases and anchors, tags (also "!"), merge keys,
 * duplicate and non-scalar keys, directives, a second document, NUL and other control characters, bytes that are not
 * UTF-8, a byte order mark, more than YAML_DEPTH_MAX levels, more bytes or nodes than the caller's ceiling allows.
 * Scalars stay text until schema.h says otherwise, so `no` is the text "no" and a version 1.10 stays "1.10".
 *
 * Errors are ERR_INVALID (ERR_LIMIT for ceilings), "FILE:LINE:COLUMN: KEY.PATH: why", with a hint where there is one.
 * Must not know: any schema, any file system. Pure; no recursion.
 *
 *   CLEANUP(yaml_release) struct yaml doc = {0};
 *   rc = yaml_parse(&doc, ".talkoo.yml", bytes, len, YAML_BYTES_MAX, err);
 *   rc = schema_read(doc.root, fields, ARRAY_LEN(fields), &record, err); */
#ifndef TALKOO_BASE_YAML_H
#define TALKOO_BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

#define YAML_BYTES_MAX 65536 /* the usual ceiling; a caller may ask for another */
#define YAML_DEPTH_MAX 16    /* maps and lists within each other */
#define YAML_KEYS_MAX 1024   /* of one map */
#define YAML_KEY_LEN_MAX 256
#define YAML_NODE_BYTES 16   /* at most one node for so many bytes of the ceiling: 4,096 of 64 KiB */

enum yaml_type { YAML_TEXT = 1, YAML_LIST, YAML_MAP };

/* How a text was written. Only a literal one keeps its lines: line N of its text is line node->line + N of the file. */
enum yaml_style { YAML_STYLE_PLAIN = 1, YAML_STYLE_QUOTED, YAML_STYLE_LITERAL, YAML_STYLE_FOLDED };

struct yaml_node {
	enum yaml_type type;
	uint32_t line, column; /* of the value, from 1 */
	/* where it stands in its parent: key in a map (key is NULL elsewhere), index in either, from 0 */
	const char *key;
	uint32_t key_line, key_column;
	uint32_t index;
	/* YAML_TEXT: UTF-8 without NUL, line ends are "\n"; "" for an absent value (`key:`) */
	const char *text;
	size_t text_len;
	enum yaml_style style;
	/* YAML_LIST, YAML_MAP */
	const struct yaml_node *first;
	uint32_t len; /* number of children */
	const struct yaml_node *next, *parent;
	const struct yaml *doc;
};

struct yaml {
	const struct yaml_node *root; /* after a successful yaml_parse() never NULL */
	char file[256];               /* the name for sentences */
	struct yaml_chunk *chunks;    /* what everything lent lives in */
};

/* Parses bytes; file is the name for sentences. max_bytes: ceiling of len. A file without content (empty, or
 * nothing but comments) has an empty text as root: yaml_is_empty(). ret must stay where it is while nodes are used; release it with yaml_release(). */
int yaml_parse(struct yaml *ret, const char *file, const void *bytes, size_t len, size_t max_bytes,
	       struct err *err) MUST_CHECK;
bool yaml_is_empty(const struct yaml *doc);
/* An all-zero one and NULL are fine. */
void yaml_release(struct yaml *doc);

/* The value of a key, or NULL. map must be a YAML_MAP. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);
/* "steps[2].run", "" for the root; cut to size. Safe to print. Returns out. */
const char *yaml_path(const struct yaml_node *node, char *out, size_t size);

/* Sets err to ERR_INVALID "FILE:LINE:COL: KEY.PATH: " and the sentence, at the value (or at its key). Returns it. */
int yaml_err(const struct yaml_node *node, struct err *err, const char *fmt, ...) PRINTF_LIKE(3, 4);
int yaml_err_key(const struct yaml_node *node, struct err *err, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
