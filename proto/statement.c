#include "proto/statement.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/hex.h"
#include "proto/base/units.h"
#include "proto/statement_names.h"

#define LISTS_INLINE_MAX 8192 /* PROTOCOL 6.4: steps, artifacts and names of steps together, as compact JSON */

const char *const statement_outcomes[4] = {NULL, "passed", "failed", "timeout"};
const char *const statement_origins[4] = {NULL, "tree", "detected", "inline"};

const char *statement_result_word(uint8_t outcome, const char *accel)
{
	if (outcome == 1)
		return "PASSED";
	return outcome == 3 && strcmp(accel, "kvm") ? "WARNED" : "FAILED";
}

void statement_release(struct statement *s)
{
	if (!s)
		return;
	free(s->steps);
	free(s->artifacts);
	s->steps = NULL;
	s->artifacts = NULL;
	s->steps_len = s->artifacts_len = 0;
}

/* jansson refuses what is no UTF-8 and what it has no memory for: either fails the whole writing, once. */
static void put(json_t *object, const char *key, json_t *value, bool *failed)
{
	if (json_object_set_new(object, key, value))
		*failed = true;
}

static void put_text(json_t *object, const char *key, const char *text, bool *failed)
{
	put(object, key, json_string(text), failed);
}

static void put_number(json_t *object, const char *key, uint64_t value, bool *failed)
{
	put(object, key, value > NUMBER_MAX ? NULL : json_integer((json_int_t)value), failed);
}

static void put_time(json_t *object, const char *key, uint64_t unix_ms, bool *failed)
{
	char text[UNITS_TEXT_MAX];
	put_text(object, key, units_format_time(text, unix_ms), failed);
}

static json_t *blob_object(const struct blob_digest *d, bool *failed)
{
	char text[65];
	json_t *object = json_object();
	put_text(object, "sha256", hex_encode(text, d->sha256, 32), failed);
	put_number(object, "size", d->size, failed);
	put_text(object, "root", hex_encode(text, d->root, 32), failed);
	return object;
}

static json_t *steps_array(const struct statement *s, bool *failed)
{
	json_t *array = json_array();
	for (size_t i = 0; i < s->steps_len; i++) {
		json_t *one = json_object();
		put_text(one, "name", s->steps[i].name, failed);
		put(one, "exitCode", json_integer(s->steps[i].exit_code), failed);
		put_number(one, "durationMs", s->steps[i].duration_ms, failed);
		json_array_append_new(array, one);
	}
	return array;
}

static json_t *artifacts_array(const struct statement *s, bool *failed)
{
	json_t *array = json_array();
	for (size_t i = 0; i < s->artifacts_len; i++) {
		json_t *one = blob_object(&s->artifacts[i].digest, failed);
		put_text(one, "path", s->artifacts[i].path, failed);
		json_array_append_new(array, one);
	}
	return array;
}

/* Names of the steps that ended with 0, or of the others that were started. */
static json_t *tests_array(const struct statement *s, bool want_passed, bool *failed)
{
	json_t *array = json_array();
	for (size_t i = 0; i < s->steps_len; i++)
		if ((s->steps[i].exit_code == 0) == want_passed && json_array_append_new(array, json_string(s->steps[i].name)))
			*failed = true;
	return array;
}

static json_t *limits_object(const struct statement *s, bool *failed)
{
	json_t *object = json_object();
	put_number(object, "cpus", s->cpus, failed);
	put_number(object, "memory", s->memory_bytes, failed);
	put_number(object, "disk", s->disk_bytes, failed);
	put_number(object, "timeoutMs", s->timeout_ms, failed);
	put_number(object, "logBytes", s->log_bytes_max, failed);
	put_number(object, "artifactBytes", s->artifact_bytes_max, failed);
	put_number(object, "artifactCount", s->artifact_count_max, failed);
	return object;
}

static json_t *plan_object(const struct statement *s, bool *failed)
{
	json_t *object = json_object();
	put_text(object, "origin", s->plan_origin <= PLAN_INLINE && s->plan_origin ? statement_origins[s->plan_origin] : "", failed);
	put_text(object, "path", s->plan_path, failed);
	put_text(object, "sha256", s->plan_sha256, failed);
	put_text(object, "format", s->plan_format, failed);
	return object;
}

static json_t *image_object(const struct statement *s, bool *failed)
{
	json_t *object = json_object();
	put_text(object, "name", s->image_name, failed);
	put_text(object, "digest", s->image_digest, failed);
	return object;
}

/* Who, what, how: before the lists. */
static json_t *own_object(const struct statement *s, bool *failed)
{
	char id[NODE_ID_TEXT_MAX > ID32_TEXT_MAX ? NODE_ID_TEXT_MAX : ID32_TEXT_MAX];
	json_t *o = json_object();
	put(o, "v", json_integer(1), failed);
	put_text(o, "node", node_id_format(id, &s->node), failed);
	put_text(o, "project", id32_format(id, &s->project), failed);
	put_text(o, "job", id32_format(id, &s->job), failed);
	put_text(o, "ref", s->ref, failed);
	put_text(o, "refSeen", s->ref_seen, failed);
	put_text(o, "cell", s->cell, failed);
	put_text(o, "outcome", s->outcome && s->outcome <= 3 ? statement_outcomes[s->outcome] : "", failed);
	put_text(o, "reason", s->reason, failed);
	put(o, "plan", plan_object(s, failed), failed);
	put(o, "image", image_object(s, failed), failed);
	put_text(o, "arch", s->arch, failed);
	put_text(o, "accel", s->accel, failed);
	put_text(o, "isolation", s->isolation, failed);
	put_text(o, "machine", s->machine, failed);
	put(o, "limits", limits_object(s, failed), failed);
	put_time(o, "started", s->started_ms, failed);
	put_time(o, "finished", s->finished_ms, failed);
	put_number(o, "durationMs", s->duration_ms, failed);
	put(o, "source", blob_object(&s->source, failed), failed);
	if (s->has_deps)
		put(o, "deps", blob_object(&s->deps, failed), failed);
	json_t *log = blob_object(&s->log, failed);
	put(log, "truncated", json_boolean(s->log_truncated), failed);
	put(o, "log", log, failed);
	put(o, "artifactsPartial", json_boolean(s->artifacts_partial), failed);
	return o;
}

