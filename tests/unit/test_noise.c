#include <jansson.h>
#include <sodium.h>
#include <string.h>

#include "p2p/noise.h"
#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "tests/unit/tap.h"

static size_t unhex(const json_t *object, const char *key, uint8_t *out, size_t max)
{
	const char *text = json_string_value(json_object_get(object, key));
	const size_t len = text ? strlen(text) / 2 : 0;
	return len <= max && text && hex_decode(out, len, text) ? len : 0;
}

static void init_side(struct noise *n, const json_t *v, enum noise_role role)
{
	const bool first = role == NOISE_INITIATOR;
	uint8_t s[32], e[32], prologue[64];
	unhex(v, first ? "init_static" : "resp_static", s, 32);
	unhex(v, first ? "init_ephemeral" : "resp_ephemeral", e, 32);
	const size_t len = unhex(v, first ? "init_prologue" : "resp_prologue", prologue, sizeof prologue);
	noise_init(n, role, s, e, prologue, len);
}

/* One message of the vector, from writer to reader; in the handshake and after it. */
static void one_message(struct noise *from, struct noise *to, const json_t *message, size_t index)
{
	uint8_t payload[256], want[512], got[512];
	const size_t len = unhex(message, "payload", payload, sizeof payload);
	const size_t want_len = unhex(message, "ciphertext", want, sizeof want);
	struct err err = {0};
	CLEANUP(buf_release) struct buf wire, plain;
	buf_init(&wire, 4096);
	buf_init(&plain, 4096);
	if (from->state == NOISE_HANDSHAKE) {
		OK(!noise_write(from, payload, len, &wire, &err), "message %zu written %s", index, err.what);
		OK(!noise_read(to, wire.data, wire.len, &plain, &err), "message %zu read %s", index, err.what);
	} else {
		OK(!noise_seal(from, payload, len, got, &err), "message %zu sealed", index);
		buf_append(&wire, got, len + NOISE_TAG_LEN);
		OK(!noise_open(to, wire.data, wire.len, got, &err), "message %zu opened", index);
		buf_append(&plain, got, len);
	}
	INTEQ(wire.len, want_len);
	MEMEQ(wire.data, want, want_len);
	INTEQ(plain.len, len);
	MEMEQ(plain.data, payload, len);
}

static void test_vector(const json_t *v)
{
	struct noise a, b;
	init_side(&a, v, NOISE_INITIATOR);
	init_side(&b, v, NOISE_RESPONDER);
	size_t i;
	const json_t *message;
	json_array_foreach(json_object_get(v, "messages"), i, message)
	{
		one_message(i % 2 ? &b : &a, i % 2 ? &a : &b, message, i);
		if (i == 2) {
			uint8_t hash[NOISE_HASH_LEN];
			INTEQ(unhex(v, "handshake_hash", hash, sizeof hash), NOISE_HASH_LEN);
			MEMEQ(a.hash, hash, NOISE_HASH_LEN);
			MEMEQ(b.hash, hash, NOISE_HASH_LEN);
			MEMEQ(a.remote_static, b.static_public, NOISE_KEY_LEN);
		}
	}
	noise_release(&a);
	noise_release(&b);
}

static void test_published(void)
{
	const char *path = tap_vector_file("noise/cacophony.json");
	if (!path)
		return;
	json_t *root = json_load_file(path, 0, NULL);
	OK(root != NULL, "vectors load");
	size_t i, used = 0;
	const json_t *v;
	json_array_foreach(json_object_get(root, "vectors"), i, v)
	{
		if (strcmp(json_string_value(json_object_get(v, "protocol_name")), "Noise_XX_25519_ChaChaPoly_BLAKE2b"))
			continue;
		test_vector(v);
		used++;
	}
	OK(used > 0, "%zu vectors of this protocol", used);
	json_decref(root);
}

