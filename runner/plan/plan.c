/* The `.talkoo.yml` format: its tables and readers. Discovery, inline plans and digests are in discover.c. */
#include "runner/plan/plan.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/sanitise.h"
#include "proto/base/schema.h"
#include "proto/base/suggest.h"
#include "runner/plan/plan_parts.h"

#define ENV_VALUE_MAX 4096
#define IMAGE_NAME_MAX 64
#define IMAGE_VERSION_MAX 32

#define MIB (UINT64_C(1) << 20)
#define TIB (UINT64_C(1) << 40)
#define HOUR_MS (UINT64_C(60) * 60 * 1000)

/* One step while its map is read; only then is known whether it named itself. */
struct step_reader {
	const struct plan *plan; /* the steps before it */
	struct plan_step *step;
	char name[JOB_STEP_NAME_MAX];
};

static bool is_image_char(char c, bool upper)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' ||
	       (upper && c >= 'A' && c <= 'Z');
}

bool plan_image_is_valid(const char *image)
{
	size_t name = 0, version = 0;
	while (is_image_char(image[name], false))
		name++;
	if (!name || name > IMAGE_NAME_MAX || strchr("._-", image[0]))
		return false;
	if (!image[name])
		return true;
	while (is_image_char(image[name + 1 + version], true))
		version++;
	return image[name] == '@' && version && version <= IMAGE_VERSION_MAX && image[name + 1] != '.' &&
	       !image[name + 1 + version];
}

/* keys of the file */

static int read_project(const struct yaml_node *value, void *record, struct err *err)
{
	struct plan *plan = record;
	const char *text;
	const int rc = schema_text(value, 1, sizeof plan->project - 1, &text, err);
	if (rc)
		return rc;
	struct project_link link;
	struct id32 id;
	if (project_link_parse(text, &link, NULL) < 0 && id32_parse(text, &id, NULL) < 0) {
		yaml_err(value, err, "is neither a project link nor a project id");
		err_hint(err, "paste the link that `talkoo project show` prints (talkoo:…), or leave the key out");
		return ERR_INVALID;
	}
	memcpy(plan->project, text, value->text_len + 1);
	return 0;
}

static int read_image(const struct yaml_node *value, void *record, struct err *err)
{
	struct plan *plan = record;
	const char *text;
	const int rc = schema_text(value, 1, sizeof plan->image - 1, &text, err);
	if (rc)
		return rc;
	if (!plan_image_is_valid(text)) {
		char safe[64];
		yaml_err(value, err, "\"%s\" is no image name", sanitise_line(safe, sizeof safe, text));
		err_hint(err, "NAME or NAME@VERSION in lower case, for example mini; `talkoo image list` shows what is here");
		return ERR_INVALID;
	}
	memcpy(plan->image, text, value->text_len + 1);
	return 0;
}

int plan_check_env_name(const struct yaml_node *value, struct err *err)
{
	if (!plan_env_name_is_valid(value->key)) {
		yaml_err_key(value, err, "is no name for an environment variable");
		err_hint(err, "letters, digits and _ only, not starting with a digit, at most %d", PLAN_ENV_NAME_MAX - 1);
		return ERR_INVALID;
	}
	if (!strncmp(value->key, "TALKOO_", 7)) {
		yaml_err_key(value, err, "names that start with TALKOO_ are Talkoo's own");
		err_hint(err, "choose another name");
		return ERR_INVALID;
	}
	return 0;
}

static int read_env_entry(const struct yaml_node *value, struct plan_env *env, struct err *err)
{
	const char *text;
	int rc = plan_check_env_name(value, err);
	if (!rc)
		rc = schema_text(value, 0, ENV_VALUE_MAX, &text, err);
	if (rc)
		return rc;
	memcpy(env->name, value->key, strlen(value->key) + 1);
	env->value = strdup(text);
	return env->value ? 0 : err_set(err, ERR_NOMEM, "out of memory");
}

static int read_environment(const struct yaml_node *value, void *record, struct err *err)
{
	struct plan *plan = record;
	int rc = schema_map(value, 0, PLAN_ENV_MAX, err);
	if (rc || !value->len)
		return rc;
	plan->env = calloc(value->len, sizeof *plan->env);
	if (!plan->env)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (const struct yaml_node *c = value->first; c && !rc; c = c->next)
		rc = read_env_entry(c, &plan->env[plan->env_len++], err);
	return rc;
}

