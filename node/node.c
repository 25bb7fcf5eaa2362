/* node.h: life, work, reactions. */
#include "node/net.h"

#include <config.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/units.h"
#include "proto/statement.h"

#define RECHECK_MS UINT64_C(15000)
#define PROBE_MS UINT64_C(5000)

uint64_t node_now(const struct node *n)
{
	return n->hooks.now_ms(n->hooks.user);
}

const struct index *node_index(const struct node *n)
{
	return intake_index(n->intake);
}

void node_listen(struct node *n, node_listen_fn fn, void *user)
{
	n->listen = fn;
	n->listen_user = user;
}

void node_tell(struct node *n, const char *type, const struct id32 *job, json_t *event /* takes */)
{
	char text[ID32_TEXT_MAX];
	json_object_set_new(event, "v", json_integer(1));
	json_object_set_new(event, "event", json_string(type));
	if (job)
		json_object_set_new(event, "job", json_string(id32_format(text, job)));
	if (n->listen && event)
		n->listen(n->listen_user, type, job, event);
	json_decref(event);
}

static int open_store(struct node *n, bool is_in_memory, struct err *err)
{
	const struct store_options so = {
		.path = is_in_memory ? NULL : n->home.database,
		.wake = n->hooks.store_wake,
		.wake_user = n->hooks.user,
		.max_bytes = n->config.caps.database_bytes,
		.batch_wait_ms = 5,
	};
	return store_open(&so, &n->store, err);
}

static void on_started(struct node *n, void *user, int code, const struct err *err)
{
	(void)n;
	(void)user;
	if (code)
		log_error("event=start-not-recorded why=\"%s\"", err ? err->what : "");
}

static int say_started(struct node *n, struct err *err)
{
	struct store_batch *b = store_batch_new();
	if (!b)
		return err_set(err, ERR_NOMEM, "out of memory");
	char id[NODE_ID_TEXT_MAX];
	node_event(n, b, "node-start", json_pack("{s:s,s:s}", "node", node_id_format(id, &n->self), "version", PACKAGE_VERSION));
	return node_commit(n, b, on_started, NULL, err);
}

static int open_parts(struct node *n, const struct node_options *o, struct err *err)
{
	n->scheduler = scheduler_new((unsigned)n->config.limits.jobs);
	n->rules = rules_new(&n->home, &n->self);
	if (!n->scheduler || !n->rules)
		return err_set(err, ERR_NOMEM, "out of memory");
	rules_refresh(n->rules);
	if (rules_error(n->rules))
		log_warn("event=policy-wrong why=\"%s\"", rules_error(n->rules)->what);
	n->store = o->store;
	n->is_store_lent = o->store != NULL;
	int rc = n->store ? 0 : open_store(n, o->is_in_memory, err);
	if (!rc)
		rc = state_load(&n->state, n->store, err);
	if (!rc)
		rc = node_load(n, err);
	if (!rc)
		rc = node_recover(n, err);
	if (!rc)
		rc = say_started(n, err);
	return rc;
}

int node_open(const struct node_options *o, struct node **ret, struct err *err)
{
	struct node *n = calloc(1, sizeof *n);
	if (!n) {
		identity_free(o->identity);
		return err_set(err, ERR_NOMEM, "out of memory");
	}
	n->home = *o->home;
	n->config = *o->config;
	n->identity = o->identity;
	n->self = *identity_id(o->identity);
	n->hooks = *o->hooks;
	n->opened_ms = node_now(n);
	state_init(&n->state);
	const int rc = open_parts(n, o, err);
	if (rc) {
		node_close(n);
		return rc;
	}
	scheduler_set_mode(n->scheduler, n->state.donation.mode);
	node_review_all(n);
	*ret = n;
	return 0;
}

