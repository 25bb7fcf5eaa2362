/* node.h, "runs.c": one job on this machine, from its plan to its published result. */
#include "runner/job.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "node/attestor.h"
#include "node/blobs.h"
#include "node/jsonget.h"
#include "node/net.h"
#include "node/runplan.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/log.h"
#include "proto/dsse.h"

#define EVENT_LINE_MAX (16u << 20)

struct run *node_run(struct node *n, const struct id32 *job)
{
	for (size_t i = 0; i < n->runs_len; i++)
		if (id32_eq(&n->runs[i].job, job))
			return &n->runs[i];
	return NULL;
}

static void drop_run(struct node *n, const struct id32 *job)
{
	struct run *run = node_run(n, job);
	if (!run)
		return;
	job_report_release(&run->report);
	free(run->plan);
	*run = n->runs[--n->runs_len];
}

static struct run *new_run(struct node *n, const struct id32 *job)
{
	if (n->runs_len == SCHED_SLOTS_MAX)
		return NULL;
	struct run *run = &n->runs[n->runs_len];
	*run = (struct run){.job = *job, .started_ms = node_now(n)};
	run->plan = calloc(1, sizeof *run->plan);
	if (!run->plan)
		return NULL;
	n->runs_len++;
	return run;
}

/* ---- start */

static int prepare_dir(const char *dir, struct err *err)
{
	int rc = io_remove_tree(dir, err);
	if (!rc)
		rc = io_mkdirs(dir, 0700, err);
	return rc;
}

/* *ret_is_withdrawn: the policy, or this machine, says no now. That is nobody's business but the donor's. */
static int start(struct node *n, struct run *run, bool *ret_is_withdrawn, struct err *err)
{
	const struct ix_job *job = index_job(node_index(n), &run->job);
	CLEANUP(cleanup_free) struct job_body *body = malloc(sizeof *body);
	CLEANUP(cleanup_free) struct node_opinion *opinion = malloc(sizeof *opinion);
	if (!body || !opinion)
		return err_set(err, ERR_NOMEM, "out of memory");
	if (!job)
		return err_set(err, ERR_NOT_FOUND, "the job is no longer known");
	run->announcer = job->entry.author;
	int rc = node_job_body(n, &run->job, body, NULL, err);
	if (rc)
		return rc;
	node_opine(n, job, body, opinion);
	*ret_is_withdrawn = opinion->why_not[0];
	if (opinion->why_not[0])
		return err_set(err, ERR_REFUSED, "%s", opinion->why_not);
	rc = runplan_make(n, job, body, opinion, run->plan, err);
	if (!rc)
		rc = prepare_dir(run->plan->dir, err);
	if (!rc)
		rc = io_mkdirs(n->home.mirrors, 0700, err);
	if (!rc)
		rc = n->hooks.run_start(n->hooks.user, &run->job, run->plan, err);
	return rc;
}

void node_run_start(struct node *n, const struct id32 *job)
{
	char id[ID32_TEXT_MAX];
	struct err err = {0};
	struct run *run = new_run(n, job);
	bool is_withdrawn = false;
	const int rc = run ? start(n, run, &is_withdrawn, &err) : err_set(&err, ERR_NOMEM, "out of memory");
	log_info("event=run-start job=%.12s ok=%d", id32_format(id, job), !rc);
	if (!rc) {
		run->is_live = true;
		node_say_double(n, job);
		return;
	}
	log_warn("event=run-not-started job=%.12s why=\"%s\"", id, err.what);
	if (is_withdrawn) {
		scheduler_stop(n->scheduler, job, SCHED_STOP_WITHDRAWN);
		node_review(n, job);
	} else if (run) {
		run->has_report = true;
		run->report.outcome = rc == ERR_REFUSED ? JOB_REFUSED : JOB_ERROR;
		snprintf(run->report.reason, sizeof run->report.reason, "%s", err.what);
	}
	node_run_ended(n, job, "");
}

/* ---- the runner's events: foreign bytes */

static void note_report(struct node *n, struct run *run, const json_t *event)
{
	struct err err;
	job_report_release(&run->report);
	run->report = (struct job_report){0};
	run->has_report = !job_report_from_json(event, &run->report, &err);
	if (!run->has_report) {
		log_warn("event=bad-report why=\"%s\"", err.what);
		return;
	}
	if (run->report.accel == JOB_ACCEL_KVM || run->report.accel == JOB_ACCEL_TCG)
		snprintf(n->accel, sizeof n->accel, "%s", job_accel_name(run->report.accel));
	if (run->report.isolation[0])
		snprintf(n->isolation, sizeof n->isolation, "%s", run->report.isolation);
}

