/* One connection's protocol, sans-I/O: the handshake that proves both node ids, frames, versions, hello, messages.
 *
 * How it is used. session_init(); then give it the bytes that arrive (session_input) and take the bytes that must leave
 * (session_output / session_output_done). What happened comes out of session_next(). The caller reads the clock, gives the
 * randomness and owns the socket. Bytes are decrypted where they arrived and encrypted where they leave from: a message is
 * copied once on its way out, and not at all on its way in when the socket is read into session_input_room().
 * Must not know: records, topics' meaning, gossip, libuv.
 * Source: PROTOCOL 11.
 *
 * States (session_state()):
 *   SESSION_HANDSHAKE  only handshake messages pass; nothing of ours but the handshake has left; ends within SESSION_HANDSHAKE_MS
 *   SESSION_HELLO      the peer's id is proven; our hello is out, its hello is awaited; no other message passes
 *   SESSION_OPEN       session_send() may be called, messages come
 *   SESSION_CLOSED     over; session_close_reason() says why. Nothing more is taken; what session_output() still has (a BYE) may
 *                      be written before the socket is closed */
#ifndef TALKOO_P2P_SESSION_H
#define TALKOO_P2P_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "p2p/noise.h"
#include "proto/base/buf.h"
#include "proto/ids.h"

#define SESSION_HANDSHAKE_MS 5000
#define SESSION_IDLE_MS 90000       /* nothing heard for so long: gone */
#define SESSION_PING_MS 30000       /* nothing said for so long: a ping */
#define SESSION_FRAME_PLAIN_MAX 20480 /* a result record with its envelope fits */
#define SESSION_BULK_LEN 16384
#define SESSION_MESSAGE_MAX (SESSION_FRAME_PLAIN_MAX - 3)
#define SESSION_REKEY_FRAMES 65536
#define SESSION_OUTPUT_MAX (1u << 20) /* bytes waiting for the socket; past it the peer is too slow */
#define SESSION_INPUT_MAX (1u << 20)  /* bytes waiting for session_next(); only a caller that does not take what came gets there */
#define SESSION_INPUT_ROOM 65536
#define SESSION_KINDS_MAX 64
#define SESSION_TOPICS_MAX 256      /* in a hello; more by MSG_TOPICS */
#define SESSION_VERSION_MIN 1
#define SESSION_VERSION_MAX 1

enum session_state { SESSION_HANDSHAKE = 1, SESSION_HELLO, SESSION_OPEN, SESSION_CLOSED };

#define SESSION_CLOSES(X)                                                                                              \
	X(CLOSE_BY_US, 1, "closed-by-us")                                                                              \
	X(CLOSE_BY_PEER, 2, "closed-by-peer")                                                                          \
	X(CLOSE_HANDSHAKE_TIMEOUT, 3, "handshake-timeout")                                                             \
	X(CLOSE_HANDSHAKE_BAD, 4, "handshake-bad")     /* garbage, another network, another protocol */                \
	X(CLOSE_ID_BAD, 5, "id-bad")                   /* the id's signature does not hold, or is out of date */       \
	X(CLOSE_ID_OTHER, 6, "id-other")               /* proven, but not the id that was dialled */                   \
	X(CLOSE_ID_SELF, 7, "id-self")                                                                                 \
	X(CLOSE_FRAME_BAD, 8, "frame-bad")             /* oversize, not genuine */                                     \
	X(CLOSE_MESSAGE_BAD, 9, "message-bad")         /* truncated, malformed, out of its state */                    \
	X(CLOSE_VERSION, 10, "version")                /* no common version */                                         \
	X(CLOSE_IDLE, 11, "idle")                                                                                      \
	X(CLOSE_SLOW, 12, "slow")                      /* does not take what it is sent */                             \
	X(CLOSE_DUPLICATE, 13, "duplicate")            /* the other of two connections between a pair stays */

enum session_close {
	CLOSE_NONE = 0,
#define X(name, value, text) name = value,
	SESSION_CLOSES(X)
#undef X
};
const char *session_close_name(enum session_close why);

/* Message types; a type that is not known is skipped and counted (evolution). The bodies are gossip's and blob's. */
#define SESSION_MESSAGES(X)                                                                                            \
	X(MSG_HELLO, 1)                                                                                                \
	X(MSG_PING, 2)                                                                                                 \
	X(MSG_PONG, 3)                                                                                                 \
	X(MSG_BYE, 4)                                                                                                  \
	SESSION_MESSAGES_FOR_CALLER(X)
