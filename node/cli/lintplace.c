#include "node/cli/lintplace.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/cli/launch.h"
#include "node/cli/workplace.h"
#include "node/config.h"
#include "proto/base/cleanup.h"
#include "proto/base/suggest.h"
#include "proto/base/units.h"
#include "runner/image.h"

#define NAMES_MAX 256

struct names {
	char names[NAMES_MAX][IMAGE_NAME_MAX]; /* without versions, no matter whether twice */
	const char *list[NAMES_MAX];
	size_t len;
};

static void add_name(struct names *n, const char *name)
{
	if (n->len == NAMES_MAX)
		return;
	snprintf(n->names[n->len], sizeof n->names[0], "%s", name);
	n->list[n->len] = n->names[n->len];
	n->len++;
}

/* A recipe is a folder of its own. */
static void add_recipes(struct names *n)
{
	char path[PATH_MAX];
	DIR *d = launch_find_data("images", path, NULL) ? NULL : opendir(path);
	for (const struct dirent *e; d && (e = readdir(d));)
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			add_name(n, e->d_name);
	if (d)
		closedir(d);
}

static bool is_known(const struct names *n, const char *name)
{
	for (size_t i = 0; i < n->len; i++)
		if (!strcmp(n->list[i], name))
			return true;
	return false;
}

static void check_image(struct lint *l, const char *store)
{
	const struct plan *plan = &l->found.plan;
	CLEANUP(cleanup_free) struct names *known = calloc(1, sizeof *known);
	struct image_list images = {0};
	struct image found = {0};
	char name[IMAGE_NAME_MAX], version[IMAGE_NAME_MAX];
	if (!known || !image_ref_parse(plan->image, name, version) || !image_find(store, plan->image, &found, NULL)) {
		image_release(&found);
		return;
	}
	add_recipes(known);
	if (!image_list(store, &images, NULL))
		for (size_t i = 0; i < images.len; i++)
			add_name(known, images.images[i].name);
	image_list_release(&images);
	const char *near = is_known(known, name) ? NULL : suggest(name, known->list, known->len);
	struct lint_finding *f = lint_add(l, near ? LINT_ERROR : LINT_WARNING);
	if (!f)
		return;
	snprintf(f->text, sizeof f->text, "image: %s is %s here", plan->image, is_known(known, name) ? "not" : "not known");
	if (near)
		snprintf(f->hint, sizeof f->hint, "did you mean \"%s\"?", near);
	else
		snprintf(f->hint, sizeof f->hint, "'talkoo image list' shows what is here; other machines may have it");
}

static void too_much(struct lint *l, const char *what, const char *asked, const char *have)
{
	struct lint_finding *f = lint_add(l, LINT_WARNING);
	if (!f)
		return;
	snprintf(f->text, sizeof f->text, "resources.%s: %s is more than this machine has for a job (%s)", what, asked, have);
	snprintf(f->hint, sizeof f->hint, "'talkoo run' refuses it here; few volunteers will have so much");
}

static void check_resources(struct lint *l)
{
	const struct plan_resources *r = &l->found.plan.resources;
	struct config_machine machine;
	char asked[UNITS_TEXT_MAX], have[UNITS_TEXT_MAX];
	config_machine(&machine);
	const uint64_t memory = machine.memory_bytes / 4 * 3;
	if (r->cpus > machine.cores) {
		snprintf(asked, sizeof asked, "%llu", (unsigned long long)r->cpus);
		snprintf(have, sizeof have, "%u", machine.cores);
		too_much(l, "cpus", asked, have);
	}
	if (r->memory_bytes > memory)
		too_much(l, "memory", units_format_size(asked, r->memory_bytes), units_format_size(have, memory));
	for (size_t i = 0; i < l->found.plan.steps_len; i++) {
		const struct plan_step *step = &l->found.plan.steps[i];
		struct lint_finding *f = r->timeout_ms && step->timeout_ms > r->timeout_ms ? lint_add(l, LINT_ERROR) : NULL;
		if (!f)
			continue;
		f->line = step->line;
		f->column = step->column;
		snprintf(f->text, sizeof f->text, "steps[%zu].timeout: %s is more than the whole job has (%s)", i,
			 units_format_duration(asked, step->timeout_ms), units_format_duration(have, r->timeout_ms));
	}
}

void lintplace_check(struct lint *l, const char *home)
{
	struct workplace place;
	if (*l->found.plan.image && !workplace_find(home, &place, NULL))
		check_image(l, place.images);
	check_resources(l);
}
