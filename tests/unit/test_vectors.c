/* proto/vectors as committed: our writers give exactly these bytes, our readers take what they should and refuse the rest. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/buf.h"
#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/io.h"
#include "proto/dsse.h"
#include "tests/unit/samples.h"
#include "tests/unit/tap.h"
#include "tests/unit/vectors.h"

static json_t *load(const char *name)
{
	char path[1100];
	snprintf(path, sizeof path, "proto/vectors/%s", name);
	json_t *j = json_load_file(tap_source_file(path), JSON_REJECT_DUPLICATES, NULL);
	OK(j, "%s reads", name);
	return j;
}

static void test_same_text(const struct vector_file *f)
{
	char path[1100];
	CLEANUP(cleanup_free) char *ours = vector_text(f);
	CLEANUP(buf_release) struct buf committed;
	buf_init(&committed, 1 << 22);
	snprintf(path, sizeof path, "proto/vectors/%s", f->name);
	struct err err = {0};
	OK(!io_read_file(tap_source_file(path), &committed, &err) && !strcmp(buf_cstr(&committed), ours), "%s is what this code makes %s", f->name, err.what);
}

static size_t unhex(const json_t *object, const char *key, uint8_t *out, size_t size)
{
	const char *hex = json_string_value(json_object_get(object, key));
	const size_t len = hex ? strlen(hex) / 2 : 0;
	return len <= size && hex && hex_decode(out, len, hex) ? len : 0;
}

static enum record_reject open_json(const json_t *one, struct record **ret)
{
	uint8_t bytes[2 * RECORD_RESULT_LEN_MAX], signature[64];
	enum record_reject why = RECORD_OK;
	const size_t len = unhex(one, "bytes", bytes, sizeof bytes);
	unhex(one, "signature", signature, 64);
	return record_open(bytes, len, signature, json_string_value(json_object_get(one, "network")), ret, &why, NULL) ? why : RECORD_OK;
}

static void test_records(void)
{
	json_t *file = load("records.json"), *one;
	size_t i;
	json_array_foreach(json_object_get(file, "records"), i, one) {
		CLEANUP(record_unrefp) struct record *r = NULL;
		uint8_t id[32];
		const char *kind = json_string_value(json_object_get(one, "kind"));
		if (!OK(open_json(one, &r) == RECORD_OK && r && unhex(one, "id", id, 32) == 32, "%s opens", kind))
			continue;
		MEMEQ(record_id(r)->b, id, 32);
		STREQ(record_kind_name(record_get(r)->kind), kind);
		struct result_body body;
		struct statement s;
		bool has_statement;
		if (record_get(r)->kind == RECORD_RESULT && OK(!result_open(r, &body, &s, &has_statement, NULL), "and as a result"))
			statement_release(&s);
	}
	json_array_foreach(json_object_get(file, "refused"), i, one) {
		CLEANUP(record_unrefp) struct record *r = NULL;
		const enum record_reject why = open_json(one, &r);
		OK(!r, "refused: %s", json_string_value(json_object_get(one, "what")));
		STREQ(record_reject_name(why), json_string_value(json_object_get(one, "why")));
	}
	json_decref(file);
}

static void test_statements(void)
{
	json_t *file = load("statements.json"), *one;
	size_t i;
	json_array_foreach(json_object_get(file, "statements"), i, one) {
		const char *text = json_string_value(json_object_get(one, "envelope")), *index = json_string_value(json_object_get(one, "index"));
		CLEANUP(buf_release) struct buf payload;
		struct node_id key;
		uint8_t signature[64];
		struct statement s;
		buf_init(&payload, STATEMENT_LEN_MAX);
		INTEQ(dsse_envelope_open(text, strlen(text), &payload, &key, signature, NULL), 0);
		STREQ(buf_cstr(&payload), json_string_value(json_object_get(one, "payload")));
		if (!OK(!statement_read(payload.data, payload.len, &s, NULL) && node_id_eq(&s.node, &key), "statement %zu", i))
			continue;
		OK(s.has_index == (index != NULL), "index");
		if (index)
			OK(!statement_read_index(&s, (const uint8_t *)index, strlen(index), NULL) && s.artifacts_len == 48, "index reads");
		statement_release(&s);
	}
	json_decref(file);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	for (unsigned i = 0; i < vector_files_len; i++)
		test_same_text(&vector_files[i]);
	test_records();
	test_statements();
	return tap_done();
}
