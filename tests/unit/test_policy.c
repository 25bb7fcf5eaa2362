#include "policy/policy.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/glob.h"
#include "proto/base/cleanup.h"
#include "tests/unit/tap.h"

/* In the texts below $A to $D stand for four node ids, %1 to %3 for three project ids (64 digits). */
static struct node_id key_of(char letter)
{
	struct node_id id;
	uint8_t seed[crypto_sign_SEEDBYTES] = {(uint8_t)letter}, secret[crypto_sign_SECRETKEYBYTES];
	crypto_sign_seed_keypair(id.b, secret, seed);
	return id;
}

static struct id32 project_of(char digit)
{
	struct id32 id;
	memset(id.b, digit, sizeof id.b);
	return id;
}

static char *expand(char *out, size_t size, const char *text)
{
	size_t len = 0;
	char word[NODE_ID_TEXT_MAX > ID32_TEXT_MAX ? NODE_ID_TEXT_MAX : ID32_TEXT_MAX];
	for (const char *p = text; *p; p++) {
		if (*p == '$' && p[1]) {
			const struct node_id id = key_of(*++p);
			len += (size_t)snprintf(out + len, size - len, "%s", node_id_format(word, &id));
		} else if (*p == '%' && p[1]) {
			const struct id32 id = project_of(*++p);
			len += (size_t)snprintf(out + len, size - len, "%s", id32_format(word, &id));
		} else {
			len += (size_t)snprintf(out + len, size - len, "%c", *p);
		}
	}
	return out;
}

static int parse(const char *policy, const char *cli, struct policy **ret, struct err *err)
{
	static char policy_text[8192], cli_text[8192];
	const struct node_id self = key_of('S');
	if (policy)
		expand(policy_text, sizeof policy_text, policy);
	if (cli)
		expand(cli_text, sizeof cli_text, cli);
	return policy_parse(policy ? policy_text : NULL, policy ? strlen(policy_text) : 0, cli ? cli_text : NULL,
			    cli ? strlen(cli_text) : 0, &self, ret, err);
}

