/* A plan's matrix: the key `matrix` of a .talkoo.yml, its cells in order, and the plan of one cell. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/schema.h"
#include "runner/plan/plan_parts.h"

#define VALUE_MAX 128 /* bytes; what a cell's name holds of each */

void plan_matrix_release(struct plan_matrix *m)
{
	for (size_t i = 0; i < m->axes_len; i++) {
		for (size_t k = 0; k < m->axes[i].values_len; k++)
			free(m->axes[i].values[k]);
	}
	free(m->axes);
	free(m->images);
	memset(m, 0, sizeof *m);
}

/* A value is part of a cell's name: short, printable, without what joins the parts. */
static int read_value(const struct yaml_node *value, const char **ret, struct err *err)
{
	const int rc = schema_text(value, 1, VALUE_MAX - 1, ret, err);
	for (const char *p = *ret; !rc && *p; p++) {
		if ((unsigned char)*p <= ' ' || *p == ',' || *p == 0x7f) {
			yaml_err(value, err, "has a blank or a comma");
			err_hint(err, "values of a matrix name its cells; set longer ones in a step, by the short one");
			return ERR_INVALID;
		}
	}
	for (const struct yaml_node *c = value->parent->first; !rc && c != value; c = c->next) {
		if (c->type == YAML_TEXT && !strcmp(c->text, *ret))
			return yaml_err(value, err, "stands there twice");
	}
	return rc;
}

static int read_images(const struct yaml_node *value, void *record, struct err *err)
{
	struct plan_matrix *m = record;
	int rc = schema_list(value, 1, PLAN_CELLS_MAX, err);
	if (rc)
		return rc;
	m->images = calloc(value->len, sizeof *m->images);
	if (!m->images)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (const struct yaml_node *c = value->first; c && !rc; c = c->next) {
		const char *text;
		rc = read_value(c, &text, err);
		if (!rc && !plan_image_is_valid(text)) {
			yaml_err(c, err, "is no image name");
			err_hint(err, "NAME or NAME@VERSION in lower case; `talkoo image list` shows what is here");
			return ERR_INVALID;
		}
		if (!rc)
			snprintf(m->images[m->images_len++], PLAN_IMAGE_MAX, "%s", text);
	}
	return rc;
}

static int read_axis(const struct yaml_node *value, struct plan_axis *axis, struct err *err)
{
	int rc = plan_check_env_name(value, err);
	if (!rc)
		rc = schema_list(value, 1, PLAN_CELLS_MAX, err);
	if (rc)
		return rc;
	snprintf(axis->name, sizeof axis->name, "%s", value->key);
	for (const struct yaml_node *c = value->first; c && !rc; c = c->next) {
		const char *text;
		rc = read_value(c, &text, err);
		if (rc)
			return rc;
		axis->values[axis->values_len] = strdup(text);
		if (!axis->values[axis->values_len++])
			return err_set(err, ERR_NOMEM, "out of memory");
	}
	return rc;
}

static int read_axes(const struct yaml_node *value, void *record, struct err *err)
{
	struct plan_matrix *m = record;
	int rc = schema_map(value, 1, PLAN_AXES_MAX, err);
	if (rc)
		return rc;
	m->axes = calloc(value->len, sizeof *m->axes);
	if (!m->axes)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (const struct yaml_node *c = value->first; c && !rc; c = c->next)
		rc = read_axis(c, &m->axes[m->axes_len++], err);
	return rc;
}

#define JSON_VALUES "{\"type\":\"array\",\"minItems\":1,\"maxItems\":32,\"uniqueItems\":true,\"items\":"
const struct schema_field plan_matrix_fields[PLAN_MATRIX_FIELDS_LEN] = {
	{.name = "image", .kind = SCHEMA_OTHER, .read = read_images, .help = "the images: NAME or NAME@VERSION",
	 .json = JSON_VALUES PLAN_JSON_IMAGE "}"},
	{.name = "environment", .kind = SCHEMA_OTHER, .read = read_axes, .help = "variables, each with the list of its values",
	 .json = "{\"type\":\"object\",\"minProperties\":1,\"maxProperties\":8," PLAN_JSON_ENV_NAMES
		 ",\"additionalProperties\":" JSON_VALUES PLAN_JSON_TEXT "}}"},
};

