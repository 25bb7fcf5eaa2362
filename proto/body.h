/* Bodies of the kinds: value structs <-> canonical msgpack arrays. Trailing elements that a reader does not know are
 * ignored, so fields are only ever added at the end. Everything is bounded here. (PROTOCOL.md gives the field order.) */
#ifndef TALKOO_PROTO_BODY_H
#define TALKOO_PROTO_BODY_H

#include "proto/base/buf.h"
#include "proto/merkle.h"
#include "proto/record.h"

#define PROJECT_URLS_MAX 8
#define PROJECT_KEYS_MAX 32
#define URL_TEXT_MAX 512

struct project_body {
	uint8_t nonce[16];  /* topic and id follow from founder (= author) and nonce */
	char name[64];
	char urls[PROJECT_URLS_MAX][URL_TEXT_MAX];
	size_t urls_len;
	struct node_id maintainers[PROJECT_KEYS_MAX];
	size_t maintainers_len;
	struct { struct node_id key; uint64_t removed_at_ms; } former[PROJECT_KEYS_MAX];
	size_t former_len;
	struct node_id volunteers[PROJECT_KEYS_MAX];
	size_t volunteers_len;
};

enum plan_origin { PLAN_TREE = 1, PLAN_DETECTED = 2, PLAN_INLINE = 3 };

struct job_body {
	struct id32 project;
	uint64_t project_sequence; /* least project sequence it relies on */
	char commit[65];           /* full hex: 40 or 64 digits (a bin of 20 or 32 bytes on the wire) */
	char ref[256];
	char arch[32];
	char image[128];           /* name@version; "" = what the plan says */
	char image_digest[65];     /* optional, "" */
	uint32_t cpus;             /* 0 = what the plan says */
	uint64_t memory_bytes, disk_bytes, timeout_ms;
	uint64_t claim_until_ms;   /* at most created + 7 d */
	uint32_t wanted;           /* results; at least 1 */
	struct node_id volunteers[PROJECT_KEYS_MAX];
	size_t volunteers_len;
	char cell[256];
	enum plan_origin plan_origin;
	char plan_path[256];
	char plan_sha256[65];      /* tree: digest of the file; detected: of the plan it becomes; inline: of the text */
	char plan_inline[2049];
};

struct cancel_body { struct id32 job; char reason[256]; };

struct claim_body {            /* record key = job id; depends on the job */
	struct id32 job;
	uint64_t lease_until_ms;   /* at most created + 10 min; 0 = given up */
	uint32_t step, steps;      /* progress */
	char phase[32];            /* "fetch", "run", "collect" … */
};

struct result_body {
	struct id32 job;
	uint8_t outcome;           /* job outcome number; 0 (nil on the wire) where there is a payload */
	char reason[512];
	bool has_log;
	struct blob_digest log;
	const uint8_t *payload;    /* the statement's JSON; lent from the record; NULL for error, abandoned, refused */
	size_t payload_len;
	uint8_t signature[64];     /* over the DSSE PAE, by the author */
};

/* Encoders append to b (buf_check it). Decoders need the record (author, key, topic are checked against the body where
 * the protocol says so: a project's topic and id derive from its founder; a claim's key is its job). ERR_INVALID names the field. */
void project_body_encode(const struct project_body *p, struct buf *b);
void job_body_encode(const struct job_body *p, struct buf *b);
void cancel_body_encode(const struct cancel_body *p, struct buf *b);
void claim_body_encode(const struct claim_body *p, struct buf *b);
void result_body_encode(const struct result_body *p, struct buf *b);
int project_body_decode(const struct record *r, struct project_body *ret, struct id32 *ret_project, struct err *err) MUST_CHECK;
int job_body_decode(const struct record *r, struct job_body *ret, struct err *err) MUST_CHECK;
int cancel_body_decode(const struct record *r, struct cancel_body *ret, struct err *err) MUST_CHECK;
int claim_body_decode(const struct record *r, struct claim_body *ret, struct err *err) MUST_CHECK;
int result_body_decode(const struct record *r, struct result_body *ret, struct err *err) MUST_CHECK;

/* The normal form of a clone URL (PROTOCOL.md): lower-case scheme and host, default port dropped, no user, query, fragment, trailing slash or ".git"…
 * as that text says. ERR_INVALID for what is no acceptable URL. Local paths become file:// only through the caller. */
int url_normalise(const char *text, char out[URL_TEXT_MAX], struct err *err) MUST_CHECK;

#endif
