/* What the stages' messages come to: outcomes and their sentences, without a process. */
#include <stdio.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "runner/frames.h"
#include "runner/tally.h"
#include "tests/unit/tap.h"

#define MIB (1ull << 20)
#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static struct job_plan plan_of(void)
{
	struct job_plan p = {
		.source.commit = COMMIT,
		.plan_origin = JOB_ORIGIN_TREE,
		.timeout_factor_emulated = 15,
		.limits = {.cpus = 2, .memory_bytes = 512 * MIB, .disk_bytes = 1024 * MIB, .timeout_ms = 60000, .log_bytes = MIB,
			   .artifact_bytes = MIB, .artifact_count = 3, .source_bytes = MIB},
	};
	return p;
}

struct bench {
	struct events events;
	struct tally t;
	uint64_t now_ms;
};

static void bench_init(struct bench *b, const struct job_plan *plan)
{
	b->now_ms = 1000;
	events_init(&b->events, -1, b->now_ms);
	tally_init(&b->t, plan, &b->events, b->now_ms, 5000);
}

static void bench_release(struct bench *b)
{
	tally_release(&b->t);
	events_release(&b->events);
}

static bool say(struct bench *b, enum stage_id from, struct stage_msg msg)
{
	b->now_ms += 10;
	return tally_message(&b->t, from, &msg, b->now_ms);
}

static bool say_step(struct bench *b, enum stage_msg_type type, uint32_t index, int32_t code)
{
	return say(b, type == STAGE_MSG_STEP_NAME ? STAGE_PACK : STAGE_LOG,
		   (struct stage_msg){.type = type, .u.step = {.index = index, .exit_code = code, .name = "build"}});
}

/* Up to two named steps and a running machine. */
static void to_machine(struct bench *b, struct job_limits wanted)
{
	struct stage_msg plan = {.type = STAGE_MSG_PLAN, .u.plan = {.path = ".talkoo.yml", .image = "mini", .origin = JOB_ORIGIN_TREE, .steps = 2}};
	plan.u.plan.wanted = wanted;
	OK(say(b, STAGE_PACK, plan) && say_step(b, STAGE_MSG_STEP_NAME, 0, 0) && say_step(b, STAGE_MSG_STEP_NAME, 1, 0), "a plan of two steps");
}

static void to_done(struct bench *b, int code, int limit)
{
	to_machine(b, (struct job_limits){0});
	OK(tally_check_limits(&b->t), "within limits");
	tally_vm_started(&b->t, b->now_ms);
	OK(say(b, STAGE_LOG, (struct stage_msg){.type = STAGE_MSG_GUEST_READY}), "ready");
	OK(say_step(b, STAGE_MSG_STEP_START, 0, 0) && say_step(b, STAGE_MSG_STEP_END, 0, 0) && say_step(b, STAGE_MSG_STEP_START, 1, 0), "steps");
	if (limit)
		OK(say_step(b, STAGE_MSG_GUEST_LIMIT, 1, limit), "limit");
	OK(say_step(b, STAGE_MSG_STEP_END, 1, code), "end");
	OK(say(b, STAGE_LOG, (struct stage_msg){.type = STAGE_MSG_GUEST_DONE, .u.done.tar_bytes = 1024}), "done");
	tally_judge(&b->t);
	tally_finish(&b->t, b->now_ms, 9000);
}

static void test_outcomes(void)
{
	static const struct {
		int code, limit;
		enum job_outcome outcome;
		const char *in_reason;
	} cases[] = {
		{0, 0, JOB_PASSED, ""},
		{3, 0, JOB_FAILED, "step 2/2, build, ended with exit code 3"},
		{137, 0, JOB_FAILED, "137"},
		{137, GUEST_LIMIT_MEMORY, JOB_ERROR, "ran out of memory (512"},
		{1, GUEST_LIMIT_DISK, JOB_ERROR, "ran out of disk (1"},
		{0, GUEST_LIMIT_DISK, JOB_PASSED, ""}, /* it got along without */
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct job_plan plan = plan_of();
		CLEANUP(bench_release) struct bench b;
		bench_init(&b, &plan);
		to_done(&b, cases[i].code, cases[i].limit);
		INTEQ(b.t.report.outcome, cases[i].outcome);
		OK(strstr(b.t.report.reason, cases[i].in_reason) != NULL, "reason: %s", b.t.report.reason);
		OK((b.t.report.outcome == JOB_PASSED) == !b.t.report.reason[0], "a reason unless passed");
	}
}

