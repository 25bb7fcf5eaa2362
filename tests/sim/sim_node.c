/* sim.h: a node's life and its hooks. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/io.h"
#include "tests/sim/sim.h"

#define SHA256_TEXT "97633f2f45ac15f7b2acdb3083feca4f3f7a7d0057f9711fa3a6833273f365d0"
#define RESTART_MS 3000

static void fail(const char *what, const struct err *err)
{
	fprintf(stderr, "Bail out! simulator: %s: %s\n", what, err ? err->what : "");
	abort();
}

static void at(struct sim_node *n, enum sim_event_type type, uint32_t number, uint64_t delay_ms)
{
	const struct sim_event e = {.type = type, .node = n->index, .life = n->life, .number = number};
	sim_at(n->sim, delay_ms, &e);
}

/* ---- hooks */

static uint64_t on_now(void *user)
{
	const struct sim_node *n = user;
	return SIM_T0 + n->sim->now_ms + (uint64_t)n->skew_ms;
}

uint64_t sim_node_unix_ms(const struct sim_node *n)
{
	return SIM_T0 + n->sim->now_ms + (uint64_t)n->skew_ms;
}

static uint64_t on_mono(void *user)
{
	const struct sim_node *n = user;
	return n->sim->now_ms + 1000;
}

void sim_node_want_work(struct sim_node *n)
{
	if (n->is_work_due)
		return;
	n->is_work_due = true;
	at(n, SIM_WORK, 0, 1 + sim_draw(n->sim, 5));
}

static void on_want_work(void *user)
{
	sim_node_want_work(user);
}

static void on_store_wake(void *user)
{
	struct sim_node *n = user;
	if (n->is_crash_due)
		at(n, SIM_CRASH, 0, 0);
	n->is_crash_due = false;
	sim_node_want_work(n);
}

static int on_task(void *user, const struct node_task *task, struct err *err)
{
	struct sim_node *n = user;
	for (uint32_t i = 0; i < ARRAY_LEN(n->tasks); i++) {
		if (n->task_used[i])
			continue;
		n->task_used[i] = true;
		n->tasks[i] = *task;
		at(n, SIM_TASK, i, 1 + sim_draw(n->sim, 10));
		return 0;
	}
	return err_set(err, ERR_LIMIT, "too many tasks");
}

static int on_run_start(void *user, const struct id32 *job, const struct job_plan *plan, struct err *err)
{
	struct sim_node *n = user;
	for (uint32_t i = 0; i < ARRAY_LEN(n->runs); i++) {
		if (n->runs[i].is_used)
			continue;
		n->runs[i] = (struct sim_run){.job = *job, .is_used = true, .plan = *plan};
		at(n, SIM_RUN_END, i, 500 + sim_draw(n->sim, 20000));
		return 0;
	}
	return err_set(err, ERR_LIMIT, "too many runs");
}

static void on_run_stop(void *user, const struct id32 *job)
{
	struct sim_node *n = user;
	for (uint32_t i = 0; i < ARRAY_LEN(n->runs); i++)
		if (n->runs[i].is_used && id32_eq(&n->runs[i].job, job))
			n->runs[i].is_stopped = true;
}

/* ---- a run's end */

enum job_outcome sim_outcome_of(const struct id32 *job)
{
	return job->b[0] % 4 ? JOB_PASSED : JOB_FAILED;
}

static void report(struct sim_node *n, const struct sim_run *run)
{
	static const char log_text[] = "one line of the simulated guest\n";
	struct job_step_report step = {.name = "step"};
	step.exit_code = sim_outcome_of(&run->job) == JOB_FAILED;
	struct job_report r = {.outcome = sim_outcome_of(&run->job), .accel = JOB_ACCEL_KVM, .limits = run->plan.limits, .steps = &step, .steps_len = 1};
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%.4000s/log", run->plan.dir);
	FILE *f = fopen(path, "w");
	if (f) {
		fputs(log_text, f);
		fclose(f);
	}
	snprintf(r.commit, sizeof r.commit, "%s", run->plan.source.commit);
	snprintf(r.ref_seen, sizeof r.ref_seen, "%s", run->plan.source.ref);
	r.plan_origin = run->plan.plan_origin;
	snprintf(r.plan_path, sizeof r.plan_path, "%s", run->plan.plan_path);
	snprintf(r.plan_sha256, sizeof r.plan_sha256, "%s", run->plan.plan_sha256);
	snprintf(r.image_name, sizeof r.image_name, "mini@1");
	snprintf(r.image_digest, sizeof r.image_digest, SHA256_TEXT);
	r.source = r.log = (struct job_digest){.sha256 = SHA256_TEXT, .root = SHA256_TEXT, .size_bytes = strlen(log_text)};
	r.started_unix_ms = r.finished_unix_ms = on_now(n);
	json_t *o = job_report_to_json(&r);
	char *line = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	node_run_event(n->n, &run->job, line, strlen(line));
	free(line);
}

