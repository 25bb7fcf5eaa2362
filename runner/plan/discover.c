/* Where plans come from: the tree's files in their order, or the command line; and their digests. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/sanitise.h"
#include "proto/base/utf8.h"
#include "runner/plan/plan_parts.h"

#define CANONICAL_MAX (1u << 20)

static int parse_talkoo(const char *path, const void *bytes, size_t len, const struct plan_tree *tree, struct plan *ret,
			struct err *err)
{
	(void)tree;
	return plan_parse(path, bytes, len, ret, err);
}

/* The first one that the tree has counts, even if it is wrong. */
static const struct {
	enum plan_format format;
	plan_parse_fn parse;
} candidates[] = {
	{PLAN_FORMAT_TALKOO, parse_talkoo},
	{PLAN_FORMAT_AMBIENT, plan_ambient_parse},
	{PLAN_FORMAT_NATIVE, plan_native_parse},
};
static const char *const paths[ARRAY_LEN(candidates)] = {PLAN_FILE, PLAN_FILE_AMBIENT, PLAN_FILE_NATIVE};

const char *const *plan_paths(size_t *ret_len)
{
	*ret_len = ARRAY_LEN(paths);
	return paths;
}

const char *plan_format_name(enum plan_format f)
{
	switch (f) {
#define X(name, value, text)                                                                                           \
	case name: return text;
		PLAN_FORMATS(X)
#undef X
	}
	return "unknown";
}

static void sha256_hex(char out[65], const void *bytes, size_t len)
{
	uint8_t digest[crypto_hash_sha256_BYTES];
	crypto_hash_sha256(digest, len ? bytes : (const void *)"", len);
	hex_encode(out, digest, sizeof digest);
}

/* the canonical form */

