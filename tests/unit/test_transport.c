/* Networks over real TCP on loopback, all in one process and one loop: they find each other, and what misbehaves disturbs nobody. */
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "p2p/network_impl.h"
#include "p2p/transport_impl_uv.h"
#include "proto/base/cleanup.h"
#include "tests/unit/samples.h"
#include "tests/unit/tap.h"

struct node {
	struct sample_key key;
	struct network *network;
	struct transport *transport;
	unsigned opened, gone, records;
	struct id32 record;
	bool is_closed;
};

static void on_action(void *user, const struct network_action *a)
{
	struct node *n = user;
	if (a->type == NETWORK_PEER && a->is_open)
		n->opened++;
	else if (a->type == NETWORK_PEER)
		n->gone++;
	else if (a->type == NETWORK_RECORD) {
		n->records++;
		n->record = a->id;
		network_refused(n->network, &a->id); /* re-entrant: from within an action */
		transport_poke(n->transport);
	}
}

static void on_closed(void *user)
{
	((struct node *)user)->is_closed = true;
}

static void start(struct node *n, uint8_t number, const char *network, const char *listen)
{
	*n = (struct node){0};
	sample_key_init(&n->key, number);
	struct network_options o = {.network = network, .identity_secret = n->key.secret, .seed = {number}, .is_private = true,
				    .now_ms = uv_hrtime() / 1000000, .unix_ms = SAMPLE_CREATED_MS};
	struct err err = {0};
	if (network_new(&o, &n->network, &err))
		abort();
	const struct transport_options to = {uv_default_loop(), n->network, listen, on_action, n};
	if (!OK(!transport_open(&to, &n->transport, &err), "transport %u opens %s", number, err.what))
		abort();
}

static void stop(struct node *n)
{
	transport_close(n->transport, on_closed, n);
	while (!n->is_closed)
		uv_run(uv_default_loop(), UV_RUN_ONCE);
	network_free(n->network);
}

static void call(struct node *n, const struct node *other, uint16_t port)
{
	struct node_addr addr = {.id = other->key.id, .host = "127.0.0.1", .port = port};
	network_pin(n->network, &addr, false, uv_hrtime() / 1000000);
	transport_poke(n->transport);
}

static void on_nudge(uv_timer_t *timer)
{
	(void)timer; /* the loop looks at its condition again */
}

/* Runs the loop until the condition holds; a guard of 60 s. */
#define RUN_UNTIL(condition, ...)                                                                                      \
	do {                                                                                                           \
		const uint64_t guard = uv_hrtime() + UINT64_C(60000000000);                                            \
		while (!(condition) && uv_hrtime() < guard)                                                            \
			uv_run(uv_default_loop(), UV_RUN_ONCE);                                                        \
		OK(condition, __VA_ARGS__);                                                                            \
	} while (0)

static int raw_connect(uint16_t port)
{
	const struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&in, sizeof in)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool is_ended(int fd)
{
	char byte;
	const ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
}

static uint64_t closed(const struct node *n, enum session_close why)
{
	return network_stats(n->network)->closed[why];
}

static bool knows_topic(const struct node *n)
{
	struct network_peer p;
	return network_peers(n->network, &p, 1) && p.topics;
}

static void test_meet(struct node *a, struct node *b)
{
	const struct id32 topic = {{1}};
	call(b, a, transport_port(a->transport));
	RUN_UNTIL((a->opened == 1 && b->opened == 1), "two nodes meet");
	network_follow(a->network, &topic, uv_hrtime() / 1000000);
	network_follow(b->network, &topic, uv_hrtime() / 1000000);
	transport_poke(a->transport);
	transport_poke(b->transport);
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, 1000);
	const struct project_body project = {.name = "p"};
	project_body_encode(&project, &body);
	CLEANUP(record_unrefp) struct record *r = sample_record(RECORD_PROJECT, &a->key, &topic, "k", 1, NULL, &body);
	RUN_UNTIL(knows_topic(a), "the peer said its topic");
	network_admitted(a->network, r, 0, uv_hrtime() / 1000000);
	transport_poke(a->transport);
	RUN_UNTIL((b->records), "a record passes");
	OK(id32_eq(&b->record, record_id(r)), "it is that record");
}

