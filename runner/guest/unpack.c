#include "runner/guest/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/guest/tar_read.h"

struct unpack {
	int root;
	int parent;                  /* open folder `parent_path`, or -1 */
	char parent_path[TAR_PATH_MAX];
};

static void unpack_release(struct unpack *u)
{
	cleanup_fd(&u->root);
	cleanup_fd(&u->parent);
}

static int open_folder(int root, const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	return (int)syscall(SYS_openat2, root, path[0] ? path : ".", &how, sizeof how);
}

/* mkdir -p below the root; then the folder opened. */
static int make_folder(int root, const char *path)
{
	char part[TAR_PATH_MAX];
	for (const char *slash = strchr(path, '/');; slash = strchr(slash + 1, '/')) {
		const size_t len = slash ? (size_t)(slash - path) : strlen(path);
		memcpy(part, path, len);
		part[len] = 0;
		/* each parent was opened without following links just before */
		const char *const base = strrchr(part, '/');
		const char *const name = base ? base + 1 : part;
		if (base)
			part[base - part] = 0;
		CLEANUP(cleanup_fd) int parent = open_folder(root, base ? part : "");
		if (parent < 0 || (mkdirat(parent, name, 0755) && errno != EEXIST))
			return -1;
		if (!slash)
			break;
	}
	return open_folder(root, path);
}

/* Opens the folder that holds path, which is left open for the next file; *ret_name is the last part. */
static int enter(struct unpack *u, const char *path, const char **ret_name, struct err *err)
{
	char folder[TAR_PATH_MAX];
	const char *const slash = strrchr(path, '/');
	const size_t len = slash ? (size_t)(slash - path) : 0;
	memcpy(folder, path, len);
	folder[len] = 0;
	*ret_name = slash ? slash + 1 : path;
	if (u->parent >= 0 && !strcmp(folder, u->parent_path))
		return 0;
	cleanup_fd(&u->parent);
	u->parent = open_folder(u->root, folder);
	if (u->parent < 0 && errno == ENOENT)
		u->parent = make_folder(u->root, folder);
	if (u->parent < 0)
		return err_errno(err, errno, "unpacking: opening %s", folder);
	memcpy(u->parent_path, folder, len + 1);
	return 0;
}

static int unpack_file(struct unpack *u, struct tar_reader *r, const struct tar_entry *e, const char *name, struct err *err)
{
	const mode_t mode = e->mode & 0100 ? 0755 : 0644;
	CLEANUP(cleanup_fd) int fd =
		openat(u->parent, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, mode);
	if (fd < 0)
		return err_errno(err, errno, "unpacking %s", e->path);
	const uint8_t *bytes = NULL;
	ssize_t n;
	while ((n = tar_read(r, &bytes, err)) > 0) {
		const int rc = io_write_full(fd, bytes, (size_t)n, err);
		if (rc)
			return err_context(err, "unpacking %s", e->path);
	}
	if (n < 0)
		return (int)n;
	const struct timespec times[2] = {{.tv_sec = (time_t)e->mtime}, {.tv_sec = (time_t)e->mtime}};
	if (futimens(fd, times))
		return err_errno(err, errno, "unpacking %s", e->path);
	return 0;
}

static int unpack_entry(struct unpack *u, struct tar_reader *r, const struct tar_entry *e, struct err *err)
{
	if (!e->path[0])
		return 0;
	const char *name = NULL;
	const int rc = enter(u, e->path, &name, err);
	if (rc)
		return rc;
	switch (e->type) {
	case TAR_FILE:
		return unpack_file(u, r, e, name, err);
	case TAR_SYMLINK:
		if (symlinkat(e->link, u->parent, name))
			return err_errno(err, errno, "unpacking the link %s", e->path);
		return 0;
	case TAR_FOLDER:
		if (mkdirat(u->parent, name, 0755) && errno != EEXIST)
			return err_errno(err, errno, "unpacking the folder %s", e->path);
		return 0;
	}
	return 0;
}

int unpack_fd(int fd, const char *folder, struct err *err)
{
	CLEANUP(unpack_release) struct unpack u = {.root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .parent = -1};
	if (u.root < 0)
		return err_errno(err, errno, "opening %s", folder);
	CLEANUP(tar_reader_release) struct tar_reader r = {0};
	int rc = tar_reader_init(&r, tar_source_fd, &fd, err);
	if (rc)
		return rc;
	struct tar_entry e;
	while ((rc = tar_next(&r, &e, err)) == 1) {
		rc = unpack_entry(&u, &r, &e, err);
		if (rc)
			return rc;
	}
	return rc;
}

int unpack_disk(const struct disk *disk, const char *folder, const char *what, struct err *err)
{
	if (disk_is_empty(disk))
		return 0;
	CLEANUP(cleanup_fd) int fd = disk_open(disk, O_RDONLY, err);
	if (fd < 0)
		return fd;
	return unpack_fd(fd, folder, err) ? err_context(err, "%s", what) : 0;
}
