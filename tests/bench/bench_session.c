/* Figure: the session engine alone, memory to memory, in messages of SESSION_BULK_LEN: what it adds to libsodium's bare
 * ChaCha20-Poly1305 (IETF) at 16 KiB. In interleaved rounds on one core; payload bytes per cpu-second.
 *
 *   bench_session [--mib N] [--rounds N]      defaults 256, 10
 *
 * Sending: session_send, session_flush, session_output_done. Receiving: from bytes that lie in session_input_room() (as a
 * transport reads them from its socket) to messages; and the same through session_input(), which copies. */
#include <getopt.h>
#include <sched.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "p2p/session.h"

#define TURN 16 /* messages between two looks at the clock */
#define WIRE_LEN (SESSION_BULK_LEN + 3 + 16 + 2)
#define ROUNDS_MAX 100

static unsigned mib = 256, rounds = 10;
static uint8_t payload[SESSION_BULK_LEN], wire[TURN * WIRE_LEN];
static uint8_t bare_bytes[TURN][SESSION_BULK_LEN + crypto_aead_chacha20poly1305_ietf_ABYTES];

struct figures { double bare_seal, bare_open, send, receive, receive_copied; };

static double cpu_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void give_up(const char *what)
{
	fprintf(stderr, "bench_session: %s\n", what);
	exit(1);
}

static struct session *open_one(enum noise_role role, uint8_t seed)
{
	uint8_t secret[64], public[32], bytes[32];
	const struct session_hello hello = {.version_min = 1, .version_max = 1};
	struct session_options o = {.role = role, .network = "bench", .identity_secret = secret, .hello = &hello, .unix_ms = 1};
	struct session *s;
	memset(bytes, seed, sizeof bytes);
	crypto_sign_seed_keypair(public, secret, bytes);
	memset(o.static_secret, seed + 1, 32);
	memset(o.ephemeral_secret, seed + 2, 32);
	if (session_new(&o, &s, NULL))
		give_up("no session");
	return s;
}

/* All that from has to say, to to. */
static bool carry(struct session *from, struct session *to)
{
	struct session_event e;
	size_t len;
	const uint8_t *bytes = session_output(from, &len);
	if (!len)
		return false;
	session_input(to, bytes, len, 1, 1);
	session_output_done(from, len);
	while (session_next(to, &e)) {
	}
	return true;
}

static void take_turn(struct session *to)
{
	struct session_event e;
	unsigned got = 0;
	while (session_next(to, &e))
		got += e.type == SESSION_EVENT_MESSAGE && e.len == sizeof payload;
	if (!got)
		give_up("a message is missing");
}

static void bare_turn(struct figures *f, uint64_t turn)
{
	static const uint8_t key[crypto_aead_chacha20poly1305_ietf_KEYBYTES] = {7};
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {0};
	memcpy(nonce, &turn, sizeof turn);
	double start = cpu_seconds();
	for (unsigned i = 0; i < TURN; i++) {
		nonce[11] = (uint8_t)i;
		crypto_aead_chacha20poly1305_ietf_encrypt(bare_bytes[i], NULL, payload, sizeof payload, NULL, 0, NULL, nonce, key);
	}
	f->bare_seal += cpu_seconds() - start;
	start = cpu_seconds();
	for (unsigned i = 0; i < TURN; i++) {
		nonce[11] = (uint8_t)i;
		if (crypto_aead_chacha20poly1305_ietf_decrypt(bare_bytes[i], NULL, NULL, bare_bytes[i], sizeof bare_bytes[i], NULL, 0, nonce, key))
			give_up("decrypt");
	}
	f->bare_open += cpu_seconds() - start;
}

/* TURN messages into wire[]; returns their bytes. */
static size_t send_turn(struct session *from, double *seconds)
{
	size_t len;
	double start = cpu_seconds();
	for (unsigned i = 0; i < TURN; i++) {
		if (!session_send(from, MSG_BLOB_DATA, payload, sizeof payload))
			give_up("not sent");
		session_flush(from);
	}
	const uint8_t *bytes = session_output(from, &len);
	*seconds += cpu_seconds() - start;
	if (len != sizeof wire)
		give_up("the wire's bytes are not as many as they should be");
	memcpy(wire, bytes, len); /* the kernel's part, not ours */
	start = cpu_seconds();
	session_output_done(from, len);
	*seconds += cpu_seconds() - start;
	return len;
}

