#include "runner/guest/artifacts.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/guest/tar_write.h"

#define PATH_LEN_MAX 4096
#define NOTES_MAX 20 /* one a file left out; then only their number */

/* The part of a path up to its next slash, as a string. False when it is longer than a file name can be. */
static bool part_of(const char *path, char *out, const char **ret_next)
{
	const size_t len = strcspn(path, "/");
	if (len > 255)
		return false;
	memcpy(out, path, len);
	out[len] = 0;
	*ret_next = path[len] ? path + len + 1 : path + len;
	return true;
}

bool artifacts_glob_matches(const char *glob, const char *path)
{
	char pattern[256], name[256];
	const char *retry_glob = NULL, *retry_path = NULL; /* behind the last `**`: where to go on after a mismatch */
	while (*path) {
		const char *next_glob = NULL, *next_path = NULL;
		if (!*glob)
			return true; /* a folder above matched */
		if (!part_of(glob, pattern, &next_glob) || !part_of(path, name, &next_path))
			return false;
		if (!strcmp(pattern, "**")) {
			retry_glob = glob = next_glob;
			retry_path = path;
			if (!*glob)
				return true;
			continue;
		}
		if (!fnmatch(pattern, name, 0)) {
			glob = next_glob;
			path = next_path;
			continue;
		}
		if (!retry_glob || !part_of(retry_path, name, &next_path))
			return false;
		retry_path = path = next_path;
		glob = retry_glob;
	}
	return !*glob || !strcmp(glob, "**");
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static FTS *open_walk(const char *folder, struct err *err)
{
	char path[PATH_LEN_MAX];
	snprintf(path, sizeof path, "%s", folder);
	char *paths[] = {path, NULL};
	FTS *const walk = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, by_name);
	if (!walk)
		err_errno(err, errno, "reading %s", folder);
	return walk;
}

/* Where below the folder a walk stands; "" at its top. */
static const char *relative(const FTSENT *e, const char *folder)
{
	const char *const path = e->fts_path + strlen(folder);
	return *path == '/' ? path + 1 : path;
}

/* Hard link FROM/path to TO/path, its folders made. Same file system, so nothing is copied. */
static int link_into(const char *from, const char *to_folder, const char *path, struct err *err)
{
	char to[PATH_LEN_MAX], parent[PATH_LEN_MAX];
	if ((size_t)snprintf(to, sizeof to, "%s/%s", to_folder, path) >= sizeof to)
		return err_set(err, ERR_LIMIT, "path too long");
	memcpy(parent, to, sizeof to);
	*strrchr(parent, '/') = 0;
	if (link(from, to) == 0 || errno == EEXIST)
		return 0;
	if (errno != ENOENT || io_mkdirs(parent, 0755, err) || (link(from, to) && errno != EEXIST))
		return err_errno(err, errno, "linking");
	return 0;
}

static int pick_one(struct artifacts *a, const char *glob, struct err *err)
{
	FTS *const walk = open_walk(a->source_folder, err);
	if (!walk)
		return err ? err->code : ERR_IO;
	bool matched = false;
	const FTSENT *e;
	while ((e = fts_read(walk))) {
		const char *const path = relative(e, a->source_folder);
		if (!*path || (e->fts_info != FTS_F && e->fts_info != FTS_SL && e->fts_info != FTS_SLNONE) ||
		    !artifacts_glob_matches(glob, path))
			continue;
		matched = true;
		struct err why = {0};
		if (e->fts_info != FTS_F)
			port_note(a->port, "artifact left out: %s is a symbolic link", path);
		else if (link_into(e->fts_path, a->folder, path, &why)) {
			port_note(a->port, "artifact left out: %s: %s", path, why.what);
			a->is_partial = true;
		}
	}
	fts_close(walk);
	if (!matched)
		port_note(a->port, "no file matches the artifact glob %s", glob);
	return 0;
}

int artifacts_pick(struct artifacts *a, const char *globs, struct err *err)
{
	for (const char *line = globs; *line;) {
		char glob[PATH_LEN_MAX];
		const size_t len = strcspn(line, "\n");
		snprintf(glob, sizeof glob, "%.*s", (int)(len < sizeof glob ? len : 0), line);
		line += line[len] ? len + 1 : len;
		const char *start = glob;
		while (!strncmp(start, "./", 2))
			start += 2;
		/* below /ci/artifacts everything is taken anyway */
		if (!*start || *start == '/')
			continue;
		const int rc = pick_one(a, start, err);
		if (rc)
			return rc;
	}
	return 0;
}

struct writing {
	struct artifacts *a;
	struct tar_writer tar;
	uint64_t bytes, count, left_out;
};

static void leave_out(struct writing *w, const char *path, const char *why, bool matters)
{
	w->a->is_partial = w->a->is_partial || matters;
	if (++w->left_out <= NOTES_MAX)
		port_note(w->a->port, "artifact left out: %.900s: %s", path, why);
}

static int write_file(struct writing *w, const FTSENT *e, const char *path, struct err *err)
{
	CLEANUP(cleanup_fd) int fd = open(e->fts_accpath, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		leave_out(w, path, "cannot be read", true);
		return 0;
	}
	const uint64_t size = (uint64_t)st.st_size;
	if (w->count + 1 > w->a->max_count || size > w->a->max_bytes || w->bytes > w->a->max_bytes - size) {
		leave_out(w, path, "past the job's limit for artifacts", true);
		return 0;
	}
	const int rc = tar_write_file(&w->tar, path, st.st_mode & 0100, fd, size, err);
	if (rc == ERR_LIMIT) {
		leave_out(w, path, "the artifact disk is full", true);
		return 0;
	}
	w->count++;
	w->bytes += size;
	return rc;
}

static int write_entry(struct writing *w, const FTSENT *e, struct err *err)
{
	const char *const path = relative(e, w->a->folder);
	if (!*path || e->fts_info == FTS_DP)
		return 0;
	if (e->fts_info == FTS_F)
		return write_file(w, e, path, err);
	if (e->fts_info != FTS_D) {
		leave_out(w, path, "neither a file nor a folder", e->fts_info == FTS_DNR || e->fts_info == FTS_NS);
		return 0;
	}
	const int rc = tar_write_folder(&w->tar, path, err);
	if (rc == ERR_LIMIT) {
		leave_out(w, path, "the artifact disk is full", true);
		return 0;
	}
	return rc;
}

int artifacts_write(struct artifacts *a, int fd, uint64_t disk_bytes, struct err *err)
{
	struct writing w = {.a = a};
	int rc = tar_writer_init(&w.tar, fd, disk_bytes, err);
	if (rc)
		return rc;
	FTS *const walk = open_walk(a->folder, err);
	rc = walk ? 0 : ERR_IO;
	const FTSENT *e;
	while (!rc && (e = fts_read(walk)))
		rc = write_entry(&w, e, err);
	if (walk)
		fts_close(walk);
	if (!rc)
		rc = tar_write_end(&w.tar, err);
	if (!rc && w.left_out > NOTES_MAX)
		port_note(a->port, "%llu artifacts were left out", (unsigned long long)w.left_out);
	a->tar_bytes = w.tar.at_bytes;
	tar_writer_release(&w.tar);
	return rc;
}
