/* A node among others: what records of other nodes do to its work. The real core with the in-memory store; the clock, the runner
 * and other threads are this test's. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/node.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "tests/unit/samples.h"
#include "tests/unit/tap.h"

#define T0 SAMPLE_CREATED_MS
#define MINUTE UINT64_C(60000)

/* What is missing is net.c's business, not these tests'. */
static enum intake_reason take_in(struct node *n, struct record *r, uint64_t source)
{
	struct id32 missing;
	return node_receive(n, r, source, &missing);
}

static struct sample_key founder, volunteer, stranger; /* the volunteer is listed by the sample project */

struct world {
	struct node *n;
	struct home home;
	uint64_t now_ms;
	char folder[64];
	unsigned started, stopped, doubles;
	struct id32 last_started, last_stopped;
	struct node_task tasks[64];
	size_t tasks_len;
	struct record *job;
};

static uint64_t on_now(void *user)
{
	return ((struct world *)user)->now_ms;
}

static void on_nothing(void *user)
{
	(void)user;
}

static int on_run_start(void *user, const struct id32 *job, const struct job_plan *plan, struct err *err)
{
	struct world *w = user;
	(void)plan;
	(void)err;
	w->started++;
	w->last_started = *job;
	return 0;
}

static void on_run_stop(void *user, const struct id32 *job)
{
	struct world *w = user;
	w->stopped++;
	w->last_stopped = *job;
}

static int on_task(void *user, const struct node_task *task, struct err *err)
{
	struct world *w = user;
	if (w->tasks_len == ARRAY_LEN(w->tasks))
		return err_set(err, ERR_LIMIT, "too many tasks");
	w->tasks[w->tasks_len++] = *task;
	return 0;
}

static void on_event(void *user, const char *type, const struct id32 *job, const json_t *event)
{
	(void)job;
	(void)event;
	((struct world *)user)->doubles += !strcmp(type, "double-work");
}

/* Until nothing is under way any more. */
static void pump(struct world *w)
{
	for (unsigned i = 0; i < 20; i++) {
		store_flush(w->n->store);
		while (w->tasks_len) {
			const struct node_task t = w->tasks[--w->tasks_len];
			t.run(t.user);
			t.done(w->n, t.user);
		}
		node_work(w->n);
	}
}

static void write_policy(struct world *w, const char *verdict)
{
	char text[512], id[ID32_TEXT_MAX];
	struct id32 project;
	sample_project_id(&project);
	snprintf(text, sizeof text, "rules:\n  - project: talkoo:%s\n    %s\n", id32_format(id, &project), verdict);
	if (io_replace_file(w->home.policy_file, text, strlen(text), 0600, NULL))
		abort();
}

static struct record *sign(uint32_t kind, const struct sample_key *by, uint64_t created_ms, const struct id32 *job, const void *key, size_t key_len,
			   const struct buf *body)
{
	struct record_fields f = {.kind = kind, .created_ms = created_ms, .sequence = created_ms, .key = key, .key_len = key_len,
				  .body = body->data, .body_len = body->len};
	struct id32 project;
	struct record *r = NULL;
	struct err err;
	sample_project_id(&project);
	topic_derive(&project, &f.topic);
	if (job) {
		f.depends[0] = *job;
		f.depends_len = 1;
	}
	if (record_sign(&f, by->secret, SAMPLE_NETWORK, &r, &err)) {
		err_print(&err, stderr);
		abort();
	}
	return r;
}

static void receive(struct world *w, struct record *r /* takes */, enum intake_reason want)
{
	STREQ(intake_reason_name(take_in(w->n, r, 5)), intake_reason_name(want));
	record_unref(r);
	pump(w);
}