/* Claims say the phase in [a-z-]. */
static void note_stage(struct run *run, const char *stage, const char *state)
{
	if (strcmp(state, "start") || strspn(stage, "abcdefghijklmnopqrstuvwxyz-") != strlen(stage))
		return;
	snprintf(run->phase, sizeof run->phase, "%s", stage);
}

static bool note_event(struct node *n, struct run *run, const char *type, const json_t *event)
{
	if (!strcmp(type, "report")) {
		note_report(n, run, event);
		return false;
	}
	if (!strcmp(type, "stage")) {
		note_stage(run, jtext(event, "stage"), jtext(event, "state"));
	} else if (!strcmp(type, "step")) {
		const uint64_t index = jnumber(event, "index"), count = jnumber(event, "count");
		if (!strcmp(jtext(event, "state"), "start") && index < count && count <= JOB_STEPS_MAX) {
			run->step = (uint32_t)index + 1;
			run->steps = (uint32_t)count;
			snprintf(run->phase, sizeof run->phase, "run");
			snprintf(run->step_name, sizeof run->step_name, "%s", jtext(event, "name"));
			scheduler_progress(n->scheduler, &run->job);
		}
	} else if (!strcmp(type, "log")) {
		run->log_bytes = jnumber(event, "size_bytes");
		net_log_grown(n, &run->job, run->log_bytes, false);
	} else if (!strcmp(type, "stat")) {
		run->cpu_ms = jnumber(event, "cpu_ms");
		run->memory_bytes = jnumber(event, "memory_bytes");
	}
	return true;
}

void node_run_event(struct node *n, const struct id32 *job, const char *line, size_t len)
{
	struct run *run = node_run(n, job);
	json_t *event = run && len <= EVENT_LINE_MAX ? json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	char type[32], node[NODE_ID_TEXT_MAX];
	snprintf(type, sizeof type, "%s", jtext(event, "type"));
	if (!json_is_object(event) || !*type || !note_event(n, run, type, event)) {
		json_decref(event);
		return;
	}
	json_object_set_new(event, "node", json_string(node_id_format(node, &n->self)));
	node_tell(n, type, job, event);
}

/* ---- the end: files are kept, then the result is published */

struct ending {
	struct id32 job;
	char job_dir[PATH_MAX], blob_dir[PATH_MAX], blobs[PATH_MAX], mirrors[PATH_MAX], caches[PATH_MAX], fetched[PATH_MAX];
	uint64_t blobs_cap, mirrors_cap, caches_cap, fetched_cap;
	struct buf body, index;
	int rc;
	struct err err;
	enum job_outcome outcome;
};

static void free_ending(struct ending *e)
{
	if (!e)
		return;
	buf_release(&e->body);
	buf_release(&e->index);
	free(e);
}

/* In another thread. */
static void clear_away(void *user)
{
	struct ending *e = user;
	char job[ID32_TEXT_MAX];
	if (io_remove_tree(e->job_dir, NULL))
		log_warn("event=not-removed why=\"it is swept at the next start\"");
	(void)blobs_prune(e->blobs, e->blobs_cap, id32_format(job, &e->job));
	(void)blobs_prune(e->mirrors, e->mirrors_cap, NULL);
	(void)blobs_prune(e->caches, e->caches_cap, NULL);
	(void)blobs_prune(e->fetched, e->fetched_cap, NULL);
}

static void on_cleared(struct node *n, void *user)
{
	struct ending *e = user;
	n->pending--;
	drop_run(n, &e->job);
	free_ending(e);
	n->hooks.want_work(n->hooks.user);
}

static void clear(struct node *n, struct ending *e)
{
	const struct node_task task = {.run = clear_away, .done = on_cleared, .user = e};
	n->pending++;
	if (n->hooks.task(n->hooks.user, &task, NULL))
		on_cleared(n, e);
}

/* No result will come: the job is not one that was left behind. */
static void forget_run(struct node *n, const struct id32 *job)
{
	struct store_batch *b = store_batch_new();
	if (!b)
		return;
	state_run_remove(job, b);
	if (node_commit(n, b, NULL, NULL, NULL))
		log_warn("event=run-not-forgotten");
}

