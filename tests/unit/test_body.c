#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/mp.h"
#include "tests/unit/samples.h"
#include "tests/unit/tap.h"

static struct sample_key key1, key2;
static struct id32 job_id;

static void test_project(void)
{
	CLEANUP(record_unrefp) struct record *r = sample_project_record();
	struct project_body want, got;
	struct id32 project, sample;
	memset(&got, 7, sizeof got);
	sample_project(&want);
	sample_project_id(&sample);
	INTEQ(project_body_decode(r, &got, &project, NULL), 0);
	OK(!memcmp(&want, &got, sizeof want), "project: the same fields");
	OK(id32_eq(&project, &sample), "the project's id follows from founder and nonce");
	INTEQ(project_body_decode(r, &got, NULL, NULL), 0);
}

static void test_job(void)
{
	CLEANUP(record_unrefp) struct record *r = sample_job_record();
	struct job_body want, got;
	memset(&got, 7, sizeof got);
	sample_job(&want);
	INTEQ(job_body_decode(r, &got, NULL), 0);
	OK(!memcmp(&want, &got, sizeof want), "job: the same fields");
}

static void test_claim_and_cancel(void)
{
	CLEANUP(record_unrefp) struct record *job = sample_job_record();
	CLEANUP(record_unrefp) struct record *claim = sample_claim_record(&key2, job);
	CLEANUP(record_unrefp) struct record *cancel = sample_cancel_record(&key1, job);
	struct claim_body c;
	struct cancel_body x;
	INTEQ(claim_body_decode(claim, &c, NULL), 0);
	OK(id32_eq(&c.job, &job_id) && c.lease_until_ms == SAMPLE_CREATED_MS + CLAIM_LEASE_MAX_MS && c.step == 1 && c.steps == 3, "claim");
	STREQ(c.phase, "run");
	INTEQ(cancel_body_decode(cancel, &x, NULL), 0);
	OK(id32_eq(&x.job, &job_id), "cancel");
	STREQ(x.reason, "superseded");
}

static void test_result(void)
{
	CLEANUP(record_unrefp) struct record *job = sample_job_record();
	CLEANUP(record_unrefp) struct record *r = sample_error_record(&key2, job, OUTCOME_ABANDONED);
	struct result_body got, payload = {.job = job_id, .payload = (const uint8_t *)"{}", .payload_len = 2, .signature = {1, 2, 3}};
	struct blob_digest log;
	INTEQ(result_body_decode(r, &got, NULL), 0);
	digest_bytes("log\n", 4, &log);
	OK(got.outcome == OUTCOME_ABANDONED && got.has_log && blob_digest_eq(&got.log, &log) && !got.payload && id32_eq(&got.job, &job_id), "fields");
	STREQ(got.reason, "the image does not start");
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_RESULT_LEN_MAX);
	result_body_encode(&payload, &body);
	CLEANUP(record_unrefp) struct record *with = sample_record(RECORD_RESULT, &key2, NULL, NULL, 0, &job_id, &body);
	INTEQ(result_body_decode(with, &got, NULL), 0);
	size_t len;
	const uint8_t *bytes = record_bytes(with, &len);
	OK(!got.outcome && !got.has_log && got.payload_len == 2 && got.payload > bytes && got.payload < bytes + len, "the payload is lent from the record");
	MEMEQ(got.payload, "{}", 2);
	MEMEQ(got.signature, payload.signature, 64);
}

static void test_node(void)
{
	CLEANUP(record_unrefp) struct record *r = sample_node_record(&key2);
	struct node_body want, got;
	memset(&got, 7, sizeof got);
	sample_node(&want);
	INTEQ(node_body_decode(r, &got, NULL), 0);
	OK(!memcmp(&want, &got, sizeof want), "node: the same fields");
	INTEQ(record_get(r)->expires_ms - record_get(r)->created_ms, DAY_MS);
	OK(record_kind_is_replaceable(RECORD_NODE), "node: replaceable");
}

/* ---- what must be refused ---- */

union any_body { struct project_body project; struct job_body job; struct cancel_body cancel; struct claim_body claim; struct result_body result;
		 struct node_body node; };

