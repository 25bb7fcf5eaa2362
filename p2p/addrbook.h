/* The learned part of the dialer's address book: nodes by their own `node` records, in buckets that one source cannot fill.
 *
 * A node goes into a bucket by (who told it, which network it says to be at): the peers of one network reach ADDRBOOK_REACH of the
 * ADDRBOOK_BUCKETS. In a full bucket a node of more worth takes the place of one of less: one that answered a call, then one
 * that told us itself what it follows, then hearsay; a place is not taken from an equal. So a flood of false nodes from one
 * network stays in its own buckets and leaves the proven ones there.
 * Pure: randomness and time are given. Must not know: connections, back-off's rules. Links: proto. */
#ifndef TALKOO_P2P_ADDRBOOK_H
#define TALKOO_P2P_ADDRBOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/netaddr.h"
#include "proto/body.h"
#include "proto/ids.h"
#include "proto/record.h"

#define ADDRBOOK_BUCKETS 64
#define ADDRBOOK_SLOTS 64
#define ADDRBOOK_REACH 8
#define ADDRBOOK_TAGS 8  /* topics that a node is said to carry */
#define ADDRBOOK_SAID 64 /* topics that it said itself and that are kept */

struct addrbook_entry {
	struct node_id id;
	struct record *record; /* its own `node` record; NULL: the slot is free */
	struct node_body_address addresses[NODE_ADDRESSES_MAX]; /* those that may be called */
	size_t addresses_len, address_at; /* which is called next */
	bool may_be_private;
	bool has_answered;
	unsigned fails; /* since it last answered */
	uint64_t next_ms; /* not called before */
	uint64_t tags[ADDRBOOK_TAGS]; /* hearsay: topics that it carries; 0 none */
	size_t tags_at;
	struct id32 *said;     /* in its hello to us */
	size_t said_len;
	uint64_t said_unix_ms; /* 0: never */
};

struct addrbook { struct addrbook_entry *entries; size_t len; uint8_t salt[16]; };

/* False: no memory. */
bool addrbook_init(struct addrbook *b, const uint8_t salt[16]);
void addrbook_release(struct addrbook *b);

/* The network a host is of, as a number: an IPv4 /16, an IPv6 /32, a name's last two labels; each port of loopback by itself, for
 * test networks live there. */
uint64_t addrbook_group(const struct addrbook *b, const char *host, uint16_t port);
uint64_t addrbook_tag(const struct id32 *topic); /* never 0 */

struct addrbook_entry *addrbook_find(const struct addrbook *b, const struct node_id *id);
/* A place for id, at the address (of which its bucket follows), told by somebody of that source group. NULL: the bucket is full
 * of nodes that are worth as much. is_own: it told us itself. */
struct addrbook_entry *addrbook_place(struct addrbook *b, const struct node_id *id, uint64_t source, uint64_t group, bool is_own, uint64_t unix_ms);
void addrbook_forget(struct addrbook *b, struct addrbook_entry *e);
void addrbook_tag_add(struct addrbook_entry *e, uint64_t tag);
bool addrbook_carries(const struct addrbook_entry *e, const struct id32 *topic);
/* Keeps what it said; without memory nothing. */
void addrbook_said(struct addrbook_entry *e, const struct id32 *topics, size_t len, uint64_t unix_ms);

#endif
