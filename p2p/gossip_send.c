/* Gossip's actions: the queue that the caller empties, and the messages that go into it. */
#include <stdlib.h>

#include "p2p/gossip_impl.h"

#define QUEUE_BYTES_MAX (8u << 20)

bool gossip_push(struct gossip *g, struct gossip_action action, const uint8_t *bytes, size_t len)
{
	const size_t extra = action.type == GOSSIP_OFFER ? 64 : 0; /* the signature, behind the bytes */
	struct queued *q = g->queue_bytes + len > QUEUE_BYTES_MAX ? NULL : malloc(sizeof *q + len + extra);
	if (!q) {
		g->stats.faults[GOSSIP_FAULT_FULL]++;
		return false;
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
	return true;
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

static void send(struct gossip *g, const struct peer *p, enum session_message type, const struct buf *body)
{
	if (!buf_failed(body))
		gossip_push(g, (struct gossip_action){.type = GOSSIP_SEND, .peer = p->number, .message = type}, body->data, body->len);
}

void gossip_send_ids(struct gossip *g, const struct peer *p, enum session_message type, const struct id32 *topic, const struct id32 *ids, size_t len)
{
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, SESSION_MESSAGE_MAX);
	gossip_ids_encode(topic, ids, len, &body);
	send(g, p, type, &body);
}

void gossip_send_record(struct gossip *g, struct peer *p, const struct record *r)
{
	struct gossip_record v = {.signature = record_signature(r)};
	CLEANUP(buf_release) struct buf body;
	v.bytes = record_bytes(r, &v.len);
	buf_init(&body, SESSION_MESSAGE_MAX);
	gossip_record_encode(&v, &body);
	send(g, p, MSG_RECORD, &body);
	g->stats.records_out++;
	p->stats.records_out++;
}

void gossip_send_range(struct gossip *g, const struct peer *p, const struct gossip_range *range)
{
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, SESSION_MESSAGE_MAX);
	gossip_range_encode(range, &body);
	send(g, p, MSG_RECONCILE, &body);
}

/* Who got it from somebody else meanwhile need not hear of it. */
void gossip_flush_haves(struct gossip *g, struct peer *p)
{
	struct haves *h = &p->haves;
	size_t len = 0;
	for (size_t i = 0; i < h->len; i++) {
		const struct track *t = gossip_track(g, &h->ids[i]);
		if (!t || !(t->has & gossip_bit(g, p)))
			h->ids[len++] = h->ids[i];
	}
	if (len) {
		gossip_send_ids(g, p, MSG_HAVE, &h->topic, h->ids, len);
		g->stats.haves_out++;
		p->stats.haves_out++;
	}
	free(h->ids);
	*h = (struct haves){.ids = NULL};
}

void gossip_announce(struct gossip *g, struct peer *p, const struct topic *t, const struct id32 *id)
{
	struct haves *h = &p->haves;
	if (h->len && (h->len == GOSSIP_IDS_MAX || !id32_eq(&h->topic, &t->id)))
		gossip_flush_haves(g, p);
	if (!h->len) {
		h->ids = calloc(GOSSIP_IDS_MAX, sizeof *h->ids);
		h->topic = t->id;
		h->due_ms = g->now_ms + GOSSIP_BATCH_MS;
	}
	if (h->ids)
		h->ids[h->len++] = *id;
}
