/* Parsed rules, as policy's own files share them. Nobody outside this folder includes it. */
#ifndef TALKOO_POLICY_RULES_H
#define TALKOO_POLICY_RULES_H

#include "policy/policy.h"

#define POLICY_FILE "policy.yml"
#define POLICY_CLI_FILE "policy.d/cli.yml"
#define POLICY_TEXT_MAX 256 /* bytes of a pattern or a deny reason, with the 0 byte */

struct rule {
	const char *file; /* one of the two above */
	unsigned line;
	bool deny;
	char deny_reason[POLICY_TEXT_MAX];
	struct id32 *projects; /* none: any */
	size_t projects_len;
	struct node_id *by; /* none: see policy.h */
	size_t by_len;
	char **refs, **images, **archs; /* none: any */
	size_t refs_len, images_len, archs_len;
	struct policy_limits limits;
};

struct ruleset {
	struct rule *rules;
	size_t len;
};

void rule_release(struct rule *r); /* what it holds, not r */
void ruleset_release(struct ruleset *set);

struct policy {
	struct node_id self;
	struct node_id *own;
	size_t own_len;
	struct ruleset set; /* in the order of decision */
};

/* One file's rules in its order (and, from policy.yml, its `own:`; NULL: not allowed there). */
int rules_parse(const char *file, const char *text, size_t len, struct ruleset *ret, struct policy *ret_own,
		struct err *err) MUST_CHECK;

/* Why a text cannot be a `ref` pattern; NULL if it can. */
const char *ref_pattern_fault(const char *pattern);
bool rule_names_project(const struct rule *r, const struct id32 *project);
/* "policy.yml:12"; out: 256 bytes. */
void rule_name(const struct rule *r, char out[256]);

#endif
