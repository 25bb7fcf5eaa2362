/* Control operations: jobs, results, logs, artifacts, export. */
#include "node/control_jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "node/blobs.h"
#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/io.h"
#include "proto/base/units.h"
#include "proto/dsse.h"

#define CLAIM_MS UINT64_C(86400000) /* claim_until, where nothing is said */
#define INDEX_MAX (16u << 20)

/* ---- finding */

bool op_job(struct node *n, struct control_call *c, const json_t *args, struct id32 *ret)
{
	const char *text = op_text_needed(c, args, "job");
	struct err err;
	if (!text)
		return false;
	if (index_find_entry(node_index(n), RECORD_JOB, text, ret, &err)) {
		control_fail(c, &err);
		return false;
	}
	return true;
}

/* The one commit of the known jobs that begins so. */
static int find_commit(struct node *n, const char *prefix, char ret[65], struct err *err)
{
	const size_t len = strlen(prefix);
	size_t at = 0;
	ret[0] = 0;
	if (!hex_is_digits(prefix, 7, 64))
		return err_set(err, ERR_USAGE, "%.80s: not a commit: 7 or more hexadecimal digits", prefix);
	for (const struct ix_project *p; (p = idmap_next(&node_index(n)->projects, &at));)
		for (const struct ix_job *j = p->jobs; j; j = j->next_of_project) {
			if (strncasecmp(j->commit, prefix, len))
				continue;
			if (ret[0] && strcmp(ret, j->commit))
				return err_set(err, ERR_AMBIGUOUS, "%s: more than one commit begins so", prefix);
			snprintf(ret, 65, "%s", j->commit);
		}
	if (!ret[0] && (len == 40 || len == 64))
		snprintf(ret, 65, "%s", prefix); /* nobody announced it: the answer is unknown, not an error */
	return ret[0] ? 0 : err_set(err, ERR_NOT_FOUND, "%s: no announced commit begins so", prefix);
}

bool target_read(struct node *n, struct control_call *c, const json_t *args, struct target *ret)
{
	struct err err;
	memset(ret, 0, sizeof *ret);
	ret->need = (unsigned)op_number(args, "need", 1);
	ret->is_job = op_text(args, "job") != NULL;
	if (!ret->need || ret->need > 1000) {
		op_fail(c, ERR_USAGE, NULL, "need: a number from 1 to 1000");
		return false;
	}
	const char *project = op_text(args, "project"), *commit = op_text(args, "commit");
	if (project && !op_project(n, c, project, &ret->project))
		return false;
	ret->has_project = project != NULL;
	if (ret->is_job)
		return op_job(n, c, args, &ret->job);
	if (!commit) {
		op_fail(c, ERR_USAGE, NULL, "request: commit or job is wanted");
		return false;
	}
	if (find_commit(n, commit, ret->commit, &err)) {
		control_fail(c, &err);
		return false;
	}
	return true;
}

struct rows { struct record **list; size_t len; bool failed; };

static bool keep_row(void *user, struct record *r)
{
	struct rows *rows = user;
	if (!(rows->len & (rows->len - 1)) || !rows->len) {
		struct record **grown = reallocarray(rows->list, rows->len ? rows->len * 2 : 1, sizeof *grown);
		if (!grown) {
			rows->failed = true;
			return false;
		}
		rows->list = grown;
	}
	rows->list[rows->len++] = record_ref(r);
	return true;
}

static void rows_release(struct rows *rows)
{
	for (size_t i = 0; i < rows->len; i++)
		record_unref(rows->list[i]);
	free(rows->list);
}

static int open_filter(struct node *n, const struct store_filter *f, struct dossier *ret, struct err *err)
{
	CLEANUP(rows_release) struct rows rows = {0};
	const int code = store_each_now(n->store, f, keep_row, &rows, err);
	if (code)
		return code;
	if (rows.failed)
		return err_set(err, ERR_NOMEM, "out of memory");
	return dossier_build(rows.list, rows.len, ret, err);
}

int target_open(struct node *n, const struct target *t, struct dossier *ret, struct err *err)
{
	const struct store_filter f = {.job = t->is_job ? &t->job : NULL, .commit = t->is_job ? NULL : t->commit};
	return open_filter(n, &f, ret, err);
}

static struct trust_entry *trust_entries(const struct node *n)
{
	struct trust_entry *list = calloc(n->state.trust_len + 1, sizeof *list);
	for (size_t i = 0; list && i < n->state.trust_len; i++) {
		list[i].node = n->state.trust[i].node;
		list[i].since_ms = n->state.trust[i].since_ms;
		snprintf(list[i].operator_name, sizeof list[i].operator_name, "%s", n->state.trust[i].operator_name);
	}
	return list;
}

