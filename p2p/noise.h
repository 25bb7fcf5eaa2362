/* Noise_XX_25519_ChaChaPoly_BLAKE2b: the handshake and the two transport ciphers, sans-I/O.
 *
 * Bytes in, bytes out; the caller gives the ephemeral key (so that the simulator and the vectors are deterministic) and moves
 * the messages. Any failure is final: the state refuses everything afterwards. Secrets are wiped by noise_release().
 * Must not know: sockets, framing, node ids (session.h binds those inside the payloads).
 * Source: The Noise Protocol Framework, revision 34: sections 5 (processing rules), 7.5 (XX), 11.3 (rekey), 12 (functions).
 *
 * States: HANDSHAKE (noise_write and noise_read alternate, initiator writes first: -> e, <- e ee s es, -> s se),
 * TRANSPORT after the third message (noise_seal and noise_open), FAILED. */
#ifndef TALKOO_P2P_NOISE_H
#define TALKOO_P2P_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"

#define NOISE_KEY_LEN 32
#define NOISE_TAG_LEN 16
#define NOISE_HASH_LEN 64
#define NOISE_MESSAGE_MAX 65535

enum noise_role { NOISE_INITIATOR = 1, NOISE_RESPONDER };
enum noise_state { NOISE_HANDSHAKE = 1, NOISE_TRANSPORT, NOISE_FAILED };

struct noise_cipher { uint8_t key[NOISE_KEY_LEN]; uint64_t nonce; bool has_key; };

struct noise {
	enum noise_role role;
	enum noise_state state;
	unsigned message; /* 0, 1, 2: the next handshake message */
	uint8_t static_secret[NOISE_KEY_LEN], static_public[NOISE_KEY_LEN];
	uint8_t ephemeral_secret[NOISE_KEY_LEN], ephemeral_public[NOISE_KEY_LEN];
	uint8_t remote_static[NOISE_KEY_LEN], remote_ephemeral[NOISE_KEY_LEN];
	uint8_t chaining_key[NOISE_HASH_LEN], hash[NOISE_HASH_LEN];
	struct noise_cipher cipher;        /* of the handshake */
	struct noise_cipher send, receive; /* of the transport */
};

/* Both secrets are X25519 scalars; the ephemeral one is used once. prologue must be equal on both sides. */
void noise_init(struct noise *n, enum noise_role role, const uint8_t static_secret[NOISE_KEY_LEN],
		const uint8_t ephemeral_secret[NOISE_KEY_LEN], const void *prologue, size_t prologue_len);
void noise_release(struct noise *n);

/* The next handshake message with this payload, appended to ret. ERR_USAGE out of turn, ERR_LIMIT past NOISE_MESSAGE_MAX,
 * ERR_INVALID when the other side's key is worthless (all-zero result). */
int noise_write(struct noise *n, const void *payload, size_t len, struct buf *ret, struct err *err) MUST_CHECK;
/* Takes the other side's next handshake message; its payload is appended to ret. ERR_INVALID: not genuine. */
int noise_read(struct noise *n, const uint8_t *message, size_t len, struct buf *ret, struct err *err) MUST_CHECK;

/* In TRANSPORT: ciphertext (len + NOISE_TAG_LEN bytes) to out, which may be in. */
int noise_seal(struct noise *n, const uint8_t *in, size_t len, uint8_t *out, struct err *err) MUST_CHECK;
/* Plaintext (len - NOISE_TAG_LEN bytes) to out, which may be in. ERR_INVALID: not genuine, and the state fails. */
int noise_open(struct noise *n, const uint8_t *in, size_t len, uint8_t *out, struct err *err) MUST_CHECK;
/* New key for one direction; both sides do it at the same point of the stream. Noise 11.3 */
void noise_rekey_send(struct noise *n);
void noise_rekey_receive(struct noise *n);

#endif
