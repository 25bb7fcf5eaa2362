/* Gossip's life, topics, peers and time. */
#include <stdlib.h>

#include <sodium.h>

#include "p2p/gossip_impl.h"

/* ---- life */

uint32_t gossip_draw(struct gossip *g, uint32_t most)
{
	uint8_t out[16], in[8];
	memcpy(in, &g->draws, 8);
	g->draws++;
	crypto_generichash(out, sizeof out, in, sizeof in, g->seed, sizeof g->seed);
	uint32_t value;
	memcpy(&value, out, sizeof value);
	return value % most;
}

struct gossip *gossip_new(const uint8_t seed[32])
{
	struct gossip *g = calloc(1, sizeof *g);
	uint8_t key[crypto_shorthash_KEYBYTES];
	if (!g)
		return NULL;
	memcpy(g->seed, seed, sizeof g->seed);
	crypto_generichash(key, sizeof key, (const uint8_t *)"ids", 3, seed, 32);
	g->queue_end = &g->queue;
	g->later_at_ms = g->expire_at_ms = UINT64_MAX;
	idmap_init(&g->by_topic, GOSSIP_TOPICS_MAX, key);
	idmap_init(&g->held, HELD_MAX, key);
	idmap_init(&g->tracks, GOSSIP_WANTS_MAX + GOSSIP_RECENT_MAX + REFUSED_MAX + 2, key);
#define X(name, value, text, life, replaceable)                                                                        \
	if (value != RECORD_NODE) /* exchanged on request only */                                                      \
		g->kinds[g->kinds_len++] = value;
	RECORD_KINDS(X)
#undef X
	g->topics = calloc(GOSSIP_TOPICS_MAX, sizeof *g->topics);
	if (!g->topics) {
		gossip_free(g);
		return NULL;
	}
	return g;
}

static void release_topic(struct gossip *g, struct topic *t)
{
	for (size_t k = 0; k < GOSSIP_KINDS_MAX; k++) {
		while (t->kinds[k].len)
			gossip_release_held(g, gossip_held(g, &recset_at(&t->kinds[k], t->kinds[k].len - 1)->id));
		recset_release(&t->kinds[k]);
	}
	idmap_remove(&g->by_topic, &t->id);
	t->is_used = false;
}

void gossip_free(struct gossip *g)
{
	if (!g)
		return;
	for (struct queued *q = g->queue, *next; q; q = next) {
		next = q->next;
		free(q);
	}
	for (size_t i = 0; g->topics && i < GOSSIP_TOPICS_MAX; i++)
		if (g->topics[i].is_used)
			release_topic(g, &g->topics[i]);
	void *track;
	for (size_t at = 0; (track = idmap_next(&g->tracks, &at));)
		free(track);
	for (size_t i = 0; i < GOSSIP_PEERS_MAX; i++) {
		free(g->peers[i].topics);
		free(g->peers[i].haves.ids);
	}
	idmap_release(&g->by_topic);
	idmap_release(&g->held);
	idmap_release(&g->tracks);
	free(g->given);
	free(g->topics);
	free(g);
}

bool gossip_carry(struct gossip *g, uint32_t kind)
{
	if (gossip_kind(g, kind) >= 0)
		return true;
	if (g->kinds_len == GOSSIP_KINDS_MAX)
		return false;
	g->kinds[g->kinds_len++] = kind;
	return true;
}

int gossip_kind(const struct gossip *g, uint32_t kind)
{
	for (size_t i = 0; i < g->kinds_len; i++)
		if (g->kinds[i] == kind)
			return (int)i;
	return -1;
}

bool gossip_take(struct gossip *g, struct bucket *b, uint64_t amount, uint64_t per_s, uint64_t burst)
{
	b->milli += (g->now_ms - b->at_ms) * per_s;
	b->at_ms = g->now_ms;
	if (b->milli > burst * 1000)
		b->milli = burst * 1000;
	if (b->milli < amount * 1000)
		return false;
	b->milli -= amount * 1000;
	return true;
}

