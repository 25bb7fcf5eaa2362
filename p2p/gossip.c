/* Gossip's messages, and what becomes of records. */
#include "p2p/gossip.h"

#include <sodium.h>
#include <stdlib.h>

#include "p2p/gossip_impl.h"

/* ---- messages */

static bool on_have(struct gossip *g, struct peer *p, const uint8_t *bytes, size_t len)
{
	struct gossip_ids v;
	if (gossip_ids_decode(bytes, len, true, &v))
		return false;
	const struct topic *t = gossip_topic(g, &v.topic);
	if (!t) {
		gossip_fault(g, p, GOSSIP_FAULT_TOPIC);
		return true;
	}
	for (size_t i = 0; i < v.len; i++)
		gossip_heard(g, p, t, &v.ids[i], URGENCIES - 1);
	gossip_ask(g);
	return true;
}

static bool on_get(struct gossip *g, struct peer *p, const uint8_t *bytes, size_t len)
{
	struct gossip_ids v;
	if (gossip_ids_decode(bytes, len, false, &v))
		return false;
	for (size_t i = 0; i < v.len; i++) {
		if (p->lookups >= GOSSIP_LOOKUPS_MAX)
			gossip_fault(g, p, GOSSIP_FAULT_RATE);
		else if (gossip_push(g, (struct gossip_action){.type = GOSSIP_LOOKUP, .peer = p->number, .id = v.ids[i]}, NULL, 0))
			p->lookups++;
	}
	return true;
}

static bool on_not_found(struct gossip *g, struct peer *p, const uint8_t *bytes, size_t len)
{
	struct gossip_ids v;
	if (gossip_ids_decode(bytes, len, false, &v))
		return false;
	for (size_t i = 0; i < v.len; i++) {
		struct track *t = gossip_track(g, &v.ids[i]);
		if (!t)
			continue;
		t->has &= ~gossip_bit(g, p);
		if (t->state == TRACK_ASKED && t->slot == gossip_peer_slot(g, p))
			gossip_next_source(g, t);
	}
	gossip_ask(g);
	return true;
}

static bool has_room(struct gossip *g, struct peer *p, size_t len)
{
	return p->inbox_len < GOSSIP_INBOX_MAX && p->inbox_bytes + len <= GOSSIP_INBOX_BYTES_MAX &&
	       gossip_take(g, &p->unasked, 1, GOSSIP_UNASKED_PER_S, GOSSIP_UNASKED_BURST);
}

/* A record that nobody here has judged goes to intake. */
static void offer(struct gossip *g, struct peer *p, const struct topic *topic, const struct id32 *id, const struct gossip_record *v)
{
	struct track *t = gossip_track(g, id);
	const bool was_asked = t && t->state == TRACK_ASKED && t->slot == gossip_peer_slot(g, p);
	if (!was_asked && !has_room(g, p, v->len)) {
		gossip_fault(g, p, GOSSIP_FAULT_RATE);
		return; /* repair will find it, if it is worth anything */
	}
	const struct gossip_action a = {.type = GOSSIP_OFFER, .peer = p->number, .signature = v->signature, .id = *id, .was_asked = was_asked};
	if (!t)
		t = gossip_track_new(g, id, p);
	if (!t || !gossip_push(g, a, v->bytes, v->len))
		return;
	if (was_asked)
		p->answered_ms = g->now_ms;
	gossip_track_judge(g, t, p, !was_asked, v->len);
	t->topic = gossip_slot(g, topic);
	g->stats.records_in++;
	p->stats.records_in++;
}

static bool on_record(struct gossip *g, struct peer *p, const uint8_t *bytes, size_t len)
{
	struct gossip_record v;
	struct id32 id;
	if (gossip_record_decode(bytes, len, &v))
		return false;
	const struct topic *topic = gossip_topic(g, &v.topic);
	if (!topic || gossip_kind(g, v.kind) < 0) {
		gossip_fault(g, p, topic ? GOSSIP_FAULT_KIND : GOSSIP_FAULT_TOPIC);
		return true;
	}
	crypto_generichash(id.b, sizeof id.b, v.bytes, v.len, NULL, 0); /* PROTOCOL 4.3 */
	struct track *t = gossip_track(g, &id);
	if (t)
		t->has |= gossip_bit(g, p);
	const bool is_known = t ? t->state >= TRACK_JUDGED : gossip_held(g, &id) != NULL;
	if (is_known && (!t || t->state != TRACK_LATER))
		gossip_fault(g, p, GOSSIP_FAULT_DUPLICATE);
	else if (!is_known)
		offer(g, p, topic, &id, &v);
	gossip_ask(g);
	return true;
}

