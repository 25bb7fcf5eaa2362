/* The in-memory twin: the same rules without disk and threads, for tests and the simulator. What is submitted becomes
 * visible, batch by batch, in store_poll(), flush, submit_now or close, so a run is the same every time.
 * A batch gets all the memory it needs before it changes anything: it fails whole or not at all. */
#include <stdlib.h>
#include <string.h>

#include "node/store/store_impl.h"
#include "proto/base/cleanup.h"

struct row {
	struct op op; /* OP_PUT_RECORD, with the record's reference */
	uint8_t slot[STORE_SLOT_MAX];
	size_t slot_len;
	size_t at, bytes;
	struct row *next_by_id, *next_by_slot;
};

struct kv {
	char *space, *key;
	uint8_t *bytes;
	size_t len;
};

struct event {
	char *type, *object;
	uint64_t at_ms;
};

#define BUCKETS 4096

struct memory {
	struct store base;
	store_wake_fn wake;
	void *wake_user;
	uint64_t max_bytes, bytes;
	bool is_broken;
	struct work_list pending, queries, done;
	struct waiting waiting;
	size_t pending_queries;
	struct row **rows;
	size_t rows_len, rows_cap;
	struct row *by_id[BUCKETS], *by_slot[BUCKETS];
	struct row *spare; /* allocated before a batch is applied; linked by next_by_id */
	struct kv *kvs; /* in order of space, key */
	size_t kvs_len, kvs_cap;
	struct event *events; /* events[i] has the id first_event + i */
	size_t events_len, events_cap;
	uint64_t first_event;
};

static size_t bucket_of(const uint8_t *bytes, size_t len)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < len; i++)
		h = (h ^ bytes[i]) * 16777619u;
	return h % BUCKETS;
}

static struct row *row_by_id(const struct memory *m, const struct id32 *id)
{
	struct row *r = m->by_id[bucket_of(id->b, 32)];
	while (r && !id32_eq(record_id(r->op.put.record), id))
		r = r->next_by_id;
	return r;
}

static struct row *row_by_slot(const struct memory *m, const uint8_t *slot, size_t len)
{
	struct row *r = len ? m->by_slot[bucket_of(slot, len)] : NULL;
	while (r && (r->slot_len != len || memcmp(r->slot, slot, len) != 0))
		r = r->next_by_slot;
	return r;
}

static void row_free(struct row *r)
{
	record_unref(r->op.put.record);
	free(r);
}

static void row_remove(struct memory *m, struct row *r)
{
	struct row **link = &m->by_id[bucket_of(record_id(r->op.put.record)->b, 32)];
	while (*link != r)
		link = &(*link)->next_by_id;
	*link = r->next_by_id;
	if (r->slot_len) {
		link = &m->by_slot[bucket_of(r->slot, r->slot_len)];
		while (*link != r)
			link = &(*link)->next_by_slot;
		*link = r->next_by_slot;
	}
	m->rows[r->at] = m->rows[--m->rows_len];
	m->rows[r->at]->at = r->at;
	m->bytes -= r->bytes;
	row_free(r);
}

static void row_insert(struct memory *m, struct row *r)
{
	struct row **head = &m->by_id[bucket_of(record_id(r->op.put.record)->b, 32)];
	r->next_by_id = *head;
	*head = r;
	if (r->slot_len) {
		head = &m->by_slot[bucket_of(r->slot, r->slot_len)];
		r->next_by_slot = *head;
		*head = r;
	}
	r->at = m->rows_len;
	m->rows[m->rows_len++] = r;
	m->bytes += r->bytes;
}

static void apply_record(struct memory *m, struct op *op)
{
	struct record *record = op->put.record;
	const struct record_fields *f = record_get(record);
	uint8_t slot[STORE_SLOT_MAX];
	const size_t slot_len = record_slot(f->kind, &f->author, f->key, f->key_len, slot);
	struct row *older = row_by_slot(m, slot, slot_len);
	if (row_by_id(m, record_id(record)) || (older && !record_supersedes(record, older->op.put.record)))
		return;
	if (older)
		row_remove(m, older);
	struct row *r = m->spare;
	m->spare = r->next_by_id;
	*r = (struct row){.op = *op, .slot_len = slot_len};
	memcpy(r->slot, slot, slot_len);
	size_t len;
	(void)record_bytes(record, &len);
	r->bytes = len + 400;
	op->put.record = NULL; /* its reference moved to the row */
	row_insert(m, r);
}

static int kv_order(const struct kv *kv, const char *space, const char *key)
{
	const int by_space = strcmp(kv->space, space);
	return by_space ? by_space : strcmp(kv->key, key);
}

