#include "node/attestor.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/hex.h"

static void set_error(struct attestation *a, const char *lead, const char *detail)
{
	a->outcome = JOB_ERROR;
	a->has_statement = false;
	snprintf(a->reason, sizeof a->reason, "%s%s", lead, detail);
}

/* An empty digest text is no digest; anything else must be hex. */
static bool read_digest(const struct job_digest *in, struct blob_digest *ret)
{
	ret->size = in->size_bytes;
	return hex_decode(ret->sha256, 32, in->sha256) && hex_decode(ret->root, 32, in->root);
}

static enum plan_origin origin_of(enum job_origin o)
{
	switch (o) {
	case JOB_ORIGIN_TREE: return PLAN_TREE;
	case JOB_ORIGIN_DETECTED: return PLAN_DETECTED;
	case JOB_ORIGIN_INLINE: return PLAN_INLINE;
	}
	return 0;
}

/* "mini@1" satisfies what asks for "mini@1" or "mini". */
static bool image_satisfies(const char *got, const char *asked)
{
	const size_t len = strlen(asked);
	return !strncmp(got, asked, len) && (got[len] == 0 || (got[len] == '@' && !strchr(asked, '@')));
}

/* Why the report cannot be about this job; NULL when it agrees. */
static const char *contradiction(const struct attest_input *in)
{
	const struct job_report *r = in->report;
	const struct job_body *b = in->body;
	if (origin_of(r->plan_origin) != b->plan_origin)
		return "the plan's origin is not the announced one";
	if (strcmp(r->plan_sha256, b->plan_sha256))
		return "the plan's digest is not the announced one";
	if (b->plan_origin != PLAN_INLINE && strcmp(r->plan_path, b->plan_path))
		return "the plan's path is not the announced one";
	if (b->image[0] && !image_satisfies(r->image_name, b->image))
		return "the image is not the announced one";
	if (b->image_digest[0] && strcmp(r->image_digest, b->image_digest))
		return "the image's digest is not the announced one";
	if (r->accel != JOB_ACCEL_KVM && r->accel != JOB_ACCEL_TCG)
		return "it names no accelerator";
	if (r->accel == JOB_ACCEL_TCG && !in->plan->emulation_allowed)
		return "it was emulated, which was not allowed";
	if (r->limits.cpus > in->plan->limits.cpus || r->limits.memory_bytes > in->plan->limits.memory_bytes ||
	    r->limits.disk_bytes > in->plan->limits.disk_bytes)
		return "its limits are above this node's";
	return NULL;
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
	return value < least ? least : value > most ? most : value;
}

/* A step for failures only, and there was none. It is no part of the result. */
static bool was_not_needed(const struct job_step_report *step)
{
	return step->on_failure && step->exit_code < 0;
}

static bool steps_say_failed(const struct job_report *r)
{
	for (size_t i = 0; i < r->steps_len; i++)
		if (r->steps[i].exit_code != 0 && !was_not_needed(&r->steps[i]))
			return true;
	return false;
}

/* Why the outcome cannot follow from the steps; NULL when it can. */
static const char *outcome_contradiction(const struct job_report *r)
{
	if (r->outcome == JOB_PASSED && (!r->steps_len || steps_say_failed(r)))
		return "it says passed, its steps do not";
	if (r->outcome == JOB_FAILED && !steps_say_failed(r))
		return "it says failed, its steps do not";
	return NULL;
}

static int copy_lists(const struct attest_input *in, struct statement *s, struct err *err)
{
	const struct job_report *r = in->report;
	const uint64_t window = in->ended_ms - in->started_ms;
	s->steps = calloc(r->steps_len + 1, sizeof *s->steps);
	s->artifacts = calloc(r->artifacts_len + 1, sizeof *s->artifacts);
	if (!s->steps || !s->artifacts)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < r->steps_len; i++) {
		if (was_not_needed(&r->steps[i]))
			continue;
		struct statement_step *step = &s->steps[s->steps_len++];
		snprintf(step->name, sizeof step->name, "%s", r->steps[i].name);
		step->exit_code = r->steps[i].exit_code;
		step->duration_ms = clamp(r->steps[i].duration_ms, 0, window);
	}
	for (size_t i = 0; i < r->artifacts_len; i++) {
		struct statement_artifact *artifact = &s->artifacts[s->artifacts_len];
		snprintf(artifact->path, sizeof artifact->path, "%s", r->artifacts[i].path);
		if (read_digest(&r->artifacts[i].digest, &artifact->digest))
			s->artifacts_len++;
	}
	return 0;
}

