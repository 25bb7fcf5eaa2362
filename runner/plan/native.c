/* `.radicle/native.yaml`, the plan of Radicle's native adapter: one key, `shell`. */
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/schema.h"
#include "runner/plan/plan_parts.h"

static int read_shell(const struct yaml_node *value, void *record, struct err *err)
{
	const char *text;
	const int rc = schema_text(value, 1, PLAN_BYTES_MAX, &text, err);
	if (rc)
		return rc;
	if (!text[strspn(text, " \t\n")])
		return yaml_err(value, err, "has no commands");
	return plan_add_step(record, &(struct plan_new_step){.prelude = "set -xeuo pipefail\n", .run = text, .from = value, .is_text = true},
			     err);
}

static const struct schema_field fields[] = {
	{.name = "shell", .kind = SCHEMA_OTHER, .is_required = true, .read = read_shell, .help = "shell commands (bash)"},
};

int plan_native_parse(const char *path, const void *bytes, size_t len, const struct plan_tree *tree, struct plan *ret, struct err *err)
{
	(void)tree;
	CLEANUP(yaml_release) struct yaml doc = {0};
	CLEANUP(plan_release) struct plan plan = {0};
	int rc = yaml_parse(&doc, path, bytes, len, PLAN_BYTES_MAX, err);
	if (!rc)
		rc = schema_read(doc.root, fields, ARRAY_LEN(fields), &plan, err);
	if (rc)
		return rc;
	*ret = plan;
	memset(&plan, 0, sizeof plan);
	return 0;
}
