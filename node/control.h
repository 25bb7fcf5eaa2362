/* Between the control socket (control_uv.c: bytes, clients, descriptors) and the operations (control_ops.c: what is asked and
 * answered; node/CONTROL.md is the text). The socket side parses one request object a line, checks "v" and "op" are there, and
 * gives the call to control_ops_request(); the operation answers it now or later.
 *
 * A call ends with control_end() or control_fail(), exactly once, or with its client's hang-up. Across callbacks keep
 * control_call_id() and look it up again: control_call_find() is NULL once the call is over.
 * Must not know (control_ops.c): sockets, libuv. */
#ifndef TALKOO_NODE_CONTROL_H
#define TALKOO_NODE_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/err.h"

struct node;
struct control;
struct control_call;

/* One streaming object ("v":1 is put in). False: the client is gone or too slow (then it is being hung up on). Takes object. */
bool control_send(struct control_call *c, json_t *object /* takes */);
/* The end: "v":1 and "ok":true are put in. NULL object: just those. Takes object. */
void control_end(struct control_call *c, json_t *object /* takes */);
/* Whole lines as they are. Takes text (NULL: out of memory). */
bool control_send_text(struct control_call *c, char *text /* takes */);
/* Whether the client has taken most of what was sent. Where not, whoever streams waits for control_ops_room(). */
bool control_has_room(struct control_call *c);
/* An answer as it is sent, without its newline; callable from any thread. NULL object: no more than "ok". NULL without memory. */
char *control_line(json_t *object /* takes */);
/* The end, with that line, and an open descriptor beside it (SCM_RIGHTS) where fd is not -1. Takes both. */
void control_end_line(struct control_call *c, char *line /* takes */, int fd /* takes */);
/* The end: {"v":1,"ok":false,"error","hint","code"}. */
void control_fail(struct control_call *c, const struct err *err);

uint64_t control_call_id(const struct control_call *c);
struct control *control_of(const struct control_call *c);
struct control_call *control_call_find(struct control *ctl, uint64_t id);
/* Closes the daemon after the answer is out (op stop). */
void control_request_stop(struct control *ctl);

/* control_ops.c: what operations keep between callbacks (who follows what). The socket's owner makes it before the first request
 * and frees it when no callback of node or store can come any more. NULL without memory. */
struct control_state;
struct control_state *control_state_new(struct node *n, struct control *ctl);
void control_state_free(struct control_state *st);
struct control_state *control_state_of(struct control *ctl); /* control_uv.c */

/* One request. */
void control_ops_request(struct node *n, struct control_call *c, const json_t *request);
/* The client of a call that found no room has some again. */
void control_ops_room(struct control_state *st, uint64_t call_id);
/* A call that had not ended is gone (its client hung up): forget its id. */
void control_ops_gone(struct control_state *st, uint64_t call_id);

#endif