static void test_garbage(struct node *a)
{
	const int fd = raw_connect(transport_port(a->transport));
	const uint64_t before = closed(a, CLOSE_HANDSHAKE_BAD);
	(void)!write(fd, "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", 38);
	RUN_UNTIL((is_ended(fd)), "garbage is hung up on");
	INTEQ(closed(a, CLOSE_HANDSHAKE_BAD), before + 1);
	close(fd);
}

static void test_other_network(struct node *a)
{
	struct node c;
	const uint64_t before = closed(a, CLOSE_HANDSHAKE_BAD);
	start(&c, 3, "other", NULL);
	call(&c, a, transport_port(a->transport));
	RUN_UNTIL((closed(a, CLOSE_HANDSHAKE_BAD) > before || closed(&c, CLOSE_HANDSHAKE_BAD)), "another network's node is refused");
	INTEQ(c.opened, 0);
	stop(&c);
}

static void test_wrong_id(struct node *a, const struct node *b)
{
	struct node c;
	start(&c, 4, "main", NULL);
	call(&c, b, transport_port(a->transport));
	RUN_UNTIL((closed(&c, CLOSE_ID_OTHER)), "another id than the one dialled");
	stop(&c);
}

static void test_nobody(void)
{
	struct node c, d;
	start(&d, 6, "main", "127.0.0.1:0");
	const uint16_t port = transport_port(d.transport);
	stop(&d);
	start(&c, 5, "main", NULL);
	call(&c, &d, port);
	RUN_UNTIL((!network_stats(c.network)->dialling), "nobody there");
	start(&d, 6, "main", "127.0.0.1:0");
	struct node_addr addr = {.id = d.key.id, .host = "localhost", .port = transport_port(d.transport)};
	network_pin(c.network, &addr, false, uv_hrtime() / 1000000);
	transport_poke(c.transport);
	RUN_UNTIL((c.opened), "by a name, of whose addresses perhaps the second answers");
	stop(&d);
	RUN_UNTIL((c.gone), "who vanishes is gone");
	stop(&c);
}

static void test_crowd(struct node *a)
{
	int fds[100];
	const uint64_t before = network_stats(a->network)->refused_accepts;
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = raw_connect(transport_port(a->transport));
		if (i % 32 == 31)
			uv_run(uv_default_loop(), UV_RUN_NOWAIT); /* the kernel's queue holds only so many */
	}
	RUN_UNTIL((network_stats(a->network)->refused_accepts >= before + ARRAY_LEN(fds) - NETWORK_INBOUND_MAX), "a crowd: the rest is refused");
	OK(network_stats(a->network)->shaking <= NETWORK_INBOUND_MAX, "bounded");
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	RUN_UNTIL((!network_stats(a->network)->shaking), "all vanished in the handshake");
}

static void test_slow(struct node *a)
{
	const int fd = raw_connect(transport_port(a->transport));
	const uint64_t before = closed(a, CLOSE_HANDSHAKE_TIMEOUT);
	(void)!write(fd, "\0", 1);
	RUN_UNTIL((is_ended(fd)), "one byte and no more: hung up on");
	INTEQ(closed(a, CLOSE_HANDSHAKE_TIMEOUT), before + 1);
	close(fd);
}

static struct conn *conn_with(const struct node *n, const struct node *other)
{
	return network_conn(n->network, network_find(n->network, &other->key.id));
}

/* Sends what no peer knows, as long as the connection is there and has room; how much waits then. */
static size_t fill(struct node *n, struct conn *c)
{
	static const uint8_t bulk[SESSION_BULK_LEN];
	size_t waiting = 0;
	for (session_output(c->session, &waiting); waiting < SESSION_OUTPUT_MAX / 2; session_output(c->session, &waiting))
		if (!session_send(c->session, (enum session_message)200, bulk, sizeof bulk))
			break;
	transport_poke(n->transport);
	return waiting;
}

