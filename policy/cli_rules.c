#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "policy/rules.h"
#include "proto/base/cleanup.h"
#include "proto/base/sanitise.h"

static const char heading[] = "# Written by `talkoo allow` and `talkoo deny`, which replace this file as a whole.\n"
			      "# Your own rules belong into policy.yml. The deny rules here are read before it, the allow rules after it.\n";

/* A text in double quotes. JSON's escapes are YAML's too, as long as all beyond ASCII stays as it is. */
static void put_quoted(struct buf *b, const char *text)
{
	json_t *value = json_string(text);
	char *quoted = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
	buf_str(b, quoted ? quoted : "\"\"");
	free(quoted);
	json_decref(value);
}

static void put_quoted_list(struct buf *b, const char *key, char *const *texts, size_t len)
{
	if (!len)
		return;
	buf_printf(b, "    %s: [", key);
	for (size_t i = 0; i < len; i++) {
		buf_str(b, i ? ", " : "");
		put_quoted(b, texts[i]);
	}
	buf_str(b, "]\n");
}

static void put_project(struct buf *b, const struct rule *r)
{
	char text[ID32_TEXT_MAX];
	buf_str(b, "  - ");
	if (r->projects_len == 1) {
		buf_printf(b, "project: talkoo:%s\n    ", id32_format(text, &r->projects[0]));
	} else if (r->projects_len) {
		buf_str(b, "project: [");
		for (size_t i = 0; i < r->projects_len; i++)
			buf_printf(b, "%stalkoo:%s", i ? ", " : "", id32_format(text, &r->projects[i]));
		buf_str(b, "]\n    ");
	}
}

static void put_by(struct buf *b, const struct rule *r)
{
	char text[NODE_ID_TEXT_MAX];
	if (!r->by_len)
		return;
	buf_str(b, "    by: [");
	for (size_t i = 0; i < r->by_len; i++)
		buf_printf(b, "%s%s", i ? ", " : "", node_id_format(text, &r->by[i]));
	buf_str(b, "]\n");
}

/* The largest unit that divides it. */
static void put_size(struct buf *b, uint64_t bytes)
{
	static const char units[] = "TGMK";
	for (unsigned i = 0; units[i]; i++) {
		const uint64_t unit = UINT64_C(1) << (40 - 10 * i);
		if (bytes % unit == 0) {
			buf_printf(b, "%" PRIu64 "%c", bytes / unit, units[i]);
			return;
		}
	}
	buf_printf(b, "%" PRIu64, bytes);
}

static void put_duration(struct buf *b, uint64_t ms)
{
	if (ms % 60000 == 0)
		buf_printf(b, "%" PRIu64 "m", ms / 60000);
	else if (ms % 1000 == 0)
		buf_printf(b, "%" PRIu64 "s", ms / 1000);
	else
		buf_printf(b, "%" PRIu64 "ms", ms);
}

static void put_limits(struct buf *b, const struct policy_limits *l)
{
	const char *comma = "";
	buf_str(b, "allow: {");
	if (l->cpus) {
		buf_printf(b, "cpus: %" PRIu32, l->cpus);
		comma = ", ";
	}
	if (l->memory_bytes) {
		buf_printf(b, "%smemory: ", comma);
		put_size(b, l->memory_bytes);
		comma = ", ";
	}
	if (l->disk_bytes) {
		buf_printf(b, "%sdisk: ", comma);
		put_size(b, l->disk_bytes);
		comma = ", ";
	}
	if (l->timeout_ms) {
		buf_printf(b, "%stimeout: ", comma);
		put_duration(b, l->timeout_ms);
		comma = ", ";
	}
	if (l->allow_emulation) {
		buf_printf(b, "%sallow_emulation: true", comma);
		comma = ", ";
	}
	if (l->source_loopback || l->source_private || l->source_file) {
		const char *sep = "";
		buf_printf(b, "%ssources: [", comma);
		if (l->source_loopback) {
			buf_str(b, "loopback");
			sep = ", ";
		}
		if (l->source_private) {
			buf_printf(b, "%sprivate", sep);
			sep = ", ";
		}
		if (l->source_file)
			buf_printf(b, "%sfile", sep);
		buf_byte(b, ']');
	}
	buf_str(b, "}\n");
}