static int read_step_name(const struct yaml_node *value, void *record, struct err *err)
{
	struct step_reader *r = record;
	const char *text;
	const int rc = schema_text(value, 1, sizeof r->name - 1, &text, err);
	if (rc)
		return rc;
	if (strpbrk(text, "\n\t"))
		return yaml_err(value, err, "a step's name is one line");
	sanitise_line(r->name, sizeof r->name, text);
	return 0;
}

static bool is_blank(const char *text)
{
	return !text[strspn(text, " \t\n")];
}

/* Whether each line of the commands stands on a line of the file, and where the first does. */
static uint32_t first_line_of(const struct yaml_node *value)
{
	if (value->style == YAML_STYLE_LITERAL)
		return value->line + 1;
	return strchr(value->text, '\n') ? 0 : value->line;
}

static int read_step_run(const struct yaml_node *value, void *record, struct err *err)
{
	struct plan_step *step = ((struct step_reader *)record)->step;
	const char *text;
	const int rc = schema_text(value, 0, PLAN_BYTES_MAX, &text, err);
	if (rc)
		return rc;
	if (is_blank(text)) {
		yaml_err(value, err, "has no commands");
		err_hint(err, "write \"run: |\" and the commands below it, indented");
		return ERR_INVALID;
	}
	step->run = strdup(text);
	step->line = value->line;
	step->column = value->column;
	step->first_line = first_line_of(value);
	return step->run ? 0 : err_set(err, ERR_NOMEM, "out of memory");
}

/* The earlier step of that name. */
static int find_need(const struct yaml_node *value, const struct step_reader *r, uint16_t *ret, struct err *err)
{
	const size_t own = (size_t)(r->step - r->plan->steps);
	const char *names[PLAN_STEPS_MAX], *text;
	size_t found = 0;
	const int rc = schema_text(value, 1, JOB_STEP_NAME_MAX - 1, &text, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < own; i++) {
		names[i] = r->plan->steps[i].name;
		if (strcmp(names[i], text))
			continue;
		*ret = (uint16_t)i;
		found++;
	}
	char safe[64];
	sanitise_line(safe, sizeof safe, text);
	if (found > 1) {
		yaml_err(value, err, "there are %zu steps named \"%s\" before it", found, safe);
		err_hint(err, "give each a name of its own");
		return ERR_INVALID;
	}
	if (found && !r->plan->steps[*ret].on_failure)
		return 0;
	if (found)
		return yaml_err(value, err, "\"%s\" only runs when a step failed", safe);
	const char *meant = suggest(text, names, own);
	yaml_err(value, err, "no step before it is named \"%s\"", safe);
	if (meant)
		err_hint(err, "did you mean \"%s\"?", meant);
	else
		err_hint(err, "a step can need those that stand above it, by their name");
	return ERR_INVALID;
}

static int read_step_needs(const struct yaml_node *value, void *record, struct err *err)
{
	struct step_reader *r = record;
	struct plan_step *step = r->step;
	int rc = schema_list(value, 0, PLAN_STEPS_MAX, err);
	if (rc)
		return rc;
	step->has_needs = true;
	step->needs = calloc(value->len + 1, sizeof *step->needs);
	if (!step->needs)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (const struct yaml_node *c = value->first; c && !rc; c = c->next) {
		uint16_t need = 0;
		rc = find_need(c, r, &need, err);
		for (size_t i = 0; !rc && i < step->needs_len; i++) {
			if (step->needs[i] == need)
				rc = yaml_err(c, err, "stands there twice");
		}
		if (!rc)
			step->needs[step->needs_len++] = need;
	}
	return rc;
}

static int read_step_if(const struct yaml_node *value, void *record, struct err *err)
{
	const char *text;
	const int rc = schema_text(value, 0, 64, &text, err);
	if (rc)
		return rc;
	if (strcmp(text, "failed")) {
		yaml_err(value, err, "is not \"failed\"");
		err_hint(err, "`if: failed` runs a step only when another one failed; leave the key out otherwise");
		return ERR_INVALID;
	}
	((struct step_reader *)record)->step->on_failure = true;
	return 0;
}

static int read_step_timeout(const struct yaml_node *value, void *record, struct err *err)
{
	return schema_duration(value, 1000, 7 * 24 * HOUR_MS, &((struct step_reader *)record)->step->timeout_ms, err);
}

