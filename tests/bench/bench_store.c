/* Figure: 600-byte records of 1,000 authors, from received bytes to durable: record_open(), intake with its rules and
 * store_submit(), against libsodium's bare verification of the same bytes on one core, in interleaved rounds on a real disk.
 * The records are results of volunteers that their jobs list; the jobs (one to 32 results) are there before, and their author's
 * quota is lifted.
 *
 *   bench_store [--rows N] [--rounds N] [--dir FOLDER]      defaults 100000, 10, .
 *
 * Each round measures, one after the other: bare verify; intake with batches as they form, the caller's thread verifying while
 * the writer thread commits (two cores); the same with all threads on one core; and, with fewer rows, one record a commit.
 * Every record is a batch of its own with its own completion, as from a peer; ratios are of wall-clock rates. */
#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "node/intake.h"
#include "node/store/store.h"
#include "proto/base/cleanup.h"

#define AUTHORS 1000
#define RECORD_BYTES 600
#define VERIFY_COUNT 20000
#define ROUNDS_MAX 100
#define PER_JOB PROJECT_KEYS_MAX
#define CREATED_MS UINT64_C(1700000000000)

struct wire {
	uint8_t bytes[RECORD_BYTES + 8], signature[64];
	size_t len;
	struct node_id author;
};

static struct wire *wires;
static size_t rows = 100000;
static unsigned rounds = 10;
static const char *folder = ".";

static void check(int code, const struct err *err)
{
	if (!code)
		return;
	err_print(err, stderr);
	exit(1);
}

static double seconds(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint8_t secrets[AUTHORS][64], founder_secret[64];
static struct node_id ids[AUTHORS], founder;
static struct id32 project, topic;
static uint8_t nonce[16];
static struct record *project_record, **jobs;
static size_t jobs_len;

static struct record *sign(struct record_fields *f, const struct buf *body, const uint8_t secret[64])
{
	struct record *r = NULL;
	struct err err = {0};
	f->topic = topic;
	f->body = body->data;
	f->body_len = body->len;
	check(record_sign(f, secret, "main", &r, &err), &err);
	return r;
}

static void make_project(void)
{
	static struct project_body p;
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_LEN_MAX);
	crypto_sign_keypair(founder.b, founder_secret);
	for (size_t i = 0; i < AUTHORS; i++)
		crypto_sign_keypair(ids[i].b, secrets[i]);
	project_id_derive(&founder, nonce, &project);
	topic_derive(&project, &topic);
	snprintf(p.name, sizeof p.name, "bench");
	project_body_encode(&p, &body);
	struct record_fields f = {.kind = RECORD_PROJECT, .created_ms = CREATED_MS, .sequence = CREATED_MS, .key = nonce, .key_len = sizeof nonce};
	project_record = sign(&f, &body, founder_secret);
}

/* Job n lists the authors of the results 32 n to 32 n + 31. */
static struct record *make_job(size_t n)
{
	static struct job_body b;
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_LEN_MAX);
	b.project = project;
	b.project_sequence = CREATED_MS;
	snprintf(b.commit, sizeof b.commit, "%040zx", n);
	snprintf(b.ref, sizeof b.ref, "refs/heads/main");
	snprintf(b.arch, sizeof b.arch, "x86_64");
	b.claim_until_ms = CREATED_MS + DAY_MS;
	b.wanted = 1;
	for (b.volunteers_len = 0; b.volunteers_len < PER_JOB; b.volunteers_len++)
		b.volunteers[b.volunteers_len] = ids[(n * PER_JOB + b.volunteers_len) % AUTHORS];
	b.plan_origin = PLAN_TREE;
	snprintf(b.plan_path, sizeof b.plan_path, ".talkoo.yml");
	memset(b.plan_sha256, 'a', 64);
	job_body_encode(&b, &body);
	struct record_fields f = {.kind = RECORD_JOB, .created_ms = CREATED_MS + n, .sequence = CREATED_MS + n};
	return sign(&f, &body, founder_secret);
}

