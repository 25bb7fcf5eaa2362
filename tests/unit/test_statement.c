#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/statement.h"
#include "tests/unit/tap.h"

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

#define HEX64_UPPER "00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF"

static void fill(struct statement *s, size_t steps, size_t artifacts)
{
	memset(s, 0, sizeof *s);
	uint8_t seed[32] = {1}, secret[64];
	crypto_sign_seed_keypair(s->node.b, secret, seed);
	memset(s->project.b, 2, 32);
	memset(s->job.b, 3, 32);
	strcpy(s->commit, "0123456789012345678901234567890123456789");
	strcpy(s->ref, "refs/heads/main");
	strcpy(s->ref_seen, "refs/heads/main");
	s->outcome = 1;
	s->plan_origin = PLAN_TREE;
	strcpy(s->plan_path, ".talkoo.yml");
	strcpy(s->plan_sha256, HEX64);
	strcpy(s->plan_format, "talkoo");
	strcpy(s->image_name, "mini@1");
	strcpy(s->image_digest, HEX64);
	strcpy(s->arch, "x86_64");
	strcpy(s->accel, "tcg");
	strcpy(s->machine, "q35");
	s->cpus = 2;
	s->started_ms = UINT64_C(1700000000123);
	s->finished_ms = s->started_ms + 1000;
	s->duration_ms = 1000;
	digest_bytes("source", 6, &s->source);
	digest_bytes("log", 3, &s->log);
	s->steps = calloc(steps + 1, sizeof *s->steps);
	s->artifacts = calloc(artifacts + 1, sizeof *s->artifacts);
	for (s->steps_len = 0; s->steps_len < steps; s->steps_len++)
		snprintf(s->steps[s->steps_len].name, sizeof s->steps->name, "step \"%zu\"", s->steps_len);
	for (s->artifacts_len = 0; s->artifacts_len < artifacts; s->artifacts_len++) {
		snprintf(s->artifacts[s->artifacts_len].path, sizeof s->artifacts->path, "a/%zu", s->artifacts_len);
		digest_bytes("a", 1, &s->artifacts[s->artifacts_len].digest);
	}
}

static void test_round_trip(void)
{
	struct statement s, back;
	struct err err = {0};
	CLEANUP(buf_release) struct buf text, index, again;
	buf_init(&text, 1 << 20);
	buf_init(&index, 1 << 20);
	buf_init(&again, 1 << 20);
	fill(&s, 3, 2);
	s.has_deps = true;
	s.deps = s.log;
	OK(!statement_write(&s, &text, &index, &err), "written %s", err.what);
	INTEQ(index.len, 0);
	OK(!statement_read(text.data, text.len, &back, &err), "read %s", err.what);
	OK(!statement_write(&back, &again, &index, &err), "written again");
	STREQ(buf_cstr(&again), buf_cstr(&text));
	STREQ(back.steps[2].name, "step \"2\"");
	OK(back.has_deps && blob_digest_eq(&back.deps, &s.log), "what was fetched");
	statement_release(&back);
	statement_release(&s);
}

static void test_index(void)
{
	struct statement s, back;
	struct err err = {0};
	CLEANUP(buf_release) struct buf text, index;
	buf_init(&text, 1 << 20);
	buf_init(&index, 1 << 22);
	fill(&s, 3, 5000);
	INTEQ(statement_write(&s, &text, &index, &err), 0);
	OK(index.len > 8192 && text.len < 4096, "long lists move to an index (%zu and %zu bytes)", text.len, index.len);
	INTEQ(statement_read(text.data, text.len, &back, &err), 0);
	OK(back.has_index && back.artifacts_len == 0, "named, not yet there");
	index.data[40] ^= 1;
	INTEQ(statement_read_index(&back, index.data, index.len, &err), ERR_INVALID);
	index.data[40] ^= 1;
	INTEQ(statement_read_index(&back, index.data, index.len, &err), 0);
	INTEQ(back.artifacts_len, 5000);
	INTEQ(statement_read_index(&back, index.data, index.len, &err), ERR_INVALID); /* once */
	statement_release(&back);
	statement_release(&s);
}

