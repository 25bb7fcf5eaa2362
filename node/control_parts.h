/* What control_ops.c and control_policy.c share beside control_ops.h. */
#ifndef TALKOO_NODE_CONTROL_PARTS_H
#define TALKOO_NODE_CONTROL_PARTS_H

#include "node/control_ops.h"

/* Commits b and answers c when it is durable. Takes both. */
void op_commit(struct node *n, struct control_call *c, struct store_batch *b /* takes */, json_t *answer /* takes */);
/* For node_publish(): the done function and its user, which answers c. *ret_user NULL: no memory (the call stays open: fail it). */
node_done_fn op_later(struct control_call *c, json_t *answer /* takes */, void **ret_user);
/* Between callbacks. */
struct control_state {
	struct node *node;
	struct control *ctl;
	struct follower *followers; /* control_ops.c: of `events` */
	struct stream *streams;     /* control_watch.c: of watch and log -f */
	size_t followers_len, streams_len;
};

/* After node_work(): followers of `events` get what is new. */
void control_ops_durable(struct control_state *st);

/* control_watch.c */
/* What happened (node_listen): streams it to the watchers and log followers. */
void control_watch_heard(struct control_state *st, const char *type, const struct id32 *job, const json_t *event);
void control_watch_gone(struct control_state *st, uint64_t call_id);
/* Ends watches whose time is up; unix ms of the next such end, UINT64_MAX: none. */
uint64_t control_watch_tick(struct control_state *st);
void control_watch_release(struct control_state *st);

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
