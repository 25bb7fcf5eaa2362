#include "p2p/gossip.h"

#include <sodium.h>

#include "p2p/gossip_impl.h"

static struct recent *find_recent(struct gossip *g, const struct id32 *id)
{
	for (size_t i = 0; i < g->recent_len; i++)
		if (id32_eq(&g->recent[i].id, id))
			return &g->recent[i];
	return NULL;
}

static struct recent *note_recent(struct gossip *g, const struct id32 *id)
{
	struct recent *r = find_recent(g, id);
	if (r)
		return r;
	r = &g->recent[g->recent_at];
	g->recent_at = (g->recent_at + 1) % GOSSIP_RECENT_MAX;
	if (g->recent_len < GOSSIP_RECENT_MAX)
		g->recent_len++;
	*r = (struct recent){.id = *id};
	return r;
}

static bool is_held(const struct gossip *g, const struct topic *t, const struct id32 *id)
{
	(void)g;
	for (size_t k = 1; k < ARRAY_LEN(t->kinds); k++)
		for (size_t i = 0; i < t->kinds[k].len; i++)
			if (id32_eq(&t->kinds[k].items[i].id, id))
				return true;
	return false;
}

static void on_have(struct gossip *g, struct peer *p, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
	struct gossip_ids v;
	if (gossip_ids_decode(bytes, len, true, &v)) {
		g->stats.faults[GOSSIP_FAULT_MALFORMED]++;
		return;
	}
	const struct topic *t = gossip_topic(g, &v.topic);
	if (!t) {
		g->stats.faults[GOSSIP_FAULT_TOPIC]++;
		return;
	}
	for (size_t i = 0; i < v.len; i++) {
		struct recent *r = find_recent(g, &v.ids[i]);
		if (r)
			r->holders |= gossip_bit(g, p);
		if (!r && !is_held(g, t, &v.ids[i]))
			gossip_add_want(g, &v.ids[i], p);
	}
	gossip_ask(g, now_ms);
}

static void on_get(struct gossip *g, struct peer *p, const uint8_t *bytes, size_t len)
{
	struct gossip_ids v;
	if (gossip_ids_decode(bytes, len, false, &v)) {
		g->stats.faults[GOSSIP_FAULT_MALFORMED]++;
		return;
	}
	for (size_t i = 0; i < v.len; i++)
		gossip_push(g, (struct gossip_action){.type = GOSSIP_LOOKUP, .peer = p->number, .id = v.ids[i]}, NULL, 0);
}

static void on_not_found(struct gossip *g, struct peer *p, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
	struct gossip_ids v;
	if (gossip_ids_decode(bytes, len, false, &v)) {
		g->stats.faults[GOSSIP_FAULT_MALFORMED]++;
		return;
	}
	for (size_t i = 0; i < v.len; i++) {
		struct want *w = gossip_find_want(g, &v.ids[i]);
		if (w && w->asked == p - g->peers)
			w->asked = -1;
	}
	gossip_overdue(g, now_ms);
	gossip_ask(g, now_ms);
}

/* A token for a record that was not asked for. */
static bool take_token(struct peer *p, uint64_t now_ms)
{
	const uint64_t most = UINT64_C(1000) * GOSSIP_UNASKED_BURST;
	p->tokens_milli += (now_ms - p->tokens_at_ms) * GOSSIP_UNASKED_PER_S;
	p->tokens_at_ms = now_ms;
	if (p->tokens_milli > most)
		p->tokens_milli = most;
	if (p->tokens_milli < 1000)
		return false;
	p->tokens_milli -= 1000;
	return true;
}

static void on_record(struct gossip *g, struct peer *p, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
	struct gossip_record v;
	if (gossip_record_decode(bytes, len, &v)) {
		g->stats.faults[GOSSIP_FAULT_MALFORMED]++;
		return;
	}
	struct gossip_action a = {.type = GOSSIP_OFFER, .peer = p->number, .signature = v.signature};
	crypto_generichash(a.id.b, sizeof a.id.b, v.bytes, v.len, NULL, 0); /* PROTOCOL: id = BLAKE2b-256 of the signed bytes */
	struct want *w = gossip_find_want(g, &a.id);
	a.was_asked = w && w->asked == p - g->peers;
	struct recent *r = find_recent(g, &a.id);
	if (r) {
		r->holders |= gossip_bit(g, p);
		g->stats.faults[GOSSIP_FAULT_DUPLICATE]++;
		return;
	}
	if (!a.was_asked && !take_token(p, now_ms)) {
		g->stats.faults[GOSSIP_FAULT_RATE]++;
		return;
	}
	if (w) /* until intake has spoken nobody else is asked */
		w->deadline_ms = now_ms + 10 * GOSSIP_GET_MS;
	g->stats.records_in++;
	gossip_push(g, a, v.bytes, v.len);
}

static bool in_list(const struct gossip_range *range, const struct id32 *id)
{
	for (size_t i = 0; i < range->len; i++)
		if (id32_eq(&range->ids[i], id))
			return true;
	return false;
}

