#include "tests/unit/exchange_world.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/exchange_wire.h"
#include "proto/base/cleanup.h"
#include "tests/unit/tap.h"

static const struct id32 topic = {{42}};

void world_init(struct world *w, size_t size)
{
	struct blob_digest d;
	memset(w, 0, sizeof *w);
	w->end = &w->first;
	w->now_ms = 1000;
	w->blob = malloc(size + 1);
	w->leaves_len = merkle_leaf_count(size);
	w->leaves = calloc(w->leaves_len + 1, sizeof *w->leaves);
	if (!w->blob || !w->leaves)
		abort();
	const uint8_t key[32] = {3};
	randombytes_buf_deterministic(w->blob, size, key);
	merkle_leaves(w->blob, size, w->leaves);
	digest_bytes(w->blob, size, &d);
	for (int i = 0; i < NODES; i++) {
		memset(w->n[i].id.b, i * 40 + 7, 32);
		w->n[i].e = exchange_new(&w->n[i].id);
	}
	w->ref = (struct exchange_ref){.topic = topic, .result = {{9}}, .author = {{200}}, .size = size, .name = "log"};
	memcpy(w->ref.root, d.root, 32);
}

void world_release(struct world *w)
{
	for (int i = 0; i < NODES; i++) {
		exchange_free(w->n[i].e);
		OK(w->n[i].opens >= w->n[i].closes, "no CLOSE without OPEN");
	}
	for (struct message *m = w->first, *next; m; m = next) {
		next = m->next;
		free(m);
	}
	free(w->blob);
	free(w->leaves);
}

void link_nodes(struct world *w, int a, int b)
{
	w->linked[a][b] = w->linked[b][a] = true;
	exchange_peer_open(w->n[a].e, number(b), &w->n[b].id, &topic, 1, w->now_ms);
	exchange_peer_open(w->n[b].e, number(a), &w->n[a].id, &topic, 1, w->now_ms);
}

void unlink_nodes(struct world *w, int a, int b)
{
	w->linked[a][b] = w->linked[b][a] = false;
	exchange_peer_close(w->n[a].e, number(b), w->now_ms);
	exchange_peer_close(w->n[b].e, number(a), w->now_ms);
}

static void put(struct world *w, int from, int to, enum session_message type, const uint8_t *bytes, size_t len)
{
	if (!w->linked[from][to])
		return;
	struct message *m = malloc(sizeof *m + len);
	if (!m)
		abort();
	*m = (struct message){.from = from, .to = to, .type = type, .len = len};
	memcpy(m->bytes, bytes, len);
	*w->end = m;
	w->end = &m->next;
}

/* The data as this node would send them, spoiled. */
static void put_data(struct world *w, int from, int to, const uint8_t *bytes, size_t len)
{
	struct node *n = &w->n[from];
	struct exchange_leaf leaf;
	uint8_t copy[MERKLE_LEAF_LEN];
	if (exchange_leaf_decode(bytes, len, &leaf))
		abort();
	if (n->data_out++ < n->spoil_after || n->spoil == SPOIL_NONE) {
		put(w, from, to, MSG_BLOB_DATA, bytes, len);
		return;
	}
	memcpy(copy, leaf.bytes, leaf.len);
	leaf.bytes = copy;
	switch (n->spoil) {
	case SPOIL_NONE: break;
	case SPOIL_BYTES: copy[leaf.len / 2] ^= 1; break;
	case SPOIL_PATH: leaf.path_len ? (void)(leaf.path[0].b[3] ^= 1) : (void)(leaf.path_len = 1); break;
	case SPOIL_INDEX: leaf.index++; break;
	case SPOIL_SHORT: leaf.len--; break;
	case SPOIL_GARBAGE: put(w, from, to, MSG_BLOB_DATA, copy, 100); return;
	case SPOIL_SILENT: return;
	case SPOIL_HANG_UP: unlink_nodes(w, from, to); return;
	}
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, SESSION_MESSAGE_MAX);
	exchange_leaf_encode(&leaf, &b);
	put(w, from, to, MSG_BLOB_DATA, b.data, b.len);
}

static void act(struct world *w, int at, const struct exchange_action *a)
{
	struct node *n = &w->n[at];
	switch (a->type) {
	case EXCHANGE_SEND:
		n->gets_out += a->message == MSG_BLOB_GET;
		put(w, at, (int)a->peer - 1, a->message, a->bytes, a->len);
		break;
	case EXCHANGE_OPEN:
		n->opens++;
		n->last_serve = a->serve;
		if (n->is_slow)
			break;
		if (n->has_blob)
			exchange_opened(n->e, a->serve, w->blob, w->leaves, w->leaves_len, w->now_ms);
		else
			exchange_refused(n->e, a->serve, n->is_busy ? EXCHANGE_END_BUSY : EXCHANGE_END_NOT_FOUND, w->now_ms);
		break;
	case EXCHANGE_CLOSE: n->closes++; break;
	case EXCHANGE_OFFERED:
		n->offered++;
		n->offer_from = a->peer;
		break;
	case EXCHANGE_DONE:
		n->done++;
		n->is_right = a->len == w->ref.size && (!a->len || !memcmp(a->bytes, w->blob, a->len));
		break;
	case EXCHANGE_FAILED:
		n->failed++;
		n->why = a->why;
		break;
	}
}

bool step(struct world *w)
{
	bool moved = false;
	struct exchange_action a;
	enum session_message type;
	const uint8_t *bytes;
	size_t len;
	for (int i = 0; i < NODES; i++) {
		while (exchange_next(w->n[i].e, &a)) {
			act(w, i, &a);
			moved = true;
		}
		for (int j = 0; j < NODES; j++) {
			if (!w->linked[i][j] || w->blocked[i][j])
				continue;
			const bool has = exchange_has_bulk(w->n[i].e, number(j)), got = exchange_writable(w->n[i].e, number(j), w->now_ms, &type, &bytes, &len);
			if (has != got)
				OK(false, "has_bulk says what writable does");
			if (got)
				put_data(w, i, j, bytes, len);
			moved = moved || got;
		}
	}
	struct message *m = w->first;
	w->first = NULL;
	w->end = &w->first;
	for (struct message *next; m; m = next) {
		next = m->next;
		w->n[m->to].data_in += m->type == MSG_BLOB_DATA;
		if (w->linked[m->from][m->to])
			exchange_input(w->n[m->to].e, number(m->from), m->type, m->bytes, m->len, w->now_ms);
		free(m);
		moved = true;
	}
	return moved;
}

void run(struct world *w)
{
	for (unsigned i = 0; i < 20000 && step(w); i++)
		;
}

void pass(struct world *w, uint64_t ms)
{
	w->now_ms += ms;
	for (int i = 0; i < NODES; i++)
		exchange_tick(w->n[i].e, w->now_ms);
	run(w);
}

void want(struct world *w, int at)
{
	w->n[at].last_want = exchange_want(w->n[at].e, &w->ref, 0, w->now_ms);
}

void expect(struct world *w, int at, bool done, const char *what)
{
	const struct node *n = &w->n[at];
	unsigned opens = 0, closes = 0;
	for (int i = 0; i < NODES; i++) {
		opens += w->n[i].opens;
		closes += w->n[i].closes;
	}
	OK(n->done == done && n->failed == !done && (!done || n->is_right) && opens == closes, "%s (done %u, failed %u: %s, %u opens, %u closes)", what,
	   n->done, n->failed, exchange_end_name(n->why), opens, closes);
}
