#include "proto/record.h"

#include <assert.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/buf.h"
#include "proto/base/cleanup.h"
#include "proto/ed25519.h"
#include "proto/mp.h"

#define ENVELOPE_LEN 10 /* elements; frozen: neither more nor fewer */

static const char signature_tag[17] = "talkoo-record-v1"; /* its 0 byte is signed too */
#define SIGNATURE_INPUT_MAX (sizeof signature_tag + 1 + 32 + RECORD_RESULT_LEN_MAX)

struct record {
	atomic_uint refs;
	struct record_fields fields; /* pointers into bytes */
	struct id32 id;
	uint8_t signature[64];
	size_t len;
	uint8_t bytes[];
};

const char *record_reject_name(enum record_reject why)
{
	switch (why) {
#define X(name, value, text)                                                                                           \
	case name: return text;
		RECORD_REJECTS(X)
#undef X
	}
	return "unknown";
}

static const struct kind {
	uint32_t kind;
	const char *name;
	uint64_t lifetime_ms;
	bool is_replaceable;
} kinds[] = {
#define X(name, value, text, life, replaceable) {value, text, life, replaceable},
	RECORD_KINDS(X)
#undef X
};

static const struct kind *kind_find(uint32_t kind)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].kind == kind)
			return &kinds[i];
	return NULL;
}

const char *record_kind_name(uint32_t kind)
{
	const struct kind *k = kind_find(kind);
	return k ? k->name : "unknown";
}

bool record_kind_is_replaceable(uint32_t kind)
{
	const struct kind *k = kind_find(kind);
	return k && k->is_replaceable;
}

uint64_t record_kind_lifetime_ms(uint32_t kind)
{
	const struct kind *k = kind_find(kind);
	return k ? k->lifetime_ms : 0;
}

/* PROTOCOL 4.2: tag || 00 || length of the network's name, one byte || name || record. Returns the length. */
static size_t signature_input(const char *network, const uint8_t *bytes, size_t len, uint8_t out[SIGNATURE_INPUT_MAX])
{
	assert(network_name_is_valid(network) && len <= RECORD_RESULT_LEN_MAX);
	const size_t network_len = strlen(network);
	uint8_t *p = out;
	memcpy(p, signature_tag, sizeof signature_tag);
	p += sizeof signature_tag;
	*p++ = (uint8_t)network_len;
	memcpy(p, network, network_len);
	p += network_len;
	memcpy(p, bytes, len);
	return (size_t)(p - out) + len;
}

/* PROTOCOL 4.4 */
static int lifetime_check(const struct record_fields *f, struct err *err)
{
	const uint64_t lifetime = record_kind_lifetime_ms(f->kind);
	if (f->expires_ms > f->created_ms && lifetime && f->expires_ms - f->created_ms == lifetime)
		return 0;
	if (f->expires_ms > f->created_ms && !lifetime &&
	    (f->expires_ms == RECORD_NEVER || f->expires_ms - f->created_ms <= RECORD_UNKNOWN_LIFETIME_MAX_MS))
		return 0;
	return err_set(err, ERR_INVALID, "record: a %s record does not live from %llu to %llu", record_kind_name(f->kind),
		       (unsigned long long)f->created_ms, (unsigned long long)f->expires_ms);
}

static void depends_read(struct mp_cursor *c, struct record_fields *f)
{
	struct mp_cursor list;
	mp_get_array(c, "depends", RECORD_DEPENDS_MAX, &list);
	for (size_t i = 0; mp_more(&list); i++) {
		mp_get_bin_exact(&list, "depends", f->depends[i].b, 32);
		for (size_t j = 0; j < i; j++)
			if (id32_eq(&f->depends[j], &f->depends[i]))
				mp_cursor_fail(&list, "depends", "names an id twice");
		f->depends_len = i + 1;
	}
	mp_cursor_join(c, &list);
}

