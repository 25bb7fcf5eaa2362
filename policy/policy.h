/* Whose code is built here: pure decisions (rules, facts, now) -> (verdict, reason, limits).
 *
 * The rules come from three sources in this order: the deny rules of policy.d/cli.yml, then policy.yml, then the allow
 * rules of cli.yml. The first rule that matches decides; no match denies. A decision is replayable from its stored
 * inputs (policy_facts_to_json). Also here: policy files as text (strict), and their writing for cli.yml.
 *
 * A rule matches when every key that stands in it fits (a list fits when one of its values does):
 *   project  talkoo:HEX or the 64 digits. An allow rule names a project or `by`; a deny rule may name neither.
 *   by       full node ids of the announcer. Default: of an allow rule the project's maintainers, of a deny rule anyone.
 *   ref      a pattern of the announced ref, from its start: "refs/heads/main", "refs/heads/" followed by a star.
 *   image    a pattern of name@version.
 *   arch     "x86_64".
 * In a pattern a star stands for any characters, none and '/' included (as in git's refspecs, so that a star behind refs/heads/
 * covers every branch), a question mark for exactly one; nothing else is special. A fact that is not known ("")
 * never satisfies an allow rule that asks for it, and always a deny rule that does.
 *
 * Memory, disk and time are ceilings: a matching allow rule denies a job that asks for more than it grants (with less
 * than it needs the job would fail, and the project would be blamed). Fewer cpus than asked only make it slower.
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

/* policy_parse refuses more. */
#define POLICY_BYTES_MAX 262144
#define POLICY_RULES_MAX 1024
#define POLICY_VALUES_MAX 256 /* values of one key, and keys under own */

/* What is asked: everything a decision may look at. */
struct policy_facts {
	struct id32 project;
	struct node_id announcer;       /* the signer of the job record */
	bool announcer_is_maintainer;   /* of the newest project state */
	char ref[256];                  /* UTF-8; "" = not known */
	char image[128];                /* "" = not known yet */
	char arch[32];                  /* "x86_64" */
	struct policy_limits wanted;    /* what the job asks; 0 = did not say */
};

enum policy_verdict { POLICY_ALLOW = 1, POLICY_DENY = 2 };

struct policy_decision {
	enum policy_verdict verdict;
	char rule[256];   /* "policy.yml:12", "policy.d/cli.yml:3", or "default" */
	char reason[512]; /* a sentence that names what matched or what did not */
	struct policy_limits limits; /* with ALLOW: the rule's ceilings; the donor's own caps are the caller's business */
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

/* The first rule of policy.yml that could decide about this project with this verdict (0: either), for "overridden by" and
 * "overrides": its name is written to ret_rule. False if there is none. */
bool policy_file_rule(const struct policy *p, const struct id32 *project, enum policy_verdict verdict, char ret_rule[256]);

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

/* cli.yml's text after adding the rule (an older cli rule for the same project is replaced, in its place), appended to
 * ret. ERR_INVALID when cli_text is not a cli.yml, ERR_USAGE for a ref pattern or a reason that cannot stand in one. */
int policy_cli_with(const char *cli_text, size_t cli_len, const struct policy_rule_spec *spec, struct buf *ret,
		    struct err *err) MUST_CHECK;

/* New references; NULL when out of memory or a text is not UTF-8. Decided again from what policy_facts_from_json gives
 * back, the same rules give the same decision. */
json_t *policy_facts_to_json(const struct policy_facts *f);
int policy_facts_from_json(const json_t *object, struct policy_facts *ret, struct err *err) MUST_CHECK;
json_t *policy_decision_to_json(const struct policy_decision *d);
json_t *policy_limits_to_json(const struct policy_limits *l);

#endif
