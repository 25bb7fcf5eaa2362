/* Control operations: jobs, announced, cancelled, listed and shown; and the policy's word on one. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "node/control_ask.h"
#include "node/control_target.h"
#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/url.h"

#define CLAIM_MS UINT64_C(86400000) /* claim_until, where nothing is said */
#define LIST_MAX 10000

/* ---- announce */

static bool copy_arg(struct control_call *c, const json_t *args, const char *key, char *out, size_t size)
{
	const char *text = op_text(args, key);
	if (text && strlen(text) >= size) {
		op_fail(c, ERR_USAGE, NULL, "%s: longer than %zu bytes", key, size - 1);
		return false;
	}
	snprintf(out, size, "%s", text ? text : "");
	return true;
}

static bool fill_plan(struct control_call *c, const json_t *args, struct job_body *b)
{
	const json_t *plan = json_object_get(args, "plan");
	const char *origin = op_text(plan, "origin");
	if (!copy_arg(c, args, "cmd", b->plan_inline, sizeof b->plan_inline))
		return false;
	if (b->plan_inline[0]) {
		uint8_t digest[32];
		crypto_hash_sha256(digest, (const uint8_t *)b->plan_inline, strlen(b->plan_inline));
		hex_encode(b->plan_sha256, digest, 32);
		b->plan_origin = PLAN_INLINE;
		return true;
	}
	b->plan_origin = origin && !strcmp(origin, "detected") ? PLAN_DETECTED : PLAN_TREE;
	if (!op_text(plan, "path") || !op_text(plan, "sha256")) {
		op_fail(c, ERR_USAGE, "a plan {path, sha256, origin}, or cmd", "request: plan: missing");
		return false;
	}
	uint64_t cells;
	if (!op_range(c, args, "cells", 0, 0, JOB_CELLS_MAX, &cells) || !copy_arg(c, args, "cell", b->cell, sizeof b->cell))
		return false;
	b->cells = (uint32_t)cells;
	return copy_arg(c, plan, "path", b->plan_path, sizeof b->plan_path) && copy_arg(c, plan, "sha256", b->plan_sha256, sizeof b->plan_sha256);
}

/* What intake would only call malformed. */
static bool check_job(struct control_call *c, const struct job_body *b, uint64_t now_ms)
{
	const char *wrong = NULL;
	const size_t commit_len = strlen(b->commit);
	if (!hex_is_digits(b->commit, 40, 64) || (commit_len != 40 && commit_len != 64))
		wrong = "commit: a full commit id is wanted, 40 or 64 hexadecimal digits";
	else if (!ref_name_is_valid(b->ref))
		wrong = "ref: not the full name of a ref, like refs/heads/main";
	else if (b->image[0] && !image_name_is_valid(b->image))
		wrong = "image: not NAME or NAME@VERSION";
	else if (b->plan_path[0] && !tree_path_is_valid(b->plan_path))
		wrong = "plan: path: not a path in the tree";
	else if (!hex_is_digits(b->plan_sha256, 64, 64))
		wrong = "plan: sha256: not 64 hexadecimal digits";
	else if (!b->cells != !b->cell[0])
		wrong = "cell, cells: a cell's name and how many there are go together";
	else if (b->claim_until_ms <= now_ms || b->claim_until_ms - now_ms > JOB_CLAIM_UNTIL_MAX_MS)
		wrong = "claim_until: at most 7 days from now";
	if (wrong)
		op_fail(c, ERR_USAGE, NULL, "%s", wrong);
	return !wrong;
}

static bool fill_job(struct node *n, struct control_call *c, const json_t *args, const struct ix_project *p, struct job_body *b)
{
	uint64_t cpus, wanted;
	b->project = p->id;
	b->project_sequence = p->entry.sequence;
	b->memory_bytes = op_number(args, "memory", 0);
	b->disk_bytes = op_number(args, "disk", 0);
	b->timeout_ms = op_number(args, "timeout", 0);
	b->claim_until_ms = op_number(args, "claim_until", 0);
	if (!b->claim_until_ms)
		b->claim_until_ms = node_now(n) + CLAIM_MS;
	if (!op_range(c, args, "cpus", 0, 0, 65535, &cpus) || !op_range(c, args, "want", 1, 1, JOB_WANTED_MAX, &wanted) ||
	    !copy_arg(c, args, "arch", b->arch, sizeof b->arch) || !copy_arg(c, args, "commit", b->commit, sizeof b->commit) ||
	    !copy_arg(c, args, "ref", b->ref, sizeof b->ref) || !copy_arg(c, args, "image", b->image, sizeof b->image) || !fill_plan(c, args, b))
		return false;
	b->cpus = (uint32_t)cpus;
	b->wanted = (uint32_t)wanted;
	if (!b->arch[0])
		snprintf(b->arch, sizeof b->arch, "x86_64");
	for (char *at = b->commit; *at; at++)
		*at = (char)(*at >= 'A' && *at <= 'F' ? *at | 0x20 : *at);
	return check_job(c, b, node_now(n));
}

