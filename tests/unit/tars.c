#include "tests/unit/tars.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "runner/outfiles.h"

/* building */

void tars_seal(uint8_t *h)
{
	memset(h + 148, ' ', 8);
	unsigned sum = 0;
	for (int i = 0; i < 512; i++)
		sum += h[i];
	snprintf((char *)h + 148, 8, "%06o", sum);
}

/* A header block; it is kept unsealed until tars_content() or tars_seal(), so a case may spoil fields first. */
uint8_t *tars_header(struct tar *t, const char *name, char type, uint64_t size, const char *link)
{
	uint8_t *h = t->bytes + t->len;
	memset(h, 0, 512);
	memcpy(h, name, strnlen(name, 100));
	memcpy(h + 100, "0000644\0" "0000000\0" "0000000", 23);
	snprintf((char *)h + 124, 12, "%011llo", (unsigned long long)size);
	memcpy(h + 136, "00000000000", 11);
	h[156] = (uint8_t)type;
	memcpy(h + 157, link, strnlen(link, 100));
	memcpy(h + 257, "ustar\00000", 8);
	t->len += 512;
	tars_seal(h);
	return h;
}

void tars_content(struct tar *t, const char *text, size_t len)
{
	memcpy(t->bytes + t->len, text, len);
	t->len += len;
	while (t->len % 512)
		t->bytes[t->len++] = 0;
}

uint8_t *tars_file(struct tar *t, const char *name, const char *text)
{
	uint8_t *h = tars_header(t, name, '0', strlen(text), "");
	tars_content(t, text, strlen(text));
	return h;
}

void tars_pax(struct tar *t, const char *records)
{
	tars_header(t, "pax", 'x', strlen(records), "");
	tars_content(t, records, strlen(records));
}

void tars_end(struct tar *t)
{
	memset(t->bytes + t->len, 0, 1024);
	t->len += 1024;
}

/* the hostile cases: one function each where a line does not do */

