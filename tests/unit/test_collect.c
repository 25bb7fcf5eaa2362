/* The collector against tars that a hostile guest might write. Each case is built here byte by byte, collected into a
 * fresh folder, and afterwards nothing may lie outside that folder, nor anything unfinished in it. */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/io.h"
#include "proto/merkle.h"
#include "runner/outfiles.h"
#include "runner/stage.h"
#include "tests/unit/tap.h"

#define MAX_COUNT 8
#define MAX_BYTES 65536

struct tar {
	uint8_t bytes[1 << 18];
	size_t len;
	uint64_t said; /* length that the guest says; 0 = the real one */
};

static char base[] = "/tmp/talkoo-collect-XXXXXX";

/* building */

static void seal(uint8_t *h)
{
	memset(h + 148, ' ', 8);
	unsigned sum = 0;
	for (int i = 0; i < 512; i++)
		sum += h[i];
	snprintf((char *)h + 148, 8, "%06o", sum);
}

/* A header block; it is kept unsealed until content() or seal(), so a case may spoil fields first. */
static uint8_t *header(struct tar *t, const char *name, char type, uint64_t size, const char *link)
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
	seal(h);
	return h;
}

static void content(struct tar *t, const char *text, size_t len)
{
	memcpy(t->bytes + t->len, text, len);
	t->len += len;
	while (t->len % 512)
		t->bytes[t->len++] = 0;
}

static uint8_t *file(struct tar *t, const char *name, const char *text)
{
	uint8_t *h = header(t, name, '0', strlen(text), "");
	content(t, text, strlen(text));
	return h;
}

static void pax(struct tar *t, const char *records)
{
	header(t, "pax", 'x', strlen(records), "");
	content(t, records, strlen(records));
}

static void end(struct tar *t)
{
	memset(t->bytes + t->len, 0, 1024);
	t->len += 1024;
}

/* running */

struct outcome {
	int status;
	unsigned artifacts;
	struct job_artifact last;
	char reason[JOB_REASON_MAX], hint[JOB_REASON_MAX];
	uint32_t outcome;
};

static void read_messages(int fd, struct outcome *ret)
{
	struct stage_msg msg;
	while (stage_recv(fd, STAGE_COLLECT, &msg) == STAGE_RECV_MSG) {
		if (msg.type == STAGE_MSG_ARTIFACT) {
			ret->artifacts++;
			ret->last = msg.u.artifact;
		} else if (msg.type == STAGE_MSG_FAILED) {
			ret->outcome = msg.u.failed.outcome;
			memcpy(ret->reason, msg.u.failed.reason, sizeof ret->reason);
			memcpy(ret->hint, msg.u.failed.hint, sizeof ret->hint);
		}
	}
}

static struct outcome collect(const struct tar *t, const char *folder)
{
	struct outcome ret = {0};
	int pair[2];
	CLEANUP(cleanup_fd) int disk = memfd_create("disk", MFD_CLOEXEC);
	CLEANUP(cleanup_fd) int out = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (disk < 0 || out < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) ||
	    io_write_full(disk, t->bytes, t->len, NULL))
		abort();
	const struct stage_collect s = {.msg_fd = pair[1], .artifacts_fd = disk, .tar_bytes = t->said ? t->said : t->len,
					.out_fd = out, .max_bytes = MAX_BYTES, .max_count = MAX_COUNT};
	ret.status = stage_collect_run(&s);
	read_messages(pair[0], &ret);
	close(pair[0]);
	close(pair[1]);
	return ret;
}

static unsigned things, links, partial;

static int count_thing(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)ftw;
	things++;
	links += type == FTW_SL || !(S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)) || (S_ISREG(st->st_mode) && st->st_nlink > 1);
	partial += S_ISREG(st->st_mode) && !(st->st_mode & 0044);
	return 0;
}

