#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/base58.h"
#include "proto/base/buf.h"
#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/io.h"
#include "proto/base/sanitise.h"
#include "proto/base/units.h"
#include "proto/base/utf8.h"
#include "tests/unit/tap.h"

static void test_buf(void)
{
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, 8);
	STREQ(buf_cstr(&b), "");
	buf_str(&b, "1234");
	buf_printf(&b, "%d", 5678);
	STREQ(buf_cstr(&b), "12345678");
	OK(!buf_failed(&b), "full is not failed");
	buf_byte(&b, 'x');
	OK(buf_failed(&b), "past the ceiling fails");
	struct err err;
	INTEQ(buf_check(&b, "thing", &err), ERR_LIMIT);
	buf_reset(&b);
	buf_str(&b, "abc");
	buf_consume(&b, 2);
	STREQ(buf_cstr(&b), "c");
}

static void test_hex_and_base58(void)
{
	uint8_t out[64];
	char text[BASE58_TEXT_MAX];
	OK(hex_decode(out, 3, "00fFa0") && !memcmp(out, "\x00\xff\xa0", 3), "hex");
	OK(!hex_decode(out, 3, "00ffa") && !hex_decode(out, 3, "00ffa00") && !hex_decode(out, 1, "0g"), "bad hex");
	OK(hex_is_digits("abc1234", 7, 40) && !hex_is_digits("abc", 7, 40) && !hex_is_digits("abcdefg", 7, 40), "digits");
	static const struct {
		const char *hex, *text;
	} known[] = {{"", ""}, {"61", "2g"}, {"626262", "a3gV"}, {"636363", "aPEr"}, {"516b6fcd0f", "ABnLTmg"},
		     {"00000000000000000000", "1111111111"}, {"0000287fb4cd", "11233QC4"}};
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		const size_t len = strlen(known[i].hex) / 2;
		uint8_t bytes[64];
		OK(hex_decode(bytes, len, known[i].hex), "vector");
		base58_encode(text, bytes, len);
		STREQ(text, known[i].text);
		INTEQ(base58_decode(out, sizeof out, text), len);
		MEMEQ(out, bytes, len);
	}
	INTEQ(base58_decode(out, sizeof out, "0"), -1);
	INTEQ(base58_decode(out, 3, "ABnLTmg"), -1);
	INTEQ(base58_decode(out, 3, "1111"), -1);
}

