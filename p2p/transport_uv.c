#include "p2p/transport_uv.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "p2p/transport_impl_uv.h"
#include "proto/base/log.h"
#include "proto/base/netaddr.h"
#include "proto/host.h"

#define TICK_MOST_MS 5000        /* so often at least, to see that the machine slept */
#define LATE_MS 30000            /* a timer so late: the machine stood still */
#define SLEPT_MS 2000
#define ADDRESSES_EVERY_MS 60000
#define BACKLOG 64

/* ---- clocks */

static int64_t clock_ms(clockid_t id)
{
	struct timespec ts = {0};
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

uint64_t transport_now(void)
{
	return (uint64_t)clock_ms(CLOCK_MONOTONIC);
}

static int64_t asleep_ms(void)
{
	return clock_ms(CLOCK_BOOTTIME) - clock_ms(CLOCK_MONOTONIC);
}

/* FNV-1a over the addresses that others could reach; changes when one comes or goes. */
static uint64_t machine_addresses(void)
{
	uv_interface_address_t *list = NULL;
	int len = 0;
	uint64_t sum = 0;
	if (uv_interface_addresses(&list, &len))
		return 0;
	for (int i = 0; i < len; i++) {
		uint64_t one = UINT64_C(0xcbf29ce484222325);
		const bool is_v4 = list[i].address.address4.sin_family == AF_INET;
		const uint8_t *at = is_v4 ? (const uint8_t *)&list[i].address.address4.sin_addr : (const uint8_t *)&list[i].address.address6.sin6_addr;
		for (size_t k = 0; k < (is_v4 ? 4 : 16); k++)
			one = (one ^ at[k]) * UINT64_C(0x100000001b3);
		if (!list[i].is_internal)
			sum += one; /* whatever their order */
	}
	uv_free_interface_addresses(list, len);
	return sum;
}

static void look_around(struct transport *t, uint64_t now)
{
	const int64_t asleep = asleep_ms();
	bool woke = asleep - t->asleep_ms > SLEPT_MS || (t->due_ms && now > t->due_ms + LATE_MS);
	t->asleep_ms = asleep;
	if (now >= t->looked_ms + ADDRESSES_EVERY_MS || woke) {
		const uint64_t addresses = machine_addresses();
		woke |= addresses != t->addresses;
		t->addresses = addresses;
		t->looked_ms = now;
	}
	if (woke) {
		log_info("event=network-woke");
		network_woke(t->network, now);
	}
}

/* ---- actions: the one place where they are taken */

static void act(struct transport *t, const struct network_action *a)
{
	struct link *l;
	switch (a->type) {
	case NETWORK_DIAL: link_dial(t, a); return;
	case NETWORK_OUTPUT:
		if ((l = link_find(t, a->connection)))
			link_flush(l);
		return;
	case NETWORK_HANG_UP:
		if ((l = link_find(t, a->connection)))
			link_hang_up(l);
		return;
	case NETWORK_RECORD:
	case NETWORK_LOOKUP:
	case NETWORK_PEER:
	case NETWORK_EXCHANGE:
	case NETWORK_LIVELOG: break;
	}
	t->on_action(t->user, a);
}

static void on_tick_timer(uv_timer_t *timer);

void transport_poke(struct transport *t)
{
	struct network_action a;
	if (t->is_running || t->is_closing)
		return;
	t->is_running = true;
	uint64_t next, now;
	do {
		while (network_next(t->network, &a))
			act(t, &a);
		now = transport_now();
		next = network_tick(t->network, now, (uint64_t)clock_ms(CLOCK_REALTIME));
		if (!network_next(t->network, &a))
			break;
		act(t, &a);
	} while (true);
	t->is_running = false;
	const uint64_t most = now + TICK_MOST_MS;
	t->due_ms = next < most ? next : most;
	if (t->due_ms <= now)
		t->due_ms = now + 1;
	uv_update_time(t->loop);
	uv_timer_start(&t->tick, on_tick_timer, t->due_ms - now, 0);
}

static void on_tick_timer(uv_timer_t *timer)
{
	struct transport *t = timer->data;
	look_around(t, transport_now());
	transport_poke(t);
}

static void on_again_idle(uv_idle_t *idle)
{
	struct transport *t = idle->data;
	uv_idle_stop(idle);
	for (struct link *l = t->links; l; l = l->next)
		if (l->is_waiting)
			link_turn(l);
	transport_poke(t);
}

void transport_again(struct transport *t)
{
	if (!t->is_closing)
		uv_idle_start(&t->again, on_again_idle);
}

/* ---- listening */

static void on_listener_connection(uv_stream_t *stream, int status)
{
	struct transport *t = stream->data;
	if (t->is_closing)
		return;
	if (status) {
		if (!t->has_said_full)
			log_warn("event=accept-failed why=%s", uv_err_name(status));
		t->has_said_full = true; /* said once, until one comes in again; libuv has dropped this one */
		return;
	}
	t->has_said_full = false;
	link_accept(t);
	transport_poke(t);
}

static int parse_listen(const char *text, struct sockaddr_storage *ret, struct err *err)
{
	char fake[320];
	struct host_port hp;
	const char *colon = strrchr(text, ':');
	/* host_port_parse() knows no port 0 */
	const bool is_any_port = colon && !strcmp(colon, ":0");
	snprintf(fake, sizeof fake, "%.*s%s", is_any_port ? (int)(colon - text) : 300, text, is_any_port ? ":1" : "");
	if (!host_port_parse(fake, strlen(fake), PORT_DEFAULT, &hp) || !netaddr_parse(hp.host, ret)) {
		err_set(err, ERR_INVALID, "%s: not an address to listen at", text);
		err_hint(err, "write 0.0.0.0:%d, [::]:%d or the address of one interface", PORT_DEFAULT, PORT_DEFAULT);
		return ERR_INVALID;
	}
	const uint16_t port = htons(is_any_port ? 0 : hp.port);
	if (ret->ss_family == AF_INET)
		((struct sockaddr_in *)ret)->sin_port = port;
	else
		((struct sockaddr_in6 *)ret)->sin6_port = port;
	return 0;
}

static int start_listening(struct transport *t, const char *text, struct err *err)
{
	struct sockaddr_storage address = {0};
	int e = parse_listen(text, &address, err);
	if (e)
		return e;
	e = uv_tcp_init(t->loop, &t->listener);
	if (e)
		return err_set(err, ERR_IO, "cannot listen at %s: %s", text, uv_strerror(e));
	t->listener.data = t;
	t->is_listening = true;
	t->alive++;
	e = uv_tcp_bind(&t->listener, (const struct sockaddr *)&address, 0);
	if (!e)
		e = uv_listen((uv_stream_t *)&t->listener, BACKLOG, on_listener_connection);
	int len = sizeof address;
	if (!e)
		e = uv_tcp_getsockname(&t->listener, (struct sockaddr *)&address, &len);
	if (e) {
		err_set(err, ERR_IO, "cannot listen at %s: %s", text, uv_strerror(e));
		if (e == UV_EADDRINUSE)
			err_hint(err, "another program (another node?) has this port: choose another one");
		return ERR_IO;
	}
	t->port = ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port : ((struct sockaddr_in6 *)&address)->sin6_port);
	return 0;
}

