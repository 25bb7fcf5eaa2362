#include "p2p/exchange.h"

#include <stdlib.h>

#include "p2p/exchange_impl.h"

const char *exchange_end_name(enum exchange_end why)
{
	switch (why) {
#define X(name, value, text) case name: return text;
		EXCHANGE_ENDS(X)
#undef X
	}
	return "unknown";
}

struct exchange *exchange_new(const struct node_id *self)
{
	struct exchange *e = calloc(1, sizeof *e);
	if (!e)
		return NULL;
	e->self = *self;
	e->queue_end = &e->queue;
	buf_init(&e->out, SESSION_MESSAGE_MAX);
	return e;
}

void exchange_free(struct exchange *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < EXCHANGE_WANTS_MAX; i++)
		want_release(&e->wants[i]);
	for (size_t i = 0; i < EXCHANGE_SERVES_MAX; i++)
		serve_release(&e->serves[i]);
	for (size_t i = 0; i < EXCHANGE_RELAYS_MAX; i++)
		relay_release(&e->relays[i]);
	for (struct queued *q = e->queue, *next; q; q = next) {
		next = q->next;
		free(q);
	}
	free(e->given);
	buf_release(&e->out);
	free(e);
}

uint32_t exchange_number(struct exchange *e)
{
	if (!++e->last_number)
		e->last_number = 1;
	return e->last_number;
}

bool exchange_is_own_stream(const struct exchange *e, int slot, uint64_t stream)
{
	const bool is_higher = memcmp(&e->self, &e->peers[slot].id, sizeof e->self) > 0;
	return (stream & 1) == is_higher;
}

/* ---- actions ---- */

/* What can be lost is queued (a message that was never sent ends in a stall, an offer is only news); OPEN, CLOSE, DONE and FAILED are
 * taken from the state of their objects, so that neither memory nor a ceiling loses one. */
void exchange_push(struct exchange *e, struct exchange_action action, const uint8_t *bytes, size_t len)
{
	struct queued *q = e->queue_bytes + sizeof *q + len > EXCHANGE_QUEUE_MAX ? NULL : malloc(sizeof *q + len);
	if (!q) {
		e->stats.refused++;
		return;
	}
	*q = (struct queued){.action = action};
	if (len)
		memcpy(q->data, bytes, len);
	q->action.bytes = q->data;
	q->action.len = len;
	*e->queue_end = q;
	e->queue_end = &q->next;
	e->queue_bytes += sizeof *q + len;
}

void exchange_send(struct exchange *e, int slot, enum session_message type, const struct buf *body)
{
	const uint32_t number = e->peers[slot].number;
	if (number && !buf_failed(body))
		exchange_push(e, (struct exchange_action){.type = EXCHANGE_SEND, .peer = number, .message = type}, body->data, body->len);
}

void exchange_send_pair(struct exchange *e, int slot, enum session_message type, uint64_t stream, uint64_t value)
{
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, 64);
	exchange_pair_encode(stream, value, &body);
	exchange_send(e, slot, type, &body);
}

static bool next_queued(struct exchange *e, struct exchange_action *ret)
{
	free(e->given);
	e->given = e->queue;
	if (!e->given)
		return false;
	e->queue = e->given->next;
	if (!e->queue)
		e->queue_end = &e->queue;
	e->queue_bytes -= sizeof *e->given + e->given->action.len;
	*ret = e->given->action;
	return true;
}

static bool next_serve(struct exchange *e, struct exchange_action *ret)
{
	for (size_t i = 0; i < EXCHANGE_SERVES_MAX; i++) {
		struct serve *s = &e->serves[i];
		if (s->state != SERVE_ASKED && s->state != SERVE_CLOSING)
			continue;
		*ret = (struct exchange_action){.type = s->state == SERVE_ASKED ? EXCHANGE_OPEN : EXCHANGE_CLOSE, .serve = s->number, .ref = s->ref,
						.peer = e->peers[s->asker.slot].number, .why = s->why};
		if (s->state == SERVE_ASKED)
			s->state = SERVE_OPENING;
		else
			serve_release(s);
		return true;
	}
	return false;
}

static bool next_want(struct exchange *e, struct exchange_action *ret)
{
	for (size_t i = 0; i < EXCHANGE_WANTS_MAX; i++) {
		struct want *w = &e->wants[i];
		*ret = (struct exchange_action){.type = EXCHANGE_FAILED, .want = w->f.number, .ref = w->f.ref,
						.why = w->f.why ? w->f.why : EXCHANGE_END_NOT_FOUND};
		if (w->state == WANT_FAILED) {
			want_release(w);
			return true;
		}
		if (w->state == WANT_DONE) {
			ret->type = EXCHANGE_DONE;
			ret->why = EXCHANGE_END_DONE;
			ret->bytes = w->bytes.data;
			ret->len = w->bytes.len;
			w->state = WANT_GIVEN;
			return true;
		}
	}
	return false;
}

bool exchange_next(struct exchange *e, struct exchange_action *ret)
{
	for (size_t i = 0; i < EXCHANGE_WANTS_MAX; i++)
		if (e->wants[i].state == WANT_GIVEN)
			want_release(&e->wants[i]);
	return next_queued(e, ret) || next_serve(e, ret) || next_want(e, ret);
}

