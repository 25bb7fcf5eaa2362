/* Control operations: projects, the policy, trust. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "node/control_parts.h"
#include "node/net.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/units.h"

/* ---- projects */

static bool read_keys(struct control_call *c, const json_t *args, const char *key, struct node_id *ret, size_t max, size_t *len)
{
	const json_t *list = json_object_get(args, key);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		struct err err;
		if (*len == max) {
			op_fail(c, ERR_LIMIT, NULL, "%s: more than %zu", key, max);
			return false;
		}
		if (!text || node_id_parse(text, &ret[*len], &err)) {
			if (text)
				control_fail(c, &err);
			else
				op_fail(c, ERR_USAGE, NULL, "%s: not a list of node ids", key);
			return false;
		}
		(*len)++;
	}
	return true;
}

static bool read_urls(struct control_call *c, const json_t *args, struct project_body *p)
{
	const json_t *list = json_object_get(args, "urls");
	if (!json_array_size(list) || json_array_size(list) > PROJECT_URLS_MAX) {
		op_fail(c, ERR_USAGE, "name where it is cloned from: --url https://…", "a project has 1 to %d clone URLs", PROJECT_URLS_MAX);
		return false;
	}
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		struct err err;
		if (!text) {
			op_fail(c, ERR_USAGE, NULL, "urls: not a list of texts");
			return false;
		}
		if (url_normalise(text, p->urls[p->urls_len], &err)) {
			control_fail(c, &err);
			return false;
		}
		p->urls_len++;
	}
	return true;
}

static bool fill_project(struct node *n, struct control_call *c, const json_t *args, struct project_body *p)
{
	const char *name = op_text_needed(c, args, "name");
	if (!name)
		return false;
	if (strlen(name) >= sizeof p->name) {
		op_fail(c, ERR_USAGE, NULL, "name: longer than %zu bytes", sizeof p->name - 1);
		return false;
	}
	snprintf(p->name, sizeof p->name, "%s", name);
	randombytes_buf(p->nonce, sizeof p->nonce);
	p->maintainers[p->maintainers_len++] = n->self;
	return read_urls(c, args, p) && read_keys(c, args, "maintainers", p->maintainers, PROJECT_KEYS_MAX, &p->maintainers_len) &&
	       read_keys(c, args, "volunteers", p->volunteers, PROJECT_KEYS_MAX, &p->volunteers_len);
}

/* Where to find carriers: this node, if others can call it, and the seeds it has itself. */
static json_t *link_json(const struct node *n, const struct id32 *project, const char *name)
{
	struct project_link link = {.project = *project};
	link.seeds_len = net_address(n, &link.seeds[0]);
	for (size_t i = 0; i < n->config.seeds_len && link.seeds_len < LINK_SEEDS_MAX; i++)
		link.seeds[link.seeds_len++] = n->config.seeds[i];
	char text[LINK_TEXT_MAX];
	snprintf(link.name, sizeof link.name, "%s", name);
	return project_link_format(&link, text, sizeof text, NULL) ? json_null() : json_string(text);
}

static void publish_project(struct node *n, struct control_call *c, const struct project_body *p)
{
	CLEANUP(buf_release) struct buf body;
	struct id32 project, topic;
	struct err err;
	char text[ID32_TEXT_MAX];
	buf_init(&body, RECORD_LEN_MAX);
	project_body_encode(p, &body);
	if (buf_check(&body, "project", &err))
		return control_fail(c, &err);
	project_id_derive(&n->self, p->nonce, &project);
	topic_derive(&project, &topic);
	struct state_follow follow = {.project = project};
	snprintf(follow.name, sizeof follow.name, "%s", p->name);
	struct store_batch *b = store_batch_new();
	if (!b)
		return op_fail(c, ERR_NOMEM, NULL, "out of memory");
	if (state_follow_put(&n->state, &follow, b, &err)) {
		store_batch_free(b);
		return control_fail(c, &err);
	}
	if (!intake_follow(n->intake, &project)) {
		store_batch_free(b);
		return op_fail(c, ERR_LIMIT, NULL, "too many projects are followed");
	}
	const struct node_own own = {.kind = RECORD_PROJECT, .topic = &topic, .key = p->nonce, .key_len = sizeof p->nonce, .body = &body};
	json_t *answer = json_pack("{s:s,s:o}", "project", id32_format(text, &project), "link", link_json(n, &project, p->name));
	if (!op_publish(n, c, &own, b, answer, NULL, OP_NO_TURN))
		return;
	/* nothing of it is stored: nothing of it is remembered */
	struct store_batch *undo = store_batch_new();
	if (undo)
		state_follow_remove(&n->state, &project, undo);
	store_batch_free(undo);
	intake_unfollow(n->intake, &project);
}

