/* The simulator: a handful of real nodes (node/node.h with node/net.h and all of p2p) in one process, one thread, with a virtual
 * clock and one seed a run. The same seed makes the same run: sim_digest() is over all that happened.
 *
 *   sim_new(seed, folder, is_traced) … sim_add_node() … sim_start() … sim_run_until(ms) … sim_free()
 *
 * sim.c: time, chance, events. sim_link.c: connections (in order, delayed; they die, stall, are held by a partition).
 * sim_node.c: a node's life and its hooks; its store outlives a crash, without what was not committed; sleep, wrong clocks.
 * sim_evil.c: a node that lies to its peers, and callers that are no node at all.
 * Must not know: what is tested (test_sim.c). */
#ifndef TALKOO_TESTS_SIM_SIM_H
#define TALKOO_TESTS_SIM_SIM_H

#include <sodium.h>

#include "node/net.h"

#define SIM_NODES_MAX 20
#define SIM_LIES_MAX 512
#define SIM_HEARD_MAX 64
#define SIM_T0 UINT64_C(1790000000000) /* unix ms at virtual 0 */

enum sim_event_type { SIM_WORK = 1, SIM_TICK, SIM_TASK, SIM_RUN_END, SIM_REACH, SIM_BYTES, SIM_LOST, SIM_CRASH, SIM_RESTART, SIM_WAKE, SIM_PRANK_END };

struct sim_event {
	uint64_t at_ms, seq;
	enum sim_event_type type;
	unsigned node;   /* whose */
	unsigned life;   /* of the node: an event of an earlier one is void */
	uint32_t number; /* SIM_BYTES, SIM_LOST, SIM_REACH: link; SIM_TASK, SIM_RUN_END: index; SIM_PRANK_END: connection */
	unsigned side;
};

struct sim_link;

struct sim_run { struct id32 job; bool is_used, is_stopped; struct job_plan plan; };

struct sim_node {
	struct sim *sim;
	unsigned index, life;
	struct home home;
	struct config config;
	struct node_hooks hooks;
	struct node_id id;
	struct store *store;
	struct node *n; /* NULL: down */
	bool is_work_due, is_crash_due; /* crash: at the next moment at which something is not committed */
	uint64_t tick_ms;
	struct node_task tasks[64];
	bool task_used[64];
	struct sim_run runs[8];
	unsigned side; /* of the partition */
	int64_t skew_ms;          /* its wall clock, ahead of the right one */
	uint64_t asleep_until_ms; /* 0: awake */
	bool is_willing; /* its policy takes the jobs */
	bool is_deaf;  /* only dials out */
	bool is_newer; /* of version N+1: a kind more in its hello */
	bool is_evil;  /* its peers are told `lies`, and given them when they ask */
	struct record *lies[SIM_LIES_MAX], *heard[SIM_HEARD_MAX]; /* references; heard: true ones, to be said again */
	size_t lies_len, heard_len;
};

struct sim_odds { /* of 1,000 */
	unsigned dial_lost, dies, stalls, corrupts;
	unsigned delay_max_ms;
};

struct sim {
	uint64_t now_ms, seed, seq;
	uint8_t key[32];
	uint64_t draws;
	uint64_t corrupted, pranks; /* bits turned on the way; callers that were no node */
	bool is_traced, is_parted;
	struct sim_odds odds;
	struct sim_event *events; /* a heap by (at_ms, seq) */
	size_t events_len, events_cap, events_done;
	struct sim_link *links;
	uint32_t last_link;
	struct sim_node nodes[SIM_NODES_MAX];
	size_t nodes_len;
	char folder[128];
	crypto_generichash_state digest;
};

struct sim *sim_new(uint64_t seed, const char *folder, bool is_traced);
void sim_free(struct sim *s);
uint64_t sim_draw(struct sim *s, uint64_t below);
void sim_say(struct sim *s, const char *fmt, ...) PRINTF_LIKE(2, 3); /* part of the digest */
void sim_at(struct sim *s, uint64_t delay_ms, const struct sim_event *e);
void sim_run_until(struct sim *s, uint64_t at_ms);
void sim_digest(struct sim *s, uint8_t ret[32]);

/* seeds: by index. is_listening: others may call it. policy: text of policy.yml. */
struct sim_node *sim_add_node(struct sim *s, const unsigned *seeds, size_t seeds_len, const char *policy);
void sim_node_start(struct sim_node *n);
void sim_node_crash(struct sim_node *n);
void sim_node_free(struct sim_node *n);
void sim_node_event(struct sim_node *n, const struct sim_event *e);
void sim_node_poke(struct sim_node *n);
void sim_node_want_work(struct sim_node *n);

/* Its machine sleeps: nothing of it moves, what is sent to it waits. */
void sim_node_sleep(struct sim_node *n, uint64_t ms);
bool sim_node_is_asleep(const struct sim_node *n);
/* How a simulated run of that job ends. */
enum job_outcome sim_outcome_of(const struct id32 *job);
uint64_t sim_node_unix_ms(const struct sim_node *n);

/* For an action that is not the transport's. */
void sim_evil_act(struct sim_node *n, const struct network_action *a);
/* Tells it to its peers as if it had been admitted, again after each start. */
void sim_evil_tell(struct sim_node *n, struct record *r /* takes */);
void sim_evil_tell_again(struct sim_node *n);
/* What it heard of others, told once more, out of order. */
void sim_evil_replay(struct sim_node *n);
void sim_evil_release(struct sim_node *n);
/* Somebody calls n and says what is no handshake, or a part of one; goes after a while, or waits to be hung up on. */
void sim_prank(struct sim_node *n);

void sim_link_dial(struct sim_node *from, const struct network_action *a);
void sim_link_flush(struct sim_node *n, uint32_t connection);
void sim_link_hang_up(struct sim_node *n, uint32_t connection);
void sim_link_event(struct sim *s, const struct sim_event *e);
void sim_link_cut_all(struct sim_node *n); /* it crashed: the others hear of it later, or never */
void sim_link_free_all(struct sim *s);

#endif
