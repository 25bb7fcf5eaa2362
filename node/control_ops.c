/* Control operations: the table, arguments, donation, answers that wait for the disk or for their turn. */
#include "node/control_ops.h"

#include <stdlib.h>
#include <string.h>

#include "node/control_parts.h"
#include "proto/base/cleanup.h"
#include "proto/base/sanitise.h"
#include "proto/base/units.h"

void op_fail(struct control_call *c, int code, const char *hint, const char *fmt, ...)
{
	struct err err;
	char what[sizeof err.what];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	(void)err_set(&err, code, "%s", what);
	if (hint)
		err_hint(&err, "%s", hint);
	control_fail(c, &err);
}

const char *op_text(const json_t *args, const char *key)
{
	const char *text = json_string_value(json_object_get(args, key));
	return text && text[0] ? text : NULL;
}

const char *op_text_needed(struct control_call *c, const json_t *args, const char *key)
{
	const char *text = op_text(args, key);
	if (!text)
		op_fail(c, ERR_USAGE, NULL, "request: %s: missing, or not a text", key);
	return text;
}

uint64_t op_number(const json_t *args, const char *key, uint64_t fallback)
{
	const json_t *value = json_object_get(args, key);
	return json_is_integer(value) && json_integer_value(value) >= 0 ? (uint64_t)json_integer_value(value) : fallback;
}

bool op_bool(const json_t *args, const char *key)
{
	return json_is_true(json_object_get(args, key));
}

bool op_range(struct control_call *c, const json_t *args, const char *key, uint64_t fallback, uint64_t min, uint64_t max, uint64_t *ret)
{
	const uint64_t value = op_number(args, key, fallback);
	if (value < min || value > max) {
		op_fail(c, ERR_USAGE, NULL, "%s: not from %llu to %llu", key, (unsigned long long)min, (unsigned long long)max);
		return false;
	}
	*ret = value;
	return true;
}

json_t *op_json_text(const char *text)
{
	char safe[4096 + 64];
	return json_string(sanitise_line(safe, sizeof safe, text));
}

char *control_line(json_t *object /* takes */)
{
	object = object ? object : json_object();
	json_object_set_new(object, "v", json_integer(1));
	json_object_set_new(object, "ok", json_true());
	char *line = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return line;
}

bool op_project(struct node *n, struct control_call *c, const char *text, struct id32 *ret)
{
	struct project_link link;
	struct err err;
	const struct state_follow *follow = state_follow_by_alias(&n->state, text);
	if (follow)
		*ret = follow->project;
	else if (!project_link_parse(text, &link, NULL))
		*ret = link.project;
	else if (index_find_project(node_index(n), text, ret, &err)) {
		control_fail(c, &err);
		return false;
	}
	return true;
}

/* ---- one after the other */

bool op_turn_take(struct control_call *c, const json_t *args, op_fn op)
{
	struct control_state *st = control_state_of(control_of(c));
	if (!st->turn_is_taken) {
		st->turn_is_taken = true;
		return true;
	}
	if (st->turns_len == CONTROL_CLIENTS_MAX)
		op_fail(c, ERR_LIMIT, "try again", "too many requests wait for their turn");
	else
		st->turns[st->turns_len++] = (struct control_waiting){control_call_id(c), op, json_deep_copy(args)};
	return false;
}

void op_turn_end(struct control_state *st)
{
	st->turn_is_taken = false;
	while (st->turns_len && !st->turn_is_taken) {
		const struct control_waiting next = st->turns[0];
		memmove(st->turns, st->turns + 1, --st->turns_len * sizeof *st->turns);
		struct control_call *c = control_call_find(st->ctl, next.call);
		if (c)
			next.op(st->node, c, next.args);
		json_decref(next.args);
	}
}

/* ---- answers that come when a batch is durable */

struct later {
	struct control_state *st;
	uint64_t call;
	json_t *answer; /* owned */
	enum op_turn turn;
};

static struct later *later_new(struct control_call *c, json_t *answer /* takes */, enum op_turn turn)
{
	struct later *l = malloc(sizeof *l);
	if (l)
		*l = (struct later){control_state_of(control_of(c)), control_call_id(c), answer ? answer : json_object(), turn};
	else
		json_decref(answer);
	return l;
}

static void later_end(struct later *l, int code, const struct err *err)
{
	struct control_state *st = l->st;
	struct control_call *c = control_call_find(st->ctl, l->call);
	const enum op_turn turn = l->turn;
	if (c && code)
		control_fail(c, err);
	else if (c)
		control_end(c, json_incref(l->answer));
	json_decref(l->answer);
	free(l);
	if (turn == OP_TURN_ENDS)
		op_turn_end(st);
}

