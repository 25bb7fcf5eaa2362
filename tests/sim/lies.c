/* play.h: what the hostile node tells. */
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/mp.h"
#include "tests/sim/play.h"

static const struct id32 *some_job(struct play *p)
{
	return &p->jobs[sim_draw(p->s, p->jobs_len)];
}

/* secret NULL: the evil node's own. */
static struct record *sign(struct play *p, struct record_fields f, const struct buf *body, const uint8_t *secret)
{
	struct sim_node *n = p->evil;
	struct record *r = NULL;
	f.topic = p->topic;
	f.created_ms = f.created_ms ? f.created_ms : sim_node_unix_ms(n);
	f.sequence = f.created_ms + sim_draw(p->s, 1000);
	f.body = body->data;
	f.body_len = body->len;
	const int rc = secret ? record_sign(&f, secret, n->config.network, &r, NULL)
			      : identity_sign_record(n->n->identity, &f, n->config.network, &r, NULL);
	return rc ? NULL : r;
}

static struct record *claim(struct play *p, const struct id32 *key, const struct id32 *job, uint64_t created_ms, const uint8_t *secret)
{
	const uint64_t created = created_ms ? created_ms : sim_node_unix_ms(p->evil);
	const struct claim_body body = {.job = *job, .lease_until_ms = created + CLAIM_LEASE_MAX_MS};
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, RECORD_LEN_MAX);
	claim_body_encode(&body, &b);
	const struct record_fields f = {.kind = RECORD_CLAIM, .created_ms = created, .key = key->b, .key_len = 32, .depends = {*job}, .depends_len = 1};
	return sign(p, f, &b, secret);
}

static void tell_job(struct play *p)
{
	struct job_body body;
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, RECORD_LEN_MAX);
	const struct ix_job *job = index_job(node_index(p->evil->n), some_job(p));
	if (!job || index_job_body(job, &body, NULL))
		return;
	body.claim_until_ms = sim_node_unix_ms(p->evil) + DAY_MS;
	job_body_encode(&body, &b);
	sim_evil_tell(p->evil, sign(p, (struct record_fields){.kind = RECORD_JOB}, &b, NULL));
}

static void tell_cancel(struct play *p)
{
	const struct cancel_body body = {.job = *some_job(p), .reason = "because"};
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, RECORD_LEN_MAX);
	cancel_body_encode(&body, &b);
	sim_evil_tell(p->evil, sign(p, (struct record_fields){.kind = RECORD_CANCEL, .depends = {body.job}, .depends_len = 1}, &b, NULL));
}

static void tell_project(struct play *p)
{
	struct project_body body = {.urls_len = 1};
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, RECORD_LEN_MAX);
	memcpy(body.nonce, p->nonce, sizeof body.nonce);
	strcpy(body.name, "mine");
	strcpy(body.urls[0], "https://example.org/mine.git");
	project_body_encode(&body, &b);
	sim_evil_tell(p->evil, sign(p, (struct record_fields){.kind = RECORD_PROJECT, .key = p->nonce, .key_len = 16}, &b, NULL));
}

static void tell_broken(struct play *p)
{
	struct record *good = claim(p, some_job(p), some_job(p), 0, NULL), *r = NULL;
	if (!good)
		return;
	size_t len;
	const uint8_t *bytes = record_bytes(good, &len);
	uint8_t signature[64];
	memcpy(signature, record_signature(good), sizeof signature);
	signature[sim_draw(p->s, 64)] ^= 4;
	if (!record_reopen(bytes, len, signature, &r, NULL))
		sim_evil_tell(p->evil, r);
	record_unref(good);
}

static void tell_nonsense(struct play *p)
{
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, RECORD_LEN_MAX);
	mp_put_array(&b, 1);
	mp_put_uint(&b, 7);
	const uint32_t kind = (uint32_t[]){RECORD_JOB, RECORD_CANCEL, RECORD_CLAIM, RECORD_RESULT, RECORD_PROJECT}[sim_draw(p->s, 5)];
	sim_evil_tell(p->evil, sign(p, (struct record_fields){.kind = kind, .depends = {*some_job(p)}, .depends_len = 1}, &b, NULL));
}

static void tell_many(struct play *p, enum lie lie)
{
	for (unsigned i = 0; i < (lie == LIE_SYBILS ? 40 : 70); i++) {
		struct id32 nowhere;
		uint8_t seed[32], public[32], secret[64];
		randombytes_buf(seed, sizeof seed);
		randombytes_buf(nowhere.b, sizeof nowhere.b);
		crypto_sign_seed_keypair(public, secret, seed);
		if (lie == LIE_SYBILS)
			sim_evil_tell(p->evil, claim(p, &p->jobs[0], &p->jobs[0], 0, secret));
		else
			sim_evil_tell(p->evil, claim(p, &nowhere, &nowhere, 0, NULL));
	}
}

void play_lie(struct play *p, enum lie lie)
{
	if (!p->evil || !p->evil->n || !p->jobs_len || sim_node_is_asleep(p->evil))
		return;
	sim_say(p->s, "lie=%d", (int)lie);
	switch (lie) {
	case LIE_JOB: tell_job(p); break;
	case LIE_CANCEL: tell_cancel(p); break;
	case LIE_PROJECT: tell_project(p); break;
	case LIE_ORPHANS:
	case LIE_SYBILS: tell_many(p, lie); break;
	case LIE_FUTURE: sim_evil_tell(p->evil, claim(p, some_job(p), some_job(p), sim_node_unix_ms(p->evil) + DAY_MS, NULL)); break;
	case LIE_SIGNATURE: tell_broken(p); break;
	case LIE_BODY: tell_nonsense(p); break;
	case LIE_REPLAY: sim_evil_replay(p->evil); break;
	case LIE_BROTHER: {
		const struct id32 other = {{1, 2, 3}};
		sim_evil_tell(p->evil, claim(p, &other, some_job(p), 0, NULL));
		break;
	}
	case LIES_LEN: break;
	}
	sim_node_poke(p->evil);
}

bool play_is_forged(const struct play *p, const struct record *r)
{
	/* a new key's claim on a real job is nothing forbidden: there is room for sixteen */
	return record_get(r)->kind != RECORD_CLAIM || node_id_eq(&record_get(r)->author, &p->evil->id);
}
