/* What a peer may say once the handshake is done. First byte: bit 0 a good hello first, bit 1 all frames at once and the end of the
 * stream behind them; then plaintext frames, each behind a length of two bytes, which are sealed as the peer would. The rest of
 * the input after the first byte is also read as a hello's body. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/session.h"
#include "proto/base/cleanup.h"
#include "proto/ed25519.h"
#include "tests/fuzz/fuzz.h"

#define UNIX_MS UINT64_C(1700000000000)

/* One session that speaks and one that hears; the speaker's place is taken by this file after the handshake. */
struct pair { struct noise noise; struct session *victim; };

static void give(struct session *s, const uint8_t *bytes, size_t len)
{
	uint8_t wire[66000] = {(uint8_t)(len >> 8), (uint8_t)len};
	memcpy(wire + 2, bytes, len);
	session_input(s, wire, len + 2, 1, UNIX_MS);
}

static void write_message(struct pair *p, const uint8_t *payload, size_t len)
{
	CLEANUP(buf_release) struct buf message;
	buf_init(&message, 2000);
	if (noise_write(&p->noise, payload, len, &message, NULL))
		abort();
	give(p->victim, message.data, message.len);
}

static void shake(struct pair *p)
{
	static const uint8_t seed[32] = {1}, key[32] = {2}, ephemeral[32] = {3};
	uint8_t secret[64], proof[104] = {0}, input[160] = "talkoo-session-v1\0\1x\1";
	CLEANUP(buf_release) struct buf payload;
	size_t len;
	crypto_sign_seed_keypair(proof, secret, seed);
	noise_init(&p->noise, NOISE_INITIATOR, key, ephemeral, "talkoox", 7);
	write_message(p, NULL, 0);
	const uint8_t *answer = session_output(p->victim, &len);
	buf_init(&payload, 2000);
	if (!answer || noise_read(&p->noise, answer + 2, len - 2, &payload, NULL))
		abort();
	session_output_done(p->victim, len);
	memcpy(input + 21, p->noise.static_public, 32);
	for (int i = 0; i < 8; i++)
		input[53 + i] = proof[32 + i] = (uint8_t)((UNIX_MS + 1000) >> (56 - 8 * i));
	ed25519_sign(input, 61, secret, proof + 40);
	write_message(p, proof, sizeof proof);
	if (session_state(p->victim) != SESSION_HELLO)
		abort();
}

static struct session *new_victim(void)
{
	uint8_t secret[64], public[32], seed[32] = {9};
	const struct session_hello hello = {.version_min = 1, .version_max = 2, .kinds = {1, 2}, .kinds_len = 2};
	struct session_options o = {.role = NOISE_RESPONDER, .network = "x", .identity_secret = secret, .hello = &hello, .unix_ms = UNIX_MS,
				    .static_secret = {4}, .ephemeral_secret = {5}};
	struct session *s;
	crypto_sign_seed_keypair(public, secret, seed);
	if (session_new(&o, &s, NULL))
		abort();
	return s;
}

static void frame(struct pair *p, const uint8_t *plain, size_t len)
{
	uint8_t sealed[SESSION_FRAME_PLAIN_MAX + NOISE_TAG_LEN];
	if (len > SESSION_FRAME_PLAIN_MAX || noise_seal(&p->noise, plain, len, sealed, NULL))
		abort();
	give(p->victim, sealed, len + NOISE_TAG_LEN);
}

static void good_hello(struct pair *p)
{
	CLEANUP(buf_release) struct buf b;
	const struct session_hello hello = {.version_min = 1, .version_max = 1};
	buf_init(&b, 100);
	buf_append(&b, "\1\0\0", 3);
	session_hello_encode(&hello, &b);
	b.data[2] = (uint8_t)(b.len - 3);
	frame(p, b.data, b.len);
}

/* Every event is what the state allows, and every byte of it may be read. */
static void take(struct session *s)
{
	struct session_event e;
	static volatile uint8_t sink;
	while (session_next(s, &e)) {
		if (e.type == SESSION_EVENT_MESSAGE && (!session_peer_hello(s) || !session_version(s) || e.message <= MSG_BYE))
			abort();
		for (size_t i = 0; e.type == SESSION_EVENT_MESSAGE && i < e.len; i++)
			sink = (uint8_t)(sink + e.bytes[i]);
	}
	session_flush(s);
	if ((session_state(s) == SESSION_CLOSED) != (session_close_reason(s) != CLOSE_NONE))
		abort();
	if ((session_peer_hello(s) != NULL) != (session_version(s) != 0))
		abort();
}

static void hello_body(const uint8_t *data, size_t size)
{
	struct session_hello first = {0}, second = {0};
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, SESSION_MESSAGE_MAX);
	if (session_hello_decode(data, size, &first, NULL))
		return;
	session_hello_encode(&first, &b);
	if (buf_failed(&b) || session_hello_decode(b.data, b.len, &second, NULL) || memcmp(&first, &second, sizeof first))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (sodium_init() < 0)
		abort();
	if (!size)
		return 0;
	hello_body(data + 1, size - 1);
	const bool at_once = data[0] & 2;
	struct pair p = {.victim = new_victim()};
	shake(&p);
	if (data[0] & 1)
		good_hello(&p);
	for (size_t at = 1; size - at >= 2;) {
		size_t len = (size_t)data[at] << 8 | data[at + 1];
		at += 2;
		len = len < size - at ? len : size - at;
		len = len < SESSION_FRAME_PLAIN_MAX ? len : SESSION_FRAME_PLAIN_MAX;
		frame(&p, data + at, len);
		at += len;
		if (!at_once)
			take(p.victim);
	}
	if (at_once)
		session_input_end(p.victim);
	take(p.victim);
	if (at_once && session_state(p.victim) != SESSION_CLOSED)
		abort();
	session_free(p.victim);
	noise_release(&p.noise);
	return 0;
}
