#include "proto/ed25519.h"

#include <sodium.h>

/* libsodium (built without ED25519_COMPAT, as distributions build it) checks all that the header says;
 * tests/unit/test_ed25519.c proves each rule on the library at hand. */
bool ed25519_verify(const uint8_t *message, size_t len, const uint8_t signature[64], const struct node_id *key)
{
	return !crypto_sign_verify_detached(signature, message, len, key->b);
}

void ed25519_sign(const uint8_t *message, size_t len, const uint8_t secret[64], uint8_t ret_signature[64])
{
	crypto_sign_detached(ret_signature, NULL, message, len, secret);
}
