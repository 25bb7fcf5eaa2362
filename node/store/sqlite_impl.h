/* What the SQLite store's files share. Only they and the store's tests include it.
 *
 * Three connections, each used by one thread at a time: the writer thread's, the reader thread's, and one for the *_now
 * functions on the caller's thread. */
#ifndef TALKOO_NODE_STORE_SQLITE_IMPL_H
#define TALKOO_NODE_STORE_SQLITE_IMPL_H

#include <pthread.h>
#include <sqlite3.h>

#include "node/store/store_impl.h"

/* sql_util.c */

/* Opens a connection with this store's settings. The file exists, and is not changed. cache_kib: pages kept in memory. */
int sql_open(const char *path, unsigned cache_kib, sqlite3 **ret, struct err *err) MUST_CHECK;
int sql_exec(sqlite3 *db, const char *sql, struct err *err) MUST_CHECK;
int sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret, struct err *err) MUST_CHECK;
/* The first column of the first row. */
int sql_get_int(sqlite3 *db, const char *sql, int64_t *ret, struct err *err) MUST_CHECK;
/* What SQLite says about the last failure on db, as a sentence with a hint. Returns its code. */
int sql_err(sqlite3 *db, const char *doing, struct err *err);
/* For CLEANUP. */
void sql_finalize(sqlite3_stmt **stmt);

/* migrations.c: the numbered steps from an empty file to today's tables. */
struct migration {
	unsigned number; /* 1, 2, …; the schema it leads to */
	const char *sql;
};
extern const struct migration store_migrations[];
extern const size_t store_migrations_len;
/* 0 when migrations_run() may touch it: a database that is newer than the last of list is ERR_UNSUPPORTED, one that is not ours
 * ERR_INVALID. Changes nothing. */
int migrations_check(sqlite3 *db, const char *path, const struct migration *list, size_t len, struct err *err) MUST_CHECK;
/* Checks, then brings db to the last of list. Before each step on a database that holds something a copy PATH.before-NUMBER is
 * made. */
int migrations_run(sqlite3 *db, const char *path, const struct migration *list, size_t len, struct err *err) MUST_CHECK;

/* sqlite_write.c: the writer's connection and its statements. */
enum statement {
	ST_BEGIN, ST_COMMIT, ST_ROLLBACK, ST_SLOT, ST_DELETE_ROW, ST_INSERT, ST_DELETE_ID, ST_EVENT, ST_TRIM_EVENTS, ST_PUT_KV,
	ST_DELETE_KV, ST_DELETE_SPACE, ST_COUNT
};
struct writer {
	sqlite3 *db;
	sqlite3_stmt *st[ST_COUNT];
	uint64_t next_event;
	uint64_t max_bytes;
};
int writer_init(struct writer *w, sqlite3 *db /* takes on success */, uint64_t max_bytes, struct err *err) MUST_CHECK;
void writer_release(struct writer *w);
/* Commits them in one transaction; if that fails, each in its own, so that one cannot spoil the others. Each batch's
 * work.err says how it went. */
void writer_commit(struct writer *w, struct work_list *batches);

/* sqlite_read.c */
int sql_each_record(sqlite3 *db, const struct query *q, store_record_fn fn, void *user, struct err *err) MUST_CHECK;
int sql_get_kv(sqlite3 *db, const char *space, const char *key, struct buf *ret, struct err *err) MUST_CHECK;
int sql_each_kv(sqlite3 *db, const char *space, store_kv_fn fn, void *user, struct err *err) MUST_CHECK;
int sql_each_event(sqlite3 *db, uint64_t since, size_t limit, store_event_fn fn, void *user, uint64_t *ret_oldest,
		   uint64_t *ret_newest, struct err *err) MUST_CHECK;
int sql_check(sqlite3 *db, struct err *err) MUST_CHECK;

#endif
