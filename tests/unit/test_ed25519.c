/* The rules of PROTOCOL 2.2, each proven on the libsodium at hand. */
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/ed25519.h"
#include "tests/unit/samples.h"
#include "tests/unit/tap.h"

static void wycheproof_case(const struct node_id *key, const json_t *t)
{
	const char *msg_hex = json_string_value(json_object_get(t, "msg")), *sig_hex = json_string_value(json_object_get(t, "sig"));
	const char *result = json_string_value(json_object_get(t, "result"));
	const size_t msg_len = strlen(msg_hex) / 2, sig_len = strlen(sig_hex) / 2;
	CLEANUP(cleanup_free) uint8_t *msg = malloc(msg_len + 1), *sig = malloc(sig_len + 1);
	bool taken = false;
	/* our signatures are of 64 bytes by type; another length is refused by every decoder */
	if (msg && sig && hex_decode(msg, msg_len, msg_hex) && hex_decode(sig, sig_len, sig_hex) && sig_len == 64)
		taken = ed25519_verify(msg, msg_len, sig, key);
	OK(taken == !strcmp(result, "valid"), "wycheproof %lld is %s: %s", json_integer_value(json_object_get(t, "tcId")), result,
	   json_string_value(json_object_get(t, "comment")));
}

static void test_wycheproof(void)
{
	const char *path = tap_vector_file("wycheproof/ed25519_test.json");
	if (!path)
		return;
	json_t *all = json_load_file(path, JSON_REJECT_DUPLICATES, NULL), *group, *t;
	size_t i, j, n = 0;
	json_array_foreach(json_object_get(all, "testGroups"), i, group) {
		struct node_id key;
		const char *hex = json_string_value(json_object_get(json_object_get(group, "publicKey"), "pk"));
		if (!OK(hex && hex_decode(key.b, 32, hex), "group's key"))
			continue;
		json_array_foreach(json_object_get(group, "tests"), j, t) {
			wycheproof_case(&key, t);
			n++;
		}
	}
	INTEQ(n, json_integer_value(json_object_get(all, "numberOfTests")));
	json_decref(all);
}

/* Encodings of the points of order 1, 2, 4, 8, canonical and not (the second half has y >= p, or a sign with x = 0). */
static const char *const small_order[] = {
	"0100000000000000000000000000000000000000000000000000000000000000", /* order 1 */
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* order 2 */
	"0000000000000000000000000000000000000000000000000000000000000000", /* order 4 */
	"0000000000000000000000000000000000000000000000000000000000000080", /* order 4 */
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", /* order 8 */
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
};

/* With A of small order and S = 0, R = -[k]A is again of small order, and for one k in 8 the equation holds: a lenient
 * verifier takes such "signatures" of anybody. */
static void test_small_order(void)
{
	unsigned taken = 0;
	for (size_t a = 0; a < ARRAY_LEN(small_order); a++) {
		for (size_t r = 0; r < ARRAY_LEN(small_order); r++) {
			struct node_id key;
			uint8_t signature[64] = {0};
			if (!hex_decode(key.b, 32, small_order[a]) || !hex_decode(signature, 32, small_order[r]))
				continue;
			for (uint8_t m = 0; m < 32; m++)
				taken += ed25519_verify(&m, 1, signature, &key);
		}
	}
	INTEQ(taken, 0);
	struct sample_key k;
	sample_key_init(&k, 1);
	for (size_t r = 0; r < ARRAY_LEN(small_order); r++) {
		/* R = the identity in disguise, S = k a: valid for who knows the key and a verifier that does not look at R */
		uint8_t signature[64], az[64], hram[64], scalar[32];
		crypto_hash_sha512_state h;
		(void)hex_decode(signature, 32, small_order[r]);
		crypto_hash_sha512(az, k.secret, 32);
		az[0] &= 248;
		az[31] = (uint8_t)((az[31] & 127) | 64);
		crypto_hash_sha512_init(&h);
		crypto_hash_sha512_update(&h, signature, 32);
		crypto_hash_sha512_update(&h, k.id.b, 32);
		crypto_hash_sha512_update(&h, (const uint8_t *)"m", 1);
		crypto_hash_sha512_final(&h, hram);
		crypto_core_ed25519_scalar_reduce(scalar, hram);
		crypto_core_ed25519_scalar_mul(signature + 32, scalar, az);
		OK(!ed25519_verify((const uint8_t *)"m", 1, signature, &k.id), "R of small order: %s", small_order[r]);
	}
}

static void test_malleability(void)
{
	static const uint8_t group_order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
						0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10};
	struct sample_key k;
	uint8_t signature[64], other[64];
	sample_key_init(&k, 1);
	ed25519_sign((const uint8_t *)"m", 1, k.secret, signature);
	OK(ed25519_verify((const uint8_t *)"m", 1, signature, &k.id), "ours verifies");
	memcpy(other, signature, 64);
	sodium_add(other + 32, group_order, 32);
	OK(!ed25519_verify((const uint8_t *)"m", 1, other, &k.id), "S + L is refused");
	unsigned taken = 0;
	for (unsigned bit = 0; bit < 512; bit++) {
		memcpy(other, signature, 64);
		other[bit / 8] ^= (uint8_t)(1u << bit % 8);
		taken += ed25519_verify((const uint8_t *)"m", 1, other, &k.id);
	}
	INTEQ(taken, 0);
	for (unsigned bit = 0; bit < 256; bit++) {
		struct node_id key = k.id;
		key.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
		taken += ed25519_verify((const uint8_t *)"m", 1, signature, &key);
	}
	INTEQ(taken, 0);
	/* y >= p: p + 3 stands for y = 3, which is on the curve; -0: y = 1 with the sign of x */
	static const char *const not_canonical[] = {"f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
						    "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"};
	for (size_t i = 0; i < ARRAY_LEN(not_canonical); i++) {
		struct node_id key;
		OK(hex_decode(key.b, 32, not_canonical[i]) && !ed25519_verify((const uint8_t *)"m", 1, signature, &key), "key with y >= p");
		memcpy(other, signature, 64);
		memcpy(other, key.b, 32);
		OK(!ed25519_verify((const uint8_t *)"m", 1, other, &k.id), "R with y >= p");
	}
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_wycheproof();
	test_small_order();
	test_malleability();
	return tap_done();
}
