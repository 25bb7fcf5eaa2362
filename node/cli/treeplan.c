#include "node/cli/treeplan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/plan/lint.h"

struct tree {
	struct gitrepo *repo;
	const char *commit;
};

static int read_from_tree(void *context, const char *path, struct buf *ret, struct err *err)
{
	const struct tree *tree = context;
	return gitrepo_read(tree->repo, tree->commit, path, ret, err);
}

static bool add_name(void *user, const char *name, bool is_folder)
{
	if (!is_folder)
		buf_printf(user, "%s\n", name);
	return true;
}

static int list_tree(void *context, const char *folder, struct buf *ret, struct err *err)
{
	const struct tree *tree = context;
	const int code = gitrepo_each(tree->repo, tree->commit, folder, add_name, ret, err);
	return code ? code : buf_check(ret, folder, err);
}

static int list_folder(void *context, const char *folder, struct buf *ret, struct err *err)
{
	CLEANUP(cleanup_fd) int fd = open(context, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_errno(err, errno, "cannot open %s", (const char *)context) : lint_list_folder(&fd, folder, ret, err);
}

static int read_from_folder(void *context, const char *path, struct buf *ret, struct err *err)
{
	const char *folder = context;
	char whole[PATH_MAX];
	struct stat st;
	if (snprintf(whole, sizeof whole, "%s/%s", folder, path) >= (int)sizeof whole)
		return err_set(err, ERR_LIMIT, "%s/%s: the path is too long", folder, path);
	if (lstat(whole, &st))
		return errno == ENOENT || errno == ENOTDIR ? err_set(err, ERR_NOT_FOUND, "%s: no such file", whole)
							   : err_errno(err, errno, "cannot read %s", whole);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "%s is not a plain file", whole);
	return io_read_file(whole, ret, err);
}

int treeplan_find_cell(struct gitrepo *repo, const char *commit, const char *cell, struct plan_found *ret, struct err *err)
{
	struct tree tree = {repo, commit};
	const int code = plan_discover(&(struct plan_tree){read_from_tree, list_tree, &tree}, cell, ret, err);
	if (code != ERR_NOT_FOUND)
		return code;
	err_set(err, ERR_USAGE, "%.12s has no plan: its tree has no %s", commit, PLAN_FILES_TEXT);
	char here[PATH_MAX];
	const bool is_here = *gitrepo_workdir(repo) &&
			     snprintf(here, sizeof here, "%s%s", gitrepo_workdir(repo), PLAN_FILE) < (int)sizeof here && !access(here, F_OK);
	if (is_here)
		return err_hint(err, "the one in this checkout is not in that commit: git add %s && git commit, or run --dirty", PLAN_FILE);
	return err_hint(err, "write one and commit it, or give the commands with --cmd 'make check'");
}

int treeplan_find(struct gitrepo *repo, const char *commit, struct plan_found *ret, struct err *err)
{
	return treeplan_find_cell(repo, commit, NULL, ret, err);
}

int treeplan_find_in_folder(const char *folder, struct plan_found *ret, struct err *err)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s", folder);
	const int code = plan_discover(&(struct plan_tree){read_from_folder, list_folder, path}, NULL, ret, err);
	if (code != ERR_NOT_FOUND)
		return code;
	err_set(err, ERR_USAGE, "no plan: there is no %s in %s", PLAN_FILES_TEXT, folder);
	return err_hint(err, "four lines are enough: 'image: mini', 'steps:', '  - name: test', '    run: make check'");
}
