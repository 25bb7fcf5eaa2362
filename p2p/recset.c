#include "p2p/recset.h"

#include <stdlib.h>
#include <string.h>

void recset_init(struct recset *s, size_t max)
{
	*s = (struct recset){.max = max};
}

void recset_release(struct recset *s)
{
	free(s->items);
	*s = (struct recset){.max = s->max};
}

int recset_compare(const struct recset_item *a, const struct recset_item *b)
{
	if (a->expires_ms != b->expires_ms)
		return a->expires_ms < b->expires_ms ? -1 : 1;
	return memcmp(a->id.b, b->id.b, sizeof a->id.b);
}

size_t recset_lower_bound(const struct recset *s, const struct recset_item *bound)
{
	size_t low = 0, high = s->len;
	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		if (recset_compare(&s->items[middle], bound) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct recset *s, size_t at, const struct recset_item *item)
{
	return at < s->len && !recset_compare(&s->items[at], item);
}

bool recset_has(const struct recset *s, const struct recset_item *item)
{
	return is_at(s, recset_lower_bound(s, item), item);
}

bool recset_insert(struct recset *s, const struct recset_item *item)
{
	const size_t at = recset_lower_bound(s, item);
	if (is_at(s, at, item))
		return true;
	if (s->len == s->max)
		return false;
	if (s->len == s->cap) {
		const size_t cap = s->cap ? s->cap * 2 : 16;
		struct recset_item *items = reallocarray(s->items, cap, sizeof *items);
		if (!items)
			return false;
		s->items = items;
		s->cap = cap;
	}
	memmove(s->items + at + 1, s->items + at, (s->len - at) * sizeof *s->items);
	s->items[at] = *item;
	s->len++;
	return true;
}

bool recset_remove(struct recset *s, const struct recset_item *item)
{
	const size_t at = recset_lower_bound(s, item);
	if (!is_at(s, at, item))
		return false;
	s->len--;
	memmove(s->items + at, s->items + at + 1, (s->len - at) * sizeof *s->items);
	return true;
}

size_t recset_expire(struct recset *s, uint64_t now_ms)
{
	size_t n = 0;
	while (n < s->len && s->items[n].expires_ms <= now_ms)
		n++;
	if (n) {
		s->len -= n;
		memmove(s->items, s->items + n, s->len * sizeof *s->items);
	}
	return n;
}
