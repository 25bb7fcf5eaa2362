#include "proto/merkle.h"

#include <string.h>

static void leaf_begin(struct digest_stream *s)
{
	static const uint8_t leaf_tag = 0x00;
	crypto_generichash_init(&s->leaf, NULL, 0, 32);
	crypto_generichash_update(&s->leaf, &leaf_tag, 1);
	s->leaf_len = 0;
}

static void node_hash(const uint8_t left[32], const uint8_t right[32], uint8_t ret[32])
{
	static const uint8_t node_tag = 0x01;
	crypto_generichash_state h;
	crypto_generichash_init(&h, NULL, 0, 32);
	crypto_generichash_update(&h, &node_tag, 1);
	crypto_generichash_update(&h, left, 32);
	crypto_generichash_update(&h, right, 32);
	crypto_generichash_final(&h, ret, 32);
}

/* stack[i] is the root of a perfect subtree of 2^i leaves where bit i of the leaf count is set: adding a leaf is adding
 * one to a binary counter, each carry joins two subtrees. */
static void leaf_end(struct digest_stream *s)
{
	uint8_t root[32];
	crypto_generichash_final(&s->leaf, root, 32);
	unsigned level = 0;
	for (uint64_t carry = s->leaves; carry & 1; carry >>= 1, level++)
		node_hash(s->stack[level], root, root);
	memcpy(s->stack[level], root, 32);
	s->leaves++;
	leaf_begin(s);
}

void digest_init(struct digest_stream *s)
{
	memset(s, 0, sizeof *s);
	crypto_hash_sha256_init(&s->sha256);
	leaf_begin(s);
}

void digest_update(struct digest_stream *s, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	if (!len)
		return;
	crypto_hash_sha256_update(&s->sha256, p, len);
	s->size += len;
	while (len) {
		/* a full leaf ends only when more follows: the last leaf, full or not, is digest_final()'s */
		if (s->leaf_len == MERKLE_LEAF_LEN)
			leaf_end(s);
		const size_t room = MERKLE_LEAF_LEN - s->leaf_len;
		const size_t n = len < room ? len : room;
		crypto_generichash_update(&s->leaf, p, n);
		s->leaf_len += n;
		p += n;
		len -= n;
	}
}

/* RFC 9162 2.1.1 splits at the largest power of two below n, so what is left over after the perfect subtrees hangs on the
 * right: join from the smallest to the largest. */
static void tree_root(const struct digest_stream *s, uint8_t ret[32])
{
	bool is_empty = true;
	for (unsigned level = 0; level < 64; level++) {
		if (!(s->leaves >> level & 1))
			continue;
		if (is_empty)
			memcpy(ret, s->stack[level], 32);
		else
			node_hash(s->stack[level], ret, ret);
		is_empty = false;
	}
}

void digest_final(struct digest_stream *s, struct blob_digest *ret)
{
	crypto_hash_sha256_final(&s->sha256, ret->sha256);
	ret->size = s->size;
	if (!s->size) {
		crypto_generichash(ret->root, 32, NULL, 0, NULL, 0);
		return;
	}
	leaf_end(s);
	tree_root(s, ret->root);
}

void digest_bytes(const void *bytes, size_t len, struct blob_digest *ret)
{
	struct digest_stream s;
	digest_init(&s);
	digest_update(&s, bytes, len);
	digest_final(&s, ret);
}

void merkle_leaf(const void *bytes, size_t len, struct merkle_hash *ret)
{
	static const uint8_t leaf_tag = 0x00;
	crypto_generichash_state h;
	crypto_generichash_init(&h, NULL, 0, sizeof ret->b);
	crypto_generichash_update(&h, &leaf_tag, 1);
	crypto_generichash_update(&h, bytes, len);
	crypto_generichash_final(&h, ret->b, sizeof ret->b);
}

void merkle_leaves(const void *bytes, size_t len, struct merkle_hash *ret)
{
	const uint8_t *p = bytes;
	for (size_t at = 0; at < len; at += MERKLE_LEAF_LEN)
		merkle_leaf(p + at, len - at < MERKLE_LEAF_LEN ? len - at : MERKLE_LEAF_LEN, ret++);
}

/* RFC 9162's split at the largest power of two is the same tree as joining neighbours level by level and lifting a node that has
 * none as it is: what it lifts joins the level where its neighbour has grown. */
size_t merkle_tree_len(size_t count)
{
	size_t len = count;
	for (size_t width = count; width > 1;) {
		width = (width + 1) / 2;
		len += width;
	}
	return len;
}

void merkle_build(struct merkle_hash *nodes, size_t count)
{
	for (size_t width = count; width > 1; width = (width + 1) / 2) {
		struct merkle_hash *up = nodes + width;
		for (size_t i = 0; i + 1 < width; i += 2)
			node_hash(nodes[i].b, nodes[i + 1].b, up[i / 2].b);
		if (width & 1)
			up[width / 2] = nodes[width - 1];
		nodes = up;
	}
}

size_t merkle_path(const struct merkle_hash *nodes, size_t count, size_t index, struct merkle_hash *ret)
{
	size_t len = 0;
	for (size_t width = count; width > 1; width = (width + 1) / 2, index /= 2) {
		const size_t sibling = index ^ 1;
		if (sibling < width)
			ret[len++] = nodes[sibling];
		nodes += width;
	}
	return len;
}

size_t merkle_path_len(uint64_t index, uint64_t count)
{
	size_t len = 0;
	if (index >= count)
		return 0;
	for (uint64_t last = count - 1; last; last /= 2, index /= 2)
		len += index & 1 || index < last;
	return len;
}

/* RFC 9162 2.1.3.2, step by step: fn and sn are its names. */
bool merkle_verify(const struct merkle_hash *leaf, uint64_t index, uint64_t count, const struct merkle_hash *path, size_t path_len,
		   const uint8_t root[32])
{
	if (index >= count)
		return false;
	uint64_t fn = index, sn = count - 1;
	struct merkle_hash r = *leaf;
	for (size_t i = 0; i < path_len; i++) {
		if (!sn)
			return false;
		if (fn & 1 || fn == sn) {
			node_hash(path[i].b, r.b, r.b);
			for (; fn && !(fn & 1); fn >>= 1)
				sn >>= 1;
		} else {
			node_hash(r.b, path[i].b, r.b);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return !sn && !memcmp(r.b, root, sizeof r.b);
}
