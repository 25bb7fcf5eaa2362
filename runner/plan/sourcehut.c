/* `.build.yml` and `.builds/NAME.yml`, the build manifests of SourceHut: the subset that a machine without a network and
 * without secrets can honour. What cannot be had is refused by name; what only surrounds the build (triggers, secrets,
 * who may look) is left out, and a note says so.
 *
 * There, tasks start in the home folder, in which each source lies under its own name; every task reads ~/.buildenv; a task
 * that ends with 255 (`complete-build`) ends the build well; options are `set -xe`, no more. */
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/sanitise.h"
#include "proto/base/schema.h"
#include "runner/plan/plan_parts.h"

#define TEXT_MAX 65536
#define NAME_MAX_BYTES 100
#define LIST_MAX 256

struct maker {
	struct plan *plan;
	char folder[NAME_MAX_BYTES + 1]; /* of the source below the home folder */
	struct buf outside;              /* artifacts that lie elsewhere than in the source; patterns for a shell */
};

static bool is_plain(const char *text, const char *more)
{
	const size_t len = strlen(text);
	for (const char *p = text; *p; p++) {
		const bool is_word = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9');
		if (!is_word && !strchr(more, *p))
			return false;
	}
	return len && len <= NAME_MAX_BYTES;
}

static int read_image(const struct yaml_node *value, void *record, struct err *err)
{
	struct maker *m = record;
	const char *text;
	const int rc = schema_text(value, 1, PLAN_IMAGE_MAX - 1, &text, err);
	if (rc)
		return rc;
	if (!is_plain(text, "._/@-"))
		return yaml_err(value, err, "is no image name");
	if (plan_image_is_valid(text))
		memcpy(m->plan->image, text, value->text_len + 1);
	else
		plan_note(m->plan, "the image %s is SourceHut's name: --image says which image it is here", text);
	return 0;
}

static int read_arch(const struct yaml_node *value, void *record, struct err *err)
{
	(void)record;
	const char *text;
	const int rc = schema_text(value, 0, 64, &text, err);
	if (rc || !*text || !strcmp(text, "x86_64") || !strcmp(text, "amd64"))
		return rc;
	return yaml_err(value, err, "only x86_64 can be had");
}

static int read_packages(const struct yaml_node *value, void *record, struct err *err)
{
	struct maker *m = record;
	int rc = schema_list(value, 0, PLAN_PACKAGES_MAX, err);
	for (const struct yaml_node *c = rc ? NULL : value->first; c && !rc; c = c->next) {
		const char *text;
		rc = schema_text(c, 1, NAME_MAX_BYTES, &text, err);
		if (!rc && (!is_plain(text, "._+:/@-") || *text == '-'))
			rc = yaml_err(c, err, "is no package name");
		if (rc)
			return rc;
		if (!(m->plan->packages[m->plan->packages_len] = strdup(text)))
			return err_set(err, ERR_NOMEM, "out of memory");
		m->plan->packages_len++;
	}
	return rc;
}

static int refuse(const struct yaml_node *value, void *record, struct err *err)
{
	(void)record;
	if ((value->type == YAML_TEXT ? value->text_len : value->len) == 0)
		return 0;
	yaml_err(value, err, "cannot be honoured: jobs have no network");
	err_hint(err, "have the packages in the image, and leave the key out");
	return ERR_INVALID;
}

static int ignore(const struct yaml_node *value, void *record, struct err *err)
{
	(void)err;
	struct maker *m = record;
	char key[64];
	plan_note(m->plan, "%s: ignored, as %s", sanitise_line(key, sizeof key, value->key),
		  !strcmp(value->key, "triggers") ? "results are read with `talkoo results`" : "jobs have no secrets and nobody logs in");
	return 0;
}

static int read_environment(const struct yaml_node *value, void *record, struct err *err)
{
	struct maker *m = record;
	int rc = schema_map(value, 0, PLAN_ENV_MAX, err);
	for (const struct yaml_node *c = rc ? NULL : value->first; c && !rc; c = c->next) {
		const char *text;
		rc = plan_check_env_name(c, err);
		if (!rc && c->type == YAML_LIST) {
			yaml_err(c, err, "a list cannot be given to a job");
			err_hint(err, "write one text, or set the array in a task");
			return ERR_INVALID;
		}
		if (!rc)
			rc = schema_text(c, 0, 4096, &text, err);
		if (!rc)
			rc = plan_add_env(m->plan, c->key, text, err);
	}
	return rc;
}

