/* The control socket's other end (node/CONTROL.md): one request, its events, its answer, its descriptors. Blocking.
 *
 *   CLEANUP(client_close) struct client *client = NULL;
 *   if (client_open(&home, &client, err)) return …;        // ERR_UNREACHABLE, with the hint `talkoo start`
 *   CLEANUP(client_free_json) json_t *answer = NULL;
 *   if (client_call(client, request, &call, &answer, err)) return …;
 * Must not know: commands, what objects mean. Links: base, node/home. */
#ifndef TALKOO_CLI_CLIENT_H
#define TALKOO_CLI_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#include "node/home.h"
#include "proto/base/err.h"

#define CLIENT_REQUEST_MAX (64u << 10) /* CONTROL.md */
#define CLIENT_ANSWER_MAX (64u << 20)

struct client;

/* Every event before the answer, lent. False hangs up: the call then returns 0 with *ret_answer NULL. */
typedef bool (*client_event_fn)(void *user, const json_t *event);

struct client_call {
	client_event_fn on_event; /* NULL: events are not expected and ignored */
	void (*on_idle)(void *user); /* NULL, or called whenever 250 ms bring nothing */
	void *user;
	int *ret_fd;              /* the answer's descriptor, or -1; NULL: one that comes is closed */
};

int client_open(const struct home *home, struct client **ret, struct err *err) MUST_CHECK;
void client_close(struct client **c);
/* Sends request (takes it; "v" is added) and waits for the end of its answer: an object with "ok":true, given to
 * *ret_answer (may be NULL), or the node's own error as ours. call may be NULL. ERR_UNREACHABLE when the node hangs up,
 * ERR_INVALID for an answer that is no JSON object. */
int client_call(struct client *c, json_t *request /* takes */, const struct client_call *call, json_t **ret_answer,
		struct err *err) MUST_CHECK;
/* For CLEANUP(): json_decref. */
void client_free_json(json_t **object);

#endif
