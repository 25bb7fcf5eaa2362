/* talkoo job announce/cancel/list/show. */
#include <stdlib.h>
#include <string.h>

#include "node/cli/cmds.h"
#include "node/cli/failview.h"
#include "node/cli/nodecall.h"
#include "node/cli/resolve.h"
#include "node/cli/treeplan.h"
#include "node/cli/verdictview.h"
#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/units.h"

#define INLINE_IMAGE "mini"
#define LIST_DEFAULT 20

struct announce {
	struct cli *c;
	struct client *client;
	struct gitrepo *repo; /* NULL outside a checkout */
	char project[ID32_TEXT_MAX];
	char commit[65], ref[256];
	uint64_t want;
	char (*cells)[PLAN_CELL_MAX]; /* owned; of the commit's plan */
	size_t cells_len;
	json_t *request;
};

static void announce_release(struct announce *a)
{
	client_close(&a->client);
	gitrepo_close(&a->repo);
	json_decref(a->request);
	free(a->cells);
}

/* Volunteers fetch the commit from the project's URL: it must have been pushed. */
static int find_ref(struct announce *a, const char *wanted, struct err *err)
{
	if (wanted) {
		const bool is_full = !strncmp(wanted, "refs/", 5);
		if (!*wanted || snprintf(a->ref, sizeof a->ref, "%s%s", is_full ? "" : "refs/heads/", wanted) >= (int)sizeof a->ref)
			return err_set(err, ERR_USAGE, "--ref %s: not a ref's name", wanted);
		return 0;
	}
	if (!a->repo) {
		err_set(err, ERR_USAGE, "on which ref is %.12s? This is no checkout that could say", a->commit);
		return err_hint(err, "add --ref, like --ref main");
	}
	const int code = gitrepo_pushed(a->repo, a->commit, a->ref, err);
	if (code || *a->ref)
		return code;
	err_set(err, ERR_REFUSED, "%.12s is on no branch of a remote, as far as this checkout knows: volunteers could not fetch it", a->commit);
	return err_hint(err, "push it to the project's repository ('git push', or 'git fetch' if it is there already), or name its ref there with --ref");
}

static int find_commit(struct announce *a, struct err *err)
{
	const char *text = cli_option(a->c, "commit");
	if (!text && !a->repo) {
		err_set(err, ERR_USAGE, "which commit? This is no checkout");
		return err_hint(err, "add --commit with the full id");
	}
	int code = resolve_commit(a->repo, text ? text : "HEAD", a->commit, err);
	if (!code && !hex_is_digits(a->commit, 40, 40) && !hex_is_digits(a->commit, 64, 64)) {
		err_set(err, ERR_USAGE, "--commit %s: an announcement needs the whole id", text);
		code = err_hint(err, "stand in a checkout that knows it, or give all 40 digits");
	}
	return code ? code : find_ref(a, cli_option(a->c, "ref"), err);
}

static int add_inline_plan(struct announce *a, const char *cmd, const char *image, struct err *err)
{
	CLEANUP(plan_found_release) struct plan_found found = {0};
	image = image ? image : INLINE_IMAGE;
	const int code = plan_inline(cmd, image, &found, err);
	if (code)
		return code;
	jset_text(a->request, "cmd", cmd);
	jset_text(a->request, "image", image);
	return 0;
}

/* What one cell of the commit's plan asks for; cell NULL: the first, or the plan without cells. */
static int add_tree_plan(struct announce *a, const char *cell, const char *image, struct err *err)
{
	CLEANUP(plan_found_release) struct plan_found found = {0};
	struct gitrepo_commit known;
	if (!a->repo || gitrepo_commit(a->repo, a->commit, &known, NULL)) {
		err_set(err, ERR_USAGE, "the plan of %.12s cannot be read: no checkout here has that commit", a->commit);
		return err_hint(err, "stand in a checkout of the project, or give the commands with --cmd");
	}
	const int code = treeplan_find_cell(a->repo, a->commit, cell, &found, err);
	if (code)
		return code;
	if (!image && !*found.plan.image) {
		err_set(err, ERR_USAGE, "%s names no image", found.path);
		return err_hint(err, "say with --image in which image volunteers run it, for example --image mini");
	}
	jset_text(a->request, "image", image ? image : found.plan.image);
	json_object_set_new(a->request, "plan",
			    json_pack("{s:s,s:s,s:s}", "path", found.path, "sha256", found.sha256, "origin", job_origin_name(found.origin)));
	jset_number(a->request, "cpus", found.plan.resources.cpus);
	jset_number(a->request, "memory", found.plan.resources.memory_bytes);
	jset_number(a->request, "disk", found.plan.resources.disk_bytes);
	jset_number(a->request, "timeout", found.plan.resources.timeout_ms);
	if (found.cells_len)
		jset_text(a->request, "cell", found.cell);
	jset_number(a->request, "cells", found.cells_len);
	if (!a->cells_len && found.cells_len) {
		a->cells = found.cells;
		a->cells_len = found.cells_len;
		found.cells = NULL;
	}
	return 0;
}

