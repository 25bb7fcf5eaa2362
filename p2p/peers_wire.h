/* The bodies of PEERS_GET and PEERS, bytes <-> values. Canonical msgpack arrays; trailing elements are ignored. (PROTOCOL 15.1) */
#ifndef TALKOO_P2P_PEERS_WIRE_H
#define TALKOO_P2P_PEERS_WIRE_H

#include "proto/base/buf.h"
#include "proto/ids.h"
#include "proto/record.h"

#define PEERS_RECORDS_MAX 30 /* `node` records in one answer */

/* PEERS_GET [topic]: zero means the peer's own record. */
void peers_get_encode(const struct id32 *topic, struct buf *b);
int peers_get_decode(const uint8_t *bytes, size_t len, struct id32 *ret) MUST_CHECK;

/* PEERS [topic, [[signed bytes, signature]...]]; the decoded pointers are lent from bytes, and nothing is verified. */
struct peers_entry { const uint8_t *bytes; size_t len; const uint8_t *signature; };
struct peers_list { struct id32 topic; struct peers_entry entries[PEERS_RECORDS_MAX]; size_t len; };
/* As many of the records, from the first, as one message takes. */
void peers_encode(const struct id32 *topic, struct record *const *records, size_t len, struct buf *b);
/* ERR_INVALID: malformed, or more than PEERS_RECORDS_MAX. */
int peers_decode(const uint8_t *bytes, size_t len, struct peers_list *ret) MUST_CHECK;

#endif