/* A result is what comes most often, and fills every index but the one of replaceable kinds. */
static struct record *sign_one(size_t n, const uint8_t secret[64])
{
	static size_t reason_len = 300; /* the envelope takes the rest; found once */
	struct result_body b = {.job = *record_id(jobs[n / PER_JOB]), .outcome = OUTCOME_ERROR};
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_RESULT_LEN_MAX);
	memset(b.reason, 'x', reason_len);
	snprintf(b.reason + reason_len, 12, " %010zu", n);
	result_body_encode(&b, &body);
	struct record_fields f = {.kind = RECORD_RESULT, .created_ms = CREATED_MS + n, .sequence = CREATED_MS + n, .depends_len = 1};
	f.depends[0] = b.job;
	struct record *r = sign(&f, &body, secret);
	size_t len;
	(void)record_bytes(r, &len);
	if (n == 0 && len != RECORD_BYTES) {
		reason_len = (size_t)((long)reason_len + RECORD_BYTES - (long)len);
		record_unref(r);
		return sign_one(1, secret);
	}
	return r;
}

static void make_wires(void)
{
	make_project();
	jobs_len = (rows + PER_JOB - 1) / PER_JOB;
	jobs = calloc(jobs_len, sizeof(void *));
	wires = calloc(rows, sizeof *wires);
	if (!wires || !jobs)
		exit(1);
	for (size_t n = 0; n < jobs_len; n++)
		jobs[n] = make_job(n);
	for (size_t n = 0; n < rows; n++) {
		struct record *r = sign_one(n, secrets[n % AUTHORS]);
		const uint8_t *bytes = record_bytes(r, &wires[n].len);
		if (wires[n].len > sizeof wires[n].bytes)
			exit(1);
		memcpy(wires[n].bytes, bytes, wires[n].len);
		memcpy(wires[n].signature, record_signature(r), 64);
		wires[n].author = ids[n % AUTHORS];
		record_unref(r);
	}
}

/* Verifications a second of libsodium alone, on a message of the same size. */
static double bare_verify(void)
{
	static uint8_t secret[64];
	uint8_t key[32], signature[64];
	crypto_sign_keypair(key, secret);
	crypto_sign_detached(signature, NULL, wires[0].bytes, RECORD_BYTES, secret);
	const double start = seconds(CLOCK_MONOTONIC);
	for (unsigned i = 0; i < VERIFY_COUNT; i++)
		if (crypto_sign_verify_detached(signature, wires[0].bytes, RECORD_BYTES, key))
			exit(1);
	return VERIFY_COUNT / (seconds(CLOCK_MONOTONIC) - start);
}

static size_t durable;

static void on_durable(void *user, int code, const struct err *err)
{
	(void)user;
	check(code, err);
	durable++;
}

static void submit(struct store *s, struct intake_effects *fx)
{
	struct err err = {0};
	int code;
	do {
		struct store_batch *b = store_batch_new();
		for (size_t i = 0; i < fx->puts_len; i++) {
			const struct intake_put *put = &fx->puts[i];
			store_put_record(b, put->record, &put->project, put->commit[0] ? put->commit : NULL, put->has_job ? &put->job : NULL);
		}
		code = store_submit(s, b, on_durable, NULL, &err);
		if (code == ERR_LIMIT) {
			(void)store_poll(s);
			usleep(1000);
		}
	} while (code == ERR_LIMIT);
	check(code, &err);
}

static void admit(struct store *s, struct intake *in, struct record *r)
{
	CLEANUP(intake_effects_release) struct intake_effects fx = {0};
	const enum intake_reason why = intake_offer(in, r, 1, CREATED_MS + DAY_MS, &fx);
	if (why != INTAKE_ADMITTED || fx.puts_len != 1 || fx.deletes_len) {
		fprintf(stderr, "not admitted: %s\n", intake_reason_name(why));
		exit(1);
	}
	submit(s, &fx);
}

static void intake(struct store *s, struct intake *in, const struct wire *w)
{
	struct record *r = NULL;
	struct err err = {0};
	check(record_open(w->bytes, w->len, w->signature, "main", &r, NULL, &err), &err);
	admit(s, in, r);
	record_unref(r);
}

static struct intake *open_intake(void)
{
	static const uint8_t hash_key[crypto_shorthash_KEYBYTES] = {1};
	struct intake_limits limits;
	intake_limits_default(&limits);
	limits.per_author = limits.per_topic = limits.records;
	struct intake *in = intake_new(&limits, hash_key);
	if (!in || !intake_follow(in, &project))
		exit(1);
	return in;
}

struct result {
	double rate, cores;
};

