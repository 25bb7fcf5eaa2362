#include "node/store/store.h"

#include <stdlib.h>

#include "node/store/store_impl.h"

int store_open(const struct store_options *o, struct store **ret, struct err *err)
{
	return o->path ? store_sqlite_open(o, ret, err) : store_memory_open(o, ret, err);
}

void store_close(struct store *s)
{
	if (s)
		s->v->close(s);
}

unsigned store_poll(struct store *s)
{
	return s->v->poll(s);
}

void store_flush(struct store *s)
{
	s->v->flush(s);
}

/* A batch that cannot be submitted is freed, as one that can would be. */
static int batch_check(struct store_batch *b, struct err *err)
{
	if (!b)
		return err_set(err, ERR_NOMEM, "storing: out of memory");
	const int fault = b->fault;
	if (!fault)
		return 0;
	store_batch_free(b);
	if (fault == ERR_LIMIT)
		return err_set(err, ERR_LIMIT, "storing: more in one batch than %d operations, or a value over %u bytes",
			       STORE_WAITING_OPS_MAX, STORE_KV_BYTES_MAX);
	return err_set(err, ERR_NOMEM, "storing: out of memory");
}

int store_submit(struct store *s, struct store_batch *b, store_durable_fn on_durable, void *user, struct err *err)
{
	const int code = batch_check(b, err);
	if (code)
		return code;
	b->on_durable = on_durable;
	b->user = user;
	return s->v->submit(s, b, err);
}

int store_submit_now(struct store *s, struct store_batch *b, struct err *err)
{
	const int code = batch_check(b, err);
	if (code)
		return code;
	return s->v->submit_now(s, b, err);
}

int store_query(struct store *s, const struct store_filter *f, store_rows_fn on_rows, void *user, struct err *err)
{
	struct query *q = malloc(sizeof *q);
	if (!q)
		return err_set(err, ERR_NOMEM, "reading the database: out of memory");
	const int code = query_init(q, f, err);
	if (code) {
		free(q);
		return code;
	}
	q->on_rows = on_rows;
	q->user = user;
	const int failed = s->v->read(s, &q->work, err);
	if (failed)
		query_free(q);
	return failed;
}

struct reading {
	struct work work;
	store_run_fn run;
	store_done_fn done;
	void *user;
};

static void reading_read(struct work *w, struct store *view)
{
	struct reading *r = (struct reading *)w;
	r->run(view, r->user);
}

static void reading_deliver(struct work *w)
{
	struct reading *r = (struct reading *)w;
	r->done(r->user);
	free(r);
}

int store_read(struct store *s, store_run_fn run, store_done_fn done, void *user, struct err *err)
{
	struct reading *r = malloc(sizeof *r);
	if (!r)
		return err_set(err, ERR_NOMEM, "reading the database: out of memory");
	*r = (struct reading){.work = {.read = reading_read, .deliver = reading_deliver}, .run = run, .done = done, .user = user};
	const int code = s->v->read(s, &r->work, err);
	if (code)
		free(r);
	return code;
}

int store_each_now(struct store *s, const struct store_filter *f, store_record_fn fn, void *user, struct err *err)
{
	struct query q;
	const int code = query_init(&q, f, err);
	return code ? code : s->v->each(s, &q, fn, user, err);
}

int store_get_kv_now(struct store *s, const char *space, const char *key, struct buf *ret, struct err *err)
{
	return s->v->get_kv(s, space, key, ret, err);
}

int store_each_kv_now(struct store *s, const char *space, store_kv_fn fn, void *user, struct err *err)
{
	return s->v->each_kv(s, space, fn, user, err);
}

int store_each_event_now(struct store *s, uint64_t since, size_t limit, store_event_fn fn, void *user, uint64_t *ret_oldest,
			 uint64_t *ret_newest, struct err *err)
{
	uint64_t oldest = 0, newest = 0;
	const uint64_t after = since < INT64_MAX ? since : INT64_MAX;
	const size_t most = limit < INT64_MAX ? limit : INT64_MAX;
	const int code = s->v->each_event(s, after, most, fn, user, &oldest, &newest, err);
	if (code)
		return code;
	if (ret_oldest)
		*ret_oldest = oldest;
	if (ret_newest)
		*ret_newest = newest;
	return 0;
}

int store_check_now(struct store *s, struct err *err)
{
	return s->v->check(s, err);
}

uint64_t store_size_bytes(struct store *s)
{
	return s->v->size(s);
}
