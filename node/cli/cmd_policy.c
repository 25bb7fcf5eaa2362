/* talkoo allow, deny, policy show/why/check. */
#include <string.h>

#include "node/cli/cmds.h"
#include "node/cli/nodecall.h"
#include "node/cli/resolve.h"
#include "policy/policy.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/units.h"

#define POLICY_FILE_MAX (1u << 20)

static int allow_request(const struct cli *c, const char *project, json_t **ret, struct err *err)
{
	uint64_t cpus = 0, memory = 0, disk = 0, timeout = 0;
	json_t *by = json_array(), *refs = json_array(), *sources = json_array();
	struct node_id id;
	const char *text;
	int code = cli_number(c, "cpus", 1, 1024, &cpus, err);
	if (!code)
		code = cli_size(c, "memory", &memory, err);
	if (!code)
		code = cli_size(c, "disk", &disk, err);
	if (!code)
		code = cli_duration(c, "timeout", &timeout, err);
	for (size_t i = 0; !code && (text = cli_option_at(c, "by", i)); i++) {
		code = node_id_parse(text, &id, err);
		json_array_append_new(by, json_string(text));
	}
	for (size_t i = 0; (text = cli_option_at(c, "ref", i)); i++)
		json_array_append_new(refs, json_string(text));
	for (size_t i = 0; !code && (text = cli_option_at(c, "source", i)); i++) {
		if (strcmp(text, "loopback") && strcmp(text, "private") && strcmp(text, "file")) {
			err_set(err, ERR_USAGE, "--source %s: no such kind of source", text);
			code = err_hint(err, "loopback (this machine's network), private (the local network) or file (a local path)");
		}
		json_array_append_new(sources, json_string(text));
	}
	json_t *request = json_pack("{s:s,s:s,s:o,s:o,s:o,s:b}", "op", "allow", "project", project, "by", by, "refs", refs, "sources",
				    sources, "allow_emulation", (int)cli_has(c, "allow-emulation"));
	jset_number(request, "cpus", cpus);
	jset_number(request, "memory", memory);
	jset_number(request, "disk", disk);
	jset_number(request, "timeout", timeout);
	if (code)
		json_decref(request);
	else
		*ret = request;
	return code;
}

int cmd_allow(struct cli *c, struct err *err)
{
	CLEANUP(client_close) struct client *client = NULL;
	CLEANUP(client_free_json) json_t *answer = NULL;
	char project[LINK_TEXT_MAX];
	json_t *request = NULL;
	int code = nodecall_open(c, &client, err);
	if (!code)
		code = resolve_project(client, cli_arg(c, 0), RESOLVE_GRANT, project, err);
	if (!code)
		code = allow_request(c, project, &request, err);
	if (!code)
		code = nodecall_on(client, request, &answer, err);
	if (code)
		return code;
	if (c->out.json) {
		out_json(&c->out, answer);
		return 0;
	}
	out_print(&c->out, OUT_GOOD, "allowed");
	out_print(&c->out, OUT_PLAIN, ": rule %s\n", OUT_FOREIGN(jtext(answer, "rule")));
	if (*jtext(answer, "overridden_by"))
		out_note(&c->out, OUT_WARN, "note: %s decides before it\n", OUT_FOREIGN(jtext(answer, "overridden_by")));
	return 0;
}

int cmd_deny(struct cli *c, struct err *err)
{
	CLEANUP(client_close) struct client *client = NULL;
	CLEANUP(client_free_json) json_t *answer = NULL;
	char project[LINK_TEXT_MAX];
	int code = nodecall_open(c, &client, err);
	if (!code)
		code = resolve_project(client, cli_arg(c, 0), RESOLVE_GRANT, project, err);
	if (code)
		return code;
	json_t *request = json_pack("{s:s,s:s,s:b}", "op", "deny", "project", project, "kill", (int)cli_has(c, "kill"));
	jset_text(request, "reason", cli_option(c, "reason"));
	code = nodecall_on(client, request, &answer, err);
	if (code)
		return code;
	if (c->out.json) {
		out_json(&c->out, answer);
		return 0;
	}
	out_print(&c->out, OUT_WARN, "denied");
	out_print(&c->out, OUT_PLAIN, ": rule %s\n", OUT_FOREIGN(jtext(answer, "rule")));
	const json_t *overrides = json_object_get(answer, "overrides"), *killed = json_object_get(answer, "killed"), *each;
	size_t i;
	if (json_is_string(overrides) && *json_string_value(overrides))
		out_print(&c->out, OUT_PLAIN, "overrides %s\n", OUT_FOREIGN(json_string_value(overrides)));
	json_array_foreach(overrides, i, each)
		out_print(&c->out, OUT_PLAIN, "overrides %s\n", OUT_FOREIGN(json_is_string(each) ? json_string_value(each) : jtext(each, "rule")));
	json_array_foreach(killed, i, each)
		out_print(&c->out, OUT_PLAIN, "stopped %s\n", OUT_FOREIGN(json_is_string(each) ? json_string_value(each) : jtext(each, "job")));
	return 0;
}

