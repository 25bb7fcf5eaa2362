/* One TCP connection of a transport: from a name to bytes to its end. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "p2p/transport_impl_uv.h"
#include "proto/base/netaddr.h"

#ifndef TCP_NOTSENT_LOWAT
#define TCP_NOTSENT_LOWAT 25
#endif

/* ---- life */

static void let_go(struct link *l)
{
	struct transport *t = l->t;
	if (--l->alive)
		return;
	for (struct link **at = &t->links; *at; at = &(*at)->next)
		if (*at == l) {
			*at = l->next;
			break;
		}
	free(l->stuck);
	free(l);
	transport_let_go(t);
}

static void on_link_close(uv_handle_t *handle)
{
	let_go(handle->data);
}

static struct link *link_new(struct transport *t, enum link_state state)
{
	struct link *l = calloc(1, sizeof *l);
	if (!l)
		return NULL;
	l->t = t;
	l->state = state;
	l->next = t->links;
	t->links = l;
	t->alive++;
	uv_timer_init(t->loop, &l->deadline);
	l->deadline.data = l->tcp.data = l->resolve.data = l->connect.data = l->write.data = l->shutdown.data = l;
	l->alive = 1;
	return l;
}

static int open_tcp(struct link *l)
{
	const int e = uv_tcp_init(l->t->loop, &l->tcp);
	if (e)
		return e;
	l->tcp.data = l;
	l->is_tcp_open = true;
	l->alive++;
	return 0;
}

struct link *link_find(struct transport *t, uint32_t number)
{
	for (struct link *l = t->links; l; l = l->next)
		if (l->number == number && l->state != LINK_CLOSING)
			return l;
	return NULL;
}

void link_close(struct link *l)
{
	if (l->state == LINK_CLOSING)
		return;
	if (l->state == LINK_RESOLVING && l->is_resolving)
		uv_cancel((uv_req_t *)&l->resolve); /* its callback comes either way */
	l->state = LINK_CLOSING;
	if (l->number)
		network_lost(l->t->network, l->number, transport_now());
	uv_close((uv_handle_t *)&l->deadline, on_link_close);
	if (l->is_tcp_open)
		uv_close((uv_handle_t *)&l->tcp, on_link_close);
	l->is_tcp_open = false;
}

static void close_and_tell(struct link *l)
{
	struct transport *t = l->t;
	link_close(l);
	transport_poke(t);
}

static void on_link_deadline(uv_timer_t *timer)
{
	close_and_tell(timer->data);
}

/* ---- writing */

static void on_link_shutdown(uv_shutdown_t *req, int status)
{
	struct link *l = req->data;
	(void)status;
	if (l->state != LINK_CLOSING)
		close_and_tell(l);
	let_go(l);
}

static void on_link_write(uv_write_t *req, int status)
{
	struct link *l = req->data;
	struct transport *t = l->t;
	l->is_writing = false;
	if (l->state == LINK_LIVE && status)
		link_close(l);
	else if (l->state == LINK_LIVE)
		link_turn(l);
	let_go(l);
	transport_poke(t);
}

/* The socket took no more: the rest goes through the loop, a bounded piece of it. False: it is being closed. */
static bool write_later(struct link *l, const uint8_t *bytes, size_t len)
{
	if (!l->stuck && !(l->stuck = malloc(STUCK_LEN)))
		return false;
	const size_t piece = len < STUCK_LEN ? len : STUCK_LEN;
	memcpy(l->stuck, bytes, piece);
	const uv_buf_t buf = uv_buf_init((char *)l->stuck, (unsigned)piece);
	if (uv_write(&l->write, (uv_stream_t *)&l->tcp, &buf, 1, on_link_write))
		return false;
	network_output_done(l->t->network, l->number, piece);
	l->is_writing = true;
	l->alive++;
	return true;
}

