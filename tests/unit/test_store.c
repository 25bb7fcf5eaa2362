/* One suite for both stores: every test runs on SQLite and on the twin in memory. */
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "node/store/store.h"
#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "tests/unit/store_util.h"
#include "tests/unit/tap.h"

struct ids {
	struct id32 ids[256];
	size_t len;
};

static bool add_id(void *user, struct record *r)
{
	struct ids *list = user;
	list->ids[list->len++] = *record_id(r);
	return list->len < ARRAY_LEN(list->ids);
}

/* The records that fit, as positions in `all`: "0 3 4". */
static const char *found(struct store *s, const struct store_filter *f, struct record *const *all, size_t len)
{
	static char text[1024];
	struct ids list = {.len = 0};
	struct err err = {0};
	if (store_each_now(s, f, add_id, &list, &err)) {
		snprintf(text, sizeof text, "error: %s", err.what);
		return text;
	}
	size_t used = 0;
	text[0] = 0;
	for (size_t i = 0; i < list.len; i++)
		for (size_t k = 0; k < len; k++)
			if (id32_eq(&list.ids[i], record_id(all[k])))
				used += (size_t)snprintf(text + used, sizeof text - used, "%s%zu", used ? " " : "", k);
	return text;
}

#define COMMIT_A "aaaaaaa0123456789012345678901234567890ab"
#define COMMIT_B "aaaaaaa1123456789012345678901234567890ab"

static void test_filters(const char *path)
{
	struct store *s = open_store(path, 0);
	const struct id32 p1 = test_id(1), p2 = test_id(2), j1 = test_id(11), j2 = test_id(12);
	struct record *r[] = {
		make_record(1, RECORD_PROJECT, "k1", 1, 1000, 10), make_record(2, RECORD_JOB, NULL, 1, 2000, 10),
		make_record(2, RECORD_JOB, NULL, 2, 3000, 10),	   make_record(3, RECORD_RESULT, NULL, 1, 4000, 10),
		make_record(4, RECORD_RESULT, "", 1, 4000, 10),	   make_record(3, RECORD_CLAIM, "c", 1, 5000, 10),
	};
	struct store_batch *b = store_batch_new();
	store_put_record(b, r[0], &p1, NULL, NULL);
	store_put_record(b, r[1], &p1, COMMIT_A, &j1);
	store_put_record(b, r[2], &p2, COMMIT_B, &j2);
	store_put_record(b, r[3], &p1, COMMIT_A, &j1);
	store_put_record(b, r[4], &p1, "AAAAAAA0123456789012345678901234567890AB", &j1);
	store_put_record(b, r[5], &p1, NULL, &j1);
	OK(submit_ok(s, b), "six records");
	const bool swapped = memcmp(record_id(r[3])->b, record_id(r[4])->b, 32) > 0;
	const char *tie = swapped ? "4 3" : "3 4";
	char all[32], back[32], results[32];
	snprintf(all, sizeof all, "0 1 2 %s 5", tie);
	snprintf(back, sizeof back, "5 %s 2 1 0", swapped ? "3 4" : "4 3");
	snprintf(results, sizeof results, "1 %s 5", tie);
	const struct node_id a2 = author_id(2), a3 = author_id(3);
	char hex[65], other[8];
	hex_encode(hex, record_id(r[2])->b, 32);
	snprintf(other, sizeof other, "%.7s", hex);
	const struct {
		struct store_filter f;
		const char *want;
	} cases[] = {
		{{0}, all}, {{.newest_first = true}, back}, {{.limit = 2}, "0 1"}, {{.newest_first = true, .limit = 1}, "5"},
		{{.kind = RECORD_JOB}, "1 2"}, {{.kind = RECORD_JOB, .newest_first = true}, "2 1"}, {{.kind = 99}, ""},
		{{.project = &p2}, "2"}, {{.project = &p1, .kind = RECORD_RESULT}, tie}, {{.project = &j1}, ""},
		{{.job = &j1}, results}, {{.job = &j1, .kind = RECORD_CLAIM}, "5"}, {{.job = &j1, .author = &a3}, "3 5"},
		{{.id = record_id(r[1])}, "1"}, {{.id = record_id(r[1]), .kind = RECORD_RESULT}, ""}, {{.id = &p1}, ""},
		{{.author = &a2}, "1 2"}, {{.author = &a2, .project = &p1}, "1"}, {{.id_prefix = hex}, "2"}, {{.id_prefix = other}, "2"},
		{{.commit = COMMIT_B}, "2"}, {{.commit = "aaaaaaa"}, swapped ? "1 2 4 3" : "1 2 3 4"},
		{{.commit = "AAAAAAA1"}, "2"}, {{.commit = "aaaaaab"}, ""}, {{.commit = "aaaaaaa", .kind = RECORD_JOB}, "1 2"},
		{{.key = (const uint8_t *)"k1", .key_len = 2}, "0"}, {{.key = (const uint8_t *)"k", .key_len = 1}, ""},
		{{.key = (const uint8_t *)"", .key_len = 0, .kind = RECORD_RESULT}, tie},
		{{.kind = RECORD_CLAIM, .author = &a3, .key = (const uint8_t *)"c", .key_len = 1}, "5"},
		{{.kind = RECORD_CLAIM, .author = &a2, .key = (const uint8_t *)"c", .key_len = 1}, ""},
		{{.live_at_ms = record_get(r[5])->expires_ms - 1, .kind = RECORD_CLAIM}, "5"},
		{{.live_at_ms = record_get(r[5])->expires_ms, .kind = RECORD_CLAIM}, ""},
		{{.live_at_ms = UINT64_MAX}, ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *got = found(s, &cases[i].f, r, ARRAY_LEN(r));
		OK(!strcmp(got, cases[i].want), "filter %zu: [%s] is [%s]", i, got, cases[i].want);
	}
	static const struct store_filter wrong[] = {{.commit = "aaaaaa"}, {.commit = "aaaaaax"}, {.commit = ""}, {.id_prefix = ""},
						    {.id_prefix = "0g"}, {.key = (const uint8_t *)"", .key_len = 65}};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct err err = {0};
		int count = 0;
		OK(store_each_now(s, &wrong[i], add_id, &count, &err) == ERR_USAGE, "wrong filter %zu: %s", i, err.what);
	}
	for (size_t i = 0; i < ARRAY_LEN(r); i++)
		record_unref(r[i]);
	store_close(s);
}