/* ".../NAME.git#ref" -> NAME: the folder that it is cloned into. */
static int folder_of(struct maker *m, const struct yaml_node *source, struct err *err)
{
	size_t end = strcspn(source->text, "#?");
	while (end && source->text[end - 1] == '/')
		end--;
	if (end > 4 && !strncmp(source->text + end - 4, ".git", 4))
		end -= 4;
	size_t start = end;
	while (start && !strchr("/:", source->text[start - 1]))
		start--;
	snprintf(m->folder, sizeof m->folder, "%.*s", (int)(end - start), source->text + start);
	if (end - start > NAME_MAX_BYTES || !is_plain(m->folder, "._+-") || *m->folder == '.' || *m->folder == '-')
		return yaml_err(source, err, "does not end in the name of a repository");
	return 0;
}

static int read_sources(const struct yaml_node *value, void *record, struct err *err)
{
	int rc = schema_list(value, 0, LIST_MAX, err);
	const char *text;
	if (rc || !value->len)
		return rc;
	rc = schema_text(value->first, 1, 1024, &text, err);
	if (!rc && value->len > 1) {
		yaml_err(value->first->next, err, "cannot be fetched: jobs have no network, and only this repository is there");
		err_hint(err, "keep this repository's own source alone; bring the others along as subtrees");
		return ERR_INVALID;
	}
	return rc ? rc : folder_of(record, value->first, err);
}

/* Relative to the home folder: in the source it is a glob of ours, else the tasks copy it. */
static int read_artifact(struct maker *m, const struct yaml_node *value, struct err *err)
{
	const char *text;
	int rc = schema_text(value, 1, PLAN_GLOB_LEN_MAX, &text, err);
	if (rc)
		return rc;
	const size_t len = strlen(m->folder);
	if (len && !strncmp(text, m->folder, len) && text[len] == '/' && !plan_glob_fault(text + len + 1)) {
		char *copy = m->plan->globs_len < PLAN_GLOBS_MAX ? strdup(text + len + 1) : NULL;
		if (!copy)
			return yaml_err(value, err, "more artifacts than %d", PLAN_GLOBS_MAX);
		m->plan->globs[m->plan->globs_len++] = copy;
		return 0;
	}
	if (!is_plain(*text == '~' ? text + 1 : text, "._+/*?-") && strlen(text) <= NAME_MAX_BYTES)
		return yaml_err(value, err, "has characters that no path of an artifact has here");
	buf_printf(&m->outside, " %s", text);
	return buf_check(&m->outside, "artifacts", err);
}

/* After the sources: whether a path is in one of them depends on their names. */
static int read_artifacts(struct maker *m, const struct yaml_node *value, struct err *err)
{
	int rc = value ? schema_list(value, 0, LIST_MAX, err) : 0;
	for (const struct yaml_node *c = value && !rc ? value->first : NULL; c && !rc; c = c->next)
		rc = read_artifact(m, c, err);
	return rc;
}

/* What stands before each task. A task that ended the build well leaves ~/.build-complete. */
static int write_prelude(struct maker *m, struct buf *out, struct err *err)
{
	buf_str(out, "if [ -e ~/.build-complete ]; then exit 0; fi\n"
		     "set +u\nif (set +o pipefail) 2>/dev/null; then set +o pipefail; fi\n");
	buf_printf(out, "talkoo_end() {\n\tr=$?\n\tset +ex\n\tif [ $r = 255 ]; then r=0; : >~/.build-complete; fi\n\tcd ~\n");
	if (m->outside.len)
		buf_printf(out, "\tfor f in%s; do [ ! -e \"$f\" ] || cp -a \"$f\" /ci/artifacts/; done\n", buf_cstr(&m->outside));
	buf_str(out, "\texit $r\n}\ntrap talkoo_end EXIT\n");
	buf_str(out, "mkdir -p ~/bin\nprintf '#!/bin/sh\\nexit 255\\n' >~/bin/complete-build\nchmod +x ~/bin/complete-build\n"
		     "export PATH=\"$HOME/bin:$PATH\"\n");
	buf_printf(out, "[ -e ~/%s ] || ln -s /ci/src ~/%s\n", m->folder, m->folder);
	buf_str(out, "[ -e ~/.buildenv ] || : >~/.buildenv\n. ~/.buildenv\ncd ~\nset -xe\n");
	return buf_check(out, "the tasks' environment", err);
}