/* A peer that takes nothing more: its socket fills, then it is hung up on, and only it. */
static void test_slow_reader(struct node *a)
{
	static const uint8_t bulk[SESSION_BULK_LEN];
	struct node c;
	start(&c, 8, "main", NULL);
	call(&c, a, transport_port(a->transport));
	RUN_UNTIL(c.opened && conn_with(a, &c), "a peer");
	uv_read_stop((uv_stream_t *)&c.transport->links->tcp);
	size_t written = 0;
	for (unsigned still = 0; still < 50 && written < (64u << 20); still++) {
		const uint64_t before = session_stats(conn_with(a, &c)->session)->bytes_out;
		fill(a, conn_with(a, &c));
		uv_run(uv_default_loop(), UV_RUN_NOWAIT);
		written = session_stats(conn_with(a, &c)->session)->bytes_out;
		still = written > before ? 0 : still;
	}
	OK(written > TRANSPORT_UNSENT_BYTES && written < (64u << 20), "the kernel took %zu bytes and no more", written);
	const uint64_t before = closed(a, CLOSE_SLOW);
	for (unsigned i = 0; i < 128 && conn_with(a, &c); i++)
		session_send(conn_with(a, &c)->session, (enum session_message)200, bulk, sizeof bulk);
	transport_poke(a->transport);
	RUN_UNTIL(closed(a, CLOSE_SLOW) == before + 1, "past the ceiling it is hung up on");
	stop(&c);
	RUN_UNTIL(network_stats(a->network)->open == 1, "and gone");
}

/* No descriptor left: who calls then is turned away, the loop does not spin, and later ones come in. */
static void test_no_descriptors(struct node *a)
{
	struct rlimit limit, less;
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int next = dup(fd);
	const struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(transport_port(a->transport)), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	close(next);
	getrlimit(RLIMIT_NOFILE, &limit);
	less = limit;
	less.rlim_cur = (rlim_t)next;
	setrlimit(RLIMIT_NOFILE, &less);
	(void)!connect(fd, (const struct sockaddr *)&in, sizeof in);
	const size_t shaking = network_stats(a->network)->shaking;
	unsigned turns = 0;
	for (const uint64_t until = uv_hrtime() + 200000000; uv_hrtime() < until; turns++)
		uv_run(uv_default_loop(), UV_RUN_ONCE);
	OK(turns < 200, "it does not spin: %u turns", turns);
	INTEQ(network_stats(a->network)->shaking, shaking);
	setrlimit(RLIMIT_NOFILE, &limit);
	close(fd);
}

static void test_close_in_each_state(struct node *a)
{
	for (unsigned turns = 0; turns < 12; turns++) {
		struct node c;
		start(&c, 7, "main", "127.0.0.1:0");
		call(&c, a, transport_port(a->transport));
		for (unsigned i = 0; i < turns; i++)
			uv_run(uv_default_loop(), UV_RUN_NOWAIT);
		stop(&c);
	}
	RUN_UNTIL((network_stats(a->network)->open == 1 && !network_stats(a->network)->shaking), "twelve ended wherever they were");
}

static void test_listen(struct node *a)
{
	char taken[40];
	snprintf(taken, sizeof taken, "127.0.0.1:%u", transport_port(a->transport));
	const struct { const char *text; int want; } cases[] = {
		{taken, ERR_IO}, {"nonsense:1", ERR_INVALID}, {"127.0.0.1:99999", ERR_INVALID}, {"", ERR_INVALID}, {"[::1", ERR_INVALID},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct transport *t = NULL;
		struct err err = {0};
		const struct transport_options o = {uv_default_loop(), a->network, cases[i].text, on_action, a};
		OK(transport_open(&o, &t, &err) == cases[i].want && !t, "listen at '%s': %s", cases[i].text, err.what);
	}
}

int main(void)
{
	struct node a, b;
	uv_timer_t nudge;
	uv_timer_init(uv_default_loop(), &nudge);
	uv_timer_start(&nudge, on_nudge, 10, 10);
	start(&a, 1, "main", "127.0.0.1:0");
	start(&b, 2, "main", NULL);
	OK(transport_port(a.transport) && !transport_port(b.transport), "the bound port");
	test_meet(&a, &b);
	test_listen(&a);
	test_garbage(&a);
	test_other_network(&a);
	test_wrong_id(&a, &b);
	test_nobody();
	test_crowd(&a);
	test_slow(&a);
	test_slow_reader(&a);
	test_no_descriptors(&a);
	test_garbage(&a);
	test_close_in_each_state(&a);
	OK(!b.gone && network_stats(b.network)->open == 1, "and the first two never noticed");
	stop(&b);
	stop(&a);
	uv_close((uv_handle_t *)&nudge, NULL);
	uv_run(uv_default_loop(), UV_RUN_DEFAULT);
	INTEQ(uv_loop_close(uv_default_loop()), 0);
	transport_close(NULL, NULL, NULL);
	return tap_done();
}
