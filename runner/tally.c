#include "runner/tally.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/units.h"
#include "runner/frames.h"
#include "runner/machine.h"

#define NOTES_MAX 500      /* of all stages together, as events */
#define STAT_EVERY_MS 1000
#define ARTIFACTS_STEP 64  /* the list grows by this */

uint64_t tally_tar_bytes_max(const struct job_limits *l)
{
	const uint64_t bytes = l->artifact_bytes + (uint64_t)l->artifact_count * 4096 + (1u << 20);
	return (bytes + 4095) / 4096 * 4096;
}

void tally_init(struct tally *t, const struct job_plan *plan, struct events *events, uint64_t now_ms, uint64_t unix_ms)
{
	*t = (struct tally){.plan = *plan, .events = events, .start_ms = now_ms};
	t->report.started_unix_ms = unix_ms;
	t->report.accel = JOB_ACCEL_AUTO;
	t->report.limits = plan->limits;
	t->report.plan_origin = plan->plan_origin;
	/* a short one is not what was run: fetch says which it means */
	if (hex_is_digits(plan->source.commit, 40, 40) || hex_is_digits(plan->source.commit, 64, 64))
		snprintf(t->report.commit, sizeof t->report.commit, "%s", plan->source.commit);
}

void tally_release(struct tally *t)
{
	job_report_release(&t->report);
}

void tally_settle(struct tally *t, enum job_outcome outcome, const char *hint, const char *fmt, ...)
{
	if (t->is_settled)
		return;
	t->is_settled = true;
	t->report.outcome = outcome;
	va_list args;
	va_start(args, fmt);
	vsnprintf(t->report.reason, sizeof t->report.reason, fmt, args);
	va_end(args);
	snprintf(t->report.hint, sizeof t->report.hint, "%s", hint ? hint : "");
}

/* messages */

static bool on_plan(struct tally *t, const struct stage_msg *m)
{
	if (t->has_plan)
		return false;
	struct job_report *r = &t->report;
	r->steps = calloc(m->u.plan.steps, sizeof *r->steps);
	if (!r->steps)
		return false;
	r->steps_len = m->u.plan.steps;
	for (size_t i = 0; i < r->steps_len; i++)
		r->steps[i].exit_code = -1;
	r->plan_origin = (enum job_origin)m->u.plan.origin;
	snprintf(r->plan_path, sizeof r->plan_path, "%s", m->u.plan.path);
	snprintf(r->plan_sha256, sizeof r->plan_sha256, "%s", m->u.plan.sha256);
	snprintf(r->plan_format, sizeof r->plan_format, "%s", m->u.plan.format);
	snprintf(t->image_asked, sizeof t->image_asked, "%s", m->u.plan.image);
	t->wanted = m->u.plan.wanted;
	t->any_order = m->u.plan.any_order != 0;
	t->has_cache = m->u.plan.has_cache != 0;
	t->has_plan = true;
	return true;
}

static bool on_step_name(struct tally *t, const struct stage_msg *m)
{
	if (!t->has_plan || m->u.step.index != t->steps_named || t->steps_named >= t->report.steps_len)
		return false;
	struct job_step_report *step = &t->report.steps[t->steps_named++];
	snprintf(step->name, sizeof step->name, "%s", m->u.step.name);
	step->on_failure = m->u.step.on_failure != 0;
	return true;
}

static bool on_artifact(struct tally *t, const struct stage_msg *m)
{
	struct job_report *r = &t->report;
	if (r->artifacts_len >= r->limits.artifact_count || r->artifacts_len >= JOB_ARTIFACTS_MAX)
		return false;
	if (r->artifacts_len % ARTIFACTS_STEP == 0) {
		void *more = realloc(r->artifacts, (r->artifacts_len + ARTIFACTS_STEP) * sizeof *r->artifacts);
		if (!more)
			return false;
		r->artifacts = more;
	}
	r->artifacts[r->artifacts_len++] = m->u.artifact;
	return true;
}

static bool on_step_start(struct tally *t, const struct stage_msg *m, uint64_t now_ms)
{
	const uint32_t i = m->u.step.index;
	const bool is_turn = t->any_order || (!t->steps_running && i == t->steps_started);
	if (i >= t->report.steps_len || t->step_states[i] || !is_turn)
		return false;
	if (t->steps_started == 0) {
		t->first_step_ms = now_ms;
		t->report.timings.boot_ms = now_ms - t->vm_started_ms;
	}
	t->report.steps[i].started_ms = now_ms - t->start_ms;
	t->step_states[i] = 1;
	t->steps_started++;
	t->steps_running++;
	events_step(t->events, now_ms, &t->report, i, true);
	return true;
}