static void test_times(void)
{
	struct job_plan plan = plan_of();
	CLEANUP(bench_release) struct bench b;
	bench_init(&b, &plan);
	to_done(&b, 0, 0);
	const struct job_report *r = &b.t.report;
	INTEQ(r->timings.boot_ms, 20);
	INTEQ(r->steps[0].duration_ms, 10);
	INTEQ(r->timings.steps_ms, 30);
	INTEQ(r->started_unix_ms, 5000);
	INTEQ(r->finished_unix_ms, 9000);
	INTEQ(r->timings.total_ms, b.now_ms - 1000);
}

static void test_no_done(void)
{
	struct job_plan plan = plan_of();
	CLEANUP(bench_release) struct bench b;
	bench_init(&b, &plan);
	to_machine(&b, (struct job_limits){0});
	OK(say(&b, STAGE_LOG, (struct stage_msg){.type = STAGE_MSG_GUEST_READY}) && say_step(&b, STAGE_MSG_STEP_START, 0, 0), "running");
	OK(!say(&b, STAGE_LOG, (struct stage_msg){.type = STAGE_MSG_GUEST_DONE}), "done while a step runs makes no sense");
	tally_judge(&b.t);
	INTEQ(b.t.report.outcome, JOB_ERROR);
	OK(strstr(b.t.report.reason, "panicked") != NULL, "reason: %s", b.t.report.reason);
	OK(b.t.report.hint[0], "a hint");
}

static void test_skipped_steps(void)
{
	struct job_plan plan = plan_of();
	CLEANUP(bench_release) struct bench b;
	bench_init(&b, &plan);
	to_machine(&b, (struct job_limits){0});
	OK(say(&b, STAGE_LOG, (struct stage_msg){.type = STAGE_MSG_GUEST_READY}), "ready");
	OK(say(&b, STAGE_LOG, (struct stage_msg){.type = STAGE_MSG_GUEST_DONE}), "done at once");
	tally_judge(&b.t);
	INTEQ(b.t.report.outcome, JOB_ERROR);
	OK(strstr(b.t.report.reason, "before step 1/2") != NULL, "reason: %s", b.t.report.reason);
}

/* Three steps in any order, the last for failures only. */
static void side_by_side(struct bench *b)
{
	struct stage_msg plan = {.type = STAGE_MSG_PLAN,
				 .u.plan = {.path = ".talkoo.yml", .image = "mini", .origin = JOB_ORIGIN_TREE, .steps = 3, .any_order = 1}};
	OK(say(b, STAGE_PACK, plan), "a plan of three steps");
	for (uint32_t i = 0; i < 3; i++)
		OK(say(b, STAGE_PACK, (struct stage_msg){.type = STAGE_MSG_STEP_NAME,
							 .u.step = {.index = i, .name = "build", .on_failure = i == 2}}), "a name");
	OK(tally_check_limits(&b->t), "within limits");
	tally_vm_started(&b->t, b->now_ms);
	OK(say(b, STAGE_LOG, (struct stage_msg){.type = STAGE_MSG_GUEST_READY}), "ready");
	OK(say_step(b, STAGE_MSG_STEP_START, 1, 0) && say_step(b, STAGE_MSG_STEP_START, 0, 0), "two at once");
	OK(!say_step(b, STAGE_MSG_STEP_START, 1, 0) && !say_step(b, STAGE_MSG_STEP_END, 2, 0) && !say_step(b, STAGE_MSG_GUEST_LIMIT, 2, 1),
	   "what cannot be");
	OK(!say(b, STAGE_LOG, (struct stage_msg){.type = STAGE_MSG_GUEST_DONE}), "done while they run makes no sense");
}

static void finish_side_by_side(struct bench *b)
{
	OK(say(b, STAGE_LOG, (struct stage_msg){.type = STAGE_MSG_GUEST_DONE, .u.done.tar_bytes = 1024}), "done");
	tally_judge(&b->t);
	tally_finish(&b->t, b->now_ms, 9000);
}