void op_project_create(struct node *n, struct control_call *c, const json_t *args)
{
	struct project_body *p = calloc(1, sizeof *p);
	if (!p)
		return op_fail(c, ERR_NOMEM, NULL, "out of memory");
	if (fill_project(n, c, args, p))
		publish_project(n, c, p);
	free(p);
}

static json_t *keys_json(const struct node_id *keys, size_t len)
{
	json_t *list = json_array();
	char text[NODE_ID_TEXT_MAX];
	for (size_t i = 0; i < len; i++)
		json_array_append_new(list, json_string(node_id_format(text, &keys[i])));
	return list;
}

static json_t *project_json(struct node *n, const struct ix_project *p)
{
	char text[ID32_TEXT_MAX];
	const struct state_follow *follow = state_follow_find(&n->state, &p->id);
	const char *role = node_id_eq(&p->entry.author, &n->self) ? "founder" : index_is_maintainer(p, &n->self) ? "maintainer" : "follower";
	json_t *urls = json_array();
	for (size_t i = 0; i < p->body.urls_len; i++)
		json_array_append_new(urls, json_string(p->body.urls[i]));
	json_t *o = json_pack("{s:s,s:s,s:o,s:s}", "project", id32_format(text, &p->id), "name", p->body.name, "urls", urls, "role", role);
	json_object_set_new(o, "maintainers", keys_json(p->body.maintainers, p->body.maintainers_len));
	json_object_set_new(o, "link", link_json(n, &p->id, p->body.name));
	json_object_set_new(o, "allowed", json_boolean(!rules_error(n->rules) && policy_may_allow(rules_policy(n->rules), &p->id)));
	json_object_set_new(o, "alias", json_string(follow ? follow->alias : ""));
	json_object_set_new(o, "sequence", json_integer((json_int_t)p->entry.sequence));
	return o;
}

void op_project_list(struct node *n, struct control_call *c, const json_t *args)
{
	(void)args;
	json_t *list = json_array();
	size_t at = 0;
	rules_refresh(n->rules);
	for (const struct ix_project *p; (p = idmap_next(&node_index(n)->projects, &at));)
		json_array_append_new(list, project_json(n, p));
	control_end(c, json_pack("{s:o}", "projects", list));
}

void op_project_show(struct node *n, struct control_call *c, const json_t *args)
{
	struct id32 id, topic;
	const char *text = op_text_needed(c, args, "project");
	if (!text || !op_project(n, c, text, &id))
		return;
	const struct ix_project *p = index_project(node_index(n), &id);
	if (!p)
		return op_fail(c, ERR_NOT_FOUND, NULL, "project %s: its record is not here yet", text);
	char id_text[ID32_TEXT_MAX], node[NODE_ID_TEXT_MAX], time[UNITS_TEXT_MAX];
	json_t *o = project_json(n, p), *former = json_array();
	topic_derive(&id, &topic);
	for (size_t i = 0; i < p->body.former_len; i++)
		json_array_append_new(former, json_pack("{s:s,s:s}", "key", node_id_format(node, &p->body.former[i].key), "removed_at",
							units_format_time(time, p->body.former[i].removed_at_ms)));
	json_object_set_new(o, "topic", json_string(id32_format(id_text, &topic)));
	json_object_set_new(o, "founder", json_string(node_id_format(node, &p->entry.author)));
	json_object_set_new(o, "former", former);
	json_object_set_new(o, "volunteers", keys_json(p->body.volunteers, p->body.volunteers_len));
	json_object_set_new(o, "created", json_string(units_format_time(time, p->entry.created_ms)));
	control_end(c, o);
}

/* A link or a full id: what grants or follows takes no prefix. */
static bool full_project(struct control_call *c, const json_t *args, struct project_link *ret)
{
	const char *text = op_text(args, "link") ? op_text(args, "link") : op_text_needed(c, args, "project");
	struct err err;
	if (!text)
		return false;
	memset(ret, 0, sizeof *ret);
	if (!strncmp(text, "talkoo:", 7) ? project_link_parse(text, ret, &err) : id32_parse(text, &ret->project, &err)) {
		err_hint(&err, "a link (talkoo:…) or the full project id is needed here");
		control_fail(c, &err);
		return false;
	}
	return true;
}

