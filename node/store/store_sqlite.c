/* The store on disk: a writer thread that commits what has gathered, reader threads for what is asked, and the list of what is
 * done, which store_poll() delivers on the caller's thread. Only the fields under "lock" are touched by more than one thread. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "node/store/sqlite_impl.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"

#define BATCH_MAX_DEFAULT 256
#define WRITER_CACHE_KIB 8192 /* the index pages that a busy minute's random ids touch */
#define READER_CACHE_KIB 1024
#define READERS 2 /* a long answer does not hold up the short ones */
/* quick_check reads the whole file: where that takes longer than a start may, damage is found when it is read */
#define QUICK_CHECK_BYTES_MAX (32u << 20)

/* A connection that reads: the store itself for the caller's thread, and what a reader thread gives to run(). */
struct view {
	struct store base;
	sqlite3 *db;
};

struct reader {
	struct view view; /* the thread's while it runs */
	struct sqlite_store *store;
	pthread_t thread;
	bool has_thread;
};

struct sqlite_store {
	struct view now; /* first: the store that the caller knows */
	char *path;
	store_wake_fn wake;
	void *wake_user;
	size_t batch_max;
	unsigned batch_wait_ms;
	struct writer writer; /* the writer thread's while it runs */
	struct reader readers[READERS];
	pthread_t writer_thread;
	bool has_writer;

	pthread_mutex_t lock;
	pthread_cond_t to_writer, to_reader, progress;
	struct work_list pending, reads, done;
	struct waiting waiting; /* pending, in sum */
	size_t pending_reads;
	struct timespec pending_since; /* when the first of pending came */
	unsigned waiters;              /* callers that block on a commit: it does not wait for more to gather */
	bool is_committing, is_closing;
};

/* Puts finished work where store_poll() finds it. Called with the lock; wake() must follow without it. */
static void finish(struct sqlite_store *s, struct work_list *finished)
{
	for (struct work *w; (w = work_pop(finished));) {
		struct store_batch *b = (struct store_batch *)w;
		if (!w->read && b->is_waited_for)
			b->is_done = true; /* its owner frees it */
		else
			work_push(&s->done, w);
	}
	pthread_cond_broadcast(&s->progress);
}

static void wake(struct sqlite_store *s)
{
	if (s->wake)
		s->wake(s->wake_user);
}

static struct timespec later(struct timespec t, unsigned ms)
{
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	return t;
}

/* Until there is something to commit, and enough of it or for long enough. False: closing, and nothing is left. */
static bool gather(struct sqlite_store *s)
{
	while (!s->pending.first && !s->is_closing)
		pthread_cond_wait(&s->to_writer, &s->lock);
	if (!s->pending.first)
		return false;
	const struct timespec deadline = later(s->pending_since, s->batch_wait_ms);
	while (s->waiting.ops < s->batch_max && !s->waiters && !s->is_closing && s->batch_wait_ms)
		if (pthread_cond_timedwait(&s->to_writer, &s->lock, &deadline) == ETIMEDOUT)
			break;
	return true;
}

static void take_group(struct sqlite_store *s, struct work_list *ret)
{
	struct waiting taken = {0};
	while (s->pending.first && taken.ops < s->batch_max) {
		struct work *w = work_pop(&s->pending);
		waiting_count(&taken, (struct store_batch *)w);
		work_push(ret, w);
	}
	s->waiting.ops -= taken.ops;
	s->waiting.bytes -= taken.bytes;
}

