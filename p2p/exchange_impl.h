/* Inside exchange only: what its files share. exchange.c peers, messages, actions and time; exchange_fetch.c asking sources, for
 * wants and for forwarded requests; exchange_serve.c answering askers, from our own bytes and from a source. */
#ifndef TALKOO_P2P_EXCHANGE_IMPL_H
#define TALKOO_P2P_EXCHANGE_IMPL_H

#include <string.h>

#include "p2p/exchange.h"
#include "p2p/exchange_wire.h"
#include "proto/base/buf.h"
#include "proto/base/cleanup.h"

#define EXCHANGE_NEVER UINT64_MAX
#define EXCHANGE_QUEUE_MAX (1u << 20) /* bytes of actions nobody took yet */

struct exchange_peer {
	uint32_t number; /* 0: the slot is free */
	struct node_id id;
	struct id32 topics[SESSION_TOPICS_MAX];
	size_t topics_len;
	uint64_t tokens_milli, tokens_at_ms; /* for what it asks */
	size_t turn;                         /* which of its streams was served last */
};

/* Leaves of one blob asked of one source at a time. */
struct fetch {
	uint32_t number; /* 0: free */
	struct exchange_ref ref;
	uint64_t leaves;  /* of the whole blob */
	uint64_t next;    /* the first that is missing */
	uint64_t until;   /* the source may send those before it */
	int source;       /* slot, -1: nobody is asked */
	uint64_t stream;
	uint32_t hops;
	uint64_t tried;   /* slots asked already */
	unsigned tries;   /* how many more may be asked */
	uint32_t first;   /* a peer to ask before all others, 0: none */
	uint64_t deadline_ms; /* of the source's next leaf; NEVER while it owes none */
	uint64_t stall_ms;
	enum exchange_end why; /* of the last source, 0 as long as none failed */
};

enum want_state {
	WANT_FREE = 0,
	WANT_ASKING, /* a source is asked */
	WANT_DONE,   /* whole; DONE is to be said */
	WANT_FAILED, /* FAILED is to be said */
	WANT_GIVEN,  /* DONE was said; bytes are lent until the next exchange_next() */
};
struct want { struct fetch f; enum want_state state; struct buf bytes; };

/* Who asked, and how far it was answered. */
struct asker {
	int slot;
	uint64_t stream;
	uint64_t next;     /* leaf to send */
	uint64_t until;    /* as the asker said */
	uint64_t moved_ms; /* when it last took something that was there */
};

enum serve_state {
	SERVE_FREE = 0,
	SERVE_ASKED,   /* OPEN is to be said; may be dropped without a word */
	SERVE_OPENING, /* OPEN was said; the node's answer is awaited */
	SERVE_OPEN,    /* bytes are lent */
	SERVE_CLOSING, /* CLOSE is to be said; the asker is answered already */
};
struct serve {
	uint32_t number;
	enum serve_state state;
	struct asker asker;
	struct exchange_ref ref;
	uint32_t hops;
	const uint8_t *bytes;       /* lent */
	struct merkle_hash *nodes;  /* owned; the blob's tree */
	enum exchange_end why;      /* CLOSING */
};

/* A leaf on its way from a source to an asker. */
struct held { size_t len, path_len; struct merkle_hash path[MERKLE_PATH_MAX]; uint8_t bytes[]; };
/* A forwarded request. Held are the leaves asker.next .. f.next - 1, leaf i at i % WINDOW. */
struct relay { struct fetch f; struct asker asker; struct held *held[EXCHANGE_RELAY_WINDOW]; };

struct queued { struct queued *next; struct exchange_action action; uint8_t data[]; };

struct exchange {
	struct node_id self;
	struct exchange_peer peers[EXCHANGE_PEERS_MAX];
	struct want wants[EXCHANGE_WANTS_MAX];
	struct serve serves[EXCHANGE_SERVES_MAX];
	struct relay relays[EXCHANGE_RELAYS_MAX];
	uint32_t last_number; /* of wants, serves, relays */
	uint64_t last_stream; /* pairs of stream numbers used */
	struct queued *queue, **queue_end, *given;
	size_t queue_bytes;
	struct buf out; /* lent by exchange_writable() */
	struct exchange_stats stats;
};

