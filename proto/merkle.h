/* A blob's digest {sha256, size, root}, streamed. PROTOCOL 3.
 *
 * root: RFC 9162 section 2.1.1 tree (leaf = H(00 || data), node = H(01 || left || right)) with H = BLAKE2b-256 over leaves
 * of 16 KiB, the last one shorter; the empty blob's root is H("").
 * Pure; no allocation, memory does not grow with the blob. Needs: libsodium, after sodium_init().
 * Use: digest_init(), digest_update() any number of times, digest_final() once; or digest_bytes() for bytes in memory.
 * Leaf by leaf: who has the blob builds its tree once (merkle_leaves(), merkle_build()) and takes each leaf's audit path from it
 * (merkle_path()); who has only the root checks a leaf with merkle_verify(), RFC 9162 section 2.1.3. */
#ifndef TALKOO_PROTO_MERKLE_H
#define TALKOO_PROTO_MERKLE_H

#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MERKLE_LEAF_LEN 16384
#define MERKLE_PATH_MAX 63 /* of a tree of 2^63 leaves */

struct merkle_hash { uint8_t b[32]; };

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

/* Leaves of a blob of size bytes; the empty blob has none. */
static inline uint64_t merkle_leaf_count(uint64_t size) { return size / MERKLE_LEAF_LEN + (size % MERKLE_LEAF_LEN != 0); }
/* H(00 || bytes): of one leaf, len at most MERKLE_LEAF_LEN. */
void merkle_leaf(const void *bytes, size_t len, struct merkle_hash *ret);
/* All of a blob: ret has merkle_leaf_count(len) rows. */
void merkle_leaves(const void *bytes, size_t len, struct merkle_hash *ret);

/* A tree in one array, level by level, leaves first, the root last. Rows that a tree of count leaves takes (under 2 count + 64). */
size_t merkle_tree_len(size_t count);
/* nodes: merkle_tree_len(count) rows, the first count of them the leaf hashes; fills the others. count: at least 1. */
void merkle_build(struct merkle_hash *nodes, size_t count);
static inline const struct merkle_hash *merkle_root(const struct merkle_hash *nodes, size_t count) { return &nodes[merkle_tree_len(count) - 1]; }
/* The audit path of leaf index (below count), from the leaf's side to the root's. ret: MERKLE_PATH_MAX rows. Returns its length. */
size_t merkle_path(const struct merkle_hash *nodes, size_t count, size_t index, struct merkle_hash *ret);
/* How long the audit path of a leaf is; 0 too where index is not below count. */
size_t merkle_path_len(uint64_t index, uint64_t count);
/* Whether leaf is number index of the count leaves of the tree with that root. Any values of the arguments are fine: a wrong length
 * is false. RFC 9162 2.1.3.2. */
bool merkle_verify(const struct merkle_hash *leaf, uint64_t index, uint64_t count, const struct merkle_hash *path, size_t path_len,
		   const uint8_t root[32]);

#endif
