/* Control operations: results and their export. */
#include "node/control_results.h"

#include <stdlib.h>

#include "proto/base/cleanup.h"
#include "proto/dsse.h"

static void release(struct ask *a)
{
	free(((struct results_ask *)a)->trust.entries);
}

static int find_results(struct ask *a, struct store *view, struct err *err)
{
	struct results_ask *r = (struct results_ask *)a;
	CLEANUP(dossier_release) struct dossier d = {0};
	int code = target_find(view, &r->target, err);
	if (!code)
		code = target_load(view, &r->target, &d, err);
	const struct results_query q = {.commit = r->target.is_job ? NULL : r->target.commit,
					.project = r->target.has_project ? &r->target.project : NULL,
					.trust = &r->trust,
					.need = r->target.need,
					.now_ms = a->now_ms};
	return code ? code : dossier_results(&d, &q, &a->answer, &r->verdict, err);
}

struct results_ask *results_ask_new(struct control_call *c, const struct target *t)
{
	struct results_ask *r = ask_new(c, sizeof *r, find_results);
	if (!r)
		return NULL;
	r->ask.release = release;
	r->target = *t;
	if (trust_copy(r->ask.st->node, &r->trust))
		return r;
	ask_free(&r->ask);
	op_fail(c, ERR_NOMEM, NULL, "out of memory");
	return NULL;
}

void op_results(struct node *n, struct control_call *c, const json_t *args)
{
	struct target t;
	struct results_ask *r = target_read(n, c, args, &t) ? results_ask_new(c, &t) : NULL;
	if (r)
		ask_start(c, &r->ask);
}

/* ---- export */

static bool is_trusted(const struct trust_list *trust, const struct node_id *node)
{
	for (size_t i = 0; i < trust->len; i++)
		if (node_id_eq(&trust->entries[i].node, node))
			return true;
	return false;
}

static json_t *envelope_json(const struct trust_list *trust, const struct dossier_result *r)
{
	CLEANUP(buf_release) struct buf text;
	char id[ID32_TEXT_MAX], node[NODE_ID_TEXT_MAX];
	const struct node_id *author = &record_get(r->record)->author;
	buf_init(&text, 65536);
	if (dsse_envelope_write(DSSE_INTOTO_TYPE, r->body.payload, r->body.payload_len, author, r->body.signature, &text, NULL))
		return NULL;
	return json_pack("{s:s,s:s,s:b,s:o}", "result", id32_format(id, record_id(r->record)), "node", node_id_format(node, author), "trusted",
			 (int)is_trusted(trust, author), "envelope", json_loadb(buf_cstr(&text), text.len, 0, NULL));
}

struct export_ask {
	struct results_ask about;
	bool is_one; /* about.target.text is the id of a result */
	struct id32 result;
};

/* The job that the result is about. */
static int find_job_of_result(struct store *view, struct export_ask *e, struct err *err)
{
	CLEANUP(rows_release) struct rows rows = {0};
	struct result_body body;
	int code = target_find_record(view, RECORD_RESULT, e->about.target.text, &e->result, err);
	const struct store_filter f = {.kind = RECORD_RESULT, .id = &e->result, .limit = 1};
	if (!code)
		code = rows_load(view, &f, &rows, err);
	if (!code)
		code = rows.len ? result_body_decode(rows.list[0], &body, err) : err_set(err, ERR_NOT_FOUND, "no such result");
	if (code)
		return code;
	e->about.target.is_job = true;
	e->about.target.job = body.job;
	return 0;
}

static int find_envelopes(struct ask *a, struct store *view, struct err *err)
{
	struct export_ask *e = (struct export_ask *)a;
	struct target *t = &e->about.target;
	CLEANUP(dossier_release) struct dossier d = {0};
	int code = e->is_one ? find_job_of_result(view, e, err) : target_find(view, t, err);
	if (!code)
		code = target_load(view, t, &d, err);
	if (code)
		return code;
	json_t *list = json_array();
	for (size_t i = 0; i < d.jobs_len; i++)
		for (size_t k = 0; k < d.jobs[i].results_len; k++) {
			const struct dossier_result *r = &d.jobs[i].results[k];
			const bool is_other = (e->is_one && !id32_eq(record_id(r->record), &e->result)) ||
					      (t->has_project && !id32_eq(&d.jobs[i].body.project, &t->project));
			if (r->has_statement && !is_other)
				json_array_append_new(list, envelope_json(&e->about.trust, r));
		}
	a->answer = json_pack("{s:o}", "envelopes", list);
	if (json_array_size(list))
		return 0;
	err_set(err, ERR_NOT_FOUND, "no signed result to export");
	return err_hint(err, "'talkoo results' lists what there is");
}

void op_export(struct node *n, struct control_call *c, const json_t *args)
{
	const char *result = op_text(args, "result");
	struct target t;
	/* a result's id is read as a job's is */
	json_t *as_job = result ? json_pack("{s:s}", "job", result) : NULL;
	const bool is_read = target_read(n, c, as_job ? as_job : args, &t);
	json_decref(as_job);
	struct export_ask *e = is_read ? ask_new(c, sizeof *e, find_envelopes) : NULL;
	if (!e)
		return;
	e->about.ask.release = release;
	e->about.target = t;
	e->is_one = result != NULL;
	if (trust_copy(n, &e->about.trust))
		return ask_start(c, &e->about.ask);
	ask_free(&e->about.ask);
	op_fail(c, ERR_NOMEM, NULL, "out of memory");
}
