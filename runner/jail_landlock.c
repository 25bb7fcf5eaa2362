#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "runner/jail_parts.h"

/* Rights newer than the oldest header that we build with; the numbers are the kernel's. */
#define FS_TRUNCATE (1ull << 14)  /* ABI 3 */
#define FS_IOCTL_DEV (1ull << 15) /* ABI 5 */
#define NET_BIND_TCP (1ull << 0)  /* ABI 4 */
#define NET_CONNECT_TCP (1ull << 1)
#define SCOPE_ABSTRACT_UNIX (1ull << 0) /* ABI 6 */
#define SCOPE_SIGNAL (1ull << 1)

/* struct landlock_ruleset_attr as of ABI 6; an older kernel is given a shorter one. */
struct ruleset {
	uint64_t fs, net, scoped;
};

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_MAKE (LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_DIR |          \
		 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)
#define FS_ON_FILES (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |      \
		     FS_TRUNCATE | FS_IOCTL_DEV)

int jail_landlock_abi(void)
{
	const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	return abi > 0 ? (int)abi : 0;
}

/* All file rights that this ABI knows. */
static uint64_t rights_known(int abi)
{
	uint64_t known = (1ull << 13) - 1;
	if (abi >= 2)
		known |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		known |= FS_TRUNCATE;
	if (abi >= 5)
		known |= FS_IOCTL_DEV;
	return known;
}

static uint64_t rights_of(enum jail_access access)
{
	switch (access) {
	case JAIL_READ:
		return FS_READ;
	case JAIL_EXEC:
		return FS_READ | LANDLOCK_ACCESS_FS_EXECUTE;
	case JAIL_WRITE:
		/* symbolic links: a mirror's HEAD may be one */
		return FS_READ | FS_MAKE | LANDLOCK_ACCESS_FS_MAKE_SYM;
	case JAIL_DEVICE:
		return LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_IOCTL_DEV;
	}
	return 0;
}

static int add_rule(int ruleset, int path_fd, uint64_t rights, const char *what, struct err *err)
{
	struct stat st;
	if (fstat(path_fd, &st) < 0)
		return err_errno(err, errno, "cannot look at %s", what);
	struct landlock_path_beneath_attr rule = {
		.allowed_access = S_ISDIR(st.st_mode) ? rights : rights & FS_ON_FILES,
		.parent_fd = path_fd,
	};
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return err_errno(err, errno, "cannot let the jail see %s", what);
	return 0;
}

static int add_rules(const struct jail *j, int ruleset, uint64_t known, struct err *err)
{
	for (size_t i = 0; i < j->paths_len; i++) {
		CLEANUP(cleanup_fd) int fd = open(j->paths[i].path, O_PATH | O_CLOEXEC);
		if (fd < 0)
			return err_errno(err, errno, "cannot open %s in the jail", j->paths[i].path);
		const int rc = add_rule(ruleset, fd, rights_of(j->paths[i].access) & known, j->paths[i].path, err);
		if (rc < 0)
			return rc;
	}
	if (j->folder_fd >= 0)
		return add_rule(ruleset, j->folder_fd, (FS_READ | FS_MAKE) & known, "the output folder", err);
	return 0;
}

int jail_landlock_restrict(const struct jail *j, bool has_network, struct err *err)
{
	const int abi = j->facts->landlock_abi;
	const struct ruleset want = {
		.fs = rights_known(abi),
		.net = has_network ? NET_BIND_TCP : NET_BIND_TCP | NET_CONNECT_TCP,
		.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL,
	};
	const size_t size = abi >= 6 ? sizeof want : abi >= 4 ? 2 * sizeof want.fs : sizeof want.fs;
	CLEANUP(cleanup_fd) int ruleset = (int)syscall(SYS_landlock_create_ruleset, &want, size, 0);
	if (ruleset < 0)
		return err_errno(err, errno, "cannot make a Landlock ruleset");
	const int rc = add_rules(j, ruleset, want.fs, err);
	if (rc < 0)
		return rc;
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return err_errno(err, errno, "cannot enter the Landlock domain");
	return 0;
}
