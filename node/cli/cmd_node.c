/* talkoo init, id, key backup, status, pause, resume, finish, stop, events. */
#include <string.h>

#include "node/cli/cmds.h"
#include "node/cli/nodecall.h"
#include "node/identity.h"
#include "node/init.h"
#include "proto/base/cleanup.h"
#include "proto/base/units.h"
#include "proto/dsse.h"

static void free_identity(struct identity **id)
{
	identity_free(*id);
}

static void say_made(struct out *o, const struct home *home, const struct init_result *made)
{
	out_note(o, OUT_PLAIN, "%s %s\n", made->made_key ? "key     " : "key kept", home->key);
	out_note(o, OUT_PLAIN, "config   %s\n", home->config_file);
	out_note(o, OUT_PLAIN, "policy   %s (denies everything until you allow a project)\n", home->policy_file);
	out_note(o, OUT_WARN, "\nThe key file is this node's identity. Keep a copy elsewhere:\n");
	out_note(o, OUT_PLAIN, "  talkoo key backup FILE\n\nNext:\n  talkoo image build mini\n  talkoo start\n  talkoo doctor\n");
}

int cmd_init(struct cli *c, struct err *err)
{
	struct home home;
	struct init_result made;
	char id[NODE_ID_TEXT_MAX];
	const char *seeds[CLI_VALUES_MAX];
	size_t seeds_len = 0;
	for (const char *seed; (seed = cli_option_at(c, "seed", seeds_len));)
		seeds[seeds_len++] = seed;
	const struct init_options options = {.alias = cli_option(c, "alias"),
					     .listen = cli_option(c, "listen"),
					     .seeds = seeds,
					     .seeds_len = seeds_len,
					     .key_file = cli_option(c, "key")};
	int code = home_find(c->home, &home, err);
	if (!code)
		code = init_home(&home, &options, &made, err);
	if (code)
		return code;
	node_id_format(id, &made.id);
	if (c->out.json) {
		CLEANUP(client_free_json)
		json_t *answer = json_pack("{s:i,s:b,s:s,s:s,s:s,s:s}", "v", 1, "ok", 1, "node", id, "key", home.key, "config",
					   home.config_file, "policy", home.policy_file);
		out_json(&c->out, answer);
		return 0;
	}
	out_print(&c->out, OUT_PLAIN, "%s\n", id);
	say_made(&c->out, &home, &made);
	return 0;
}

int cmd_id(struct cli *c, struct err *err)
{
	struct home home;
	char id[NODE_ID_TEXT_MAX];
	CLEANUP(free_identity) struct identity *identity = NULL;
	CLEANUP(buf_release) struct buf pem;
	buf_init(&pem, 4096);
	int code = home_find(c->home, &home, err);
	if (!code)
		code = identity_load(home.key, &identity, err);
	if (!code)
		code = ed25519_pem(identity_id(identity), &pem, err);
	if (code)
		return code;
	node_id_format(id, identity_id(identity));
	if (c->out.json) {
		CLEANUP(client_free_json)
		json_t *answer = json_pack("{s:i,s:b,s:s,s:s}", "v", 1, "ok", 1, "node", id, "pem", buf_cstr(&pem));
		out_json(&c->out, answer);
	} else if (cli_has(c, "pem")) {
		out_print(&c->out, OUT_PLAIN, "%s", buf_cstr(&pem));
	} else {
		out_print(&c->out, OUT_PLAIN, "%s\n", id);
	}
	return 0;
}

int cmd_key_backup(struct cli *c, struct err *err)
{
	struct home home;
	char id[NODE_ID_TEXT_MAX];
	const char *file = cli_arg(c, 0);
	CLEANUP(free_identity) struct identity *identity = NULL;
	int code = home_find(c->home, &home, err);
	if (!code)
		code = identity_copy(home.key, file, &identity, err);
	if (code)
		return code;
	node_id_format(id, identity_id(identity));
	CLEANUP(client_free_json) json_t *answer = json_pack("{s:i,s:b,s:s,s:s}", "v", 1, "ok", 1, "node", id, "file", file);
	if (c->out.json)
		out_json(&c->out, answer);
	out_note(&c->out, OUT_PLAIN, "the identity %s is now in %s too; 'talkoo init --key %s' restores it\n", id, file, file);
	return 0;
}

static void print_store(struct out *o, const json_t *stores, const char *key, const char *name)
{
	char used[UNITS_TEXT_MAX], cap[UNITS_TEXT_MAX];
	const json_t *store = json_object_get(stores, key);
	const uint64_t used_bytes = jnumber(store, "used_bytes"), cap_bytes = jnumber(store, "cap_bytes");
	const bool is_tight = cap_bytes && used_bytes > cap_bytes / 10 * 9;
	if (!store)
		return;
	out_print(o, is_tight ? OUT_WARN : OUT_PLAIN, "  %-10s %s of %s\n", name, units_format_size(used, used_bytes),
		  units_format_size(cap, cap_bytes));
}

/* First line: what it does, or why it does not and what ends that. */
static void print_state(struct out *o, const json_t *s)
{
	const json_t *jobs = json_object_get(s, "jobs");
	const char *state = jtext(s, "state"), *why = jtext(s, "why"), *until = jtext(s, "until");
	char when[UNITS_TEXT_MAX + 8];
	out_print(o, !strcmp(state, "running") ? OUT_GOOD : !strcmp(state, "idle") ? OUT_BOLD : OUT_WARN, "%s", state);
	if (!strcmp(state, "running"))
		out_print(o, OUT_PLAIN, ": %llu job%s", (unsigned long long)jnumber(jobs, "running"), jnumber(jobs, "running") == 1 ? "" : "s");
	if (*why)
		out_print(o, OUT_PLAIN, ": %s", OUT_FOREIGN(why));
	if (*until) {
		uint64_t at;
		out_print(o, OUT_PLAIN, "; until %s", units_parse_time(until, &at) ? until : OUT_FOREIGN(until));
		if (units_parse_time(until, &at))
			out_print(o, OUT_DIM, " (%s)", time_ago(when, until));
	}
	out_print(o, OUT_PLAIN, "\n");
}

