/* Control operations: the table, arguments, status, donation, events. */
#include "node/control_ops.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <config.h>

#include "node/control_parts.h"
#include "proto/base/cleanup.h"
#include "proto/base/units.h"

#define EVENTS_AT_ONCE 1000

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

/* ---- answers that come when a batch is durable */

struct later {
	struct control *ctl;
	uint64_t call;
	json_t *answer; /* owned */
};

static void on_later(struct node *n, void *user, int code, const struct err *err)
{
	(void)n;
	struct later *l = user;
	struct control_call *c = control_call_find(l->ctl, l->call);
	if (c && code)
		control_fail(c, err);
	else if (c)
		control_end(c, json_incref(l->answer));
	json_decref(l->answer);
	free(l);
}

node_done_fn op_later(struct control_call *c, json_t *answer /* takes */, void **ret_user)
{
	struct later *l = malloc(sizeof *l);
	if (!l) {
		json_decref(answer);
		*ret_user = NULL;
		return NULL;
	}
	*l = (struct later){control_of(c), control_call_id(c), answer ? answer : json_object()};
	*ret_user = l;
	return on_later;
}

void op_commit(struct node *n, struct control_call *c, struct store_batch *b /* takes */, json_t *answer /* takes */)
{
	struct err err;
	void *user;
	const node_done_fn done = op_later(c, answer, &user);
	if (!node_commit(n, b, done, user, &err))
		return;
	if (user) {
		json_decref(((struct later *)user)->answer);
		free(user);
	}
	control_fail(c, &err);
}

/* ---- status */

static void add_store(json_t *stores, const char *name, uint64_t used, uint64_t cap)
{
	json_object_set_new(stores, name, json_pack("{s:I,s:I}", "used_bytes", (json_int_t)used, "cap_bytes", (json_int_t)cap));
}

static const char *state_word(const struct node *n)
{
	if (n->is_stopping || n->state.donation.mode == SCHED_DRAINING)
		return "draining";
	if (n->state.donation.mode == SCHED_PAUSED)
		return "paused";
	return scheduler_busy(n->scheduler) ? "running" : n->hold_why[0] ? "paused" : "idle";
}

static void say_why(const struct node *n, char *why, size_t size, char *until, size_t until_size)
{
	char text[UNITS_TEXT_MAX];
	why[0] = until[0] = 0;
	if (n->is_stopping) {
		snprintf(why, size, "stopping");
	} else if (n->state.donation.mode == SCHED_PAUSED) {
		snprintf(why, size, "paused by you%s%s", n->state.donation.note[0] ? ": " : "", n->state.donation.note);
		snprintf(until, until_size, "%s",
			 n->state.donation.until_ms ? units_format_time(text, n->state.donation.until_ms) : "`talkoo resume`");
	} else if (n->state.donation.mode == SCHED_DRAINING) {
		snprintf(why, size, "finishing: nothing new is taken");
		snprintf(until, until_size, "`talkoo resume`");
	} else if (rules_error(n->rules)) {
		snprintf(why, size, "the policy is wrong, so everything is denied: %s", rules_error(n->rules)->what);
		snprintf(until, until_size, "mend that file");
	} else if (n->store_failed) {
		snprintf(why, size, "the database cannot be written: %s", n->store_why);
		snprintf(until, until_size, "room on the disk");
	} else if (n->hold_why[0]) {
		snprintf(why, size, "%s", n->hold_why);
		snprintf(until, until_size, "%s", n->hold_until);
	} else if (scheduler_busy(n->scheduler)) {
		snprintf(why, size, "building");
	} else {
		snprintf(why, size, "nothing to do: no announced job that the policy allows");
		snprintf(until, until_size, "a job is announced");
	}
}

static json_t *status_stores(struct node *n)
{
	json_t *stores = json_object();
	add_store(stores, "database", store_size_bytes(n->store), n->config.caps.database_bytes);
	return stores;
}