static int prepare(struct announce *a, struct err *err)
{
	char project[LINK_TEXT_MAX];
	int code = cli_number(a->c, "want", 1, 32, &a->want, err);
	if (!code)
		code = nodecall_open(a->c, &a->client, err);
	if (!code)
		code = resolve_project(a->client, cli_arg(a->c, 0), RESOLVE_READ, project, err);
	if (!code)
		code = resolve_project_id(project, a->project, err);
	return code ? code : find_commit(a, err);
}

/* One job. a->cells is known after the first. */
static int announce(struct announce *a, const char *cell, json_t **ret_answer, struct err *err)
{
	const char *cmd = cli_option(a->c, "cmd"), *image = cli_option(a->c, "image");
	json_decref(a->request);
	a->request = json_pack("{s:s,s:s,s:s,s:s,s:I,s:b}", "op", "job.announce", "project", a->project, "commit", a->commit, "ref", a->ref,
			       "want", (json_int_t)a->want, "new_only", (int)cli_has(a->c, "new-only"));
	if (!a->request)
		return err_set(err, ERR_USAGE, "an argument is not UTF-8 text");
	const int code = cmd ? add_inline_plan(a, cmd, image, err) : add_tree_plan(a, cell, image, err);
	return code ? code : nodecall_on(a->client, json_incref(a->request), ret_answer, err);
}

static void say_announced(struct cli *c, const struct announce *a, const json_t *answer, const char *cell)
{
	const char *job = jtext(answer, "job");
	if (c->out.json)
		out_json(&c->out, answer);
	out_print(&c->out, OUT_PLAIN, "%s\n", job);
	if (!jbool(answer, "created"))
		out_note(&c->out, OUT_PLAIN, "that job was there already\n");
	if (c->out.json || cli_has(c, "wait"))
		return;
	out_note(&c->out, OUT_PLAIN, "announced %.12s on %s", a->commit, a->ref);
	if (cell)
		out_note(&c->out, OUT_PLAIN, ", cell %s", OUT_FOREIGN(cell));
	out_note(&c->out, OUT_PLAIN, "; 'talkoo watch %.8s' waits for the verdict\n", cell ? a->commit : job);
}

int cmd_job_announce(struct cli *c, struct err *err)
{
	CLEANUP(announce_release) struct announce a = {.c = c, .repo = resolve_here(), .want = 1};
	CLEANUP(client_free_json) json_t *answer = NULL;
	struct verdictview_query query = {0};
	int code = verdictview_options(c, &query, err);
	if (!code)
		code = prepare(&a, err);
	if (!code)
		code = announce(&a, NULL, &answer, err);
	if (code)
		return code;
	say_announced(c, &a, answer, a.cells_len ? a.cells[0] : NULL);
	for (size_t i = 1; i < a.cells_len; i++) {
		CLEANUP(client_free_json) json_t *next = NULL;
		code = announce(&a, a.cells[i], &next, err);
		if (code)
			return code;
		say_announced(c, &a, next, a.cells[i]);
	}
	if (!cli_has(c, "wait"))
		return 0;
	query.is_job = !a.cells_len;
	memcpy(query.project, a.project, sizeof query.project);
	query.target = a.cells_len ? a.commit : jtext(answer, "job");
	query.output_to_notes = !c->out.json; /* stdout holds exactly the ids; with --json every object */
	return verdictview_watch(c, a.client, &query, err);
}

