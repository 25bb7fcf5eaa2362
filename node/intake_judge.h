/* intake's rules, kind by kind: what decides about one record. Inside of intake.c and its parts (intake_crowd.c: whose claims and
 * results find room); nobody else includes it. */
#ifndef TALKOO_NODE_INTAKE_JUDGE_H
#define TALKOO_NODE_INTAKE_JUDGE_H

#include "node/index_edit.h"
#include "node/intake.h"

/* A topic that is taken from outside, or only kept (it was followed once). */
struct intake_topic {
	struct id32 topic; /* first: found by it */
	struct id32 project;
	bool is_followed;
};

struct intake_waiting {
	struct record *record;
	uint64_t source, until_ms; /* aside: when to judge; parked: when to give up */
	struct id32 missing;       /* parked */
};
struct intake_queue {
	struct intake_waiting *items;
	size_t len, cap;
};

struct intake {
	struct intake_limits limits;
	struct index_edit edit;
	struct idmap follows; /* struct intake_topic, the kept ones too */
	size_t follows_len;   /* followed */
	unsigned follow_generation;
	struct intake_queue parked, aside;
	intake_trusts_fn trusts;
	void *trusts_user;
};

struct intake_case {
	struct intake *in;
	struct record *r;
	const struct record_fields *f;
	uint64_t now_ms;
	bool is_restored;
	index_drop_fn drop;     /* for those that go on its account */
	index_drop_fn drop_put; /* for the one whose place it takes in the store */
	void *user;
	struct ix_entry *entry; /* out: where it stands, with INTAKE_ADMITTED */
	struct id32 missing;    /* out: with INTAKE_PARKED */
};

enum intake_reason intake_judge(struct intake_case *c);

/* ---- intake_crowd.c */

/* By what right this case's claim or result would stand at the job now; IX_NONE: by none. Gives it no place yet. */
enum ix_authority crowd_ask(struct intake_case *c, struct ix_job *job);
/* Gives it its place; whoever has to go for it goes with all records. Only after crowd_ask() said IX_CROWD. */
void crowd_take(struct intake_case *c, struct ix_job *job);
/* After a change of who is listed, or trusted: every place of the job anew. */
void crowd_rebuild(struct intake_case *c, struct ix_job *job);

#endif
