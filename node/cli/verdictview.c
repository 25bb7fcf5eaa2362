#include "node/cli/verdictview.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "node/cli/exitcode.h"
#include "node/cli/failview.h"
#include "node/cli/nodecall.h"
#include "node/cli/view.h"
#include "proto/base/cleanup.h"
#include "proto/base/units.h"

static bool has_option(const struct cli *c, const char *name)
{
	for (const struct cli_option *o = c->command->options; o && o->name; o++)
		if (!strcmp(o->name, name))
			return true;
	return false;
}

int verdictview_options(const struct cli *c, struct verdictview_query *q, struct err *err)
{
	int code = cli_number(c, "need", 1, 1000, &q->need, err);
	if (!code && has_option(c, "timeout"))
		code = cli_duration(c, "timeout", &q->timeout_ms, err);
	return code;
}

static json_t *request_for(const char *op, const struct verdictview_query *q)
{
	json_t *request = json_pack("{s:s,s:s}", "op", op, q->is_job ? "job" : "commit", q->target);
	jset_text(request, "project", *q->project ? q->project : NULL);
	jset_number(request, "need", q->need);
	jset_number(request, "timeout_ms", q->timeout_ms);
	return request;
}

int verdictview_ask(struct client *client, const struct verdictview_query *q, json_t **ret, struct err *err)
{
	return nodecall_on(client, request_for("results", q), ret, err);
}

int verdictview_exit_code(const json_t *results)
{
	return (int)exitcode_of_verdict(jtext(results, "verdict"));
}

static void add_row(struct out_table *table, const json_t *r)
{
	char node[16], digest[13], when[UNITS_TEXT_MAX + 8], took[UNITS_TEXT_MAX];
	const json_t *image = json_object_get(r, "image");
	const bool is_trusted = jbool(r, "trusted");
	out_table_cell(table, view_style(jtext(r, "outcome")), jtext(r, "outcome"));
	out_table_cell(table, OUT_PLAIN, short_node(node, jtext(r, "node")));
	out_table_cell(table, OUT_PLAIN, jtext(r, "operator"));
	out_table_cell(table, is_trusted ? OUT_GOOD : OUT_DIM, is_trusted ? "yes" : "no");
	out_table_cell(table, OUT_PLAIN, json_is_string(image) ? json_string_value(image) : jtext(image, "name"));
	out_table_cell(table, OUT_PLAIN, jtext(r, "accel"));
	snprintf(digest, sizeof digest, "%s", jtext(r, "outcome_digest"));
	out_table_cell(table, OUT_DIM, digest);
	out_table_cell(table, OUT_PLAIN, jnumber(r, "duration_ms") ? units_format_duration(took, jnumber(r, "duration_ms")) : "");
	out_table_cell(table, OUT_DIM, *jtext(r, "finished") ? time_ago(when, jtext(r, "finished")) : "");
}

static void print_reasons(struct out *o, const json_t *list)
{
	size_t i;
	const json_t *r;
	json_array_foreach(list, i, r) {
		char node[16];
		if (json_is_false(json_object_get(r, "counts")))
			out_print(o, OUT_DIM, "%s: does not count: %s\n", short_node(node, jtext(r, "node")), OUT_FOREIGN(jtext(r, "why")));
		if (*jtext(r, "reason") && strcmp(jtext(r, "outcome"), "passed"))
			out_print(o, OUT_PLAIN, "%s: %s: %s\n", short_node(node, jtext(r, "node")), jtext(r, "outcome"), OUT_FOREIGN(jtext(r, "reason")));
	}
}

/* What would make untrusted results count; the full id where there is only one node, for that is what is needed then. */
static void print_hint(struct out *o, const json_t *results)
{
	const json_t *list = json_object_get(results, "results"), *r;
	const char *node = "";
	size_t i, untrusted = 0;
	bool is_one = true;
	json_array_foreach(list, i, r) {
		if (jbool(r, "trusted") || json_is_false(json_object_get(r, "counts")))
			continue;
		is_one = is_one && (!untrusted++ || !strcmp(node, jtext(r, "node")));
		node = jtext(r, "node");
	}
	if (strcmp(jtext(results, "verdict"), "unknown") || !untrusted)
		return;
	out_note(o, OUT_PLAIN, "hint: 'talkoo trust add %s --operator NAME' counts %s\n", is_one ? OUT_FOREIGN(node) : "ID",
		 untrusted == 1 ? "it" : is_one ? "them" : "a node's results");
}

void verdictview_print(struct out *o, const json_t *results)
{
	static const char *const columns[] = {"OUTCOME", "NODE", "OPERATOR", "TRUSTED", "IMAGE", "ACCEL", "DIGEST", "TOOK", "WHEN"};
	if (o->json) {
		out_json(o, results);
		return;
	}
	CLEANUP(out_table_free) struct out_table *table = out_table_new(columns, ARRAY_LEN(columns));
	const json_t *list = json_object_get(results, "results"), *r;
	size_t i;
	json_array_foreach(list, i, r) add_row(table, r);
	out_table_print(table, o);
	print_reasons(o, list);
	const char *verdict = jtext(results, "verdict"), *why = jtext(results, "why");
	out_print(o, view_style(verdict), "%s", *verdict ? verdict : "unknown");
	if (*jtext(results, "commit"))
		out_print(o, OUT_PLAIN, "  %.12s", jtext(results, "commit"));
	if (*why)
		out_print(o, OUT_PLAIN, ": %s", OUT_FOREIGN(why));
	else
		out_print(o, OUT_PLAIN, ": %llu of %llu trusted operators", (unsigned long long)jnumber(results, "have"),
			  (unsigned long long)jnumber(results, "need"));
	out_print(o, OUT_PLAIN, "\n");
	print_hint(o, results);
}

