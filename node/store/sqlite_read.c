/* The readers' side: a filter becomes one statement, led by the most selective index it can use. */
#include <inttypes.h>
#include <string.h>

#include "node/store/sqlite_impl.h"
#include "proto/base/cleanup.h"

static const char doing[] = "reading the database";

/* The conditions of a filter, in the order in which their index is preferred. All but the first get a "+", which keeps SQLite
 * from choosing their index instead: without statistics it takes a kind for as selective as a job. */
struct where {
	struct buf sql;
	unsigned len;
};

static void where_put(struct where *w, const char *plus, const char *condition)
{
	buf_printf(&w->sql, "%s%s%s", w->len ? " AND " : " WHERE ", plus, condition);
	w->len++;
}

static void where_add(struct where *w, const char *condition)
{
	where_put(w, w->len ? "+" : "", condition);
}

static void where_fill(struct where *w, const struct query *q)
{
	uint8_t slot[STORE_SLOT_MAX];
	if (q->has_id)
		where_add(w, "id = :id");
	if (q->has_id_range)
		where_add(w, "id BETWEEN :from AND :to");
	if (q->has_author && q->has_key && record_slot(q->kind, &q->author, q->key, q->key_len, slot))
		where_add(w, "slot = :slot");
	if (q->has_job)
		where_add(w, "job = :job");
	if (*q->commit)
		where_add(w, "\"commit\" BETWEEN :commit AND :beyond");
	const bool is_led_by_project = !w->len && q->has_project;
	if (q->has_project)
		where_add(w, "project = :project");
	if (q->kind) /* the project's index goes on with the kind */
		where_put(w, w->len && !is_led_by_project ? "+" : "", "kind = :kind");
	if (q->has_author)
		where_add(w, "author = :author");
	if (q->has_key)
		where_add(w, "key = :key");
	if (q->live_at_ms)
		where_add(w, "expires > :live");
}

static void bind_bytes(sqlite3_stmt *st, const char *name, const void *bytes, size_t len)
{
	const int at = sqlite3_bind_parameter_index(st, name);
	if (at)
		sqlite3_bind_blob64(st, at, len ? bytes : "", len, SQLITE_TRANSIENT);
}

static void bind_number(sqlite3_stmt *st, const char *name, uint64_t number)
{
	const int at = sqlite3_bind_parameter_index(st, name);
	if (at)
		sqlite3_bind_int64(st, at, (int64_t)number);
}

static void bind_commit(sqlite3_stmt *st, const char *prefix)
{
	char beyond[STORE_COMMIT_TEXT_MAX + 1];
	const int from = sqlite3_bind_parameter_index(st, ":commit"), to = sqlite3_bind_parameter_index(st, ":beyond");
	if (!from)
		return;
	snprintf(beyond, sizeof beyond, "%s~", prefix); /* behind every hex digit */
	sqlite3_bind_text(st, from, prefix, -1, SQLITE_TRANSIENT);
	sqlite3_bind_text(st, to, beyond, -1, SQLITE_TRANSIENT);
}

static void bind_query(sqlite3_stmt *st, const struct query *q)
{
	uint8_t slot[STORE_SLOT_MAX];
	bind_bytes(st, ":id", q->id.b, 32);
	bind_bytes(st, ":from", q->id_from.b, 32);
	bind_bytes(st, ":to", q->id_to.b, 32);
	bind_bytes(st, ":slot", slot, record_slot(q->kind, &q->author, q->key, q->key_len, slot));
	bind_bytes(st, ":job", q->job.b, 32);
	bind_commit(st, q->commit);
	bind_bytes(st, ":project", q->project.b, 32);
	bind_number(st, ":kind", q->kind);
	bind_bytes(st, ":author", q->author.b, 32);
	bind_bytes(st, ":key", q->key, q->key_len);
	bind_number(st, ":live", q->live_at_ms);
	bind_number(st, ":limit", q->limit);
}

static int prepare_query(sqlite3 *db, const struct query *q, sqlite3_stmt **ret, struct err *err)
{
	struct where w = {0};
	buf_init(&w.sql, 4096);
	buf_str(&w.sql, "SELECT bytes, signature FROM records");
	where_fill(&w, q);
	buf_printf(&w.sql, " ORDER BY created%s, id%s LIMIT :limit", q->newest_first ? " DESC" : "", q->newest_first ? " DESC" : "");
	int code = buf_check(&w.sql, "query", err);
	if (!code)
		code = sql_prepare(db, buf_cstr(&w.sql), ret, err);
	buf_release(&w.sql);
	return code;
}

