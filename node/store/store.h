/* What the node keeps: records with their indices, events, decisions, jobs, trust, small state. A vtable with two
 * implementations, SQLite (WAL, synchronous=FULL, one writer thread) and an in-memory twin; one test suite runs on both.
 *
 * Writing: store_submit(batch, on_durable). The writer thread commits what has gathered (256 operations or 5 ms), fsyncs, and
 * on_durable runs in store_poll() on the caller's thread: after it, and only then, an acknowledgement may leave.
 * A batch is atomic. Reading: store_query(…) and store_read(…) on reader threads for the daemon; the *_now functions block and are for
 * start-up, tests and small indexed look-ups.
 * A batch that fails (disk full, the cap, an I/O error) leaves nothing behind and spoils no other; on_durable gets code and
 * sentence, and the store goes on: the next batch is tried anew.
 * Threads: one caller thread (the loop). The loop learns of completions through the `wake` function given at open (called
 * from other threads; the daemon gives uv_async_send), then calls store_poll().
 * Must not know: libuv, policy, network, what a record's body means beyond the columns the caller gives. */
#ifndef TALKOO_NODE_STORE_STORE_H
#define TALKOO_NODE_STORE_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"
#include "proto/record.h"

struct store;

typedef void (*store_wake_fn)(void *user);
typedef void (*store_durable_fn)(void *user, int code /* 0 or enum err_code */, const struct err *err);

struct store_options {
	const char *path;          /* database file; NULL: in memory */
	store_wake_fn wake;        /* may be NULL (tests): then store_poll() is called by hand */
	void *wake_user;
	uint64_t max_bytes;        /* cap of the database file; past it writes fail with ERR_LIMIT. 0: none */
	unsigned batch_max;        /* operations in a commit; 0: 256 */
	unsigned batch_wait_ms;    /* 5; 0 = commit at once */
};

/* Opens or creates; runs migrations (numbered; a copy PATH.before-N is made first; a newer schema is ERR_UNSUPPORTED with a hint).
 * Checks integrity quickly where the file has at most 32 MiB (so a start stays below a second): in a larger one damage is an error, and
 * nothing is overwritten, when it is read; store_check_now() reads all of it. A -wal file whose database is gone or empty is refused. */
int store_open(const struct store_options *o, struct store **ret, struct err *err) MUST_CHECK;
/* Commits what is submitted, runs every completion that is due, then closes. */
void store_close(struct store *s);
/* In memory only: while it is broken every batch fails, those that wait too. So a simulated crash loses what was not committed. */
void store_memory_break(struct store *s, bool is_broken);
/* Runs completions that are due. Returns how many. */
unsigned store_poll(struct store *s);
/* Blocks until all that was submitted is durable, running completions (start-up, shutdown, tests). */
void store_flush(struct store *s);

/* A batch: operations that commit together. Built, then given to store_submit. */
struct store_batch;
struct store_batch *store_batch_new(void);
void store_batch_free(struct store_batch *b); /* only one that was not submitted */

/* project is the project's id (for queries by project; zero if none); commit: hex or NULL (job: its commit; result/claim/cancel: their
 * job's); job: id of the job it is about (a job: its own id) or NULL. A replaceable record replaces the older of (author, kind, key).
 * A record that is there already is left as it is. */
void store_put_record(struct store_batch *b, struct record *r, const struct id32 *project, const char *commit, const struct id32 *job);
void store_delete_record(struct store_batch *b, const struct id32 *id);
/* An event: id assigned in this transaction, rising by exactly 1 over restarts. object: without "id" and "at". Copied. */
void store_put_event(struct store_batch *b, const char *type, uint64_t now_ms, const json_t *object);
/* Small state: (space, key) -> bytes; NULL bytes delete. Spaces: "trust", "follow", "sequence", "pause", "run", "decision", "meta" … */
void store_put_kv(struct store_batch *b, const char *space, const char *key, const void *bytes, size_t len);
void store_delete_kv_space(struct store_batch *b, const char *space);

/* Takes b. on_durable may be NULL. Returns ERR_LIMIT at once, b freed, when more than 65,536 operations, or about 64 MiB of them, wait (back-pressure). */
int store_submit(struct store *s, struct store_batch *b /* takes */, store_durable_fn on_durable, void *user, struct err *err) MUST_CHECK;
/* Submit and wait: start-up and tests. Other batches' completions stay for store_poll(). */
int store_submit_now(struct store *s, struct store_batch *b /* takes */, struct err *err) MUST_CHECK;

/* Reading. A filter: zero fields are not compared. Order: created, id. */
struct store_filter {
	uint32_t kind;
	const struct id32 *project, *job, *id;
	const struct node_id *author;
	const char *commit;          /* full, or a prefix of at least 7 hex digits */
	const char *id_prefix;       /* 1 to 64 hex digits */
	const uint8_t *key; size_t key_len;
	uint64_t live_at_ms;         /* only records with expires > this */
	bool newest_first;
	size_t limit;                /* 0: 10,000 */
};
typedef bool (*store_record_fn)(void *user, struct record *r); /* lent; false stops */
/* On a reader thread; rows are gathered (at most limit) and handed over in store_poll() on the caller's thread: on_rows gets an
 * array it lends. ERR_USAGE for a filter that is none, ERR_LIMIT when more than 1,024 queries wait. */
typedef void (*store_rows_fn)(void *user, struct record *const *rows, size_t len, const struct err *err /* NULL when fine */);
int store_query(struct store *s, const struct store_filter *f, store_rows_fn on_rows, void *user, struct err *err) MUST_CHECK;
/* Several reads, and what is made of them, on a reader thread: run() may give `view` (which sees all that is durable) to the functions
 * store_…_now() that read, and touch *user, nothing else; it need not be quick. Then done() in store_poll() on the caller's thread, once
 * for each store_read() that returned 0, at the latest in store_close(). Two of them may run at once and end in any order. ERR_LIMIT as above. */
typedef void (*store_run_fn)(struct store *view, void *user);
typedef void (*store_done_fn)(void *user);
int store_read(struct store *s, store_run_fn run, store_done_fn done, void *user, struct err *err) MUST_CHECK;
/* Blocking twin: sees all that is durable. fn (as those below) may submit, but neither poll, flush nor submit_now. */
int store_each_now(struct store *s, const struct store_filter *f, store_record_fn fn, void *user, struct err *err) MUST_CHECK;

/* Appends the value to ret; ERR_NOT_FOUND. */
int store_get_kv_now(struct store *s, const char *space, const char *key, struct buf *ret, struct err *err) MUST_CHECK;
typedef bool (*store_kv_fn)(void *user, const char *key, const uint8_t *bytes, size_t len);
int store_each_kv_now(struct store *s, const char *space, store_kv_fn fn, void *user, struct err *err) MUST_CHECK;

/* Events with id > since, at most limit, oldest first; the callback gets the whole object ({"id","at","type",…}, lent). ret_oldest: the
 * oldest id kept, ret_newest: the newest given out (0: none). Events past 100,000 are dropped, oldest first. */
typedef bool (*store_event_fn)(void *user, uint64_t id, const json_t *object);
int store_each_event_now(struct store *s, uint64_t since, size_t limit, store_event_fn fn, void *user, uint64_t *ret_oldest,
			 uint64_t *ret_newest, struct err *err) MUST_CHECK;

/* PRAGMA integrity_check and our own counts; ERR_INVALID names the damage. */
int store_check_now(struct store *s, struct err *err) MUST_CHECK;
uint64_t store_size_bytes(struct store *s);

#endif
