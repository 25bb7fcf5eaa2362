#include <stdlib.h>
#include <string.h>

#include "node/attestor.h"
#include "tests/unit/tap.h"

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* A job, what the runner was given, and a report that agrees with both. */
struct fixture {
	struct job_body body;
	struct job_plan plan;
	struct job_report report;
	struct job_step_report steps[2];
	struct job_artifact artifact;
	struct attest_input in;
};

static void digest(struct job_digest *d, uint64_t size)
{
	strcpy(d->sha256, HEX64);
	strcpy(d->root, HEX64);
	d->size_bytes = size;
}

static void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof *f);
	strcpy(f->body.commit, "0123456789012345678901234567890123456789");
	strcpy(f->body.ref, "refs/heads/main");
	strcpy(f->body.image, "mini");
	f->body.plan_origin = PLAN_TREE;
	strcpy(f->body.plan_path, ".talkoo.yml");
	strcpy(f->body.plan_sha256, HEX64);
	f->plan.emulation_allowed = true;
	f->plan.limits = (struct job_limits){.cpus = 2, .memory_bytes = 1u << 30, .disk_bytes = 1u << 30};
	f->report.outcome = JOB_PASSED;
	f->report.plan_origin = JOB_ORIGIN_TREE;
	strcpy(f->report.plan_path, ".talkoo.yml");
	strcpy(f->report.plan_sha256, HEX64);
	strcpy(f->report.image_name, "mini@1");
	strcpy(f->report.image_digest, HEX64);
	f->report.limits = (struct job_limits){.cpus = 1, .memory_bytes = 1u << 28, .disk_bytes = 1u << 28};
	f->report.accel = JOB_ACCEL_TCG;
	digest(&f->report.source, 1000);
	digest(&f->report.log, 20);
	digest(&f->artifact.digest, 7);
	strcpy(f->artifact.path, "a/b");
	strcpy(f->steps[0].name, "one");
	strcpy(f->steps[1].name, "two");
	f->report.steps = f->steps;
	f->report.steps_len = 2;
	f->report.artifacts = &f->artifact;
	f->report.artifacts_len = 1;
	f->report.started_unix_ms = 10500;
	f->report.finished_unix_ms = 11500;
	f->in = (struct attest_input){.body = &f->body, .plan = &f->plan, .report = &f->report, .started_ms = 10000, .ended_ms = 12000};
	memset(f->in.self.b, 1, 32);
	memset(f->in.job.b, 2, 32);
}

static void expect(struct fixture *f, enum job_outcome outcome, const char *reason_part, const char *what)
{
	struct attestation a;
	if (!OK(!attest(&f->in, &a, NULL), "attest: %s", what))
		return;
	OK(a.outcome == outcome, "%s: outcome %s", what, job_outcome_name(a.outcome));
	OK(strstr(a.reason, reason_part) != NULL, "%s: '%s' in '%s'", what, reason_part, a.reason);
	const bool about_project = outcome == JOB_PASSED || outcome == JOB_FAILED || outcome == JOB_TIMEOUT;
	OK(a.has_statement == about_project, "%s: statement or not", what);
	attestation_release(&a);
}

static void test_agreeing(void)
{
	struct fixture f;
	fixture_init(&f);
	struct attestation a;
	OK(!attest(&f.in, &a, NULL) && a.has_statement, "a report that agrees");
	STREQ(a.statement.commit, f.body.commit);
	STREQ(a.statement.accel, "tcg");
	INTEQ(a.statement.duration_ms, 1000);
	INTEQ(a.statement.steps_len, 2);
	INTEQ(a.statement.artifacts[0].digest.size, 7);
	attestation_release(&a);

	f.report.started_unix_ms = 5;          /* before the node started it */
	f.report.finished_unix_ms = 99999999;  /* after it ended */
	f.steps[0].duration_ms = 99999999;
	OK(!attest(&f.in, &a, NULL), "times outside the window");
	INTEQ(a.statement.started_ms, 10000);
	INTEQ(a.statement.finished_ms, 12000);
	INTEQ(a.statement.steps[0].duration_ms, 2000);
	attestation_release(&a);
}

#define CASE(change, outcome, reason, what)                                                                            \
	do {                                                                                                           \
		struct fixture f;                                                                                      \
		fixture_init(&f);                                                                                      \
		change;                                                                                                \
		expect(&f, outcome, reason, what);                                                                     \
	} while (0)

int main(void)
{
	test_agreeing();
	CASE((void)0, JOB_PASSED, "", "passed");
	CASE((f.report.outcome = JOB_FAILED, f.steps[1].exit_code = 1), JOB_FAILED, "", "failed");
	CASE((f.report.outcome = JOB_TIMEOUT, f.steps[1].exit_code = -1), JOB_TIMEOUT, "", "timeout");
	CASE((f.report.outcome = JOB_ERROR, strcpy(f.report.reason, "QEMU died")), JOB_ERROR, "QEMU died", "error");
	CASE((f.report.outcome = JOB_REFUSED, strcpy(f.report.reason, "no plan")), JOB_REFUSED, "no plan", "refused");
	CASE(f.in.report = NULL, JOB_ERROR, "without a report", "no report");
	CASE((f.in.report = NULL, f.in.was_abandoned = true), JOB_ABANDONED, "stopped", "abandoned without report");
	CASE(f.in.was_abandoned = true, JOB_ABANDONED, "", "abandoned though it says passed");
	CASE(f.report.plan_origin = JOB_ORIGIN_INLINE, JOB_ERROR, "origin", "another origin");
	CASE(f.report.plan_sha256[3] ^= 1, JOB_ERROR, "plan's digest", "another plan");
	CASE(strcpy(f.report.plan_path, "x"), JOB_ERROR, "path", "another path");
	CASE(strcpy(f.report.image_name, "minimal@1"), JOB_ERROR, "image", "an image whose name only begins alike");
	CASE((strcpy(f.body.image, "mini@1"), strcpy(f.report.image_name, "mini@2")), JOB_ERROR, "image", "another version");
	CASE((strcpy(f.body.image_digest, HEX64), f.report.image_digest[0] = 'f'), JOB_ERROR, "image's digest", "another image");
	CASE(f.report.accel = JOB_ACCEL_AUTO, JOB_ERROR, "accelerator", "no accelerator");
	CASE(f.plan.emulation_allowed = false, JOB_ERROR, "emulated", "emulated where it must not be");
	CASE(f.report.limits.cpus = 3, JOB_ERROR, "limits", "more cpus than this node's");
	CASE(f.report.log.sha256[0] = 'x', JOB_ERROR, "digest of source or log", "no log digest");
	CASE(f.steps[0].exit_code = 1, JOB_ERROR, "says passed", "passed with a failed step");
	CASE(f.report.steps_len = 0, JOB_ERROR, "says passed", "passed without steps");
	CASE(f.report.outcome = JOB_FAILED, JOB_ERROR, "says failed", "failed without a failed step");
	return tap_done();
}
