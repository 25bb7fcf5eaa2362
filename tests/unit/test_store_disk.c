/* What only the store on disk can suffer: kill -9, a full disk, a file that is not ours, other schemas. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/store/sqlite_impl.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "tests/unit/store_util.h"
#include "tests/unit/tap.h"

static struct store *try_open(const char *path, int *ret_code, struct err *err)
{
	const struct store_options o = {.path = path, .batch_wait_ms = 1};
	struct store *s = NULL;
	*err = (struct err){0};
	*ret_code = store_open(&o, &s, err);
	return s;
}

static struct store *must_open(const char *path)
{
	struct err err;
	int code;
	struct store *s = try_open(path, &code, &err);
	if (!s) {
		OK(false, "opening: %s", err.what);
		exit(1);
	}
	return s;
}

struct tally {
	uint64_t first, last, len;
	bool rises;
};

static bool tally_event(void *user, uint64_t id, const json_t *object)
{
	struct tally *t = user;
	(void)object;
	t->rises = !t->len || (t->rises && id == t->last + 1);
	t->first = t->len++ ? t->first : id;
	t->last = id;
	return true;
}

static struct tally events_of(struct store *s)
{
	struct tally t = {.rises = true};
	struct err err;
	if (store_each_event_now(s, 0, 100000, tally_event, &t, NULL, NULL, &err))
		t.rises = false;
	return t;
}

/* Batch number n: a record, a value and an event, which stand or fall together. */
static struct store_batch *numbered(unsigned n, size_t kv_bytes)
{
	static uint8_t filler[300000];
	struct store_batch *b = store_batch_new();
	char key[16];
	snprintf(key, sizeof key, "%08u", n);
	struct record *r = make_record(1, RECORD_JOB, key, n, n + 1, 300);
	store_put_kv(b, "n", key, filler, kv_bytes);
	store_put_record(b, r, NULL, NULL, NULL);
	store_put_event(b, "step", n, NULL);
	record_unref(r);
	return b;
}

static bool has_value(struct store *s, unsigned n)
{
	CLEANUP(buf_release) struct buf value;
	buf_init(&value, 1u << 20);
	char key[16];
	snprintf(key, sizeof key, "%08u", n);
	return store_get_kv_now(s, "n", key, &value, NULL) == 0;
}

static bool has_record(struct store *s, unsigned n)
{
	char key[16];
	snprintf(key, sizeof key, "%08u", n);
	const struct store_filter f = {.key = (const uint8_t *)key, .key_len = strlen(key)};
	return count_records(s, &f) == 1;
}

/* Batches 0 to len-1: all acknowledged ones are there, none is there in part, events count the whole ones. */
static bool is_whole(struct store *s, const bool *acked, unsigned len, uint64_t *ret_stored)
{
	struct err err = {0};
	*ret_stored = 0;
	for (unsigned n = 0; n < len; n++) {
		const bool value = has_value(s, n), record = has_record(s, n);
		if (value != record || (acked[n] && !value)) {
			printf("# batch %u: acknowledged %d, value %d, record %d\n", n, acked[n], value, record);
			return false;
		}
		*ret_stored += value;
	}
	const struct tally t = events_of(s);
	const bool whole = t.rises && t.len == *ret_stored && (!t.len || (t.first == 1 && t.last == t.len));
	const int code = store_check_now(s, &err);
	if (!whole || code)
		printf("# %llu events for %llu batches; %s\n", (unsigned long long)t.len, (unsigned long long)*ret_stored, err.what);
	return whole && !code;
}

/* ---- kill -9 ---- */

#define KILL_ROUNDS 8
#define KILL_BATCHES 4096
#define IN_FLIGHT 40

static int ack_fd;
static unsigned in_flight;

static void acknowledge(void *user, int code, const struct err *err)
{
	const uint32_t n = (uint32_t)(uintptr_t)user;
	(void)err;
	in_flight--;
	if (code || write(ack_fd, &n, sizeof n) != sizeof n)
		_exit(2);
}

/* Submits batches from `from` on, for ever; each acknowledgement goes to the pipe. */
static void child_submits(const char *path, int fd, unsigned from)
{
	struct err err;
	int code;
	struct store *s = try_open(path, &code, &err);
	if (!s)
		_exit(3);
	ack_fd = fd;
	for (unsigned n = from;; n++) {
		in_flight++;
		if (store_submit(s, numbered(n, 100), acknowledge, (void *)(uintptr_t)n, &err))
			_exit(4);
		while (in_flight >= IN_FLIGHT)
			if (!store_poll(s))
				sched_yield();
	}
}

