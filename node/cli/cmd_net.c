/* talkoo peers, connect. */
#include <string.h>
#include <time.h>

#include "node/cli/cmds.h"
#include "node/cli/nodecall.h"
#include "proto/base/cleanup.h"
#include "proto/base/units.h"
#include "proto/ids.h"

#define CONNECT_TRIES 100
#define CONNECT_PAUSE_NS 100000000L

int cmd_peers(struct cli *c, struct err *err)
{
	static const char *const columns[] = {"NODE", "ADDRESS", "DIRECTION", "AGE", "IN", "OUT", "TOPICS"};
	CLEANUP(client_free_json) json_t *answer = NULL;
	CLEANUP(out_table_free) struct out_table *table = out_table_new(columns, ARRAY_LEN(columns));
	const int code = nodecall_shown(c, json_pack("{s:s}", "op", "peers"), &answer, err);
	if (code || !answer)
		return code;
	const json_t *list = json_object_get(answer, "peers"), *p;
	size_t i;
	json_array_foreach(list, i, p) {
		char age[UNITS_TEXT_MAX], in[UNITS_TEXT_MAX], out[UNITS_TEXT_MAX], topics[UNITS_TEXT_MAX], way[16];
		snprintf(topics, sizeof topics, "%llu", (unsigned long long)jnumber(p, "topics"));
		snprintf(way, sizeof way, "%s%s", jtext(p, "direction"), json_is_true(json_object_get(p, "seed")) ? ", seed" : "");
		out_table_cell(table, OUT_PLAIN, jtext(p, "node"));
		out_table_cell(table, OUT_PLAIN, jtext(p, "address"));
		out_table_cell(table, OUT_PLAIN, way);
		out_table_cell(table, OUT_PLAIN, units_format_duration(age, jnumber(p, "age_ms")));
		out_table_cell(table, OUT_PLAIN, units_format_size(in, jnumber(p, "bytes_in")));
		out_table_cell(table, OUT_PLAIN, units_format_size(out, jnumber(p, "bytes_out")));
		out_table_cell(table, OUT_PLAIN, topics);
	}
	out_table_print(table, &c->out);
	if (*jtext(answer, "address"))
		out_note(&c->out, OUT_PLAIN, "others reach this node at %s\n", jtext(answer, "address"));
	if (!json_array_size(list))
		out_note(&c->out, OUT_PLAIN, "no peers: `talkoo connect ID@HOST:PORT`, or `seeds:` in config.yml\n");
	return 0;
}

static bool is_connected(const json_t *answer, const struct node_id *id)
{
	char text[NODE_ID_TEXT_MAX];
	const json_t *p;
	size_t i;
	node_id_format(text, id);
	json_array_foreach(json_object_get(answer, "peers"), i, p)
		if (!strcmp(jtext(p, "node"), text))
			return true;
	return false;
}

int cmd_connect(struct cli *c, struct err *err)
{
	CLEANUP(client_close) struct client *client = NULL;
	CLEANUP(client_free_json) json_t *answer = NULL;
	struct node_addr addr;
	int code = node_addr_parse(cli_arg(c, 0), &addr, err);
	if (!code)
		code = nodecall_open(c, &client, err);
	if (!code)
		code = nodecall_on(client, json_pack("{s:s,s:s}", "op", "connect", "address", cli_arg(c, 0)), &answer, err);
	for (int i = 0; i < CONNECT_TRIES && !code; i++) {
		const struct timespec pause = {.tv_nsec = CONNECT_PAUSE_NS};
		CLEANUP(client_free_json) json_t *peers = NULL;
		code = nodecall_on(client, json_pack("{s:s}", "op", "peers"), &peers, err);
		if (!code && is_connected(peers, &addr.id)) {
			if (c->out.json)
				out_json(&c->out, answer);
			out_print(&c->out, OUT_PLAIN, "connected\n");
			return 0;
		}
		nanosleep(&pause, NULL);
	}
	if (code)
		return code;
	err_set(err, ERR_UNREACHABLE, "cannot connect to %.80s: nobody with that id answers there yet", cli_arg(c, 0));
	return err_hint(err, "the node keeps trying; check address and id (`talkoo peers` on the other side prints its own)");
}