/* The sender's records of a range: what we lack is asked for, what it lacks is announced. */
static void on_reconcile(struct gossip *g, struct peer *p, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
	struct gossip_range range;
	if (gossip_range_decode(bytes, len, &range) || !range.kind || range.kind > RECORD_NODE) {
		g->stats.faults[GOSSIP_FAULT_MALFORMED]++;
		return;
	}
	const struct topic *t = gossip_topic(g, &range.topic);
	if (!t) {
		g->stats.faults[GOSSIP_FAULT_TOPIC]++;
		return;
	}
	const struct recset *s = &t->kinds[range.kind];
	const struct recset_item after_cutoff = {range.cutoff_ms + 1, {{0}}};
	const struct recset_item *from = recset_compare(&range.from, &after_cutoff) < 0 ? &after_cutoff : &range.from;
	for (size_t i = recset_lower_bound(s, from); i < s->len && recset_compare(&s->items[i], &range.to) < 0; i++)
		if (!in_list(&range, &s->items[i].id))
			gossip_announce(g, p, &t->id, &s->items[i].id, now_ms);
	for (size_t i = 0; i < range.len; i++)
		if (!find_recent(g, &range.ids[i]) && !is_held(g, t, &range.ids[i]))
			gossip_add_want(g, &range.ids[i], p);
	gossip_ask(g, now_ms);
}

void gossip_input(struct gossip *g, uint32_t peer, enum session_message type, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
	struct peer *p = gossip_peer(g, peer);
	if (!p)
		return;
	if (type == MSG_HAVE)
		on_have(g, p, bytes, len, now_ms);
	else if (type == MSG_GET)
		on_get(g, p, bytes, len);
	else if (type == MSG_RECORD)
		on_record(g, p, bytes, len, now_ms);
	else if (type == MSG_NOT_FOUND)
		on_not_found(g, p, bytes, len, now_ms);
	else if (type == MSG_RECONCILE)
		on_reconcile(g, p, bytes, len, now_ms);
	else if (type == MSG_TOPICS && gossip_topics_decode(bytes, len, p->topics, SESSION_TOPICS_MAX, &p->topics_len))
		g->stats.faults[GOSSIP_FAULT_MALFORMED]++;
}

void gossip_load(struct gossip *g, const struct id32 *topic, uint32_t kind, const struct recset_item *item)
{
	struct topic *t = gossip_topic(g, topic);
	if (t && kind && kind < RECORD_NODE && !recset_insert(&t->kinds[kind], item))
		g->stats.faults[GOSSIP_FAULT_FULL]++;
}

void gossip_admitted(struct gossip *g, const struct record *r, uint32_t from, uint64_t now_ms)
{
	const struct record_fields *f = record_get(r);
	struct peer *source = gossip_peer(g, from);
	const struct recset_item item = {f->expires_ms, *record_id(r)};
	gossip_load(g, &f->topic, f->kind, &item);
	gossip_drop_want(g, record_id(r));
	struct recent *recent = note_recent(g, record_id(r));
	if (source)
		recent->holders |= gossip_bit(g, source);
	size_t len;
	record_bytes(r, &len);
	unsigned eager = len <= GOSSIP_EAGER_LEN_MAX ? GOSSIP_EAGER_PEERS : 0;
	const size_t first = gossip_draw(g, GOSSIP_PEERS_MAX);
	for (size_t i = 0; i < GOSSIP_PEERS_MAX; i++) {
		struct peer *p = &g->peers[(first + i) % GOSSIP_PEERS_MAX];
		if (!p->number || recent->holders & gossip_bit(g, p) || !gossip_peer_follows(p, &f->topic) || !gossip_peer_knows(p, f->kind))
			continue;
		if (eager && !p->is_seed) {
			eager--;
			recent->holders |= gossip_bit(g, p);
			gossip_send_record(g, p, r);
		} else {
			gossip_announce(g, p, &f->topic, record_id(r), now_ms);
		}
	}
}

void gossip_refused(struct gossip *g, const struct id32 *id)
{
	gossip_drop_want(g, id);
	note_recent(g, id);
}

void gossip_unproven(struct gossip *g, const struct id32 *id, uint64_t now_ms)
{
	struct want *w = gossip_find_want(g, id);
	if (w)
		w->asked = -1;
	gossip_overdue(g, now_ms);
	gossip_ask(g, now_ms);
}

void gossip_dropped(struct gossip *g, const struct id32 *id)
{
	for (size_t i = 0; i < g->topics_len; i++)
		for (size_t k = 1; k < ARRAY_LEN(g->topics[i].kinds); k++) {
			struct recset *s = &g->topics[i].kinds[k];
			for (size_t at = 0; at < s->len; at++)
				if (id32_eq(&s->items[at].id, id)) {
					const struct recset_item item = s->items[at];
					recset_remove(s, &item);
					return;
				}
		}
}

void gossip_found(struct gossip *g, uint32_t peer, const struct record *r)
{
	const struct peer *p = gossip_peer(g, peer);
	if (p)
		gossip_send_record(g, p, r);
}

void gossip_not_found(struct gossip *g, uint32_t peer, const struct id32 *id)
{
	const struct peer *p = gossip_peer(g, peer);
	const struct gossip_ids ids = {.ids = {*id}, .len = 1};
	if (p)
		gossip_send_ids(g, p, MSG_NOT_FOUND, &ids);
}