int target_results(struct node *n, const struct target *t, json_t **ret, enum verdict *ret_verdict, struct err *err)
{
	CLEANUP(dossier_release) struct dossier d = {0};
	CLEANUP(cleanup_free) struct trust_entry *entries = trust_entries(n);
	const struct trust_list trust = {entries, n->state.trust_len};
	const struct results_query q = {.commit = t->is_job ? NULL : t->commit, .project = t->has_project ? &t->project : NULL,
					.trust = &trust, .need = t->need, .now_ms = node_now(n)};
	if (!entries)
		return err_set(err, ERR_NOMEM, "out of memory");
	const int code = target_open(n, t, &d, err);
	return code ? code : dossier_results(&d, &q, ret, ret_verdict, err);
}

void op_results(struct node *n, struct control_call *c, const json_t *args)
{
	struct target t;
	struct err err;
	json_t *answer;
	enum verdict verdict;
	if (!target_read(n, c, args, &t))
		return;
	if (target_results(n, &t, &answer, &verdict, &err))
		return control_fail(c, &err);
	control_end(c, answer);
}

/* ---- jobs */

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
	return copy_arg(c, plan, "path", b->plan_path, sizeof b->plan_path) && copy_arg(c, plan, "sha256", b->plan_sha256, sizeof b->plan_sha256);
}

static bool fill_job(struct node *n, struct control_call *c, const json_t *args, const struct ix_project *p, struct job_body *b)
{
	b->project = p->id;
	b->project_sequence = p->entry.sequence;
	snprintf(b->arch, sizeof b->arch, "x86_64");
	b->cpus = (uint32_t)op_number(args, "cpus", 0);
	b->memory_bytes = op_number(args, "memory", 0);
	b->disk_bytes = op_number(args, "disk", 0);
	b->timeout_ms = op_number(args, "timeout", 0);
	b->wanted = (uint32_t)op_number(args, "want", 1);
	b->claim_until_ms = op_number(args, "claim_until", 0);
	if (!b->claim_until_ms)
		b->claim_until_ms = node_now(n) + CLAIM_MS;
	if (!copy_arg(c, args, "commit", b->commit, sizeof b->commit) || !copy_arg(c, args, "ref", b->ref, sizeof b->ref) ||
	    !copy_arg(c, args, "image", b->image, sizeof b->image))
		return false;
	if (!hex_is_digits(b->commit, 40, 64)) {
		op_fail(c, ERR_USAGE, NULL, "commit: a full commit id is wanted");
		return false;
	}
	return fill_plan(c, args, b);
}

/* A job of ours for the same commit and plan that was not cancelled. */
static const struct ix_job *same_job(const struct node *n, const struct ix_project *p, const struct job_body *b)
{
	for (const struct ix_job *j = p->jobs; j; j = j->next_of_project)
		if (!strcmp(j->commit, b->commit) && j->plan_origin == b->plan_origin && node_id_eq(&j->entry.author, &n->self) &&
		    !index_is_cancelled(j))
			return j;
	return NULL;
}

static void publish_job(struct node *n, struct control_call *c, const struct job_body *b)
{
	CLEANUP(buf_release) struct buf body;
	struct id32 topic, id;
	struct err err;
	char text[ID32_TEXT_MAX];
	void *user;
	buf_init(&body, RECORD_LEN_MAX);
	job_body_encode(b, &body);
	topic_derive(&b->project, &topic);
	struct store_batch *batch = store_batch_new();
	json_t *answer = json_pack("{s:b}", "created", 1);
	const struct node_own own = {.kind = RECORD_JOB, .topic = &topic, .body = &body};
	const node_done_fn done = op_later(c, json_incref(answer), &user);
	if (!batch || !user || node_publish(n, &own, batch, done, user, &id, &err)) {
		if (!batch || !user)
			(void)err_set(&err, ERR_NOMEM, "out of memory");
		control_fail(c, &err);
	} else {
		json_object_set_new(answer, "job", json_string(id32_format(text, &id)));
	}
	json_decref(answer);
}

