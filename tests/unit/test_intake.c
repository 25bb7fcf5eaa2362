/* The one door: who may write what, in which order, and what goes for it. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "node/intake.h"
#include "proto/base/cleanup.h"
#include "proto/mp.h"
#include "tests/unit/samples.h"
#include "tests/unit/tap.h"

#define NOW (SAMPLE_CREATED_MS + 1000)

static struct sample_key founder, other, third;
static unsigned seen[INTAKE_NO_MEMORY + 1]; /* how often each reason was given */

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
	seen[why]++;
	if (puts)
		*puts = fx.puts_len;
	if (deletes)
		*deletes = fx.deletes_len;
	if (fx.failed != (why == INTAKE_NO_MEMORY))
		OK(false, "memory was there");
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
	/* our own never wait: who makes them is told */
	IS(offer(in, sample_claim_record(&keys[4], job), INTAKE_OWN, NOW, NULL, NULL), INTAKE_PARKED);
	INTEQ(intake_parked_len(in), 3);
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

/* A statement about the sample job that was changed in one place, signed by its own author: genuine, and no result of this job. */
static void test_results(void)
{
	struct intake *in = fresh(NULL, true);
	struct record *job = sample_job_record();
	struct statement s;
	IS(give(in, sample_project_record()), INTAKE_ADMITTED);
	IS(give(in, record_ref(job)), INTAKE_ADMITTED);
	sample_statement(&s, &other, job, OUTCOME_PASSED);
	/* a copy under another key: the statement names its signer */
	IS(give(in, sample_result_record(&third, job, &s)), INTAKE_BAD_BODY);
	memset(s.project.b, 9, 32);
	IS(give(in, sample_result_record(&other, job, &s)), INTAKE_BAD_BODY);
	statement_release(&s);
#define ANOTHER(change)                                                                                                \
	do {                                                                                                           \
		sample_statement(&s, &other, job, OUTCOME_PASSED);                                                     \
		change;                                                                                                \
		IS(give(in, sample_result_record(&other, job, &s)), INTAKE_MISMATCH);                                  \
		statement_release(&s);                                                                                 \
	} while (0)
	ANOTHER(memset(s.commit, 'a', 40));
	ANOTHER(strcpy(s.ref, "refs/heads/side"));
	ANOTHER(strcpy(s.cell, "linux"));
	ANOTHER(strcpy(s.arch, "aarch64"));
	ANOTHER(s.plan_origin = PLAN_DETECTED);
	ANOTHER(strcpy(s.plan_path, "true.yml"));
	ANOTHER(memset(s.plan_sha256, 'b', 64));
	ANOTHER(strcpy(s.image_name, "mini@2"));
	ANOTHER(strcpy(s.image_name, "doctored@1"));
#undef ANOTHER
	OK(!index_job(intake_index(in), record_id(job))->results, "none of them stands");
	sample_statement(&s, &other, job, OUTCOME_PASSED);
	IS(give(in, sample_result_record(&other, job, &s)), INTAKE_ADMITTED);
	statement_release(&s);
	record_unref(job);
	intake_free(in);
}

static bool trusts_third(void *user, const struct node_id *key)
{
	(void)user;
	return node_id_eq(key, &third.id);
}

static void test_trusted_stand_beside(void)
{
	struct intake_limits limits;
	intake_limits_default(&limits);
	limits.crowd = 0; /* no room for anybody unlisted */
	struct intake *in = fresh(&limits, true);
	struct record *job = sample_job_record();
	struct sample_key stranger;
	sample_key_init(&stranger, 70);
	IS(give(in, sample_project_record()), INTAKE_ADMITTED);
	IS(give(in, record_ref(job)), INTAKE_ADMITTED);
	IS(give(in, sample_error_record(&third, job, OUTCOME_ERROR)), INTAKE_CROWDED);
	intake_trust(in, trusts_third, NULL);
	IS(give(in, sample_error_record(&stranger, job, OUTCOME_ERROR)), INTAKE_CROWDED);
	IS(give(in, sample_error_record(&third, job, OUTCOME_ERROR)), INTAKE_ADMITTED);
	const struct ix_entry *kept = index_result_of(index_job(intake_index(in), record_id(job)), &third.id);
	OK(kept && kept->authority == IX_BESIDE, "what a trusted key says is kept, beside the set");
	IS(give(in, sample_error_record(&founder, job, OUTCOME_ERROR)), INTAKE_ADMITTED);
	kept = index_result_of(index_job(intake_index(in), record_id(job)), &founder.id);
	OK(kept && kept->authority == IX_MAINTAINER, "the founder is a maintainer, and in the set");
	record_unref(job);
	intake_free(in);
}

