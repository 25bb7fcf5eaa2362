/* What the node knows of the records it admitted, in memory: enough to judge the next record, to schedule and to list; of
 * records themselves only the jobs' (those that speak of a job are judged by it), all others are in the store alone. It includes
 * what is submitted to the store and not committed yet.
 *
 * intake.c is the only writer; everyone else reads. Pointers are valid until the next intake call: across callbacks
 * keep ids. Must not know: store, clock. Links: base, proto. */
#ifndef TALKOO_NODE_INDEX_H
#define TALKOO_NODE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "node/ixheap.h"
#include "proto/body.h"
#include "proto/idmap.h"
#include "proto/ids.h"
#include "proto/record.h"

struct ix_job;
struct ix_project;
struct ix_group; /* one (author, topic, kind): intake's quota */

/* By what right a claim or result stands, least first: a full topic gives up the least. */
enum ix_authority {
	IX_NONE = 0,   /* none: it does not stand */
	IX_CROWD,      /* one of the unlisted keys that found room */
	IX_VOLUNTEER,  /* listed by job or project */
	IX_MAINTAINER,
	IX_BESIDE,     /* only here, because this node trusts the key (or is it): no part of the topic's set, not passed on */
};

/* One admitted record. Begins with its id (idmap). */
struct ix_entry {
	struct id32 id;
	struct node_id author;
	uint32_t kind; /* enum record_kind */
	uint64_t created_ms, expires_ms, sequence;
	struct ix_project *project;
	struct ix_job *job; /* the job it is (kind job) or is about; NULL for a project */
	struct ix_entry *next_of_job, *prev_of_job;
	struct ix_group *group;
	struct ix_entry *group_prev, *group_next;
	uint32_t heap_at[IXHEAP_ORDERS];
	uint16_t bytes;    /* of the record */
	uint8_t authority; /* enum ix_authority, of a claim or result */
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

/* An unlisted key with a place among a job's claims and results. */
struct ix_member {
	struct node_id author;
	uint8_t hash[32];  /* of (job, author): the lowest stay */
	uint64_t until_ms; /* when the last of its records expires */
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
	struct ix_member *crowd;    /* owned; NULL while there is none */
	size_t crowd_len;
	struct record *record;      /* a reference */
};

struct ix_project {
	struct id32 id; /* the project's, not the record's; first: found by it */
	struct ix_entry entry;
	struct project_body body;
	struct ix_job *jobs; /* newest admitted first */
	size_t records; /* in its topic */
	uint64_t bytes; /* what they take, as index_cost() has it */
	struct ixheap ranked; /* its claims and results, the one that a full topic gives up first at the top */
};

struct index {
	struct idmap projects; /* struct ix_project by project id */
	struct idmap entries;  /* struct ix_entry by record id; a job's is the head of its struct ix_job */
	uint64_t bytes;        /* what all of them take, as index_cost() has it */
};

/* What a record takes of a store's room: its bytes, its rows and indices. */
uint64_t index_cost(const struct ix_entry *e);

const struct ix_project *index_project(const struct index *ix, const struct id32 *id);
const struct ix_job *index_job(const struct index *ix, const struct id32 *id);
const struct ix_entry *index_entry(const struct index *ix, const struct id32 *id);

/* A prefix of the hex id (or the whole, for a project also "talkoo:…"): 0 and the id, ERR_NOT_FOUND, ERR_AMBIGUOUS. what: "job" … */
int index_find_project(const struct index *ix, const char *prefix, struct id32 *ret, struct err *err) MUST_CHECK;
int index_find_entry(const struct index *ix, uint32_t kind, const char *prefix, struct id32 *ret, struct err *err) MUST_CHECK;

/* The job's own record, decoded. */
int index_job_body(const struct ix_job *job, struct job_body *ret, struct err *err) MUST_CHECK;
/* The founder is one, named or not (PROTOCOL 5.2). */
bool index_is_maintainer(const struct ix_project *p, const struct node_id *key);
/* Volunteers of the job or its project, and maintainers; IX_NONE for all others. */
enum ix_authority index_listed(const struct ix_job *job, const struct node_id *key);
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
