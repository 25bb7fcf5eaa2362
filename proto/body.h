/* Bodies of the kinds: value structs <-> canonical msgpack arrays. PROTOCOL 5 has the field tables.
 *
 * Trailing elements that a reader does not know are ignored, in a body and in its nested arrays, so fields are only ever
 * added at the end. Everything is bounded here. What the record's key or author already says is not in the body again:
 * a project's nonce is the record's key (its id and topic follow from founder = author and nonce), a claim's job too.
 * What needs other records (whether a claim's topic is its job's) is intake's.
 * Pure. Links: record, mp, merkle. */
#ifndef TALKOO_PROTO_BODY_H
#define TALKOO_PROTO_BODY_H

#include "proto/base/buf.h"
#include "proto/merkle.h"
#include "proto/record.h"
#include "proto/url.h"

#define PROJECT_URLS_MAX 8
#define PROJECT_KEYS_MAX 32
#define JOB_CLAIM_UNTIL_MAX_MS (7 * DAY_MS)
#define JOB_WANTED_MAX 255
#define CLAIM_LEASE_MAX_MS UINT64_C(600000)
#define NUMBER_MAX UINT64_C(0x1fffffffffffff) /* of sizes and durations: 2^53-1, exact in any JSON reader */

/* RECORD_PROJECT. Record: key = nonce; topic = topic_derive(project_id_derive(author, nonce)); depends empty. */
struct project_body {
	uint8_t nonce[16];
	char name[64];
	char urls[PROJECT_URLS_MAX][URL_TEXT_MAX]; /* in normal form (url_normalise) */
	size_t urls_len;
	struct node_id maintainers[PROJECT_KEYS_MAX]; /* the founder is one always, named here or not */
	size_t maintainers_len;
	struct { struct node_id key; uint64_t removed_at_ms; } former[PROJECT_KEYS_MAX];
	size_t former_len;
	struct node_id volunteers[PROJECT_KEYS_MAX];
	size_t volunteers_len;
};

#define PLAN_ORIGINS(X)                                                                                                \
	X(PLAN_TREE, 1, "tree")         /* a plan file in the commit's tree */                                         \
	X(PLAN_DETECTED, 2, "detected") /* what discovery made of the tree */                                          \
	X(PLAN_INLINE, 3, "inline")     /* came with the job */

enum plan_origin {
#define X(name, value, text) name = value,
	PLAN_ORIGINS(X)
#undef X
};
const char *plan_origin_name(enum plan_origin o); /* "unknown" */
bool plan_origin_parse(const char *text, enum plan_origin *ret);

#define JOB_CELLS_MAX 32
/* RECORD_JOB. Record: key empty; topic = topic_derive(project); depends: usually empty (a project record is no
 * dependency, for it is replaced: project_sequence says which state is needed). */
struct job_body {
	struct id32 project;
	uint64_t project_sequence; /* least project sequence it relies on */
	char commit[65];           /* full hex: 40 or 64 digits (a bin of 20 or 32 bytes on the wire) */
	char ref[256];             /* ref_name_is_valid() */
	char arch[32];
	char image[128];           /* NAME or NAME@VERSION; "" = what the plan says */
	char image_digest[65];     /* optional, "" */
	uint32_t cpus;             /* 0 = what the plan says */
	uint64_t memory_bytes, disk_bytes, timeout_ms;
	uint64_t claim_until_ms;   /* after created, at most created + 7 d */
	uint32_t wanted;           /* results; 1 to JOB_WANTED_MAX */
	struct node_id volunteers[PROJECT_KEYS_MAX];
	size_t volunteers_len;
	char cell[256];
	enum plan_origin plan_origin;
	char plan_path[256];       /* tree: the file, relative, no ".." part; detected: what it was detected by; inline: "" */
	char plan_sha256[65];      /* tree: digest of the file; detected: of the plan it becomes; inline: of the text */
	char plan_inline[2049];    /* inline only, not empty */
	uint32_t cells;            /* how many cells the plan has, 1 to JOB_CELLS_MAX; 0 = the record does not say */
};

/* RECORD_CANCEL. Record: key empty; depends holds job; topic is the job's. */
struct cancel_body { struct id32 job; char reason[256]; };

/* RECORD_CLAIM. Record: key = job id, depends holds job; topic is the job's. */
struct claim_body {
	struct id32 job;           /* from the record's key */
	uint64_t lease_until_ms;   /* after created, at most created + 10 min; 0 = given up */
	uint32_t step, steps;      /* progress: step of steps, both 0 before the steps are known */
	char phase[32];            /* "fetch", "run", "collect" …: [a-z-]* */
};

