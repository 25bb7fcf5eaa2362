/* Blobs between peers: logs and artifacts of results, up to EXCHANGE_SIZE_MAX, verified leaf by leaf. Sans-I/O.
 *
 * A want asks one source at a time, in this order: the peer that offered it, the result's author when it is connected, then
 * other peers that follow the topic; each may forward the request one hop to a peer that has it, so that nodes which only dial
 * out can be reached. Data come in order in leaves of 16 KiB, each with its RFC 9162 audit path, checked against the root before
 * the next is taken (a forwarding node checks too). A source that ends early, lies or stalls for EXCHANGE_STALL_MS is left for the
 * next; what was verified stays. Nobody is asked twice for one want; when all were asked it has failed.
 * Serving: EXCHANGE_OPEN asks the node for the bytes; they are sent one leaf per exchange_writable(), so that gossip overtakes, and
 * no further than the asker said (BLOB_MORE), so that a forwarding node holds at most EXCHANGE_RELAY_WINDOW leaves.
 * An offer says what the offerer has; the other side wants it or not.
 * After every call take exchange_next() until there is none, and look at exchange_has_bulk() of peers whose socket is idle.
 * Every list has a ceiling. Must not know: results, files, sockets. Links: proto (merkle, mp).
 * Source: PROTOCOL "Blobs". */
#ifndef TALKOO_P2P_EXCHANGE_H
#define TALKOO_P2P_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "p2p/session.h"
#include "proto/ids.h"
#include "proto/merkle.h"

#define EXCHANGE_SIZE_MAX (UINT64_C(16) << 20)
#define EXCHANGE_NAME_MAX 512
#define EXCHANGE_WANTS_MAX 16     /* memory: each holds what it has of its blob */
#define EXCHANGE_SERVES_MAX 16
#define EXCHANGE_SERVES_PER_PEER 4
#define EXCHANGE_RELAYS_MAX 32
#define EXCHANGE_RELAYS_PER_PEER 4
#define EXCHANGE_RELAY_WINDOW 16  /* leaves */
#define EXCHANGE_RELAY_TRIES 3    /* sources that are asked for one forwarded request */
#define EXCHANGE_PEERS_MAX 64
#define EXCHANGE_ASKS_PER_S 50    /* BLOB_GET and BLOB_OFFER of one peer; more are refused */
#define EXCHANGE_ASKS_BURST 200
#define EXCHANGE_STALL_MS 5000    /* a source that sends nothing */
#define EXCHANGE_RELAY_STALL_MS 2000 /* … of a forwarded request: less, so that the next is tried before the asker gives up */
#define EXCHANGE_SERVE_STALL_MS 30000 /* an asker that takes nothing */

/* Which blob: a result's file by name, its digest's root and size. */
struct exchange_ref {
	struct id32 topic;
	struct id32 result;        /* record id */
	struct node_id author;     /* of the result */
	uint8_t root[32];
	uint64_t size;
	char name[EXCHANGE_NAME_MAX]; /* "log", "index.json", "artifacts/PATH" */
};

/* Why a want or a serve ended; on the wire in BLOB_END. */
#define EXCHANGE_ENDS(X)                                                                                               \
	X(EXCHANGE_END_DONE, 1, "done")                                                                                \
	X(EXCHANGE_END_NOT_FOUND, 2, "not-found")                                                                      \
	X(EXCHANGE_END_BUSY, 3, "busy")                                                                                \
	X(EXCHANGE_END_CANCELLED, 4, "cancelled")                                                                      \
	X(EXCHANGE_END_FALSE, 5, "false-data")                                                                         \
	X(EXCHANGE_END_STALLED, 6, "stalled")                                                                          \
	X(EXCHANGE_END_MALFORMED, 7, "malformed")                                                                      \
	X(EXCHANGE_END_GONE, 8, "gone")           /* the connection ended; never on the wire */                        \
	X(EXCHANGE_END_FULL, 9, "full")           /* no memory here */
enum exchange_end {
#define X(name, value, text) name = value,
	EXCHANGE_ENDS(X)
#undef X
};
const char *exchange_end_name(enum exchange_end why); /* "unknown" */

