/* The control socket's life. The struct is the owner's (daemon_uv.c); its handles are closed by control_close() and gone when
 * the loop has run once more. Every *_uv.c callback is on the loop's thread. */
#ifndef TALKOO_NODE_CONTROL_UV_H
#define TALKOO_NODE_CONTROL_UV_H

#include <uv.h>

#include "node/control.h"
#include "proto/base/err.h"

struct control {
	uv_pipe_t listener;
	struct node *node;
	struct control_state *state; /* owned */
	struct control_call *clients;
	size_t clients_len;
	uint64_t calls;
	bool is_open;
	void (*on_stop)(void *user);
	void *user;
};

/* Binds path (0600) and listens. on_stop: a client asked for the node's end. */
int control_open(struct control *ctl, uv_loop_t *loop, struct node *n, const char *path, void (*on_stop)(void *), void *user,
		 struct err *err) MUST_CHECK;
/* Hangs up on all and stops listening. */
void control_close(struct control *ctl);
/* Frees what the operations kept; after the loop's end and node_close(), when nothing calls back any more. */
void control_release(struct control *ctl);

#endif
