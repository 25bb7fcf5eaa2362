#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/ed25519.h"
#include "proto/mp.h"
#include "tests/unit/samples.h"
#include "tests/unit/tap.h"

static struct sample_key key1, key2;

static enum record_reject open_why(const uint8_t *bytes, size_t len, const uint8_t signature[64], const char *network)
{
	struct record *r = NULL;
	enum record_reject why = RECORD_OK;
	struct err err = {0};
	const int e = record_open(bytes, len, signature, network, &r, &why, &err);
	if (e)
		OK(!r && why != RECORD_OK && err.what[0] && e == err.code, "refused (%s): %s", record_reject_name(why), err.what);
	record_unref(r);
	return why;
}

static void test_round_trip(void)
{
	CLEANUP(record_unrefp) struct record *job = sample_job_record();
	CLEANUP(record_unrefp) struct record *again = NULL;
	CLEANUP(record_unrefp) struct record *reopened = NULL;
	size_t len;
	const uint8_t *bytes = record_bytes(job, &len);
	const struct record_fields *f = record_get(job);
	INTEQ(record_open(bytes, len, record_signature(job), SAMPLE_NETWORK, &again, NULL, NULL), 0);
	INTEQ(record_reopen(bytes, len, record_signature(job), &reopened, NULL), 0);
	OK(id32_eq(record_id(job), record_id(again)) && id32_eq(record_id(job), record_id(reopened)), "the same id");
	struct id32 id;
	crypto_generichash(id.b, 32, bytes, len, NULL, 0);
	OK(id32_eq(&id, record_id(job)), "id = BLAKE2b-256 of the bytes");
	OK(f->version == 1 && f->kind == RECORD_JOB && node_id_eq(&f->author, &key1.id) && f->created_ms == SAMPLE_CREATED_MS &&
	   f->expires_ms == SAMPLE_CREATED_MS + 200 * DAY_MS && !f->key_len && f->sequence == SAMPLE_CREATED_MS && !f->depends_len, "fields");
	OK(f->body + f->body_len == bytes + len && f->body[0] == 0x9c, "the body is the end of the bytes: an array of 12");
	struct record *ref = record_ref(job);
	record_unref(ref);
	record_unref(NULL);
}

static void test_every_bit(void)
{
	CLEANUP(record_unrefp) struct record *job = sample_job_record();
	size_t len;
	const uint8_t *bytes = record_bytes(job, &len);
	unsigned taken = 0;
	for (size_t bit = 0; bit < (len + 64) * 8; bit++) {
		uint8_t copy[RECORD_LEN_MAX], signature[64];
		struct record *r = NULL;
		memcpy(copy, bytes, len);
		memcpy(signature, record_signature(job), 64);
		uint8_t *p = bit / 8 < len ? copy + bit / 8 : signature + (bit / 8 - len);
		*p ^= (uint8_t)(1u << bit % 8);
		taken += !record_open(copy, len, signature, SAMPLE_NETWORK, &r, NULL, NULL);
		record_unref(r);
	}
	INTEQ(taken, 0);
	for (size_t n = 0; n < len; n++) {
		struct record *r = NULL;
		taken += !record_open(bytes, n, record_signature(job), SAMPLE_NETWORK, &r, NULL, NULL);
		record_unref(r);
	}
	INTEQ(taken, 0);
	INTEQ(open_why(bytes, len, record_signature(job), "other"), RECORD_BAD_SIGNATURE);
	INTEQ(open_why(bytes, len, record_signature(job), "mai"), RECORD_BAD_SIGNATURE);
}

/* A hand-made envelope: what record_sign() refuses to write must be refused when somebody else wrote it. */
struct draft {
	uint32_t elements;
	uint64_t version, kind, created, expires, sequence;
	size_t author_len, topic_len, key_len, depends_len, depends_each;
	bool same_depends, body_is_str;
	size_t body_fill;
};
#define DRAFT {10, 1, RECORD_JOB, SAMPLE_CREATED_MS, SAMPLE_CREATED_MS + 200 * DAY_MS, 5, 32, 32, 0, 0, 32, false, false, 0}

