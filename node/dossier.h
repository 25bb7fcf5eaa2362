/* All that records say about some jobs, put together: each job with its claims, its results (opened and checked) and whether it
 * was cancelled; the answers of `results`, `job list` and `job show` are made from it.
 *
 * Built from rows of the store: either all records with one commit, or all with one job, in any order; of other kinds and what
 * does not fit are passed over. Pure: the clock and the trust list are given.
 * Must not know: store, control socket, loop. */
#ifndef TALKOO_NODE_DOSSIER_H
#define TALKOO_NODE_DOSSIER_H

#include <jansson.h>

#include "policy/verdict.h"
#include "proto/body.h"
#include "proto/statement.h"

#define DOSSIER_JOBS_MAX 10000
#define TRUST_OPERATOR_MAX 64

/* Whose results count for the reader. */
struct trust_entry { struct node_id node; char operator_name[TRUST_OPERATOR_MAX]; uint64_t since_ms; };
struct trust_list { struct trust_entry *entries; size_t len; }; /* lent */

struct dossier_claim { struct record *record; struct claim_body body; };
struct dossier_result {
	struct record *record;
	struct result_body body;
	struct statement statement; /* zero without has_statement */
	bool has_statement;
	uint8_t outcome;            /* enum job_outcome's number, from the statement where there is one */
};
struct dossier_job {
	struct record *record;
	struct job_body body;
	bool is_cancelled;
	struct dossier_claim *claims;
	size_t claims_len;
	struct dossier_result *results;
	size_t results_len;
};
struct dossier { struct dossier_job *jobs; size_t jobs_len; /* oldest first */ };

/* Takes references to the rows it keeps. ERR_NOMEM. */
int dossier_build(struct record *const *rows, size_t len, struct dossier *ret, struct err *err) MUST_CHECK;
void dossier_release(struct dossier *d);

enum job_state { JOB_ANNOUNCED = 1, JOB_CLAIMED, JOB_DONE, JOB_CANCELLED, JOB_LAPSED };
#define JOB_RETRY_MS UINT64_C(15000)
/* claimed: some live lease without its author's result. done: as many results as wanted, with a statement or older than JOB_RETRY_MS (an
 * error leaves the job to other volunteers). lapsed: neither, and past claim_until. */
enum job_state dossier_job_state(const struct dossier_job *j, uint64_t now_ms);
const char *job_state_name(enum job_state s);

struct results_query {
	const char *commit;             /* full hex; NULL: the dossier is about one job */
	const struct id32 *project;     /* NULL: the only one; more than one is ERR_AMBIGUOUS */
	const struct trust_list *trust;
	unsigned need;                  /* at least 1 */
	uint64_t now_ms;                /* unix */
};
/* CLI.md's object of `results` (new reference), its verdict in *ret_verdict. A commit query counts only what was built by the tree's own
 * plan; what is listed but does not count says why ("counts":false,"why"). */
int dossier_results(const struct dossier *d, const struct results_query *q, json_t **ret, enum verdict *ret_verdict,
		    struct err *err) MUST_CHECK;
/* Adds what a result's statement says to its object in `results[]` (also for `talkoo verify`, which has no records). */
void dossier_add_statement(json_t *object, const struct statement *s);
/* One job as `job list` and `job show` print it (new reference). */
json_t *dossier_job_to_json(const struct dossier_job *j, uint64_t now_ms);

#endif