/* Runs one case in base/case/out, with bait beside and inside. */
static struct outcome run_case(const struct tar *t, const char *name)
{
	char folder[128], out[160], bait[160];
	snprintf(folder, sizeof folder, "%s/case", base);
	snprintf(out, sizeof out, "%s/out", folder);
	snprintf(bait, sizeof bait, "%s/victim", folder);
	OK(mkdir(folder, 0700) == 0 && mkdir(out, 0700) == 0 && io_replace_file(bait, "bait", 4, 0600, NULL) == 0, "set up");
	const struct outcome got = collect(t, out);
	char bait_is[8] = "";
	CLEANUP(cleanup_fd) int fd = open(bait, O_RDONLY | O_CLOEXEC);
	DIR *dir = opendir(folder);
	unsigned beside = 0;
	while (dir && readdir(dir))
		beside++;
	if (dir)
		closedir(dir);
	things = links = partial = 0;
	OK(nftw(out, count_thing, 16, FTW_PHYS) == 0, "walked");
	OK(beside == 4 && read(fd, bait_is, 8) == 4 && !strcmp(bait_is, "bait"), "%s: nothing outside", name);
	OK(links == 0 && partial == 0, "%s: no links, nothing unfinished", name);
	OK(io_remove_tree(folder, NULL) == 0, "cleaned up");
	return got;
}

/* the hostile cases: one function each where a line does not do */