void op_follow(struct node *n, struct control_call *c, const json_t *args)
{
	struct project_link link;
	struct err err;
	if (!full_project(c, args, &link))
		return;
	const struct state_follow *old = state_follow_find(&n->state, &link.project);
	struct state_follow f = {.project = link.project, .seeds_len = link.seeds_len};
	if (old)
		f = *old;
	const char *alias = op_text(args, "alias");
	if (alias)
		snprintf(f.alias, sizeof f.alias, "%s", alias);
	snprintf(f.name, sizeof f.name, "%s", link.name[0] ? link.name : f.name);
	memcpy(f.seeds, link.seeds, sizeof f.seeds);
	f.seeds_len = link.seeds_len;
	struct store_batch *b = store_batch_new();
	if (!b)
		return op_fail(c, ERR_NOMEM, NULL, "out of memory");
	if (!intake_follow(n->intake, &f.project) || state_follow_put(&n->state, &f, b, &err)) {
		store_batch_free(b);
		return op_fail(c, ERR_LIMIT, NULL, "too many projects are followed");
	}
	op_commit(n, c, b, NULL);
}

void op_unfollow(struct node *n, struct control_call *c, const json_t *args)
{
	struct id32 id;
	const char *text = op_text_needed(c, args, "project");
	if (!text || !op_project(n, c, text, &id))
		return;
	struct store_batch *b = store_batch_new();
	if (!b)
		return op_fail(c, ERR_NOMEM, NULL, "out of memory");
	intake_unfollow(n->intake, &id);
	state_follow_remove(&n->state, &id, b);
	op_commit(n, c, b, NULL);
}

/* ---- policy */

static bool read_limits(struct control_call *c, const json_t *args, struct policy_limits *l)
{
	uint64_t cpus;
	if (!op_range(c, args, "cpus", 0, 0, 65535, &cpus))
		return false;
	l->cpus = (uint32_t)cpus;
	l->memory_bytes = op_number(args, "memory", 0);
	l->disk_bytes = op_number(args, "disk", 0);
	l->timeout_ms = op_number(args, "timeout", 0);
	l->allow_emulation = op_bool(args, "allow_emulation");
	const json_t *sources = json_object_get(args, "sources");
	for (size_t i = 0; i < json_array_size(sources); i++) {
		const char *text = json_string_value(json_array_get(sources, i));
		if (text && !strcmp(text, "loopback"))
			l->source_loopback = true;
		else if (text && !strcmp(text, "private"))
			l->source_private = true;
		else if (text && !strcmp(text, "file"))
			l->source_file = true;
		else {
			op_fail(c, ERR_USAGE, "one of loopback, private, file", "sources: %.64s: no such source", text ? text : "(not a text)");
			return false;
		}
	}
	return true;
}

static bool read_refs(struct control_call *c, const json_t *args, struct policy_rule_spec *spec)
{
	const json_t *refs = json_object_get(args, "refs");
	for (size_t i = 0; i < json_array_size(refs); i++) {
		const char *text = json_string_value(json_array_get(refs, i));
		if (!text || strlen(text) >= sizeof spec->refs[0] || spec->refs_len == ARRAY_LEN(spec->refs)) {
			op_fail(c, ERR_USAGE, NULL, "refs: not a list of at most %zu ref patterns", ARRAY_LEN(spec->refs));
			return false;
		}
		strcpy(spec->refs[spec->refs_len++], text);
	}
	return true;
}

static const char cli_rules[] = "policy.d/cli.yml";

/* A rule on its way into cli.yml. The file is read, changed and synced in another thread; the next change waits for its turn. */
struct rule_change {
	struct control_state *st;
	uint64_t call;
	struct policy_rule_spec spec;
	struct project_link link;
	bool kills;
	int code;
	struct err err;
};

static void write_rule(void *user)
{
	struct rule_change *r = user;
	r->code = rules_write_file(&r->st->node->home, &r->spec, &r->err);
}

static json_t *kill_runs(struct node *n, const struct id32 *project)
{
	json_t *killed = json_array();
	struct id32 jobs[SCHED_SLOTS_MAX];
	char text[ID32_TEXT_MAX];
	const size_t len = scheduler_running(n->scheduler, jobs, ARRAY_LEN(jobs));
	for (size_t i = 0; i < len; i++) {
		const struct ix_job *job = index_job(node_index(n), &jobs[i]);
		if (job && id32_eq(&job->entry.project->id, project) && scheduler_stop(n->scheduler, &jobs[i], SCHED_STOP_DENIED))
			json_array_append_new(killed, json_string(id32_format(text, &jobs[i])));
	}
	return killed;
}

