/* Inside transport only: what its files share. transport_uv.c life, time, listening; transport_link_uv.c one connection. */
#ifndef TALKOO_P2P_TRANSPORT_IMPL_UV_H
#define TALKOO_P2P_TRANSPORT_IMPL_UV_H

#include "p2p/transport_uv.h"

#define READ_LEN 65536
#define STUCK_LEN 65536 /* what a socket did not take at once, copied for the loop to write */
#define LINK_TURNS 16   /* times that one socket is filled anew before the others get their turn */

/* RESOLVING a name is asked for · CONNECTING an address is tried · LIVE bytes pass · CLOSING network_lost() was said */
enum link_state { LINK_RESOLVING = 1, LINK_CONNECTING, LINK_LIVE, LINK_CLOSING };

struct link {
	struct transport *t;
	struct link *next;
	uint32_t number; /* of the network's connection */
	enum link_state state;
	unsigned alive;  /* handles and requests of libuv; the last one's end frees */
	uv_tcp_t tcp;
	uv_timer_t deadline;
	uv_getaddrinfo_t resolve;
	uv_connect_t connect;
	uv_write_t write;
	uv_shutdown_t shutdown;
	bool is_resolving, is_tcp_open, is_writing, is_hanging_up, is_shut, may_be_private, is_waiting; /* waiting: for the next turn */
	unsigned turns;
	struct sockaddr_storage addresses[TRANSPORT_ADDRESSES_MAX];
	size_t addresses_len, address_at;
	uint8_t *stuck; /* STUCK_LEN, while it is writing */
};

struct transport {
	uv_loop_t *loop;
	struct network *network;
	transport_action_fn on_action;
	void *user;
	struct link *links;
	unsigned alive; /* handles of ours and links */
	uv_tcp_t listener;
	uv_timer_t tick;
	uv_idle_t again;
	bool is_listening, is_running, is_closing, has_said_full;
	uint16_t port;
	uint64_t due_ms;     /* when the tick is to fire */
	uint64_t looked_ms;  /* at the machine's addresses */
	int64_t asleep_ms;   /* boot clock less monotonic clock */
	uint64_t addresses;  /* a hash of the machine's */
	transport_done_fn done;
	void *done_user;
	uint8_t input[READ_LEN];
};

/* transport_uv.c */
uint64_t transport_now(void);
void transport_let_go(struct transport *t); /* a handle or a link of it has ended */
void transport_again(struct transport *t);  /* some link waits for its next turn */

/* transport_link_uv.c */
void link_accept(struct transport *t);
void link_dial(struct transport *t, const struct network_action *a);
struct link *link_find(struct transport *t, uint32_t number);
void link_flush(struct link *l);   /* writes what the network has */
void link_hang_up(struct link *l); /* … and closes then */
void link_close(struct link *l);
void link_turn(struct link *l);    /* a new turn */

#endif
