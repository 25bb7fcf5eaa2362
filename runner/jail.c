#include "runner/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "runner/jail_parts.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define MIB (1ull << 20)

/* Memory: address space. pack holds one object of the repository at a time, as large as the source may be. */
static const struct jail_rights rights_table[STAGE_IDS_LEN] = {
	[STAGE_FETCH] = {true, JAIL_FILTER_NETWORK, 128, 64, 0, 8192 * MIB},
	[STAGE_PACK] = {false, JAIL_FILTER_FILES, 128, 16, 0, 8192 * MIB},
	[STAGE_VM] = {false, JAIL_FILTER_QEMU, 256, 512, 0, 0},
	[STAGE_LOG] = {false, JAIL_FILTER_PIPES, 64, 16, 0, 512 * MIB},
	[STAGE_GET] = {true, JAIL_FILTER_NETWORK, 64, 64, 0, 2048 * MIB},
	[STAGE_COLLECT] = {false, JAIL_FILTER_FILES, 64, 16, 0, 512 * MIB},
};

const struct jail_rights *jail_rights_of(enum stage_id stage)
{
	return &rights_table[stage];
}

void jail_init(struct jail *j, enum stage_id stage, const struct jail_facts *facts, const char *mount_point)
{
	*j = (struct jail){
		.stage = stage,
		.facts = facts,
		.mount_point = mount_point,
		.folder_fd = -1,
		.takes_own_uid = facts->uids[stage] != 0,
	};
}

void jail_release(struct jail *j)
{
	for (size_t i = 0; i < j->paths_len; i++)
		free(j->paths[i].path);
	j->paths_len = 0;
}

void jail_path_add(struct jail *j, const char *path, enum jail_access access)
{
	char *copy = j->paths_len < JAIL_PATHS_MAX && path[0] == '/' && path[1] ? strdup(path) : NULL;
	if (!copy) {
		j->failed = true;
		return;
	}
	j->paths[j->paths_len++] = (struct jail_path){copy, access};
}

void jail_path_try(struct jail *j, const char *path, enum jail_access access)
{
	struct stat st;
	if (stat(path, &st) == 0)
		jail_path_add(j, path, access);
}

void jail_keep(struct jail *j, int fd)
{
	if (j->keep_len == JAIL_KEEP_MAX)
		j->failed = true;
	else
		j->keep[j->keep_len++] = fd;
}

/* QEMU's own prefix, where it is not /usr: PREFIX/bin/qemu -> PREFIX/lib, PREFIX/share/qemu */
static void add_qemu_prefix(struct jail *j, const char *qemu)
{
	char prefix[PATH_MAX], path[PATH_MAX + 16];
	snprintf(prefix, sizeof prefix, "%s", qemu);
	char *slash = strrchr(prefix, '/');
	if (!slash || slash == prefix)
		return;
	*slash = '\0';
	slash = strrchr(prefix, '/');
	if (!slash || slash == prefix || strcmp(slash, "/bin") != 0)
		return;
	*slash = '\0';
	if (!strcmp(prefix, "/usr"))
		return;
	snprintf(path, sizeof path, "%s/lib", prefix);
	jail_path_try(j, path, JAIL_EXEC);
	snprintf(path, sizeof path, "%s/share/qemu", prefix);
	jail_path_try(j, path, JAIL_READ);
}

void jail_add_qemu(struct jail *j, const char *qemu, bool with_kvm)
{
	static const char *const libraries[] = {"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store", "/gnu/store"};
	static const char *const data[] = {"/usr/share/qemu", "/usr/share/seabios", "/etc/ld.so.cache"};
	for (size_t i = 0; i < ARRAY_LEN(libraries); i++)
		jail_path_try(j, libraries[i], JAIL_EXEC);
	for (size_t i = 0; i < ARRAY_LEN(data); i++)
		jail_path_try(j, data[i], JAIL_READ);
	jail_path_add(j, qemu, JAIL_EXEC);
	add_qemu_prefix(j, qemu);
	jail_path_try(j, "/dev/null", JAIL_DEVICE);
	jail_path_try(j, "/dev/urandom", JAIL_DEVICE);
	if (with_kvm)
		jail_path_add(j, "/dev/kvm", JAIL_DEVICE);
	j->with_kvm = with_kvm;
}

/* the empty root */

static uint64_t mount_attributes(enum jail_access access)
{
	switch (access) {
	case JAIL_READ:
		return MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	case JAIL_EXEC:
		return MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	case JAIL_WRITE:
		return MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	case JAIL_DEVICE:
		return MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
	}
	return MOUNT_ATTR_RDONLY;
}

