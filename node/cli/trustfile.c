#include "node/cli/trustfile.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/schema.h"
#include "proto/base/yaml.h"

void trustfile_release(struct trustfile *t)
{
	free(t->entries);
	*t = (struct trustfile){0};
}

const struct trustfile_entry *trustfile_find(const struct trustfile *t, const struct node_id *node)
{
	for (size_t i = 0; i < t->len; i++)
		if (node_id_eq(&t->entries[i].node, node))
			return &t->entries[i];
	return NULL;
}

static int room_for(const char *name, size_t len, struct trustfile *t, struct err *err)
{
	if (len > TRUSTFILE_NODES_MAX)
		return err_set(err, ERR_LIMIT, "%s: more than %d nodes", name, TRUSTFILE_NODES_MAX);
	t->entries = calloc(len + 1, sizeof *t->entries);
	return t->entries ? 0 : err_set(err, ERR_NOMEM, "out of memory");
}

int trustfile_from_json(const char *name, const json_t *root, struct trustfile *ret, struct err *err)
{
	const json_t *list = json_is_object(root) ? json_object_get(root, "trust") : root, *each;
	CLEANUP(trustfile_release) struct trustfile t = {0};
	size_t i;
	if (!json_is_array(list))
		return err_set(err, ERR_INVALID, "%s: no list 'trust'", name);
	int code = room_for(name, json_array_size(list), &t, err);
	if (code)
		return code;
	json_array_foreach(list, i, each) {
		struct trustfile_entry *entry = &t.entries[t.len++];
		const char *node = json_string_value(json_object_get(each, "node"));
		const json_t *operator_name = json_object_get(each, "operator");
		if (!node || (operator_name && !json_is_string(operator_name) && !json_is_null(operator_name)))
			return err_set(err, ERR_INVALID, "%s: trust[%zu]: wants \"node\" and perhaps \"operator\", both texts", name, i);
		code = node_id_parse(node, &entry->node, err);
		if (code)
			return err_context(err, "%s: trust[%zu].node", name, i);
		const char *text = json_string_value(operator_name);
		if (text && strlen(text) >= sizeof entry->operator_name)
			return err_set(err, ERR_INVALID, "%s: trust[%zu].operator: longer than %zu bytes", name, i, sizeof entry->operator_name - 1);
		strcpy(entry->operator_name, text ? text : "");
	}
	*ret = t;
	t = (struct trustfile){0};
	return 0;
}

static int read_node(const struct yaml_node *value, void *record, struct err *err)
{
	struct trustfile_entry *entry = record;
	const char *text;
	struct err why = {0};
	int code = schema_text(value, 1, NODE_ID_TEXT_MAX, &text, err);
	if (!code && node_id_parse(text, &entry->node, &why)) {
		code = yaml_err(value, err, "%s", why.what);
		if (*why.hint)
			err_hint(err, "%s", why.hint);
	}
	return code;
}

static int read_list(const struct yaml_node *value, void *record, struct err *err)
{
	static const struct schema_field fields[] = {
		{.name = "node", .kind = SCHEMA_OTHER, .is_required = true, .read = read_node, .help = "the full node id"},
		{.name = "operator", .kind = SCHEMA_TEXT, SCHEMA_AT(struct trustfile_entry, operator_name), .help = "who runs it"},
	};
	struct trustfile *t = record;
	int code = schema_list(value, 0, TRUSTFILE_NODES_MAX, err);
	if (!code)
		code = room_for("trust", value->len, t, err);
	for (const struct yaml_node *each = value->first; each && !code; each = each->next)
		code = schema_read(each, fields, ARRAY_LEN(fields), &t->entries[t->len++], err);
	return code;
}

static int parse_yaml(const char *name, const char *text, size_t len, struct trustfile *ret, struct err *err)
{
	static const struct schema_field fields[] = {
		{.name = "trust", .kind = SCHEMA_OTHER, .is_required = true, .read = read_list, .help = "nodes whose results count"},
	};
	CLEANUP(yaml_release) struct yaml doc = {0};
	CLEANUP(trustfile_release) struct trustfile t = {0};
	int code = yaml_parse(&doc, name, text, len, TRUSTFILE_BYTES_MAX, err);
	if (!code && (!doc.root || (doc.root->type == YAML_TEXT && !doc.root->text_len))) {
		err_set(err, ERR_INVALID, "%s: empty", name);
		code = err_hint(err, "an empty trust set is written 'trust: []'");
	}
	if (!code)
		code = schema_read(doc.root, fields, ARRAY_LEN(fields), &t, err);
	if (code)
		return code;
	*ret = t;
	t = (struct trustfile){0};
	return 0;
}

int trustfile_parse(const char *name, const char *text, size_t len, struct trustfile *ret, struct err *err)
{
	const size_t blank = strspn(text, " \t\r\n");
	if (blank >= len || (text[blank] != '{' && text[blank] != '['))
		return parse_yaml(name, text, len, ret, err);
	json_error_t why;
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		return err_set(err, ERR_INVALID, "%s:%d: not JSON: %s", name, why.line, why.text);
	const int code = trustfile_from_json(name, root, ret, err);
	json_decref(root);
	return code;
}