static void test_side_by_side(void)
{
	struct job_plan plan = plan_of();
	CLEANUP(bench_release) struct bench good;
	CLEANUP(bench_release) struct bench bad;
	CLEANUP(bench_release) struct bench late;
	bench_init(&good, &plan);
	side_by_side(&good);
	OK(say_step(&good, STAGE_MSG_STEP_END, 0, 0) && say_step(&good, STAGE_MSG_STEP_END, 1, 0), "both end");
	finish_side_by_side(&good);
	STREQ(good.t.report.reason, "");
	INTEQ(good.t.report.outcome, JOB_PASSED);
	INTEQ(good.t.report.steps[2].exit_code, -1);
	bench_init(&bad, &plan);
	side_by_side(&bad);
	OK(say_step(&bad, STAGE_MSG_STEP_END, 1, 3) && say_step(&bad, STAGE_MSG_STEP_END, 0, 0) && say_step(&bad, STAGE_MSG_STEP_START, 2, 0) &&
		   say_step(&bad, STAGE_MSG_STEP_END, 2, 4), "one fails, then the one for failures, too");
	finish_side_by_side(&bad);
	INTEQ(bad.t.report.outcome, JOB_FAILED);
	STREQ(bad.t.report.reason, "step 2/3, build, ended with exit code 3");
	OK(!strstr(bad.t.report.hint, "network"), "a failure like others");
	CLEANUP(bench_release) struct bench alone;
	bench_init(&alone, &plan);
	side_by_side(&alone);
	OK(!say_step(&alone, STAGE_MSG_NETWORK_WANTED, 2, 0) && !say_step(&alone, STAGE_MSG_NETWORK_WANTED, 3, 0), "of a step that never ran");
	OK(say_step(&alone, STAGE_MSG_NETWORK_WANTED, 1, 0) && say_step(&alone, STAGE_MSG_STEP_END, 0, 0) &&
		   say_step(&alone, STAGE_MSG_STEP_END, 1, 6), "one looks for a network");
	finish_side_by_side(&alone);
	OK(alone.t.report.outcome == JOB_FAILED && strstr(alone.t.report.hint, "wanted a network"), "hint: %s", alone.t.report.hint);
	bench_init(&late, &plan);
	side_by_side(&late);
	OK(say_step(&late, STAGE_MSG_GUEST_LIMIT, 0, GUEST_LIMIT_TIME) && say_step(&late, STAGE_MSG_STEP_END, 0, 137) &&
		   say_step(&late, STAGE_MSG_STEP_END, 1, 0), "one takes too long");
	finish_side_by_side(&late);
	INTEQ(late.t.report.outcome, JOB_TIMEOUT);
	STREQ(late.t.report.reason, "step 1/3, build, ran longer than its timeout");
}

static void test_first_outcome_stays(void)
{
	struct job_plan plan = plan_of();
	CLEANUP(bench_release) struct bench b;
	bench_init(&b, &plan);
	tally_settle(&b.t, JOB_ABANDONED, NULL, "first");
	OK(say(&b, STAGE_LOG, (struct stage_msg){.type = STAGE_MSG_FAILED, .u.failed = {.outcome = JOB_ERROR, .reason = "second"}}), "taken");
	tally_judge(&b.t);
	INTEQ(b.t.report.outcome, JOB_ABANDONED);
	STREQ(b.t.report.reason, "first");
}