static bool on_step_end(struct tally *t, const struct stage_msg *m, uint64_t now_ms)
{
	if (m->u.step.index >= t->report.steps_len || t->step_states[m->u.step.index] != 1)
		return false;
	struct job_step_report *step = &t->report.steps[m->u.step.index];
	step->exit_code = m->u.step.exit_code;
	step->duration_ms = now_ms - t->start_ms - step->started_ms;
	t->report.timings.steps_ms = now_ms - t->first_step_ms;
	t->step_states[m->u.step.index] = 2;
	t->steps_running--;
	events_step(t->events, now_ms, &t->report, m->u.step.index, false);
	return true;
}

static bool on_log_size(struct tally *t, const struct stage_msg *m, uint64_t now_ms)
{
	t->log_bytes = m->u.size_bytes;
	events_log(t->events, now_ms, m->u.size_bytes);
	return true;
}

static bool on_stat(struct tally *t, const struct stage_msg *m, uint64_t now_ms)
{
	struct job_report *r = &t->report;
	r->cpu_ms = m->u.stat.cpu_ms & INT64_MAX;
	if ((m->u.stat.memory_bytes & INT64_MAX) > r->memory_peak_bytes)
		r->memory_peak_bytes = m->u.stat.memory_bytes & INT64_MAX;
	if (t->stat_ms && now_ms - t->stat_ms < STAT_EVERY_MS)
		return true;
	t->stat_ms = now_ms;
	events_stat(t->events, now_ms, m->u.stat.cpu_ms, m->u.stat.memory_bytes, t->log_bytes);
	return true;
}

static bool on_guest_done(struct tally *t, const struct stage_msg *m)
{
	if (!t->guest_is_ready || t->steps_running)
		return false;
	if (m->u.done.tar_bytes > tally_tar_bytes_max(&t->report.limits)) {
		tally_settle(t, JOB_ERROR, "the guest's account of its artifacts is not to be believed; see the log",
			     "the guest says its artifacts take more than their disk");
		return true;
	}
	t->guest_is_done = true;
	t->report.artifacts_partial = m->u.done.is_partial != 0;
	t->tar_bytes = m->u.done.tar_bytes;
	return true;
}

static bool on_cache(struct tally *t, const struct stage_msg *m)
{
	if (!t->guest_is_ready || t->guest_is_done || t->steps_running || !t->has_cache || t->cache_bytes)
		return false;
	if (m->u.size_bytes > t->plan.cache_bytes)
		tally_settle(t, JOB_ERROR, "the guest's account of its cache is not to be believed; see the log",
			     "the guest says its cache takes more than its disk");
	else
		t->cache_bytes = m->u.size_bytes;
	return true;
}

static bool on_fetch_item(struct tally *t)
{
	return t->has_plan && t->steps_named == t->report.steps_len && t->fetches++ < STAGE_FETCH_ITEMS_MAX;
}

static bool on_deps(struct tally *t, const struct stage_msg *m)
{
	if (!t->fetches || t->has_deps)
		return false;
	t->report.deps = m->u.digest.digest;
	t->has_deps = true;
	return true;
}

static bool on_package(struct tally *t, const struct stage_msg *m)
{
	if (t->steps_named != t->report.steps_len || t->packages_len >= TALLY_PACKAGES_MAX)
		return false;
	snprintf(t->packages[t->packages_len++], sizeof t->packages[0], "%.127s", m->u.text);
	return true;
}

static bool on_limit(struct tally *t, const struct stage_msg *m)
{
	if (m->u.step.index >= t->report.steps_len || !t->step_states[m->u.step.index])
		return false;
	t->limits_met[m->u.step.index] = (uint8_t)m->u.step.exit_code;
	return true;
}

static bool on_network_wanted(struct tally *t, const struct stage_msg *m)
{
	if (m->u.step.index >= t->report.steps_len || !t->step_states[m->u.step.index])
		return false;
	t->wants_network[m->u.step.index] = true;
	return true;
}

/* Only who asked for a shell gets one, and one. */
static bool on_shell(struct tally *t, uint64_t now_ms)
{
	if (!t->plan.shell[0] || !t->guest_is_ready || t->guest_is_done || t->steps_running || t->has_shell)
		return false;
	t->has_shell = true;
	events_shell(t->events, now_ms);
	return true;
}

