/* A blob's digest {sha256, size, root}, streamed. PROTOCOL 3.
 *
 * root: RFC 9162 section 2.1.1 tree (leaf = H(00 || data), node = H(01 || left || right)) with H = BLAKE2b-256 over leaves
 * of 16 KiB, the last one shorter; the empty blob's root is H("").
 * Pure; no allocation, memory does not grow with the blob. Needs: libsodium, after sodium_init().
 * Use: digest_init(), digest_update() any number of times, digest_final() once; or digest_bytes() for bytes in memory. */
#ifndef TALKOO_PROTO_MERKLE_H
#define TALKOO_PROTO_MERKLE_H

#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MERKLE_LEAF_LEN 16384

struct blob_digest { uint8_t sha256[32]; uint8_t root[32]; uint64_t size; };

struct digest_stream {
	crypto_hash_sha256_state sha256;
	crypto_generichash_state leaf;
	size_t leaf_len;          /* bytes in the current leaf */
	uint64_t size;
	uint8_t stack[64][32];    /* one subtree root per set bit of the leaf count */
	uint64_t leaves;
};

void digest_init(struct digest_stream *s);
/* bytes may be NULL when len is 0. */
void digest_update(struct digest_stream *s, const void *bytes, size_t len);
/* The stream is spent afterwards; digest_init() starts it anew. */
void digest_final(struct digest_stream *s, struct blob_digest *ret);
void digest_bytes(const void *bytes, size_t len, struct blob_digest *ret);
/* The same three values; nothing secret is compared. */
static inline bool blob_digest_eq(const struct blob_digest *a, const struct blob_digest *b)
{
	return a->size == b->size && !__builtin_memcmp(a->sha256, b->sha256, 32) && !__builtin_memcmp(a->root, b->root, 32);
}

#endif