static void publish_job(struct node *n, struct control_call *c, const struct job_body *b, enum op_turn turn)
{
	CLEANUP(buf_release) struct buf body;
	struct id32 topic;
	buf_init(&body, RECORD_LEN_MAX);
	job_body_encode(b, &body);
	topic_derive(&b->project, &topic);
	const struct node_own own = {.kind = RECORD_JOB, .topic = &topic, .body = &body};
	(void)op_publish(n, c, &own, NULL, json_pack("{s:b}", "created", 1), "job", turn);
}

/* --new-only: a job of ours that asks for the same, and was not cancelled. */
struct same_ask {
	struct ask ask;
	struct job_body body;
	struct node_id self;
	bool is_found;
	struct id32 found;
};

static bool is_same(const struct job_body *a, const struct job_body *b)
{
	return id32_eq(&a->project, &b->project) && !strcmp(a->commit, b->commit) && !strcmp(a->ref, b->ref) && !strcmp(a->arch, b->arch) &&
	       !strcmp(a->image, b->image) && !strcmp(a->cell, b->cell) && a->plan_origin == b->plan_origin &&
	       !strcmp(a->plan_sha256, b->plan_sha256);
}

static int is_cancelled(struct store *view, const struct id32 *job, bool *ret, struct err *err)
{
	CLEANUP(rows_release) struct rows rows = {0};
	const struct store_filter f = {.kind = RECORD_CANCEL, .job = job, .limit = 1};
	const int code = rows_load(view, &f, &rows, err);
	*ret = !code && rows.len;
	return code;
}

static int find_same(struct ask *a, struct store *view, struct err *err)
{
	struct same_ask *s = (struct same_ask *)a;
	CLEANUP(rows_release) struct rows rows = {0};
	CLEANUP(cleanup_free) struct job_body *body = malloc(sizeof *body);
	const struct store_filter f = {.kind = RECORD_JOB, .commit = s->body.commit, .newest_first = true};
	int code = body ? rows_load(view, &f, &rows, err) : err_set(err, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < rows.len && !code && !s->is_found; i++) {
		bool cancelled = false;
		if (!node_id_eq(&record_get(rows.list[i])->author, &s->self) || job_body_decode(rows.list[i], body, NULL) || !is_same(body, &s->body))
			continue;
		code = is_cancelled(view, record_id(rows.list[i]), &cancelled, err);
		s->is_found = !cancelled;
		s->found = *record_id(rows.list[i]);
	}
	return code;
}

static void on_same(struct ask *a, struct control_call *c)
{
	struct same_ask *s = (struct same_ask *)a;
	char text[ID32_TEXT_MAX];
	if (c && !a->code && !s->is_found)
		return publish_job(a->st->node, c, &s->body, OP_TURN_ENDS);
	if (c && a->code)
		control_fail(c, &a->err);
	else if (c)
		control_end(c, json_pack("{s:s,s:b}", "job", id32_format(text, &s->found), "created", 0));
	op_turn_end(a->st);
}

void op_job_announce(struct node *n, struct control_call *c, const json_t *args)
{
	struct id32 project;
	const bool is_new_only = op_bool(args, "new_only");
	const char *name = op_text_needed(c, args, "project");
	if (!name || !op_project(n, c, name, &project))
		return;
	const struct ix_project *p = index_project(node_index(n), &project);
	if (!p)
		return op_fail(c, ERR_NOT_FOUND, NULL, "project %s: its record is not here yet", name);
	CLEANUP(cleanup_free) struct job_body *b = calloc(1, sizeof *b);
	if (!b)
		return op_fail(c, ERR_NOMEM, NULL, "out of memory");
	if (!fill_job(n, c, args, p, b))
		return;
	if (!is_new_only)
		return publish_job(n, c, b, OP_NO_TURN);
	/* two at once would both find nothing */
	if (!op_turn_take(c, args, op_job_announce))
		return;
	struct same_ask *s = ask_new(c, sizeof *s, find_same);
	if (!s)
		return op_turn_end(control_state_of(control_of(c)));
	s->body = *b;
	s->self = n->self;
	s->ask.done = on_same;
	ask_start(c, &s->ask);
}

