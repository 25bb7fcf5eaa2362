#include "proto/base/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "proto/base/buf.h"
#include "proto/base/cleanup.h"
#include "proto/base/sanitise.h"
#include "proto/base/utf8.h"

struct yaml_chunk {
	struct yaml_chunk *next;
	/* the bytes follow */
};

/* A map or list whose end has not come yet. */
struct open_node {
	struct yaml_node *node;
	struct yaml_node *last; /* its last child */
	struct yaml_node *key;  /* map: a key that waits for its value (a text node used for nothing else) */
};

struct builder {
	struct yaml *doc;
	struct open_node stack[YAML_DEPTH_MAX];
	size_t depth;
	size_t nodes_left;
	bool has_document;
	struct err *err;
};

/* size bytes of zeros that live as long as doc. */
static void *doc_alloc(struct yaml *doc, size_t size)
{
	struct yaml_chunk *chunk = calloc(1, sizeof *chunk + size);
	if (!chunk)
		return NULL;
	chunk->next = doc->chunks;
	doc->chunks = chunk;
	return chunk + 1;
}

void yaml_release(struct yaml *doc)
{
	if (!doc)
		return;
	while (doc->chunks) {
		struct yaml_chunk *const next = doc->chunks->next;
		free(doc->chunks);
		doc->chunks = next;
	}
	doc->root = NULL;
}

/* sentences */

static void path_append(struct buf *out, const struct yaml_node *node)
{
	char safe[64];
	if (node->key)
		buf_printf(out, "%s%s", out->len ? "." : "", sanitise_line(safe, sizeof safe, node->key));
	else if (node->parent)
		buf_printf(out, "[%u]", node->index);
}

const char *yaml_path(const struct yaml_node *node, char *out, size_t size)
{
	/* up to YAML_DEPTH_MAX maps and lists, and the scalar within the last */
	const struct yaml_node *way[YAML_DEPTH_MAX + 2];
	size_t len = 0;
	for (; node && node->parent && len < ARRAY_LEN(way); node = node->parent)
		way[len++] = node;
	CLEANUP(buf_release) struct buf path;
	buf_init(&path, 2048);
	while (len > 0)
		path_append(&path, way[--len]);
	snprintf(out, size, "%s", buf_cstr(&path));
	return out;
}

static int set_place(struct err *err, int code, const struct yaml *doc, size_t line, size_t column, const char *path,
		     const char *sentence)
{
	return err_set(err, code, "%s:%zu:%zu: %s%s%s", doc->file, line, column, path, path[0] ? ": " : "", sentence);
}

int yaml_err(const struct yaml_node *node, struct err *err, const char *fmt, ...)
{
	char path[160], sentence[320];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(sentence, sizeof sentence, fmt, ap);
	va_end(ap);
	return set_place(err, ERR_INVALID, node->doc, node->line, node->column, yaml_path(node, path, sizeof path), sentence);
}

int yaml_err_key(const struct yaml_node *node, struct err *err, const char *fmt, ...)
{
	char path[160], sentence[320];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(sentence, sizeof sentence, fmt, ap);
	va_end(ap);
	return set_place(err, ERR_INVALID, node->doc, node->key ? node->key_line : node->line,
			 node->key ? node->key_column : node->column, yaml_path(node, path, sizeof path), sentence);
}

/* An error at a mark, with the path of what is open there. */
static int at_mark(const struct builder *b, int code, yaml_mark_t mark, const char *sentence)
{
	char path[160] = "";
	if (b->depth > 0) {
		const struct open_node *in = &b->stack[b->depth - 1];
		struct yaml_node here = in->key ? *in->key : *in->node;
		if (in->key)
			here.parent = in->node;
		yaml_path(&here, path, sizeof path);
	}
	return set_place(b->err, code, b->doc, mark.line + 1, mark.column + 1, path, sentence);
}

/* the bytes, before libyaml sees them */

static const char *forbidden(uint32_t code, bool is_lone_cr)
{
	if (code == 0)
		return "a NUL byte";
	if (code == 0xfeff)
		return "a byte order mark";
	if (is_lone_cr)
		return "a carriage return that ends no line";
	if (code == 0x85 || code == 0x2028 || code == 0x2029)
		return "a Unicode line separator";
	if (code == 0xfffe || code == 0xffff || (code < 0x20 && code != '\t' && code != '\n' && code != '\r') || (code >= 0x7f && code < 0xa0))
		return "a control character";
	return NULL;
}