/* Records a second from bytes to durable, and how many cores that took. */
static struct result measure(size_t count, unsigned batch_max)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/bench-store.db", folder);
	(void)unlink(path);
	const struct store_options o = {.path = path, .batch_max = batch_max, .batch_wait_ms = batch_max == 1 ? 0 : 5};
	struct store *s = NULL;
	struct err err = {0};
	check(store_open(&o, &s, &err), &err);
	struct intake *in = open_intake();
	admit(s, in, project_record);
	for (size_t n = 0; n < jobs_len; n++)
		admit(s, in, jobs[n]);
	store_flush(s);
	durable = 0;
	const double start = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	for (size_t n = 0; n < count; n++) {
		intake(s, in, &wires[n]);
		if (batch_max == 1)
			store_flush(s);
		else if (n % 64 == 0)
			(void)store_poll(s);
	}
	store_flush(s);
	const double wall = seconds(CLOCK_MONOTONIC) - start;
	const struct result r = {(double)count / wall, (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / wall};
	if (durable != count)
		exit(1);
	store_close(s);
	intake_free(in);
	(void)unlink(path);
	return r;
}

static cpu_set_t all_cores;

static void pin(bool to_one)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all_cores)) {
			CPU_SET(i, &one);
			break;
		}
	(void)sched_setaffinity(0, sizeof one, to_one ? &one : &all_cores);
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

/* median (least to greatest) */
static void print_spread(const char *what, double *values, const char *unit)
{
	qsort(values, rounds, sizeof *values, by_value);
	const double median = (values[(rounds - 1) / 2] + values[rounds / 2]) / 2;
	printf("%-44s %8.3f %s (%.3f to %.3f)\n", what, median, unit, values[0], values[rounds - 1]);
}

static void options(int argc, char **argv)
{
	static const struct option names[] = {{"rows", 1, NULL, 'n'}, {"rounds", 1, NULL, 'r'}, {"dir", 1, NULL, 'd'}, {0}};
	int c;
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'n')
			rows = strtoul(optarg, NULL, 10);
		else if (c == 'r')
			rounds = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'd')
			folder = optarg;
		else
			exit(2);
	}
	if (!rows || !rounds || rounds > ROUNDS_MAX)
		exit(2);
}

int main(int argc, char **argv)
{
	options(argc, argv);
	if (sodium_init() < 0)
		return 1;
	(void)sched_getaffinity(0, sizeof all_cores, &all_cores);
	static double verify[ROUNDS_MAX], two[ROUNDS_MAX], two_ratio[ROUNDS_MAX], one_ratio[ROUNDS_MAX], single[ROUNDS_MAX],
		single_ratio[ROUNDS_MAX];
	make_wires();
	const size_t few = rows < 2000 ? rows : 2000;
	printf("%zu records of %zu bytes, %d authors; %d cores\n", rows, wires[0].len, AUTHORS, CPU_COUNT(&all_cores));
	for (unsigned i = 0; i < rounds; i++) {
		pin(true);
		verify[i] = bare_verify() / 1000;
		pin(false);
		const struct result both = measure(rows, 0);
		pin(true);
		const struct result alone = measure(rows, 0);
		pin(false);
		const struct result each = measure(few, 1);
		two[i] = both.rate / 1000;
		two_ratio[i] = two[i] / verify[i];
		one_ratio[i] = alone.rate / 1000 / verify[i];
		single[i] = each.rate / 1000;
		single_ratio[i] = single[i] / verify[i];
		printf("round %2u: bare verify %.1f k/s; intake %.1f k/s = %.2f (%.2f cores), on one core %.2f, one a commit %.2f k/s = %.3f\n",
		       i + 1, verify[i], two[i], two_ratio[i], both.cores, one_ratio[i], single[i], single_ratio[i]);
		fflush(stdout);
	}
	print_spread("bare verify, one core", verify, "k/s");
	print_spread("intake, batches as they form", two, "k/s");
	print_spread("  of bare verify (aim 0.35)", two_ratio, "");
	print_spread("  all threads on one core, of bare verify", one_ratio, "");
	print_spread("intake, one record a commit", single, "k/s");
	print_spread("  of bare verify", single_ratio, "");
	for (size_t n = 0; n < jobs_len; n++)
		record_unref(jobs[n]);
	record_unref(project_record);
	free(jobs);
	free(wires);
	return 0;
}