static void op_status(struct node *n, struct control_call *c, const json_t *args)
{
	(void)args;
	char id[NODE_ID_TEXT_MAX], why[640], until[256];
	node_check_holds(n);
	say_why(n, why, sizeof why, until, sizeof until);
	json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s}", "node", node_id_format(id, &n->self), "version", PACKAGE_VERSION, "network",
			      n->config.network, "state", state_word(n), "why", why);
	json_object_set_new(o, "until", until[0] ? json_string(until) : json_null());
	json_object_set_new(o, "alias", json_string(n->config.alias));
	json_object_set_new(o, "uptime_ms", json_integer((json_int_t)(node_now(n) - n->opened_ms)));
	json_object_set_new(o, "jobs", json_pack("{s:i,s:i}", "running", (int)scheduler_busy(n->scheduler), "queued",
						 (int)scheduler_queued(n->scheduler, node_now(n))));
	json_object_set_new(o, "stores", status_stores(n));
	json_object_set_new(o, "peers", json_pack("{s:i}", "connected", 0));
	json_object_set_new(o, "clock", json_pack("{s:i,s:b}", "offset_ms", 0, "ok", 1));
	json_object_set_new(o, "image_store", json_string(n->home.images));
	json_object_set_new(o, "accel", n->accel[0] ? json_string(n->accel) : json_null());
	json_object_set_new(o, "isolation", n->isolation[0] ? json_string(n->isolation) : json_null());
	const struct err *wrong = rules_error(n->rules);
	json_t *rules = wrong ? NULL : policy_to_json(rules_policy(n->rules));
	json_object_set_new(o, "policy", json_pack("{s:i,s:o}", "rules", (int)json_array_size(rules), "error",
						   wrong ? json_string(wrong->what) : json_null()));
	json_decref(rules);
	control_end(c, o);
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

/* ---- events */

struct follower {
	struct follower *next;
	uint64_t call, since;
	struct control *ctl;
};
#define FOLLOWERS_MAX 64

static bool on_event(void *user, uint64_t id, const json_t *object)
{
	struct follower *f = user;
	struct control_call *c = control_call_find(f->ctl, f->call);
	if (!c || !control_send(c, json_deep_copy(object)))
		return false;
	f->since = id;
	return true;
}

/* Everything after f->since; false when the client is gone or the store failed (then the call is over). */
static bool send_events(struct node *n, struct follower *f)
{
	for (;;) {
		struct err err;
		uint64_t oldest = 0, newest = 0;
		const uint64_t before = f->since;
		if (store_each_event_now(n->store, before, EVENTS_AT_ONCE, on_event, f, &oldest, &newest, &err)) {
			struct control_call *c = control_call_find(f->ctl, f->call);
			if (c)
				control_fail(c, &err);
			return false;
		}
		if (!control_call_find(f->ctl, f->call))
			return false;
		if (f->since == before || newest == f->since)
			return true;
	}
}

/* What is older than kept is said first. */
static void say_gap(struct node *n, struct control_call *c, uint64_t since)
{
	uint64_t oldest = 0, newest = 0;
	struct follower nobody = {0};
	if (store_each_event_now(n->store, UINT64_MAX >> 1, 1, on_event, &nobody, &oldest, &newest, NULL))
		return;
	if (oldest > since + 1)
		control_send(c, json_pack("{s:s,s:I,s:I}", "type", "gap", "from", (json_int_t)(since + 1), "to", (json_int_t)(oldest - 1)));
}

static void op_events(struct node *n, struct control_call *c, const json_t *args)
{
	struct follower f = {.call = control_call_id(c), .since = op_number(args, "since", 0), .ctl = control_of(c)};
	say_gap(n, c, f.since);
	if (!send_events(n, &f))
		return;
	c = control_call_find(f.ctl, f.call);
	if (!c)
		return;
	if (!op_bool(args, "follow"))
		return control_end(c, NULL);
	struct control_state *st = control_state_of(f.ctl);
	struct follower *kept = st->followers_len < FOLLOWERS_MAX ? malloc(sizeof *kept) : NULL;
	if (!kept)
		return op_fail(c, ERR_LIMIT, NULL, "too many clients follow the events");
	f.next = st->followers;
	*kept = f;
	st->followers = kept;
	st->followers_len++;
}

/* ---- the table */

