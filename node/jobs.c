/* node.h, "jobs.c": from a job on the record to what the scheduler may do with it, and its actions. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include "node/node.h"
#include "node/runplan.h"
#include "node/store/store.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/log.h"
#include "proto/base/units.h"
#include "runner/image.h"

#define HOLD_CHECK_MS UINT64_C(10000)
/* Open jobs reviewed in one turn of the loop: a few milliseconds (tests/bench/bench_node.c). */
#define REVIEW_AT_ONCE 32
#define LOOK_AT_ONCE 4096

/* ---- what the policy says */

int node_job_body(struct node *n, const struct id32 *job, struct job_body *ret, struct record **ret_record, struct err *err)
{
	const struct ix_job *known = index_job(node_index(n), job);
	if (!known)
		return err_set(err, ERR_NOT_FOUND, "no such job is stored here");
	const int rc = index_job_body(known, ret, err);
	if (!rc && ret_record)
		*ret_record = record_ref(known->record);
	return rc;
}

static void fill_facts(const struct ix_job *job, const struct job_body *body, struct policy_facts *f)
{
	*f = (struct policy_facts){.project = job->entry.project->id, .announcer = job->entry.author};
	f->announcer_is_maintainer = index_was_maintainer(job->entry.project, &job->entry.author, job->entry.created_ms);
	snprintf(f->ref, sizeof f->ref, "%s", body->ref);
	snprintf(f->image, sizeof f->image, "%s", body->image);
	snprintf(f->arch, sizeof f->arch, "%s", body->arch);
	f->wanted.cpus = body->cpus;
	f->wanted.memory_bytes = body->memory_bytes;
	f->wanted.disk_bytes = body->disk_bytes;
	f->wanted.timeout_ms = body->timeout_ms;
}

static bool exceeds(uint64_t wanted, uint64_t cap, const char *what, char *why, size_t size)
{
	char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX];
	if (wanted <= cap)
		return false;
	snprintf(why, size, "it asks for %s of %s, config.yml's limit is %s", units_format_size(a, wanted), what, units_format_size(b, cap));
	return true;
}

/* What this machine cannot give, whatever the policy says. */
static void find_obstacle(struct node *n, const struct ix_job *job, const struct job_body *body, const struct policy_limits *grant, char *why,
			  size_t size)
{
	struct job_source source;
	struct utsname machine;
	struct image image = {0};
	struct err err;
	if (!uname(&machine) && strcmp(machine.machine, body->arch))
		snprintf(why, size, "it is for %s, this machine is %s", body->arch, machine.machine);
	else if (exceeds(body->memory_bytes, n->config.limits.memory_bytes, "memory", why, size) ||
		 exceeds(body->disk_bytes, n->config.limits.disk_bytes, "disk", why, size))
		return;
	else if (body->image[0] && image_find(n->home.images, body->image, &image, &err))
		snprintf(why, size, "the image %s is not here (talkoo image build %.*s)", body->image, (int)strcspn(body->image, "@"), body->image);
	else if (runplan_url(&job->entry.project->body, grant, &source, &err))
		snprintf(why, size, "%s", err.what);
	image_release(&image);
}

void node_opine(struct node *n, const struct ix_job *job, const struct job_body *body, struct node_opinion *ret)
{
	*ret = (struct node_opinion){0};
	fill_facts(job, body, &ret->facts);
	rules_decide(n->rules, &ret->facts, &ret->decision);
	if (ret->decision.verdict != POLICY_ALLOW)
		snprintf(ret->why_not, sizeof ret->why_not, "%s", ret->decision.reason);
	else
		find_obstacle(n, job, body, &ret->decision.limits, ret->why_not, sizeof ret->why_not);
}

static bool same_decision(const char *stored, json_t *fresh)
{
	json_t *old = json_loads(stored, 0, NULL);
	const bool same = old && json_equal(json_object_get(old, "facts"), json_object_get(fresh, "facts")) &&
			  json_equal(json_object_get(old, "decision"), json_object_get(fresh, "decision"));
	json_decref(old);
	return same;
}

