#include "runner/srctree.h"

#include <string.h>
#include <strings.h>

#include "proto/base/cleanup.h"

#define TYPE_MASK 0170000
#define TYPE_TREE 0040000
#define TYPE_FILE 0100000
#define TYPE_LINK 0120000
#define TYPE_SUBMODULE 0160000
#define NAME_MAX_BYTES 255

struct level {
	git_tree *tree;
	size_t next;     /* entry to come */
	size_t path_len; /* of this tree's own path, with its slash; 0 for the root */
};

struct walk {
	git_repository *repo;
	git_odb *odb;
	struct srctar *out;
	uint64_t entries;
	size_t depth; /* levels in use */
	struct level levels[SRCTREE_DEPTH_MAX];
	char path[SRCTAR_PATH_MAX + NAME_MAX_BYTES + 2];
};

bool srctree_name_is_allowed(const char *name)
{
	const size_t len = strlen(name);
	return len > 0 && len <= NAME_MAX_BYTES && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	       strcasecmp(name, ".git") != 0;
}

static bool is_tree(const git_tree_entry *e)
{
	return ((uint32_t)git_tree_entry_filemode_raw(e) & TYPE_MASK) == TYPE_TREE;
}

/* git's tree order: bytes, a subtree's name as if it ended with '/'. */
static int compare_names(const char *a, bool a_is_tree, const char *b, bool b_is_tree)
{
	const size_t a_len = strlen(a), b_len = strlen(b), len = a_len < b_len ? a_len : b_len;
	const int order = memcmp(a, b, len);
	if (order)
		return order;
	const uint8_t a_next = a_len > len ? (uint8_t)a[len] : a_is_tree ? '/' : 0;
	const uint8_t b_next = b_len > len ? (uint8_t)b[len] : b_is_tree ? '/' : 0;
	return (int)a_next - (int)b_next;
}