void node_close(struct node *n)
{
	if (!n)
		return;
	n->listen = NULL;
	n->is_stopping = true;
	net_close(n);
	if (!n->is_store_lent)
		store_close(n->store);
	intake_free(n->intake);
	n->intake = NULL;
	node_retry_results(n);
	for (size_t i = 0; i < n->runs_len; i++) {
		job_report_release(&n->runs[i].report);
		free(n->runs[i].plan);
	}
	scheduler_free(n->scheduler);
	rules_free(n->rules);
	state_release(&n->state);
	identity_free(n->identity);
	free(n->review.projects);
	free(n);
}

/* ---- reactions */

static json_t *by_author(const struct record_fields *f)
{
	char text[NODE_ID_TEXT_MAX];
	return json_pack("{s:s}", "node", node_id_format(text, &f->author));
}

static void tell_claim(struct node *n, const struct intake_put *put, json_t *o /* takes */)
{
	struct claim_body claim;
	char until[UNITS_TEXT_MAX];
	if (claim_body_decode(put->record, &claim, NULL)) {
		json_decref(o);
		return;
	}
	json_object_set_new(o, "phase", json_string(claim.phase));
	json_object_set_new(o, "step", json_integer(claim.step));
	json_object_set_new(o, "steps", json_integer(claim.steps));
	if (claim.lease_until_ms)
		json_object_set_new(o, "lease_until", json_string(units_format_time(until, claim.lease_until_ms)));
	node_tell(n, !claim.lease_until_ms ? "given-up" : claim.phase[0] ? "progress" : "claimed", &put->job, o);
}

static void tell_result(struct node *n, const struct intake_put *put, json_t *o /* takes */)
{
	CLEANUP(cleanup_free) struct statement *s = calloc(1, sizeof *s);
	struct result_body body;
	bool has_statement = false;
	char id[ID32_TEXT_MAX];
	if (!s || result_open(put->record, &body, s, &has_statement, NULL)) {
		json_decref(o);
		return;
	}
	json_object_set_new(o, "result", json_string(id32_format(id, record_id(put->record))));
	json_object_set_new(o, "outcome", json_string(result_outcome_name(has_statement ? s->outcome : body.outcome)));
	json_object_set_new(o, "reason", json_string(has_statement ? s->reason : body.reason));
	statement_release(s);
	node_tell(n, "result", &put->job, o);
}

void node_react(struct node *n, const struct intake_put *put)
{
	const struct record_fields *f = record_get(put->record);
	json_t *o = by_author(f);
	switch (f->kind) {
	case RECORD_PROJECT:
		node_review_all(n); /* who may announce may have changed */
		node_tell(n, "project", NULL, o);
		return;
	case RECORD_JOB: node_tell(n, "announced", &put->job, o); break;
	case RECORD_CANCEL: node_tell(n, "cancelled", &put->job, o); break;
	case RECORD_CLAIM: tell_claim(n, put, o); break;
	case RECORD_RESULT: tell_result(n, put, o); break;
	default: json_decref(o); return;
	}
	if (f->kind == RECORD_JOB)
		node_review(n, &put->job);
	else
		node_recount(n, &put->job);
	if (f->kind == RECORD_CLAIM)
		node_say_double(n, &put->job);
}

/* ---- work */

static void tick_intake(struct node *n)
{
	CLEANUP(intake_effects_release) struct intake_effects fx = {0};
	intake_tick(n->intake, node_now(n), &fx);
	node_apply(n, &fx);
}

static void resume_when_due(struct node *n)
{
	if (n->state.donation.mode != SCHED_PAUSED || !n->state.donation.until_ms || node_now(n) < n->state.donation.until_ms)
		return;
	struct store_batch *b = store_batch_new();
	if (!b)
		return;
	node_set_donation(n, SCHED_WORKING, 0, "", b);
	node_event(n, b, "resume", json_pack("{s:s}", "why", "the pause is over"));
	if (node_commit(n, b, NULL, NULL, NULL))
		log_warn("event=resume-not-recorded");
}

