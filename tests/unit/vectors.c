#include "tests/unit/vectors.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/livelog_wire.h"
#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/dsse.h"
#include "proto/ed25519.h"
#include "proto/mp.h"
#include "tests/unit/samples.h"
#include "tests/unit/vectors_impl.h"

void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

json_t *hex_json(const void *bytes, size_t len)
{
	char *text = must(malloc(2 * len + 1));
	json_t *j = must(json_string(hex_encode(text, bytes, len)));
	free(text);
	return j;
}

void add(json_t *array, json_t *element /* takes */)
{
	if (json_array_append_new(array, must(element)))
		abort();
}

static void set(json_t *object, const char *key, json_t *value /* takes */)
{
	if (json_object_set_new(object, key, must(value)))
		abort();
}

/* ---- ids ---- */

static json_t *keys_json(void)
{
	json_t *list = must(json_array());
	for (uint8_t n = 0; n < 5; n++) {
		struct sample_key k;
		char text[NODE_ID_TEXT_MAX];
		sample_key_init(&k, n);
		add(list, json_pack("{s:o, s:o, s:s}", "seed", hex_json(k.secret, 32), "public", hex_json(k.id.b, 32), "node_id",
				    node_id_format(text, &k.id)));
	}
	return list;
}

static json_t *projects_json(void)
{
	json_t *list = must(json_array());
	for (uint8_t n = 1; n < 4; n++) {
		struct sample_key k;
		uint8_t nonce[16];
		struct id32 project, topic;
		sample_key_init(&k, n);
		memset(nonce, 0x11 * n, sizeof nonce);
		project_id_derive(&k.id, nonce, &project);
		topic_derive(&project, &topic);
		add(list, json_pack("{s:o, s:o, s:o, s:o}", "founder", hex_json(k.id.b, 32), "nonce", hex_json(nonce, 16), "project",
				    hex_json(project.b, 32), "topic", hex_json(topic.b, 32)));
	}
	return list;
}

static json_t *link_json(void)
{
	struct project_link link = {.name = "a b&\xc3\xa4", .seeds_len = 2};
	struct sample_key k;
	char text[LINK_TEXT_MAX];
	json_t *seeds = must(json_array());
	sample_key_init(&k, 4);
	sample_project_id(&link.project);
	link.seeds[0] = (struct node_addr){k.id, "example.org", PORT_DEFAULT};
	link.seeds[1] = (struct node_addr){k.id, "2001:db8::1", 9000};
	for (size_t i = 0; i < link.seeds_len; i++) {
		char addr[ADDR_TEXT_MAX];
		add(seeds, json_string(node_addr_format(addr, &link.seeds[i])));
	}
	if (project_link_format(&link, text, sizeof text, NULL))
		abort();
	return json_pack("{s:s, s:o, s:s, s:o}", "text", text, "project", hex_json(link.project.b, 32), "name", link.name, "seeds", seeds);
}

static json_t *make_ids(void)
{
	return json_pack("{s:o, s:o, s:[o]}", "keys", keys_json(), "projects", projects_json(), "links", link_json());
}

/* ---- blob digests ---- */

/* The audit path of one leaf of the blob's first len bytes. */
static json_t *path_json(const uint8_t *blob, size_t len, size_t index)
{
	const size_t count = merkle_leaf_count(len);
	struct merkle_hash *nodes = must(calloc(merkle_tree_len(count), sizeof *nodes)), path[MERKLE_PATH_MAX];
	merkle_leaves(blob, len, nodes);
	merkle_build(nodes, count);
	json_t *list = must(json_array());
	const size_t path_len = merkle_path(nodes, count, index, path);
	for (size_t i = 0; i < path_len; i++)
		add(list, hex_json(path[i].b, sizeof path[i].b));
	free(nodes);
	return json_pack("{s:I, s:I, s:o}", "size", (json_int_t)len, "leaf", (json_int_t)index, "path", list);
}

static json_t *paths_json(const uint8_t *blob)
{
	static const struct { size_t len, index; } cases[] = {{1, 0}, {16385, 0}, {16385, 1}, {49152, 2}, {81920, 3}, {81920, 4}, {180224, 0}, {180224, 9}, {180224, 10}};
	json_t *list = must(json_array());
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		add(list, path_json(blob, cases[i].len, cases[i].index));
	return list;
}