static int scan_bytes(const struct yaml *doc, const uint8_t *bytes, size_t len, struct err *err)
{
	size_t line = 1, column = 1;
	for (size_t at = 0; at < len;) {
		uint32_t code = 0;
		const int n = utf8_next(bytes + at, len - at, &code);
		if (n <= 0) {
			set_place(err, ERR_INVALID, doc, line, column, "", "bytes that are not UTF-8");
			err_hint(err, "save the file as UTF-8");
			return ERR_INVALID;
		}
		const bool is_lone_cr = code == '\r' && !(at + 1 < len && bytes[at + 1] == '\n');
		const char *what = forbidden(code, is_lone_cr);
		if (what) {
			set_place(err, ERR_INVALID, doc, line, column, "", what);
			err_hint(err, "save the file as plain UTF-8 text without it");
			return ERR_INVALID;
		}
		at += (size_t)n;
		column++;
		if (code == '\n') {
			line++;
			column = 1;
		}
	}
	return 0;
}

/* from events to nodes */

static struct yaml_node *node_new(struct builder *b, enum yaml_type type, yaml_mark_t mark, size_t text_len)
{
	if (b->nodes_left == 0) {
		at_mark(b, ERR_LIMIT, mark, "too many values in one file");
		return NULL;
	}
	b->nodes_left--;
	struct yaml_node *node = doc_alloc(b->doc, sizeof *node + text_len + 1);
	if (!node) {
		err_set(b->err, ERR_NOMEM, "%s: out of memory", b->doc->file);
		return NULL;
	}
	node->type = type;
	node->line = (uint32_t)mark.line + 1;
	node->column = (uint32_t)mark.column + 1;
	node->doc = b->doc;
	return node;
}

static int check_key(const struct builder *b, const struct yaml_node *key, yaml_mark_t mark)
{
	char safe[64], sentence[160];
	if (!key->text_len)
		return at_mark(b, ERR_INVALID, mark, "an empty key");
	if (key->text_len > YAML_KEY_LEN_MAX)
		return at_mark(b, ERR_LIMIT, mark, "a key of more than 256 bytes");
	if (!strcmp(key->text, "<<")) {
		at_mark(b, ERR_INVALID, mark, "merge keys (<<) are not allowed");
		err_hint(b->err, "write the keys out");
		return ERR_INVALID;
	}
	const struct yaml_node *map = b->stack[b->depth - 1].node;
	if (map->len >= YAML_KEYS_MAX)
		return at_mark(b, ERR_LIMIT, mark, "a map of more than 1024 keys");
	for (const struct yaml_node *c = map->first; c; c = c->next) {
		if (strcmp(c->key, key->text) != 0)
			continue;
		snprintf(sentence, sizeof sentence, "the key \"%s\" is already on line %u",
			 sanitise_line(safe, sizeof safe, key->text), c->key_line);
		at_mark(b, ERR_INVALID, mark, sentence);
		err_hint(b->err, "keep one of the two");
		return ERR_INVALID;
	}
	return 0;
}

/* Puts a finished or just opened node where it belongs: as root, as a list's next, as a key's value. */
static void attach(struct builder *b, struct yaml_node *node)
{
	if (b->depth == 0) {
		b->doc->root = node;
		return;
	}
	struct open_node *in = &b->stack[b->depth - 1];
	if (in->key) {
		node->key = in->key->text;
		node->key_line = in->key->line;
		node->key_column = in->key->column;
		in->key = NULL;
	}
	node->parent = in->node;
	node->index = in->node->len++;
	if (in->last)
		in->last->next = node;
	else
		in->node->first = node;
	in->last = node;
}

static bool expects_key(const struct builder *b)
{
	return b->depth > 0 && b->stack[b->depth - 1].node->type == YAML_MAP && !b->stack[b->depth - 1].key;
}

static enum yaml_style style_of(yaml_scalar_style_t style)
{
	if (style == YAML_LITERAL_SCALAR_STYLE)
		return YAML_STYLE_LITERAL;
	if (style == YAML_FOLDED_SCALAR_STYLE)
		return YAML_STYLE_FOLDED;
	return style == YAML_PLAIN_SCALAR_STYLE ? YAML_STYLE_PLAIN : YAML_STYLE_QUOTED;
}

