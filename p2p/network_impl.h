/* Inside network only: what its files share. network.c life, time and actions; network_conns.c connections and their messages. */
#ifndef TALKOO_P2P_NETWORK_IMPL_H
#define TALKOO_P2P_NETWORK_IMPL_H

#include <string.h>

#include "p2p/network.h"
#include "proto/base/cleanup.h"

#define NETWORK_SEEDS_MAX DIALER_PINNED_MAX
#define NETWORK_ASKED_MAX 8 /* PEERS_GET under way at one peer */

enum conn_state { CONN_DIALLING = 1, CONN_SHAKING, CONN_OPEN, CONN_CLOSING, CONN_GONE };

/* One connection. In CONN_GONE only what is still to be told of it. */
struct conn {
	uint32_t number;
	enum conn_state state;
	struct session *session; /* from CONN_SHAKING */
	struct node_addr addr;   /* outbound: what was dialled */
	char from[ADDR_TEXT_MAX];
	char host[256];          /* inbound: for the limit of one host */
	bool is_outbound, is_seed;
	bool is_open_told, is_gone_due; /* NETWORK_PEER: said that it came; must say that it went */
	bool is_open_due, is_hang_up_due, is_output_told;
	bool is_bulk_due;        /* the socket took all: one bulk message may follow */
	uint64_t since_ms;
	int64_t clock_ahead_ms;
	unsigned asked;          /* PEERS that are awaited */
	unsigned told_generation; /* of our topics, as our hello named them */
	uint64_t records_in, faults;
	struct id32 *topics;     /* the peer's, owned; at most SESSION_TOPICS_MAX */
	size_t topics_len;
};

struct network {
	char name[33];
	const uint8_t *identity_secret;
	struct node_id self;
	uint8_t seed[32];
	uint64_t draws;
	uint8_t static_secret[32];
	uint16_t listen_port;
	bool is_private;
	uint32_t kinds[SESSION_KINDS_MAX];
	size_t kinds_len;
	uint64_t now_ms, unix_ms;
	struct conn *conns[NETWORK_CONNECTIONS_MAX];
	size_t conns_len;
	uint32_t last_number;
	struct id32 *topics; /* followed, in the order of following */
	size_t topics_len;
	bool topics_changed;
	unsigned topics_generation;
	struct node_id seeds[NETWORK_SEEDS_MAX];
	size_t seeds_len;
	struct record *self_record;
	struct gossip *gossip;
	struct dialer *dialer;
	struct exchange *exchange;
	struct livelog *livelog;
	struct network_stats stats;
};

/* network.c */
void network_draw(struct network *n, void *out, size_t len); /* deterministic bytes, at most 64 */

/* network_conns.c */
struct conn *network_conn(const struct network *n, uint32_t number);
struct conn *network_conn_new(struct network *n);
void network_conn_free(struct network *n, struct conn *c);
/* Makes the session, as initiator or responder. False: no memory; the connection is then closing. */
bool network_conn_begin(struct network *n, struct conn *c);
/* Everything that the session has to say. */
void network_conn_drain(struct network *n, struct conn *c);
/* Counts a fault; past NETWORK_FAULTS_MAX the connection closes. */
void network_conn_blame(struct conn *c);
void network_conn_ask_peers(struct network *n, struct conn *c, const struct id32 *topic);
void network_conn_tell_topics(struct network *n, struct conn *c);

#endif
