#include "runner/workdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/sanitise.h"

static const char *const kept[] = {WORKDIR_LOG, WORKDIR_RUNLOG, WORKDIR_CONSOLE, WORKDIR_DIAGNOSTICS, WORKDIR_ARTIFACTS, WORKDIR_REPORT};

int workdir_open(struct workdir *w, const char *path, struct err *err)
{
	if (path[0] != '/' || !path[1] || strlen(path) >= sizeof w->path - NAME_MAX - 1)
		return err_set(err, ERR_USAGE, "the job folder must be an absolute path: '%s'", path);
	const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "cannot open the job folder %s", path);
	snprintf(w->path, sizeof w->path, "%s", path);
	w->fd = fd;
	return 0;
}

void workdir_close(struct workdir *w)
{
	cleanup_fd(&w->fd);
	w->fd = -1;
}

int workdir_create(const struct workdir *w, const char *name, uint64_t size_bytes, int *ret_fd, struct err *err)
{
	CLEANUP(cleanup_fd) int fd = openat(w->fd, name, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, errno, "cannot make %s/%s", w->path, name);
	if (size_bytes > INT64_MAX || ftruncate(fd, (off_t)size_bytes) < 0)
		return err_errno(err, errno, "cannot make %s/%s of %llu bytes", w->path, name, (unsigned long long)size_bytes);
	*ret_fd = fd_take(&fd);
	return 0;
}

int workdir_reopen(const struct workdir *w, const char *name, int *ret_fd, struct err *err)
{
	const int fd = openat(w->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "cannot open %s/%s", w->path, name);
	*ret_fd = fd;
	return 0;
}

int workdir_artifacts(const struct workdir *w, int *ret_fd, struct err *err)
{
	if (mkdirat(w->fd, WORKDIR_ARTIFACTS, 0700) < 0)
		return err_errno(err, errno, "cannot make %s/" WORKDIR_ARTIFACTS, w->path);
	const int fd = openat(w->fd, WORKDIR_ARTIFACTS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "cannot open %s/" WORKDIR_ARTIFACTS, w->path);
	*ret_fd = fd;
	return 0;
}

static bool is_kept(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(kept); i++)
		if (!strcmp(kept[i], name))
			return true;
	return false;
}

static void cleanup_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

int workdir_sweep(const struct workdir *w, struct err *err)
{
	CLEANUP(cleanup_fd) int fd = openat(w->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(cleanup_dir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return err_errno(err, errno, "cannot sweep %s", w->path);
	fd = -1;
	int rc = 0;
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || is_kept(entry->d_name))
			continue;
		char path[PATH_MAX];
		if ((size_t)snprintf(path, sizeof path, "%s/%s", w->path, entry->d_name) >= sizeof path)
			rc = err_set(err, ERR_LIMIT, "cannot sweep %s: a name is too long", w->path);
		else if (unlinkat(w->fd, entry->d_name, 0) < 0 && io_remove_tree(path, err) < 0)
			rc = ERR_IO;
	}
	return rc;
}

int workdir_report(const struct workdir *w, const char *text, struct err *err)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/" WORKDIR_REPORT, w->path);
	return io_replace_file(path, text, strlen(text), 0600, err);
}

void workdir_last_words(const struct workdir *w, char *out, size_t size)
{
	char tail[2048];
	out[0] = '\0';
	CLEANUP(cleanup_fd) int fd = openat(w->fd, WORKDIR_DIAGNOSTICS, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	const off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	const off_t from = end > (off_t)sizeof tail - 1 ? end - (off_t)sizeof tail + 1 : 0;
	ssize_t len = end > 0 ? pread(fd, tail, sizeof tail - 1, from) : 0;
	while (len > 0 && (tail[len - 1] == '\n' || tail[len - 1] == '\0'))
		len--;
	if (len <= 0)
		return;
	tail[len] = '\0';
	const char *line = memrchr(tail, '\n', (size_t)len);
	sanitise_line(out, size, line ? line + 1 : tail);
}