static void end_run(struct sim_node *n, uint32_t i)
{
	struct sim_run run = n->runs[i];
	n->runs[i].is_used = false;
	if (!run.is_stopped)
		report(n, &run);
	sim_say(n->sim, "run-end node=%u", n->index);
	node_run_ended(n->n, &run.job, "");
	sim_node_want_work(n);
}

/* ---- life */

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	if (!f || fputs(text, f) < 0 || fclose(f) || chmod(path, 0600))
		fail(path, NULL);
}

static void make_home(struct sim_node *n, const char *policy)
{
	struct err err;
	char folder[160], text[128], digits[65];
	uint8_t seed[32], secret[64];
	snprintf(folder, sizeof folder, "%s/%u", n->sim->folder, n->index);
	if (home_find(folder, &n->home, &err) || home_make_folders(&n->home, &err))
		fail("home", &err);
	randombytes_buf(seed, sizeof seed);
	crypto_sign_seed_keypair(n->id.b, secret, seed);
	sodium_bin2hex(digits, sizeof digits, seed, sizeof seed);
	snprintf(text, sizeof text, "talkoo-secret-key:1:%s\n", digits);
	write_file(n->home.key, text);
	write_file(n->home.policy_file, policy);
}

struct sim_node *sim_add_node(struct sim *s, const unsigned *seeds, size_t seeds_len, const char *policy)
{
	struct sim_node *n = &s->nodes[s->nodes_len];
	const struct config_machine machine = {.cores = 4, .memory_bytes = UINT64_C(8) << 30};
	struct err err;
	*n = (struct sim_node){.sim = s, .index = (unsigned)s->nodes_len++};
	make_home(n, policy);
	config_defaults(&machine, &n->config);
	n->config.caps.free_disk_bytes = 0;
	snprintf(n->config.listen, sizeof n->config.listen, "10.0.0.%u:8255", n->index + 1);
	for (size_t i = 0; i < seeds_len; i++) {
		struct node_addr *a = &n->config.seeds[n->config.seeds_len++];
		a->id = s->nodes[seeds[i]].id;
		a->port = 8255;
		snprintf(a->host, sizeof a->host, "10.0.0.%u", seeds[i] + 1);
	}
	n->hooks = (struct node_hooks){.user = n, .now_ms = on_now, .mono_ms = on_mono, .want_work = on_want_work, .store_wake = on_store_wake,
				       .run_start = on_run_start, .run_stop = on_run_stop, .task = on_task};
	const struct store_options so = {.wake = on_store_wake, .wake_user = n, .max_bytes = n->config.caps.database_bytes};
	if (store_open(&so, &n->store, &err))
		fail("store", &err);
	return n;
}

void sim_node_start(struct sim_node *n)
{
	struct identity *identity = NULL;
	struct err err;
	static const uint32_t newer_kind = 99;
	struct net_options no = {.more_kinds = n->is_newer ? &newer_kind : NULL, .more_kinds_len = n->is_newer};
	n->life++;
	n->is_work_due = false;
	n->tick_ms = 0;
	if (identity_load(n->home.key, &identity, &err))
		fail("key", &err);
	const struct node_options o = {.home = &n->home, .config = &n->config, .identity = identity, .hooks = &n->hooks, .store = n->store};
	randombytes_buf(no.seed, sizeof no.seed);
	if (node_open(&o, &n->n, &err) || net_open(n->n, &no, &err))
		fail("node", &err);
	if (!n->is_deaf)
		net_listening(n->n, 8255);
	sim_evil_tell_again(n);
	sim_say(n->sim, "start node=%u life=%u", n->index, n->life);
	sim_node_want_work(n);
}

