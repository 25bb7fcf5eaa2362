#include "policy/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/glob.h"
#include "policy/rules.h"
#include "proto/base/sanitise.h"
#include "proto/base/units.h"

/* How far a rule fits, in the order in which its keys are looked at. */
enum fit { FIT_NOT_PROJECT = 0, FIT_NOT_BY, FIT_NOT_REF, FIT_NOT_IMAGE, FIT_NOT_ARCH, FIT_ALL };

static void texts_free(char **texts, size_t len)
{
	for (size_t i = 0; i < len; i++)
		free(texts[i]);
	free(texts);
}

void rule_release(struct rule *r)
{
	free(r->projects);
	free(r->by);
	texts_free(r->refs, r->refs_len);
	texts_free(r->images, r->images_len);
	texts_free(r->archs, r->archs_len);
	*r = (struct rule){0};
}

void ruleset_release(struct ruleset *set)
{
	for (size_t i = 0; i < set->len; i++)
		rule_release(&set->rules[i]);
	free(set->rules);
	*set = (struct ruleset){0};
}

void policy_free(struct policy *p)
{
	if (!p)
		return;
	ruleset_release(&p->set);
	free(p->own);
	free(p);
}

void rule_name(const struct rule *r, char out[256])
{
	snprintf(out, 256, "%s:%u", r->file, r->line);
}

/* Moves the rules of one verdict (0: all) to the end of set, which has room. */
static void take_rules(struct ruleset *set, struct ruleset *from, enum policy_verdict verdict)
{
	size_t left = 0;
	for (size_t i = 0; i < from->len; i++) {
		if (!verdict || from->rules[i].deny == (verdict == POLICY_DENY))
			set->rules[set->len++] = from->rules[i];
		else
			from->rules[left++] = from->rules[i];
	}
	from->len = left;
}

static int join_rules(struct policy *p, struct ruleset *file, struct ruleset *cli, struct err *err)
{
	p->set.rules = calloc(file->len + cli->len + 1, sizeof *p->set.rules);
	if (!p->set.rules)
		return err_set(err, ERR_NOMEM, "policy: out of memory");
	take_rules(&p->set, cli, POLICY_DENY);
	take_rules(&p->set, file, 0);
	take_rules(&p->set, cli, POLICY_ALLOW);
	return 0;
}

int policy_parse(const char *policy_text, size_t policy_len, const char *cli_text, size_t cli_len,
		 const struct node_id *self, struct policy **ret, struct err *err)
{
	struct ruleset file = {0}, cli = {0};
	struct policy *p = calloc(1, sizeof *p);
	if (!p)
		return err_set(err, ERR_NOMEM, "policy: out of memory");
	p->self = *self;
	int code = 0;
	if (policy_text)
		code = rules_parse(POLICY_FILE, policy_text, policy_len, &file, p, err);
	if (!code && cli_text)
		code = rules_parse(POLICY_CLI_FILE, cli_text, cli_len, &cli, NULL, err);
	if (!code)
		code = join_rules(p, &file, &cli, err);
	ruleset_release(&file);
	ruleset_release(&cli);
	if (code) {
		policy_free(p);
		return code;
	}
	*ret = p;
	return 0;
}

bool rule_names_project(const struct rule *r, const struct id32 *project)
{
	for (size_t i = 0; i < r->projects_len; i++)
		if (id32_eq(&r->projects[i], project))
			return true;
	return !r->projects_len;
}

static bool by_fits(const struct rule *r, const struct policy_facts *f)
{
	for (size_t i = 0; i < r->by_len; i++)
		if (node_id_eq(&r->by[i], &f->announcer))
			return true;
	return !r->by_len && (r->deny || f->announcer_is_maintainer);
}

static bool text_fits(const struct rule *r, char *const *patterns, size_t len, const char *text)
{
	if (!len)
		return true;
	if (!*text)
		return r->deny;
	for (size_t i = 0; i < len; i++)
		if (glob_match(patterns[i], text))
			return true;
	return false;
}

static enum fit rule_fit(const struct rule *r, const struct policy_facts *f)
{
	if (!rule_names_project(r, &f->project))
		return FIT_NOT_PROJECT;
	if (!by_fits(r, f))
		return FIT_NOT_BY;
	if (!text_fits(r, r->refs, r->refs_len, f->ref))
		return FIT_NOT_REF;
	if (!text_fits(r, r->images, r->images_len, f->image))
		return FIT_NOT_IMAGE;
	if (!text_fits(r, r->archs, r->archs_len, f->arch))
		return FIT_NOT_ARCH;
	return FIT_ALL;
}