static void test_glob(void)
{
	static const struct {
		const char *pattern, *text;
		bool want;
	} cases[] = {
		{"refs/heads/*", "refs/heads/main", true}, {"refs/heads/*", "refs/heads/topic/a/b", true},
		{"refs/heads/*", "refs/tags/v1", false},   {"refs/heads/main", "refs/heads/main", true},
		{"refs/heads/main", "refs/heads/main2", false}, {"refs/heads/main", "refs/heads/mai", false},
		{"refs/heads/main", "xrefs/heads/main", false}, {"refs/tags/v?", "refs/tags/v1", true},
		{"refs/tags/v?", "refs/tags/v12", false},  {"*", "", true}, {"*", "anything", true}, {"", "", true},
		{"", "a", false}, {"?", "", false}, {"a*b*c", "aXXbYYc", true}, {"a*b*c", "aXXbYYd", false},
		{"**", "a/b", true}, {"*/fix-*", "refs/heads/fix-1", true}, {"[a]", "a", false}, {"[a]", "[a]", true},
		{"*aab", "aaaab", true}, {"debian@*", "debian@12", true}, {"debian@*", "debian", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		OK(glob_match(cases[i].pattern, cases[i].text) == cases[i].want, "%s ~ %s: %s", cases[i].pattern, cases[i].text,
		   cases[i].want ? "yes" : "no");
	static char text[4097], pattern[256];
	memset(text, 'a', 4096);
	for (size_t i = 0; i + 3 < sizeof pattern; i += 2)
		memcpy(pattern + i, "a*", 3);
	strcat(pattern, "b");
	OK(!glob_match(pattern, text), "a pattern of 126 stars ends at once");
}

/* facts in short: project digit, announcer letter, maintainer?, ref, image, arch */
struct ask {
	char project, by;
	bool is_maintainer;
	const char *ref, *image, *arch;
	struct policy_limits wanted;
};

static struct policy_facts facts_of(const struct ask *a)
{
	struct policy_facts f = {.project = project_of(a->project), .announcer = key_of(a->by),
				 .announcer_is_maintainer = a->is_maintainer, .wanted = a->wanted};
	snprintf(f.ref, sizeof f.ref, "%s", a->ref ? a->ref : "refs/heads/main");
	snprintf(f.image, sizeof f.image, "%s", a->image ? a->image : "mini@1");
	snprintf(f.arch, sizeof f.arch, "%s", a->arch ? a->arch : "x86_64");
	return f;
}

#define GIB (UINT64_C(1) << 30)

static const struct {
	const char *policy, *cli;
	struct ask ask;
	enum policy_verdict want;
	const char *rule, *reason; /* reason: words that stand in it; $ and % as above */
} decisions[] = {
	/* nothing allows */
	{NULL, NULL, {'1', 'A', true}, POLICY_DENY, "default", "no rule names project talkoo:%1; allow it with: talkoo allow talkoo:%1"},
	{"", "", {'1', 'A', true}, POLICY_DENY, "default", "no rule names"},
	{"# empty\n", NULL, {'1', 'A', true}, POLICY_DENY, "default", "no rule names"},
	{"rules: []\nown: []\n", NULL, {'1', 'S', true}, POLICY_DENY, "default", "no rule names"},
	{"rules:\n  - {project: talkoo:%1, allow: {}}\n", NULL, {'2', 'A', true}, POLICY_DENY, "default", "talkoo allow talkoo:%2"},
	/* a project, by its maintainers */
	{"rules:\n  - {project: talkoo:%1, allow: {}}\n", NULL, {'1', 'A', true}, POLICY_ALLOW, "policy.yml:2", "a maintainer"},
	{"rules:\n  - {project: %1, allow: {}}\n", NULL, {'1', 'A', true}, POLICY_ALLOW, "policy.yml:2", NULL},
	{"rules:\n  - {project: [%2, %1], allow: {}}\n", NULL, {'1', 'A', true}, POLICY_ALLOW, "policy.yml:2", NULL},
	{"rules:\n  - {project: talkoo:%1, allow: {}}\n", NULL, {'1', 'A', false}, POLICY_DENY, "default",
	 "announced by $A, which is not a maintainer; allow that key with: talkoo allow talkoo:%1 --by $A"},
	/* by */
	{"rules:\n  - {project: %1, by: [$B, $A], allow: {}}\n", NULL, {'1', 'A', false}, POLICY_ALLOW, "policy.yml:2", NULL},
	{"rules:\n  - {project: %1, by: $A, allow: {}}\n", NULL, {'1', 'A', false}, POLICY_ALLOW, "policy.yml:2", NULL},
	{"rules:\n  - {project: %1, by: $B, allow: {}}\n", NULL, {'1', 'A', true}, POLICY_DENY, "default", "not in its list `by`"},
	{"rules:\n  - {by: $B, allow: {}}\n", NULL, {'3', 'B', false}, POLICY_ALLOW, "policy.yml:2", "any project"},
	{"rules:\n  - {by: $B, allow: {}}\n", NULL, {'3', 'A', true}, POLICY_DENY, "default", "no rule names"},
	{"own: [$C]\nrules:\n  - {project: %1, allow: {}}\n", NULL, {'1', 'C', false}, POLICY_DENY, "default", "not a maintainer"},
	/* ref, image, arch */
	{"rules:\n  - {project: %1, ref: [refs/heads/*, refs/tags/*], allow: {}}\n", NULL, {'1', 'A', true, "refs/heads/a/b"},
	 POLICY_ALLOW, "policy.yml:2", NULL},
	{"rules:\n  - {project: %1, ref: [refs/heads/*, refs/tags/*], allow: {}}\n", NULL, {'1', 'A', true, "refs/pull/1/head"},
	 POLICY_DENY, "default", "policy.yml:2 allows the project, but none of its `ref` patterns matches refs/pull/1/head"},
	{"rules:\n  - {project: %1, ref: \"*\", allow: {}}\n", NULL, {'1', 'A', true, ""}, POLICY_DENY, "default", "no ref is known"},
	{"rules:\n  - {project: %1, image: mini@*, allow: {}}\n", NULL, {'1', 'A', true}, POLICY_ALLOW, "policy.yml:2", NULL},
	{"rules:\n  - {project: %1, image: debian@*, allow: {}}\n", NULL, {'1', 'A', true}, POLICY_DENY, "default", "matches mini@1"},
	{"rules:\n  - {project: %1, image: debian@*, allow: {}}\n", NULL, {'1', 'A', true, NULL, ""}, POLICY_DENY, "default",
	 "no image is known"},
	{"rules:\n  - {project: %1, arch: x86_64, allow: {}}\n", NULL, {'1', 'A', true, NULL, NULL, "aarch64"}, POLICY_DENY, "default",
	 "does not list aarch64"},
	{"rules:\n  - {project: %1, ref: refs/heads/main, allow: {}}\n", NULL, {'1', 'A', true, "refs/heads/\x1b[2Jx"}, POLICY_DENY,
	 "default", "refs/heads/\xef\xbf\xbd[2Jx"},
	/* a deny rule */
	{"rules:\n  - {project: %1, deny: mines coins}\n", NULL, {'1', 'A', false}, POLICY_DENY, "policy.yml:2", "mines coins"},
	{"rules:\n  - deny: closed for the summer\n", NULL, {'1', 'A', true}, POLICY_DENY, "policy.yml:2", "closed for the summer"},
	{"rules:\n  - {project: %1, by: $A, deny: no}\n  - {project: %1, allow: {}}\n", NULL, {'1', 'B', true}, POLICY_ALLOW,
	 "policy.yml:3", NULL},
	{"rules:\n  - {project: %1, by: $A, deny: no}\n  - {project: %1, allow: {}}\n", NULL, {'1', 'A', true}, POLICY_DENY,
	 "policy.yml:2", "no"},
	{"rules:\n  - {project: %1, image: evil@*, deny: bad image}\n  - {project: %1, allow: {}}\n", NULL, {'1', 'A', true, NULL, ""},
	 POLICY_DENY, "policy.yml:2", "bad image"},
	{"rules:\n  - {project: %1, ref: refs/pull/*, deny: not pulls}\n  - {project: %1, allow: {}}\n", NULL, {'1', 'A', true},
	 POLICY_ALLOW, "policy.yml:3", NULL},
	/* the first that matches */
	{"rules:\n  - {project: %1, deny: first}\n  - {project: %1, allow: {}}\n", NULL, {'1', 'A', true}, POLICY_DENY, "policy.yml:2",
	 "first"},
	{"rules:\n  - {project: %1, allow: {}}\n  - {project: %1, deny: second}\n", NULL, {'1', 'A', true}, POLICY_ALLOW, "policy.yml:2",
	 NULL},
	/* cli.yml: its deny rules first, its allow rules last */
	{"rules:\n  - {project: %1, allow: {}}\n", "rules:\n  - {project: %2, allow: {}}\n  - {project: %1, deny: stop}\n",
	 {'1', 'A', true}, POLICY_DENY, "policy.d/cli.yml:3", "stop"},
	{"rules:\n  - {project: %1, deny: never}\n", "rules:\n  - {project: %1, allow: {}}\n", {'1', 'A', true}, POLICY_DENY,
	 "policy.yml:2", "never"},
	{"rules:\n  - {project: %2, deny: never}\n", "rules:\n  - {project: %1, allow: {}}\n", {'1', 'A', true}, POLICY_ALLOW,
	 "policy.d/cli.yml:2", NULL},
	{NULL, "rules:\n  - {project: %1, allow: {}}\n  - {project: %1, deny: stop}\n", {'1', 'A', true}, POLICY_DENY,
	 "policy.d/cli.yml:3", "stop"},
	/* ceilings */
	{"rules:\n  - {project: %1, allow: {memory: 2G}}\n", NULL, {'1', 'A', true, .wanted = {.memory_bytes = 3 * GIB}}, POLICY_DENY,
	 "policy.yml:2", "asks for `memory` 3.0 GiB, policy.yml:2 grants 2.0 GiB"},
	{"rules:\n  - {project: %1, allow: {memory: 2G}}\n", NULL, {'1', 'A', true, .wanted = {.memory_bytes = 2 * GIB}}, POLICY_ALLOW,
	 "policy.yml:2", NULL},
	{"rules:\n  - {project: %1, allow: {disk: 1G}}\n", NULL, {'1', 'A', true, .wanted = {.disk_bytes = 3 * GIB}}, POLICY_DENY,
	 "policy.yml:2", "`disk`"},
	{"rules:\n  - {project: %1, allow: {timeout: 10m}}\n", NULL, {'1', 'A', true, .wanted = {.timeout_ms = 1800000}}, POLICY_DENY,
	 "policy.yml:2", "`timeout`"},
	{"rules:\n  - {project: %1, allow: {cpus: 1}}\n", NULL, {'1', 'A', true, .wanted = {.cpus = 8}}, POLICY_ALLOW, "policy.yml:2",
	 NULL},
	{"rules:\n  - {project: %1, allow: {}}\n", NULL, {'1', 'A', true, .wanted = {.memory_bytes = 900 * GIB}}, POLICY_ALLOW,
	 "policy.yml:2", NULL},
};

static bool same_decision(const struct policy_decision *a, const struct policy_decision *b)
{
	json_t *x = policy_decision_to_json(a), *y = policy_decision_to_json(b);
	const bool same = x && y && json_equal(x, y);
	json_decref(x);
	json_decref(y);
	return same;
}

/* The stored inputs, as text, give the same decision again. */
static bool replays(const struct policy *p, const struct policy_facts *f, const struct policy_decision *d)
{
	json_t *object = policy_facts_to_json(f);
	char *text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	json_t *again = text ? json_loads(text, 0, NULL) : NULL;
	free(text);
	struct policy_facts facts;
	struct policy_decision decision;
	struct err err;
	const bool read = again && policy_facts_from_json(again, &facts, &err) == 0;
	json_decref(again);
	if (!read)
		return false;
	policy_decide(p, &facts, &decision);
	return same_decision(d, &decision);
}

static void test_decisions(void)
{
	for (size_t i = 0; i < ARRAY_LEN(decisions); i++) {
		struct policy *p = NULL;
		struct err err = {0};
		if (!OK(parse(decisions[i].policy, decisions[i].cli, &p, &err) == 0, "case %zu is read %s", i, err.what))
			continue;
		const struct policy_facts f = facts_of(&decisions[i].ask);
		struct policy_decision d;
		policy_decide(p, &f, &d);
		char reason[1024] = "";
		expand(reason, sizeof reason, decisions[i].reason ? decisions[i].reason : "");
		OK(d.verdict == decisions[i].want && !strcmp(d.rule, decisions[i].rule) && strstr(d.reason, reason) && *d.reason,
		   "case %zu: %s by %s: %s", i, d.verdict == POLICY_ALLOW ? "allow" : "deny", d.rule, d.reason);
		OK(replays(p, &f, &d), "case %zu decides the same from its stored facts", i);
		policy_free(p);
	}
}

static const char whole_example[] = "own: [$C]               # keys whose jobs are mine\n"
				    "rules:\n"
				    "  - project: talkoo:%1\n"
				    "    by: [$A]\n"
				    "    ref: [refs/heads/*, refs/tags/*]\n"
				    "    allow: {cpus: 2, memory: 2G, disk: 8G, timeout: 30m, allow_emulation: true, sources: [loopback]}\n"
				    "  - project: talkoo:%2\n"
				    "    deny: mines coins\n";

static void test_example(void)
{
	struct policy *p = NULL;
	struct err err = {0};
	if (!OK(parse(whole_example, NULL, &p, &err) == 0, "the design's example %s", err.what))
		return;
	const struct ask ask = {'1', 'A', false};
	const struct policy_facts f = facts_of(&ask);
	struct policy_decision d;
	policy_decide(p, &f, &d);
	OK(d.verdict == POLICY_ALLOW && d.limits.cpus == 2 && d.limits.memory_bytes == 2 * GIB && d.limits.disk_bytes == 8 * GIB &&
		   d.limits.timeout_ms == 1800000 && d.limits.allow_emulation && d.limits.source_loopback &&
		   !d.limits.source_private && !d.limits.source_file, "its limits");
	const struct node_id c = key_of('C'), s = key_of('S'), a = key_of('A');
	OK(policy_is_own(p, &c) && policy_is_own(p, &s) && !policy_is_own(p, &a) && !d.is_own, "own keys, this node's among them");
	const struct id32 one = project_of('1'), two = project_of('2'), three = project_of('3');
	OK(policy_may_allow(p, &one) && !policy_may_allow(p, &two) && !policy_may_allow(p, &three), "what may be allowed at all");
	char rule[256] = "";
	OK(policy_file_rule(p, &two, 0, rule) && !strcmp(rule, "policy.yml:7"), "the rule that stands before cli.yml's: %s", rule);
	OK(!policy_file_rule(p, &two, POLICY_ALLOW, rule) && policy_file_rule(p, &one, POLICY_ALLOW, rule) &&
		   !policy_file_rule(p, &three, 0, rule), "and only of that verdict");
	json_t *shown = policy_to_json(p);
	OK(json_array_size(shown) == 2, "two rules are shown");
	STREQ(json_string_value(json_object_get(json_array_get(shown, 0), "rule")), "policy.yml:3");
	STREQ(json_string_value(json_object_get(json_array_get(shown, 1), "reason")), "mines coins");
	json_decref(shown);
	policy_free(p);
}

/* Each with the words that must stand in the message, file, line and key among them. */
static const struct {
	const char *policy, *cli, *what, *hint;
} bad[] = {
	{"rule: []\n", NULL, "policy.yml:1:1: rule", "rules"},
	{"rules: yes\n", NULL, "policy.yml:1:8: rules", NULL},
	{"- a\n", NULL, "policy.yml:1:1", NULL},
	{"rules:\n  - {project: %1}\n", NULL, "policy.yml:2:5: rules[0]: a rule needs `allow` or `deny`", "allow: {}"},
	{"rules:\n  - {project: %1, allow: {}, deny: x}\n", NULL, "not both", NULL},
	{"rules:\n  - {allow: {}}\n", NULL, "needs `project` or `by`", "name the project"},
	{"rules:\n  - {ref: refs/heads/*, allow: {}}\n", NULL, "needs `project` or `by`", NULL},
	{"rules:\n  - {project: %1, allow: yes}\n", NULL, "policy.yml:2", "allow: {}"},
	{"rules:\n  - {project: %1, allow: }\n", NULL, "rules[0].allow", "allow: {}"},
	{"rules:\n  - {project: %1, deny: }\n", NULL, "rules[0].deny: must not be empty", NULL},
	{"rules:\n  - {project: %1, deny: {}}\n", NULL, "rules[0].deny", NULL},
	{"rules:\n  - {project: talkoo:2f9c, allow: {}}\n", NULL, "rules[0].project: \"talkoo:2f9c\" is not a project id", "full id"},
	{"rules:\n  - {project: 2f9c, allow: {}}\n", NULL, "rules[0].project", "full id"},
	{"rules:\n  - {project: hello, allow: {}}\n", NULL, "rules[0].project", "64 hexadecimal digits"},
	{"rules:\n  - {project: 'talkoo:%1?seed=z', allow: {}}\n", NULL, "rules[0].project", "leave out"},
	{"rules:\n  - {project: [], allow: {}}\n", NULL, "rules[0].project", NULL},
	{"rules:\n  - {project: {a: b}, allow: {}}\n", NULL, "rules[0].project", NULL},
	{"rules:\n  - {project: %1, by: z6MkhaXg, allow: {}}\n", NULL, "rules[0].by", "full"},
	{"rules:\n  - {project: %1, by: [$A, did:key:z6MkhaXg], allow: {}}\n", NULL, "rules[0].by[1]", "full"},
	{"rules:\n  - {project: %1, by: [], allow: {}}\n", NULL, "rules[0].by", NULL},
	{"rules:\n  - {project: %1, by: [[$A]], allow: {}}\n", NULL, "rules[0].by[0]", NULL},
	{"rules:\n  - {project: %1, ref: main, allow: {}}\n", NULL, "rules[0].ref: a ref pattern starts with refs/", "refs/heads/main"},
	{"rules:\n  - {project: %1, ref: \"refs/heads/[ab]\", allow: {}}\n", NULL, "rules[0].ref", NULL},
	{"rules:\n  - {project: %1, image: mini, allow: {}}\n", NULL, "rules[0].image", "mini@1"},
	{"rules:\n  - {project: %1, arch: X86, allow: {}}\n", NULL, "rules[0].arch", "x86_64"},
	{"rules:\n  - {project: %1, allow: {cpu: 2}}\n", NULL, "rules[0].allow.cpu", "cpus"},
	{"rules:\n  - {project: %1, allow: {cpus: 0}}\n", NULL, "rules[0].allow.cpus", NULL},
	{"rules:\n  - {project: %1, allow: {cpus: 99999999999}}\n", NULL, "rules[0].allow.cpus", NULL},
	{"rules:\n  - {project: %1, allow: {memory: 2}}\n", NULL, "rules[0].allow.memory", NULL},
	{"rules:\n  - {project: %1, allow: {memory: lots}}\n", NULL, "rules[0].allow.memory", NULL},
	{"rules:\n  - {project: %1, allow: {timeout: 0}}\n", NULL, "rules[0].allow.timeout", NULL},
	{"rules:\n  - {project: %1, allow: {allow_emulation: yes}}\n", NULL, "rules[0].allow.allow_emulation", "true and false"},
	{"rules:\n  - {project: %1, allow: {sources: [lan]}}\n", NULL, "rules[0].allow.sources[0]", "loopback, private or file"},
	{"rules:\n  - {projekt: %1, allow: {}}\n", NULL, "rules[0].projekt", "project"},
	{"rules:\n  - {project: %1, project: %2, allow: {}}\n", NULL, "policy.yml:2", NULL},
	{"own: $A\n", NULL, "policy.yml:1:6: own", NULL},
	{"own: [z6Mk]\n", NULL, "own[0]", "full"},
	{"own: &a [$A]\nrules: *a\n", NULL, "policy.yml:1", NULL},
	{"rules:\n  - !!map {project: %1, allow: {}}\n", NULL, "policy.yml:2", NULL},
	{"rules: []\n---\nrules: []\n", NULL, "policy.yml:2", NULL},
	{"rules:\n  - {project: %1, <<: {deny: x}}\n", NULL, "policy.yml:2", NULL},
	{"rules: [", NULL, "policy.yml:", NULL},
	{"rules: \"\xff\"\n", NULL, "policy.yml:1", NULL},
	{NULL, "own: [$A]\n", "policy.d/cli.yml:1:1: own: does not belong", "policy.yml"},
	{NULL, "rules:\n  - {project: %1, alow: {}}\n", "policy.d/cli.yml:2:", NULL},
};

static void test_hostile(void)
{
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct policy *p = NULL;
		struct err err = {0};
		const int code = parse(bad[i].policy, bad[i].cli, &p, &err);
		OK((code == ERR_INVALID || code == ERR_LIMIT) && !p && strstr(err.what, bad[i].what) &&
			   (!bad[i].hint || strstr(err.hint, bad[i].hint)), "bad %zu: %s (%s)", i, err.what, err.hint);
		policy_free(p);
	}
}

static void test_ceilings(void)
{
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, 8u << 20);
	buf_str(&b, "rules:\n");
	for (unsigned i = 0; i <= POLICY_RULES_MAX; i++)
		buf_str(&b, " - deny: x\n");
	const struct node_id self = key_of('S');
	struct policy *p = NULL;
	struct err err = {0};
	OK(policy_parse(buf_cstr(&b), b.len, NULL, 0, &self, &p, &err) < 0 && !p, "one rule too many: %s", err.what);
	buf_reset(&b);
	for (unsigned i = 0; i < POLICY_BYTES_MAX / 8 + 1; i++)
		buf_str(&b, "#1234567");
	OK(policy_parse(buf_cstr(&b), b.len, NULL, 0, &self, &p, &err) == ERR_LIMIT && !p, "one byte too many: %s", err.what);
}

