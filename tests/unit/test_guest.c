/* talkoo-init's parts that need no virtual machine: tar in and out, the plan, globs, unpacking, the empty file system. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/guest/artifacts.h"
#include "runner/guest/guest_plan.h"
#include "runner/guest/scratchfs.h"
#include "runner/guest/tar_read.h"
#include "runner/guest/tar_write.h"
#include "runner/guest/unpack.h"
#include "tests/unit/tap.h"
#include "tests/vm/vm_tar.h"

static int memory_file(const void *bytes, size_t len)
{
	const int fd = memfd_create("tar", MFD_CLOEXEC);
	if (fd < 0 || io_write_full(fd, bytes, len, NULL) || lseek(fd, 0, SEEK_SET))
		abort();
	return fd;
}

/* The code of reading a whole tar, and how many entries came before. */
static int read_all(const struct buf *tar, int *ret_entries, struct err *err)
{
	CLEANUP(cleanup_fd) int fd = memory_file(tar->data, tar->len);
	CLEANUP(tar_reader_release) struct tar_reader r = {0};
	static struct tar_entry e;
	int rc = tar_reader_init(&r, tar_source_fd, &fd, err);
	*ret_entries = 0;
	while (!rc && (rc = tar_next(&r, &e, err)) == 1) {
		const uint8_t *bytes = NULL;
		ssize_t n;
		while ((n = tar_read(&r, &bytes, err)) > 0) {
		}
		rc = n < 0 ? (int)n : 0;
		++*ret_entries;
	}
	return rc;
}

static void pax(struct buf *tar, const char *records)
{
	vm_tar_add(tar, "pax", 'x', 0644, records, strlen(records));
}

/* Builds one hostile tar. */
static void hostile_tar(int number, struct buf *t, const char **ret_what)
{
	static const char *const paths[] = {"../up", "/abs", "a/../b", "a//b", "..", "a/.", "a/..", "/"};
	static const char *const paxes[] = {"11 path=../x\n", "99 path=a\n", "path=a\n", "9 path=a", "8 path\n", "0 path=a\n",
					    "9 path=a\n9", "10 size=-1\n", "29 size=99999999999999999999\n", "8 path=\n", " 9 path=a\n",
					    "18446744073709551617 path=a\n", "12 size=0x10\n"};
	static char what[80];
	*ret_what = what;
	if (number < (int)ARRAY_LEN(paths)) {
		snprintf(what, sizeof what, "path %s", paths[number]);
		vm_tar_add(t, paths[number], '0', 0644, "x", 1);
		return;
	}
	number -= (int)ARRAY_LEN(paths);
	if (number < (int)ARRAY_LEN(paxes)) {
		snprintf(what, sizeof what, "pax %s", paxes[number]);
		what[strcspn(what, "\n")] = 0;
		pax(t, paxes[number]);
		vm_tar_add(t, "file", '0', 0644, "x", 1);
		return;
	}
	number -= (int)ARRAY_LEN(paxes);
	static const char types[] = "1346789LKSVDAN\x80";
	if (number < (int)sizeof types - 1) {
		snprintf(what, sizeof what, "type %c", types[number]);
		vm_tar_add(t, "file", types[number], 0644, "x", 1);
		return;
	}
	number -= (int)sizeof types - 1;
	vm_tar_add(t, "file", '0', 0644, "content", 7);
	switch (number) {
	case 0:
		snprintf(what, sizeof what, "a wrong checksum");
		t->data[0] ^= 1;
		return;
	case 1:
		snprintf(what, sizeof what, "cut within the content");
		t->len = 515;
		return;
	case 2:
		snprintf(what, sizeof what, "cut within a header");
		t->len = 300;
		return;
	case 3:
		snprintf(what, sizeof what, "a base-256 size");
		t->data[124] = 0x80;
		vm_tar_checksum(t->data);
		return;
	case 4:
		snprintf(what, sizeof what, "a size past the end");
		memcpy(t->data + 124, "77777777777", 11);
		vm_tar_checksum(t->data);
		return;
	case 5:
		snprintf(what, sizeof what, "a link to nothing");
		buf_reset(t);
		vm_tar_add(t, "link", '2', 0777, "", 0);
		return;
	case 6:
		snprintf(what, sizeof what, "a pax header at the end");
		pax(t, "9 path=a\n");
		vm_tar_end(t);
		return;
	case 7:
		snprintf(what, sizeof what, "pax headers without end");
		for (int i = 0; i < 10; i++)
			pax(t, "9 path=a\n");
		return;
	case 8:
		snprintf(what, sizeof what, "no ustar");
		memset(t->data + 257, 0, 8);
		vm_tar_checksum(t->data);
		return;
	case 9:
		snprintf(what, sizeof what, "text");
		memset(t->data, 'x', 512);
		return;
	default:
		*ret_what = NULL;
	}
}

