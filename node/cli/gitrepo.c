#include "node/cli/gitrepo.h"

#include <git2.h>
#include <git2/sys/odb_backend.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"

#define SNAPSHOT_PRIORITY 100 /* above all that a repository has: new objects go there */
#define ALTERNATES_FILE_MAX (64u << 10)

struct gitrepo {
	git_repository *repo;
};

#define FREE(type)                                                                                                     \
	static void free_##type(git_##type **handle) { git_##type##_free(*handle); }
FREE(object)
FREE(commit)
FREE(tree)
FREE(tree_entry)
FREE(blob)
FREE(reference)
FREE(reference_iterator)
FREE(status_list)
FREE(odb)
FREE(index)
FREE(signature)
#undef FREE

static const char *git_why(void)
{
	const git_error *why = git_error_last();
	return why && why->message ? why->message : "no reason given";
}

static int git_setup(struct err *err)
{
	if (git_libgit2_init() < 0)
		return err_set(err, ERR_BUG, "libgit2 could not start: %s", git_why());
	/* only this repository has a say: not the user's or the system's git configuration */
	for (int level = GIT_CONFIG_LEVEL_PROGRAMDATA; level <= GIT_CONFIG_LEVEL_GLOBAL; level++)
		git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
	git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
	return 0;
}

int gitrepo_open(const char *dir, struct gitrepo **ret, struct err *err)
{
	const int code = git_setup(err);
	if (code)
		return code;
	git_repository *repo = NULL;
	const int git = git_repository_open_ext(&repo, dir, 0, NULL);
	if (git == GIT_ENOTFOUND) {
		git_libgit2_shutdown();
		err_set(err, ERR_NOT_FOUND, "%s: not in a git repository", dir);
		return err_hint(err, "stand in a checkout, or name one, or a URL");
	}
	if (git) {
		err_set(err, ERR_INVALID, "%s: cannot open the git repository: %s", dir, git_why());
		git_libgit2_shutdown();
		return err->code;
	}
	*ret = calloc(1, sizeof **ret);
	if (!*ret) {
		git_repository_free(repo);
		git_libgit2_shutdown();
		return err_set(err, ERR_NOMEM, "out of memory");
	}
	(*ret)->repo = repo;
	return 0;
}

void gitrepo_close(struct gitrepo **repo)
{
	if (!*repo)
		return;
	git_repository_free((*repo)->repo);
	git_libgit2_shutdown();
	free(*repo);
	*repo = NULL;
}

const char *gitrepo_workdir(const struct gitrepo *repo)
{
	const char *workdir = git_repository_workdir(repo->repo);
	return workdir ? workdir : "";
}

const char *gitrepo_folder(const struct gitrepo *repo)
{
	return git_repository_commondir(repo->repo);
}

static int no_commit(struct gitrepo *repo, const char *text, int git, struct err *err)
{
	if (git == GIT_EAMBIGUOUS) {
		err_set(err, ERR_AMBIGUOUS, "%s: fits more than one object here", text);
		return err_hint(err, "give more digits");
	}
	if (git == GIT_EINVALIDSPEC || git == GIT_EPEEL)
		return err_set(err, ERR_USAGE, "%s: names no commit: %s", text, git_why());
	if (git_repository_head_unborn(repo->repo) == 1) {
		err_set(err, ERR_NOT_FOUND, "this repository has no commit yet");
		return err_hint(err, "commit something first; 'talkoo run --dirty' runs the files as they are");
	}
	if (git != GIT_ENOTFOUND)
		return err_set(err, ERR_INVALID, "%s: cannot be read: %s", text, git_why());
	err_set(err, ERR_NOT_FOUND, "%s: no such commit in %s", text, git_repository_path(repo->repo));
	return err_hint(err, "'git rev-parse %s' should know it; 'git fetch' brings what a remote has", text);
}