/* The founder is a maintainer also where the record does not name it (PROTOCOL 5.2). */
static void test_founder(void)
{
	struct intake *in = fresh(NULL, true);
	struct project_body p;
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_LEN_MAX);
	sample_project(&p);
	p.maintainers_len = 0;
	project_body_encode(&p, &body);
	IS(give(in, sample_record(RECORD_PROJECT, &founder, NULL, p.nonce, sizeof p.nonce, NULL, &body)), INTAKE_ADMITTED);
	IS(give(in, sample_job_record()), INTAKE_ADMITTED);
	intake_free(in);
}

/* What no rule knows, and what says nothing that could be judged. */
static void test_bad_records(void)
{
	struct intake *in = fresh(NULL, true);
	struct record *job = sample_job_record();
	struct id32 second, topic;
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_LEN_MAX);
	mp_put_array(&body, 0);
	memset(second.b, 7, sizeof second.b);
	topic_derive(&second, &topic);
	IS(give(in, sample_project_record()), INTAKE_ADMITTED);
	IS(give(in, record_ref(job)), INTAKE_ADMITTED);
	static const uint32_t kinds[] = {RECORD_PROJECT, RECORD_JOB, RECORD_CANCEL, RECORD_CLAIM, RECORD_RESULT};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		IS(give(in, sample_record(kinds[i], &founder, NULL, NULL, 0, NULL, &body)), INTAKE_BAD_BODY);
	IS(give(in, sample_record(RECORD_NODE, &founder, NULL, NULL, 0, NULL, &body)), INTAKE_NOT_KEPT);
	/* a claim in another project's topic */
	const struct claim_body claim = {.lease_until_ms = SAMPLE_CREATED_MS + CLAIM_LEASE_MAX_MS};
	CLEANUP(buf_release) struct buf claimed;
	buf_init(&claimed, RECORD_LEN_MAX);
	claim_body_encode(&claim, &claimed);
	struct record *astray = sample_record(RECORD_CLAIM, &founder, &topic, record_id(job)->b, 32, record_id(job), &claimed);
	IS(give(in, record_ref(astray)), INTAKE_NOT_FOLLOWED);
	OK(intake_follow(in, &second), "the other is followed too");
	IS(give(in, astray), INTAKE_BAD_TOPIC);
	/* a claim on what is no job */
	struct id32 project_record = *record_id(job);
	const struct ix_project *p = idmap_get(&intake_index(in)->projects, &index_job(intake_index(in), record_id(job))->entry.project->id);
	project_record = p->entry.id;
	IS(give(in, sample_record(RECORD_CLAIM, &founder, NULL, project_record.b, 32, &project_record, &claimed)), INTAKE_BAD_BODY);
	record_unref(job);
	intake_free(in);
}

static struct record *unknown_kind(void)
{
	struct record_fields f = {.kind = 99, .created_ms = SAMPLE_CREATED_MS, .expires_ms = SAMPLE_CREATED_MS + DAY_MS, .sequence = 1};
	CLEANUP(buf_release) struct buf body;
	struct record *r = NULL;
	struct id32 project;
	buf_init(&body, 16);
	mp_put_array(&body, 0);
	f.body = body.data;
	f.body_len = body.len;
	sample_project_id(&project);
	topic_derive(&project, &f.topic);
	if (record_sign(&f, founder.secret, SAMPLE_NETWORK, &r, NULL))
		abort();
	return r;
}

static void test_unknown_kind(void)
{
	struct intake *in = fresh(NULL, true);
	IS(give(in, unknown_kind()), INTAKE_UNKNOWN_KIND);
	intake_free(in);
}

