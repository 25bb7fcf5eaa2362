/* Results as one verified value: what is copied, mixed or bent must not open. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/dsse.h"
#include "tests/unit/samples.h"
#include "tests/unit/tap.h"

static struct sample_key volunteer, thief;
static struct record *job;

static int open_result(const struct record *r, struct err *err)
{
	struct result_body body;
	struct statement s;
	bool has_statement;
	const int e = result_open(r, &body, &s, &has_statement, err);
	if (!e)
		statement_release(&s);
	return e;
}

static void test_opens(void)
{
	for (uint8_t outcome = OUTCOME_PASSED; outcome <= OUTCOME_TIMEOUT; outcome++) {
		struct statement s, got;
		struct result_body body;
		bool has_statement = false;
		struct err err = {0};
		sample_statement(&s, &volunteer, job, outcome);
		CLEANUP(record_unrefp) struct record *r = sample_result_record(&volunteer, job, &s);
		OK(!result_open(r, &body, &got, &has_statement, &err), "opens %s", err.what);
		OK(has_statement && got.outcome == outcome && !strcmp(got.commit, SAMPLE_COMMIT) && got.steps_len == 2 && got.artifacts_len == 1, "statement");
		STREQ(got.steps[1].name, s.steps[1].name);
		OK(blob_digest_eq(&got.artifacts[0].digest, &s.artifacts[0].digest), "artifact's digest");
		statement_release(&got);
		statement_release(&s);
	}
	for (unsigned outcome = OUTCOME_ERROR; outcome <= OUTCOME_REFUSED; outcome++) {
		struct statement got;
		struct result_body body;
		bool has_statement = true;
		CLEANUP(record_unrefp) struct record *r = sample_error_record(&volunteer, job, outcome);
		INTEQ(result_open(r, &body, &got, &has_statement, NULL), 0);
		OK(!has_statement && body.outcome == outcome && !got.steps, "no statement");
		statement_release(&got);
	}
}

/* The volunteer's payload and signature in a record of another author, or about another job. */
static void test_copied(void)
{
	struct statement s;
	struct result_body body;
	struct err err = {0};
	sample_statement(&s, &volunteer, job, OUTCOME_PASSED);
	CLEANUP(record_unrefp) struct record *honest = sample_result_record(&volunteer, job, &s);
	INTEQ(result_body_decode(honest, &body, NULL), 0);
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, RECORD_RESULT_LEN_MAX);
	result_body_encode(&body, &b);
	CLEANUP(record_unrefp) struct record *copied = sample_record(RECORD_RESULT, &thief, NULL, NULL, 0, &body.job, &b);
	OK(open_result(copied, &err) == ERR_INVALID && strstr(err.what, "signature is not its author's"), "copied: %s", err.what);

	/* signed again by the thief: the statement still names the volunteer */
	CLEANUP(record_unrefp) struct record *resigned = sample_result_record(&thief, job, &s);
	OK(open_result(resigned, &err) == ERR_INVALID && strstr(err.what, "another node's"), "signed again: %s", err.what);

	/* the volunteer's own statement under another job */
	body.job.b[0] ^= 1;
	buf_reset(&b);
	result_body_encode(&body, &b);
	CLEANUP(record_unrefp) struct record *other_job = sample_record(RECORD_RESULT, &volunteer, NULL, NULL, 0, &body.job, &b);
	OK(open_result(other_job, &err) == ERR_INVALID && strstr(err.what, "another job"), "another job: %s", err.what);

	/* and in another project's topic */
	body.job.b[0] ^= 1;
	buf_reset(&b);
	result_body_encode(&body, &b);
	const struct id32 topic = {{5}};
	CLEANUP(record_unrefp) struct record *other_topic = sample_record(RECORD_RESULT, &volunteer, &topic, NULL, 0, &body.job, &b);
	OK(open_result(other_topic, &err) == ERR_INVALID && strstr(err.what, "another project"), "another project: %s", err.what);
	statement_release(&s);
}

