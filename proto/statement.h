/* The in-toto Statement v1 with the test-result v0.1 predicate that a result carries, as a value and as JSON.
 * Everything shown about a result is read from here. Pure. PROTOCOL 6.3. */
#ifndef TALKOO_PROTO_STATEMENT_H
#define TALKOO_PROTO_STATEMENT_H

#include <jansson.h>

#include "proto/base/buf.h"
#include "proto/body.h"
#include "proto/merkle.h"

#define STATEMENT_LEN_MAX 16000 /* bytes of JSON: with its record around it a result stays below RECORD_RESULT_LEN_MAX */
#define STATEMENT_STEPS_MAX 256
#define STATEMENT_ARTIFACTS_MAX 10000

struct statement_step { char name[128]; int exit_code; uint64_t duration_ms; };
struct statement_artifact { char path[1024]; struct blob_digest digest; };

struct statement {
	struct node_id node;         /* the signer */
	struct id32 project, job;
	char commit[65];
	char ref[256], ref_seen[256];
	char cell[256];
	uint8_t outcome;             /* 1 passed, 2 failed, 3 timeout */
	char reason[512];
	enum plan_origin plan_origin;
	char plan_path[256], plan_sha256[65], plan_format[32];
	char image_name[128], image_digest[65];
	char arch[32], accel[16], isolation[128], machine[32];
	uint32_t cpus;
	uint64_t memory_bytes, disk_bytes, timeout_ms, log_bytes_max, artifact_bytes_max, artifact_count_max;
	uint64_t started_ms, finished_ms;  /* unix */
	uint64_t duration_ms;
	struct blob_digest source, log;
	bool log_truncated, artifacts_partial;
	struct statement_step *steps;          /* owned */
	size_t steps_len;
	struct statement_artifact *artifacts;  /* owned */
	size_t artifacts_len;
	bool has_index;                        /* lists over 8 KiB moved to an index blob */
	struct blob_digest index;
	bool has_deps;                         /* the plan fetched files: the tar of all of them */
	struct blob_digest deps;
};

void statement_release(struct statement *s);
/* Appends compact JSON, keys in a fixed order, to ret. Where steps, artifacts and the names of steps together pass 8 KiB
 * they are left out, the JSON of the first two is appended to ret_index and its digest named in the statement (ret_index stays
 * empty otherwise). ERR_INVALID for what is no UTF-8 or out of range. That the reader takes it is the caller's to prove. */
int statement_write(const struct statement *s, struct buf *ret, struct buf *ret_index, struct err *err) MUST_CHECK;
/* Strict about what is used (types, lengths, counts, forms), ignores unknown fields. ret: statement_release() it. */
int statement_read(const uint8_t *json, size_t len, struct statement *ret, struct err *err) MUST_CHECK;
/* Adds the lists of an index blob (its digest is checked). */
int statement_read_index(struct statement *s, const uint8_t *json, size_t len, struct err *err) MUST_CHECK;

/* A result record as one verified value: body, statement and every agreement the protocol asks for (author = signer = the
 * statement's node; the job). *ret_has_statement false for error, abandoned, refused. */
int result_open(const struct record *r, struct result_body *ret_body, struct statement *ret_statement, bool *ret_has_statement,
		struct err *err) MUST_CHECK;

/* Whether a statement is about this very job: id, project, commit, ref, cell, architecture, plan and (as far as the job says
 * them) image. PROTOCOL 6.5. ERR_INVALID names what differs. Whoever knows the job calls it before the result counts. */
int statement_check_job(const struct statement *s, const struct id32 *job_id, const struct job_body *job, struct err *err) MUST_CHECK;

/* The object for `results --json`'s statement-born fields (new reference). */
json_t *statement_to_json(const struct statement *s);

#endif
