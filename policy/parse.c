#include <stdlib.h>
#include <string.h>

#include "policy/rules.h"
#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/sanitise.h"
#include "proto/base/schema.h"

/* What the readers of one file's keys share. */
struct reader {
	const char *file;
	struct ruleset *set;
	struct policy *own; /* NULL: `own:` does not belong here */
};

struct rule_reader {
	struct rule rule;
	bool has_allow;
};

const char *ref_pattern_fault(const char *pattern)
{
	if (strncmp(pattern, "refs/", 5) != 0 && *pattern != '*')
		return "a ref pattern starts with refs/";
	if (strlen(pattern) >= POLICY_TEXT_MAX)
		return "a ref pattern is at most 255 bytes long";
	for (const char *p = pattern; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f || strchr("~^:\\[", *p))
			return "no ref has such a character, so the pattern could never match";
	return NULL;
}

/* Calls one(value) for a text, or for each of the 1 to POLICY_VALUES_MAX texts of a list. */
static int each_value(const struct yaml_node *node, schema_read_fn one, void *record, struct err *err)
{
	if (node->type == YAML_TEXT)
		return one(node, record, err);
	int code = schema_list(node, 1, POLICY_VALUES_MAX, err);
	for (const struct yaml_node *item = node->first; !code && item; item = item->next)
		code = one(item, record, err);
	return code;
}

/* Room for one more of a key's values: *items grows by one element. */
static void *grow(void **items, size_t len, size_t size, struct err *err)
{
	void *grown = reallocarray(*items, len + 1, size);
	if (!grown) {
		(void)err_set(err, ERR_NOMEM, "policy: out of memory");
		return NULL;
	}
	*items = grown;
	return (char *)grown + len * size;
}

static int bad_project(const struct yaml_node *node, const char *digits, struct err *err)
{
	char safe[80];
	yaml_err(node, err, "\"%s\" is not a project id", sanitise_line(safe, sizeof safe, node->text));
	if (strchr(digits, '?'))
		return err_hint(err, "leave out what follows the id: the part from ? on is for `talkoo allow` and `talkoo follow`");
	if (hex_is_digits(digits, 1, 63))
		return err_hint(err, "a rule takes the full id, 64 hexadecimal digits: an id's beginning can be forged");
	return err_hint(err, "write talkoo: and 64 hexadecimal digits, as `talkoo project list` shows them");
}

static int read_project(const struct yaml_node *node, void *record, struct err *err)
{
	struct rule *r = record;
	const char *text;
	int code = schema_text(node, 1, LINK_TEXT_MAX, &text, err);
	if (code)
		return code;
	const char *digits = strncmp(text, "talkoo:", 7) == 0 ? text + 7 : text;
	struct id32 id;
	if (!hex_decode(id.b, sizeof id.b, digits))
		return bad_project(node, digits, err);
	struct id32 *room = grow((void **)&r->projects, r->projects_len, sizeof *room, err);
	if (!room)
		return ERR_NOMEM;
	*room = id;
	r->projects_len++;
	return 0;
}

static int read_node_id(const struct yaml_node *node, struct node_id *ret, struct err *err)
{
	const char *text;
	int code = schema_text(node, 1, 256, &text, err);
	if (code)
		return code;
	struct err why = {0};
	code = node_id_parse(text, ret, &why);
	if (!code)
		return 0;
	yaml_err(node, err, "%s", why.what);
	if (*why.hint)
		(void)err_hint(err, "%s", why.hint);
	else
		(void)err_hint(err, "a node's id is what `talkoo id` prints there: did:key:z6Mk and 44 characters");
	return ERR_INVALID;
}

static int read_by(const struct yaml_node *node, void *record, struct err *err)
{
	struct rule *r = record;
	struct node_id id;
	int code = read_node_id(node, &id, err);
	if (code)
		return code;
	struct node_id *room = grow((void **)&r->by, r->by_len, sizeof *room, err);
	if (!room)
		return ERR_NOMEM;
	*room = id;
	r->by_len++;
	return 0;
}

static int add_text(char ***texts, size_t *len, const char *text, struct err *err)
{
	char *copy = strdup(text);
	char **room = copy ? grow((void **)texts, *len, sizeof *room, err) : NULL;
	if (!room) {
		free(copy);
		return err_set(err, ERR_NOMEM, "policy: out of memory");
	}
	*room = copy;
	(*len)++;
	return 0;
}