static void append_list(struct buf *b, const char *before, const json_t *list)
{
	size_t i;
	const json_t *each;
	json_array_foreach(list, i, each) {
		const char *text = json_string_value(each);
		buf_printf(b, "%s%s", i ? ", " : before, text ? text : "");
	}
}

/* "cpus 2, memory 2.0 GiB, timeout 30 min 00 s, emulation, sources file" */
static void append_limits(struct buf *b, const json_t *limits)
{
	char text[UNITS_TEXT_MAX];
	const size_t before = b->len;
	if (jnumber(limits, "cpus"))
		buf_printf(b, "cpus %llu", (unsigned long long)jnumber(limits, "cpus"));
	if (jnumber(limits, "memory_bytes"))
		buf_printf(b, "%smemory %s", b->len > before ? ", " : "", units_format_size(text, jnumber(limits, "memory_bytes")));
	if (jnumber(limits, "disk_bytes"))
		buf_printf(b, "%sdisk %s", b->len > before ? ", " : "", units_format_size(text, jnumber(limits, "disk_bytes")));
	if (jnumber(limits, "timeout_ms"))
		buf_printf(b, "%stimeout %s", b->len > before ? ", " : "", units_format_duration(text, jnumber(limits, "timeout_ms")));
	if (jbool(limits, "allow_emulation"))
		buf_printf(b, "%semulation", b->len > before ? ", " : "");
	append_list(b, b->len > before ? ", sources " : "sources ", json_object_get(limits, "sources"));
	if (b->len == before)
		buf_str(b, "this node's own limits");
}

static void print_rule(struct out *o, const json_t *rule)
{
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, 16384);
	const bool is_deny = !strcmp(jtext(rule, "verdict"), "deny");
	append_list(&text, "", json_object_get(rule, "project"));
	if (!text.len)
		buf_str(&text, "any project");
	append_list(&text, "  by ", json_object_get(rule, "by"));
	append_list(&text, "  ref ", json_object_get(rule, "ref"));
	append_list(&text, "  image ", json_object_get(rule, "image"));
	append_list(&text, "  arch ", json_object_get(rule, "arch"));
	out_print(o, is_deny ? OUT_BAD : OUT_GOOD, "%-6s", jtext(rule, "verdict"));
	out_print(o, OUT_PLAIN, " %s\n", OUT_FOREIGN(buf_cstr(&text)));
	buf_reset(&text);
	if (is_deny)
		buf_str(&text, jtext(rule, "reason"));
	else
		append_limits(&text, json_object_get(rule, "limits"));
	out_print(o, OUT_DIM, "       %s%s%s\n", OUT_FOREIGN(jtext(rule, "rule")), text.len ? ": " : "", OUT_FOREIGN(buf_cstr(&text)));
}

int cmd_policy_show(struct cli *c, struct err *err)
{
	CLEANUP(client_free_json) json_t *answer = NULL;
	const int code = nodecall_shown(c, json_pack("{s:s}", "op", "policy.show"), &answer, err);
	if (code || !answer)
		return code;
	const json_t *each;
	size_t i;
	if (*jtext(answer, "error"))
		out_print(&c->out, OUT_BAD, "the policy is wrong, so everything is denied: %s\n", OUT_FOREIGN(jtext(answer, "error")));
	json_array_foreach(json_object_get(answer, "rules"), i, each) print_rule(&c->out, each);
	out_print(&c->out, OUT_BAD, "deny  ");
	out_print(&c->out, OUT_PLAIN, " %s\n", i ? "everything else" : "everything ('talkoo allow LINK' lets a project in)");
	json_array_foreach(json_object_get(answer, "files"), i, each)
		out_print(&c->out, OUT_DIM, "%s %s\n", i ? "     " : "files", OUT_FOREIGN(json_is_string(each) ? json_string_value(each) : jtext(each, "path")));
	return 0;
}

