/* Caches: what a guest keeps comes back to the next one as it was; what it writes is looked through before it is kept; whose
 * is whose; and what the supervisor believes of a guest's account. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/cachekey.h"
#include "runner/cachetar.h"
#include "runner/guest/cache.h"
#include "runner/tally.h"
#include "tests/unit/tap.h"

#define DISK_BYTES (1u << 20)

static char base[] = "/tmp/talkoo-cache-XXXXXX";

static const char *at(const char *path)
{
	static char text[8][256];
	static unsigned next;
	char *out = text[next++ % 8];
	snprintf(out, 256, "%s/%s", base, path);
	return out;
}

static void put(const char *path, const char *text, mode_t mode)
{
	if (io_replace_file(at(path), text, strlen(text), mode, NULL))
		abort();
}

static bool is(const char *path, const char *text)
{
	CLEANUP(buf_release) struct buf got;
	buf_init(&got, 4096);
	return io_read_file(at(path), &got, NULL) == 0 && !strcmp(buf_cstr(&got), text);
}

static bool is_there(const char *path)
{
	struct stat st;
	return lstat(at(path), &st) == 0;
}

static void fresh(void)
{
	if (io_remove_tree(at("src"), NULL) || io_remove_tree(at("cache"), NULL) || io_mkdirs(at("src"), 0755, NULL) ||
	    io_mkdirs(at("cache"), 0755, NULL))
		abort();
}

static void test_round(void)
{
	struct port port = {.fd = -1};
	struct err err = {0};
	const struct cache c = {at("src"), at("cache"), "made/deps\nnot-there\nown\n", &port};
	char src[256], cache[256];
	snprintf(src, sizeof src, "%s", c.source_folder);
	snprintf(cache, sizeof cache, "%s", c.folder);
	const struct cache kept = {src, cache, c.paths, &port};
	fresh();
	OK(io_mkdirs(at("src/made/deps/a"), 0755, NULL) == 0 && io_mkdirs(at("cache/bin"), 0755, NULL) == 0, "folders");
	put("src/made/deps/a/x", "dependency", 0644);
	put("cache/bin/tool", "#!", 0755);
	put("src/own", "of the cache", 0644);
	OK(symlink("bin/tool", at("cache/link")) == 0, "a link");
	const struct timespec old[2] = {{.tv_sec = 1234567890}, {.tv_sec = 1234567890}};
	OK(utimensat(AT_FDCWD, at("cache/bin/tool"), old, 0) == 0, "a time");
	CLEANUP(cleanup_fd) int disk = memfd_create("disk", MFD_CLOEXEC);
	CLEANUP(cleanup_fd) int taken = memfd_create("taken", MFD_CLOEXEC);
	const uint64_t bytes = cache_keep(&kept, disk, DISK_BYTES);
	OK(bytes > 1024, "a tar of %llu bytes", (unsigned long long)bytes);
	OK(ftruncate(disk, DISK_BYTES) == 0 && cachetar_take(disk, bytes, taken, &err) == 0, "is taken: %s", err.what);
	INTEQ(lseek(taken, 0, SEEK_END), bytes);
	lseek(taken, 0, SEEK_SET);
	fresh();
	put("src/own", "of the source", 0644);
	cache_bring(&kept, taken);
	OK(is("src/made/deps/a/x", "dependency"), "a path of the source is back");
	OK(is("src/own", "of the source"), "what the source has itself stays");
	OK(is("cache/bin/tool", "#!") && !is_there("cache/.paths"), "the cache is back, and nothing of ours in it");
	struct stat st;
	char target[16] = "";
	OK(stat(at("cache/bin/tool"), &st) == 0 && (st.st_mode & 0777) == 0755 && st.st_mtime == 1234567890, "mode and time");
	OK(readlink(at("cache/link"), target, sizeof target - 1) > 0 && !strcmp(target, "bin/tool"), "the link");
	CLEANUP(cleanup_fd) int small = memfd_create("small", MFD_CLOEXEC);
	INTEQ(cache_keep(&kept, small, 2048), 0);
	CLEANUP(cleanup_fd) int broken = memfd_create("broken", MFD_CLOEXEC);
	fresh();
	OK(io_write_full(broken, "no tar at all", 13, NULL) == 0 && lseek(broken, 0, SEEK_SET) == 0, "a broken one");
	cache_bring(&kept, broken);
	OK(is_there("cache") && !is_there("cache/bin"), "starts empty");
}

struct tar {
	uint8_t bytes[8192];
	size_t len;
};

static void add(struct tar *t, const char *name, char type, unsigned long long size, const char *link)
{
	uint8_t *h = t->bytes + t->len;
	memcpy(h, name, strnlen(name, 100));
	memcpy(h + 100, "0000644\0" "0000000\0" "0000000", 23);
	snprintf((char *)h + 124, 12, "%011llo", size);
	memcpy(h + 136, "00000000000", 11);
	h[156] = (uint8_t)type;
	memcpy(h + 157, link, strnlen(link, 100));
	memcpy(h + 257, "ustar\00000", 8);
	memset(h + 148, ' ', 8);
	unsigned sum = 0;
	for (int i = 0; i < 512; i++)
		sum += h[i];
	snprintf((char *)h + 148, 8, "%06o", sum);
	t->len += 512;
}

static void test_hostile(void)
{
	static const struct {
		const char *name;
		char type;
		unsigned long long size;
		const char *link, *why;
		unsigned end;
		long long said; /* added to the length */
	} cases[] = {
		{"good", '0', 0, "", NULL, 1024, 0},
		{"folder/", '5', 0, "", NULL, 1024, 0},
		{"link", '2', 0, "../outside", NULL, 1024, 0}, /* another guest's matter: it opens beneath its folder */
		{"../x", '0', 0, "", "entry 1 has a name that is not relative and plain", 1024, 0},
		{"a/../../x", '0', 0, "", "entry 1 has a name that is not relative and plain", 1024, 0},
		{"/etc/passwd", '0', 0, "", "entry 1 has a name that is not relative and plain", 1024, 0},
		{"./x", '0', 0, "", "entry 1 has a name that is not relative and plain", 1024, 0},
		{"hard", '1', 0, "good", "entry 1 is a hard link", 1024, 0},
		{"device", '3', 0, "", "entry 1 is neither a file nor a folder nor a link", 1024, 0},
		{"fifo", '6', 0, "", "entry 1 is neither a file nor a folder nor a link", 1024, 0},
		{"huge", '0', 077777777777ull, "", "entry 1 is", 1024, 0},
		{"cut", '0', 0, "", "it is cut off: it has no end mark", 512, 0},
		{"short", '0', 0, "", "it is shorter than the guest said", 1024, 512},
		{"odd", '0', 0, "", "it cannot have 1535 bytes", 1024, -1},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tar t = {0};
		struct err err = {0};
		CLEANUP(cleanup_fd) int disk = memfd_create("disk", MFD_CLOEXEC);
		CLEANUP(cleanup_fd) int out = memfd_create("out", MFD_CLOEXEC);
		add(&t, cases[i].name, cases[i].type, cases[i].size, cases[i].link);
		t.len += cases[i].end;
		OK(io_write_full(disk, t.bytes, t.len, NULL) == 0, "written");
		const int rc = cachetar_take(disk, (uint64_t)((long long)t.len + cases[i].said), out, &err);
		OK(!rc == !cases[i].why && (!rc || strstr(err.what, cases[i].why)), "%s: %s", cases[i].name, err.what);
		OK(!rc || lseek(out, 0, SEEK_END) == 0, "nothing of a refused one is written");
	}
}

