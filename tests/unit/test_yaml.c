#include <stdlib.h>
#include <string.h>

#include "proto/base/buf.h"
#include "proto/base/cleanup.h"
#include "proto/base/schema.h"
#include "proto/base/suggest.h"
#include "proto/base/yaml.h"
#include "tests/unit/tap.h"

static void test_tree(void)
{
	static const char text[] = "# head\n"
				   "name: 1.10\r\n"
				   "steps:\n"
				   "  - run: |\n"
				   "      a\n"
				   "\n"
				   "      b\n"
				   "    \"quoted\": 'no'\n"
				   "  - {x: [1, \"t\\u00e9\"]}\n"
				   "empty:\n"
				   "folded: >\n"
				   "  a\n"
				   "  b\n";
	CLEANUP(yaml_release) struct yaml doc = {0};
	struct err err = {0};
	OK(yaml_parse(&doc, "f.yml", text, sizeof text - 1, YAML_BYTES_MAX, &err) == 0, "parses: %s", err.what);
	OK(doc.root && doc.root->type == YAML_MAP && doc.root->len == 4, "the root is a map of 4");
	STREQ(yaml_get(doc.root, "name")->text, "1.10");
	const struct yaml_node *steps = yaml_get(doc.root, "steps");
	OK(steps->type == YAML_LIST && steps->len == 2, "a list of 2");
	INTEQ(steps->key_line, 3);
	INTEQ(steps->line, 4);
	const struct yaml_node *run = yaml_get(steps->first, "run");
	STREQ(run->text, "a\n\nb\n");
	OK(run->style == YAML_STYLE_LITERAL && run->line == 4, "a literal text's lines follow its own");
	char path[64];
	STREQ(yaml_path(run, path, sizeof path), "steps[0].run");
	STREQ(yaml_path(yaml_get(steps->first->next, "x")->first->next, path, sizeof path), "steps[1].x[1]");
	STREQ(yaml_get(steps->first->next, "x")->first->next->text, "t\xc3\xa9");
	STREQ(yaml_get(doc.root, "empty")->text, "");
	STREQ(yaml_get(doc.root, "folded")->text, "a b\n");
	OK(!yaml_get(doc.root, "nam"), "absent");
}

static void test_empty(void)
{
	static const char *const empty[] = {"", "\n\n", "# nothing\n"};
	for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
		CLEANUP(yaml_release) struct yaml doc = {0};
		OK(yaml_parse(&doc, "f", empty[i], strlen(empty[i]), 100, NULL) == 0 && yaml_is_empty(&doc), "no content");
	}
}

/* text, sentence, hint: "" = none. */
static const char *const hostile[][3] = {
	{"a: *x", "f.yml:1:4: a: aliases (*name) are not allowed", "write the value out; quote a text that starts with \"*\""},
	{"a: &x b", "f.yml:1:4: a: anchors (&name) are not allowed", "write the value out where it is needed"},
	{"- &x [b]", "f.yml:1:3: anchors (&name) are not allowed", "write the value out where it is needed"},
	{"a: !!str b", "f.yml:1:4: a: tags (!name) are not allowed",
	 "leave the tag out; quote a text that starts with \"!\""},
	{"a: ! b", "f.yml:1:4: a: tags (!name) are not allowed", "leave the tag out; quote a text that starts with \"!\""},
	{"!<x:y> {}", "f.yml:1:1: tags (!name) are not allowed", "leave the tag out; quote a text that starts with \"!\""},
	{"a: 1\nb: 2\na: 3", "f.yml:3:1: the key \"a\" is already on line 1", "keep one of the two"},
	{"m: {k: 1, \"k\": 2}", "f.yml:1:11: m: the key \"k\" is already on line 1", "keep one of the two"},
	{"<<: {}", "f.yml:1:1: merge keys (<<) are not allowed", "write the keys out"},
	{"? [a]\n: b", "f.yml:1:3: a key that is a map or a list", ""},
	{"\"\": b", "f.yml:1:1: an empty key", ""},
	{"a: b\n---\nc: d", "f.yml:2:1: a second document",
	 "one file holds one document: remove this \"---\" and what follows"},
	{"a: b\n...\nc: d", "f.yml:3:1: did not find expected <document start>",
	 "nothing may follow the end of the document"},
	{"%YAML 1.1\n---\na: b", "f.yml:1:1: directives (%) are not allowed", ""},
	{"%TAG ! x:\n---\na: b", "f.yml:1:1: directives (%) are not allowed", ""},
	{"a:\n\tb: c", "f.yml:2:1: a: a tab where YAML wants spaces", "indent with spaces"},
	{"\xc3\xa9: \"\xc3\xa9\"\n\tb: c", "f.yml:2:1: a tab where YAML wants spaces", "indent with spaces"},
	{"a: b: c", "f.yml:1:5: mapping values are not allowed in this context",
	 "quote a text that contains \": \", or use \"|\" and a new line"},
	{"a: [b,\n c", "f.yml:3:1: a: did not find expected ',' or ']'", "a \"[\" is not closed, or a comma is missing"},
	{"a: \"b", "f.yml:1:6: a: found unexpected end of stream", "a quote is not closed"},
	{"a: @b", "f.yml:1:4: a: found character that cannot start any token",
	 "a text that starts with @, ` or % must be quoted"},
	{"a:\n  b: c\n d: e", "f.yml:3:2: did not find expected key",
	 "the keys of one map must start in the same column"},
	{"[[[[[[[[[[[[[[[[[", "f.yml:1:17: [0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]: nested more than 16 deep", ""},
	{"\xef\xbb\xbf""a: b", "f.yml:1:1: a byte order mark", "save the file as plain UTF-8 text without it"},
	{"a: b\rc: d", "f.yml:1:5: a carriage return that ends no line", "save the file as plain UTF-8 text without it"},
	{"a: \x1b[31m", "f.yml:1:4: a control character", "save the file as plain UTF-8 text without it"},
	{"a: \xc2\x85", "f.yml:1:4: a Unicode line separator", "save the file as plain UTF-8 text without it"},
	{"a: \xe2\x80\xa8", "f.yml:1:4: a Unicode line separator", "save the file as plain UTF-8 text without it"},
	{"a: b\nc: \xff", "f.yml:2:4: bytes that are not UTF-8", "save the file as UTF-8"},
	{"a: \xed\xa0\x80", "f.yml:1:4: bytes that are not UTF-8", "save the file as UTF-8"},
	{"a: \"x\\0y\"", "f.yml:1:4: a: a text with a NUL in it", ""},
	{"a: \"\\uD800\"", "f.yml:1:7: a: found invalid Unicode character escape code", ""},
};