static void test_units(void)
{
	uint64_t v = 0;
	OK(units_parse_size("2G", &v) && v == UINT64_C(2) << 30, "2G");
	OK(units_parse_size("64KiB", &v) && v == 65536, "64KiB");
	OK(units_parse_size("7", &v) && v == 7, "7");
	static const char *const bad[] = {"", "G", "-1", "1.5G", "01", "9999999999999T", "1 G", "1g", "18446744073709551616", "5iB"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		OK(!units_parse_size(bad[i], &v), "bad size '%s'", bad[i]);
	OK(units_parse_duration("30m", &v) && v == 1800000, "30m");
	OK(units_parse_duration("250ms", &v) && v == 250, "250ms");
	OK(units_parse_duration("5", &v) && v == 5000, "bare seconds");
	OK(!units_parse_duration("1w", &v) && !units_parse_duration("4000d", &v) && !units_parse_duration("m", &v), "bad durations");
	char text[UNITS_TEXT_MAX];
	STREQ(units_format_size(text, 312), "312 B");
	STREQ(units_format_size(text, 1536), "1.5 KiB");
	STREQ(units_format_duration(text, 3720000), "1 h 02 min");
	STREQ(units_format_duration(text, 3456), "3.4 s");
	STREQ(units_format_time(text, UINT64_C(1700000000123)), "2023-11-14T22:13:20.123Z");
	OK(units_parse_time(text, &v) && v == UINT64_C(1700000000123), "time round trip");
	OK(!units_parse_time("2023-11-14T22:13:20", &v) && !units_parse_time("2023-11-14", &v), "bad times");
	STREQ(units_format_time(text, INT64_MAX), "never");
	static const char *const times[] = {" 2023-11-14T22:13:20Z", "2023-1-14T22:13:20Z", "2023-02-31T00:00:00Z", "2023-13-01T00:00:00Z",
					    "2023-00-10T00:00:00Z", "2023-11-14T24:00:00Z", "2023-11-14T22:60:20Z", "2023-11-14T22:13:60Z", "2023-11-14T22:13:20.Z",
					    "2023-11-14T22:13:20.1Z", "2023-11-14T22:13:20.1234Z", "2023-11-14T22:13:20.123z", "2023-11-14t22:13:20.123Z",
					    "2023-11-14T22:13:20.123+00:00", "2023-11-14T22:13:20.123Z ", "+023-11-14T22:13:20Z", "1969-12-31T23:59:59Z",
					    "2023-11-14 22:13:20Z", "2023-02-29T00:00:00.000Z", "", "2023-11-14T22:13:2"};
	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		OK(!units_parse_time(times[i], &v), "no time: '%s'", times[i]);
	OK(units_parse_time("2024-02-29T00:00:00Z", &v) && v == UINT64_C(1709164800000), "a leap day, without milliseconds");
	OK(units_parse_time("9999-12-31T23:59:59.999Z", &v) && v == UINT64_C(253402300799999), "the last there is");
}

static void check_sanitised(const char *in, size_t len, const char *want)
{
	for (size_t cut = 0; cut <= len; cut++) { /* every way to split it in two */
		CLEANUP(buf_release) struct buf b;
		buf_init(&b, 4096);
		struct sanitise s;
		sanitise_init(&s, false);
		sanitise_feed(&s, in, cut, &b);
		sanitise_feed(&s, in + cut, len - cut, &b);
		sanitise_end(&s, &b);
		if (strcmp(buf_cstr(&b), want)) {
			STREQ(buf_cstr(&b), want);
			return;
		}
	}
	OK(true, "sanitised at every split: %s", want);
}

static void test_sanitise(void)
{
#define R "\xef\xbf\xbd"
	static const struct {
		const char *in, *want;
	} table[] = {
		{"plain\ttext\n", "plain\ttext\n"},
		{"\x1b[31mred\x1b[0m", R "[31mred" R "[0m"},
		{"\x1b]0;title\x07", R "]0;title" R},
		{"\xc2\x9b" "31m", R "31m"},             /* C1 CSI in UTF-8 */
		{"\x9b" "31m", R "31m"},                 /* C1 CSI as a bare byte */
		{"\x1bP1;2q\x1b\\", R "P1;2q" R "\\"},   /* DCS */
		{"a\xe2\x80\xae" "b", "a" R "b"},        /* right-to-left override */
		{"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"},
		{"\xed\xa0\x80", R R R},                 /* a surrogate */
		{"\xc0\xaf", R R},                       /* overlong */
		{"10%\r20%\r\n", "10%\n20%\n"},
		{"\x7f\x08", R R},
	};
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		check_sanitised(table[i].in, strlen(table[i].in), table[i].want);
	check_sanitised("nul\0byte", 8, "nul" R "byte");
	char line[8];
	STREQ(sanitise_line(line, sizeof line, "ab\ncd\xc3\xa4xyz"), "ab cd\xc3\xa4");
	STREQ(sanitise_line(line, sizeof line, "abcdef\xc3\xa4"), "abcdef");
	OK(utf8_is_valid((const uint8_t *)"\xf4\x8f\xbf\xbf", 4) && !utf8_is_valid((const uint8_t *)"\xf4\x90\x80\x80", 4), "utf8 top");
}

static void test_io(void)
{
	char folder[] = "/tmp/talkoo-test-XXXXXX";
	OK(mkdtemp(folder) != NULL, "temp folder");
	char path[128];
	snprintf(path, sizeof path, "%s/a/b/c", folder);
	struct err err = {0};
	INTEQ(io_mkdirs(path, 0700, &err), 0);
	INTEQ(io_mkdirs(path, 0700, &err), 0);
	snprintf(path, sizeof path, "%s/a/f", folder);
	INTEQ(io_replace_file(path, "hello", 5, 0600, &err), 0);
	struct stat st;
	OK(!stat(path, &st) && (st.st_mode & 0777) == 0600, "mode");
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, 5);
	INTEQ(io_read_file(path, &b, &err), 0);
	STREQ(buf_cstr(&b), "hello");
	INTEQ(io_read_file(path, &b, &err), ERR_LIMIT);
	INTEQ(io_read_file("/nonexistent/x", &b, &err), ERR_NOT_FOUND);
	INTEQ(io_read_file("/dev/zero", &b, &err), ERR_IO);
	INTEQ(io_remove_tree(folder, &err), 0);
	OK(stat(folder, &st) != 0, "gone");
	INTEQ(io_remove_tree(folder, &err), 0);
}

static void test_err(void)
{
	struct err err;
	INTEQ(err_set(&err, ERR_INVALID, "bad %s", "thing"), ERR_INVALID);
	err_context(&err, "file %d", 7);
	err_hint(&err, "mend it");
	/* a caller without an err gets the code all the same */
	(void)err_set(NULL, ERR_AMBIGUOUS, "x");
	INTEQ(err_hint(NULL, "y"), ERR_AMBIGUOUS);
	INTEQ(err_context(NULL, "z"), ERR_AMBIGUOUS);
	(void)err_errno(NULL, ENOENT, "x");
	INTEQ(err_hint(NULL, "y"), ERR_IO);
	STREQ(err.what, "file 7: bad thing");
	STREQ(err.hint, "mend it");
	STREQ(err_code_name(ERR_INVALID), "invalid");
	STREQ(err_code_name(5), "unknown");
	INTEQ(err_set(NULL, ERR_LIMIT, "x"), ERR_LIMIT);
}

int main(void)
{
	test_err();
	test_buf();
	test_hex_and_base58();
	test_units();
	test_sanitise();
	test_io();
	return tap_done();
}
