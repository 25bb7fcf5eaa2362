/* The statement's reader: strict about what is used, blind to what it does not know. */
#include <stdlib.h>
#include <string.h>

#include "proto/base/hex.h"
#include "proto/base/units.h"
#include "proto/statement.h"
#include "proto/statement_names.h"

#define TIME_LEN (sizeof "2023-11-14T22:13:20.123Z" - 1)
#define INDEX_LEN_MAX (16u << 20) /* 10,000 artifacts, each with a path of 1,023 bytes */

/* A reader that fails once and stays failed; `what` names the field. */
struct reader { bool failed; struct err *err; };

static void fail(struct reader *r, const char *key, const char *why)
{
	if (!r->failed)
		(void)err_set(r->err, ERR_INVALID, "statement: %s: %s", key, why);
	r->failed = true;
}

static const json_t *get(struct reader *r, const json_t *object, const char *key, json_type type)
{
	const json_t *value = json_object_get(object, key);
	if (!value || json_typeof(value) != type) {
		fail(r, key, value ? "of the wrong type" : "missing");
		return NULL;
	}
	return value;
}

static void get_text(struct reader *r, const json_t *object, const char *key, char *out, size_t size)
{
	const json_t *value = get(r, object, key, JSON_STRING);
	out[0] = 0;
	if (!value)
		return;
	const size_t len = json_string_length(value);
	if (len >= size || memchr(json_string_value(value), 0, len))
		fail(r, key, "too long, or with a NUL");
	else
		memcpy(out, json_string_value(value), len + 1);
}

static uint64_t get_number(struct reader *r, const json_t *object, const char *key)
{
	const json_t *value = get(r, object, key, JSON_INTEGER);
	if (value && (json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > NUMBER_MAX))
		fail(r, key, "negative, or past 2^53-1");
	return value && !r->failed ? (uint64_t)json_integer_value(value) : 0;
}

static bool get_bool(struct reader *r, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	if (!json_is_boolean(value))
		fail(r, key, "not true or false");
	return json_is_true(value);
}

static uint64_t get_time(struct reader *r, const json_t *object, const char *key)
{
	char text[UNITS_TEXT_MAX];
	uint64_t ms = 0;
	get_text(r, object, key, text, sizeof text);
	if (!r->failed && (strlen(text) != TIME_LEN || !units_parse_time(text, &ms)))
		fail(r, key, "not a time (YYYY-MM-DDTHH:MM:SS.mmmZ)");
	return ms;
}

/* One text per value: two spellings of a commit or a digest would compare as different. */
static bool is_lower_hex(const char *text, size_t len)
{
	return strlen(text) == len && strspn(text, "0123456789abcdef") == len;
}

static void get_hex(struct reader *r, const json_t *object, const char *key, uint8_t *out)
{
	char text[65];
	get_text(r, object, key, text, sizeof text);
	if (!r->failed && !(is_lower_hex(text, 64) && hex_decode(out, 32, text)))
		fail(r, key, "not 64 lower-case hexadecimal digits");
}

static void check(struct reader *r, const char *key, bool is_valid)
{
	if (!r->failed && !is_valid)
		fail(r, key, "not of the form that it has in a job");
}

static void get_digest_text(struct reader *r, const json_t *object, const char *key, char out[65])
{
	uint8_t bytes[32];
	get_hex(r, object, key, bytes);
	if (!r->failed)
		hex_encode(out, bytes, 32);
}

static void get_blob(struct reader *r, const json_t *blob, struct blob_digest *ret)
{
	get_hex(r, blob, "sha256", ret->sha256);
	get_hex(r, blob, "root", ret->root);
	ret->size = get_number(r, blob, "size");
}

static unsigned get_word(struct reader *r, const json_t *object, const char *key, const char *const words[4])
{
	char text[32];
	get_text(r, object, key, text, sizeof text);
	for (unsigned i = 1; i < 4 && !r->failed; i++)
		if (!strcmp(text, words[i]))
			return i;
	fail(r, key, "not a known word");
	return 0;
}

static void read_steps(struct reader *r, const json_t *array, struct statement *s)
{
	if (json_array_size(array) > STATEMENT_STEPS_MAX)
		fail(r, "steps", "too many");
	s->steps = r->failed ? NULL : calloc(json_array_size(array) + 1, sizeof *s->steps);
	if (!s->steps)
		fail(r, "steps", "no memory for them");
	for (size_t i = 0; s->steps && i < json_array_size(array) && !r->failed; i++) {
		const json_t *one = json_array_get(array, i);
		struct statement_step *step = &s->steps[s->steps_len++];
		get_text(r, one, "name", step->name, sizeof step->name);
		const json_t *given = get(r, one, "exitCode", JSON_INTEGER);
		const json_int_t exit_code = given ? json_integer_value(given) : 0;
		if (exit_code < -1 || exit_code > 255)
			fail(r, "exitCode", "out of range");
		step->exit_code = r->failed ? 0 : (int)exit_code;
		step->duration_ms = get_number(r, one, "durationMs");
	}
}