static void test_keys(void)
{
	char a[CACHEKEY_LEN], b[CACHEKEY_LEN], c[CACHEKEY_LEN];
	OK(cachekey_ref_is_trusted("refs/heads/x") && cachekey_ref_is_trusted("refs/tags/1"), "branches and tags");
	OK(!cachekey_ref_is_trusted("refs/pull/1/head") && !cachekey_ref_is_trusted("refs/headsx") && !cachekey_ref_is_trusted(""), "nothing else");
	cachekey_scope("p", "refs/heads/x", a);
	cachekey_scope("q", "refs/heads/x", b);
	cachekey_scope("pr", "efs/heads/x", c);
	OK(strcmp(a, b) != 0 && strcmp(a, c) != 0, "a project, a ref: a scope");
	cachekey_name(a, "1", "", "i", b);
	cachekey_name(a, "2", "", "i", c);
	OK(strcmp(b, c) != 0, "another plan");
	cachekey_name(a, "1", "x", "i", c);
	OK(strcmp(b, c) != 0, "another cell");
	cachekey_name(a, "1", "", "j", c);
	OK(strcmp(b, c) != 0, "another image");
}

/* A job up to where its machine runs. */
static void make_tally(struct tally *t, struct events *events, bool has_cache)
{
	CLEANUP(cleanup_free) struct job_plan *plan = calloc(1, sizeof *plan);
	events_init(events, open("/dev/null", O_WRONLY | O_CLOEXEC), 0);
	plan->cache_bytes = 4096;
	tally_init(t, plan, events, 0, 0);
	struct stage_msg msg = {.type = STAGE_MSG_PLAN, .u.plan = {.origin = JOB_ORIGIN_TREE, .steps = 1, .has_cache = has_cache}};
	OK(tally_message(t, STAGE_PACK, &msg, 1), "plan");
	msg = (struct stage_msg){.type = STAGE_MSG_PACKAGE, .u.text = "make"};
	OK(!tally_message(t, STAGE_PACK, &msg, 1), "no package before the steps");
	msg = (struct stage_msg){.type = STAGE_MSG_STEP_NAME};
	OK(tally_message(t, STAGE_PACK, &msg, 1), "step");
	msg = (struct stage_msg){.type = STAGE_MSG_GUEST_READY};
	OK(tally_message(t, STAGE_LOG, &msg, 1), "ready");
}