enum exchange_action_type {
	EXCHANGE_SEND = 1, /* peer, message, bytes, len: small messages, at once */
	EXCHANGE_OPEN,     /* serve, ref, peer: answer with exchange_opened() or exchange_refused() */
	EXCHANGE_CLOSE,    /* serve: exactly one for each OPEN, whatever happened: the number is over, and bytes given with exchange_opened()
			    * are not used any more; an answer not given yet is not wanted any more */
	EXCHANGE_OFFERED,  /* peer, ref: exchange_want() it or not */
	EXCHANGE_DONE,     /* want, ref, bytes, len: whole and verified; lent until the next exchange_next() */
	EXCHANGE_FAILED,   /* want, ref, why (of the last source; NOT_FOUND when there was none to ask) */
};
struct exchange_action {
	enum exchange_action_type type;
	uint32_t peer, serve, want;
	enum session_message message;
	const uint8_t *bytes;
	size_t len;
	struct exchange_ref ref;
	enum exchange_end why;
};

struct exchange;
/* NULL without memory. */
struct exchange *exchange_new(const struct node_id *self);
void exchange_free(struct exchange *e);

/* peer: the caller's number of the connection, not 0, unique among the open ones. More than EXCHANGE_PEERS_MAX are not served. */
void exchange_peer_open(struct exchange *e, uint32_t peer, const struct node_id *id, const struct id32 *topics, size_t topics_len, uint64_t now_ms);
/* All that the peer follows now. */
void exchange_peer_topics(struct exchange *e, uint32_t peer, const struct id32 *topics, size_t topics_len);
void exchange_peer_close(struct exchange *e, uint32_t peer, uint64_t now_ms);
/* BLOB_GET, BLOB_DATA, BLOB_END, BLOB_OFFER, BLOB_MORE. */
void exchange_input(struct exchange *e, uint32_t peer, enum session_message type, const uint8_t *bytes, size_t len, uint64_t now_ms);
/* The peer's socket took all that was waiting: at most one bulk message to send it, false when there is none. bytes are lent until the next
 * call on e. */
bool exchange_writable(struct exchange *e, uint32_t peer, uint64_t now_ms, enum session_message *ret_type, const uint8_t **ret_bytes, size_t *ret_len);
/* Whether exchange_writable() would give something. */
bool exchange_has_bulk(const struct exchange *e, uint32_t peer);

/* Returns the want's number, 0 when there is no room or it is too large. first: a peer known to have it (an offer's), 0: none. The same ref twice
 * gives the same number. It ends with one DONE or one FAILED, or with exchange_cancel(). */
uint32_t exchange_want(struct exchange *e, const struct exchange_ref *ref, uint32_t first, uint64_t now_ms);
void exchange_cancel(struct exchange *e, uint32_t want);
void exchange_offer(struct exchange *e, uint32_t peer, const struct exchange_ref *ref);
/* bytes: ref.size of them, lent until EXCHANGE_CLOSE; leaves: their merkle_leaves() (pure, for a worker thread), copied. Leaves that are not
 * those of ref's root (the file is another one by now) are answered with NOT_FOUND. A number that is over is ignored. */
void exchange_opened(struct exchange *e, uint32_t serve, const uint8_t *bytes, const struct merkle_hash *leaves, size_t leaves_len, uint64_t now_ms);
/* why: NOT_FOUND (then it may be forwarded) or BUSY. */
void exchange_refused(struct exchange *e, uint32_t serve, enum exchange_end why, uint64_t now_ms);

/* Returns the monotonic time at which it wants to be called next; UINT64_MAX: nothing waits. */
uint64_t exchange_tick(struct exchange *e, uint64_t now_ms);
bool exchange_next(struct exchange *e, struct exchange_action *ret);

struct exchange_stats {
	uint64_t bytes_in, bytes_out; /* of blobs, payload only */
	uint64_t relayed;             /* leaves passed on */
	uint64_t false_data, stalls, malformed;
	uint64_t unasked;             /* data of a request that was never made */
	uint64_t refused;             /* asks over a ceiling or a rate */
};
const struct exchange_stats *exchange_stats(const struct exchange *e);

#endif