static bool on_note(struct tally *t, const struct stage_msg *m, uint64_t now_ms)
{
	if (t->notes++ < NOTES_MAX)
		events_note(t->events, now_ms, m->u.text);
	return true;
}

/* Fetch says which commit a short id or a ref's tip is. One that the plan names in full is not its to change. */
static bool on_commit(struct tally *t, const struct stage_msg *m)
{
	const size_t len = strlen(t->plan.source.commit);
	if ((len == 40 || len == 64) && strcasecmp(t->plan.source.commit, m->u.text) != 0)
		return false;
	snprintf(t->report.commit, sizeof t->report.commit, "%.*s", (int)sizeof t->report.commit - 1, m->u.text);
	snprintf(t->plan.source.commit, sizeof t->plan.source.commit, "%s", t->report.commit);
	return true;
}

static void on_failed(struct tally *t, const struct stage_msg *m)
{
	tally_settle(t, (enum job_outcome)m->u.failed.outcome, m->u.failed.hint, "%s",
		     m->u.failed.reason[0] ? m->u.failed.reason : "no reason was given");
}

bool tally_message(struct tally *t, enum stage_id from, const struct stage_msg *m, uint64_t now_ms)
{
	struct job_report *r = &t->report;
	switch ((enum stage_msg_type)m->type) {
	case STAGE_MSG_FAILED:
		on_failed(t, m);
		return true;
	case STAGE_MSG_GUEST_ERROR:
		tally_settle(t, JOB_ERROR, "see console.log in the job's folder", "the guest could not do its part: %s",
			     m->u.failed.reason);
		return true;
	case STAGE_MSG_REF_SEEN:
		snprintf(r->ref_seen, sizeof r->ref_seen, "%.*s", (int)sizeof r->ref_seen - 1, m->u.text);
		snprintf(t->plan.source.ref, sizeof t->plan.source.ref, "%s", r->ref_seen);
		return true;
	case STAGE_MSG_COMMIT:
		return on_commit(t, m);
	case STAGE_MSG_PLAN:
		return on_plan(t, m);
	case STAGE_MSG_STEP_NAME:
		return on_step_name(t, m);
	case STAGE_MSG_SOURCE:
		r->source = m->u.digest.digest;
		return true;
	case STAGE_MSG_ACCEL:
		r->accel = (enum job_accel)m->u.accel.accel;
		return true;
	case STAGE_MSG_GUEST_READY:
		/* once: the job's deadline runs from here */
		if (t->guest_is_ready)
			return false;
		t->guest_is_ready = true;
		return true;
	case STAGE_MSG_STEP_START:
		return on_step_start(t, m, now_ms);
	case STAGE_MSG_STEP_END:
		return on_step_end(t, m, now_ms);
	case STAGE_MSG_LOG_SIZE:
		return on_log_size(t, m, now_ms);
	case STAGE_MSG_LOG_DONE:
		r->log = m->u.digest.digest;
		r->log_truncated = m->u.digest.truncated != 0;
		return true;
	case STAGE_MSG_GUEST_STAT:
		return on_stat(t, m, now_ms);
	case STAGE_MSG_GUEST_DONE:
		return on_guest_done(t, m);
	case STAGE_MSG_FETCH_ITEM:
		return on_fetch_item(t);
	case STAGE_MSG_DEPS:
		return on_deps(t, m);
	case STAGE_MSG_CACHE:
		return on_cache(t, m);
	case STAGE_MSG_CACHE_TAKEN:
		t->cache_is_taken = t->cache_bytes != 0;
		return t->cache_is_taken;
	case STAGE_MSG_PACKAGE:
		return on_package(t, m);
	case STAGE_MSG_GUEST_LIMIT:
		return on_limit(t, m);
	case STAGE_MSG_NETWORK_WANTED:
		return on_network_wanted(t, m);
	case STAGE_MSG_SHELL:
		return on_shell(t, now_ms);
	case STAGE_MSG_ARTIFACT:
		return on_artifact(t, m);
	case STAGE_MSG_NOTE:
		return on_note(t, m, now_ms);
	case STAGE_MSG_PROGRESS:
		return from == STAGE_FETCH || from == STAGE_GET;
	case STAGE_MSG_FETCH_GO:
	case STAGE_MSG_TYPES_LEN:
		break;
	}
	return false;
}

/* limits */

bool tally_image_fits(const char *asked, const char *given)
{
	const size_t name_len = strcspn(asked, "@");
	if (strcspn(given, "@") != name_len || strncmp(asked, given, name_len) != 0)
		return false;
	return asked[name_len] == '\0' || !strcmp(asked, given);
}

