/* Inside gossip only: what its files share. gossip.c messages and records, gossip_ask.c wants, gossip_send.c actions,
 * gossip_peers.c topics, peers, time and repair. */
#ifndef TALKOO_P2P_GOSSIP_IMPL_H
#define TALKOO_P2P_GOSSIP_IMPL_H

#include <string.h>

#include "p2p/gossip.h"
#include "p2p/gossip_wire.h"
#include "proto/base/cleanup.h"

/* One followed topic: its ids by kind, and when it is compared with somebody next. */
struct topic {
	struct id32 id;
	struct recset kinds[RECORD_NODE + 1]; /* by kind; 0 is unused; `node` records are never flooded: stays empty */
	uint64_t repair_at_ms;
	uint64_t repair_wait_ms;
};

/* What is to be said to a peer about one topic, gathered for GOSSIP_BATCH_MS. */
struct haves { struct gossip_ids v; uint64_t due_ms; };

struct peer {
	uint32_t number; /* 0: the slot is free */
	bool is_seed;
	struct id32 topics[SESSION_TOPICS_MAX];
	size_t topics_len;
	uint64_t kinds; /* bit set */
	uint64_t tokens_milli, tokens_at_ms;
	struct haves haves;
};

struct want {
	struct id32 id;
	uint64_t announcers; /* peer slots that have it and were not asked yet */
	int asked;           /* slot, -1: nobody now */
	uint64_t deadline_ms;
};

struct recent { struct id32 id; uint64_t holders; };

struct gossip {
	struct peer peers[GOSSIP_PEERS_MAX];
	struct topic *topics;
	size_t topics_len;
	struct want *wants; /* unordered */
	size_t wants_len;
	struct recent recent[GOSSIP_RECENT_MAX];
	size_t recent_len, recent_at;
	struct queued *queue, **queue_end;
	struct queued *given; /* lent to the caller of gossip_next() */
	size_t queue_bytes;
	uint8_t seed[32];
	uint64_t draws;
	struct gossip_stats stats;
};

#define QUEUE_BYTES_MAX (8u << 20)

struct queued {
	struct queued *next;
	struct gossip_action action;
	uint8_t data[];
};

static inline struct peer *gossip_peer(struct gossip *g, uint32_t number)
{
	for (size_t i = 0; number && i < GOSSIP_PEERS_MAX; i++)
		if (g->peers[i].number == number)
			return &g->peers[i];
	return NULL;
}

static inline struct topic *gossip_topic(struct gossip *g, const struct id32 *id)
{
	for (size_t i = 0; i < g->topics_len; i++)
		if (id32_eq(&g->topics[i].id, id))
			return &g->topics[i];
	return NULL;
}

static inline uint64_t gossip_bit(const struct gossip *g, const struct peer *p) { return UINT64_C(1) << (p - g->peers); }
static inline bool gossip_peer_knows(const struct peer *p, uint32_t kind) { return kind < 64 && (p->kinds >> kind & 1); }

static inline bool gossip_peer_follows(const struct peer *p, const struct id32 *topic)
{
	for (size_t i = 0; i < p->topics_len; i++)
		if (id32_eq(&p->topics[i], topic))
			return true;
	return false;
}

/* gossip_send.c */
/* Queues an action; bytes are copied; an OFFER's 64 signature bytes stand behind them. */
void gossip_push(struct gossip *g, struct gossip_action action, const uint8_t *bytes, size_t len);
void gossip_send_ids(struct gossip *g, const struct peer *p, enum session_message type, const struct gossip_ids *ids);
void gossip_send_record(struct gossip *g, const struct peer *p, const struct record *r);
void gossip_send_set(struct gossip *g, const struct peer *p, const struct topic *t, uint32_t kind, uint64_t cutoff_ms);
/* Gathers ids for one HAVE; gossip_flush_haves() sends it. */
void gossip_announce(struct gossip *g, struct peer *p, const struct id32 *topic, const struct id32 *id, uint64_t now_ms);
void gossip_flush_haves(struct gossip *g, struct peer *p);

/* gossip_ask.c */
struct want *gossip_find_want(struct gossip *g, const struct id32 *id);
struct want *gossip_add_want(struct gossip *g, const struct id32 *id, const struct peer *p);
void gossip_drop_want(struct gossip *g, const struct id32 *id);
void gossip_ask(struct gossip *g, uint64_t now_ms);
void gossip_overdue(struct gossip *g, uint64_t now_ms);

/* gossip_peers.c */
/* Deterministic choice below `most`. */
uint32_t gossip_draw(struct gossip *g, uint32_t most);
/* Something was missed somewhere: all topics are compared soon. */
void gossip_gap(struct gossip *g, uint64_t now_ms);

#endif
