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
#include "tests/unit/tars.h"

static char base[] = "/tmp/talkoo-collect-XXXXXX";

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

static struct tar t;

static void test_hostile(void)
{
	for (size_t i = 0; i < tars_hostile_len; i++) {
		memset(&t, 0, sizeof t);
		tars_hostile[i].build(&t);
		tars_end(&t);
		const struct outcome got = run_case(&t, tars_hostile[i].name);
		OK(got.status == 1 && got.outcome == JOB_ERROR && !strncmp(got.reason, "artifact tar: ", 14) && got.hint[0],
		   "%s ends as error (%d, %u)", tars_hostile[i].name, got.status, got.outcome);
		OK(strstr(got.reason, tars_hostile[i].says), "%s: '%s'", tars_hostile[i].name, got.reason);
		OK(got.artifacts == tars_hostile[i].artifacts, "%s: %u artifacts", tars_hostile[i].name, got.artifacts);
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
		tars_file(&t, "a", "1");
		tars_end(&t);
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
	tars_file(&t, "a", "1");
	tars_end(&t);
	tars_content(&t, "x", 1);
	tars_end(&t);
	const struct outcome garbage = run_case(&t, "garbage behind, then zeros");
	OK(garbage.status == 1 && strstr(garbage.reason, "behind its end"), "%s", garbage.reason);
	memset(&t, 0, sizeof t);
	tars_file(&t, "a", "1");
	tars_end(&t);
	tars_file(&t, "b", "2");
	tars_end(&t);
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
	tars_end(&t);
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
	tars_header(&t, "dir/", '5', 0, "");
	uint8_t *h = tars_file(&t, "dir/run", "#!/bin/sh\n");
	memcpy(h + 100, "0007777", 7); /* set-uid and everything */
	tars_seal(h);
	tars_file(&t, "dir/sub/deep/file", "content");
	tars_header(&t, "dir/sub/", '5', 0, "");
	tars_file(&t, "empty", "");
	tars_file(&t, "\xc3\xa4.txt", "umlaut");
	tars_pax(&t, "15 path=\xc3\xb6.txt\n");
	tars_file(&t, "short", "pax");
	tars_end(&t);
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
	tars_file(&t, "link/evil", "1");
	tars_end(&t);
	OK(collect(&t, out).status == 1, "a link in the folder is not followed");
	memset(&t, 0, sizeof t);
	tars_file(&t, "file", "1");
	tars_end(&t);
	OK(collect(&t, out).status == 1, "nor written through");
	snprintf(path, sizeof path, "%s/evil", base);
	OK(access(path, F_OK) != 0, "nothing outside");
}

/* A million entries: refused at the cap, in the time and memory that the cap takes. What lies behind it is not read, so only as many
 * are really there as show that. */
static void test_million(void)
{
	enum { ENTRIES = 1000000, THERE = 30000, CAP = JOB_ARTIFACTS_MAX };
	struct outcome got = {0};
	int pair[2];
	char path[64], out_path[64];
	snprintf(path, sizeof path, "%s/million.tar", base);
	snprintf(out_path, sizeof out_path, "%s/million", base);
	OK(mkdir(out_path, 0700) == 0, "a folder");
	CLEANUP(cleanup_fd) int disk = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	CLEANUP(cleanup_fd) int out = open(out_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	OK(disk >= 0 && out >= 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0, "set up");
	for (int i = 0; i < THERE; i++) {
		char name[16];
		t.len = 0;
		snprintf(name, sizeof name, "d%d/", i);
		tars_header(&t, name, '5', 0, "");
		if (io_write_full(disk, t.bytes, t.len, NULL))
			abort();
	}
	OK(ftruncate(disk, (off_t)ENTRIES * 512 + 1024) == 0, "a million headers' room");
	const struct stage_collect s = {.msg_fd = pair[1], .artifacts_fd = disk, .tar_bytes = (uint64_t)ENTRIES * 512 + 1024, .out_fd = out,
					.max_bytes = MAX_BYTES, .max_count = UINT32_MAX};
	got.status = stage_collect_run(&s);
	read_messages(pair[0], &got);
	OK(got.status == 1 && strstr(got.reason, "entry 10001: 'd10000' is more than 10000 folders"), "a million entries: %s", got.reason);
	close(pair[0]);
	close(pair[1]);
	OK(io_remove_tree(out_path, NULL) == 0 && unlink(path) == 0, "cleaned up");
}

int main(void)
{
	if (!mkdtemp(base))
		return 1;
	test_hostile();
	test_ends();
	test_million();
	test_empty();
	test_good();
	test_prepared_folder();
	OK(io_remove_tree(base, NULL) == 0, "cleaned up");
	return tap_done();
}
