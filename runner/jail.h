/* Jails: a process gives up everything that its stage does not need, before its first hostile byte.
 *
 * Two parts. The *cradle* gives the job's supervisor its namespaces (jail_cradle()); each stage child then enters its own
 * jail (jail_enter()): an empty root with only the paths that are named, no network but for fetch, another uid where
 * possible, no capabilities, no_new_privs, only the named descriptors, resource limits, Landlock, a seccomp filter.
 * What this machine does not offer is found out once (struct jail_facts) and left out, and the report says what was in
 * force; what it does offer must succeed, or the stage does not start.
 *
 * Must not know: jobs, git, QEMU's command line. Links: base, libseccomp. */
#ifndef TALKOO_RUNNER_JAIL_H
#define TALKOO_RUNNER_JAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/err.h"
#include "runner/stage.h"

#define JAIL_PATHS_MAX 48
#define JAIL_KEEP_MAX 32

/* What is in force on this machine. */
struct jail_facts {
	bool has_userns, has_namespaces; /* namespaces: pid, mount, net, ipc, uts */
	bool has_seccomp;
	int landlock_abi;                /* 0: none */
	bool has_cgroup;                 /* cgroup.h: memory and processes have the kernel's ceiling; the caller says so */
	uid_t uids[STAGE_IDS_LEN];       /* of each stage, as the supervisor sees it, and its group's number too: nobody else's on this
	                                    machine. 0 = the launcher's own. fetch and get, whose stores outlive the job, always
	                                    have the same ones */
	bool keeps_groups;               /* the launcher's groups cannot be left */
	gid_t kvm_gid;                   /* /dev/kvm's group as seen by the supervisor, (gid_t)-1 where it cannot be kept */
};

/* "userns,pidns,…" for the report; "none". Returns out. */
const char *jail_describe(const struct jail_facts *facts, char *out, size_t size);

/* How a path is shown inside. */
enum jail_access {
	JAIL_READ = 1, /* a file or folder, read only */
	JAIL_EXEC,     /* the same, and programs in it may be run */
	JAIL_WRITE,    /* a folder or file, read and write */
	JAIL_DEVICE,   /* a device node, read and write */
};

struct jail_path {
	char *path; /* absolute; appears under the same name; owned */
	enum jail_access access;
};

/* One stage's jail, filled by the jail_* calls below, then entered. */
struct jail {
	enum stage_id stage;
	const struct jail_facts *facts;
	const char *mount_point;  /* an existing folder that the stage need not see by path: the new root is built over it */
	struct jail_path paths[JAIL_PATHS_MAX];
	size_t paths_len;
	int keep[JAIL_KEEP_MAX];  /* descriptors that stay open, beside 0, 1, 2 */
	size_t keep_len;
	int folder_fd;            /* of keep: an open folder below which files may be made; -1 = none */
	uint64_t file_bytes_max;  /* largest file it may write; 0 = the table's */
	uint64_t memory_bytes_max; /* address space; 0 = the table's */
	uint64_t cpu_seconds_max; /* of all its threads together; 0 = no limit */
	bool takes_own_uid;       /* from facts; who knows that the paths are closed to others clears it */
	gid_t also_gid;           /* another group that it is in, 0 = none; where groups can be left */
	bool with_kvm;            /* keep /dev/kvm's group */
	bool failed;              /* an add call met a ceiling; jail_enter() says so */
};

void jail_init(struct jail *j, enum stage_id stage, const struct jail_facts *facts, const char *mount_point);
void jail_release(struct jail *j);
/* Gives path and all below it to a stage: its owner, and readable by its group. uid 0: back to the launcher. Links are not
 * followed. False: not all of it. Supervisor only. */
bool jail_give(const char *path, uid_t uid);
/* Whether anybody may read all of it; false also where that is too much to look at. */
bool jail_others_can_read(const char *path);
/* A path that has to be there, and one that is shown only if it is there. */
void jail_path_add(struct jail *j, const char *path, enum jail_access access);
void jail_path_try(struct jail *j, const char *path, enum jail_access access);
void jail_keep(struct jail *j, int fd);
/* What QEMU needs to run: its binary, its libraries and firmware, /dev/null, /dev/urandom, /dev/kvm with_kvm. */
void jail_add_qemu(struct jail *j, const char *qemu, bool with_kvm);

/* Enters, in a child of the supervisor. Afterwards the process is single-purpose for good. On failure it must _exit. */
int jail_enter(struct jail *j, struct err *err) MUST_CHECK;

/* Runs body as the first process of new namespaces: process 1 of a pid namespace, which dies with the caller (SIGKILL)
 * and takes everything in it along. Where namespaces are not to be had body runs as a plain child that adopts orphans,
 * and facts say so. body's value is the child's exit status. Returns the child's pid. alive_fd in body: end of file
 * there means that the caller is gone. */
typedef int (*jail_body_fn)(const struct jail_facts *facts, int alive_fd, void *ctx);
int jail_cradle(jail_body_fn body, void *ctx, pid_t *ret_pid, struct err *err) MUST_CHECK;

/* Takes the network away from the calling process (and what it forks later). Nothing without namespaces. */
int jail_drop_network(const struct jail_facts *facts, struct err *err) MUST_CHECK;

#endif