struct watch {
	struct cli *c;
	struct view view;
	struct out out; /* for the view: its stdout may be ours or stderr */
};

static void show_output(struct watch *w, const json_t *event)
{
	const char *base64 = jtext(event, "text_base64"), *text = jtext(event, "text");
	const size_t max = strlen(base64);
	if (*text)
		view_log(&w->view, text, strlen(text));
	CLEANUP(cleanup_free) uint8_t *bytes = max ? malloc(max) : NULL;
	size_t len = 0;
	if (bytes && !sodium_base642bin(bytes, max, base64, max, NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL))
		view_log(&w->view, bytes, len);
}

static void say_event(struct watch *w, const char *type, const json_t *event)
{
	char node[16];
	view_pause(&w->view);
	if (!strcmp(type, "announced"))
		out_note(&w->out, OUT_PLAIN, "announced %.12s\n", jtext(event, "job"));
	else if (!strcmp(type, "claimed"))
		out_note(&w->out, OUT_PLAIN, "claimed by %s\n", short_node(node, jtext(event, "node")));
	else if (!strcmp(type, "result"))
		out_note(&w->out, view_style(jtext(event, "outcome")), "result of %s: %s%s%s\n", short_node(node, jtext(event, "node")),
			 jtext(event, "outcome"), *jtext(event, "reason") ? ": " : "", OUT_FOREIGN(jtext(event, "reason")));
}

static bool on_watch_event(void *user, const json_t *event)
{
	struct watch *w = user;
	const char *type = *jtext(event, "event") ? jtext(event, "event") : jtext(event, "type");
	if (w->c->out.json) {
		out_json(&w->c->out, event);
		return !ferror(w->c->out.answer);
	}
	if (!strcmp(type, "output") || !strcmp(type, "log"))
		show_output(w, event);
	else if (!strcmp(type, "announced") || !strcmp(type, "claimed") || !strcmp(type, "result"))
		say_event(w, type, event);
	else
		view_event(&w->view, event);
	view_tick(&w->view);
	return !ferror(w->out.answer);
}

static void on_watch_idle(void *user)
{
	struct watch *w = user;
	if (!w->c->out.json)
		view_tick(&w->view);
}

/* The newest job of the commit, or the job itself; "" when there is none. */
static void find_job(struct client *client, const struct verdictview_query *q, char out[ID32_TEXT_MAX])
{
	CLEANUP(client_free_json) json_t *answer = NULL;
	out[0] = 0;
	json_t *request = json_pack("{s:s,s:s,s:i}", "op", "job.list", "commit", q->target, "limit", 1);
	if (q->is_job) {
		json_decref(request);
		snprintf(out, ID32_TEXT_MAX, "%s", q->target);
		return;
	}
	jset_text(request, "project", *q->project ? q->project : NULL);
	if (!nodecall_on(client, request, &answer, NULL))
		snprintf(out, ID32_TEXT_MAX, "%s", jtext(json_array_get(json_object_get(answer, "jobs"), 0), "job"));
}

/* A wait for nothing looks like a hang: why this node, for one, does not take it. */
static void say_why_not(struct watch *w, struct client *client, const struct verdictview_query *q)
{
	CLEANUP(client_free_json) json_t *job = NULL;
	char id[ID32_TEXT_MAX];
	find_job(client, q, id);
	if (!*id) {
		out_note(&w->out, OUT_WARN, "waiting: nobody has announced a job for it yet\n");
		return;
	}
	if (nodecall_on(client, json_pack("{s:s,s:s}", "op", "job.show", "job", id), &job, NULL))
		return;
	if (!strcmp(jtext(job, "state"), "announced") && *jtext(job, "why_not"))
		out_note(&w->out, OUT_WARN, "waiting: this node does not take the job: %s\n", OUT_FOREIGN(jtext(job, "why_not")));
}

int verdictview_watch(struct cli *c, struct client *client, const struct verdictview_query *q, struct err *err)
{
	CLEANUP(client_free_json) json_t *results = NULL;
	struct watch w = {.c = c, .out = c->out};
	if (q->output_to_notes)
		w.out.answer = c->out.notes;
	view_init(&w.view, &w.out, true);
	const struct client_call call = {.on_event = on_watch_event, .on_idle = on_watch_idle, .user = &w};
	say_why_not(&w, client, q);
	const int code = client_call(client, request_for("watch", q), &call, &results, err);
	view_pause(&w.view);
	if (code)
		return code;
	if (!results)
		return err_set(err, ERR_IO, "cannot write the answer");
	verdictview_print(&w.out, results);
	struct out notes = c->out;
	notes.answer = c->out.notes;
	notes.answer_colour = c->out.notes_colour;
	if (!c->out.json)
		failview_jobs(&notes, client, results);
	return verdictview_exit_code(results);
}
