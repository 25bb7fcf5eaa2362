/* bench_channel [MIB]: one connection over loopback, two processes, bulk messages of 16 KiB through session, network and transport: payload
 * bytes per cpu-second of either side, beside libsodium's bare ChaCha20-Poly1305 in the same run. The messages have a type that
 * the receiver does not know, so that nothing but the channel works. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "p2p/network_impl.h"
#include "p2p/transport_uv.h"
#include "tests/unit/samples.h"

#define UNKNOWN_TYPE ((enum session_message)200)
#define FILL_LEN 262144

struct side { struct network *network; struct transport *transport; uint64_t messages, want; double cpu0, seconds0; bool is_over; };

static double cpu_seconds(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double bare_rate(void)
{
	static uint8_t plain[SESSION_BULK_LEN], sealed[SESSION_BULK_LEN + 16];
	const uint8_t key[32] = {1}, nonce[12] = {0};
	unsigned long long len;
	uint64_t bytes = 0;
	crypto_aead_chacha20poly1305_ietf_encrypt(sealed, &len, plain, sizeof plain, NULL, 0, NULL, nonce, key);
	const double start = cpu_seconds();
	while (cpu_seconds() - start < 1.5)
		for (int i = 0; i < 256; i++, bytes += sizeof plain)
			if (crypto_aead_chacha20poly1305_ietf_decrypt(plain, &len, NULL, sealed, sizeof sealed, NULL, 0, nonce, key))
				abort();
	return (double)bytes / (cpu_seconds() - start);
}

static void on_action(void *user, const struct network_action *a)
{
	struct side *s = user;
	if (a->type == NETWORK_PEER && a->is_open) {
		s->cpu0 = cpu_seconds();
		s->seconds0 = (double)uv_hrtime() / 1e9;
	}
}

static void start(struct side *s, uint8_t number, const char *listen)
{
	struct sample_key key;
	static uint8_t secret[64];
	sample_key_init(&key, number);
	memcpy(secret, key.secret, sizeof secret);
	const struct network_options o = {.network = "main", .identity_secret = secret, .seed = {number}, .now_ms = uv_hrtime() / 1000000,
					  .unix_ms = SAMPLE_CREATED_MS};
	const struct transport_options to = {uv_default_loop(), NULL, listen, on_action, s};
	struct transport_options with = to;
	if (network_new(&o, &s->network, NULL))
		abort();
	with.network = s->network;
	if (transport_open(&with, &s->transport, NULL))
		abort();
}

static struct conn *open_conn(const struct side *s)
{
	return s->network->conns_len && s->network->conns[0]->state == CONN_OPEN ? s->network->conns[0] : NULL;
}

/* Keeps the connection's output full, up to what the socket takes. */
static void on_fill(uv_prepare_t *prepare)
{
	static const uint8_t payload[SESSION_BULK_LEN];
	struct side *s = prepare->data;
	const struct conn *c = open_conn(s);
	size_t waiting = 0;
	while (c && !waiting) {
		while (s->messages < s->want && waiting < FILL_LEN) {
			session_send(c->session, UNKNOWN_TYPE, payload, sizeof payload);
			session_flush(c->session);
			s->messages++;
			session_output(c->session, &waiting);
		}
		if (!waiting) {
			s->is_over = true;
			return;
		}
		transport_poke(s->transport);
		session_output(c->session, &waiting);
	}
}

static int send_all(uint64_t want, int port_fd, int report_fd)
{
	struct side s = {.want = want};
	struct sample_key receiver;
	struct node_addr addr = {.host = "127.0.0.1"};
	uv_prepare_t prepare;
	if (read(port_fd, &addr.port, sizeof addr.port) != sizeof addr.port)
		return 1;
	start(&s, 1, NULL);
	sample_key_init(&receiver, 2);
	addr.id = receiver.id;
	network_pin(s.network, &addr, false, uv_hrtime() / 1000000);
	uv_prepare_init(uv_default_loop(), &prepare);
	prepare.data = &s;
	uv_prepare_start(&prepare, on_fill);
	while (!s.is_over)
		uv_run(uv_default_loop(), UV_RUN_ONCE);
	const double cpu = cpu_seconds() - s.cpu0;
	const bool is_reported = write(report_fd, &cpu, sizeof cpu) == sizeof cpu;
	char byte;
	(void)!read(port_fd, &byte, 1); /* until the receiver has it all */
	return !is_reported;
}

static void on_nothing(uv_timer_t *timer)
{
	(void)timer;
}

int main(int argc, char **argv)
{
	const uint64_t mib = argc > 1 ? strtoull(argv[1], NULL, 10) : 3072;
	const uint64_t want = mib * 1048576 / SESSION_BULK_LEN;
	int port_pipe[2], report_pipe[2];
	double sender_cpu = 0;
	if (sodium_init() < 0 || pipe(port_pipe) || pipe(report_pipe))
		return 1;
	const pid_t child = fork();
	if (!child) {
		close(port_pipe[1]);
		_exit(send_all(want, port_pipe[0], report_pipe[1]));
	}
	close(port_pipe[0]);
	close(report_pipe[1]);
	struct side s = {.want = want};
	uv_timer_t nudge;
	start(&s, 2, "127.0.0.1:0");
	uv_timer_init(uv_default_loop(), &nudge);
	uv_timer_start(&nudge, on_nothing, 100, 100);
	const uint16_t port = transport_port(s.transport);
	(void)!write(port_pipe[1], &port, sizeof port);
	while (s.messages < want) {
		uv_run(uv_default_loop(), UV_RUN_ONCE);
		const struct conn *c = open_conn(&s);
		s.messages = c ? session_stats(c->session)->messages_unknown : 0;
	}
	const double cpu = cpu_seconds() - s.cpu0, wall = (double)uv_hrtime() / 1e9 - s.seconds0;
	const double bytes = (double)want * SESSION_BULK_LEN;
	if (read(report_pipe[0], &sender_cpu, sizeof sender_cpu) != sizeof sender_cpu)
		return 1;
	close(port_pipe[1]);
	waitpid(child, NULL, 0);
	const double bare = bare_rate();
	printf("%llu MiB in %.2f s wall\n", (unsigned long long)mib, wall);
	printf("bare ChaCha20-Poly1305  %.2f GB per cpu-second\n", bare / 1e9);
	printf("receiver                %.2f GB per cpu-second, %.2f of bare\n", bytes / cpu / 1e9, bytes / cpu / bare);
	printf("sender                  %.2f GB per cpu-second, %.2f of bare\n", bytes / sender_cpu / 1e9, bytes / sender_cpu / bare);
	return 0;
}