/* PROTOCOL 4.1. bytes have passed mp_scan(). */
static int envelope_read(const uint8_t *bytes, size_t len, const msgpack_object *root, struct record_fields *f, struct err *err)
{
	struct mp_cursor c, body;
	mp_cursor_init(&c, root, "record");
	if (!c.failed && c.len != ENVELOPE_LEN)
		mp_cursor_fail(&c, "envelope", "has a wrong number of elements");
	f->version = (uint16_t)mp_get_uint(&c, "version", RECORD_VERSION);
	f->kind = (uint32_t)mp_get_uint(&c, "kind", RECORD_KIND_MAX);
	mp_get_bin_exact(&c, "author", f->author.b, 32);
	mp_get_bin_exact(&c, "topic", f->topic.b, 32);
	f->created_ms = mp_get_uint(&c, "created", RECORD_NEVER);
	f->expires_ms = mp_get_uint(&c, "expires", RECORD_NEVER);
	mp_get_bin(&c, "key", RECORD_KEY_MAX, &f->key, &f->key_len);
	f->sequence = mp_get_uint(&c, "sequence", RECORD_NEVER);
	depends_read(&c, f);
	mp_get_array(&c, "body", RECORD_ITEMS_MAX, &body);
	if (f->version != RECORD_VERSION)
		mp_cursor_fail(&c, "version", "is not 1");
	if (!f->kind)
		mp_cursor_fail(&c, "kind", "is 0");
	const int r = mp_cursor_check(&c, err);
	if (r)
		return r;
	const size_t body_at = mp_element_offset(bytes, len, ENVELOPE_LEN - 1);
	f->body = bytes + body_at;
	f->body_len = len - body_at;
	return 0;
}

static int fields_read(const uint8_t *bytes, size_t len, struct record_fields *f, enum record_reject *ret_why, struct err *err)
{
	static const struct mp_limits limits = {RECORD_RESULT_LEN_MAX, RECORD_DEPTH_MAX, RECORD_ITEMS_MAX};
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	int r = mp_doc_open(bytes, len, &limits, &doc, err);
	if (r) {
		*ret_why = r == ERR_INVALID || r == ERR_LIMIT ? RECORD_NOT_CANONICAL : RECORD_OK;
		return r;
	}
	if ((r = envelope_read(bytes, len, &doc.root, f, err))) {
		*ret_why = RECORD_BAD_ENVELOPE;
		return r;
	}
	if (f->kind != RECORD_RESULT && len > RECORD_LEN_MAX) {
		*ret_why = RECORD_BAD_SIZE;
		return err_set(err, ERR_LIMIT, "record: %zu bytes; one of kind %s has at most %d", len, record_kind_name(f->kind), RECORD_LEN_MAX);
	}
	if ((r = lifetime_check(f, err)))
		*ret_why = RECORD_BAD_LIFETIME;
	return r;
}

/* Everything but the signature. */
static int record_new(const uint8_t *bytes, size_t len, const uint8_t signature[64], struct record **ret, enum record_reject *ret_why,
		      struct err *err)
{
	if (!len || len > RECORD_RESULT_LEN_MAX) {
		*ret_why = RECORD_BAD_SIZE;
		return err_set(err, ERR_LIMIT, "record: %zu bytes; a record has 1 to %d", len, RECORD_RESULT_LEN_MAX);
	}
	struct record *r = calloc(1, sizeof *r + len);
	if (!r)
		return err_set(err, ERR_NOMEM, "out of memory");
	atomic_init(&r->refs, 1);
	memcpy(r->bytes, bytes, len);
	memcpy(r->signature, signature, 64);
	r->len = len;
	const int e = fields_read(r->bytes, len, &r->fields, ret_why, err);
	if (e) {
		free(r);
		return e;
	}
	crypto_generichash(r->id.b, 32, r->bytes, len, NULL, 0);
	*ret = r;
	return 0;
}