static void c_dotdot(struct tar *t) { file(t, "ok", "1"); file(t, "also", "2"); file(t, "x/../y", "3"); }
static void c_dotdot_first(struct tar *t) { file(t, "../victim", "evil"); }
static void c_dotdot_last(struct tar *t) { header(t, "a/..", '5', 0, ""); }
static void c_dotdot_only(struct tar *t) { header(t, "..", '5', 0, ""); }
static void c_absolute(struct tar *t) { file(t, "/tmp/talkoo-evil", "evil"); }
static void c_dot(struct tar *t) { file(t, "./a", "1"); }
static void c_dot_root(struct tar *t) { header(t, "./", '5', 0, ""); }
static void c_empty_part(struct tar *t) { file(t, "a//b", "1"); }
static void c_no_name(struct tar *t) { file(t, "", "1"); }
static void c_slash_file(struct tar *t) { header(t, "/", '5', 0, ""); }
static void c_control(struct tar *t) { file(t, "a\x1b[31mb", "1"); }
static void c_newline(struct tar *t) { file(t, "a\nb", "1"); }
static void c_c1(struct tar *t) { file(t, "a\xc2\x9b" "b", "1"); }
static void c_backslash(struct tar *t) { file(t, "..\\victim", "1"); }
static void c_not_utf8(struct tar *t) { file(t, "a\xff", "1"); }
static void c_overlong_utf8(struct tar *t) { file(t, "a\xc0\xaf" "b", "1"); }
static void c_symlink(struct tar *t) { header(t, "l", '2', 0, "../victim"); file(t, "l", "evil"); }
static void c_symlink_folder(struct tar *t) { header(t, "d", '2', 0, ".."); file(t, "d/victim", "evil"); }
static void c_hardlink(struct tar *t) { header(t, "h", '1', 0, "../victim"); }
static void c_hardlink_earlier(struct tar *t) { file(t, "a", "1"); header(t, "h", '1', 0, "a"); }
static void c_hardlink_content(struct tar *t) { file(t, "a", "1"); header(t, "h", '1', 4, "a"); content(t, "evil", 4); }
static void c_char_device(struct tar *t) { header(t, "null", '3', 0, ""); }
static void c_block_device(struct tar *t) { header(t, "disk", '4', 0, ""); }
static void c_fifo(struct tar *t) { header(t, "pipe", '6', 0, ""); }
static void c_duplicate(struct tar *t) { file(t, "a", "1"); file(t, "a", "2"); }
static void c_duplicate_folder(struct tar *t) { header(t, "d/", '5', 0, ""); header(t, "d/", '5', 0, ""); }
static void c_file_then_folder(struct tar *t) { file(t, "a", "1"); file(t, "a/b", "2"); }
static void c_folder_then_file(struct tar *t) { file(t, "a/b", "1"); file(t, "a", "2"); }
static void c_fold(struct tar *t) { file(t, "README", "1"); file(t, "readme", "2"); }
static void c_fold_folder(struct tar *t) { file(t, "Dir/a", "1"); file(t, "dir/b", "2"); }
static void c_fold_latin(struct tar *t) { file(t, "\xc3\x84", "1"); file(t, "\xc3\xa4", "2"); }
static void c_fold_greek(struct tar *t) { file(t, "\xce\xa9", "1"); file(t, "\xcf\x89", "2"); }
static void c_fold_cyrillic(struct tar *t) { file(t, "\xd0\x81", "1"); file(t, "\xd1\x91", "2"); }
static void c_folder_content(struct tar *t) { header(t, "d/", '5', 4, ""); content(t, "evil", 4); }
static void c_too_many(struct tar *t)
{
	for (int i = 0; i <= MAX_COUNT; i++) {
		char name[16];
		snprintf(name, sizeof name, "f%d", i);
		file(t, name, "");
	}
}
static void c_too_many_folders(struct tar *t)
{
	for (int i = 0; i <= MAX_COUNT; i++) {
		char name[16];
		snprintf(name, sizeof name, "d%d/", i);
		header(t, name, '5', 0, "");
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
	pax(t, records);
	file(t, "short", "1");
}
static void c_part_long(struct tar *t)
{
	char records[400], path[257];
	memset(path, 'a', 256);
	path[256] = 0;
	snprintf(records, sizeof records, "266 path=%s\n", path);
	if (strlen(records) != 266)
		abort();
	pax(t, records);
	file(t, "short", "1");
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
	pax(t, records);
	file(t, "short", "1");
}
static void c_too_big(struct tar *t) { header(t, "big", '0', MAX_BYTES + 1, ""); memset(t->bytes + t->len, 'x', MAX_BYTES + 512); t->len += MAX_BYTES + 512; }
static void c_sum_too_big(struct tar *t)
{
	for (int i = 0; i < 3; i++) {
		char name[2] = {(char)('a' + i), 0};
		header(t, name, '0', 30000, "");
		memset(t->bytes + t->len, 'x', 30208);
		t->len += 30208;
	}
}
static void c_huge(struct tar *t) { header(t, "huge", '0', 077777777777ull, ""); content(t, "little", 6); }
static void c_beyond(struct tar *t) { header(t, "beyond", '0', 60000, ""); content(t, "little", 6); }
static void c_negative(struct tar *t) { uint8_t *h = header(t, "n", '0', 0, ""); memset(h + 124, 0xff, 12); seal(h); }
static void c_base256(struct tar *t) { uint8_t *h = header(t, "n", '0', 0, ""); memset(h + 124, 0, 12); h[124] = 0x80; h[125] = 0x7f; seal(h); }
static void c_minus(struct tar *t) { uint8_t *h = header(t, "n", '0', 0, ""); memcpy(h + 124, "-0000000001", 11); seal(h); }
static void c_pax_size_less(struct tar *t) { pax(t, "10 size=0\n"); header(t, "p", '0', 512, ""); header(t, "victim", '2', 0, "../victim"); }
static void c_pax_size_more(struct tar *t) { pax(t, "20 size=99999999999\n"); file(t, "p", "1"); }
static void c_pax_size_negative(struct tar *t) { pax(t, "11 size=-1\n"); file(t, "p", "1"); }
static void c_pax_size_text(struct tar *t) { pax(t, "12 size=abc\n"); file(t, "p", "1"); }
static void c_pax_path(struct tar *t) { pax(t, "18 path=../victim\n"); file(t, "good", "evil"); }
static void c_pax_link(struct tar *t) { pax(t, "22 linkpath=../victim\n"); header(t, "good", '2', 0, "x"); }
static void c_pax_garbage(struct tar *t) { pax(t, "999999999999 path=a\n"); file(t, "good", "1"); }
static void c_pax_no_newline(struct tar *t) { pax(t, "9 path=ab"); file(t, "good", "1"); }
static void c_pax_huge(struct tar *t) { header(t, "pax", 'x', 077777777777ull, ""); content(t, "9 path=a\n", 9); }
static void c_pax_sparse(struct tar *t)
{
	pax(t, "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n24 GNU.sparse.name=here\n31 GNU.sparse.realsize=1000000\n");
	header(t, "GNUSparseFile.0/here", '0', 1024, "");
	content(t, "1\n0\n4\n", 6);
	content(t, "data", 4);
}
static void c_gnu_sparse(struct tar *t)
{
	uint8_t *h = header(t, "sparse", 'S', 4, "");
	memcpy(h + 257, "ustar  ", 8);
	memset(h + 345, 0, 155);
	memcpy(h + 386, "00000010000\0" "00000000004", 23);
	memcpy(h + 483, "00004000000", 11);
	seal(h);
	content(t, "data", 4);
}
static void c_gnu_long_name(struct tar *t)
{
	uint8_t *h = header(t, "././@LongLink", 'L', 10, "");
	memcpy(h + 257, "ustar  ", 8);
	seal(h);
	content(t, "../victim", 10);
	file(t, "good", "evil");
}
static void c_bad_checksum(struct tar *t) { uint8_t *h = file(t, "a", "1"); h[148] ^= 1; }
static void c_garbage(struct tar *t) { for (int i = 0; i < 4096; i++) t->bytes[t->len++] = (uint8_t)(i * 7 + 1); }
static void c_gzip(struct tar *t) { content(t, "\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x04\0\x43\xbe\xb7\xe8\x01\0\0", 20); }
static void c_cpio(struct tar *t) { content(t, "070701000000010000", 18); }
static void c_zip(struct tar *t) { content(t, "PK\3\4\n\0\0\0\0\0", 10); }

static const struct {
	const char *name;
	void (*build)(struct tar *t);
	const char *says; /* part of the sentence */
	unsigned artifacts; /* whole ones before it */
} hostile[] = {
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
	{"bad checksum", c_bad_checksum, "is no tar", 0}, {"garbage", c_garbage, "is no tar", 0}, {"gzip", c_gzip, "is no tar", 0},
	{"cpio", c_cpio, "is no tar", 0}, {"zip", c_zip, "is no tar", 0},
};

static struct tar t;

static void test_hostile(void)
{
	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		memset(&t, 0, sizeof t);
		hostile[i].build(&t);
		end(&t);
		const struct outcome got = run_case(&t, hostile[i].name);
		OK(got.status == 1 && got.outcome == JOB_ERROR && !strncmp(got.reason, "artifact tar: ", 14) && got.hint[0],
		   "%s ends as error (%d, %u)", hostile[i].name, got.status, got.outcome);
		OK(strstr(got.reason, hostile[i].says), "%s: '%s'", hostile[i].name, got.reason);
		OK(got.artifacts == hostile[i].artifacts, "%s: %u artifacts", hostile[i].name, got.artifacts);
	}
}

