/* Which records go where: announce, ask, hand over, relay, repair. Sans-I/O: calls in, actions out; it keeps ids, never records.
 *
 * How it is used. The node tells what happens (a peer opened, a message came, a record was admitted by intake, time passed)
 * and then takes actions with gossip_next() until there is none: send a message, give a received record to intake, look a
 * record up for a peer. Relay happens after admission only: gossip_admitted() is what spreads a record, and where it came
 * from does not matter (our own come the same way, from nobody).
 * Reads no clock and no randomness but what it is given; every list has a ceiling.
 * Must not know: authority, policy, store, sockets, sessions. Links: proto.
 * Source: PROTOCOL 14. */
#ifndef TALKOO_P2P_GOSSIP_H
#define TALKOO_P2P_GOSSIP_H

#include <stdbool.h>
#include <stdint.h>

#include "p2p/recset.h"
#include "p2p/session.h"
#include "proto/record.h"

#define GOSSIP_PEERS_MAX 64
#define GOSSIP_TOPICS_MAX SESSION_TOPICS_MAX /* followed: all of them stand in a hello */
#define GOSSIP_KINDS_MAX 16
#define GOSSIP_TOPIC_RECORDS_MAX 100000
#define GOSSIP_WANTS_MAX 8192         /* ids asked for or to be asked for */
#define GOSSIP_WANTS_PEER_MAX 2048    /* … on one peer's word */
#define GOSSIP_WINDOW 48              /* ids asked of one peer and not answered: their records fit into a session's output */
#define GOSSIP_LOOKUPS_MAX 256        /* asked by one peer and not answered; more are dropped */
#define GOSSIP_INBOX_MAX 50           /* unasked records of one peer that are not judged */
#define GOSSIP_INBOX_BYTES_MAX (1u << 20)
#define GOSSIP_RECENT_MAX 4096        /* records whose holders are remembered */
#define GOSSIP_IDS_MAX 256            /* in one message */
#define GOSSIP_EAGER_PEERS 2          /* get a new record unasked; the others hear its id */
#define GOSSIP_EAGER_LEN_MAX 1024
#define GOSSIP_BATCH_MS 50
#define GOSSIP_GET_MS 400             /* without an answer: then the next that announced it is asked */
#define GOSSIP_GET_MOST_MS 4000       /* for one that alone has it, or that answers slowly */
#define GOSSIP_JUDGE_MS 60000         /* intake has forgotten it */
#define GOSSIP_REFUSED_MS 600000      /* what was refused is not asked for */
#define GOSSIP_LATER_FIRST_MS 5000    /* what found no room; doubling to GOSSIP_REFUSED_MS */
#define GOSSIP_UNASKED_PER_S 20
#define GOSSIP_UNASKED_BURST 2000
#define GOSSIP_REPAIR_FIRST_MS 5000   /* after a gap; doubling to … */
#define GOSSIP_REPAIR_MOST_MS 60000

/* Why something of a peer was not taken: counted per peer, never answered. */
#define GOSSIP_FAULTS(X)                                                                                               \
	X(GOSSIP_FAULT_MALFORMED, 1, "malformed")                                                                      \
	X(GOSSIP_FAULT_RATE, 2, "rate")           /* more unasked records than allowed */                              \
	X(GOSSIP_FAULT_DUPLICATE, 3, "duplicate") /* a record that was here already */                                 \
	X(GOSSIP_FAULT_TOPIC, 4, "topic")         /* about a topic that we do not follow */                            \
	X(GOSSIP_FAULT_FULL, 5, "full")           /* our own ceiling */                                                \
	X(GOSSIP_FAULT_KIND, 6, "kind")           /* of a kind that our hello does not name */                         \
	X(GOSSIP_FAULT_UNASKED, 7, "unasked")     /* an answer without a question */
enum gossip_fault {
#define X(name, value, text) name = value,
	GOSSIP_FAULTS(X)
#undef X
	GOSSIP_FAULTS_LEN = 8
};