/* All is written: a hang-up can end, else bulk may follow, if it is not the others' turn. */
static void drained(struct link *l)
{
	free(l->stuck);
	l->stuck = NULL;
	if (l->is_hanging_up) {
		if (!l->is_shut && !uv_shutdown(&l->shutdown, (uv_stream_t *)&l->tcp, on_link_shutdown))
			l->alive++;
		else if (!l->is_shut)
			link_close(l);
		l->is_shut = true;
	} else if (l->turns < LINK_TURNS) {
		l->turns++;
		network_writable(l->t->network, l->number, transport_now());
	} else {
		l->is_waiting = true;
		transport_again(l->t);
	}
}

void link_flush(struct link *l)
{
	const uint8_t *bytes;
	size_t len;
	if (l->state != LINK_LIVE || l->is_writing || l->is_shut)
		return;
	while ((bytes = network_output(l->t->network, l->number, &len))) {
		const uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)len);
		const int n = uv_try_write((uv_stream_t *)&l->tcp, &buf, 1);
		if (n < 0 && n != UV_EAGAIN) {
			link_close(l);
			return;
		}
		if (n > 0)
			network_output_done(l->t->network, l->number, (size_t)n);
		if (n > 0 && (size_t)n == len)
			continue;
		bytes = network_output(l->t->network, l->number, &len);
		if (!bytes || !write_later(l, bytes, len))
			link_close(l);
		return;
	}
	drained(l);
}

void link_turn(struct link *l)
{
	l->turns = 0;
	if (l->state != LINK_LIVE)
		return;
	l->is_waiting = false;
	link_flush(l);
}

void link_hang_up(struct link *l)
{
	if (l->state != LINK_LIVE) {
		link_close(l);
		return;
	}
	l->is_hanging_up = true;
	uv_read_stop((uv_stream_t *)&l->tcp);
	uv_timer_start(&l->deadline, on_link_deadline, TRANSPORT_GOODBYE_MS, 0);
	link_flush(l);
}

/* ---- reading */

static void on_link_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct link *l = handle->data;
	(void)suggested;
	*buf = uv_buf_init((char *)l->t->input, READ_LEN); /* used up in on_link_read, before another reads */
}

static void on_link_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
	struct link *l = stream->data;
	struct transport *t = l->t;
	if (l->state != LINK_LIVE || !len)
		return;
	if (len < 0)
		link_close(l);
	else
		network_input(t->network, l->number, (const uint8_t *)buf->base, (size_t)len, transport_now());
	transport_poke(t);
}

/* Bytes pass from now on. Options that the kernel refuses are no reason to end. False: it cannot be read. */
static bool go_live(struct link *l)
{
	uv_os_fd_t fd;
	const unsigned unsent = TRANSPORT_UNSENT_BYTES, stuck = TRANSPORT_STUCK_MS;
	uv_timer_stop(&l->deadline);
	uv_tcp_nodelay(&l->tcp, 1);
	uv_tcp_keepalive(&l->tcp, 1, 60);
	if (!uv_fileno((const uv_handle_t *)&l->tcp, &fd)) {
		(void)!setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
		(void)!setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &stuck, sizeof stuck);
	}
	l->state = LINK_LIVE;
	return !uv_read_start((uv_stream_t *)&l->tcp, on_link_alloc, on_link_read);
}

/* ---- inbound */

/* "HOST:PORT" or "[HOST]:PORT"; an IPv4 address within IPv6 as what it is. */
static void place_text(const struct sockaddr_storage *address, char *out, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "?";
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;
		uv_inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
		snprintf(out, size, "%s:%u", host, ntohs(in->sin_port));
	} else if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		uv_inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], host, sizeof host);
		snprintf(out, size, "%s:%u", host, ntohs(in6->sin6_port));
	} else {
		uv_inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
		snprintf(out, size, "[%s]:%u", host, ntohs(in6->sin6_port));
	}
}

void link_accept(struct transport *t)
{
	struct sockaddr_storage address = {0};
	int len = sizeof address;
	char from[80];
	struct link *l = link_new(t, LINK_CONNECTING);
	if (!l)
		return; /* libuv keeps it until the next comes; there is no memory anyway */
	if (open_tcp(l) || uv_accept((uv_stream_t *)&t->listener, (uv_stream_t *)&l->tcp) ||
	    uv_tcp_getpeername(&l->tcp, (struct sockaddr *)&address, &len)) {
		link_close(l);
		return;
	}
	place_text(&address, from, sizeof from);
	l->number = network_accepted(t->network, from, transport_now());
	if (!l->number || !go_live(l))
		link_close(l);
}