void op_job_announce(struct node *n, struct control_call *c, const json_t *args)
{
	struct id32 project;
	char text[ID32_TEXT_MAX];
	const char *name = op_text_needed(c, args, "project");
	if (!name || !op_project(n, c, name, &project))
		return;
	const struct ix_project *p = index_project(node_index(n), &project);
	if (!p)
		return op_fail(c, ERR_NOT_FOUND, NULL, "project %s: its record is not here yet", name);
	struct job_body *b = calloc(1, sizeof *b);
	if (!b)
		return op_fail(c, ERR_NOMEM, NULL, "out of memory");
	if (fill_job(n, c, args, p, b)) {
		const struct ix_job *old = op_bool(args, "new_only") ? same_job(n, p, b) : NULL;
		if (old)
			control_end(c, json_pack("{s:s,s:b}", "job", id32_format(text, &old->entry.id), "created", 0));
		else
			publish_job(n, c, b);
	}
	free(b);
}

void op_job_cancel(struct node *n, struct control_call *c, const json_t *args)
{
	struct cancel_body b = {0};
	struct id32 topic;
	struct err err;
	char text[ID32_TEXT_MAX];
	void *user;
	if (!op_job(n, c, args, &b.job) || !copy_arg(c, args, "reason", b.reason, sizeof b.reason))
		return;
	const struct ix_job *job = index_job(node_index(n), &b.job);
	if (!job)
		return op_fail(c, ERR_NOT_FOUND, NULL, "no such job");
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_LEN_MAX);
	cancel_body_encode(&b, &body);
	topic_derive(&job->entry.project->id, &topic);
	const struct node_own own = {.kind = RECORD_CANCEL, .topic = &topic, .depends = &b.job, .body = &body};
	struct store_batch *batch = store_batch_new();
	const node_done_fn done = op_later(c, json_pack("{s:s}", "job", id32_format(text, &b.job)), &user);
	if (!batch || !user || node_publish(n, &own, batch, done, user, NULL, &err)) {
		if (!batch || !user)
			(void)err_set(&err, ERR_NOMEM, "out of memory");
		control_fail(c, &err);
	}
}

/* What this node does with it, beside what the records say. */
static void add_local(struct node *n, json_t *o, const struct dossier_job *j)
{
	const struct id32 *id = record_id(j->record);
	const struct run *run = node_run(n, id);
	if (run && run->is_live) {
		json_object_set_new(o, "state", json_string("running"));
		json_object_set_new(o, "local", json_pack("{s:s,s:i,s:i,s:s,s:I,s:I,s:I}", "phase", run->phase, "step", (int)run->step, "count",
							  (int)run->steps, "name", run->step_name, "elapsed_ms",
							  (json_int_t)(node_now(n) - run->started_ms), "cpu_ms", (json_int_t)run->cpu_ms,
							  "memory_bytes", (json_int_t)run->memory_bytes));
	}
	const struct ix_job *job = index_job(node_index(n), id);
	struct node_opinion *opinion = job ? calloc(1, sizeof *opinion) : NULL;
	if (opinion) {
		node_opine(n, job, &j->body, opinion);
		json_object_set_new(o, "why_not", json_string(opinion->why_not));
	}
	free(opinion);
}

void op_job_list(struct node *n, struct control_call *c, const json_t *args)
{
	CLEANUP(dossier_release) struct dossier d = {0};
	struct id32 project;
	char commit[65] = "";
	struct err err;
	const char *name = op_text(args, "project"), *prefix = op_text(args, "commit");
	if (name && !op_project(n, c, name, &project))
		return;
	if (prefix && find_commit(n, prefix, commit, &err))
		return control_fail(c, &err);
	const uint64_t limit = op_number(args, "limit", 100);
	const struct store_filter f = {.project = name ? &project : NULL, .commit = prefix ? commit : NULL, .newest_first = true};
	if (open_filter(n, &f, &d, &err))
		return control_fail(c, &err);
	json_t *list = json_array();
	for (size_t i = d.jobs_len; i-- && json_array_size(list) < limit;)
		json_array_append_new(list, dossier_job_to_json(&d.jobs[i], node_now(n)));
	control_end(c, json_pack("{s:o}", "jobs", list));
}

void op_job_show(struct node *n, struct control_call *c, const json_t *args)
{
	CLEANUP(dossier_release) struct dossier d = {0};
	struct target t = {.is_job = true};
	struct err err;
	if (!op_job(n, c, args, &t.job))
		return;
	if (target_open(n, &t, &d, &err))
		return control_fail(c, &err);
	if (!d.jobs_len)
		return op_fail(c, ERR_NOT_FOUND, NULL, "that job is not stored yet");
	json_t *o = dossier_job_to_json(&d.jobs[0], node_now(n));
	add_local(n, o, &d.jobs[0]);
	control_end(c, o);
}