struct seen_record {
	struct record *r;
	bool same;
};

static bool compare_record(void *user, struct record *r)
{
	struct seen_record *want = user;
	size_t a, b;
	const uint8_t *x = record_bytes(r, &a), *y = record_bytes(want->r, &b);
	want->same = a == b && !memcmp(x, y, a) && !memcmp(record_signature(r), record_signature(want->r), 64);
	return true;
}

static void put_one(struct store *s, struct record *r)
{
	struct store_batch *b = store_batch_new();
	store_put_record(b, r, NULL, NULL, NULL);
	OK(submit_ok(s, b), "one record");
}

static void test_replacing(const char *path)
{
	struct store *s = open_store(path, 0);
	struct record *r[] = {
		make_record(1, RECORD_PROJECT, "k", 5, 1000, 10), make_record(1, RECORD_PROJECT, "k", 4, 2000, 10),
		make_record(1, RECORD_PROJECT, "k", 6, 1000, 10), make_record(1, RECORD_PROJECT, "l", 1, 1000, 10),
		make_record(2, RECORD_PROJECT, "k", 1, 1000, 10), make_record(1, RECORD_CLAIM, "k", 1, 1000, 10),
		make_record(1, RECORD_JOB, "k", 1, 1000, 10),	  make_record(1, RECORD_JOB, "k", 2, 1000, 10),
	};
	const struct node_id a1 = author_id(1);
	const struct store_filter slot = {.kind = RECORD_PROJECT, .author = &a1, .key = (const uint8_t *)"k", .key_len = 1}, all = {0};
	put_one(s, r[0]);
	put_one(s, r[0]);
	STREQ(found(s, &all, r, ARRAY_LEN(r)), "0");
	put_one(s, r[1]);
	STREQ(found(s, &slot, r, ARRAY_LEN(r)), "0");
	put_one(s, r[2]);
	STREQ(found(s, &slot, r, ARRAY_LEN(r)), "2");
	put_one(s, r[0]);
	STREQ(found(s, &slot, r, ARRAY_LEN(r)), "2");
	for (size_t i = 3; i < ARRAY_LEN(r); i++)
		put_one(s, r[i]);
	INTEQ(count_records(s, &all), 6);
	struct seen_record seen = {.r = r[2]};
	struct err err = {0};
	OK(store_each_now(s, &slot, compare_record, &seen, &err) == 0 && seen.same, "bytes and signature come back as they were");

	/* equal sequences: the greater id stands, whatever the order of arrival */
	struct record *x = make_record(7, RECORD_NODE, NULL, 1, 1000, 10), *y = make_record(7, RECORD_NODE, NULL, 1, 1000, 11);
	struct record *low = memcmp(record_id(x)->b, record_id(y)->b, 32) < 0 ? x : y, *high = low == x ? y : x;
	const struct store_filter nodes = {.kind = RECORD_NODE};
	put_one(s, high);
	put_one(s, low);
	STREQ(found(s, &nodes, &high, 1), "0");
	struct store_batch *b = store_batch_new();
	store_delete_record(b, record_id(high));
	store_put_record(b, low, NULL, NULL, NULL);
	store_put_record(b, high, NULL, NULL, NULL);
	store_delete_record(b, record_id(r[3]));
	store_delete_record(b, record_id(r[3]));
	OK(submit_ok(s, b), "all in one batch");
	STREQ(found(s, &nodes, &high, 1), "0");
	INTEQ(count_records(s, &all), 6);
	OK(store_check_now(s, &err) == 0, "the store is whole %s", err.what);
	for (size_t i = 0; i < ARRAY_LEN(r); i++)
		record_unref(r[i]);
	record_unref(x);
	record_unref(y);
	store_close(s);
}