static enum record_reject open_draft(const struct draft *d)
{
	static const uint8_t filler[RECORD_RESULT_LEN_MAX + 100];
	CLEANUP(buf_release) struct buf b;
	CLEANUP(buf_release) struct buf input;
	buf_init(&b, 1 << 20);
	buf_init(&input, 1 << 20);
	mp_put_array(&b, d->elements);
	mp_put_uint(&b, d->version);
	mp_put_uint(&b, d->kind);
	mp_put_bin(&b, key1.id.b, d->author_len);
	mp_put_bin(&b, filler, d->topic_len);
	mp_put_uint(&b, d->created);
	mp_put_uint(&b, d->expires);
	mp_put_bin(&b, filler, d->key_len);
	mp_put_uint(&b, d->sequence);
	mp_put_array(&b, (uint32_t)d->depends_len);
	for (size_t i = 0; i < d->depends_len; i++) {
		uint8_t id[40] = {d->same_depends ? 0 : (uint8_t)i};
		mp_put_bin(&b, id, d->depends_each);
	}
	if (d->elements >= 10 && d->body_is_str)
		mp_put_str(&b, "body");
	else if (d->elements >= 10) {
		mp_put_array(&b, 1);
		mp_put_bin(&b, filler, d->body_fill);
	}
	for (uint32_t i = 10; i < d->elements; i++)
		mp_put_nil(&b);
	buf_append(&input, "talkoo-record-v1\0\4main", 22);
	buf_append(&input, b.data, b.len);
	uint8_t signature[64];
	ed25519_sign(input.data, input.len, key1.secret, signature);
	return open_why(b.data, b.len, signature, "main");
}

