/* The answers made from a dossier: the verdict and the JSON objects of CLI.md. */
#include "node/dossier.h"

#include <stdlib.h>
#include <string.h>

#include "proto/outcome.h"
#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/units.h"
#include "runner/job.h"

static void set_time(json_t *object, const char *key, uint64_t unix_ms)
{
	char text[UNITS_TEXT_MAX];
	json_object_set_new(object, key, json_string(units_format_time(text, unix_ms)));
}

static void set_id(json_t *object, const char *key, const struct id32 *id)
{
	char text[ID32_TEXT_MAX];
	json_object_set_new(object, key, json_string(id32_format(text, id)));
}

static void set_node(json_t *object, const char *key, const struct node_id *id)
{
	char text[NODE_ID_TEXT_MAX];
	json_object_set_new(object, key, json_string(node_id_format(text, id)));
}

static const char *origin_name(enum plan_origin origin)
{
	switch (origin) {
	case PLAN_TREE: return "tree";
	case PLAN_DETECTED: return "detected";
	case PLAN_INLINE: return "inline";
	}
	return "unknown";
}

static json_t *plan_json(enum plan_origin origin, const char *path, const char *sha256)
{
	return json_pack("{s:s,s:s,s:s}", "path", path, "digest", sha256, "origin", origin_name(origin));
}

static json_t *blob_json(const struct blob_digest *d)
{
	char sha256[65], root[65];
	return json_pack("{s:s,s:s,s:I}", "sha256", hex_encode(sha256, d->sha256, 32), "root", hex_encode(root, d->root, 32), "size",
			 (json_int_t)d->size);
}

static json_t *lists_json(const struct statement *s, json_t **ret_steps)
{
	json_t *artifacts = json_array(), *steps = json_array();
	for (size_t i = 0; i < s->artifacts_len; i++) {
		json_t *one = blob_json(&s->artifacts[i].digest);
		json_object_set_new(one, "path", json_string(s->artifacts[i].path));
		json_array_append_new(artifacts, one);
	}
	for (size_t i = 0; i < s->steps_len; i++)
		json_array_append_new(steps, json_pack("{s:s,s:i,s:I}", "name", s->steps[i].name, "exit_code", s->steps[i].exit_code,
						       "duration_ms", (json_int_t)s->steps[i].duration_ms));
	*ret_steps = steps;
	return artifacts;
}

void dossier_add_statement(json_t *object, const struct statement *s)
{
	json_t *steps, *artifacts = lists_json(s, &steps);
	json_object_set_new(object, "image", json_pack("{s:s,s:s}", "name", s->image_name, "digest", s->image_digest));
	json_object_set_new(object, "plan", plan_json(s->plan_origin, s->plan_path, s->plan_sha256));
	json_object_set_new(object, "ref_seen", json_string(s->ref_seen));
	set_time(object, "started", s->started_ms);
	set_time(object, "finished", s->finished_ms);
	json_object_set_new(object, "duration_ms", json_integer((json_int_t)s->duration_ms));
	json_object_set_new(object, "log", blob_json(&s->log));
	json_object_set_new(object, "steps", steps);
	json_object_set_new(object, "artifacts", artifacts);
	char outcome[65] = "";
	if (!outcome_digest_of_statement(s, outcome, NULL) && *outcome)
		json_object_set_new(object, "outcome_digest", json_string(outcome));
	json_object_set_new(object, "artifacts_partial", json_boolean(s->artifacts_partial));
	json_object_set_new(object, "accel", json_string(s->accel));
	json_object_set_new(object, "isolation", json_string(s->isolation));
}

static const struct trust_entry *trusted(const struct trust_list *trust, const struct node_id *node)
{
	for (size_t i = 0; i < trust->len; i++)
		if (node_id_eq(&trust->entries[i].node, node))
			return &trust->entries[i];
	return NULL;
}