/* It came to nothing: what is left is cleared away. */
static void end_without_result(struct node *n, struct ending *e, bool is_spent)
{
	scheduler_published(n->scheduler, &e->job, false, node_now(n));
	if (is_spent)
		scheduler_spend(n->scheduler, &e->job);
	clear(n, e);
}

static void on_result_durable(struct node *n, void *user, int code, const struct err *err)
{
	struct ending *e = user;
	char id[ID32_TEXT_MAX];
	if (code) {
		log_error("event=result-not-stored job=%.12s why=\"%s\"", id32_format(id, &e->job), err ? err->what : "");
		/* the job is done: it is not to be done again because a disk was full for a while */
		if (!n->is_stopping && n->unpublished_len < SCHED_SLOTS_MAX)
			n->unpublished[n->unpublished_len++] = e;
		else
			end_without_result(n, e, false);
		return;
	}
	scheduler_published(n->scheduler, &e->job, true, node_now(n));
	node_recount(n, &e->job);
	clear(n, e);
}

static int publish_result(struct node *n, struct ending *e, struct err *err)
{
	const struct ix_job *job = index_job(node_index(n), &e->job);
	struct id32 topic;
	if (!job)
		return err_set(err, ERR_NOT_FOUND, "the job is no longer known");
	topic_derive(&job->entry.project->id, &topic);
	const struct node_own own = {.kind = RECORD_RESULT, .topic = &topic, .depends = &e->job, .body = &e->body};
	struct store_batch *b = store_batch_new();
	if (!b)
		return err_set(err, ERR_NOMEM, "out of memory");
	char id[ID32_TEXT_MAX];
	state_run_remove(&e->job, b);
	node_event(n, b, "job-end", json_pack("{s:s,s:s}", "job", id32_format(id, &e->job), "outcome", job_outcome_name(e->outcome)));
	return node_publish(n, &own, b, on_result_durable, e, NULL, err);
}

static void publish_or_end(struct node *n, struct ending *e)
{
	struct err err = {0};
	char id[ID32_TEXT_MAX];
	const int rc = publish_result(n, e, &err);
	if (!rc)
		return;
	log_error("event=result-not-published job=%.12s why=\"%s\"", id32_format(id, &e->job), err.what);
	forget_run(n, &e->job);
	end_without_result(n, e, true); /* the rules refuse it: they would again */
}

void node_retry_results(struct node *n)
{
	struct ending *list[SCHED_SLOTS_MAX];
	const size_t len = n->unpublished_len;
	memcpy(list, n->unpublished, sizeof list);
	n->unpublished_len = 0;
	for (size_t i = 0; i < len; i++) {
		if (!n->is_stopping)
			publish_or_end(n, list[i]);
		else if (n->scheduler && n->intake)
			end_without_result(n, list[i], false);
		else
			free_ending(list[i]);
	}
}

/* In another thread. */
static void keep_files(void *user)
{
	struct ending *e = user;
	e->rc = blobs_keep(e->job_dir, e->blob_dir, e->index.len ? e->index.data : NULL, e->index.len, &e->err);
}

static void on_kept(struct node *n, void *user)
{
	struct ending *e = user;
	n->pending--;
	if (e->rc) {
		/* a result must not name files that are not on the disk */
		char reason[JOB_REASON_MAX];
		snprintf(reason, sizeof reason, "the donor could not keep log and artifacts: %.400s", e->err.what);
		struct result_body body = {.job = e->job, .outcome = OUTCOME_ERROR};
		snprintf(body.reason, sizeof body.reason, "%s", reason);
		buf_reset(&e->body);
		result_body_encode(&body, &e->body);
		e->outcome = JOB_ERROR;
		log_error("event=blobs-not-kept why=\"%s\"", e->err.what);
	}
	publish_or_end(n, e);
}