int record_open(const uint8_t *signed_bytes, size_t len, const uint8_t signature[64], const char *network, struct record **ret,
		enum record_reject *ret_why, struct err *err)
{
	enum record_reject unused;
	if (!ret_why)
		ret_why = &unused;
	*ret_why = RECORD_OK;
	struct record *r = NULL;
	const int e = record_new(signed_bytes, len, signature, &r, ret_why, err);
	if (e)
		return e;
	uint8_t input[SIGNATURE_INPUT_MAX];
	const size_t input_len = signature_input(network, r->bytes, len, input);
	if (!ed25519_verify(input, input_len, signature, &r->fields.author)) {
		record_unref(r);
		*ret_why = RECORD_BAD_SIGNATURE;
		return err_set(err, ERR_INVALID, "record: the signature is not its author's, or is for another network than \"%s\"", network);
	}
	*ret = r;
	return 0;
}

int record_reopen(const uint8_t *signed_bytes, size_t len, const uint8_t signature[64], struct record **ret, struct err *err)
{
	enum record_reject unused;
	return record_new(signed_bytes, len, signature, ret, &unused, err);
}

static void envelope_write(const struct record_fields *f, struct buf *b)
{
	mp_put_array(b, ENVELOPE_LEN);
	mp_put_uint(b, RECORD_VERSION);
	mp_put_uint(b, f->kind);
	mp_put_bin(b, f->author.b, 32);
	mp_put_bin(b, f->topic.b, 32);
	mp_put_uint(b, f->created_ms);
	mp_put_uint(b, f->expires_ms);
	mp_put_bin(b, f->key, f->key_len);
	mp_put_uint(b, f->sequence);
	mp_put_array(b, (uint32_t)f->depends_len);
	for (size_t i = 0; i < f->depends_len; i++)
		mp_put_bin(b, f->depends[i].b, 32);
	if (f->body_len)
		buf_append(b, f->body, f->body_len);
}

int record_sign(const struct record_fields *fields, const uint8_t secret[64], const char *network, struct record **ret, struct err *err)
{
	struct record_fields f = *fields;
	memcpy(f.author.b, secret + 32, 32);
	if (!f.expires_ms)
		f.expires_ms = f.created_ms + record_kind_lifetime_ms(f.kind);
	if (f.key_len > RECORD_KEY_MAX || f.depends_len > RECORD_DEPENDS_MAX || !network_name_is_valid(network))
		return err_set(err, ERR_USAGE, "record: key or depends too long, or no network");
	CLEANUP(buf_release) struct buf bytes;
	buf_init(&bytes, f.kind == RECORD_RESULT ? RECORD_RESULT_LEN_MAX : RECORD_LEN_MAX);
	envelope_write(&f, &bytes);
	int r = buf_check(&bytes, "record", err);
	if (r)
		return r;
	uint8_t input[SIGNATURE_INPUT_MAX], signature[64];
	ed25519_sign(input, signature_input(network, bytes.data, bytes.len, input), secret, signature);
	enum record_reject why = RECORD_OK;
	r = record_new(bytes.data, bytes.len, signature, ret, &why, err);
	if (r && why != RECORD_OK) {
		if (err)
			err->code = ERR_USAGE;
		return ERR_USAGE;
	}
	return r;
}

struct record *record_ref(struct record *r)
{
	atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
	return r;
}

void record_unref(struct record *r)
{
	if (r && atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1)
		free(r);
}

const struct record_fields *record_get(const struct record *r) { return &r->fields; }
const struct id32 *record_id(const struct record *r) { return &r->id; }
const uint8_t *record_signature(const struct record *r) { return r->signature; }

const uint8_t *record_bytes(const struct record *r, size_t *ret_len)
{
	*ret_len = r->len;
	return r->bytes;
}

bool record_supersedes(const struct record *a, const struct record *b)
{
	const struct record_fields *x = &a->fields, *y = &b->fields;
	if (x->kind != y->kind || !record_kind_is_replaceable(x->kind) || !node_id_eq(&x->author, &y->author) ||
	    x->key_len != y->key_len || (x->key_len && memcmp(x->key, y->key, x->key_len)))
		return false;
	if (x->sequence != y->sequence)
		return x->sequence > y->sequence;
	return memcmp(a->id.b, b->id.b, 32) > 0;
}
