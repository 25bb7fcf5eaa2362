#include <stdlib.h>
#include <string.h>

#include "node/store/store_impl.h"
#include "proto/base/hex.h"
#include "proto/base/units.h"

size_t record_slot(uint32_t kind, const struct node_id *author, const uint8_t *key, size_t key_len, uint8_t out[STORE_SLOT_MAX])
{
	if (!record_kind_is_replaceable(kind) || kind > UINT8_MAX || key_len > RECORD_KEY_MAX)
		return 0;
	memcpy(out, author->b, 32);
	out[32] = (uint8_t)kind;
	if (key_len)
		memcpy(out + 33, key, key_len);
	return 33 + key_len;
}

static unsigned digit_of(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}

static int set_id_range(struct query *q, const char *prefix, struct err *err)
{
	if (!hex_is_digits(prefix, 1, 64))
		return err_set(err, ERR_USAGE, "\"%.80s\" is not the beginning of an id", prefix);
	memset(q->id_from.b, 0, 32);
	memset(q->id_to.b, 0xff, 32);
	for (size_t i = 0; prefix[i]; i++) {
		const unsigned shift = i % 2 ? 0 : 4;
		const unsigned digit = digit_of(prefix[i]) << shift, rest = 0xfu << shift;
		q->id_from.b[i / 2] = (uint8_t)(q->id_from.b[i / 2] | digit);
		q->id_to.b[i / 2] = (uint8_t)((q->id_to.b[i / 2] & ~rest) | digit);
	}
	q->has_id_range = true;
	return 0;
}

static int set_commit(struct query *q, const char *commit, struct err *err)
{
	if (!hex_is_digits(commit, 7, 64)) {
		(void)err_set(err, ERR_USAGE, "\"%.80s\" is not a commit", commit);
		return err_hint(err, "give at least 7 hexadecimal digits of it");
	}
	size_t i = 0;
	for (; commit[i]; i++)
		q->commit[i] = "0123456789abcdef"[digit_of(commit[i])];
	q->commit[i] = 0;
	return 0;
}

int query_init(struct query *q, const struct store_filter *f, struct err *err)
{
	*q = (struct query){.kind = f->kind, .live_at_ms = f->live_at_ms, .newest_first = f->newest_first,
			    .has_project = f->project, .has_job = f->job, .has_id = f->id, .has_author = f->author,
			    .has_key = f->key, .key_len = f->key ? f->key_len : 0,
			    .limit = f->limit ? f->limit : STORE_ROWS_DEFAULT};
	q->work.read = query_read;
	q->work.deliver = query_deliver;
	if (f->project)
		q->project = *f->project;
	if (f->job)
		q->job = *f->job;
	if (f->id)
		q->id = *f->id;
	if (f->author)
		q->author = *f->author;
	if (q->key_len > RECORD_KEY_MAX)
		return err_set(err, ERR_USAGE, "a key of %zu bytes; the longest has %d", f->key_len, RECORD_KEY_MAX);
	if (q->key_len)
		memcpy(q->key, f->key, q->key_len);
	if (q->limit > INT64_MAX)
		q->limit = INT64_MAX;
	if (q->live_at_ms > INT64_MAX)
		q->live_at_ms = INT64_MAX;
	const int code = f->commit ? set_commit(q, f->commit, err) : 0;
	if (code || !f->id_prefix)
		return code;
	return set_id_range(q, f->id_prefix, err);
}

int query_keep(struct query *q, struct record *r, struct err *err)
{
	if (q->rows_len == q->rows_cap) {
		const size_t cap = q->rows_cap ? q->rows_cap * 2 : 16;
		struct record **grown = reallocarray(q->rows, cap, sizeof *grown);
		if (!grown)
			return err_set(err, ERR_NOMEM, "reading the database: out of memory");
		q->rows = grown;
		q->rows_cap = cap;
	}
	q->rows[q->rows_len++] = record_ref(r);
	return 0;
}

void query_free(struct query *q)
{
	if (!q)
		return;
	for (size_t i = 0; i < q->rows_len; i++)
		record_unref(q->rows[i]);
	free(q->rows);
	free(q);
}

static bool keep_row(void *user, struct record *r)
{
	struct query *q = user;
	return query_keep(q, r, &q->work.err) == 0;
}

void query_read(struct work *w, struct store *view)
{
	struct query *q = (struct query *)w, plain = *q; /* an implementation may gather rows of its own */
	const int code = view->v->each(view, &plain, keep_row, q, &w->err);
	w->err.code = code ? code : w->err.code; /* where keep_row() left its own failure */
}

void query_deliver(struct work *w)
{
	struct query *q = (struct query *)w;
	const bool failed = w->err.code != 0;
	q->on_rows(q->user, failed ? NULL : q->rows, failed ? 0 : q->rows_len, failed ? &w->err : NULL);
	query_free(q);
}

json_t *event_object(uint64_t id, uint64_t at_ms, const char *type, const char *text)
{
	char at[UNITS_TEXT_MAX];
	json_t *object = json_loads(text, 0, NULL);
	if (!json_is_object(object)) {
		json_decref(object);
		return NULL;
	}
	json_t *whole = json_pack("{s:I, s:s, s:s}", "id", (json_int_t)id, "at", units_format_time(at, at_ms), "type", type);
	if (!whole || json_object_update_missing(whole, object)) {
		json_decref(whole);
		whole = NULL;
	}
	json_decref(object);
	return whole;
}
