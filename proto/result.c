/* A result record as one verified value. */
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/dsse.h"
#include "proto/statement.h"

/* PROTOCOL 6.5 */
static int check_agreement(const struct record *r, const struct result_body *body, const struct statement *s, struct err *err)
{
	const struct node_id *author = &record_get(r)->author;
	if (!node_id_eq(author, &s->node))
		return err_set(err, ERR_INVALID, "result: the statement is another node's");
	if (!id32_eq(&body->job, &s->job))
		return err_set(err, ERR_INVALID, "result: the statement is about another job");
	struct id32 topic;
	topic_derive(&s->project, &topic);
	if (!id32_eq(&topic, &record_get(r)->topic))
		return err_set(err, ERR_INVALID, "result: the statement is about another project");
	return 0;
}

int result_open(const struct record *r, struct result_body *ret_body, struct statement *ret_statement, bool *ret_has_statement,
		struct err *err)
{
	struct result_body body;
	struct statement s = {0};
	int code = result_body_decode(r, &body, err);
	if (code)
		return code;
	if (body.payload) {
		if (!dsse_verify(DSSE_INTOTO_TYPE, body.payload, body.payload_len, &record_get(r)->author, body.signature))
			return err_set(err, ERR_INVALID, "result: the statement's signature is not its author's");
		code = statement_read(body.payload, body.payload_len, &s, err);
		if (!code)
			code = check_agreement(r, &body, &s, err);
		if (code) {
			statement_release(&s);
			return code;
		}
	}
	*ret_body = body;
	*ret_statement = s;
	*ret_has_statement = body.payload != NULL;
	return 0;
}

/* NAME@VERSION asks for just that, NAME for any version of it. */
static bool image_satisfies(const char *got, const char *asked)
{
	const size_t len = strlen(asked);
	return !len || !strcmp(got, asked) || (!strchr(asked, '@') && !strncmp(got, asked, len) && got[len] == '@');
}

/* PROTOCOL 6.5 (3) */
int statement_check_job(const struct statement *s, const struct id32 *job_id, const struct job_body *job, struct err *err)
{
	const struct { const char *name; bool is_same; } rules[] = {
		{"job", id32_eq(&s->job, job_id)},
		{"project", id32_eq(&s->project, &job->project)},
		{"commit", !strcmp(s->commit, job->commit)},
		{"ref", !strcmp(s->ref, job->ref)},
		{"cell", !strcmp(s->cell, job->cell)},
		{"arch", !strcmp(s->arch, job->arch)},
		{"plan's origin", s->plan_origin == job->plan_origin},
		{"plan's path", !strcmp(s->plan_path, job->plan_path)},
		{"plan's sha256", !strcmp(s->plan_sha256, job->plan_sha256)},
		{"image", image_satisfies(s->image_name, job->image)},
		{"image's digest", !job->image_digest[0] || !strcmp(s->image_digest, job->image_digest)},
	};
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (!rules[i].is_same)
			return err_set(err, ERR_INVALID, "result: the statement's %s is not the job's", rules[i].name);
	return 0;
}
