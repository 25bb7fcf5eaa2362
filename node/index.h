/* What the node knows of the records it admitted, in memory: enough to judge the next record, to schedule and to list,
 * never the records themselves (those are in the store). It includes what is submitted to the store and not committed yet.
 *
 * intake.c is the only writer; everyone else reads. Pointers are valid until the next intake call: across callbacks
 * keep ids. Must not know: store, clock. Links: base, proto. */
#ifndef TALKOO_NODE_INDEX_H
#define TALKOO_NODE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/idmap.h"
#include "proto/body.h"
#include "proto/ids.h"
#include "proto/record.h"

struct ix_job;
struct ix_project;
struct ix_group; /* one (author, topic, kind): intake's quota */

/* One admitted record. Begins with its id (idmap). */
struct ix_entry {
	struct id32 id;
	struct node_id author;
	uint32_t kind; /* enum record_kind */
	uint64_t created_ms, expires_ms, sequence;
	struct ix_project *project;
	struct ix_job *job; /* the job it is (kind job) or is about; NULL for a project */
	struct ix_entry *next_of_job;
	struct ix_group *group;
	struct ix_entry *group_prev, *group_next;
	union {
		struct {
			uint64_t lease_until_ms; /* 0: given up */
			uint32_t step, steps;
			char phase[32];
		} claim;
		struct {
			bool has_statement; /* passed, failed or timeout; false: outcome says which */
			uint8_t outcome;
		} result;
	} u;
};

struct ix_job {
	struct ix_entry entry; /* first: found by id */
	struct ix_job *next_of_project, *prev_of_project;
	struct ix_entry *claims, *results, *cancels; /* lists by next_of_job */
	uint64_t project_sequence, claim_until_ms;
	uint32_t wanted;
	enum plan_origin plan_origin;
	char commit[65];
	struct node_id *volunteers; /* owned */
	size_t volunteers_len;
};

struct ix_project {
	struct id32 id; /* the project's, not the record's; first: found by it */
	struct ix_entry entry;
	struct project_body body;
	struct ix_job *jobs; /* newest admitted first */
	size_t records; /* in its topic */
};

struct index {
	struct idmap projects; /* struct ix_project by project id */
	struct idmap entries;  /* struct ix_entry by record id; a job's is the head of its struct ix_job */
};

const struct ix_project *index_project(const struct index *ix, const struct id32 *id);
const struct ix_job *index_job(const struct index *ix, const struct id32 *id);
const struct ix_entry *index_entry(const struct index *ix, const struct id32 *id);

/* A prefix of the hex id (or the whole, for a project also "talkoo:…"): 0 and the id, ERR_NOT_FOUND, ERR_AMBIGUOUS. what: "job" … */
int index_find_project(const struct index *ix, const char *prefix, struct id32 *ret, struct err *err) MUST_CHECK;
int index_find_entry(const struct index *ix, uint32_t kind, const char *prefix, struct id32 *ret, struct err *err) MUST_CHECK;

bool index_is_maintainer(const struct ix_project *p, const struct node_id *key);
/* A maintainer now, or one who was when this was created. */
bool index_was_maintainer(const struct ix_project *p, const struct node_id *key, uint64_t created_ms);
bool index_is_cancelled(const struct ix_job *job);
/* The newest claim of that key on the job, or NULL. */
const struct ix_entry *index_claim_of(const struct ix_job *job, const struct node_id *key);
const struct ix_entry *index_result_of(const struct ix_job *job, const struct node_id *key);
/* A claim whose lease runs, whose author has no result yet. */
bool index_claim_is_live(const struct ix_job *job, const struct ix_entry *claim, uint64_t now_ms);
/* Claims that live, without those of `but` (NULL: all). */
unsigned index_live_claims(const struct ix_job *job, const struct node_id *but, uint64_t now_ms);

#endif
