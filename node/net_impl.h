/* Inside the node's network side only: net.c life and records, net_files.c blobs, net_logs.c live logs. */
#ifndef TALKOO_NODE_NET_IMPL_H
#define TALKOO_NODE_NET_IMPL_H

#include "node/net.h"

/* A record on its way to the worker and back. */
struct net_offered {
	uint8_t *bytes; /* owned */
	size_t len;
	uint8_t signature[64];
	uint32_t from;
	struct id32 id;
	struct record *record; /* out: verified */
	enum record_reject why;
};

struct net_serve {
	uint32_t serve; /* 0: free */
	uint8_t *map;
	size_t len;
};

struct net_fetching {
	uint32_t number; /* ours; 0: free */
	uint32_t want;   /* the exchange's, 0: not yet */
	uint32_t from;
	struct exchange_ref ref;
	struct id32 job;
	node_done_fn done;
	void *user;
};

struct net_offer {
	uint32_t from;
	uint64_t until_ms;
	struct exchange_ref ref;
};

struct net_reader {
	uint32_t subscription; /* 0: free */
	net_log_fn fn;
	void *user;
};

struct net {
	struct network *network;
	struct node_addr address; /* where others may call us; port 0: nowhere */
	unsigned follow_generation;
	bool is_follow_known;
	uint64_t self_renew_ms;
	struct net_offered *waiting; /* NET_WAITING_MAX */
	size_t waiting_len;
	bool is_verifying;
	size_t lookups;
	struct net_serve serves[EXCHANGE_SERVES_MAX];
	struct net_fetching fetches[NET_FETCHES_MAX];
	uint32_t last_fetch;
	struct net_offer offers[NET_OFFERS_MAX];
	size_t offers_len;
	struct net_reader readers[LIVELOG_STREAMS_MAX];
	struct net_counts counts;
};

uint64_t net_mono(const struct node *n);
/* net_files.c */
void net_files_act(struct node *n, const struct exchange_action *a);
void net_files_result(struct node *n, const struct intake_put *put); /* a result is durable: ours is offered, what was offered of others' is fetched */
void net_files_tick(struct node *n);
void net_files_close(struct node *n);
/* net_logs.c */
void net_logs_act(struct node *n, const struct livelog_action *a);

#endif