/* What waits for its time is bounded too, and those of the next century do not keep out those of the next hour. */
static void test_aside_is_bounded(void)
{
	struct intake_limits limits;
	intake_limits_default(&limits);
	limits.parked_per_source = 2;
	limits.parked = 3;
	struct intake *in = fresh(&limits, true);
	const uint64_t early = SAMPLE_CREATED_MS - 10 * DAY_MS;
	struct record *job = sample_job_record();
	IS(offer(in, sample_claim_record(&founder, job), 1, early, NULL, NULL), INTAKE_ASIDE);
	IS(offer(in, sample_claim_record(&other, job), 1, early, NULL, NULL), INTAKE_ASIDE);
	IS(offer(in, sample_claim_record(&third, job), 1, early, NULL, NULL), INTAKE_PARKED_FULL); /* no nearer than those */
	IS(offer(in, record_ref(job), INTAKE_OWN, early, NULL, NULL), INTAKE_ASIDE);
	INTEQ(intake_parked_len(in), 2);
	struct record_fields soon = {.kind = RECORD_JOB, .created_ms = early + DAY_MS, .sequence = early + DAY_MS};
	CLEANUP(buf_release) struct buf body;
	struct record *r = NULL;
	struct id32 project;
	buf_init(&body, 16);
	mp_put_array(&body, 0);
	soon.body = body.data;
	soon.body_len = body.len;
	sample_project_id(&project);
	topic_derive(&project, &soon.topic);
	if (record_sign(&soon, founder.secret, SAMPLE_NETWORK, &r, NULL))
		abort();
	IS(offer(in, r, 1, early, NULL, NULL), INTAKE_ASIDE);
	INTEQ(intake_parked_len(in), 2);
	INTEQ(intake_next_ms(in), early + DAY_MS - INTAKE_AHEAD_MS);
	record_unref(job);
	intake_free(in);
}

/* A newer claim takes the older one's place; the older one cannot come back. */
static void test_superseded(void)
{
	struct intake *in = fresh(NULL, true);
	struct record *job = sample_job_record();
	CLEANUP(intake_effects_release) struct intake_effects fx = {0};
	struct record_fields f = {.kind = RECORD_CLAIM, .key = record_id(job)->b, .key_len = 32, .depends_len = 1};
	struct claim_body claim = {.job = *record_id(job)};
	CLEANUP(buf_release) struct buf body;
	struct record *versions[2];
	struct id32 project;
	sample_project_id(&project);
	topic_derive(&project, &f.topic);
	f.depends[0] = *record_id(job);
	for (unsigned i = 0; i < 2; i++) {
		f.created_ms = f.sequence = SAMPLE_CREATED_MS + i;
		claim.lease_until_ms = f.created_ms + CLAIM_LEASE_MAX_MS;
		buf_init(&body, RECORD_LEN_MAX);
		claim_body_encode(&claim, &body);
		f.body = body.data;
		f.body_len = body.len;
		if (record_sign(&f, other.secret, SAMPLE_NETWORK, &versions[i], NULL))
			abort();
		buf_release(&body);
	}
	/* both wait for the job: one batch, in which only the newer is put */
	IS(give(in, record_ref(versions[0])), INTAKE_PARKED);
	IS(give(in, record_ref(versions[1])), INTAKE_PARKED);
	IS(give(in, sample_project_record()), INTAKE_ADMITTED);
	INTEQ(intake_offer(in, job, 7, NOW, &fx), INTAKE_ADMITTED);
	INTEQ(fx.puts_len, 2);
	INTEQ(fx.deletes_len, 0);
	IS(give(in, record_ref(versions[0])), INTAKE_SUPERSEDED);
	OK(id32_eq(&index_claim_of(index_job(intake_index(in), record_id(job)), &other.id)->id, record_id(versions[1])), "the newer stands");
	for (unsigned i = 0; i < 2; i++)
		record_unref(versions[i]);
	record_unref(job);
	intake_free(in);
}

/* A full topic: authority and time decide, and the newcomer may be what goes. */
static void test_full_topic(void)
{
	struct intake_limits limits;
	intake_limits_default(&limits);
	limits.per_topic = 3;
	struct intake *in = fresh(&limits, true);
	struct record *job = sample_job_record();
	size_t puts, deletes;
	IS(give(in, sample_project_record()), INTAKE_ADMITTED);
	IS(give(in, record_ref(job)), INTAKE_ADMITTED);
	IS(give(in, sample_claim_record(&third, job)), INTAKE_ADMITTED); /* 30 min */
	IS(offer(in, sample_error_record(&third, job, OUTCOME_ERROR), 7, NOW, &puts, &deletes), INTAKE_ADMITTED); /* 180 d */
	INTEQ(deletes, 1);
	IS(give(in, sample_claim_record(&third, job)), INTAKE_TOPIC_FULL);
	IS(offer(in, sample_claim_record(&founder, job), 7, NOW, &puts, &deletes), INTAKE_ADMITTED);
	INTEQ(deletes, 1);
	IS(give(in, sample_error_record(&third, job, OUTCOME_ERROR)), INTAKE_TOPIC_FULL);
	INTEQ(intake_index(in)->entries.len, 3);
	intake_free(in);

	/* a full node: the same, over all topics; jobs do not push out each other */
	intake_limits_default(&limits);
	limits.records = 2;
	in = fresh(&limits, true);
	IS(give(in, sample_project_record()), INTAKE_ADMITTED);
	IS(give(in, record_ref(job)), INTAKE_ADMITTED);
	IS(give(in, sample_claim_record(&founder, job)), INTAKE_TOPIC_FULL);
	IS(give(in, sample_cancel_record(&founder, job)), INTAKE_TOPIC_FULL);
	intake_free(in);

	limits.records = 100;
	limits.bytes = 1;
	in = fresh(&limits, true);
	IS(give(in, sample_project_record()), INTAKE_ADMITTED);
	IS(give(in, record_ref(job)), INTAKE_TOPIC_FULL);
	INTEQ(intake_index(in)->entries.len, 1);
	intake_free(in);

	/* the index itself has no room: the one case that means to load anew */
	limits.records = 0;
	in = fresh(&limits, true);
	IS(give(in, sample_project_record()), INTAKE_ADMITTED);
	IS(give(in, record_ref(job)), INTAKE_NO_MEMORY);
	intake_free(in);
	record_unref(job);
}

