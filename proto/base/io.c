#include "proto/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"

int io_write_full(int fd, const void *bytes, size_t len, struct err *err)
{
	const uint8_t *at = bytes;
	while (len) {
		const ssize_t n = write(fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "cannot write");
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

ssize_t io_read_full(int fd, void *bytes, size_t len, struct err *err)
{
	size_t got = 0;
	while (got < len) {
		const ssize_t n = read(fd, (uint8_t *)bytes + got, len - got);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "cannot read");
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

int io_read_file(const char *path, struct buf *ret, struct err *err)
{
	CLEANUP(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "%s: no such file", path);
	if (fd < 0)
		return err_errno(err, errno, "cannot open %s", path);
	struct stat st;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return err_set(err, ERR_IO, "%s: not a regular file", path);
	for (;;) {
		uint8_t chunk[16384];
		const ssize_t n = read(fd, chunk, sizeof chunk);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "cannot read %s", path);
		if (n == 0)
			return buf_check(ret, path, err);
		buf_append(ret, chunk, (size_t)n);
		if (buf_failed(ret))
			return buf_check(ret, path, err);
	}
}

int io_sync_folder_of(const char *path, struct err *err)
{
	char folder[PATH_MAX];
	snprintf(folder, sizeof folder, "%s", path);
	char *slash = strrchr(folder, '/');
	if (!slash)
		snprintf(folder, sizeof folder, ".");
	else if (slash == folder)
		slash[1] = 0;
	else
		*slash = 0;
	CLEANUP(cleanup_fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		return err_errno(err, errno, "cannot sync %s", folder);
	return 0;
}

int io_replace_file(const char *path, const void *bytes, size_t len, mode_t mode, struct err *err)
{
	char temp[PATH_MAX];
	if ((size_t)snprintf(temp, sizeof temp, "%s.tmp", path) >= sizeof temp)
		return err_set(err, ERR_LIMIT, "%s: path too long", path);
	CLEANUP(cleanup_fd) int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return err_errno(err, errno, "cannot create %s", temp);
	if (fchmod(fd, mode) || io_write_full(fd, bytes, len, NULL) || fsync(fd) || rename(temp, path)) {
		const int saved = errno;
		unlink(temp);
		return err_errno(err, saved, "cannot write %s", path);
	}
	return io_sync_folder_of(path, err);
}

int io_mkdirs(const char *path, mode_t mode, struct err *err)
{
	char part[PATH_MAX];
	if ((size_t)snprintf(part, sizeof part, "%s", path) >= sizeof part)
		return err_set(err, ERR_LIMIT, "%s: path too long", path);
	for (char *p = part + 1;; p++) {
		if (*p != '/' && *p)
			continue;
		const char kept = *p;
		*p = 0;
		if (mkdir(part, mode) && errno != EEXIST)
			return err_errno(err, errno, "cannot create folder %s", part);
		*p = kept;
		if (!kept)
			return 0;
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path) && errno != ENOENT ? -1 : 0;
}

int io_remove_tree(const char *path, struct err *err)
{
	if (nftw(path, remove_one, 64, FTW_DEPTH | FTW_PHYS) && errno != ENOENT)
		return err_errno(err, errno, "cannot remove %s", path);
	return 0;
}