static void read_artifacts(struct reader *r, const json_t *array, struct statement *s)
{
	if (json_array_size(array) > STATEMENT_ARTIFACTS_MAX)
		fail(r, "artifacts", "too many");
	s->artifacts = r->failed ? NULL : calloc(json_array_size(array) + 1, sizeof *s->artifacts);
	if (!s->artifacts)
		fail(r, "artifacts", "no memory for them");
	for (size_t i = 0; s->artifacts && i < json_array_size(array) && !r->failed; i++) {
		const json_t *one = json_array_get(array, i);
		struct statement_artifact *artifact = &s->artifacts[s->artifacts_len++];
		get_text(r, one, "path", artifact->path, sizeof artifact->path);
		check(r, "path", tree_path_is_valid(artifact->path));
		get_blob(r, one, &artifact->digest);
	}
}

static void read_lists(struct reader *r, const json_t *object, struct statement *s)
{
	read_steps(r, get(r, object, "steps", JSON_ARRAY), s);
	read_artifacts(r, get(r, object, "artifacts", JSON_ARRAY), s);
}

static void read_ids(struct reader *r, const json_t *own, struct statement *s)
{
	char text[NODE_ID_TEXT_MAX];
	get_text(r, own, "node", text, sizeof text);
	if (!r->failed && node_id_parse(text, &s->node, NULL))
		fail(r, "node", "not a node id");
	get_hex(r, own, "project", s->project.b);
	get_hex(r, own, "job", s->job.b);
}

static void read_how(struct reader *r, const json_t *own, struct statement *s)
{
	const json_t *plan = get(r, own, "plan", JSON_OBJECT), *image = get(r, own, "image", JSON_OBJECT);
	const json_t *limits = get(r, own, "limits", JSON_OBJECT);
	s->plan_origin = (enum plan_origin)get_word(r, plan, "origin", statement_origins);
	get_text(r, plan, "path", s->plan_path, sizeof s->plan_path);
	check(r, "path", tree_path_is_valid(s->plan_path) || (!s->plan_path[0] && s->plan_origin != PLAN_TREE));
	get_digest_text(r, plan, "sha256", s->plan_sha256);
	get_text(r, plan, "format", s->plan_format, sizeof s->plan_format);
	get_text(r, image, "name", s->image_name, sizeof s->image_name);
	check(r, "image", image_name_is_valid(s->image_name));
	get_digest_text(r, image, "digest", s->image_digest);
	get_text(r, own, "arch", s->arch, sizeof s->arch);
	check(r, "arch", arch_name_is_valid(s->arch));
	get_text(r, own, "accel", s->accel, sizeof s->accel);
	check(r, "accel", !strcmp(s->accel, "kvm") || !strcmp(s->accel, "tcg"));
	get_text(r, own, "isolation", s->isolation, sizeof s->isolation);
	get_text(r, own, "machine", s->machine, sizeof s->machine);
	const uint64_t cpus = get_number(r, limits, "cpus");
	if (cpus > UINT32_MAX)
		fail(r, "cpus", "too large");
	s->cpus = (uint32_t)cpus;
	s->memory_bytes = get_number(r, limits, "memory");
	s->disk_bytes = get_number(r, limits, "disk");
	s->timeout_ms = get_number(r, limits, "timeoutMs");
	s->log_bytes_max = get_number(r, limits, "logBytes");
	s->artifact_bytes_max = get_number(r, limits, "artifactBytes");
	s->artifact_count_max = get_number(r, limits, "artifactCount");
}