static void test_limits(void)
{
	static const struct {
		struct job_limits want;
		const char *in_reason; /* NULL: allowed */
	} cases[] = {
		{{0}, NULL},
		{{.cpus = 2, .memory_bytes = 512 * MIB, .disk_bytes = 1024 * MIB, .timeout_ms = 120000}, NULL},
		{{.cpus = 3}, "asks for 3 cpus, 2 are allowed"},
		{{.memory_bytes = 512 * MIB + 1}, "memory"},
		{{.disk_bytes = 2048 * MIB}, "2.0 GiB of disk, 1.0 GiB is allowed"},
		{{.memory_bytes = 64 * MIB}, "64.0 MiB does not boot"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct job_plan plan = plan_of();
		CLEANUP(bench_release) struct bench b;
		bench_init(&b, &plan);
		to_machine(&b, cases[i].want);
		INTEQ(tally_check_limits(&b.t), cases[i].in_reason == NULL);
		if (cases[i].in_reason)
			OK(b.t.report.outcome == JOB_REFUSED && strstr(b.t.report.reason, cases[i].in_reason), "refused: %s", b.t.report.reason);
		else
			OK(b.t.report.limits.timeout_ms == 60000, "a longer time limit is cut down, not refused");
	}
}

static void test_timeout_in_force(void)
{
	static const struct {
		uint64_t wanted_ms, cap_ms;
		enum job_accel accel;
		uint64_t result_ms;
	} cases[] = {
		{0, 0, JOB_ACCEL_KVM, 60000},      {0, 0, JOB_ACCEL_TCG, 900000},    {30000, 0, JOB_ACCEL_TCG, 450000},
		{0, 100000, JOB_ACCEL_TCG, 100000}, {0, 100000, JOB_ACCEL_KVM, 60000}, {30000, 10000, JOB_ACCEL_KVM, 10000},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct job_plan plan = plan_of();
		plan.timeout_cap_ms = cases[i].cap_ms;
		CLEANUP(bench_release) struct bench b;
		bench_init(&b, &plan);
		to_machine(&b, (struct job_limits){.timeout_ms = cases[i].wanted_ms});
		OK(tally_check_limits(&b.t), "within limits");
		b.t.report.accel = cases[i].accel;
		tally_set_timeout(&b.t);
		INTEQ(b.t.report.limits.timeout_ms, cases[i].result_ms);
	}
}

static void test_timed_out(void)
{
	struct job_plan plan = plan_of();
	CLEANUP(bench_release) struct bench b;
	bench_init(&b, &plan);
	to_machine(&b, (struct job_limits){0});
	OK(tally_check_limits(&b.t) && say_step(&b, STAGE_MSG_STEP_START, 0, 0), "running");
	tally_timed_out(&b.t);
	INTEQ(b.t.report.outcome, JOB_TIMEOUT);
	OK(strstr(b.t.report.reason, "in step 1/2, build") != NULL, "reason: %s", b.t.report.reason);
}

static void test_images(void)
{
	static const struct {
		const char *asked, *given;
		bool fits;
	} cases[] = {
		{"mini", "mini", true},   {"mini", "mini@1", true},    {"mini@1", "mini@1", true}, {"mini@1", "mini", false},
		{"mini@1", "mini@2", false}, {"mini", "min", false}, {"min", "mini", false},    {"c", "mini@1", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		OK(tally_image_fits(cases[i].asked, cases[i].given) == cases[i].fits, "%s for %s", cases[i].given, cases[i].asked);
	static const struct {
		const char *job, *image;
		bool goes_on;
	} jobs[] = {{"", "c@2", true}, {"ab", "c@2", false}, {"ab", "mini@1", true}, {"ab", "", true}};
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		struct job_plan plan = plan_of();
		snprintf(plan.job, sizeof plan.job, "%s", jobs[i].job);
		snprintf(plan.image, sizeof plan.image, "%s", jobs[i].image);
		CLEANUP(bench_release) struct bench b;
		bench_init(&b, &plan);
		to_machine(&b, (struct job_limits){0});
		OK(tally_check_limits(&b.t) == jobs[i].goes_on, "job '%s', image '%s' against the plan's mini", jobs[i].job, jobs[i].image);
	}
}

/* Checked messages in an order that a taken-over stage would choose. */
/* What the guest left out for a cap is no secret of its log, whatever its steps came to. */
static void test_partial(void)
{
	struct job_plan plan = plan_of();
	for (uint32_t is_partial = 0; is_partial < 2; is_partial++) {
		CLEANUP(bench_release) struct bench b;
		bench_init(&b, &plan);
		to_machine(&b, (struct job_limits){0});
		OK(tally_check_limits(&b.t) && say(&b, STAGE_LOG, (struct stage_msg){.type = STAGE_MSG_GUEST_READY}), "ready");
		for (uint32_t i = 0; i < 2; i++)
			OK(say_step(&b, STAGE_MSG_STEP_START, i, 0) && say_step(&b, STAGE_MSG_STEP_END, i, 0), "step");
		OK(say(&b, STAGE_LOG, (struct stage_msg){.type = STAGE_MSG_GUEST_DONE, .u.done.is_partial = is_partial}), "done");
		tally_judge(&b.t);
		tally_finish(&b.t, b.now_ms, 9000);
		INTEQ(b.t.report.outcome, JOB_PASSED);
		OK(b.t.report.artifacts_partial == is_partial, "partial: %u", is_partial);
	}
}

static void test_nonsense(void)
{
	struct job_plan plan = plan_of();
	CLEANUP(bench_release) struct bench b;
	bench_init(&b, &plan);
	OK(!say_step(&b, STAGE_MSG_STEP_NAME, 0, 0), "a step's name before the plan");
	OK(!say_step(&b, STAGE_MSG_STEP_START, 0, 0), "a step before the plan");
	to_machine(&b, (struct job_limits){0});
	OK(!say_step(&b, STAGE_MSG_STEP_NAME, 2, 0), "a third name of two");
	OK(!say(&b, STAGE_PACK, (struct stage_msg){.type = STAGE_MSG_PLAN, .u.plan = {.origin = JOB_ORIGIN_TREE, .steps = 1}}), "a second plan");
	OK(!say_step(&b, STAGE_MSG_STEP_END, 0, 0), "an end without a start");
	OK(!say_step(&b, STAGE_MSG_STEP_START, 1, 0), "out of order");
	OK(!say(&b, STAGE_LOG, (struct stage_msg){.type = STAGE_MSG_GUEST_DONE}), "done before ready");
	OK(!say_step(&b, STAGE_MSG_GUEST_LIMIT, 0, 1), "a limit of a step that did not start");
	for (int i = 0; i < 3; i++)
		OK(say(&b, STAGE_COLLECT, (struct stage_msg){.type = STAGE_MSG_ARTIFACT, .u.artifact.path = "a"}), "artifact %d", i);
	OK(!say(&b, STAGE_COLLECT, (struct stage_msg){.type = STAGE_MSG_ARTIFACT, .u.artifact.path = "a"}), "one too many");
	OK(say(&b, STAGE_LOG, (struct stage_msg){.type = STAGE_MSG_GUEST_READY}), "ready");
	OK(!say(&b, STAGE_LOG, (struct stage_msg){.type = STAGE_MSG_GUEST_READY}), "ready once more would move the deadline");
}

static void test_commit(void)
{
	const struct {
		const char *planned, *said;
		bool is_taken;
	} cases[] = {{COMMIT, COMMIT, true},
		     {COMMIT, "1123456789abcdef0123456789abcdef01234567", false},
		     {"", COMMIT, true},
		     {"0123456", COMMIT, true}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct job_plan plan = plan_of();
		snprintf(plan.source.commit, sizeof plan.source.commit, "%s", cases[i].planned);
		CLEANUP(bench_release) struct bench b;
		bench_init(&b, &plan);
		struct stage_msg msg = {.type = STAGE_MSG_COMMIT};
		snprintf(msg.u.text, sizeof msg.u.text, "%s", cases[i].said);
		OK(say(&b, STAGE_FETCH, msg) == cases[i].is_taken, "the plan names '%s', fetch says %s", cases[i].planned, cases[i].said);
		STREQ(b.t.plan.source.commit, cases[i].is_taken ? cases[i].said : cases[i].planned);
	}
}

static void test_huge_artifacts(void)
{
	struct job_plan plan = plan_of();
	CLEANUP(bench_release) struct bench b;
	bench_init(&b, &plan);
	to_machine(&b, (struct job_limits){0});
	OK(say(&b, STAGE_LOG, (struct stage_msg){.type = STAGE_MSG_GUEST_READY}), "ready");
	OK(say(&b, STAGE_LOG, (struct stage_msg){.type = STAGE_MSG_GUEST_DONE, .u.done.tar_bytes = UINT64_MAX}), "2^64-1 bytes of artifacts");
	INTEQ(b.t.report.outcome, JOB_ERROR);
}

int main(void)
{
	test_outcomes();
	test_times();
	test_no_done();
	test_skipped_steps();
	test_side_by_side();
	test_first_outcome_stays();
	test_limits();
	test_timeout_in_force();
	test_timed_out();
	test_images();
	test_partial();
	test_nonsense();
	test_commit();
	test_huge_artifacts();
	return tap_done();
}
