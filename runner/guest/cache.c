#include "runner/guest/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/guest/tar_write.h"
#include "runner/guest/unpack.h"

#define PATHS ".paths"
#define PATH_LEN_MAX 4096

static bool join(char out[PATH_LEN_MAX], const char *folder, const char *between, const char *path)
{
	return (size_t)snprintf(out, PATH_LEN_MAX, "%s/%s%s", folder, between, path) < PATH_LEN_MAX;
}

/* from becomes to, whose folders are made. Same file system, so nothing is copied. */
static bool move(const char *from, const char *to)
{
	char parent[PATH_LEN_MAX];
	struct stat st;
	snprintf(parent, sizeof parent, "%s", to);
	*strrchr(parent, '/') = 0;
	if (lstat(to, &st) == 0) {
		errno = EEXIST;
		return false;
	}
	return io_mkdirs(parent, 0755, NULL) == 0 && rename(from, to) == 0;
}

/* Each path from the cache to the source, or back. */
static void move_all(const struct cache *c, bool is_in)
{
	for (const char *line = c->paths; *line;) {
		char path[PATH_LEN_MAX], kept[PATH_LEN_MAX], used[PATH_LEN_MAX];
		struct stat st;
		const size_t len = strcspn(line, "\n");
		snprintf(path, sizeof path, "%.*s", (int)(len < sizeof path ? len : 0), line);
		line += line[len] ? len + 1 : len;
		if (!*path || !join(kept, c->folder, PATHS "/", path) || !join(used, c->source_folder, "", path))
			continue;
		if (lstat(is_in ? kept : used, &st))
			continue;
		if (!move(is_in ? kept : used, is_in ? used : kept))
			port_note(c->port, "cache: %s is left out: %s", path, errno == EEXIST ? "the source has it itself" : strerror(errno));
	}
}

static void make_empty(const struct cache *c)
{
	if (io_remove_tree(c->folder, NULL) || mkdir(c->folder, 0755))
		port_note(c->port, "cache: %s cannot be emptied", c->folder);
}

void cache_bring(const struct cache *c, int fd)
{
	char paths[PATH_LEN_MAX];
	struct err err = {0};
	if (unpack_fd(fd, c->folder, &err)) {
		port_note(c->port, "cache: it cannot be read, and starts empty: %s", err.what);
		make_empty(c);
		return;
	}
	move_all(c, true);
	if (join(paths, c->folder, "", PATHS) && io_remove_tree(paths, NULL))
		port_note(c->port, "cache: %s cannot be removed", paths);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int write_link(struct tar_writer *w, const FTSENT *e, const char *path, struct err *err)
{
	char target[PATH_LEN_MAX];
	const ssize_t len = readlink(e->fts_accpath, target, sizeof target - 1);
	if (len <= 0)
		return 0;
	target[len] = 0;
	return tar_write_link(w, path, target, err);
}

static int write_entry(struct tar_writer *w, const FTSENT *e, const char *path, struct err *err)
{
	if (!*path || !e->fts_statp)
		return 0;
	w->mtime = e->fts_statp->st_mtime > 0 ? (uint64_t)e->fts_statp->st_mtime : 0;
	if (e->fts_info == FTS_D)
		return tar_write_folder(w, path, err);
	if (e->fts_info == FTS_SL || e->fts_info == FTS_SLNONE)
		return write_link(w, e, path, err);
	if (e->fts_info != FTS_F)
		return 0;
	CLEANUP(cleanup_fd) int fd = open(e->fts_accpath, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return 0;
	return tar_write_file(w, path, st.st_mode & 0100, fd, (uint64_t)st.st_size, err);
}

static int write_all(const struct cache *c, struct tar_writer *w, struct err *err)
{
	char folder[PATH_LEN_MAX];
	char *roots[] = {folder, NULL};
	snprintf(folder, sizeof folder, "%s", c->folder);
	FTS *const walk = fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, by_name);
	if (!walk)
		return err_errno(err, errno, "reading %s", c->folder);
	int rc = 0;
	const FTSENT *e;
	while (!rc && (e = fts_read(walk))) {
		const char *path = e->fts_path + strlen(c->folder);
		rc = write_entry(w, e, *path == '/' ? path + 1 : path, err);
	}
	fts_close(walk);
	return rc ? rc : tar_write_end(w, err);
}

uint64_t cache_keep(const struct cache *c, int fd, uint64_t disk_bytes)
{
	struct tar_writer w;
	struct err err = {0};
	move_all(c, false);
	int rc = tar_writer_init(&w, fd, disk_bytes, &err);
	if (rc == 0) {
		rc = write_all(c, &w, &err);
		tar_writer_release(&w);
	}
	if (rc == 0 && fsync(fd))
		rc = err_errno(&err, errno, "writing it");
	if (rc == 0)
		return w.at_bytes;
	port_note(c->port, "cache: it is not kept: %s", rc == ERR_LIMIT ? "it is larger than a cache may be here" : err.what);
	return 0;
}