/* The sentence for a job that no rule allows. near: the allow rule that fits furthest, how far: fit. */
static void explain_miss(struct policy_decision *d, const struct policy_facts *f, const struct rule *near, enum fit fit)
{
	char rule[256] = "", project[ID32_TEXT_MAX], who[NODE_ID_TEXT_MAX], text[256];
	if (near)
		rule_name(near, rule);
	id32_format(project, &f->project);
	node_id_format(who, &f->announcer);
	char *out = d->reason;
	const size_t size = sizeof d->reason;
	switch (fit) {
	case FIT_ALL:
	case FIT_NOT_PROJECT:
		snprintf(out, size, "no rule names project talkoo:%s; allow it with: talkoo allow talkoo:%s", project, project);
		return;
	case FIT_NOT_BY:
		snprintf(out, size,
			 "%s allows project talkoo:%s, but not jobs announced by %s, which is not %s; allow that key with: "
			 "talkoo allow talkoo:%s --by %s",
			 rule, project, who, near->by_len ? "in its list `by`" : "a maintainer", project, who);
		return;
	case FIT_NOT_REF:
		if (*f->ref)
			snprintf(out, size, "%s allows the project, but none of its `ref` patterns matches %s", rule,
				 sanitise_line(text, sizeof text, f->ref));
		else
			snprintf(out, size, "%s allows the project only on some refs (`ref`), and no ref is known", rule);
		return;
	case FIT_NOT_IMAGE:
		if (*f->image)
			snprintf(out, size, "%s allows the project, but none of its `image` patterns matches %s", rule,
				 sanitise_line(text, sizeof text, f->image));
		else
			snprintf(out, size, "%s allows the project only in some images (`image`), and no image is known", rule);
		return;
	case FIT_NOT_ARCH:
		snprintf(out, size, "%s allows the project, but its `arch` does not list %s", rule,
			 *f->arch ? sanitise_line(text, sizeof text, f->arch) : "a job of unknown arch");
		return;
	}
}

/* Whether the job asks for more than the rule grants; then says so. */
static bool asks_too_much(const struct rule *r, const struct policy_limits *want, const char *rule, char *out, size_t size)
{
	char asked[UNITS_TEXT_MAX], granted[UNITS_TEXT_MAX];
	const struct policy_limits *have = &r->limits;
	const char *what = NULL;
	if (have->memory_bytes && want->memory_bytes > have->memory_bytes) {
		what = "memory";
		units_format_size(asked, want->memory_bytes);
		units_format_size(granted, have->memory_bytes);
	} else if (have->disk_bytes && want->disk_bytes > have->disk_bytes) {
		what = "disk";
		units_format_size(asked, want->disk_bytes);
		units_format_size(granted, have->disk_bytes);
	} else if (have->timeout_ms && want->timeout_ms > have->timeout_ms) {
		what = "timeout";
		units_format_duration(asked, want->timeout_ms);
		units_format_duration(granted, have->timeout_ms);
	}
	if (!what)
		return false;
	snprintf(out, size, "the job asks for `%s` %s, %s grants %s", what, asked, rule, granted);
	return true;
}

static void decide_by(const struct rule *r, const struct policy_facts *f, struct policy_decision *d)
{
	rule_name(r, d->rule);
	if (r->deny) {
		snprintf(d->reason, sizeof d->reason, "%s denies it: %s", d->rule, r->deny_reason);
		return;
	}
	if (asks_too_much(r, &f->wanted, d->rule, d->reason, sizeof d->reason))
		return;
	char who[16];
	node_id_short(who, &f->announcer);
	d->verdict = POLICY_ALLOW;
	d->limits = r->limits;
	snprintf(d->reason, sizeof d->reason, "%s allows %s announced by %s%s", d->rule,
		 r->projects_len ? "this project" : "any project", who, r->by_len ? "" : ", a maintainer");
}

void policy_decide(const struct policy *p, const struct policy_facts *facts, struct policy_decision *ret)
{
	*ret = (struct policy_decision){.verdict = POLICY_DENY, .rule = "default"};
	ret->is_own = policy_is_own(p, &facts->announcer);
	const struct rule *near = NULL;
	enum fit nearest = FIT_NOT_PROJECT;
	for (size_t i = 0; i < p->set.len; i++) {
		const struct rule *r = &p->set.rules[i];
		const enum fit fit = rule_fit(r, facts);
		if (fit == FIT_ALL) {
			decide_by(r, facts, ret);
			return;
		}
		/* a rule without a project says nothing about this one until its keys fit */
		if (!r->deny && fit > nearest && r->projects_len) {
			nearest = fit;
			near = r;
		}
	}
	explain_miss(ret, facts, near, nearest);
}

bool policy_is_own(const struct policy *p, const struct node_id *key)
{
	for (size_t i = 0; i < p->own_len; i++)
		if (node_id_eq(&p->own[i], key))
			return true;
	return node_id_eq(&p->self, key);
}

static bool denies_always(const struct rule *r)
{
	return r->deny && !r->by_len && !r->refs_len && !r->images_len && !r->archs_len;
}

bool policy_may_allow(const struct policy *p, const struct id32 *project)
{
	for (size_t i = 0; i < p->set.len; i++) {
		const struct rule *r = &p->set.rules[i];
		if (!rule_names_project(r, project))
			continue;
		if (!r->deny)
			return true;
		if (denies_always(r))
			return false;
	}
	return false;
}

bool policy_file_rule(const struct policy *p, const struct id32 *project, enum policy_verdict verdict, char ret_rule[256])
{
	for (size_t i = 0; i < p->set.len; i++) {
		const struct rule *r = &p->set.rules[i];
		if (strcmp(r->file, POLICY_FILE) != 0 || !rule_names_project(r, project))
			continue;
		if (verdict && r->deny != (verdict == POLICY_DENY))
			continue;
		rule_name(r, ret_rule);
		return true;
	}
	return false;
}