/* The job names an image, the plan in the tree may too: at home the one who asks wins and is told, elsewhere they must agree. */
static bool choose_image(struct tally *t)
{
	const char *asked = t->plan.image, *in_plan = t->image_asked;
	if (asked[0] && in_plan[0] && !tally_image_fits(in_plan, asked)) {
		if (t->plan.job[0] && t->report.plan_origin != JOB_ORIGIN_INLINE) {
			tally_settle(t, JOB_REFUSED, "announce the job without an image, or with the plan's",
				     "the job names the image %s, the plan asks for %s", asked, in_plan);
			return false;
		}
	}
	if (asked[0])
		snprintf(t->image_asked, sizeof t->image_asked, "%s", asked);
	if (t->image_asked[0])
		return true;
	tally_settle(t, JOB_REFUSED, "write 'image: mini' into the plan, or name one with --image", "neither the plan nor the job names an image");
	return false;
}

static bool refuse_size(struct tally *t, const char *what, uint64_t asked, uint64_t most)
{
	char a[UNITS_TEXT_MAX], m[UNITS_TEXT_MAX], hint[128];
	snprintf(hint, sizeof hint, "ask for at most %s under resources:, or allow more here", units_format_size(m, most));
	tally_settle(t, JOB_REFUSED, hint, "the plan asks for %s of %s, %s is allowed", units_format_size(a, asked), what, m);
	return false;
}

bool tally_check_limits(struct tally *t)
{
	const struct job_limits *most = &t->plan.limits, *want = &t->wanted;
	struct job_limits *r = &t->report.limits;
	if (t->steps_named != t->report.steps_len || !t->has_plan) {
		tally_settle(t, JOB_ERROR, NULL, "the pack stage did not say what the plan is");
		return false;
	}
	if (want->cpus > most->cpus) {
		tally_settle(t, JOB_REFUSED, "ask for fewer under resources:, or allow more here",
			     "the plan asks for %u cpus, %u are allowed", want->cpus, most->cpus);
		return false;
	}
	if (want->memory_bytes > most->memory_bytes)
		return refuse_size(t, "memory", want->memory_bytes, most->memory_bytes);
	if (want->disk_bytes > most->disk_bytes)
		return refuse_size(t, "disk", want->disk_bytes, most->disk_bytes);
	r->cpus = want->cpus ? want->cpus : most->cpus;
	r->memory_bytes = want->memory_bytes ? want->memory_bytes : most->memory_bytes;
	r->disk_bytes = want->disk_bytes ? want->disk_bytes : most->disk_bytes;
	if (want->timeout_ms && want->timeout_ms < most->timeout_ms)
		r->timeout_ms = want->timeout_ms;
	if (r->memory_bytes < MACHINE_MEMORY_MIN) {
		char a[UNITS_TEXT_MAX], m[UNITS_TEXT_MAX];
		tally_settle(t, JOB_REFUSED, "ask for more memory under resources:", "a machine of %s does not boot, the least is %s",
			     units_format_size(a, r->memory_bytes), units_format_size(m, MACHINE_MEMORY_MIN));
		return false;
	}
	return choose_image(t);
}

static bool has_package(char *const *packages, size_t len, const char *name)
{
	for (size_t i = 0; i < len; i++) {
		const size_t name_len = strcspn(packages[i], "=");
		if (strlen(name) == name_len && !strncmp(packages[i], name, name_len))
			return true;
	}
	return false;
}

bool tally_check_packages(struct tally *t, char *const *packages, size_t len)
{
	char lacks[JOB_REASON_MAX / 2] = "";
	size_t used = 0;
	for (size_t i = 0; i < t->packages_len; i++) {
		if (used < sizeof lacks && !has_package(packages, len, t->packages[i]))
			used += (size_t)snprintf(lacks + used, sizeof lacks - used, " %s", t->packages[i]);
	}
	if (!used)
		return true;
	tally_settle(t, JOB_REFUSED, "nothing can be installed, as jobs have no network: choose or build an image that has them; 'talkoo image show' lists its packages",
		     "the image %s lacks these packages:%s", t->report.image_name, lacks);
	return false;
}

void tally_set_timeout(struct tally *t)
{
	uint64_t *timeout_ms = &t->report.limits.timeout_ms;
	const uint64_t factor = t->plan.timeout_factor_emulated;
	if (t->report.accel == JOB_ACCEL_TCG && factor > 1)
		*timeout_ms = *timeout_ms > UINT64_MAX / factor ? UINT64_MAX : *timeout_ms * factor;
	if (t->plan.timeout_cap_ms && *timeout_ms > t->plan.timeout_cap_ms)
		*timeout_ms = t->plan.timeout_cap_ms;
}

