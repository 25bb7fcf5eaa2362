/* A hash table of objects that begin with their 32-byte id. It does not own them. Keyed hashing, so that ids chosen by
 * strangers do not pile up in one place.
 *
 * Must not know: what the objects are. Links: libsodium. */
#ifndef TALKOO_PROTO_IDMAP_H
#define TALKOO_PROTO_IDMAP_H

#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>

#include "proto/ids.h"

struct idmap {
	void **slots; /* NULL: free */
	size_t cap, len;
	size_t max; /* ceiling of len */
	uint8_t hash_key[crypto_shorthash_KEYBYTES];
};

/* hash_key: random bytes (the caller's, so that engines draw no randomness). */
void idmap_init(struct idmap *m, size_t max, const uint8_t hash_key[crypto_shorthash_KEYBYTES]);
/* Frees the table, not the objects. */
void idmap_release(struct idmap *m);

/* The object, or NULL. */
void *idmap_get(const struct idmap *m, const struct id32 *id);
/* Adds an object (its first 32 bytes are its id, which must not be there yet). False: no memory, or the ceiling. */
bool idmap_put(struct idmap *m, void *object);
/* Takes it out; returns it, or NULL. */
void *idmap_remove(struct idmap *m, const struct id32 *id);

/* Every object in no particular order: for (size_t at = 0; (x = idmap_next(&m, &at));). Nothing may be put or removed
 * meanwhile. */
void *idmap_next(const struct idmap *m, size_t *at);

#endif
