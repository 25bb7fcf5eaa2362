/* The bodies of gossip's messages, bytes <-> values. Canonical msgpack arrays; trailing elements are ignored. (PROTOCOL 14.1) */
#ifndef TALKOO_P2P_GOSSIP_WIRE_H
#define TALKOO_P2P_GOSSIP_WIRE_H

#include "p2p/gossip.h"
#include "p2p/reconcile.h"

/* HAVE [topic, ids], GET [ids], NOT_FOUND [ids]: topic is NULL, decoded zero, for the latter two. */
struct gossip_ids { struct id32 topic; struct id32 ids[GOSSIP_IDS_MAX]; size_t len; };
void gossip_ids_encode(const struct id32 *topic, const struct id32 *ids, size_t len, struct buf *b);
int gossip_ids_decode(const uint8_t *bytes, size_t len, bool with_topic, struct gossip_ids *ret) MUST_CHECK;

/* RECORD [signed bytes, signature]; the decoded pointers are lent from bytes. kind, topic: what the bytes claim, not verified; the encoder does not
 * look at them. */
struct gossip_record { const uint8_t *bytes; size_t len; const uint8_t *signature; uint32_t kind; struct id32 topic; };
void gossip_record_encode(const struct gossip_record *v, struct buf *b);
int gossip_record_decode(const uint8_t *bytes, size_t len, struct gossip_record *ret) MUST_CHECK;

/* RECONCILE [topic, kind, cutoff, role of the sender, message]: reconcile.h; the decoded message is lent from bytes. */
struct gossip_range {
	struct id32 topic;
	uint32_t kind;
	uint64_t cutoff_ms;
	enum reconcile_role role;
	const uint8_t *message;
	size_t len;
};
void gossip_range_encode(const struct gossip_range *v, struct buf *b);
int gossip_range_decode(const uint8_t *bytes, size_t len, struct gossip_range *ret) MUST_CHECK;

/* TOPICS [topics]: all that the sender follows now. */
void gossip_topics_encode(const struct id32 *topics, size_t len, struct buf *b);
int gossip_topics_decode(const uint8_t *bytes, size_t len, struct id32 *ret, size_t max, size_t *ret_len) MUST_CHECK;

#endif
