#include "p2p/noise.h"

#include <sodium.h>
#include <string.h>

#define BLOCK_LEN 128 /* BLAKE2b's, for HMAC */

static const char protocol_name[] = "Noise_XX_25519_ChaChaPoly_BLAKE2b";

static void hash_two(uint8_t out[NOISE_HASH_LEN], const void *a, size_t a_len, const void *b, size_t b_len)
{
	crypto_generichash_state state;
	crypto_generichash_init(&state, NULL, 0, NOISE_HASH_LEN);
	crypto_generichash_update(&state, a, a_len);
	crypto_generichash_update(&state, b, b_len);
	crypto_generichash_final(&state, out, NOISE_HASH_LEN);
	sodium_memzero(&state, sizeof state); /* in hmac() it has taken in a key */
}

/* HMAC (RFC 2104), not BLAKE2b's own keyed mode: Noise section 4.3 asks for it */
static void hmac(uint8_t out[NOISE_HASH_LEN], const uint8_t key[NOISE_HASH_LEN], const void *data, size_t len)
{
	uint8_t pad[BLOCK_LEN];
	memset(pad, 0x36, sizeof pad);
	for (size_t i = 0; i < NOISE_HASH_LEN; i++)
		pad[i] ^= key[i];
	uint8_t inner[NOISE_HASH_LEN];
	hash_two(inner, pad, sizeof pad, data, len);
	for (size_t i = 0; i < BLOCK_LEN; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	hash_two(out, pad, sizeof pad, inner, sizeof inner);
	sodium_memzero(pad, sizeof pad);
	sodium_memzero(inner, sizeof inner);
}

static void hkdf_two(const uint8_t chaining_key[NOISE_HASH_LEN], const void *input, size_t len, uint8_t first[NOISE_HASH_LEN],
		     uint8_t second[NOISE_HASH_LEN])
{
	uint8_t temp[NOISE_HASH_LEN], again[NOISE_HASH_LEN + 1];
	hmac(temp, chaining_key, input, len);
	hmac(again, temp, "\x01", 1);
	again[NOISE_HASH_LEN] = 2;
	hmac(second, temp, again, sizeof again);
	memcpy(first, again, NOISE_HASH_LEN);
	sodium_memzero(temp, sizeof temp);
	sodium_memzero(again, sizeof again);
}

static void mix_hash(struct noise *n, const void *data, size_t len)
{
	hash_two(n->hash, n->hash, NOISE_HASH_LEN, data, len);
}

static void cipher_set(struct noise_cipher *c, const uint8_t key[NOISE_HASH_LEN])
{
	memcpy(c->key, key, NOISE_KEY_LEN); /* the first 32 bytes of a 64-byte hash */
	c->nonce = 0;
	c->has_key = true;
}

static int mix_key(struct noise *n, const uint8_t secret[NOISE_KEY_LEN], const uint8_t public[NOISE_KEY_LEN], struct err *err)
{
	uint8_t shared[NOISE_KEY_LEN], key[NOISE_HASH_LEN];
	if (crypto_scalarmult(shared, secret, public))
		return err_set(err, ERR_INVALID, "the handshake's key is of small order");
	hkdf_two(n->chaining_key, shared, sizeof shared, n->chaining_key, key);
	cipher_set(&n->cipher, key);
	sodium_memzero(shared, sizeof shared);
	sodium_memzero(key, sizeof key);
	return 0;
}

static void nonce_bytes(uint8_t out[crypto_aead_chacha20poly1305_ietf_NPUBBYTES], uint64_t nonce)
{
	memset(out, 0, 4);
	for (int i = 0; i < 8; i++)
		out[4 + i] = (uint8_t)(nonce >> (8 * i));
}

/* The nonce 2^64-1 is reserved for rekeying; no connection lives that long, but nothing may wrap. */
static int cipher_seal(struct noise_cipher *c, const void *ad, size_t ad_len, const uint8_t *in, size_t len, uint8_t *out,
		       struct err *err)
{
	if (c->nonce == UINT64_MAX)
		return err_set(err, ERR_LIMIT, "the session's nonces are used up");
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
	nonce_bytes(nonce, c->nonce++);
	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, in, len, ad, ad_len, NULL, nonce, c->key);
	return 0;
}

static int cipher_open(struct noise_cipher *c, const void *ad, size_t ad_len, const uint8_t *in, size_t len, uint8_t *out,
		       struct err *err)
{
	if (c->nonce == UINT64_MAX)
		return err_set(err, ERR_LIMIT, "the session's nonces are used up");
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];
	nonce_bytes(nonce, c->nonce);
	if (len < NOISE_TAG_LEN || crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, in, len, ad, ad_len, nonce, c->key))
		return err_set(err, ERR_INVALID, "a message that is not genuine");
	c->nonce++;
	return 0;
}