/* The job outcomes' numbers on the wire (runner/job.h has the same list for its JSON). */
#define RESULT_OUTCOMES(X)                                                                                             \
	X(OUTCOME_PASSED, 1, "passed")                                                                                 \
	X(OUTCOME_FAILED, 2, "failed")                                                                                 \
	X(OUTCOME_TIMEOUT, 3, "timeout")                                                                               \
	X(OUTCOME_ERROR, 4, "error")                                                                                   \
	X(OUTCOME_ABANDONED, 5, "abandoned")                                                                           \
	X(OUTCOME_REFUSED, 6, "refused")

enum result_outcome {
#define X(name, value, text) name = value,
	RESULT_OUTCOMES(X)
#undef X
};
const char *result_outcome_name(unsigned outcome); /* "unknown" */
/* 0 if text is none. */
unsigned result_outcome_parse(const char *text);

/* RECORD_RESULT. Record: key empty; depends holds job; topic is the job's. Either a payload (passed, failed, timeout: then outcome,
 * reason and log are in the statement and nowhere else), or an outcome of error, abandoned, refused. */
struct result_body {
	struct id32 job;
	uint8_t outcome;           /* enum result_outcome; 0 (nil on the wire) where there is a payload */
	char reason[512];          /* "" where there is a payload */
	bool has_log;
	struct blob_digest log;
	const uint8_t *payload;    /* the statement's JSON; lent from the record; NULL for error, abandoned, refused */
	size_t payload_len;
	uint8_t signature[64];     /* over the DSSE PAE, by the author */
};

#define NODE_ADDRESSES_MAX 4
#define NODE_IMAGES_MAX 16
#define NODE_SOFTWARE_MAX 64

/* RECORD_NODE. Record: key empty, topic zero, depends empty. Passed on when asked for only. A node that only dials out has no address;
 * what stands here is what its author says of itself, an address may be anybody's. */
struct node_body_address { char host[256]; uint16_t port; }; /* name or literal address in normal form (ids.h: node_addr), never port 0 */
struct node_body {
	struct node_body_address addresses[NODE_ADDRESSES_MAX];
	size_t addresses_len;
	char arch[32];
	char images[NODE_IMAGES_MAX][128]; /* NAME@VERSION */
	size_t images_len;
	char software[NODE_SOFTWARE_MAX]; /* for people: "talkoo 0.1.0" */
};

/* Encoders append to b (buf_check it). Names and reasons are mended to fit (mp_put_text); everything else must be as the
 * decoders want it, which record_sign()'s caller proves by decoding what it signed. */
void project_body_encode(const struct project_body *p, struct buf *b);
void job_body_encode(const struct job_body *p, struct buf *b);
void cancel_body_encode(const struct cancel_body *p, struct buf *b);
void claim_body_encode(const struct claim_body *p, struct buf *b);
void result_body_encode(const struct result_body *p, struct buf *b);
void node_body_encode(const struct node_body *p, struct buf *b);

/* Decoders: the record is of their kind (asserted). ERR_INVALID names the field; ret is untouched on failure.
 * ret_project may be NULL. */
int project_body_decode(const struct record *r, struct project_body *ret, struct id32 *ret_project, struct err *err) MUST_CHECK;
int job_body_decode(const struct record *r, struct job_body *ret, struct err *err) MUST_CHECK;
int cancel_body_decode(const struct record *r, struct cancel_body *ret, struct err *err) MUST_CHECK;
int claim_body_decode(const struct record *r, struct claim_body *ret, struct err *err) MUST_CHECK;
int result_body_decode(const struct record *r, struct result_body *ret, struct err *err) MUST_CHECK;
int node_body_decode(const struct record *r, struct node_body *ret, struct err *err) MUST_CHECK;

/* Digest elements as every record and body has them: [sha256, size, root]. */
struct mp_cursor;
void body_put_digest(struct buf *b, const struct blob_digest *d);
void body_get_digest(struct mp_cursor *c, const char *field, struct blob_digest *ret);

/* Value checks that others need too. */
bool arch_name_is_valid(const char *text);  /* [a-z0-9_]{1,31} */
bool image_name_is_valid(const char *text); /* NAME or NAME@VERSION, each [a-z0-9][a-z0-9._+-]{0,62} */
bool tree_path_is_valid(const char *text);  /* relative, no empty, "." or ".." part, no control character */

#endif
