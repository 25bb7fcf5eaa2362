/* Inside gossip only: what its files share. gossip.c messages and records, gossip_ask.c ids that are wanted, judged or known,
 * gossip_send.c actions, gossip_peers.c topics, peers and time, gossip_repair.c reconciliation. */
#ifndef TALKOO_P2P_GOSSIP_IMPL_H
#define TALKOO_P2P_GOSSIP_IMPL_H

#include <string.h>

#include "p2p/gossip.h"
#include "p2p/gossip_wire.h"
#include "proto/base/cleanup.h"
#include "proto/idmap.h"

#define NO_SLOT UINT8_MAX
#define NO_TOPIC UINT16_MAX
#define HELD_MAX 2000000
#define REFUSED_MAX 8192
#define EAGER_BURST 200        /* records sent unasked at once; then the ids alone */
#define ANSWER_BURST (4u << 20) /* bytes of answers to a peer's reconciliation … */
#define ANSWER_PER_S (256u << 10)
#define URGENCIES 3            /* projects, jobs, the rest: what others depend on comes first */

/* An id that the node holds. The table's key is item.id. */
struct held { struct recset_item item; uint16_t topic; uint8_t kind; /* index */ };

/* One followed topic: its ids by kind (index), and when it is compared with somebody next. */
struct topic {
	struct id32 id; /* first: idmap */
	bool is_used;
	struct recset kinds[GOSSIP_KINDS_MAX];
	uint64_t repair_at_ms, repair_wait_ms;
	uint64_t asked_project_ms, forgot_ms;
};

/* What this node knows of an id that it does not hold, or of who else holds it.
 *   WAITING  wanted, nobody is asked: everybody who has it is busy, or it was just heard of
 *   ASKED    a GET to `slot` is under way
 *   JUDGED   offered to intake, which has not spoken
 *   LATER    intake had no room: WAITING again at since_ms + wait_ms
 *   RECENT   admitted a while ago: `has` are those who need not hear of it
 *   REFUSED  not asked for until GOSSIP_REFUSED_MS have gone */
enum track_state { TRACK_WAITING = 1, TRACK_ASKED, TRACK_JUDGED, TRACK_LATER, TRACK_RECENT, TRACK_REFUSED };
struct track {
	struct id32 id; /* first: idmap */
	struct track *prev, *next; /* in its state's list, oldest first */
	uint64_t has, tried; /* peer slots: said or proved that they have it; were asked, or lied */
	uint64_t since_ms;   /* in this state */
	uint32_t wait_ms, len; /* LATER; JUDGED: the record's length */
	uint16_t topic;      /* slot, NO_TOPIC while not known */
	uint8_t state, slot, owner, urgency; /* owner: on whose word it is wanted */
	bool is_unasked;     /* JUDGED: it came by itself */
	bool is_dependency, is_widened; /* all peers may be asked; they are among `has` now */
};
struct track_list { struct track *first, *last; size_t len; };

struct bucket { uint64_t milli, at_ms; };

/* What is to be said to a peer about one topic, gathered for GOSSIP_BATCH_MS. */
struct haves { struct id32 topic; struct id32 *ids; size_t len; uint64_t due_ms; };

struct peer {
	uint32_t number; /* 0: the slot is free */
	bool is_seed;
	bool has_waiting; /* maybe: something WAITING could be had here */
	uint32_t kinds;   /* bit set of our kinds' indexes */
	uint64_t follows[GOSSIP_TOPICS_MAX / 64]; /* bit set of topic slots */
	uint64_t due[GOSSIP_TOPICS_MAX / 64];     /* topics whose repair begins soon */
	uint64_t due_ms;
	uint64_t *topics; /* salted hashes of all its topics, for those that we follow later */
	size_t topics_len;
	struct bucket unasked, eager, answers;
	struct track_list asked;
	uint64_t check_ms;    /* when the first GET may be overdue */
	uint64_t answered_ms; /* the last record that was asked for */
	size_t busy;          /* ASKED, and JUDGED that was asked for */
	size_t inbox_len, inbox_bytes; /* JUDGED that was not */
	size_t owned;         /* wants on its word */
	size_t lookups, answers_due;
	struct haves haves;
	struct gossip_stats stats;
};

struct gossip {
	struct peer peers[GOSSIP_PEERS_MAX];
	struct topic *topics; /* GOSSIP_TOPICS_MAX slots */
	struct idmap by_topic, held, tracks;
	uint32_t kinds[GOSSIP_KINDS_MAX];
	size_t kinds_len;
	struct track_list waiting[URGENCIES], judged, later, recent, refused;
	size_t wants_len; /* WAITING, ASKED, JUDGED, LATER */
	uint64_t later_at_ms, expire_at_ms;
	struct queued *queue, **queue_end;
	struct queued *given; /* lent to the caller of gossip_next() */
	size_t queue_bytes;
	uint8_t seed[32];
	uint64_t draws;
	uint64_t now_ms, unix_ms; /* last heard of */
	struct gossip_stats stats;
};

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

