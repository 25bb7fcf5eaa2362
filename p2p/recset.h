/* The ids a node holds of one (topic, kind), ordered by (expires, id), so that expiry is a prefix and a range of it can be compared
 * with a peer's: by position, by bound, and by the sum of the ids in a range. The one structure that reconciliation works on.
 *
 * Pointers to items in blocks of at most RECSET_BLOCK_MAX, each block with its sum; positions and sums up to each block are
 * brought up to date when they are asked for. Changes cost one block's memmove, questions a search and one block's walk.
 * It does not own the items; they stay where they are while they are in it.
 * Must not know: records' contents, peers, clock. */
#ifndef TALKOO_P2P_RECSET_H
#define TALKOO_P2P_RECSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/ids.h"

#define RECSET_BLOCK_MAX 256

struct recset_item { uint64_t expires_ms; struct id32 id; };
/* Ids as little-endian numbers, added modulo 2^256. */
struct recset_sum { uint64_t w[4]; };

struct recset_block;
struct recset {
	struct recset_block **blocks;
	size_t blocks_len, blocks_cap;
	size_t len, max;
	bool is_stale; /* the blocks' positions and sums before them */
};

/* max: ceiling of items. */
void recset_init(struct recset *s, size_t max);
/* The items are not touched. */
void recset_release(struct recset *s);
/* False: full or out of memory. The item must not be in it. */
bool recset_insert(struct recset *s, const struct recset_item *item);
/* False: one like it is not in it. */
bool recset_remove(struct recset *s, const struct recset_item *item);

/* By position, 0 to len-1. */
const struct recset_item *recset_at(struct recset *s, size_t at);
/* Position of the first item that is not below the bound (0..len). */
size_t recset_lower_bound(struct recset *s, const struct recset_item *bound);
/* Of the items from (included) to `to` (excluded). */
struct recset_sum recset_sum(struct recset *s, size_t from, size_t to);
/* <0, 0, >0 by (expires, id) */
int recset_compare(const struct recset_item *a, const struct recset_item *b);

#endif