int gitrepo_commit(struct gitrepo *repo, const char *text, struct gitrepo_commit *ret, struct err *err)
{
	CLEANUP(free_object) git_object *found = NULL;
	CLEANUP(free_object) git_object *peeled = NULL;
	CLEANUP(free_reference) git_reference *ref = NULL;
	CLEANUP(free_reference) git_reference *direct = NULL;
	int git = git_revparse_ext(&found, &ref, repo->repo, text);
	if (!git)
		git = git_object_peel(&peeled, found, GIT_OBJECT_COMMIT);
	if (git)
		return no_commit(repo, text, git, err);
	*ret = (struct gitrepo_commit){0};
	git_oid_tostr(ret->id, sizeof ret->id, git_object_id(peeled));
	if (ref && !git_reference_resolve(&direct, ref)) {
		const char *name = git_reference_name(direct);
		if (!strncmp(name, "refs/", 5) && strlen(name) < sizeof ret->ref)
			strcpy(ret->ref, name);
	}
	const char *subject = git_commit_summary((git_commit *)peeled);
	snprintf(ret->subject, sizeof ret->subject, "%s", subject ? subject : "");
	return 0;
}

/* Resolves one line of info/alternates against the folder it is in. False: a comment or empty. */
static bool alternate_path(const char *objects, const char *line, size_t len, char out[PATH_MAX])
{
	char joined[2 * PATH_MAX];
	if (!len || *line == '#')
		return false;
	snprintf(joined, sizeof joined, "%s%s%.*s", *line == '/' ? "" : objects, *line == '/' ? "" : "/", (int)len, line);
	return realpath(joined, out) != NULL; /* a missing alternate is as good as none, as for git */
}

static int add_alternates(const char *objects, char (*alternates)[PATH_MAX], size_t *len, size_t max, struct err *err)
{
	char path[PATH_MAX + 32];
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, ALTERNATES_FILE_MAX);
	snprintf(path, sizeof path, "%s/info/alternates", objects);
	const int code = io_read_file(path, &text, err);
	if (code)
		return code == ERR_NOT_FOUND ? 0 : code;
	for (const char *line = buf_cstr(&text); *line;) {
		const size_t line_len = strcspn(line, "\n");
		char found[PATH_MAX];
		bool is_known = !alternate_path(objects, line, line_len, found);
		for (size_t i = 0; i < *len && !is_known; i++)
			is_known = !strcmp(alternates[i], found);
		line += line_len + (line[line_len] == '\n');
		if (is_known)
			continue;
		if (*len == max) {
			err_set(err, ERR_LIMIT, "%s borrows objects from more than %zu other repositories", objects, max);
			return err_hint(err, "'git repack -a' and removing objects/info/alternates makes it stand alone");
		}
		memcpy(alternates[(*len)++], found, sizeof found);
	}
	return 0;
}

int gitrepo_objects(struct gitrepo *repo, char objects[PATH_MAX], char (*alternates)[PATH_MAX], size_t max, struct err *err)
{
	char joined[PATH_MAX + 16];
	snprintf(joined, sizeof joined, "%s/objects", git_repository_commondir(repo->repo));
	if (!realpath(joined, objects))
		return err_set(err, ERR_NOT_FOUND, "%s: no such folder", joined);
	memset(alternates, 0, max * sizeof *alternates);
	size_t len = 0;
	int code = add_alternates(objects, alternates, &len, max, err);
	for (size_t i = 0; i < len && !code; i++)
		code = add_alternates(alternates[i], alternates, &len, max, err);
	return code;
}

int gitrepo_changes(struct gitrepo *repo, size_t *ret, struct err *err)
{
	if (git_repository_is_bare(repo->repo)) {
		*ret = 0;
		return 0;
	}
	CLEANUP(free_status_list) git_status_list *list = NULL;
	git_status_options options = GIT_STATUS_OPTIONS_INIT;
	options.show = GIT_STATUS_SHOW_INDEX_AND_WORKDIR;
	options.flags = GIT_STATUS_OPT_INCLUDE_UNTRACKED | GIT_STATUS_OPT_EXCLUDE_SUBMODULES;
	if (git_status_list_new(&list, repo->repo, &options))
		return err_set(err, ERR_INVALID, "cannot compare the checkout with HEAD: %s", git_why());
	*ret = git_status_list_entrycount(list);
	return 0;
}

/* New objects of repo go to the folder. */
static int write_to(git_repository *repo, const char *objects)
{
	CLEANUP(free_odb) git_odb *odb = NULL;
	git_odb_backend *backend = NULL;
	int git = git_repository_odb(&odb, repo);
	if (!git)
		git = git_odb_backend_loose(&backend, objects, -1, 0, 0, 0);
	if (git)
		return git;
	git = git_odb_add_backend(odb, backend, SNAPSHOT_PRIORITY);
	if (git)
		backend->free(backend);
	return git;
}

