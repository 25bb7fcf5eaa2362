#include <jansson.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/mp.h"
#include "tests/unit/tap.h"

static const struct mp_limits wide = {1 << 20, 8, 100000};

static int scan_hex(const char *hex, const struct mp_limits *limits, struct err *err)
{
	uint8_t bytes[512];
	const size_t len = strlen(hex) / 2;
	if (len > sizeof bytes || !hex_decode(bytes, len, hex))
		return -100;
	return mp_scan(bytes, len, limits, err);
}

static void test_hostile(void)
{
	static const struct { const char *hex; int code; const char *why; } cases[] = {
		{"", ERR_INVALID, "ends within"},
		{"ddffffffff", ERR_INVALID, "longer than what follows"},   /* 5 bytes that ask for gigabytes */
		{"ddffffffff00", ERR_INVALID, "longer than what follows"},
		{"dcffff", ERR_INVALID, "longer than what follows"},
		{"c6ffffffff", ERR_INVALID, "longer than what follows"},
		{"dbffffffff", ERR_INVALID, "longer than what follows"},
		{"9f", ERR_INVALID, "longer than what follows"},
		{"92c0", ERR_INVALID, "longer than what follows"},
		{"9291c0", ERR_INVALID, "ends within"},
		{"a2c3", ERR_INVALID, "longer than what follows"},
		{"cc", ERR_INVALID, "ends within"}, {"cd80", ERR_INVALID, "ends within"}, {"cf00000001000000", ERR_INVALID, "ends within"},
		{"dd000000", ERR_INVALID, "ends within"}, {"d9", ERR_INVALID, "ends within"},
		{"cc7f", ERR_INVALID, "shortest"}, {"cd00ff", ERR_INVALID, "shortest"}, {"ce0000ffff", ERR_INVALID, "shortest"},
		{"cf00000000ffffffff", ERR_INVALID, "shortest"}, {"d90161", ERR_INVALID, "shortest"}, {"da000161", ERR_INVALID, "shortest"},
		{"db0000000161", ERR_INVALID, "shortest"}, {"c5000100", ERR_INVALID, "shortest"}, {"c60000000100", ERR_INVALID, "shortest"},
		{"dc0001c0", ERR_INVALID, "shortest"}, {"dd00000001c0", ERR_INVALID, "shortest"}, {"dc0000", ERR_INVALID, "shortest"},
		{"c0c0", ERR_INVALID, "after the value"}, {"0000", ERR_INVALID, "after the value"}, {"9000", ERR_INVALID, "after the value"},
		{"a180", ERR_INVALID, "UTF-8"}, {"a2c080", ERR_INVALID, "UTF-8"}, {"a3eda080", ERR_INVALID, "UTF-8"},
		{"a4f4908080", ERR_INVALID, "UTF-8"}, {"a1c3", ERR_INVALID, "UTF-8"}, {"92a1c3a1a4", ERR_INVALID, "UTF-8"},
		{"ca00000000", ERR_INVALID, "float"}, {"cb0000000000000000", ERR_INVALID, "float"},
		{"d40000", ERR_INVALID, "extension"}, {"c70000", ERR_INVALID, "extension"}, {"d8", ERR_INVALID, "extension"},
		{"80", ERR_INVALID, "map"}, {"de0000", ERR_INVALID, "map"}, {"df00000000", ERR_INVALID, "map"}, {"8fc0", ERR_INVALID, "map"},
		{"ff", ERR_INVALID, "signed"}, {"e0", ERR_INVALID, "signed"}, {"d0ff", ERR_INVALID, "signed"}, {"d001", ERR_INVALID, "signed"},
		{"d3ffffffffffffffff", ERR_INVALID, "signed"},
		{"c1", ERR_INVALID, "c1"},
		{"919191919191919191", ERR_INVALID, "longer than what follows"}, {"919191919191919191c0", ERR_LIMIT, "too deep"}, {"91919191919191919190", ERR_LIMIT, "too deep"},
		{"9191919191919190", 0, NULL}, /* eight */
		{"c0", 0, NULL}, {"90", 0, NULL}, {"ccff", 0, NULL}, {"cfffffffffffffffff", 0, NULL}, {"a0", 0, NULL}, {"c400", 0, NULL},
		{"9390c293a161c40100cd0100", 0, NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = {0};
		const int r = scan_hex(cases[i].hex, &wide, &err);
		OK(r == cases[i].code && (!r || strstr(err.what, cases[i].why)), "scan %s: %d %s", cases[i].hex, r, err.what);
	}
	const struct mp_limits few = {100, 2, 3};
	INTEQ(scan_hex("92c0c0", &few, NULL), 0);
	INTEQ(scan_hex("93c0c0c0", &few, NULL), ERR_LIMIT);
	INTEQ(scan_hex("919190", &few, NULL), ERR_LIMIT);
	static const uint8_t zeros[101];
	INTEQ(mp_scan(zeros, sizeof zeros, &few, NULL), ERR_LIMIT);
	static uint8_t bomb[1 << 20];
	memset(bomb, 0x91, sizeof bomb);
	INTEQ(mp_scan(bomb, sizeof bomb, &wide, NULL), ERR_LIMIT);
}

/* The published suite, by value: the shortest form of what we have is taken, its longer forms and all else are refused. */
static bool suite_encode(const json_t *one, struct buf *b)
{
	const json_t *v;
	if (json_object_get(one, "nil"))
		mp_put_nil(b);
	else if ((v = json_object_get(one, "bool")))
		mp_put_bool(b, json_is_true(v));
	else if ((v = json_object_get(one, "string")))
		mp_put_str(b, json_string_value(v));
	else if ((v = json_object_get(one, "number")) && json_is_integer(v) && json_integer_value(v) >= 0)
		mp_put_uint(b, (uint64_t)json_integer_value(v));
	else if ((v = json_object_get(one, "bignum")) && json_string_value(v)[0] != '-')
		mp_put_uint(b, strtoull(json_string_value(v), NULL, 10));
	else
		return false;
	return true;
}

static size_t undash(const char *text, uint8_t *out, size_t size)
{
	char hex[4096];
	size_t n = 0;
	for (; *text && n + 1 < sizeof hex; text++)
		if (*text != '-')
			hex[n++] = *text;
	hex[n] = 0;
	return n / 2 <= size && hex_decode(out, n / 2, hex) ? n / 2 : 0;
}

static void suite_case(const char *group, const json_t *one)
{
	CLEANUP(buf_release) struct buf ours;
	buf_init(&ours, 4096);
	bool has_value = suite_encode(one, &ours), was_met = false;
	const json_t *binary = json_object_get(one, "binary");
	if (binary) {
		uint8_t bytes[256];
		mp_put_bin(&ours, bytes, undash(json_string_value(binary), bytes, sizeof bytes));
		has_value = true;
	}
	size_t i;
	const json_t *form;
	const bool is_array = json_object_get(one, "array");
	const char *shortest = NULL;
	json_array_foreach(json_object_get(one, "msgpack"), i, form) {
		uint8_t bytes[2048];
		const size_t len = undash(json_string_value(form), bytes, sizeof bytes);
		const bool taken = !mp_scan(bytes, len, &wide, NULL);
		const bool same = has_value && !buf_failed(&ours) && ours.len == len && !memcmp(bytes, ours.data, len);
		was_met |= same;
		if (is_array) {
			/* of an array's forms only the first, the shortest, may be taken; strings and arrays in it are short */
			OK(!taken || !shortest, "%s %s", group, json_string_value(form));
			if (taken)
				shortest = json_string_value(form);
		} else {
			OK(taken == same, "%s %s is %s", group, json_string_value(form), taken ? "taken" : "refused");
		}
	}
	if (has_value)
		OK(was_met, "%s: what we write is one of the forms", group);
}

static void test_suite(void)
{
	const char *path = tap_vector_file("msgpack/msgpack-test-suite.json");
	if (!path)
		return;
	json_t *all = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	OK(json_object_size(all) >= 15, "the suite reads");
	const char *group;
	json_t *cases, *one;
	size_t i;
	json_object_foreach(all, group, cases)
		json_array_foreach(cases, i, one)
			suite_case(group, one);
	json_decref(all);
}

static void test_writers_are_canonical(void)
{
	static const uint64_t numbers[] = {0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 0xffffffff, 0x100000000, UINT64_MAX};
	static const size_t lens[] = {0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536};
	static char text[65537];
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		CLEANUP(buf_release) struct buf b;
		CLEANUP(mp_doc_release) struct mp_doc doc = {0};
		buf_init(&b, 16);
		mp_put_uint(&b, numbers[i]);
		OK(!mp_doc_open(b.data, b.len, &wide, &doc, NULL) && doc.root.via.u64 == numbers[i], "uint %zu", i);
	}
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		CLEANUP(buf_release) struct buf b;
		CLEANUP(mp_doc_release) struct mp_doc doc = {0};
		buf_init(&b, 1 << 18);
		memset(text, 'x', lens[i]);
		text[lens[i]] = 0;
		mp_put_array(&b, (uint32_t)lens[i]);
		for (size_t j = 0; j < lens[i]; j++)
			mp_put_nil(&b);
		OK(!mp_doc_open(b.data, b.len, &wide, &doc, NULL) && doc.root.via.array.size == lens[i], "array of %zu", lens[i]);
		INTEQ(mp_element_offset(b.data, b.len, (uint32_t)lens[i]), b.len);
		mp_doc_release(&doc);
		buf_reset(&b);
		mp_put_str(&b, text);
		OK(!mp_doc_open(b.data, b.len, &wide, &doc, NULL) && doc.root.via.str.size == lens[i], "str of %zu", lens[i]);
		mp_doc_release(&doc);
		buf_reset(&b);
		mp_put_bin(&b, text, lens[i]);
		OK(!mp_doc_open(b.data, b.len, &wide, &doc, NULL) && doc.root.via.bin.size == lens[i], "bin of %zu", lens[i]);
	}
}

