#include "node/scheduler.h"

#include <stdlib.h>
#include <string.h>

struct job {
	struct sched_view view;
	uint64_t retry_ms; /* not claimed before */
};

struct slot {
	enum sched_slot_state state;
	struct id32 job;
	uint64_t renewed_ms;
	bool has_progress;
	bool stop_wanted; /* SCHED_STOP is to be given */
	bool start_wanted;
	enum sched_stop why;
};

struct scheduler {
	struct slot slots[SCHED_SLOTS_MAX];
	unsigned slots_len;
	enum sched_mode mode;
	bool is_held;
	struct job *jobs;
	size_t jobs_len, jobs_cap;
	struct id32 given_up[SCHED_SLOTS_MAX];
	size_t given_up_len;
	uint64_t swept_ms;
};

#define SWEEP_MS UINT64_C(60000)

const char *sched_stop_text(enum sched_stop why)
{
	switch (why) {
#define X(name, value, text)                                                                                           \
	case name: return text;
		SCHED_STOPS(X)
#undef X
	}
	return "";
}

struct scheduler *scheduler_new(unsigned slots)
{
	struct scheduler *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->slots_len = slots < 1 ? 1 : slots > SCHED_SLOTS_MAX ? SCHED_SLOTS_MAX : slots;
	s->mode = SCHED_WORKING;
	return s;
}

void scheduler_free(struct scheduler *s)
{
	if (!s)
		return;
	free(s->jobs);
	free(s);
}

static struct slot *slot_of(struct scheduler *s, const struct id32 *job)
{
	for (unsigned i = 0; i < s->slots_len; i++)
		if (s->slots[i].state != SCHED_FREE && id32_eq(&s->slots[i].job, job))
			return &s->slots[i];
	return NULL;
}

static struct job *job_of(struct scheduler *s, const struct id32 *job)
{
	for (size_t i = 0; i < s->jobs_len; i++)
		if (id32_eq(&s->jobs[i].view.job, job))
			return &s->jobs[i];
	return NULL;
}

static void remove_job(struct scheduler *s, struct job *j)
{
	*j = s->jobs[--s->jobs_len];
}

static void want_stop(struct slot *slot, enum sched_stop why)
{
	/* a claim on its way to the disk is stopped when it is there (scheduler_claimed) */
	if (slot->state != SCHED_RUNNING && slot->state != SCHED_CLAIMING)
		return;
	if (slot->why)
		return;
	slot->why = why;
	slot->stop_wanted = slot->state == SCHED_RUNNING;
}

bool scheduler_known(const struct scheduler *s, const struct id32 *job, struct sched_view *ret)
{
	for (size_t i = 0; i < s->jobs_len; i++)
		if (id32_eq(&s->jobs[i].view.job, job)) {
			*ret = s->jobs[i].view;
			return true;
		}
	return false;
}

size_t scheduler_lapsed(struct scheduler *s, uint64_t now_ms, struct id32 *ret, size_t max)
{
	size_t n = 0;
	for (size_t i = 0; i < s->jobs_len && n < max; i++)
		if (s->jobs[i].view.lapse_ms && s->jobs[i].view.lapse_ms <= now_ms) {
			s->jobs[i].view.lapse_ms = 0;
			ret[n++] = s->jobs[i].view.job;
		}
	return n;
}

void scheduler_spend(struct scheduler *s, const struct id32 *job)
{
	struct job *j = job_of(s, job);
	if (j)
		j->retry_ms = UINT64_MAX;
}

bool scheduler_offer(struct scheduler *s, const struct sched_view *view)
{
	struct slot *slot = slot_of(s, &view->job);
	if (slot && view->is_cancelled)
		want_stop(slot, SCHED_STOP_CANCELLED);
	struct job *j = job_of(s, &view->job);
	/* what can never be taken again is not kept */
	if (view->is_cancelled || view->has_own_result || !view->is_allowed) {
		if (j)
			remove_job(s, j);
		return true;
	}
	if (j) {
		j->view = *view;
		return true;
	}
	if (s->jobs_len == SCHED_JOBS_MAX)
		return false;
	if (s->jobs_len == s->jobs_cap) {
		const size_t cap = s->jobs_cap ? s->jobs_cap * 2 : 16;
		struct job *larger = reallocarray(s->jobs, cap, sizeof *larger);
		if (!larger)
			return false;
		s->jobs = larger;
		s->jobs_cap = cap;
	}
	s->jobs[s->jobs_len++] = (struct job){.view = *view};
	return true;
}

void scheduler_forget(struct scheduler *s, const struct id32 *job)
{
	struct slot *slot = slot_of(s, job);
	if (slot)
		want_stop(slot, SCHED_STOP_GONE);
	struct job *j = job_of(s, job);
	if (j)
		remove_job(s, j);
}