static int decode(const struct record *r, struct err *err)
{
	CLEANUP(cleanup_free) union any_body *u = calloc(1, sizeof *u);
	if (!u)
		abort();
	switch ((enum record_kind)record_get(r)->kind) {
	case RECORD_PROJECT: return project_body_decode(r, &u->project, NULL, err);
	case RECORD_JOB: return job_body_decode(r, &u->job, err);
	case RECORD_CANCEL: return cancel_body_decode(r, &u->cancel, err);
	case RECORD_CLAIM: return claim_body_decode(r, &u->claim, err);
	case RECORD_RESULT: return result_body_decode(r, &u->result, err);
	case RECORD_NODE: return node_body_decode(r, &u->node, err);
	}
	return -100;
}

/* Signs the body as it is, decodes it and expects the sentence (NULL: accepted). */
static void expect(uint32_t kind, const struct id32 *topic, const void *key, size_t key_len, const struct id32 *depends, const struct buf *body,
		   const char *want, const char *file, int line, const char *what)
{
	CLEANUP(record_unrefp) struct record *r = sample_record(kind, &key1, topic, key, key_len, depends, body);
	struct err err = {0};
	const int e = decode(r, &err);
	if (!want)
		tap_ok(!e, file, line, "accepted: %s (%s)", what, err.what);
	else if (tap_ok(e == ERR_INVALID, file, line, "refused: %s", what))
		tap_streq(err.what, want, file, line, what);
}

