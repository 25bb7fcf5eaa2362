/* Whose code is built here: pure decisions (rules, facts, now) -> (verdict, reason, limits).
 *
 * The rules come from three sources in this order: the deny rules of policy.d/cli.yml, then policy.yml, then the allow
 * rules of cli.yml. The first rule that matches decides; no match denies. A decision is replayable from its stored
 * inputs (policy_facts_to_json). Also here: policy files as text (strict), and their writing for cli.yml.
 * Must not know: clock, disk, network, records. Links: base, and proto's value types. */
#ifndef TALKOO_POLICY_POLICY_H
#define TALKOO_POLICY_POLICY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"
#include "proto/ids.h"

/* What a rule grants, and what `policy_decide` returns. 0 = not said by the rule (the donor's default holds). */
struct policy_limits {
	uint32_t cpus;
	uint64_t memory_bytes, disk_bytes, timeout_ms;
	bool allow_emulation;
	bool source_loopback, source_private, source_file;
};

/* What is asked: everything a decision may look at. */
struct policy_facts {
	struct id32 project;
	struct node_id announcer;       /* the signer of the job record */
	bool announcer_is_maintainer;   /* of the newest project state */
	char ref[256];
	char image[128];                /* "" = not known yet */
	char arch[32];                  /* "x86_64" */
	struct policy_limits wanted;    /* what the job asks; 0 = did not say */
};

enum policy_verdict { POLICY_ALLOW = 1, POLICY_DENY = 2 };

struct policy_decision {
	enum policy_verdict verdict;
	char rule[256];   /* "policy.yml:12", "policy.d/cli.yml:3", or "default" */
	char reason[512]; /* a sentence that names what matched or what did not */
	struct policy_limits limits; /* with ALLOW: in force, the rule's bounded by nothing else */
	bool is_own;      /* the announcer is this node's key or under `own:` */
};

struct policy; /* parsed rules; immutable */

/* One policy file's text. name: for messages ("policy.yml"). Either text may be NULL (absent file).
 * Errors: ERR_INVALID with "FILE:LINE: KEY: why" and a hint. self: this node's key, own by definition. */
int policy_parse(const char *policy_text, size_t policy_len, const char *cli_text, size_t cli_len,
		 const struct node_id *self, struct policy **ret, struct err *err) MUST_CHECK;
void policy_free(struct policy *p);

void policy_decide(const struct policy *p, const struct policy_facts *facts, struct policy_decision *ret);
bool policy_is_own(const struct policy *p, const struct node_id *key);
/* Whether any allow rule could ever match this project (for status and `project list`). */
bool policy_may_allow(const struct policy *p, const struct id32 *project);

/* All rules in force, in order, as JSON (array; new reference): for `policy show`. */
json_t *policy_to_json(const struct policy *p);

/* One rule of cli.yml, as `allow` and `deny` write it. */
struct policy_rule_spec {
	struct id32 project;
	bool deny;
	char deny_reason[256];
	struct node_id by[16];
	size_t by_len;
	char refs[16][256];
	size_t refs_len;
	struct policy_limits limits;
};

/* cli.yml's text after adding the rule (an older cli rule for the same project is replaced), appended to ret.
 * ret_overrides: says which rule of policy.yml decides before or instead ("" if none). */
int policy_cli_with(const char *cli_text, size_t cli_len, const struct policy_rule_spec *spec, struct buf *ret,
		    struct err *err) MUST_CHECK;

json_t *policy_facts_to_json(const struct policy_facts *f);
int policy_facts_from_json(const json_t *object, struct policy_facts *ret, struct err *err) MUST_CHECK;
json_t *policy_decision_to_json(const struct policy_decision *d);
json_t *policy_limits_to_json(const struct policy_limits *l);

#endif