static int follow_allowed(struct node *n, const struct rule_change *r, struct store_batch *b, struct err *err)
{
	struct state_follow f = {.project = r->spec.project, .seeds_len = r->link.seeds_len};
	snprintf(f.name, sizeof f.name, "%s", r->link.name);
	memcpy(f.seeds, r->link.seeds, sizeof f.seeds);
	if (!intake_follow(n->intake, &r->spec.project))
		return err_set(err, ERR_LIMIT, "too many projects are followed");
	return state_follow_find(&n->state, &r->spec.project) ? 0 : state_follow_put(&n->state, &f, b, err);
}

static json_t *rule_answer(struct node *n, const struct rule_change *r)
{
	char other[256];
	rules_written(n->rules, &r->spec, other);
	json_t *answer = json_pack("{s:s,s:o}", "rule", cli_rules, "file", op_json_text(n->home.policy_cli));
	if (!r->spec.deny) {
		json_object_set_new(answer, "overridden_by", other[0] ? op_json_text(other) : json_null());
		return answer;
	}
	json_object_set_new(answer, "overrides", other[0] ? json_pack("[o]", op_json_text(other)) : json_array());
	json_object_set_new(answer, "killed", r->kills ? kill_runs(n, &r->spec.project) : json_array());
	return answer;
}

/* The rule is in force, whether or not somebody still waits for the answer. */
static void on_rule_written(struct node *n, void *user)
{
	struct rule_change *r = user;
	struct control_call *c = control_call_find(r->st->ctl, r->call);
	struct store_batch *b = r->code ? NULL : store_batch_new();
	json_t *answer = r->code ? NULL : rule_answer(n, r);
	char text[ID32_TEXT_MAX];
	if (!r->code && !b)
		r->code = err_set(&r->err, ERR_NOMEM, "out of memory");
	if (!r->code && !r->spec.deny)
		r->code = follow_allowed(n, r, b, &r->err);
	if (!r->code) {
		node_review_all(n);
		node_event(n, b, "policy",
			   json_pack("{s:s,s:s}", "project", id32_format(text, &r->spec.project), "rule", r->spec.deny ? "deny" : "allow"));
		if (c)
			op_commit(n, c, b, json_incref(answer));
		else if (node_commit(n, b, NULL, NULL, NULL))
			log_warn("event=policy-event-not-stored");
		n->hooks.want_work(n->hooks.user);
	} else {
		store_batch_free(b);
		if (c)
			control_fail(c, &r->err);
	}
	json_decref(answer);
	op_turn_end(r->st);
	free(r);
}

static void change_rule(struct node *n, struct control_call *c, const struct policy_rule_spec *spec, const struct project_link *link, bool kills)
{
	struct rule_change *r = calloc(1, sizeof *r);
	const struct node_task task = {.run = write_rule, .done = on_rule_written, .user = r};
	struct control_state *st = control_state_of(control_of(c));
	if (!r) {
		op_fail(c, ERR_NOMEM, NULL, "out of memory");
		return op_turn_end(st);
	}
	r->st = st;
	r->call = control_call_id(c);
	r->spec = *spec;
	r->link = *link;
	r->kills = kills;
	struct err err; /* r is the other thread's from here on */
	const int code = n->hooks.task(n->hooks.user, &task, &err);
	if (!code)
		return;
	r->code = code;
	r->err = err;
	on_rule_written(n, r);
}

void op_allow(struct node *n, struct control_call *c, const json_t *args)
{
	struct project_link link;
	struct policy_rule_spec spec = {0};
	if (!full_project(c, args, &link) || !read_limits(c, args, &spec.limits) || !read_refs(c, args, &spec) ||
	    !read_keys(c, args, "by", spec.by, ARRAY_LEN(spec.by), &spec.by_len))
		return;
	spec.project = link.project;
	if (op_turn_take(c, args, op_allow))
		change_rule(n, c, &spec, &link, false);
}

void op_deny(struct node *n, struct control_call *c, const json_t *args)
{
	struct project_link link;
	struct policy_rule_spec spec = {.deny = true};
	const char *reason = op_text(args, "reason");
	if (!full_project(c, args, &link))
		return;
	spec.project = link.project;
	snprintf(spec.deny_reason, sizeof spec.deny_reason, "%s", reason ? reason : "denied by the donor");
	if (op_turn_take(c, args, op_deny))
		change_rule(n, c, &spec, &link, op_bool(args, "kill"));
}