/* From the store: what time has overtaken is left to the tick, what lost its ground is refused. */
static void test_restore(void)
{
	struct intake *in = fresh(NULL, false); /* not followed any more */
	struct record *project = sample_project_record(), *job = sample_job_record(), *claim = sample_claim_record(&other, job);
	const uint64_t late = SAMPLE_CREATED_MS + DAY_MS;
	CLEANUP(intake_effects_release) struct intake_effects fx = {0};
	IS(intake_restore(in, claim, late, &fx), INTAKE_NOT_FOLLOWED);
	IS(intake_restore(in, project, late, &fx), INTAKE_ADMITTED);
	IS(intake_restore(in, claim, late, &fx), INTAKE_PARKED);
	INTEQ(intake_parked_len(in), 0);
	IS(intake_restore(in, job, late, &fx), INTAKE_ADMITTED);
	IS(intake_restore(in, claim, late, &fx), INTAKE_ADMITTED);
	INTEQ(fx.puts_len, 0);
	OK(intake_next_ms(in) <= late, "the claim is over");
	intake_tick(in, late, &fx);
	INTEQ(fx.deletes_len, 1);
	IS(give(in, sample_error_record(&other, job, OUTCOME_ERROR)), INTAKE_NOT_FOLLOWED);
	struct id32 id;
	sample_project_id(&id);
	OK(!intake_follows(in, &id) && intake_follow(in, &id) && intake_follows(in, &id), "it can be followed again");
	IS(give(in, sample_error_record(&other, job, OUTCOME_ERROR)), INTAKE_ADMITTED);
	record_unref(claim);
	record_unref(job);
	record_unref(project);
	intake_free(in);
}

/* Of two of one moment exactly one stays, the same whichever came first. */
static struct id32 quota_after(bool backwards)
{
	struct intake_limits limits;
	intake_limits_default(&limits);
	limits.per_author = 1;
	struct intake *in = fresh(&limits, true);
	struct record *job = sample_job_record();
	size_t puts, deletes;
	IS(give(in, sample_project_record()), INTAKE_ADMITTED);
	IS(give(in, record_ref(job)), INTAKE_ADMITTED);
	IS(give(in, sample_error_record(&founder, job, backwards ? OUTCOME_REFUSED : OUTCOME_ERROR)), INTAKE_ADMITTED);
	const enum intake_reason why = offer(in, sample_error_record(&founder, job, backwards ? OUTCOME_ERROR : OUTCOME_REFUSED), 7, NOW, &puts, &deletes);
	OK(why == INTAKE_QUOTA ? !puts && !deletes : why == INTAKE_ADMITTED && puts == 1 && deletes == 1, "one goes for the other");
	const struct ix_entry *e = index_job(intake_index(in), record_id(job))->results;
	OK(e && !e->next_of_job, "one stays");
	const struct id32 id = e->id;
	record_unref(job);
	intake_free(in);
	return id;
}

static void test_quota(void)
{
	const struct id32 one = quota_after(false), two = quota_after(true);
	MEMEQ(&one, &two, sizeof one);
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
	test_trusted_stand_beside();
	test_founder();
	test_bad_records();
	test_unknown_kind();
	test_aside_is_bounded();
	test_superseded();
	test_full_topic();
	test_restore();
	test_quota();
#define X(name, value, text) OK(seen[name], "some record was answered \"%s\"", text);
	INTAKE_REASONS(X)
#undef X
	return tap_done();
}
