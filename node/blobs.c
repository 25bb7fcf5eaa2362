#include "node/blobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"

#define PRUNE_MAX 4096

static int join(char out[PATH_MAX], struct err *err, const char *a, const char *b)
{
	return (size_t)snprintf(out, PATH_MAX, "%s/%s", a, b) < PATH_MAX ? 0 : err_set(err, ERR_LIMIT, "%s: path too long", a);
}

int blobs_dir(const struct home *home, const struct id32 *job, const struct node_id *node, char ret[PATH_MAX], struct err *err)
{
	char below[ID32_TEXT_MAX + NODE_ID_TEXT_MAX], id[ID32_TEXT_MAX], key[NODE_ID_TEXT_MAX];
	node_id_format(key, node);
	/* "did:key:" is no part of a file name */
	snprintf(below, sizeof below, "%s/%s", id32_format(id, job), strrchr(key, ':') + 1);
	return join(ret, err, home->blobs, below);
}

int blobs_open(const char *dir, const char *path, int *ret_fd, struct err *err)
{
	CLEANUP(cleanup_fd) int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return err_set(err, ERR_NOT_FOUND, "its files are no longer kept here");
	while (*path) {
		char part[256];
		const size_t len = strcspn(path, "/");
		if (!len || len >= sizeof part || (len <= 2 && !strncmp(path, "..", len)))
			return err_set(err, ERR_INVALID, "not a path within the artifacts");
		memcpy(part, path, len);
		part[len] = 0;
		path += len + (path[len] == '/');
		const int next = openat(at, part, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (*path ? O_DIRECTORY : 0));
		if (next < 0)
			return err_set(err, ERR_NOT_FOUND, "that file is no longer kept here");
		close(at);
		at = next;
	}
	struct stat st;
	if (fstat(at, &st) || !S_ISREG(st.st_mode))
		return err_set(err, ERR_NOT_FOUND, "that is no file");
	*ret_fd = fd_take(&at);
	return 0;
}

/* fts visits without following links; root is not changed. */
static FTS *walk(const char *root)
{
	char *const roots[] = {(char *)(uintptr_t)root, NULL};
	return fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
}

static int sync_tree(const char *root, struct err *err)
{
	FTS *fts = walk(root);
	int rc = fts ? 0 : err_errno(err, errno, "cannot read %s", root);
	for (const FTSENT *e; !rc && fts && (e = fts_read(fts));) {
		if (e->fts_info != FTS_F && e->fts_info != FTS_DP)
			continue;
		CLEANUP(cleanup_fd) int fd = open(e->fts_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (fd < 0 || fsync(fd))
			rc = err_errno(err, errno, "cannot sync %s", e->fts_path);
	}
	if (fts)
		fts_close(fts);
	return rc;
}

static int move(const char *from_dir, const char *to_dir, const char *name, struct err *err)
{
	char from[PATH_MAX], to[PATH_MAX];
	int rc = join(from, err, from_dir, name);
	if (!rc)
		rc = join(to, err, to_dir, name);
	if (!rc && rename(from, to) && errno != ENOENT)
		rc = err_errno(err, errno, "cannot keep %s", from);
	return rc;
}

int blobs_keep(const char *job_dir, const char *blob_dir, const void *index, size_t index_len, struct err *err)
{
	char path[PATH_MAX];
	int rc = io_remove_tree(blob_dir, err);
	if (!rc)
		rc = io_mkdirs(blob_dir, 0700, err);
	if (!rc)
		rc = move(job_dir, blob_dir, "log", err);
	if (!rc)
		rc = move(job_dir, blob_dir, "artifacts", err);
	if (!rc && index)
		rc = join(path, err, blob_dir, "index.json");
	if (!rc && index)
		rc = io_replace_file(path, index, index_len, 0600, err);
	if (!rc)
		rc = sync_tree(blob_dir, err);
	if (!rc)
		rc = io_sync_folder_of(blob_dir, err); /* BLOBS/JOB */
	if (rc)
		return rc;
	snprintf(path, sizeof path, "%s", blob_dir);
	*strrchr(path, '/') = 0;
	return io_sync_folder_of(path, err); /* BLOBS */
}

uint64_t blobs_used(const char *path)
{
	FTS *fts = walk(path);
	uint64_t used = 0;
	for (const FTSENT *e; fts && (e = fts_read(fts));)
		if (e->fts_info == FTS_F || e->fts_info == FTS_D)
			used += (uint64_t)e->fts_statp->st_blocks * 512;
	if (fts)
		fts_close(fts);
	return used;
}

struct child {
	char name[256];
	struct timespec mtime;
	uint64_t used;
};

static int older_first(const void *a, const void *b)
{
	const struct child *x = a, *y = b;
	if (x->mtime.tv_sec != y->mtime.tv_sec)
		return x->mtime.tv_sec < y->mtime.tv_sec ? -1 : 1;
	return x->mtime.tv_nsec < y->mtime.tv_nsec ? -1 : x->mtime.tv_nsec > y->mtime.tv_nsec;
}

static bool is_dots(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..");
}

static size_t list_children(const char *root, struct child *ret, size_t max)
{
	DIR *dir = opendir(root);
	size_t len = 0;
	for (const struct dirent *d; dir && len < max && (d = readdir(dir));) {
		char path[PATH_MAX];
		struct stat st;
		if (is_dots(d->d_name) || join(path, NULL, root, d->d_name) || lstat(path, &st))
			continue;
		snprintf(ret[len].name, sizeof ret[len].name, "%s", d->d_name);
		ret[len].mtime = st.st_mtim;
		ret[len++].used = blobs_used(path);
	}
	if (dir)
		closedir(dir);
	return len;
}

uint64_t blobs_prune(const char *root, uint64_t cap_bytes, const char *keep)
{
	CLEANUP(cleanup_free) struct child *children = calloc(PRUNE_MAX, sizeof *children);
	if (!children)
		return 0;
	const size_t len = list_children(root, children, PRUNE_MAX);
	uint64_t used = 0;
	for (size_t i = 0; i < len; i++)
		used += children[i].used;
	qsort(children, len, sizeof *children, older_first);
	for (size_t i = 0; i < len && used > cap_bytes; i++) {
		char path[PATH_MAX];
		if ((keep && !strcmp(children[i].name, keep)) || join(path, NULL, root, children[i].name) || io_remove_tree(path, NULL))
			continue;
		used -= children[i].used;
	}
	return used;
}

int blobs_empty_folder(const char *path, struct err *err)
{
	DIR *dir = opendir(path);
	int rc = 0;
	for (const struct dirent *d; !rc && dir && (d = readdir(dir));) {
		char child[PATH_MAX];
		if (!is_dots(d->d_name) && !(rc = join(child, err, path, d->d_name)))
			rc = io_remove_tree(child, err);
	}
	if (dir)
		closedir(dir);
	return rc;
}
