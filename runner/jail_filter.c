/* The seccomp filters. What is forbidden answers EPERM (or what the C library knows how to live with), so that a probe by
 * a library is no crash; foreign architectures' calls kill. */
#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "runner/jail_parts.h"

#define NAMESPACE_FLAGS                                                                                                \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

/* Nobody in a jail needs these: mounts, other processes, the kernel's attack surface, the machine's own state. */
static const char *const never[] = {
	"mount", "umount", "umount2", "pivot_root", "move_mount", "open_tree", "open_tree_attr", "fsopen", "fsconfig",
	"fsmount", "fspick", "mount_setattr", "statmount", "listmount", "chroot", "unshare", "setns",
	"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "kcmp", "pidfd_open",
	"pidfd_getfd", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "tkill", "migrate_pages",
	"move_pages",
	"bpf", "userfaultfd", "perf_event_open", "io_uring_setup", "io_uring_enter", "io_uring_register", "add_key",
	"request_key", "keyctl", "open_by_handle_at", "name_to_handle_at", "fanotify_init", "fanotify_mark",
	"lookup_dcookie", "memfd_secret", "modify_ldt", "vm86", "vm86old", "personality", "uselib", "ustat", "sysfs",
	"kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module", "get_kernel_syms",
	"query_module", "reboot", "swapon", "swapoff", "syslog", "acct", "quotactl", "quotactl_fd", "nfsservctl", "vhangup",
	"iopl", "ioperm", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime", "sethostname",
	"setdomainname", "mknod", "mknodat", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid",
	"setgroups", "setfsuid", "setfsgid", "capset",
};

static const char *const programs[] = {"execve", "execveat"};
static const char *const processes[] = {"clone", "clone3", "fork", "vfork"};
static const char *const sockets[] = {"socket", "connect", "bind", "listen", "accept", "accept4"};

/* All that the log stage does: read, write, wait, and what malloc and abort are made of. */
static const char *const pipes_only[] = {
	"read", "readv", "pread64", "write", "writev", "pwrite64", "recvfrom", "recvmsg", "sendto", "sendmsg", "poll",
	"ppoll", "lseek", "fstat", "newfstatat", "ftruncate", "fsync", "fdatasync", "close", "fcntl", "dup",
	"clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "getrandom", "brk",
	"mmap", "munmap", "mremap", "mprotect", "madvise", "futex", "sched_yield", "sched_getaffinity", "getpid",
	"gettid", "getuid", "geteuid", "getgid", "getegid", "sigaltstack", "rt_sigaction", "rt_sigprocmask",
	"rt_sigreturn", "restart_syscall", "exit", "exit_group", "prlimit64", "getrlimit", "sysinfo", "uname",
	"set_robust_list", "rseq",
};

bool jail_filter_available(void)
{
	const uint32_t action = SECCOMP_RET_ERRNO;
	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

static void release_filter(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

/* A name that this architecture or libseccomp does not have cannot be called either. */
static int forbid(scmp_filter_ctx ctx, const char *const *names, size_t len, int error)
{
	for (size_t i = 0; i < len; i++) {
		const int nr = seccomp_syscall_resolve_name(names[i]);
		const int rc = nr == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(ctx, SCMP_ACT_ERRNO((unsigned)error), nr, 0);
		if (rc < 0 && rc != -EDOM)
			return rc;
	}
	return 0;
}

static int permit(scmp_filter_ctx ctx, const char *const *names, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const int nr = seccomp_syscall_resolve_name(names[i]);
		const int rc = nr == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
		if (rc < 0 && rc != -EDOM)
			return rc;
	}
	return 0;
}

/* Signals to itself only: what abort() and a thread library need. The number is the same after exec. */
static int signals_to_self(scmp_filter_ctx ctx, bool allow_list)
{
	const scmp_datum_t self = (scmp_datum_t)getpid();
	if (allow_list)
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, self));
	const int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(kill), 1, SCMP_A0(SCMP_CMP_NE, self));
	return rc < 0 ? rc :
	       seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_NE, self));
}

/* Threads yes, namespaces no. clone3 hides its flags from a filter: without it the C library takes clone. */
static int threads_without_namespaces(scmp_filter_ctx ctx)
{
	for (unsigned bit = 0; bit < 32; bit++) {
		const scmp_datum_t flag = 1ull << bit;
		if (!(flag & (unsigned)NAMESPACE_FLAGS))
			continue;
		const int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
						SCMP_A0(SCMP_CMP_MASKED_EQ, flag, flag));
		if (rc < 0)
			return rc;
	}
	return seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

/* Terminals: no pushing of characters into one. */
static int no_terminal_tricks(scmp_filter_ctx ctx)
{
	int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
				  SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, TIOCSTI));
	if (rc >= 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
				      SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, TIOCLINUX));
	return rc;
}

/* TCP and UDP of both families; everything else does not exist. Unix sockets neither: fetch is in the machine's own network
 * namespace, where abstract ones (a desktop's, a bus's) have no path that the empty root would hide. */
static int internet_only(scmp_filter_ctx ctx)
{
	int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
				  SCMP_A0(SCMP_CMP_GT, AF_INET6));
	for (int family = 0; rc >= 0 && family < AF_INET6; family++)
		if (family != AF_INET)
			rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
					      SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family));
	if (rc >= 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
				      SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_RAW));
	return rc;
}

static int deny_list(scmp_filter_ctx ctx, enum jail_filter filter)
{
	int rc = forbid(ctx, never, ARRAY_LEN(never), EPERM);
	if (rc >= 0)
		rc = signals_to_self(ctx, false);
	if (rc >= 0)
		rc = no_terminal_tricks(ctx);
	if (rc >= 0)
		rc = filter == JAIL_FILTER_NETWORK ? internet_only(ctx) : forbid(ctx, sockets, ARRAY_LEN(sockets), EPERM);
	if (rc >= 0 && filter != JAIL_FILTER_QEMU)
		rc = forbid(ctx, programs, ARRAY_LEN(programs), EPERM);
	if (rc >= 0)
		rc = filter == JAIL_FILTER_FILES ? forbid(ctx, processes, ARRAY_LEN(processes), EPERM) :
						   threads_without_namespaces(ctx);
	return rc;
}

static int allow_list(scmp_filter_ctx ctx)
{
	const int rc = permit(ctx, pipes_only, ARRAY_LEN(pipes_only));
	return rc < 0 ? rc : signals_to_self(ctx, true);
}

int jail_filter_load(enum jail_filter filter, struct err *err)
{
	const bool short_list = filter == JAIL_FILTER_PIPES;
	CLEANUP(release_filter) scmp_filter_ctx ctx = seccomp_init(short_list ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_ALLOW);
	if (!ctx)
		return err_set(err, ERR_NOMEM, "cannot build the system call filter: out of memory");
	int rc = short_list ? allow_list(ctx) : deny_list(ctx, filter);
	if (rc >= 0)
		rc = seccomp_load(ctx);
	if (rc < 0)
		return err_errno(err, -rc, "cannot load the system call filter");
	return 0;
}
