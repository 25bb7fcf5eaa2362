/* The signed, gossiped unit. PROTOCOL 4.
 *
 * Two types, so that the compiler keeps them apart: bytes from anywhere are bytes; only record_open() (signature
 * verified over the received bytes), record_sign() (our own) and record_reopen() (our own database) make a
 * `struct record`, which is opaque and immutable. Nothing is re-encoded: the received bytes are what is verified, hashed,
 * stored and relayed.
 * Pure: no clock (created-in-the-future is intake's business), no I/O. Records may be shared between threads; the
 * reference count is atomic. Needs: mp, ids, libsodium after sodium_init(). */
#ifndef TALKOO_PROTO_RECORD_H
#define TALKOO_PROTO_RECORD_H

#include <stdint.h>

#include "proto/base/err.h"
#include "proto/ids.h"

/* kind, wire number, name, lifetime (expires - created, ms), replaceable by (author, kind, key) */
#define DAY_MS (UINT64_C(86400000))
#define RECORD_KINDS(X)                                                                                                \
	X(RECORD_PROJECT, 1, "project", 400 * DAY_MS, 1)                                                               \
	X(RECORD_JOB, 2, "job", 200 * DAY_MS, 0)                                                                       \
	X(RECORD_CANCEL, 3, "cancel", 200 * DAY_MS, 0)                                                                 \
	X(RECORD_CLAIM, 4, "claim", UINT64_C(1800000), 1) /* lease 10 min + 20 min */                                  \
	X(RECORD_RESULT, 5, "result", 180 * DAY_MS, 0)                                                                 \
	X(RECORD_NODE, 6, "node", 1 * DAY_MS, 1)

enum record_kind {
#define X(name, value, text, life, replaceable) name = value,
	RECORD_KINDS(X)
#undef X
};

#define RECORD_VERSION 1
#define RECORD_LEN_MAX 4096          /* signed bytes; a result has RECORD_RESULT_LEN_MAX */
#define RECORD_RESULT_LEN_MAX 16384
#define RECORD_KIND_MAX 65535
#define RECORD_KEY_MAX 64
#define RECORD_DEPENDS_MAX 4
#define RECORD_DEPTH_MAX 8           /* arrays within arrays, the record itself counted */
#define RECORD_ITEMS_MAX 1024        /* values in a record, arrays counted */
#define RECORD_NEVER UINT64_C(0x7fffffffffffffff)
#define RECORD_UNKNOWN_LIFETIME_MAX_MS (400 * DAY_MS) /* of a kind that this version does not know, unless RECORD_NEVER */

struct record; /* verified, immutable, reference counted */

/* The envelope's fields; pointers are lent and live as long as the record. */
struct record_fields {
	uint16_t version;
	uint32_t kind; /* enum record_kind, or one this version does not know */
	struct node_id author;
	struct id32 topic;
	uint64_t created_ms, expires_ms;
	const uint8_t *key;
	size_t key_len;
	uint64_t sequence;
	struct id32 depends[RECORD_DEPENDS_MAX];
	size_t depends_len;
	const uint8_t *body; /* the body array's own canonical bytes */
	size_t body_len;
};

/* Why bytes are not a record: counted per peer. Checked in this order. */
#define RECORD_REJECTS(X)                                                                                              \
	X(RECORD_OK, 0, "ok")                                                                                          \
	X(RECORD_BAD_SIZE, 1, "size")           /* empty, or longer than its kind may be */                            \
	X(RECORD_NOT_CANONICAL, 2, "canonical") /* PROTOCOL 1 */                                                       \
	X(RECORD_BAD_ENVELOPE, 3, "envelope")   /* a field of the wrong type, range or number */                       \
	X(RECORD_BAD_LIFETIME, 4, "lifetime")                                                                          \
	X(RECORD_BAD_SIGNATURE, 5, "signature")

enum record_reject {
#define X(name, value, text) name = value,
	RECORD_REJECTS(X)
#undef X
};
/* "size", "canonical", …; "unknown" for anything else. Static storage. */
const char *record_reject_name(enum record_reject why);

/* Verifies: canonical form, envelope, the kind's lifetime (known kinds: exact; others: bounded), signature (strict Ed25519,
 * ed25519.h) under network. Returns 0 and gives *ret (record_unref), or ERR_INVALID / ERR_LIMIT with *ret_why (ERR_NOMEM
 * leaves RECORD_OK there: the bytes are not to blame). ret_why may be NULL. network: network_name_is_valid(). */
int record_open(const uint8_t *signed_bytes, size_t len, const uint8_t signature[64], const char *network, struct record **ret,
		enum record_reject *ret_why, struct err *err) MUST_CHECK;
/* From our own database: form is checked, the signature is not verified again. */
int record_reopen(const uint8_t *signed_bytes, size_t len, const uint8_t signature[64], struct record **ret, struct err *err) MUST_CHECK;

/* The secret key: sodium_malloc'ed 64 bytes (libsodium's layout), owned by node/identity.c. Fields' version and author are set
 * here; expires_ms 0 becomes created + the kind's lifetime. body: canonical bytes of an array (body.h). The new record has
 * passed every check of record_open() but the signature's. ERR_LIMIT when too large, ERR_USAGE for fields that no reader would
 * take (a wrong lifetime, a body that is not canonical). */
int record_sign(const struct record_fields *fields, const uint8_t secret[64], const char *network, struct record **ret,
		struct err *err) MUST_CHECK;

/* Returns r. */
struct record *record_ref(struct record *r);
/* NULL is fine. */
void record_unref(struct record *r);
/* For CLEANUP(record_unrefp). */
static inline void record_unrefp(struct record **r) { record_unref(*r); }
const struct record_fields *record_get(const struct record *r);
const struct id32 *record_id(const struct record *r);          /* BLAKE2b-256 of the signed bytes */
const uint8_t *record_bytes(const struct record *r, size_t *ret_len);
const uint8_t *record_signature(const struct record *r);

const char *record_kind_name(uint32_t kind); /* "unknown" */
bool record_kind_is_replaceable(uint32_t kind);
uint64_t record_kind_lifetime_ms(uint32_t kind); /* 0 for an unknown kind */
/* Whether record a replaces b: same author, replaceable kind and key, and the greater (sequence, id). */
bool record_supersedes(const struct record *a, const struct record *b);

#endif