static json_t *digest_entry(const char *name, const char *sha256, bool *failed)
{
	json_t *object = json_object(), *digest = json_object();
	put_text(object, "name", name, failed);
	put_text(digest, "sha256", sha256, failed);
	put(object, "digest", digest, failed);
	return object;
}

static json_t *subject_array(const struct statement *s, bool *failed)
{
	char sha256[65], project[ID32_TEXT_MAX], name[512];
	snprintf(name, sizeof name, "talkoo:%s@%s", id32_format(project, &s->project), s->ref);
	json_t *one = digest_entry(name, hex_encode(sha256, s->source.sha256, 32), failed);
	put_text(json_object_get(one, "digest"), "gitCommit", s->commit, failed);
	json_t *array = json_array();
	json_array_append_new(array, one);
	return array;
}

static json_t *configuration_array(const struct statement *s, bool *failed)
{
	json_t *array = json_array();
	json_array_append_new(array, digest_entry(s->plan_path[0] ? s->plan_path : "plan", s->plan_sha256, failed));
	json_array_append_new(array, digest_entry(s->image_name, s->image_digest, failed));
	return array;
}

static int dump(json_t *value, struct buf *ret, const char *what, struct err *err)
{
	char *text = json_dumps(value, JSON_COMPACT);
	if (!text)
		return err_set(err, ERR_NOMEM, "%s: out of memory", what);
	buf_str(ret, text);
	free(text);
	return buf_check(ret, what, err);
}

/* The predicate's own lists: names of steps. */
static void put_tests(const struct statement *s, json_t *object, bool *failed)
{
	put(object, "passedTests", tests_array(s, true, failed), failed);
	put(object, "warnedTests", json_array(), failed);
	put(object, "failedTests", tests_array(s, false, failed), failed);
}

/* The lists as the index blob has them; when they, and the names of steps once more, are small, they stand in the statement
 * and ret_index stays empty. */
static int write_lists(const struct statement *s, json_t *own, json_t *predicate, struct buf *ret_index, struct err *err)
{
	bool failed = false;
	json_t *lists = json_object(), *tests = json_object();
	put(lists, "steps", steps_array(s, &failed), &failed);
	put(lists, "artifacts", artifacts_array(s, &failed), &failed);
	put_tests(s, tests, &failed);
	char *text = failed ? NULL : json_dumps(lists, JSON_COMPACT);
	int code = text ? 0 : err_set(err, ERR_INVALID, "statement: a step's or artifact's name is not UTF-8");
	if (!code && strlen(text) + json_dumpb(tests, NULL, 0, JSON_COMPACT) <= LISTS_INLINE_MAX) {
		if (json_object_update(own, lists) || json_object_update(predicate, tests))
			failed = true;
	} else if (!code) {
		struct blob_digest digest;
		buf_str(ret_index, text);
		code = buf_check(ret_index, "index of steps and artifacts", err);
		digest_bytes(text, strlen(text), &digest);
		put(own, "index", blob_object(&digest, &failed), &failed);
	}
	free(text);
	json_decref(lists);
	json_decref(tests);
	if (!code && failed)
		code = err_set(err, ERR_NOMEM, "statement: out of memory");
	return code;
}

int statement_write(const struct statement *s, struct buf *ret, struct buf *ret_index, struct err *err)
{
	bool failed = false;
	json_t *root = json_object(), *predicate = json_object(), *own = own_object(s, &failed);
	put_text(predicate, "result", statement_result_word(s->outcome, s->accel), &failed);
	put(predicate, "configuration", configuration_array(s, &failed), &failed);
	int code = write_lists(s, own, predicate, ret_index, err);
	put(predicate, "talkoo", own, &failed);
	put_text(root, "_type", STATEMENT_TYPE, &failed);
	put(root, "subject", subject_array(s, &failed), &failed);
	put_text(root, "predicateType", STATEMENT_PREDICATE_TYPE, &failed);
	put(root, "predicate", predicate, &failed);
	if (!code && failed)
		code = err_set(err, ERR_INVALID, "statement: a field is not UTF-8 or too large");
	const size_t before = ret->len;
	if (!code)
		code = dump(root, ret, "statement", err);
	if (!code && ret->len - before > STATEMENT_LEN_MAX)
		code = err_set(err, ERR_LIMIT, "statement: larger than %d bytes", STATEMENT_LEN_MAX);
	json_decref(root);
	return code;
}

json_t *statement_to_json(const struct statement *s)
{
	bool failed = false;
	json_t *own = own_object(s, &failed);
	put_text(own, "commit", s->commit, &failed);
	put(own, "steps", steps_array(s, &failed), &failed);
	put(own, "artifacts", artifacts_array(s, &failed), &failed);
	if (failed) {
		json_decref(own);
		return NULL;
	}
	return own;
}