static void copy_own(const struct attest_input *in, struct statement *s)
{
	const struct job_body *b = in->body;
	s->node = in->self;
	s->project = b->project;
	s->job = in->job;
	snprintf(s->commit, sizeof s->commit, "%s", b->commit);
	snprintf(s->ref, sizeof s->ref, "%s", b->ref);
	snprintf(s->cell, sizeof s->cell, "%s", b->cell);
	snprintf(s->arch, sizeof s->arch, "%s", b->arch);
	s->plan_origin = b->plan_origin;
	snprintf(s->plan_path, sizeof s->plan_path, "%s", b->plan_path);
	snprintf(s->plan_sha256, sizeof s->plan_sha256, "%s", b->plan_sha256);
}

static void copy_reported(const struct attest_input *in, struct statement *s)
{
	const struct job_report *r = in->report;
	const uint64_t end = in->ended_ms > in->started_ms ? in->ended_ms : in->started_ms;
	s->outcome = (uint8_t)r->outcome;
	snprintf(s->reason, sizeof s->reason, "%s", r->reason);
	snprintf(s->ref_seen, sizeof s->ref_seen, "%s", r->ref_seen);
	snprintf(s->plan_format, sizeof s->plan_format, "%s", r->plan_format);
	snprintf(s->image_name, sizeof s->image_name, "%s", r->image_name);
	snprintf(s->image_digest, sizeof s->image_digest, "%s", r->image_digest);
	snprintf(s->accel, sizeof s->accel, "%s", job_accel_name(r->accel));
	snprintf(s->isolation, sizeof s->isolation, "%s", r->isolation);
	snprintf(s->machine, sizeof s->machine, "%s", r->machine);
	s->cpus = r->limits.cpus;
	s->memory_bytes = r->limits.memory_bytes;
	s->disk_bytes = r->limits.disk_bytes;
	s->timeout_ms = r->limits.timeout_ms;
	s->log_bytes_max = r->limits.log_bytes;
	s->artifact_bytes_max = r->limits.artifact_bytes;
	s->artifact_count_max = r->limits.artifact_count;
	s->started_ms = clamp(r->started_unix_ms, in->started_ms, end);
	s->finished_ms = clamp(r->finished_unix_ms, s->started_ms, end);
	s->duration_ms = s->finished_ms - s->started_ms;
	s->log_truncated = r->log_truncated;
	s->artifacts_partial = r->artifacts_partial;
}

static void plain_outcome(const struct attest_input *in, struct attestation *a)
{
	const struct job_report *r = in->report;
	if (in->was_abandoned) {
		a->outcome = JOB_ABANDONED;
		snprintf(a->reason, sizeof a->reason, "%s", r && r->reason[0] ? r->reason : "the volunteer stopped before the job's end");
	} else if (!r) {
		set_error(a, "", "the runner ended without a report");
	} else {
		a->outcome = r->outcome;
		snprintf(a->reason, sizeof a->reason, "%s", r->reason);
	}
}

int attest(const struct attest_input *in, struct attestation *ret, struct err *err)
{
	struct attestation a = {0};
	plain_outcome(in, &a);
	const bool about_project = a.outcome == JOB_PASSED || a.outcome == JOB_FAILED || a.outcome == JOB_TIMEOUT;
	if (about_project) {
		const struct job_report *r = in->report;
		const char *why = contradiction(in);
		if (!why)
			why = outcome_contradiction(r);
		if (!why && (!read_digest(&r->source, &a.statement.source) || !read_digest(&r->log, &a.statement.log)))
			why = "it lacks the digest of source or log";
		a.statement.has_deps = r->deps.sha256[0] != '\0';
		if (!why && a.statement.has_deps && !read_digest(&r->deps, &a.statement.deps))
			why = "its digest of what was fetched is none";
		if (why) {
			set_error(&a, "the runner's report does not agree with the job: ", why);
		} else {
			copy_own(in, &a.statement);
			copy_reported(in, &a.statement);
			const int code = copy_lists(in, &a.statement, err);
			if (code) {
				statement_release(&a.statement);
				return code;
			}
			a.has_statement = true;
		}
	}
	*ret = a;
	return 0;
}

void attestation_release(struct attestation *a)
{
	if (a && a->has_statement)
		statement_release(&a->statement);
}