static void test_tally(void)
{
	CLEANUP(cleanup_free) struct tally *t = calloc(1, sizeof *t);
	struct events events;
	const struct stage_msg fits = {.type = STAGE_MSG_CACHE, .u.size_bytes = 4096}, taken = {.type = STAGE_MSG_CACHE_TAKEN};
	make_tally(t, &events, false);
	OK(!tally_message(t, STAGE_LOG, &fits, 2), "a cache that nobody asked for");
	tally_release(t);
	events_release(&events);
	make_tally(t, &events, true);
	OK(!tally_message(t, STAGE_COLLECT, &taken, 2), "taken, but there was none");
	OK(tally_message(t, STAGE_LOG, &fits, 2) && !tally_message(t, STAGE_LOG, &fits, 2), "once");
	OK(tally_message(t, STAGE_COLLECT, &taken, 2) && t->cache_is_taken, "taken");
	const struct stage_msg package = {.type = STAGE_MSG_PACKAGE, .u.text = "make"};
	OK(tally_message(t, STAGE_PACK, &package, 2), "a package");
	char gcc[] = "gcc=1", make[] = "make=4.3-1", makes[] = "makes=1";
	OK(tally_check_packages(t, (char *[]){gcc, make}, 2) && !t->is_settled, "the image has it");
	OK(!tally_check_packages(t, (char *[]){gcc, makes}, 2) && t->report.outcome == JOB_REFUSED, "the image lacks it");
	OK(strstr(t->report.reason, "lacks these packages: make") != NULL, "and that is said: %s", t->report.reason);
	tally_release(t);
	events_release(&events);
	make_tally(t, &events, true);
	const struct stage_msg large = {.type = STAGE_MSG_CACHE, .u.size_bytes = 4097};
	OK(tally_message(t, STAGE_LOG, &large, 2) && t->report.outcome == JOB_ERROR, "more than its disk");
	tally_release(t);
	events_release(&events);
}

int main(void)
{
	if (!mkdtemp(base))
		abort();
	test_round();
	test_hostile();
	test_keys();
	test_tally();
	OK(io_remove_tree(base, NULL) == 0, "cleaned up");
	return tap_done();
}
