/* The log of a running job, live, hop by hop along the way by which its claim came. Sans-I/O.
 *
 * A reader subscribes (job, volunteer, offset); each hop asks the peer from which it got the volunteer's newest claim
 * (livelog_route()), the volunteer itself answers from its log file. Every chunk is signed by the volunteer over (tag, network,
 * job, offset, end, bytes) and checked at every hop. A source sends at most LIVELOG_RATE bytes a second and job, and no more than
 * LIVELOG_WINDOW ahead of what the reader said it has (LOG_MORE), so a slow reader fills nobody's queue; one that lags behind by
 * more than LIVELOG_LAG_MAX is moved on (the chunk's offset says how much was left out). The stream ends with an end chunk, with
 * the loss of the way (LIVELOG_LOST: subscribe again, at the offset reached), or with livelog_unsubscribe().
 * After every call take livelog_next() until there is none. Every list has a ceiling. Must not know: files, records' admission, sockets. Links: proto (mp, ed25519).
 * Source: PROTOCOL "Live log". */
#ifndef TALKOO_P2P_LIVELOG_H
#define TALKOO_P2P_LIVELOG_H

#include <stdbool.h>
#include <stdint.h>

#include "p2p/session.h"
#include "proto/ids.h"

#define LIVELOG_CHUNK_MAX 8192
#define LIVELOG_RATE 65536          /* bytes a second and job */
#define LIVELOG_CHUNK_COST_MIN 1024  /* a shorter chunk counts as so many bytes: each costs a signature */
#define LIVELOG_WINDOW 24576
#define LIVELOG_LAG_MAX 262144
#define LIVELOG_HOPS_MAX 8
#define LIVELOG_OWN_MAX 64          /* own jobs whose log is known; oldest go */
#define LIVELOG_STREAMS_MAX 256     /* readers here and passed on, together */
#define LIVELOG_PER_PEER_MAX 32
#define LIVELOG_ROUTES_MAX 4096     /* oldest go */

/* Why a stream ended without an end chunk; on the wire in LOG_END. */
#define LIVELOG_ENDS(X)                                                                                                \
	X(LIVELOG_END_GONE, 1, "gone")           /* the way was lost, or the log cannot be read any more */            \
	X(LIVELOG_END_NO_WAY, 2, "no-way")       /* nobody is known who could be asked */                              \
	X(LIVELOG_END_REFUSED, 3, "refused")     /* a ceiling */                                                       \
	X(LIVELOG_END_CANCELLED, 4, "cancelled") /* the reader does not want it any more */                            \
	X(LIVELOG_END_FALSE, 5, "false-data")    /* a signature does not hold */                                       \
	X(LIVELOG_END_MALFORMED, 6, "malformed")
enum livelog_end {
#define X(name, value, text) name = value,
	LIVELOG_ENDS(X)
#undef X
};
const char *livelog_end_name(enum livelog_end why); /* "unknown" */

enum livelog_action_type {
	LIVELOG_SEND = 1, /* peer, message, bytes, len */
	LIVELOG_READ,     /* stream, job, offset, len: the node reads its own job's log; answer with livelog_data() */
	LIVELOG_CHUNK,    /* subscription, offset, bytes, len, is_end: for the reader here */
	LIVELOG_LOST,     /* subscription, why: it is over */
};
struct livelog_action {
	enum livelog_action_type type;
	uint32_t peer, subscription, stream;
	enum session_message message;
	struct id32 job;
	uint64_t offset;
	const uint8_t *bytes;
	size_t len;
	bool is_end;
	enum livelog_end why;
};

/* Copied, but for the secret. */
struct livelog_options {
	struct node_id self;
	const uint8_t *identity_secret; /* lent for the engine's life: chunks of our own jobs are signed with it */
	const char *network;
};
struct livelog;
/* NULL without memory. */
struct livelog *livelog_new(const struct livelog_options *o);
void livelog_free(struct livelog *l);

void livelog_peer_open(struct livelog *l, uint32_t peer, const struct node_id *id);
void livelog_peer_close(struct livelog *l, uint32_t peer, uint64_t now_ms);
/* LOG_SUB, LOG_DATA, LOG_END, LOG_MORE. */
void livelog_input(struct livelog *l, uint32_t peer, enum session_message type, const uint8_t *bytes, size_t len, uint64_t now_ms);

/* A claim of volunteer on job was admitted that came from peer (0: our own, or from the store: no way). Running streams go over to the
 * new way at the offset reached. A volunteer that is connected itself is always asked directly. */
void livelog_route(struct livelog *l, const struct id32 *job, const struct node_id *volunteer, uint32_t peer, uint64_t now_ms);

/* A reader here. 0: no room. The volunteer may be this node. LIVELOG_LOST comes when no way is known. It ends with one CHUNK of is_end, one
 * LOST, or livelog_unsubscribe(). */
uint32_t livelog_subscribe(struct livelog *l, const struct id32 *job, const struct node_id *volunteer, uint64_t offset, uint64_t now_ms);
void livelog_unsubscribe(struct livelog *l, uint32_t subscription);

/* Our own job's log: it grew to size bytes; is_end: it will not grow any more. READ comes for those who wait. Call it with
 * size 0 when the job begins, so that who asks early waits instead of being refused. */
void livelog_grown(struct livelog *l, const struct id32 *job, uint64_t size, bool is_end, uint64_t now_ms);
/* The answer to LIVELOG_READ, exactly one; stream, offset: from the action; len may be less than was asked. len 0: it could not be read. A
 * stream that is over is ignored. */
void livelog_data(struct livelog *l, uint32_t stream, uint64_t offset, const uint8_t *bytes, size_t len, uint64_t now_ms);

/* Returns the monotonic time at which it wants to be called next; UINT64_MAX: nothing waits. */
uint64_t livelog_tick(struct livelog *l, uint64_t now_ms);
bool livelog_next(struct livelog *l, struct livelog_action *ret);

struct livelog_stats { uint64_t chunks_in, chunks_out, bytes_in, bytes_out, bad_signatures, malformed, refused; };
const struct livelog_stats *livelog_stats(const struct livelog *l);

#endif