/* A person may edit policy.yml, and build or remove images, and says nothing of it to the node. */
static bool files_changed(struct node *n)
{
	struct stat st;
	const uint64_t at = stat(n->home.images, &st) ? 0 : (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec;
	const bool images = at != n->images_mtime_ns;
	n->images_mtime_ns = at;
	return rules_refresh(n->rules) || images;
}

static void recheck(struct node *n)
{
	const uint64_t now = node_now(n);
	if (n->recheck_ms && now < n->recheck_ms && n->recheck_ms - now <= RECHECK_MS)
		return;
	n->recheck_ms = now + RECHECK_MS;
	if (files_changed(n))
		node_review_all(n);
}

static void on_probed(struct node *n, void *user, int code, const struct err *err)
{
	(void)n;
	(void)user;
	if (!code)
		log_info("event=store-works-again");
	else
		log_debug("event=store-still-fails why=\"%s\"", err ? err->what : "");
}

/* A store that failed is tried again, also when nobody wants anything of it: what holds the node back must end by itself. */
static void probe_store(struct node *n)
{
	const uint64_t now = node_now(n);
	if (!n->store_failed || n->is_stopping || (now < n->probe_ms && n->probe_ms - now <= PROBE_MS))
		return;
	n->probe_ms = now + PROBE_MS;
	struct store_batch *b = store_batch_new();
	if (!b)
		return;
	node_event(n, b, "store-probe", json_pack("{s:s}", "why", n->store_why));
	if (node_commit(n, b, on_probed, &n->probe_ms, NULL))
		log_debug("event=probe-refused");
}

/* After a batch that was refused: the index and the small state are ahead of the store. */
static int reload(struct node *n, struct err *err)
{
	const uint64_t last_sequence = n->state.last_sequence; /* never used twice */
	state_release(&n->state);
	int rc = state_load(&n->state, n->store, err);
	if (n->state.last_sequence < last_sequence)
		n->state.last_sequence = last_sequence;
	if (!rc)
		rc = node_load(n, err);
	if (rc)
		return rc;
	scheduler_set_mode(n->scheduler, n->is_stopping ? SCHED_DRAINING : n->state.donation.mode);
	node_review_all(n);
	return 0;
}

void node_work(struct node *n)
{
	while (store_poll(n->store))
		;
	if (n->must_reload && !n->pending) {
		struct err err;
		if (reload(n, &err))
			log_error("event=reload-failed why=\"%s\"", err.what);
	}
	probe_store(n);
	if (n->unpublished_len && (!n->store_failed || n->is_stopping) && !n->must_reload)
		node_retry_results(n);
	/* with a wrong clock nothing expires */
	if (node_now(n) >= intake_next_ms(n->intake) && !n->clock_off_ms)
		tick_intake(n);
	resume_when_due(n);
	recheck(n);
	if (n->review.len)
		node_review_some(n);
	net_work(n);
	node_schedule(n);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t node_next_ms(const struct node *n)
{
	uint64_t next = sooner(n->clock_off_ms ? UINT64_MAX : intake_next_ms(n->intake), scheduler_next_ms(n->scheduler, node_now(n)));
	if (n->state.donation.mode == SCHED_PAUSED && n->state.donation.until_ms)
		next = sooner(next, n->state.donation.until_ms);
	if (node_index(n)->entries.len > node_index(n)->projects.len) /* there are jobs that another file might concern */
		next = sooner(next, n->recheck_ms);
	if (n->review.len)
		next = 0;
	next = sooner(next, net_next_ms(n));
	return n->store_failed && !n->is_stopping ? sooner(next, n->probe_ms) : next;
}

void node_shutdown(struct node *n)
{
	if (n->is_stopping)
		return;
	n->is_stopping = true;
	scheduler_set_mode(n->scheduler, SCHED_DRAINING);
	scheduler_stop_all(n->scheduler, SCHED_STOP_SHUTDOWN);
	struct store_batch *b = store_batch_new();
	if (b) {
		node_event(n, b, "node-stop", json_object());
		if (node_commit(n, b, NULL, NULL, NULL))
			log_warn("event=stop-not-recorded");
	}
	n->hooks.want_work(n->hooks.user);
}

bool node_is_idle(const struct node *n)
{
	return !n->pending && !n->runs_len && !scheduler_busy(n->scheduler);
}