void op_policy_show(struct node *n, struct control_call *c, const json_t *args)
{
	(void)args;
	rules_refresh(n->rules);
	const struct err *wrong = rules_error(n->rules);
	json_t *o = json_object();
	json_object_set_new(o, "rules", wrong ? json_array() : policy_to_json(rules_policy(n->rules)));
	json_object_set_new(o, "files", json_pack("[o,o]", op_json_text(n->home.policy_file), op_json_text(n->home.policy_cli)));
	json_object_set_new(o, "error", wrong ? op_json_text(wrong->what) : json_null());
	control_end(c, o);
}

void op_policy_why(struct node *n, struct control_call *c, const json_t *args)
{
	if (op_text(args, "job"))
		return op_policy_why_job(n, c, args);
	struct policy_facts f = {0};
	const char *project = op_text_needed(c, args, "project"), *by = op_text(args, "by"), *ref = op_text(args, "ref");
	struct err err;
	if (!project || !op_project(n, c, project, &f.project))
		return;
	const struct ix_project *p = index_project(node_index(n), &f.project);
	if (by && node_id_parse(by, &f.announcer, &err))
		return control_fail(c, &err);
	if (!by && p && p->body.maintainers_len)
		f.announcer = p->body.maintainers[0];
	f.announcer_is_maintainer = p && index_is_maintainer(p, &f.announcer);
	snprintf(f.ref, sizeof f.ref, "%s", ref ? ref : "refs/heads/main");
	snprintf(f.arch, sizeof f.arch, "x86_64");
	rules_refresh(n->rules);
	struct policy_decision d;
	char time[UNITS_TEXT_MAX];
	rules_decide(n->rules, &f, &d);
	json_t *o = policy_decision_to_json(&d);
	json_object_set_new(o, "facts", policy_facts_to_json(&f));
	json_object_set_new(o, "at", json_string(units_format_time(time, node_now(n))));
	json_object_set_new(o, "stored", json_false());
	control_end(c, o);
}

void op_policy_check(struct node *n, struct control_call *c, const json_t *args)
{
	const json_t *text = json_object_get(args, "text");
	struct policy *p = NULL;
	struct err err;
	if (!json_is_string(text))
		return op_fail(c, ERR_USAGE, NULL, "request: text: missing");
	if (policy_parse(json_string_value(text), json_string_length(text), NULL, 0, &n->self, &p, &err))
		return control_fail(c, &err);
	policy_free(p);
	control_end(c, NULL);
}

/* ---- trust */

void op_trust_add(struct node *n, struct control_call *c, const json_t *args)
{
	struct state_trust t = {.since_ms = node_now(n)};
	const char *node = op_text_needed(c, args, "node"), *operator_name = op_text(args, "operator");
	struct err err;
	if (!node)
		return;
	if (node_id_parse(node, &t.node, &err))
		return control_fail(c, &err);
	snprintf(t.operator_name, sizeof t.operator_name, "%s", operator_name ? operator_name : "");
	struct store_batch *b = store_batch_new();
	if (!b)
		return op_fail(c, ERR_NOMEM, NULL, "out of memory");
	node_event(n, b, "trust", json_pack("{s:s,s:s,s:s}", "node", node, "operator", t.operator_name, "change", "add"));
	if (state_trust_put(&n->state, &t, b, &err)) {
		store_batch_free(b);
		return control_fail(c, &err);
	}
	op_commit(n, c, b, NULL);
}

void op_trust_list(struct node *n, struct control_call *c, const json_t *args)
{
	(void)args;
	json_t *list = json_array();
	char node[NODE_ID_TEXT_MAX], time[UNITS_TEXT_MAX];
	for (size_t i = 0; i < n->state.trust_len; i++) {
		const struct state_trust *t = &n->state.trust[i];
		json_array_append_new(list, json_pack("{s:s,s:o,s:s}", "node", node_id_format(node, &t->node), "operator",
						      t->operator_name[0] ? json_string(t->operator_name) : json_null(), "since",
						      units_format_time(time, t->since_ms)));
	}
	control_end(c, json_pack("{s:o}", "trust", list));
}

void op_trust_remove(struct node *n, struct control_call *c, const json_t *args)
{
	struct node_id id;
	const char *node = op_text_needed(c, args, "node");
	struct err err;
	if (!node)
		return;
	if (node_id_parse(node, &id, &err))
		return control_fail(c, &err);
	struct store_batch *b = store_batch_new();
	if (!b)
		return op_fail(c, ERR_NOMEM, NULL, "out of memory");
	if (!state_trust_remove(&n->state, &id, b)) {
		store_batch_free(b);
		return op_fail(c, ERR_NOT_FOUND, NULL, "%s is not trusted", node);
	}
	node_event(n, b, "trust", json_pack("{s:s,s:s}", "node", node, "change", "remove"));
	op_commit(n, c, b, NULL);
}