static const struct schema_field step_fields[] = {
	{.name = "name", .kind = SCHEMA_OTHER, .read = read_step_name, .json = PLAN_JSON_TEXT,
	 .help = "shown while it runs and in results; default: the first line of run"},
	{.name = "run", .kind = SCHEMA_OTHER, .is_required = true, .read = read_step_run, .json = PLAN_JSON_TEXT,
	 .help = "shell commands (bash; busybox ash in the image mini), run with set -euo pipefail"},
	{.name = "needs", .kind = SCHEMA_OTHER, .read = read_step_needs,
	 .json = "{\"type\":\"array\",\"uniqueItems\":true,\"items\":" PLAN_JSON_TEXT "}",
	 .help = "names of steps above that must have passed; what does not need each other runs side by side; default: the step above"},
	{.name = "if", .kind = SCHEMA_OTHER, .read = read_step_if, .json = "{\"enum\":[\"failed\"]}",
	 .help = "failed: run only when a step failed, after all others"},
	{.name = "timeout", .kind = SCHEMA_OTHER, .read = read_step_timeout,
	 .json = "{\"type\":[\"string\",\"integer\"],\"pattern\":\"^[1-9][0-9]*(ms|s|m|h|d)?$\"}",
	 .help = "wall time of this step, for example 5m; within the job's"},
};

void plan_name_step(struct plan_step *step)
{
	const char *at = step->run + strspn(step->run, " \t\n");
	char line[JOB_STEP_NAME_MAX * 2];
	snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
	for (size_t len = strlen(line); len && (line[len - 1] == ' ' || line[len - 1] == '\t'); len--)
		line[len - 1] = 0;
	sanitise_line(step->name, sizeof step->name, line);
}

static int read_step(const struct yaml_node *value, const struct plan *plan, struct plan_step *step, struct err *err)
{
	if (value->type == YAML_TEXT) {
		yaml_err(value, err, "expected a map with the key run, not a text");
		err_hint(err, "write \"- run: COMMANDS\"");
		return ERR_INVALID;
	}
	struct step_reader r = {.plan = plan, .step = step};
	const int rc = schema_read(value, step_fields, ARRAY_LEN(step_fields), &r, err);
	if (rc)
		return rc;
	if (step->on_failure && step->has_needs) {
		yaml_err(yaml_get(value, "needs"), err, "has no meaning with `if: failed`");
		err_hint(err, "such a step runs after all others");
		return ERR_INVALID;
	}
	if (r.name[0])
		memcpy(step->name, r.name, sizeof r.name);
	else
		plan_name_step(step);
	return 0;
}

static int read_steps(const struct yaml_node *value, void *record, struct err *err)
{
	struct plan *plan = record;
	int rc = schema_list(value, 1, PLAN_STEPS_MAX, err);
	if (rc)
		return rc;
	plan->steps = calloc(value->len, sizeof *plan->steps);
	if (!plan->steps)
		return err_set(err, ERR_NOMEM, "out of memory");
	bool some_run = false;
	for (const struct yaml_node *c = value->first; c && !rc; c = c->next) {
		rc = read_step(c, plan, &plan->steps[plan->steps_len++], err);
		some_run = some_run || !plan->steps[plan->steps_len - 1].on_failure;
	}
	if (rc || some_run)
		return rc;
	yaml_err(value, err, "every one of them is for failures only");
	err_hint(err, "at least one step must run without `if: failed`");
	return ERR_INVALID;
}

bool plan_is_any_order(const struct plan *p)
{
	for (size_t i = 0; i < p->steps_len; i++) {
		if (p->steps[i].has_needs || p->steps[i].on_failure)
			return true;
	}
	return false;
}

/* NULL, or what is wrong with a glob. */
const char *plan_glob_fault(const char *glob)
{
	if (glob[0] == '/')
		return "must be relative to the source";
	for (const char *p = glob; *p; p++) {
		if ((unsigned char)*p < ' ')
			return "must be one line";
	}
	for (const char *part = glob;; part++) {
		const size_t len = strcspn(part, "/");
		if (!len)
			return "has an empty part";
		if (part[0] == '.' && (len == 1 || (len == 2 && part[1] == '.')))
			return len == 1 ? "has a part \".\"" : "has a part \"..\"";
		part += len;
		if (!*part)
			return NULL;
	}
}