static int read_ref(const struct yaml_node *node, void *record, struct err *err)
{
	struct rule *r = record;
	const char *text;
	int code = schema_text(node, 1, POLICY_TEXT_MAX - 1, &text, err);
	if (code)
		return code;
	const char *fault = ref_pattern_fault(text);
	if (fault) {
		yaml_err(node, err, "%s", fault);
		return err_hint(err, "for example refs/heads/main, refs/heads/* or refs/tags/v*");
	}
	return add_text(&r->refs, &r->refs_len, text, err);
}

static int read_image(const struct yaml_node *node, void *record, struct err *err)
{
	struct rule *r = record;
	const char *text;
	int code = schema_text(node, 1, 127, &text, err);
	if (code)
		return code;
	if (!strpbrk(text, "@*?") || strpbrk(text, " \t\n")) {
		yaml_err(node, err, "an image is NAME@VERSION, or a pattern of that");
		return err_hint(err, "for example mini@1 or debian@*");
	}
	return add_text(&r->images, &r->images_len, text, err);
}

static int read_arch(const struct yaml_node *node, void *record, struct err *err)
{
	struct rule *r = record;
	const char *text;
	int code = schema_text(node, 1, 31, &text, err);
	if (code)
		return code;
	if (text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_")]) {
		yaml_err(node, err, "an arch is lower-case letters, digits and _");
		return err_hint(err, "for example x86_64");
	}
	return add_text(&r->archs, &r->archs_len, text, err);
}

#define READ_VALUES(name, one)                                                                                         \
	static int name(const struct yaml_node *node, void *record, struct err *err)                                   \
	{                                                                                                              \
		return each_value(node, one, record, err);                                                             \
	}
READ_VALUES(read_projects, read_project)
READ_VALUES(read_bys, read_by)
READ_VALUES(read_refs, read_ref)
READ_VALUES(read_images, read_image)
READ_VALUES(read_archs, read_arch)

static int read_source(const struct yaml_node *node, void *record, struct err *err)
{
	struct policy_limits *l = record;
	const char *text;
	int code = schema_text(node, 1, 32, &text, err);
	if (code)
		return code;
	if (!strcmp(text, "loopback"))
		l->source_loopback = true;
	else if (!strcmp(text, "private"))
		l->source_private = true;
	else if (!strcmp(text, "file"))
		l->source_file = true;
	else {
		yaml_err(node, err, "there is no such source");
		return err_hint(err, "loopback, private or file; public addresses need no word");
	}
	return 0;
}
READ_VALUES(read_sources, read_source)

static int read_cpus(const struct yaml_node *node, void *record, struct err *err)
{
	struct policy_limits *l = record;
	uint64_t cpus;
	const int code = schema_number(node, 1, 1024, &cpus, err);
	if (!code)
		l->cpus = (uint32_t)cpus;
	return code;
}

#define MIB (UINT64_C(1) << 20)
#define TIB (UINT64_C(1) << 40)

static const struct schema_field limit_fields[] = {
	{.name = "cpus", .kind = SCHEMA_OTHER, .read = read_cpus, .help = "virtual cpus of a job, at most"},
	{.name = "memory", .kind = SCHEMA_SIZE, .min = 16 * MIB, .max = 16 * TIB, SCHEMA_AT(struct policy_limits, memory_bytes),
	 .help = "memory of a job, at most"},
	{.name = "disk", .kind = SCHEMA_SIZE, .min = MIB, .max = 64 * TIB, SCHEMA_AT(struct policy_limits, disk_bytes),
	 .help = "scratch disk of a job, at most"},
	{.name = "timeout", .kind = SCHEMA_DURATION, .min = 1000, .max = 7 * UINT64_C(86400000),
	 SCHEMA_AT(struct policy_limits, timeout_ms), .help = "how long a job may run, at most"},
	{.name = "allow_emulation", .kind = SCHEMA_BOOL, SCHEMA_AT(struct policy_limits, allow_emulation),
	 .help = "also without KVM, where QEMU promises no isolation"},
	{.name = "sources", .kind = SCHEMA_OTHER, .read = read_sources,
	 .help = "where besides public addresses the source may come from: loopback, private, file"},
};

static int read_allow(const struct yaml_node *node, void *record, struct err *err)
{
	struct rule_reader *r = record;
	r->has_allow = true;
	if (node->type != YAML_MAP) {
		yaml_err(node, err, "expected a map of limits");
		return err_hint(err, "write `allow: {}` for this node's own defaults");
	}
	return schema_read(node, limit_fields, ARRAY_LEN(limit_fields), &r->rule.limits, err);
}