static void *writer_main(void *arg)
{
	struct sqlite_store *s = arg;
	pthread_mutex_lock(&s->lock);
	while (gather(s)) {
		struct work_list group = {0};
		take_group(s, &group);
		s->is_committing = true;
		pthread_mutex_unlock(&s->lock);
		writer_commit(&s->writer, &group);
		pthread_mutex_lock(&s->lock);
		s->is_committing = false;
		finish(s, &group);
		pthread_mutex_unlock(&s->lock);
		wake(s);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static void *reader_main(void *arg)
{
	struct reader *me = arg;
	struct sqlite_store *s = me->store;
	pthread_mutex_lock(&s->lock);
	for (;;) {
		while (!s->reads.first && !s->is_closing)
			pthread_cond_wait(&s->to_reader, &s->lock);
		struct work *w = work_pop(&s->reads);
		if (!w)
			break;
		s->pending_reads--;
		pthread_mutex_unlock(&s->lock);
		w->read(w, &me->view.base);
		struct work_list one = {0};
		work_push(&one, w);
		pthread_mutex_lock(&s->lock);
		finish(s, &one);
		pthread_mutex_unlock(&s->lock);
		wake(s);
		pthread_mutex_lock(&s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static unsigned sqlite_poll(struct store *base)
{
	struct sqlite_store *s = (struct sqlite_store *)base;
	struct work_list done = {0};
	pthread_mutex_lock(&s->lock);
	work_move(&done, &s->done);
	pthread_mutex_unlock(&s->lock);
	return work_deliver(&done);
}

static void sqlite_flush(struct store *base)
{
	struct sqlite_store *s = (struct sqlite_store *)base;
	do {
		pthread_mutex_lock(&s->lock);
		s->waiters++;
		pthread_cond_signal(&s->to_writer);
		while (s->pending.first || s->is_committing)
			pthread_cond_wait(&s->progress, &s->lock);
		s->waiters--;
		pthread_mutex_unlock(&s->lock);
	} while (sqlite_poll(base));
}

/* Called with the lock, for a batch that is counted. */
static void enqueue(struct sqlite_store *s, struct store_batch *b)
{
	if (!s->pending.first)
		clock_gettime(CLOCK_MONOTONIC, &s->pending_since);
	work_push(&s->pending, &b->work);
	/* the writer also waits, with a deadline, for a full batch: it need not hear of each submission in between */
	if (s->pending.first == &b->work || s->waiting.ops >= s->batch_max || b->is_waited_for)
		pthread_cond_signal(&s->to_writer);
}

static int sqlite_submit(struct store *base, struct store_batch *b, struct err *err)
{
	struct sqlite_store *s = (struct sqlite_store *)base;
	pthread_mutex_lock(&s->lock);
	const int code = waiting_add(&s->waiting, b, err);
	if (!code)
		enqueue(s, b);
	pthread_mutex_unlock(&s->lock);
	if (code)
		store_batch_free(b);
	return code;
}

static int sqlite_submit_now(struct store *base, struct store_batch *b, struct err *err)
{
	struct sqlite_store *s = (struct sqlite_store *)base;
	b->is_waited_for = true;
	pthread_mutex_lock(&s->lock);
	s->waiters++;
	waiting_count(&s->waiting, b);
	enqueue(s, b);
	while (!b->is_done)
		pthread_cond_wait(&s->progress, &s->lock);
	s->waiters--;
	pthread_mutex_unlock(&s->lock);
	const int code = b->work.err.code;
	if (code && err)
		*err = b->work.err;
	store_batch_free(b);
	return code;
}

static int sqlite_read(struct store *base, struct work *w, struct err *err)
{
	struct sqlite_store *s = (struct sqlite_store *)base;
	pthread_mutex_lock(&s->lock);
	const bool fits = s->pending_reads < STORE_WAITING_READS_MAX;
	if (fits) {
		work_push(&s->reads, w);
		s->pending_reads++;
		pthread_cond_signal(&s->to_reader);
	}
	pthread_mutex_unlock(&s->lock);
	if (fits)
		return 0;
	return err_set(err, ERR_LIMIT, "reading the database: more than %d queries wait", STORE_WAITING_READS_MAX);
}

static sqlite3 *db_of(struct store *base)
{
	return ((struct view *)base)->db;
}

static int sqlite_each(struct store *base, struct query *q, store_record_fn fn, void *user, struct err *err)
{
	return sql_each_record(db_of(base), q, fn, user, err);
}

static int sqlite_get_kv(struct store *base, const char *space, const char *key, struct buf *ret, struct err *err)
{
	return sql_get_kv(db_of(base), space, key, ret, err);
}

static int sqlite_each_kv(struct store *base, const char *space, store_kv_fn fn, void *user, struct err *err)
{
	return sql_each_kv(db_of(base), space, fn, user, err);
}

static int sqlite_each_event(struct store *base, uint64_t since, size_t limit, store_event_fn fn, void *user, uint64_t *ret_oldest,
			     uint64_t *ret_newest, struct err *err)
{
	return sql_each_event(db_of(base), since, limit, fn, user, ret_oldest, ret_newest, err);
}

static int sqlite_check(struct store *base, struct err *err)
{
	return sql_check(db_of(base), err);
}

static uint64_t file_size(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static uint64_t sqlite_size(struct store *base)
{
	const struct sqlite_store *s = (struct sqlite_store *)base;
	char wal[4096];
	snprintf(wal, sizeof wal, "%s-wal", s->path);
	return file_size(s->path) + file_size(wal);
}

static void join(struct sqlite_store *s)
{
	pthread_mutex_lock(&s->lock);
	s->is_closing = true;
	pthread_cond_signal(&s->to_writer);
	pthread_cond_broadcast(&s->to_reader);
	pthread_mutex_unlock(&s->lock);
	if (s->has_writer)
		pthread_join(s->writer_thread, NULL);
	for (size_t i = 0; i < READERS; i++)
		if (s->readers[i].has_thread)
			pthread_join(s->readers[i].thread, NULL);
}

static void sqlite_close(struct store *base)
{
	struct sqlite_store *s = (struct sqlite_store *)base;
	if (s->has_writer)
		sqlite_flush(base);
	join(s);
	(void)sqlite_poll(base);
	for (size_t i = 0; i < READERS; i++)
		sqlite3_close(s->readers[i].view.db);
	sqlite3_close(s->now.db);
	writer_release(&s->writer); /* the last connection: SQLite empties the WAL into the file */
	pthread_cond_destroy(&s->to_writer);
	pthread_cond_destroy(&s->to_reader);
	pthread_cond_destroy(&s->progress);
	pthread_mutex_destroy(&s->lock);
	free(s->path);
	free(s);
}

static const struct store_vtable sqlite_vtable = {
	.close = sqlite_close, .poll = sqlite_poll, .flush = sqlite_flush, .submit = sqlite_submit,
	.submit_now = sqlite_submit_now, .read = sqlite_read, .each = sqlite_each, .get_kv = sqlite_get_kv,
	.each_kv = sqlite_each_kv, .each_event = sqlite_each_event, .check = sqlite_check, .size = sqlite_size,
};

/* what a reader thread may use */
static const struct store_vtable view_vtable = {
	.each = sqlite_each, .get_kv = sqlite_get_kv, .each_kv = sqlite_each_kv, .each_event = sqlite_each_event,
};

static struct sqlite_store *store_new(const struct store_options *o)
{
	struct sqlite_store *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->path = strdup(o->path);
	if (!s->path) {
		free(s);
		return NULL;
	}
	s->now.base.v = &sqlite_vtable;
	s->wake = o->wake;
	s->wake_user = o->wake_user;
	s->batch_max = o->batch_max ? o->batch_max : BATCH_MAX_DEFAULT;
	s->batch_wait_ms = o->batch_wait_ms;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->to_writer, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_cond_init(&s->to_reader, NULL);
	pthread_cond_init(&s->progress, NULL);
	return s;
}

/* SQLite would make it readable for others; its -wal and -shm files take this one's mode. */
static int make_file(const char *path, struct err *err)
{
	CLEANUP(cleanup_fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		const int code = err_errno(err, errno, "opening the database %s", path);
		(void)err_hint(err, "the node must be able to write that folder");
		return code;
	}
	return io_sync_folder_of(path, err);
}

/* SQLite deletes the WAL of an empty file: acknowledged records would be gone without a word. A first start never leaves the two
 * like this: the file has its header before there is a WAL. */
static int refuse_lone_wal(const struct sqlite_store *s, struct err *err)
{
	char wal[4096];
	snprintf(wal, sizeof wal, "%s-wal", s->path);
	if (file_size(s->path) || !file_size(wal))
		return 0;
	(void)err_set(err, ERR_INVALID, "%s is empty or gone, but %s is there: it belongs to a database that was moved or cut", s->path, wal);
	return err_hint(err, "put the database back beside it; to begin anew move the -wal file away");
}

static int quick_check(sqlite3 *db, const char *path, struct err *err)
{
	CLEANUP(sql_finalize) sqlite3_stmt *st = NULL;
	if (file_size(path) > QUICK_CHECK_BYTES_MAX)
		return 0;
	const int code = sql_prepare(db, "PRAGMA quick_check(1)", &st, err);
	if (code)
		return code;
	if (sqlite3_step(st) != SQLITE_ROW)
		return sql_err(db, "checking the database", err);
	const char *text = (const char *)sqlite3_column_text(st, 0);
	if (text && !strcmp(text, "ok"))
		return 0;
	(void)err_set(err, ERR_INVALID, "%s is damaged: %s", path, text ? text : "?");
	return err_hint(err, "move it and its -wal file away and start again; the newest copy beside it (.before-N) can take its place");
}

/* SQLite answers with the mode that it got instead of failing. */
static int use_wal(sqlite3 *db, const char *path, struct err *err)
{
	CLEANUP(sql_finalize) sqlite3_stmt *st = NULL;
	const int code = sql_prepare(db, "PRAGMA journal_mode=WAL", &st, err);
	if (code)
		return code;
	if (sqlite3_step(st) != SQLITE_ROW)
		return sql_err(db, "opening the database", err);
	const char *mode = (const char *)sqlite3_column_text(st, 0);
	if (mode && !strcmp(mode, "wal"))
		return 0;
	(void)err_set(err, ERR_UNSUPPORTED, "%s: this file system cannot share memory between connections (WAL)", path);
	return err_hint(err, "put the node's home on a local disk");
}

static int open_databases(struct sqlite_store *s, uint64_t max_bytes, struct err *err)
{
	sqlite3 *db = NULL;
	int code = refuse_lone_wal(s, err);
	if (!code)
		code = make_file(s->path, err);
	if (!code)
		code = sql_open(s->path, WRITER_CACHE_KIB, &db, err);
	if (code)
		return code;
	code = migrations_check(db, s->path, store_migrations, store_migrations_len, err);
	if (!code)
		code = quick_check(db, s->path, err);
	if (!code)
		code = use_wal(db, s->path, err);
	if (!code)
		code = migrations_run(db, s->path, store_migrations, store_migrations_len, err);
	if (!code)
		code = writer_init(&s->writer, db, max_bytes, err);
	if (code) {
		/* what is damaged or not ours stays as it is, for whoever mends it: closing must not write the WAL into it */
		sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
		sqlite3_close(db);
		return code;
	}
	code = sql_open(s->path, READER_CACHE_KIB, &s->now.db, err);
	for (size_t i = 0; i < READERS && !code; i++)
		code = sql_open(s->path, READER_CACHE_KIB, &s->readers[i].view.db, err);
	return code;
}

/* Signals stay the caller's: its loop handles them. Those of a thread's own faults cannot be put off. */
static int start_threads(struct sqlite_store *s, struct err *err)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
	sigset_t all, before;
	sigfillset(&all);
	for (size_t i = 0; i < ARRAY_LEN(faults); i++)
		sigdelset(&all, faults[i]);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(&s->writer_thread, NULL, writer_main, s);
	s->has_writer = !failed;
	for (size_t i = 0; i < READERS && !failed; i++) {
		struct reader *r = &s->readers[i];
		r->view.base.v = &view_vtable;
		r->store = s;
		failed = pthread_create(&r->thread, NULL, reader_main, r);
		r->has_thread = !failed;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed ? err_errno(err, failed, "starting the store's threads") : 0;
}

int store_sqlite_open(const struct store_options *o, struct store **ret, struct err *err)
{
	struct sqlite_store *s = store_new(o);
	if (!s)
		return err_set(err, ERR_NOMEM, "store: out of memory");
	int code = open_databases(s, o->max_bytes, err);
	if (!code)
		code = start_threads(s, err);
	if (code) {
		sqlite_close(&s->now.base);
		return code;
	}
	*ret = &s->now.base;
	return 0;
}