static void expect_refused(const char *text, size_t len, size_t max, int code, const char *what, const char *hint)
{
	CLEANUP(yaml_release) struct yaml doc = {0};
	struct err err = {0};
	INTEQ(yaml_parse(&doc, "f.yml", text, len, max, &err), code);
	STREQ(err.what, what);
	STREQ(err.hint, hint);
	OK(!doc.root && !doc.chunks, "nothing is left of it");
}

static void test_hostile(void)
{
	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		const int code = strstr(hostile[i][1], "16 deep") ? ERR_LIMIT : ERR_INVALID;
		expect_refused(hostile[i][0], strlen(hostile[i][0]), YAML_BYTES_MAX, code, hostile[i][1], hostile[i][2]);
	}
	expect_refused("a: b\0c", 6, YAML_BYTES_MAX, ERR_INVALID, "f.yml:1:5: a NUL byte",
		       "save the file as plain UTF-8 text without it");
	expect_refused("a: bc\n", 6, 5, ERR_LIMIT, "f.yml: more than 5 bytes", "");
	/* the billion laughs stop at the first anchor */
	static const char laughs[] = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n";
	expect_refused(laughs, sizeof laughs - 1, YAML_BYTES_MAX, ERR_INVALID, "f.yml:1:4: a: anchors (&name) are not allowed",
		       "write the value out where it is needed");
}

static void test_ceilings(void)
{
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, 1 << 20);
	for (int i = 0; i < 5000; i++)
		buf_str(&text, "- x\n");
	expect_refused(buf_cstr(&text), text.len, YAML_BYTES_MAX, ERR_LIMIT, "f.yml:4096:3: too many values in one file", "");
	buf_reset(&text);
	for (int i = 0; i < 1025; i++)
		buf_printf(&text, "k%d:\n", i);
	expect_refused(buf_cstr(&text), text.len, YAML_BYTES_MAX, ERR_LIMIT, "f.yml:1025:1: a map of more than 1024 keys", "");
	buf_reset(&text);
	for (int i = 0; i < 257; i++)
		buf_byte(&text, 'k');
	buf_str(&text, ": v");
	expect_refused(buf_cstr(&text), text.len, YAML_BYTES_MAX, ERR_LIMIT, "f.yml:1:1: a key of more than 256 bytes", "");
}

struct limits {
	uint64_t cpus, memory, timeout;
	bool warm;
};

struct record {
	char image[8];
	struct limits limits;
	size_t steps;
};

static int read_steps(const struct yaml_node *value, void *record, struct err *err)
{
	const int rc = schema_list(value, 1, 2, err);
	if (!rc)
		((struct record *)record)->steps = value->len;
	return rc;
}

static const struct schema_field limits_fields[] = {
	{.name = "cpus", .kind = SCHEMA_NUMBER, .min = 1, .max = 64, SCHEMA_AT(struct limits, cpus)},
	{.name = "memory", .kind = SCHEMA_SIZE, .min = 1 << 20, .max = 1 << 30, SCHEMA_AT(struct limits, memory)},
	{.name = "timeout", .kind = SCHEMA_DURATION, .min = 1000, SCHEMA_AT(struct limits, timeout)},
	{.name = "warm", .kind = SCHEMA_BOOL, SCHEMA_AT(struct limits, warm)},
};

static const struct schema_field fields[] = {
	{.name = "image", .kind = SCHEMA_TEXT, .is_required = true, .min = 1, SCHEMA_AT(struct record, image)},
	{.name = "limits", .kind = SCHEMA_MAP, .sub = limits_fields, .sub_len = ARRAY_LEN(limits_fields),
	 SCHEMA_AT(struct record, limits)},
	{.name = "cargo_fmt", .kind = SCHEMA_OTHER, .read = read_steps},
};