static void on_later(struct node *n, void *user, int code, const struct err *err)
{
	(void)n;
	later_end(user, code, err);
}

static void fail_without_later(struct control_call *c, enum op_turn turn)
{
	struct control_state *st = control_state_of(control_of(c));
	op_fail(c, ERR_NOMEM, NULL, "out of memory");
	if (turn == OP_TURN_ENDS)
		op_turn_end(st);
}

void op_commit(struct node *n, struct control_call *c, struct store_batch *b /* takes */, json_t *answer /* takes */)
{
	struct err err;
	struct later *l = later_new(c, answer, OP_NO_TURN);
	if (!l) {
		store_batch_free(b);
		return fail_without_later(c, OP_NO_TURN);
	}
	const int code = node_commit(n, b, on_later, l, &err);
	if (code)
		later_end(l, code, &err);
}

int op_publish(struct node *n, struct control_call *c, const struct node_own *own, struct store_batch *b /* takes */,
	       json_t *answer /* takes */, const char *id_key, enum op_turn turn)
{
	struct err err;
	struct id32 id;
	char text[ID32_TEXT_MAX];
	struct later *l = later_new(c, answer, turn);
	if (!l) {
		store_batch_free(b);
		fail_without_later(c, turn);
		return ERR_NOMEM;
	}
	const int code = node_publish(n, own, b, on_later, l, &id, &err);
	if (code)
		later_end(l, code, &err);
	else if (id_key)
		json_object_set_new(l->answer, id_key, json_string(id32_format(text, &id)));
	return code;
}

/* ---- donation */

static void donate(struct node *n, struct control_call *c, enum sched_mode mode, uint64_t until_ms, const char *note, const char *event)
{
	struct store_batch *b = store_batch_new();
	if (!b)
		return op_fail(c, ERR_NOMEM, NULL, "out of memory");
	char text[UNITS_TEXT_MAX];
	node_set_donation(n, mode, until_ms, note, b);
	node_event(n, b, event, json_pack("{s:s}", "note", note));
	op_commit(n, c, b, json_pack("{s:o}", "until", until_ms ? json_string(units_format_time(text, until_ms)) : json_null()));
}

static void op_pause(struct node *n, struct control_call *c, const json_t *args)
{
	const uint64_t for_ms = op_number(args, "for_ms", 0);
	const char *note = op_text(args, "note");
	donate(n, c, SCHED_PAUSED, for_ms ? node_now(n) + for_ms : 0, note ? note : "", "pause");
}

static void op_resume(struct node *n, struct control_call *c, const json_t *args)
{
	(void)args;
	donate(n, c, SCHED_WORKING, 0, "", "resume");
}

static void op_finish(struct node *n, struct control_call *c, const json_t *args)
{
	(void)args;
	donate(n, c, SCHED_DRAINING, 0, "", "finish");
}

static void op_stop(struct node *n, struct control_call *c, const json_t *args)
{
	(void)args;
	struct id32 jobs[SCHED_SLOTS_MAX];
	char text[ID32_TEXT_MAX];
	json_t *list = json_array();
	const size_t len = scheduler_running(n->scheduler, jobs, ARRAY_LEN(jobs));
	for (size_t i = 0; i < len; i++)
		json_array_append_new(list, json_string(id32_format(text, &jobs[i])));
	struct control *ctl = control_of(c);
	control_end(c, json_pack("{s:o}", "abandoned", list));
	control_request_stop(ctl);
}

/* ---- the table */

#define ARGS_MAX 16

