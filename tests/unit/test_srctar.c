#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/io.h"
#include "runner/srctar.h"
#include "tests/unit/tap.h"

static uint8_t tar[1 << 20];

/* Runs the writer over one entry in a memory file; its bytes are then in `tar`. Returns their number, 0 after an error. */
static size_t write_one(const char *path, char kind, const char *text, int64_t mtime, uint64_t max, struct err *err)
{
	CLEANUP(cleanup_fd) int fd = memfd_create("tar", MFD_CLOEXEC);
	CLEANUP(srctar_release) struct srctar t = {0};
	struct blob_digest digest, check;
	int e = srctar_init(&t, fd, mtime, max, err);
	if (!e && kind == '5')
		e = srctar_folder(&t, path, err);
	else if (!e && kind == '2')
		e = srctar_link(&t, path, text, err);
	else if (!e)
		e = srctar_file(&t, path, kind == 'x', text, strlen(text), err);
	if (!e)
		e = srctar_finish(&t, &digest, err);
	if (e)
		return 0;
	const ssize_t n = lseek(fd, 0, SEEK_SET) == 0 ? io_read_full(fd, tar, sizeof tar, NULL) : -1;
	digest_bytes(tar, (size_t)n, &check);
	OK(n % 512 == 0 && digest.size == (uint64_t)n && !memcmp(digest.sha256, check.sha256, 32) &&
		   !memcmp(digest.root, check.root, 32),
	   "the digest is of what was written (%zd bytes)", n);
	return (size_t)n;
}

static void test_header(void)
{
	struct err err = {0};
	const size_t len = write_one("a/b.txt", 'x', "hello\n", 1700000000, sizeof tar, &err);
	INTEQ(len, 512 * 4);
	STREQ((const char *)tar, "a/b.txt");
	MEMEQ(tar + 100, "0000755\0" "0000000\0" "0000000\0" "00000000006\0" "14524770400\0", 48);
	MEMEQ(tar + 156, "0\0", 2);
	MEMEQ(tar + 257, "ustar\0" "00\0", 9);
	MEMEQ(tar + 329, "0000000\0" "0000000\0\0", 17);
	MEMEQ(tar + 512, "hello\n\0", 7);
	unsigned sum = 0;
	for (size_t i = 0; i < 512; i++)
		sum += i >= 148 && i < 156 ? ' ' : tar[i];
	char want[9];
	snprintf(want, sizeof want, "%06o", sum);
	MEMEQ(tar + 148, want, 7);
	INTEQ(tar[155], ' ');
	for (size_t i = 1024; i < len; i++)
		if (tar[i])
			OK(false, "byte %zu of the end is not zero", i);
	INTEQ(write_one("link", '2', "a/b.txt", 0, sizeof tar, &err), 1536);
	MEMEQ(tar + 100, "0000777", 8);
	MEMEQ(tar + 156, "2a/b.txt\0", 9);
	INTEQ(write_one("dir", '5', "", 0, sizeof tar, &err), 1536);
	MEMEQ(tar, "dir/\0", 5);
	MEMEQ(tar + 156, "5\0", 2);
}

static void test_times(void)
{
	static const struct {
		int64_t time;
		const char *field;
	} cases[] = {{-5, "00000000000"}, {0, "00000000000"}, {8589934591, "77777777777"}, {8589934592, "77777777777"},
		     {INT64_MAX, "77777777777"}, {INT64_MIN, "00000000000"}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		OK(write_one("a", '0', "", cases[i].time, sizeof tar, NULL) == 1536, "written");
		STREQ((const char *)tar + 136, cases[i].field);
	}
}

/* "N/M": a part of N bytes, a slash, a part of M bytes … */
static void make_path(char *out, const char *shape)
{
	while (*shape) {
		char *end;
		const size_t n = strtoul(shape, &end, 10);
		memset(out, 'p', n);
		out += n;
		if (*end == '/')
			*out++ = '/';
		shape = *end ? end + 1 : end;
	}
	*out = 0;
}