static bool on_topics(struct gossip *g, struct peer *p, const uint8_t *bytes, size_t len)
{
	struct id32 *topics = calloc(SESSION_TOPICS_MAX, sizeof *topics);
	size_t topics_len = 0;
	const bool is_fine = topics && !gossip_topics_decode(bytes, len, topics, SESSION_TOPICS_MAX, &topics_len);
	if (is_fine)
		gossip_peer_topics(g, p, topics, topics_len, true);
	free(topics);
	return is_fine;
}

static bool input(struct gossip *g, struct peer *p, enum session_message type, const uint8_t *bytes, size_t len)
{
	if (type == MSG_HAVE)
		return on_have(g, p, bytes, len);
	if (type == MSG_GET)
		return on_get(g, p, bytes, len);
	if (type == MSG_RECORD)
		return on_record(g, p, bytes, len);
	if (type == MSG_NOT_FOUND)
		return on_not_found(g, p, bytes, len);
	if (type == MSG_RECONCILE)
		return gossip_on_reconcile(g, p, bytes, len);
	return type == MSG_TOPICS && on_topics(g, p, bytes, len);
}

bool gossip_input(struct gossip *g, uint32_t peer, enum session_message type, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
	struct peer *p = gossip_peer(g, peer);
	if (!p)
		return true;
	g->now_ms = now_ms;
	if (input(g, p, type, bytes, len))
		return true;
	gossip_fault(g, p, GOSSIP_FAULT_MALFORMED);
	return false;
}

/* ---- records */

/* Into the set. False: it was there, or there is no room. */
static bool hold(struct gossip *g, struct topic *t, int kind, const struct recset_item *item)
{
	if (kind < 0 || gossip_held(g, &item->id))
		return false;
	struct held *h = malloc(sizeof *h);
	if (h)
		*h = (struct held){.item = *item, .topic = gossip_slot(g, t), .kind = (uint8_t)kind};
	if (!h || !recset_insert(&t->kinds[kind], &h->item) || !idmap_put(&g->held, h->item.id.b)) {
		if (h)
			recset_remove(&t->kinds[kind], &h->item);
		free(h);
		g->stats.faults[GOSSIP_FAULT_FULL]++;
		return false;
	}
	if (item->expires_ms < g->expire_at_ms)
		g->expire_at_ms = item->expires_ms;
	return true;
}

void gossip_load(struct gossip *g, const struct id32 *topic, uint32_t kind, const struct recset_item *item)
{
	struct topic *t = gossip_topic(g, topic);
	if (t)
		hold(g, t, gossip_kind(g, kind), item);
}

/* To those who need it: whole to a few when it is short, its id to the others. */
static void spread(struct gossip *g, const struct topic *topic, int kind, const struct record *r, struct track *t)
{
	size_t len;
	record_bytes(r, &len);
	unsigned eager = len <= GOSSIP_EAGER_LEN_MAX ? GOSSIP_EAGER_PEERS : 0;
	const size_t first = gossip_draw(g, GOSSIP_PEERS_MAX);
	for (size_t i = 0; i < GOSSIP_PEERS_MAX; i++) {
		struct peer *p = &g->peers[(first + i) % GOSSIP_PEERS_MAX];
		if (!p->number || !gossip_peer_follows(g, p, topic) || !(p->kinds >> kind & 1) || (t && t->has & gossip_bit(g, p)))
			continue;
		if (!eager || p->is_seed || !gossip_take(g, &p->eager, 1, GOSSIP_UNASKED_PER_S, EAGER_BURST)) {
			gossip_announce(g, p, topic, record_id(r));
			continue;
		}
		eager--;
		if (t)
			t->has |= gossip_bit(g, p);
		gossip_send_record(g, p, r);
	}
}

