#include "node/cli/writeout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/sanitise.h"
#include "runner/outfiles.h"

#define COPY_SIZE (256u << 10)

struct writeout {
	int folder_fd;
	struct outfiles files;
};

void writeout_close(struct writeout **w)
{
	if (!*w)
		return;
	outfiles_release(&(*w)->files);
	cleanup_fd(&(*w)->folder_fd);
	free(*w);
	*w = NULL;
}

static bool is_empty(const char *folder)
{
	DIR *dir = opendir(folder);
	size_t names = 0;
	while (dir && names <= 2 && readdir(dir))
		names++;
	if (dir)
		closedir(dir);
	return names <= 2; /* "." and ".." */
}

int writeout_check(const char *folder, struct err *err)
{
	const char *why = NULL;
	if (io_mkdirs(folder, 0755, NULL) || access(folder, W_OK | X_OK))
		why = strerror(errno);
	else if (!is_empty(folder))
		why = "it is not empty, and nothing is replaced";
	if (!why)
		return 0;
	err_set(err, ERR_USAGE, "cannot write to the folder %s: %s", folder, why);
	return err_hint(err, "name a new one");
}

int writeout_open(const char *folder, struct writeout **ret, struct err *err)
{
	int code = writeout_check(folder, err);
	if (code)
		return code;
	CLEANUP(writeout_close) struct writeout *w = calloc(1, sizeof *w);
	if (!w)
		return err_set(err, ERR_NOMEM, "out of memory");
	w->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->folder_fd < 0)
		return err_errno(err, errno, "cannot open %s", folder);
	code = outfiles_init(&w->files, w->folder_fd, JOB_ARTIFACTS_MAX, UINT64_MAX, err);
	if (code)
		return code;
	*ret = w;
	w = NULL;
	return 0;
}

static int copy(int from, int to, uint64_t size_bytes, struct err *err)
{
	CLEANUP(cleanup_free) uint8_t *chunk = malloc(COPY_SIZE);
	if (!chunk)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (uint64_t at = 0; at < size_bytes;) {
		const uint64_t left = size_bytes - at;
		const ssize_t got = pread(from, chunk, left < COPY_SIZE ? (size_t)left : COPY_SIZE, (off_t)at);
		if (got < 0)
			return err_errno(err, errno, "cannot read an artifact");
		if (!got)
			return err_set(err, ERR_INVALID, "an artifact is shorter than its report says");
		const int code = io_write_full(to, chunk, (size_t)got, err);
		if (code)
			return code;
		at += (uint64_t)got;
	}
	return 0;
}

int writeout_file(struct writeout *w, const char *path, int fd, uint64_t size_bytes, struct err *err)
{
	struct stat st;
	CLEANUP(cleanup_fd) int to = -1;
	const bool is_executable = !fstat(fd, &st) && (st.st_mode & 0111);
	int code = outfiles_create(&w->files, path, is_executable, size_bytes, &to, err);
	if (code)
		return code;
	code = copy(fd, to, size_bytes, err);
	if (code) {
		char safe[256];
		outfiles_discard(&w->files, path);
		return err ? err_context(err, "%s", sanitise_line(safe, sizeof safe, path)) : code;
	}
	return 0;
}

int writeout_run(const char *dir, const struct job_report *report, const char *folder, struct err *err)
{
	char path[PATH_MAX + 16];
	CLEANUP(writeout_close) struct writeout *w = NULL;
	snprintf(path, sizeof path, "%s/artifacts", dir);
	CLEANUP(cleanup_fd) int from = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0)
		return err_errno(err, errno, "cannot open %s", path);
	int code = writeout_open(folder, &w, err);
	for (size_t i = 0; i < report->artifacts_len && !code; i++) {
		const struct job_artifact *artifact = &report->artifacts[i];
		const char *why = outfiles_why_not(artifact->path);
		if (why)
			return err_set(err, ERR_REFUSED, "an artifact's name %s", why);
		CLEANUP(cleanup_fd) int fd = openat(from, artifact->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		code = fd < 0 ? err_errno(err, errno, "cannot read the artifact %s", artifact->path)
			      : writeout_file(w, artifact->path, fd, artifact->digest.size_bytes, err);
	}
	return code;
}