static int read_json(const json_t *root)
{
	char *text = json_dumps(root, JSON_COMPACT);
	struct statement s;
	const int code = statement_read((const uint8_t *)text, strlen(text), &s, NULL);
	if (!code)
		statement_release(&s);
	free(text);
	return code;
}

/* Every field that is used: without it, and with another type, the statement is refused. */
static void test_each_field(json_t *root, json_t *object, const char *where)
{
	static const char *const unused[] = {"configuration", "passedTests", "warnedTests", "failedTests", "name"};
	json_t *copy = json_copy(object); /* object changes under way */
	const char *key;
	json_t *value;
	json_object_foreach(copy, key, value)
	{
		bool is_unused = false;
		for (size_t i = 0; i < ARRAY_LEN(unused); i++)
			is_unused = is_unused || !strcmp(unused[i], key);
		if (!is_unused) {
			json_object_set_new(object, key, json_null());
			OK(read_json(root) == ERR_INVALID, "%s.%s of the wrong type", where, key);
			json_object_del(object, key);
			OK(read_json(root) == ERR_INVALID, "%s.%s missing", where, key);
			json_object_set(object, key, value);
		}
		if (json_is_object(value))
			test_each_field(root, value, key);
	}
	json_decref(copy);
}

static void test_hostile(void)
{
	struct statement s;
	CLEANUP(buf_release) struct buf text, index;
	buf_init(&text, 1 << 20);
	buf_init(&index, 1 << 20);
	fill(&s, 1, 1);
	INTEQ(statement_write(&s, &text, &index, NULL), 0);
	json_t *root = json_loadb(buf_cstr(&text), text.len, 0, NULL);
	INTEQ(read_json(root), 0);
	test_each_field(root, root, "statement");
	json_t *own = json_object_get(json_object_get(root, "predicate"), "talkoo");
	static const struct {
		const char *key, *value;
	} bad[] = {
		{"outcome", "\"error\""}, {"accel", "\"kvm-but-very-much-too-long\""}, {"node", "\"did:key:z6Mk\""}, {"job", "\"00\""},
		{"started", "\"yesterday\""}, {"durationMs", "-1"}, {"limits", "{\"cpus\":4294967296}"}, {"steps", "[{\"name\":\"x\",\"exitCode\":256,\"durationMs\":0}]"},
		{"artifacts", "[{}]"}, {"plan", "{\"origin\":\"guessed\"}"}, {"ref", "\"a\\u0000b\""}, {"log", "{\"sha256\":\"zz\"}"},
		{"v", "2"}, {"v", "0"}, {"ref", "\"main\""}, {"refSeen", "\"refs/heads/../x\""}, {"arch", "\"X\""}, {"finished", "\"2023-01-01T00:00:00Z\""},
		{"durationMs", "9007199254740992"}, {"durationMs", "1e3"}, {"job", "\"" HEX64_UPPER "\""},
		{"image", "{\"name\":\"../x\",\"digest\":\"" HEX64 "\"}"},
		{"plan", "{\"origin\":\"tree\",\"path\":\"\",\"sha256\":\"" HEX64 "\",\"format\":\"talkoo\"}"},
		{"plan", "{\"origin\":\"tree\",\"path\":\"/etc/passwd\",\"sha256\":\"" HEX64 "\",\"format\":\"talkoo\"}"},
		{"artifacts", "[{\"path\":\"../x\",\"size\":0,\"sha256\":\"" HEX64 "\",\"root\":\"" HEX64 "\"}]"},
		{"accel", "\"hvf\""}, {"accel", "\"\""}, {"accel", "\"KVM\""}, {"started", "\"2023-11-14T22:13:20Z\""}, {"started", "\" 2023-11-14T22:13:20.00Z\""},
		{"steps", "[{\"name\":\"x\",\"exitCode\":4294967296,\"durationMs\":0}]"}, {"steps", "[{\"name\":\"x\",\"exitCode\":-2,\"durationMs\":0}]"},
		{"steps", "[{\"name\":\"x\",\"exitCode\":-9223372036854775808,\"durationMs\":0}]"},
		{"artifacts", "[{\"path\":\"x\",\"size\":-1,\"sha256\":\"" HEX64 "\",\"root\":\"" HEX64 "\"}]"},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		json_t *kept = json_incref(json_object_get(own, bad[i].key));
		json_object_set_new(own, bad[i].key, json_loads(bad[i].value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
		OK(read_json(root) == ERR_INVALID, "refused: %s", bad[i].value);
		json_object_set_new(own, bad[i].key, kept);
	}
	json_object_set_new(own, "outcome", json_string("failed"));
	OK(read_json(root) == ERR_INVALID, "the two words for the outcome must agree");
	json_object_set_new(own, "outcome", json_string("passed"));
	json_t *digest = json_object_get(json_array_get(json_object_get(root, "subject"), 0), "digest");
	static const char *const commits[] = {"0123456789012345678901234567890123456", "01234567890123456789012345678901234567890", HEX64_UPPER,
					      "012345678901234567890123456789012345678A", "", HEX64 "0"};
	json_t *commit = json_incref(json_object_get(digest, "gitCommit"));
	for (size_t i = 0; i < ARRAY_LEN(commits); i++) {
		json_object_set_new(digest, "gitCommit", json_string(commits[i]));
		OK(read_json(root) == ERR_INVALID, "refused commit: %s", commits[i]);
	}
	json_object_set_new(digest, "gitCommit", commit);
	json_object_set_new(own, "laterField", json_integer(1));
	INTEQ(read_json(root), 0);
	json_t *subjects = json_object_get(root, "subject");
	json_array_append_new(subjects, json_deep_copy(json_array_get(subjects, 0)));
	OK(read_json(root) == ERR_INVALID, "a second subject, even the same");
	json_array_remove(subjects, 1);
	json_object_set_new(own, "index", json_pack("{s:s, s:i, s:s}", "sha256", HEX64, "size", 9, "root", HEX64));
	OK(read_json(root) == ERR_INVALID, "an index beside the lists");
	json_t *steps = json_incref(json_object_get(own, "steps"));
	json_object_del(own, "steps");
	OK(read_json(root) == ERR_INVALID, "an index beside one of them");
	json_object_set_new(own, "steps", steps);
	json_object_del(own, "index");
	INTEQ(read_json(root), 0);
	json_decref(root);
	for (size_t len = 0; len < text.len; len++)
		if (statement_read(text.data, len, &s, NULL) != ERR_INVALID) /* s keeps its lists: only written on success */
			OK(false, "cut at %zu", len);
	statement_release(&s);
	fill(&s, 1, 0);
	strcpy(s.steps[0].name, "\xff");
	buf_reset(&text);
	INTEQ(statement_write(&s, &text, &index, NULL), ERR_INVALID);
	statement_release(&s);
}

static void test_words(void)
{
	static const struct {
		uint8_t outcome;
		const char *accel, *word;
	} table[] = {{1, "tcg", "PASSED"}, {2, "kvm", "FAILED"}, {2, "tcg", "FAILED"}, {3, "kvm", "FAILED"}, {3, "tcg", "WARNED"}};
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct statement s;
		CLEANUP(buf_release) struct buf text, index;
		buf_init(&text, 1 << 20);
		buf_init(&index, 1 << 20);
		fill(&s, 1, 0);
		s.outcome = table[i].outcome;
		strcpy(s.accel, table[i].accel);
		char want[64];
		snprintf(want, sizeof want, "\"result\":\"%s\"", table[i].word);
		OK(!statement_write(&s, &text, &index, NULL) && strstr(buf_cstr(&text), want), "outcome %u under %s: %s", s.outcome, s.accel, want);
		statement_release(&s);
	}
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_round_trip();
	test_index();
	test_hostile();
	test_words();
	return tap_done();
}