/* Kills the child after `acks` acknowledgements; marks all that came through. Returns the number after the highest. */
static unsigned kill_after(const char *path, unsigned from, unsigned acks, bool *acked)
{
	int fds[2];
	if (pipe(fds))
		return 0;
	const pid_t pid = fork();
	if (pid == 0) {
		close(fds[0]);
		child_submits(path, fds[1], from);
		_exit(0);
	}
	close(fds[1]);
	uint32_t n;
	unsigned seen = 0, next = from;
	while (read(fds[0], &n, sizeof n) == sizeof n) {
		if (n < KILL_BATCHES)
			acked[n] = true;
		next = n >= next ? n + 1 : next;
		if (++seen == acks)
			kill(pid, SIGKILL);
	}
	close(fds[0]);
	int status;
	waitpid(pid, &status, 0);
	OK(WIFSIGNALED(status) && seen >= acks, "killed after %u of %u acknowledgements", acks, seen);
	return next;
}

static void test_kill(void)
{
	static bool acked[KILL_BATCHES];
	const char *path = temp_path("kill.db");
	unsigned next = 0;
	for (unsigned round = 0; round < KILL_ROUNDS; round++) {
		next = kill_after(path, next, 1 + randombytes_uniform(200), acked) + IN_FLIGHT;
		struct store *s = must_open(path);
		uint64_t stored;
		const bool whole = is_whole(s, acked, next, &stored);
		OK(whole, "round %u: every acknowledged batch is there, each whole (%llu)", round,
		   (unsigned long long)stored);
		store_close(s);
	}
}

/* ---- a full disk ---- */

/* Runs in a child that may spoil its own world. 0 passed, 77 skipped. */
static void in_child(int (*fn)(const char *), const char *path, const char *what)
{
	fflush(stdout);
	const pid_t pid = fork();
	if (pid == 0) {
		const int result = fn(path);
		fflush(stdout);
		_exit(result);
	}
	int status;
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		tap_skip(what);
	else
		OK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s (status %d)", what, status);
}

#define FULL_BATCHES 64

/* Writes until it fails; `relieve` makes room; then it must go on. */
static int fill_and_go_on(const char *path, const char *what, void (*relieve)(void))
{
	struct store *s = must_open(path);
	bool acked[FULL_BATCHES + 1] = {false};
	struct err err = {0};
	unsigned n = 0;
	int code = 0;
	for (; n < FULL_BATCHES && !code; n++) {
		code = store_submit_now(s, numbered(n, 40000), &err);
		acked[n] = !code;
	}
	printf("# batch %u: %s (%s)\n", n - 1, err.what, err.hint);
	if (code != ERR_IO || !strstr(err.what, what) || !*err.hint || n < 3)
		return 1;
	/* small ones may still fit or fail, but never in part */
	for (unsigned tries = 0; tries < 3 && n < FULL_BATCHES; tries++, n++)
		acked[n] = store_submit_now(s, numbered(n, 30000), &err) == 0;
	uint64_t stored;
	if (!is_whole(s, acked, n, &stored))
		return 2;
	relieve();
	code = store_submit_now(s, numbered(n, 40000), &err);
	if (code) {
		printf("# after relief: %s\n", err.what);
		return 3;
	}
	acked[n++] = true;
	if (!is_whole(s, acked, n, &stored))
		return 4;
	store_close(s);
	s = must_open(path);
	const bool whole = is_whole(s, acked, n, &stored);
	store_close(s);
	return whole ? 0 : 5;
}

static void raise_limit(void)
{
	struct rlimit l;
	getrlimit(RLIMIT_FSIZE, &l);
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_FSIZE, &l);
}

static int full_by_limit(const char *path)
{
	struct rlimit l;
	getrlimit(RLIMIT_FSIZE, &l);
	l.rlim_cur = 600000;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &l);
	return fill_and_go_on(path, "File too large", raise_limit);
}

static char ballast[512];

static void drop_ballast(void)
{
	unlink(ballast);
}

static int full_by_disk(const char *path)
{
	char folder[512];
	snprintf(folder, sizeof folder, "%s", path);
	*strrchr(folder, '/') = 0;
	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tmpfs", folder, "tmpfs", 0, "size=1m"))
		return 77;
	snprintf(ballast, sizeof ballast, "%s/ballast", folder);
	static uint8_t zeros[400000];
	struct err err;
	if (io_replace_file(ballast, zeros, sizeof zeros, 0600, &err))
		return 77;
	return fill_and_go_on(path, "no space left", drop_ballast);
}

static void test_full(void)
{
	in_child(full_by_limit, temp_path("limit.db"), "past RLIMIT_FSIZE: an error, nothing in part, and it goes on");
	mkdir(temp_path("mnt"), 0700);
	in_child(full_by_disk, temp_path("mnt/full.db"), "a full disk: an error, nothing in part, and it goes on");
}