static void put_decision(struct node *n, const char *key, const struct policy_decision *d, json_t *fresh /* takes */, struct store_batch *b)
{
	char *text = json_dumps(fresh, JSON_COMPACT);
	json_decref(fresh);
	if (!text)
		return;
	store_put_kv(b, "decision", key, text, strlen(text));
	node_event(n, b, "policy",
		   json_pack("{s:s,s:s,s:s,s:s}", "job", key, "verdict", d->verdict == POLICY_ALLOW ? "allow" : "deny", "rule", d->rule, "reason",
			     d->reason));
	free(text);
}

static json_t *decision_json(const struct node *n, const struct policy_facts *facts, const struct policy_decision *d)
{
	char at[UNITS_TEXT_MAX];
	return json_pack("{s:o*,s:o*,s:s}", "facts", policy_facts_to_json(facts), "decision", policy_decision_to_json(d), "at",
			 units_format_time(at, node_now(n)));
}

void node_decide(struct node *n, const struct ix_job *job, struct store_batch *b)
{
	char key[ID32_TEXT_MAX];
	CLEANUP(cleanup_free) struct job_body *body = malloc(sizeof *body);
	CLEANUP(cleanup_free) struct node_opinion *o = calloc(1, sizeof *o);
	if (!body || !o || index_job_body(job, body, NULL))
		return;
	fill_facts(job, body, &o->facts);
	rules_decide(n->rules, &o->facts, &o->decision);
	put_decision(n, id32_format(key, &job->entry.id), &o->decision, decision_json(n, &o->facts, &o->decision), b);
}

/* Keeps the decision with its inputs, when it is not the one that is kept. */
static void keep_decision(struct node *n, const struct id32 *job, const struct node_opinion *o)
{
	char key[ID32_TEXT_MAX];
	CLEANUP(buf_release) struct buf stored;
	buf_init(&stored, 65536);
	id32_format(key, job);
	json_t *fresh = decision_json(n, &o->facts, &o->decision);
	const bool is_new = store_get_kv_now(n->store, "decision", key, &stored, NULL) || !same_decision(buf_cstr(&stored), fresh);
	struct store_batch *b = is_new ? store_batch_new() : NULL;
	if (!b) {
		json_decref(fresh);
		return;
	}
	put_decision(n, key, &o->decision, fresh, b);
	if (node_commit(n, b, NULL, NULL, NULL))
		log_warn("event=decision-not-stored job=%.12s", key);
}

/* ---- what the scheduler is told */

/* Whose work this node waits for: a listed volunteer is not kept waiting by keys that are not, of which there are as many as one likes. */
static bool is_our_equal(const struct node *n, const struct ix_job *job, const struct ix_entry *e)
{
	if (node_id_eq(&e->author, &n->self))
		return false;
	return e->authority == IX_VOLUNTEER || e->authority == IX_MAINTAINER || index_listed(job, &n->self) == IX_NONE;
}

static void count_others(const struct node *n, const struct ix_job *job, struct sched_view *view)
{
	const uint64_t now = node_now(n);
	view->others = 0;
	view->lapse_ms = 0;
	for (const struct ix_entry *c = job->claims; c; c = c->next_of_job) {
		if (!is_our_equal(n, job, c) || !index_claim_is_live(job, c, now))
			continue;
		view->others++;
		if (!view->lapse_ms || c->u.claim.lease_until_ms < view->lapse_ms)
			view->lapse_ms = c->u.claim.lease_until_ms;
	}
	for (const struct ix_entry *r = job->results; r; r = r->next_of_job)
		view->others += r->u.result.has_statement && is_our_equal(n, job, r);
	view->is_cancelled = index_is_cancelled(job);
	view->has_own_result = index_result_of(job, &n->self);
}

static bool is_closed(const struct node *n, const struct ix_job *job)
{
	return index_is_cancelled(job) || index_result_of(job, &n->self) || job->claim_until_ms <= node_now(n);
}