void op_policy_why_job(struct node *n, struct control_call *c, const char *job)
{
	CLEANUP(buf_release) struct buf stored;
	struct id32 id;
	struct err err;
	char key[ID32_TEXT_MAX];
	buf_init(&stored, 65536);
	if (index_find_entry(node_index(n), RECORD_JOB, job, &id, &err))
		return control_fail(c, &err);
	if (store_get_kv_now(n->store, "decision", id32_format(key, &id), &stored, &err)) {
		err_hint(&err, "the policy has not been asked about this job yet");
		return control_fail(c, &err);
	}
	json_t *o = json_loadb(buf_cstr(&stored), stored.len, 0, NULL), *decision = json_incref(json_object_get(o, "decision"));
	json_object_del(o, "decision");
	json_object_update(o, decision);
	json_decref(decision);
	json_object_set_new(o, "job", json_string(key));
	json_object_set_new(o, "stored", json_true());
	control_end(c, o);
}

/* ---- logs and artifacts */

static int open_read(const char *path, int *ret_fd)
{
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return *ret_fd < 0 ? -1 : 0;
}

/* The results of a job whose blobs may be here: our own first. */
static bool blob_dir_of(struct node *n, const struct id32 *job, const struct node_id *node, char ret[PATH_MAX])
{
	const struct ix_job *j = index_job(node_index(n), job);
	struct stat st;
	if (!blobs_dir(&n->home, job, node ? node : &n->self, ret, NULL) && !stat(ret, &st))
		return true;
	for (const struct ix_entry *e = j && !node ? j->results : NULL; e; e = e->next_of_job)
		if (!blobs_dir(&n->home, job, &e->author, ret, NULL) && !stat(ret, &st))
			return true;
	return false;
}

int job_log_open(struct node *n, const struct id32 *job, const struct node_id *node, int *ret_fd, bool *ret_live, struct err *err)
{
	char path[PATH_MAX], text[ID32_TEXT_MAX], dir[PATH_MAX];
	const struct run *run = node_run(n, job);
	*ret_live = run != NULL && (!node || node_id_eq(node, &n->self));
	snprintf(path, sizeof path, "%.4000s/%s/log", n->home.jobs, id32_format(text, job));
	if (*ret_live && !open_read(path, ret_fd))
		return 0;
	if (blob_dir_of(n, job, node, dir)) {
		snprintf(path, sizeof path, "%.4080s/log", dir);
		if (!open_read(path, ret_fd))
			return 0;
	}
	err_set(err, ERR_NOT_FOUND, "no log of this job is here");
	return err_hint(err, *ret_live ? "the job has not started its VM yet" : "it was never run here, or its files are gone (the blobs' cap)");
}

static bool read_node(struct control_call *c, const json_t *args, struct node_id *out, const struct node_id **ret)
{
	const char *text = op_text(args, "node");
	struct err err;
	*ret = text ? out : NULL;
	if (!text || !node_id_parse(text, out, &err))
		return true;
	control_fail(c, &err);
	return false;
}

/* The verified statement of the wanted (or first) result of a job, its lists complete. statement_release() it. */
static int open_statement(struct node *n, const struct id32 *job, const struct node_id *node, struct dossier *d, const struct statement **ret,
			  char dir[PATH_MAX], struct err *err)
{
	const struct target t = {.is_job = true, .job = *job};
	int code = target_open(n, &t, d, err);
	if (code)
		return code;
	if (!blob_dir_of(n, job, node, dir))
		return err_set(err, ERR_NOT_FOUND, "no files of this job are here");
	const char *author = strrchr(dir, '/') + 1;
	for (size_t i = 0; d->jobs_len && i < d->jobs[0].results_len; i++) {
		struct dossier_result *r = &d->jobs[0].results[i];
		char id[NODE_ID_TEXT_MAX];
		node_id_format(id, &record_get(r->record)->author);
		if (!r->has_statement || (strcmp(id, author) && strcmp(id + 8, author)))
			continue;
		if (r->statement.has_index && !r->statement.steps) {
			CLEANUP(buf_release) struct buf index;
			char path[PATH_MAX];
			buf_init(&index, INDEX_MAX);
			snprintf(path, sizeof path, "%.4080s/index.json", dir);
			code = io_read_file(path, &index, err);
			if (!code)
				code = statement_read_index(&r->statement, index.data, index.len, err);
			if (code)
				return code;
		}
		*ret = &r->statement;
		return 0;
	}
	return err_set(err, ERR_NOT_FOUND, "no signed result with artifacts");
}

static json_t *artifact_json(const struct statement_artifact *a)
{
	char sha256[65], root[65];
	return json_pack("{s:s,s:s,s:s,s:I}", "path", a->path, "sha256", hex_encode(sha256, a->digest.sha256, 32), "root",
			 hex_encode(root, a->digest.root, 32), "size", (json_int_t)a->digest.size);
}