static json_t *make_merkle(void)
{
	static const size_t lens[] = {0, 1, 16383, 16384, 16385, 32768, 32769, 49152, 81920, 114693, 131072, 180224};
	json_t *list = must(json_array());
	uint8_t *blob = must(malloc(180224));
	for (size_t i = 0; i < 180224; i++)
		blob[i] = (uint8_t)(i * 7 + i / MERKLE_LEAF_LEN * 13);
	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		struct blob_digest d;
		digest_bytes(blob, lens[i], &d);
		add(list, json_pack("{s:I, s:o, s:o}", "size", (json_int_t)lens[i], "sha256", hex_json(d.sha256, 32), "root", hex_json(d.root, 32)));
	}
	json_t *paths = paths_json(blob);
	free(blob);
	return json_pack("{s:s, s:o, s:o}", "blob", "byte i is (7 i + 13 floor(i / 16384)) mod 256", "digests", list, "paths", paths);
}

/* ---- msgpack ---- */

static const char *const canonical[] = {
	"c0", "c2", "c3", "00", "7f", "cc80", "ccff", "cd0100", "cdffff", "ce00010000", "ceffffffff", "cf0000000100000000", "cfffffffffffffffff",
	"a0", "a161", "a2c3a4", "d9203031323334353637383930313233343536373839303132333435363738393031", "c400", "c403000102", "90", "91c0",
	"9390c293a161c40100cd0100", "dc001000000000000000000000000000000000", "9191919191919190",
};
static const char *const refused[] = {
	"", "ddffffffff", "dcffff", "c6ffffffff", "dbffffffff", "9f", "92c0", "a2c3", "cd80", "cc7f", "cd00ff", "ce0000ffff", "cf00000000ffffffff",
	"d90161", "da000161", "db0000000161", "c5000100", "c60000000100", "dc0001c0", "dd00000001c0", "c0c0", "9000", "a180", "a2c080", "a3eda080",
	"a4f4908080", "ca00000000", "cb0000000000000000", "d40000", "c70000", "80", "de0000", "ff", "d0ff", "d001", "c1", "919191919191919190",
};

static json_t *make_msgpack(void)
{
	json_t *good = must(json_array()), *bad = must(json_array());
	static const struct mp_limits limits = {RECORD_RESULT_LEN_MAX, RECORD_DEPTH_MAX, RECORD_ITEMS_MAX};
	uint8_t bytes[64];
	for (size_t i = 0; i < ARRAY_LEN(canonical); i++) {
		const size_t len = strlen(canonical[i]) / 2;
		if (!hex_decode(bytes, len, canonical[i]) || mp_scan(bytes, len, &limits, NULL))
			abort();
		add(good, json_string(canonical[i]));
	}
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		const size_t len = strlen(refused[i]) / 2;
		if (!hex_decode(bytes, len, refused[i]) || !mp_scan(bytes, len, &limits, NULL))
			abort();
		add(bad, json_string(refused[i]));
	}
	return json_pack("{s:i, s:o, s:o}", "depth", RECORD_DEPTH_MAX, "canonical", good, "refused", bad);
}

/* ---- records ---- */

/* Bounded by the scan's depth. */
static json_t *value_json(const msgpack_object *o)
{
	if (o->type == MSGPACK_OBJECT_NIL)
		return json_null();
	if (o->type == MSGPACK_OBJECT_BOOLEAN)
		return json_boolean(o->via.boolean);
	if (o->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
		return json_integer((json_int_t)o->via.u64);
	if (o->type == MSGPACK_OBJECT_STR)
		return json_stringn(o->via.str.ptr, o->via.str.size);
	if (o->type == MSGPACK_OBJECT_BIN)
		return json_pack("{s:o}", "bin", hex_json(o->via.bin.ptr, o->via.bin.size));
	json_t *list = must(json_array());
	for (uint32_t i = 0; i < o->via.array.size; i++)
		add(list, value_json(&o->via.array.ptr[i]));
	return list;
}

static json_t *record_value(const uint8_t *bytes, size_t len)
{
	static const struct mp_limits limits = {RECORD_RESULT_LEN_MAX, RECORD_DEPTH_MAX, RECORD_ITEMS_MAX};
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	if (mp_doc_open(bytes, len, &limits, &doc, NULL))
		abort();
	return value_json(&doc.root);
}

static json_t *record_json(struct record *r /* takes */)
{
	size_t len;
	const uint8_t *bytes = record_bytes(r, &len);
	json_t *j = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "kind", record_kind_name(record_get(r)->kind), "network", SAMPLE_NETWORK, "value",
			      record_value(bytes, len), "bytes", hex_json(bytes, len), "signature", hex_json(record_signature(r), 64), "id",
			      hex_json(record_id(r)->b, 32));
	record_unref(r);
	return must(j);
}

