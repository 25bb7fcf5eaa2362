/* talkoo watch, results. */
#include "node/cli/cmds.h"
#include "node/cli/nodecall.h"
#include "node/cli/resolve.h"
#include "node/cli/verdictview.h"
#include "proto/base/cleanup.h"

/* The query that the arguments mean; a checkout's own project counts where none is named, if it says one. */
static int find_query(struct cli *c, struct client *client, struct resolve_target *target, struct verdictview_query *q, struct err *err)
{
	char project[LINK_TEXT_MAX];
	int code = verdictview_options(c, q, err);
	if (!code)
		code = resolve_target(client, cli_arg(c, 0), target, err);
	if (code)
		return code;
	q->is_job = target->is_job;
	q->target = target->id;
	const char *named = cli_option(c, "project");
	if (!named && target->is_job)
		return 0;
	code = resolve_project(client, named, RESOLVE_READ, project, named ? err : NULL);
	if (code)
		return named ? code : 0; /* the node knows whether one project has that commit */
	return resolve_project_id(project, q->project, err);
}

int cmd_watch(struct cli *c, struct err *err)
{
	CLEANUP(client_close) struct client *client = NULL;
	struct resolve_target target;
	struct verdictview_query query = {0};
	int code = nodecall_open(c, &client, err);
	if (!code)
		code = find_query(c, client, &target, &query, err);
	return code ? code : verdictview_watch(c, client, &query, err);
}

int cmd_results(struct cli *c, struct err *err)
{
	CLEANUP(client_close) struct client *client = NULL;
	CLEANUP(client_free_json) json_t *results = NULL;
	struct resolve_target target;
	struct verdictview_query query = {0};
	int code = nodecall_open(c, &client, err);
	if (!code)
		code = find_query(c, client, &target, &query, err);
	if (!code)
		code = verdictview_ask(client, &query, &results, err);
	if (code)
		return code;
	verdictview_print(&c->out, results);
	return cli_has(c, "exit-code") ? verdictview_exit_code(results) : 0;
}
