/* A result record as one verified value. */
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
