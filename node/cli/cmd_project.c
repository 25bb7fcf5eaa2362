/* talkoo project create/list/show, follow, unfollow, forget. */
#include <inttypes.h>
#include <string.h>

#include "node/cli/cmds.h"
#include "node/cli/nodecall.h"
#include "node/cli/resolve.h"
#include "proto/base/cleanup.h"
#include "proto/base/units.h"

static json_t *list_of(const struct cli *c, const char *option)
{
	json_t *list = json_array();
	const char *text;
	for (size_t i = 0; (text = cli_option_at(c, option, i)); i++)
		json_array_append_new(list, json_string(text));
	return list;
}

/* Ids that get rights: checked here too, so that the message names the option. */
static int check_ids(const struct cli *c, const char *option, struct err *err)
{
	struct node_id id;
	const char *text;
	for (size_t i = 0; (text = cli_option_at(c, option, i)); i++)
		if (node_id_parse(text, &id, err))
			return err_context(err, "--%s %s", option, text);
	return 0;
}

/* A path means the local repository there. */
static json_t *urls_of(const struct cli *c)
{
	json_t *list = json_array();
	const char *text;
	for (size_t i = 0; (text = cli_option_at(c, "url", i)); i++)
		json_array_append_new(list, *text == '/' ? json_sprintf("file://%s", text) : json_string(text));
	return list;
}

int cmd_project_create(struct cli *c, struct err *err)
{
	CLEANUP(client_free_json) json_t *answer = NULL;
	if (!cli_has(c, "url")) {
		err_set(err, ERR_USAGE, "project create: wants --url: where is the repository cloned from?");
		return err_hint(err, "--url https://example.org/demo.git, or --url file:///srv/git/demo.git for a local one");
	}
	int code = check_ids(c, "maintainer", err);
	if (!code)
		code = check_ids(c, "volunteer", err);
	if (code)
		return code;
	code = nodecall(c,
			json_pack("{s:s,s:s,s:o,s:o,s:o}", "op", "project.create", "name", cli_arg(c, 0), "urls", urls_of(c),
				  "maintainers", list_of(c, "maintainer"), "volunteers", list_of(c, "volunteer")),
			&answer, err);
	if (code)
		return code;
	if (c->out.json) {
		out_json(&c->out, answer);
		return 0;
	}
	out_print(&c->out, OUT_PLAIN, "%s\n", jtext(answer, "link"));
	out_note(&c->out, OUT_PLAIN, "this link is what others 'talkoo allow' or 'talkoo follow'; write it as 'project:' into .talkoo.yml\n");
	return 0;
}

int cmd_project_list(struct cli *c, struct err *err)
{
	static const char *const columns[] = {"PROJECT", "NAME", "ALIAS", "ROLE", "ALLOWED", "URL"};
	CLEANUP(client_free_json) json_t *answer = NULL;
	const int code = nodecall_shown(c, json_pack("{s:s}", "op", "project.list"), &answer, err);
	if (code || !answer)
		return code;
	CLEANUP(out_table_free) struct out_table *table = out_table_new(columns, ARRAY_LEN(columns));
	const json_t *projects = json_object_get(answer, "projects"), *each;
	size_t i;
	json_array_foreach(projects, i, each) {
		char id[13];
		const bool allowed = jbool(each, "allowed");
		const char *url = json_string_value(json_array_get(json_object_get(each, "urls"), 0));
		snprintf(id, sizeof id, "%s", jtext(each, "project"));
		out_table_cell(table, OUT_PLAIN, id);
		out_table_cell(table, OUT_BOLD, jtext(each, "name"));
		out_table_cell(table, OUT_PLAIN, jtext(each, "alias"));
		out_table_cell(table, OUT_PLAIN, jtext(each, "role"));
		out_table_cell(table, allowed ? OUT_GOOD : OUT_DIM, allowed ? "yes" : "no");
		out_table_cell(table, OUT_PLAIN, url);
	}
	out_table_print(table, &c->out);
	if (!json_array_size(projects))
		out_note(&c->out, OUT_PLAIN, "no projects yet: 'talkoo project create' makes one, 'talkoo follow LINK' follows one\n");
	return 0;
}

static void print_ids(struct out *o, const char *title, const json_t *ids)
{
	size_t i;
	const json_t *each;
	json_array_foreach(ids, i, each) {
		const char *id = json_is_string(each) ? json_string_value(each) : jtext(each, "key");
		out_print(o, OUT_PLAIN, "%-12s %s\n", i ? "" : title, OUT_FOREIGN(id));
	}
}