void gossip_release_held(struct gossip *g, struct held *h)
{
	recset_remove(&g->topics[h->topic].kinds[h->kind], &h->item);
	idmap_remove(&g->held, &h->item.id);
	free(h);
}

/* ---- topics */

static uint64_t hash_topic(const struct gossip *g, const struct id32 *topic)
{
	uint64_t value;
	crypto_shorthash((uint8_t *)&value, topic->b, sizeof topic->b, g->by_topic.hash_key);
	return value;
}

static bool is_named(const struct peer *p, uint64_t hash)
{
	for (size_t i = 0; i < p->topics_len; i++)
		if (p->topics[i] == hash)
			return true;
	return false;
}

/* What the peer named and what we follow have changed: the bits follow. */
static void match(struct gossip *g, struct peer *p, struct topic *t, bool with_repair)
{
	const uint16_t slot = gossip_slot(g, t);
	const bool did = bits_have(p->follows, slot);
	if (!is_named(p, hash_topic(g, &t->id))) {
		bits_clear(p->follows, slot);
		bits_clear(p->due, slot);
		return;
	}
	bits_set(p->follows, slot);
	if (!did && with_repair)
		bits_set(p->due, slot);
	if (!did)
		gossip_gap(g, t);
}

bool gossip_follow(struct gossip *g, const struct id32 *topic)
{
	size_t slot = 0;
	if (gossip_topic(g, topic))
		return true;
	while (slot < GOSSIP_TOPICS_MAX && g->topics[slot].is_used)
		slot++;
	if (slot == GOSSIP_TOPICS_MAX)
		return false;
	struct topic *t = &g->topics[slot];
	*t = (struct topic){.id = *topic, .is_used = true, .repair_at_ms = UINT64_MAX, .repair_wait_ms = GOSSIP_REPAIR_FIRST_MS};
	for (size_t k = 0; k < GOSSIP_KINDS_MAX; k++)
		recset_init(&t->kinds[k], GOSSIP_TOPIC_RECORDS_MAX);
	if (!idmap_put(&g->by_topic, t)) {
		t->is_used = false;
		return false;
	}
	for (size_t i = 0; i < GOSSIP_PEERS_MAX; i++)
		if (g->peers[i].number)
			match(g, &g->peers[i], t, false); /* it hears of it by TOPICS, and begins */
	return true;
}

void gossip_unfollow(struct gossip *g, const struct id32 *topic)
{
	struct topic *t = gossip_topic(g, topic);
	if (!t)
		return;
	for (size_t i = 0; i < GOSSIP_PEERS_MAX; i++) {
		struct peer *p = &g->peers[i];
		bits_clear(p->follows, gossip_slot(g, t));
		bits_clear(p->due, gossip_slot(g, t));
		if (p->haves.len && id32_eq(&p->haves.topic, topic))
			p->haves.len = 0;
	}
	release_topic(g, t);
}

void gossip_peer_topics(struct gossip *g, struct peer *p, const struct id32 *topics, size_t len, bool with_repair)
{
	uint64_t *hashes = len ? calloc(len, sizeof *hashes) : NULL;
	free(p->topics);
	p->topics = hashes;
	p->topics_len = hashes ? len : 0;
	for (size_t i = 0; i < p->topics_len; i++)
		hashes[i] = hash_topic(g, &topics[i]);
	for (size_t i = 0; i < GOSSIP_TOPICS_MAX; i++)
		if (g->topics[i].is_used)
			match(g, p, &g->topics[i], with_repair);
	p->due_ms = g->now_ms;
}

/* ---- peers */