enum gossip_action_type {
	GOSSIP_SEND = 1, /* message, bytes, len: to peer */
	GOSSIP_OFFER,    /* bytes, len, signature, id: a record from peer, for intake; was_asked */
	GOSSIP_LOOKUP,   /* id: peer asks for it; answer with gossip_found() or gossip_not_found() */
};

/* Lent until the next call of gossip_next(). */
struct gossip_action {
	enum gossip_action_type type;
	uint32_t peer;
	enum session_message message;
	const uint8_t *bytes;
	size_t len;
	const uint8_t *signature;
	struct id32 id;
	bool was_asked;
};

struct gossip;
/* seed: randomness of this engine (salts, choices). */
struct gossip *gossip_new(const uint8_t seed[32]);
void gossip_free(struct gossip *g);
/* Beside ours; before the first topic (tests of evolution). False: too many. */
bool gossip_carry(struct gossip *g, uint32_t kind);

/* Topics of our own. Records of a topic that is not followed are not taken. */
bool gossip_follow(struct gossip *g, const struct id32 *topic);
void gossip_unfollow(struct gossip *g, const struct id32 *topic);

/* peer: the caller's number of the connection, not 0, unique among the open ones. we_dialled: that side begins the repair. False: full. */
bool gossip_peer_open(struct gossip *g, uint32_t peer, const struct session_hello *hello, bool is_seed, bool we_dialled, uint64_t now_ms);
void gossip_peer_close(struct gossip *g, uint32_t peer, uint64_t now_ms);
/* A message of one of the types HAVE, GET, RECORD, NOT_FOUND, RECONCILE, TOPICS. False: malformed. */
bool gossip_input(struct gossip *g, uint32_t peer, enum session_message type, const uint8_t *bytes, size_t len, uint64_t now_ms);

/* At the start: what the store holds already; nothing is sent. */
void gossip_load(struct gossip *g, const struct id32 *topic, uint32_t kind, const struct recset_item *item);
/* Intake admitted it (and it is durable, or was here): spreads it. from: the peer that brought it, 0 for our own. */
void gossip_admitted(struct gossip *g, const struct record *r, uint32_t from, uint64_t now_ms);
/* Every GOSSIP_OFFER is answered by one of these four, sooner or later; until then the same record is not offered again.
 * Intake did not take it, or put it aside (parked, dated in the future: gossip_admitted() when it is taken later): nobody is asked for it
 * for GOSSIP_REFUSED_MS, or until the topic's project record changes. */
void gossip_refused(struct gossip *g, const struct id32 *id);
/* Intake had no room at the moment (parked-full, topic-full, the store is behind): asked for again after a while. */
void gossip_postponed(struct gossip *g, const struct id32 *id, uint64_t now_ms);
/* What peer offered under that id is not proven (a wrong signature, or no memory to judge it): says nothing about the id, since the signature is
 * no part of it; the next that announced it is asked. */
void gossip_unproven(struct gossip *g, const struct id32 *id, uint64_t now_ms);
/* It left the set (superseded, evicted, forgotten). */
void gossip_dropped(struct gossip *g, const struct id32 *id);
/* A dependency: ask that peer, then the others, for it. id: of a record, or a followed topic whose project record is missing. */
void gossip_want(struct gossip *g, const struct id32 *id, uint32_t peer, uint64_t now_ms);
void gossip_found(struct gossip *g, uint32_t peer, const struct record *r);
void gossip_not_found(struct gossip *g, uint32_t peer, const struct id32 *id);

/* Time: batches, overdue GETs, repair. Returns when it wants to be called next (monotonic ms). unix_ms: for expiry. */
uint64_t gossip_tick(struct gossip *g, uint64_t now_ms, uint64_t unix_ms);
bool gossip_next(struct gossip *g, struct gossip_action *ret);

struct gossip_stats { uint64_t records_in, records_out, haves_out, gets_out, gets_overdue, repairs; uint64_t faults[GOSSIP_FAULTS_LEN]; };
const struct gossip_stats *gossip_stats(const struct gossip *g);
/* Of one open peer; NULL: there is none of that number. */
const struct gossip_stats *gossip_peer_stats(const struct gossip *g, uint32_t peer);
size_t gossip_count(const struct gossip *g, const struct id32 *topic, uint32_t kind);

#endif