/* exchange.c */
void exchange_push(struct exchange *e, struct exchange_action action, const uint8_t *bytes, size_t len);
void exchange_send(struct exchange *e, int slot, enum session_message type, const struct buf *body);
/* BLOB_END or BLOB_MORE */
void exchange_send_pair(struct exchange *e, int slot, enum session_message type, uint64_t stream, uint64_t value);
bool exchange_take_token(struct exchange_peer *p, uint64_t now_ms);
uint32_t exchange_number(struct exchange *e);
/* PROTOCOL "Blobs": of a pair the lower id takes even stream numbers. Whether this one is ours. */
bool exchange_is_own_stream(const struct exchange *e, int slot, uint64_t stream);
static inline int exchange_slot(const struct exchange *e, uint32_t peer)
{
	for (int i = 0; peer && i < EXCHANGE_PEERS_MAX; i++)
		if (e->peers[i].number == peer)
			return i;
	return -1;
}

/* exchange_fetch.c */
/* Begins to ask, or asks the next: f->ref, next, tries, hops, stall_ms are set. Without a source that is left the want has failed, or the
 * relay is over. */
void fetch_start(struct exchange *e, struct fetch *f, uint64_t now_ms);
/* The source failed, or is not wanted any more: tells it (where say), and asks the next. */
void fetch_fail(struct exchange *e, struct fetch *f, enum exchange_end why, bool say, uint64_t now_ms);
/* The asker of a forwarded request took a leaf: the source may send another. */
void fetch_more(struct exchange *e, struct fetch *f, uint64_t now_ms);
/* Ends it without another source. */
void fetch_stop(struct exchange *e, struct fetch *f, enum exchange_end say_why);
struct fetch *fetch_find(struct exchange *e, int slot, uint64_t stream);
void fetch_data(struct exchange *e, int slot, const uint8_t *bytes, size_t len, uint64_t now_ms);
void fetch_end(struct exchange *e, struct fetch *f, uint64_t why, uint64_t now_ms);
void fetch_peer_close(struct exchange *e, int slot, enum exchange_end why, bool say, uint64_t now_ms);
uint64_t fetch_tick(struct exchange *e, uint64_t now_ms);
static inline bool exchange_ref_eq(const struct exchange_ref *a, const struct exchange_ref *b)
{
	return id32_eq(&a->topic, &b->topic) && id32_eq(&a->result, &b->result) && node_id_eq(&a->author, &b->author) &&
	       !memcmp(a->root, b->root, sizeof a->root) && a->size == b->size && !strcmp(a->name, b->name);
}
static inline struct relay *fetch_relay(struct exchange *e, struct fetch *f)
{
	for (size_t i = 0; i < EXCHANGE_RELAYS_MAX; i++)
		if (&e->relays[i].f == f)
			return &e->relays[i];
	return NULL;
}
void want_release(struct want *w);

/* exchange_serve.c */
void serve_get(struct exchange *e, int slot, const uint8_t *bytes, size_t len, uint64_t now_ms);
/* The asker said END or MORE, or is gone. */
void serve_cancel(struct exchange *e, int slot, uint64_t stream);
void serve_more(struct exchange *e, int slot, uint64_t stream, uint64_t until, uint64_t now_ms);
void serve_peer_close(struct exchange *e, int slot);
void serve_release(struct serve *s);
void relay_hold(struct exchange *e, struct relay *r, const struct exchange_leaf *leaf, uint64_t now_ms);
/* No source is left. */
void relay_failed(struct exchange *e, struct relay *r);
void relay_release(struct relay *r);
uint64_t serve_tick(struct exchange *e, uint64_t now_ms);

#endif
