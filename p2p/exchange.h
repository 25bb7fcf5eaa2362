/* Blobs between peers: logs and artifacts of results, up to EXCHANGE_SIZE_MAX, verified leaf by leaf. Sans-I/O.
 *
 * A want asks one source at a time, in order: the result's author when it is connected, then other peers that follow the topic;
 * each may forward the request one hop to a peer that has it, so that nodes which only dial out can be reached. Data come in
 * order in leaves of 16 KiB, each with its RFC 9162 audit path, checked against the root before the next is taken. A source that
 * ends early, lies or stalls for EXCHANGE_STALL_MS is left for the next; what was verified stays.
 * Serving: EXCHANGE_OPEN asks the node for the bytes; they are sent one leaf per exchange_writable(), so that gossip overtakes.
 * An offer says what the offerer has; the other side wants it or not.
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
#define EXCHANGE_WANTS_MAX 16     /* memory: each holds its blob */
#define EXCHANGE_SERVES_MAX 16
#define EXCHANGE_RELAYS_MAX 32
#define EXCHANGE_PEERS_MAX 64
#define EXCHANGE_STALL_MS 5000

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
	X(EXCHANGE_END_MALFORMED, 7, "malformed")
enum exchange_end {
#define X(name, value, text) name = value,
	EXCHANGE_ENDS(X)
#undef X
};
const char *exchange_end_name(enum exchange_end why);

enum exchange_action_type {
	EXCHANGE_SEND = 1, /* peer, message, bytes, len: small messages, at once */
	EXCHANGE_OPEN,     /* serve, ref: answer with exchange_opened() or exchange_refused() */
	EXCHANGE_CLOSE,    /* serve: the bytes given with exchange_opened() are not used any more */
	EXCHANGE_OFFERED,  /* peer, ref: exchange_want() it or not */
	EXCHANGE_DONE,     /* want, ref, bytes, len: whole and verified; lent */
	EXCHANGE_FAILED,   /* want, ref, why (of the last source) */
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
struct exchange *exchange_new(const struct node_id *self);
void exchange_free(struct exchange *e);

void exchange_peer_open(struct exchange *e, uint32_t peer, const struct node_id *id, const struct id32 *topics, size_t topics_len, uint64_t now_ms);
void exchange_peer_topics(struct exchange *e, uint32_t peer, const struct id32 *topics, size_t topics_len);
void exchange_peer_close(struct exchange *e, uint32_t peer, uint64_t now_ms);
/* BLOB_GET, BLOB_DATA, BLOB_END, BLOB_OFFER. */
void exchange_input(struct exchange *e, uint32_t peer, enum session_message type, const uint8_t *bytes, size_t len, uint64_t now_ms);
/* The peer's socket took all that was waiting: at most one bulk message to send it, false when there is none. bytes are lent until the next
 * call on e. */
bool exchange_writable(struct exchange *e, uint32_t peer, enum session_message *ret_type, const uint8_t **ret_bytes, size_t *ret_len);
bool exchange_has_bulk(const struct exchange *e, uint32_t peer);

/* Returns the want's number, 0 when there is no room or it is too large. first: a peer known to have it (an offer's), 0: none. The same ref twice
 * gives the same number. */
uint32_t exchange_want(struct exchange *e, const struct exchange_ref *ref, uint32_t first, uint64_t now_ms);
void exchange_cancel(struct exchange *e, uint32_t want);
void exchange_offer(struct exchange *e, uint32_t peer, const struct exchange_ref *ref);
/* bytes: ref.size of them, lent until EXCHANGE_CLOSE; leaves: their leaf hashes (exchange_leaves()), copied. */
void exchange_opened(struct exchange *e, uint32_t serve, const uint8_t *bytes, const uint8_t (*leaves)[32], size_t leaves_len);
void exchange_refused(struct exchange *e, uint32_t serve, enum exchange_end why);

uint64_t exchange_tick(struct exchange *e, uint64_t now_ms);
bool exchange_next(struct exchange *e, struct exchange_action *ret);

/* Pure, for a worker thread. Leaf hashes of bytes; ret has (len + 16383) / 16384 rows (one for the empty blob: none). */
void exchange_leaves(const uint8_t *bytes, size_t len, uint8_t (*ret)[32]);

struct exchange_stats { uint64_t bytes_in, bytes_out, relayed, false_data, stalls, malformed; };
const struct exchange_stats *exchange_stats(const struct exchange *e);

#endif