static void receive_claim(struct world *w, const struct sample_key *by, uint64_t created_ms)
{
	const struct claim_body b = {.job = *record_id(w->job), .lease_until_ms = created_ms + CLAIM_LEASE_MAX_MS};
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_LEN_MAX);
	claim_body_encode(&b, &body);
	receive(w, sign(RECORD_CLAIM, by, created_ms, record_id(w->job), record_id(w->job)->b, 32, &body), INTAKE_ADMITTED);
}

/* self_is_listed: the job lists this node as a volunteer. */
static struct record *make_job(const struct world *w, bool self_is_listed)
{
	struct job_body b;
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_LEN_MAX);
	sample_job(&b);
	b.image[0] = 0;
	b.memory_bytes = b.disk_bytes = 0;
	if (self_is_listed)
		b.volunteers[b.volunteers_len++] = w->n->self;
	job_body_encode(&b, &body);
	return sign(RECORD_JOB, &founder, T0, NULL, NULL, 0, &body);
}

static void world_init(struct world *w, const char *verdict)
{
	static struct node_hooks hooks;
	struct config config;
	struct config_machine machine = {.cores = 4, .memory_bytes = UINT64_C(8) << 30};
	struct err err = {0};
	struct identity *identity = NULL;
	struct id32 project;
	memset(w, 0, sizeof *w);
	w->now_ms = T0 + 1000;
	snprintf(w->folder, sizeof w->folder, "/tmp/talkoo-peers-XXXXXX");
	if (!mkdtemp(w->folder) || home_find(w->folder, &w->home, &err) || home_make_folders(&w->home, &err) ||
	    identity_create(w->home.key, &identity, &err)) {
		err_print(&err, stderr);
		exit(1);
	}
	write_policy(w, verdict);
	config_defaults(&machine, &config);
	config.caps.free_disk_bytes = 0;
	hooks = (struct node_hooks){.user = w, .now_ms = on_now, .want_work = on_nothing, .run_start = on_run_start, .run_stop = on_run_stop, .task = on_task};
	const struct node_options o = {.home = &w->home, .config = &config, .identity = identity, .hooks = &hooks, .is_in_memory = true};
	if (node_open(&o, &w->n, &err)) {
		err_print(&err, stderr);
		exit(1);
	}
	node_listen(w->n, on_event, w);
	sample_project_id(&project);
	OK(intake_follow(w->n->intake, &project), "followed");
	receive(w, sample_project_record(), INTAKE_ADMITTED);
}

static void world_release(struct world *w)
{
	record_unref(w->job);
	node_close(w->n);
	if (io_remove_tree(w->folder, NULL))
		fprintf(stderr, "# %s stays\n", w->folder);
}

#define ALLOW "allow: {allow_emulation: true}"

static bool is_claimed(const struct world *w)
{
	const struct ix_entry *c = index_claim_of(index_job(node_index(w->n), record_id(w->job)), &w->n->self);
	return c && c->u.claim.lease_until_ms > w->now_ms;
}

/* What others are at is left to them; a lease that lapses frees the job, by time alone. */
static void test_foreign_lease(void)
{
	struct world w;
	world_init(&w, "deny: not yet");
	w.job = make_job(&w, false);
	receive(&w, record_ref(w.job), INTAKE_ADMITTED);
	receive_claim(&w, &volunteer, T0 + 1000);
	write_policy(&w, ALLOW);
	w.now_ms += MINUTE; /* the file is looked at again */
	pump(&w);
	OK(!is_claimed(&w), "another is at it");
	const uint64_t lapse = T0 + 1000 + CLAIM_LEASE_MAX_MS;
	receive_claim(&w, &volunteer, T0 + MINUTE);
	w.now_ms = lapse;
	pump(&w);
	OK(!is_claimed(&w), "and has renewed it");
	OK(node_next_ms(w.n) <= T0 + MINUTE + CLAIM_LEASE_MAX_MS, "it wakes when the lease lapses");
	w.now_ms = T0 + MINUTE + CLAIM_LEASE_MAX_MS;
	pump(&w);
	OK(is_claimed(&w) && w.started == 1, "the lapsed lease has freed the job");
	INTEQ(w.doubles, 0);
	world_release(&w);
}

