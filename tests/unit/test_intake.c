/* The one door: who may write what, in which order, and what goes for it. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "node/intake.h"
#include "proto/base/cleanup.h"
#include "tests/unit/samples.h"
#include "tests/unit/tap.h"

#define NOW (SAMPLE_CREATED_MS + 1000)

static struct sample_key founder, other, third;

static struct intake *fresh(const struct intake_limits *limits, bool follows)
{
	static const uint8_t hash_key[crypto_shorthash_KEYBYTES] = {1};
	struct intake_limits standard;
	struct id32 project;
	intake_limits_default(&standard);
	struct intake *in = intake_new(limits ? limits : &standard, hash_key);
	sample_project_id(&project);
	if (follows)
		OK(intake_follow(in, &project), "followed");
	return in;
}

/* Offers and gives the record back; counts what the store would have to do. */
static enum intake_reason offer(struct intake *in, struct record *r /* takes */, uint64_t source, uint64_t now_ms, size_t *puts, size_t *deletes)
{
	CLEANUP(intake_effects_release) struct intake_effects fx = {0};
	const enum intake_reason why = intake_offer(in, r, source, now_ms, &fx);
	if (puts)
		*puts = fx.puts_len;
	if (deletes)
		*deletes = fx.deletes_len;
	OK(!fx.failed, "memory was there");
	record_unref(r);
	return why;
}

#define IS(got, want) STREQ(intake_reason_name(got), intake_reason_name(want))

static enum intake_reason give(struct intake *in, struct record *r /* takes */)
{
	return offer(in, r, 7, NOW, NULL, NULL);
}

static void test_order_does_not_matter(void)
{
	struct intake *in = fresh(NULL, true);
	struct record *job = sample_job_record();
	size_t puts, deletes;
	IS(give(in, sample_error_record(&other, job, OUTCOME_ERROR)), INTAKE_PARKED);
	IS(give(in, sample_claim_record(&other, job)), INTAKE_PARKED);
	IS(give(in, record_ref(job)), INTAKE_PARKED);
	INTEQ(intake_parked_len(in), 3);
	IS(offer(in, sample_project_record(), 7, NOW, &puts, &deletes), INTAKE_ADMITTED);
	INTEQ(puts, 4); /* the project, and through it all that waited */
	INTEQ(deletes, 0);
	INTEQ(intake_parked_len(in), 0);
	const struct ix_job *found = index_job(intake_index(in), record_id(job));
	OK(found && found->claims && found->results, "claim and result stand at their job");
	IS(give(in, record_ref(job)), INTAKE_DUPLICATE);
	record_unref(job);
	intake_free(in);
}

static void test_authority(void)
{
	struct intake *in = fresh(NULL, false);
	IS(give(in, sample_project_record()), INTAKE_NOT_FOLLOWED);
	intake_free(in);

	in = fresh(NULL, true);
	struct record *job = sample_job_record();
	IS(give(in, sample_project_record()), INTAKE_ADMITTED);
	IS(give(in, record_ref(job)), INTAKE_ADMITTED);
	IS(give(in, sample_cancel_record(&third, job)), INTAKE_NO_AUTHORITY);
	OK(!index_is_cancelled(index_job(intake_index(in), record_id(job))), "a stranger cancels nothing");
	IS(give(in, sample_cancel_record(&founder, job)), INTAKE_ADMITTED);
	OK(index_is_cancelled(index_job(intake_index(in), record_id(job))), "its maintainer does");
	/* the job's body under a stranger's key */
	CLEANUP(cleanup_free) struct job_body *body = calloc(1, sizeof *body);
	CLEANUP(buf_release) struct buf bytes;
	buf_init(&bytes, RECORD_LEN_MAX);
	sample_job(body);
	job_body_encode(body, &bytes);
	IS(give(in, sample_record(RECORD_JOB, &third, NULL, NULL, 0, NULL, &bytes)), INTAKE_NO_AUTHORITY);
	record_unref(job);
	intake_free(in);
}

static void test_time(void)
{
	struct intake *in = fresh(NULL, true);
	const uint64_t early = SAMPLE_CREATED_MS - INTAKE_AHEAD_MS - 1;
	size_t puts;
	IS(offer(in, sample_project_record(), 7, early, NULL, NULL), INTAKE_ASIDE);
	INTEQ(intake_parked_len(in), 1);
	OK(intake_next_ms(in) <= early + 1, "it says when to look again");
	CLEANUP(intake_effects_release) struct intake_effects fx = {0};
	intake_tick(in, early, &fx);
	INTEQ(fx.puts_len, 0);
	intake_tick(in, early + 1, &fx);
	INTEQ(fx.puts_len, 1);
	INTEQ(intake_parked_len(in), 0);

	struct record *job = sample_job_record();
	IS(give(in, record_ref(job)), INTAKE_ADMITTED);
	IS(offer(in, sample_claim_record(&other, job), 7, SAMPLE_CREATED_MS + 86400000, &puts, NULL), INTAKE_EXPIRED);
	INTEQ(puts, 0);
	/* expiry takes the project and everything with it */
	CLEANUP(intake_effects_release) struct intake_effects end = {0};
	intake_tick(in, SAMPLE_CREATED_MS + 401 * DAY_MS, &end);
	INTEQ(end.deletes_len, 2);
	OK(!index_job(intake_index(in), record_id(job)), "gone from the index");
	record_unref(job);
	intake_free(in);
}

