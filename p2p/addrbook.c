#include "p2p/addrbook.h"

#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES (ADDRBOOK_BUCKETS * ADDRBOOK_SLOTS)
#define FAILS_OF_THE_DEAD 8 /* one that answered once and then failed so often is worth no more than hearsay */

bool addrbook_init(struct addrbook *b, const uint8_t salt[16])
{
	_Static_assert(sizeof b->salt == crypto_shorthash_KEYBYTES, "the salt is SipHash's key");
	*b = (struct addrbook){.entries = calloc(ENTRIES, sizeof *b->entries)};
	memcpy(b->salt, salt, sizeof b->salt);
	return b->entries;
}

void addrbook_release(struct addrbook *b)
{
	for (size_t i = 0; b->entries && i < ENTRIES; i++)
		addrbook_forget(b, &b->entries[i]);
	free(b->entries);
	b->entries = NULL;
}

static uint64_t hash(const struct addrbook *b, const void *bytes, size_t len)
{
	uint64_t out;
	_Static_assert(sizeof out == crypto_shorthash_BYTES, "SipHash-2-4");
	crypto_shorthash((uint8_t *)&out, bytes, len, b->salt);
	return out;
}

static uint64_t group_of_name(const struct addrbook *b, const char *host)
{
	const char *from = host + strlen(host);
	for (unsigned dots = 0; from > host && (from[-1] != '.' || ++dots < 2); from--) {
	}
	return hash(b, from, strlen(from));
}

uint64_t addrbook_group(const struct addrbook *b, const char *host, uint16_t port)
{
	struct sockaddr_storage address;
	uint8_t key[8] = {0};
	if (!netaddr_parse(host, &address))
		return group_of_name(b, host);
	if (netaddr_classify((const struct sockaddr *)&address) == NETADDR_LOOPBACK) {
		memcpy(key, &port, sizeof port);
		key[7] = 1;
	} else if (address.ss_family == AF_INET) {
		memcpy(key, &((const struct sockaddr_in *)&address)->sin_addr, 2);
		key[7] = 4;
	} else {
		memcpy(key, &((const struct sockaddr_in6 *)&address)->sin6_addr, 4);
		key[7] = 6;
	}
	return hash(b, key, sizeof key);
}

uint64_t addrbook_tag(const struct id32 *topic)
{
	uint64_t tag;
	memcpy(&tag, topic->b, sizeof tag);
	return tag ? tag : 1;
}

struct addrbook_entry *addrbook_find(const struct addrbook *b, const struct node_id *id)
{
	for (size_t i = 0; i < ENTRIES; i++)
		if (b->entries[i].record && node_id_eq(&b->entries[i].id, id))
			return &b->entries[i];
	return NULL;
}

static unsigned worth(const struct addrbook_entry *e, uint64_t unix_ms)
{
	if (record_get(e->record)->expires_ms <= unix_ms)
		return 0;
	if (e->has_answered && e->fails < FAILS_OF_THE_DEAD)
		return 3;
	return e->said_unix_ms ? 2 : 1;
}

struct addrbook_entry *addrbook_place(struct addrbook *b, const struct node_id *id, uint64_t source, uint64_t group, bool is_own, uint64_t unix_ms)
{
	const uint64_t near = hash(b, (uint64_t[2]){source, group}, 16) % ADDRBOOK_REACH;
	const uint64_t bucket = hash(b, (uint64_t[2]){source, near}, 16) % ADDRBOOK_BUCKETS;
	struct addrbook_entry *least = NULL;
	unsigned least_worth = is_own ? 2 : 1;
	for (size_t i = 0; i < ADDRBOOK_SLOTS; i++) {
		struct addrbook_entry *e = &b->entries[bucket * ADDRBOOK_SLOTS + i];
		if (!e->record) {
			least = e;
			break;
		}
		if (worth(e, unix_ms) < least_worth) {
			least = e;
			least_worth = worth(e, unix_ms);
		}
	}
	if (!least)
		return NULL;
	addrbook_forget(b, least);
	least->id = *id;
	b->len++;
	return least;
}

void addrbook_forget(struct addrbook *b, struct addrbook_entry *e)
{
	if (!e->record)
		return;
	record_unref(e->record);
	free(e->said);
	*e = (struct addrbook_entry){0};
	b->len--;
}

void addrbook_tag_add(struct addrbook_entry *e, uint64_t tag)
{
	for (size_t i = 0; i < ADDRBOOK_TAGS; i++)
		if (e->tags[i] == tag)
			return;
	e->tags[e->tags_at++ % ADDRBOOK_TAGS] = tag;
}

static bool has_said(const struct addrbook_entry *e, const struct id32 *topic)
{
	for (size_t i = 0; i < e->said_len; i++)
		if (id32_eq(&e->said[i], topic))
			return true;
	return false;
}

bool addrbook_carries(const struct addrbook_entry *e, const struct id32 *topic)
{
	if (e->said_unix_ms)
		return has_said(e, topic); /* its own word, not hearsay */
	const uint64_t tag = addrbook_tag(topic);
	for (size_t i = 0; i < ADDRBOOK_TAGS; i++)
		if (e->tags[i] == tag)
			return true;
	return false;
}

void addrbook_said(struct addrbook_entry *e, const struct id32 *topics, size_t len, uint64_t unix_ms)
{
	if (len > ADDRBOOK_SAID)
		len = ADDRBOOK_SAID;
	struct id32 *copy = len ? reallocarray(NULL, len, sizeof *copy) : NULL;
	if (len && !copy)
		return;
	if (copy)
		memcpy(copy, topics, len * sizeof *copy);
	free(e->said);
	e->said = copy;
	e->said_len = len;
	e->said_unix_ms = unix_ms;
}
