#include "node/ixheap.h"

#include <stdlib.h>
#include <string.h>

#include "node/index.h"

void ixheap_release(struct ixheap *h)
{
	free(h->items);
	h->items = NULL;
	h->len = h->cap = 0;
}

/* Whether a goes before b. */
static bool is_before(const struct ixheap *h, const struct ix_entry *a, const struct ix_entry *b)
{
	if (h->order == IXHEAP_RANK && a->authority != b->authority)
		return a->authority < b->authority;
	if (a->expires_ms != b->expires_ms)
		return a->expires_ms < b->expires_ms;
	return memcmp(a->id.b, b->id.b, sizeof a->id.b) < 0;
}

static void place(struct ixheap *h, struct ix_entry *e, size_t at)
{
	h->items[at] = e;
	e->heap_at[h->order] = (uint32_t)at;
}

static size_t rise(struct ixheap *h, size_t at)
{
	struct ix_entry *const e = h->items[at];
	for (size_t parent; at && (parent = (at - 1) / 2, is_before(h, e, h->items[parent])); at = parent)
		place(h, h->items[parent], at);
	place(h, e, at);
	return at;
}

static void sink(struct ixheap *h, size_t at)
{
	struct ix_entry *const e = h->items[at];
	for (size_t child; (child = 2 * at + 1) < h->len; at = child) {
		if (child + 1 < h->len && is_before(h, h->items[child + 1], h->items[child]))
			child++;
		if (!is_before(h, h->items[child], e))
			break;
		place(h, h->items[child], at);
	}
	place(h, e, at);
}

bool ixheap_push(struct ixheap *h, struct ix_entry *e)
{
	if (h->len == h->cap) {
		const size_t cap = h->cap ? h->cap * 2 : 16;
		struct ix_entry **larger = reallocarray(h->items, cap, sizeof *larger);
		if (!larger)
			return false;
		h->items = larger;
		h->cap = cap;
	}
	place(h, e, h->len++);
	rise(h, h->len - 1);
	return true;
}

void ixheap_remove(struct ixheap *h, const struct ix_entry *e)
{
	const size_t at = e->heap_at[h->order];
	struct ix_entry *const last = h->items[--h->len];
	if (at == h->len)
		return;
	place(h, last, at);
	sink(h, rise(h, at));
}

void ixheap_moved(struct ixheap *h, const struct ix_entry *e)
{
	sink(h, rise(h, e->heap_at[h->order]));
}

struct ix_entry *ixheap_first(const struct ixheap *h)
{
	return h->len ? h->items[0] : NULL;
}