static bool join_kv(void *user, const char *key, const uint8_t *bytes, size_t len)
{
	char *out = user;
	const size_t used = strlen(out);
	snprintf(out + used, 256 - used, "%s=%.*s;", key, (int)len, (const char *)bytes);
	return true;
}

static const char *space_text(struct store *s, const char *space)
{
	static char text[256];
	struct err err;
	text[0] = 0;
	return store_each_kv_now(s, space, join_kv, text, &err) ? "error" : text;
}

static void test_kv(const char *path)
{
	struct store *s = open_store(path, 0);
	struct store_batch *b = store_batch_new();
	store_put_kv(b, "trust", "b", "2", 1);
	store_put_kv(b, "trust", "a", "1", 1);
	store_put_kv(b, "trust", "c", "", 0);
	store_put_kv(b, "trus", "z", "no", 2);
	store_put_kv(b, "trustx", "y", "no", 2);
	OK(submit_ok(s, b), "five values");
	STREQ(space_text(s, "trust"), "a=1;b=2;c=;");
	OK(put_kv_ok(s, "trust", "a", "one"), "one changed");
	OK(put_kv_ok(s, "trust", "b", NULL) && put_kv_ok(s, "trust", "none", NULL), "one deleted");
	STREQ(space_text(s, "trust"), "a=one;c=;");
	STREQ(kv_text(s, "trust", "a"), "one");
	CLEANUP(buf_release) struct buf value;
	buf_init(&value, 2);
	struct err err = {0};
	INTEQ(store_get_kv_now(s, "trust", "b", &value, &err), ERR_NOT_FOUND);
	INTEQ(store_get_kv_now(s, "trust", "a", &value, &err), ERR_LIMIT);
	buf_reset(&value);
	INTEQ(store_get_kv_now(s, "trust", "c", &value, &err), 0);
	INTEQ(value.len, 0);
	b = store_batch_new();
	store_put_kv(b, "trust", "q", "gone", 4);
	store_delete_kv_space(b, "trust");
	store_put_kv(b, "trust", "new", "1", 1);
	OK(submit_ok(s, b), "a space emptied and filled");
	STREQ(space_text(s, "trust"), "new=1;");
	STREQ(space_text(s, "trus"), "z=no;");
	STREQ(space_text(s, "trustx"), "y=no;");
	static uint8_t large[(4u << 20) + 1];
	b = store_batch_new();
	store_put_kv(b, "large", "x", large, sizeof large);
	OK(store_submit_now(s, b, &err) == ERR_LIMIT, "a value too large: %s", err.what);
	store_close(s);
}

struct events {
	uint64_t first, last;
	size_t len;
	bool rises;
	char text[128];
};

static bool see_event(void *user, uint64_t id, const json_t *object)
{
	struct events *e = user;
	e->rises = e->len ? e->rises && id == e->last + 1 : true;
	e->first = e->len++ ? e->first : id;
	e->last = id;
	json_t *lent = (json_t *)(uintptr_t)object;
	char *text = json_dumps(lent, JSON_COMPACT | JSON_SORT_KEYS);
	snprintf(e->text, sizeof e->text, "%s", text ? text : "");
	free(text);
	return true;
}