#define JOB_CASE(want, ...)                                                                                            \
	do {                                                                                                           \
		struct job_body p;                                                                                     \
		struct id32 topic;                                                                                     \
		CLEANUP(buf_release) struct buf b;                                                                     \
		buf_init(&b, RECORD_LEN_MAX);                                                                          \
		sample_job(&p);                                                                                        \
		topic_derive(&p.project, &topic);                                                                      \
		__VA_ARGS__;                                                                                           \
		job_body_encode(&p, &b);                                                                               \
		expect(RECORD_JOB, &topic, NULL, 0, NULL, &b, want, __FILE__, __LINE__, #__VA_ARGS__);                 \
	} while (0)

static void test_job_refused(void)
{
	JOB_CASE(NULL, p.cpus = 0; p.memory_bytes = 0; p.disk_bytes = 0; p.timeout_ms = 0);
	JOB_CASE(NULL, p.image[0] = 0);
	JOB_CASE(NULL, strcpy(p.image_digest, p.plan_sha256));
	JOB_CASE(NULL, strcpy(p.commit, p.plan_sha256));
	JOB_CASE(NULL, p.plan_origin = PLAN_DETECTED; p.plan_path[0] = 0);
	JOB_CASE(NULL, p.plan_origin = PLAN_DETECTED; strcpy(p.plan_path, "Makefile"));
	JOB_CASE(NULL, p.claim_until_ms = SAMPLE_CREATED_MS + 7 * DAY_MS);
	JOB_CASE("job: topic is not its project's", p.project.b[0] ^= 1);
	JOB_CASE("job: topic is not its project's", topic.b[0] ^= 1);
	JOB_CASE("job: commit is no byte string", p.commit[0] = 0);
	JOB_CASE("job: commit is no full commit id", p.commit[38] = 0);
	JOB_CASE("job: ref is no full ref name", strcpy(p.ref, "main"));
	JOB_CASE("job: ref is no full ref name", strcpy(p.ref, "refs/heads/../x"));
	JOB_CASE("job: ref holds a control character", strcpy(p.ref, "refs/heads/\n"));
	JOB_CASE("job: arch is no architecture's name", strcpy(p.arch, "X86"));
	JOB_CASE("job: arch is no architecture's name", p.arch[0] = 0);
	JOB_CASE("image: name is no image name", strcpy(p.image, "../x@1"));
	JOB_CASE("image: name is no image name", strcpy(p.image, "mini@"));
	JOB_CASE("image: name is no image name", strcpy(p.image, "mini@1@2"));
	JOB_CASE("resources: cpus is too large", p.cpus = 65536);
	JOB_CASE("resources: memory is too large", p.memory_bytes = NUMBER_MAX + 1);
	JOB_CASE("resources: timeout is too large", p.timeout_ms = UINT64_MAX);
	JOB_CASE("job: claim_until is not within 7 days after created", p.claim_until_ms = SAMPLE_CREATED_MS + 7 * DAY_MS + 1);
	JOB_CASE("job: claim_until is not within 7 days after created", p.claim_until_ms = SAMPLE_CREATED_MS);
	JOB_CASE("job: claim_until is not within 7 days after created", p.claim_until_ms = 0);
	JOB_CASE(NULL, p.cells = 32; strcpy(p.cell, "CC=gcc"));
	JOB_CASE("job: cells is too large", p.cells = 33);
	JOB_CASE("job: wanted is 0", p.wanted = 0);
	JOB_CASE("job: wanted is too large", p.wanted = 256);
	JOB_CASE("plan: origin is 0", p.plan_origin = 0);
	JOB_CASE("plan: origin is too large", p.plan_origin = 4);
	JOB_CASE("plan: path is no path within a tree", strcpy(p.plan_path, "/etc/passwd"));
	JOB_CASE("plan: path is no path within a tree", strcpy(p.plan_path, "a/../b"));
	JOB_CASE("plan: path is no path within a tree", strcpy(p.plan_path, "a//b"));
	JOB_CASE("plan: path is no path within a tree", strcpy(p.plan_path, "a/"));
	JOB_CASE("plan: path is no path within a tree", p.plan_path[0] = 0);
	JOB_CASE("plan: path is no path within a tree", p.plan_origin = PLAN_DETECTED; strcpy(p.plan_path, ".."));
	JOB_CASE("plan: sha256 is no byte string", p.plan_sha256[0] = 0);
	JOB_CASE("plan: inline and the plan's origin do not agree", strcpy(p.plan_inline, "true"));
	JOB_CASE("plan: inline and the plan's origin do not agree", p.plan_origin = PLAN_INLINE; p.plan_path[0] = 0);
	JOB_CASE("plan: path is not empty with an inline plan", p.plan_origin = PLAN_INLINE; strcpy(p.plan_inline, "true"));
	JOB_CASE("plan: sha256 is not the inline text's", p.plan_origin = PLAN_INLINE; p.plan_path[0] = 0; strcpy(p.plan_inline, "true"));
	JOB_CASE(NULL, p.plan_origin = PLAN_INLINE; p.plan_path[0] = 0; strcpy(p.plan_inline, "true");
		 strcpy(p.plan_sha256, "b5bea41b6c623f7c09f1bf24dcae58ebab3c0cdd90ad966bc43a45b44867e12b"));
	JOB_CASE("plan: inline holds a control character", p.plan_origin = PLAN_INLINE; p.plan_path[0] = 0; strcpy(p.plan_inline, "\x1b[0m"));
}

#define PROJECT_CASE(want, ...)                                                                                        \
	do {                                                                                                           \
		struct project_body p;                                                                                 \
		struct id32 project, topic;                                                                            \
		CLEANUP(buf_release) struct buf b;                                                                     \
		buf_init(&b, RECORD_LEN_MAX);                                                                          \
		sample_project(&p);                                                                                    \
		project_id_derive(&key1.id, p.nonce, &project);                                                        \
		topic_derive(&project, &topic);                                                                        \
		size_t key_len = sizeof p.nonce;                                                                       \
		__VA_ARGS__;                                                                                           \
		project_body_encode(&p, &b);                                                                           \
		expect(RECORD_PROJECT, &topic, p.nonce, key_len, NULL, &b, want, __FILE__, __LINE__, #__VA_ARGS__);    \
	} while (0)

static void test_project_refused(void)
{
	PROJECT_CASE(NULL, p.urls_len = p.maintainers_len = p.former_len = p.volunteers_len = 0);
	PROJECT_CASE(NULL, p.maintainers_len = PROJECT_KEYS_MAX; p.volunteers_len = PROJECT_KEYS_MAX);
	PROJECT_CASE("project: topic is not this project's", topic.b[31] ^= 1);
	PROJECT_CASE("project: topic is not this project's", p.nonce[0] ^= 1);
	PROJECT_CASE("project: key is no nonce of 16 bytes", key_len = 15);
	PROJECT_CASE("project: key is no nonce of 16 bytes", key_len = 0);
	PROJECT_CASE("project: name is empty", p.name[0] = 0);
	PROJECT_CASE("urls: urls holds what is no URL in normal form", strcpy(p.urls[1], "ssh://example.org/a"));
	PROJECT_CASE("urls: urls holds what is no URL in normal form", strcpy(p.urls[1], "https://EXAMPLE.org/a"));
	PROJECT_CASE("urls: urls holds what is no URL in normal form", strcpy(p.urls[1], "https://example.org/a/"));
	PROJECT_CASE("urls: urls holds what is no URL in normal form", p.urls[1][0] = 0);
	PROJECT_CASE("former: removed_at is too large", p.former[0].removed_at_ms = RECORD_NEVER + 1);
}

static void test_claim_refused(void)
{
#define CLAIM_CASE(want, ...)                                                                                          \
	do {                                                                                                           \
		struct claim_body p = {.lease_until_ms = SAMPLE_CREATED_MS + 1000, .step = 1, .steps = 2, .phase = "run"}; \
		struct id32 key = job_id, depends = job_id;                                                            \
		size_t key_len = 32;                                                                                   \
		CLEANUP(buf_release) struct buf b;                                                                     \
		buf_init(&b, RECORD_LEN_MAX);                                                                          \
		__VA_ARGS__;                                                                                           \
		claim_body_encode(&p, &b);                                                                             \
		expect(RECORD_CLAIM, NULL, key.b, key_len, &depends, &b, want, __FILE__, __LINE__, #__VA_ARGS__);      \
	} while (0)
	CLAIM_CASE(NULL, (void)0);
	CLAIM_CASE(NULL, p.lease_until_ms = 0);
	CLAIM_CASE("claim: key is no job id", key_len = 31);
	CLAIM_CASE("claim: depends does not hold the job", key.b[0] ^= 1);
	CLAIM_CASE("claim: depends does not hold the job", depends.b[0] ^= 1);
	CLAIM_CASE("claim: lease_until is not within 10 minutes after created", p.lease_until_ms = SAMPLE_CREATED_MS + CLAIM_LEASE_MAX_MS + 1);
	CLAIM_CASE("claim: lease_until is not within 10 minutes after created", p.lease_until_ms = SAMPLE_CREATED_MS);
	CLAIM_CASE("claim: step is past steps", p.step = 3);
	CLAIM_CASE("claim: steps is too large", p.steps = 65536);
	CLAIM_CASE("claim: phase is not of lower-case letters", strcpy(p.phase, "Run"));
}

static void test_result_refused(void)
{
#define RESULT_CASE(want, ...)                                                                                         \
	do {                                                                                                           \
		struct result_body p = {.job = job_id};                                                                \
		struct id32 depends = job_id;                                                                          \
		size_t key_len = 0;                                                                                    \
		bool zero_outcome = false;                                                                             \
		CLEANUP(buf_release) struct buf b;                                                                     \
		buf_init(&b, RECORD_RESULT_LEN_MAX);                                                                   \
		__VA_ARGS__;                                                                                           \
		result_body_encode(&p, &b);                                                                            \
		if (zero_outcome) /* the nil behind the job's id becomes an integer */                                 \
			b.data[1 + 2 + 32] = 0;                                                                        \
		expect(RECORD_RESULT, NULL, "k", key_len, &depends, &b, want, __FILE__, __LINE__, #__VA_ARGS__);       \
	} while (0)
#define PAYLOAD p.payload = (const uint8_t *)"{}"; p.payload_len = 2
	RESULT_CASE(NULL, p.outcome = OUTCOME_ERROR);
	RESULT_CASE(NULL, PAYLOAD);
	RESULT_CASE("result: outcome needs a payload, or is none", (void)0);
	RESULT_CASE("result: outcome needs a payload, or is none", p.outcome = OUTCOME_PASSED);
	RESULT_CASE("result: outcome needs a payload, or is none", p.outcome = OUTCOME_FAILED);
	RESULT_CASE("result: outcome needs a payload, or is none", p.outcome = OUTCOME_TIMEOUT);
	RESULT_CASE("result: outcome is too large", p.outcome = 7);
	RESULT_CASE("result: outcome reason or log stands beside a payload", PAYLOAD; p.outcome = OUTCOME_ERROR);
	RESULT_CASE("result: outcome reason or log stands beside a payload", PAYLOAD; strcpy(p.reason, "x"));
	RESULT_CASE("result: outcome reason or log stands beside a payload", PAYLOAD; p.has_log = true);
	RESULT_CASE("result: outcome is 0", PAYLOAD; zero_outcome = true);
	RESULT_CASE("result: payload is empty", PAYLOAD; p.payload_len = 0);
	RESULT_CASE("result: depends does not hold the job", PAYLOAD; depends.b[3] ^= 1);
	RESULT_CASE("result: key is not empty", PAYLOAD; key_len = 1);
	RESULT_CASE("log: size is too large", p.outcome = OUTCOME_ERROR; p.has_log = true; p.log.size = NUMBER_MAX + 1);
}

static void test_node_refused(void)
{
#define NODE_CASE(want, ...)                                                                                           \
	do {                                                                                                           \
		struct node_body p;                                                                                    \
		struct id32 topic = {0};                                                                               \
		const struct id32 *depends = NULL;                                                                     \
		size_t key_len = 0;                                                                                    \
		CLEANUP(buf_release) struct buf b;                                                                     \
		buf_init(&b, RECORD_LEN_MAX);                                                                          \
		sample_node(&p);                                                                                       \
		__VA_ARGS__;                                                                                           \
		node_body_encode(&p, &b);                                                                              \
		expect(RECORD_NODE, &topic, "k", key_len, depends, &b, want, __FILE__, __LINE__, #__VA_ARGS__);        \
	} while (0)
	NODE_CASE(NULL, p.addresses_len = p.images_len = 0; p.software[0] = 0);
	NODE_CASE(NULL, strcpy(p.addresses[0].host, "127.0.0.1"));
	NODE_CASE("node: key is not empty", key_len = 1);
	NODE_CASE("node: topic is not zero", topic.b[31] = 1);
	NODE_CASE("node: depends is not empty", depends = &job_id);
	NODE_CASE("node: arch is no architecture's name", p.arch[0] = 0);
	NODE_CASE("addresses: host is no host in normal form", p.addresses[1].host[0] = 0);
	NODE_CASE("addresses: host is no host in normal form", strcpy(p.addresses[0].host, "EXAMPLE.org"));
	NODE_CASE("addresses: host is no host in normal form", strcpy(p.addresses[0].host, "a..b"));
	NODE_CASE("addresses: host is no host in normal form", strcpy(p.addresses[0].host, "[::1]"));
	NODE_CASE("addresses: host is no host in normal form", strcpy(p.addresses[0].host, "0::1"));
	NODE_CASE("addresses: host is no host in normal form", strcpy(p.addresses[0].host, "host:1"));
	NODE_CASE("addresses: host is no host in normal form", strcpy(p.addresses[0].host, "a b"));
	NODE_CASE("addresses: host holds a control character", strcpy(p.addresses[0].host, "a\n"));
	NODE_CASE("addresses: host is no host in normal form", memset(p.addresses[0].host, 'a', 255); p.addresses[0].host[255] = 0);
	NODE_CASE("addresses: port is 0", p.addresses[1].port = 0);
	NODE_CASE("images: images holds what is no NAME@VERSION", strcpy(p.images[1], "mini"));
	NODE_CASE("images: images holds what is no NAME@VERSION", strcpy(p.images[1], "../mini@1"));
}

/* Counts past the ceilings, and a port that no uint16_t holds: what no struct can say. */
static void test_node_ceilings(void)
{
	static const struct id32 no_topic;
	static const struct { uint32_t addresses, images, port; const char *want; } cases[] = {
		{4, 16, 65535, NULL},
		{5, 0, 1, "node: addresses has too many elements"},
		{0, 17, 1, "node: images has too many elements"},
		{1, 0, 65536, "addresses: port is too large"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(buf_release) struct buf b;
		buf_init(&b, RECORD_LEN_MAX);
		mp_put_array(&b, 4);
		mp_put_array(&b, cases[i].addresses);
		for (uint32_t j = 0; j < cases[i].addresses; j++) {
			mp_put_array(&b, 2);
			mp_put_str(&b, "192.0.2.1");
			mp_put_uint(&b, cases[i].port);
		}
		mp_put_str(&b, "x86_64");
		mp_put_array(&b, cases[i].images);
		for (uint32_t j = 0; j < cases[i].images; j++)
			mp_put_str(&b, "mini@1");
		mp_put_str(&b, "");
		expect(RECORD_NODE, &no_topic, NULL, 0, NULL, &b, cases[i].want, __FILE__, __LINE__, "ceilings");
	}
}

/* ---- evolution: PROTOCOL 9 ---- */

/* Writes a value again; at depth 0 of an array that stands for a structure `extra` elements are put behind. grow: the index, in
 * the body, of the nested structure that grows instead of the body itself; -1 the body. */
static void put_value(struct buf *b, const msgpack_object *o, int grow, int extra, bool is_body)
{
	if (o->type == MSGPACK_OBJECT_NIL)
		mp_put_nil(b);
	else if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
		mp_put_uint(b, o->via.u64);
	else if (o->type == MSGPACK_OBJECT_BIN)
		mp_put_bin(b, o->via.bin.ptr, o->via.bin.size);
	else if (o->type == MSGPACK_OBJECT_STR) {
		char text[RECORD_LEN_MAX] = "";
		memcpy(text, o->via.str.ptr, o->via.str.size);
		mp_put_str(b, text);
	} else {
		const uint32_t len = o->via.array.size;
		const bool grows = is_body ? grow < 0 : grow == 0;
		const uint32_t written = grows && extra < 0 ? len - 1 : len;
		mp_put_array(b, written + (grows && extra > 0 ? (uint32_t)extra : 0));
		for (uint32_t i = 0; i < written; i++)
			put_value(b, &o->via.array.ptr[i], is_body && (int)i == grow ? 0 : 1, extra, false);
		for (int i = 0; grows && i < extra; i++) {
			if (i == 1) {
				mp_put_array(b, 1);
				mp_put_str(b, "of a later version");
			} else {
				mp_put_bool(b, true);
			}
		}
	}
}

/* The sample's body with `extra` elements more (or the last one less) in one place, in the sample's own envelope. */
static int decode_grown(const struct record *sample, int grow, int extra, struct err *err)
{
	static const struct mp_limits limits = {RECORD_RESULT_LEN_MAX, RECORD_DEPTH_MAX, RECORD_ITEMS_MAX};
	const struct record_fields *f = record_get(sample);
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, RECORD_LEN_MAX);
	if (mp_doc_open(f->body, f->body_len, &limits, &doc, NULL))
		abort();
	put_value(&b, &doc.root, grow, extra, true);
	CLEANUP(record_unrefp) struct record *r =
		sample_record(f->kind, &key1, &f->topic, f->key, f->key_len, f->depends_len ? &f->depends[0] : NULL, &b);
	return decode(r, err);
}

/* A job with every element that there is today. */
static struct record *whole_job(void)
{
	CLEANUP(buf_release) struct buf body;
	struct job_body p;
	buf_init(&body, RECORD_LEN_MAX);
	sample_job(&p);
	strcpy(p.cell, "CC=gcc");
	p.cells = 2;
	job_body_encode(&p, &body);
	struct record *r = sample_record(RECORD_JOB, &key1, NULL, NULL, 0, NULL, &body);
	INTEQ(job_body_decode(r, &p, NULL), 0);
	OK(p.cells == 2 && !strcmp(p.cell, "CC=gcc"), "job: its cell, and how many there are");
	return r;
}

static void test_evolution(void)
{
	CLEANUP(record_unrefp) struct record *job = whole_job();
	CLEANUP(record_unrefp) struct record *least_job = sample_job_record(); /* its last element is optional */
	CLEANUP(record_unrefp) struct record *project = sample_project_record();
	CLEANUP(record_unrefp) struct record *claim = sample_claim_record(&key1, job);
	CLEANUP(record_unrefp) struct record *cancel = sample_cancel_record(&key1, job);
	CLEANUP(record_unrefp) struct record *result = sample_error_record(&key1, job, OUTCOME_ERROR);
	CLEANUP(record_unrefp) struct record *node = sample_node_record(&key1);
	/* the body, and the index of each structure within it */
	const struct { const struct record *r; int places[4]; int len; } cases[] = {
		{job, {-1, 5, 6, 11}, 4}, {project, {-1}, 1}, {claim, {-1}, 1}, {cancel, {-1}, 1}, {result, {-1, 3}, 2}, {node, {-1}, 1},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (int j = 0; j < cases[i].len; j++) {
			const char *kind = record_kind_name(record_get(cases[i].r)->kind);
			const int place = cases[i].places[j];
			struct err err = {0};
			OK(!decode_grown(cases[i].r, place, 0, &err), "%s[%d] as it is %s", kind, place, err.what);
			OK(!decode_grown(cases[i].r, place, 1, &err), "%s[%d] with an element more %s", kind, place, err.what);
			OK(!decode_grown(cases[i].r, place, 3, &err), "%s[%d] with three more %s", kind, place, err.what);
			OK(!decode_grown(cases[i].r, place, 100, &err), "%s[%d] with a hundred more %s", kind, place, err.what);
			OK(decode_grown(cases[i].r == job ? least_job : cases[i].r, place, -1, &err) == ERR_INVALID, "%s[%d] with one less: %s", kind, place, err.what);
		}
	}
}

int main(void)
{
	sample_key_init(&key1, 1);
	sample_key_init(&key2, 2);
	CLEANUP(record_unrefp) struct record *job = sample_job_record();
	job_id = *record_id(job);
	test_project();
	test_job();
	test_claim_and_cancel();
	test_result();
	test_job_refused();
	test_project_refused();
	test_claim_refused();
	test_result_refused();
	test_node();
	test_node_refused();
	test_node_ceilings();
	test_evolution();
	return tap_done();
}