static void test_flipped(void)
{
	struct statement s;
	struct result_body body;
	sample_statement(&s, &volunteer, job, OUTCOME_FAILED);
	CLEANUP(record_unrefp) struct record *honest = sample_result_record(&volunteer, job, &s);
	INTEQ(result_body_decode(honest, &body, NULL), 0);
	CLEANUP(cleanup_free) uint8_t *payload = malloc(body.payload_len);
	if (!payload)
		abort();
	memcpy(payload, body.payload, body.payload_len);
	struct result_body bent = body;
	bent.payload = payload;
	unsigned opened = 0;
	/* the author itself signs the record around it, so only the statement's signature stands in the way */
	for (size_t bit = 0; bit < (body.payload_len + 64) * 8; bit += 3) {
		uint8_t *p = bit / 8 < body.payload_len ? payload + bit / 8 : bent.signature + (bit / 8 - body.payload_len);
		*p ^= (uint8_t)(1u << bit % 8);
		CLEANUP(buf_release) struct buf b;
		buf_init(&b, RECORD_RESULT_LEN_MAX);
		result_body_encode(&bent, &b);
		CLEANUP(record_unrefp) struct record *r = sample_record(RECORD_RESULT, &volunteer, NULL, NULL, 0, &body.job, &b);
		opened += !open_result(r, NULL);
		*p ^= (uint8_t)(1u << bit % 8);
	}
	INTEQ(opened, 0);
	statement_release(&s);
}

/* The greatest statement fits the greatest record; past it the lists move to the index. */
static void test_sizes(void)
{
	struct statement s;
	sample_statement(&s, &volunteer, job, OUTCOME_FAILED);
	free(s.steps);
	s.steps = calloc(STATEMENT_STEPS_MAX, sizeof *s.steps);
	if (!s.steps)
		abort();
	memset(s.reason, '"', sizeof s.reason - 1);
	memset(s.cell, '\\', sizeof s.cell - 1);
	memset(s.ref + 11, 'r', sizeof s.ref - 12);
	memset(s.ref_seen + 11, 'r', sizeof s.ref_seen - 12);
	memset(s.plan_path, 'p', sizeof s.plan_path - 1);
	bool has_index = false;
	for (s.steps_len = 0; s.steps_len < STATEMENT_STEPS_MAX; s.steps_len++) {
		memset(s.steps[s.steps_len].name, '"', sizeof s.steps->name - 1);
		CLEANUP(record_unrefp) struct record *r = sample_result_record(&volunteer, job, &s);
		struct result_body body;
		struct statement got;
		bool has_statement;
		if (result_open(r, &body, &got, &has_statement, NULL)) {
			OK(false, "%zu steps open", s.steps_len);
			break;
		}
		has_index |= got.has_index;
		statement_release(&got);
	}
	OK(s.steps_len == STATEMENT_STEPS_MAX && has_index, "any number of steps fits, with an index in the end");
	statement_release(&s);
}

static void test_job_agreement(void)
{
	struct statement s;
	struct job_body body;
	struct err err = {0};
	sample_statement(&s, &volunteer, job, OUTCOME_PASSED);
	sample_job(&body);
	INTEQ(statement_check_job(&s, record_id(job), &body, &err), 0);
#define DIFFERS(field, ...)                                                                                            \
	do {                                                                                                           \
		struct statement t = s;                                                                                \
		struct job_body b = body;                                                                              \
		struct id32 id = *record_id(job);                                                                      \
		__VA_ARGS__;                                                                                           \
		(void)id;                                                                                              \
		OK(statement_check_job(&t, &id, &b, &err) == ERR_INVALID && strstr(err.what, field " is not"), "%s", err.what); \
	} while (0)
	DIFFERS("job", id.b[0] ^= 1);
	DIFFERS("project", t.project.b[0] ^= 1);
	DIFFERS("commit", t.commit[0] = 'f');
	DIFFERS("ref", strcpy(t.ref, "refs/heads/other"));
	DIFFERS("cell", strcpy(b.cell, "x"));
	DIFFERS("arch", strcpy(t.arch, "aarch64"));
	DIFFERS("plan's origin", t.plan_origin = PLAN_INLINE);
	DIFFERS("plan's path", strcpy(t.plan_path, "Makefile"));
	DIFFERS("plan's sha256", t.plan_sha256[0] = 'f');
	DIFFERS("image", strcpy(t.image_name, "mini@2"));
	DIFFERS("image", strcpy(b.image, "min"));
	DIFFERS("image's digest", strcpy(b.image_digest, b.plan_sha256));
	strcpy(body.image, "mini");
	INTEQ(statement_check_job(&s, record_id(job), &body, NULL), 0);
	body.image[0] = 0;
	INTEQ(statement_check_job(&s, record_id(job), &body, NULL), 0);
	statement_release(&s);
}

int main(void)
{
	sample_key_init(&volunteer, 4);
	sample_key_init(&thief, 5);
	job = sample_job_record();
	test_opens();
	test_copied();
	test_flipped();
	test_sizes();
	test_job_agreement();
	record_unref(job);
	return tap_done();
}