int cmd_job_cancel(struct cli *c, struct err *err)
{
	CLEANUP(client_free_json) json_t *answer = NULL;
	json_t *request = json_pack("{s:s,s:s}", "op", "job.cancel", "job", cli_arg(c, 0));
	jset_text(request, "reason", cli_option(c, "reason"));
	const int code = nodecall(c, request, &answer, err);
	if (code)
		return code;
	if (c->out.json)
		out_json(&c->out, answer);
	out_print(&c->out, OUT_PLAIN, "cancelled %s\n", *jtext(answer, "job") ? jtext(answer, "job") : cli_arg(c, 0));
	return 0;
}

static enum out_style state_style(const char *state)
{
	if (!strcmp(state, "running") || !strcmp(state, "claimed"))
		return OUT_GOOD;
	return !strcmp(state, "cancelled") || !strcmp(state, "lapsed") ? OUT_DIM : OUT_PLAIN;
}

static size_t count_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	return json_is_array(value) ? json_array_size(value) : (size_t)json_integer_value(value);
}

static int list_request(struct cli *c, struct client *client, json_t **ret, struct err *err)
{
	char project[LINK_TEXT_MAX], id[ID32_TEXT_MAX], commit[65];
	uint64_t limit = LIST_DEFAULT;
	int code = cli_number(c, "limit", 1, 10000, &limit, err);
	if (code)
		return code;
	json_t *request = json_pack("{s:s,s:I}", "op", "job.list", "limit", (json_int_t)limit);
	if (cli_option(c, "project")) {
		code = resolve_project(client, cli_option(c, "project"), RESOLVE_READ, project, err);
		if (!code)
			code = resolve_project_id(project, id, err);
		if (!code)
			jset_text(request, "project", id);
	}
	if (!code && cli_option(c, "commit")) {
		CLEANUP(gitrepo_close) struct gitrepo *repo = resolve_here();
		code = resolve_commit(repo, cli_option(c, "commit"), commit, err);
		if (!code)
			jset_text(request, "commit", commit);
	}
	if (code)
		json_decref(request);
	else
		*ret = request;
	return code;
}

int cmd_job_list(struct cli *c, struct err *err)
{
	static const char *const columns[] = {"JOB", "COMMIT", "REF", "PLAN", "STATE", "RESULTS", "ANNOUNCED"};
	CLEANUP(client_close) struct client *client = NULL;
	CLEANUP(client_free_json) json_t *answer = NULL;
	json_t *request = NULL;
	int code = nodecall_open(c, &client, err);
	if (!code)
		code = list_request(c, client, &request, err);
	if (!code)
		code = nodecall_on(client, request, &answer, err);
	if (code)
		return code;
	if (c->out.json) {
		out_json(&c->out, answer);
		return 0;
	}
	CLEANUP(out_table_free) struct out_table *table = out_table_new(columns, ARRAY_LEN(columns));
	const json_t *jobs = json_object_get(answer, "jobs"), *job;
	size_t i;
	json_array_foreach(jobs, i, job) {
		char id[13], commit[13], results[24], ago[UNITS_TEXT_MAX + 8];
		const json_t *plan = json_object_get(job, "plan");
		const char *ref = jtext(job, "ref");
		snprintf(id, sizeof id, "%s", jtext(job, "job"));
		snprintf(commit, sizeof commit, "%s", jtext(job, "commit"));
		snprintf(results, sizeof results, "%zu", count_of(job, "results"));
		out_table_cell(table, OUT_PLAIN, id);
		out_table_cell(table, OUT_PLAIN, commit);
		out_table_cell(table, OUT_PLAIN, !strncmp(ref, "refs/heads/", 11) ? ref + 11 : ref);
		out_table_cell(table, OUT_PLAIN, !strcmp(jtext(plan, "origin"), "inline") ? "--cmd" : jtext(plan, "path"));
		out_table_cell(table, state_style(jtext(job, "state")), jtext(job, "state"));
		out_table_cell(table, OUT_PLAIN, results);
		out_table_cell(table, OUT_DIM, time_ago(ago, jtext(job, "created")));
	}
	out_table_print(table, &c->out);
	if (!json_array_size(jobs))
		out_note(&c->out, OUT_PLAIN, "no jobs\n");
	return 0;
}

