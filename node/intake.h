/* The one door for records, our own too: decides whether a verified record becomes part of what this node knows, and what
 * must go for it. The index it writes includes what is submitted to the store but not committed.
 *
 * Rules (ARCHITECTURE 5): a topic must be followed; `project` by its founder; `job` by a maintainer (or a former one, created
 * before the removal) of the newest project state, which must be at least the one that the job relied on; `cancel` by a
 * maintainer; `claim` and `result` for an admitted job, from maintainers and listed volunteers always, from others the
 * lowest 16 by hash of (job, author). What depends on something missing is parked, what is dated in the future kept aside,
 * and both are judged again when their time comes. Of each (author, topic, kind) the newest 1,000 stay.
 *
 * Sans-I/O: a record and the time in, a reason and effects out. The caller submits the effects as one store batch and
 * acknowledges when that is durable. If the store refuses a batch, the index is ahead of it: release the intake and load anew.
 * Must not know: store, network, clock. Links: index, proto.
 *
 *   CLEANUP(intake_effects_release) struct intake_effects fx = {0};
 *   switch (intake_offer(in, record, INTAKE_OWN, now_ms, &fx)) { case INTAKE_ADMITTED: … submit fx … } */
#ifndef TALKOO_NODE_INTAKE_H
#define TALKOO_NODE_INTAKE_H

#include "node/index.h"

#define INTAKE_REASONS(X)                                                                                              \
	X(INTAKE_ADMITTED, 1, "admitted")                                                                              \
	X(INTAKE_DUPLICATE, 2, "duplicate")                                                                            \
	X(INTAKE_SUPERSEDED, 3, "superseded") /* a newer one of (author, kind, key) is here */                         \
	X(INTAKE_EXPIRED, 4, "expired")                                                                                \
	X(INTAKE_ASIDE, 5, "future")  /* dated more than 10 min ahead: judged again when its time has come */          \
	X(INTAKE_PARKED, 6, "parked") /* its dependency is missing (effects.missing): judged again when that comes */  \
	X(INTAKE_PARKED_FULL, 7, "parked-full")                                                                        \
	X(INTAKE_NOT_FOLLOWED, 8, "not-followed")                                                                      \
	X(INTAKE_UNKNOWN_KIND, 9, "unknown-kind")                                                                      \
	X(INTAKE_NOT_KEPT, 10, "not-kept") /* a kind that is exchanged on request, never kept */                       \
	X(INTAKE_BAD_BODY, 11, "bad-body")                                                                             \
	X(INTAKE_BAD_TOPIC, 12, "bad-topic")                                                                           \
	X(INTAKE_NO_AUTHORITY, 13, "no-authority")                                                                     \
	X(INTAKE_MISMATCH, 14, "mismatch") /* a result that speaks of another commit, project or cell than its job */  \
	X(INTAKE_CROWDED, 15, "crowded")   /* unlisted, and 16 with lower hashes are here */                           \
	X(INTAKE_QUOTA, 16, "quota")                                                                                   \
	X(INTAKE_TOPIC_FULL, 17, "topic-full")                                                                         \
	X(INTAKE_NO_MEMORY, 18, "memory")

enum intake_reason {
#define X(name, value, text) name = value,
	INTAKE_REASONS(X)
#undef X
};
const char *intake_reason_name(enum intake_reason why);

#define INTAKE_OWN 0 /* source of our own records; peers have other numbers */
#define INTAKE_AHEAD_MS UINT64_C(600000)
#define INTAKE_PARKED_MS UINT64_C(600000)

struct intake_limits {
	size_t per_author;        /* records of one (author, topic, kind) */
	size_t per_topic;
	size_t crowd;             /* unlisted authors of a job's claims and results */
	size_t parked_per_source, parked;
	size_t follows;
	size_t records;           /* in all */
};
/* 1,000; 100,000; 16; 50; 1,000; 1,024; 2,000,000 */
void intake_limits_default(struct intake_limits *ret);

/* What the store must do, in this order: deletes, then puts. */
struct intake_put {
	struct record *record; /* a reference */
	struct id32 project;
	char commit[65]; /* "" for a project */
	bool has_job;
	struct id32 job;
	uint64_t source;
};
struct intake_effects {
	struct intake_put *puts;
	size_t puts_len, puts_cap;
	struct id32 *deletes;
	size_t deletes_len, deletes_cap;
	struct id32 missing; /* with INTAKE_PARKED: the job, or the project's topic when that is missing or too old */
	bool failed; /* out of memory: the index is ahead of these effects; load anew */
};
void intake_effects_release(struct intake_effects *fx);

struct intake;
/* hash_key: random bytes. NULL without memory. */
struct intake *intake_new(const struct intake_limits *limits, const uint8_t hash_key[crypto_shorthash_KEYBYTES]);
void intake_free(struct intake *in);
const struct index *intake_index(const struct intake *in);

/* Which projects' topics are taken. Unfollowing keeps what is there. False: the ceiling, or no memory. */
bool intake_follow(struct intake *in, const struct id32 *project);
void intake_unfollow(struct intake *in, const struct id32 *project);
bool intake_follows(const struct intake *in, const struct id32 *project);

/* Judges; with INTAKE_ADMITTED the index has it, and what was parked for it and could be admitted too is among the puts. */
enum intake_reason intake_offer(struct intake *in, struct record *r, uint64_t source, uint64_t now_ms, struct intake_effects *fx);
/* From our own store at start: the same rules without those that its first admission proved for good (a result's inner signature).
 * Offer by kind: project, job, cancel, claim, result. What is refused now is named in fx->deletes by the caller's choice. */
enum intake_reason intake_restore(struct intake *in, struct record *r, uint64_t now_ms, struct intake_effects *fx);
/* Removes everything of a project's topic (forget). */
void intake_forget(struct intake *in, const struct id32 *project, struct intake_effects *fx);

/* What time alone changes: expired records go, records kept aside are judged, the parked give up. */
void intake_tick(struct intake *in, uint64_t now_ms, struct intake_effects *fx);
/* When intake_tick() has something to do at the earliest; UINT64_MAX: nothing waits. (Expiry is looked at hourly.) */
uint64_t intake_next_ms(const struct intake *in);
size_t intake_parked_len(const struct intake *in);

#endif