/* Results: one with an outcome is enough, an error is not. */
static void test_foreign_results(void)
{
	struct world w;
	world_init(&w, "deny: not yet");
	w.job = make_job(&w, false);
	receive(&w, record_ref(w.job), INTAKE_ADMITTED);
	struct statement s;
	sample_statement(&s, &volunteer, w.job, OUTCOME_PASSED);
	receive(&w, sample_result_record(&volunteer, w.job, &s), INTAKE_ADMITTED);
	statement_release(&s);
	write_policy(&w, ALLOW);
	w.now_ms += MINUTE;
	pump(&w);
	INTEQ(w.started, 0);
	world_release(&w);

	world_init(&w, ALLOW);
	w.job = make_job(&w, false);
	struct record *error = sample_error_record(&volunteer, w.job, OUTCOME_ERROR);
	STREQ(intake_reason_name(take_in(w.n, error, 5)), "parked");
	record_unref(error);
	receive(&w, record_ref(w.job), INTAKE_ADMITTED);
	INTEQ(w.started, 1);
	world_release(&w);
}

/* Fresh keys keep no listed volunteer from its work. */
static void test_strangers_do_not_block(void)
{
	for (int is_listed = 0; is_listed < 2; is_listed++) {
		struct world w;
		world_init(&w, "deny: not yet");
		w.job = make_job(&w, is_listed);
		receive(&w, record_ref(w.job), INTAKE_ADMITTED);
		receive_claim(&w, &stranger, T0 + 1000);
		write_policy(&w, ALLOW);
		w.now_ms += MINUTE;
		pump(&w);
		INTEQ(w.started, is_listed);
		world_release(&w);
	}
}

static void test_double_work_is_said(void)
{
	struct world w;
	world_init(&w, ALLOW);
	w.job = make_job(&w, false);
	receive(&w, record_ref(w.job), INTAKE_ADMITTED);
	INTEQ(w.started, 1);
	receive_claim(&w, &volunteer, T0 + 2000);
	INTEQ(w.doubles, 1);
	receive_claim(&w, &volunteer, T0 + 3000);
	INTEQ(w.doubles, 1);
	INTEQ(w.stopped, 0);
	world_release(&w);
}

static void end_run(struct world *w)
{
	node_run_ended(w->n, record_id(w->job), "");
	pump(w);
	OK(node_is_idle(w->n), "nothing is under way");
}

static bool has_run_key(const struct world *w)
{
	CLEANUP(buf_release) struct buf value;
	char key[ID32_TEXT_MAX];
	buf_init(&value, 4096);
	return !store_get_kv_now(w->n->store, "run", id32_format(key, record_id(w->job)), &value, NULL);
}

static void test_foreign_cancel(void)
{
	struct world w;
	world_init(&w, ALLOW);
	w.job = make_job(&w, false);
	receive(&w, record_ref(w.job), INTAKE_ADMITTED);
	receive(&w, sample_cancel_record(&stranger, w.job), INTAKE_NO_AUTHORITY);
	INTEQ(w.stopped, 0);
	receive(&w, sample_cancel_record(&founder, w.job), INTAKE_ADMITTED);
	INTEQ(w.stopped, 1);
	end_run(&w);
	const struct ix_entry *r = index_result_of(index_job(node_index(w.n), record_id(w.job)), &w.n->self);
	OK(r && r->u.result.outcome == OUTCOME_ABANDONED, "it ended as abandoned");
	OK(!has_run_key(&w), "and is not under way");
	world_release(&w);
}