static void test_hostile_tars(void)
{
	int number = 0;
	for (;; number++) {
		CLEANUP(buf_release) struct buf t;
		buf_init(&t, 1 << 20);
		const char *what = NULL;
		hostile_tar(number, &t, &what);
		if (!what)
			break;
		struct err err = {0};
		int entries = 0;
		const int rc = read_all(&t, &entries, &err);
		OK(rc == ERR_INVALID && err.what[0], "%s: %s", what, err.what);
	}
	OK(number > 40, "%d hostile tars", number);
}

static void test_good_tars(void)
{
	CLEANUP(buf_release) struct buf t;
	buf_init(&t, 1 << 20);
	struct err err = {0};
	int entries = -1;
	INTEQ(read_all(&t, &entries, &err), 0);
	INTEQ(entries, 0);
	vm_tar_add(&t, "./", '5', 0755, "", 0);
	vm_tar_add(&t, "./dir/", '5', 0755, "", 0);
	vm_tar_add(&t, "global", 'g', 0644, "19 comment=a=b=c=d\n", 19);
	vm_tar_add(&t, "dir/file", '0', 0755, "12345", 5);
	pax(&t, "16 path=a b/c\xc3\xa4\n26 mtime=1234567890.12345\n");
	vm_tar_add(&t, "x", '0', 0644, "", 0);
	pax(&t, "17 linkpath=../l\n");
	vm_tar_add(&t, "y", '2', 0777, "short", 5);
	vm_tar_end(&t);
	CLEANUP(cleanup_fd) int fd = memory_file(t.data, t.len);
	CLEANUP(tar_reader_release) struct tar_reader r = {0};
	static struct tar_entry e;
	INTEQ(tar_reader_init(&r, tar_source_fd, &fd, &err), 0);
	INTEQ(tar_next(&r, &e, &err), 1);
	STREQ(e.path, "");
	INTEQ(tar_next(&r, &e, &err), 1);
	STREQ(e.path, "dir");
	INTEQ(e.type, TAR_FOLDER);
	INTEQ(tar_next(&r, &e, &err), 1);
	STREQ(e.path, "dir/file");
	INTEQ(e.mode, 0755);
	char text[8];
	INTEQ(tar_read_text(&r, text, sizeof text, &err), 5);
	STREQ(text, "12345");
	INTEQ(tar_next(&r, &e, &err), 1);
	STREQ(e.path, "a b/c\xc3\xa4");
	INTEQ(tar_next(&r, &e, &err), 1);
	STREQ(e.path, "y");
	STREQ(e.link, "../l");
	INTEQ(tar_next(&r, &e, &err), 0);
	INTEQ(tar_next(&r, &e, &err), 0);
}

/* What the writer writes the reader reads; nothing past the limit. */
static void test_tar_write(void)
{
	char lengthy[600];
	struct err err = {0};
	memset(lengthy, 'd', sizeof lengthy);
	lengthy[200] = lengthy[400] = '/';
	lengthy[599] = 0;
	CLEANUP(cleanup_fd) int content = memory_file("hello", 5);
	CLEANUP(cleanup_fd) int out = memory_file("", 0);
	CLEANUP(tar_writer_release) struct tar_writer w = {0};
	const uint64_t limit = 512 + 1024 + 512 + 1024 + 1024 + 1024;
	INTEQ(tar_writer_init(&w, out, limit, &err), 0);
	INTEQ(tar_write_folder(&w, "dir", &err), 0);
	INTEQ(tar_write_file(&w, "dir/file", true, content, 5, &err), 0);
	INTEQ(tar_write_file(&w, "dir/big", false, content, 4096, &err), ERR_LIMIT);
	INTEQ(tar_write_file(&w, "dir/huge", false, content, UINT64_MAX, &err), ERR_LIMIT);
	/* a file that shrank is filled up */
	INTEQ(tar_write_file(&w, lengthy, false, content, 3, &err), 0);
	INTEQ(tar_write_folder(&w, "more", &err), ERR_LIMIT);
	INTEQ(tar_write_end(&w, &err), 0);
	OK(w.at_bytes <= limit, "%llu bytes of %llu", (unsigned long long)w.at_bytes, (unsigned long long)limit);
	struct stat st;
	OK(!fstat(out, &st) && (uint64_t)st.st_size == w.at_bytes, "all of it was written");
	lseek(out, 0, SEEK_SET);
	CLEANUP(tar_reader_release) struct tar_reader r = {0};
	static struct tar_entry e;
	char text[16];
	INTEQ(tar_reader_init(&r, tar_source_fd, &out, &err), 0);
	INTEQ(tar_next(&r, &e, &err), 1);
	INTEQ(tar_next(&r, &e, &err), 1);
	STREQ(e.path, "dir/file");
	INTEQ(e.mode, 0755);
	INTEQ(tar_read_text(&r, text, sizeof text, &err), 5);
	STREQ(text, "hello");
	INTEQ(tar_next(&r, &e, &err), 1);
	STREQ(e.path, lengthy);
	INTEQ(tar_read_text(&r, text, sizeof text, &err), 3);
	INTEQ(text[0], 0);
	INTEQ(tar_next(&r, &e, &err), 0);
}

