/* TCP for a network: listens, calls, reads and writes, and keeps its time. The one place where p2p meets libuv.
 *
 * How it is used. transport_open() with the network and the loop; after the node called network_* functions: transport_poke(). All
 * actions are taken in one place and never within each other; those that are not a transport's go to on_action, which may call
 * network_* functions (and transport_poke(), which then does nothing).
 * A connection is bounded: TRANSPORT_CONNECT_MS to come about, what network_output() gives is handed to the kernel up to
 * TCP_NOTSENT_LOWAT, a peer that takes nothing for TRANSPORT_STUCK_MS is gone. When the machine slept or its addresses changed,
 * network_woke() is called.
 * Must not know: what the bytes mean. Links: network, libuv. */
#ifndef TALKOO_P2P_TRANSPORT_UV_H
#define TALKOO_P2P_TRANSPORT_UV_H

#include <uv.h>

#include "p2p/network.h"

#define TRANSPORT_CONNECT_MS 10000  /* name, and each address of it */
#define TRANSPORT_GOODBYE_MS 5000   /* to write what waits before a hang-up */
#define TRANSPORT_STUCK_MS 60000
#define TRANSPORT_UNSENT_BYTES 131072
#define TRANSPORT_ADDRESSES_MAX 8   /* of one name */

typedef void (*transport_action_fn)(void *user, const struct network_action *a);
typedef void (*transport_done_fn)(void *user);

struct transport_options {
	uv_loop_t *loop;
	struct network *network; /* lent for its life */
	const char *listen;      /* "HOST:PORT" or "[HOST]:PORT" of literal addresses, port 0: any; NULL: calls out only */
	transport_action_fn on_action;
	void *user;
};

struct transport;
/* ERR_INVALID: not an address; ERR_IO: it cannot be listened at. */
int transport_open(const struct transport_options *o, struct transport **ret, struct err *err) MUST_CHECK;
/* Takes all actions and asks for the time of the next tick. */
void transport_poke(struct transport *t);
/* The port it listens at; 0: none. */
uint16_t transport_port(const struct transport *t);
/* Ends every connection; done (may be NULL) once nothing of it is in the loop any more. The network may be freed then. */
void transport_close(struct transport *t, transport_done_fn done, void *user);

#endif