/* ---- files ---- */

static void test_reopen(void)
{
	const char *path = temp_path("again.db");
	for (unsigned n = 0; n < 3; n++) {
		struct store *s = must_open(path);
		OK(submit_ok(s, numbered(n, 10)), "batch %u", n);
		const struct tally t = events_of(s);
		OK(t.rises && t.len == n + 1 && t.last == n + 1, "event ids go on over a restart");
		OK(has_record(s, 0) && has_value(s, n), "what was stored is there");
		OK(store_size_bytes(s) > 4096, "it has a size");
		store_close(s);
	}
	struct stat st;
	OK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "nobody else reads it");
}

static void write_text(const char *path, const char *text, size_t len)
{
	struct err err = {0};
	OK(io_replace_file(path, text, len, 0600, &err) == 0, "a file %s", err.what);
}

static void exec_sql(const char *path, const char *sql)
{
	sqlite3 *db = NULL;
	OK(sqlite3_open(path, &db) == SQLITE_OK && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%.40s", sql);
	sqlite3_close(db);
}

static void refused(const char *path, int want, const char *word)
{
	struct err err;
	int code;
	struct store *s = try_open(path, &code, &err);
	OK(!s && code == want && strstr(err.what, word) && *err.hint, "refused: %s (%s)", err.what, err.hint);
	store_close(s);
}

static void test_refused(void)
{
	static char junk[8192];
	memset(junk, 'x', sizeof junk);
	write_text(temp_path("junk.db"), junk, sizeof junk);
	refused(temp_path("junk.db"), ERR_INVALID, "damaged");
	exec_sql(temp_path("other.db"), "CREATE TABLE mine (x); INSERT INTO mine VALUES (1)");
	refused(temp_path("other.db"), ERR_INVALID, "not a node's");
	refused(temp_path("no/such/folder.db"), ERR_IO, "No such file");
	const char *path = temp_path("newer.db");
	store_close(must_open(path));
	exec_sql(path, "PRAGMA user_version=999");
	refused(path, ERR_UNSUPPORTED, "schema 999");
	if (symlink("target.db", temp_path("link.db")) == 0)
		refused(temp_path("link.db"), ERR_IO, "link.db");
}

/* The database moved away (or cut to nothing) while its WAL stayed: SQLite would delete that, and what it holds. */
static void leave_a_wal(const char *path)
{
	struct store *s = must_open(path);
	for (unsigned n = 0; n < 5; n++)
		if (store_submit_now(s, numbered(n, 100), NULL))
			_exit(1);
	_exit(0);
}

static void test_lone_wal(void)
{
	const char *path = temp_path("lone.db"), *wal = temp_path("lone.db-wal");
	struct stat st;
	fflush(stdout);
	const pid_t pid = fork();
	if (pid == 0)
		leave_a_wal(path);
	waitpid(pid, NULL, 0);
	OK(stat(wal, &st) == 0 && st.st_size > 1000 && rename(path, temp_path("kept.db")) == 0, "moved away from its WAL");
	refused(path, ERR_INVALID, "-wal is there");
	OK(access(path, F_OK) != 0, "no file was made");
	write_text(path, "", 0);
	refused(path, ERR_INVALID, "-wal is there");
	OK(rename(temp_path("kept.db"), path) == 0, "put back");
	struct store *s = must_open(path);
	OK(has_record(s, 4) && has_value(s, 0), "and all is there");
	store_close(s);
}

static void see_file(const char *path, uint8_t hash[16])
{
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, 8u << 20);
	if (io_read_file(path, &b, NULL))
		buf_reset(&b);
	crypto_generichash(hash, 16, b.data ? b.data : (const uint8_t *)"", b.len, NULL, 0);
}

/* A damaged database with a WAL beside it: refused, and both are left as they are. */
static void test_damage_with_wal(void)
{
	const char *path = temp_path("hurt.db"), *wal = temp_path("hurt.db-wal");
	static char zeros[8192];
	uint8_t before[2][16], after[2][16];
	struct store *s = must_open(path);
	for (unsigned n = 100; n < 150; n++)
		OK(submit_ok(s, numbered(n, 2000)), "batch %u", n);
	store_close(s);
	fflush(stdout);
	const pid_t pid = fork();
	if (pid == 0)
		leave_a_wal(path);
	waitpid(pid, NULL, 0);
	const int fd = open(path, O_RDWR | O_CLOEXEC);
	OK(fd >= 0 && pwrite(fd, zeros, sizeof zeros, 65536) == sizeof zeros, "pages overwritten");
	close(fd);
	see_file(path, before[0]);
	see_file(wal, before[1]);
	refused(path, ERR_INVALID, "damaged");
	see_file(path, after[0]);
	see_file(wal, after[1]);
	OK(!memcmp(before, after, sizeof before), "neither the file nor its WAL is changed");
}

