/* Whom to call and when: the address book, back-off, and enough connections for every followed topic. Sans-I/O.
 *
 * How it is used. Tell it what is followed, which addresses are known, which connections opened and closed; take actions with
 * dialer_next() until there is none; call dialer_tick() when it said. It keeps at least DIALER_PER_TOPIC open connections to
 * peers that follow each followed topic (one connection may serve several topics), beside DIALER_RANDOM others, and the pinned
 * addresses (seeds of config.yml and of links, `talkoo connect`) while there are too few others. A failed call is tried again
 * after a wait that doubles, with jitter, from DIALER_BACKOFF_FIRST_MS to DIALER_BACKOFF_MOST_MS (pinned: DIALER_BACKOFF_PINNED_MS).
 * Of the carriers of a topic at least one is to be a peer that we called ourselves: who calls us may be anybody.
 * Reads no clock and no randomness but what it is given; every list has a ceiling, pinned addresses are never evicted for learned ones.
 * Must not know: sockets, sessions, records' admission. Links: proto, addrbook.
 * Source: ARCHITECTURE "Finding carriers"; PROTOCOL "Peers". */
#ifndef TALKOO_P2P_DIALER_H
#define TALKOO_P2P_DIALER_H

#include <stdbool.h>
#include <stdint.h>

#include "p2p/session.h"
#include "proto/ids.h"
#include "proto/record.h"

#define DIALER_PER_TOPIC 3
#define DIALER_RANDOM 4
#define DIALER_PINNED_MAX 256
#define DIALER_TOPICS_MAX 1024
#define DIALER_BACKOFF_FIRST_MS 1000
#define DIALER_BACKOFF_MOST_MS 300000
#define DIALER_BACKOFF_PINNED_MS 30000
#define DIALER_ASK_MS 30000           /* PEERS(topic) again while a topic has too few */
#define DIALER_CALLS_MAX 8            /* under way at once */
#define DIALER_OUTBOUND_MAX 24        /* that we dialled: under way and open */
#define DIALER_PEERS_MAX 128
#define DIALER_SHORT_MS 60000         /* a connection that lasted less counts as a failed call */
#define DIALER_CROSSED_MS 20000       /* two that opened within it crossed on the way; else the newer stays, the older may be dead */
#define DIALER_DOUBT_MS 90000         /* after the machine woke, so long its connections count for nothing: they may be dead */
#define DIALER_LEARNED_FAILS_MAX 4    /* of each address of a node that never answered: then it is forgotten */
#define DIALER_REFERRAL_LIFE_MS 86400000 /* a node is referred to for so long after its last hello with that topic */

enum dialer_action_type {
	DIALER_DIAL = 1, /* addr: answer with dialer_opened() or dialer_failed() */
	DIALER_ASK,      /* peer, topic (zero: the peer's own node record): send PEERS_GET */
	DIALER_HANG_UP,  /* peer: a second connection between the same two */
};
struct dialer_action {
	enum dialer_action_type type;
	struct node_addr addr;
	bool may_be_private; /* DIAL: false: an address that the host's name leads to must be a public one */
	uint32_t peer;
	struct id32 topic;
};

/* An open connection, its id proven. Everything lent. */
struct dialer_peer {
	uint32_t number;
	const struct node_id *id;
	const char *from;         /* HOST:PORT, [HOST]:PORT: where it is */
	const struct id32 *topics; /* of its hello */
	size_t topics_len;
	bool is_outbound;         /* we dialled */
};

struct dialer;
/* seed: this engine's randomness. is_private: a test network, loopback and private addresses of node records are called. NULL without
 * memory. */
struct dialer *dialer_new(const struct node_id *self, const uint8_t seed[32], bool is_private);
void dialer_free(struct dialer *d);

/* Topics whose connections are counted. False: the ceiling. */
bool dialer_follow(struct dialer *d, const struct id32 *topic, uint64_t now_ms);
void dialer_unfollow(struct dialer *d, const struct id32 *topic);

/* A pinned address: of config.yml, of a link, of a person. It is called at once, also when it is here already (its wait is over). False: no
 * room, or our own id. */
bool dialer_pin(struct dialer *d, const struct node_addr *addr, uint64_t now_ms);
/* A verified `node` record that an open peer sent (topic: what it was asked for, zero: its own). Newest of each author wins. Addresses that no
 * stranger should make us call (loopback, private, link-local, unspecified) are taken only in a private network, or when the peer itself is
 * at such a one. False: refused (expired, from the future, no address left, no room, our own, another's under zero). */
bool dialer_learn(struct dialer *d, uint32_t peer, struct record *node_record, const struct id32 *topic, uint64_t now_ms, uint64_t unix_ms);
/* What is known for PEERS(topic): node records of peers that said hello with it within the day, at most max, randomly chosen; topic
 * zero gives none. References. Returns how many. */
size_t dialer_referrals(struct dialer *d, const struct id32 *topic, struct record **ret, size_t max, uint64_t unix_ms);

/* A connection is open. Of two between a pair the one that the lower id dialled stays: HANG_UP comes for the other. Both sides say the same. */
void dialer_opened(struct dialer *d, const struct dialer_peer *p, uint64_t now_ms, uint64_t unix_ms);
void dialer_topics(struct dialer *d, uint32_t peer, const struct id32 *topics, size_t topics_len, uint64_t unix_ms);
void dialer_closed(struct dialer *d, uint32_t peer, uint64_t now_ms);
/* A call that did not end in dialer_opened(). is_wrong: another id answered there: a learned address is forgotten. */
void dialer_failed(struct dialer *d, const struct node_addr *addr, bool is_wrong, uint64_t now_ms);
/* The machine woke up or changed networks: all waits are over, and open connections are doubtful: they stay, but who is called is
 * called anew. */
void dialer_woke(struct dialer *d, uint64_t now_ms);

/* Returns the monotonic time at which it wants to be called next; UINT64_MAX: nothing waits. */
uint64_t dialer_tick(struct dialer *d, uint64_t now_ms, uint64_t unix_ms);
bool dialer_next(struct dialer *d, struct dialer_action *ret);

struct dialer_stats { size_t pinned, learned, calls_under_way; uint64_t calls, failures; };
void dialer_stats(const struct dialer *d, struct dialer_stats *ret);
size_t dialer_carriers(const struct dialer *d, const struct id32 *topic); /* open connections whose peer follows it */

#endif
