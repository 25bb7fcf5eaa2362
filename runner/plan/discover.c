/* Where plans come from: the tree's files in their order, or the command line; and their digests. */
#include <sodium.h>
#include <stdio.h>
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
	{PLAN_FORMAT_SOURCEHUT, plan_sourcehut_parse},
};
static const char *const paths[ARRAY_LEN(candidates)] = {PLAN_FILE, PLAN_FILE_AMBIENT, PLAN_FILE_NATIVE, PLAN_FILE_BUILD};

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

/* Only what is said: plans without rules keep the digest that they had before there were any. */
static void add_rules(json_t *step, const struct plan_step *s)
{
	json_t *needs = s->has_needs ? json_array() : NULL;
	for (size_t i = 0; i < s->needs_len; i++)
		json_array_append_new(needs, json_integer(s->needs[i]));
	if (needs)
		json_object_set_new(step, "needs", needs);
	if (s->on_failure)
		json_object_set_new(step, "if", json_string("failed"));
	if (s->timeout_ms)
		json_object_set_new(step, "timeout_ms", json_integer((json_int_t)s->timeout_ms));
}

static json_t *steps_to_json(const struct plan *p)
{
	json_t *list = json_array();
	for (size_t i = 0; list && i < p->steps_len; i++) {
		json_t *step = json_pack("{s:s, s:s}", "name", p->steps[i].name, "run", p->steps[i].run);
		if (p->steps[i].prelude)
			json_object_set_new(step, "prelude", json_string(p->steps[i].prelude));
		add_rules(step, &p->steps[i]);
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

static json_t *texts_to_json(char *const *texts, size_t len)
{
	json_t *list = json_array();
	for (size_t i = 0; i < len; i++)
		json_array_append_new(list, json_string(texts[i]));
	return list;
}

static json_t *plan_to_json(const struct plan *p)
{
	const struct plan_resources *r = &p->resources;
	json_t *resources = json_pack("{s:I, s:I, s:I, s:I}", "cpus", (json_int_t)r->cpus, "memory_bytes",
				      (json_int_t)r->memory_bytes, "disk_bytes", (json_int_t)r->disk_bytes, "timeout_ms",
				      (json_int_t)r->timeout_ms);
	/* json_pack's "o" takes each part, also when another part is NULL and it fails */
	json_t *plan = json_pack("{s:i, s:s, s:o, s:o, s:o, s:o}", "v", 1, "image", p->image, "resources", resources, "environment",
				 env_to_json(p), "steps", steps_to_json(p), "artifacts", globs_to_json(p));
	json_t *fetch = p->fetch_len ? json_array() : NULL;
	for (size_t i = 0; i < p->fetch_len; i++)
		json_array_append_new(fetch, json_pack("{s:s, s:s, s:s}", "url", p->fetch[i].url, "sha256", p->fetch[i].sha256, "name",
						       p->fetch[i].name));
	if (plan && fetch)
		json_object_set_new(plan, "fetch", fetch);
	if (plan && p->has_cache)
		json_object_set_new(plan, "cache", texts_to_json(p->cache, p->cache_len));
	if (plan && p->packages_len)
		json_object_set_new(plan, "packages", texts_to_json(p->packages, p->packages_len));
	return plan;
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
	free(f->cells);
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

/* Which of f's cells is meant. Its hint lists what there is. */
static int choose_cell(const struct plan_found *f, const char *cell, size_t *ret, struct err *err)
{
	*ret = 0;
	if (!cell || (!*cell && !f->cells_len))
		return 0;
	for (size_t i = 0; i < f->cells_len; i++) {
		if (!strcmp(f->cells[i], cell)) {
			*ret = i;
			return 0;
		}
	}
	char safe[64];
	if (!f->cells_len) {
		err_set(err, ERR_REFUSED, "%s has no cells, and so none named %s", f->path, sanitise_line(safe, sizeof safe, cell));
		err_hint(err, "leave the cell out");
		return ERR_REFUSED;
	}
	if (*cell)
		err_set(err, ERR_REFUSED, "%s has no cell named %s", f->path, sanitise_line(safe, sizeof safe, cell));
	else
		err_set(err, ERR_REFUSED, "%s has %zu cells: one of them must be named", f->path, f->cells_len);
	char list[300];
	int len = 0;
	for (size_t i = 0; i < f->cells_len && len < (int)sizeof list; i++)
		len += snprintf(list + len, sizeof list - (size_t)len, "%s%s", i ? "; " : "", f->cells[i]);
	err_hint(err, "its cells: %s", list);
	return ERR_REFUSED;
}

/* Parses one file into f, whose path is set already; a matrix becomes f's cells and the plan of one of them. */
static int parse_file(const struct plan_tree *tree, plan_parse_fn parse, const char *cell, struct plan_found *f, struct buf *bytes,
		      struct err *err)
{
	buf_reset(bytes);
	int rc = tree->read(tree->context, f->path, bytes, err);
	if (!rc)
		rc = parse(f->path, bytes->data, bytes->len, tree, &f->plan, err);
	if (rc)
		return rc;
	sha256_hex(f->sha256, bytes->data, bytes->len);
	const size_t cells = plan_cells(&f->plan);
	size_t chosen = 0;
	if (cells && !(f->cells = calloc(cells, sizeof *f->cells)))
		return err_set(err, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < cells; i++)
		plan_cell_name(&f->plan, i, f->cells[f->cells_len++]);
	rc = choose_cell(f, cell, &chosen, err);
	if (rc || !cells)
		return rc;
	memcpy(f->cell, f->cells[chosen], sizeof f->cell);
	return plan_take_cell(&f->plan, chosen, err);
}

/* `.builds/NAME.yml`: each file is a cell, NAME */

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool is_cell_name(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const char c = name[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (i && strchr("._-", c))))
			return false;
	}
	return len && len < 100;
}

/* The names of the folder's plans, without ".yml", sorted, into f->cells. */
static int list_builds(const struct plan_tree *tree, struct plan_found *f, struct err *err)
{
	CLEANUP(buf_release) struct buf names;
	buf_init(&names, PLAN_BYTES_MAX);
	const int rc = tree->list ? tree->list(tree->context, PLAN_FOLDER_BUILDS, &names, err) : ERR_NOT_FOUND;
	if (rc)
		return rc;
	f->cells = calloc(PLAN_CELLS_MAX, sizeof *f->cells);
	if (!f->cells)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (const char *at = buf_cstr(&names); *at;) {
		const size_t len = strcspn(at, "\n");
		const char *name = at;
		at += len + (at[len] == '\n');
		if (len < 4 || memcmp(name + len - 4, ".yml", 4) != 0)
			continue;
		if (!is_cell_name(name, len - 4)) {
			err_set(err, ERR_INVALID, "%s: a name with other characters than letters, digits, . _ and -", PLAN_FOLDER_BUILDS);
			return ERR_INVALID;
		}
		if (f->cells_len == PLAN_CELLS_MAX)
			return err_set(err, ERR_LIMIT, "%s: more than %d files", PLAN_FOLDER_BUILDS, PLAN_CELLS_MAX);
		snprintf(f->cells[f->cells_len++], PLAN_CELL_MAX, "%.*s", (int)len - 4, name);
	}
	qsort(f->cells, f->cells_len, sizeof *f->cells, compare_names);
	return f->cells_len ? 0 : ERR_NOT_FOUND;
}

static int discover_builds(const struct plan_tree *tree, const char *cell, struct plan_found *f, struct err *err)
{
	CLEANUP(buf_release) struct buf bytes;
	buf_init(&bytes, PLAN_BYTES_MAX);
	size_t chosen;
	int rc = list_builds(tree, f, err);
	if (rc)
		return rc;
	f->origin = JOB_ORIGIN_TREE;
	f->format = PLAN_FORMAT_SOURCEHUT;
	snprintf(f->path, sizeof f->path, "%s", PLAN_FOLDER_BUILDS);
	rc = choose_cell(f, cell, &chosen, err);
	if (rc)
		return rc;
	memcpy(f->cell, f->cells[chosen], sizeof f->cell);
	snprintf(f->path, sizeof f->path, PLAN_FOLDER_BUILDS "/%.100s.yml", f->cell);
	rc = tree->read(tree->context, f->path, &bytes, err);
	if (!rc)
		rc = plan_sourcehut_parse(f->path, bytes.data, bytes.len, tree, &f->plan, err);
	/* it was there when the folder was listed */
	if (rc == ERR_NOT_FOUND)
		rc = err_set(err, ERR_INVALID, "%s: is not a regular file", f->path);
	if (!rc)
		sha256_hex(f->sha256, bytes.data, bytes.len);
	return rc;
}

static int discover_files(const struct plan_tree *tree, const char *cell, struct plan_found *f, struct err *err)
{
	CLEANUP(buf_release) struct buf bytes;
	buf_init(&bytes, PLAN_BYTES_MAX);
	for (size_t i = 0; i < ARRAY_LEN(candidates); i++) {
		f->origin = JOB_ORIGIN_TREE;
		f->format = candidates[i].format;
		snprintf(f->path, sizeof f->path, "%s", paths[i]);
		const int rc = parse_file(tree, candidates[i].parse, cell, f, &bytes, err);
		if (rc != ERR_NOT_FOUND)
			return rc;
	}
	f->path[0] = 0;
	return discover_builds(tree, cell, f, err);
}

static int discover_build_system(const struct plan_tree *tree, const char *cell, struct plan_found *f, struct err *err)
{
	const char *file = "";
	size_t unused;
	free(f->cells);
	*f = (struct plan_found){.origin = JOB_ORIGIN_DETECTED, .format = PLAN_FORMAT_DETECTED};
	const int rc = plan_detect(tree, &f->plan, &file, err);
	if (rc)
		return rc;
	snprintf(f->path, sizeof f->path, "%s", file);
	return choose_cell(f, cell, &unused, err);
}

int plan_discover(const struct plan_tree *tree, const char *cell, struct plan_found *ret, struct err *err)
{
	struct plan_found f = {0};
	int rc = discover_files(tree, cell, &f, err);
	if (rc == ERR_NOT_FOUND)
		rc = discover_build_system(tree, cell, &f, err);
	if (rc) {
		plan_found_release(&f);
		if (rc != ERR_NOT_FOUND)
			return rc;
		err_set(err, ERR_NOT_FOUND, "no plan: the commit has no %s", PLAN_FILES_TEXT);
		err_hint(err, "commit a %s with image and steps, or say what to run with --cmd", PLAN_FILE);
		return ERR_NOT_FOUND;
	}
	rc = finish(&f, ret, err);
	if (!rc && ret->origin == JOB_ORIGIN_DETECTED)
		memcpy(ret->sha256, ret->canonical_sha256, sizeof ret->sha256);
	return rc;
}
