#include "node/cli/runsource.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/hex.h"
#include "proto/base/io.h"

enum runsource_kind runsource_kind_of(const char *where)
{
	struct stat st;
	if (!strncmp(where, "file://", 7))
		return RUNSOURCE_DIR;
	if (!strncmp(where, "ssh://", 6) || !strncmp(where, "git+ssh://", 10))
		return RUNSOURCE_SSH;
	if (strstr(where, "://"))
		return RUNSOURCE_URL;
	const char *colon = strchr(where, ':'), *slash = strchr(where, '/');
	if (colon && colon != where && (!slash || colon < slash) && stat(where, &st))
		return RUNSOURCE_SSH; /* git's short form, host:path */
	return RUNSOURCE_DIR;
}

void runsource_release(struct runsource *s)
{
	gitrepo_close(&s->repo);
}

static int full_ref(const char *ref, char out[256], struct err *err)
{
	const bool is_full = !strncmp(ref, "refs/", 5);
	if (!*ref || snprintf(out, 256, "%s%s", is_full ? "" : "refs/heads/", ref) >= 256)
		return err_set(err, ERR_USAGE, "--ref %s: not a ref's name", ref);
	return 0;
}

static int find_url(const char *url, const char *commit, const char *ref, const char *mirrors, struct runsource *s, struct err *err)
{
	uint8_t hash[16];
	char name[sizeof hash * 2 + 1];
	if (strlen(url) >= sizeof s->source.url)
		return err_set(err, ERR_USAGE, "the URL is too long");
	if (commit && !hex_is_digits(commit, 7, 64)) {
		err_set(err, ERR_USAGE, "--commit %s: with a URL a commit is 7 or more hex digits", commit);
		return err_hint(err, "name a branch or tag with --ref");
	}
	strcpy(s->source.url, url);
	for (size_t i = 0; commit && commit[i]; i++)
		s->source.commit[i] = commit[i] >= 'A' && commit[i] <= 'F' ? (char)(commit[i] + 'a' - 'A') : commit[i];
	const int code = ref ? full_ref(ref, s->source.ref, err) : 0;
	if (code)
		return code;
	/* the person typed it: their own machine and network are theirs to fetch from */
	s->source.allow_loopback = s->source.allow_private = s->source.allow_file = true;
	crypto_generichash(hash, sizeof hash, (const uint8_t *)url, strlen(url), NULL, 0);
	if (snprintf(s->source.mirror, PATH_MAX, "%s/url-%s", mirrors, hex_encode(name, hash, sizeof hash)) >= PATH_MAX)
		return err_set(err, ERR_LIMIT, "%s: the path is too long", mirrors);
	return 0;
}

/* git's own way to say where the rest is: objects/info/alternates. */
static int borrow_objects(const char *borrower, const char *lender, struct err *err)
{
	char path[PATH_MAX + 32], line[PATH_MAX + 2];
	snprintf(path, sizeof path, "%s/info", borrower);
	const int code = io_mkdirs(path, 0700, err);
	if (code)
		return code;
	const int len = snprintf(line, sizeof line, "%s\n", lender);
	snprintf(path, sizeof path, "%s/info/alternates", borrower);
	return io_replace_file(path, line, (size_t)len, 0600, err);
}

/* The working tree: its own new objects first, the repository's behind them. */
static int find_snapshot(const struct runsource_ask *ask, struct runsource *s, struct err *err)
{
	char (*others)[PATH_MAX] = s->source.local_alternates;
	if (ask->commit || ask->ref)
		return err_set(err, ERR_USAGE, "--dirty: runs the working tree, so there is no --commit or --ref to choose");
	int code = gitrepo_snapshot(s->repo, ask->snapshot, &s->commit, &s->changes, err);
	if (!code)
		code = gitrepo_objects(s->repo, s->source.local_objects, others + 1, JOB_ALTERNATES_MAX - 1, err);
	if (code)
		return code;
	strcpy(others[0], s->source.local_objects);
	if (!realpath(ask->snapshot, s->source.local_objects))
		return err_errno(err, errno, "%s", ask->snapshot);
	s->is_snapshot = true;
	return borrow_objects(s->source.local_objects, others[0], err);
}

static int find_commit(const struct runsource_ask *ask, struct runsource *s, struct err *err)
{
	int code = gitrepo_commit(s->repo, ask->commit ? ask->commit : ask->ref ? ask->ref : "HEAD", &s->commit, err);
	if (!code)
		code = gitrepo_objects(s->repo, s->source.local_objects, s->source.local_alternates, JOB_ALTERNATES_MAX, err);
	if (!code && ask->ref)
		code = full_ref(ask->ref, s->source.ref, err);
	if (code)
		return code;
	struct gitrepo_commit head;
	const bool is_head = !gitrepo_commit(s->repo, "HEAD", &head, NULL) && !strcmp(head.id, s->commit.id);
	/* only a remark hangs on it: a checkout that cannot be compared is still run */
	if (is_head && gitrepo_changes(s->repo, &s->changes, NULL))
		s->changes = 0;
	return 0;
}

static int find_dir(const struct runsource_ask *ask, const char *dir, struct runsource *s, struct err *err)
{
	int code = gitrepo_open(dir, &s->repo, err);
	if (!code)
		code = ask->snapshot ? find_snapshot(ask, s, err) : find_commit(ask, s, err);
	if (code)
		return code;
	if (!ask->ref && strlen(s->commit.ref) < sizeof s->source.ref)
		strcpy(s->source.ref, s->commit.ref);
	memcpy(s->source.commit, s->commit.id, sizeof s->commit.id);
	return 0;
}

const char *runsource_place(const struct job_source *s, bool is_snapshot)
{
	if (*s->url)
		return s->url;
	return is_snapshot ? s->local_alternates[0] : s->local_objects;
}

int runsource_find(const struct runsource_ask *ask, struct runsource *ret, struct err *err)
{
	struct runsource s = {0};
	int code = 0;
	const char *where = ask->where ? ask->where : ".";
	switch (runsource_kind_of(where)) {
	case RUNSOURCE_URL:
		if (ask->snapshot)
			code = err_set(err, ERR_USAGE, "--dirty: %s has no working tree here", where);
		else
			code = find_url(where, ask->commit, ask->ref, ask->mirrors, &s, err);
		break;
	case RUNSOURCE_DIR: code = find_dir(ask, !strncmp(where, "file://", 7) ? where + 7 : where, &s, err); break;
	case RUNSOURCE_SSH:
		err_set(err, ERR_USAGE, "%s: repositories are not fetched by ssh", where);
		code = err_hint(err, "clone it and run in the checkout, or give its https:// URL");
		break;
	}
	if (code) {
		runsource_release(&s);
		return code;
	}
	*ret = s;
	return 0;
}