/* The readers of a rule's keys get the struct rule, its first member. */
static const struct schema_field rule_fields[] = {
	{.name = "project", .kind = SCHEMA_OTHER, .read = read_projects, .help = "the project's id, talkoo: and 64 digits"},
	{.name = "by", .kind = SCHEMA_OTHER, .read = read_bys, .help = "who may announce; default: the project's maintainers"},
	{.name = "ref", .kind = SCHEMA_OTHER, .read = read_refs, .help = "patterns of the announced ref"},
	{.name = "image", .kind = SCHEMA_OTHER, .read = read_images, .help = "patterns of the image, NAME@VERSION"},
	{.name = "arch", .kind = SCHEMA_OTHER, .read = read_archs, .help = "x86_64"},
	{.name = "allow", .kind = SCHEMA_OTHER, .read = read_allow, .help = "build it, within these limits"},
	{.name = "deny", .kind = SCHEMA_TEXT, .min = 1, SCHEMA_AT(struct rule_reader, rule.deny_reason),
	 .help = "do not build it; the text is the reason that is shown"},
};

static int check_rule(const struct yaml_node *node, const struct rule_reader *r, struct err *err)
{
	const bool has_deny = *r->rule.deny_reason != 0;
	if (r->has_allow == has_deny) {
		yaml_err(node, err, has_deny ? "a rule has `allow` or `deny`, not both" : "a rule needs `allow` or `deny`");
		return err_hint(err, "`allow: {}` or `deny: the reason`; a second rule is a second list entry");
	}
	if (r->has_allow && !r->rule.projects_len && !r->rule.by_len) {
		yaml_err(node, err, "an allow rule needs `project` or `by`: this one would build anything for anyone");
		return err_hint(err, "name the project, or the keys whose jobs you would build whatever their project");
	}
	return 0;
}

static int read_rule(const struct yaml_node *node, void *record, struct err *err)
{
	struct reader *reader = record;
	struct rule_reader r = {.rule = {.file = reader->file, .line = node->line}};
	int code = schema_read(node, rule_fields, ARRAY_LEN(rule_fields), &r, err);
	if (!code)
		code = check_rule(node, &r, err);
	struct rule *room = code ? NULL : grow((void **)&reader->set->rules, reader->set->len, sizeof *room, err);
	if (!code && !room)
		code = ERR_NOMEM;
	if (code) {
		rule_release(&r.rule);
		return code;
	}
	r.rule.deny = *r.rule.deny_reason != 0;
	*room = r.rule;
	reader->set->len++;
	return 0;
}

static int read_rules(const struct yaml_node *node, void *record, struct err *err)
{
	int code = schema_list(node, 0, POLICY_RULES_MAX, err);
	for (const struct yaml_node *item = node->first; !code && item; item = item->next)
		code = read_rule(item, record, err);
	return code;
}

static int read_own(const struct yaml_node *node, void *record, struct err *err)
{
	struct reader *reader = record;
	if (!reader->own) {
		yaml_err_key(node, err, "does not belong into %s", reader->file);
		return err_hint(err, "put it into %s", POLICY_FILE);
	}
	int code = schema_list(node, 0, POLICY_VALUES_MAX, err);
	for (const struct yaml_node *item = node->first; !code && item; item = item->next) {
		struct policy *p = reader->own;
		struct node_id id;
		code = read_node_id(item, &id, err);
		struct node_id *room = code ? NULL : grow((void **)&p->own, p->own_len, sizeof *room, err);
		if (!code && !room)
			code = ERR_NOMEM;
		if (!code) {
			*room = id;
			p->own_len++;
		}
	}
	return code;
}

static const struct schema_field file_fields[] = {
	{.name = "own", .kind = SCHEMA_OTHER, .read = read_own, .help = "keys whose jobs are mine"},
	{.name = "rules", .kind = SCHEMA_OTHER, .read = read_rules, .help = "the first that matches decides"},
};

int rules_parse(const char *file, const char *text, size_t len, struct ruleset *ret, struct policy *ret_own, struct err *err)
{
	CLEANUP(yaml_release) struct yaml doc = {0};
	struct ruleset set = {0};
	struct reader reader = {.file = file, .set = &set, .own = ret_own};
	int code = yaml_parse(&doc, file, text, len, POLICY_BYTES_MAX, err);
	if (!code && !yaml_is_empty(&doc))
		code = schema_read(doc.root, file_fields, ARRAY_LEN(file_fields), &reader, err);
	if (code) {
		ruleset_release(&set);
		return code;
	}
	*ret = set;
	return 0;
}