/* ---- life */

int transport_open(const struct transport_options *o, struct transport **ret, struct err *err)
{
	struct transport *t = calloc(1, sizeof *t);
	if (!t)
		return err_set(err, ERR_NOMEM, "out of memory");
	t->loop = o->loop;
	t->network = o->network;
	t->on_action = o->on_action;
	t->user = o->user;
	t->asleep_ms = asleep_ms();
	t->addresses = machine_addresses();
	t->looked_ms = transport_now();
	uv_timer_init(t->loop, &t->tick); /* neither fails */
	uv_idle_init(t->loop, &t->again);
	t->tick.data = t->again.data = t;
	t->alive = 2;
	const int e = o->listen ? start_listening(t, o->listen, err) : 0;
	if (e) {
		transport_close(t, NULL, NULL);
		return e;
	}
	*ret = t;
	/* not from within: the caller has no transport yet that on_action could be about */
	t->due_ms = transport_now();
	uv_timer_start(&t->tick, on_tick_timer, 0, 0);
	return 0;
}

uint16_t transport_port(const struct transport *t)
{
	return t->port;
}

void transport_let_go(struct transport *t)
{
	if (--t->alive)
		return;
	const transport_done_fn done = t->done;
	void *user = t->done_user;
	free(t);
	if (done)
		done(user);
}

static void on_own_close(uv_handle_t *handle)
{
	transport_let_go(handle->data);
}

void transport_close(struct transport *t, transport_done_fn done, void *user)
{
	if (!t || t->is_closing)
		return;
	t->is_closing = true;
	t->done = done;
	t->done_user = user;
	for (struct link *l = t->links; l; l = l->next)
		link_close(l);
	uv_close((uv_handle_t *)&t->tick, on_own_close);
	uv_close((uv_handle_t *)&t->again, on_own_close);
	if (t->is_listening)
		uv_close((uv_handle_t *)&t->listener, on_own_close);
}