/* The founder removes the maintainer that announced what runs here. */
static void test_removed_maintainer(void)
{
	struct sample_key second;
	struct world w;
	struct project_body p;
	struct job_body b;
	CLEANUP(buf_release) struct buf job, newer;
	sample_key_init(&second, 2);
	world_init(&w, ALLOW);
	buf_init(&job, RECORD_LEN_MAX);
	buf_init(&newer, RECORD_LEN_MAX);
	sample_job(&b);
	b.image[0] = 0;
	b.memory_bytes = b.disk_bytes = 0;
	job_body_encode(&b, &job);
	w.job = sign(RECORD_JOB, &second, T0, NULL, NULL, 0, &job);
	receive(&w, record_ref(w.job), INTAKE_ADMITTED);
	INTEQ(w.started, 1);
	sample_project(&p);
	p.maintainers_len = 1;
	p.former[0].key = second.id;
	p.former[0].removed_at_ms = T0 - 5;
	project_body_encode(&p, &newer);
	receive(&w, sign(RECORD_PROJECT, &founder, T0 + 500, NULL, p.nonce, sizeof p.nonce, &newer), INTAKE_ADMITTED);
	OK(!index_job(node_index(w.n), record_id(w.job)), "the job is gone");
	INTEQ(w.stopped, 1);
	end_run(&w);
	OK(!has_run_key(&w), "and is not left behind");
	world_release(&w);
}

/* A rule that changes between claim and start: the claim is given back, nothing is published about it. */
static void test_withdrawn(void)
{
	struct world w;
	world_init(&w, ALLOW);
	w.job = make_job(&w, false);
	OK(take_in(w.n, w.job, 5) == INTAKE_ADMITTED, "the job is here");
	store_flush(w.n->store);
	node_work(w.n); /* the claim is on its way */
	write_policy(&w, "deny: not any more");
	rules_refresh(w.n->rules);
	pump(&w);
	INTEQ(w.started, 0);
	const struct ix_job *job = index_job(node_index(w.n), record_id(w.job));
	OK(index_claim_of(job, &w.n->self) && !is_claimed(&w), "the claim is given back");
	OK(!index_result_of(job, &w.n->self), "and no result tells of the donor's rules");
	OK(!has_run_key(&w) && node_is_idle(w.n), "it is not under way");
	world_release(&w);
}

/* Of a restored backup, whose own newer records others have: its next must be newer still. */
static void test_own_sequence_is_adopted(void)
{
	struct world w;
	struct identity *same = NULL;
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, 64);
	world_init(&w, "deny: nothing");
	w.job = make_job(&w, false);
	receive(&w, record_ref(w.job), INTAKE_ADMITTED);
	const struct claim_body b = {.job = *record_id(w.job), .lease_until_ms = T0 + MINUTE};
	claim_body_encode(&b, &body);
	struct record_fields f = {.kind = RECORD_CLAIM, .topic = record_get(w.job)->topic, .created_ms = T0, .expires_ms = T0 + record_kind_lifetime_ms(RECORD_CLAIM),
				  .key = record_id(w.job)->b, .key_len = 32, .depends_len = 1, .sequence = T0 + 1000 * MINUTE, .body = body.data, .body_len = body.len};
	f.depends[0] = *record_id(w.job);
	struct record *r = NULL;
	OK(!identity_load(w.home.key, &same, NULL) && !identity_sign_record(same, &f, SAMPLE_NETWORK, &r, NULL), "a record of ours from elsewhere");
	receive(&w, r, INTAKE_ADMITTED);
	struct store_batch *batch = store_batch_new();
	OK(state_next_sequence(&w.n->state, w.now_ms, batch) == T0 + 1000 * MINUTE + 1, "the next is newer");
	store_batch_free(batch);
	identity_free(same);
	world_release(&w);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	sample_key_init(&founder, 1);
	sample_key_init(&volunteer, 4);
	sample_key_init(&stranger, 77);
	test_foreign_lease();
	test_foreign_results();
	test_strangers_do_not_block();
	test_double_work_is_said();
	test_foreign_cancel();
	test_removed_maintainer();
	test_withdrawn();
	test_own_sequence_is_adopted();
	return tap_done();
}