static void test_damage(void)
{
	const char *path = temp_path("damaged.db");
	struct store *s = must_open(path);
	for (unsigned n = 0; n < 50; n++)
		OK(submit_ok(s, numbered(n, 2000)), "batch %u", n);
	store_close(s);
	exec_sql(path, "UPDATE records SET bytes = (SELECT bytes FROM records WHERE n = 2), signature = zeroblob(64) WHERE n = 1");
	s = must_open(path);
	struct err err = {0};
	OK(store_check_now(s, &err) == ERR_INVALID, "a row under a wrong id: %s", err.what);
	store_close(s);
	exec_sql(path, "DELETE FROM records WHERE n = 1; DELETE FROM events WHERE id = 7");
	s = must_open(path);
	OK(store_check_now(s, &err) == ERR_INVALID && strstr(err.what, "missing"), "a hole in the events: %s", err.what);
	store_close(s);
	exec_sql(path, "UPDATE records SET bytes = x'c1' WHERE n = 3");
	s = must_open(path);
	const struct store_filter all = {0};
	OK(count_records(s, &all) == -1, "a damaged row is an error");
	store_close(s);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	static char zeros[12288];
	OK(fd >= 0 && pwrite(fd, zeros, sizeof zeros, 8192) == sizeof zeros, "pages overwritten");
	close(fd);
	refused(path, ERR_INVALID, "damaged");
}

/* ---- migrations ---- */

static const struct migration steps[] = {
	{1, "CREATE TABLE t (x INTEGER NOT NULL); INSERT INTO t VALUES (1)"},
	{2, "ALTER TABLE t ADD COLUMN y INTEGER; UPDATE t SET y = x + 1"},
	{3, "INSERT INTO t (x) VALUES (5); INSERT INTO t (x) VALUES (NULL)"},
};

static int64_t number_of(const char *path, const char *sql)
{
	sqlite3 *db = NULL;
	int64_t n = -1;
	struct err err;
	if (sqlite3_open(path, &db) != SQLITE_OK || sql_get_int(db, sql, &n, &err))
		n = -1;
	sqlite3_close(db);
	return n;
}

static int migrate(const char *path, size_t len, struct err *err)
{
	sqlite3 *db = NULL;
	int code = sql_open(path, 1024, &db, err);
	if (!code)
		code = migrations_run(db, path, steps, len, err);
	sqlite3_close(db);
	return code;
}

static void test_migrations(void)
{
	const char *path = temp_path("m.db"), *before2 = temp_path("m.db.before-2"), *before3 = temp_path("m.db.before-3");
	struct err err = {0};
	write_text(path, "", 0);
	OK(migrate(path, 1, &err) == 0 && access(temp_path("m.db.before-1"), F_OK), "from nothing: no copy %s", err.what);
	OK(migrate(path, 1, &err) == 0 && access(before2, F_OK), "nothing to do %s", err.what);
	OK(migrate(path, 2, &err) == 0 && number_of(path, "SELECT y FROM t") == 2, "to schema 2 %s", err.what);
	OK(number_of(before2, "PRAGMA user_version") == 1 && number_of(before2, "SELECT x FROM t") == 1 &&
		   number_of(before2, "SELECT y FROM t") == -1, "the copy is as it was before");
	struct stat st;
	OK(stat(before2, &st) == 0 && (st.st_mode & 0777) == 0600, "nobody else reads the copy");
	OK(migrate(path, 3, &err) != 0 && strstr(err.what, "schema 3"), "a step that fails: %s", err.what);
	OK(number_of(path, "SELECT count(*) FROM t") == 1 && number_of(path, "PRAGMA user_version") == 2, "leaves nothing behind");
	OK(number_of(before3, "PRAGMA user_version") == 2, "its copy stays");
	OK(migrate(path, 1, &err) == ERR_UNSUPPORTED && strstr(err.hint, "m.db.before-2"), "an older program refuses: %s (%s)", err.what,
	   err.hint);
	const char *alien = temp_path("alien.db");
	exec_sql(alien, "CREATE TABLE mine (x)");
	OK(migrate(alien, 2, &err) == ERR_INVALID, "not ours: %s", err.what);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	temp_make();
	test_reopen();
	test_refused();
	test_lone_wal();
	test_damage();
	test_damage_with_wal();
	test_migrations();
	test_full();
	test_kill();
	temp_remove();
	return tap_done();
}