void op_artifacts(struct node *n, struct control_call *c, const json_t *args)
{
	CLEANUP(dossier_release) struct dossier d = {0};
	struct id32 job;
	struct node_id id;
	const struct node_id *node;
	const struct statement *s;
	char dir[PATH_MAX];
	struct err err;
	if (!op_job(n, c, args, &job) || !read_node(c, args, &id, &node))
		return;
	if (open_statement(n, &job, node, &d, &s, dir, &err))
		return control_fail(c, &err);
	json_t *list = json_array();
	for (size_t i = 0; i < s->artifacts_len; i++)
		json_array_append_new(list, artifact_json(&s->artifacts[i]));
	control_end(c, json_pack("{s:o,s:b}", "artifacts", list, "partial", (int)s->artifacts_partial));
}

void op_artifact(struct node *n, struct control_call *c, const json_t *args)
{
	CLEANUP(dossier_release) struct dossier d = {0};
	struct id32 job;
	struct node_id id;
	const struct node_id *node;
	const struct statement *s;
	char dir[PATH_MAX];
	struct err err;
	const char *path = op_text_needed(c, args, "path");
	if (!path || !op_job(n, c, args, &job) || !read_node(c, args, &id, &node))
		return;
	if (open_statement(n, &job, node, &d, &s, dir, &err))
		return control_fail(c, &err);
	for (size_t i = 0; i < s->artifacts_len; i++) {
		int fd;
		char below[PATH_MAX];
		if (strcmp(s->artifacts[i].path, path))
			continue;
		snprintf(below, sizeof below, "artifacts/%.4000s", path);
		if (blobs_open(dir, below, &fd, &err))
			return control_fail(c, &err);
		return control_end_fd(c, artifact_json(&s->artifacts[i]), fd);
	}
	op_fail(c, ERR_NOT_FOUND, NULL, "%s: no such artifact", path);
}

/* ---- export */

static json_t *envelope_json(struct node *n, const struct dossier_result *r)
{
	CLEANUP(buf_release) struct buf text;
	char id[ID32_TEXT_MAX], node[NODE_ID_TEXT_MAX];
	const struct node_id *author = &record_get(r->record)->author;
	buf_init(&text, 65536);
	if (dsse_envelope_write(DSSE_INTOTO_TYPE, r->body.payload, r->body.payload_len, author, r->body.signature, &text, NULL))
		return NULL;
	return json_pack("{s:s,s:s,s:b,s:o}", "result", id32_format(id, record_id(r->record)), "node", node_id_format(node, author), "trusted",
			 state_trust_find(&n->state, author) != NULL, "envelope", json_loadb(buf_cstr(&text), text.len, 0, NULL));
}

/* The job that a result is about, from the result's id. */
static bool target_of_result(struct node *n, struct control_call *c, const char *text, struct target *t, struct id32 *ret_result)
{
	struct err err;
	if (index_find_entry(node_index(n), RECORD_RESULT, text, ret_result, &err)) {
		control_fail(c, &err);
		return false;
	}
	const struct ix_entry *e = index_entry(node_index(n), ret_result);
	*t = (struct target){.is_job = true, .need = 1};
	if (e && e->job)
		t->job = e->job->entry.id;
	return true;
}

void op_export(struct node *n, struct control_call *c, const json_t *args)
{
	CLEANUP(dossier_release) struct dossier d = {0};
	struct target t;
	struct id32 result;
	struct err err;
	const char *wanted = op_text(args, "result");
	if (wanted ? !target_of_result(n, c, wanted, &t, &result) : !target_read(n, c, args, &t))
		return;
	if (target_open(n, &t, &d, &err))
		return control_fail(c, &err);
	json_t *list = json_array();
	for (size_t i = 0; i < d.jobs_len; i++)
		for (size_t k = 0; k < d.jobs[i].results_len; k++) {
			const struct dossier_result *r = &d.jobs[i].results[k];
			const bool is_other = (wanted && !id32_eq(record_id(r->record), &result)) ||
					      (t.has_project && !id32_eq(&d.jobs[i].body.project, &t.project));
			if (r->has_statement && !is_other)
				json_array_append_new(list, envelope_json(n, r));
		}
	if (!json_array_size(list)) {
		json_decref(list);
		return op_fail(c, ERR_NOT_FOUND, "`talkoo results` lists what there is", "no signed result to export");
	}
	control_end(c, json_pack("{s:o}", "envelopes", list));
}
