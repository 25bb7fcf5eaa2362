/* The one door for records, our own too: decides whether a verified record becomes part of what this node knows, and what
 * must go for it. The index it writes includes what is submitted to the store but not committed.
 *
 * Rules (PROTOCOL 5.8): a topic must be followed; `project` by its founder; `job` and `cancel` by a maintainer (or a former one,
 * created before the removal) of the newest project state, which must be at least the one that the job relied on; `claim` and
 * `result` for an admitted job, from maintainers and listed volunteers always, from others the lowest 16 by hash of (job, author);
 * from a key that this node trusts always, but then beside the set. A result's statement must be about its job. What depends on
 * something missing is parked, what is dated in the future kept aside, and both are judged again when their time comes. Of each
 * (author, topic, kind) the newest 1,000 stay, of a topic 100,000: claims and results of least authority go first, of them those that
 * expire first.
 *
 * So what a topic holds is a function of its records, once each of them was offered after what it depends on and after the newest
 * project state (which repair does by offering again what is missing); it does not depend on who came first.
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
	X(INTAKE_MISMATCH, 14, "mismatch") /* a result that is not about its job's commit, plan, image … (PROTOCOL 6.5) */ \
	X(INTAKE_CROWDED, 15, "crowded")   /* unlisted, and 16 with lower hashes are here */                           \
	X(INTAKE_QUOTA, 16, "quota")                                                                                   \
	X(INTAKE_TOPIC_FULL, 17, "topic-full") /* and nothing there has less right or time to stay */                  \
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
	size_t parked_per_source, parked; /* and as many more kept aside */
	size_t follows;
	size_t records;           /* in all */
	uint64_t bytes;           /* in all, as index_cost() has it; 0: no limit */
};
/* 1,000; 100,000; 16; 50; 1,000; 1,024; 2,000,000; no limit */
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
	bool failed; /* out of memory: the index may be ahead of these effects; load anew */
};
void intake_effects_release(struct intake_effects *fx);

struct intake;
/* hash_key: random bytes. NULL without memory. */
struct intake *intake_new(const struct intake_limits *limits, const uint8_t hash_key[crypto_shorthash_KEYBYTES]);
void intake_free(struct intake *in);
const struct index *intake_index(const struct intake *in);

/* Whose claims and results are kept in any case: fn is asked about keys that found no room. */
typedef bool (*intake_trusts_fn)(void *user, const struct node_id *key);
void intake_trust(struct intake *in, intake_trusts_fn fn, void *user);

/* Which projects' topics are taken. Unfollowing keeps what is there. False: the ceiling, or no memory. */
bool intake_follow(struct intake *in, const struct id32 *project);
void intake_unfollow(struct intake *in, const struct id32 *project);
/* Rises whenever what is followed changes. */
unsigned intake_follow_generation(const struct intake *in);
bool intake_follows(const struct intake *in, const struct id32 *project);

/* Judges; our own are never parked or kept aside: whoever makes them is told at once. With INTAKE_ADMITTED the index has it, and what was parked for it and could be admitted too is among the puts. */
enum intake_reason intake_offer(struct intake *in, struct record *r, uint64_t source, uint64_t now_ms, struct intake_effects *fx);
/* From our own store at start: the same rules without those that its first admission proved for good (a result's inner signature) and
 * those about time (intake_tick() looks after it); a topic need not be followed. Offer by kind: project, job, cancel, claim, result. What
 * is refused now should leave the store (but for INTAKE_NO_MEMORY), and so should fx->deletes. */
enum intake_reason intake_restore(struct intake *in, struct record *r, uint64_t now_ms, struct intake_effects *fx);
/* Removes everything of a project's topic (forget). */
void intake_forget(struct intake *in, const struct id32 *project, struct intake_effects *fx);

/* What time alone changes: expired records go, records kept aside are judged, the parked give up. */
void intake_tick(struct intake *in, uint64_t now_ms, struct intake_effects *fx);
/* When intake_tick() has something to do at the earliest; UINT64_MAX: nothing waits. */
uint64_t intake_next_ms(const struct intake *in);
/* Parked and kept aside. */
size_t intake_parked_len(const struct intake *in);

#endif