void gossip_admitted(struct gossip *g, const struct record *r, uint32_t from, uint64_t now_ms)
{
	const struct record_fields *f = record_get(r);
	const struct recset_item item = {.expires_ms = f->expires_ms, .id = *record_id(r)};
	struct topic *topic = gossip_topic(g, &f->topic);
	const int kind = gossip_kind(g, f->kind);
	const struct peer *source = gossip_peer(g, from);
	struct track *t = gossip_track(g, &item.id);
	g->now_ms = now_ms;
	if (!topic || kind < 0) {
		if (t)
			gossip_track_drop(g, t);
		return;
	}
	if (!t)
		t = gossip_track_new(g, &item.id, NULL);
	if (t) {
		t->topic = gossip_slot(g, topic);
		gossip_track_move(g, t, TRACK_RECENT);
		t->has |= source ? gossip_bit(g, source) : 0;
	}
	if (gossip_held(g, &item.id))
		return;
	hold(g, topic, kind, &item);
	spread(g, topic, kind, r, t);
	/* who may write has changed: what was refused for that may be fine now */
	if (f->kind == RECORD_PROJECT && topic->forgot_ms + GOSSIP_REPAIR_MOST_MS <= now_ms) {
		topic->forgot_ms = now_ms;
		gossip_forget_refused(g, gossip_slot(g, topic));
		gossip_gap(g, topic);
	}
	gossip_ask(g);
}

void gossip_refused(struct gossip *g, const struct id32 *id)
{
	struct track *t = gossip_track(g, id);
	if (t)
		gossip_track_move(g, t, TRACK_REFUSED);
	gossip_ask(g);
}

void gossip_unproven(struct gossip *g, const struct id32 *id, uint64_t now_ms)
{
	struct track *t = gossip_track(g, id);
	g->now_ms = now_ms;
	if (!t || t->state != TRACK_JUDGED)
		return;
	const uint64_t liar = t->slot == NO_SLOT ? 0 : UINT64_C(1) << t->slot;
	t->has &= ~liar;
	t->tried |= liar;
	gossip_next_source(g, t);
	gossip_ask(g);
}

void gossip_postponed(struct gossip *g, const struct id32 *id, uint64_t now_ms)
{
	struct track *t = gossip_track(g, id);
	g->now_ms = now_ms;
	if (!t || t->state != TRACK_JUDGED)
		return;
	if (t->slot != NO_SLOT)
		t->has |= UINT64_C(1) << t->slot;
	t->wait_ms = t->wait_ms ? t->wait_ms * 2 : GOSSIP_LATER_FIRST_MS;
	if (t->wait_ms > GOSSIP_REFUSED_MS)
		t->wait_ms = GOSSIP_REFUSED_MS;
	gossip_track_move(g, t, TRACK_LATER);
	if (g->later_at_ms > now_ms + t->wait_ms)
		g->later_at_ms = now_ms + t->wait_ms;
	gossip_ask(g);
}

void gossip_dropped(struct gossip *g, const struct id32 *id)
{
	struct held *h = gossip_held(g, id);
	if (!h)
		return;
	struct track *t = gossip_track(g, id);
	if (!t)
		t = gossip_track_new(g, id, NULL);
	if (t) { /* who still has it would be asked for it at the next repair */
		t->topic = h->topic;
		gossip_track_move(g, t, TRACK_REFUSED);
	}
	gossip_release_held(g, h);
}

void gossip_want(struct gossip *g, const struct id32 *id, uint32_t peer, uint64_t now_ms)
{
	struct peer *p = gossip_peer(g, peer);
	struct topic *topic = gossip_topic(g, id);
	g->now_ms = now_ms;
	if (!p)
		return;
	if (topic) {
		if (now_ms >= topic->asked_project_ms + GOSSIP_GET_MS || !topic->asked_project_ms)
			gossip_repair_kind(g, p, topic, 0);
		topic->asked_project_ms = now_ms;
		return;
	}
	gossip_heard(g, p, NULL, id, 0);
	struct track *t = gossip_track(g, id);
	if (t && t->state < TRACK_JUDGED)
		t->is_dependency = true;
	gossip_ask(g);
}

void gossip_found(struct gossip *g, uint32_t peer, const struct record *r)
{
	struct peer *p = gossip_peer(g, peer);
	struct track *t = gossip_track(g, record_id(r));
	if (!p)
		return;
	p->lookups -= p->lookups > 0;
	gossip_send_record(g, p, r);
	if (t && t->state == TRACK_RECENT)
		t->has |= gossip_bit(g, p);
}

void gossip_not_found(struct gossip *g, uint32_t peer, const struct id32 *id)
{
	struct peer *p = gossip_peer(g, peer);
	if (!p)
		return;
	p->lookups -= p->lookups > 0;
	gossip_send_ids(g, p, MSG_NOT_FOUND, NULL, id, 1);
}
