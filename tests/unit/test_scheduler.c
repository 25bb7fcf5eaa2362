#include <string.h>

#include "node/scheduler.h"
#include "proto/base/cleanup.h"
#include "tests/unit/tap.h"

#define NOW UINT64_C(1000000000000)

static struct sched_view view(uint8_t n)
{
	struct sched_view v = {.created_ms = NOW - 1000 + n, .claim_until_ms = NOW + 86400000, .is_allowed = true, .wanted = 1};
	memset(v.job.b, n, 32);
	return v;
}

/* "claim 1, start 1" … of one step */
static const char *step(struct scheduler *s, uint64_t now_ms)
{
	static char text[512];
	static const char *const names[] = {"", "claim", "start", "renew", "stop", "give-up"};
	struct sched_actions actions;
	scheduler_step(s, now_ms, &actions);
	size_t at = 0;
	text[0] = 0;
	for (size_t i = 0; i < actions.len; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%s %d", i ? ", " : "", names[actions.items[i].type], actions.items[i].job.b[0]);
	return text;
}

static void run_to_running(struct scheduler *s, uint8_t n)
{
	const struct sched_view v = view(n);
	OK(scheduler_offer(s, &v), "offered");
	char want[32];
	snprintf(want, sizeof want, "claim %d", n);
	STREQ(step(s, NOW), want);
	scheduler_claimed(s, &v.job, true, NOW);
	snprintf(want, sizeof want, "start %d", n);
	STREQ(step(s, NOW), want);
	STREQ(step(s, NOW), "");
}

static void test_life(void)
{
	struct scheduler *s = scheduler_new(1);
	STREQ(step(s, NOW), "");
	INTEQ(scheduler_next_ms(s, NOW), -1);
	run_to_running(s, 1);
	struct sched_view v1 = view(1), v2 = view(2);
	scheduler_offer(s, &v2);
	STREQ(step(s, NOW + 1), "");
	INTEQ(scheduler_queued(s, NOW), 1);
	INTEQ(scheduler_busy(s), 1);

	INTEQ(scheduler_next_ms(s, NOW), NOW + SCHED_RENEW_MS);
	scheduler_progress(s, &v1.job);
	STREQ(step(s, NOW + SCHED_PROGRESS_MS - 1), "");
	STREQ(step(s, NOW + SCHED_PROGRESS_MS), "renew 1");
	STREQ(step(s, NOW + SCHED_PROGRESS_MS + SCHED_RENEW_MS - 1), "");
	STREQ(step(s, NOW + SCHED_PROGRESS_MS + SCHED_RENEW_MS), "renew 1");

	enum sched_stop why;
	OK(scheduler_ended(s, &v1.job, &why), "a result is to be published");
	INTEQ(why, 0);
	INTEQ(scheduler_state(s, &v1.job), SCHED_PUBLISHING);
	STREQ(step(s, NOW), "");
	v1.has_own_result = true;
	scheduler_offer(s, &v1);
	scheduler_published(s, &v1.job, true, NOW);
	STREQ(step(s, NOW), "claim 2");
	scheduler_free(s);
}

static void test_what_is_taken(void)
{
	static const struct {
		const char *what;
		bool allowed, cancelled, own_result;
		unsigned wanted, others;
		uint64_t claim_until_ms;
		bool taken;
	} cases[] = {
		{"allowed", true, false, false, 1, 0, NOW + 1, true},
		{"denied", false, false, false, 1, 0, NOW + 1, false},
		{"cancelled", true, true, false, 1, 0, NOW + 1, false},
		{"done by us", true, false, true, 1, 0, NOW + 1, false},
		{"claimed by another", true, false, false, 1, 1, NOW + 1, false},
		{"one more wanted", true, false, false, 2, 1, NOW + 1, true},
		{"too late", true, false, false, 1, 0, NOW, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct scheduler *s = scheduler_new(1);
		struct sched_view v = view(7);
		v.is_allowed = cases[i].allowed;
		v.is_cancelled = cases[i].cancelled;
		v.has_own_result = cases[i].own_result;
		v.wanted = cases[i].wanted;
		v.others = cases[i].others;
		v.claim_until_ms = cases[i].claim_until_ms;
		scheduler_offer(s, &v);
		OK(!strcmp(step(s, NOW), cases[i].taken ? "claim 7" : ""), "%s", cases[i].what);
		scheduler_free(s);
	}
}

static void test_order_and_slots(void)
{
	struct scheduler *s = scheduler_new(2);
	struct sched_view v3 = view(3), v2 = view(2), v4 = view(4);
	v4.is_own = true;
	scheduler_offer(s, &v3);
	scheduler_offer(s, &v2);
	scheduler_offer(s, &v4);
	STREQ(step(s, NOW), "claim 4, claim 2");
	struct id32 running[4];
	INTEQ(scheduler_running(s, running, 4), 2);
	scheduler_free(s);
}

static void test_failed_claim(void)
{
	struct scheduler *s = scheduler_new(1);
	const struct sched_view v = view(1);
	scheduler_offer(s, &v);
	STREQ(step(s, NOW), "claim 1");
	scheduler_claimed(s, &v.job, false, NOW);
	STREQ(step(s, NOW), "");
	INTEQ(scheduler_next_ms(s, NOW), NOW + SCHED_RETRY_MS);
	STREQ(step(s, NOW + SCHED_RETRY_MS), "claim 1");
	INTEQ(scheduler_next_ms(s, NOW + SCHED_RETRY_MS), -1);
	scheduler_free(s);
}

static void test_stops(void)
{
	enum sched_stop why;
	struct sched_view v = view(1);
	struct scheduler *s = scheduler_new(1);
	run_to_running(s, 1);
	v.is_cancelled = true;
	scheduler_offer(s, &v);
	STREQ(step(s, NOW), "stop 1");
	STREQ(step(s, NOW), "");
	OK(scheduler_ended(s, &v.job, &why) && why == SCHED_STOP_CANCELLED, "cancelled: published as abandoned");
	scheduler_published(s, &v.job, true, NOW);
	STREQ(step(s, NOW), "");
	scheduler_free(s);

	/* paused: the claim is given up, the job is taken again after resume */
	s = scheduler_new(1);
	run_to_running(s, 1);
	scheduler_set_mode(s, SCHED_PAUSED);
	STREQ(step(s, NOW), "stop 1");
	OK(!scheduler_ended(s, &v.job, &why), "nothing is published");
	INTEQ(scheduler_next_ms(s, NOW), 0);
	STREQ(step(s, NOW), "give-up 1");
	STREQ(step(s, NOW), "");
	scheduler_set_mode(s, SCHED_WORKING);
	STREQ(step(s, NOW), "claim 1");
	/* stopped while the claim is on its way */
	scheduler_stop_all(s, SCHED_STOP_SHUTDOWN);
	STREQ(step(s, NOW), "");
	scheduler_set_mode(s, SCHED_DRAINING);
	scheduler_claimed(s, &v.job, true, NOW);
	STREQ(step(s, NOW), "give-up 1");
	scheduler_free(s);

	/* draining and held: what runs goes on, nothing new */
	s = scheduler_new(1);
	run_to_running(s, 1);
	struct sched_view v2 = view(2);
	scheduler_offer(s, &v2);
	scheduler_set_mode(s, SCHED_DRAINING);
	scheduler_hold(s, true);
	STREQ(step(s, NOW), "");
	OK(scheduler_ended(s, &v.job, &why) && !why, "ends by itself");
	v.has_own_result = true;
	scheduler_offer(s, &v);
	scheduler_published(s, &v.job, true, NOW);
	STREQ(step(s, NOW), "");
	scheduler_set_mode(s, SCHED_WORKING);
	STREQ(step(s, NOW), "");
	scheduler_hold(s, false);
	STREQ(step(s, NOW), "claim 2");
	scheduler_free(s);

	/* a job that vanished is stopped; an unknown one is nothing */
	s = scheduler_new(1);
	run_to_running(s, 1);
	scheduler_forget(s, &v2.job);
	scheduler_forget(s, &v.job);
	STREQ(step(s, NOW), "stop 1");
	OK(!scheduler_stop(s, &v2.job, SCHED_STOP_DENIED), "not running");
	OK(scheduler_ended(s, &v.job, &why) && why == SCHED_STOP_GONE, "ended");
	OK(!scheduler_ended(s, &v.job, &why), "an end is told once");
	scheduler_free(s);
}

static void test_ceiling(void)
{
	struct scheduler *s = scheduler_new(1);
	for (uint32_t i = 0; i < SCHED_JOBS_MAX; i++) {
		struct sched_view v = view(1);
		memcpy(v.job.b, &i, sizeof i);
		if (!scheduler_offer(s, &v))
			OK(false, "offer %u", i);
	}
	struct sched_view v = view(0xff);
	OK(!scheduler_offer(s, &v), "the ceiling holds");
	scheduler_free(s);
}

/* A run that came to nothing publishable is not repeated; a lapsed lease asks for a new view; what is past its time is not kept. */
static void test_spent_lapsed_past(void)
{
	struct scheduler *s = scheduler_new(1);
	struct sched_view v = view(1), seen;
	struct id32 lapsed[2];
	enum sched_stop why;
	run_to_running(s, 1);
	OK(scheduler_ended(s, &v.job, &why), "ended");
	scheduler_published(s, &v.job, false, NOW);
	scheduler_spend(s, &v.job);
	scheduler_offer(s, &v);
	STREQ(step(s, NOW + 100 * SCHED_RETRY_MS), "");

	v = view(2);
	v.others = 1;
	v.lapse_ms = NOW + 5;
	scheduler_offer(s, &v);
	STREQ(step(s, NOW), "");
	INTEQ(scheduler_next_ms(s, NOW), NOW + 5);
	INTEQ(scheduler_lapsed(s, NOW + 4, lapsed, 2), 0);
	INTEQ(scheduler_lapsed(s, NOW + 5, lapsed, 2), 1);
	MEMEQ(&lapsed[0], &v.job, sizeof v.job);
	INTEQ(scheduler_lapsed(s, NOW + 5, lapsed, 2), 0);
	STREQ(step(s, v.claim_until_ms), "");
	OK(!scheduler_known(s, &v.job, &seen), "past its time it is not kept");
	scheduler_free(s);
}

/* Withdrawn before it began: given back like a pause. */
static void test_withdrawn(void)
{
	struct scheduler *s = scheduler_new(1);
	const struct sched_view v = view(1);
	enum sched_stop why;
	run_to_running(s, 1);
	OK(scheduler_stop(s, &v.job, SCHED_STOP_WITHDRAWN), "stopped");
	OK(!scheduler_ended(s, &v.job, &why), "nothing is to be published");
	INTEQ(scheduler_state(s, &v.job), SCHED_FREE);
	scheduler_set_mode(s, SCHED_DRAINING);
	STREQ(step(s, NOW), "give-up 1");
	scheduler_free(s);
}

int main(void)
{
	test_life();
	test_what_is_taken();
	test_order_and_slots();
	test_failed_claim();
	test_stops();
	test_ceiling();
	test_spent_lapsed_past();
	test_withdrawn();
	return tap_done();
}