static void test_globs(void)
{
	static const struct {
		const char *glob, *path;
		bool matches;
	} table[] = {
		{"a", "a", true},           {"a", "b", false},         {"a", "a/b", true},       {"a/b", "a", false},
		{"*", "a", true},           {"*", "a/b", true},        {"*.o", "x.o", true},     {"*.o", "d/x.o", false},
		{"**/*.o", "x.o", true},    {"**/*.o", "d/e/x.o", true}, {"**", "a/b/c", true},  {"a/**", "a/b/c", true},
		{"a/**", "b", false},       {"a/**/c", "a/c", true},   {"a/**/c", "a/b/b/c", true}, {"a/**/c", "a/b/d", false},
		{"**/b/**/d", "a/b/c/d", true}, {"**/b/**/d", "a/c/d", false}, {"?", "ab", false}, {"[ab]c", "bc", true},
		{"**/x/y", "x/x/y", true},  {"out/*.txt", "out/a.txt", true}, {"out/*.txt", "out/a.log", false}, {"", "a", true},
		{"**/a*/**/b*/**/c", "a1/x/a2/b1/y/b2/z/c", true},
	};
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		OK(artifacts_glob_matches(table[i].glob, table[i].path) == table[i].matches, "%s %s %s", table[i].glob,
		   table[i].matches ? "matches" : "does not match", table[i].path);
}

static void put(const char *dir, const char *name, const char *text)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	char *const slash = strrchr(path, '/');
	*slash = 0;
	OK(!io_mkdirs(path, 0755, NULL), "folder of %s", name);
	*slash = '/';
	OK(!io_replace_file(path, text, strlen(text), 0644, NULL), "%s", name);
}

static void test_artifacts(const char *dir)
{
	char src[256], out[256], path[512];
	struct port port = {.fd = -1};
	struct err err = {0};
	snprintf(src, sizeof src, "%s/src", dir);
	snprintf(out, sizeof out, "%s/out", dir);
	put(src, "a.txt", "A");
	put(src, "build/b.o", "B");
	put(src, "build/deep/c.o", "C");
	put(src, "d.log", "D");
	put(out, "own/e", "EE");
	put(out, "a.txt", "own");
	snprintf(path, sizeof path, "%s/link", out);
	OK(!symlink("/etc/passwd", path), "a link");
	snprintf(path, sizeof path, "%s/pipe", out);
	OK(!mkfifo(path, 0600), "a pipe");
	struct artifacts a = {.source_folder = src, .folder = out, .port = &port, .max_bytes = 100, .max_count = 4};
	INTEQ(artifacts_pick(&a, "*.txt\nbuild/**\n/ci/artifacts/x\n./nothing\n", &err), 0);
	CLEANUP(cleanup_fd) int fd = memory_file("", 0);
	INTEQ(artifacts_write(&a, fd, 1 << 20, &err), 0);
	OK(!a.is_partial, "links and pipes are left out without harm");
	CLEANUP(buf_release) struct buf tar;
	buf_init(&tar, 1 << 20);
	uint8_t *const at = buf_reserve(&tar, a.tar_bytes);
	lseek(fd, 0, SEEK_SET);
	buf_commit(&tar, (size_t)io_read_full(fd, at, a.tar_bytes, &err));
	size_t len = 0;
	const uint8_t *text = vm_tar_find(&tar, "a.txt", &len);
	OK(text && len == 3 && !memcmp(text, "own", 3), "what was in artifacts stays");
	text = vm_tar_find(&tar, "build/deep/c.o", &len);
	OK(text && len == 1 && *text == 'C', "a glob's file");
	OK(vm_tar_find(&tar, "own/e", &len) && !vm_tar_find(&tar, "d.log", &len) && !vm_tar_find(&tar, "link", &len) &&
		   !vm_tar_find(&tar, "pipe", &len),
	   "nothing else");
	static const struct {
		uint64_t bytes, count, disk;
	} limits[] = {{1, 4, 1 << 20}, {100, 3, 1 << 20}, {100, 4, 4096}, {0, 0, 1 << 20}};
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		a.max_bytes = limits[i].bytes;
		a.max_count = limits[i].count;
		a.is_partial = false;
		CLEANUP(cleanup_fd) int again = memory_file("", 0);
		OK(!artifacts_write(&a, again, limits[i].disk, &err) && a.is_partial && a.tar_bytes <= limits[i].disk, "limit %zu", i);
	}
}

