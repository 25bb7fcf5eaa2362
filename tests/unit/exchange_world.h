/* Exchange engines against each other: a router that carries their messages, plays the nodes' files, and spoils what it is told to. */
#ifndef TALKOO_TESTS_EXCHANGE_WORLD_H
#define TALKOO_TESTS_EXCHANGE_WORLD_H

#include "p2p/exchange.h"

#define NODES 5

enum spoil { SPOIL_NONE, SPOIL_BYTES, SPOIL_PATH, SPOIL_INDEX, SPOIL_SHORT, SPOIL_GARBAGE, SPOIL_SILENT, SPOIL_HANG_UP };

struct node {
	struct exchange *e;
	struct node_id id;
	bool has_blob, is_busy, is_slow /* its answers wait */;
	enum spoil spoil;      /* of the data it sends … */
	unsigned spoil_after;  /* … after so many leaves */
	unsigned opens, closes, done, failed, offered, gets_out, data_out, data_in;
	uint32_t last_serve, last_want, offer_from;
	enum exchange_end why;
	bool is_right; /* what DONE gave */
};
struct message { struct message *next; int from, to; enum session_message type; size_t len; uint8_t bytes[]; };
struct world {
	struct node n[NODES];
	bool linked[NODES][NODES], blocked[NODES][NODES]; /* blocked: the socket takes no bulk */
	struct message *first, **end;
	struct exchange_ref ref;
	uint8_t *blob;
	struct merkle_hash *leaves;
	size_t leaves_len;
	uint64_t now_ms;
};

/* A blob of size bytes that nobody has yet, by an author who is none of the nodes; no links. */
void world_init(struct world *w, size_t size);
void world_release(struct world *w);
/* A node's number as a peer. */
static inline uint32_t number(int node) { return (uint32_t)node + 1; }
void link_nodes(struct world *w, int a, int b);
void unlink_nodes(struct world *w, int a, int b);
/* One round: actions, one bulk message of each pair, messages. False: nothing moved. */
bool step(struct world *w);
/* Until nothing moves. */
void run(struct world *w);
/* Time passes, ticks, then run(). */
void pass(struct world *w, uint64_t ms);
/* The node wants the blob; its number is last_want. */
void want(struct world *w, int at);
/* DONE once and right, or FAILED once; no serve left anywhere. */
void expect(struct world *w, int at, bool done, const char *what);

#endif
