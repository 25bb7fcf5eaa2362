/* The network of one node, whole and sans-I/O: sessions, gossip, dialer, blobs and live logs behind connection numbers.
 *
 * How it is used. A transport (transport_uv.c over TCP, or the simulator's) and the node both hold it:
 *   transport: network_accepted(), network_connected(), network_input(), network_lost(); takes NETWORK_DIAL, NETWORK_OUTPUT,
 *              NETWORK_HANG_UP; network_output()/network_output_done() until there is none, then network_writable().
 *   node:      network_follow(), network_load(), network_admitted() …; takes NETWORK_RECORD, NETWORK_LOOKUP, NETWORK_PEER, and the
 *              actions of exchange and livelog that are meant for it.
 * After any call take network_next() until there is none; call network_tick() when it said. A connection's number is never
 * used again. Reads no clock and no randomness but what it is given.
 *
 * States of a connection:
 *   DIALLING   NETWORK_DIAL was given; ends by network_connected() or network_lost()
 *   SHAKING    bytes pass, the peer's id is not proven or its hello not here; ends within SESSION_HANDSHAKE_MS
 *   OPEN       messages pass; NETWORK_PEER said so
 *   CLOSING    NETWORK_HANG_UP was given; what is waiting is still written; ends by network_lost()
 *
 * Must not know: libuv, store, intake's rules. Links: session, gossip, dialer, exchange, livelog. */
#ifndef TALKOO_P2P_NETWORK_H
#define TALKOO_P2P_NETWORK_H

#include "p2p/dialer.h"
#include "p2p/exchange.h"
#include "p2p/gossip.h"
#include "p2p/livelog.h"
#include "p2p/session.h"

#define NETWORK_CONNECTIONS_MAX 64  /* open and on the way */
#define NETWORK_INBOUND_MAX 48
#define NETWORK_FAULTS_MAX 16       /* of one connection; then it is hung up on */
#define NETWORK_INBOUND_PER_HOST 16 /* of one address that is not loopback */

struct network_options {
	const char *network;
	const uint8_t *identity_secret; /* lent for its life, libsodium's 64 bytes */
	uint8_t seed[32];               /* randomness: the static key, salts, choices */
	bool is_private;                /* loopback and private addresses of others' node records may be dialled */
	const uint32_t *more_kinds;     /* tests of evolution: kinds beside ours that the hello names */
	size_t more_kinds_len;
	uint64_t now_ms, unix_ms;       /* monotonic; wall clock */
};

enum network_action_type {
	/* for the transport */
	NETWORK_DIAL = 1, /* connection, addr, may_be_private (else only public addresses that the name leads to) */
	NETWORK_OUTPUT,   /* connection: network_output() has bytes */
	NETWORK_HANG_UP,  /* connection: close it when its output is written */
	/* for the node */
	NETWORK_RECORD,   /* peer, bytes, len, signature, id, was_asked: verify and judge it, then network_admitted() or network_refused() */
	NETWORK_LOOKUP,   /* peer, id: network_found() or network_not_found() */
	NETWORK_PEER,     /* peer, is_open: came or went */
	NETWORK_EXCHANGE, /* exchange: OPEN, CLOSE, OFFERED, DONE, FAILED */
	NETWORK_LIVELOG,  /* livelog: READ, CHUNK, LOST */
};

/* Lent until the next call of network_next(). */
struct network_action {
	enum network_action_type type;
	uint32_t connection; /* also the peer's number */
	struct node_addr addr;
	const uint8_t *bytes;
	size_t len;
	const uint8_t *signature;
	struct id32 id;
	bool was_asked, is_open, may_be_private;
	struct exchange_action exchange;
	struct livelog_action livelog;
};

struct network;
int network_new(const struct network_options *o, struct network **ret, struct err *err) MUST_CHECK;
void network_free(struct network *n);

/* ---- the transport's side */

