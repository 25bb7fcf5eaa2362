/* Figures: what a node's loop does at once when it holds 10^5 records, on a real disk, and what `talkoo results` reads.
 *
 *   bench_node [--jobs N] [--results N] [--dir FOLDER] [--images FOLDER] [--keep]      defaults 100000, 96000, .
 *
 * First a node with N open jobs of four projects that its policy allows: loading, a round of reviews (each turn of the loop, and all turns
 * together), single looks. Then a node with N results that carry signed statements, of one project, 32 a job, 300 jobs a commit: loading,
 * the rows and the answer for a job and for a commit. --keep leaves the second home for `talkoo --home FOLDER/bench-node start`. */
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "node/dossier.h"
#include "node/node.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "tests/unit/samples.h"

#define PROJECTS 4
#define MAINTAINERS 25
#define PER_JOB 32
#define PER_COMMIT 300
#define NOW (SAMPLE_CREATED_MS + 60000)

static size_t jobs_wanted = 100000, results_wanted = 96000;
static const char *folder = ".", *images;
static bool keeps;
static struct sample_key keys[200];

static void check(int code, const struct err *err)
{
	if (!code)
		return;
	err_print(err, stderr);
	exit(1);
}

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void say(const char *what, double s, const char *more)
{
	printf("%-58s %10.2f ms%s\n", what, s * 1e3, more);
	fflush(stdout);
}

/* ---- a home full of records */

static uint64_t on_now(void *user)
{
	(void)user;
	return NOW;
}

static void on_nothing(void *user)
{
	(void)user;
}

static int on_run_start(void *user, const struct id32 *job, const struct job_plan *plan, struct err *err)
{
	(void)user;
	(void)job;
	(void)plan;
	return err_set(err, ERR_REFUSED, "nothing runs here");
}

static void on_run_stop(void *user, const struct id32 *job)
{
	(void)user;
	(void)job;
}

static int on_task(void *user, const struct node_task *task, struct err *err)
{
	(void)user;
	(void)task;
	return err_set(err, ERR_LIMIT, "no threads here");
}

static const struct node_hooks hooks = {.now_ms = on_now, .mono_ms = on_now, .want_work = on_nothing, .run_start = on_run_start, .run_stop = on_run_stop,
					.task = on_task};

static struct store *store;
static struct store_batch *batch;
static size_t in_batch;

static void flush_batch(void)
{
	struct err err;
	if (!in_batch)
		return;
	check(store_submit(store, batch, NULL, NULL, &err), &err);
	store_flush(store);
	batch = store_batch_new();
	in_batch = 0;
}

static void put(struct record *r /* takes */, const struct id32 *project, const char *commit, const struct id32 *job)
{
	store_put_record(batch, r, project, commit, job);
	record_unref(r);
	if (++in_batch == 2000)
		flush_batch();
}

static void open_home(struct home *home)
{
	char path[4096];
	struct err err;
	snprintf(path, sizeof path, "%s/bench-node", folder);
	check(io_remove_tree(path, &err), &err);
	check(io_mkdirs(path, 0700, &err), &err);
	check(home_find(path, home, &err), &err);
	check(home_make_folders(home, &err), &err);
	if (images)
		snprintf(home->images, sizeof home->images, "%s", images);
	const struct store_options o = {.path = home->database};
	check(store_open(&o, &store, &err), &err);
	batch = store_batch_new();
}

static struct node *open_node(struct home *home)
{
	struct identity *identity = NULL;
	struct config config;
	struct config_machine machine = {.cores = 4, .memory_bytes = UINT64_C(8) << 30};
	struct node *n = NULL;
	struct err err;
	flush_batch();
	store_close(store);
	check(identity_create(home->key, &identity, &err), &err);
	config_defaults(&machine, &config);
	config.caps.free_disk_bytes = 0;
	const struct node_options o = {.home = home, .config = &config, .identity = identity, .hooks = &hooks};
	const double start = now_s();
	check(node_open(&o, &n, &err), &err);
	scheduler_set_mode(n->scheduler, SCHED_PAUSED); /* nothing is claimed */
	say("node_open: all records read and judged, first reviews", now_s() - start, "");
	return n;
}

/* ---- open jobs */

static void put_project(unsigned number, struct id32 *project)
{
	static struct project_body p;
	CLEANUP(buf_release) struct buf body;
	struct id32 topic;
	buf_init(&body, RECORD_LEN_MAX);
	sample_project(&p);
	p.nonce[0] = (uint8_t)(0x80 + number);
	p.former_len = p.volunteers_len = 0;
	for (p.maintainers_len = 0; p.maintainers_len < MAINTAINERS; p.maintainers_len++)
		p.maintainers[p.maintainers_len] = keys[p.maintainers_len].id;
	project_id_derive(&keys[0].id, p.nonce, project);
	topic_derive(project, &topic);
	project_body_encode(&p, &body);
	put(sample_record(RECORD_PROJECT, &keys[0], &topic, p.nonce, sizeof p.nonce, NULL, &body), project, NULL, NULL);
}