/* ---- cancel */

struct job_ask {
	struct ask ask;
	struct target target;
	struct job_body body;
	char reason[256];
};

static struct job_ask *job_ask_new(struct node *n, struct control_call *c, const json_t *args,
				   int (*run)(struct ask *, struct store *, struct err *), void (*done)(struct ask *, struct control_call *))
{
	struct target t;
	if (!op_text_needed(c, args, "job") || !target_read(n, c, args, &t))
		return NULL;
	struct job_ask *j = ask_new(c, sizeof *j, run);
	if (!j)
		return NULL;
	j->target = t;
	j->ask.done = done;
	return j;
}

static int find_job(struct ask *a, struct store *view, struct err *err)
{
	return target_find(view, &((struct job_ask *)a)->target, err);
}

static void on_cancel(struct ask *a, struct control_call *c)
{
	const struct job_ask *j = (struct job_ask *)a;
	struct node *n = a->st->node;
	struct cancel_body b = {.job = j->target.job};
	const struct ix_job *job = index_job(node_index(n), &b.job);
	struct id32 topic;
	char text[ID32_TEXT_MAX];
	if (!c || a->code)
		return ask_finish(a, c);
	if (!job)
		return op_fail(c, ERR_NOT_FOUND, NULL, "job %s: it is no longer known here", id32_format(text, &b.job));
	snprintf(b.reason, sizeof b.reason, "%s", j->reason);
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_LEN_MAX);
	cancel_body_encode(&b, &body);
	topic_derive(&job->entry.project->id, &topic);
	const struct node_own own = {.kind = RECORD_CANCEL, .topic = &topic, .depends = &b.job, .body = &body};
	(void)op_publish(n, c, &own, NULL, json_pack("{s:s}", "job", id32_format(text, &b.job)), NULL, OP_NO_TURN);
}

void op_job_cancel(struct node *n, struct control_call *c, const json_t *args)
{
	char reason[256];
	struct job_ask *j = copy_arg(c, args, "reason", reason, sizeof reason) ? job_ask_new(n, c, args, find_job, on_cancel) : NULL;
	if (!j)
		return;
	memcpy(j->reason, reason, sizeof reason);
	ask_start(c, &j->ask);
}

/* ---- list and show */

static void add_run(struct node *n, json_t *o, const struct run *run)
{
	json_object_set_new(o, "state", json_string("running"));
	json_object_set_new(o, "local", json_pack("{s:s,s:i,s:i,s:s,s:I,s:I,s:I,s:I}", "phase", run->phase, "step", (int)run->step, "count", (int)run->steps,
						  "name", run->step_name, "elapsed_ms", (json_int_t)(node_now(n) - run->started_ms), "cpu_ms",
						  (json_int_t)run->cpu_ms, "memory_bytes", (json_int_t)run->memory_bytes, "log_bytes",
						  (json_int_t)run->log_bytes));
}

struct list_ask {
	struct ask ask;
	bool has_project;
	struct id32 project;
	char commit[65]; /* "" = any */
	size_t limit;
};

/* A job with its claims and results. */
static int job_json(struct store *view, const struct id32 *id, uint64_t now_ms, json_t **ret, struct job_body *ret_body, struct err *err)
{
	CLEANUP(dossier_release) struct dossier d = {0};
	const struct target t = {.is_job = true, .job = *id};
	const int code = target_load(view, &t, &d, err);
	if (code)
		return code;
	if (!d.jobs_len)
		return err_set(err, ERR_NOT_FOUND, "that job is not stored yet");
	*ret = dossier_job_to_json(&d.jobs[0], now_ms);
	if (ret_body)
		*ret_body = d.jobs[0].body;
	return 0;
}

