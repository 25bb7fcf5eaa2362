/* Gossip's topics and peers, time, and repair. */
#include <stdlib.h>

#include <sodium.h>

#include "p2p/gossip_impl.h"

struct gossip *gossip_new(const uint8_t seed[32])
{
	struct gossip *g = calloc(1, sizeof *g);
	if (!g)
		return NULL;
	memcpy(g->seed, seed, sizeof g->seed);
	g->queue_end = &g->queue;
	g->wants = calloc(GOSSIP_WANTS_MAX, sizeof *g->wants);
	g->topics = calloc(GOSSIP_TOPICS_MAX, sizeof *g->topics);
	if (!g->wants || !g->topics) {
		gossip_free(g);
		return NULL;
	}
	return g;
}

void gossip_free(struct gossip *g)
{
	if (!g)
		return;
	for (struct queued *q = g->queue, *next; q; q = next) {
		next = q->next;
		free(q);
	}
	for (size_t i = 0; g->topics && i < g->topics_len; i++)
		for (size_t k = 0; k < ARRAY_LEN(g->topics[i].kinds); k++)
			recset_release(&g->topics[i].kinds[k]);
	free(g->given);
	free(g->topics);
	free(g->wants);
	free(g);
}

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

bool gossip_follow(struct gossip *g, const struct id32 *topic)
{
	if (gossip_topic(g, topic))
		return true;
	if (g->topics_len == GOSSIP_TOPICS_MAX)
		return false;
	struct topic *t = &g->topics[g->topics_len++];
	*t = (struct topic){.id = *topic, .repair_at_ms = UINT64_MAX, .repair_wait_ms = GOSSIP_REPAIR_MOST_MS};
	for (size_t k = 0; k < ARRAY_LEN(t->kinds); k++)
		recset_init(&t->kinds[k], GOSSIP_TOPIC_RECORDS_MAX);
	return true;
}

void gossip_unfollow(struct gossip *g, const struct id32 *topic)
{
	struct topic *t = gossip_topic(g, topic);
	if (!t)
		return;
	for (size_t k = 0; k < ARRAY_LEN(t->kinds); k++)
		recset_release(&t->kinds[k]);
	*t = g->topics[--g->topics_len];
}

static void begin_repair(struct gossip *g, const struct peer *p, const struct topic *t, uint64_t cutoff_ms)
{
	for (uint32_t kind = 1; kind < RECORD_NODE; kind++)
		if (gossip_peer_knows(p, kind))
			gossip_send_set(g, p, t, kind, cutoff_ms);
	g->stats.repairs++;
}

bool gossip_peer_open(struct gossip *g, uint32_t peer, const struct session_hello *hello, bool is_seed, bool we_dialled, uint64_t now_ms)
{
	struct peer *p = NULL;
	for (size_t i = 0; i < GOSSIP_PEERS_MAX && !p; i++)
		if (!g->peers[i].number)
			p = &g->peers[i];
	if (!p || !peer || gossip_peer(g, peer))
		return false;
	*p = (struct peer){.number = peer, .is_seed = is_seed, .tokens_milli = UINT64_C(1000) * GOSSIP_UNASKED_BURST, .tokens_at_ms = now_ms};
	memcpy(p->topics, hello->topics, sizeof p->topics);
	p->topics_len = hello->topics_len;
	for (size_t i = 0; i < hello->kinds_len; i++)
		if (hello->kinds[i] < 64)
			p->kinds |= UINT64_C(1) << hello->kinds[i];
	for (size_t i = 0; i < g->topics_len; i++) {
		struct topic *t = &g->topics[i];
		if (we_dialled && gossip_peer_follows(p, &t->id))
			begin_repair(g, p, t, 0);
		if (t->repair_at_ms > now_ms + GOSSIP_REPAIR_MOST_MS)
			t->repair_at_ms = now_ms + GOSSIP_REPAIR_MOST_MS;
	}
	return true;
}

void gossip_peer_close(struct gossip *g, uint32_t peer, uint64_t now_ms)
{
	struct peer *p = gossip_peer(g, peer);
	if (!p)
		return;
	const uint64_t bit = gossip_bit(g, p);
	for (size_t i = 0; i < g->wants_len; i++) {
		g->wants[i].announcers &= ~bit;
		if (g->wants[i].asked == p - g->peers)
			g->wants[i].asked = -1;
	}
	for (size_t i = 0; i < g->recent_len; i++)
		g->recent[i].holders &= ~bit;
	p->number = 0;
	gossip_overdue(g, now_ms);
	gossip_ask(g, now_ms);
	gossip_gap(g, now_ms);
}

void gossip_gap(struct gossip *g, uint64_t now_ms)
{
	for (size_t i = 0; i < g->topics_len; i++) {
		struct topic *t = &g->topics[i];
		t->repair_wait_ms = GOSSIP_REPAIR_FIRST_MS;
		if (t->repair_at_ms > now_ms + t->repair_wait_ms)
			t->repair_at_ms = now_ms + t->repair_wait_ms;
	}
}

static void repair_topic(struct gossip *g, struct topic *t, uint64_t now_ms, uint64_t unix_ms)
{
	const size_t first = gossip_draw(g, GOSSIP_PEERS_MAX);
	for (size_t i = 0; i < GOSSIP_PEERS_MAX; i++) {
		const struct peer *p = &g->peers[(first + i) % GOSSIP_PEERS_MAX];
		if (!p->number || !gossip_peer_follows(p, &t->id))
			continue;
		begin_repair(g, p, t, unix_ms);
		break;
	}
	t->repair_at_ms = now_ms + t->repair_wait_ms;
	t->repair_wait_ms = t->repair_wait_ms * 2 < GOSSIP_REPAIR_MOST_MS ? t->repair_wait_ms * 2 : GOSSIP_REPAIR_MOST_MS;
}

uint64_t gossip_tick(struct gossip *g, uint64_t now_ms, uint64_t unix_ms)
{
	uint64_t next = UINT64_MAX;
	gossip_overdue(g, now_ms);
	gossip_ask(g, now_ms);
	for (size_t i = 0; i < GOSSIP_PEERS_MAX; i++) {
		struct peer *p = &g->peers[i];
		if (!p->number || !p->haves.v.len)
			continue;
		if (p->haves.due_ms <= now_ms)
			gossip_flush_haves(g, p);
		else if (p->haves.due_ms < next)
			next = p->haves.due_ms;
	}
	for (size_t i = 0; i < g->topics_len; i++) {
		struct topic *t = &g->topics[i];
		for (size_t k = 1; k < ARRAY_LEN(t->kinds); k++)
			recset_expire(&t->kinds[k], unix_ms);
		if (t->repair_at_ms <= now_ms)
			repair_topic(g, t, now_ms, unix_ms);
		if (t->repair_at_ms < next)
			next = t->repair_at_ms;
	}
	for (size_t i = 0; i < g->wants_len; i++)
		if (g->wants[i].asked >= 0 && g->wants[i].deadline_ms < next)
			next = g->wants[i].deadline_ms;
	return next;
}

const struct gossip_stats *gossip_stats(const struct gossip *g) { return &g->stats; }

size_t gossip_count(const struct gossip *g, const struct id32 *topic, uint32_t kind)
{
	for (size_t i = 0; i < g->topics_len; i++)
		if (id32_eq(&g->topics[i].id, topic) && kind < ARRAY_LEN(g->topics[i].kinds))
			return g->topics[i].kinds[kind].len;
	return 0;
}