/* The tree of all files as they are; the index is changed in memory alone. */
static int tree_of_files(git_repository *repo, git_tree **ret)
{
	CLEANUP(free_index) git_index *index = NULL;
	git_oid id;
	int git = git_repository_index(&index, repo);
	if (!git)
		git = git_index_read(index, 1);
	if (!git)
		git = git_index_add_all(index, NULL, GIT_INDEX_ADD_DEFAULT, NULL, NULL);
	if (!git)
		git = git_index_write_tree(&id, index);
	return git ? git : git_tree_lookup(ret, repo, &id);
}

/* On the parent and with its time, so that the same files give the same id. */
static int commit_tree(git_repository *repo, const git_tree *tree, git_commit *parent, git_oid *ret)
{
	CLEANUP(free_signature) git_signature *who = NULL;
	const int git = git_signature_new(&who, "talkoo run --dirty", "nobody@localhost", parent ? git_commit_time(parent) : 0, 0);
	/* the form with "...": the other's type differs between releases */
	return git ? git : git_commit_create_v(ret, repo, NULL, who, who, NULL, "the working tree\n", tree, parent ? 1 : 0, parent);
}

int gitrepo_snapshot(struct gitrepo *repo, const char *objects, struct gitrepo_commit *ret, size_t *ret_changes, struct err *err)
{
	CLEANUP(free_tree) git_tree *tree = NULL;
	CLEANUP(free_commit) git_commit *head = NULL;
	struct gitrepo_commit c = {.subject = "the working tree"};
	git_oid id;
	if (git_repository_is_bare(repo->repo))
		return err_set(err, ERR_USAGE, "%s: a bare repository has no working tree", git_repository_path(repo->repo));
	const bool has_head = git_repository_head_unborn(repo->repo) != 1;
	int code = has_head ? gitrepo_commit(repo, "HEAD", &c, err) : 0;
	if (!code)
		code = gitrepo_changes(repo, ret_changes, err);
	if (code)
		return code;
	int git = has_head ? git_oid_fromstr(&id, c.id) : 0;
	if (!git && has_head)
		git = git_commit_lookup(&head, repo->repo, &id);
	if (!git)
		git = write_to(repo->repo, objects);
	if (!git)
		git = tree_of_files(repo->repo, &tree);
	if (!git && (!head || !git_oid_equal(git_tree_id(tree), git_commit_tree_id(head)))) {
		git = commit_tree(repo->repo, tree, head, &id);
		git_oid_tostr(c.id, sizeof c.id, &id);
	}
	if (git) {
		err_set(err, ERR_INVALID, "the working tree cannot be read: %s", git_why());
		return err_hint(err, "'git add -A --dry-run' should say the same; mend that, or ignore the file");
	}
	*ret = c;
	return 0;
}

/* "refs/remotes/origin/feature/x" -> "refs/heads/feature/x"; a remote's HEAD is no branch. */
static bool remote_branch(const char *name, char out[256])
{
	static const char prefix[] = "refs/remotes/";
	if (strncmp(name, prefix, sizeof prefix - 1))
		return false;
	const char *branch = strchr(name + sizeof prefix - 1, '/');
	if (!branch || !branch[1] || !strcmp(branch, "/HEAD"))
		return false;
	return (size_t)snprintf(out, 256, "refs/heads/%s", branch + 1) < 256;
}

static bool is_on(git_repository *repo, const git_oid *commit, git_reference *ref)
{
	CLEANUP(free_object) git_object *tip = NULL;
	if (git_reference_peel(&tip, ref, GIT_OBJECT_COMMIT))
		return false;
	return git_oid_equal(git_object_id(tip), commit) || git_graph_descendant_of(repo, git_object_id(tip), commit) == 1;
}