/* Wrong ends: of the tar, of the disk, of what the guest says. */
static void test_ends(void)
{
	static const struct {
		const char *name, *says;
		int cut;       /* bytes left off the whole tar */
		int more;      /* bytes appended, of value 'fill' */
		uint8_t fill;
		int64_t said;  /* beyond (or, below 0, before) the real end */
	} cases[] = {
		{"no end mark", "no end mark", 1024, 0, 0, 0}, {"half an end mark", "no end mark", 512, 0, 0, 0},
		{"the header alone", "cannot have", 1536, 0, 0, 0},
		{"garbage behind", "no end mark", 0, 512, 'x', 0}, {"as it should be", NULL, 0, 0, 0, 0},
		{"said more than there is", "before the", 0, 0, 0, 512}, {"said less", "no end mark", 0, 0, 0, -1024},
		{"said an odd length", "cannot have", 0, 512, 0, -1}, {"said the sky", "cannot have", 0, 0, 0, INT64_MAX - 65536},
		{"zeros behind", NULL, 0, 8192, 0, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		memset(&t, 0, sizeof t);
		file(&t, "a", "1");
		end(&t);
		t.len -= (size_t)cases[i].cut;
		t.len -= t.len % 512;
		memset(t.bytes + t.len, cases[i].fill, (size_t)cases[i].more);
		t.len += (size_t)cases[i].more;
		t.said = t.len + (uint64_t)cases[i].said;
		const struct outcome got = run_case(&t, cases[i].name);
		OK((got.status == 1) == (cases[i].says != NULL) && (!cases[i].says || strstr(got.reason, cases[i].says)),
		   "%s: %d '%s'", cases[i].name, got.status, got.reason);
	}
	memset(&t, 0, sizeof t);
	file(&t, "a", "1");
	end(&t);
	content(&t, "x", 1);
	end(&t);
	const struct outcome garbage = run_case(&t, "garbage behind, then zeros");
	OK(garbage.status == 1 && strstr(garbage.reason, "behind its end"), "%s", garbage.reason);
	memset(&t, 0, sizeof t);
	file(&t, "a", "1");
	end(&t);
	file(&t, "b", "2");
	end(&t);
	const struct outcome got = run_case(&t, "a second tar behind");
	OK(got.status == 1 && strstr(got.reason, "behind its end"), "%s", got.reason);
}

static void test_empty(void)
{
	memset(&t, 0, sizeof t);
	const struct outcome none = run_case(&t, "no disk");
	OK(none.status == 0 && none.artifacts == 0, "no bytes, no artifacts");
	t.len = 512;
	t.said = 512;
	OK(run_case(&t, "one sector").status == 1, "one zero sector is no tar");
	memset(&t, 0, sizeof t);
	end(&t);
	const struct outcome empty = run_case(&t, "empty tar");
	OK(empty.status == 0 && empty.artifacts == 0, "an empty tar: %s", empty.reason);
	memset(&t, 0, sizeof t);
	t.said = 1024;
	OK(run_case(&t, "empty disk").status == 1, "a tar was said, the disk is empty");
}

static bool mode_is(const char *folder, const char *name, mode_t want)
{
	char path[256];
	struct stat st;
	snprintf(path, sizeof path, "%s/%s", folder, name);
	return lstat(path, &st) == 0 && st.st_mode == want;
}

static void test_good(void)
{
	char out[128], hex[65];
	snprintf(out, sizeof out, "%s/good", base);
	OK(mkdir(out, 0700) == 0, "set up");
	memset(&t, 0, sizeof t);
	header(&t, "dir/", '5', 0, "");
	uint8_t *h = file(&t, "dir/run", "#!/bin/sh\n");
	memcpy(h + 100, "0007777", 7); /* set-uid and everything */
	seal(h);
	file(&t, "dir/sub/deep/file", "content");
	header(&t, "dir/sub/", '5', 0, "");
	file(&t, "empty", "");
	file(&t, "\xc3\xa4.txt", "umlaut");
	pax(&t, "15 path=\xc3\xb6.txt\n");
	file(&t, "short", "pax");
	end(&t);
	const mode_t before = umask(0077);
	const struct outcome got = collect(&t, out);
	umask(before);
	OK(got.status == 0 && got.artifacts == 5, "%d, %u artifacts %s", got.status, got.artifacts, got.reason);
	STREQ(got.last.path, "\xc3\xb6.txt");
	struct blob_digest want;
	digest_bytes("pax", 3, &want);
	STREQ(got.last.digest.sha256, hex_encode(hex, want.sha256, 32));
	STREQ(got.last.digest.root, hex_encode(hex, want.root, 32));
	INTEQ(got.last.digest.size_bytes, 3);
	OK(mode_is(out, "dir", S_IFDIR | 0755) && mode_is(out, "dir/sub/deep", S_IFDIR | 0755), "folders 0755");
	OK(mode_is(out, "dir/run", S_IFREG | 0755) && mode_is(out, "dir/sub/deep/file", S_IFREG | 0644), "files 0755, 0644");
	char path[160];
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, 100);
	snprintf(path, sizeof path, "%s/dir/sub/deep/file", out);
	OK(io_read_file(path, &text, NULL) == 0 && !strcmp(buf_cstr(&text), "content"), "content");
}

/* Somebody else has put things into the folder: they are neither followed nor overwritten. */
static void test_prepared_folder(void)
{
	char out[128], path[160];
	snprintf(out, sizeof out, "%s/prepared", base);
	OK(mkdir(out, 0700) == 0, "set up");
	snprintf(path, sizeof path, "%s/link", out);
	OK(symlink("..", path) == 0, "set up");
	snprintf(path, sizeof path, "%s/file", out);
	OK(symlink("../good/empty", path) == 0, "set up");
	memset(&t, 0, sizeof t);
	file(&t, "link/evil", "1");
	end(&t);
	OK(collect(&t, out).status == 1, "a link in the folder is not followed");
	memset(&t, 0, sizeof t);
	file(&t, "file", "1");
	end(&t);
	OK(collect(&t, out).status == 1, "nor written through");
	snprintf(path, sizeof path, "%s/evil", base);
	OK(access(path, F_OK) != 0, "nothing outside");
}

int main(void)
{
	if (!mkdtemp(base))
		return 1;
	test_hostile();
	test_ends();
	test_empty();
	test_good();
	test_prepared_folder();
	OK(io_remove_tree(base, NULL) == 0, "cleaned up");
	return tap_done();
}