size_t plan_cells(const struct plan *p)
{
	const struct plan_matrix *m = &p->matrix;
	if (!m->images_len && !m->axes_len)
		return 0;
	size_t cells = m->images_len ? m->images_len : 1;
	/* both factors are at most PLAN_CELLS_MAX, and the product stops growing past it */
	for (size_t i = 0; i < m->axes_len && cells <= PLAN_CELLS_MAX; i++)
		cells *= m->axes[i].values_len;
	return cells;
}

int plan_read_matrix(const struct yaml_node *value, void *record, struct err *err)
{
	struct plan *plan = record;
	const int rc = schema_read(value, plan_matrix_fields, PLAN_MATRIX_FIELDS_LEN, &plan->matrix, err);
	if (rc)
		return rc;
	const size_t cells = plan_cells(plan);
	if (!cells) {
		yaml_err(value, err, "is empty");
		err_hint(err, "name images, variables or both, or leave the key out");
		return ERR_INVALID;
	}
	size_t longest = strlen("image=") + PLAN_IMAGE_MAX;
	for (size_t i = 0; i < plan->matrix.axes_len; i++) {
		size_t most = 0;
		for (size_t k = 0; k < plan->matrix.axes[i].values_len; k++)
			most = strlen(plan->matrix.axes[i].values[k]) > most ? strlen(plan->matrix.axes[i].values[k]) : most;
		longest += strlen(plan->matrix.axes[i].name) + most + 2;
	}
	if (cells > PLAN_CELLS_MAX || longest > PLAN_CELL_MAX) {
		yaml_err(value, err, cells > PLAN_CELLS_MAX ? "has more than %d cells" : "the names of its cells are longer than %d bytes",
			 cells > PLAN_CELLS_MAX ? PLAN_CELLS_MAX : PLAN_CELL_MAX - 1);
		err_hint(err, "every combination is a machine of somebody else's: choose fewer");
		return ERR_INVALID;
	}
	return 0;
}

/* The value of an axis in a cell: the last axis changes fastest. */
static const char *value_of(const struct plan_matrix *m, size_t axis, size_t cell)
{
	for (size_t i = m->axes_len; i-- > axis + 1;)
		cell /= m->axes[i].values_len;
	return m->axes[axis].values[cell % m->axes[axis].values_len];
}

static const char *image_of(const struct plan_matrix *m, size_t cell)
{
	for (size_t i = 0; i < m->axes_len; i++)
		cell /= m->axes[i].values_len;
	return m->images[cell];
}

void plan_cell_name(const struct plan *p, size_t cell, char ret[PLAN_CELL_MAX])
{
	const struct plan_matrix *m = &p->matrix;
	int len = 0;
	ret[0] = 0;
	if (m->images_len)
		len = snprintf(ret, PLAN_CELL_MAX, "image=%s", image_of(m, cell));
	for (size_t i = 0; i < m->axes_len && len < PLAN_CELL_MAX; i++)
		len += snprintf(ret + len, PLAN_CELL_MAX - (size_t)len, "%s%s=%s", len ? "," : "", m->axes[i].name, value_of(m, i, cell));
}

int plan_take_cell(struct plan *p, size_t cell, struct err *err)
{
	struct plan_matrix *m = &p->matrix;
	int rc = 0;
	if (m->images_len)
		snprintf(p->image, sizeof p->image, "%s", image_of(m, cell));
	for (size_t i = 0; i < m->axes_len && !rc; i++)
		rc = plan_add_env(p, m->axes[i].name, value_of(m, i, cell), err);
	plan_matrix_release(m);
	return rc;
}