static int list_jobs(struct ask *a, struct store *view, struct err *err)
{
	struct list_ask *l = (struct list_ask *)a;
	CLEANUP(rows_release) struct rows rows = {0};
	char commit[65] = "";
	int code = l->commit[0] ? target_find_commit(view, l->commit, commit, err) : 0;
	const struct store_filter f = {.kind = RECORD_JOB,
				       .project = l->has_project ? &l->project : NULL,
				       .commit = commit[0] ? commit : NULL,
				       .newest_first = true,
				       .limit = l->limit};
	if (!code)
		code = rows_load(view, &f, &rows, err);
	json_t *list = json_array();
	for (size_t i = 0; i < rows.len && !code; i++) {
		json_t *one = NULL;
		code = job_json(view, record_id(rows.list[i]), a->now_ms, &one, NULL, err);
		if (one)
			json_array_append_new(list, one);
	}
	a->answer = json_pack("{s:o}", "jobs", list);
	return code;
}

static void on_list(struct ask *a, struct control_call *c)
{
	json_t *one;
	size_t i;
	json_array_foreach(json_object_get(a->answer, "jobs"), i, one)
	{
		struct id32 id;
		const struct run *run = id32_parse(json_string_value(json_object_get(one, "job")), &id, NULL) ? NULL : node_run(a->st->node, &id);
		if (run && run->is_live)
			add_run(a->st->node, one, run);
	}
	ask_finish(a, c);
}

void op_job_list(struct node *n, struct control_call *c, const json_t *args)
{
	struct list_ask l = {0};
	uint64_t limit;
	const char *name = op_text(args, "project");
	if ((name && !op_project(n, c, name, &l.project)) || !copy_arg(c, args, "commit", l.commit, sizeof l.commit) ||
	    !op_range(c, args, "limit", 100, 1, LIST_MAX, &limit))
		return;
	struct list_ask *asked = ask_new(c, sizeof *asked, list_jobs);
	if (!asked)
		return;
	l.ask = asked->ask;
	l.ask.done = on_list;
	l.has_project = name != NULL;
	l.limit = (size_t)limit;
	*asked = l;
	ask_start(c, &asked->ask);
}

static int show_job(struct ask *a, struct store *view, struct err *err)
{
	struct job_ask *j = (struct job_ask *)a;
	const int code = target_find(view, &j->target, err);
	return code ? code : job_json(view, &j->target.job, a->now_ms, &a->answer, &j->body, err);
}

/* What this node does with it, beside what the records say. */
static void on_show(struct ask *a, struct control_call *c)
{
	const struct job_ask *j = (struct job_ask *)a;
	struct node *n = a->st->node;
	const struct run *run = node_run(n, &j->target.job);
	const struct ix_job *job = index_job(node_index(n), &j->target.job);
	struct node_opinion *opinion = a->answer && job ? calloc(1, sizeof *opinion) : NULL;
	if (a->answer && run && run->is_live)
		add_run(n, a->answer, run);
	if (opinion) {
		node_opine(n, job, &j->body, opinion);
		json_object_set_new(a->answer, "why_not", op_json_text(opinion->why_not));
	}
	free(opinion);
	ask_finish(a, c);
}

void op_job_show(struct node *n, struct control_call *c, const json_t *args)
{
	struct job_ask *j = job_ask_new(n, c, args, show_job, on_show);
	if (j)
		ask_start(c, &j->ask);
}

/* ---- the policy's stored word */

static int find_decision(struct ask *a, struct store *view, struct err *err)
{
	struct job_ask *j = (struct job_ask *)a;
	CLEANUP(buf_release) struct buf stored;
	char key[ID32_TEXT_MAX];
	buf_init(&stored, 65536);
	int code = target_find(view, &j->target, err);
	if (!code && store_get_kv_now(view, "decision", id32_format(key, &j->target.job), &stored, NULL)) {
		err_set(err, ERR_NOT_FOUND, "the policy has not been asked about job %.12s yet", key);
		code = err_hint(err, "it is asked when the job may be taken: 'talkoo job show %.12s' says how it stands", key);
	}
	if (code)
		return code;
	json_t *o = json_loadb(buf_cstr(&stored), stored.len, 0, NULL), *decision = json_incref(json_object_get(o, "decision"));
	json_object_del(o, "decision");
	json_object_update(o, decision);
	json_decref(decision);
	json_object_set_new(o, "job", json_string(key));
	json_object_set_new(o, "stored", json_true());
	a->answer = o;
	return o ? 0 : err_set(err, ERR_INVALID, "the stored decision about job %.12s is damaged", key);
}

void op_policy_why_job(struct node *n, struct control_call *c, const json_t *args)
{
	struct job_ask *j = job_ask_new(n, c, args, find_decision, NULL);
	if (j)
		ask_start(c, &j->ask);
}