static int read_glob(const struct yaml_node *value, struct plan *plan, struct err *err)
{
	const char *text;
	const int rc = schema_text(value, 1, PLAN_GLOB_LEN_MAX, &text, err);
	if (rc)
		return rc;
	const char *fault = plan_glob_fault(text);
	if (fault) {
		yaml_err(value, err, "%s", fault);
		if (!strncmp(text, "/ci/artifacts", 13))
			err_hint(err, "leave it out: what lies in /ci/artifacts is collected anyway");
		else
			err_hint(err, "a path below the source, for example build/*.log; copy other files to /ci/artifacts");
		return ERR_INVALID;
	}
	char *copy = strdup(text);
	if (!copy)
		return err_set(err, ERR_NOMEM, "out of memory");
	plan->globs[plan->globs_len++] = copy;
	return 0;
}

static int read_artifacts(const struct yaml_node *value, void *record, struct err *err)
{
	int rc = schema_list(value, 0, PLAN_GLOBS_MAX, err);
	for (const struct yaml_node *c = rc ? NULL : value->first; c && !rc; c = c->next)
		rc = read_glob(c, record, err);
	return rc;
}

static int read_cache(const struct yaml_node *value, void *record, struct err *err)
{
	struct plan *plan = record;
	int rc = schema_list(value, 0, PLAN_CACHE_MAX, err);
	plan->has_cache = !rc;
	for (const struct yaml_node *c = rc ? NULL : value->first; c && !rc; c = c->next) {
		const char *text;
		rc = schema_text(c, 1, PLAN_GLOB_LEN_MAX, &text, err);
		const char *fault = rc ? NULL : strpbrk(text, "*?[") ? "must be a path, not a pattern" : plan_glob_fault(text);
		if (fault) {
			yaml_err(c, err, "%s", fault);
			err_hint(err, "a file or folder below the source that the steps make, for example node_modules; /ci/cache is kept anyway");
			return ERR_INVALID;
		}
		if (!rc && !(plan->cache[plan->cache_len] = strdup(text)))
			rc = err_set(err, ERR_NOMEM, "out of memory");
		plan->cache_len += !rc;
	}
	return rc;
}

static const struct schema_field resources_fields[] = {
	{.name = "cpus", .kind = SCHEMA_NUMBER, .min = 1, .max = 256, SCHEMA_AT(struct plan_resources, cpus),
	 .help = "processors of the VM"},
	{.name = "memory", .kind = SCHEMA_SIZE, .min = 64 * MIB, .max = TIB, SCHEMA_AT(struct plan_resources, memory_bytes),
	 .help = "memory of the VM, for example 2G"},
	{.name = "disk", .kind = SCHEMA_SIZE, .min = 16 * MIB, .max = 16 * TIB, SCHEMA_AT(struct plan_resources, disk_bytes),
	 .help = "room for the source, the build and its artifacts"},
	{.name = "timeout", .kind = SCHEMA_DURATION, .min = 1000, .max = 7 * 24 * HOUR_MS,
	 SCHEMA_AT(struct plan_resources, timeout_ms), .help = "wall time of the whole job, for example 30m"},
};

static const struct schema_field plan_fields[] = {
	{.name = "project", .kind = SCHEMA_OTHER, .read = read_project,
	 .help = "link or id of the project that this repository belongs to"},
	{.name = "image", .kind = SCHEMA_OTHER, .read = read_image, .json = PLAN_JSON_IMAGE,
	 .help = "the VM's image: NAME or NAME@VERSION; required where no matrix names images"},
	{.name = "matrix", .kind = SCHEMA_OTHER, .read = plan_read_matrix, .sub = plan_matrix_fields, .sub_len = PLAN_MATRIX_FIELDS_LEN,
	 .json = "{\"minProperties\":1,\"allOf\":[@]}",
	 .help = "several jobs, one for each combination of these images and variables"},
	{.name = "resources", .kind = SCHEMA_MAP, .sub = resources_fields, .sub_len = ARRAY_LEN(resources_fields),
	 SCHEMA_AT(struct plan, resources), .help = "what the job needs; a donor's rules may allow less"},
	{.name = "environment", .kind = SCHEMA_OTHER, .read = read_environment,
	 .json = "{\"type\":\"object\"," PLAN_JSON_ENV_NAMES ",\"additionalProperties\":" PLAN_JSON_TEXT "}",
	 .help = "variables of every step; no secrets: everybody can read them"},
	{.name = "steps", .kind = SCHEMA_OTHER, .is_required = true, .read = read_steps, .sub = step_fields, .sub_len = ARRAY_LEN(step_fields),
	 .json = "{\"type\":\"array\",\"minItems\":1,\"maxItems\":256,\"items\":@}",
	 .help = "run in order in one VM, until one fails; `needs` says otherwise"},
	{.name = "artifacts", .kind = SCHEMA_OTHER, .read = read_artifacts,
	 .json = "{\"type\":\"array\",\"maxItems\":64,\"items\":{\"type\":\"string\",\"pattern\":\"^[^/]\"}}",
	 .help = "globs of files to keep, relative to the source; ** is any number of folders"},
	{.name = "fetch", .kind = SCHEMA_OTHER, .read = plan_read_fetch, .sub = plan_fetch_fields, .sub_len = PLAN_FETCH_FIELDS_LEN,
	 .json = "{\"type\":\"array\",\"maxItems\":64,\"items\":@}",
	 .help = "files that are fetched before the machine starts, and lie in /ci/deps"},
	{.name = "cache", .kind = SCHEMA_OTHER, .read = read_cache,
	 .json = "{\"type\":\"array\",\"maxItems\":16,\"items\":{\"type\":\"string\",\"pattern\":\"^[^/*?\\\\[]+\"}}",
	 .help = "paths of the source that are kept, with /ci/cache, for the next run of the same plan on the same branch"},
};

