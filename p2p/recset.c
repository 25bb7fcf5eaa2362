#include "p2p/recset.h"

#include <stdlib.h>
#include <string.h>

struct recset_block {
	size_t start;             /* items in the blocks before; as `before` up to date unless is_stale */
	struct recset_sum before; /* sum of those */
	struct recset_sum sum;    /* of this block */
	size_t len;               /* never 0 */
	const struct recset_item *items[RECSET_BLOCK_MAX];
};

void recset_init(struct recset *s, size_t max)
{
	*s = (struct recset){.max = max};
}

void recset_release(struct recset *s)
{
	for (size_t i = 0; i < s->blocks_len; i++)
		free(s->blocks[i]);
	free(s->blocks);
	recset_init(s, s->max);
}

int recset_compare(const struct recset_item *a, const struct recset_item *b)
{
	if (a->expires_ms != b->expires_ms)
		return a->expires_ms < b->expires_ms ? -1 : 1;
	return memcmp(a->id.b, b->id.b, sizeof a->id.b);
}

/* ---- sums */

static void sum_number(struct recset_sum *sum, const uint64_t w[4])
{
	unsigned carry = 0;
	for (size_t i = 0; i < 4; i++) {
		const uint64_t part = sum->w[i] + w[i];
		const bool first = part < w[i];
		sum->w[i] = part + carry;
		carry = first || sum->w[i] < part;
	}
}

static void sum_id(struct recset_sum *sum, const struct id32 *id)
{
	uint64_t w[4] = {0};
	for (size_t i = 0; i < sizeof id->b; i++)
		w[i / 8] |= (uint64_t)id->b[i] << i % 8 * 8;
	sum_number(sum, w);
}

static void sum_subtract(struct recset_sum *sum, const struct recset_sum *other)
{
	const uint64_t one[4] = {1};
	struct recset_sum negative;
	for (size_t i = 0; i < 4; i++)
		negative.w[i] = ~other->w[i];
	sum_number(&negative, one);
	sum_number(sum, negative.w);
}

static void resum(struct recset_block *b)
{
	b->sum = (struct recset_sum){{0}};
	for (size_t i = 0; i < b->len; i++)
		sum_id(&b->sum, &b->items[i]->id);
}

/* ---- blocks */

static void refresh(struct recset *s)
{
	struct recset_sum sum = {{0}};
	size_t start = 0;
	for (size_t i = 0; s->is_stale && i < s->blocks_len; i++) {
		s->blocks[i]->start = start;
		s->blocks[i]->before = sum;
		start += s->blocks[i]->len;
		sum_number(&sum, s->blocks[i]->sum.w);
	}
	s->is_stale = false;
}

/* The block where the item is or would go: the last whose first item is not above it, or the first. At least one is there. */
static size_t block_of(const struct recset *s, const struct recset_item *item)
{
	size_t low = 0, high = s->blocks_len;
	while (high - low > 1) {
		const size_t middle = low + (high - low) / 2;
		if (recset_compare(s->blocks[middle]->items[0], item) <= 0)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static size_t place_in(const struct recset_block *b, const struct recset_item *item)
{
	size_t low = 0, high = b->len;
	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		if (recset_compare(b->items[middle], item) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* An empty block at position `at` of the list. NULL: out of memory. */
static struct recset_block *add_block(struct recset *s, size_t at)
{
	if (s->blocks_len == s->blocks_cap) {
		const size_t cap = s->blocks_cap ? s->blocks_cap * 2 : 4;
		struct recset_block **blocks = reallocarray(s->blocks, cap, sizeof(struct recset_block *));
		if (!blocks)
			return NULL;
		s->blocks = blocks;
		s->blocks_cap = cap;
	}
	struct recset_block *b = calloc(1, sizeof *b);
	if (!b)
		return NULL;
	memmove(&s->blocks[at + 1], &s->blocks[at], (s->blocks_len - at) * sizeof s->blocks[0]);
	s->blocks[at] = b;
	s->blocks_len++;
	return b;
}

/* The upper half of a full block becomes the next one. What is appended at the very end leaves full blocks behind. */
static bool split(struct recset *s, size_t at, bool is_append)
{
	struct recset_block *const b = s->blocks[at];
	struct recset_block *const next = add_block(s, at + 1);
	if (!next)
		return false;
	next->len = is_append ? 1 : b->len / 2;
	b->len -= next->len;
	memcpy(next->items, b->items + b->len, next->len * sizeof next->items[0]);
	resum(b);
	resum(next);
	return true;
}

bool recset_insert(struct recset *s, const struct recset_item *item)
{
	if (s->len == s->max || (!s->blocks_len && !add_block(s, 0)))
		return false;
	size_t at = s->blocks[0]->len ? block_of(s, item) : 0;
	if (s->blocks[at]->len == RECSET_BLOCK_MAX) {
		const bool is_last = at + 1 == s->blocks_len;
		if (!split(s, at, is_last && recset_compare(s->blocks[at]->items[RECSET_BLOCK_MAX - 1], item) < 0))
			return false;
		at = block_of(s, item);
	}
	struct recset_block *const b = s->blocks[at];
	const size_t place = place_in(b, item);
	memmove(&b->items[place + 1], &b->items[place], (b->len - place) * sizeof b->items[0]);
	b->items[place] = item;
	b->len++;
	sum_id(&b->sum, &item->id);
	s->len++;
	s->is_stale = true;
	return true;
}

bool recset_remove(struct recset *s, const struct recset_item *item)
{
	if (!s->len)
		return false;
	const size_t at = block_of(s, item);
	struct recset_block *const b = s->blocks[at];
	const size_t place = place_in(b, item);
	if (place == b->len || recset_compare(b->items[place], item))
		return false;
	struct recset_sum gone = {{0}};
	sum_id(&gone, &item->id);
	sum_subtract(&b->sum, &gone);
	b->len--;
	memmove(&b->items[place], &b->items[place + 1], (b->len - place) * sizeof b->items[0]);
	s->len--;
	s->is_stale = true;
	if (!b->len) {
		free(b);
		s->blocks_len--;
		memmove(&s->blocks[at], &s->blocks[at + 1], (s->blocks_len - at) * sizeof s->blocks[0]);
	}
	return true;
}

/* ---- questions */

/* The block that holds a position; at <= len, there is at least one block. */
static const struct recset_block *block_at(struct recset *s, size_t at)
{
	refresh(s);
	size_t low = 0, high = s->blocks_len;
	while (high - low > 1) {
		const size_t middle = low + (high - low) / 2;
		if (s->blocks[middle]->start <= at)
			low = middle;
		else
			high = middle;
	}
	return s->blocks[low];
}

const struct recset_item *recset_at(struct recset *s, size_t at)
{
	const struct recset_block *b = block_at(s, at);
	return b->items[at - b->start];
}

size_t recset_lower_bound(struct recset *s, const struct recset_item *bound)
{
	if (!s->len)
		return 0;
	refresh(s);
	const struct recset_block *b = s->blocks[block_of(s, bound)];
	return b->start + place_in(b, bound);
}

static struct recset_sum sum_to(struct recset *s, size_t to)
{
	const struct recset_block *b = block_at(s, to);
	struct recset_sum sum = b->before;
	for (size_t i = 0; i < to - b->start; i++)
		sum_id(&sum, &b->items[i]->id);
	return sum;
}

struct recset_sum recset_sum(struct recset *s, size_t from, size_t to)
{
	if (from == to)
		return (struct recset_sum){{0}};
	struct recset_sum sum = sum_to(s, to);
	const struct recset_sum before = sum_to(s, from);
	sum_subtract(&sum, &before);
	return sum;
}