static enum verdict_vote vote_of(const struct dossier_result *r)
{
	switch ((enum job_outcome)r->outcome) {
	case JOB_PASSED: return VOTE_PASSED;
	case JOB_FAILED: return VOTE_FAILED;
	case JOB_TIMEOUT: return strcmp(r->statement.accel, "kvm") ? VOTE_TIMEOUT_EMULATED : VOTE_TIMEOUT_KVM;
	case JOB_ERROR: return VOTE_ERROR;
	case JOB_ABANDONED: return VOTE_ABANDONED;
	case JOB_REFUSED: return VOTE_REFUSED;
	}
	return VOTE_ERROR;
}

/* What the walk over the dossier gathers. */
struct tally {
	const struct results_query *q;
	const struct id32 *project;
	struct verdict_result *votes;  /* owned, as many as there are results */
	char (*nodes)[NODE_ID_TEXT_MAX];
	size_t votes_len, votes_max;
	const char **cells;            /* owned list of lent texts */
	size_t cells_len;
	bool is_live;
	const char *plan_sha256, *plan_path; /* of the first that counts; NULL */
	enum plan_origin plan_origin;
	json_t *results;
};

/* Why a job does not answer this query; NULL when it does. */
static const char *job_excluded(const struct tally *t, const struct dossier_job *j)
{
	if (t->project && !id32_eq(&j->body.project, t->project))
		return "another project";
	if (t->q->commit && j->body.plan_origin == PLAN_INLINE)
		return "its commands came with the job, not from the commit's plan";
	return NULL;
}

static const char *result_excluded(const struct tally *t, const struct dossier_result *r)
{
	if (!t->q->commit || !r->has_statement)
		return NULL;
	return r->statement.plan_origin == PLAN_INLINE ? "it was not built by the commit's plan" : NULL;
}

static void add_cell(struct tally *t, const char *cell)
{
	for (size_t i = 0; i < t->cells_len; i++)
		if (!strcmp(t->cells[i], cell))
			return;
	t->cells[t->cells_len++] = cell;
}

/* The plan may have more cells than jobs are known here: what is not known has not passed. */
static void add_missing_cells(struct tally *t, size_t cells)
{
	while (t->cells_len < cells)
		t->cells[t->cells_len++] = "(not announced here)";
}

static void note_plan(struct tally *t, const struct dossier_result *r)
{
	if (!r->has_statement || t->plan_sha256)
		return;
	t->plan_sha256 = r->statement.plan_sha256;
	t->plan_path = r->statement.plan_path;
	t->plan_origin = r->statement.plan_origin;
}

static void add_vote(struct tally *t, const struct dossier_job *j, const struct dossier_result *r, const struct trust_entry *who,
		     const char *node)
{
	char *kept = t->nodes[t->votes_len];
	snprintf(kept, NODE_ID_TEXT_MAX, "%s", node);
	t->votes[t->votes_len++] = (struct verdict_result){
		.vote = vote_of(r),
		.trusted = who != NULL,
		.operator_name = who && who->operator_name[0] ? who->operator_name : NULL,
		.node = kept,
		.cell = j->body.cell,
	};
	note_plan(t, r);
}

static void add_result_json(struct tally *t, const struct dossier_job *j, const struct dossier_result *r, const char *job_why)
{
	const struct record_fields *f = record_get(r->record);
	const struct trust_entry *who = trusted(t->q->trust, &f->author);
	const char *why = job_why ? job_why : result_excluded(t, r);
	char node[NODE_ID_TEXT_MAX];
	node_id_format(node, &f->author);
	json_t *object = json_object();
	set_id(object, "id", record_id(r->record));
	json_object_set_new(object, "node", json_string(node));
	json_object_set_new(object, "operator", who && who->operator_name[0] ? json_string(who->operator_name) : json_null());
	json_object_set_new(object, "trusted", json_boolean(who != NULL));
	json_object_set_new(object, "outcome", json_string(job_outcome_name((enum job_outcome)r->outcome)));
	json_object_set_new(object, "reason", json_string(r->has_statement ? r->statement.reason : r->body.reason));
	set_id(object, "job", record_id(j->record));
	json_object_set_new(object, "cell", json_string(j->body.cell));
	set_time(object, "created", f->created_ms);
	json_object_set_new(object, "counts", json_boolean(!why));
	if (why)
		json_object_set_new(object, "why", json_string(why));
	if (r->has_statement)
		dossier_add_statement(object, &r->statement);
	json_array_append_new(t->results, object);
	if (!why)
		add_vote(t, j, r, who, node);
}