static void receive_turn(struct session *to, size_t len, double *seconds, bool is_copied)
{
	for (size_t at = 0; at < len;) {
		size_t room_len = SESSION_INPUT_ROOM;
		double start = cpu_seconds();
		uint8_t *room = is_copied ? NULL : session_input_room(to, &room_len);
		*seconds += cpu_seconds() - start;
		const size_t n = len - at < room_len ? len - at : room_len;
		if (room)
			memcpy(room, wire + at, n);
		start = cpu_seconds();
		if (is_copied)
			session_input(to, wire + at, n, 1, 1);
		else
			session_input_done(to, n, 1, 1);
		take_turn(to);
		*seconds += cpu_seconds() - start;
		at += n;
	}
}

static struct figures measure(void)
{
	struct figures f = {0};
	struct session *a = open_one(NOISE_INITIATOR, 1), *b = open_one(NOISE_RESPONDER, 2);
	while (carry(a, b) || carry(b, a)) {
	}
	if (session_state(a) != SESSION_OPEN || session_state(b) != SESSION_OPEN)
		give_up("the sessions do not open");
	const uint64_t turns = (uint64_t)mib * 64 / TURN;
	double again = 0; /* the second sending of a turn is not counted */
	for (uint64_t i = 0; i < turns; i++) {
		bare_turn(&f, i);
		receive_turn(b, send_turn(a, &f.send), &f.receive, false);
		receive_turn(b, send_turn(a, &again), &f.receive_copied, true);
	}
	session_free(a);
	session_free(b);
	const double bytes = (double)turns * TURN * sizeof payload;
	return (struct figures){bytes / f.bare_seal, bytes / f.bare_open, bytes / f.send, bytes / f.receive, bytes / f.receive_copied};
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static void print_spread(const char *what, double *values, const char *unit)
{
	qsort(values, rounds, sizeof *values, by_value);
	printf("%-44s %8.3f%s (%.3f to %.3f)\n", what, (values[(rounds - 1) / 2] + values[rounds / 2]) / 2, unit, values[0],
	       values[rounds - 1]);
}

static void options(int argc, char **argv)
{
	static const struct option names[] = {{"mib", 1, NULL, 'm'}, {"rounds", 1, NULL, 'r'}, {0}};
	int c;
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'm')
			mib = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'r')
			rounds = (unsigned)strtoul(optarg, NULL, 10);
		else
			exit(2);
	}
	if (!mib || !rounds || rounds > ROUNDS_MAX)
		exit(2);
}

int main(int argc, char **argv)
{
	options(argc, argv);
	if (sodium_init() < 0)
		return 1;
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	(void)sched_setaffinity(0, sizeof one, &one);
	randombytes_buf(payload, sizeof payload);
	static double seal[ROUNDS_MAX], open[ROUNDS_MAX], send[ROUNDS_MAX], receive[ROUNDS_MAX], copied[ROUNDS_MAX];
	for (unsigned i = 0; i < rounds; i++) {
		const struct figures f = measure();
		seal[i] = f.bare_seal / 1e9;
		open[i] = f.bare_open / 1e9;
		send[i] = f.send / f.bare_seal;
		receive[i] = f.receive / f.bare_open;
		copied[i] = f.receive_copied / f.bare_open;
		printf("round %2u: bare seal %.2f, open %.2f GB/s; send %.3f, receive %.3f, through a copy %.3f\n", i + 1, seal[i], open[i],
		       send[i], receive[i], copied[i]);
		fflush(stdout);
	}
	print_spread("bare seal, 16 KiB", seal, " GB/s");
	print_spread("bare open, 16 KiB", open, " GB/s");
	print_spread("session, sending, of bare seal", send, "");
	print_spread("session, receiving, of bare open (aim 0.9)", receive, "");
	print_spread("  through session_input(), which copies", copied, "");
	return 0;
}