static void put_event(struct store_batch *b, int n)
{
	json_t *object = json_pack("{s:i, s:s}", "n", n, "type", "not this");
	store_put_event(b, "job-end", 1700000000123, object);
	json_decref(object);
}

static void test_events(const char *path)
{
	struct store *s = open_store(path, 0);
	struct events e = {0};
	uint64_t oldest = 9, newest = 9;
	struct err err = {0};
	OK(store_each_event_now(s, 0, 10, see_event, &e, &oldest, &newest, &err) == 0 && !e.len && !oldest && !newest, "none yet");
	struct store_batch *b = store_batch_new();
	for (int i = 0; i < 5; i++)
		put_event(b, i);
	store_put_event(b, "pause", 0, NULL);
	OK(submit_ok(s, b), "six events");
	e = (struct events){0};
	OK(store_each_event_now(s, 0, 100, see_event, &e, &oldest, &newest, &err) == 0 && e.first == 1 && e.last == 6 && e.len == 6 &&
		   e.rises && oldest == 1 && newest == 6, "ids 1 to 6");
	e = (struct events){0};
	OK(store_each_event_now(s, 3, 2, see_event, &e, NULL, NULL, &err) == 0 && e.first == 4 && e.last == 5, "since 3, two of them");
	STREQ(e.text, "{\"at\":\"2023-11-14T22:13:20.123Z\",\"id\":5,\"n\":4,\"type\":\"job-end\"}");
	e = (struct events){0};
	OK(store_each_event_now(s, UINT64_MAX, 2, see_event, &e, NULL, &newest, &err) == 0 && !e.len && newest == 6, "since for ever");
	store_close(s);
}

static void test_events_dropped(const char *path)
{
	struct store *s = open_store(path, 0);
	for (int round = 0; round < 101; round++) {
		struct store_batch *b = store_batch_new();
		for (int i = 0; i < (round < 100 ? 1000 : 10); i++)
			store_put_event(b, "step", 1, NULL);
		if (!submit_ok(s, b))
			OK(false, "round %d", round);
	}
	struct events e = {0};
	uint64_t oldest, newest;
	struct err err = {0};
	OK(store_each_event_now(s, 5, 3, see_event, &e, &oldest, &newest, &err) == 0 && oldest == 11 && newest == 100010 &&
		   e.first == 11 && e.len == 3, "100,000 are kept: %llu to %llu", (unsigned long long)oldest, (unsigned long long)newest);
	OK(store_check_now(s, &err) == 0, "without a gap %s", err.what);
	store_close(s);
}

struct calls {
	int order[16];
	size_t len;
	int code;
	struct store *again; /* submits once more from within */
};

static struct calls calls;

static void on_durable(void *user, int code, const struct err *err)
{
	calls.order[calls.len++] = (int)(intptr_t)user;
	calls.code = code;
	if ((code != 0) != (err != NULL))
		calls.code = ERR_BUG;
	if (calls.again) {
		struct store *s = calls.again;
		calls.again = NULL;
		struct store_batch *b = store_batch_new();
		store_put_kv(b, "again", "k", "1", 1);
		struct err why = {0};
		OK(store_submit(s, b, on_durable, (void *)(intptr_t)99, &why) == 0, "submitted from a completion");
	}
}

static void test_completions(const char *path)
{
	struct store *s = open_store(path, 0);
	calls = (struct calls){.again = s};
	struct err err = {0};
	for (int i = 1; i <= 5; i++) {
		struct store_batch *b = store_batch_new();
		char key[8];
		snprintf(key, sizeof key, "%d", i);
		store_put_kv(b, "n", key, key, 1);
		OK(store_submit(s, b, on_durable, (void *)(intptr_t)i, &err) == 0, "submitted");
	}
	struct store_batch *quiet = store_batch_new();
	store_put_kv(quiet, "n", "6", "6", 1);
	OK(store_submit(s, quiet, NULL, NULL, &err) == 0, "without a completion");
	OK(store_submit(s, NULL, NULL, NULL, &err) == ERR_NOMEM, "no batch");
	OK(calls.len == 0, "nothing is called before store_poll()");
	OK(put_kv_ok(s, "n", "7", "7") && calls.len == 0, "nor by store_submit_now()");
	STREQ(space_text(s, "n"), "1=1;2=2;3=3;4=4;5=5;6=6;7=7;");
	store_flush(s);
	OK(calls.len == 6 && calls.order[0] == 1 && calls.order[4] == 5 && calls.order[5] == 99 && !calls.code,
	   "completions in order of submission, and the one from within");
	OK(store_poll(s) == 0, "and no more");
	struct store_batch *last = store_batch_new();
	store_put_kv(last, "n", "8", "8", 1);
	calls = (struct calls){0};
	OK(store_submit(s, last, on_durable, (void *)(intptr_t)8, &err) == 0, "submitted");
	store_close(s);
	OK(calls.len == 1 && calls.order[0] == 8 && !calls.code, "closing commits and completes");
	store_batch_free(NULL);
}