static int read_task(struct maker *m, const struct yaml_node *item, const char *prelude, struct err *err)
{
	const struct yaml_node *list = item->parent;
	int rc = schema_map(item, 1, 1, err);
	if (rc)
		return rc;
	const struct yaml_node *task = item->first;
	const char *text;
	if (!is_plain(task->key, "_-")) {
		yaml_err_key(task, err, "is no name for a task");
		err_hint(err, "letters, digits, _ and - only");
		return ERR_INVALID;
	}
	for (const struct yaml_node *c = list->first; c != item; c = c->next) {
		if (!strcmp(c->first->key, task->key))
			return yaml_err_key(task, err, "there is another task of that name");
	}
	rc = schema_text(task, 0, PLAN_BYTES_MAX, &text, err);
	const bool is_blank = !rc && !text[strspn(text, " \t\n")];
	const struct plan_new_step step = {.name = task->key, .prelude = prelude, .run = is_blank ? ":" : text, .from = task, .is_text = !is_blank};
	return rc ? rc : plan_add_step(m->plan, &step, err);
}

static int read_tasks(struct maker *m, const struct yaml_node *value, struct err *err)
{
	CLEANUP(buf_release) struct buf prelude;
	buf_init(&prelude, TEXT_MAX);
	int rc = schema_list(value, 1, PLAN_STEPS_MAX - 1, err);
	if (!rc)
		rc = write_prelude(m, &prelude, err);
	for (const struct yaml_node *c = rc ? NULL : value->first; c && !rc; c = c->next)
		rc = read_task(m, c, buf_cstr(&prelude), err);
	return rc;
}

/* Read by make_steps(), once everything else is known. */
static int later(const struct yaml_node *value, void *record, struct err *err)
{
	(void)value;
	(void)record;
	(void)err;
	return 0;
}

static const struct schema_field fields[] = {
	{.name = "image", .kind = SCHEMA_OTHER, .is_required = true, .read = read_image, .help = "the image"},
	{.name = "arch", .kind = SCHEMA_OTHER, .read = read_arch, .help = "x86_64"},
	{.name = "packages", .kind = SCHEMA_OTHER, .read = read_packages, .help = "the image must have them"},
	{.name = "repositories", .kind = SCHEMA_OTHER, .read = refuse, .help = "refused"},
	{.name = "environment", .kind = SCHEMA_OTHER, .read = read_environment, .help = "variables of every task"},
	{.name = "sources", .kind = SCHEMA_OTHER, .read = read_sources, .help = "this repository"},
	{.name = "tasks", .kind = SCHEMA_OTHER, .is_required = true, .read = later, .help = "NAME: commands"},
	{.name = "artifacts", .kind = SCHEMA_OTHER, .read = later, .help = "paths below the home folder"},
	{.name = "secrets", .kind = SCHEMA_OTHER, .read = ignore, .help = "ignored"},
	{.name = "oauth", .kind = SCHEMA_OTHER, .read = ignore, .help = "ignored"},
	{.name = "triggers", .kind = SCHEMA_OTHER, .read = ignore, .help = "ignored"},
	{.name = "shell", .kind = SCHEMA_OTHER, .read = ignore, .help = "ignored"},
	{.name = "submitter", .kind = SCHEMA_OTHER, .read = ignore, .help = "ignored"},
};

static int make_steps(struct maker *m, const struct yaml_node *root, struct err *err)
{
	if (!*m->folder) {
		snprintf(m->folder, sizeof m->folder, "src");
		plan_note(m->plan, "no sources: the commit is in ~/src");
	}
	int rc = read_artifacts(m, yaml_get(root, "artifacts"), err);
	return rc ? rc : read_tasks(m, yaml_get(root, "tasks"), err);
}

int plan_sourcehut_parse(const char *path, const void *bytes, size_t len, const struct plan_tree *tree, struct plan *ret, struct err *err)
{
	(void)tree;
	CLEANUP(yaml_release) struct yaml doc = {0};
	CLEANUP(plan_release) struct plan plan = {0};
	struct maker m = {.plan = &plan};
	buf_init(&m.outside, TEXT_MAX);
	int rc = yaml_parse(&doc, path, bytes, len, PLAN_BYTES_MAX, err);
	if (!rc)
		rc = schema_read(doc.root, fields, ARRAY_LEN(fields), &m, err);
	if (!rc)
		rc = make_steps(&m, doc.root, err);
	buf_release(&m.outside);
	if (rc)
		return rc;
	*ret = plan;
	memset(&plan, 0, sizeof plan);
	return 0;
}
