/* The store on disk and its twin in memory: a long random run must leave the same in both. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "node/store/store.h"
#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "tests/unit/store_util.h"
#include "tests/unit/tap.h"

/* A number from 0 to below, from a fixed sequence. */
static uint32_t pick(uint32_t below)
{
	static uint64_t state = 42;
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33) % below;
}

static void random_op(struct store_batch *const both[2])
{
	static const uint32_t kinds[] = {RECORD_PROJECT, RECORD_JOB, RECORD_CLAIM, RECORD_RESULT, RECORD_NODE};
	const uint32_t what = pick(10);
	char key[8], commit[41];
	snprintf(key, sizeof key, "k%u", pick(6));
	snprintf(commit, sizeof commit, "abcdef%u012345678901234567890123456789012", pick(4));
	struct record *r = make_record(pick(4), kinds[pick(ARRAY_LEN(kinds))], key, pick(5), pick(50), pick(3));
	const struct id32 project = test_id(pick(3)), job = test_id(10 + pick(3));
	const bool has_job = pick(2), has_commit = pick(2);
	json_t *object = json_pack("{s:i}", "x", (int)what);
	for (unsigned i = 0; i < 2; i++) {
		if (what < 5)
			store_put_record(both[i], r, &project, has_commit ? commit : NULL, has_job ? &job : NULL);
		else if (what < 7)
			store_put_kv(both[i], project.b[0] & 1 ? "s" : "t", key, what == 5 ? commit : NULL, 7);
		else if (what == 7)
			store_delete_record(both[i], record_id(r));
		else if (what == 8)
			store_put_event(both[i], key, what, object);
		else if (!has_job && !has_commit)
			store_delete_kv_space(both[i], "s");
	}
	json_decref(object);
	record_unref(r);
}

static void dump_id(struct buf *b, const struct id32 *id)
{
	char hex[65];
	buf_printf(b, "%.16s ", hex_encode(hex, id->b, 32));
}

static bool dump_record(void *user, struct record *r)
{
	dump_id(user, record_id(r));
	return true;
}

static bool dump_kv(void *user, const char *key, const uint8_t *bytes, size_t len)
{
	buf_printf(user, "%s=", key);
	buf_append(user, bytes, len);
	return true;
}

static bool dump_event(void *user, uint64_t id, const json_t *object)
{
	buf_printf(user, "%llu %s ", (unsigned long long)id, json_string_value(json_object_get(object, "type")));
	return true;
}

/* All that can be asked of it, as text. */
static void dump(struct store *s, struct buf *b)
{
	struct err err = {0};
	int code = 0;
	for (unsigned i = 0; i < 3; i++) {
		const struct id32 project = test_id(i), job = test_id(10 + i);
		const struct node_id author = author_id(i);
		char commit[16];
		snprintf(commit, sizeof commit, "abcdef%u", i);
		const struct store_filter filters[] = {
			{0}, {.kind = i + 1}, {.project = &project}, {.project = &project, .kind = RECORD_JOB, .newest_first = true},
			{.job = &job}, {.job = &job, .kind = RECORD_CLAIM}, {.author = &author, .limit = 7}, {.commit = commit},
			{.commit = commit, .project = &project, .author = &author},
			{.author = &author, .kind = RECORD_CLAIM, .key = (const uint8_t *)"k1", .key_len = 2},
		};
		for (size_t k = 0; k < ARRAY_LEN(filters); k++) {
			buf_printf(b, "\n%zu: ", k);
			code |= store_each_now(s, &filters[k], dump_record, b, &err);
		}
	}
	code |= store_each_kv_now(s, "s", dump_kv, b, &err);
	code |= store_each_kv_now(s, "t", dump_kv, b, &err);
	code |= store_each_event_now(s, 0, 1000, dump_event, b, NULL, NULL, &err);
	code |= store_check_now(s, &err);
	if (code)
		buf_printf(b, "error: %s", err.what);
}

static void test_twins(const char *path)
{
	struct store *both[2] = {open_store(path, 0), open_store(NULL, 0)};
	CLEANUP(buf_release) struct buf a, b;
	buf_init(&a, 4u << 20);
	buf_init(&b, 4u << 20);
	bool same = true;
	for (unsigned step = 0; step < 600 && same; step++) {
		struct store_batch *batches[2] = {store_batch_new(), store_batch_new()};
		for (uint32_t ops = 1 + pick(4); ops; ops--)
			random_op(batches);
		same = submit_ok(both[0], batches[0]) && submit_ok(both[1], batches[1]);
		if (step % 50 != 49)
			continue;
		buf_reset(&a);
		buf_reset(&b);
		dump(both[0], &a);
		dump(both[1], &b);
		same = same && !buf_failed(&a) && a.len == b.len && !strcmp(buf_cstr(&a), buf_cstr(&b)) && !strstr(buf_cstr(&a), "error");
		if (!same)
			printf("# step %u\n# disk:\n%s\n# memory:\n%s\n", step, buf_cstr(&a), buf_cstr(&b));
	}
	OK(same && a.len > 3000, "600 random batches leave the same in both (%zu bytes of answers)", a.len);
	store_close(both[0]);
	store_close(both[1]);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	temp_make();
	test_twins(temp_path("twins.db"));
	temp_remove();
	return tap_done();
}
