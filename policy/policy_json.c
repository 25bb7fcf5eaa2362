#include <string.h>

#include "policy/rules.h"
#include "proto/base/cleanup.h"

/* json_int_t has a sign; no ceiling of ours comes near. */
static json_t *number(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *sources_to_json(const struct policy_limits *l)
{
	json_t *list = json_array();
	if (l->source_loopback)
		json_array_append_new(list, json_string("loopback"));
	if (l->source_private)
		json_array_append_new(list, json_string("private"));
	if (l->source_file)
		json_array_append_new(list, json_string("file"));
	return list;
}

json_t *policy_limits_to_json(const struct policy_limits *l)
{
	return json_pack("{s:I, s:o, s:o, s:o, s:b, s:o}", "cpus", (json_int_t)l->cpus, "memory_bytes", number(l->memory_bytes),
			 "disk_bytes", number(l->disk_bytes), "timeout_ms", number(l->timeout_ms), "allow_emulation",
			 (int)l->allow_emulation, "sources", sources_to_json(l));
}

json_t *policy_facts_to_json(const struct policy_facts *f)
{
	char project[ID32_TEXT_MAX], announcer[NODE_ID_TEXT_MAX];
	return json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:o}", "project", id32_format(project, &f->project), "announcer",
			 node_id_format(announcer, &f->announcer), "announcer_is_maintainer", (int)f->announcer_is_maintainer,
			 "ref", f->ref, "image", f->image, "arch", f->arch, "wanted", policy_limits_to_json(&f->wanted));
}

static int bad_facts(const char *why, struct err *err)
{
	return err_set(err, ERR_INVALID, "stored facts of a decision: %s", why);
}

static int limits_from_json(json_t *object, struct policy_limits *ret, struct err *err)
{
	json_int_t cpus, memory, disk, timeout;
	int emulation;
	json_t *sources;
	json_error_t why;
	if (json_unpack_ex(object, &why, JSON_STRICT, "{s:I, s:I, s:I, s:I, s:b, s:o}", "cpus", &cpus, "memory_bytes", &memory,
			   "disk_bytes", &disk, "timeout_ms", &timeout, "allow_emulation", &emulation, "sources", &sources))
		return bad_facts(why.text, err);
	if (cpus < 0 || cpus > UINT32_MAX || memory < 0 || disk < 0 || timeout < 0 || !json_is_array(sources))
		return bad_facts("a limit is out of range", err);
	struct policy_limits l = {.cpus = (uint32_t)cpus, .memory_bytes = (uint64_t)memory, .disk_bytes = (uint64_t)disk,
				  .timeout_ms = (uint64_t)timeout, .allow_emulation = emulation != 0};
	size_t i;
	json_t *item;
	json_array_foreach(sources, i, item) {
		const char *word = json_is_string(item) ? json_string_value(item) : "";
		bool *flag = !strcmp(word, "loopback") ? &l.source_loopback : !strcmp(word, "private") ? &l.source_private
			     : !strcmp(word, "file")   ? &l.source_file
						       : NULL;
		if (!flag)
			return bad_facts("an unknown source", err);
		*flag = true;
	}
	*ret = l;
	return 0;
}

static bool copy_text(char *out, size_t size, const char *text, size_t len)
{
	if (len >= size || strlen(text) != len)
		return false;
	memcpy(out, text, len + 1);
	return true;
}

int policy_facts_from_json(const json_t *object, struct policy_facts *ret, struct err *err)
{
	const char *project, *announcer, *ref, *image, *arch;
	size_t ref_len, image_len, arch_len;
	int is_maintainer;
	json_t *wanted;
	json_error_t why;
	/* jansson takes a non-const value but changes nothing that is unpacked without "O" */
	json_t *lent = (json_t *)(uintptr_t)object;
	if (json_unpack_ex(lent, &why, JSON_STRICT, "{s:s, s:s, s:b, s:s%, s:s%, s:s%, s:o}", "project", &project, "announcer",
			   &announcer, "announcer_is_maintainer", &is_maintainer, "ref", &ref, &ref_len, "image", &image,
			   &image_len, "arch", &arch, &arch_len, "wanted", &wanted))
		return bad_facts(why.text, err);
	struct policy_facts f = {.announcer_is_maintainer = is_maintainer != 0};
	int code = id32_parse(project, &f.project, err);
	if (!code)
		code = node_id_parse(announcer, &f.announcer, err);
	if (!code)
		code = limits_from_json(wanted, &f.wanted, err);
	if (code)
		return code;
	if (!copy_text(f.ref, sizeof f.ref, ref, ref_len) || !copy_text(f.image, sizeof f.image, image, image_len) ||
	    !copy_text(f.arch, sizeof f.arch, arch, arch_len))
		return bad_facts("a text is too long", err);
	*ret = f;
	return 0;
}

static const char *verdict_text(bool is_deny)
{
	return is_deny ? "deny" : "allow";
}

json_t *policy_decision_to_json(const struct policy_decision *d)
{
	return json_pack("{s:s, s:s, s:s, s:b, s:o}", "verdict", verdict_text(d->verdict != POLICY_ALLOW), "rule", d->rule, "reason",
			 d->reason, "own", (int)d->is_own, "limits", policy_limits_to_json(&d->limits));
}

static json_t *texts_to_json(char *const *texts, size_t len)
{
	json_t *list = json_array();
	for (size_t i = 0; i < len; i++)
		json_array_append_new(list, json_string(texts[i]));
	return list;
}

static json_t *rule_to_json(const struct rule *r)
{
	char name[256], text[ID32_TEXT_MAX];
	json_t *projects = json_array(), *by = json_array();
	rule_name(r, name);
	for (size_t i = 0; i < r->projects_len; i++)
		json_array_append_new(projects, json_sprintf("talkoo:%s", id32_format(text, &r->projects[i])));
	for (size_t i = 0; i < r->by_len; i++)
		json_array_append_new(by, json_string(node_id_format(text, &r->by[i])));
	json_t *object = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "rule", name, "verdict", verdict_text(r->deny), "project",
				   projects, "by", by, "ref", texts_to_json(r->refs, r->refs_len), "image",
				   texts_to_json(r->images, r->images_len), "arch", texts_to_json(r->archs, r->archs_len));
	if (r->deny)
		json_object_set_new(object, "reason", json_string(r->deny_reason));
	else
		json_object_set_new(object, "limits", policy_limits_to_json(&r->limits));
	return object;
}

json_t *policy_to_json(const struct policy *p)
{
	json_t *list = json_array();
	for (size_t i = 0; i < p->set.len; i++)
		json_array_append_new(list, rule_to_json(&p->set.rules[i]));
	return list;
}
