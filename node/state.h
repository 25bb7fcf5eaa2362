/* Small durable state in the store's key-value spaces, held in memory too: whom this reader trusts, which projects it
 * follows and how, whether donation is paused, which runs are under way, our last sequence.
 *
 * Changes are made in memory and put into a batch that the caller submits. Must not know: records, policy. Links: store. */
#ifndef TALKOO_NODE_STATE_H
#define TALKOO_NODE_STATE_H

#include "node/scheduler.h"
#include "node/store/store.h"

#define STATE_TRUST_MAX 4096
#define STATE_FOLLOW_MAX 1024

struct state_trust {
	struct node_id node;
	char operator_name[128]; /* "" = stands for itself */
	uint64_t since_ms;
};

struct state_follow {
	struct id32 project;
	char alias[64]; /* "" = none */
	char name[64];  /* from the link, until the project's record is here */
	struct node_addr seeds[LINK_SEEDS_MAX];
	size_t seeds_len;
};

struct state {
	struct state_trust *trust;
	size_t trust_len, trust_cap;
	struct state_follow *follow;
	size_t follow_len, follow_cap;
	struct {
		enum sched_mode mode;
		uint64_t since_ms, until_ms; /* until 0: until resume */
		char note[256];
	} donation;
	uint64_t last_sequence;
};

void state_init(struct state *st);
void state_release(struct state *st);
/* Reads everything. What cannot be read is ERR_INVALID (the store is damaged). */
int state_load(struct state *st, struct store *store, struct err *err) MUST_CHECK;

const struct state_trust *state_trust_find(const struct state *st, const struct node_id *node);
/* Adds, or gives another operator. ERR_LIMIT past the ceiling. */
int state_trust_put(struct state *st, const struct state_trust *t, struct store_batch *b, struct err *err) MUST_CHECK;
bool state_trust_remove(struct state *st, const struct node_id *node, struct store_batch *b);

struct state_follow *state_follow_find(const struct state *st, const struct id32 *project);
const struct state_follow *state_follow_by_alias(const struct state *st, const char *alias);
int state_follow_put(struct state *st, const struct state_follow *f, struct store_batch *b, struct err *err) MUST_CHECK;
bool state_follow_remove(struct state *st, const struct id32 *project, struct store_batch *b);

/* Writes st->donation. */
void state_donation_put(const struct state *st, struct store_batch *b);
/* A greater one than the last was met in a record of ours. */
void state_adopt_sequence(struct state *st, uint64_t sequence, struct store_batch *b);
/* The next sequence of our own: greater than the last, at least now. It is put into b with the record that uses it. */
uint64_t state_next_sequence(struct state *st, uint64_t now_ms, struct store_batch *b);

/* Space "run": jobs that we claimed and have no result for; text is what a person may see of it. */
void state_run_put(const struct id32 *job, uint64_t now_ms, struct store_batch *b);
void state_run_remove(const struct id32 *job, struct store_batch *b);

#endif
