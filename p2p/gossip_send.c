/* Gossip's actions: the queue that the caller empties, and the messages that go into it. */
#include <stdlib.h>

#include "p2p/gossip_impl.h"

#define QUEUE_BYTES_MAX (8u << 20)

/* bytes are copied; an OFFER's 64 signature bytes stand behind them. */
void gossip_push(struct gossip *g, struct gossip_action action, const uint8_t *bytes, size_t len)
{
	const size_t extra = action.type == GOSSIP_OFFER ? 64 : 0;
	struct queued *q = g->queue_bytes + len > QUEUE_BYTES_MAX ? NULL : malloc(sizeof *q + len + extra);
	if (!q) {
		g->stats.faults[GOSSIP_FAULT_FULL]++;
		return;
	}
	*q = (struct queued){.action = action};
	if (len)
		memcpy(q->data, bytes, len);
	if (extra)
		memcpy(q->data + len, action.signature, extra);
	q->action.bytes = q->data;
	q->action.len = len;
	q->action.signature = extra ? q->data + len : NULL;
	*g->queue_end = q;
	g->queue_end = &q->next;
	g->queue_bytes += len;
}

bool gossip_next(struct gossip *g, struct gossip_action *ret)
{
	free(g->given);
	g->given = g->queue;
	if (!g->given)
		return false;
	g->queue = g->given->next;
	if (!g->queue)
		g->queue_end = &g->queue;
	g->queue_bytes -= g->given->action.len;
	*ret = g->given->action;
	return true;
}

static void send(struct gossip *g, const struct peer *p, enum session_message type, struct buf *body)
{
	if (!buf_failed(body))
		gossip_push(g, (struct gossip_action){.type = GOSSIP_SEND, .peer = p->number, .message = type}, body->data, body->len);
	buf_release(body);
}

void gossip_send_ids(struct gossip *g, const struct peer *p, enum session_message type, const struct gossip_ids *ids)
{
	struct buf body;
	buf_init(&body, SESSION_MESSAGE_MAX);
	gossip_ids_encode(ids, type == MSG_HAVE, &body);
	send(g, p, type, &body);
}

void gossip_send_record(struct gossip *g, const struct peer *p, const struct record *r)
{
	struct gossip_record v = {.signature = record_signature(r)};
	v.bytes = record_bytes(r, &v.len);
	struct buf body;
	buf_init(&body, SESSION_MESSAGE_MAX);
	gossip_record_encode(&v, &body);
	send(g, p, MSG_RECORD, &body);
	g->stats.records_out++;
}

static void send_range(struct gossip *g, const struct peer *p, const struct gossip_range *range)
{
	struct buf body;
	buf_init(&body, SESSION_MESSAGE_MAX);
	gossip_range_encode(range, &body);
	send(g, p, MSG_RECONCILE, &body);
}

static const struct recset_item last_item = {UINT64_MAX, {{0xff}}};

/* All that we hold of (topic, kind), as ranges of at most GOSSIP_IDS_MAX ids that leave no gap between them. */
void gossip_send_set(struct gossip *g, const struct peer *p, const struct topic *t, uint32_t kind, uint64_t cutoff_ms)
{
	const struct recset *s = &t->kinds[kind];
	struct gossip_range range = {.topic = t->id, .kind = kind, .cutoff_ms = cutoff_ms};
	size_t at = recset_lower_bound(s, &(struct recset_item){cutoff_ms + 1, {{0}}});
	range.from = (struct recset_item){cutoff_ms + 1, {{0}}};
	do {
		range.len = 0;
		while (at < s->len && range.len < GOSSIP_IDS_MAX)
			range.ids[range.len++] = s->items[at++].id;
		range.to = at < s->len ? s->items[at] : last_item;
		send_range(g, p, &range);
		range.from = range.to;
	} while (at < s->len);
}

void gossip_flush_haves(struct gossip *g, struct peer *p)
{
	if (!p->haves.v.len)
		return;
	gossip_send_ids(g, p, MSG_HAVE, &p->haves.v);
	g->stats.haves_out++;
	p->haves.v.len = 0;
}

void gossip_announce(struct gossip *g, struct peer *p, const struct id32 *topic, const struct id32 *id, uint64_t now_ms)
{
	struct haves *h = &p->haves;
	if (h->v.len && (h->v.len == GOSSIP_IDS_MAX || !id32_eq(&h->v.topic, topic)))
		gossip_flush_haves(g, p);
	if (!h->v.len) {
		h->v.topic = *topic;
		h->due_ms = now_ms + GOSSIP_BATCH_MS;
	}
	h->v.ids[h->v.len++] = *id;
}