static void walk(struct tally *t, const struct dossier *d)
{
	size_t cells = 0;
	for (size_t i = 0; i < d->jobs_len; i++) {
		const struct dossier_job *j = &d->jobs[i];
		const char *why = job_excluded(t, j);
		for (size_t k = 0; k < j->results_len; k++)
			add_result_json(t, j, &j->results[k], why);
		if (why)
			continue;
		const enum job_state state = dossier_job_state(j, t->q->now_ms);
		if (state != JOB_CANCELLED || j->results_len) {
			add_cell(t, j->body.cell);
			cells = j->body.cells > cells ? j->body.cells : cells;
		}
		t->is_live = t->is_live || state == JOB_ANNOUNCED || state == JOB_CLAIMED;
	}
	/* a query for one job asks for that one only */
	if (t->q->commit)
		add_missing_cells(t, cells);
}

/* Trusted statements about one cell of a commit that name different plans cannot all be the tree's. (Cells may have a file
 * each.) */
static bool plans_of_cell_differ(const struct tally *t, const struct dossier *d, const char *cell)
{
	const char *first = NULL;
	for (size_t i = 0; t->q->commit && i < d->jobs_len; i++)
		for (size_t k = 0; k < d->jobs[i].results_len; k++) {
			const struct dossier_result *r = &d->jobs[i].results[k];
			if (!r->has_statement || strcmp(d->jobs[i].body.cell, cell) || job_excluded(t, &d->jobs[i]) || result_excluded(t, r) ||
			    !trusted(t->q->trust, &record_get(r->record)->author))
				continue;
			if (first && strcmp(first, r->statement.plan_sha256))
				return true;
			first = r->statement.plan_sha256;
		}
	return false;
}

static bool plans_differ(const struct tally *t, const struct dossier *d)
{
	for (size_t i = 0; i < t->cells_len; i++)
		if (plans_of_cell_differ(t, d, t->cells[i]))
			return true;
	return false;
}

static int choose_project(const struct dossier *d, const struct results_query *q, const struct id32 **ret, struct err *err)
{
	const struct id32 *project = q->project;
	for (size_t i = 0; i < d->jobs_len && !q->project; i++) {
		if (project && !id32_eq(project, &d->jobs[i].body.project)) {
			err_set(err, ERR_AMBIGUOUS, "more than one project knows this commit");
			return err_hint(err, "say which with --project");
		}
		project = &d->jobs[i].body.project;
	}
	*ret = project;
	return 0;
}

static json_t *answer(const struct tally *t, const struct dossier *d, const struct verdict_answer *v)
{
	json_t *object = json_pack("{s:i}", "v", 1);
	const char *commit = t->q->commit ? t->q->commit : d->jobs_len ? d->jobs[0].body.commit : NULL;
	json_object_set_new(object, "commit", commit ? json_string(commit) : json_null());
	if (t->project)
		set_id(object, "project", t->project);
	else
		json_object_set_new(object, "project", json_null());
	json_object_set_new(object, "plan", t->plan_sha256 ? plan_json(t->plan_origin, t->plan_path, t->plan_sha256) : json_null());
	json_object_set_new(object, "verdict", json_string(verdict_name(v->verdict)));
	json_object_set_new(object, "why", json_string(v->why));
	json_object_set_new(object, "need", json_integer(t->q->need));
	json_object_set_new(object, "have", json_integer(v->have));
	json_object_set(object, "results", t->results);
	return object;
}

static size_t count_results(const struct dossier *d)
{
	size_t n = 0;
	for (size_t i = 0; i < d->jobs_len; i++)
		n += d->jobs[i].results_len;
	return n;
}

