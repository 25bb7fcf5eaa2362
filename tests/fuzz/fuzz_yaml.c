/* Any bytes as strict YAML; the tree that comes out must be whole: every place, path and text can be read. */
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/utf8.h"
#include "proto/base/yaml.h"
#include "tests/fuzz/fuzz.h"

/* Without recursion: down to the first child, else on to the next one of the nearest ancestor that has one. */
static const struct yaml_node *following(const struct yaml_node *node)
{
	if (node->first)
		return node->first;
	while (node && !node->next)
		node = node->parent;
	return node ? node->next : NULL;
}

static void check_node(const struct yaml_node *node)
{
	char path[64];
	struct err err;
	if (yaml_err_key(node, &err, "x") != ERR_INVALID || !yaml_path(node, path, sizeof path))
		abort();
	if (!node->line || !node->column || !node->doc || (node->type == YAML_TEXT) != (node->text != NULL))
		abort();
	if (node->text && (strlen(node->text) != node->text_len ||
			   !utf8_is_valid((const uint8_t *)node->text, node->text_len)))
		abort();
	uint32_t children = 0;
	for (const struct yaml_node *c = node->first; c; c = c->next, children++) {
		if (c->parent != node || c->index != children || (node->type == YAML_MAP && yaml_get(node, c->key) != c))
			abort();
	}
	if (children != node->len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(yaml_release) struct yaml doc = {0};
	struct err err = {0};
	if (yaml_parse(&doc, "fuzz.yml", data, size, YAML_BYTES_MAX, &err) < 0) {
		if (!err.what[0] || doc.root)
			abort();
		return 0;
	}
	for (const struct yaml_node *n = doc.root; n; n = following(n))
		check_node(n);
	return 0;
}
