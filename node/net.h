/* The node's side of the network: between its core (intake, store, blobs, runs) and p2p/network.h, which a transport drives.
 *
 * Records that peers offer are verified on a worker thread, judged by intake, stored, and spread once they are durable; ours
 * are spread the same way. What peers ask for is read on the store's reader threads. Files of results come and go through
 * net_fetch() and offers; the live log of a run here is read from its file.
 * One thread; sans-libuv, so that the simulator runs this very code. A node without a network has n->net NULL, and every
 * function here then does nothing.
 *
 *   net_open(n, &options, err); give net_network(n) to a transport; net_act(n, action) for each that is not the transport's;
 *   net_work(n) with node_work(); net_close(n) before node_close(). */
#ifndef TALKOO_NODE_NET_H
#define TALKOO_NODE_NET_H

#include "node/node.h"
#include "p2p/network.h"

#define NET_VERIFY_MAX 256      /* records in one batch for the worker */
#define NET_WAITING_MAX 4096    /* offered records that wait for it */
#define NET_LOOKUPS_MAX 512     /* reads for peers under way */
#define NET_OFFERS_MAX 256      /* files that were offered before their result was here */
#define NET_FETCHES_MAX 64
#define NET_CLOCK_OFF_MS 300000 /* off the median of its peers: the node neither signs nor expires */
#define NET_SELF_RENEW_MS UINT64_C(43200000)

struct net_options {
	uint8_t seed[32];     /* randomness */
	const uint32_t *more_kinds; /* see struct network_options */
	size_t more_kinds_len;
};

int net_open(struct node *n, const struct net_options *o, struct err *err) MUST_CHECK;
/* The transport listens there: peers are told, and our node record says where, when that is known. */
void net_listening(struct node *n, uint16_t port);
void net_close(struct node *n);
struct network *net_network(struct node *n); /* NULL: none */

/* An action of network_next() that is the node's. */
void net_act(struct node *n, const struct network_action *a);
/* What is due: changed follows, our node record, batches to verify, offers. */
void net_work(struct node *n);
/* Unix ms at which net_work() is wanted at the latest. */
uint64_t net_next_ms(const struct node *n);

/* ---- from the core */

/* It is durable. */
void net_stored(struct node *n, const struct intake_put *put);
/* The store refused it. */
void net_not_stored(struct node *n, const struct intake_put *put);
/* It left the index. */
void net_dropped(struct node *n, const struct id32 *id);
/* The index was loaded anew. */
void net_reloaded(struct node *n);
/* A run's log grew to size bytes, or ended. */
void net_log_grown(struct node *n, const struct id32 *job, uint64_t size, bool is_end);

/* ---- files of results */

/* Gets a file that a result names ("log", "index.json", "artifacts/PATH"), from peers when it is not here, and keeps it with the result's blobs.
 * done gets 0; ERR_NOT_FOUND (nobody who can be reached has it, or the result names no such file), ERR_LIMIT (over 16 MiB),
 * ERR_UNREACHABLE (no network). Not when this returns an error. from: a peer that offered it, or 0. */
int net_fetch(struct node *n, const struct id32 *result, const char *name, uint32_t from, node_done_fn done, void *user, struct err *err) MUST_CHECK;

/* ---- live logs */

/* bytes NULL: over; why says ("" at the log's own end). */
typedef void (*net_log_fn)(void *user, uint64_t offset, const uint8_t *bytes, size_t len, const char *why);
/* Reads the log of a job that volunteer (another node) runs. 0: no network, or no room. After "over" the number is void. */
uint32_t net_log_subscribe(struct node *n, const struct id32 *job, const struct node_id *volunteer, uint64_t offset, net_log_fn fn, void *user);
void net_log_unsubscribe(struct node *n, uint32_t subscription);

/* ---- for people */

size_t net_peers(const struct node *n, struct network_peer *ret, size_t max);
/* Calls it now, and keeps to it until the node ends. */
int net_connect(struct node *n, const struct node_addr *addr, struct err *err) MUST_CHECK;
/* Where others may call this node; false: it only dials out. */
bool net_address(const struct node *n, struct node_addr *ret);
/* Ours ahead of the median of the peers that we dialled, or of all where those find less wrong and there are at least three; false: nobody
 * to compare with. */
bool net_clock(const struct node *n, int64_t *ret_ahead_ms);

struct net_counts {
	uint64_t rejects[RECORD_BAD_SIGNATURE + 1];     /* by enum record_reject */
	uint64_t reasons[INTAKE_NO_MEMORY + 1];         /* by enum intake_reason, of records from peers */
};
const struct net_counts *net_counts(const struct node *n); /* NULL: no network */

#endif