void scheduler_set_mode(struct scheduler *s, enum sched_mode mode)
{
	s->mode = mode;
	if (mode == SCHED_PAUSED)
		scheduler_stop_all(s, SCHED_STOP_PAUSED);
}

void scheduler_hold(struct scheduler *s, bool is_held)
{
	s->is_held = is_held;
}

bool scheduler_stop(struct scheduler *s, const struct id32 *job, enum sched_stop why)
{
	struct slot *slot = slot_of(s, job);
	if (!slot || slot->state == SCHED_PUBLISHING)
		return false;
	want_stop(slot, why);
	return true;
}

void scheduler_stop_all(struct scheduler *s, enum sched_stop why)
{
	for (unsigned i = 0; i < s->slots_len; i++)
		want_stop(&s->slots[i], why);
}

static void free_slot(struct slot *slot)
{
	*slot = (struct slot){.state = SCHED_FREE};
}

static void give_up(struct scheduler *s, struct slot *slot)
{
	if (s->given_up_len < SCHED_SLOTS_MAX)
		s->given_up[s->given_up_len++] = slot->job;
	free_slot(slot);
}

static void retry_later(struct scheduler *s, const struct id32 *job, uint64_t now_ms)
{
	struct job *j = job_of(s, job);
	if (j)
		j->retry_ms = now_ms + SCHED_RETRY_MS;
}

void scheduler_claimed(struct scheduler *s, const struct id32 *job, bool is_ok, uint64_t now_ms)
{
	struct slot *slot = slot_of(s, job);
	if (!slot || slot->state != SCHED_CLAIMING)
		return;
	if (!is_ok) {
		retry_later(s, job, now_ms);
		free_slot(slot);
		return;
	}
	if (slot->why) { /* stopped before it began: nothing ran, the claim is all there is to take back */
		give_up(s, slot);
		return;
	}
	slot->state = SCHED_RUNNING;
	slot->start_wanted = true;
	slot->renewed_ms = now_ms;
}

void scheduler_progress(struct scheduler *s, const struct id32 *job)
{
	struct slot *slot = slot_of(s, job);
	if (slot)
		slot->has_progress = true;
}

bool scheduler_ended(struct scheduler *s, const struct id32 *job, enum sched_stop *ret_why)
{
	struct slot *slot = slot_of(s, job);
	*ret_why = 0;
	if (!slot || slot->state == SCHED_PUBLISHING || slot->state == SCHED_CLAIMING)
		return false;
	*ret_why = slot->why;
	if (slot->why == SCHED_STOP_PAUSED || slot->why == SCHED_STOP_WITHDRAWN) {
		give_up(s, slot);
		return false;
	}
	slot->state = SCHED_PUBLISHING;
	slot->stop_wanted = false;
	return true;
}

void scheduler_published(struct scheduler *s, const struct id32 *job, bool is_ok, uint64_t now_ms)
{
	struct slot *slot = slot_of(s, job);
	if (!slot || slot->state != SCHED_PUBLISHING)
		return;
	if (!is_ok)
		retry_later(s, job, now_ms);
	free_slot(slot);
}

static bool is_open(const struct job *j, uint64_t now_ms)
{
	return j->view.claim_until_ms > now_ms && j->view.others < j->view.wanted;
}

static bool is_better(const struct job *a, const struct job *b)
{
	if (a->view.is_own != b->view.is_own)
		return a->view.is_own;
	if (a->view.created_ms != b->view.created_ms)
		return a->view.created_ms < b->view.created_ms;
	return memcmp(a->view.job.b, b->view.job.b, 32) < 0;
}

static struct job *choose(struct scheduler *s, uint64_t now_ms)
{
	struct job *best = NULL;
	for (size_t i = 0; i < s->jobs_len; i++) {
		struct job *j = &s->jobs[i];
		if (is_open(j, now_ms) && j->retry_ms <= now_ms && !slot_of(s, &j->view.job) && (!best || is_better(j, best)))
			best = j;
	}
	return best;
}

static void act(struct sched_actions *ret, enum sched_action_type type, const struct id32 *job, enum sched_stop why)
{
	ret->items[ret->len++] = (struct sched_action){.type = type, .job = *job, .why = why};
}

static bool renewal_is_due(const struct slot *slot, uint64_t now_ms)
{
	const uint64_t age = now_ms - slot->renewed_ms;
	/* a clock that was set back: nobody knows how old the lease is */
	return now_ms < slot->renewed_ms || age >= SCHED_RENEW_MS || (slot->has_progress && age >= SCHED_PROGRESS_MS);
}