int plan_schema(struct buf *ret, struct err *err)
{
	/* which of the two names the images is beyond the tables */
	buf_str(ret, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"" PLAN_FILE
		     "\",\"anyOf\":[{\"required\":[\"image\"]},{\"required\":[\"matrix\"]}],\"allOf\":[");
	schema_to_json(plan_fields, ARRAY_LEN(plan_fields), NULL, ret);
	buf_str(ret, "]}");
	return buf_check(ret, "the schema", err);
}

/* What two keys say together. */
static int check_whole(const struct plan *plan, const struct yaml_node *root, struct err *err)
{
	const struct plan_matrix *m = &plan->matrix;
	if (!plan->image[0] && !m->images_len) {
		yaml_err(root, err, "the key \"image\" is missing");
		err_hint(err, "add \"image: mini\"; `talkoo image list` shows what is here");
		return ERR_INVALID;
	}
	if (plan->image[0] && m->images_len) {
		yaml_err(yaml_get(root, "image"), err, "the matrix names the images already");
		err_hint(err, "say image once: here, or under matrix");
		return ERR_INVALID;
	}
	for (size_t i = 0; i < m->axes_len; i++) {
		for (size_t k = 0; k < plan->env_len; k++) {
			if (!strcmp(plan->env[k].name, m->axes[i].name))
				return yaml_err(yaml_get(yaml_get(root, "environment"), plan->env[k].name), err,
						"the matrix sets this variable already");
		}
	}
	return 0;
}

int plan_parse(const char *path, const void *bytes, size_t len, struct plan *ret, struct err *err)
{
	CLEANUP(yaml_release) struct yaml doc = {0};
	int rc = yaml_parse(&doc, path, bytes, len, PLAN_BYTES_MAX, err);
	if (rc)
		return rc;
	if (yaml_is_empty(&doc)) {
		yaml_err(doc.root, err, "the file is empty");
		err_hint(err, "a plan needs at least image and steps");
		return ERR_INVALID;
	}
	CLEANUP(plan_release) struct plan plan = {0};
	rc = schema_read(doc.root, plan_fields, ARRAY_LEN(plan_fields), &plan, err);
	if (!rc)
		rc = check_whole(&plan, doc.root, err);
	if (rc)
		return rc;
	*ret = plan;
	memset(&plan, 0, sizeof plan);
	return 0;
}

void plan_release(struct plan *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->env_len; i++)
		free(p->env[i].value);
	for (size_t i = 0; i < p->steps_len; i++)
		free(p->steps[i].run);
	for (size_t i = 0; i < p->steps_len; i++)
		free(p->steps[i].prelude);
	for (size_t i = 0; i < p->steps_len; i++)
		free(p->steps[i].needs);
	for (size_t i = 0; i < p->globs_len; i++)
		free(p->globs[i]);
	for (size_t i = 0; i < p->cache_len; i++)
		free(p->cache[i]);
	for (size_t i = 0; i < p->packages_len; i++)
		free(p->packages[i]);
	free(p->fetch);
	free(p->env);
	free(p->steps);
	plan_matrix_release(&p->matrix);
	memset(p, 0, sizeof *p);
}