void noise_init(struct noise *n, enum noise_role role, const uint8_t static_secret[NOISE_KEY_LEN],
		const uint8_t ephemeral_secret[NOISE_KEY_LEN], const void *prologue, size_t prologue_len)
{
	memset(n, 0, sizeof *n);
	n->role = role;
	n->state = NOISE_HANDSHAKE;
	memcpy(n->static_secret, static_secret, NOISE_KEY_LEN);
	memcpy(n->ephemeral_secret, ephemeral_secret, NOISE_KEY_LEN);
	crypto_scalarmult_base(n->static_public, static_secret);
	crypto_scalarmult_base(n->ephemeral_public, ephemeral_secret);
	/* Noise 5.2 InitializeSymmetric: a name of at most HASHLEN bytes is padded with zeros */
	_Static_assert(sizeof protocol_name - 1 <= NOISE_HASH_LEN, "the name would have to be hashed");
	memcpy(n->hash, protocol_name, sizeof protocol_name - 1);
	memcpy(n->chaining_key, n->hash, NOISE_HASH_LEN);
	mix_hash(n, prologue, prologue_len);
}

void noise_release(struct noise *n)
{
	if (n)
		sodium_memzero(n, sizeof *n);
}

static int encrypt_and_hash(struct noise *n, const uint8_t *in, size_t len, struct buf *ret, struct err *err)
{
	const size_t out_len = len + (n->cipher.has_key ? NOISE_TAG_LEN : 0);
	uint8_t *out = buf_reserve(ret, out_len);
	if (!out)
		return buf_check(ret, "handshake message", err);
	if (!n->cipher.has_key) {
		if (len)
			memcpy(out, in, len);
	} else {
		const int code = cipher_seal(&n->cipher, n->hash, NOISE_HASH_LEN, in, len, out, err);
		if (code)
			return code;
	}
	buf_commit(ret, out_len);
	mix_hash(n, out, out_len);
	return 0;
}

/* Takes len bytes of ciphertext; plaintext to out. */
static int decrypt_and_hash(struct noise *n, const uint8_t *in, size_t len, uint8_t *out, struct err *err)
{
	if (!n->cipher.has_key) {
		if (len)
			memcpy(out, in, len);
	} else {
		const int code = cipher_open(&n->cipher, n->hash, NOISE_HASH_LEN, in, len, out, err);
		if (code)
			return code;
	}
	mix_hash(n, in, len);
	return 0;
}

/* Noise 5.2 Split */
static void split(struct noise *n)
{
	uint8_t first[NOISE_HASH_LEN], second[NOISE_HASH_LEN];
	hkdf_two(n->chaining_key, NULL, 0, first, second);
	cipher_set(n->role == NOISE_INITIATOR ? &n->send : &n->receive, first);
	cipher_set(n->role == NOISE_INITIATOR ? &n->receive : &n->send, second);
	n->state = NOISE_TRANSPORT;
	sodium_memzero(first, sizeof first);
	sodium_memzero(second, sizeof second);
	sodium_memzero(n->static_secret, NOISE_KEY_LEN);
	sodium_memzero(n->ephemeral_secret, NOISE_KEY_LEN);
	sodium_memzero(n->chaining_key, NOISE_HASH_LEN);
	sodium_memzero(&n->cipher, sizeof n->cipher);
}

static int fail(struct noise *n, int code)
{
	n->state = NOISE_FAILED;
	return code;
}

static bool is_my_turn(const struct noise *n)
{
	return n->state == NOISE_HANDSHAKE && (n->message % 2 == 0) == (n->role == NOISE_INITIATOR);
}

/* Noise 7.5: XX's tokens of this message, the writer's side */
static int write_tokens(struct noise *n, struct buf *ret, struct err *err)
{
	int code = 0;
	if (n->message < 2) {
		buf_append(ret, n->ephemeral_public, NOISE_KEY_LEN);
		mix_hash(n, n->ephemeral_public, NOISE_KEY_LEN);
	}
	if (n->message == 1)
		code = mix_key(n, n->ephemeral_secret, n->remote_ephemeral, err); /* ee */
	if (!code && n->message > 0)
		code = encrypt_and_hash(n, n->static_public, NOISE_KEY_LEN, ret, err); /* s */
	if (!code && n->message > 0)
		code = mix_key(n, n->static_secret, n->remote_ephemeral, err); /* es for the responder, se for the initiator */
	return code;
}