static struct policy_rule_spec spec_of(char project, bool deny)
{
	struct policy_rule_spec spec = {.project = project_of(project), .deny = deny};
	return spec;
}

/* cli.yml after the change, or "" with err. */
static const char *cli_with(struct buf *text, const struct policy_rule_spec *spec, struct err *err)
{
	CLEANUP(buf_release) struct buf old;
	buf_init(&old, POLICY_BYTES_MAX);
	buf_append(&old, text->data, text->len);
	buf_reset(text);
	if (policy_cli_with(old.len ? buf_cstr(&old) : NULL, old.len, spec, text, err))
		buf_reset(text);
	return buf_cstr(text);
}

static void test_cli_writing(void)
{
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, POLICY_BYTES_MAX);
	struct err err = {0};
	struct policy_rule_spec spec = spec_of('1', false);
	spec.by[spec.by_len++] = key_of('A');
	snprintf(spec.refs[spec.refs_len++], 256, "refs/heads/*");
	snprintf(spec.refs[spec.refs_len++], 256, "refs/tags/\"v\xc3\xa4");
	spec.limits = (struct policy_limits){.cpus = 2, .memory_bytes = 2 * GIB, .disk_bytes = 1536u << 20, .timeout_ms = 90000,
					     .allow_emulation = true, .source_loopback = true, .source_file = true};
	char want[4096];
	expand(want, sizeof want,
	       "rules:\n  - project: talkoo:%1\n"
	       "    allow: {cpus: 2, memory: 2G, disk: 1536M, timeout: 90s, allow_emulation: true, sources: [loopback, file]}\n"
	       "    by: [$A]\n    ref: [\"refs/heads/*\", \"refs/tags/\\\"v\xc3\xa4\"]\n");
	const char *got = cli_with(&text, &spec, &err);
	OK(!strncmp(got, "# Written by `talkoo allow`", 27), "it says who writes it %s", err.what);
	STREQ(strstr(got, "rules:") ? strstr(got, "rules:") : got, want);

	spec = spec_of('2', true);
	snprintf(spec.deny_reason, sizeof spec.deny_reason, "say \"no\": \\ it's\nbad \xf0\x9f\x98\x80 #1");
	cli_with(&text, &spec, &err);
	spec = spec_of('3', false);
	cli_with(&text, &spec, &err);
	struct policy *p = NULL;
	const struct node_id self = key_of('S');
	OK(policy_parse(NULL, 0, buf_cstr(&text), text.len, &self, &p, &err) == 0, "it is read back %s", err.what);
	struct policy_decision d = {0};
	const struct ask denied = {'2', 'A', true}, allowed = {'1', 'A', false, "refs/heads/x"};
	struct policy_facts f = facts_of(&denied);
	policy_decide(p, &f, &d);
	OK(d.verdict == POLICY_DENY && strstr(d.reason, "say \"no\": \\ it's bad \xf0\x9f\x98\x80 #1"), "the reason survives: %s",
	   d.reason);
	f = facts_of(&allowed);
	policy_decide(p, &f, &d);
	OK(d.verdict == POLICY_ALLOW && d.limits.timeout_ms == 90000 && d.limits.source_file && !d.limits.source_private,
	   "limits survive");
	policy_free(p);

	/* an older rule for the same project is replaced in its place; the others stay as they are */
	char before[8192];
	snprintf(before, sizeof before, "%s", buf_cstr(&text));
	spec = spec_of('2', false);
	cli_with(&text, &spec, &err);
	spec = spec_of('2', true);
	snprintf(spec.deny_reason, sizeof spec.deny_reason, "say \"no\": \\ it's\nbad \xf0\x9f\x98\x80 #1");
	cli_with(&text, &spec, &err);
	STREQ(buf_cstr(&text), before);
	p = NULL;
	OK(policy_parse(NULL, 0, buf_cstr(&text), text.len, &self, &p, &err) == 0, "still three rules");
	json_t *shown = policy_to_json(p);
	INTEQ(json_array_size(shown), 3);
	json_decref(shown);
	policy_free(p);
}

