#include "node/cli/resolve.h"

#include <string.h>

#include "node/cli/nodecall.h"
#include "node/cli/treeplan.h"
#include "proto/base/cleanup.h"
#include "proto/base/hex.h"

#define PREFIX_MIN 7

enum resolve_form resolve_form_of(const char *text)
{
	if (!strncmp(text, "talkoo:", 7))
		return RESOLVE_LINK;
	if (hex_is_digits(text, 64, 64))
		return RESOLVE_ID;
	if (hex_is_digits(text, PREFIX_MIN, 63))
		return RESOLVE_PREFIX;
	return RESOLVE_ALIAS;
}

static void lower(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'F')
			*text = (char)(*text + 'a' - 'A');
}

int resolve_project_id(const char *link_or_id, char ret[ID32_TEXT_MAX], struct err *err)
{
	struct project_link link;
	if (resolve_form_of(link_or_id) == RESOLVE_ID) {
		memcpy(ret, link_or_id, ID32_TEXT_MAX);
		lower(ret);
		return 0;
	}
	const int code = project_link_parse(link_or_id, &link, err);
	if (!code)
		id32_format(ret, &link.project);
	return code;
}

struct gitrepo *resolve_here(void)
{
	struct gitrepo *repo = NULL;
	return gitrepo_open(".", &repo, NULL) ? NULL : repo;
}

/* .talkoo.yml's `project:` of the checkout one stands in. */
static int project_here(char ret[LINK_TEXT_MAX], struct err *err)
{
	CLEANUP(gitrepo_close) struct gitrepo *repo = resolve_here();
	CLEANUP(plan_found_release) struct plan_found found = {0};
	struct gitrepo_commit head;
	if (!repo) {
		err_set(err, ERR_USAGE, "which project? This is no checkout that could say");
		return err_hint(err, "give its link, id or alias ('talkoo project list')");
	}
	int code;
	if (*gitrepo_workdir(repo))
		code = treeplan_find_in_folder(gitrepo_workdir(repo), &found, err);
	else if (!(code = gitrepo_commit(repo, "HEAD", &head, err)))
		code = treeplan_find(repo, head.id, &found, err);
	if (code == ERR_INVALID || code == ERR_LIMIT)
		return code;
	if (code || !*found.plan.project) {
		err_set(err, ERR_USAGE, "which project? The plan of this checkout has no 'project:' that says");
		return err_hint(err, "give its link, id or alias ('talkoo project list'), or write 'project: LINK' into %s", PLAN_FILE);
	}
	memcpy(ret, found.plan.project, LINK_TEXT_MAX);
	return 0;
}

static int ask_project(struct client *client, const char *text, enum resolve_form form, char ret[LINK_TEXT_MAX], struct err *err)
{
	CLEANUP(client_free_json) json_t *answer = NULL;
	const int code = nodecall_on(client, json_pack("{s:s}", "op", "project.list"), &answer, err);
	if (code)
		return code;
	size_t i, fits = 0;
	const json_t *each;
	const char *found = NULL;
	char prefix[65] = "";
	if (form == RESOLVE_PREFIX) {
		snprintf(prefix, sizeof prefix, "%s", text);
		lower(prefix);
	}
	json_array_foreach(json_object_get(answer, "projects"), i, each) {
		const char *id = jtext(each, "project");
		if (!strcmp(jtext(each, "alias"), text)) {
			found = id;
			fits = 1;
			break;
		}
		if (*prefix && !strncmp(id, prefix, strlen(prefix))) {
			found = id;
			fits++;
		}
	}
	if (fits > 1)
		return err_set(err, ERR_AMBIGUOUS, "%s: fits %zu projects; give more digits", text, fits);
	if (!found || strlen(found) >= LINK_TEXT_MAX) {
		err_set(err, ERR_NOT_FOUND, "%s: no project is called so here", text);
		return err_hint(err, "a link, a project id, or an alias of 'talkoo project list'; names are not looked up");
	}
	strcpy(ret, found);
	return 0;
}

int resolve_project(struct client *client, const char *text, enum resolve_use use, char ret[LINK_TEXT_MAX], struct err *err)
{
	if (!text)
		return use == RESOLVE_READ ? project_here(ret, err)
					   : err_set(err, ERR_USAGE, "which project? What grants something names it");
	const enum resolve_form form = resolve_form_of(text);
	char id[ID32_TEXT_MAX];
	switch (form) {
	case RESOLVE_LINK:
	case RESOLVE_ID: {
		const int code = resolve_project_id(text, id, err);
		if (code)
			return code;
		if (strlen(text) >= LINK_TEXT_MAX)
			return err_set(err, ERR_USAGE, "the link is too long");
		strcpy(ret, form == RESOLVE_ID ? id : text);
		return 0;
	}
	case RESOLVE_PREFIX:
		if (use == RESOLVE_GRANT) {
			err_set(err, ERR_USAGE, "%s: a prefix of an id is not enough to grant something", text);
			return err_hint(err, "give the link or all 64 digits: prefixes can be forged");
		}
		break;
	case RESOLVE_ALIAS: break;
	}
	if (client)
		return ask_project(client, text, form, ret, err);
	err_set(err, ERR_USAGE, "%s: neither a project's link nor its full id", text);
	return err_hint(err, "aliases and prefixes are known to a running node only");
}

int resolve_commit(struct gitrepo *repo, const char *text, char ret[65], struct err *err)
{
	struct gitrepo_commit commit;
	const bool is_hex = hex_is_digits(text, PREFIX_MIN, 64);
	const int code = repo ? gitrepo_commit(repo, text, &commit, err) : 0;
	if (repo && !code) {
		memcpy(ret, commit.id, sizeof commit.id);
		return 0;
	}
	if (repo && !(is_hex && code == ERR_NOT_FOUND))
		return code;
	if (!is_hex) {
		err_set(err, ERR_USAGE, "%s: no commit id, and this is no checkout that could know it", text);
		return err_hint(err, "outside a checkout a commit is 7 or more hex digits");
	}
	snprintf(ret, 65, "%s", text);
	lower(ret);
	return 0;
}

int resolve_target(struct client *client, const char *text, struct resolve_target *ret, struct err *err)
{
	CLEANUP(gitrepo_close) struct gitrepo *repo = resolve_here();
	CLEANUP(client_free_json) json_t *answer = NULL;
	struct gitrepo_commit commit;
	struct resolve_target target = {0};
	if (repo && !gitrepo_commit(repo, text, &commit, NULL)) {
		memcpy(target.id, commit.id, sizeof target.id);
		*ret = target;
		return 0;
	}
	if (!hex_is_digits(text, PREFIX_MIN, 64)) {
		err_set(err, repo ? ERR_NOT_FOUND : ERR_USAGE, "%s: neither a commit nor a job's id", text);
		return err_hint(err, "outside a checkout a commit is 7 or more hex digits; 'talkoo job list' shows jobs");
	}
	const int code = nodecall_on(client, json_pack("{s:s,s:s}", "op", "job.show", "job", text), &answer, err);
	if (code && code != ERR_NOT_FOUND)
		return code;
	target.is_job = !code;
	const char *id = code ? text : jtext(json_is_object(json_object_get(answer, "job")) ? json_object_get(answer, "job") : answer, "job");
	snprintf(target.id, sizeof target.id, "%s", id);
	lower(target.id);
	*ret = target;
	return 0;
}