/* … those that the session hands on; the four above are its own */
#define SESSION_MESSAGES_FOR_CALLER(X)                                                                                 \
	X(MSG_TOPICS, 8)                                                                                               \
	X(MSG_PEERS_GET, 9)                                                                                            \
	X(MSG_PEERS, 10)                                                                                               \
	X(MSG_HAVE, 16)                                                                                                \
	X(MSG_GET, 17)                                                                                                 \
	X(MSG_RECORD, 18)                                                                                              \
	X(MSG_NOT_FOUND, 19)                                                                                           \
	X(MSG_RECONCILE, 20)                                                                                           \
	X(MSG_BLOB_GET, 32)                                                                                            \
	X(MSG_BLOB_DATA, 33)                                                                                           \
	X(MSG_BLOB_END, 34)                                                                                            \
	X(MSG_BLOB_OFFER, 35)                                                                                          \
	X(MSG_BLOB_MORE, 36)                                                                                           \
	X(MSG_LOG_SUB, 40)                                                                                             \
	X(MSG_LOG_DATA, 41)                                                                                            \
	X(MSG_LOG_END, 42)                                                                                             \
	X(MSG_LOG_MORE, 43)

enum session_message {
#define X(name, value) name = value,
	SESSION_MESSAGES(X)
#undef X
};

/* What both sides say first. Encoded as a canonical msgpack array; a reader ignores trailing elements. */
struct session_hello {
	uint32_t version_min, version_max;
	uint64_t features;
	uint32_t kinds[SESSION_KINDS_MAX];
	size_t kinds_len;
	uint64_t time_ms; /* unix */
	struct id32 topics[SESSION_TOPICS_MAX];
	size_t topics_len;
	uint16_t listen_port; /* 0: does not listen */
};
void session_hello_encode(const struct session_hello *h, struct buf *b);
int session_hello_decode(const uint8_t *bytes, size_t len, struct session_hello *ret, struct err *err) MUST_CHECK;

/* Everything that a session starts with. Copied, the secret only used within session_init. */
struct session_options {
	enum noise_role role;
	const char *network;             /* [a-z0-9-]{1,32} */
	const uint8_t *identity_secret;  /* Ed25519, libsodium's 64 bytes */
	const struct node_id *dialled;   /* the id that must answer; NULL when we were dialled */
	uint8_t static_secret[32];       /* X25519, made at the node's start, never stored */
	uint8_t ephemeral_secret[32];    /* fresh randomness for this session */
	const struct session_hello *hello; /* ours */
	uint64_t now_ms;                 /* monotonic */
	uint64_t unix_ms;
};

enum session_event_type { SESSION_EVENT_PROVEN = 1, SESSION_EVENT_OPEN, SESSION_EVENT_MESSAGE, SESSION_EVENT_CLOSED };

/* What came out; pointers are lent until the next call on the session. */
struct session_event {
	enum session_event_type type;
	uint8_t message; /* MESSAGE: its type */
	const uint8_t *bytes;
	size_t len;
};

struct session;
int session_new(const struct session_options *o, struct session **ret, struct err *err) MUST_CHECK;
void session_free(struct session *s);

enum session_state session_state(const struct session *s);
enum session_close session_close_reason(const struct session *s);
const struct node_id *session_peer(const struct session *s);          /* zero before PROVEN */
const struct session_hello *session_peer_hello(const struct session *s); /* NULL before OPEN */
uint32_t session_version(const struct session *s);                    /* negotiated; 0 before OPEN */

/* Bytes that arrived, any cut: copied. Take what they bring with session_next() before the next ones: past SESSION_INPUT_MAX the
 * session ends (closed-by-us). */
void session_input(struct session *s, const uint8_t *bytes, size_t len, uint64_t now_ms, uint64_t unix_ms);
/* The same without the copy: where the socket may be read into, SESSION_INPUT_ROOM bytes, valid until the next call on the session;
 * then how many came. NULL: closed, out of memory, or too much waits: take session_next() first. */
uint8_t *session_input_room(struct session *s, size_t *ret_len);
void session_input_done(struct session *s, size_t len, uint64_t now_ms, uint64_t unix_ms);
/* The stream ended (the peer closed, or the socket failed). What came before it is still given by session_next(), then CLOSED. */
void session_input_end(struct session *s);
/* Timers: handshake, idle, ping. Returns the monotonic time of the next one that matters. A quiet session gives its buffers back. */
uint64_t session_tick(struct session *s, uint64_t now_ms);
/* The next thing that happened; false when there is none. */
bool session_next(struct session *s, struct session_event *ret);

/* Queues a message (in SESSION_OPEN). Small messages share a frame until session_flush(). False: closed, too long or too slow (then
 * it is being closed). */
bool session_send(struct session *s, enum session_message type, const void *bytes, size_t len);
/* Ends the frame being filled. Call once after handling what came. */
void session_flush(struct session *s);
void session_close(struct session *s, enum session_close why); /* says BYE where it can */

/* Bytes for the socket, lent until the next call (NULL when there are none); then how many of them it took. */
const uint8_t *session_output(struct session *s, size_t *ret_len);
void session_output_done(struct session *s, size_t len);

struct session_stats { uint64_t bytes_in, bytes_out, frames_in, frames_out, messages_in, messages_out, messages_unknown; uint64_t heard_ms; };
const struct session_stats *session_stats(const struct session *s);

#endif