static void test_envelope(void)
{
	const struct draft good = DRAFT;
	INTEQ(open_draft(&good), RECORD_OK);
#define CASE(why, ...)                                                                                                 \
	do {                                                                                                           \
		struct draft d = DRAFT;                                                                                \
		__VA_ARGS__;                                                                                           \
		tap_inteq(open_draft(&d), why, __FILE__, __LINE__, #__VA_ARGS__);                                      \
	} while (0)
	CASE(RECORD_BAD_ENVELOPE, d.elements = 9);
	CASE(RECORD_BAD_ENVELOPE, d.elements = 11);
	CASE(RECORD_BAD_ENVELOPE, d.version = 0);
	CASE(RECORD_BAD_ENVELOPE, d.version = 2);
	CASE(RECORD_BAD_ENVELOPE, d.kind = 0);
	CASE(RECORD_BAD_ENVELOPE, d.kind = 65536);
	CASE(RECORD_BAD_ENVELOPE, d.author_len = 31);
	CASE(RECORD_BAD_ENVELOPE, d.topic_len = 33);
	CASE(RECORD_BAD_ENVELOPE, d.created = RECORD_NEVER + 1);
	CASE(RECORD_BAD_ENVELOPE, d.expires = RECORD_NEVER + 1);
	CASE(RECORD_BAD_ENVELOPE, d.sequence = RECORD_NEVER + 1);
	CASE(RECORD_OK, d.sequence = RECORD_NEVER);
	CASE(RECORD_OK, d.key_len = 64);
	CASE(RECORD_BAD_ENVELOPE, d.key_len = 65);
	CASE(RECORD_OK, d.depends_len = 4);
	CASE(RECORD_BAD_ENVELOPE, d.depends_len = 5);
	CASE(RECORD_BAD_ENVELOPE, d.depends_len = 1; d.depends_each = 31);
	CASE(RECORD_BAD_ENVELOPE, d.depends_len = 2; d.same_depends = true);
	CASE(RECORD_BAD_ENVELOPE, d.body_is_str = true);
	CASE(RECORD_BAD_LIFETIME, d.expires++);
	CASE(RECORD_BAD_LIFETIME, d.expires--);
	CASE(RECORD_BAD_LIFETIME, d.expires = d.created);
	CASE(RECORD_BAD_LIFETIME, d.expires = 0);
	CASE(RECORD_BAD_LIFETIME, d.expires = RECORD_NEVER);
	CASE(RECORD_BAD_LIFETIME, d.kind = RECORD_RESULT);
	/* a kind of the future: verified, its lifetime only bounded */
	CASE(RECORD_OK, d.kind = 60);
	CASE(RECORD_OK, d.kind = 60; d.expires = d.created + 1);
	CASE(RECORD_OK, d.kind = 60; d.expires = RECORD_NEVER);
	CASE(RECORD_OK, d.kind = 60; d.expires = d.created + 400 * DAY_MS);
	CASE(RECORD_BAD_LIFETIME, d.kind = 60; d.expires = d.created + 400 * DAY_MS + 1);
	CASE(RECORD_BAD_LIFETIME, d.kind = 60; d.expires = d.created);
	/* sizes: the envelope around the filler of the body takes 99 bytes */
	CASE(RECORD_OK, d.body_fill = 3500);
	CASE(RECORD_BAD_SIZE, d.body_fill = 4096);
	CASE(RECORD_BAD_SIZE, d.kind = 60; d.body_fill = 4096);
	CASE(RECORD_OK, d.kind = RECORD_RESULT; d.expires = d.created + 180 * DAY_MS; d.body_fill = 16000);
	CASE(RECORD_BAD_SIZE, d.kind = RECORD_RESULT; d.expires = d.created + 180 * DAY_MS; d.body_fill = 16384);
}

static void test_sizes_exactly(void)
{
	struct draft d = DRAFT;
	for (size_t fill = 3900; fill < 4096; fill++) {
		d.body_fill = fill;
		struct record_fields f = {.kind = RECORD_JOB, .created_ms = d.created, .sequence = d.sequence};
		CLEANUP(buf_release) struct buf body;
		buf_init(&body, 8192);
		static const uint8_t filler[8192];
		mp_put_array(&body, 1);
		mp_put_bin(&body, filler, fill);
		f.body = body.data;
		f.body_len = body.len;
		struct record *r = NULL;
		const int e = record_sign(&f, key1.secret, "main", &r, NULL);
		size_t len = 0;
		if (r)
			record_bytes(r, &len);
		record_unref(r);
		if (len == RECORD_LEN_MAX) {
			d.body_fill = fill + 1;
			f.body_len = 0;
			OK(!e, "4096 bytes are signed");
			INTEQ(open_draft(&d), RECORD_BAD_SIZE);
			return;
		}
	}
	OK(false, "a record of exactly 4096 bytes was made");
}

static void test_not_canonical(void)
{
	uint8_t signature[64] = {0};
	static const uint8_t bomb[] = {0xdd, 0xff, 0xff, 0xff, 0xff};
	INTEQ(open_why(bomb, 0, signature, "main"), RECORD_BAD_SIZE);
	INTEQ(open_why(bomb, sizeof bomb, signature, "main"), RECORD_NOT_CANONICAL);
	INTEQ(open_why((const uint8_t *)"\x80", 1, signature, "main"), RECORD_NOT_CANONICAL);
	INTEQ(open_why((const uint8_t *)"\x05", 1, signature, "main"), RECORD_BAD_ENVELOPE);
	static uint8_t deep[RECORD_LEN_MAX];
	memset(deep, 0x91, sizeof deep);
	INTEQ(open_why(deep, sizeof deep, signature, "main"), RECORD_NOT_CANONICAL);
	static uint8_t many[RECORD_LEN_MAX] = {0xdc, 0x0f, 0xfd};
	INTEQ(open_why(many, sizeof many, signature, "main"), RECORD_NOT_CANONICAL);
	static uint8_t huge[RECORD_RESULT_LEN_MAX + 1];
	INTEQ(open_why(huge, sizeof huge, signature, "main"), RECORD_BAD_SIZE);
}

static void test_sign_refuses(void)
{
	struct record *r = NULL;
	static const uint8_t empty_array[1] = {0x90}, map[1] = {0x80}, two[2] = {0x90, 0x90}, key[65];
	struct record_fields f = {.kind = RECORD_JOB, .created_ms = 1000, .body = empty_array, .body_len = 1};
	struct record_fields bad;
	struct err err;
#define REFUSED(...)                                                                                                   \
	bad = f;                                                                                                       \
	__VA_ARGS__;                                                                                                   \
	OK(record_sign(&bad, key1.secret, "main", &r, &err) == ERR_USAGE && err.code == ERR_USAGE && !r, "refused: " #__VA_ARGS__)
	REFUSED(bad.expires_ms = 2000);
	REFUSED(bad.kind = 0);
	REFUSED(bad.kind = 99);
	REFUSED(bad.kind = 65536; bad.expires_ms = 2000);
	REFUSED(bad.body = map);
	REFUSED(bad.body = two; bad.body_len = 2);
	REFUSED(bad.body_len = 0);
	REFUSED(bad.key = key; bad.key_len = 65);
	REFUSED(bad.depends_len = 5);
	REFUSED(bad.depends_len = 2);
	REFUSED(bad.sequence = UINT64_MAX);
	INTEQ(record_sign(&f, key1.secret, "Main", &r, NULL), ERR_USAGE);
	INTEQ(record_sign(&f, key1.secret, "main", &r, NULL), 0);
	OK(record_get(r)->expires_ms == 1000 + 200 * DAY_MS && record_get(r)->version == 1, "expires is derived");
	record_unref(r);
}

static struct record *claim_with(const struct sample_key *author, uint64_t sequence, uint8_t key_byte)
{
	static const uint8_t body[1] = {0x90};
	uint8_t key[32] = {key_byte};
	struct record_fields f = {.kind = RECORD_CLAIM, .created_ms = 1000, .sequence = sequence, .key = key, .key_len = 32, .body = body, .body_len = 1};
	struct record *r = NULL;
	if (record_sign(&f, author->secret, "main", &r, NULL))
		abort();
	return r;
}

static void test_supersession(void)
{
	CLEANUP(record_unrefp) struct record *a = claim_with(&key1, 5, 0);
	CLEANUP(record_unrefp) struct record *newer = claim_with(&key1, 6, 0);
	CLEANUP(record_unrefp) struct record *other_key = claim_with(&key1, 7, 1);
	CLEANUP(record_unrefp) struct record *other_author = claim_with(&key2, 7, 0);
	CLEANUP(record_unrefp) struct record *job = sample_job_record();
	OK(record_supersedes(newer, a) && !record_supersedes(a, newer) && !record_supersedes(a, a), "the greater sequence");
	OK(!record_supersedes(other_key, a) && !record_supersedes(other_author, a) && !record_supersedes(job, job), "others do not");
	OK(record_kind_is_replaceable(RECORD_PROJECT) && !record_kind_is_replaceable(RECORD_JOB) && !record_kind_is_replaceable(99), "kinds");
	STREQ(record_kind_name(RECORD_RESULT), "result");
	STREQ(record_kind_name(99), "unknown");
	STREQ(record_reject_name((enum record_reject)77), "unknown");
	INTEQ(record_kind_lifetime_ms(RECORD_CLAIM), 30 * 60 * 1000);
}

int main(void)
{
	sample_key_init(&key1, 1);
	sample_key_init(&key2, 2);
	test_round_trip();
	test_every_bit();
	test_envelope();
	test_sizes_exactly();
	test_not_canonical();
	test_sign_refuses();
	test_supersession();
	return tap_done();
}