static json_t *steps_to_json(const struct plan *p)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < p->steps_len; i++) {
		json_t *step = json_pack("{s:s, s:s}", "name", p->steps[i].name, "run", p->steps[i].run);
		if (p->steps[i].prelude)
			json_object_set_new(step, "prelude", json_string(p->steps[i].prelude));
		if (json_array_append_new(list, step) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *env_to_json(const struct plan *p)
{
	json_t *map = json_object();
	for (size_t i = 0; map && i < p->env_len; i++) {
		if (json_object_set_new(map, p->env[i].name, json_string(p->env[i].value)) < 0) {
			json_decref(map);
			return NULL;
		}
	}
	return map;
}

static json_t *globs_to_json(const struct plan *p)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < p->globs_len; i++) {
		if (json_array_append_new(list, json_string(p->globs[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *plan_to_json(const struct plan *p)
{
	const struct plan_resources *r = &p->resources;
	json_t *resources = json_pack("{s:I, s:I, s:I, s:I}", "cpus", (json_int_t)r->cpus, "memory_bytes",
				      (json_int_t)r->memory_bytes, "disk_bytes", (json_int_t)r->disk_bytes, "timeout_ms",
				      (json_int_t)r->timeout_ms);
	/* json_pack's "o" takes each part, also when another part is NULL and it fails */
	return json_pack("{s:i, s:s, s:o, s:o, s:o, s:o}", "v", 1, "image", p->image, "resources", resources, "environment",
			 env_to_json(p), "steps", steps_to_json(p), "artifacts", globs_to_json(p));
}

int plan_canonical(const struct plan *p, struct buf *ret, struct err *err)
{
	json_t *object = plan_to_json(p);
	CLEANUP(cleanup_free) char *text = object ? json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
	json_decref(object);
	if (!text)
		return err_set(err, ERR_NOMEM, "the plan's canonical form: out of memory");
	buf_str(ret, text);
	return buf_check(ret, "the plan's canonical form", err);
}

/* inline */

int plan_from_cmd(const char *commands, const char *image, struct plan *ret, struct err *err)
{
	const size_t len = strlen(commands);
	if (!commands[strspn(commands, " \t\r\n")])
		return err_set(err, ERR_INVALID, "inline plan: there are no commands");
	if (len > PLAN_INLINE_MAX) {
		err_set(err, ERR_LIMIT, "inline plan: %zu bytes, at most %d are allowed", len, PLAN_INLINE_MAX);
		err_hint(err, "put the commands into a script of the repository, or into %s", PLAN_FILE);
		return ERR_LIMIT;
	}
	if (!utf8_is_valid((const uint8_t *)commands, len))
		return err_set(err, ERR_INVALID, "inline plan: the commands are not UTF-8");
	if (!plan_image_is_valid(image)) {
		char safe[64];
		err_set(err, ERR_INVALID, "inline plan: \"%s\" is no image name", sanitise_line(safe, sizeof safe, image));
		err_hint(err, "NAME or NAME@VERSION in lower case; `talkoo image list` shows what is here");
		return ERR_INVALID;
	}
	struct plan plan = {.steps = calloc(1, sizeof *plan.steps), .steps_len = 1};
	if (!plan.steps || !(plan.steps[0].run = strdup(commands))) {
		free(plan.steps);
		return err_set(err, ERR_NOMEM, "inline plan: out of memory");
	}
	memcpy(plan.image, image, strlen(image) + 1);
	plan_name_step(&plan.steps[0]);
	*ret = plan;
	return 0;
}

/* discovery */

void plan_found_release(struct plan_found *f)
{
	if (!f)
		return;
	plan_release(&f->plan);
	memset(f, 0, sizeof *f);
}

/* Digests and gives; takes f's plan either way. */
static int finish(struct plan_found *f, struct plan_found *ret, struct err *err)
{
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, CANONICAL_MAX);
	const int rc = plan_canonical(&f->plan, &text, err);
	if (rc) {
		plan_found_release(f);
		return rc;
	}
	sha256_hex(f->canonical_sha256, text.data, text.len);
	*ret = *f;
	return 0;
}

int plan_inline(const char *commands, const char *image, struct plan_found *ret, struct err *err)
{
	struct plan_found f = {.origin = JOB_ORIGIN_INLINE, .format = PLAN_FORMAT_INLINE};
	const int rc = plan_from_cmd(commands, image, &f.plan, err);
	if (rc)
		return rc;
	sha256_hex(f.sha256, commands, strlen(commands));
	return finish(&f, ret, err);
}

int plan_discover(plan_read_fn read, void *context, struct plan_found *ret, struct err *err)
{
	CLEANUP(buf_release) struct buf bytes;
	buf_init(&bytes, PLAN_BYTES_MAX);
	const struct plan_tree tree = {read, context};
	for (size_t i = 0; i < ARRAY_LEN(candidates); i++) {
		buf_reset(&bytes);
		int rc = read(context, paths[i], &bytes, err);
		if (rc == ERR_NOT_FOUND)
			continue;
		struct plan_found f = {.origin = JOB_ORIGIN_TREE, .format = candidates[i].format};
		if (!rc)
			rc = candidates[i].parse(paths[i], bytes.data, bytes.len, &tree, &f.plan, err);
		if (rc)
			return rc;
		snprintf(f.path, sizeof f.path, "%s", paths[i]);
		sha256_hex(f.sha256, bytes.data, bytes.len);
		return finish(&f, ret, err);
	}
	struct plan_found f = {.origin = JOB_ORIGIN_DETECTED, .format = PLAN_FORMAT_DETECTED};
	const char *file = "";
	int rc = plan_detect(&tree, &f.plan, &file, err);
	if (rc && rc != ERR_NOT_FOUND)
		return rc;
	if (!rc) {
		snprintf(f.path, sizeof f.path, "%s", file);
		rc = finish(&f, ret, err);
		if (!rc)
			memcpy(ret->sha256, ret->canonical_sha256, sizeof ret->sha256);
		return rc;
	}
	err_set(err, ERR_NOT_FOUND, "no plan: the commit has no %s", PLAN_FILES_TEXT);
	err_hint(err, "commit a %s with image and steps, or say what to run with --cmd", PLAN_FILE);
	return ERR_NOT_FOUND;
}
