/* The one meaning of "the signature is valid", for records, statements and later handshakes. PROTOCOL 2.2.
 *
 * Pure Ed25519 (RFC 8032), verified without cofactor: S < L; A and R are canonical encodings (y < p, no negative zero) and
 * none of small order; R is compared byte for byte with the encoding of [S]B - [k]A. So every implementation that follows
 * the text agrees on every byte string. Links: libsodium. */
#ifndef TALKOO_PROTO_ED25519_H
#define TALKOO_PROTO_ED25519_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/ids.h"

bool ed25519_verify(const uint8_t *message, size_t len, const uint8_t signature[64], const struct node_id *key);
/* secret: libsodium's 64 bytes (seed || public key). Deterministic. */
void ed25519_sign(const uint8_t *message, size_t len, const uint8_t secret[64], uint8_t ret_signature[64]);

#endif
