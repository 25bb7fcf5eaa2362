/* Which job this node takes next, and what happens to those it has. An engine: what the node knows of jobs and the time go
 * in, actions come out; it calls nobody, reads no clock.
 *
 * A job that the policy allows is claimed at once unless as many live claims and results of others stand as it wants
 * results; own announcements first, then the oldest. A claim is a lease of 10 minutes, renewed while the job runs, with its
 * progress. A slot goes through these states:
 *
 *   CLAIMING    the claim is on its way to the disk             -> scheduler_claimed()
 *   RUNNING     SCHED_START was given; the runner works         -> scheduler_ended(), or a stop
 *   STOPPING    SCHED_STOP was given; the runner winds up       -> scheduler_ended()
 *   PUBLISHING  the result is on its way to the disk            -> scheduler_published(), the slot is free
 *
 * Must not know: records, processes, policy's rules. Links: proto's ids.
 *
 *   scheduler_offer(s, &view); … scheduler_step(s, now_ms, &actions); for each action: do it; again when something changed or
 *   at scheduler_next_ms(). */
#ifndef TALKOO_NODE_SCHEDULER_H
#define TALKOO_NODE_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/ids.h"

#define SCHED_SLOTS_MAX 64
#define SCHED_JOBS_MAX 10000
#define SCHED_LEASE_MS UINT64_C(600000)
#define SCHED_RENEW_MS UINT64_C(240000)
#define SCHED_PROGRESS_MS UINT64_C(30000) /* a renewal that only says how far it got comes no sooner */
#define SCHED_RETRY_MS UINT64_C(60000)    /* after a claim that could not be made */
#define SCHED_ACTIONS_MAX (2 * SCHED_SLOTS_MAX)

/* A job as the scheduler sees it. */
struct sched_view {
	struct id32 job;
	uint64_t created_ms, claim_until_ms;
	bool is_own;        /* announced by this node or a key that is its own by policy */
	bool is_allowed;    /* by the policy, with an image that is here */
	bool is_cancelled;
	bool has_own_result;
	unsigned wanted;
	unsigned others;    /* live claims and results with a statement, of others */
	uint64_t lapse_ms;  /* when the first of those leases lapses; 0: there is none */
};

enum sched_mode { SCHED_WORKING = 1, SCHED_PAUSED, SCHED_DRAINING };

enum sched_slot_state { SCHED_FREE = 0, SCHED_CLAIMING, SCHED_RUNNING, SCHED_STOPPING, SCHED_PUBLISHING };

/* Why a running job is stopped. */
#define SCHED_STOPS(X)                                                                                                 \
	X(SCHED_STOP_CANCELLED, 1, "the job was cancelled")                                                            \
	X(SCHED_STOP_DENIED, 2, "the donor does not allow it any more")                                                \
	X(SCHED_STOP_PAUSED, 3, "the donor paused")                                                                    \
	X(SCHED_STOP_SHUTDOWN, 4, "the donor's node stopped")                                                          \
	X(SCHED_STOP_GONE, 5, "the job is no longer known")                                                            \
	X(SCHED_STOP_WITHDRAWN, 6, "the donor allows it no longer; it was not begun")

enum sched_stop {
#define X(name, value, text) name = value,
	SCHED_STOPS(X)
#undef X
};
const char *sched_stop_text(enum sched_stop why);

enum sched_action_type {
	SCHED_CLAIM = 1, /* sign and store a claim; then scheduler_claimed() */
	SCHED_START,     /* start the runner; when that fails scheduler_ended() at once */
	SCHED_RENEW,     /* sign and store a newer claim; nothing is awaited */
	SCHED_STOP,      /* tell the runner; it ends with a report or without */
	SCHED_GIVE_UP,   /* store a claim without lease: the slot is free already */
};
struct sched_action {
	enum sched_action_type type;
	struct id32 job;
	enum sched_stop why; /* SCHED_STOP, SCHED_GIVE_UP */
};
struct sched_actions {
	struct sched_action items[SCHED_ACTIONS_MAX];
	size_t len;
};

struct scheduler;
struct scheduler *scheduler_new(unsigned slots);
void scheduler_free(struct scheduler *s);

/* What was offered last; false: it is not considered. */
bool scheduler_known(const struct scheduler *s, const struct id32 *job, struct sched_view *ret);
/* Jobs whose view is out of date, since a lease lapsed: to be offered anew. At most max; each is told once. */
size_t scheduler_lapsed(struct scheduler *s, uint64_t now_ms, struct id32 *ret, size_t max);
/* This job is not claimed again, whatever is offered: a run of it came to nothing that could be published. */
void scheduler_spend(struct scheduler *s, const struct id32 *job);
/* A new job or a change of what is known about one. False: the ceiling was reached, the job is not considered. */
bool scheduler_offer(struct scheduler *s, const struct sched_view *view);
/* It expired or was removed: a running one is stopped. */
void scheduler_forget(struct scheduler *s, const struct id32 *job);
void scheduler_set_mode(struct scheduler *s, enum sched_mode mode);
/* true: nothing new is claimed (no disk, no policy, …) until false is said; what runs goes on. */
void scheduler_hold(struct scheduler *s, bool is_held);
/* Ends a running job. False when it does not run. */
bool scheduler_stop(struct scheduler *s, const struct id32 *job, enum sched_stop why);
void scheduler_stop_all(struct scheduler *s, enum sched_stop why);

/* The claim is durable, or could not be made (is_ok false: tried again later). */
void scheduler_claimed(struct scheduler *s, const struct id32 *job, bool is_ok, uint64_t now_ms);
/* The job got further: worth a renewal when the last is a while ago. */
void scheduler_progress(struct scheduler *s, const struct id32 *job);
/* The runner is gone. ret_why: the stop that was asked for, or 0. True: a result is to be published, then scheduler_published(). False:
 * it was paused away or withdrawn; the slot is free, SCHED_GIVE_UP comes with the next step. */
bool scheduler_ended(struct scheduler *s, const struct id32 *job, enum sched_stop *ret_why);
void scheduler_published(struct scheduler *s, const struct id32 *job, bool is_ok, uint64_t now_ms);

void scheduler_step(struct scheduler *s, uint64_t now_ms, struct sched_actions *ret);
/* When the next step has something to do at the earliest; UINT64_MAX: nothing by time alone. */
uint64_t scheduler_next_ms(const struct scheduler *s, uint64_t now_ms);

enum sched_slot_state scheduler_state(const struct scheduler *s, const struct id32 *job);
unsigned scheduler_busy(const struct scheduler *s);  /* slots that are not free */
unsigned scheduler_queued(const struct scheduler *s, uint64_t now_ms); /* that would be claimed were a slot free */
/* The jobs in slots, at most max. */
size_t scheduler_running(const struct scheduler *s, struct id32 *ret, size_t max);

#endif