/* Attestation -> the result record's body. */
static int encode_result(struct node *n, const struct id32 *job, const struct attestation *a, const struct job_report *report, struct ending *e,
			 struct err *err)
{
	struct result_body body = {.job = *job};
	CLEANUP(buf_release) struct buf payload;
	buf_init(&payload, RECORD_RESULT_LEN_MAX);
	int rc = 0;
	e->outcome = a->outcome;
	if (a->has_statement) {
		rc = statement_write(&a->statement, &payload, &e->index, err);
		if (!rc)
			rc = identity_sign_dsse(n->identity, DSSE_INTOTO_TYPE, payload.data, payload.len, body.signature, err);
		body.payload = payload.data;
		body.payload_len = payload.len;
	} else {
		body.outcome = (uint8_t)a->outcome;
		snprintf(body.reason, sizeof body.reason, "%s", a->reason);
		body.has_log = report && runplan_digest(&report->log, &body.log);
	}
	if (rc)
		return rc;
	result_body_encode(&body, &e->body);
	return buf_check(&e->body, "the result", err);
}

static int make_result(struct node *n, struct run *run, enum sched_stop why, const char *how, struct ending *e, struct err *err)
{
	CLEANUP(cleanup_free) struct job_body *body = calloc(1, sizeof *body);
	struct attestation a = {0};
	if (!body)
		return err_set(err, ERR_NOMEM, "out of memory");
	int rc = node_job_body(n, &run->job, body, NULL, err);
	if (rc)
		return rc;
	const struct attest_input in = {
		.self = n->self,
		.job = run->job,
		.body = body,
		.plan = run->plan,
		.report = run->has_report ? &run->report : NULL,
		.started_ms = run->started_ms,
		.ended_ms = node_now(n),
		.was_abandoned = why != 0,
	};
	rc = attest(&in, &a, err);
	if (rc)
		return rc;
	if (why && a.outcome == JOB_ABANDONED)
		snprintf(a.reason, sizeof a.reason, "%s", sched_stop_text(why));
	if (!run->has_report && *how)
		snprintf(a.reason, sizeof a.reason, "the runner ended without a report: %s", how);
	rc = encode_result(n, &run->job, &a, in.report, e, err);
	attestation_release(&a);
	return rc;
}

static struct ending *new_ending(struct node *n, const struct run *run)
{
	struct ending *e = calloc(1, sizeof *e);
	if (!e)
		return NULL;
	e->job = run->job;
	buf_init(&e->body, RECORD_RESULT_LEN_MAX);
	buf_init(&e->index, EVENT_LINE_MAX);
	snprintf(e->job_dir, sizeof e->job_dir, "%s", run->plan->dir);
	snprintf(e->blobs, sizeof e->blobs, "%s", n->home.blobs);
	snprintf(e->mirrors, sizeof e->mirrors, "%s", n->home.mirrors);
	snprintf(e->caches, sizeof e->caches, "%s", n->home.caches);
	e->caches_cap = n->config.caps.caches_bytes;
	snprintf(e->fetched, sizeof e->fetched, "%s", n->home.fetched);
	e->fetched_cap = n->config.caps.fetched_bytes;
	e->blobs_cap = n->config.caps.blobs_bytes;
	e->mirrors_cap = n->config.caps.mirrors_bytes;
	if (!*e->job_dir) /* it never had a plan */
		runplan_dir(n, &run->job, e->job_dir);
	if (!blobs_dir(&n->home, &run->job, &n->self, e->blob_dir, NULL))
		return e;
	free_ending(e);
	return NULL;
}

void node_run_ended(struct node *n, const struct id32 *job, const char *how)
{
	struct run *run = node_run(n, job);
	enum sched_stop why = 0;
	struct err err = {0};
	char id[ID32_TEXT_MAX];
	const bool is_published = scheduler_ended(n->scheduler, job, &why);
	log_info("event=run-end job=%.12s report=%d how=\"%s\"", id32_format(id, job), run && run->has_report, how);
	struct ending *e = run ? new_ending(n, run) : NULL;
	if (run) {
		run->is_live = false;
		net_log_grown(n, job, run->log_bytes, true);
	}
	if (!e) {
		log_error("event=run-lost job=%.12s", id);
		scheduler_published(n->scheduler, job, false, node_now(n));
		drop_run(n, job);
		return;
	}
	int rc = is_published ? make_result(n, run, why, how, e, &err) : 0;
	const struct node_task task = {.run = keep_files, .done = on_kept, .user = e};
	if (is_published && !rc) {
		rc = n->hooks.task(n->hooks.user, &task, &err);
		n->pending += !rc;
	}
	if (is_published && !rc)
		return;
	if (rc) {
		log_error("event=no-result job=%.12s why=\"%s\"", id, err.what);
		forget_run(n, job);
	}
	end_without_result(n, e, false);
}