static void test_long_names(void)
{
	static const struct {
		const char *shape;
		char kind;
		size_t prefix; /* bytes in prefix, 0 = none */
		bool pax;
	} cases[] = {
		{"100", '0', 0, false}, {"101", '0', 0, true}, {"99", '5', 0, false}, {"100", '5', 0, true},
		{"1/99", '0', 1, false}, {"1/98", '0', 0, false}, {"1/100", '0', 1, false}, {"1/101", '0', 0, true},
		{"10/10/90", '0', 21, false}, {"50/49/50", '0', 50, false}, {"60/60/60", '0', 121, false},
		{"155/100", '0', 155, false}, {"156/100", '0', 0, true}, {"155/99", '5', 155, false},
		{"155/100", '5', 0, true}, {"100/55/100", '0', 156 > 155 ? 0 : 1, true}, {"100/54/100", '0', 155, false},
		{"255/255/255", '0', 0, true},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char path[1024], want[1200];
		make_path(path, cases[i].shape);
		const size_t len = write_one(path, cases[i].kind, "", 7, sizeof tar, NULL);
		const bool is_pax = tar[156] == 'x';
		OK(is_pax == cases[i].pax, "%s %c: pax %d", cases[i].shape, cases[i].kind, is_pax);
		if (cases[i].kind == '5')
			strcat(path, "/");
		const uint8_t *header = tar;
		if (is_pax) {
			STREQ((const char *)tar, "PaxHeader");
			header = tar + len - 1024 - 512;
			MEMEQ(header, path, 100);
			snprintf(want, sizeof want, "%zu path=%s\n", strlen(path) + 10, path); /* 3 digits */
			MEMEQ(tar + 512, want, strlen(want) + 1);
		}
		INTEQ(strnlen((const char *)header + 345, 155), cases[i].prefix);
		if (!is_pax && cases[i].prefix) {
			snprintf(want, sizeof want, "%.*s/%.100s", (int)cases[i].prefix, (const char *)header + 345,
				 (const char *)header);
			STREQ(want, path);
		}
	}
	char target[300];
	make_path(target, "100");
	OK(write_one("l", '2', target, 0, sizeof tar, NULL) == 1536 && tar[156] == '2', "a target of 100 bytes");
	make_path(target, "101");
	OK(write_one("l", '2', target, 0, sizeof tar, NULL) == 2560 && tar[156] == 'x', "a target of 101 bytes");
	MEMEQ(tar + 512, "115 linkpath=ppp", 16);
}

static void test_limits(void)
{
	struct err err = {0};
	char path[SRCTAR_PATH_MAX + 2];
	memset(path, 'a', sizeof path);
	path[SRCTAR_PATH_MAX] = 0;
	OK(write_one(path, '0', "", 0, sizeof tar, &err) > 0, "the longest path");
	OK(write_one(path, '5', "", 0, sizeof tar, &err) == 0 && err.code == ERR_LIMIT, "with a slash it is too long");
	OK(write_one("", '0', "", 0, sizeof tar, &err) == 0, "no path");
	OK(write_one("l", '2', "", 0, sizeof tar, &err) == 0 && err.code == ERR_LIMIT, "no target");
	OK(write_one("a", '0', "x", 0, 2048, &err) == 2048, "just fits");
	OK(write_one("a", '0', "x", 0, 2047, &err) == 0 && err.code == ERR_LIMIT, "one byte short");
	OK(write_one("a", '0', "", 0, 1535, &err) == 0 && err.code == ERR_LIMIT, "no room for the end");

	CLEANUP(cleanup_fd) int fd = memfd_create("tar", MFD_CLOEXEC);
	CLEANUP(srctar_release) struct srctar t = {0};
	struct blob_digest digest;
	OK(srctar_init(&t, fd, 0, UINT64_MAX, &err) == 0, "init");
	OK(srctar_file_begin(&t, "big", false, UINT64_C(1) << 33, &err) == 0, "8 GiB begins");
	MEMEQ(t.buf + 512, "19 size=8589934592\n", 20);
	MEMEQ(t.buf + 1024 + 124, "00000000000", 12);
	INTEQ(srctar_file_end(&t, &err), ERR_BUG);
	INTEQ(srctar_finish(&t, &digest, &err), ERR_BUG);
	INTEQ(srctar_bytes(&t, tar, SIZE_MAX, &err), ERR_BUG);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_header();
	test_times();
	test_long_names();
	test_limits();
	return tap_done();
}