/* Runs the handshake with byte `at` of message `which` flipped; true if both sides got through. */
static bool handshake(struct noise *a, struct noise *b, int which, size_t at, const char *other_prologue)
{
	uint8_t k[4][32];
	for (int i = 0; i < 4; i++)
		memset(k[i], i + 1, 32);
	noise_init(a, NOISE_INITIATOR, k[0], k[1], "talkoo", 6);
	noise_init(b, NOISE_RESPONDER, k[2], k[3], other_prologue, strlen(other_prologue));
	for (int m = 0; m < 3; m++) {
		CLEANUP(buf_release) struct buf wire, plain;
		buf_init(&wire, 4096);
		buf_init(&plain, 4096);
		if (noise_write(m % 2 ? b : a, "pay", 3, &wire, NULL))
			return false;
		if (m == which)
			wire.data[at % wire.len] ^= 1;
		if (noise_read(m % 2 ? a : b, wire.data, wire.len, &plain, NULL))
			return false;
	}
	return true;
}

static void test_hostile(void)
{
	struct noise a, b;
	OK(handshake(&a, &b, -1, 0, "talkoo"), "an untouched handshake");
	OK(!handshake(&a, &b, -1, 0, "tolkoo"), "another prologue is refused");
	bool refused = true;
	for (size_t at = 0; at < 99; at++)
		refused = refused && !handshake(&a, &b, 0, at, "talkoo") && !handshake(&a, &b, 1, at, "talkoo") &&
			  !handshake(&a, &b, 2, at, "talkoo");
	OK(refused, "a flipped bit at any byte of any message is refused");

	static const uint8_t zeros[64] = {0};
	CLEANUP(buf_release) struct buf out;
	buf_init(&out, 4096);
	uint8_t key[32] = {7};
	noise_init(&b, NOISE_RESPONDER, key, key, "", 0);
	INTEQ(noise_write(&b, "", 0, &out, NULL), ERR_USAGE);
	INTEQ(noise_read(&b, zeros, 32, &out, NULL), 0); /* the worthless key shows when it is used */
	INTEQ(noise_write(&b, "", 0, &out, NULL), ERR_INVALID);
	INTEQ(b.state, NOISE_FAILED);
	INTEQ(noise_read(&b, zeros, 32, &out, NULL), ERR_USAGE);
	for (size_t len = 0; len < 32; len++) {
		noise_init(&b, NOISE_RESPONDER, key, key, "", 0);
		if (noise_read(&b, zeros, len, &out, NULL) != ERR_INVALID)
			OK(false, "a first message of %zu bytes", len);
	}
}

static void test_transport(void)
{
	struct noise a, b;
	OK(handshake(&a, &b, -1, 0, "talkoo"), "handshake");
	uint8_t wire[64], second[64], plain[64];
	OK(!noise_seal(&a, (const uint8_t *)"one", 3, wire, NULL), "seal");
	OK(!noise_seal(&a, (const uint8_t *)"two", 3, second, NULL), "seal");
	OK(!noise_open(&b, wire, 3 + NOISE_TAG_LEN, plain, NULL) && !memcmp(plain, "one", 3), "open");
	noise_rekey_send(&a);
	noise_rekey_receive(&b);
	struct noise late = b;
	INTEQ(noise_open(&late, second, 3 + NOISE_TAG_LEN, plain, NULL), ERR_INVALID); /* under the old key */
	OK(late.state == NOISE_FAILED, "and that is final");
	b.receive.nonce = a.send.nonce;
	OK(!noise_seal(&a, (const uint8_t *)"new", 3, wire, NULL), "seal under the new key");
	OK(!noise_open(&b, wire, 3 + NOISE_TAG_LEN, plain, NULL) && !memcmp(plain, "new", 3), "opens under the new key");
	late = b;
	INTEQ(noise_open(&late, wire, 3 + NOISE_TAG_LEN, plain, NULL), ERR_INVALID); /* replayed */
	late = b;
	INTEQ(noise_open(&late, wire, 5, plain, NULL), ERR_INVALID);
	a.send.nonce = UINT64_MAX;
	INTEQ(noise_seal(&a, wire, 1, wire, NULL), ERR_LIMIT);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_published();
	test_hostile();
	test_transport();
	return tap_done();
}
