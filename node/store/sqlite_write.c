/* The writer's side: one transaction for what has gathered. */
#include <string.h>

#include "node/store/sqlite_impl.h"

static const char *const statements[ST_COUNT] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",
	[ST_SLOT] = "SELECT n, sequence, id FROM records WHERE slot = ?1",
	[ST_DELETE_ROW] = "DELETE FROM records WHERE n = ?1",
	[ST_INSERT] = "INSERT INTO records (id, kind, author, topic, project, job, \"commit\", key, sequence, created, expires, slot,"
		      " signature, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
		      " ON CONFLICT (id) DO NOTHING",
	[ST_DELETE_ID] = "DELETE FROM records WHERE id = ?1",
	[ST_EVENT] = "INSERT INTO events (id, at, type, object) VALUES (?1, ?2, ?3, ?4)",
	[ST_TRIM_EVENTS] = "DELETE FROM events WHERE id <= ?1",
	[ST_PUT_KV] = "INSERT INTO kv (space, key, bytes) VALUES (?1, ?2, ?3) ON CONFLICT (space, key) DO UPDATE SET bytes = ?3",
	[ST_DELETE_KV] = "DELETE FROM kv WHERE space = ?1 AND key = ?2",
	[ST_DELETE_SPACE] = "DELETE FROM kv WHERE space = ?1",
};

static const char doing[] = "storing";

/* Runs a statement that gives no rows. Bindings are cleared: what they lent may be gone before the next use. */
static int run(struct writer *w, enum statement which, struct err *err)
{
	sqlite3_stmt *st = w->st[which];
	const int code = sqlite3_step(st) == SQLITE_DONE ? 0 : sql_err(w->db, doing, err);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return code;
}

static void bind_blob(sqlite3_stmt *st, int at, const void *bytes, size_t len)
{
	/* a NULL pointer would bind NULL, where an empty value is meant */
	sqlite3_bind_blob64(st, at, len ? bytes : "", len, SQLITE_STATIC);
}

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
	sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
}

/* Whether (sequence, id) of the row that ST_SLOT stands on is at least that of the new record. */
static bool row_stands(sqlite3_stmt *st, const struct record_fields *f, const struct id32 *id)
{
	const uint64_t sequence = (uint64_t)sqlite3_column_int64(st, 1);
	if (sequence != f->sequence)
		return sequence > f->sequence;
	const void *row_id = sqlite3_column_blob(st, 2);
	return sqlite3_column_bytes(st, 2) == 32 && memcmp(row_id, id->b, 32) >= 0;
}

/* Removes the older record of that slot. *ret_stands: there is one that is not older. */
static int clear_slot(struct writer *w, const uint8_t *slot, size_t len, const struct record *r, bool *ret_stands, struct err *err)
{
	sqlite3_stmt *st = w->st[ST_SLOT];
	bind_blob(st, 1, slot, len);
	const int step = sqlite3_step(st);
	int code = step == SQLITE_ROW || step == SQLITE_DONE ? 0 : sql_err(w->db, doing, err);
	*ret_stands = step == SQLITE_ROW && row_stands(st, record_get(r), record_id(r));
	const int64_t n = step == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	if (code || step != SQLITE_ROW || *ret_stands)
		return code;
	sqlite3_bind_int64(w->st[ST_DELETE_ROW], 1, n);
	return run(w, ST_DELETE_ROW, err);
}

static int put_record(struct writer *w, const struct op *op, struct err *err)
{
	const struct record *r = op->put.record;
	const struct record_fields *f = record_get(r);
	uint8_t slot[STORE_SLOT_MAX];
	const size_t slot_len = record_slot(f->kind, &f->author, f->key, f->key_len, slot);
	bool stands = false;
	const int code = slot_len ? clear_slot(w, slot, slot_len, r, &stands, err) : 0;
	if (code || stands)
		return code;
	sqlite3_stmt *st = w->st[ST_INSERT];
	size_t len;
	const uint8_t *bytes = record_bytes(r, &len);
	bind_blob(st, 1, record_id(r)->b, 32);
	sqlite3_bind_int64(st, 2, f->kind);
	bind_blob(st, 3, f->author.b, 32);
	bind_blob(st, 4, f->topic.b, 32);
	if (op->put.has_project)
		bind_blob(st, 5, op->put.project.b, 32);
	if (op->put.has_job)
		bind_blob(st, 6, op->put.job.b, 32);
	if (*op->put.commit)
		bind_text(st, 7, op->put.commit);
	bind_blob(st, 8, f->key, f->key_len);
	/* the envelope holds these below 2^63 */
	sqlite3_bind_int64(st, 9, (int64_t)f->sequence);
	sqlite3_bind_int64(st, 10, (int64_t)f->created_ms);
	sqlite3_bind_int64(st, 11, (int64_t)f->expires_ms);
	if (slot_len)
		bind_blob(st, 12, slot, slot_len);
	bind_blob(st, 13, record_signature(r), 64);
	bind_blob(st, 14, bytes, len);
	return run(w, ST_INSERT, err);
}

static int put_event(struct writer *w, const struct op *op, struct err *err)
{
	sqlite3_stmt *st = w->st[ST_EVENT];
	const uint64_t id = w->next_event;
	sqlite3_bind_int64(st, 1, (int64_t)id);
	sqlite3_bind_int64(st, 2, (int64_t)op->event.at_ms);
	bind_text(st, 3, op->event.type);
	bind_text(st, 4, op->event.object);
	const int code = run(w, ST_EVENT, err);
	if (code)
		return code;
	w->next_event = id + 1;
	if (id <= STORE_EVENTS_KEPT)
		return 0;
	sqlite3_bind_int64(w->st[ST_TRIM_EVENTS], 1, (int64_t)(id - STORE_EVENTS_KEPT));
	return run(w, ST_TRIM_EVENTS, err);
}

