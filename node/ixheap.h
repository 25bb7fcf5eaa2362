/* A heap of the index's entries, so that the one that goes first is found without a search: by expiry (what time takes), or by
 * rank (what a full topic gives up: least authority, then nearest expiry). An entry knows its place in either.
 *
 * index_edit.c is the only user. It does not own the entries. Must not know: rules, clock. Links: nothing. */
#ifndef TALKOO_NODE_IXHEAP_H
#define TALKOO_NODE_IXHEAP_H

#include <stdbool.h>
#include <stddef.h>

struct ix_entry;

enum ixheap_order { IXHEAP_EXPIRY = 0, IXHEAP_RANK = 1 };
#define IXHEAP_ORDERS 2

struct ixheap {
	struct ix_entry **items;
	size_t len, cap;
	enum ixheap_order order;
};

void ixheap_release(struct ixheap *h);
/* False without memory. */
bool ixheap_push(struct ixheap *h, struct ix_entry *e);
/* Takes out an entry that is in it. */
void ixheap_remove(struct ixheap *h, const struct ix_entry *e);
/* After a change of what the order looks at. */
void ixheap_moved(struct ixheap *h, const struct ix_entry *e);
/* The entry that goes first, or NULL. */
struct ix_entry *ixheap_first(const struct ixheap *h);

#endif