int cmd_status(struct cli *c, struct err *err)
{
	CLEANUP(client_free_json) json_t *s = NULL;
	char up[UNITS_TEXT_MAX];
	const int code = nodecall(c, json_pack("{s:s}", "op", "status"), &s, err);
	if (code)
		return code;
	struct out *o = &c->out;
	if (o->json) {
		out_json(o, s);
		return 0;
	}
	const json_t *jobs = json_object_get(s, "jobs"), *stores = json_object_get(s, "stores");
	const json_t *clock = json_object_get(s, "clock"), *policy = json_object_get(s, "policy");
	print_state(o, s);
	out_print(o, OUT_PLAIN, "node       %s\n", jtext(s, "node"));
	out_print(o, OUT_DIM, "           version %s, network %s, up %s\n", jtext(s, "version"), jtext(s, "network"),
		  units_format_duration(up, jnumber(s, "uptime_ms")));
	out_print(o, OUT_PLAIN, "jobs       %llu running, %llu waiting\n", (unsigned long long)jnumber(jobs, "running"),
		  (unsigned long long)jnumber(jobs, "queued"));
	out_print(o, OUT_PLAIN, "peers      %llu connected\n", (unsigned long long)jnumber(json_object_get(s, "peers"), "connected"));
	if (*jtext(policy, "error"))
		out_print(o, OUT_BAD, "policy     %s\n", OUT_FOREIGN(jtext(policy, "error")));
	else
		out_print(o, OUT_PLAIN, "policy     %llu rule%s%s\n", (unsigned long long)jnumber(policy, "rules"),
			  jnumber(policy, "rules") == 1 ? "" : "s", jnumber(policy, "rules") ? "" : ": everything is denied ('talkoo allow')");
	if (*jtext(s, "accel"))
		out_print(o, OUT_PLAIN, "VM         %s%s%s\n", jtext(s, "accel"), *jtext(s, "isolation") ? "; isolation: " : "",
			  OUT_FOREIGN(jtext(s, "isolation")));
	out_print(o, OUT_PLAIN, "stores     used of cap\n");
	print_store(o, stores, "database", "database");
	print_store(o, stores, "blobs", "blobs");
	print_store(o, stores, "images", "images");
	print_store(o, stores, "mirrors", "mirrors");
	if (clock && !json_is_true(json_object_get(clock, "ok")))
		out_print(o, OUT_BAD, "clock      off by %lld ms: nothing is signed until it is right\n",
			  (long long)json_integer_value(json_object_get(clock, "offset_ms")));
	return 0;
}

int cmd_pause(struct cli *c, struct err *err)
{
	CLEANUP(client_free_json) json_t *answer = NULL;
	uint64_t for_ms = 0;
	char when[UNITS_TEXT_MAX + 8];
	int code = cli_duration(c, "for", &for_ms, err);
	if (code)
		return code;
	json_t *request = json_pack("{s:s}", "op", "pause");
	jset_number(request, "for_ms", for_ms);
	jset_text(request, "note", cli_option(c, "note"));
	code = nodecall(c, request, &answer, err);
	if (code)
		return code;
	if (c->out.json)
		out_json(&c->out, answer);
	else if (*jtext(answer, "until") && for_ms)
		out_print(&c->out, OUT_PLAIN, "paused until %s (%s)\n", jtext(answer, "until"), time_ago(when, jtext(answer, "until")));
	else
		out_print(&c->out, OUT_PLAIN, "paused until 'talkoo resume'\n");
	return 0;
}

static int simple(struct cli *c, const char *op, const char *says, struct err *err)
{
	CLEANUP(client_free_json) json_t *answer = NULL;
	const int code = nodecall(c, json_pack("{s:s}", "op", op), &answer, err);
	if (code)
		return code;
	if (c->out.json)
		out_json(&c->out, answer);
	out_print(&c->out, OUT_PLAIN, "%s\n", says);
	return 0;
}

int cmd_resume(struct cli *c, struct err *err)
{
	return simple(c, "resume", "working again", err);
}

int cmd_finish(struct cli *c, struct err *err)
{
	return simple(c, "finish", "takes nothing new and finishes what runs ('talkoo resume' takes that back)", err);
}

static bool on_event(void *user, const json_t *event)
{
	struct out *o = user;
	out_json(o, event);
	return !ferror(o->answer);
}

int cmd_events(struct cli *c, struct err *err)
{
	CLEANUP(client_close) struct client *client = NULL;
	CLEANUP(client_free_json) json_t *answer = NULL;
	uint64_t since = 0;
	int code = cli_number(c, "since", 0, INT64_MAX, &since, err);
	if (!code)
		code = nodecall_open(c, &client, err);
	if (code)
		return code;
	json_t *request = json_pack("{s:s,s:I,s:b}", "op", "events", "since", (json_int_t)since, "follow", (int)cli_has(c, "follow"));
	const struct client_call call = {.on_event = on_event, .user = &c->out};
	code = client_call(client, request, &call, &answer, err);
	size_t i;
	const json_t *event;
	/* a node may also answer with a list */
	json_array_foreach(json_object_get(answer, "events"), i, event) out_json(&c->out, event);
	return code;
}