static int row_record(sqlite3_stmt *st, struct record **ret, struct err *err)
{
	const void *bytes = sqlite3_column_blob(st, 0), *signature = sqlite3_column_blob(st, 1);
	const int len = sqlite3_column_bytes(st, 0);
	if (!bytes || !signature || sqlite3_column_bytes(st, 1) != 64)
		return err_set(err, ERR_INVALID, "%s: a record's row is damaged", doing);
	const int code = record_reopen(bytes, (size_t)len, signature, ret, err);
	return code && err ? err_context(err, "%s: a record's row is damaged", doing) : code;
}

int sql_each_record(sqlite3 *db, const struct query *q, store_record_fn fn, void *user, struct err *err)
{
	CLEANUP(sql_finalize) sqlite3_stmt *st = NULL;
	int code = prepare_query(db, q, &st, err);
	if (code)
		return code;
	bind_query(st, q);
	int step;
	while ((step = sqlite3_step(st)) == SQLITE_ROW) {
		struct record *r = NULL;
		code = row_record(st, &r, err);
		if (code)
			return code;
		const bool goes_on = fn(user, r);
		record_unref(r);
		if (!goes_on)
			return 0;
	}
	return step == SQLITE_DONE ? 0 : sql_err(db, doing, err);
}

int sql_get_kv(sqlite3 *db, const char *space, const char *key, struct buf *ret, struct err *err)
{
	CLEANUP(sql_finalize) sqlite3_stmt *st = NULL;
	const int code = sql_prepare(db, "SELECT bytes FROM kv WHERE space = ?1 AND key = ?2", &st, err);
	if (code)
		return code;
	sqlite3_bind_text(st, 1, space, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 2, key, -1, SQLITE_STATIC);
	const int step = sqlite3_step(st);
	if (step == SQLITE_DONE)
		return err_set(err, ERR_NOT_FOUND, "nothing is stored under %s/%s", space, key);
	if (step != SQLITE_ROW)
		return sql_err(db, doing, err);
	const void *bytes = sqlite3_column_blob(st, 0);
	buf_append(ret, bytes ? bytes : "", (size_t)sqlite3_column_bytes(st, 0));
	return buf_check(ret, key, err);
}

int sql_each_kv(sqlite3 *db, const char *space, store_kv_fn fn, void *user, struct err *err)
{
	CLEANUP(sql_finalize) sqlite3_stmt *st = NULL;
	const int code = sql_prepare(db, "SELECT key, bytes FROM kv WHERE space = ?1 ORDER BY key", &st, err);
	if (code)
		return code;
	sqlite3_bind_text(st, 1, space, -1, SQLITE_STATIC);
	int step;
	while ((step = sqlite3_step(st)) == SQLITE_ROW) {
		const char *key = (const char *)sqlite3_column_text(st, 0);
		const uint8_t *bytes = sqlite3_column_blob(st, 1);
		if (!key || !fn(user, key, bytes ? bytes : (const uint8_t *)"", (size_t)sqlite3_column_bytes(st, 1)))
			return 0;
	}
	return step == SQLITE_DONE ? 0 : sql_err(db, doing, err);
}

/* One event to the reader. *ret_goes_on: it wants more. */
static int give_event(sqlite3_stmt *st, store_event_fn fn, void *user, bool *ret_goes_on, struct err *err)
{
	const uint64_t id = (uint64_t)sqlite3_column_int64(st, 0);
	const char *type = (const char *)sqlite3_column_text(st, 2), *text = (const char *)sqlite3_column_text(st, 3);
	json_t *object = type && text ? event_object(id, (uint64_t)sqlite3_column_int64(st, 1), type, text) : NULL;
	if (!object)
		return err_set(err, ERR_INVALID, "%s: event %" PRIu64 " is damaged", doing, id);
	*ret_goes_on = fn(user, id, object);
	json_decref(object);
	return 0;
}