struct rows {
	size_t len, calls;
	int code;
	bool first_is_newest;
};

static void on_rows(void *user, struct record *const *list, size_t len, const struct err *err)
{
	struct rows *r = user;
	r->calls++;
	r->len = len;
	r->code = err ? err->code : 0;
	r->first_is_newest = len > 1 && record_get(list[0])->created_ms > record_get(list[1])->created_ms;
}

static void test_queries(const char *path)
{
	struct store *s = open_store(path, 0);
	struct store_batch *b = store_batch_new();
	for (unsigned i = 0; i < 40; i++) {
		struct record *r = make_record(i % 3, RECORD_JOB, NULL, i, 1000 + i, 10);
		store_put_record(b, r, NULL, NULL, NULL);
		record_unref(r);
	}
	OK(submit_ok(s, b), "forty jobs");
	struct rows all = {0}, few = {0};
	struct err err = {0};
	const struct store_filter any = {.kind = RECORD_JOB}, five = {.newest_first = true, .limit = 5}, wrong = {.commit = "x"};
	OK(store_query(s, &any, on_rows, &all, &err) == 0 && store_query(s, &five, on_rows, &few, &err) == 0, "two queries");
	OK(store_query(s, &wrong, on_rows, &all, &err) == ERR_USAGE, "a wrong one is refused at once");
	store_close(s);
	OK(all.calls == 1 && all.len == 40 && !all.code && !all.first_is_newest, "all, oldest first");
	OK(few.calls == 1 && few.len == 5 && few.first_is_newest, "five, newest first");
}

struct reading {
	int code;
	unsigned records, kvs, events, done;
	bool was_elsewhere;
	pthread_t caller;
};

static bool count_record(void *user, struct record *r)
{
	(void)r;
	((struct reading *)user)->records++;
	return true;
}

static bool count_kv(void *user, const char *key, const uint8_t *bytes, size_t len)
{
	(void)key;
	(void)bytes;
	((struct reading *)user)->kvs += len == 1;
	return true;
}

static bool count_event(void *user, uint64_t id, const json_t *object)
{
	((struct reading *)user)->events += id == 1 && json_is_object(object);
	return true;
}

static void read_all(struct store *view, void *user)
{
	struct reading *r = user;
	const struct store_filter jobs = {.kind = RECORD_JOB};
	struct buf value;
	buf_init(&value, 100);
	r->was_elsewhere = !pthread_equal(pthread_self(), r->caller);
	r->code = store_each_now(view, &jobs, count_record, r, NULL);
	if (!r->code)
		r->code = store_each_kv_now(view, "space", count_kv, r, NULL);
	if (!r->code)
		r->code = store_get_kv_now(view, "space", "key", &value, NULL);
	if (!r->code)
		r->code = store_each_event_now(view, 0, 10, count_event, r, NULL, NULL, NULL);
	buf_release(&value);
}

static void on_read(void *user)
{
	((struct reading *)user)->done++;
}

/* A reader sees what is durable, from a thread of its own where there is a disk, and is told of exactly once. */
static void test_readings(const char *path)
{
	struct store *s = open_store(path, 0);
	struct store_batch *b = store_batch_new();
	struct record *r = make_record(1, RECORD_JOB, NULL, 1, 1000, 10);
	json_t *event = json_object();
	store_put_record(b, r, NULL, NULL, NULL);
	store_put_kv(b, "space", "key", "v", 1);
	store_put_event(b, "test", 1000, event);
	json_decref(event);
	record_unref(r);
	OK(submit_ok(s, b), "a record, a value, an event");
	struct reading list[20];
	unsigned failed = 0, done = 0, right = 0;
	for (size_t i = 0; i < 20; i++) {
		list[i] = (struct reading){.caller = pthread_self()};
		failed += store_read(s, read_all, on_read, &list[i], NULL) != 0;
	}
	OK(!failed, "twenty readings");
	store_close(s);
	for (size_t i = 0; i < 20; i++) {
		done += list[i].done == 1;
		right += !list[i].code && list[i].records == 1 && list[i].kvs == 1 && list[i].events == 1 && list[i].was_elsewhere == (path != NULL);
	}
	OK(done == 20 && right == 20, "each is done once (%u) and saw all (%u)", done, right);
}

