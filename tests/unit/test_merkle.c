#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/merkle.h"
#include "tests/unit/tap.h"

/* byte i of the test blob is (7 i + 13 (i / 16384)) mod 256; sums by an independent, recursive implementation */
static const struct {
	size_t len;
	const char *sha256, *root;
} known[] = {
	{0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"},
	{1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", "9ee6dfb61a2fb903df487c401663825643bb825d41695e63df8af6162ab145a6"},
	{16383, "3dca48b1d28d07caf25513928a7b8251049b07ec8d845ae6bd38768c725c777c", "d79b548992ba2710f193aaf16f3355678bb9f29d0c0843930415bb66ab318394"},
	{16384, "582bf46c154f087f3ba98b298fbe978c18f8b60cae2d67d7cb5c233396744125", "6a67e68ddac372ae03030b0f302544dbd8c7e9444b695205ddb025e94073e8a4"},
	{16385, "55d29765ce62416af72e017d6170194f43c12399c362d3c4ecb966fae2ce8b7d", "f30cb462773bed7586c19efa2fb834208fffb7a2190a635832710de16e6893ed"},
	{32768, "32e66183b166126dad969c615c2f6ea10351e5973d0d6fcff8e50f069977ddd5", "64fee351b2eab0a7206999750c1c69623fd08dec469c9a0a04fd47f844d1d05a"},
	{32769, "df0c28b61baa02f1cf63b2c18df88fe32c03d452713f86bf9ed5c7fabf1df5d3", "486b919d478fe304850a65a67f231410d08c7da83325889fdb723c9bb4e948c0"},
	{49152, "6cde1ac3ecf589eae84b28b79f678ff1f33fad70581868fdd2554aed4932bfad", "4927a4206a4afca80b335044507cb9c0d9c6ac6c973fb66808db73871610f870"},
	{81920, "4977efcf16e2f225c8b14a202755811db6c37b1f531cbcc5c180b9e5d66ce574", "8d0b75ff257a29a0baaf91f63334dd13e3859b711178081b241ff50bba509099"},
	{114693, "d2149551a860162f4e9c747338ce0fc0b5b39e3d537ab1ca739d6cfb2dd7d805", "cb6745c30498e6197804b9dab15dfd2f74b2fb57c9834bc12fe8d4802db94a6f"},
	{131072, "d9744cf22cbcd022aa096173df0f4c1f61eef34ee8bd7b7e5c909dbd4b59d846", "307c18e380691dfa18b948af6cfd17950a046748b00c9cfaf2dbf0d81ca6c89d"},
	{180224, "d302a2d8677b6d4de17c3973760b0e22eeb6860a14eeea9e1d135912031aa447", "9685efb71b37ce23fe2e969edc6027af73779c6f9e5792a81b329957be57f296"},
};

static void digest_in_pieces(const uint8_t *bytes, size_t len, size_t piece, struct blob_digest *ret)
{
	struct digest_stream s;
	digest_init(&s);
	for (size_t at = 0; at < len; at += piece)
		digest_update(&s, bytes + at, len - at < piece ? len - at : piece);
	digest_update(&s, NULL, 0);
	digest_final(&s, ret);
}

/* ---- audit paths, against RFC 9162's own definitions, word for word and recursive ---- */

static size_t split_of(size_t n)
{
	size_t k = 1;
	while (k * 2 < n)
		k *= 2;
	return k;
}

/* 2.1.1 */
static void plain_root(const struct merkle_hash *leaves, size_t n, struct merkle_hash *ret)
{
	struct merkle_hash left, right;
	uint8_t input[65] = {1};
	if (n == 1) {
		*ret = leaves[0];
		return;
	}
	const size_t k = split_of(n);
	plain_root(leaves, k, &left);
	plain_root(leaves + k, n - k, &right);
	memcpy(input + 1, left.b, 32);
	memcpy(input + 33, right.b, 32);
	crypto_generichash(ret->b, 32, input, sizeof input, NULL, 0);
}

/* 2.1.3.1 */
static size_t plain_path(const struct merkle_hash *leaves, size_t n, size_t m, struct merkle_hash *ret)
{
	if (n == 1)
		return 0;
	const size_t k = split_of(n), other = m < k ? k : 0;
	const size_t len = m < k ? plain_path(leaves, k, m, ret) : plain_path(leaves + k, n - k, m - k, ret);
	plain_root(leaves + other, m < k ? n - k : k, &ret[len]);
	return len + 1;
}

/* What must not pass: every single change of one proof. Returns how many did. */
static unsigned lies_taken(const struct merkle_hash *leaf, size_t index, size_t count, const struct merkle_hash *path, size_t len, const uint8_t *root)
{
	struct merkle_hash bad[MERKLE_PATH_MAX + 1], other = *leaf;
	uint8_t bad_root[32];
	unsigned taken = 0;
	memcpy(bad, path, len * sizeof *bad);
	bad[len] = *leaf;
	taken += merkle_verify(leaf, index, count, bad, len + 1, root); /* too long */
	taken += len && merkle_verify(leaf, index, count, bad, len - 1, root); /* too short */
	taken += len && merkle_verify(leaf, index, count, bad + 1, len - 1, root);
	for (size_t i = 0; i < len; i++) {
		bad[i].b[i % 32] ^= 4;
		taken += merkle_verify(leaf, index, count, bad, len, root);
		bad[i].b[i % 32] ^= 4;
	}
	other.b[31] ^= 1;
	taken += merkle_verify(&other, index, count, bad, len, root);
	memcpy(bad_root, root, 32);
	bad_root[0] ^= 0x80;
	taken += merkle_verify(leaf, index, count, bad, len, bad_root);
	for (size_t i = 0; i < count + 3; i++) /* another place */
		taken += i != index && merkle_verify(leaf, i, count, bad, len, root);
	taken += merkle_verify(leaf, index, index, bad, len, root);
	taken += merkle_verify(leaf, index, 0, bad, len, root);
	taken += merkle_verify(leaf, UINT64_MAX, UINT64_MAX, bad, len, root);
	taken += len && merkle_verify(leaf, index + (1u << len), count, bad, len, root);
	return taken;
}

static void fill_leaves(struct merkle_hash *leaves, size_t count, uint8_t seed)
{
	const uint8_t key[32] = {seed, 77};
	randombytes_buf_deterministic(leaves, count * sizeof *leaves, key);
}

static struct merkle_hash *tree_of(size_t count, uint8_t seed)
{
	struct merkle_hash *nodes = calloc(merkle_tree_len(count), sizeof *nodes);
	if (!nodes)
		abort();
	fill_leaves(nodes, count, seed);
	merkle_build(nodes, count);
	return nodes;
}

static void test_small_trees(void)
{
	OK(merkle_tree_len(0) == 0 && merkle_leaf_count(0) == 0 && merkle_path_len(0, 0) == 0, "nothing has no tree");
	for (size_t count = 1; count <= 70; count++) {
		CLEANUP(cleanup_free) struct merkle_hash *nodes = tree_of(count, (uint8_t)count);
		struct merkle_hash root, path[MERKLE_PATH_MAX], want[MERKLE_PATH_MAX];
		unsigned wrong = 0, taken = 0;
		plain_root(nodes, count, &root);
		wrong += memcmp(root.b, merkle_root(nodes, count), 32) != 0;
		for (size_t i = 0; i < count; i++) {
			const size_t len = merkle_path(nodes, count, i, path);
			wrong += len != plain_path(nodes, count, i, want) || memcmp(path, want, len * sizeof *path) != 0;
			wrong += len != merkle_path_len(i, count);
			wrong += !merkle_verify(&nodes[i], i, count, path, len, root.b);
			taken += lies_taken(&nodes[i], i, count, path, len, root.b);
		}
		OK(!wrong && !taken, "%zu leaves: root and paths are the RFC's (%u wrong), no lie is taken (%u)", count, wrong, taken);
	}
}

static void test_large_trees(void)
{
	uint32_t random[12];
	const uint8_t key[32] = {5};
	randombytes_buf_deterministic(random, sizeof random, key);
	for (size_t i = 0; i < ARRAY_LEN(random); i++) {
		const size_t count = i == 0 ? 1024 : 71 + random[i] % 5000;
		CLEANUP(cleanup_free) struct merkle_hash *nodes = tree_of(count, (uint8_t)i);
		struct merkle_hash path[MERKLE_PATH_MAX], want[MERKLE_PATH_MAX];
		const size_t places[] = {0, 1, count / 2, count - 2, count - 1, random[i] % count};
		unsigned wrong = 0;
		for (size_t j = 0; j < ARRAY_LEN(places); j++) {
			const size_t len = merkle_path(nodes, count, places[j], path);
			wrong += len != plain_path(nodes, count, places[j], want) || memcmp(path, want, len * sizeof *path) != 0;
			wrong += len != merkle_path_len(places[j], count);
			wrong += !merkle_verify(&nodes[places[j]], places[j], count, path, len, merkle_root(nodes, count)->b);
			wrong += lies_taken(&nodes[places[j]], places[j], count, path, len, merkle_root(nodes, count)->b);
		}
		OK(!wrong, "%zu leaves: %u wrong", count, wrong);
	}
}

/* The tree of a blob has the root that digest_bytes() says. */
static void test_blob_trees(const uint8_t *blob)
{
	for (size_t i = 1; i < ARRAY_LEN(known); i++) {
		struct blob_digest d;
		const size_t count = merkle_leaf_count(known[i].len);
		CLEANUP(cleanup_free) struct merkle_hash *nodes = calloc(merkle_tree_len(count), sizeof *nodes);
		if (!nodes)
			abort();
		merkle_leaves(blob, known[i].len, nodes);
		merkle_build(nodes, count);
		digest_bytes(blob, known[i].len, &d);
		MEMEQ(merkle_root(nodes, count)->b, d.root, 32);
	}
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	const size_t len_max = known[ARRAY_LEN(known) - 1].len;
	CLEANUP(cleanup_free) uint8_t *blob = malloc(len_max);
	if (!blob)
		return 1;
	for (size_t i = 0; i < len_max; i++)
		blob[i] = (uint8_t)(i * 7 + i / MERKLE_LEAF_LEN * 13);
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		struct blob_digest whole, pieces;
		char text[65];
		digest_bytes(blob, known[i].len, &whole);
		INTEQ(whole.size, known[i].len);
		STREQ(hex_encode(text, whole.sha256, 32), known[i].sha256);
		STREQ(hex_encode(text, whole.root, 32), known[i].root);
		static const size_t piece_lens[] = {16384, 16383, 16385, 999, 70000};
		for (size_t j = 0; j < ARRAY_LEN(piece_lens); j++) {
			digest_in_pieces(blob, known[i].len, piece_lens[j], &pieces);
			OK(blob_digest_eq(&whole, &pieces), "%zu bytes in pieces of %zu", known[i].len, piece_lens[j]);
		}
		if (known[i].len) {
			blob[known[i].len - 1] ^= 1;
			digest_bytes(blob, known[i].len, &pieces);
			OK(memcmp(whole.root, pieces.root, 32) && memcmp(whole.sha256, pieces.sha256, 32), "a flipped bit shows");
			blob[known[i].len - 1] ^= 1;
		}
	}
	test_small_trees();
	test_large_trees();
	test_blob_trees(blob);
	return tap_done();
}