static void c_dotdot(struct tar *t) { tars_file(t, "ok", "1"); tars_file(t, "also", "2"); tars_file(t, "x/../y", "3"); }
static void c_dotdot_first(struct tar *t) { tars_file(t, "../victim", "evil"); }
static void c_dotdot_last(struct tar *t) { tars_header(t, "a/..", '5', 0, ""); }
static void c_dotdot_only(struct tar *t) { tars_header(t, "..", '5', 0, ""); }
static void c_absolute(struct tar *t) { tars_file(t, "/tmp/talkoo-evil", "evil"); }
static void c_dot(struct tar *t) { tars_file(t, "./a", "1"); }
static void c_dot_root(struct tar *t) { tars_header(t, "./", '5', 0, ""); }
static void c_empty_part(struct tar *t) { tars_file(t, "a//b", "1"); }
static void c_no_name(struct tar *t) { tars_file(t, "", "1"); }
static void c_slash_file(struct tar *t) { tars_header(t, "/", '5', 0, ""); }
static void c_control(struct tar *t) { tars_file(t, "a\x1b[31mb", "1"); }
static void c_newline(struct tar *t) { tars_file(t, "a\nb", "1"); }
static void c_c1(struct tar *t) { tars_file(t, "a\xc2\x9b" "b", "1"); }
static void c_backslash(struct tar *t) { tars_file(t, "..\\victim", "1"); }
static void c_not_utf8(struct tar *t) { tars_file(t, "a\xff", "1"); }
static void c_overlong_utf8(struct tar *t) { tars_file(t, "a\xc0\xaf" "b", "1"); }
static void c_symlink(struct tar *t) { tars_header(t, "l", '2', 0, "../victim"); tars_file(t, "l", "evil"); }
static void c_symlink_folder(struct tar *t) { tars_header(t, "d", '2', 0, ".."); tars_file(t, "d/victim", "evil"); }
static void c_hardlink(struct tar *t) { tars_header(t, "h", '1', 0, "../victim"); }
static void c_hardlink_earlier(struct tar *t) { tars_file(t, "a", "1"); tars_header(t, "h", '1', 0, "a"); }
static void c_hardlink_content(struct tar *t) { tars_file(t, "a", "1"); tars_header(t, "h", '1', 4, "a"); tars_content(t, "evil", 4); }
static void c_char_device(struct tar *t) { tars_header(t, "null", '3', 0, ""); }
static void c_block_device(struct tar *t) { tars_header(t, "disk", '4', 0, ""); }
static void c_fifo(struct tar *t) { tars_header(t, "pipe", '6', 0, ""); }
static void c_duplicate(struct tar *t) { tars_file(t, "a", "1"); tars_file(t, "a", "2"); }
static void c_duplicate_folder(struct tar *t) { tars_header(t, "d/", '5', 0, ""); tars_header(t, "d/", '5', 0, ""); }
static void c_file_then_folder(struct tar *t) { tars_file(t, "a", "1"); tars_file(t, "a/b", "2"); }
static void c_folder_then_file(struct tar *t) { tars_file(t, "a/b", "1"); tars_file(t, "a", "2"); }
static void c_fold(struct tar *t) { tars_file(t, "README", "1"); tars_file(t, "readme", "2"); }
static void c_fold_folder(struct tar *t) { tars_file(t, "Dir/a", "1"); tars_file(t, "dir/b", "2"); }
static void c_fold_latin(struct tar *t) { tars_file(t, "\xc3\x84", "1"); tars_file(t, "\xc3\xa4", "2"); }
static void c_fold_greek(struct tar *t) { tars_file(t, "\xce\xa9", "1"); tars_file(t, "\xcf\x89", "2"); }
static void c_fold_cyrillic(struct tar *t) { tars_file(t, "\xd0\x81", "1"); tars_file(t, "\xd1\x91", "2"); }
static void c_folder_content(struct tar *t) { tars_header(t, "d/", '5', 4, ""); tars_content(t, "evil", 4); }
static void c_too_many(struct tar *t)
{
	for (int i = 0; i <= MAX_COUNT; i++) {
		char name[16];
		snprintf(name, sizeof name, "f%d", i);
		tars_file(t, name, "");
	}
}
static void c_too_many_folders(struct tar *t)
{
	for (int i = 0; i <= MAX_COUNT; i++) {
		char name[16];
		snprintf(name, sizeof name, "d%d/", i);
		tars_header(t, name, '5', 0, "");
	}
}
static void c_too_deep(struct tar *t)
{
	char records[256];
	const size_t len = 3 + 1 + 5 + 2 * (OUTFILES_DEPTH_MAX + 1) - 1 + 1;
	char path[2 * OUTFILES_DEPTH_MAX + 3] = "";
	for (int i = 0; i <= OUTFILES_DEPTH_MAX; i++)
		strcat(path, i ? "/a" : "a");
	snprintf(records, sizeof records, "%zu path=%s\n", len - 1, path);
	if (strlen(records) != len - 1)
		abort();
	tars_pax(t, records);
	tars_file(t, "short", "1");
}
static void c_part_long(struct tar *t)
{
	char records[400], path[257];
	memset(path, 'a', 256);
	path[256] = 0;
	snprintf(records, sizeof records, "266 path=%s\n", path);
	if (strlen(records) != 266)
		abort();
	tars_pax(t, records);
	tars_file(t, "short", "1");
}
static void c_path_long(struct tar *t)
{
	static char records[3000], path[2000];
	memset(path, 'a', sizeof path - 1);
	for (size_t i = 100; i < sizeof path - 1; i += 100)
		path[i] = '/';
	snprintf(records, sizeof records, "%zu path=%s\n", strlen(path) + 11, path);
	if (strlen(records) != strlen(path) + 11)
		abort();
	tars_pax(t, records);
	tars_file(t, "short", "1");
}
static void c_too_big(struct tar *t) { tars_header(t, "big", '0', MAX_BYTES + 1, ""); memset(t->bytes + t->len, 'x', MAX_BYTES + 512); t->len += MAX_BYTES + 512; }
static void c_sum_too_big(struct tar *t)
{
	for (int i = 0; i < 3; i++) {
		char name[2] = {(char)('a' + i), 0};
		tars_header(t, name, '0', 30000, "");
		memset(t->bytes + t->len, 'x', 30208);
		t->len += 30208;
	}
}
static void c_huge(struct tar *t) { tars_header(t, "huge", '0', 077777777777ull, ""); tars_content(t, "little", 6); }
static void c_beyond(struct tar *t) { tars_header(t, "beyond", '0', 60000, ""); tars_content(t, "little", 6); }
static void c_negative(struct tar *t) { uint8_t *h = tars_header(t, "n", '0', 0, ""); memset(h + 124, 0xff, 12); tars_seal(h); }
static void c_base256(struct tar *t) { uint8_t *h = tars_header(t, "n", '0', 0, ""); memset(h + 124, 0, 12); h[124] = 0x80; h[125] = 0x7f; tars_seal(h); }
static void c_minus(struct tar *t) { uint8_t *h = tars_header(t, "n", '0', 0, ""); memcpy(h + 124, "-0000000001", 11); tars_seal(h); }
static void c_pax_size_less(struct tar *t) { tars_pax(t, "10 size=0\n"); tars_header(t, "p", '0', 512, ""); tars_header(t, "victim", '2', 0, "../victim"); }
static void c_pax_size_more(struct tar *t) { tars_pax(t, "20 size=99999999999\n"); tars_file(t, "p", "1"); }
static void c_pax_size_negative(struct tar *t) { tars_pax(t, "11 size=-1\n"); tars_file(t, "p", "1"); }
static void c_pax_size_text(struct tar *t) { tars_pax(t, "12 size=abc\n"); tars_file(t, "p", "1"); }
static void c_pax_path(struct tar *t) { tars_pax(t, "18 path=../victim\n"); tars_file(t, "good", "evil"); }
static void c_pax_link(struct tar *t) { tars_pax(t, "22 linkpath=../victim\n"); tars_header(t, "good", '2', 0, "x"); }
static void c_pax_garbage(struct tar *t) { tars_pax(t, "999999999999 path=a\n"); tars_file(t, "good", "1"); }
static void c_pax_no_newline(struct tar *t) { tars_pax(t, "9 path=ab"); tars_file(t, "good", "1"); }
static void c_pax_huge(struct tar *t) { tars_header(t, "pax", 'x', 077777777777ull, ""); tars_content(t, "9 path=a\n", 9); }
static void c_pax_sparse(struct tar *t)
{
	tars_pax(t, "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n24 GNU.sparse.name=here\n31 GNU.sparse.realsize=1000000\n");
	tars_header(t, "GNUSparseFile.0/here", '0', 1024, "");
	tars_content(t, "1\n0\n4\n", 6);
	tars_content(t, "data", 4);
}
static void c_gnu_sparse(struct tar *t)
{
	uint8_t *h = tars_header(t, "sparse", 'S', 4, "");
	memcpy(h + 257, "ustar  ", 8);
	memset(h + 345, 0, 155);
	memcpy(h + 386, "00000010000\0" "00000000004", 23);
	memcpy(h + 483, "00004000000", 11);
	tars_seal(h);
	tars_content(t, "data", 4);
}
static void c_gnu_long_name(struct tar *t)
{
	uint8_t *h = tars_header(t, "././@LongLink", 'L', 10, "");
	memcpy(h + 257, "ustar  ", 8);
	tars_seal(h);
	tars_content(t, "../victim", 10);
	tars_file(t, "good", "evil");
}
static void c_gnu_long_link(struct tar *t)
{
	uint8_t *h = tars_header(t, "././@LongLink", 'K', 10, "");
	memcpy(h + 257, "ustar  ", 8);
	tars_seal(h);
	tars_content(t, "../victim", 10);
	tars_header(t, "good", '2', 0, "x");
}
static void c_gnu_long_huge(struct tar *t)
{
	uint8_t *h = tars_header(t, "././@LongLink", 'L', 077777777777ull, "");
	memcpy(h + 257, "ustar  ", 8);
	tars_seal(h);
	tars_content(t, "a", 2);
}
/* "ustar": prefix and name together are the path */
static void c_prefix(struct tar *t)
{
	uint8_t *h = tars_header(t, "victim", '0', 0, "");
	memcpy(h + 345, "a/..", 4);
	tars_seal(h);
}
static void c_hardlink_chain(struct tar *t) { tars_file(t, "a", "1"); tars_header(t, "b", '1', 0, "a"); tars_header(t, "c", '1', 0, "b"); tars_file(t, "c", "evil"); }
static void c_hardlink_absolute(struct tar *t) { tars_header(t, "h", '1', 0, "/etc/passwd"); }
static void c_hardlink_itself(struct tar *t) { tars_header(t, "h", '1', 0, "h"); }
static void c_link_then_below(struct tar *t) { tars_file(t, "a/x", "1"); tars_header(t, "a", '2', 0, ".."); tars_file(t, "a/victim", "evil"); }
static void c_contiguous(struct tar *t) { tars_header(t, "c", '7', 4, ""); tars_content(t, "evil", 4); tars_header(t, "l", '2', 0, "../victim"); }
static void c_unknown_type(struct tar *t) { tars_header(t, "u", 'Z', 4, ""); tars_content(t, "evil", 4); tars_header(t, "l", '2', 0, "../victim"); }
static void c_volume(struct tar *t) { tars_header(t, "v", 'V', 0, ""); tars_header(t, "l", '2', 0, "../victim"); }
static void c_multivolume(struct tar *t) { tars_header(t, "m", 'M', 4, ""); tars_content(t, "evil", 4); }
static void c_pax_global_path(struct tar *t) { tars_header(t, "g", 'g', 18, ""); tars_content(t, "18 path=../victim\n", 18); tars_file(t, "good", "evil"); tars_header(t, "l", '2', 0, "../victim"); }
static void c_pax_twice(struct tar *t) { tars_pax(t, "10 path=a\n18 path=../victim\n"); tars_file(t, "good", "evil"); }
static void c_pax_of_pax(struct tar *t) { tars_pax(t, "18 path=../victim\n"); tars_pax(t, "10 size=0\n"); tars_file(t, "good", "evil"); }
static void c_pax_nul(struct tar *t)
{
	tars_header(t, "pax", 'x', 17, "");
	tars_content(t, "17 path=../v\0ctim\n", 17);
	tars_file(t, "good", "evil");
}
static void c_pax_zero_len(struct tar *t) { tars_pax(t, "0 path=a\n"); tars_file(t, "good", "1"); }
static void c_pax_len_wraps(struct tar *t) { tars_pax(t, "18446744073709551626 path=a\n"); tars_file(t, "good", "1"); }
static void c_pax_size_wraps(struct tar *t) { tars_pax(t, "30 size=18446744073709551616\n"); tars_file(t, "p", "1"); }
static void c_pax_size_max(struct tar *t) { tars_pax(t, "28 size=9223372036854775807\n"); tars_file(t, "p", "1"); }
static void c_pax_size_folder(struct tar *t) { tars_pax(t, "12 size=512\n"); tars_header(t, "d/", '5', 0, ""); tars_content(t, "evil", 4); tars_header(t, "l", '2', 0, "../victim"); }
static void c_pax_charset(struct tar *t) { tars_pax(t, "21 hdrcharset=BINARY\n10 path=\xff\n"); tars_file(t, "good", "1"); }
static void c_sum_wraps(struct tar *t)
{
	tars_file(t, "a", "1");
	uint8_t *h = tars_header(t, "n", '0', 0, "");
	memcpy(h + 124, "\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 12);
	tars_seal(h);
}
static void c_octal_garbage(struct tar *t) { uint8_t *h = tars_header(t, "n", '0', 0, ""); memcpy(h + 124, "99999999999", 11); tars_seal(h); tars_content(t, "evil", 4); tars_header(t, "l", '2', 0, "../victim"); }
static void c_fold_turkish(struct tar *t) { tars_file(t, "FILE", "1"); tars_file(t, "fILe", "2"); }
static void c_fold_deep(struct tar *t) { tars_file(t, "a/b/C/d", "1"); tars_file(t, "a/B/c/d", "2"); }
static void c_pax_fold(struct tar *t) { tars_file(t, "readme", "1"); tars_pax(t, "15 path=README\n"); tars_file(t, "other", "2"); }
static void c_duplicate_slash(struct tar *t) { tars_header(t, "a/", '5', 0, ""); tars_file(t, "a", "1"); }
static void c_truncated_header(struct tar *t) { tars_file(t, "a", "1"); tars_header(t, "b", '0', 0, ""); t->len -= 300; while (t->len % 512) t->bytes[t->len++] = 0; }
static void c_bad_checksum(struct tar *t) { uint8_t *h = tars_file(t, "a", "1"); h[148] ^= 1; }
static void c_garbage(struct tar *t) { for (int i = 0; i < 4096; i++) t->bytes[t->len++] = (uint8_t)(i * 7 + 1); }
static void c_gzip(struct tar *t) { tars_content(t, "\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x04\0\x43\xbe\xb7\xe8\x01\0\0", 20); }
static void c_cpio(struct tar *t) { tars_content(t, "070701000000010000", 18); }
static void c_zip(struct tar *t) { tars_content(t, "PK\3\4\n\0\0\0\0\0", 10); }

const struct tars_case tars_hostile[] = {
	{"..", c_dotdot, "entry 3: 'x/../y' leaves the folder", 2}, {".. first", c_dotdot_first, "entry 1: '../victim' leaves the folder", 0},
	{".. last", c_dotdot_last, "leaves the folder", 0}, {".. alone", c_dotdot_only, "leaves the folder", 0},
	{"absolute", c_absolute, "absolute", 0}, {"./", c_dot, "'.' part", 0}, {"./ root", c_dot_root, "'.' part", 0},
	{"empty part", c_empty_part, "empty part", 0}, {"no name", c_no_name, "entry 1", 0}, {"/", c_slash_file, "absolute", 0},
	{"escape", c_control, "control character", 0}, {"newline", c_newline, "control character", 0}, {"C1", c_c1, "control character", 0},
	{"backslash", c_backslash, "backslash", 0}, {"not UTF-8", c_not_utf8, "not UTF-8", 0}, {"overlong UTF-8", c_overlong_utf8, "not UTF-8", 0},
	{"symlink", c_symlink, "entry 1: 'l' is a symbolic link", 0}, {"symlinked folder", c_symlink_folder, "symbolic link", 0},
	{"hard link", c_hardlink, "hard link", 0}, {"hard link to earlier", c_hardlink_earlier, "entry 2: 'h' is a hard link", 1},
	{"hard link with content", c_hardlink_content, "hard link", 1}, {"character device", c_char_device, "device", 0},
	{"block device", c_block_device, "device", 0}, {"fifo", c_fifo, "fifo", 0}, {"duplicate", c_duplicate, "twice", 1},
	{"duplicate folder", c_duplicate_folder, "twice", 0}, {"below a file", c_file_then_folder, "below a file", 1},
	{"file over folder", c_folder_then_file, "twice", 1}, {"case", c_fold, "upper and lower case", 1},
	{"case of a folder", c_fold_folder, "upper and lower case", 1}, {"case, Latin", c_fold_latin, "upper and lower case", 1},
	{"case, Greek", c_fold_greek, "upper and lower case", 1}, {"case, Cyrillic", c_fold_cyrillic, "upper and lower case", 1},
	{"folder with content", c_folder_content, "entry 2: is damaged", 0}, {"too many", c_too_many, "more than 8 files", 8},
	{"too many folders", c_too_many_folders, "more than 8 folders", 0}, {"too deep", c_too_deep, "too many parts", 0},
	{"long part", c_part_long, "part that is too long", 0}, {"long path", c_path_long, "too long", 0},
	{"too big", c_too_big, "more than 65536 bytes", 0}, {"sum too big", c_sum_too_big, "more than 65536 bytes", 2},
	{"huge", c_huge, "more than 65536 bytes", 0}, {"beyond the end", c_beyond, "damaged", 0}, {"negative, base 256", c_negative, "entry 1", 0},
	{"base 256 overflow", c_base256, "entry 1", 0}, {"minus", c_minus, "is no tar", 0}, {"pax size less", c_pax_size_less, "entry 2", 1},
	{"pax size more", c_pax_size_more, "more than 65536 bytes", 0}, {"pax size negative", c_pax_size_negative, "entry 1", 0},
	{"pax size text", c_pax_size_text, "entry 2: is damaged", 1}, {"pax path", c_pax_path, "'../victim' leaves the folder", 0},
	{"pax link", c_pax_link, "symbolic link", 0}, {"pax garbage", c_pax_garbage, "entry 1", 0},
	{"pax without newline", c_pax_no_newline, "entry 1", 0}, {"pax huge", c_pax_huge, "entry 1", 0},
	{"pax sparse", c_pax_sparse, "sparse", 0}, {"GNU sparse", c_gnu_sparse, "sparse", 0}, {"GNU long name", c_gnu_long_name, "leaves the folder", 0},
	{"GNU long link", c_gnu_long_link, "symbolic link", 0}, {"GNU long name, huge", c_gnu_long_huge, "entry 1", 0},
	{"prefix", c_prefix, "leaves the folder", 0}, {"hard links to earlier links", c_hardlink_chain, "entry 2: 'b' is a hard link", 1},
	{"hard link, absolute", c_hardlink_absolute, "hard link", 0}, {"hard link to itself", c_hardlink_itself, "hard link", 0},
	{"a link in a folder's place", c_link_then_below, "entry 2: 'a' is a symbolic link", 1}, {"contiguous", c_contiguous, "symbolic link", 1},
	{"unknown type", c_unknown_type, "symbolic link", 1}, {"volume", c_volume, "entry 1", 0}, {"several volumes", c_multivolume, "entry 1", 0},
	{"pax for all", c_pax_global_path, "entry 2: 'l' is a symbolic link", 1}, {"pax path twice", c_pax_twice, "leaves the folder", 0},
	{"pax of a pax", c_pax_of_pax, "entry 1", 0}, {"pax with a zero byte", c_pax_nul, "entry 1", 0},
	{"pax of no length", c_pax_zero_len, "entry 1", 0}, {"pax whose length wraps", c_pax_len_wraps, "entry 1", 0},
	{"pax size wraps", c_pax_size_wraps, "entry 1", 0}, {"pax size, largest", c_pax_size_max, "entry 1", 0},
	{"pax size of a folder", c_pax_size_folder, "entry 1", 0}, {"pax in bytes", c_pax_charset, "not UTF-8", 0},
	{"base 256, largest", c_sum_wraps, "entry 2", 1}, {"no octal", c_octal_garbage, "is no tar", 0},
	{"case, mixed", c_fold_turkish, "upper and lower case", 1}, {"case, deep", c_fold_deep, "upper and lower case", 1},
	{"case, by pax", c_pax_fold, "upper and lower case", 1}, {"folder, then file", c_duplicate_slash, "twice", 0},
	{"half a header", c_truncated_header, "entry 2", 1},
	{"bad checksum", c_bad_checksum, "is no tar", 0}, {"garbage", c_garbage, "is no tar", 0}, {"gzip", c_gzip, "is no tar", 0},
	{"cpio", c_cpio, "is no tar", 0}, {"zip", c_zip, "is no tar", 0},
};
const size_t tars_hostile_len = ARRAY_LEN(tars_hostile);