static int refuse_properties(const struct builder *b, const yaml_char_t *anchor, const yaml_char_t *tag, yaml_mark_t mark)
{
	if (!anchor && !tag)
		return 0;
	at_mark(b, ERR_INVALID, mark, anchor ? "anchors (&name) are not allowed" : "tags (!name) are not allowed");
	err_hint(b->err, anchor ? "write the value out where it is needed"
				: "leave the tag out; quote a text that starts with \"!\"");
	return ERR_INVALID;
}

static int on_scalar(struct builder *b, const yaml_event_t *event)
{
	const yaml_mark_t mark = event->start_mark;
	const char *text = (const char *)event->data.scalar.value;
	const size_t len = event->data.scalar.length;
	const int rc = refuse_properties(b, event->data.scalar.anchor, event->data.scalar.tag, mark);
	if (rc)
		return rc;
	if (memchr(text, 0, len))
		return at_mark(b, ERR_INVALID, mark, "a text with a NUL in it");
	struct yaml_node *node = node_new(b, YAML_TEXT, mark, len);
	if (!node)
		return b->err->code;
	char *copy = (char *)(node + 1);
	memcpy(copy, text, len);
	node->text = copy;
	node->text_len = len;
	node->style = style_of(event->data.scalar.style);
	if (!expects_key(b)) {
		attach(b, node);
		return 0;
	}
	const int bad = check_key(b, node, mark);
	if (bad)
		return bad;
	node->key = node->text;
	b->stack[b->depth - 1].key = node;
	return 0;
}

static int on_open(struct builder *b, enum yaml_type type, const yaml_char_t *anchor, const yaml_char_t *tag,
		   yaml_mark_t mark)
{
	const int rc = refuse_properties(b, anchor, tag, mark);
	if (rc)
		return rc;
	if (expects_key(b))
		return at_mark(b, ERR_INVALID, mark, "a key that is a map or a list");
	if (b->depth >= YAML_DEPTH_MAX)
		return at_mark(b, ERR_LIMIT, mark, "nested more than 16 deep");
	struct yaml_node *node = node_new(b, type, mark, 0);
	if (!node)
		return b->err->code;
	attach(b, node);
	b->stack[b->depth++] = (struct open_node){.node = node};
	return 0;
}

static int on_document(struct builder *b, const yaml_event_t *event)
{
	const yaml_mark_t mark = event->start_mark;
	if (event->data.document_start.version_directive ||
	    event->data.document_start.tag_directives.start != event->data.document_start.tag_directives.end)
		return at_mark(b, ERR_INVALID, mark, "directives (%) are not allowed");
	if (b->has_document) {
		at_mark(b, ERR_INVALID, mark, "a second document");
		err_hint(b->err, "one file holds one document: remove this \"---\" and what follows");
		return ERR_INVALID;
	}
	b->has_document = true;
	return 0;
}

static int on_alias(const struct builder *b, const yaml_event_t *event)
{
	at_mark(b, ERR_INVALID, event->start_mark, "aliases (*name) are not allowed");
	err_hint(b->err, "write the value out; quote a text that starts with \"*\"");
	return ERR_INVALID;
}

static int on_event(struct builder *b, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT: return 0;
	case YAML_DOCUMENT_START_EVENT: return on_document(b, event);
	case YAML_ALIAS_EVENT: return on_alias(b, event);
	case YAML_SCALAR_EVENT: return on_scalar(b, event);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(b, YAML_LIST, event->data.sequence_start.anchor, event->data.sequence_start.tag,
			       event->start_mark);
	case YAML_MAPPING_START_EVENT:
		return on_open(b, YAML_MAP, event->data.mapping_start.anchor, event->data.mapping_start.tag,
			       event->start_mark);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT: b->depth--; return 0;
	}
	return err_set(b->err, ERR_BUG, "%s: an event of no kind", b->doc->file);
}

