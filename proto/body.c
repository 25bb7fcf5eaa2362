#include "proto/body.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/body_impl.h"

const char *plan_origin_name(enum plan_origin o)
{
	switch (o) {
#define X(name, value, text)                                                                                           \
	case name: return text;
		PLAN_ORIGINS(X)
#undef X
	}
	return "unknown";
}

bool plan_origin_parse(const char *text, enum plan_origin *ret)
{
#define X(name, value, name_text)                                                                                      \
	if (!strcmp(text, name_text)) {                                                                                \
		*ret = name;                                                                                           \
		return true;                                                                                           \
	}
	PLAN_ORIGINS(X)
#undef X
	return false;
}

static const struct { unsigned outcome; const char *name; } outcomes[] = {
#define X(name, value, text) {value, text},
	RESULT_OUTCOMES(X)
#undef X
};

const char *result_outcome_name(unsigned outcome)
{
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		if (outcomes[i].outcome == outcome)
			return outcomes[i].name;
	return "unknown";
}

unsigned result_outcome_parse(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		if (!strcmp(outcomes[i].name, text))
			return outcomes[i].outcome;
	return 0;
}

bool arch_name_is_valid(const char *text)
{
	const size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_");
	return len >= 1 && len <= 31 && !text[len];
}

static size_t image_part(const char *text)
{
	const size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._+-");
	return len > 63 || strchr("._+-", text[0]) ? 0 : len;
}

bool image_name_is_valid(const char *text)
{
	const size_t name = image_part(text);
	if (!name || !text[name])
		return name;
	const char *version = text + name + 1;
	const size_t version_len = text[name] == '@' ? image_part(version) : 0;
	return version_len && !version[version_len];
}