static void put_rule(struct buf *b, const struct rule *r)
{
	put_project(b, r);
	if (r->deny) {
		buf_str(b, "deny: ");
		put_quoted(b, r->deny_reason);
		buf_byte(b, '\n');
	} else {
		put_limits(b, &r->limits);
	}
	put_by(b, r);
	put_quoted_list(b, "ref", r->refs, r->refs_len);
	put_quoted_list(b, "image", r->images, r->images_len);
	put_quoted_list(b, "arch", r->archs, r->archs_len);
}

static int check_spec(const struct policy_rule_spec *spec, struct err *err)
{
	if (spec->by_len > ARRAY_LEN(spec->by) || spec->refs_len > ARRAY_LEN(spec->refs))
		return err_set(err, ERR_USAGE, "a rule written here has at most %zu keys and %zu refs", ARRAY_LEN(spec->by),
			       ARRAY_LEN(spec->refs));
	for (size_t i = 0; i < spec->refs_len; i++) {
		char safe[80];
		const char *fault = ref_pattern_fault(spec->refs[i]);
		if (fault) {
			(void)err_set(err, ERR_USAGE, "ref \"%s\": %s", sanitise_line(safe, sizeof safe, spec->refs[i]), fault);
			return err_hint(err, "for example --ref refs/heads/main or --ref 'refs/heads/*'");
		}
	}
	return 0;
}

/* The rule lends the spec's arrays: it is written, never released. refs: room for the pointers. */
static void rule_of_spec(struct policy_rule_spec *spec, char **refs, struct rule *ret)
{
	*ret = (struct rule){.file = POLICY_CLI_FILE, .deny = spec->deny, .projects = &spec->project, .projects_len = 1,
			     .by = spec->by, .by_len = spec->by_len, .refs = refs, .refs_len = spec->refs_len,
			     .limits = spec->limits};
	for (size_t i = 0; i < spec->refs_len; i++)
		refs[i] = spec->refs[i];
	if (spec->deny)
		sanitise_line(ret->deny_reason, sizeof ret->deny_reason,
			      *spec->deny_reason ? spec->deny_reason : "denied on the command line");
}

static bool is_about_only(const struct rule *r, const struct id32 *project)
{
	return r->projects_len == 1 && id32_eq(&r->projects[0], project);
}

/* old's rules with the new one in the first place of an older one for its project, else at the end. */
static void put_rules(struct buf *b, const struct ruleset *old, const struct rule *added)
{
	bool is_put = false;
	buf_str(b, heading);
	buf_str(b, "rules:\n");
	for (size_t i = 0; i < old->len; i++) {
		const bool is_old = is_about_only(&old->rules[i], &added->projects[0]);
		if (!is_old)
			put_rule(b, &old->rules[i]);
		else if (!is_put)
			put_rule(b, added);
		is_put = is_put || is_old;
	}
	if (!is_put)
		put_rule(b, added);
}

int policy_cli_with(const char *cli_text, size_t cli_len, const struct policy_rule_spec *spec, struct buf *ret, struct err *err)
{
	int code = check_spec(spec, err);
	if (code)
		return code;
	struct ruleset old = {0}, again = {0};
	if (cli_text)
		code = rules_parse(POLICY_CLI_FILE, cli_text, cli_len, &old, NULL, err);
	if (code)
		return code;
	struct policy_rule_spec copy = *spec;
	char *refs[ARRAY_LEN(copy.refs)];
	struct rule added;
	rule_of_spec(&copy, refs, &added);
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, POLICY_BYTES_MAX);
	put_rules(&text, &old, &added);
	code = buf_check(&text, POLICY_CLI_FILE, err);
	/* what the node could not read back must never be written */
	if (!code)
		code = rules_parse(POLICY_CLI_FILE, buf_cstr(&text), text.len, &again, NULL, err);
	ruleset_release(&old);
	ruleset_release(&again);
	if (code)
		return code;
	buf_append(ret, text.data, text.len);
	return buf_check(ret, POLICY_CLI_FILE, err);
}