/* ---- outbound */

static void try_next(struct link *l);

static void on_retry_close(uv_handle_t *handle)
{
	struct link *l = handle->data;
	struct transport *t = l->t;
	if (l->state == LINK_CONNECTING)
		try_next(l);
	let_go(l);
	transport_poke(t);
}

static void on_link_connect(uv_connect_t *req, int status)
{
	struct link *l = req->data;
	struct transport *t = l->t;
	if (l->state == LINK_CONNECTING && status) {
		l->is_tcp_open = false;
		uv_close((uv_handle_t *)&l->tcp, on_retry_close);
	} else if (l->state == LINK_CONNECTING) {
		network_connected(t->network, l->number, transport_now());
		if (!go_live(l))
			link_close(l);
	}
	let_go(l);
	transport_poke(t);
}

/* A fresh socket to the next address; none left: lost. */
static void try_next(struct link *l)
{
	while (l->address_at < l->addresses_len) {
		const struct sockaddr *address = (const struct sockaddr *)&l->addresses[l->address_at++];
		if (open_tcp(l))
			break;
		uv_timer_start(&l->deadline, on_link_deadline, TRANSPORT_CONNECT_MS, 0);
		if (!uv_tcp_connect(&l->connect, &l->tcp, address, on_link_connect)) {
			l->alive++;
			return;
		}
		l->is_tcp_open = false;
		uv_close((uv_handle_t *)&l->tcp, on_retry_close);
		return;
	}
	link_close(l);
}

static bool may_call(const struct sockaddr *address, bool may_be_private)
{
	switch (netaddr_classify(address)) {
	case NETADDR_PUBLIC: return true;
	case NETADDR_LOOPBACK:
	case NETADDR_PRIVATE:
	case NETADDR_LINK_LOCAL:
	case NETADDR_SPECIAL: return may_be_private;
	case NETADDR_MULTICAST: break;
	}
	return false;
}

static void add_address(struct link *l, const struct sockaddr *address, size_t len)
{
	if (l->addresses_len < TRANSPORT_ADDRESSES_MAX && may_call(address, l->may_be_private))
		memcpy(&l->addresses[l->addresses_len++], address, len);
}

static void on_link_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
	struct link *l = req->data;
	struct transport *t = l->t;
	if (l->state == LINK_RESOLVING) {
		for (const struct addrinfo *a = status ? NULL : list; a; a = a->ai_next)
			if (a->ai_family == AF_INET || a->ai_family == AF_INET6)
				add_address(l, a->ai_addr, a->ai_addrlen);
		l->state = LINK_CONNECTING;
		try_next(l);
	}
	uv_freeaddrinfo(list);
	let_go(l);
	transport_poke(t);
}

static void resolve(struct link *l, const struct node_addr *addr)
{
	char port[8];
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
	snprintf(port, sizeof port, "%u", addr->port);
	uv_timer_start(&l->deadline, on_link_deadline, TRANSPORT_CONNECT_MS, 0);
	if (uv_getaddrinfo(l->t->loop, &l->resolve, on_link_resolved, addr->host, port, &hints))
		link_close(l);
	else {
		l->is_resolving = true;
		l->alive++;
	}
}

void link_dial(struct transport *t, const struct network_action *a)
{
	struct sockaddr_storage address = {0};
	struct link *l = link_new(t, LINK_RESOLVING);
	if (!l) {
		network_lost(t->network, a->connection, transport_now());
		return;
	}
	l->number = a->connection;
	l->may_be_private = a->may_be_private;
	if (!netaddr_parse(a->addr.host, &address)) {
		resolve(l, &a->addr);
		return;
	}
	if (address.ss_family == AF_INET)
		((struct sockaddr_in *)&address)->sin_port = htons(a->addr.port);
	else
		((struct sockaddr_in6 *)&address)->sin6_port = htons(a->addr.port);
	add_address(l, (const struct sockaddr *)&address, sizeof address);
	l->state = LINK_CONNECTING;
	try_next(l);
}
