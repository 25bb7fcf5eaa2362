/* The node's core: composes store, intake, policy, scheduler, runs and results; everything but sockets, processes and the
 * clock, which come through `struct node_hooks` (daemon_uv.c gives libuv's, a test its own).
 *
 * One thread. A record of ours or anybody's goes: intake -> one store batch -> durable -> node_react() (policy, scheduler,
 * listeners). What is acknowledged is durable.
 * Must not know: libuv, the control protocol. Parts: node.c (life), publish.c (records in), jobs.c (policy and scheduler),
 * runs.c (the runner's events and ends), queries.c (answers).
 *
 *   node_open(&options, &n, err); … node_work(n) when the store woke, a hook said so, or node_next_ms() came …
 *   node_shutdown(n) until node_is_idle(n); node_close(n); */
#ifndef TALKOO_NODE_NODE_H
#define TALKOO_NODE_NODE_H

#include <jansson.h>

#include "node/config.h"
#include "node/home.h"
#include "node/identity.h"
#include "node/intake.h"
#include "node/rules.h"
#include "node/scheduler.h"
#include "node/state.h"
#include "node/store/store.h"
#include "runner/job.h"

struct node;
struct net; /* net.h */

/* Work for another thread: run() there, done() back on the loop's. run() may only touch *user. */
struct node_task {
	void (*run)(void *user);
	void (*done)(struct node *n, void *user);
	void *user;
};

struct node_hooks {
	void *user;
	uint64_t (*now_ms)(void *user); /* unix time */
	uint64_t (*mono_ms)(void *user); /* monotonic; for the network alone */
	/* node_work() is wanted soon (from the loop's thread) */
	void (*want_work)(void *user);
	/* the store has completions (from another thread) */
	void (*store_wake)(void *user);
	int (*run_start)(void *user, const struct id32 *job, const struct job_plan *plan, struct err *err);
	/* "cancel", and harder when it does not end; without effect when it is gone */
	void (*run_stop)(void *user, const struct id32 *job);
	int (*task)(void *user, const struct node_task *task, struct err *err); /* copies */
};

struct node_options {
	const struct home *home;
	const struct config *config;
	struct identity *identity; /* takes, also on failure */
	const struct node_hooks *hooks;
	bool is_in_memory; /* tests: the store's in-memory twin */
	struct store *store; /* tests: lent, and left open by node_close(); NULL: the node opens its own */
};

/* Who wants to hear what happens: events as the control socket streams them, {"event":…,"job":…,…}. Lent. */
typedef void (*node_listen_fn)(void *user, const char *type, const struct id32 *job /* may be NULL */, const json_t *event);

/* A job under way here. */
struct run {
	struct id32 job;
	bool is_live;                /* the runner was started and has not been reaped */
	uint64_t started_ms;
	struct job_plan *plan;       /* owned */
	struct node_id announcer;
	char phase[32];              /* stage */
	uint32_t step, steps;        /* 1 .. steps while a step runs */
	char step_name[JOB_STEP_NAME_MAX];
	uint64_t log_bytes, cpu_ms, memory_bytes;
	struct job_report report;    /* owned */
	bool has_report;
	bool is_double;              /* said that others are at it too */
};

struct ending; /* runs.c */

/* A round through the open jobs. */
struct review {
	struct id32 *projects; /* owned */
	size_t len, at;
	bool is_within;  /* projects[at] is begun: go on with this job */
	struct id32 job;
	bool is_again; /* another round is wanted */
};

struct node {
	struct home home;
	struct config config;
	struct identity *identity;
	struct node_id self;
	struct node_hooks hooks;
	struct store *store;
	bool is_store_lent;
	struct intake *intake;
	struct scheduler *scheduler;
	struct rules *rules;
	struct state state;
	struct run runs[SCHED_SLOTS_MAX];
	size_t runs_len;
	uint64_t opened_ms;
	struct review review;
	bool is_queue_full; /* and said so */
	uint64_t recheck_ms; /* when views of open jobs are to be made anew (others' leases lapse) */
	uint64_t disk_checked_ms;
	char hold_why[256]; /* why nothing new is claimed; "" = nothing in the way */
	char hold_until[128];
	char accel[16], isolation[128]; /* as the last run's report said; "" = none yet */
	bool is_stopping;
	uint64_t durable_batches; /* each may have brought events */
	bool store_failed; /* the last batch was refused by the disk */
	char store_why[256];
	bool must_reload;
	unsigned pending; /* batches and tasks under way */
	uint64_t probe_ms;         /* while the store fails: when it is tried again */
	uint64_t images_mtime_ns;  /* of the image store when the views were made */
	struct ending *unpublished[SCHED_SLOTS_MAX]; /* owned: results that wait for a store that works */
	size_t unpublished_len;
	node_listen_fn listen;
	void *listen_user;
	struct net *net; /* net.h; NULL: no network */
	int64_t clock_off_ms; /* ours ahead of our peers' by more than NET_CLOCK_OFF_MS; 0: fine, or unknown */
};

