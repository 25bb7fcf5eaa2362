#include "runner/guest/root.h"

#include <errno.h>
#include <fcntl.h>
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

/* "hsqs" in front is a squashfs; anything else on a disk that is not empty is refused. */
static int root_has_squashfs(const struct disk *disk, bool *ret, struct err *err)
{
	*ret = false;
	if (disk_is_empty(disk))
		return 0;
	CLEANUP(cleanup_fd) int fd = disk_open(disk, O_RDONLY, err);
	if (fd < 0)
		return fd;
	char magic[4];
	const ssize_t n = io_read_full(fd, magic, sizeof magic, err);
	if (n < 0)
		return (int)n;
	if (n < 4 || memcmp(magic, "hsqs", 4))
		return err_set(err, ERR_INVALID, "the root disk holds no squashfs");
	*ret = true;
	return 0;
}

/* squashfs below, scratch above; then the old root's mounts move in and init follows. */
static int enter_overlay(const struct disk *disk, const char *module_folder, struct err *err)
{
	int rc = system_load_modules(module_folder, "root", err);
	if (!rc)
		rc = do_mount(disk->path, LOWER, "squashfs", MS_RDONLY | MS_NOATIME, NULL, err);
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
	bool has_squashfs = false;
	int rc = root_has_squashfs(&disks[GUEST_DISK_ROOT], &has_squashfs, err);
	if (!rc)
		rc = make_scratch(&disks[GUEST_DISK_SCRATCH], err);
	if (!rc && has_squashfs)
		rc = enter_overlay(&disks[GUEST_DISK_ROOT], module_folder, err);
	if (!rc)
		rc = do_mount(SCRATCH "/ci", "/ci", NULL, MS_BIND, NULL, err);
	if (!rc)
		rc = do_mount(SCRATCH "/tmp", "/tmp", NULL, MS_BIND, NULL, err);
	if (!rc && !has_squashfs)
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