static void test_unpack(const char *dir)
{
	char path[512];
	struct err err = {0};
	CLEANUP(buf_release) struct buf t;
	buf_init(&t, 1 << 20);
	vm_tar_add(&t, "deep/er/file", '0', 0755, "x", 1);
	vm_tar_add(&t, "deep/link", '2', 0777, "er/file", 7);
	vm_tar_add(&t, "out", '2', 0777, "..", 2);
	vm_tar_end(&t);
	CLEANUP(cleanup_fd) int fd = memory_file(t.data, t.len);
	snprintf(path, sizeof path, "%s/unpacked", dir);
	OK(!mkdir(path, 0755) && !unpack_fd(fd, path, &err), "unpacked: %s", err.what);
	struct stat st;
	snprintf(path, sizeof path, "%s/unpacked/deep/link", dir);
	OK(!stat(path, &st) && (st.st_mode & 0777) == 0755 && st.st_size == 1, "through its link");
	/* a link is never walked through */
	buf_reset(&t);
	vm_tar_add(&t, "out/escaped", '0', 0644, "x", 1);
	vm_tar_end(&t);
	CLEANUP(cleanup_fd) int again = memory_file(t.data, t.len);
	snprintf(path, sizeof path, "%s/unpacked", dir);
	OK(unpack_fd(again, path, &err) == ERR_IO && strstr(err.what, "out"), "%s", err.what);
	snprintf(path, sizeof path, "%s/escaped", dir);
	OK(access(path, F_OK), "nothing outside");
}

static void plan_tar(struct buf *t, const char *version, const char *shell)
{
	vm_tar_add(t, "version", '0', 0644, version, strlen(version));
	vm_tar_add(t, "shell", '0', 0644, shell, strlen(shell));
	vm_tar_add(t, "env", '0', 0644, "A=1\0B=2", 8);
	vm_tar_add(t, "globs", '0', 0644, "*.txt\n", 6);
	vm_tar_add(t, "limits", '0', 0644, "artifact_bytes 10\nartifact_count 2\n", 35);
}

static int read_plan(const struct buf *t, struct guest_plan *plan, struct err *err)
{
	CLEANUP(cleanup_fd) int fd = memory_file(t->data, t->len);
	return guest_plan_read(fd, plan, err);
}

