/* Questions of the control socket that read the store or files: what is asked is noted on the loop's thread, found and written
 * as a line of JSON on a reader thread (store_read), and sent from the loop again. The loop waits for neither SQLite nor a disk.
 *
 * A question is a struct that begins with struct ask, made by ask_new() and given away by ask_start(). run() touches the
 * question, the view and what never changes while the node is open (its home, its own id), nothing else.
 * Must not know: what is asked. */
#ifndef TALKOO_NODE_CONTROL_ASK_H
#define TALKOO_NODE_CONTROL_ASK_H

#include "node/control_parts.h"

struct ask {
	struct control_state *st;
	uint64_t call; /* whose: control_call_find() it */
	uint64_t now_ms; /* when it was asked */
	/* On a reader thread: sets answer, and fd where a descriptor goes with it. */
	int (*run)(struct ask *a, struct store *view, struct err *err);
	/* On the loop's thread, always once; c: NULL when the client is gone. NULL: ask_finish(). */
	void (*done)(struct ask *a, struct control_call *c);
	void (*release)(struct ask *a); /* what the question owns beside; may be NULL */
	int code; /* of run() */
	struct err err;
	json_t *answer; /* owned */
	char *line;     /* owned: the answer as it is sent, made on the reader thread where done is NULL */
	int fd;         /* owned; -1: none */
};

/* A question of `size` bytes, all zero but for these. NULL: no memory, and the call has been failed. */
void *ask_new(struct control_call *c, size_t size, int (*run)(struct ask *, struct store *, struct err *));
/* Starts it; where that fails, done comes at once, with the code. */
void ask_start(struct control_call *c, struct ask *a /* takes */);
/* Sends answer or error; nothing without a client. */
void ask_finish(struct ask *a, struct control_call *c);
void ask_free(struct ask *a); /* of one that was not started */

#endif