bool tree_path_is_valid(const char *text)
{
	for (const char *p = text;; p++) {
		const size_t n = strcspn(p, "/");
		if (!n || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		for (size_t i = 0; i < n; i++)
			if ((uint8_t)p[i] < 0x20 || p[i] == 0x7f)
				return false;
		p += n;
		if (!*p)
			return true;
	}
}

/* ---- parts that bodies share ---- */

void body_put_digest(struct buf *b, const struct blob_digest *d)
{
	mp_put_array(b, 3);
	mp_put_bin(b, d->sha256, 32);
	mp_put_uint(b, d->size);
	mp_put_bin(b, d->root, 32);
}

void body_get_digest(struct mp_cursor *c, const char *field, struct blob_digest *ret)
{
	struct mp_cursor d;
	mp_get_array(c, field, BODY_STRUCT_LEN_MAX, &d);
	mp_get_bin_exact(&d, "sha256", ret->sha256, 32);
	ret->size = mp_get_uint(&d, "size", NUMBER_MAX);
	mp_get_bin_exact(&d, "root", ret->root, 32);
	mp_cursor_join(c, &d);
}

static void put_keys(struct buf *b, const struct node_id *keys, size_t len)
{
	mp_put_array(b, (uint32_t)len);
	for (size_t i = 0; i < len; i++)
		mp_put_bin(b, keys[i].b, 32);
}

static void get_keys(struct mp_cursor *c, const char *field, struct node_id keys[PROJECT_KEYS_MAX], size_t *ret_len)
{
	struct mp_cursor list;
	mp_get_array(c, field, PROJECT_KEYS_MAX, &list);
	for (*ret_len = 0; mp_more(&list); ++*ret_len)
		mp_get_bin_exact(&list, field, keys[*ret_len].b, 32);
	mp_cursor_join(c, &list);
}

/* A digest or a commit that the struct has as hex; "" is nil. */
static void put_hex(struct buf *b, const char *hex)
{
	uint8_t bytes[32];
	const size_t len = strlen(hex) / 2;
	if (len && len <= sizeof bytes && hex_decode(bytes, len, hex))
		mp_put_bin(b, bytes, len);
	else
		mp_put_nil(b);
}

static void get_hex(struct mp_cursor *c, const char *field, size_t len, char out[65])
{
	uint8_t bytes[32];
	out[0] = 0;
	mp_get_bin_exact(c, field, bytes, len);
	if (!c->failed)
		hex_encode(out, bytes, len);
}

static void get_hex_or_nil(struct mp_cursor *c, const char *field, char out[65])
{
	out[0] = 0;
	if (!mp_take_nil(c))
		get_hex(c, field, 32, out);
}

int body_open(const struct record *r, const char *what, struct mp_doc *doc, struct mp_cursor *ret, struct err *err)
{
	static const struct mp_limits limits = {RECORD_RESULT_LEN_MAX, RECORD_DEPTH_MAX, RECORD_ITEMS_MAX};
	const struct record_fields *f = record_get(r);
	const int e = mp_doc_open(f->body, f->body_len, &limits, doc, err);
	if (!e)
		mp_cursor_init(ret, &doc->root, what);
	return e;
}

void body_require_no_key(struct mp_cursor *c, const struct record *r)
{
	if (record_get(r)->key_len)
		mp_cursor_fail(c, "key", "is not empty");
}

/* PROTOCOL 5.1: what belongs to a job depends on it. */
static void require_depends(struct mp_cursor *c, const struct record *r, const struct id32 *job)
{
	const struct record_fields *f = record_get(r);
	for (size_t i = 0; i < f->depends_len; i++)
		if (id32_eq(&f->depends[i], job))
			return;
	mp_cursor_fail(c, "depends", "does not hold the job");
}

/* ---- project ---- */

void project_body_encode(const struct project_body *p, struct buf *b)
{
	mp_put_array(b, 5);
	mp_put_text(b, p->name, sizeof p->name);
	mp_put_array(b, (uint32_t)p->urls_len);
	for (size_t i = 0; i < p->urls_len; i++)
		mp_put_str(b, p->urls[i]);
	put_keys(b, p->maintainers, p->maintainers_len);
	mp_put_array(b, (uint32_t)p->former_len);
	for (size_t i = 0; i < p->former_len; i++) {
		mp_put_array(b, 2);
		mp_put_bin(b, p->former[i].key.b, 32);
		mp_put_uint(b, p->former[i].removed_at_ms);
	}
	put_keys(b, p->volunteers, p->volunteers_len);
}

static void get_urls(struct mp_cursor *c, struct project_body *p)
{
	struct mp_cursor list;
	mp_get_array(c, "urls", PROJECT_URLS_MAX, &list);
	for (; mp_more(&list); p->urls_len++) {
		char normal[URL_TEXT_MAX], *url = p->urls[p->urls_len];
		mp_get_line(&list, "urls", url, URL_TEXT_MAX);
		if (!list.failed && (url_normalise(url, normal, NULL) || strcmp(url, normal)))
			mp_cursor_fail(&list, "urls", "holds what is no URL in normal form");
	}
	mp_cursor_join(c, &list);
}

static void get_former(struct mp_cursor *c, struct project_body *p)
{
	struct mp_cursor list;
	mp_get_array(c, "former", PROJECT_KEYS_MAX, &list);
	for (; mp_more(&list); p->former_len++) {
		struct mp_cursor one;
		mp_get_array(&list, "former", BODY_STRUCT_LEN_MAX, &one);
		mp_get_bin_exact(&one, "key", p->former[p->former_len].key.b, 32);
		p->former[p->former_len].removed_at_ms = mp_get_uint(&one, "removed_at", RECORD_NEVER);
		mp_cursor_join(&list, &one);
	}
	mp_cursor_join(c, &list);
}

/* PROTOCOL 5.2: key = nonce, and topic and id derive from founder and nonce. */
static void project_agree(struct mp_cursor *c, const struct record *r, struct project_body *p, struct id32 *ret_project)
{
	const struct record_fields *f = record_get(r);
	if (f->key_len != sizeof p->nonce) {
		mp_cursor_fail(c, "key", "is no nonce of 16 bytes");
		return;
	}
	memcpy(p->nonce, f->key, sizeof p->nonce);
	struct id32 topic;
	project_id_derive(&f->author, p->nonce, ret_project);
	topic_derive(ret_project, &topic);
	if (!id32_eq(&topic, &f->topic))
		mp_cursor_fail(c, "topic", "is not this project's");
}

int project_body_decode(const struct record *r, struct project_body *ret, struct id32 *ret_project, struct err *err)
{
	assert(record_get(r)->kind == RECORD_PROJECT);
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c;
	int e = body_open(r, "project", &doc, &c, err);
	if (e)
		return e;
	struct project_body p = {0};
	struct id32 project = {0};
	mp_get_line(&c, "name", p.name, sizeof p.name);
	if (!p.name[0])
		mp_cursor_fail(&c, "name", "is empty");
	get_urls(&c, &p);
	get_keys(&c, "maintainers", p.maintainers, &p.maintainers_len);
	get_former(&c, &p);
	get_keys(&c, "volunteers", p.volunteers, &p.volunteers_len);
	project_agree(&c, r, &p, &project);
	if ((e = mp_cursor_check(&c, err)))
		return e;
	*ret = p;
	if (ret_project)
		*ret_project = project;
	return 0;
}

/* ---- job ---- */

void job_body_encode(const struct job_body *p, struct buf *b)
{
	mp_put_array(b, p->cells ? 13 : 12);
	mp_put_bin(b, p->project.b, 32);
	mp_put_uint(b, p->project_sequence);
	put_hex(b, p->commit);
	mp_put_str(b, p->ref);
	mp_put_str(b, p->arch);
	mp_put_array(b, 2);
	mp_put_str(b, p->image);
	put_hex(b, p->image_digest);
	mp_put_array(b, 4);
	mp_put_uint(b, p->cpus);
	mp_put_uint(b, p->memory_bytes);
	mp_put_uint(b, p->disk_bytes);
	mp_put_uint(b, p->timeout_ms);
	mp_put_uint(b, p->claim_until_ms);
	mp_put_uint(b, p->wanted);
	put_keys(b, p->volunteers, p->volunteers_len);
	mp_put_text(b, p->cell, sizeof p->cell);
	mp_put_array(b, 4);
	mp_put_uint(b, (uint64_t)p->plan_origin);
	mp_put_str(b, p->plan_path);
	put_hex(b, p->plan_sha256);
	mp_put_str(b, p->plan_inline);
	if (p->cells)
		mp_put_uint(b, p->cells);
}

static void get_commit(struct mp_cursor *c, char out[65])
{
	const uint8_t *bytes;
	size_t len;
	mp_get_bin(c, "commit", 32, &bytes, &len);
	if (c->failed)
		return;
	if (len != 20 && len != 32)
		mp_cursor_fail(c, "commit", "is no full commit id");
	else
		hex_encode(out, bytes, len);
}

static void get_image(struct mp_cursor *c, struct job_body *p)
{
	struct mp_cursor image;
	mp_get_array(c, "image", BODY_STRUCT_LEN_MAX, &image);
	mp_get_line(&image, "name", p->image, sizeof p->image);
	if (p->image[0] && !image_name_is_valid(p->image))
		mp_cursor_fail(&image, "name", "is no image name");
	get_hex_or_nil(&image, "digest", p->image_digest);
	mp_cursor_join(c, &image);
}

static void get_resources(struct mp_cursor *c, struct job_body *p)
{
	struct mp_cursor r;
	mp_get_array(c, "resources", BODY_STRUCT_LEN_MAX, &r);
	p->cpus = (uint32_t)mp_get_uint(&r, "cpus", 65535);
	p->memory_bytes = mp_get_uint(&r, "memory", NUMBER_MAX);
	p->disk_bytes = mp_get_uint(&r, "disk", NUMBER_MAX);
	p->timeout_ms = mp_get_uint(&r, "timeout", NUMBER_MAX);
	mp_cursor_join(c, &r);
}

/* The text of a script: as a line, but newline and tab may stand in it. */
static void get_script(struct mp_cursor *c, const char *field, char *out, size_t size)
{
	mp_get_str(c, field, out, size);
	for (const char *p = out; *p; p++)
		if (((uint8_t)*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7f)
			mp_cursor_fail(c, field, "holds a control character");
}

/* PROTOCOL 5.3.1: what each origin must and must not bring. */
static void plan_agree(struct mp_cursor *c, const struct job_body *p)
{
	if (c->failed)
		return;
	switch (p->plan_origin) {
	case PLAN_TREE:
		if (!tree_path_is_valid(p->plan_path))
			mp_cursor_fail(c, "path", "is no path within a tree");
		break;
	case PLAN_DETECTED:
		if (p->plan_path[0] && !tree_path_is_valid(p->plan_path))
			mp_cursor_fail(c, "path", "is no path within a tree");
		break;
	case PLAN_INLINE:
		if (p->plan_path[0])
			mp_cursor_fail(c, "path", "is not empty with an inline plan");
		break;
	}
	if ((p->plan_origin == PLAN_INLINE) != (p->plan_inline[0] != 0)) {
		mp_cursor_fail(c, "inline", "and the plan's origin do not agree");
		return;
	}
	if (p->plan_origin != PLAN_INLINE)
		return;
	uint8_t sum[32];
	char hex[65];
	crypto_hash_sha256(sum, (const uint8_t *)p->plan_inline, strlen(p->plan_inline));
	if (strcmp(hex_encode(hex, sum, 32), p->plan_sha256))
		mp_cursor_fail(c, "sha256", "is not the inline text's");
}

static void get_plan(struct mp_cursor *c, struct job_body *p)
{
	struct mp_cursor plan;
	mp_get_array(c, "plan", BODY_STRUCT_LEN_MAX, &plan);
	p->plan_origin = (enum plan_origin)mp_get_uint(&plan, "origin", PLAN_INLINE);
	if (!p->plan_origin)
		mp_cursor_fail(&plan, "origin", "is 0");
	mp_get_line(&plan, "path", p->plan_path, sizeof p->plan_path);
	get_hex(&plan, "sha256", 32, p->plan_sha256);
	get_script(&plan, "inline", p->plan_inline, sizeof p->plan_inline);
	plan_agree(&plan, p);
	mp_cursor_join(c, &plan);
}

/* PROTOCOL 5.3: what must hold between the fields and the record. */
static void job_agree(struct mp_cursor *c, const struct record *r, const struct job_body *p)
{
	const struct record_fields *f = record_get(r);
	if (c->failed)
		return;
	if (!ref_name_is_valid(p->ref))
		mp_cursor_fail(c, "ref", "is no full ref name");
	if (!arch_name_is_valid(p->arch))
		mp_cursor_fail(c, "arch", "is no architecture's name");
	if (p->claim_until_ms <= f->created_ms || p->claim_until_ms - f->created_ms > JOB_CLAIM_UNTIL_MAX_MS)
		mp_cursor_fail(c, "claim_until", "is not within 7 days after created");
	if (!p->wanted)
		mp_cursor_fail(c, "wanted", "is 0");
	struct id32 topic;
	topic_derive(&p->project, &topic);
	if (!id32_eq(&topic, &f->topic))
		mp_cursor_fail(c, "topic", "is not its project's");
	body_require_no_key(c, r);
}

int job_body_decode(const struct record *r, struct job_body *ret, struct err *err)
{
	assert(record_get(r)->kind == RECORD_JOB);
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c;
	int e = body_open(r, "job", &doc, &c, err);
	if (e)
		return e;
	struct job_body p = {0};
	mp_get_bin_exact(&c, "project", p.project.b, 32);
	p.project_sequence = mp_get_uint(&c, "project_sequence", RECORD_NEVER);
	get_commit(&c, p.commit);
	mp_get_line(&c, "ref", p.ref, sizeof p.ref);
	mp_get_line(&c, "arch", p.arch, sizeof p.arch);
	get_image(&c, &p);
	get_resources(&c, &p);
	p.claim_until_ms = mp_get_uint(&c, "claim_until", RECORD_NEVER);
	p.wanted = (uint32_t)mp_get_uint(&c, "wanted", JOB_WANTED_MAX);
	get_keys(&c, "volunteers", p.volunteers, &p.volunteers_len);
	mp_get_line(&c, "cell", p.cell, sizeof p.cell);
	get_plan(&c, &p);
	/* PROTOCOL 5.3: came later than the others, so it may be absent */
	if (mp_more(&c))
		p.cells = (uint32_t)mp_get_uint(&c, "cells", JOB_CELLS_MAX);
	job_agree(&c, r, &p);
	if ((e = mp_cursor_check(&c, err)))
		return e;
	*ret = p;
	return 0;
}

/* ---- cancel ---- */

void cancel_body_encode(const struct cancel_body *p, struct buf *b)
{
	mp_put_array(b, 2);
	mp_put_bin(b, p->job.b, 32);
	mp_put_text(b, p->reason, sizeof p->reason);
}

int cancel_body_decode(const struct record *r, struct cancel_body *ret, struct err *err)
{
	assert(record_get(r)->kind == RECORD_CANCEL);
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c;
	int e = body_open(r, "cancel", &doc, &c, err);
	if (e)
		return e;
	struct cancel_body p = {0};
	mp_get_bin_exact(&c, "job", p.job.b, 32);
	mp_get_line(&c, "reason", p.reason, sizeof p.reason);
	require_depends(&c, r, &p.job);
	body_require_no_key(&c, r);
	if ((e = mp_cursor_check(&c, err)))
		return e;
	*ret = p;
	return 0;
}

/* ---- claim ---- */

void claim_body_encode(const struct claim_body *p, struct buf *b)
{
	mp_put_array(b, 4);
	mp_put_uint(b, p->lease_until_ms);
	mp_put_uint(b, p->step);
	mp_put_uint(b, p->steps);
	mp_put_str(b, p->phase);
}

static void claim_agree(struct mp_cursor *c, const struct record *r, struct claim_body *p)
{
	const struct record_fields *f = record_get(r);
	if (f->key_len == 32)
		memcpy(p->job.b, f->key, 32);
	else
		mp_cursor_fail(c, "key", "is no job id");
	if (p->lease_until_ms && (p->lease_until_ms <= f->created_ms || p->lease_until_ms - f->created_ms > CLAIM_LEASE_MAX_MS))
		mp_cursor_fail(c, "lease_until", "is not within 10 minutes after created");
	if (p->step > p->steps)
		mp_cursor_fail(c, "step", "is past steps");
	if (p->phase[strspn(p->phase, "abcdefghijklmnopqrstuvwxyz-")])
		mp_cursor_fail(c, "phase", "is not of lower-case letters");
	require_depends(c, r, &p->job);
}

int claim_body_decode(const struct record *r, struct claim_body *ret, struct err *err)
{
	assert(record_get(r)->kind == RECORD_CLAIM);
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c;
	int e = body_open(r, "claim", &doc, &c, err);
	if (e)
		return e;
	struct claim_body p = {0};
	p.lease_until_ms = mp_get_uint(&c, "lease_until", RECORD_NEVER);
	p.step = (uint32_t)mp_get_uint(&c, "step", 65535);
	p.steps = (uint32_t)mp_get_uint(&c, "steps", 65535);
	mp_get_line(&c, "phase", p.phase, sizeof p.phase);
	claim_agree(&c, r, &p);
	if ((e = mp_cursor_check(&c, err)))
		return e;
	*ret = p;
	return 0;
}

/* ---- result ---- */

void result_body_encode(const struct result_body *p, struct buf *b)
{
	mp_put_array(b, 6);
	mp_put_bin(b, p->job.b, 32);
	if (p->outcome)
		mp_put_uint(b, p->outcome);
	else
		mp_put_nil(b);
	mp_put_text(b, p->reason, sizeof p->reason);
	if (p->has_log)
		body_put_digest(b, &p->log);
	else
		mp_put_nil(b);
	if (p->payload) {
		mp_put_bin(b, p->payload, p->payload_len);
		mp_put_bin(b, p->signature, 64);
	} else {
		mp_put_nil(b);
		mp_put_nil(b);
	}
}

/* PROTOCOL 5.6: nothing is said twice. */
static void result_agree(struct mp_cursor *c, const struct result_body *p)
{
	if (c->failed)
		return;
	if (p->payload && (p->outcome || p->reason[0] || p->has_log))
		mp_cursor_fail(c, "outcome", "reason or log stands beside a payload");
	if (!p->payload && p->outcome != OUTCOME_ERROR && p->outcome != OUTCOME_ABANDONED && p->outcome != OUTCOME_REFUSED)
		mp_cursor_fail(c, "outcome", "needs a payload, or is none");
}

int result_body_decode(const struct record *r, struct result_body *ret, struct err *err)
{
	assert(record_get(r)->kind == RECORD_RESULT);
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c;
	int e = body_open(r, "result", &doc, &c, err);
	if (e)
		return e;
	struct result_body p = {0};
	mp_get_bin_exact(&c, "job", p.job.b, 32);
	if (!mp_take_nil(&c)) {
		p.outcome = (uint8_t)mp_get_uint(&c, "outcome", OUTCOME_REFUSED);
		if (!p.outcome)
			mp_cursor_fail(&c, "outcome", "is 0");
	}
	mp_get_line(&c, "reason", p.reason, sizeof p.reason);
	if (!mp_take_nil(&c)) {
		p.has_log = true;
		body_get_digest(&c, "log", &p.log);
	}
	if (!mp_take_nil(&c)) {
		mp_get_bin(&c, "payload", RECORD_RESULT_LEN_MAX, &p.payload, &p.payload_len);
		mp_get_bin_exact(&c, "signature", p.signature, 64);
		if (!p.payload_len)
			mp_cursor_fail(&c, "payload", "is empty");
	} else if (!mp_take_nil(&c)) {
		mp_cursor_fail(&c, "signature", "is missing, or stands without a payload");
	}
	result_agree(&c, &p);
	require_depends(&c, r, &p.job);
	body_require_no_key(&c, r);
	if ((e = mp_cursor_check(&c, err)))
		return e;
	*ret = p;
	return 0;
}