static void test_cli_refusals(void)
{
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, POLICY_BYTES_MAX);
	struct err err = {0};
	struct policy_rule_spec spec = spec_of('1', false);
	snprintf(spec.refs[spec.refs_len++], 256, "main");
	OK(policy_cli_with(NULL, 0, &spec, &text, &err) == ERR_USAGE && strstr(err.hint, "--ref") && !text.len, "a short ref: %s",
	   err.what);
	spec = spec_of('1', false);
	OK(policy_cli_with("rules: {", 8, &spec, &text, &err) == ERR_INVALID && !text.len, "a broken cli.yml stays: %s", err.what);
	spec.limits.memory_bytes = 1;
	OK(policy_cli_with(NULL, 0, &spec, &text, &err) == ERR_INVALID && !text.len, "what cannot be read back is not written: %s",
	   err.what);
}

static void test_facts_json(void)
{
	static const char *const broken[] = {
		"{}", "[]", "{\"project\":1}",
		"{\"project\":\"%1\",\"announcer\":\"$A\",\"announcer_is_maintainer\":true,\"ref\":\"\",\"image\":\"\",\"arch\":\"\",\"wanted\":{}}",
		"{\"project\":\"zz\",\"announcer\":\"$A\",\"announcer_is_maintainer\":true,\"ref\":\"\",\"image\":\"\",\"arch\":\"\",\"wanted\":{\"cpus\":1,\"memory_bytes\":0,\"disk_bytes\":0,\"timeout_ms\":0,\"allow_emulation\":false,\"sources\":[]}}",
		"{\"project\":\"%1\",\"announcer\":\"$A\",\"announcer_is_maintainer\":true,\"ref\":\"\",\"image\":\"\",\"arch\":\"\",\"wanted\":{\"cpus\":-1,\"memory_bytes\":0,\"disk_bytes\":0,\"timeout_ms\":0,\"allow_emulation\":false,\"sources\":[]}}",
		"{\"project\":\"%1\",\"announcer\":\"$A\",\"announcer_is_maintainer\":true,\"ref\":\"\",\"image\":\"\",\"arch\":\"\",\"wanted\":{\"cpus\":1,\"memory_bytes\":0,\"disk_bytes\":0,\"timeout_ms\":0,\"allow_emulation\":false,\"sources\":[\"lan\"]}}",
		"{\"project\":\"%1\",\"announcer\":\"$A\",\"announcer_is_maintainer\":true,\"ref\":\"a\\u0000b\",\"image\":\"\",\"arch\":\"\",\"wanted\":{\"cpus\":1,\"memory_bytes\":0,\"disk_bytes\":0,\"timeout_ms\":0,\"allow_emulation\":false,\"sources\":[]}}",
		"{\"more\":1,\"project\":\"%1\",\"announcer\":\"$A\",\"announcer_is_maintainer\":true,\"ref\":\"\",\"image\":\"\",\"arch\":\"\",\"wanted\":{\"cpus\":1,\"memory_bytes\":0,\"disk_bytes\":0,\"timeout_ms\":0,\"allow_emulation\":false,\"sources\":[]}}",
	};
	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		char text[2048] = "";
		struct policy_facts f;
		struct err err = {0};
		json_t *object = json_loads(expand(text, sizeof text, broken[i]), JSON_ALLOW_NUL, NULL);
		OK(object && policy_facts_from_json(object, &f, &err) == ERR_INVALID, "bad facts %zu: %s", i, err.what);
		json_decref(object);
	}
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_glob();
	test_decisions();
	test_example();
	test_hostile();
	test_ceilings();
	test_cli_writing();
	test_cli_refusals();
	test_facts_json();
	return tap_done();
}