static void print_project(struct out *o, const json_t *p)
{
	char ago[UNITS_TEXT_MAX + 8];
	out_print(o, OUT_BOLD, "%s\n", OUT_FOREIGN(jtext(p, "name")));
	out_print(o, OUT_PLAIN, "link         %s\n", OUT_FOREIGN(jtext(p, "link")));
	out_print(o, OUT_PLAIN, "project      %s\n", jtext(p, "project"));
	if (*jtext(p, "alias"))
		out_print(o, OUT_PLAIN, "alias        %s\n", OUT_FOREIGN(jtext(p, "alias")));
	out_print(o, OUT_PLAIN, "role         %s, %s\n", jtext(p, "role"), jbool(p, "allowed") ? "allowed: built here" : "not allowed: not built here");
	print_ids(o, "urls", json_object_get(p, "urls"));
	if (*jtext(p, "founder"))
		out_print(o, OUT_PLAIN, "founder      %s\n", jtext(p, "founder"));
	print_ids(o, "maintainers", json_object_get(p, "maintainers"));
	print_ids(o, "former", json_object_get(p, "former"));
	print_ids(o, "volunteers", json_object_get(p, "volunteers"));
	if (*jtext(p, "created"))
		out_print(o, OUT_PLAIN, "created      %s (%s)\n", jtext(p, "created"), time_ago(ago, jtext(p, "created")));
}

int cmd_project_show(struct cli *c, struct err *err)
{
	CLEANUP(client_close) struct client *client = NULL;
	CLEANUP(client_free_json) json_t *answer = NULL;
	char project[LINK_TEXT_MAX], id[ID32_TEXT_MAX];
	int code = nodecall_open(c, &client, err);
	if (!code)
		code = resolve_project(client, cli_arg(c, 0), RESOLVE_READ, project, err);
	if (!code)
		code = resolve_project_id(project, id, err);
	if (!code)
		code = nodecall_on(client, json_pack("{s:s,s:s}", "op", "project.show", "project", id), &answer, err);
	if (code)
		return code;
	if (c->out.json)
		out_json(&c->out, answer);
	else
		print_project(&c->out, answer);
	return 0;
}

static int follow(struct cli *c, const char *op, enum resolve_use use, const char *alias, const char *says, struct err *err)
{
	CLEANUP(client_close) struct client *client = NULL;
	CLEANUP(client_free_json) json_t *answer = NULL;
	char project[LINK_TEXT_MAX];
	int code = nodecall_open(c, &client, err);
	if (!code)
		code = resolve_project(client, cli_arg(c, 0), use, project, err);
	if (code)
		return code;
	json_t *request = json_pack("{s:s,s:s}", "op", op, "project", project);
	jset_text(request, "alias", alias);
	code = nodecall_on(client, request, &answer, err);
	if (code)
		return code;
	if (c->out.json)
		out_json(&c->out, answer);
	out_print(&c->out, OUT_PLAIN, "%s\n", says);
	return 0;
}

int cmd_follow(struct cli *c, struct err *err)
{
	return follow(c, "follow", RESOLVE_GRANT, cli_option(c, "as"), "following ('talkoo allow' also has it built here)", err);
}

int cmd_unfollow(struct cli *c, struct err *err)
{
	return follow(c, "unfollow", RESOLVE_READ, NULL, "no longer following", err);
}

int cmd_forget(struct cli *c, struct err *err)
{
	CLEANUP(client_close) struct client *client = NULL;
	CLEANUP(client_free_json) json_t *answer = NULL;
	char project[LINK_TEXT_MAX], size[UNITS_TEXT_MAX];
	int code = nodecall_open(c, &client, err);
	if (!code)
		code = resolve_project(client, cli_arg(c, 0), RESOLVE_READ, project, err);
	if (!code)
		code = nodecall_on(client, json_pack("{s:s,s:s}", "op", "forget", "project", project), &answer, err);
	if (code)
		return code;
	if (c->out.json)
		out_json(&c->out, answer);
	const uint64_t jobs = jnumber(answer, "jobs"), running = jnumber(answer, "running");
	out_print(&c->out, OUT_PLAIN, "no longer following; files of %" PRIu64 " job%s removed, %s\n", jobs, jobs == 1 ? "" : "s",
		  units_format_size(size, jnumber(answer, "bytes")));
	if (running && !c->out.json)
		out_note(&c->out, OUT_WARN, "note: %" PRIu64 " of its jobs run%s here, and their files stay; 'talkoo deny --kill' ends them\n",
			 running, running == 1 ? "s" : "");
	return 0;
}
