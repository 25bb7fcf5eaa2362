/* Figure: 600-byte records of 1,000 authors, from received bytes to durable: record_open() and store_submit(), against
 * libsodium's bare verification of the same bytes on one core, in interleaved rounds on a real disk.
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

#include "node/store/store.h"
#include "proto/base/cleanup.h"
#include "proto/mp.h"

#define AUTHORS 1000
#define RECORD_BYTES 600
#define VERIFY_COUNT 20000
#define ROUNDS_MAX 100

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

/* A result is what comes most often, and fills every index but the one of replaceable kinds. */
static struct record *sign_one(size_t n, const uint8_t secret[64])
{
	static uint8_t filler[RECORD_BYTES];
	CLEANUP(buf_release) struct buf body;
	struct record *r = NULL;
	struct err err = {0};
	/* the envelope takes the rest; found once, the same for all but a byte or two */
	static size_t body_len = RECORD_BYTES - 120;
	randombytes_buf(filler, 32);
	buf_init(&body, RECORD_BYTES);
	mp_put_array(&body, 1);
	mp_put_bin(&body, filler, body_len);
	struct record_fields f = {.kind = RECORD_RESULT, .created_ms = UINT64_C(1700000000000) + n, .sequence = UINT64_C(1700000000000) + n,
				  .body = body.data, .body_len = body.len};
	f.expires_ms = f.created_ms + record_kind_lifetime_ms(f.kind);
	check(record_sign(&f, secret, "main", &r, &err), &err);
	size_t len;
	(void)record_bytes(r, &len);
	if (n == 0 && len != RECORD_BYTES) {
		body_len = (size_t)((long)body_len + RECORD_BYTES - (long)len);
		record_unref(r);
		return sign_one(1, secret);
	}
	return r;
}

static void make_wires(void)
{
	static uint8_t secrets[AUTHORS][64];
	struct node_id ids[AUTHORS];
	for (size_t i = 0; i < AUTHORS; i++)
		crypto_sign_keypair(ids[i].b, secrets[i]);
	wires = calloc(rows, sizeof *wires);
	if (!wires)
		exit(1);
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

static void job_of(size_t n, struct id32 *project, struct id32 *job, char commit[41])
{
	const uint32_t p = (uint32_t)(n % 100), j = (uint32_t)(n / 10);
	crypto_generichash(project->b, 32, (const uint8_t *)&p, sizeof p, NULL, 0);
	crypto_generichash(job->b, 32, (const uint8_t *)&j, sizeof j, (const uint8_t *)"0123456789abcdef", 16);
	for (unsigned i = 0; i < 20; i++)
		snprintf(commit + 2 * i, 3, "%02x", job->b[i]);
}

static void intake(struct store *s, const struct wire *w, size_t n)
{
	struct record *r = NULL;
	struct err err = {0};
	struct id32 project, job;
	char commit[41];
	check(record_open(w->bytes, w->len, w->signature, "main", &r, NULL, &err), &err);
	job_of(n, &project, &job, commit);
	int code;
	do {
		struct store_batch *b = store_batch_new();
		store_put_record(b, r, &project, commit, &job);
		code = store_submit(s, b, on_durable, NULL, &err);
		if (code == ERR_LIMIT) {
			(void)store_poll(s);
			usleep(1000);
		}
	} while (code == ERR_LIMIT);
	check(code, &err);
	record_unref(r);
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
	durable = 0;
	const double start = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	for (size_t n = 0; n < count; n++) {
		intake(s, &wires[n], n);
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
	free(wires);
	return 0;
}
