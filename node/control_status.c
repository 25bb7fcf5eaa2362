/* The operation `status`: what this node does, or why it does not and what ends that; and what it uses of its caps. */
#include <stdlib.h>
#include <string.h>

#include <config.h>

#include "node/blobs.h"
#include "node/control_parts.h"
#include "node/net.h"
#include "proto/base/units.h"

#define USAGE_MS 2000 /* what is used is not counted more often */

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

/* ---- the network's part: what it knows of peers and of their clocks goes into these two */

static json_t *peers_json(const struct node *n)
{
	struct network_peer *peers = calloc(NETWORK_CONNECTIONS_MAX, sizeof *peers);
	const size_t len = peers ? net_peers(n, peers, NETWORK_CONNECTIONS_MAX) : 0;
	free(peers);
	return json_pack("{s:I}", "connected", (json_int_t)len);
}

static json_t *clock_json(const struct node *n)
{
	int64_t ahead = 0;
	const bool is_known = net_clock(n, &ahead);
	return json_pack("{s:o,s:b}", "offset_ms", is_known ? json_integer((json_int_t)ahead) : json_null(), "ok", n->clock_off_ms == 0);
}

/* ---- stores */

static void add_store(json_t *stores, const char *name, uint64_t used, uint64_t cap)
{
	json_object_set_new(stores, name, json_pack("{s:I,s:I}", "used_bytes", (json_int_t)used, "cap_bytes", (json_int_t)cap));
}

static json_t *stores_json(const struct control_state *st)
{
	const struct node *n = st->node;
	const struct control_usage *u = &st->usage;
	json_t *stores = json_object();
	add_store(stores, "database", store_size_bytes(n->store), n->config.caps.database_bytes);
	add_store(stores, "blobs", u->blobs_bytes, n->config.caps.blobs_bytes);
	add_store(stores, "images", u->images_bytes, n->config.caps.images_bytes);
	add_store(stores, "mirrors", u->mirrors_bytes, n->config.caps.mirrors_bytes);
	return stores;
}

static json_t *status_json(const struct control_state *st)
{
	struct node *n = st->node;
	char id[NODE_ID_TEXT_MAX], why[640], until[256];
	node_check_holds(n);
	say_why(n, why, sizeof why, until, sizeof until);
	json_t *o = json_pack("{s:s,s:s,s:s,s:s}", "node", node_id_format(id, &n->self), "version", PACKAGE_VERSION, "network",
			      n->config.network, "state", state_word(n));
	json_object_set_new(o, "why", op_json_text(why));
	json_object_set_new(o, "until", until[0] ? op_json_text(until) : json_null());
	json_object_set_new(o, "alias", op_json_text(n->config.alias));
	json_object_set_new(o, "uptime_ms", json_integer((json_int_t)(node_now(n) - n->opened_ms)));
	json_object_set_new(o, "jobs", json_pack("{s:i,s:i}", "running", (int)scheduler_busy(n->scheduler), "queued",
						 (int)scheduler_queued(n->scheduler, node_now(n))));
	json_object_set_new(o, "stores", stores_json(st));
	json_object_set_new(o, "peers", peers_json(n));
	json_object_set_new(o, "clock", clock_json(n));
	json_object_set_new(o, "image_store", op_json_text(n->home.images));
	json_object_set_new(o, "accel", n->accel[0] ? op_json_text(n->accel) : json_null());
	json_object_set_new(o, "isolation", n->isolation[0] ? op_json_text(n->isolation) : json_null());
	const struct err *wrong = rules_error(n->rules);
	json_t *rules = wrong ? NULL : policy_to_json(rules_policy(n->rules));
	json_object_set_new(o, "policy", json_pack("{s:i,s:o}", "rules", (int)json_array_size(rules), "error",
						   wrong ? op_json_text(wrong->what) : json_null()));
	json_decref(rules);
	return o;
}

/* ---- counting, in another thread: folders may be large, and the disk slow */

struct counting {
	struct control_state *st;
	struct control_usage found;
};

static void count(void *user)
{
	struct counting *k = user;
	const struct home *home = &k->st->node->home; /* does not change */
	k->found.blobs_bytes = blobs_used(home->blobs);
	k->found.images_bytes = blobs_used(home->images);
	k->found.mirrors_bytes = blobs_used(home->mirrors);
}

static void answer_waiting(struct control_state *st)
{
	const size_t len = st->status_waiting_len;
	st->status_waiting_len = 0;
	for (size_t i = 0; i < len; i++) {
		struct control_call *c = control_call_find(st->ctl, st->status_waiting[i]);
		if (c)
			control_end(c, status_json(st));
	}
}

static void on_counted(struct node *n, void *user)
{
	struct counting *k = user;
	struct control_state *st = k->st;
	st->usage = k->found;
	st->usage.at_ms = node_now(n);
	free(k);
	answer_waiting(st);
}

static bool is_fresh(const struct control_state *st, uint64_t now_ms)
{
	return st->usage.at_ms && now_ms >= st->usage.at_ms && now_ms - st->usage.at_ms < USAGE_MS;
}

void op_status(struct node *n, struct control_call *c, const json_t *args)
{
	struct control_state *st = control_state_of(control_of(c));
	(void)args;
	if (is_fresh(st, node_now(n)) || st->status_waiting_len == CONTROL_CLIENTS_MAX)
		return control_end(c, status_json(st));
	const bool is_first = !st->status_waiting_len;
	st->status_waiting[st->status_waiting_len++] = control_call_id(c);
	if (!is_first)
		return; /* somebody waits for the count that is under way */
	struct counting *k = calloc(1, sizeof *k);
	const struct node_task task = {.run = count, .done = on_counted, .user = k};
	if (k)
		k->st = st;
	if (k && !n->hooks.task(n->hooks.user, &task, NULL))
		return;
	free(k);
	answer_waiting(st);
}