void node_review(struct node *n, const struct id32 *id)
{
	const struct ix_job *job = index_job(node_index(n), id);
	if (!job) {
		scheduler_forget(n->scheduler, id);
		return;
	}
	struct sched_view view = {
		.job = *id,
		.created_ms = job->entry.created_ms,
		.claim_until_ms = job->claim_until_ms,
		.is_own = rules_is_own(n->rules, &job->entry.author),
		.wanted = job->wanted,
	};
	count_others(n, job, &view);
	CLEANUP(cleanup_free) struct job_body *body = malloc(sizeof *body);
	CLEANUP(cleanup_free) struct node_opinion *opinion = malloc(sizeof *opinion);
	if (body && opinion && !is_closed(n, job) && !node_job_body(n, id, body, NULL, NULL)) {
		node_opine(n, job, body, opinion);
		keep_decision(n, id, opinion);
		view.is_allowed = !opinion->why_not[0];
	}
	const bool is_full = !scheduler_offer(n->scheduler, &view);
	if (is_full && !n->is_queue_full)
		log_warn("event=queue-full why=\"more open jobs than are kept in mind; the others come when those are done\"");
	n->is_queue_full = is_full;
	n->hooks.want_work(n->hooks.user);
}

void node_recount(struct node *n, const struct id32 *id)
{
	const struct ix_job *job = index_job(node_index(n), id);
	struct sched_view view = {.job = *id};
	if (!job) {
		scheduler_forget(n->scheduler, id);
		return;
	}
	const bool is_known = scheduler_known(n->scheduler, id, &view);
	count_others(n, job, &view);
	/* of others it is only to be known that they are not to go on */
	if (is_known || view.is_cancelled)
		(void)scheduler_offer(n->scheduler, &view);
	n->hooks.want_work(n->hooks.user);
}

void node_say_double(struct node *n, const struct id32 *id)
{
	const struct ix_job *job = index_job(node_index(n), id);
	struct run *run = node_run(n, id);
	char text[ID32_TEXT_MAX];
	if (!job || !run || !run->is_live || run->is_double)
		return;
	const unsigned others = index_live_claims(job, &n->self, node_now(n));
	if (others < job->wanted)
		return;
	run->is_double = true;
	log_info("event=double-work job=%.12s others=%u wanted=%u", id32_format(text, id), others, (unsigned)job->wanted);
	struct store_batch *b = store_batch_new();
	if (b) {
		node_event(n, b, "double-work", json_pack("{s:s,s:i,s:i}", "job", text, "others", (int)others, "wanted", (int)job->wanted));
		if (node_commit(n, b, NULL, NULL, NULL))
			log_warn("event=double-work-not-recorded");
	}
	node_tell(n, "double-work", id, json_pack("{s:i,s:i}", "others", (int)others, "wanted", (int)job->wanted));
}

/* A turn's part of the round. False: the project's jobs are through. */
static bool review_project(struct node *n, const struct ix_project *p, unsigned *reviewed, unsigned *looked)
{
	struct review *r = &n->review;
	const struct ix_job *job = r->is_within ? index_job(node_index(n), &r->job) : p->jobs;
	if (r->is_within && (!job || job->entry.project != p)) {
		r->is_again = true; /* just that one is gone: what came after it has its turn in the next round */
		job = NULL;
	}
	/* reviewing changes no list of the index */
	for (; job && *reviewed < REVIEW_AT_ONCE && *looked < LOOK_AT_ONCE; job = job->next_of_project) {
		++*looked;
		if (is_closed(n, job))
			continue;
		++*reviewed;
		node_review(n, &job->entry.id);
	}
	r->is_within = job != NULL;
	if (job)
		r->job = job->entry.id;
	return r->is_within;
}

void node_review_some(struct node *n)
{
	struct review *r = &n->review;
	for (unsigned reviewed = 0, looked = 0; r->at < r->len; r->at++) {
		const struct ix_project *p = index_project(node_index(n), &r->projects[r->at]);
		if (p && review_project(n, p, &reviewed, &looked)) {
			n->hooks.want_work(n->hooks.user);
			return;
		}
		r->is_within = false;
	}
	free(r->projects);
	const bool is_again = r->is_again;
	*r = (struct review){0};
	if (is_again)
		node_review_all(n);
}