static void read_what(struct reader *r, const json_t *own, struct statement *s)
{
	const json_t *log = get(r, own, "log", JSON_OBJECT);
	get_text(r, own, "ref", s->ref, sizeof s->ref);
	get_text(r, own, "refSeen", s->ref_seen, sizeof s->ref_seen);
	check(r, "ref", ref_name_is_valid(s->ref));
	check(r, "refSeen", !s->ref_seen[0] || ref_name_is_valid(s->ref_seen));
	get_text(r, own, "cell", s->cell, sizeof s->cell);
	s->outcome = (uint8_t)get_word(r, own, "outcome", statement_outcomes);
	get_text(r, own, "reason", s->reason, sizeof s->reason);
	s->started_ms = get_time(r, own, "started");
	s->finished_ms = get_time(r, own, "finished");
	check(r, "finished", s->finished_ms >= s->started_ms);
	s->duration_ms = get_number(r, own, "durationMs");
	get_blob(r, get(r, own, "source", JSON_OBJECT), &s->source);
	s->has_deps = json_object_get(own, "deps") != NULL;
	if (s->has_deps)
		get_blob(r, get(r, own, "deps", JSON_OBJECT), &s->deps);
	get_blob(r, log, &s->log);
	s->log_truncated = get_bool(r, log, "truncated");
	s->artifacts_partial = get_bool(r, own, "artifactsPartial");
	if (json_object_get(own, "index")) {
		s->has_index = true;
		if (json_object_get(own, "steps") || json_object_get(own, "artifacts"))
			fail(r, "index", "beside the lists that it stands for");
		get_blob(r, get(r, own, "index", JSON_OBJECT), &s->index);
	} else {
		read_lists(r, own, s);
	}
}

/* The parts that other tools read must say what ours say. */
static void read_intoto(struct reader *r, const json_t *root, struct statement *s)
{
	char text[256];
	get_text(r, root, "_type", text, sizeof text);
	if (!r->failed && strcmp(text, STATEMENT_TYPE))
		fail(r, "_type", "not an in-toto Statement v1");
	get_text(r, root, "predicateType", text, sizeof text);
	if (!r->failed && strcmp(text, STATEMENT_PREDICATE_TYPE))
		fail(r, "predicateType", "not a test result v0.1");
	const json_t *subjects = get(r, root, "subject", JSON_ARRAY), *subject = json_array_get(subjects, 0);
	if (json_array_size(subjects) != 1)
		fail(r, "subject", "not one");
	const json_t *digest = get(r, subject, "digest", JSON_OBJECT);
	get_text(r, digest, "gitCommit", s->commit, sizeof s->commit);
	if (!r->failed && !is_lower_hex(s->commit, 40) && !is_lower_hex(s->commit, 64))
		fail(r, "gitCommit", "not a full commit id");
	uint8_t source[32];
	get_hex(r, digest, "sha256", source);
	const json_t *predicate = get(r, root, "predicate", JSON_OBJECT);
	get_text(r, predicate, "result", text, sizeof text);
	const json_t *own = get(r, predicate, "talkoo", JSON_OBJECT);
	if (get_number(r, own, "v") != 1)
		fail(r, "v", "not 1");
	read_ids(r, own, s);
	read_how(r, own, s);
	read_what(r, own, s);
	if (!r->failed && memcmp(source, s->source.sha256, 32))
		fail(r, "subject", "its sha256 is not the source's");
	if (!r->failed && strcmp(text, statement_result_word(s->outcome, s->accel)))
		fail(r, "result", "does not follow from outcome and accelerator");
}

static json_t *load(const uint8_t *json, size_t len, size_t max, struct err *err)
{
	json_error_t why;
	json_t *root = len > max ? NULL : json_loadb((const char *)json, len, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		(void)err_set(err, ERR_INVALID, "statement: not JSON: %s", len > max ? "too large" : why.text);
	return root;
}

int statement_read(const uint8_t *json, size_t len, struct statement *ret, struct err *err)
{
	json_t *root = load(json, len, STATEMENT_LEN_MAX, err);
	if (!root)
		return ERR_INVALID;
	struct statement s = {0};
	struct reader r = {.err = err};
	read_intoto(&r, root, &s);
	json_decref(root);
	if (r.failed) {
		statement_release(&s);
		return ERR_INVALID;
	}
	*ret = s;
	return 0;
}

int statement_read_index(struct statement *s, const uint8_t *json, size_t len, struct err *err)
{
	struct blob_digest digest;
	digest_bytes(json, len, &digest);
	if (!s->has_index || s->steps || digest.size != s->index.size || memcmp(digest.sha256, s->index.sha256, 32) ||
	    memcmp(digest.root, s->index.root, 32))
		return err_set(err, ERR_INVALID, "statement: that is not the index it names");
	json_t *root = load(json, len, INDEX_LEN_MAX, err);
	if (!root)
		return ERR_INVALID;
	struct reader r = {.err = err};
	read_lists(&r, root, s);
	json_decref(root);
	if (r.failed)
		statement_release(s);
	return r.failed ? ERR_INVALID : 0;
}