static void tally_release(struct tally *t)
{
	free(t->votes);
	free(t->nodes);
	free(t->cells);
	json_decref(t->results);
}

int dossier_results(const struct dossier *d, const struct results_query *q, json_t **ret, enum verdict *ret_verdict, struct err *err)
{
	CLEANUP(tally_release) struct tally t = {.q = q};
	const int code = choose_project(d, q, &t.project, err);
	if (code)
		return code;
	t.votes_max = count_results(d);
	t.votes = calloc(t.votes_max + 1, sizeof *t.votes);
	t.nodes = calloc(t.votes_max + 1, sizeof *t.nodes);
	t.cells = calloc(d->jobs_len + 1 + JOB_CELLS_MAX, sizeof *t.cells);
	t.results = json_array();
	if (!t.votes || !t.nodes || !t.cells || !t.results)
		return err_set(err, ERR_NOMEM, "out of memory");
	walk(&t, d);
	if (!t.cells_len)
		t.cells[t.cells_len++] = "";
	const struct verdict_input in = {t.votes, t.votes_len, t.cells, t.cells_len, q->need, t.is_live};
	struct verdict_answer v;
	verdict_decide(&in, &v);
	if (plans_differ(&t, d)) {
		v = (struct verdict_answer){.verdict = VERDICT_DISPUTED};
		snprintf(v.why, sizeof v.why, "trusted results name different plans for this commit");
	}
	*ret = answer(&t, d, &v);
	*ret_verdict = v.verdict;
	return 0;
}

/* Its author has a result: the lease says nothing any more. */
static bool is_answered(const struct dossier_job *j, const struct dossier_claim *c)
{
	for (size_t i = 0; i < j->results_len; i++)
		if (node_id_eq(&record_get(j->results[i].record)->author, &record_get(c->record)->author))
			return true;
	return false;
}

static json_t *claims_json(const struct dossier_job *j, uint64_t now_ms)
{
	json_t *claims = json_array();
	for (size_t i = 0; i < j->claims_len; i++) {
		const struct claim_body *c = &j->claims[i].body;
		json_t *one = json_pack("{s:b,s:i,s:i,s:s}", "live", c->lease_until_ms > now_ms && !is_answered(j, &j->claims[i]), "step", (int)c->step, "steps",
					(int)c->steps, "phase", c->phase);
		set_node(one, "node", &record_get(j->claims[i].record)->author);
		set_time(one, "lease_until", c->lease_until_ms);
		json_array_append_new(claims, one);
	}
	return claims;
}

json_t *dossier_job_to_json(const struct dossier_job *j, uint64_t now_ms)
{
	const struct job_body *b = &j->body;
	json_t *object = json_pack("{s:i}", "v", 1);
	set_id(object, "job", record_id(j->record));
	set_id(object, "project", &b->project);
	json_object_set_new(object, "commit", json_string(b->commit));
	json_object_set_new(object, "ref", json_string(b->ref));
	json_object_set_new(object, "image", json_string(b->image));
	json_object_set_new(object, "arch", json_string(b->arch));
	json_object_set_new(object, "cell", json_string(b->cell));
	json_t *plan = plan_json(b->plan_origin, b->plan_path, b->plan_sha256);
	if (b->plan_inline[0])
		json_object_set_new(plan, "cmd", json_string(b->plan_inline));
	json_object_set_new(object, "plan", plan);
	set_node(object, "announcer", &record_get(j->record)->author);
	set_time(object, "created", record_get(j->record)->created_ms);
	set_time(object, "claim_until", b->claim_until_ms);
	json_object_set_new(object, "wanted", json_integer(b->wanted));
	json_object_set_new(object, "state", json_string(job_state_name(dossier_job_state(j, now_ms))));
	json_object_set_new(object, "claims", claims_json(j, now_ms));
	json_object_set_new(object, "results", json_integer((json_int_t)j->results_len));
	return object;
}
