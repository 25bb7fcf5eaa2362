#include "runner/plan/ambient_args.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++) {
		if (!strcmp(text, *words))
			return true;
	}
	return false;
}

static json_t *number(const char *text)
{
	const char *digits = text + (*text == '-' || *text == '+');
	const size_t whole = strspn(digits, "0123456789");
	char *end;
	if (!whole || (whole > 1 && digits[0] == '0'))
		return NULL;
	errno = 0;
	if (!digits[whole]) {
		const long long n = strtoll(text, &end, 10);
		return errno ? NULL : json_integer(n);
	}
	if (digits[whole] != '.' && digits[whole] != 'e' && digits[whole] != 'E')
		return NULL;
	const double d = strtod(text, &end);
	return errno || *end || !isfinite(d) ? NULL : json_real(d);
}

/* Only what is not quoted has a type of its own. */
static json_t *scalar(const struct yaml_node *node)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
	static const char *const trues[] = {"true", "True", "TRUE", NULL};
	static const char *const falses[] = {"false", "False", "FALSE", NULL};
	if (node->style == YAML_STYLE_PLAIN) {
		if (is_one_of(node->text, nulls))
			return json_null();
		if (is_one_of(node->text, trues))
			return json_true();
		if (is_one_of(node->text, falses))
			return json_false();
		json_t *n = number(node->text);
		if (n)
			return n;
	}
	return json_string(node->text);
}

static json_t *value_of(const struct yaml_node *node)
{
	switch (node->type) {
	case YAML_TEXT: return scalar(node);
	case YAML_LIST: return json_array();
	case YAML_MAP: return json_object();
	}
	return NULL;
}

static int put(json_t *parent, const struct yaml_node *node, json_t *value)
{
	return json_is_array(parent) ? json_array_append_new(parent, value) : json_object_set_new(parent, node->key, value);
}

json_t *ambient_args_json(const struct yaml_node *node)
{
	/* a walk without recursion: the open maps and lists from the top down */
	json_t *open[YAML_DEPTH_MAX + 1] = {value_of(node)};
	const struct yaml_node *next[YAML_DEPTH_MAX + 1] = {node->first};
	size_t depth = 0;
	if (!open[0] || node->type == YAML_TEXT)
		return open[0];
	for (;;) {
		const struct yaml_node *child = next[depth];
		if (!child && depth == 0)
			return open[0];
		if (!child) {
			depth--;
			continue;
		}
		next[depth] = child->next;
		json_t *value = value_of(child);
		if (put(open[depth], child, value) < 0) {
			json_decref(open[0]);
			return NULL;
		}
		if (child->type != YAML_TEXT && depth < YAML_DEPTH_MAX) {
			depth++;
			open[depth] = value; /* lent: its parent holds it */
			next[depth] = child->first;
		}
	}
}