/* Whether an ordered tree has an entry of that name that is no subtree. */
static bool has_leaf(const git_tree *tree, const char *name)
{
	size_t low = 0, high = git_tree_entrycount(tree);
	while (low < high) {
		const size_t middle = low + (high - low) / 2;
		const git_tree_entry *e = git_tree_entry_byindex(tree, middle);
		const int order = compare_names(name, false, git_tree_entry_name(e), is_tree(e));
		if (order == 0)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

static int refuse(const struct walk *w, const char *name, const char *why, struct err *err)
{
	return err_set(err, ERR_REFUSED, "the tree entry '%.200s%.200s' %s", w->path, name, why);
}

/* w->path is the tree's own path here. */
static int check_tree(const struct walk *w, const git_tree *tree, struct err *err)
{
	const char *before = NULL;
	bool before_is_tree = false;
	const size_t count = git_tree_entrycount(tree);
	for (size_t i = 0; i < count; i++) {
		const git_tree_entry *e = git_tree_entry_byindex(tree, i);
		const char *name = git_tree_entry_name(e);
		if (!srctree_name_is_allowed(name))
			return refuse(w, name, "has a name that is not allowed", err);
		const int order = before ? compare_names(before, before_is_tree, name, is_tree(e)) : -1;
		if (order == 0)
			return refuse(w, name, "is there twice", err);
		if (order > 0)
			return refuse(w, name, "is not in git's order", err);
		before = name;
		before_is_tree = is_tree(e);
	}
	for (size_t i = 0; i < count; i++) {
		const git_tree_entry *e = git_tree_entry_byindex(tree, i);
		if (is_tree(e) && has_leaf(tree, git_tree_entry_name(e)))
			return refuse(w, git_tree_entry_name(e), "is there twice", err);
	}
	return 0;
}

/* Enters the tree whose path (with its slash) is in w->path. */
static int push_tree(struct walk *w, const git_oid *id, struct err *err)
{
	if (w->depth == SRCTREE_DEPTH_MAX)
		return refuse(w, "", "is nested too deep", err);
	CLEANUP(gitlib_tree_release) git_tree *tree = NULL;
	const int e = git_tree_lookup(&tree, w->repo, id);
	if (e)
		return gitlib_err(err, e, "cannot read the tree '%.200s'", w->path);
	const int rc = check_tree(w, tree, err);
	if (rc)
		return rc;
	w->levels[w->depth++] = (struct level){.tree = tree, .path_len = strlen(w->path)};
	tree = NULL;
	return 0;
}

static int read_blob(struct walk *w, const git_oid *id, git_odb_object **ret, struct err *err)
{
	size_t size;
	git_object_t type;
	int e = git_odb_read_header(&size, &type, w->odb, id);
	if (e)
		return gitlib_err(err, e, "cannot read '%.200s'", w->path);
	if (type != GIT_OBJECT_BLOB)
		return err_set(err, ERR_INVALID, "'%.200s' is not a file's content", w->path);
	/* before it is unpacked: what can never fit is not worth the memory */
	if (size > w->out->max_bytes)
		return err_set(err, ERR_LIMIT, "'%.200s' alone has %zu bytes, more than the limit", w->path, size);
	e = git_odb_read(ret, w->odb, id);
	return e ? gitlib_err(err, e, "cannot read '%.200s'", w->path) : 0;
}

static int write_file(struct walk *w, const git_tree_entry *e, struct err *err)
{
	CLEANUP(gitlib_odb_object_release) git_odb_object *blob = NULL;
	const int rc = read_blob(w, git_tree_entry_id(e), &blob, err);
	if (rc)
		return rc;
	const bool is_executable = (uint32_t)git_tree_entry_filemode_raw(e) & 0100;
	return srctar_file(w->out, w->path, is_executable, git_odb_object_data(blob), git_odb_object_size(blob), err);
}

static int write_link(struct walk *w, const git_tree_entry *e, struct err *err)
{
	CLEANUP(gitlib_odb_object_release) git_odb_object *blob = NULL;
	const int rc = read_blob(w, git_tree_entry_id(e), &blob, err);
	if (rc)
		return rc;
	const size_t len = git_odb_object_size(blob);
	char target[SRCTAR_LINK_MAX + 1];
	if (len == 0 || len > SRCTAR_LINK_MAX || memchr(git_odb_object_data(blob), 0, len))
		return refuse(w, "", "is a symbolic link whose target is empty, too long or not text", err);
	memcpy(target, git_odb_object_data(blob), len);
	target[len] = 0;
	return srctar_link(w->out, w->path, target, err);
}

static int write_entry(struct walk *w, const git_tree_entry *e, struct err *err)
{
	switch ((uint32_t)git_tree_entry_filemode_raw(e) & TYPE_MASK) {
	case TYPE_FILE: return write_file(w, e, err);
	case TYPE_LINK: return write_link(w, e, err);
	case TYPE_SUBMODULE: return srctar_folder(w->out, w->path, err);
	case TYPE_TREE: break;
	default: return refuse(w, "", "is neither file, link, folder nor submodule", err);
	}
	const int rc = srctar_folder(w->out, w->path, err);
	if (rc)
		return rc;
	strcat(w->path, "/");
	return push_tree(w, git_tree_entry_id(e), err);
}

static int walk_all(struct walk *w, struct err *err)
{
	while (w->depth) {
		struct level *level = &w->levels[w->depth - 1];
		w->path[level->path_len] = 0;
		if (level->next == git_tree_entrycount(level->tree)) {
			git_tree_free(level->tree);
			w->depth--;
			continue;
		}
		const git_tree_entry *e = git_tree_entry_byindex(level->tree, level->next++);
		const size_t len = level->path_len + strlen(git_tree_entry_name(e));
		if (len + is_tree(e) > SRCTAR_PATH_MAX)
			return refuse(w, git_tree_entry_name(e), "has too long a path", err);
		if (++w->entries > SRCTREE_ENTRIES_MAX)
			return refuse(w, git_tree_entry_name(e), "is one too many", err);
		strcpy(w->path + level->path_len, git_tree_entry_name(e));
		const int rc = write_entry(w, e, err);
		if (rc)
			return rc;
	}
	return 0;
}

int srctree_write(git_repository *repo, const git_oid *tree_id, struct srctar *out, struct err *err)
{
	CLEANUP(gitlib_odb_release) git_odb *odb = NULL;
	const int e = git_repository_odb(&odb, repo);
	if (e)
		return gitlib_err(err, e, "cannot open the objects");
	CLEANUP(cleanup_free) struct walk *w = calloc(1, sizeof *w);
	if (!w)
		return err_set(err, ERR_NOMEM, "out of memory for a walk");
	w->repo = repo;
	w->odb = odb;
	w->out = out;
	int rc = push_tree(w, tree_id, err);
	if (!rc)
		rc = walk_all(w, err);
	while (w->depth)
		git_tree_free(w->levels[--w->depth].tree);
	return rc;
}
