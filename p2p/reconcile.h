/* Finds the difference of two sets of ids by fingerprints of ranges: Negentropy protocol version 1, unchanged. Pure: a message in, a
 * message out; all state is in the messages and the set.
 *
 * One side (the initiator) opens with reconcile_open() and gives every answer to reconcile_step(), until that has nothing more
 * to say; it learns what it has alone and what it lacks. The other side (the responder) answers every message with
 * reconcile_step() and learns nothing. Sets may change meanwhile: what that hides is found the next time.
 * Must not know: records, topics, peers, clock.
 * Source: PROTOCOL 14.3 (github.com/hoytech/negentropy, docs/negentropy-protocol-v1.md). */
#ifndef TALKOO_P2P_RECONCILE_H
#define TALKOO_P2P_RECONCILE_H

#include "p2p/recset.h"
#include "proto/base/buf.h"
#include "proto/base/err.h"

#define RECONCILE_MESSAGE_MAX 20000 /* bytes of one message */
#define RECONCILE_VERSION 0x61

enum reconcile_role { RECONCILE_INITIATOR = 1, RECONCILE_RESPONDER };

/* cutoff_ms: items with expires at or before it are left out; both sides must use the same. */
struct reconcile_side { enum reconcile_role role; struct recset *set; uint64_t cutoff_ms; };

/* A list with a ceiling. is_cut: there was more. */
struct reconcile_ids { struct id32 *ids; size_t len, cap, max; bool is_cut; };
void reconcile_ids_release(struct reconcile_ids *l);

/* The opening, appended to out (its ceiling should be RECONCILE_MESSAGE_MAX). */
void reconcile_open(const struct reconcile_side *side, struct buf *out);
/* The other side's message; ours is appended to out. The initiator's: nothing is appended when all is known; have: only we hold
 * these; need: only they do (where have was cut, some of these may be here). The responder's lists stay as they are and may be NULL.
 * ERR_INVALID: malformed; ERR_LIMIT: another version of the protocol, and the initiator cannot go on. */
int reconcile_step(const struct reconcile_side *side, const uint8_t *message, size_t len, struct buf *out, struct reconcile_ids *have,
		   struct reconcile_ids *need, struct err *err) MUST_CHECK;

#endif