int node_open(const struct node_options *o, struct node **ret, struct err *err) MUST_CHECK;
void node_close(struct node *n);

/* Everything that is due: store completions, expiry, policy changes, the scheduler. */
void node_work(struct node *n);
/* When node_work() is wanted at the latest, by time alone; UINT64_MAX: nothing waits. */
uint64_t node_next_ms(const struct node *n);
uint64_t node_now(const struct node *n);
const struct index *node_index(const struct node *n);
void node_listen(struct node *n, node_listen_fn fn, void *user);
/* Tells the listener. Takes event. */
void node_tell(struct node *n, const char *type, const struct id32 *job, json_t *event /* takes */);

/* Stops what runs (published as abandoned); true when nothing is under way any more. */
void node_shutdown(struct node *n);
bool node_is_idle(const struct node *n);

/* ---- publish.c: records in */

typedef void (*node_done_fn)(struct node *n, void *user, int code, const struct err *err);

/* A record of ours: signed, judged, and stored with the rest of the batch. body: its canonical bytes. */
struct node_own {
	uint32_t kind;
	const struct id32 *topic;
	const uint8_t *key;
	size_t key_len;
	const struct id32 *depends; /* one or NULL */
	const struct buf *body;
	uint64_t sequence; /* from state_next_sequence(), 0: taken here */
	uint64_t created_ms; /* 0: now */
};
/* batch: takes; what commits with it (NULL: nothing). done (may be NULL) runs when all is durable, or with the reason why not;
 * not when this returns an error. *ret_id (may be NULL): the record's id. ERR_REFUSED names intake's reason. */
int node_publish(struct node *n, const struct node_own *own, struct store_batch *batch /* takes */, node_done_fn done, void *user,
		 struct id32 *ret_id, struct err *err) MUST_CHECK;
/* A record from outside: the reason; with INTAKE_PARKED what it lacks in *ret_missing. The rest happens when it is durable. */
enum intake_reason node_receive(struct node *n, struct record *r, uint64_t source, struct id32 *ret_missing);
/* Stores what intake says and empties fx. */
void node_apply(struct node *n, struct intake_effects *fx);
/* A batch without records. */
int node_commit(struct node *n, struct store_batch *batch /* takes */, node_done_fn done, void *user, struct err *err) MUST_CHECK;
/* {"type":…} events into the batch. Takes object. */
void node_event(struct node *n, struct store_batch *b, const char *type, json_t *object /* takes */);
/* Fills the index from the store. */
int node_load(struct node *n, struct err *err) MUST_CHECK;

/* ---- jobs.c: policy and scheduler */

/* A job's body from the store: ERR_NOT_FOUND when it is not durable (yet). */
int node_job_body(struct node *n, const struct id32 *job, struct job_body *ret, struct record **ret_record, struct err *err) MUST_CHECK;
/* What the policy says of a job; why_not: this node's reason not to take it ("" = it would). */
struct node_opinion {
	struct policy_facts facts;
	struct policy_decision decision;
	char why_not[512];
};
void node_opine(struct node *n, const struct ix_job *job, const struct job_body *body, struct node_opinion *ret);
/* The decision about a new job, into the batch that stores it. */
void node_decide(struct node *n, const struct ix_job *job, struct store_batch *b);
/* Of a job that was reviewed before: who is at it, and whether it was cancelled; cheap, for every claim and result. */
void node_recount(struct node *n, const struct id32 *job);
/* Says once that others are at a job that runs here too. */
void node_say_double(struct node *n, const struct id32 *job);
/* Tells the scheduler what is known of a job now; b (may be NULL): the decision is stored when it is new. */
void node_review(struct node *n, const struct id32 *job);
/* All open jobs, some of them at once and the rest in the next turns, by node_work(): until then the scheduler goes by the old view, and
 * a run asks anew before it starts. */
void node_review_all(struct node *n);
void node_review_some(struct node *n);
/* Performs the scheduler's actions. */
void node_schedule(struct node *n);
void node_set_donation(struct node *n, enum sched_mode mode, uint64_t until_ms, const char *note, struct store_batch *b);
/* Free disk, a damaged policy, a failing store: sets hold_why. */
void node_check_holds(struct node *n);

/* ---- runs.c */

struct run *node_run(struct node *n, const struct id32 *job);
/* Makes the plan and starts the runner; on failure the job ends as error. */
void node_run_start(struct node *n, const struct id32 *job);
/* A line of the runner's. Foreign bytes. */
void node_run_event(struct node *n, const struct id32 *job, const char *line, size_t len);
/* The runner is gone. how: "" or a sentence ("killed by signal 9"). */
void node_run_ended(struct node *n, const struct id32 *job, const char *how);
/* Publishes the results that a failing store has kept back; gives them up when the node stops. */
void node_retry_results(struct node *n);
/* At start: runs that have no result end as abandoned; leftovers are swept. */
int node_recover(struct node *n, struct err *err) MUST_CHECK;

/* ---- reactions (node.c): called for every record once it is durable */
void node_react(struct node *n, const struct intake_put *put);

#endif
