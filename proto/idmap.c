#include "proto/idmap.h"

#include <stdlib.h>
#include <string.h>

void idmap_init(struct idmap *m, size_t max, const uint8_t hash_key[crypto_shorthash_KEYBYTES])
{
	*m = (struct idmap){.max = max};
	memcpy(m->hash_key, hash_key, sizeof m->hash_key);
}

void idmap_release(struct idmap *m)
{
	if (!m)
		return;
	free(m->slots);
	m->slots = NULL;
	m->cap = m->len = 0;
}

static size_t home_of(const struct idmap *m, const void *id)
{
	uint8_t hash[crypto_shorthash_BYTES];
	crypto_shorthash(hash, id, 32, m->hash_key);
	uint64_t value;
	memcpy(&value, hash, sizeof value);
	return (size_t)value & (m->cap - 1);
}

/* The slot that holds id, or the free one where it would go. cap > len always, so it ends. */
static size_t find(const struct idmap *m, const void *id)
{
	size_t at = home_of(m, id);
	while (m->slots[at] && memcmp(m->slots[at], id, 32))
		at = (at + 1) & (m->cap - 1);
	return at;
}

static bool grow(struct idmap *m)
{
	struct idmap larger = *m;
	larger.cap = m->cap ? m->cap * 2 : 64;
	larger.slots = calloc(larger.cap, sizeof *larger.slots);
	if (!larger.slots)
		return false;
	for (size_t i = 0; i < m->cap; i++)
		if (m->slots[i])
			larger.slots[find(&larger, m->slots[i])] = m->slots[i];
	free(m->slots);
	*m = larger;
	return true;
}

void *idmap_get(const struct idmap *m, const struct id32 *id)
{
	return m->cap ? m->slots[find(m, id->b)] : NULL;
}

bool idmap_put(struct idmap *m, void *object)
{
	if (m->len >= m->max)
		return false;
	if (m->len * 4 >= m->cap * 3 && !grow(m))
		return false;
	m->slots[find(m, object)] = object;
	m->len++;
	return true;
}

void *idmap_remove(struct idmap *m, const struct id32 *id)
{
	if (!m->cap)
		return NULL;
	size_t hole = find(m, id->b);
	void *const object = m->slots[hole];
	if (!object)
		return NULL;
	m->slots[hole] = NULL;
	m->len--;
	/* those behind it that would no longer be found move up */
	for (size_t at = (hole + 1) & (m->cap - 1); m->slots[at]; at = (at + 1) & (m->cap - 1)) {
		const size_t home = home_of(m, m->slots[at]);
		if (((at - home) & (m->cap - 1)) < ((at - hole) & (m->cap - 1)))
			continue;
		m->slots[hole] = m->slots[at];
		m->slots[at] = NULL;
		hole = at;
	}
	return object;
}

void *idmap_next(const struct idmap *m, size_t *at)
{
	while (*at < m->cap) {
		void *const object = m->slots[(*at)++];
		if (object)
			return object;
	}
	return NULL;
}