/* Bytes, signed as they are, that record_open() refuses for this reason. */
static json_t *refused_json(const char *what, const uint8_t *bytes, size_t len, enum record_reject want)
{
	struct sample_key k;
	CLEANUP(buf_release) struct buf input;
	uint8_t signature[64];
	sample_key_init(&k, 1);
	buf_init(&input, 1 << 16);
	buf_append(&input, "talkoo-record-v1\0\4main", 22);
	buf_append(&input, bytes, len);
	ed25519_sign(input.data, input.len, k.secret, signature);
	struct record *r = NULL;
	enum record_reject why = RECORD_OK;
	if (!record_open(bytes, len, signature, "main", &r, &why, NULL) || why != want)
		abort();
	return json_pack("{s:s, s:s, s:s, s:o, s:o}", "what", what, "why", record_reject_name(why), "network", "main", "bytes", hex_json(bytes, len),
			 "signature", hex_json(signature, 64));
}

static json_t *refused_records(void)
{
	json_t *list = must(json_array());
	CLEANUP(record_unrefp) struct record *job = sample_job_record();
	size_t len;
	const uint8_t *bytes = record_bytes(job, &len);
	uint8_t copy[RECORD_LEN_MAX + 1];
	memcpy(copy, bytes, len);
	copy[len] = 0xc0;
	add(list, refused_json("a byte after the record", copy, len + 1, RECORD_NOT_CANONICAL));
	copy[1] = 2;
	add(list, refused_json("version 2", copy, len, RECORD_BAD_ENVELOPE));
	memcpy(copy, bytes, len);
	copy[2] = 0;
	add(list, refused_json("kind 0", copy, len, RECORD_BAD_ENVELOPE));
	copy[2] = RECORD_RESULT;
	add(list, refused_json("a job's lifetime under kind result", copy, len, RECORD_BAD_LIFETIME));
	memcpy(copy, bytes, len);
	copy[0] = 0x99;
	add(list, refused_json("one element less", copy, record_get(job)->body - bytes, RECORD_BAD_ENVELOPE));
	memcpy(copy, bytes, len);
	copy[5] ^= 1;
	add(list, refused_json("another author than who signed", copy, len, RECORD_BAD_SIGNATURE));
	add(list, refused_json("nothing", copy, 0, RECORD_BAD_SIZE));
	return list;
}

static json_t *make_records(void)
{
	struct sample_key volunteer;
	sample_key_init(&volunteer, 4);
	CLEANUP(record_unrefp) struct record *job = sample_job_record();
	json_t *list = must(json_array());
	add(list, record_json(sample_project_record()));
	add(list, record_json(sample_job_record()));
	add(list, record_json(sample_claim_record(&volunteer, job)));
	add(list, record_json(sample_cancel_record(&volunteer, job)));
	add(list, record_json(sample_error_record(&volunteer, job, OUTCOME_ERROR)));
	add(list, record_json(sample_node_record(&volunteer)));
	struct statement s;
	sample_statement(&s, &volunteer, job, OUTCOME_PASSED);
	add(list, record_json(sample_result_record(&volunteer, job, &s)));
	statement_release(&s);
	return json_pack("{s:o, s:o}", "records", list, "refused", refused_records());
}

/* ---- statements ---- */

/* Takes s. */
static json_t *statement_vector(struct statement *s, const struct sample_key *author)
{
	CLEANUP(buf_release) struct buf text;
	CLEANUP(buf_release) struct buf index;
	CLEANUP(buf_release) struct buf envelope;
	uint8_t signature[64];
	buf_init(&text, STATEMENT_LEN_MAX);
	buf_init(&index, 1 << 20);
	buf_init(&envelope, 1 << 16);
	if (statement_write(s, &text, &index, NULL) || dsse_sign(DSSE_INTOTO_TYPE, text.data, text.len, author->secret, signature, NULL) ||
	    dsse_envelope_write(DSSE_INTOTO_TYPE, text.data, text.len, &author->id, signature, &envelope, NULL))
		abort();
	statement_release(s);
	json_t *one = must(json_pack("{s:s, s:o, s:s}", "payload", buf_cstr(&text), "signature", hex_json(signature, 64), "envelope",
				     buf_cstr(&envelope)));
	if (index.len)
		set(one, "index", json_string(buf_cstr(&index)));
	return one;
}