static void print_claims(struct out *o, const json_t *claims)
{
	size_t i;
	const json_t *claim;
	json_array_foreach(claims, i, claim) {
		char node[16], until[UNITS_TEXT_MAX + 8];
		out_print(o, OUT_PLAIN, "%-9s %s", i ? "" : "claimed", short_node(node, jtext(claim, "node")));
		if (*jtext(claim, "phase"))
			out_print(o, OUT_PLAIN, ", %s", OUT_FOREIGN(jtext(claim, "phase")));
		if (jnumber(claim, "steps"))
			out_print(o, OUT_PLAIN, ", step %llu of %llu", (unsigned long long)jnumber(claim, "step"), (unsigned long long)jnumber(claim, "steps"));
		if (jbool(claim, "live"))
			out_print(o, OUT_DIM, ", lease ends %s", time_ago(until, jtext(claim, "lease_until")));
		out_print(o, OUT_PLAIN, "\n");
	}
}

static void print_local(struct out *o, const json_t *local)
{
	char took[UNITS_TEXT_MAX], cpu[UNITS_TEXT_MAX], memory[UNITS_TEXT_MAX], bytes[UNITS_TEXT_MAX];
	if (jnumber(local, "count"))
		out_print(o, OUT_PLAIN, "here      step %llu of %llu, %s, ", (unsigned long long)jnumber(local, "step"),
			  (unsigned long long)jnumber(local, "count"), OUT_FOREIGN(jtext(local, "name")));
	else
		out_print(o, OUT_PLAIN, "here      %s, ", OUT_FOREIGN(jtext(local, "phase")));
	out_print(o, OUT_PLAIN, "for %s; cpu %s, memory %s, log %s\n", units_format_duration(took, jnumber(local, "elapsed_ms")),
		  units_format_duration(cpu, jnumber(local, "cpu_ms")), units_format_size(memory, jnumber(local, "memory_bytes")),
		  units_format_size(bytes, jnumber(local, "log_bytes")));
}

static void print_job(struct out *o, const json_t *job)
{
	char ago[UNITS_TEXT_MAX + 8];
	const json_t *plan = json_object_get(job, "plan"), *local = json_object_get(job, "local");
	out_print(o, state_style(jtext(job, "state")), "%s\n", jtext(job, "state"));
	out_print(o, OUT_PLAIN, "job       %s\nproject   %s\ncommit    %s\n", jtext(job, "job"), jtext(job, "project"), jtext(job, "commit"));
	out_print(o, OUT_PLAIN, "ref       %s\n", OUT_FOREIGN(jtext(job, "ref")));
	out_print(o, OUT_PLAIN, "plan      %s %s\n", jtext(plan, "origin"), OUT_FOREIGN(jtext(plan, "path")));
	if (*jtext(job, "image"))
		out_print(o, OUT_PLAIN, "image     %s\n", OUT_FOREIGN(jtext(job, "image")));
	out_print(o, OUT_PLAIN, "by        %s\n", jtext(job, "announcer"));
	out_print(o, OUT_PLAIN, "announced %s (%s)\n", jtext(job, "created"), time_ago(ago, jtext(job, "created")));
	if (*jtext(job, "claim_until"))
		out_print(o, OUT_PLAIN, "claimable until %s (%s)\n", jtext(job, "claim_until"), time_ago(ago, jtext(job, "claim_until")));
	print_claims(o, json_object_get(job, "claims"));
	if (json_is_object(local))
		print_local(o, local);
	if (*jtext(job, "why_not"))
		out_print(o, OUT_PLAIN, "not here  %s\n", OUT_FOREIGN(jtext(job, "why_not")));
	out_print(o, OUT_PLAIN, "results   %zu%s\n", count_of(job, "results"), count_of(job, "results") ? " ('talkoo results' shows them)" : "");
}

int cmd_job_show(struct cli *c, struct err *err)
{
	CLEANUP(client_close) struct client *client = NULL;
	CLEANUP(client_free_json) json_t *answer = NULL;
	CLEANUP(client_free_json) json_t *results = NULL;
	int code = nodecall_open(c, &client, err);
	if (!code)
		code = nodecall_on(client, json_pack("{s:s,s:s}", "op", "job.show", "job", cli_arg(c, 0)), &answer, err);
	if (code)
		return code;
	if (c->out.json) {
		out_json(&c->out, answer);
		return 0;
	}
	print_job(&c->out, answer);
	if (count_of(answer, "results") &&
	    !nodecall_on(client, json_pack("{s:s,s:s}", "op", "results", "job", jtext(answer, "job")), &results, NULL))
		failview_jobs(&c->out, client, results);
	return 0;
}