static void test_back_pressure(const char *path)
{
	struct store *s = open_store(path, 0);
	struct err err = {0};
	struct store_batch *b = store_batch_new();
	for (unsigned i = 0; i < 65537; i++)
		store_delete_kv_space(b, "x");
	OK(store_submit(s, b, on_durable, NULL, &err) == ERR_LIMIT, "a batch too large: %s", err.what);
	int code = 0;
	unsigned taken = 0;
	calls = (struct calls){0};
	while (!code && taken < 1000) {
		b = store_batch_new();
		for (unsigned i = 0; i < 60000; i++)
			store_put_kv(b, "x", "k", "v", 1);
		code = store_submit(s, b, NULL, NULL, &err);
		taken += !code;
	}
	OK(code == ERR_LIMIT && taken >= 1, "more than 65,536 waiting are refused, after %u: %s", taken, err.what);
	store_flush(s);
	store_close(s);
	static uint8_t large[4u << 20];
	const struct store_options patient = {.path = path, .batch_wait_ms = 600000}; /* nothing is committed before the flush */
	if (!OK(store_open(&patient, &s, &err) == 0, "opened %s", err.what))
		return;
	for (code = 0, taken = 0; !code && taken < 200; taken++) {
		b = store_batch_new();
		store_put_kv(b, "x", "large", large, sizeof large);
		code = store_submit(s, b, NULL, NULL, &err);
	}
	OK(code == ERR_LIMIT && taken == 16, "so are more than 64 MiB, after %u of 4 MiB: %s", taken, err.what);
	store_flush(s);
	OK(put_kv_ok(s, "x", "k", "after"), "room again");
	STREQ(kv_text(s, "x", "k"), "after");
	store_close(s);
}

/* A batch past the cap leaves nothing behind, spoils no other, and the event ids have no hole. */
static void test_cap(const char *path)
{
	struct store *s = open_store(path, 1u << 20);
	static uint8_t large[900000], huge[3u << 20];
	struct err err = {0};
	calls = (struct calls){0};
	struct store_batch *before = store_batch_new(), *much = store_batch_new(), *after = store_batch_new();
	put_event(before, 1);
	store_put_kv(before, "n", "1", large, 100);
	put_event(much, 2);
	struct record *r = make_record(1, RECORD_JOB, NULL, 1, 1, 100);
	store_put_record(much, r, NULL, NULL, NULL);
	record_unref(r);
	store_put_kv(much, "n", "2", huge, sizeof huge);
	put_event(after, 3);
	store_put_kv(after, "n", "3", large, 100);
	OK(store_submit(s, before, on_durable, (void *)(intptr_t)1, &err) == 0, "before");
	OK(store_submit_now(s, much, &err) == ERR_LIMIT && *err.what, "past the cap: %s", err.what);
	OK(store_submit(s, after, on_durable, (void *)(intptr_t)3, &err) == 0, "after");
	store_flush(s);
	OK(calls.len == 2 && !calls.code, "the others are stored");
	const struct store_filter all = {0};
	OK(count_records(s, &all) == 0 && !*kv_text(s, "n", "2"), "nothing of the one that failed");
	struct events e = {0};
	OK(store_each_event_now(s, 0, 10, see_event, &e, NULL, NULL, &err) == 0 && e.len == 2 && e.rises && e.last == 2,
	   "events rise by exactly 1 over it");
	OK(store_check_now(s, &err) == 0, "the store is whole %s", err.what);
	store_close(s);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	static void (*const tests[])(const char *) = {test_filters, test_replacing, test_kv, test_events, test_events_dropped,
						      test_completions, test_queries, test_readings, test_back_pressure, test_cap};
	temp_make();
	for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
		char name[32];
		snprintf(name, sizeof name, "suite-%zu.db", i);
		tests[i](NULL);
		tests[i](temp_path(name));
	}
	temp_remove();
	return tap_done();
}