int noise_write(struct noise *n, const void *payload, size_t len, struct buf *ret, struct err *err)
{
	if (!is_my_turn(n))
		return err_set(err, ERR_USAGE, "handshake: not this side's turn to write");
	if (len > NOISE_MESSAGE_MAX - 3 * NOISE_KEY_LEN - 2 * NOISE_TAG_LEN)
		return err_set(err, ERR_LIMIT, "handshake: payload too long");
	int code = write_tokens(n, ret, err);
	if (!code)
		code = encrypt_and_hash(n, payload, len, ret, err);
	if (!code)
		code = buf_check(ret, "handshake message", err);
	if (code)
		return fail(n, code);
	if (++n->message == 3)
		split(n);
	return 0;
}

/* The reader's side; advances *at past what the tokens took. */
static int read_tokens(struct noise *n, const uint8_t **at, struct err *err)
{
	int code = 0;
	if (n->message < 2) {
		memcpy(n->remote_ephemeral, *at, NOISE_KEY_LEN);
		mix_hash(n, *at, NOISE_KEY_LEN);
		*at += NOISE_KEY_LEN;
	}
	if (n->message == 1)
		code = mix_key(n, n->ephemeral_secret, n->remote_ephemeral, err); /* ee */
	if (!code && n->message > 0) {
		code = decrypt_and_hash(n, *at, NOISE_KEY_LEN + NOISE_TAG_LEN, n->remote_static, err); /* s */
		*at += NOISE_KEY_LEN + NOISE_TAG_LEN;
	}
	if (!code && n->message > 0)
		code = mix_key(n, n->ephemeral_secret, n->remote_static, err); /* es for the initiator, se for the responder */
	return code;
}

int noise_read(struct noise *n, const uint8_t *message, size_t len, struct buf *ret, struct err *err)
{
	static const size_t least[] = {NOISE_KEY_LEN, 2 * NOISE_KEY_LEN + 2 * NOISE_TAG_LEN, NOISE_KEY_LEN + 2 * NOISE_TAG_LEN};
	if (n->state != NOISE_HANDSHAKE || is_my_turn(n))
		return err_set(err, ERR_USAGE, "handshake: not the other side's turn");
	if (len < least[n->message] || len > NOISE_MESSAGE_MAX)
		return fail(n, err_set(err, ERR_INVALID, "handshake: message %u has %zu bytes", n->message + 1, len));
	const uint8_t *at = message;
	int code = read_tokens(n, &at, err);
	if (code)
		return fail(n, code);
	const size_t left = len - (size_t)(at - message);
	uint8_t *out = buf_reserve(ret, left);
	if (!out)
		return fail(n, buf_check(ret, "handshake payload", err));
	const bool sealed = n->cipher.has_key;
	code = decrypt_and_hash(n, at, left, out, err);
	if (code)
		return fail(n, code);
	buf_commit(ret, left - (sealed ? NOISE_TAG_LEN : 0));
	if (++n->message == 3)
		split(n);
	return 0;
}

int noise_seal(struct noise *n, const uint8_t *in, size_t len, uint8_t *out, struct err *err)
{
	if (n->state != NOISE_TRANSPORT)
		return err_set(err, ERR_USAGE, "session: not established");
	return cipher_seal(&n->send, NULL, 0, in, len, out, err);
}

int noise_open(struct noise *n, const uint8_t *in, size_t len, uint8_t *out, struct err *err)
{
	if (n->state != NOISE_TRANSPORT)
		return err_set(err, ERR_USAGE, "session: not established");
	const int code = cipher_open(&n->receive, NULL, 0, in, len, out, err);
	return code ? fail(n, code) : 0;
}

/* Noise 11.3: the new key is the encryption of 32 zeros under nonce 2^64-1; the nonce goes on */
static void rekey(struct noise_cipher *c)
{
	static const uint8_t zeros[NOISE_KEY_LEN];
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES], out[NOISE_KEY_LEN + NOISE_TAG_LEN];
	nonce_bytes(nonce, UINT64_MAX);
	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, zeros, sizeof zeros, NULL, 0, NULL, nonce, c->key);
	memcpy(c->key, out, NOISE_KEY_LEN);
	sodium_memzero(out, sizeof out);
}

void noise_rekey_send(struct noise *n) { rekey(&n->send); }
void noise_rekey_receive(struct noise *n) { rekey(&n->receive); }
