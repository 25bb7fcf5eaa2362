/* What a plan fetches: the key `fetch` of a .talkoo.yml, and Ambient's http_get. */
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "runner/plan/plan_parts.h"

static int read_url(const struct yaml_node *value, void *record, struct err *err)
{
	struct plan_fetch *f = record;
	const char *text;
	const int rc = schema_text(value, 1, sizeof f->url - 1, &text, err);
	if (rc)
		return rc;
	const char *rest = !strncmp(text, "https://", 8) ? text + 8 : !strncmp(text, "http://", 7) ? text + 7 : "";
	bool is_good = *rest && *rest != '/' && strchr(rest, '/');
	for (const char *p = rest; *p; p++)
		is_good = is_good && (unsigned char)*p > ' ' && (unsigned char)*p < 0x7f && !strchr("@?#\\\"<>", *p);
	if (!is_good) {
		yaml_err(value, err, "is no URL of a file");
		err_hint(err, "https://HOST/PATH, without a user, a query or a fragment");
		return ERR_INVALID;
	}
	snprintf(f->url, sizeof f->url, "%s", text);
	return 0;
}

static int read_sha256(const struct yaml_node *value, void *record, struct err *err)
{
	struct plan_fetch *f = record;
	const char *text;
	const int rc = schema_text(value, 1, 256, &text, err);
	if (rc)
		return rc;
	if (!hex_is_digits(text, 64, 64)) {
		yaml_err(value, err, "is no sha256");
		err_hint(err, "64 hex digits, as sha256sum prints them");
		return ERR_INVALID;
	}
	memcpy(f->sha256, text, sizeof f->sha256);
	return 0;
}

static int read_name(const struct yaml_node *value, void *record, struct err *err)
{
	struct plan_fetch *f = record;
	const char *text;
	const int rc = schema_text(value, 1, sizeof f->name - 1, &text, err);
	if (rc)
		return rc;
	if (plan_glob_fault(text)) {
		yaml_err(value, err, "is no file name below /ci/deps");
		err_hint(err, "relative, without empty, \".\" or \"..\" parts");
		return ERR_INVALID;
	}
	snprintf(f->name, sizeof f->name, "%s", text);
	return 0;
}

#define JSON_URL "{\"type\":\"string\",\"pattern\":\"^https?://[^/]+/\"}"
const struct schema_field plan_fetch_fields[PLAN_FETCH_FIELDS_LEN] = {
	{.name = "url", .kind = SCHEMA_OTHER, .is_required = true, .read = read_url, .json = JSON_URL, .help = "https://HOST/PATH of the file"},
	{.name = "sha256", .kind = SCHEMA_OTHER, .is_required = true, .read = read_sha256,
	 .json = "{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{64}$\"}", .help = "its digest: what comes must have it"},
	{.name = "name", .kind = SCHEMA_OTHER, .read = read_name, .help = "its name below /ci/deps; default: the URL's last part"},
};
static const struct schema_field http_get_fields[] = {
	{.name = "url", .kind = SCHEMA_OTHER, .is_required = true, .read = read_url, .help = "https://HOST/PATH"},
	{.name = "filename", .kind = SCHEMA_OTHER, .is_required = true, .read = read_name, .help = "its name below /ci/deps"},
	{.name = "sha256", .kind = SCHEMA_OTHER, .read = read_sha256, .help = "its digest"},
};

static int add(const struct yaml_node *item, const struct schema_field *fields, size_t fields_len, struct plan *plan, struct err *err)
{
	CLEANUP(cleanup_free) struct plan_fetch *f = calloc(1, sizeof *f);
	if (!f)
		return err_set(err, ERR_NOMEM, "out of memory");
	const int rc = schema_read(item, fields, fields_len, f, err);
	if (rc)
		return rc;
	if (!f->name[0]) {
		const char *last = strrchr(f->url, '/') + 1;
		if (strlen(last) >= sizeof f->name || !*last || plan_glob_fault(last))
			return yaml_err(item, err, "the URL ends in no file's name: give one as name");
		snprintf(f->name, sizeof f->name, "%s", last);
	}
	for (size_t i = 0; i < plan->fetch_len; i++) {
		if (!strcmp(plan->fetch[i].name, f->name))
			return yaml_err(item, err, "there is another file of that name");
	}
	if (plan->fetch_len >= PLAN_FETCH_MAX)
		return yaml_err(item, err, "more files are fetched than %d", PLAN_FETCH_MAX);
	struct plan_fetch *grown = reallocarray(plan->fetch, plan->fetch_len + 1, sizeof *grown);
	if (!grown)
		return err_set(err, ERR_NOMEM, "out of memory");
	plan->fetch = grown;
	plan->fetch[plan->fetch_len++] = *f;
	return 0;
}

int plan_read_fetch(const struct yaml_node *value, void *record, struct err *err)
{
	int rc = schema_list(value, 0, PLAN_FETCH_MAX, err);
	for (const struct yaml_node *c = rc ? NULL : value->first; c && !rc; c = c->next)
		rc = add(c, plan_fetch_fields, PLAN_FETCH_FIELDS_LEN, record, err);
	return rc;
}

int plan_read_http_get(const struct yaml_node *items, struct plan *plan, struct err *err)
{
	int rc = schema_list(items, 0, PLAN_FETCH_MAX, err);
	for (const struct yaml_node *c = rc ? NULL : items->first; c && !rc; c = c->next)
		rc = add(c, http_get_fields, ARRAY_LEN(http_get_fields), plan, err);
	return rc;
}