static void test_parking_is_bounded(void)
{
	struct intake_limits limits;
	intake_limits_default(&limits);
	limits.parked_per_source = 2;
	limits.parked = 3;
	struct intake *in = fresh(&limits, true);
	struct record *job = sample_job_record();
	struct sample_key keys[5];
	for (uint8_t i = 0; i < 5; i++)
		sample_key_init(&keys[i], (uint8_t)(20 + i));
	IS(offer(in, sample_claim_record(&keys[0], job), 1, NOW, NULL, NULL), INTAKE_PARKED);
	IS(offer(in, sample_claim_record(&keys[1], job), 1, NOW, NULL, NULL), INTAKE_PARKED);
	IS(offer(in, sample_claim_record(&keys[2], job), 1, NOW, NULL, NULL), INTAKE_PARKED_FULL);
	IS(offer(in, sample_claim_record(&keys[2], job), 2, NOW, NULL, NULL), INTAKE_PARKED);
	IS(offer(in, sample_claim_record(&keys[3], job), 2, NOW, NULL, NULL), INTAKE_PARKED_FULL);
	CLEANUP(intake_effects_release) struct intake_effects fx = {0};
	intake_tick(in, NOW + INTAKE_PARKED_MS, &fx);
	INTEQ(intake_parked_len(in), 0);
	INTEQ(fx.puts_len, 0);
	record_unref(job);
	intake_free(in);
}

/* Which keys' claims stand after claims arrived in this order: the same set whoever came first. */
static unsigned crowd_after(bool backwards)
{
	struct intake_limits limits;
	intake_limits_default(&limits);
	limits.crowd = 2;
	struct intake *in = fresh(&limits, true);
	struct record *job = sample_job_record();
	unsigned standing = 0, crowded = 0;
	IS(give(in, sample_project_record()), INTAKE_ADMITTED);
	IS(give(in, record_ref(job)), INTAKE_ADMITTED);
	for (uint8_t i = 0; i < 8; i++) {
		struct sample_key k;
		sample_key_init(&k, (uint8_t)(40 + (backwards ? 7 - i : i)));
		const enum intake_reason why = give(in, sample_claim_record(&k, job));
		crowded += why == INTAKE_CROWDED;
	}
	OK(crowded, "some were refused");
	for (uint8_t i = 0; i < 8; i++) {
		struct sample_key k;
		sample_key_init(&k, (uint8_t)(40 + i));
		if (index_claim_of(index_job(intake_index(in), record_id(job)), &k.id))
			standing |= 1u << i;
	}
	INTEQ(__builtin_popcount(standing), 2);
	IS(give(in, sample_claim_record(&founder, job)), INTAKE_ADMITTED);
	record_unref(job);
	intake_free(in);
	return standing;
}

static void test_crowd(void)
{
	INTEQ(crowd_after(false), crowd_after(true));
}

static void test_results(void)
{
	struct intake *in = fresh(NULL, true);
	struct record *job = sample_job_record();
	struct statement s;
	IS(give(in, sample_project_record()), INTAKE_ADMITTED);
	IS(give(in, record_ref(job)), INTAKE_ADMITTED);
	sample_statement(&s, &other, job, OUTCOME_PASSED);
	IS(give(in, sample_result_record(&other, job, &s)), INTAKE_ADMITTED);
	/* a copy under another key: the statement names its signer */
	enum intake_reason why = give(in, sample_result_record(&third, job, &s));
	OK(why == INTAKE_BAD_BODY || why == INTAKE_MISMATCH, "a copied result is refused: %s", intake_reason_name(why));
	/* the right job, another commit */
	memset(s.commit, 'a', 40);
	why = give(in, sample_result_record(&other, job, &s));
	OK(why == INTAKE_BAD_BODY || why == INTAKE_MISMATCH, "another commit is refused: %s", intake_reason_name(why));
	statement_release(&s);
	sample_statement(&s, &other, job, OUTCOME_PASSED);
	memset(s.project.b, 9, 32);
	why = give(in, sample_result_record(&other, job, &s));
	OK(why == INTAKE_BAD_BODY || why == INTAKE_MISMATCH, "another project is refused: %s", intake_reason_name(why));
	statement_release(&s);
	record_unref(job);
	intake_free(in);
}

static void test_quota(void)
{
	struct intake_limits limits;
	intake_limits_default(&limits);
	limits.per_author = 1;
	struct intake *in = fresh(&limits, true);
	struct record *job = sample_job_record();
	size_t puts, deletes;
	IS(give(in, sample_project_record()), INTAKE_ADMITTED);
	IS(give(in, record_ref(job)), INTAKE_ADMITTED);
	IS(give(in, sample_error_record(&founder, job, OUTCOME_ERROR)), INTAKE_ADMITTED);
	/* of two of one moment exactly one stays, whichever came first */
	const enum intake_reason why = offer(in, sample_error_record(&founder, job, OUTCOME_REFUSED), 7, NOW, &puts, &deletes);
	OK(why == INTAKE_QUOTA ? !puts && !deletes : why == INTAKE_ADMITTED && puts == 1 && deletes == 1, "one goes for the other");
	unsigned results = 0;
	for (const struct ix_entry *e = index_job(intake_index(in), record_id(job))->results; e; e = e->next_of_job)
		results++;
	INTEQ(results, 1);
	record_unref(job);
	intake_free(in);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	sample_key_init(&founder, 1);
	sample_key_init(&other, 2);
	sample_key_init(&third, 3);
	test_order_does_not_matter();
	test_authority();
	test_time();
	test_parking_is_bounded();
	test_crowd();
	test_results();
	test_quota();
	return tap_done();
}