static int events_after(sqlite3 *db, uint64_t since, size_t limit, store_event_fn fn, void *user, struct err *err)
{
	CLEANUP(sql_finalize) sqlite3_stmt *st = NULL;
	int code = sql_prepare(db, "SELECT id, at, type, object FROM events WHERE id > ?1 ORDER BY id LIMIT ?2", &st, err);
	if (code)
		return code;
	sqlite3_bind_int64(st, 1, (int64_t)since);
	sqlite3_bind_int64(st, 2, (int64_t)limit);
	int step = SQLITE_DONE;
	bool goes_on = true;
	while (!code && goes_on && (step = sqlite3_step(st)) == SQLITE_ROW)
		code = give_event(st, fn, user, &goes_on, err);
	if (!code && step != SQLITE_ROW && step != SQLITE_DONE)
		code = sql_err(db, doing, err);
	return code;
}

int sql_each_event(sqlite3 *db, uint64_t since, size_t limit, store_event_fn fn, void *user, uint64_t *ret_oldest,
		   uint64_t *ret_newest, struct err *err)
{
	int64_t oldest = 0, newest = 0;
	/* one read transaction: the bounds are those of the events that follow */
	int code = sql_exec(db, "SAVEPOINT events", err);
	if (code)
		return code;
	code = sql_get_int(db, "SELECT coalesce(min(id), 0) FROM events", &oldest, err);
	if (!code)
		code = sql_get_int(db, "SELECT coalesce(max(id), 0) FROM events", &newest, err);
	if (!code)
		code = events_after(db, since, limit, fn, user, err);
	sqlite3_exec(db, "RELEASE events", NULL, NULL, NULL);
	if (code)
		return code;
	*ret_oldest = (uint64_t)oldest;
	*ret_newest = (uint64_t)newest;
	return 0;
}

static int integrity(sqlite3 *db, struct err *err)
{
	CLEANUP(sql_finalize) sqlite3_stmt *st = NULL;
	const int code = sql_prepare(db, "PRAGMA integrity_check(1)", &st, err);
	if (code)
		return code;
	if (sqlite3_step(st) != SQLITE_ROW)
		return sql_err(db, "checking the database", err);
	const char *text = (const char *)sqlite3_column_text(st, 0);
	if (text && !strcmp(text, "ok"))
		return 0;
	(void)err_set(err, ERR_INVALID, "%s is damaged: %s", sqlite3_db_filename(db, "main"), text ? text : "?");
	return err_hint(err, "move it away and start again; records are fetched anew from peers");
}

/* A row's id and slot are what its bytes say. */
static int check_row(sqlite3_stmt *st, struct err *err)
{
	struct record *r = NULL;
	const int code = row_record(st, &r, err);
	if (code)
		return code;
	const struct record_fields *f = record_get(r);
	uint8_t slot[STORE_SLOT_MAX];
	const int slot_len = (int)record_slot(f->kind, &f->author, f->key, f->key_len, slot);
	const void *id = sqlite3_column_blob(st, 2), *row_slot = sqlite3_column_blob(st, 3);
	const bool same = sqlite3_column_bytes(st, 2) == 32 && !memcmp(id, record_id(r)->b, 32) &&
			  sqlite3_column_bytes(st, 3) == slot_len && (!slot_len || !memcmp(row_slot, slot, (size_t)slot_len));
	record_unref(r);
	return same ? 0 : err_set(err, ERR_INVALID, "checking the database: a row does not hold the record that its id names");
}

static int check_rows(sqlite3 *db, struct err *err)
{
	CLEANUP(sql_finalize) sqlite3_stmt *st = NULL;
	int code = sql_prepare(db, "SELECT bytes, signature, id, slot FROM records ORDER BY n", &st, err);
	int step = SQLITE_DONE;
	while (!code && (step = sqlite3_step(st)) == SQLITE_ROW)
		code = check_row(st, err);
	if (!code && step != SQLITE_DONE)
		code = sql_err(db, "checking the database", err);
	return code;
}

int sql_check(sqlite3 *db, struct err *err)
{
	int64_t gaps = 0;
	int code = integrity(db, err);
	if (!code)
		code = check_rows(db, err);
	if (!code)
		code = sql_get_int(db, "SELECT coalesce(max(id) - min(id) + 1 - count(*), 0) FROM events", &gaps, err);
	if (!code && gaps)
		return err_set(err, ERR_INVALID, "checking the database: %lld events are missing in between", (long long)gaps);
	return code;
}