/* A copy of the mount under path, not yet attached anywhere, with the rights of the jail. */
static int detach_copy(const struct jail_path *p, int *ret_fd, struct err *err)
{
	CLEANUP(cleanup_fd) int fd = open_tree(AT_FDCWD, p->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (fd < 0)
		return err_errno(err, errno, "cannot show %s in the jail", p->path);
	struct mount_attr attr = {.attr_set = mount_attributes(p->access)};
	if (mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) < 0)
		return err_errno(err, errno, "cannot limit %s in the jail", p->path);
	*ret_fd = fd_take(&fd);
	return 0;
}

/* Below the working folder: the folders that lead to path, and a file or folder of its last name. */
static int make_place(const char *path, int like_fd, struct err *err)
{
	struct stat st;
	if (fstat(like_fd, &st) < 0)
		return err_errno(err, errno, "cannot look at %s", path);
	char place[PATH_MAX];
	if ((size_t)snprintf(place, sizeof place, "%s", path + 1) >= sizeof place)
		return err_set(err, ERR_LIMIT, "%s is too long", path);
	for (char *slash = strchr(place, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(place, 0755) < 0 && errno != EEXIST)
			return err_errno(err, errno, "cannot make %s in the jail", place);
		*slash = '/';
	}
	if (S_ISDIR(st.st_mode)) {
		if (mkdir(place, 0755) < 0 && errno != EEXIST)
			return err_errno(err, errno, "cannot make %s in the jail", place);
		return 0;
	}
	CLEANUP(cleanup_fd) int fd = open(place, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return fd >= 0 ? 0 : err_errno(err, errno, "cannot make %s in the jail", place);
}

static int by_length(const void *a, const void *b)
{
	const size_t x = strlen(((const struct jail_path *)a)->path), y = strlen(((const struct jail_path *)b)->path);
	return x < y ? -1 : x > y;
}

/* Outer paths before inner ones; all places exist before the first mount hides or freezes any. */
static int attach_paths(const struct jail *j, const int *copies, struct err *err)
{
	for (size_t i = 0; i < j->paths_len; i++) {
		const int rc = make_place(j->paths[i].path, copies[i], err);
		if (rc < 0)
			return rc;
	}
	for (size_t i = 0; i < j->paths_len; i++)
		if (move_mount(copies[i], "", AT_FDCWD, j->paths[i].path + 1, MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return err_errno(err, errno, "cannot place %s in the jail", j->paths[i].path);
	return 0;
}

static int become_root(const struct jail *j, const int *copies, struct err *err)
{
	if (mount("none", j->mount_point, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755,size=1m") < 0)
		return err_errno(err, errno, "cannot mount the jail's empty root");
	if (chdir(j->mount_point) < 0)
		return err_errno(err, errno, "cannot enter the jail's root");
	const mode_t mask = umask(022);
	const int rc = attach_paths(j, copies, err);
	umask(mask);
	if (rc < 0)
		return rc;
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	if (mount_setattr(AT_FDCWD, ".", 0, &attr, sizeof attr) < 0)
		return err_errno(err, errno, "cannot freeze the jail's root");
	/* the old root ends up over the new one and is let go */
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_errno(err, errno, "cannot change to the jail's root");
	return 0;
}

static int change_root(struct jail *j, struct err *err)
{
	qsort(j->paths, j->paths_len, sizeof j->paths[0], by_length);
	int copies[JAIL_PATHS_MAX], rc = 0;
	size_t made = 0;
	while (rc == 0 && made < j->paths_len) {
		rc = detach_copy(&j->paths[made], &copies[made], err);
		made += rc == 0;
	}
	if (rc == 0)
		rc = become_root(j, copies, err);
	for (size_t i = 0; i < made; i++)
		close(copies[i]);
	return rc;
}

int jail_drop_network(const struct jail_facts *facts, struct err *err)
{
	if (facts->has_namespaces && unshare(CLONE_NEWNET) < 0)
		return err_errno(err, errno, "cannot leave the network");
	return 0;
}

static int enter_namespaces(struct jail *j, struct err *err)
{
	const int rc = rights_table[j->stage].has_network ? 0 : jail_drop_network(j->facts, err);
	if (rc < 0 || !j->facts->has_namespaces)
		return rc;
	if (unshare(CLONE_NEWNS) < 0)
		return err_errno(err, errno, "cannot make a mount namespace");
	return change_root(j, err);
}

/* identity, descriptors, limits */

static int change_uid(const struct jail *j, struct err *err)
{
	if (!j->takes_own_uid)
		return 0;
	const uid_t id = j->facts->uids[j->stage];
	gid_t groups[2];
	size_t len = 0;
	if (j->with_kvm && j->facts->kvm_gid != (gid_t)-1)
		groups[len++] = j->facts->kvm_gid;
	if (j->also_gid)
		groups[len++] = j->also_gid;
	if ((!j->facts->keeps_groups && setgroups(len, groups) < 0) || setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0)
		return err_errno(err, errno, "cannot take the stage's own uid");
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const int x = *(const int *)a, y = *(const int *)b;
	return x < y ? -1 : x > y;
}

/* Everything above 2 goes but what is kept. */
static int close_rest(struct jail *j, struct err *err)
{
	if (j->folder_fd >= 0)
		jail_keep(j, j->folder_fd);
	if (j->failed)
		return err_set(err, ERR_LIMIT, "the jail was asked to hold too much");
	qsort(j->keep, j->keep_len, sizeof j->keep[0], by_number);
	unsigned from = 3;
	for (size_t i = 0; i < j->keep_len; i++) {
		const unsigned kept = (unsigned)j->keep[i];
		if (kept < from)
			continue;
		if (kept > from && close_range(from, kept - 1, 0) < 0)
			return err_errno(err, errno, "cannot close descriptors");
		from = kept + 1;
	}
	if (close_range(from, ~0u, 0) < 0)
		return err_errno(err, errno, "cannot close descriptors");
	return 0;
}

static int limit(int resource, uint64_t value, struct err *err)
{
	struct rlimit now;
	if (getrlimit((unsigned)resource, &now) < 0)
		return err_errno(err, errno, "cannot read resource limit %d", resource);
	if (now.rlim_max != RLIM_INFINITY && now.rlim_max < value)
		value = now.rlim_max;
	const struct rlimit lim = {value, value};
	return setrlimit((unsigned)resource, &lim) == 0 ? 0 : err_errno(err, errno, "cannot set resource limit %d", resource);
}

static int set_limits(const struct jail *j, struct err *err)
{
	const struct jail_rights *r = &rights_table[j->stage];
	const uint64_t file = j->file_bytes_max ? j->file_bytes_max : r->file_bytes;
	const uint64_t memory = j->memory_bytes_max ? j->memory_bytes_max : r->memory_bytes;
	int rc = limit(RLIMIT_CORE, 0, err);
	if (rc == 0)
		rc = limit(RLIMIT_NOFILE, r->files, err);
	/* outside a namespace of ours this would count the donor's other processes */
	if (rc == 0 && j->facts->has_userns)
		rc = limit(RLIMIT_NPROC, r->processes, err);
	if (rc == 0 && file)
		rc = limit(RLIMIT_FSIZE, file, err);
	if (rc == 0 && j->cpu_seconds_max)
		rc = limit(RLIMIT_CPU, j->cpu_seconds_max, err);
	if (rc == 0 && memory && !SANITIZED)
		rc = limit(RLIMIT_AS, memory, err);
	return rc;
}

/* Before the uid changes: it takes a capability. EPERM: there is none to lose. */
static int drop_bounding_set(struct err *err)
{
	for (int cap = 0; cap <= 63; cap++)
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EPERM)
			return err_errno(err, errno, "cannot drop a capability");
	return 0;
}

static int drop_capabilities(struct err *err)
{
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[2] = {{0}};
	if (syscall(SYS_capset, &header, none) < 0)
		return err_errno(err, errno, "cannot drop capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(err, errno, "cannot renounce new privileges");
	return 0;
}

static void plain_process(bool has_network)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a limit met is a write that fails, with a reason */
	umask(has_network ? 027 : 077); /* what is fetched is read by another stage */
	clearenv();
	setenv("PATH", "/usr/bin:/bin", 1);
	setenv("LC_ALL", "C", 1);
	setenv("TZ", "UTC0", 1);
	setenv("HOME", "/", 1);
}

int jail_enter(struct jail *j, struct err *err)
{
	const struct jail_rights *r = &rights_table[j->stage];
	if (!r->filter)
		return err_set(err, ERR_BUG, "stage %s has no rights", stage_name(j->stage));
	if (j->failed)
		return err_set(err, ERR_LIMIT, "the jail was asked to hold too much");
	int rc = enter_namespaces(j, err);
	if (rc == 0)
		rc = drop_bounding_set(err);
	if (rc == 0)
		rc = change_uid(j, err);
	if (rc == 0)
		rc = close_rest(j, err);
	/* after the uid: changing that clears it. Process 1 takes all along anyway; this is for where there is none. */
	if (rc == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		rc = err_errno(err, errno, "cannot tie the stage to its supervisor");
	if (rc == 0)
		rc = drop_capabilities(err);
	plain_process(r->has_network);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (rc == 0 && j->facts->landlock_abi)
		rc = jail_landlock_restrict(j, r->has_network, err);
	if (rc == 0)
		rc = set_limits(j, err);
	if (rc == 0 && j->facts->has_seccomp)
		rc = jail_filter_load(r->filter, err);
	return rc;
}