void node_review_all(struct node *n)
{
	struct review *r = &n->review;
	size_t at = 0;
	if (r->len) { /* a round is under way: it ends first, so that no flood of changes keeps the last ones waiting for ever */
		r->is_again = true;
		return;
	}
	r->projects = calloc(node_index(n)->projects.len + 1, sizeof *r->projects);
	if (!r->projects) {
		log_warn("event=no-review why=\"out of memory\"");
		return;
	}
	for (const struct ix_project *p; (p = idmap_next(&node_index(n)->projects, &at));)
		r->projects[r->len++] = p->id;
	node_review_some(n);
}

void node_set_donation(struct node *n, enum sched_mode mode, uint64_t until_ms, const char *note, struct store_batch *b)
{
	n->state.donation.mode = mode;
	n->state.donation.since_ms = node_now(n);
	n->state.donation.until_ms = until_ms;
	snprintf(n->state.donation.note, sizeof n->state.donation.note, "%s", note);
	state_donation_put(&n->state, b);
	scheduler_set_mode(n->scheduler, n->is_stopping ? SCHED_DRAINING : mode);
	n->hooks.want_work(n->hooks.user);
}

/* ---- holds: why nothing new is claimed */

static bool read_word(const char *folder, const char *name, const char *file, char *out, size_t size)
{
	char path[PATH_MAX];
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, 256);
	snprintf(path, sizeof path, "%s/%s/%s", folder, name, file);
	if (io_read_file(path, &text, NULL))
		return false;
	snprintf(out, size, "%.*s", (int)strcspn(buf_cstr(&text), "\n"), buf_cstr(&text));
	return true;
}

static bool is_on_battery(void)
{
	static const char folder[] = "/sys/class/power_supply";
	DIR *dir = opendir(folder);
	bool discharging = false;
	for (const struct dirent *d; dir && (d = readdir(dir));) {
		char word[64];
		if (d->d_name[0] == '.' || !read_word(folder, d->d_name, "type", word, sizeof word) || strcmp(word, "Battery"))
			continue;
		if (read_word(folder, d->d_name, "scope", word, sizeof word) && !strcmp(word, "Device"))
			continue; /* a mouse's */
		discharging |= read_word(folder, d->d_name, "status", word, sizeof word) && !strcmp(word, "Discharging");
	}
	if (dir)
		closedir(dir);
	return discharging;
}

static bool disk_is_low(const struct node *n, char *why, size_t size)
{
	struct statvfs fs;
	char have[UNITS_TEXT_MAX], want[UNITS_TEXT_MAX];
	const uint64_t floor = n->config.caps.free_disk_bytes;
	if (!floor || statvfs(n->home.state, &fs))
		return false;
	const uint64_t avail = (uint64_t)fs.f_bavail * fs.f_frsize, total = (uint64_t)fs.f_blocks * fs.f_frsize;
	if (avail >= floor && avail >= total / 10)
		return false;
	snprintf(why, size, "the disk is nearly full: %s free, %s or a tenth of it are kept free", units_format_size(have, avail),
		 units_format_size(want, floor));
	return true;
}

void node_check_holds(struct node *n)
{
	const struct err *wrong = rules_error(n->rules);
	n->hold_why[0] = n->hold_until[0] = 0;
	if (n->store_failed) {
		snprintf(n->hold_why, sizeof n->hold_why, "the database cannot be written: %.180s", n->store_why);
		snprintf(n->hold_until, sizeof n->hold_until, "free disk space, or a larger caps.database in config.yml");
	} else if (wrong) {
		snprintf(n->hold_why, sizeof n->hold_why, "%.250s", wrong->what);
		snprintf(n->hold_until, sizeof n->hold_until, "a policy without errors (talkoo policy check)");
	} else if (n->clock_off_ms) {
		char off[UNITS_TEXT_MAX];
		snprintf(n->hold_why, sizeof n->hold_why, "this machine's clock is %s %s its peers'",
			 units_format_duration(off, (uint64_t)llabs(n->clock_off_ms)), n->clock_off_ms > 0 ? "ahead of" : "behind");
		snprintf(n->hold_until, sizeof n->hold_until, "the right time (timedatectl set-ntp true)");
	} else if (disk_is_low(n, n->hold_why, sizeof n->hold_why)) {
		snprintf(n->hold_until, sizeof n->hold_until, "more free space below %.90s", n->home.state);
	} else if (is_on_battery()) {
		snprintf(n->hold_why, sizeof n->hold_why, "this machine runs on battery");
		snprintf(n->hold_until, sizeof n->hold_until, "mains power");
	}
	scheduler_hold(n->scheduler, n->hold_why[0]);
}

