#include "runner/plan/plan_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/sanitise.h"

#define SCRIPTS_MAX (4u << 20) /* bytes of all of a plan's commands and preludes */

static size_t scripts_len(const struct plan *p)
{
	size_t sum = 0;
	for (size_t i = 0; i < p->steps_len; i++)
		sum += strlen(p->steps[i].run) + (p->steps[i].prelude ? strlen(p->steps[i].prelude) : 0);
	return sum;
}

static void place_step(struct plan_step *step, const struct plan_new_step *s)
{
	if (!s->from)
		return;
	step->line = s->from->line;
	step->column = s->from->column;
	if (s->is_text && s->from->style == YAML_STYLE_LITERAL)
		step->first_line = s->from->line + 1;
	else if (s->is_text && !strchr(s->run, '\n'))
		step->first_line = s->from->line;
}

int plan_add_step(struct plan *plan, const struct plan_new_step *s, struct err *err)
{
	if (plan->steps_len >= PLAN_STEPS_MAX)
		return err_set(err, ERR_LIMIT, "the plan has more than %d steps", PLAN_STEPS_MAX);
	if (scripts_len(plan) + strlen(s->run) + (s->prelude ? strlen(s->prelude) : 0) > SCRIPTS_MAX)
		return err_set(err, ERR_LIMIT, "the plan's commands and variables are too long");
	struct plan_step *grown = reallocarray(plan->steps, plan->steps_len + 1, sizeof *grown);
	if (!grown)
		return err_set(err, ERR_NOMEM, "out of memory");
	plan->steps = grown;
	struct plan_step *step = &grown[plan->steps_len];
	*step = (struct plan_step){.run = strdup(s->run), .prelude = s->prelude ? strdup(s->prelude) : NULL};
	if (!step->run || (s->prelude && !step->prelude)) {
		free(step->run);
		free(step->prelude);
		return err_set(err, ERR_NOMEM, "out of memory");
	}
	plan->steps_len++;
	place_step(step, s);
	if (s->name)
		sanitise_line(step->name, sizeof step->name, s->name);
	else
		plan_name_step(step);
	return 0;
}

int plan_add_env(struct plan *plan, const char *name, const char *value, struct err *err)
{
	struct plan_env *grown = reallocarray(plan->env, plan->env_len + 1, sizeof *grown);
	if (!grown)
		return err_set(err, ERR_NOMEM, "out of memory");
	plan->env = grown;
	grown[plan->env_len] = (struct plan_env){.value = strdup(value)};
	snprintf(grown[plan->env_len].name, sizeof grown->name, "%s", name);
	if (!grown[plan->env_len].value)
		return err_set(err, ERR_NOMEM, "out of memory");
	plan->env_len++;
	return 0;
}

void plan_note(struct plan *plan, const char *fmt, ...)
{
	if (plan->notes_len >= PLAN_NOTES_MAX)
		return;
	va_list args;
	va_start(args, fmt);
	vsnprintf(plan->notes[plan->notes_len++], sizeof plan->notes[0], fmt, args);
	va_end(args);
}

bool plan_env_name_is_valid(const char *name)
{
	for (const char *p = name; *p; p++) {
		const bool is_letter = (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || *p == '_';
		if (!is_letter && !(p > name && *p >= '0' && *p <= '9'))
			return false;
	}
	return *name && strlen(name) < PLAN_ENV_NAME_MAX;
}

void plan_quote(struct buf *out, const char *text)
{
	buf_byte(out, '\'');
	for (const char *p = text; *p; p++) {
		if (*p == '\'')
			buf_str(out, "'\\''");
		else
			buf_byte(out, (uint8_t)*p);
	}
	buf_byte(out, '\'');
}
