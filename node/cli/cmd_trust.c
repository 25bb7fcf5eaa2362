/* talkoo trust add/list/remove. */
#include "node/cli/cmds.h"
#include "node/cli/nodecall.h"
#include "proto/base/cleanup.h"
#include "proto/base/units.h"
#include "proto/ids.h"

int cmd_trust_add(struct cli *c, struct err *err)
{
	CLEANUP(client_free_json) json_t *answer = NULL;
	struct node_id id;
	char text[NODE_ID_TEXT_MAX];
	int code = node_id_parse(cli_arg(c, 0), &id, err);
	if (code)
		return code;
	json_t *request = json_pack("{s:s,s:s}", "op", "trust.add", "node", node_id_format(text, &id));
	jset_text(request, "operator", cli_option(c, "operator"));
	code = nodecall(c, request, &answer, err);
	if (code)
		return code;
	if (c->out.json)
		out_json(&c->out, answer);
	out_print(&c->out, OUT_PLAIN, "trusted: %s%s%s\n", text, cli_option(c, "operator") ? ", run by " : "",
		  cli_option(c, "operator") ? cli_option(c, "operator") : "");
	return 0;
}

int cmd_trust_remove(struct cli *c, struct err *err)
{
	CLEANUP(client_free_json) json_t *answer = NULL;
	struct node_id id;
	char text[NODE_ID_TEXT_MAX];
	int code = node_id_parse(cli_arg(c, 0), &id, err);
	if (!code)
		code = nodecall(c, json_pack("{s:s,s:s}", "op", "trust.remove", "node", node_id_format(text, &id)), &answer, err);
	if (code)
		return code;
	if (c->out.json)
		out_json(&c->out, answer);
	out_print(&c->out, OUT_PLAIN, "no longer trusted: %s\n", text);
	return 0;
}

int cmd_trust_list(struct cli *c, struct err *err)
{
	static const char *const columns[] = {"OPERATOR", "NODE", "SINCE"};
	CLEANUP(client_free_json) json_t *answer = NULL;
	const int code = nodecall_shown(c, json_pack("{s:s}", "op", "trust.list"), &answer, err);
	if (code || !answer)
		return code;
	CLEANUP(out_table_free) struct out_table *table = out_table_new(columns, ARRAY_LEN(columns));
	const json_t *list = json_object_get(answer, "trust"), *each;
	size_t i;
	json_array_foreach(list, i, each) {
		char ago[UNITS_TEXT_MAX + 8];
		out_table_cell(table, OUT_BOLD, *jtext(each, "operator") ? jtext(each, "operator") : "-");
		out_table_cell(table, OUT_PLAIN, jtext(each, "node"));
		out_table_cell(table, OUT_DIM, *jtext(each, "since") ? time_ago(ago, jtext(each, "since")) : "");
	}
	out_table_print(table, &c->out);
	if (!json_array_size(list))
		out_note(&c->out, OUT_PLAIN, "you trust nobody yet (not even this node): 'talkoo trust add ID --operator NAME'\n");
	return 0;
}