static json_t *make_statements(void)
{
	struct sample_key volunteer;
	struct statement s;
	sample_key_init(&volunteer, 4);
	CLEANUP(record_unrefp) struct record *job = sample_job_record();
	json_t *list = must(json_array());
	for (uint8_t outcome = OUTCOME_PASSED; outcome <= OUTCOME_TIMEOUT; outcome++) {
		sample_statement(&s, &volunteer, job, outcome);
		add(list, statement_vector(&s, &volunteer));
	}
	sample_statement(&s, &volunteer, job, OUTCOME_TIMEOUT);
	strcpy(s.accel, "kvm");
	add(list, statement_vector(&s, &volunteer));
	sample_statement(&s, &volunteer, job, OUTCOME_PASSED);
	s.artifacts_len = 0;
	free(s.artifacts);
	s.artifacts = must(calloc(48, sizeof *s.artifacts));
	for (; s.artifacts_len < 48; s.artifacts_len++) {
		char content[16];
		const int len = snprintf(content, sizeof content, "%zu\n", s.artifacts_len);
		snprintf(s.artifacts[s.artifacts_len].path, sizeof s.artifacts->path, "out/%zu", s.artifacts_len);
		digest_bytes(content, (size_t)len, &s.artifacts[s.artifacts_len].digest);
	}
	add(list, statement_vector(&s, &volunteer));
	return json_pack("{s:o}", "statements", list);
}

/* ---- URLs ---- */

static json_t *make_urls(void)
{
	static const char *const texts[] = {
		"https://example.org/a/b", "HTTPS://Example.ORG/A/b.git", "https://example.org:443/a", "https://example.org:8443/a",
		"git://example.org:9418/a", "https://example.org//a///b//", "https://[2001:DB8:0::1]:443/a", "https://example.org/%7euser/a",
		"https://example.org/a%20b%c3%a4", "file://localhost/srv/a/", "ssh://example.org/a", "example.org/a", "https://user@example.org/a",
		"https://example.org/a?x=1", "https://example.org/a#x", "https://example.org/../a", "https://example.org/%2e%2E/a", "https://example.org/",
		"https://example.org/a%2fb", "https://example.org:0/a", "file://example.org/a",
	};
	json_t *list = must(json_array());
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		char out[URL_TEXT_MAX];
		json_t *one = must(json_pack("{s:s}", "text", texts[i]));
		set(one, "normal", url_normalise(texts[i], out, NULL) ? json_null() : json_string(out));
		add(list, one);
	}
	return json_pack("{s:o}", "urls", list);
}

/* ---- live log ---- */

static json_t *log_chunk_json(uint64_t offset, const char *text, bool is_end)
{
	struct sample_key k;
	struct id32 job;
	CLEANUP(buf_release) struct buf input;
	CLEANUP(buf_release) struct buf message;
	sample_key_init(&k, 4);
	memset(job.b, 0x2b, sizeof job.b);
	buf_init(&input, 1 << 16);
	buf_init(&message, 1 << 16);
	struct livelog_chunk chunk = {.stream = 6, .offset = offset, .is_end = is_end, .bytes = (const uint8_t *)text, .len = strlen(text)};
	livelog_signed_bytes(SAMPLE_NETWORK, &job, &chunk, &input);
	ed25519_sign(input.data, input.len, k.secret, chunk.signature);
	livelog_chunk_encode(&chunk, &message);
	return json_pack("{s:s, s:o, s:o, s:I, s:b, s:s, s:o, s:o}", "network", SAMPLE_NETWORK, "job", hex_json(job.b, 32), "volunteer", hex_json(k.id.b, 32),
			 "offset", (json_int_t)offset, "end", (int)is_end, "text", text, "signature", hex_json(chunk.signature, 64), "message",
			 hex_json(message.data, message.len));
}

static json_t *make_livelog(void)
{
	return json_pack("{s:[o, o, o]}", "chunks", log_chunk_json(0, "first line\n", false), log_chunk_json(70000, "\xc3\xa4\n", true),
			 log_chunk_json(1099511627776, "", true));
}

const struct vector_file vector_files[] = {
	{"gossip.json", make_gossip}, {"ids.json", make_ids}, {"livelog.json", make_livelog}, {"merkle.json", make_merkle}, {"msgpack.json", make_msgpack}, {"records.json", make_records},
	{"statements.json", make_statements}, {"urls.json", make_urls},
};
const unsigned vector_files_len = ARRAY_LEN(vector_files);

char *vector_text(const struct vector_file *f)
{
	json_t *j = must(f->make());
	char *text = must(json_dumps(j, JSON_INDENT(1) | JSON_ENSURE_ASCII));
	json_decref(j);
	const size_t len = strlen(text);
	text = must(realloc(text, len + 2));
	memcpy(text + len, "\n", 2);
	return text;
}