static void test_put_text(void)
{
	static const struct { const char *text; size_t size; const char *want; } cases[] = {
		{"plain", 16, "plain"}, {"a\nb\x1b[0m", 16, "a b [0m"}, {"\xff\xc3", 16, "  "}, {"abcdef", 4, "abc"},
		{"ab\xc3\xa4", 4, "ab"}, {"ab\xc3\xa4", 5, "ab\xc3\xa4"}, {"", 1, ""}, {"x", 1, ""}, {"\x7f", 9, " "},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(buf_release) struct buf b;
		buf_init(&b, 64);
		mp_put_text(&b, cases[i].text, cases[i].size);
		STREQ(buf_cstr(&b) + 1, cases[i].want);
		INTEQ(mp_scan(b.data, b.len, &wide, NULL), 0);
	}
}

static void cursor_on(const char *hex, struct mp_doc *doc, struct mp_cursor *c)
{
	static uint8_t bytes[256];
	const size_t len = strlen(hex) / 2;
	if (hex_decode(bytes, len, hex) && !mp_doc_open(bytes, len, &wide, doc, NULL))
		mp_cursor_init(c, &doc->root, "test");
}

static void test_cursor(void)
{
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c, nested;
	char text[4];
	uint8_t bin[2];
	const uint8_t *lent;
	size_t len;
	struct err err;
	/* [5, true, "abc", h'0102', h'03', [1], nil, 9] */
	cursor_on("9805c3a3616263c4020102c403000000" "9101" "c0" "09", &doc, &c);
	INTEQ(mp_get_uint(&c, "a", 5), 5);
	OK(mp_get_bool(&c, "b"), "true");
	mp_get_str(&c, "c", text, sizeof text);
	STREQ(text, "abc");
	mp_get_bin_exact(&c, "d", bin, 2);
	MEMEQ(bin, "\1\2", 2);
	mp_get_bin(&c, "e", 3, &lent, &len);
	INTEQ(len, 3);
	mp_get_array(&c, "f", 1, &nested);
	INTEQ(mp_get_uint(&nested, "g", 1), 1);
	OK(!mp_more(&nested) && mp_more(&c) && mp_take_nil(&c) && !mp_take_nil(&c), "nil");
	mp_skip(&c);
	OK(!mp_more(&c) && !mp_cursor_check(&c, &err), "all read");
	mp_get_uint(&c, "more", 1);
	INTEQ(mp_cursor_check(&c, &err), ERR_INVALID);
	STREQ(err.what, "test: more is missing");
	mp_get_uint(&c, "still", 1);
	mp_cursor_check(&c, &err) == 0 ? (void)OK(false, "stays failed") : STREQ(err.what, "test: more is missing");
}

