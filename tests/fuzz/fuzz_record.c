/* Any bytes as a record, and as the body of a record of each kind whose envelope fits: scan, decode, and where they decode,
 * what is encoded again must decode to the same value. The signature is left out, else nothing would pass it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/mp.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/samples.h"

union any_body { struct project_body project; struct job_body job; struct cancel_body cancel; struct claim_body claim; struct result_body result;
		 struct node_body node; };

static int body_decode(const struct record *r, union any_body *u)
{
	struct err err;
	switch ((enum record_kind)record_get(r)->kind) {
	case RECORD_PROJECT: return project_body_decode(r, &u->project, NULL, &err);
	case RECORD_JOB: return job_body_decode(r, &u->job, &err);
	case RECORD_CANCEL: return cancel_body_decode(r, &u->cancel, &err);
	case RECORD_CLAIM: return claim_body_decode(r, &u->claim, &err);
	case RECORD_RESULT: return result_body_decode(r, &u->result, &err);
	case RECORD_NODE: return node_body_decode(r, &u->node, &err);
	}
	return -1;
}

static void body_encode(uint32_t kind, const union any_body *u, struct buf *b)
{
	switch ((enum record_kind)kind) {
	case RECORD_PROJECT: project_body_encode(&u->project, b); break;
	case RECORD_JOB: job_body_encode(&u->job, b); break;
	case RECORD_CANCEL: cancel_body_encode(&u->cancel, b); break;
	case RECORD_CLAIM: claim_body_encode(&u->claim, b); break;
	case RECORD_RESULT: result_body_encode(&u->result, b); break;
	case RECORD_NODE: node_body_encode(&u->node, b); break;
	}
}

/* The envelope that sample records have, around a body; as record_reopen() takes it. */
static struct record *wrap(uint32_t kind, const uint8_t *body, size_t len)
{
	static const uint8_t no_signature[64], job[32] = {9}, no_topic[32];
	struct sample_key author;
	struct id32 project, topic;
	struct project_body sample;
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, 1 << 20);
	sample_key_init(&author, 1);
	sample_project_id(&project);
	topic_derive(&project, &topic);
	sample_project(&sample);
	mp_put_array(&b, 10);
	mp_put_uint(&b, RECORD_VERSION);
	mp_put_uint(&b, kind);
	mp_put_bin(&b, author.id.b, 32);
	mp_put_bin(&b, kind == RECORD_NODE ? no_topic : topic.b, 32);
	mp_put_uint(&b, SAMPLE_CREATED_MS);
	mp_put_uint(&b, SAMPLE_CREATED_MS + record_kind_lifetime_ms(kind));
	mp_put_bin(&b, kind == RECORD_PROJECT ? sample.nonce : job, kind == RECORD_PROJECT ? 16 : kind == RECORD_CLAIM ? 32 : 0);
	mp_put_uint(&b, 1);
	mp_put_array(&b, kind != RECORD_NODE);
	if (kind != RECORD_NODE)
		mp_put_bin(&b, job, 32);
	buf_append(&b, body, len);
	struct record *r = NULL;
	struct err err;
	return buf_failed(&b) || record_reopen(b.data, b.len, no_signature, &r, &err) ? NULL : r;
}

static void one_body(uint32_t kind, const uint8_t *data, size_t size)
{
	CLEANUP(record_unrefp) struct record *r = wrap(kind, data, size);
	CLEANUP(cleanup_free) union any_body *got = calloc(1, sizeof *got);
	CLEANUP(cleanup_free) union any_body *again = calloc(1, sizeof *again);
	if (!got || !again)
		abort();
	if (!r || body_decode(r, got))
		return;
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, RECORD_RESULT_LEN_MAX);
	body_encode(kind, got, &b);
	assert(!buf_failed(&b));
	CLEANUP(record_unrefp) struct record *r2 = wrap(kind, b.data, b.len);
	assert(r2 && !body_decode(r2, again));
	if (kind == RECORD_RESULT) {
		/* lent: of the other record */
		assert(got->result.payload_len == again->result.payload_len);
		got->result.payload = again->result.payload = NULL;
	}
	assert(!memcmp(got, again, sizeof *got));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t no_signature[64];
	struct err err;
	struct record *r = NULL;
	if (size > 2 * RECORD_RESULT_LEN_MAX || !data)
		return 0;
	if (!record_reopen(data, size, no_signature, &r, &err)) {
		CLEANUP(cleanup_free) union any_body *u = calloc(1, sizeof *u);
		if (!u)
			abort();
		const struct record_fields *f = record_get(r);
		assert(f->body + f->body_len == data + size || f->body_len < size);
		(void)!body_decode(r, u);
		record_unref(r);
	}
	for (uint32_t kind = RECORD_PROJECT; kind <= RECORD_NODE; kind++)
		one_body(kind, data, size);
	return 0;
}
