/* The ids a node holds of one (topic, kind), ordered by (expires, id), so that expiry is a prefix and a range of it can be compared
 * with a peer's. The one interface behind which reconciliation works: today a sorted array and lists of ids, later a counted
 * B-tree and fingerprints; nothing outside this file sees which.
 * Must not know: records' contents, peers, clock. */
#ifndef TALKOO_P2P_RECSET_H
#define TALKOO_P2P_RECSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/ids.h"

struct recset_item { uint64_t expires_ms; struct id32 id; };

struct recset { struct recset_item *items; size_t len, cap, max; };

/* max: ceiling of items. */
void recset_init(struct recset *s, size_t max);
void recset_release(struct recset *s);
/* False: full or out of memory. An item that is there already is fine. */
bool recset_insert(struct recset *s, const struct recset_item *item);
bool recset_remove(struct recset *s, const struct recset_item *item);
bool recset_has(const struct recset *s, const struct recset_item *item);
/* Drops all items with expires <= now; returns how many. */
size_t recset_expire(struct recset *s, uint64_t now_ms);
/* Index of the first item that is not below the bound (0..len). */
size_t recset_lower_bound(const struct recset *s, const struct recset_item *bound);
/* <0, 0, >0 */
int recset_compare(const struct recset_item *a, const struct recset_item *b);

#endif