int gitrepo_pushed(struct gitrepo *repo, const char *commit, char ret_ref[256], struct err *err)
{
	git_oid id;
	CLEANUP(free_reference) git_reference *head = NULL;
	CLEANUP(free_reference_iterator) git_reference_iterator *each = NULL;
	const bool is_bare = git_repository_is_bare(repo->repo);
	if (git_oid_fromstr(&id, commit))
		return err_set(err, ERR_USAGE, "%s: no commit id", commit);
	if (git_reference_iterator_new(&each, repo->repo))
		return err_set(err, ERR_INVALID, "cannot read the refs: %s", git_why());
	const char *head_name = !git_repository_head(&head, repo->repo) ? git_reference_name(head) : "";
	char best[256] = "";
	for (;;) {
		CLEANUP(free_reference) git_reference *ref = NULL;
		char branch[256] = "";
		if (git_reference_next(&ref, each))
			break;
		const char *name = git_reference_name(ref);
		if (is_bare && !strncmp(name, "refs/heads/", 11) && strlen(name) < sizeof branch)
			strcpy(branch, name);
		const bool is_candidate = *branch || (!is_bare && remote_branch(name, branch));
		const bool is_preferred = !strcmp(branch, head_name);
		if (is_candidate && (!*best || is_preferred) && is_on(repo->repo, &id, ref))
			memcpy(best, branch, sizeof best);
	}
	memcpy(ret_ref, best, sizeof best);
	return 0;
}

static int open_tree(struct gitrepo *repo, const char *commit, git_tree **ret, struct err *err)
{
	git_oid id;
	CLEANUP(free_commit) git_commit *found = NULL;
	if (git_oid_fromstr(&id, commit) || git_commit_lookup(&found, repo->repo, &id) || git_commit_tree(ret, found))
		return err_set(err, ERR_NOT_FOUND, "%s: the commit cannot be read: %s", commit, git_why());
	return 0;
}

/* The entry at a path; NULL if absent. */
static git_tree_entry *find_entry(struct gitrepo *repo, const char *commit, const char *path)
{
	CLEANUP(free_tree) git_tree *tree = NULL;
	git_tree_entry *entry = NULL;
	if (open_tree(repo, commit, &tree, NULL) || git_tree_entry_bypath(&entry, tree, path))
		return NULL;
	return entry;
}

bool gitrepo_has(struct gitrepo *repo, const char *commit, const char *path, bool *ret_is_folder)
{
	CLEANUP(free_tree_entry) git_tree_entry *entry = find_entry(repo, commit, path);
	if (entry && ret_is_folder)
		*ret_is_folder = git_tree_entry_type(entry) == GIT_OBJECT_TREE;
	return entry != NULL;
}

int gitrepo_read(struct gitrepo *repo, const char *commit, const char *path, struct buf *ret, struct err *err)
{
	CLEANUP(free_tree_entry) git_tree_entry *entry = find_entry(repo, commit, path);
	CLEANUP(free_blob) git_blob *blob = NULL;
	if (!entry)
		return err_set(err, ERR_NOT_FOUND, "%.7s has no file %s", commit, path);
	if (git_tree_entry_type(entry) != GIT_OBJECT_BLOB || git_tree_entry_filemode(entry) == GIT_FILEMODE_LINK)
		return err_set(err, ERR_INVALID, "%s of %.7s is not a plain file", path, commit);
	if (git_blob_lookup(&blob, repo->repo, git_tree_entry_id(entry)))
		return err_set(err, ERR_INVALID, "%s of %.7s cannot be read: %s", path, commit, git_why());
	buf_append(ret, git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob));
	return buf_check(ret, path, err);
}

int gitrepo_each(struct gitrepo *repo, const char *commit, const char *folder, gitrepo_name_fn fn, void *user, struct err *err)
{
	CLEANUP(free_tree) git_tree *top = NULL;
	CLEANUP(free_tree) git_tree *below = NULL;
	CLEANUP(free_tree_entry) git_tree_entry *entry = NULL;
	const int code = open_tree(repo, commit, &top, err);
	if (code)
		return code;
	if (*folder && (git_tree_entry_bypath(&entry, top, folder) || git_tree_entry_type(entry) != GIT_OBJECT_TREE ||
			git_tree_lookup(&below, repo->repo, git_tree_entry_id(entry))))
		return err_set(err, ERR_NOT_FOUND, "%.7s has no folder %s", commit, folder);
	git_tree *tree = *folder ? below : top;
	for (size_t i = 0; i < git_tree_entrycount(tree); i++) {
		const git_tree_entry *each = git_tree_entry_byindex(tree, i);
		if (!fn(user, git_tree_entry_name(each), git_tree_entry_type(each) == GIT_OBJECT_TREE))
			break;
	}
	return 0;
}