/* commit: number. */
static struct record *make_job(const struct id32 *project, const struct sample_key *by, size_t number, size_t commit, char ret_commit[65])
{
	static struct job_body b;
	CLEANUP(buf_release) struct buf body;
	struct id32 topic;
	buf_init(&body, RECORD_LEN_MAX);
	sample_job(&b);
	b.project = *project;
	snprintf(b.commit, sizeof b.commit, "%040zx", commit + 1);
	snprintf(ret_commit, 65, "%s", b.commit);
	for (b.volunteers_len = 0; b.volunteers_len < PER_JOB; b.volunteers_len++)
		b.volunteers[b.volunteers_len] = keys[(number * PER_JOB + b.volunteers_len) % ARRAY_LEN(keys)].id;
	b.claim_until_ms -= number; /* no two alike */
	topic_derive(project, &topic);
	job_body_encode(&b, &body);
	return sample_record(RECORD_JOB, by, &topic, NULL, 0, NULL, &body);
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static void review_round(struct node *n, const char *what)
{
	static double took[100000];
	size_t turns = 0;
	char more[200];
	double start = now_s(), all = 0;
	node_review_all(n);
	for (;;) {
		took[turns] = now_s() - start;
		all += took[turns];
		if (++turns == ARRAY_LEN(took) || !n->review.len)
			break;
		while (store_poll(n->store)) /* no part of the turn */
			;
		start = now_s();
		node_review_some(n);
	}
	qsort(took, turns, sizeof *took, compare);
	snprintf(more, sizeof more, "  in %zu turns: median %.2f, 99 of 100 within %.2f, longest %.2f ms", turns, took[turns / 2] * 1e3,
		 took[turns * 99 / 100] * 1e3, took[turns - 1] * 1e3);
	say(what, all, more);
	store_flush(n->store);
}

static void look_once(struct node *n)
{
	static struct node_opinion opinion;
	static struct job_body body;
	size_t at = 0, opined = 0;
	struct id32 found;
	double start = now_s();
	for (const struct ix_entry *e; opined < 1000 && (e = idmap_next(&node_index(n)->entries, &at));) {
		const struct ix_job *job = index_job(node_index(n), &e->id);
		if (!job || index_job_body(job, &body, NULL))
			continue;
		node_opine(n, job, &body, &opinion);
		opined++;
	}
	char more[600];
	snprintf(more, sizeof more, "  (why not: \"%.60s\")", opinion.why_not);
	say("node_opine, each of 1000", (now_s() - start) / (double)opined, more);
	start = now_s();
	for (unsigned i = 0; i < 1000; i++)
		rules_refresh(n->rules);
	say("rules_refresh, nothing new, each of 1000", (now_s() - start) / 1000, "");
	start = now_s();
	for (unsigned i = 0; i < 100; i++)
		node_check_holds(n);
	say("node_check_holds, each of 100", (now_s() - start) / 100, "");
	start = now_s();
	for (unsigned i = 0; i < 20; i++)
		(void)!index_find_entry(node_index(n), RECORD_JOB, "00000001", &found, NULL);
	say("a job by the beginning of its id, each of 20", (now_s() - start) / 20, "");
	start = now_s();
	while (node_next_ms(n) <= NOW && now_s() - start < 60)
		node_work(n);
	start = now_s();
	node_work(n);
	say("node_work, nothing due", now_s() - start, "");
}

static void bench_jobs(void)
{
	struct home home;
	struct id32 projects[PROJECTS];
	struct err err;
	char commit[65], id[ID32_TEXT_MAX];
	CLEANUP(buf_release) struct buf policy;
	buf_init(&policy, 65536);
	open_home(&home);
	buf_str(&policy, "rules:\n");
	for (unsigned i = 0; i < PROJECTS; i++) {
		put_project(i, &projects[i]);
		buf_printf(&policy, "  - project: talkoo:%s\n    allow: {}\n", id32_format(id, &projects[i]));
	}
	check(io_replace_file(home.policy_file, policy.data, policy.len, 0600, &err), &err);
	for (size_t i = 0; i < jobs_wanted; i++) {
		const struct id32 *project = &projects[i % PROJECTS];
		struct record *r = make_job(project, &keys[i / PROJECTS % MAINTAINERS], i, i, commit);
		const struct id32 id_of = *record_id(r);
		put(r, project, commit, &id_of);
	}
	printf("--- %zu open jobs\n", jobs_wanted);
	struct node *n = open_node(&home);
	if (rules_error(n->rules))
		printf("policy: %s\n", rules_error(n->rules)->what);
	printf("index: %zu entries\n", node_index(n)->entries.len);
	while (n->review.len) {
		node_review_some(n);
		while (store_poll(n->store))
			;
	}
	store_flush(n->store);
	review_round(n, "a round of reviews, nothing changed");
	review_round(n, "the same again");
	look_once(n);
	node_close(n);
}

/* ---- results */

static bool keep_row(void *user, struct record *r)
{
	struct record ***at = user;
	*(*at)++ = record_ref(r);
	return true;
}

static void answer(struct node *n, const struct store_filter *f, const char *commit, const char *what)
{
	struct err err;
	CLEANUP(dossier_release) struct dossier d = {0};
	struct record **rows = calloc(10001, sizeof(struct record *)), **at = rows;
	const struct trust_list trust = {0};
	const struct results_query q = {.commit = commit, .trust = &trust, .need = 1, .now_ms = NOW};
	enum verdict verdict;
	json_t *o = NULL;
	char more[200];
	const double start = now_s();
	check(store_each_now(n->store, f, keep_row, &at, &err), &err);
	const double read = now_s();
	check(dossier_build(rows, (size_t)(at - rows), &d, &err), &err);
	const double built = now_s();
	check(dossier_results(&d, &q, &o, &verdict, &err), &err);
	char *text = json_dumps(o, JSON_COMPACT);
	const double end = now_s();
	snprintf(more, sizeof more, "  %td rows: read %.2f, opened %.2f, answered %.2f ms, %zu bytes", at - rows, (read - start) * 1e3, (built - read) * 1e3,
		 (end - built) * 1e3, strlen(text));
	say(what, end - start, more);
	free(text);
	json_decref(o);
	while (at > rows)
		record_unref(*--at);
	free(rows);
}

static void bench_results(void)
{
	struct home home;
	struct id32 project, last;
	char commit[65];
	sample_project_id(&project);
	open_home(&home);
	static struct project_body p;
	struct id32 topic;
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_LEN_MAX);
	sample_project(&p);
	p.former_len = p.volunteers_len = 0;
	for (p.maintainers_len = 0; p.maintainers_len < MAINTAINERS; p.maintainers_len++)
		p.maintainers[p.maintainers_len] = keys[p.maintainers_len].id;
	project_body_encode(&p, &body);
	topic_derive(&project, &topic);
	put(sample_record(RECORD_PROJECT, &keys[0], &topic, p.nonce, sizeof p.nonce, NULL, &body), &project, NULL, NULL);
	for (size_t i = 0; i < results_wanted / PER_JOB; i++) {
		struct record *job = record_ref(make_job(&project, &keys[i % MAINTAINERS], i, i / PER_COMMIT, commit));
		last = *record_id(job);
		put(job, &project, commit, &last);
		for (size_t k = 0; k < PER_JOB; k++) {
			const struct sample_key *by = &keys[(i * PER_JOB + k) % ARRAY_LEN(keys)];
			struct statement s;
			sample_statement(&s, by, job, OUTCOME_PASSED);
			snprintf(s.commit, sizeof s.commit, "%s", commit);
			put(sample_result_record(by, job, &s), &project, commit, &last);
			statement_release(&s);
		}
		record_unref(job);
	}
	printf("--- %zu results\n", results_wanted);
	struct node *n = open_node(&home);
	printf("index: %zu entries\n", node_index(n)->entries.len);
	const struct store_filter of_job = {.job = &last, .limit = 10000}, of_commit = {.commit = "0000000000000000000000000000000000000001", .limit = 10000};
	for (unsigned i = 0; i < 3; i++) {
		answer(n, &of_job, NULL, "results of a job");
		answer(n, &of_commit, of_commit.commit, "results of a commit");
	}
	struct err err;
	const double start = now_s();
	check(node_load(n, &err), &err);
	say("loading anew (after a disk that was full)", now_s() - start, "");
	node_close(n);
	if (!keeps)
		check(io_remove_tree(home.config, &err), &err);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"jobs", 1, NULL, 'j'}, {"results", 1, NULL, 'r'}, {"dir", 1, NULL, 'd'},
						{"images", 1, NULL, 'i'}, {"keep", 0, NULL, 'k'}, {0}};
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;)
		switch (c) {
		case 'j': jobs_wanted = strtoul(optarg, NULL, 10); break;
		case 'r': results_wanted = strtoul(optarg, NULL, 10); break;
		case 'd': folder = optarg; break;
		case 'i': images = optarg; break;
		case 'k': keeps = true; break;
		default: return 2;
		}
	if (sodium_init() < 0)
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		sample_key_init(&keys[i], (uint8_t)(i + 1));
	bench_jobs();
	bench_results();
	return 0;
}