/* libyaml's own sentences, and what usually is behind them. */
static const struct {
	const char *problem, *hint;
} problem_hints[] = {
	{"found character that cannot start any token", "a text that starts with @, ` or % must be quoted"},
	{"mapping values are not allowed in this context", "quote a text that contains \": \", or use \"|\" and a new line"},
	{"did not find expected key", "the keys of one map must start in the same column"},
	{"could not find expected ':'", "a key needs \": \" behind it"},
	{"did not find expected '-' indicator", "the entries of one list must start in the same column"},
	{"block sequence entries are not allowed in this context", "start the list on a line of its own"},
	{"found unexpected end of stream", "a quote is not closed"},
	{"did not find expected ',' or ']'", "a \"[\" is not closed, or a comma is missing"},
	{"did not find expected ',' or '}'", "a \"{\" is not closed, or a comma is missing"},
	{"did not find expected <document start>", "nothing may follow the end of the document"},
};

/* The byte at a mark; marks count characters. 0 past the end. */
static uint8_t byte_at(const uint8_t *bytes, size_t len, yaml_mark_t mark)
{
	size_t at = 0, characters = mark.index;
	for (; at < len && characters > 0; characters--) {
		uint32_t code;
		const int n = utf8_next(bytes + at, len - at, &code);
		at += n > 0 ? (size_t)n : 1;
	}
	return at < len ? bytes[at] : 0;
}

static int on_problem(const struct builder *b, const yaml_parser_t *parser, const uint8_t *bytes, size_t len)
{
	if (parser->error == YAML_MEMORY_ERROR)
		return err_set(b->err, ERR_NOMEM, "%s: out of memory", b->doc->file);
	const char *problem = parser->problem ? parser->problem : "not YAML";
	const yaml_mark_t mark = parser->problem_mark;
	if (byte_at(bytes, len, mark) == '\t') {
		at_mark(b, ERR_INVALID, mark, "a tab where YAML wants spaces");
		err_hint(b->err, "indent with spaces");
		return ERR_INVALID;
	}
	at_mark(b, ERR_INVALID, mark, problem);
	for (size_t i = 0; i < ARRAY_LEN(problem_hints); i++) {
		if (!strcmp(problem_hints[i].problem, problem))
			err_hint(b->err, "%s", problem_hints[i].hint);
	}
	return ERR_INVALID;
}

static int build(struct builder *b, const uint8_t *bytes, size_t len)
{
	CLEANUP(yaml_parser_delete) yaml_parser_t parser;
	if (!yaml_parser_initialize(&parser))
		return err_set(b->err, ERR_NOMEM, "%s: out of memory", b->doc->file);
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, bytes, len);
	bool is_done = false;
	while (!is_done) {
		CLEANUP(yaml_event_delete) yaml_event_t event = {0};
		if (!yaml_parser_parse(&parser, &event))
			return on_problem(b, &parser, bytes, len);
		is_done = event.type == YAML_STREAM_END_EVENT;
		const int rc = on_event(b, &event);
		if (rc)
			return rc;
	}
	return 0;
}

static int add_empty_root(struct builder *b)
{
	struct yaml_node *node = node_new(b, YAML_TEXT, (yaml_mark_t){0}, 0);
	if (!node)
		return b->err->code;
	node->text = (char *)(node + 1);
	node->style = YAML_STYLE_PLAIN;
	attach(b, node);
	return 0;
}

int yaml_parse(struct yaml *ret, const char *file, const void *bytes, size_t len, size_t max_bytes, struct err *err)
{
	memset(ret, 0, sizeof *ret);
	sanitise_line(ret->file, sizeof ret->file, file);
	if (len > max_bytes)
		return err_set(err, ERR_LIMIT, "%s: more than %zu bytes", ret->file, max_bytes);
	int rc = scan_bytes(ret, bytes, len, err);
	if (rc)
		return rc;
	struct err local; /* at_mark() and its like set hints through it */
	struct builder b = {.doc = ret, .nodes_left = max_bytes / YAML_NODE_BYTES, .err = err ? err : &local};
	rc = build(&b, bytes, len);
	if (!rc && !ret->root)
		rc = add_empty_root(&b);
	if (rc)
		yaml_release(ret);
	return rc;
}

bool yaml_is_empty(const struct yaml *doc)
{
	return doc->root->type == YAML_TEXT && !doc->root->text_len && doc->root->style == YAML_STYLE_PLAIN;
}

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
	for (const struct yaml_node *c = map->first; c; c = c->next) {
		if (!strcmp(c->key, key))
			return c;
	}
	return NULL;
}