/* An argument's first character tells its type: # a number, ? true or false, [ a list, { an object; else it is a text. */
static const struct op {
	const char *name;
	op_fn run;
	const char *args[ARGS_MAX];
} ops[] = {
	{"status", op_status, {NULL}},
	{"peers", op_peers, {NULL}},
	{"connect", op_connect, {"address"}},
	{"fetch", op_fetch, {"job", "node", "name"}},
	{"log.live", op_log_live, {"job", "node", "#offset"}},
	{"project.create", op_project_create, {"name", "[urls", "[maintainers", "[volunteers"}},
	{"project.list", op_project_list, {NULL}},
	{"project.show", op_project_show, {"project"}},
	{"follow", op_follow, {"project", "link", "alias"}},
	{"unfollow", op_unfollow, {"project", "link"}},
	{"forget", op_forget, {"project", "link"}},
	{"allow", op_allow, {"project", "[by", "[refs", "#cpus", "#memory", "#disk", "#timeout", "?allow_emulation", "[sources"}},
	{"deny", op_deny, {"project", "reason", "?kill"}},
	{"policy.show", op_policy_show, {NULL}},
	{"policy.why", op_policy_why, {"project", "ref", "by", "job", "image"}},
	{"policy.check", op_policy_check, {"text"}},
	{"job.announce", op_job_announce,
	 {"project", "commit", "ref", "image", "#want", "cmd", "{plan", "#cpus", "#memory", "#disk", "#timeout", "?new_only", "#claim_until", "arch", "cell", "#cells"}},
	{"job.cancel", op_job_cancel, {"job", "reason"}},
	{"job.list", op_job_list, {"project", "commit", "#limit"}},
	{"job.show", op_job_show, {"job"}},
	{"watch", op_watch, {"job", "commit", "project", "#need", "#timeout_ms"}},
	{"results", op_results, {"commit", "job", "project", "#need"}},
	{"log", op_log, {"job", "node", "?follow", "#offset"}},
	{"artifacts", op_artifacts, {"job", "node"}},
	{"artifact", op_artifact, {"job", "node", "path"}},
	{"trust.add", op_trust_add, {"node", "operator"}},
	{"trust.list", op_trust_list, {NULL}},
	{"trust.remove", op_trust_remove, {"node"}},
	{"export", op_export, {"commit", "job", "result", "project"}},
	{"pause", op_pause, {"#for_ms", "note"}},
	{"resume", op_resume, {NULL}},
	{"finish", op_finish, {NULL}},
	{"stop", op_stop, {NULL}},
	{"events", op_events, {"#since", "?follow"}},
};

static bool fits_type(char type, const json_t *value)
{
	switch (type) {
	case '#': return json_is_integer(value) && json_integer_value(value) >= 0;
	case '?': return json_is_boolean(value);
	case '[': return json_is_array(value);
	case '{': return json_is_object(value);
	}
	return json_is_string(value);
}

static const char *type_name(char type)
{
	return type == '#' ? "a number" : type == '?' ? "true or false" : type == '[' ? "a list" : type == '{' ? "an object" : "a text";
}

/* As the table has it; NULL: the op has no such argument. */
static const char *argument(const struct op *op, const char *key)
{
	for (size_t i = 0; i < ARGS_MAX && op->args[i]; i++)
		if (!strcmp(op->args[i] + strspn(op->args[i], "#?[{"), key))
			return op->args[i];
	return NULL;
}

/* False: one is unknown or of another type, and the call has been failed. */
static bool check_arguments(struct control_call *c, const struct op *op, const json_t *request)
{
	static const char hint[] = "node/CONTROL.md lists the arguments of each op";
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)request, key, value)
	{
		if (!strcmp(key, "v") || !strcmp(key, "op"))
			continue;
		const char *known = argument(op, key);
		if (known && (json_is_null(value) || fits_type(known[0], value)))
			continue;
		if (known)
			op_fail(c, ERR_USAGE, hint, "request: %s: %s: not %s", op->name, key, type_name(known[0]));
		else
			op_fail(c, ERR_USAGE, hint, "request: %s: %.64s: no such argument", op->name, key);
		return false;
	}
	return true;
}

static void on_heard(void *user, const char *type, const struct id32 *job, const json_t *event)
{
	control_watch_heard(user, type, job, event);
}

struct control_state *control_state_new(struct node *n, struct control *ctl)
{
	struct control_state *st = calloc(1, sizeof *st);
	if (!st)
		return NULL;
	st->node = n;
	st->ctl = ctl;
	node_listen(n, on_heard, st);
	return st;
}

void control_state_free(struct control_state *st)
{
	if (!st)
		return;
	for (size_t i = 0; i < st->turns_len; i++)
		json_decref(st->turns[i].args);
	control_events_release(st);
	control_net_release(st);
	control_watch_release(st);
	free(st);
}

uint64_t control_ops_work(struct control_state *st)
{
	control_events_work(st);
	return control_watch_tick(st);
}

void control_ops_request(struct node *n, struct control_call *c, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "op"));
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		if (strcmp(ops[i].name, name))
			continue;
		if (check_arguments(c, &ops[i], request))
			ops[i].run(n, c, request);
		return;
	}
	op_fail(c, ERR_UNSUPPORTED, "node/CONTROL.md lists the ops", "request: op: %.64s: no such op", name);
}

void control_ops_room(struct control_state *st, uint64_t call_id)
{
	control_events_room(st, call_id);
	control_watch_room(st, call_id);
}

void control_ops_gone(struct control_state *st, uint64_t call_id)
{
	control_events_gone(st, call_id);
	control_net_gone(st, call_id);
	control_watch_gone(st, call_id);
	st->node->hooks.want_work(st->node->hooks.user); /* which drops it */
}
