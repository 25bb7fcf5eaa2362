/* What control_ops.c and control_policy.c share beside control_ops.h. */
#ifndef TALKOO_NODE_CONTROL_PARTS_H
#define TALKOO_NODE_CONTROL_PARTS_H

#include "node/control_ops.h"

#define CONTROL_CLIENTS_MAX 64

/* What the stores use, as last counted. */
struct control_usage {
	uint64_t at_ms; /* 0: never */
	uint64_t blobs_bytes, images_bytes, mirrors_bytes;
};

/* A call that waits for its turn. */
struct control_waiting {
	uint64_t call;
	op_fn op;
	json_t *args; /* owned */
};

/* Between callbacks. */
struct control_state {
	struct node *node;
	struct control *ctl;
	struct follower *followers; /* control_events.c */
	struct stream *streams;     /* control_watch.c */
	struct live_reader *live;   /* control_net.c */
	size_t followers_len, streams_len;
	uint64_t seen_batches;
	struct control_usage usage; /* control_status.c */
	uint64_t status_waiting[CONTROL_CLIENTS_MAX]; /* calls */
	size_t status_waiting_len;
	struct control_waiting turns[CONTROL_CLIENTS_MAX]; /* oldest first */
	size_t turns_len;
	bool turn_is_taken;
};

/* Operations that look first and then write, over a callback, go one after the other: an operation that took the turn ends it.
 * False: another one is at it, and op(n, c, args) is called again later. */
bool op_turn_take(struct control_call *c, const json_t *args, op_fn op);
void op_turn_end(struct control_state *st);
enum op_turn { OP_NO_TURN, OP_TURN_ENDS };

/* Commits b and answers c when it is durable. Takes both. */
void op_commit(struct node *n, struct control_call *c, struct store_batch *b /* takes */, json_t *answer /* takes */);
/* Publishes, and answers c when it is durable, or fails it: then the code. id_key: where the record's id goes in the answer, or NULL. */
int op_publish(struct node *n, struct control_call *c, const struct node_own *own, struct store_batch *b /* takes, may be NULL */,
	       json_t *answer /* takes */, const char *id_key, enum op_turn turn);

/* After node_work(): what follows from it for those who follow; unix ms when it is wanted at the latest, UINT64_MAX: nothing waits. */
uint64_t control_ops_work(struct control_state *st);

/* control_events.c */
void control_events_work(struct control_state *st);
void control_events_room(struct control_state *st, uint64_t call_id);
void control_events_gone(struct control_state *st, uint64_t call_id);
void control_events_release(struct control_state *st);

/* control_watch.c */
/* What happened (node_listen): streams it to the watchers and log followers. */
void control_watch_heard(struct control_state *st, const char *type, const struct id32 *job, const json_t *event);
uint64_t control_watch_tick(struct control_state *st);
void control_watch_room(struct control_state *st, uint64_t call_id);
void control_watch_gone(struct control_state *st, uint64_t call_id);
void control_watch_release(struct control_state *st);

/* control_net.c */
void op_peers(struct node *n, struct control_call *c, const json_t *args);
void op_connect(struct node *n, struct control_call *c, const json_t *args);
void op_fetch(struct node *n, struct control_call *c, const json_t *args);
void op_log_live(struct node *n, struct control_call *c, const json_t *args);
void control_net_gone(struct control_state *st, uint64_t call_id);
void control_net_release(struct control_state *st);

/* control_forget.c */
void op_forget(struct node *n, struct control_call *c, const json_t *args);

/* control_policy.c */
void op_project_create(struct node *n, struct control_call *c, const json_t *args);
void op_project_list(struct node *n, struct control_call *c, const json_t *args);
void op_project_show(struct node *n, struct control_call *c, const json_t *args);
void op_follow(struct node *n, struct control_call *c, const json_t *args);
void op_unfollow(struct node *n, struct control_call *c, const json_t *args);
void op_allow(struct node *n, struct control_call *c, const json_t *args);
void op_deny(struct node *n, struct control_call *c, const json_t *args);
void op_policy_show(struct node *n, struct control_call *c, const json_t *args);
void op_policy_why(struct node *n, struct control_call *c, const json_t *args);
void op_policy_check(struct node *n, struct control_call *c, const json_t *args);
void op_trust_add(struct node *n, struct control_call *c, const json_t *args);
void op_trust_list(struct node *n, struct control_call *c, const json_t *args);
void op_trust_remove(struct node *n, struct control_call *c, const json_t *args);

#endif
