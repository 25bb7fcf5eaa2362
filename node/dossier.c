#include "node/dossier.h"

#include <stdlib.h>
#include <string.h>

static int by_age(const void *a, const void *b)
{
	const struct dossier_job *x = a, *y = b;
	const uint64_t left = record_get(x->record)->created_ms, right = record_get(y->record)->created_ms;
	if (left != right)
		return left < right ? -1 : 1;
	return memcmp(record_id(x->record)->b, record_id(y->record)->b, sizeof record_id(x->record)->b);
}

static struct dossier_job *find_job(struct dossier *d, const struct id32 *id)
{
	for (size_t i = 0; i < d->jobs_len; i++)
		if (id32_eq(record_id(d->jobs[i].record), id))
			return &d->jobs[i];
	return NULL;
}

/* Room for one more element of a list that doubles; NULL without memory. */
static void *grown(void *list, size_t len, size_t size)
{
	if (len & (len - 1))
		return list;
	return reallocarray(list, len ? len * 2 : 1, size);
}

#define ADD(list, len) (grown_list = grown((list), (len), sizeof *(list)))

static int add_job(struct dossier *d, struct record *r, struct err *err)
{
	struct dossier_job job = {0};
	if (d->jobs_len == DOSSIER_JOBS_MAX || job_body_decode(r, &job.body, NULL))
		return 0;
	void *grown_list;
	if (!ADD(d->jobs, d->jobs_len))
		return err_set(err, ERR_NOMEM, "out of memory");
	d->jobs = grown_list;
	job.record = record_ref(r);
	d->jobs[d->jobs_len++] = job;
	return 0;
}

static int add_claim(struct dossier *d, struct record *r, struct err *err)
{
	struct dossier_claim claim;
	struct dossier_job *job = claim_body_decode(r, &claim.body, NULL) ? NULL : find_job(d, &claim.body.job);
	if (!job)
		return 0;
	void *grown_list;
	if (!ADD(job->claims, job->claims_len))
		return err_set(err, ERR_NOMEM, "out of memory");
	job->claims = grown_list;
	claim.record = record_ref(r);
	job->claims[job->claims_len++] = claim;
	return 0;
}

/* PROTOCOL 6.5: the statement is about this very job; a genuine one about another counts nowhere. */
static bool agrees(const struct dossier_job *job, const struct dossier_result *result)
{
	return !result->has_statement || !statement_check_job(&result->statement, record_id(job->record), &job->body, NULL);
}

static int add_result(struct dossier *d, struct record *r, struct err *err)
{
	struct dossier_result result = {0};
	if (result_open(r, &result.body, &result.statement, &result.has_statement, NULL))
		return 0;
	struct dossier_job *job = find_job(d, &result.body.job);
	void *grown_list = NULL;
	if (!job || !agrees(job, &result) || !ADD(job->results, job->results_len)) {
		const bool no_memory = job && agrees(job, &result);
		if (result.has_statement)
			statement_release(&result.statement);
		return no_memory ? err_set(err, ERR_NOMEM, "out of memory") : 0;
	}
	job->results = grown_list;
	result.outcome = result.has_statement ? result.statement.outcome : result.body.outcome;
	result.record = record_ref(r);
	job->results[job->results_len++] = result;
	return 0;
}

static void add_cancel(struct dossier *d, struct record *r)
{
	struct cancel_body body;
	struct dossier_job *job = cancel_body_decode(r, &body, NULL) ? NULL : find_job(d, &body.job);
	if (job)
		job->is_cancelled = true;
}

int dossier_build(struct record *const *rows, size_t len, struct dossier *ret, struct err *err)
{
	struct dossier d = {0};
	int code = 0;
	for (size_t i = 0; i < len && !code; i++)
		if (record_get(rows[i])->kind == RECORD_JOB)
			code = add_job(&d, rows[i], err);
	if (d.jobs_len)
		qsort(d.jobs, d.jobs_len, sizeof *d.jobs, by_age);
	for (size_t i = 0; i < len && !code; i++) {
		const uint32_t kind = record_get(rows[i])->kind;
		if (kind == RECORD_CLAIM)
			code = add_claim(&d, rows[i], err);
		else if (kind == RECORD_RESULT)
			code = add_result(&d, rows[i], err);
		else if (kind == RECORD_CANCEL)
			add_cancel(&d, rows[i]);
	}
	if (code) {
		dossier_release(&d);
		return code;
	}
	*ret = d;
	return 0;
}

void dossier_release(struct dossier *d)
{
	for (size_t i = 0; d && i < d->jobs_len; i++) {
		struct dossier_job *j = &d->jobs[i];
		for (size_t k = 0; k < j->claims_len; k++)
			record_unref(j->claims[k].record);
		for (size_t k = 0; k < j->results_len; k++) {
			record_unref(j->results[k].record);
			if (j->results[k].has_statement)
				statement_release(&j->results[k].statement);
		}
		free(j->claims);
		free(j->results);
		record_unref(j->record);
	}
	if (d) {
		free(d->jobs);
		*d = (struct dossier){0};
	}
}

static bool has_result_of(const struct dossier_job *j, const struct node_id *author)
{
	for (size_t i = 0; i < j->results_len; i++)
		if (node_id_eq(&record_get(j->results[i].record)->author, author))
			return true;
	return false;
}

/* An error, an abandoned or a refused run says nothing of the commit and leaves the job to the other volunteers. One that can take it
 * claims at once: after a while without a claim nobody is waited for any more. */
static bool is_done(const struct dossier_job *j, uint64_t now_ms)
{
	size_t statements = 0;
	uint64_t newest_ms = 0;
	for (size_t i = 0; i < j->results_len; i++) {
		const uint64_t created_ms = record_get(j->results[i].record)->created_ms;
		statements += j->results[i].has_statement;
		newest_ms = created_ms > newest_ms ? created_ms : newest_ms;
	}
	if (statements >= j->body.wanted)
		return true;
	return j->results_len >= j->body.wanted && (now_ms >= newest_ms + JOB_RETRY_MS || now_ms >= j->body.claim_until_ms);
}

enum job_state dossier_job_state(const struct dossier_job *j, uint64_t now_ms)
{
	if (j->is_cancelled)
		return JOB_CANCELLED;
	for (size_t i = 0; i < j->claims_len; i++)
		if (j->claims[i].body.lease_until_ms > now_ms && !has_result_of(j, &record_get(j->claims[i].record)->author))
			return JOB_CLAIMED;
	return is_done(j, now_ms) ? JOB_DONE : now_ms < j->body.claim_until_ms ? JOB_ANNOUNCED : JOB_LAPSED;
}

const char *job_state_name(enum job_state s)
{
	switch (s) {
	case JOB_ANNOUNCED: return "announced";
	case JOB_CLAIMED: return "claimed";
	case JOB_DONE: return "done";
	case JOB_CANCELLED: return "cancelled";
	case JOB_LAPSED: return "lapsed";
	}
	return "unknown";
}