/* A peer called us. from: its address as text, for limits and for people. 0: no room; close it. */
uint32_t network_accepted(struct network *n, const char *from, uint64_t now_ms);
/* A call reached somebody. */
void network_connected(struct network *n, uint32_t connection, uint64_t now_ms);
void network_input(struct network *n, uint32_t connection, const uint8_t *bytes, size_t len, uint64_t now_ms);
/* The socket is gone, or never came. The number is over. */
void network_lost(struct network *n, uint32_t connection, uint64_t now_ms);
/* Lent until the next call; NULL: nothing waits. */
const uint8_t *network_output(struct network *n, uint32_t connection, size_t *ret_len);
void network_output_done(struct network *n, uint32_t connection, size_t len);
/* All that waited was taken by the kernel: bulk may follow. */
void network_writable(struct network *n, uint32_t connection, uint64_t now_ms);
/* The machine slept, or its addresses changed. */
void network_woke(struct network *n, uint64_t now_ms);

/* Time. Returns when it wants to be called next (monotonic ms; UINT64_MAX: nothing waits). */
uint64_t network_tick(struct network *n, uint64_t now_ms, uint64_t unix_ms);
bool network_next(struct network *n, struct network_action *ret);

/* ---- the node's side */

bool network_follow(struct network *n, const struct id32 *topic, uint64_t now_ms);
void network_unfollow(struct network *n, const struct id32 *topic, uint64_t now_ms);
size_t network_topics_len(const struct network *n);
const struct id32 *network_topic(const struct network *n, size_t i); /* lent until the next follow or unfollow */
/* Peers are told that we can be called at that port; 0, as it begins: we only dial out. */
void network_set_listening(struct network *n, uint16_t port);
/* Our own `node` record, given to those who ask; NULL: none. A reference is kept. */
void network_set_self(struct network *n, struct record *node_record);
/* Calls it, and keeps to it. is_seed: it refers and repairs, and is no eager peer. */
bool network_pin(struct network *n, const struct node_addr *addr, bool is_seed, uint64_t now_ms);

/* Records: see gossip.h. from: the connection, 0 for our own. */
void network_load(struct network *n, const struct id32 *topic, uint32_t kind, const struct recset_item *item);
void network_admitted(struct network *n, const struct record *r, uint32_t from, uint64_t now_ms);
void network_refused(struct network *n, const struct id32 *id);
void network_postponed(struct network *n, const struct id32 *id, uint64_t now_ms); /* no room now */
/* from offered bytes that do not prove themselves: counted, hung up on when it goes on; the next that announced the id is asked. */
void network_unproven(struct network *n, const struct id32 *id, uint32_t from, uint64_t now_ms);
void network_dropped(struct network *n, const struct id32 *id);
void network_want(struct network *n, const struct id32 *id, uint32_t from, uint64_t now_ms);
void network_found(struct network *n, uint32_t connection, const struct record *r);
void network_not_found(struct network *n, uint32_t connection, const struct id32 *id);

/* Blobs and live logs: the engines themselves; call their functions of the node's side, then take network_next(). */
struct exchange *network_exchange(struct network *n);
struct livelog *network_livelog(struct network *n);

/* ---- for people */

struct network_peer {
	uint32_t connection;
	struct node_id id;
	char from[ADDR_TEXT_MAX]; /* HOST:PORT */
	bool is_outbound, is_seed;
	uint64_t since_ms; /* monotonic */
	int64_t clock_ahead_ms; /* of the peer, as its hello said */
	uint64_t bytes_in, bytes_out, records_in, faults;
	size_t topics;     /* that it and we follow */
};
/* The open ones, at most max. Returns how many. */
size_t network_peers(const struct network *n, struct network_peer *ret, size_t max);
/* Open connections whose peer is id, 0: none. */
uint32_t network_find(const struct network *n, const struct node_id *id);
/* Open connections whose peer follows the topic, seeds last, at most max. Returns how many. */
size_t network_carriers(const struct network *n, const struct id32 *topic, uint32_t *ret, size_t max);

struct network_stats {
	size_t open, shaking, dialling;
	uint64_t closed[CLOSE_DUPLICATE + 1]; /* by enum session_close */
	uint64_t refused_accepts;
};
const struct network_stats *network_stats(struct network *n);
const struct gossip_stats *network_gossip_stats(const struct network *n);

#endif