/* At most one action a slot. */
static void step_slot(struct scheduler *s, struct slot *slot, uint64_t now_ms, struct sched_actions *ret)
{
	switch (slot->state) {
	case SCHED_FREE: {
		const struct job *j = s->mode == SCHED_WORKING && !s->is_held ? choose(s, now_ms) : NULL;
		if (!j)
			return;
		*slot = (struct slot){.state = SCHED_CLAIMING, .job = j->view.job};
		act(ret, SCHED_CLAIM, &slot->job, 0);
		return;
	}
	case SCHED_RUNNING:
		if (slot->start_wanted) {
			slot->start_wanted = false;
			act(ret, SCHED_START, &slot->job, 0);
		} else if (slot->stop_wanted) {
			slot->stop_wanted = false;
			slot->state = SCHED_STOPPING;
			act(ret, SCHED_STOP, &slot->job, slot->why);
		} else if (renewal_is_due(slot, now_ms)) {
			slot->renewed_ms = now_ms;
			slot->has_progress = false;
			act(ret, SCHED_RENEW, &slot->job, 0);
		}
		return;
	case SCHED_CLAIMING:
	case SCHED_STOPPING:
	case SCHED_PUBLISHING: return;
	}
}

/* What may not be claimed any more is not kept: the list has a ceiling. */
static void sweep(struct scheduler *s, uint64_t now_ms)
{
	if (now_ms >= s->swept_ms && now_ms - s->swept_ms < SWEEP_MS && s->jobs_len < SCHED_JOBS_MAX)
		return;
	s->swept_ms = now_ms;
	for (size_t i = s->jobs_len; i-- > 0;)
		if (s->jobs[i].view.claim_until_ms <= now_ms && !slot_of(s, &s->jobs[i].view.job))
			remove_job(s, &s->jobs[i]);
}

void scheduler_step(struct scheduler *s, uint64_t now_ms, struct sched_actions *ret)
{
	ret->len = 0;
	sweep(s, now_ms);
	for (size_t i = 0; i < s->given_up_len; i++)
		act(ret, SCHED_GIVE_UP, &s->given_up[i], SCHED_STOP_PAUSED);
	s->given_up_len = 0;
	for (unsigned i = 0; i < s->slots_len; i++)
		step_slot(s, &s->slots[i], now_ms, ret);
}

static uint64_t slot_next_ms(const struct slot *slot)
{
	if (slot->state != SCHED_RUNNING)
		return UINT64_MAX;
	if (slot->start_wanted || slot->stop_wanted)
		return 0;
	return slot->renewed_ms + (slot->has_progress ? SCHED_PROGRESS_MS : SCHED_RENEW_MS);
}

uint64_t scheduler_next_ms(const struct scheduler *s, uint64_t now_ms)
{
	if (s->given_up_len)
		return 0;
	uint64_t next = UINT64_MAX;
	for (unsigned i = 0; i < s->slots_len; i++) {
		const uint64_t at = slot_next_ms(&s->slots[i]);
		next = at < next ? at : next;
	}
	for (size_t i = 0; i < s->jobs_len && s->mode == SCHED_WORKING && !s->is_held; i++) {
		const struct job *j = &s->jobs[i];
		if (j->retry_ms > now_ms && j->retry_ms < next)
			next = j->retry_ms;
		if (j->view.lapse_ms && j->view.lapse_ms < next && j->view.others >= j->view.wanted)
			next = j->view.lapse_ms;
	}
	return next;
}

enum sched_slot_state scheduler_state(const struct scheduler *s, const struct id32 *job)
{
	for (unsigned i = 0; i < s->slots_len; i++)
		if (s->slots[i].state != SCHED_FREE && id32_eq(&s->slots[i].job, job))
			return s->slots[i].state;
	return SCHED_FREE;
}

unsigned scheduler_busy(const struct scheduler *s)
{
	unsigned n = 0;
	for (unsigned i = 0; i < s->slots_len; i++)
		n += s->slots[i].state != SCHED_FREE;
	return n;
}

unsigned scheduler_queued(const struct scheduler *s, uint64_t now_ms)
{
	unsigned n = 0;
	for (size_t i = 0; i < s->jobs_len; i++)
		n += is_open(&s->jobs[i], now_ms) && scheduler_state(s, &s->jobs[i].view.job) == SCHED_FREE;
	return n;
}

size_t scheduler_running(const struct scheduler *s, struct id32 *ret, size_t max)
{
	size_t n = 0;
	for (unsigned i = 0; i < s->slots_len && n < max; i++)
		if (s->slots[i].state != SCHED_FREE)
			ret[n++] = s->slots[i].job;
	return n;
}