static int put_kv(struct writer *w, enum statement which, const struct op *op, struct err *err)
{
	sqlite3_stmt *st = w->st[which];
	bind_text(st, 1, op->kv.space);
	if (which != ST_DELETE_SPACE)
		bind_text(st, 2, op->kv.key);
	if (which == ST_PUT_KV)
		bind_blob(st, 3, op->kv.bytes, op->kv.len);
	return run(w, which, err);
}

static int apply(struct writer *w, const struct op *op, struct err *err)
{
	switch (op->kind) {
	case OP_PUT_RECORD: return put_record(w, op, err);
	case OP_DELETE_RECORD:
		bind_blob(w->st[ST_DELETE_ID], 1, op->id.b, 32);
		return run(w, ST_DELETE_ID, err);
	case OP_PUT_EVENT: return put_event(w, op, err);
	case OP_PUT_KV: return put_kv(w, ST_PUT_KV, op, err);
	case OP_DELETE_KV: return put_kv(w, ST_DELETE_KV, op, err);
	case OP_DELETE_SPACE: return put_kv(w, ST_DELETE_SPACE, op, err);
	}
	return err_set(err, ERR_BUG, "storing: an unknown operation");
}

static int apply_batch(struct writer *w, const struct store_batch *b, struct err *err)
{
	int code = 0;
	for (size_t i = 0; !code && i < b->len; i++)
		code = apply(w, &b->ops[i], err);
	return code;
}

static void roll_back(struct writer *w)
{
	if (!sqlite3_get_autocommit(w->db)) {
		struct err ignored;
		(void)run(w, ST_ROLLBACK, &ignored);
	}
}

/* SQLite says "full" for our cap and for a full disk alike: near the cap it is the cap. */
static void tell_cap_from_disk(struct writer *w, size_t bytes, struct err *err)
{
	int64_t pages, page_size;
	struct err ignored;
	if (err->code != ERR_IO || !w->max_bytes || sql_get_int(w->db, "PRAGMA page_count", &pages, &ignored) ||
	    sql_get_int(w->db, "PRAGMA page_size", &page_size, &ignored))
		return;
	const uint64_t used = (uint64_t)pages * (uint64_t)page_size;
	if (used + 4 * bytes + (1u << 16) < w->max_bytes)
		return;
	(void)err_set(err, ERR_LIMIT, "storing: the database would pass its cap of %llu bytes", (unsigned long long)w->max_bytes);
	(void)err_hint(err, "raise the cap in config.yml, or forget projects that are no longer needed");
}

/* One transaction for the batches from first to its end (all: the whole list, else that one). */
static int commit(struct writer *w, const struct store_batch *first, bool all, struct err *err)
{
	const uint64_t next_event = w->next_event;
	size_t bytes = 0;
	roll_back(w);
	int code = run(w, ST_BEGIN, err);
	for (const struct store_batch *b = first; !code && b; b = all ? (const struct store_batch *)b->work.next : NULL) {
		code = apply_batch(w, b, err);
		bytes += b->bytes;
	}
	if (!code)
		code = run(w, ST_COMMIT, err);
	if (!code)
		return 0;
	roll_back(w);
	w->next_event = next_event;
	tell_cap_from_disk(w, bytes, err);
	return err->code;
}

void writer_commit(struct writer *w, struct work_list *batches)
{
	struct store_batch *first = (struct store_batch *)batches->first;
	if (!first || !commit(w, first, true, &first->work.err))
		return;
	if (batches->first == batches->last)
		return;
	for (struct work *one = batches->first; one; one = one->next) {
		one->err.code = 0;
		(void)commit(w, (struct store_batch *)one, false, &one->err);
	}
}

static int set_cap(struct writer *w, struct err *err)
{
	int64_t page_size;
	char pragma[64];
	if (!w->max_bytes)
		return 0;
	const int code = sql_get_int(w->db, "PRAGMA page_size", &page_size, err);
	if (code)
		return code;
	const uint64_t pages = w->max_bytes / (uint64_t)page_size;
	snprintf(pragma, sizeof pragma, "PRAGMA max_page_count=%llu", (unsigned long long)(pages ? pages : 1));
	return sql_exec(w->db, pragma, err);
}

int writer_init(struct writer *w, sqlite3 *db, uint64_t max_bytes, struct err *err)
{
	*w = (struct writer){.db = db, .max_bytes = max_bytes};
	int64_t newest = 0;
	int code = sql_get_int(db, "SELECT coalesce(max(id), 0) FROM events", &newest, err);
	if (!code)
		code = set_cap(w, err);
	for (unsigned i = 0; !code && i < ST_COUNT; i++)
		code = sql_prepare(db, statements[i], &w->st[i], err);
	w->next_event = (uint64_t)newest + 1;
	if (!code)
		return 0;
	w->db = NULL;
	writer_release(w);
	return code;
}

void writer_release(struct writer *w)
{
	for (unsigned i = 0; i < ST_COUNT; i++)
		sqlite3_finalize(w->st[i]);
	sqlite3_close(w->db);
	*w = (struct writer){0};
}