#define ARGS_MAX 16
static const struct op {
	const char *name;
	op_fn run;
	const char *args[ARGS_MAX];
} ops[] = {
	{"status", op_status, {NULL}},
	{"project.create", op_project_create, {"name", "urls", "maintainers", "volunteers"}},
	{"project.list", op_project_list, {NULL}},
	{"project.show", op_project_show, {"project"}},
	{"follow", op_follow, {"project", "link", "alias"}},
	{"unfollow", op_unfollow, {"project", "link"}},
	{"allow", op_allow, {"project", "by", "refs", "cpus", "memory", "disk", "timeout", "allow_emulation", "sources"}},
	{"deny", op_deny, {"project", "reason", "kill"}},
	{"policy.show", op_policy_show, {NULL}},
	{"policy.why", op_policy_why, {"project", "ref", "by", "job", "image"}},
	{"policy.check", op_policy_check, {"text"}},
	{"job.announce", op_job_announce,
	 {"project", "commit", "ref", "image", "want", "cmd", "plan", "cpus", "memory", "disk", "timeout", "new_only", "claim_until", "arch"}},
	{"job.cancel", op_job_cancel, {"job", "reason"}},
	{"job.list", op_job_list, {"project", "commit", "limit"}},
	{"job.show", op_job_show, {"job"}},
	{"watch", op_watch, {"job", "commit", "project", "need", "timeout_ms"}},
	{"results", op_results, {"commit", "job", "project", "need"}},
	{"log", op_log, {"job", "node", "follow", "offset"}},
	{"artifacts", op_artifacts, {"job", "node"}},
	{"artifact", op_artifact, {"job", "node", "path"}},
	{"trust.add", op_trust_add, {"node", "operator"}},
	{"trust.list", op_trust_list, {NULL}},
	{"trust.remove", op_trust_remove, {"node"}},
	{"export", op_export, {"commit", "job", "result", "project"}},
	{"pause", op_pause, {"for_ms", "note"}},
	{"resume", op_resume, {NULL}},
	{"finish", op_finish, {NULL}},
	{"stop", op_stop, {NULL}},
	{"events", op_events, {"since", "follow"}},
};

static const char *unknown_argument(const struct op *op, const json_t *request)
{
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)request, key, value)
	{
		bool is_known = !strcmp(key, "v") || !strcmp(key, "op");
		for (size_t i = 0; i < ARGS_MAX && op->args[i]; i++)
			is_known = is_known || !strcmp(key, op->args[i]);
		if (!is_known)
			return key;
	}
	return NULL;
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

/* Whose call is over. Not in control_ops_gone(): that may come from within a send to that very client. */
static void drop_gone(struct control_state *st)
{
	for (struct follower **at = &st->followers; *at;) {
		struct follower *f = *at;
		if (f->call) {
			at = &f->next;
			continue;
		}
		*at = f->next;
		free(f);
		st->followers_len--;
	}
}

void control_state_free(struct control_state *st)
{
	if (!st)
		return;
	for (struct follower *f = st->followers; f; f = f->next)
		f->call = 0;
	drop_gone(st);
	control_watch_release(st);
	free(st);
}

/* Every batch that is durable may have brought events. */
void control_ops_durable(struct control_state *st)
{
	for (struct follower *f = st->followers; f; f = f->next)
		if (f->call && !send_events(st->node, f))
			f->call = 0;
	drop_gone(st);
}

void control_ops_request(struct node *n, struct control_call *c, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "op"));
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		if (strcmp(ops[i].name, name))
			continue;
		const char *key = unknown_argument(&ops[i], request);
		if (key)
			return op_fail(c, ERR_USAGE, "node/CONTROL.md lists the arguments of each op", "request: %s: %.64s: no such argument", name, key);
		return ops[i].run(n, c, request);
	}
	op_fail(c, ERR_UNSUPPORTED, "node/CONTROL.md lists the ops", "request: op: %.64s: no such op", name);
}

void control_ops_gone(struct control_state *st, uint64_t call_id)
{
	for (struct follower *f = st->followers; f; f = f->next)
		if (f->call == call_id)
			f->call = 0;
	control_watch_gone(st, call_id);
	st->node->hooks.want_work(st->node->hooks.user); /* which drops it */
}