/* What other threads have under way ends, and finds a store that takes nothing any more. */
static void drop_all(struct sim_node *n)
{
	bool goes_on;
	store_memory_break(n->store, true);
	do {
		goes_on = store_poll(n->store);
		for (uint32_t i = 0; i < ARRAY_LEN(n->tasks); i++) {
			if (!n->task_used[i])
				continue;
			const struct node_task t = n->tasks[i];
			n->task_used[i] = false;
			t.run(t.user);
			t.done(n->n, t.user);
			goes_on = true;
		}
	} while (goes_on);
	node_close(n->n);
	n->n = NULL;
	while (store_poll(n->store))
		;
	store_memory_break(n->store, false);
	memset(n->runs, 0, sizeof n->runs);
}

void sim_node_crash(struct sim_node *n)
{
	if (!n->n)
		return;
	sim_say(n->sim, "crash node=%u", n->index);
	sim_link_cut_all(n);
	n->asleep_until_ms = 0;
	n->n->is_stopping = true; /* a result that cannot be stored is given up, not tried again */
	drop_all(n);
	n->life++;
	/* the sweep at a start waits for runners in real time */
	if (io_remove_tree(n->home.jobs, NULL) || io_mkdirs(n->home.jobs, 0700, NULL))
		fail("jobs", NULL);
	at(n, SIM_RESTART, 0, RESTART_MS + sim_draw(n->sim, 20000));
}

void sim_node_free(struct sim_node *n)
{
	if (n->n) {
		n->n->is_stopping = true;
		drop_all(n);
	}
	sim_evil_release(n);
	store_close(n->store);
	n->store = NULL;
}

bool sim_node_is_asleep(const struct sim_node *n)
{
	return n->asleep_until_ms > n->sim->now_ms;
}

void sim_node_sleep(struct sim_node *n, uint64_t ms)
{
	if (!n->n || sim_node_is_asleep(n))
		return;
	sim_say(n->sim, "sleep node=%u ms=%llu", n->index, (unsigned long long)ms);
	n->asleep_until_ms = n->sim->now_ms + ms;
	at(n, SIM_WAKE, 0, ms);
}

static void act(struct sim_node *n, const struct network_action *a)
{
	switch (a->type) {
	case NETWORK_DIAL: sim_link_dial(n, a); break;
	case NETWORK_OUTPUT: sim_link_flush(n, a->connection); break;
	case NETWORK_HANG_UP: sim_link_hang_up(n, a->connection); break;
	case NETWORK_RECORD:
	case NETWORK_LOOKUP:
	case NETWORK_PEER:
	case NETWORK_EXCHANGE:
	case NETWORK_LIVELOG:
		if (n->is_evil)
			sim_evil_act(n, a);
		else
			net_act(n->n, a);
		break;
	}
}

void sim_node_poke(struct sim_node *n)
{
	struct network *network = net_network(n->n);
	struct network_action a;
	uint64_t next;
	if (sim_node_is_asleep(n))
		return;
	for (bool is_more = true; is_more;) {
		while (network_next(network, &a))
			act(n, &a);
		next = network_tick(network, on_mono(n), on_now(n));
		is_more = network_next(network, &a);
		if (is_more)
			act(n, &a);
	}
	const uint64_t now = on_mono(n), due = next <= now ? now + 1 : next < now + 1000 ? next : now + 1000;
	if (n->tick_ms > now && n->tick_ms <= due)
		return;
	n->tick_ms = due;
	at(n, SIM_TICK, 0, due - now);
}

void sim_node_event(struct sim_node *n, const struct sim_event *e)
{
	if (e->type == SIM_RESTART) {
		sim_node_start(n);
		return;
	}
	if (!n->n)
		return;
	if (sim_node_is_asleep(n) && e->type != SIM_CRASH) {
		sim_at(n->sim, n->asleep_until_ms - n->sim->now_ms, e);
		return;
	}
	switch (e->type) {
	case SIM_WORK:
		n->is_work_due = false;
		node_work(n->n);
		break;
	case SIM_TICK:
		if (node_next_ms(n->n) <= on_now(n))
			sim_node_want_work(n);
		break;
	case SIM_TASK: {
		const struct node_task t = n->tasks[e->number];
		n->task_used[e->number] = false;
		t.run(t.user);
		t.done(n->n, t.user);
		sim_node_want_work(n);
		break;
	}
	case SIM_RUN_END: end_run(n, e->number); break;
	case SIM_CRASH: sim_node_crash(n); return;
	case SIM_WAKE: network_woke(net_network(n->n), on_mono(n)); break;
	case SIM_PRANK_END: network_lost(net_network(n->n), e->number, on_mono(n)); break;
	case SIM_RESTART:
	case SIM_REACH:
	case SIM_BYTES:
	case SIM_LOST: return;
	}
	sim_node_poke(n);
}