/* The first entry that is not before (space, key). */
static size_t kv_find(const struct memory *m, const char *space, const char *key)
{
	size_t low = 0, high = m->kvs_len;
	while (low < high) {
		const size_t mid = (low + high) / 2;
		if (kv_order(&m->kvs[mid], space, key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void kv_remove(struct memory *m, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		m->bytes -= m->kvs[i].len + 64;
		free(m->kvs[i].space);
		free(m->kvs[i].key);
		free(m->kvs[i].bytes);
	}
	if (m->kvs_len > to)
		memmove(&m->kvs[from], &m->kvs[to], (m->kvs_len - to) * sizeof *m->kvs);
	m->kvs_len -= to - from;
}

static void apply_put_kv(struct memory *m, struct op *op)
{
	size_t at = kv_find(m, op->kv.space, op->kv.key);
	if (at < m->kvs_len && !kv_order(&m->kvs[at], op->kv.space, op->kv.key))
		kv_remove(m, at, at + 1);
	if (m->kvs_len > at)
		memmove(&m->kvs[at + 1], &m->kvs[at], (m->kvs_len - at) * sizeof *m->kvs);
	m->kvs[at] = (struct kv){op->kv.space, op->kv.key, op->kv.bytes, op->kv.len};
	m->kvs_len++;
	m->bytes += op->kv.len + 64;
	op->kv.space = op->kv.key = NULL;
	op->kv.bytes = NULL;
}

static void apply_delete_kv(struct memory *m, const struct op *op)
{
	const size_t at = kv_find(m, op->kv.space, op->kv.key);
	if (at < m->kvs_len && !kv_order(&m->kvs[at], op->kv.space, op->kv.key))
		kv_remove(m, at, at + 1);
}

static void apply_delete_space(struct memory *m, const struct op *op)
{
	const size_t from = kv_find(m, op->kv.space, "");
	size_t to = from;
	while (to < m->kvs_len && !strcmp(m->kvs[to].space, op->kv.space))
		to++;
	kv_remove(m, from, to);
}

static void event_free(struct memory *m, struct event *e)
{
	m->bytes -= strlen(e->object) + 64;
	free(e->type);
	free(e->object);
}

static void apply_event(struct memory *m, struct op *op)
{
	m->events[m->events_len++] = (struct event){op->event.type, op->event.object, op->event.at_ms};
	m->bytes += strlen(op->event.object) + 64;
	op->event.type = op->event.object = NULL;
	if (m->events_len <= STORE_EVENTS_KEPT)
		return;
	event_free(m, &m->events[0]);
	memmove(&m->events[0], &m->events[1], --m->events_len * sizeof *m->events);
	m->first_event++;
}

static void apply_op(struct memory *m, struct op *op)
{
	switch (op->kind) {
	case OP_PUT_RECORD: {
		apply_record(m, op);
		return;
	}
	case OP_DELETE_RECORD: {
		struct row *r = row_by_id(m, &op->id);
		if (r)
			row_remove(m, r);
		return;
	}
	case OP_PUT_EVENT: apply_event(m, op); return;
	case OP_PUT_KV: apply_put_kv(m, op); return;
	case OP_DELETE_KV: apply_delete_kv(m, op); return;
	case OP_DELETE_SPACE: apply_delete_space(m, op); return;
	}
}

/* Room for `more` elements. */
static bool reserve(void **items, size_t len, size_t *cap, size_t more, size_t size)
{
	if (len + more <= *cap)
		return true;
	size_t wanted = *cap ? *cap : 16;
	while (wanted < len + more)
		wanted *= 2;
	void *grown = reallocarray(*items, wanted, size);
	if (!grown)
		return false;
	*items = grown;
	*cap = wanted;
	return true;
}

static bool reserve_rows(struct memory *m, size_t count)
{
	for (const struct row *r = m->spare; r && count; r = r->next_by_id)
		count--;
	for (; count; count--) {
		struct row *r = calloc(1, sizeof *r);
		if (!r)
			return false;
		r->next_by_id = m->spare;
		m->spare = r;
	}
	return true;
}

static bool reserve_batch(struct memory *m, const struct store_batch *b)
{
	size_t rows = 0, kvs = 0, events = 0;
	for (size_t i = 0; i < b->len; i++) {
		rows += b->ops[i].kind == OP_PUT_RECORD;
		kvs += b->ops[i].kind == OP_PUT_KV;
		events += b->ops[i].kind == OP_PUT_EVENT;
	}
	return reserve((void **)&m->rows, m->rows_len, &m->rows_cap, rows, sizeof *m->rows) &&
	       reserve((void **)&m->kvs, m->kvs_len, &m->kvs_cap, kvs, sizeof *m->kvs) &&
	       reserve((void **)&m->events, m->events_len, &m->events_cap, events, sizeof *m->events) && reserve_rows(m, rows);
}

static void apply_batch(struct memory *m, struct store_batch *b)
{
	struct err *err = &b->work.err;
	if (m->is_broken) {
		(void)err_set(err, ERR_IO, "storing: the machine crashed");
		return;
	}
	if (m->max_bytes && b->bytes && m->bytes + b->bytes > m->max_bytes) {
		(void)err_set(err, ERR_LIMIT, "storing: the database would pass its cap of %llu bytes",
			      (unsigned long long)m->max_bytes);
		return;
	}
	if (!reserve_batch(m, b)) {
		(void)err_set(err, ERR_NOMEM, "storing: out of memory");
		return;
	}
	for (size_t i = 0; i < b->len; i++)
		apply_op(m, &b->ops[i]);
}

static void commit_pending(struct memory *m)
{
	for (struct work *w; (w = work_pop(&m->pending));) {
		apply_batch(m, (struct store_batch *)w);
		work_push(&m->done, w);
	}
	m->waiting = (struct waiting){0};
}

static bool row_fits(const struct row *r, const struct query *q)
{
	const struct record_fields *f = record_get(r->op.put.record);
	const struct id32 *id = record_id(r->op.put.record);
	return (!q->kind || f->kind == q->kind) && (!q->has_project || (r->op.put.has_project && id32_eq(&r->op.put.project, &q->project))) &&
	       (!q->has_job || (r->op.put.has_job && id32_eq(&r->op.put.job, &q->job))) && (!q->has_id || id32_eq(id, &q->id)) &&
	       (!q->has_author || node_id_eq(&f->author, &q->author)) &&
	       (!q->has_id_range || (memcmp(id->b, q->id_from.b, 32) >= 0 && memcmp(id->b, q->id_to.b, 32) <= 0)) &&
	       (!*q->commit || !strncmp(r->op.put.commit, q->commit, strlen(q->commit))) &&
	       (!q->has_key || (f->key_len == q->key_len && (!q->key_len || !memcmp(f->key, q->key, q->key_len)))) &&
	       (!q->live_at_ms || f->expires_ms > q->live_at_ms);
}

static int by_age(const void *a, const void *b)
{
	struct record *const *x = a, *const *y = b;
	const uint64_t p = record_get(*x)->created_ms, q = record_get(*y)->created_ms;
	if (p != q)
		return p < q ? -1 : 1;
	return memcmp(record_id(*x)->b, record_id(*y)->b, 32);
}

/* Fills q->rows, in order, at most limit. */
static int collect(struct memory *m, struct query *q, struct err *err)
{
	for (size_t i = 0; i < m->rows_len; i++) {
		const int code = row_fits(m->rows[i], q) ? query_keep(q, m->rows[i]->op.put.record, err) : 0;
		if (code)
			return code;
	}
	if (q->rows_len)
		qsort(q->rows, q->rows_len, sizeof *q->rows, by_age);
	for (size_t i = 0; q->newest_first && i < q->rows_len / 2; i++) {
		struct record *swap = q->rows[i];
		q->rows[i] = q->rows[q->rows_len - 1 - i];
		q->rows[q->rows_len - 1 - i] = swap;
	}
	while (q->rows_len > q->limit)
		record_unref(q->rows[--q->rows_len]);
	return 0;
}

static unsigned memory_poll(struct store *s)
{
	struct memory *m = (struct memory *)s;
	struct work_list done = {0}, queries = {0};
	commit_pending(m);
	work_move(&done, &m->done);
	work_move(&queries, &m->queries);
	m->pending_queries = 0;
	for (struct work *w; (w = work_pop(&queries));) {
		w->read(w, s);
		work_push(&done, w);
	}
	return work_deliver(&done);
}

void store_memory_break(struct store *s, bool is_broken)
{
	((struct memory *)s)->is_broken = is_broken;
}

static void memory_flush(struct store *s)
{
	struct memory *m = (struct memory *)s;
	do
		(void)memory_poll(s);
	while (m->pending.first);
}

static void memory_close(struct store *s)
{
	struct memory *m = (struct memory *)s;
	while (memory_poll(s))
		;
	while (m->rows_len)
		row_remove(m, m->rows[0]);
	for (struct row *r = m->spare, *next; r; r = next) {
		next = r->next_by_id;
		free(r);
	}
	kv_remove(m, 0, m->kvs_len);
	for (size_t i = 0; i < m->events_len; i++)
		event_free(m, &m->events[i]);
	free(m->rows);
	free(m->kvs);
	free(m->events);
	free(m);
}

static void wake(struct memory *m)
{
	if (m->wake)
		m->wake(m->wake_user);
}

static int memory_submit(struct store *s, struct store_batch *b, struct err *err)
{
	struct memory *m = (struct memory *)s;
	const int code = waiting_add(&m->waiting, b, err);
	if (code) {
		store_batch_free(b);
		return code;
	}
	work_push(&m->pending, &b->work);
	wake(m);
	return 0;
}

static int memory_submit_now(struct store *s, struct store_batch *b, struct err *err)
{
	struct memory *m = (struct memory *)s;
	commit_pending(m);
	apply_batch(m, b);
	const int code = b->work.err.code;
	if (code && err)
		*err = b->work.err;
	store_batch_free(b);
	if (m->done.first)
		wake(m);
	return code;
}

static int memory_read(struct store *s, struct work *w, struct err *err)
{
	struct memory *m = (struct memory *)s;
	if (m->pending_queries == STORE_WAITING_READS_MAX)
		return err_set(err, ERR_LIMIT, "reading the database: more than %d queries wait", STORE_WAITING_READS_MAX);
	m->pending_queries++;
	work_push(&m->queries, w);
	wake(m);
	return 0;
}

static int memory_each(struct store *s, struct query *q, store_record_fn fn, void *user, struct err *err)
{
	const int code = collect((struct memory *)s, q, err);
	for (size_t i = 0; !code && i < q->rows_len; i++)
		if (!fn(user, q->rows[i]))
			break;
	for (size_t i = 0; i < q->rows_len; i++)
		record_unref(q->rows[i]);
	free(q->rows);
	return code;
}

static int memory_get_kv(struct store *s, const char *space, const char *key, struct buf *ret, struct err *err)
{
	const struct memory *m = (struct memory *)s;
	const size_t at = kv_find(m, space, key);
	if (at == m->kvs_len || kv_order(&m->kvs[at], space, key))
		return err_set(err, ERR_NOT_FOUND, "nothing is stored under %s/%s", space, key);
	buf_append(ret, m->kvs[at].bytes, m->kvs[at].len);
	return buf_check(ret, key, err);
}

static int memory_each_kv(struct store *s, const char *space, store_kv_fn fn, void *user, struct err *err)
{
	const struct memory *m = (struct memory *)s;
	(void)err;
	for (size_t i = kv_find(m, space, ""); i < m->kvs_len && !strcmp(m->kvs[i].space, space); i++)
		if (!fn(user, m->kvs[i].key, m->kvs[i].bytes, m->kvs[i].len))
			break;
	return 0;
}

static int memory_each_event(struct store *s, uint64_t since, size_t limit, store_event_fn fn, void *user, uint64_t *ret_oldest,
			     uint64_t *ret_newest, struct err *err)
{
	const struct memory *m = (struct memory *)s;
	*ret_oldest = m->events_len ? m->first_event : 0;
	*ret_newest = m->first_event + m->events_len - 1;
	size_t i = since < m->first_event ? 0 : (size_t)(since - m->first_event + 1);
	for (size_t given = 0; given < limit && i < m->events_len; i++, given++) {
		const struct event *e = &m->events[i];
		json_t *object = event_object(m->first_event + i, e->at_ms, e->type, e->object);
		if (!object)
			return err_set(err, ERR_INVALID, "event %llu is damaged", (unsigned long long)(m->first_event + i));
		const bool goes_on = fn(user, m->first_event + i, object);
		json_decref(object);
		if (!goes_on)
			break;
	}
	return 0;
}

static int memory_check(struct store *s, struct err *err)
{
	const struct memory *m = (struct memory *)s;
	for (size_t i = 0; i < m->rows_len; i++) {
		const struct row *r = m->rows[i];
		if (r->at != i || row_by_id(m, record_id(r->op.put.record)) != r ||
		    (r->slot_len && row_by_slot(m, r->slot, r->slot_len) != r))
			return err_set(err, ERR_INVALID, "the store in memory: row %zu is not where its index says", i);
	}
	return 0;
}

static uint64_t memory_size(struct store *s)
{
	return ((struct memory *)s)->bytes;
}

static const struct store_vtable memory_vtable = {
	.close = memory_close, .poll = memory_poll, .flush = memory_flush, .submit = memory_submit,
	.submit_now = memory_submit_now, .read = memory_read, .each = memory_each, .get_kv = memory_get_kv,
	.each_kv = memory_each_kv, .each_event = memory_each_event, .check = memory_check, .size = memory_size,
};

int store_memory_open(const struct store_options *o, struct store **ret, struct err *err)
{
	struct memory *m = calloc(1, sizeof *m);
	if (!m)
		return err_set(err, ERR_NOMEM, "store: out of memory");
	m->base.v = &memory_vtable;
	m->wake = o->wake;
	m->wake_user = o->wake_user;
	m->max_bytes = o->max_bytes;
	m->first_event = 1;
	*ret = &m->base;
	return 0;
}
