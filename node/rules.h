/* The policy of this home: its two files, read again when they change, and decisions about jobs.
 *
 * A file that is wrong means that nothing is allowed until it is mended; rules_error() says what is wrong.
 * Must not know: records, scheduler. Links: policy, base. Reads small files on the caller's thread. */
#ifndef TALKOO_NODE_RULES_H
#define TALKOO_NODE_RULES_H

#include "node/home.h"
#include "policy/policy.h"

struct rules;

/* self: this node's key, own by definition. NULL without memory. Nothing is read yet. */
struct rules *rules_new(const struct home *home, const struct node_id *self);
void rules_free(struct rules *r);

/* Reads the files if they changed since (two stat calls when not). True: the rules are others now than before. */
bool rules_refresh(struct rules *r);
/* The sentence and hint of what is wrong with the files, or NULL. Lent. */
const struct err *rules_error(const struct rules *r);
/* The rules in force; NULL while the files are wrong. Lent until the next refresh. */
const struct policy *rules_policy(const struct rules *r);

/* policy_decide() with these; denies while the files are wrong. */
void rules_decide(const struct rules *r, const struct policy_facts *facts, struct policy_decision *ret);
bool rules_is_own(const struct rules *r, const struct node_id *key);

/* Writes the rule into the home's policy.d/cli.yml (an older one for that project goes). Waits for the disk: in a thread of its own, and
 * one at a time. Then rules_written() on the rules' thread: refreshes. ret_other: the rule of policy.yml that stands against it ("" if
 * none): before an allow, behind a deny. */
int rules_write_file(const struct home *home, const struct policy_rule_spec *spec, struct err *err) MUST_CHECK;
void rules_written(struct rules *r, const struct policy_rule_spec *spec, char ret_other[256]);

#endif