bool gossip_peer_open(struct gossip *g, uint32_t peer, const struct session_hello *hello, bool is_seed, bool we_dialled, uint64_t now_ms)
{
	struct peer *p = NULL;
	for (size_t i = 0; i < GOSSIP_PEERS_MAX && !p; i++)
		if (!g->peers[i].number)
			p = &g->peers[i];
	if (!p || !peer || gossip_peer(g, peer))
		return false;
	g->now_ms = now_ms;
	*p = (struct peer){.number = peer, .is_seed = is_seed, .check_ms = UINT64_MAX};
	p->unasked = (struct bucket){UINT64_C(1000) * GOSSIP_UNASKED_BURST, now_ms};
	p->eager = (struct bucket){UINT64_C(1000) * EAGER_BURST, now_ms};
	p->answers = (struct bucket){UINT64_C(1000) * ANSWER_BURST, now_ms};
	for (size_t i = 0; i < hello->kinds_len; i++) {
		const int kind = gossip_kind(g, hello->kinds[i]);
		if (kind >= 0)
			p->kinds |= UINT32_C(1) << kind;
	}
	gossip_peer_topics(g, p, hello->topics, hello->topics_len, we_dialled);
	return true;
}

void gossip_peer_close(struct gossip *g, uint32_t peer, uint64_t now_ms)
{
	struct peer *p = gossip_peer(g, peer);
	if (!p)
		return;
	g->now_ms = now_ms;
	for (size_t i = 0; i < GOSSIP_TOPICS_MAX; i++)
		if (g->topics[i].is_used && bits_have(p->follows, i))
			gossip_gap(g, &g->topics[i]);
	p->number = 0; /* is asked for nothing from here on */
	gossip_forget_peer(g, p);
	free(p->topics);
	free(p->haves.ids);
	*p = (struct peer){.number = 0};
	gossip_ask(g);
}

/* ---- time */

static uint64_t expire(struct gossip *g)
{
	uint64_t next = UINT64_MAX;
	for (size_t i = 0; i < GOSSIP_TOPICS_MAX; i++)
		for (size_t k = 0; g->topics[i].is_used && k < g->kinds_len; k++) {
			struct recset *s = &g->topics[i].kinds[k];
			while (s->len && recset_at(s, 0)->expires_ms <= g->unix_ms)
				gossip_release_held(g, gossip_held(g, &recset_at(s, 0)->id));
			if (s->len && recset_at(s, 0)->expires_ms < next)
				next = recset_at(s, 0)->expires_ms;
		}
	return next;
}

static uint64_t sooner(uint64_t a, uint64_t b) { return a < b ? a : b; }

uint64_t gossip_tick(struct gossip *g, uint64_t now_ms, uint64_t unix_ms)
{
	g->now_ms = now_ms;
	g->unix_ms = unix_ms;
	if (g->expire_at_ms <= unix_ms)
		g->expire_at_ms = expire(g);
	gossip_overdue(g);
	uint64_t next = sooner(gossip_lapse(g), gossip_repair_tick(g));
	gossip_ask(g);
	for (size_t i = 0; i < GOSSIP_PEERS_MAX; i++) {
		struct peer *p = &g->peers[i];
		if (!p->number)
			continue;
		if (p->haves.len && p->haves.due_ms <= now_ms)
			gossip_flush_haves(g, p);
		if (p->haves.len)
			next = sooner(next, p->haves.due_ms);
		next = sooner(next, p->asked.len ? p->check_ms : UINT64_MAX);
	}
	return next;
}

/* ---- for people */

const struct gossip_stats *gossip_stats(const struct gossip *g) { return &g->stats; }

const struct gossip_stats *gossip_peer_stats(const struct gossip *g, uint32_t peer)
{
	for (size_t i = 0; peer && i < GOSSIP_PEERS_MAX; i++)
		if (g->peers[i].number == peer)
			return &g->peers[i].stats;
	return NULL;
}

size_t gossip_count(const struct gossip *g, const struct id32 *topic, uint32_t kind)
{
	const struct topic *t = gossip_topic(g, topic);
	const int index = gossip_kind(g, kind);
	return t && index >= 0 ? t->kinds[index].len : 0;
}
