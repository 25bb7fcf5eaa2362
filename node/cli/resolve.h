/* From what a person types to what the node understands: projects (link, id, alias, the checkout's own), commits (as git
 * rev-parse in a checkout), and "COMMIT or JOB". CLI.md, "COMMIT is …", "P is …".
 *
 * Links: base, proto (ids), gitrepo, treeplan, client. Must not know: what is done with them. */
#ifndef TALKOO_CLI_RESOLVE_H
#define TALKOO_CLI_RESOLVE_H

#include "node/cli/client.h"
#include "node/cli/gitrepo.h"
#include "proto/ids.h"

enum resolve_use {
	RESOLVE_READ = 1, /* id prefixes of 7 or more digits are taken; without text, the checkout's project */
	RESOLVE_GRANT,    /* only link, full id or alias, and never left out */
};

/* What a text for P is, by its form alone. */
enum resolve_form { RESOLVE_LINK = 1, RESOLVE_ID, RESOLVE_PREFIX, RESOLVE_ALIAS };
enum resolve_form resolve_form_of(const char *text);

/* *ret: a link (as given) or a full id. text NULL: see resolve_use. client may be NULL: then only a link, a full id and the
 * checkout's are understood. ERR_USAGE says what is needed, ERR_NOT_FOUND and ERR_AMBIGUOUS what was looked for. */
int resolve_project(struct client *client, const char *text, enum resolve_use use, char ret[LINK_TEXT_MAX], struct err *err) MUST_CHECK;
/* The id of a link, or the id itself. */
int resolve_project_id(const char *link_or_id, char ret[ID32_TEXT_MAX], struct err *err) MUST_CHECK;

/* text as a commit: in a checkout what git rev-parse takes; elsewhere (or when the checkout does not know it) 7 to 64 hex
 * digits, given back in lower case. repo: NULL or an open one. */
int resolve_commit(struct gitrepo *repo, const char *text, char ret[65], struct err *err) MUST_CHECK;
/* The repository the person stands in, or NULL. */
struct gitrepo *resolve_here(void);

struct resolve_target {
	bool is_job;
	char id[65]; /* full job id; or a commit, maybe a prefix */
};

/* "COMMIT or JOB": in a checkout a commit that it knows; else the node says whether it is a job's id or prefix; else a commit. */
int resolve_target(struct client *client, const char *text, struct resolve_target *ret, struct err *err) MUST_CHECK;

#endif
