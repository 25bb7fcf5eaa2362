/* intake's rules, kind by kind: what decides about one record. Inside of intake.c; nobody else includes it. */
#ifndef TALKOO_NODE_INTAKE_JUDGE_H
#define TALKOO_NODE_INTAKE_JUDGE_H

#include "node/index_edit.h"
#include "node/intake.h"

/* A followed topic. */
struct intake_topic {
	struct id32 topic; /* first: found by it */
	struct id32 project;
};

struct intake_parked {
	struct record *record;
	uint64_t source, until_ms; /* aside: when to judge; else: when to give up */
	struct id32 missing;
	bool is_aside;
};

struct intake {
	struct intake_limits limits;
	struct index_edit edit;
	struct idmap follows; /* struct intake_topic */
	struct intake_parked *parked;
	size_t parked_len, parked_cap;
	uint64_t next_expire_ms;
};

struct intake_case {
	struct intake *in;
	struct record *r;
	const struct record_fields *f;
	uint64_t now_ms;
	bool is_restored;
	index_drop_fn drop; /* for those that go on its account */
	void *user;
	struct ix_entry *entry; /* out: where it stands, with INTAKE_ADMITTED */
	struct id32 missing;    /* out: with INTAKE_PARKED */
};

enum intake_reason intake_judge(struct intake_case *c);

#endif