/* ---- peers ---- */

static void set_topics(struct exchange_peer *p, const struct id32 *topics, size_t topics_len)
{
	p->topics_len = topics_len < SESSION_TOPICS_MAX ? topics_len : SESSION_TOPICS_MAX;
	if (p->topics_len)
		memcpy(p->topics, topics, p->topics_len * sizeof *topics);
}

void exchange_peer_open(struct exchange *e, uint32_t peer, const struct node_id *id, const struct id32 *topics, size_t topics_len, uint64_t now_ms)
{
	for (int i = 0; peer && exchange_slot(e, peer) < 0 && i < EXCHANGE_PEERS_MAX; i++) {
		struct exchange_peer *p = &e->peers[i];
		if (p->number)
			continue;
		p->number = peer;
		p->id = *id;
		p->tokens_milli = UINT64_C(1000) * EXCHANGE_ASKS_BURST;
		p->tokens_at_ms = now_ms;
		set_topics(p, topics, topics_len);
	}
}

void exchange_peer_topics(struct exchange *e, uint32_t peer, const struct id32 *topics, size_t topics_len)
{
	const int slot = exchange_slot(e, peer);
	if (slot >= 0)
		set_topics(&e->peers[slot], topics, topics_len);
}

void exchange_peer_close(struct exchange *e, uint32_t peer, uint64_t now_ms)
{
	const int slot = exchange_slot(e, peer);
	if (slot < 0)
		return;
	e->peers[slot].number = 0;
	serve_peer_close(e, slot); /* first: what it asked for must not be asked of others now */
	fetch_peer_close(e, slot, EXCHANGE_END_GONE, false, now_ms);
}

bool exchange_take_token(struct exchange_peer *p, uint64_t now_ms)
{
	const uint64_t most = UINT64_C(1000) * EXCHANGE_ASKS_BURST;
	if (now_ms > p->tokens_at_ms) {
		const uint64_t passed_ms = now_ms - p->tokens_at_ms;
		p->tokens_milli += passed_ms < most ? passed_ms * EXCHANGE_ASKS_PER_S : most;
		p->tokens_at_ms = now_ms;
	}
	if (p->tokens_milli > most)
		p->tokens_milli = most;
	if (p->tokens_milli < 1000)
		return false;
	p->tokens_milli -= 1000;
	return true;
}

/* ---- messages ---- */

static void on_offer(struct exchange *e, int slot, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
	struct exchange_action a = {.type = EXCHANGE_OFFERED, .peer = e->peers[slot].number};
	if (exchange_offer_decode(bytes, len, &a.ref))
		e->stats.malformed++;
	else if (a.ref.size > EXCHANGE_SIZE_MAX || !exchange_take_token(&e->peers[slot], now_ms))
		e->stats.refused++;
	else
		exchange_push(e, a, NULL, 0);
}

/* Either side may end a stream; whose it is its number says. One that is over already is nobody's fault. */
static void on_end(struct exchange *e, int slot, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
	uint64_t stream, why;
	if (exchange_pair_decode(bytes, len, &stream, &why)) {
		e->stats.malformed++;
		return;
	}
	struct fetch *f = exchange_is_own_stream(e, slot, stream) ? fetch_find(e, slot, stream) : NULL;
	if (f)
		fetch_end(e, f, why, now_ms);
	else if (!exchange_is_own_stream(e, slot, stream))
		serve_cancel(e, slot, stream);
}

static void on_more(struct exchange *e, int slot, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
	uint64_t stream, until;
	if (exchange_pair_decode(bytes, len, &stream, &until) || exchange_is_own_stream(e, slot, stream))
		e->stats.malformed++;
	else
		serve_more(e, slot, stream, until, now_ms);
}

void exchange_input(struct exchange *e, uint32_t peer, enum session_message type, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
	const int slot = exchange_slot(e, peer);
	if (slot < 0)
		return;
	if (type == MSG_BLOB_GET)
		serve_get(e, slot, bytes, len, now_ms);
	else if (type == MSG_BLOB_DATA)
		fetch_data(e, slot, bytes, len, now_ms);
	else if (type == MSG_BLOB_END)
		on_end(e, slot, bytes, len, now_ms);
	else if (type == MSG_BLOB_MORE)
		on_more(e, slot, bytes, len, now_ms);
	else if (type == MSG_BLOB_OFFER)
		on_offer(e, slot, bytes, len, now_ms);
}

void exchange_offer(struct exchange *e, uint32_t peer, const struct exchange_ref *ref)
{
	const int slot = exchange_slot(e, peer);
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, SESSION_MESSAGE_MAX);
	if (slot < 0)
		return;
	exchange_offer_encode(ref, &body);
	exchange_send(e, slot, MSG_BLOB_OFFER, &body);
}

uint64_t exchange_tick(struct exchange *e, uint64_t now_ms)
{
	const uint64_t serves = serve_tick(e, now_ms), fetches = fetch_tick(e, now_ms);
	return serves < fetches ? serves : fetches;
}

const struct exchange_stats *exchange_stats(const struct exchange *e)
{
	return &e->stats;
}