static void test_cursor_failures(void)
{
	static const struct { const char *hex; int getter; const char *what; } cases[] = {
		{"9106", 'u', "test: x is too large"}, {"91c0", 'u', "test: x is no integer"}, {"91a0", 'b', "test: x is no boolean"},
		{"91a461626364", 's', "test: x is too long"}, {"91a100", 's', "test: x holds a NUL character"}, {"9101", 's', "test: x is no text"},
		{"91a10a", 'l', "test: x holds a control character"}, {"91a17f", 'l', "test: x holds a control character"},
		{"91c40100", 'e', "test: x has a wrong length"}, {"91a16a", 'e', "test: x is no byte string"},
		{"91c40400000000", 'n', "test: x is too long"}, {"91920101", 'a', "test: x has too many elements"}, {"9101", 'a', "test: x is no array"},
		{"90", 'u', "test: x is missing"}, {"01", 'u', "test: it is no array"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(mp_doc_release) struct mp_doc doc = {0};
		struct mp_cursor c, nested;
		char text[4] = "?";
		uint8_t bin[2];
		const uint8_t *lent = bin;
		size_t len;
		struct err err = {0};
		cursor_on(cases[i].hex, &doc, &c);
		switch (cases[i].getter) {
		case 'u': mp_get_uint(&c, "x", 5); break;
		case 'b': mp_get_bool(&c, "x"); break;
		case 's': mp_get_str(&c, "x", text, sizeof text); break;
		case 'l': mp_get_line(&c, "x", text, sizeof text); break;
		case 'e': mp_get_bin_exact(&c, "x", bin, 2); break;
		case 'n': mp_get_bin(&c, "x", 3, &lent, &len); break;
		case 'a':
			mp_get_array(&c, "x", 1, &nested);
			OK(nested.failed && !mp_more(&nested), "a failed nested cursor");
			break;
		}
		OK(mp_cursor_check(&c, &err) == ERR_INVALID, "%s", cases[i].hex);
		STREQ(err.what, cases[i].what);
	}
}

int main(void)
{
	test_hostile();
	test_suite();
	test_writers_are_canonical();
	test_put_text();
	test_cursor();
	test_cursor_failures();
	return tap_done();
}