/* outcomes */

void tally_vm_started(struct tally *t, uint64_t now_ms)
{
	t->vm_started_ms = now_ms;
}

void tally_timed_out(struct tally *t)
{
	char limit[UNITS_TEXT_MAX], where[JOB_STEP_NAME_MAX + 64] = "before its first step";
	/* the first one that runs, else the last one that ended */
	for (size_t i = t->report.steps_len; t->steps_started && i-- > 0;) {
		if (t->step_states[i] != (t->steps_running ? 1 : 2))
			continue;
		snprintf(where, sizeof where, "%s step %zu/%zu, %s", t->steps_running ? "in" : "after", i + 1, t->report.steps_len,
			 t->report.steps[i].name);
		if (!t->steps_running)
			break;
	}
	tally_settle(t, JOB_TIMEOUT, "give the job more time (resources: timeout), or make it do less",
		     "the time limit of %s ran out %s", units_format_duration(limit, t->report.limits.timeout_ms), where);
}

static void settle_step(struct tally *t, size_t i)
{
	const struct job_step_report *s = &t->report.steps[i];
	if (t->limits_met[i] == GUEST_LIMIT_TIME) {
		tally_settle(t, JOB_TIMEOUT, "give the step more time (timeout), or make it do less", "step %zu/%zu, %s, ran longer than its timeout",
			     i + 1, t->report.steps_len, s->name);
		return;
	}
	if (t->limits_met[i]) {
		char size[UNITS_TEXT_MAX];
		const bool is_memory = t->limits_met[i] == GUEST_LIMIT_MEMORY;
		const struct job_limits *l = &t->report.limits;
		tally_settle(t, JOB_ERROR,
			     is_memory ? "ask for more memory under resources:" : "ask for more disk under resources:",
			     "step %zu/%zu, %s, ran out of %s (%s)", i + 1, t->report.steps_len, s->name,
			     is_memory ? "memory" : "disk",
			     units_format_size(size, is_memory ? l->memory_bytes : l->disk_bytes));
		return;
	}
	tally_settle(t, JOB_FAILED,
		     t->wants_network[i] ? "the log says that it wanted a network, and jobs have none: have what it fetches in the image or in the repository"
					 : "the log's end says why", "step %zu/%zu, %s, ended with exit code %d", i + 1,
		     t->report.steps_len, s->name, s->exit_code);
}

void tally_judge(struct tally *t)
{
	if (!t->guest_is_done) {
		tally_settle(t, JOB_ERROR, "see log and console.log in the job's folder",
			     t->guest_is_ready ? "the guest ended before it was done: its kernel panicked or its init was killed"
					       : "the guest never came up");
		return;
	}
	/* steps for failures come last: what they clean up is not why the job failed */
	for (size_t i = 0; i < 2 * t->report.steps_len && !t->is_settled; i++) {
		const struct job_step_report *s = &t->report.steps[i % t->report.steps_len];
		if (s->exit_code > 0 && s->on_failure == (i >= t->report.steps_len))
			settle_step(t, i % t->report.steps_len);
	}
	for (size_t i = 0; i < t->report.steps_len; i++) {
		if (t->report.steps[i].exit_code < 0 && !t->report.steps[i].on_failure)
			tally_settle(t, JOB_ERROR, "see the log", "the guest said it was done before step %zu/%zu, %s", i + 1,
				     t->report.steps_len, t->report.steps[i].name);
		if (t->is_settled)
			return;
	}
	tally_settle(t, JOB_PASSED, NULL, "%s", "");
}

void tally_finish(struct tally *t, uint64_t now_ms, uint64_t unix_ms)
{
	struct job_report *r = &t->report;
	tally_settle(t, JOB_ERROR, NULL, "the job ended without an outcome: a bug");
	r->finished_unix_ms = unix_ms;
	r->timings.total_ms = now_ms - t->start_ms;
	for (size_t i = 0; i < r->steps_len; i++)
		r->artifacts_partial |= r->artifacts_len && r->steps[i].exit_code != 0 && !(r->steps[i].on_failure && r->outcome == JOB_PASSED);
	for (size_t i = 0; i < r->steps_len; i++) {
		if (t->step_states[i] == 1)
			r->steps[i].duration_ms = now_ms - t->start_ms - r->steps[i].started_ms;
	}
}