/* ---- actions */

struct claiming {
	struct id32 job;
};

static void on_claim_durable(struct node *n, void *user, int code, const struct err *err)
{
	struct claiming *c = user;
	(void)err;
	scheduler_claimed(n->scheduler, &c->job, !code, node_now(n));
	free(c);
}

static int publish_claim(struct node *n, const struct id32 *id, bool is_first, bool gives_up, struct err *err)
{
	const struct ix_job *job = index_job(node_index(n), id);
	const struct run *run = node_run(n, id);
	const uint64_t now = node_now(n);
	struct claim_body body = {.job = *id, .lease_until_ms = gives_up ? 0 : now + SCHED_LEASE_MS};
	struct id32 topic;
	CLEANUP(buf_release) struct buf bytes;
	buf_init(&bytes, RECORD_LEN_MAX);
	if (!job)
		return err_set(err, ERR_NOT_FOUND, "the job is no longer known");
	if (run) {
		body.step = run->step;
		body.steps = run->steps;
		snprintf(body.phase, sizeof body.phase, "%s", run->phase);
	}
	claim_body_encode(&body, &bytes);
	topic_derive(&job->entry.project->id, &topic);
	const struct node_own own = {.kind = RECORD_CLAIM, .topic = &topic, .key = id->b, .key_len = sizeof id->b, .depends = id, .body = &bytes, .created_ms = now};
	struct store_batch *b = store_batch_new();
	struct claiming *c = is_first ? calloc(1, sizeof *c) : NULL;
	if (!b || (is_first && !c)) {
		store_batch_free(b);
		free(c);
		return err_set(err, ERR_NOMEM, "out of memory");
	}
	if (is_first) {
		c->job = *id;
		state_run_put(id, now, b);
	}
	if (gives_up)
		state_run_remove(id, b);
	const int rc = node_publish(n, &own, b, is_first ? on_claim_durable : NULL, c, NULL, err);
	if (rc)
		free(c);
	return rc;
}

static void perform(struct node *n, const struct sched_action *a)
{
	struct err err = {0};
	char id[ID32_TEXT_MAX];
	int rc = 0;
	switch (a->type) {
	case SCHED_CLAIM:
		/* an earlier run of it is still being cleared away */
		rc = node_run(n, &a->job) ? err_set(&err, ERR_REFUSED, "the last run of it is not cleared away yet")
					  : publish_claim(n, &a->job, true, false, &err);
		if (rc)
			scheduler_claimed(n->scheduler, &a->job, false, node_now(n));
		break;
	case SCHED_START: node_run_start(n, &a->job); break;
	case SCHED_RENEW: rc = publish_claim(n, &a->job, false, false, &err); break;
	case SCHED_STOP: n->hooks.run_stop(n->hooks.user, &a->job); break;
	case SCHED_GIVE_UP: rc = publish_claim(n, &a->job, false, true, &err); break;
	}
	if (rc)
		log_warn("event=claim-failed job=%.12s why=\"%s\"", id32_format(id, &a->job), err.what);
}

void node_schedule(struct node *n)
{
	const uint64_t now = node_now(n);
	if (now - n->disk_checked_ms >= HOLD_CHECK_MS || n->store_failed) {
		n->disk_checked_ms = now;
		node_check_holds(n);
	}
	struct id32 lapsed[64];
	const size_t len = scheduler_lapsed(n->scheduler, now, lapsed, ARRAY_LEN(lapsed));
	for (size_t i = 0; i < len; i++)
		node_recount(n, &lapsed[i]);
	struct sched_actions actions;
	scheduler_step(n->scheduler, now, &actions);
	for (size_t i = 0; i < actions.len; i++)
		perform(n, &actions.items[i]);
}