static void print_decision(struct out *o, const json_t *d)
{
	CLEANUP(buf_release) struct buf limits;
	buf_init(&limits, 4096);
	const bool is_allowed = !strcmp(jtext(d, "verdict"), "allow");
	char ago[UNITS_TEXT_MAX + 8];
	out_print(o, is_allowed ? OUT_GOOD : OUT_BAD, "%s", *jtext(d, "verdict") ? jtext(d, "verdict") : "no decision");
	out_print(o, OUT_PLAIN, ": %s\n", OUT_FOREIGN(jtext(d, "reason")));
	if (*jtext(d, "rule"))
		out_print(o, OUT_PLAIN, "rule     %s\n", OUT_FOREIGN(jtext(d, "rule")));
	append_limits(&limits, json_object_get(d, "limits"));
	if (is_allowed)
		out_print(o, OUT_PLAIN, "limits   %s\n", OUT_FOREIGN(buf_cstr(&limits)));
	if (*jtext(d, "at"))
		out_print(o, OUT_PLAIN, "decided  %s (%s)\n", jtext(d, "at"), jbool(d, "stored") ? time_ago(ago, jtext(d, "at")) : "now");
}

int cmd_policy_why(struct cli *c, struct err *err)
{
	CLEANUP(client_close) struct client *client = NULL;
	CLEANUP(client_free_json) json_t *answer = NULL;
	char project[LINK_TEXT_MAX], id[ID32_TEXT_MAX];
	const char *text = cli_arg(c, 0);
	json_t *request = NULL;
	int code = nodecall_open(c, &client, err);
	if (code)
		return code;
	/* a project's id and a job's look alike: projects are few and known, so they are asked first */
	code = resolve_project(client, text, RESOLVE_READ, project, err);
	if (!code && resolve_form_of(text) == RESOLVE_ID) {
		CLEANUP(client_free_json) json_t *job = NULL;
		if (!nodecall_on(client, json_pack("{s:s,s:s}", "op", "job.show", "job", text), &job, NULL))
			code = ERR_NOT_FOUND;
	}
	if (code == ERR_NOT_FOUND && resolve_form_of(text) != RESOLVE_ALIAS)
		request = json_pack("{s:s,s:s}", "op", "policy.why", "job", text);
	else if (!code && !(code = resolve_project_id(project, id, err)))
		request = json_pack("{s:s,s:s}", "op", "policy.why", "project", id);
	if (!request)
		return code;
	jset_text(request, "ref", cli_option(c, "ref"));
	jset_text(request, "by", cli_option(c, "by"));
	code = nodecall_on(client, request, &answer, err);
	if (code)
		return code;
	if (c->out.json)
		out_json(&c->out, answer);
	else
		print_decision(&c->out, answer);
	return 0;
}

/* The parser names the files as a node has them; the error is to name the one that was given. */
static int name_file(const char *file, struct err *err)
{
	static const char *const known[] = {"policy.yml:", "policy.d/cli.yml:"};
	if (!err)
		return ERR_INVALID;
	const int code = err->code;
	const struct err old = *err;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (!strncmp(old.what, known[i], strlen(known[i]))) {
			err_set(err, code, "%s:%s", file, old.what + strlen(known[i]));
			return old.hint[0] ? err_hint(err, "%s", old.hint) : code;
		}
	return code;
}

int cmd_policy_check(struct cli *c, struct err *err)
{
	struct policy *policy = NULL;
	const struct node_id nobody = {0};
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, POLICY_FILE_MAX);
	const char *file = cli_arg(c, 0);
	const char *slash = strrchr(file, '/');
	/* cli.yml has a form of its own, as only allow and deny write it */
	const bool is_cli = !strcmp(slash ? slash + 1 : file, "cli.yml");
	int code = io_read_file(file, &text, err);
	if (code)
		return code;
	const char *const bytes = buf_cstr(&text);
	if (is_cli)
		code = policy_parse(NULL, 0, bytes, text.len, &nobody, &policy, err);
	else
		code = policy_parse(bytes, text.len, NULL, 0, &nobody, &policy, err);
	if (code)
		return name_file(file, err);
	CLEANUP(client_free_json) json_t *rules = policy_to_json(policy);
	policy_free(policy);
	if (c->out.json) {
		CLEANUP(client_free_json) json_t *answer = json_pack("{s:i,s:b,s:O}", "v", 1, "ok", 1, "rules", rules);
		out_json(&c->out, answer);
		return 0;
	}
	out_print(&c->out, OUT_GOOD, "ok");
	out_print(&c->out, OUT_PLAIN, ": %zu rule%s\n", json_array_size(rules), json_array_size(rules) == 1 ? "" : "s");
	return 0;
}