static void test_plan(void)
{
	static struct guest_plan plan;
	struct err err = {0};
	CLEANUP(buf_release) struct buf t;
	buf_init(&t, 1 << 20);
	plan_tar(&t, "1\n", "sh\n");
	vm_tar_add(&t, "steps/000.name", '0', 0644, "build\n", 6);
	vm_tar_add(&t, "steps/000.run", '0', 0644, "make", 4);
	vm_tar_add(&t, "steps/001.run", '0', 0644, "make check", 10);
	vm_tar_end(&t);
	INTEQ(read_plan(&t, &plan, &err), 0);
	INTEQ(plan.steps_len, 2);
	STREQ(plan.steps[0].name, "build");
	STREQ(buf_cstr(&plan.steps[1].script), "make check");
	STREQ(plan.shell, "sh");
	INTEQ(plan.artifact_bytes, 10);
	INTEQ(plan.artifact_count, 2);
	INTEQ(plan.env.len, 8);
	guest_plan_release(&plan);
	buf_reset(&t);
	plan_tar(&t, "1\n", "sh\n");
	vm_tar_add(&t, "steps/000.run", '0', 0644, "a", 1);
	vm_tar_add(&t, "steps/001.run", '0', 0644, "b", 1);
	vm_tar_add(&t, "steps/001.rules", '0', 0644, "if failed\n", 10);
	vm_tar_add(&t, "steps/002.run", '0', 0644, "c", 1);
	vm_tar_add(&t, "steps/003.run", '0', 0644, "d", 1);
	vm_tar_add(&t, "steps/003.rules", '0', 0644, "needs 0\ntimeout_ms 5\n", 21);
	vm_tar_add(&t, "steps/004.run", '0', 0644, "e", 1);
	vm_tar_add(&t, "steps/004.rules", '0', 0644, "needs\n", 6);
	vm_tar_end(&t);
	INTEQ(read_plan(&t, &plan, &err), 0);
	OK(plan.is_any_order && plan.steps[1].on_failure && !guest_step_needs(&plan.steps[1], 0), "for failures: needs nothing");
	OK(guest_step_needs(&plan.steps[2], 0) && !guest_step_needs(&plan.steps[2], 1), "the default is the step before that runs anyway");
	OK(guest_step_needs(&plan.steps[3], 0) && !guest_step_needs(&plan.steps[3], 2) && plan.steps[3].timeout_ms == 5, "what it says");
	OK(!guest_step_needs(&plan.steps[4], 3), "nothing at all");
	guest_plan_release(&plan);
	static const char *const rules[] = {"needs 1\n", "needs 0 x\n", "needs -1\n", "needs 4294967296\n", "needs0\n", "if passed\n",
					    "timeout_ms 0\n", "timeout_ms 5x\n", "timeout_ms\n", "surprise\n", "need\n"};
	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		buf_reset(&t);
		plan_tar(&t, "1\n", "sh\n");
		vm_tar_add(&t, "steps/000.run", '0', 0644, "a", 1);
		vm_tar_add(&t, "steps/001.run", '0', 0644, "b", 1);
		vm_tar_add(&t, "steps/001.rules", '0', 0644, rules[i], strlen(rules[i]));
		vm_tar_end(&t);
		OK(read_plan(&t, &plan, &err) == ERR_INVALID, "%s: %s", rules[i], err.what);
		guest_plan_release(&plan);
	}
	static const struct {
		const char *version, *shell, *file, *word;
	} table[] = {
		{"2\n", "sh\n", "steps/000.run", "version"}, {"", "sh\n", "steps/000.run", "version"},
		{"1\n", "fish\n", "steps/000.run", "shell"}, {"1\n", "sh\n", NULL, "no steps"},
		{"1\n", "sh\n", "steps/001.run", "order"},   {"1\n", "sh\n", "steps/000.exe", "unknown"},
		{"1\n", "sh\n", "steps/x.run", "unknown"},   {"1\n", "sh\n", "surprise", "unknown"},
		{"1\n", "sh\n", "steps/000.name", "empty"},  {"1234567890\n", "sh\n", "steps/000.run", "longer"},
		{"1\n", "sh\n", "steps/-1.run", "unknown"},  {"1\n", "sh\n", "steps/000.run/x", "unknown"},
	};
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		buf_reset(&t);
		plan_tar(&t, table[i].version, table[i].shell);
		if (table[i].file)
			vm_tar_add(&t, table[i].file, '0', 0644, "x", 1);
		vm_tar_end(&t);
		const int rc = read_plan(&t, &plan, &err);
		OK(rc < 0 && strstr(err.what, table[i].word), "%zu: %s", i, err.what);
		guest_plan_release(&plan);
	}
}

/* e2fsck has the last word on the file system. */
static void test_scratchfs(const char *dir)
{
	static const uint64_t sizes[] = {SCRATCHFS_MIN, 5000000, 134217728, 135000000, 137000000, 10737418240, 18000000001, 100000000000};
	char path[512], command[1024];
	struct err err = {0};
	snprintf(path, sizeof path, "%s/fs", dir);
	INTEQ(scratchfs_make(-1, SCRATCHFS_MIN - 1, &err), ERR_LIMIT);
	INTEQ(scratchfs_make(-1, SCRATCHFS_MAX + 1, &err), ERR_LIMIT);
	INTEQ(scratchfs_make(-1, SCRATCHFS_MIN, &err), ERR_IO);
	if (access("/sbin/e2fsck", X_OK)) {
		tap_skip("no e2fsck here");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		CLEANUP(cleanup_fd) int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		OK(fd >= 0 && !ftruncate(fd, (off_t)sizes[i]) && !scratchfs_make(fd, sizes[i], &err), "made: %s", err.what);
		snprintf(command, sizeof command, "/sbin/e2fsck -fn %s >/dev/null 2>&1", path);
		INTEQ(system(command), 0);
	}
}

int main(void)
{
	char dir[] = "/tmp/talkoo-test-guest-XXXXXX";
	if (!OK(mkdtemp(dir) != NULL, "a folder"))
		return tap_done();
	test_hostile_tars();
	test_good_tars();
	test_tar_write();
	test_globs();
	test_artifacts(dir);
	test_unpack(dir);
	test_plan();
	test_scratchfs(dir);
	INTEQ(io_remove_tree(dir, NULL), 0);
	return tap_done();
}