static int read_record(const char *text, struct record *record, struct err *err)
{
	CLEANUP(yaml_release) struct yaml doc = {0};
	const int rc = yaml_parse(&doc, "f.yml", text, strlen(text), YAML_BYTES_MAX, err);
	return rc ? rc : schema_read(doc.root, fields, ARRAY_LEN(fields), record, err);
}

static void test_schema(void)
{
	struct record r = {.limits.timeout = 7};
	struct err err = {0};
	OK(read_record("image: \"mini\"\nlimits: {cpus: 4, memory: 512M, warm: true}\ncargo_fmt: [a, b]", &r, &err) == 0,
	   "reads: %s", err.what);
	STREQ(r.image, "mini");
	INTEQ(r.limits.cpus, 4);
	INTEQ(r.limits.memory, 512 << 20);
	INTEQ(r.limits.timeout, 7);
	OK(r.limits.warm && r.steps == 2, "the rest");

	static const char *const bad[][3] = {
		{"imag: x", "f.yml:1:1: imag: unknown key", "did you mean \"image\"?"},
		{"image: x\ncargo-fmt: []", "f.yml:2:1: cargo-fmt: unknown key", "did you mean \"cargo_fmt\"?"},
		{"image: x\nlimits:\n  CPUS: 1", "f.yml:3:3: limits.CPUS: unknown key", "did you mean \"cpus\"?"},
		{"zebra: x", "f.yml:1:1: zebra: unknown key", "known here: image, limits, cargo_fmt"},
		{"limits: {}", "f.yml:1:1: the key \"image\" is missing", ""},
		{"- a", "f.yml:1:1: expected a map (lines like \"key: value\"), not a list", ""},
		{"# x", "f.yml:1:1: expected a map (lines like \"key: value\"), not nothing", ""},
		{"--- ", "f.yml:2:1: expected a map (lines like \"key: value\"), not nothing", ""},
		{"image:", "f.yml:1:7: image: must not be empty", ""},
		{"image: [a]", "f.yml:1:8: image: expected a text, not a list", ""},
		{"image: 12345678", "f.yml:1:8: image: is longer than 7 bytes", ""},
		{"limits: {cpus: 0}", "f.yml:1:16: limits.cpus: \"0\" is less than 1", ""},
		{"limits: {cpus: 65}", "f.yml:1:16: limits.cpus: \"65\" is more than 64", ""},
		{"limits: {cpus: two}", "f.yml:1:16: limits.cpus: expected a whole number, not \"two\"", ""},
		{"limits: {cpus: 1.5}", "f.yml:1:16: limits.cpus: expected a whole number, not \"1.5\"", ""},
		{"limits: {memory: 2G}", "f.yml:1:18: limits.memory: \"2G\" is more than 1.0 GiB", ""},
		{"limits: {memory: lots}", "f.yml:1:18: limits.memory: expected a size, not \"lots\"",
		 "a whole number with K, M, G or T, for example 512M"},
		{"limits: {timeout: 10ms}", "f.yml:1:19: limits.timeout: \"10ms\" is less than 1.0 s", ""},
		{"limits: {timeout: soon}", "f.yml:1:19: limits.timeout: expected a duration, not \"soon\"",
		 "a whole number with ms, s, m, h or d, for example 30m"},
		{"limits: {warm: yes}", "f.yml:1:16: limits.warm: expected true or false, not \"yes\"",
		 "only the words true and false are booleans here"},
		{"limits: {warm: \"true\"}", "f.yml:1:16: limits.warm: expected true or false, not \"true\"", ""},
		{"limits: x", "f.yml:1:9: limits: expected a map (lines like \"key: value\"), not \"x\"", ""},
		{"cargo_fmt: []", "f.yml:1:12: cargo_fmt: expected at least 1 entry", ""},
		{"cargo_fmt: [a, b, c]", "f.yml:1:12: cargo_fmt: 3 entries, at most 2 are allowed", ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		memset(&err, 0, sizeof err);
		INTEQ(read_record(bad[i][0], &r, &err), ERR_INVALID);
		STREQ(err.what, bad[i][1]);
		STREQ(err.hint, bad[i][2]);
	}
	OK(read_record("imag: x", &r, NULL) == ERR_INVALID, "without an err");
}

static void test_suggest(void)
{
	static const char *const words[] = {"steps", "image", "artifacts", "run", "by"};
	static const char *const cases[][2] = {
		{"step", "steps"}, {"iamge", "image"}, {"Artefacts", "artifacts"}, {"rnu", "run"}, {"steps", "steps"},
		{"bye", NULL}, {"x", NULL}, {"", NULL}, {"environment", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *got = suggest(cases[i][0], words, ARRAY_LEN(words));
		STREQ(got ? got : "", cases[i][1] ? cases[i][1] : "");
	}
}

int main(void)
{
	test_tree();
	test_empty();
	test_hostile();
	test_ceilings();
	test_schema();
	test_suggest();
	return tap_done();
}