static inline struct topic *gossip_topic(const struct gossip *g, const struct id32 *id) { return idmap_get(&g->by_topic, id); }
static inline uint16_t gossip_slot(const struct gossip *g, const struct topic *t) { return t ? (uint16_t)(t - g->topics) : NO_TOPIC; }
static inline uint8_t gossip_peer_slot(const struct gossip *g, const struct peer *p) { return (uint8_t)(p - g->peers); }
static inline uint64_t gossip_bit(const struct gossip *g, const struct peer *p) { return UINT64_C(1) << (p - g->peers); }
static inline bool bits_have(const uint64_t *bits, size_t at) { return bits[at / 64] >> at % 64 & 1; }
static inline void bits_set(uint64_t *bits, size_t at) { bits[at / 64] |= UINT64_C(1) << at % 64; }
static inline void bits_clear(uint64_t *bits, size_t at) { bits[at / 64] &= ~(UINT64_C(1) << at % 64); }
static inline bool gossip_peer_follows(const struct gossip *g, const struct peer *p, const struct topic *t)
{
	return bits_have(p->follows, gossip_slot(g, t));
}

static inline struct held *gossip_held(const struct gossip *g, const struct id32 *id)
{
	uint8_t *const key = idmap_get(&g->held, id);
	return key ? (struct held *)(void *)(key - offsetof(struct held, item.id)) : NULL;
}

static inline void gossip_fault(struct gossip *g, struct peer *p, enum gossip_fault why)
{
	g->stats.faults[why]++;
	p->stats.faults[why]++;
}

/* gossip_send.c */
/* Queues an action; bytes are copied, an OFFER's signature too. False: no room. */
bool gossip_push(struct gossip *g, struct gossip_action action, const uint8_t *bytes, size_t len);
void gossip_send_ids(struct gossip *g, const struct peer *p, enum session_message type, const struct id32 *topic, const struct id32 *ids, size_t len);
void gossip_send_record(struct gossip *g, struct peer *p, const struct record *r);
void gossip_send_range(struct gossip *g, const struct peer *p, const struct gossip_range *range);
/* Gathers ids for one HAVE; gossip_flush_haves() sends it. */
void gossip_announce(struct gossip *g, struct peer *p, const struct topic *t, const struct id32 *id);
void gossip_flush_haves(struct gossip *g, struct peer *p);

/* gossip_ask.c */
struct track *gossip_track(const struct gossip *g, const struct id32 *id);
/* A new one, WAITING, wanted on owner's word (NULL: nobody's). NULL: a ceiling, counted. */
struct track *gossip_track_new(struct gossip *g, const struct id32 *id, struct peer *owner);
/* Into that state, now; the lists' ceilings push out the oldest. */
void gossip_track_move(struct gossip *g, struct track *t, enum track_state state);
/* Offered to intake, from p. */
void gossip_track_judge(struct gossip *g, struct track *t, const struct peer *p, bool is_unasked, size_t len);
void gossip_track_drop(struct gossip *g, struct track *t);
/* p has it: wanted if it is new here. t: its topic, NULL when not known. */
void gossip_heard(struct gossip *g, struct peer *p, const struct topic *t, const struct id32 *id, uint8_t urgency);
/* Whoever can be asked is asked; one GET a peer. */
void gossip_ask(struct gossip *g);
/* Nobody is asked for it any more: the next, or it is given up (a gap: repair will find it). */
void gossip_next_source(struct gossip *g, struct track *t);
void gossip_overdue(struct gossip *g);
/* What is LATER, JUDGED or REFUSED for too long. Returns when to look again. */
uint64_t gossip_lapse(struct gossip *g);
/* The peer is going. */
void gossip_forget_peer(struct gossip *g, struct peer *p);
/* What was refused in a topic may be asked for again. */
void gossip_forget_refused(struct gossip *g, uint16_t topic);

/* gossip_peers.c */
/* Deterministic choice below `most`. */
uint32_t gossip_draw(struct gossip *g, uint32_t most);
/* Index of a kind, -1 for one that is not carried. */
int gossip_kind(const struct gossip *g, uint32_t kind);
bool gossip_take(struct gossip *g, struct bucket *b, uint64_t amount, uint64_t per_s, uint64_t burst);
/* What a peer follows, as it says. with_repair: those that we follow too and did not share before are compared soon. */
void gossip_peer_topics(struct gossip *g, struct peer *p, const struct id32 *topics, size_t len, bool with_repair);
/* Out of its set, and freed. */
void gossip_release_held(struct gossip *g, struct held *h);

/* gossip_repair.c */
void gossip_repair(struct gossip *g, struct peer *p, struct topic *t);
void gossip_repair_kind(struct gossip *g, struct peer *p, struct topic *t, size_t kind);
bool gossip_on_reconcile(struct gossip *g, struct peer *p, const uint8_t *bytes, size_t len);
/* Something of the topic was missed somewhere: it is compared soon. */
void gossip_gap(struct gossip *g, struct topic *t);
/* Repairs that are due. Returns when the next one is. */
uint64_t gossip_repair_tick(struct gossip *g);

#endif
