#include "runner/guest/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/guest/scratchfs.h"
#include "runner/guest/system.h"

#define SCRATCH "/run/scratch"
#define LOWER "/run/lower"
#define MERGED "/run/root"
#define PARTITIONS_MAX 32

static int make_folder(const char *path, mode_t mode, struct err *err)
{
	if (mkdir(path, mode) && errno != EEXIST)
		return err_errno(err, errno, "making %s", path);
	return 0;
}

static int do_mount(const char *from, const char *to, const char *type, unsigned long flags, const char *options,
		    struct err *err)
{
	const int rc = make_folder(to, 0755, err);
	if (rc)
		return rc;
	return mount(from, to, type, flags, options) ? err_errno(err, errno, "mounting %s", to) : 0;
}

static int make_scratch(const struct disk *disk, struct err *err)
{
	CLEANUP(cleanup_fd) int fd = disk_open(disk, O_RDWR, err);
	if (fd < 0)
		return fd;
	int rc = scratchfs_make(fd, disk->size_bytes, err);
	if (rc)
		return rc;
	close(fd_take(&fd));
	rc = do_mount(disk->path, SCRATCH, "ext4", MS_NOATIME, "nobarrier", err);
	if (rc)
		return rc;
	/* what may grow, on the disk and not in memory */
	static const struct {
		const char *path;
		mode_t mode;
	} folders[] = {{SCRATCH "/ci", 0755},           {SCRATCH "/ci/src", 0755},   {SCRATCH "/ci/deps", 0755},
		       {SCRATCH "/ci/cache", 0755},     {SCRATCH "/ci/artifacts", 0755}, {SCRATCH "/tmp", 0777},
		       {SCRATCH "/home", 0700},         {SCRATCH "/upper", 0755},    {SCRATCH "/work", 0755}};
	for (size_t i = 0; i < ARRAY_LEN(folders) && !rc; i++)
		rc = make_folder(folders[i].path, folders[i].mode, err);
	if (!rc && chmod(SCRATCH "/tmp", 01777))
		rc = err_errno(err, errno, "making /tmp");
	return rc;
}

/* Where the image's tree lies: a device and its file system. */
struct lower {
	char path[64]; /* "": the image has no root, the initramfs is the tree */
	const char *type, *options;
};

static bool bytes_are(int fd, off_t at, const char *bytes, size_t len)
{
	char got[8];
	return len <= sizeof got && pread(fd, got, len, at) == (ssize_t)len && !memcmp(got, bytes, len);
}

/* Documentation/filesystems/ext4: the superblock's magic. */
static bool is_ext4(const char *path)
{
	CLEANUP(cleanup_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && bytes_are(fd, 1024 + 56, "\x53\xef", 2);
}

/* A disk that somebody made for a machine of its own: the largest ext4 among its partitions. */
static bool find_partition(const struct disk *disk, char *ret_path, size_t size)
{
	uint64_t most = 0;
	for (int i = 1; i <= PARTITIONS_MAX; i++) {
		char path[64], at[128], text[64];
		snprintf(path, sizeof path, "%s%d", disk->path, i);
		const char *const name = strrchr(disk->path, '/') + 1;
		snprintf(at, sizeof at, "/sys/block/%s/%s%d/size", name, name, i);
		const uint64_t sectors = system_read_line(at, text, sizeof text) ? strtoull(text, NULL, 10) : 0;
		if (sectors <= most || !is_ext4(path))
			continue;
		most = sectors;
		snprintf(ret_path, size, "%s", path);
	}
	return most > 0;
}

/* By what is on the disk; anything that is not known is refused. ext4 is not written to, not even its journal: noload. */
static int find_lower(const struct disk *disk, struct lower *ret, struct err *err)
{
	*ret = (struct lower){.type = "ext4", .options = "noload"};
	if (disk_is_empty(disk))
		return 0;
	CLEANUP(cleanup_fd) int fd = disk_open(disk, O_RDONLY, err);
	if (fd < 0)
		return fd;
	if (bytes_are(fd, 0, "hsqs", 4))
		*ret = (struct lower){.type = "squashfs"};
	else if (!is_ext4(disk->path)) {
		if (bytes_are(fd, 510, "\x55\xaa", 2) && find_partition(disk, ret->path, sizeof ret->path))
			return 0;
		return err_set(err, ERR_INVALID, "the root disk holds no squashfs, no ext4 and no partition with an ext4");
	}
	snprintf(ret->path, sizeof ret->path, "%s", disk->path);
	return 0;
}

/* The image below, scratch above; then the old root's mounts move in and init follows. */
static int enter_overlay(const struct lower *lower, const char *module_folder, struct err *err)
{
	int rc = system_load_modules(module_folder, "root", err);
	if (!rc)
		rc = do_mount(lower->path, LOWER, lower->type, MS_RDONLY | MS_NOATIME, lower->options, err);
	if (!rc)
		rc = do_mount("overlay", MERGED, "overlay", MS_NOATIME,
			      "lowerdir=" LOWER ",upperdir=" SCRATCH "/upper,workdir=" SCRATCH "/work", err);
	static const char *const moved[] = {"/proc", "/sys", "/dev"};
	for (size_t i = 0; i < ARRAY_LEN(moved) && !rc; i++) {
		char target[64];
		snprintf(target, sizeof target, MERGED "%s", moved[i]);
		rc = do_mount(moved[i], target, NULL, MS_MOVE, NULL, err);
	}
	if (rc)
		return rc;
	/* /run holds the very mounts that we stand on: the steps get a fresh one below the new root, on top of it */
	if (chdir(MERGED) || mount("tmpfs", "run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=10%") ||
	    mkdir("run/scratch", 0700) || mount(SCRATCH, "run/scratch", NULL, MS_MOVE, NULL) ||
	    mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		return err_errno(err, errno, "moving into the image's root");
	return 0;
}

int root_make(const struct disk disks[GUEST_DISKS_LEN], const char *module_folder, struct err *err)
{
	struct lower lower;
	int rc = find_lower(&disks[GUEST_DISK_ROOT], &lower, err);
	const bool has_root = lower.path[0];
	if (!rc)
		rc = make_scratch(&disks[GUEST_DISK_SCRATCH], err);
	if (!rc && has_root)
		rc = enter_overlay(&lower, module_folder, err);
	if (!rc)
		rc = do_mount(SCRATCH "/ci", "/ci", NULL, MS_BIND, NULL, err);
	if (!rc)
		rc = do_mount(SCRATCH "/tmp", "/tmp", NULL, MS_BIND, NULL, err);
	if (!rc && !has_root)
		rc = do_mount(SCRATCH "/home", "/root", NULL, MS_BIND, NULL, err);
	if (rc)
		return rc;
	unlink("/workspace");
	if (symlink("/ci", "/workspace") && errno != EEXIST)
		return err_errno(err, errno, "making /workspace");
	/* only its folders are needed from here on */
	umount2(SCRATCH, MNT_DETACH);
	rmdir(SCRATCH);
	return 0;
}
