#include <stdlib.h>
#include <string.h>

#include "node/store/store_impl.h"

void work_push(struct work_list *l, struct work *w)
{
	w->next = NULL;
	if (l->last)
		l->last->next = w;
	else
		l->first = w;
	l->last = w;
}

struct work *work_pop(struct work_list *l)
{
	struct work *w = l->first;
	if (!w)
		return NULL;
	l->first = w->next;
	if (!l->first)
		l->last = NULL;
	return w;
}

void work_move(struct work_list *to, struct work_list *from)
{
	for (struct work *w; (w = work_pop(from));)
		work_push(to, w);
}

unsigned work_deliver(struct work_list *l)
{
	unsigned count = 0;
	for (struct work *w; (w = work_pop(l)); count++)
		w->deliver(w);
	return count;
}

int waiting_add(struct waiting *w, const struct store_batch *b, struct err *err)
{
	const bool fits = w->ops + b->len <= STORE_WAITING_OPS_MAX && (!w->bytes || w->bytes + b->bytes <= STORE_WAITING_BYTES_MAX);
	if (!fits)
		return err_set(err, ERR_LIMIT, "storing: more than %d operations, or %u MiB, wait", STORE_WAITING_OPS_MAX,
			       STORE_WAITING_BYTES_MAX >> 20);
	waiting_count(w, b);
	return 0;
}

void waiting_count(struct waiting *w, const struct store_batch *b)
{
	w->ops += b->len;
	w->bytes += b->bytes;
}

static void batch_deliver(struct work *w)
{
	struct store_batch *b = (struct store_batch *)w;
	if (b->on_durable)
		b->on_durable(b->user, w->err.code, w->err.code ? &w->err : NULL);
	store_batch_free(b);
}

struct store_batch *store_batch_new(void)
{
	struct store_batch *b = calloc(1, sizeof *b);
	if (b)
		b->work.deliver = batch_deliver;
	return b;
}

static void op_release(struct op *op)
{
	switch (op->kind) {
	case OP_PUT_RECORD:
		record_unref(op->put.record);
		return;
	case OP_DELETE_RECORD:
		return;
	case OP_PUT_EVENT:
		free(op->event.type);
		free(op->event.object);
		return;
	case OP_PUT_KV:
	case OP_DELETE_KV:
	case OP_DELETE_SPACE:
		free(op->kv.space);
		free(op->kv.key);
		free(op->kv.bytes);
		return;
	}
}

void store_batch_free(struct store_batch *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->len; i++)
		op_release(&b->ops[i]);
	free(b->ops);
	free(b);
}

/* Room for one more operation, zeroed but for its kind; NULL (and the batch is at fault) when there is none. */
static struct op *op_add(struct store_batch *b, enum op_kind kind, size_t bytes)
{
	if (!b || b->fault)
		return NULL;
	if (b->len == b->cap) {
		const size_t cap = b->cap ? b->cap * 2 : 4;
		struct op *grown = b->len < STORE_WAITING_OPS_MAX ? reallocarray(b->ops, cap, sizeof *grown) : NULL;
		if (!grown) {
			b->fault = b->len < STORE_WAITING_OPS_MAX ? ERR_NOMEM : ERR_LIMIT;
			return NULL;
		}
		b->ops = grown;
		b->cap = cap;
	}
	struct op *op = &b->ops[b->len++];
	*op = (struct op){.kind = kind};
	b->bytes += bytes;
	return op;
}

static void *copy_of(struct store_batch *b, const void *bytes, size_t len)
{
	uint8_t *copy = malloc(len + 1);
	if (!copy) {
		b->fault = ERR_NOMEM;
		return NULL;
	}
	if (len)
		memcpy(copy, bytes, len);
	copy[len] = 0;
	return copy;
}

static char *text_of(struct store_batch *b, const char *text)
{
	return copy_of(b, text, strlen(text));
}

static void lower_case(char *out, size_t size, const char *text)
{
	size_t i = 0;
	for (; text[i] && i + 1 < size; i++)
		out[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 0x20) : text[i];
	out[i] = 0;
}

static bool id_is_zero(const struct id32 *id)
{
	static const struct id32 zero;
	return id32_eq(id, &zero);
}

void store_put_record(struct store_batch *b, struct record *r, const struct id32 *project, const char *commit, const struct id32 *job)
{
	size_t len;
	(void)record_bytes(r, &len);
	struct op *op = op_add(b, OP_PUT_RECORD, len + 400);
	if (!op)
		return;
	op->put.record = record_ref(r);
	op->put.has_project = project && !id_is_zero(project);
	op->put.has_job = job != NULL;
	if (op->put.has_project)
		op->put.project = *project;
	if (job)
		op->put.job = *job;
	if (commit)
		lower_case(op->put.commit, sizeof op->put.commit, commit);
}

void store_delete_record(struct store_batch *b, const struct id32 *id)
{
	struct op *op = op_add(b, OP_DELETE_RECORD, 0);
	if (op)
		op->id = *id;
}

void store_put_event(struct store_batch *b, const char *type, uint64_t now_ms, const json_t *object)
{
	struct op *op = op_add(b, OP_PUT_EVENT, 0);
	if (!op)
		return;
	op->event.at_ms = now_ms < INT64_MAX ? now_ms : INT64_MAX;
	op->event.type = text_of(b, type);
	op->event.object = object ? json_dumps(object, JSON_COMPACT) : text_of(b, "{}");
	if (!op->event.object || !op->event.type)
		b->fault = ERR_NOMEM;
	else
		b->bytes += strlen(op->event.object) + 64;
}

static void kv_add(struct store_batch *b, enum op_kind kind, const char *space, const char *key, const void *bytes, size_t len)
{
	struct op *op = op_add(b, kind, len + 64);
	if (!op)
		return;
	op->kv.space = text_of(b, space);
	op->kv.key = text_of(b, key);
	op->kv.len = len;
	if (len > STORE_KV_BYTES_MAX)
		b->fault = ERR_LIMIT;
	else if (kind == OP_PUT_KV)
		op->kv.bytes = copy_of(b, bytes, len);
}

void store_put_kv(struct store_batch *b, const char *space, const char *key, const void *bytes, size_t len)
{
	kv_add(b, bytes ? OP_PUT_KV : OP_DELETE_KV, space, key, bytes, bytes ? len : 0);
}

void store_delete_kv_space(struct store_batch *b, const char *space)
{
	kv_add(b, OP_DELETE_SPACE, space, "", NULL, 0);
}
