/* The jails as they are in force: each stage's jail is entered by a real process, which then tries what it must not do. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/jail.h"
#include "tests/unit/tap.h"

static char folder[] = "/tmp/talkoo-test-jail-XXXXXX";

/* One line a check, written by the jailed process: "1 what" or "0 what". */
struct paper {
	int fd;
	char text[16384];
	size_t len;
};

static void note(struct paper *p, bool ok, const char *what)
{
	p->len += (size_t)snprintf(p->text + p->len, sizeof p->text - p->len, "%d %s\n", ok, what);
}

static void hand_in(struct paper *p)
{
	if (io_write_full(p->fd, p->text, p->len, NULL) < 0)
		_exit(3);
	_exit(0);
}

/* what a jailed process tries */

static size_t count_names(const char *path)
{
	DIR *dir = opendir(path);
	size_t n = 0;
	for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir))
		n += e->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

static bool opens(const char *path, int flags)
{
	const int fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void try_privileges(struct paper *p)
{
	note(p, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1, "no_new_privs");
	note(p, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0, "not dumpable");
	note(p, prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2, "a seccomp filter");
	note(p, prctl(PR_CAPBSET_READ, 21, 0, 0, 0) == 0, "no capability to be had (CAP_SYS_ADMIN)");
	struct rlimit lim;
	note(p, getrlimit(RLIMIT_CORE, &lim) == 0 && lim.rlim_max == 0, "no core dumps");
	note(p, getenv("TALKOO_TEST_SECRET") == NULL, "a clean environment");
}

static void try_calls(struct paper *p)
{
	note(p, mount("none", "/", "tmpfs", 0, NULL) < 0, "no mount");
	note(p, unshare(CLONE_NEWUSER) < 0, "no new user namespace");
	note(p, syscall(SYS_setns, 0, 0) < 0 && errno == EPERM, "no setns");
	note(p, syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, 0L, 0L, 0L, 0L) < 0, "no clone with a namespace");
	note(p, syscall(SYS_clone3, NULL, 0) < 0 && (errno == ENOSYS || errno == EPERM), "no clone3");
	note(p, ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0, "no ptrace");
	note(p, syscall(SYS_bpf, 0, NULL, 0) < 0 && errno == EPERM, "no bpf");
	note(p, syscall(SYS_keyctl, 0, 0, 0, 0, 0) < 0 && errno == EPERM, "no keyrings");
	note(p, syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0) < 0 && errno == EPERM, "no perf");
	note(p, syscall(SYS_userfaultfd, 0) < 0 && errno == EPERM, "no userfaultfd");
	note(p, syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno == EPERM, "no io_uring");
	note(p, syscall(SYS_open_by_handle_at, -1, NULL, 0) < 0 && errno == EPERM, "no handles");
	note(p, syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0) < 0 && errno == EPERM, "no other's memory");
	note(p, kill(getppid() ? getppid() : 1, 0) < 0 && errno == EPERM, "no signal to the supervisor");
	note(p, socket(AF_NETLINK, SOCK_RAW, 0) < 0 && socket(AF_PACKET, SOCK_RAW, 0) < 0, "no odd sockets");
}

static void try_files(struct paper *p, bool has_namespaces)
{
	note(p, !opens("/etc/passwd", O_RDONLY), "no /etc/passwd");
	note(p, !opens("/proc/self/status", O_RDONLY), "no /proc");
	note(p, !opens("/new", O_WRONLY | O_CREAT), "nothing to be made in /");
	note(p, !opens(folder, O_RDONLY), "no job folder");
	if (has_namespaces)
		note(p, count_names("/") <= 8, "a root with next to nothing in it");
}

static void try_programs(struct paper *p, bool may_fork)
{
	char *argv[] = {(char[]){"sh"}, NULL};
	execv("/bin/sh", argv);
	note(p, true, "no program to be run");
	const pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	note(p, (pid > 0) == may_fork, may_fork ? "threads" : "no child");
}

static void try_connect(struct paper *p, bool may_have_sockets)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	note(p, (fd >= 0) == may_have_sockets, may_have_sockets ? "internet sockets" : "no internet socket");
	note(p, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0, "no socket to the machine's own services");
}

/* in the supervisor's place */

struct round {
	enum stage_id stage;
	const struct jail_facts *facts;
	bool has_network;              /* rights in jail.c's table */
	bool can_start;                /* threads */
	bool can_open;                 /* files at all */
};

static void jailed(const struct round *r, int paper_fd, int extra_fd)
{
	struct paper p = {.fd = paper_fd};
	struct jail j;
	jail_init(&j, r->stage, r->facts, folder);
	jail_keep(&j, paper_fd);
	char shown[sizeof folder + 8];
	snprintf(shown, sizeof shown, "%s/ro", folder);
	jail_path_add(&j, shown, JAIL_READ);
	snprintf(shown, sizeof shown, "%s/rw", folder);
	if (r->has_network)
		jail_path_add(&j, shown, JAIL_WRITE);
	struct err err = {0};
	if (jail_enter(&j, &err) < 0) {
		note(&p, false, err.what);
		hand_in(&p);
	}
	if (r->can_open)
		try_privileges(&p);
	else
		note(&p, prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0 && errno == EPERM, "a filter that lets not even be asked");
	try_calls(&p);
	note(&p, fcntl(extra_fd, F_GETFD) < 0 && errno == EBADF, "a descriptor that was not kept is gone");
	char path[sizeof folder + 16];
	snprintf(path, sizeof path, "%s/ro/file", folder);
	note(&p, opens(path, O_RDONLY) == r->can_open, "the path that is shown");
	note(&p, !opens(path, O_RDWR), "which is read-only");
	snprintf(path, sizeof path, "%s/rw/new", folder);
	note(&p, opens(path, O_WRONLY | O_CREAT) == r->has_network, "the path that is writable, where there is one");
	try_files(&p, r->facts->has_namespaces && r->can_open);
	const uid_t own = r->facts->uids[r->stage];
	note(&p, !own || (getuid() == own && getgid() == own && (r->facts->keeps_groups || getgroups(0, NULL) <= 0)), "the stage's own uid and group, and no other");
	try_connect(&p, r->has_network);
	if (r->stage != STAGE_VM)
		try_programs(&p, r->can_start);
	hand_in(&p);
}

/* Runs one stage's jail and passes its paper on to the test program. */
static bool run_round(const struct round *r, int out_fd)
{
	const int extra_fd = dup(0);
	char head[64];
	const int len = snprintf(head, sizeof head, "# %s\n", stage_name(r->stage));
	if (write(out_fd, head, (size_t)len) != len)
		return false;
	const pid_t pid = fork();
	if (pid == 0)
		jailed(r, out_fd, extra_fd);
	close(extra_fd);
	int status;
	if (waitpid(pid, &status, 0) != pid)
		return false;
	if (status != 0) {
		char bad[80];
		const int n = snprintf(bad, sizeof bad, "0 the jailed process ended with wait status %d\n", status);
		return write(out_fd, bad, (size_t)n) == n;
	}
	return true;
}

static int body(const struct jail_facts *facts, int alive_fd, void *ctx)
{
	(void)alive_fd;
	const int out_fd = *(int *)ctx;
	char what[256], line[300];
	const int len = snprintf(line, sizeof line, "= %s\n", jail_describe(facts, what, sizeof what));
	if (write(out_fd, line, (size_t)len) != len)
		return 1;
	const struct round rounds[] = {
		{STAGE_FETCH, facts, .has_network = true, .can_start = true, .can_open = true},
		{STAGE_PACK, facts, .can_open = true},
		{STAGE_VM, facts, .can_start = true, .can_open = true},
		{STAGE_LOG, facts},
		{STAGE_COLLECT, facts, .can_open = true},
		{STAGE_GET, facts, .has_network = true, .can_start = true, .can_open = true},
	};
	char shared[sizeof folder + 8];
	snprintf(shared, sizeof shared, "%s/rw", folder);
	bool is_given = true, is_distinct = true;
	for (size_t i = 0; i < ARRAY_LEN(rounds); i++) {
		const uid_t own = facts->uids[rounds[i].stage];
		for (size_t k = 0; k < i; k++)
			is_distinct = is_distinct && (!own || own != facts->uids[rounds[k].stage]);
		is_given = is_given && (!own || !rounds[i].has_network || jail_give(shared, own));
		if (!run_round(&rounds[i], out_fd))
			return 1;
	}
	const int end = snprintf(line, sizeof line, "# supervisor\n%d a folder is given from stage to stage\n%d no stage has another's uid\n",
				 is_given && (!facts->uids[STAGE_GET] || jail_give(shared, 0)), is_distinct);
	return write(out_fd, line, (size_t)end) != end;
}

/* the test program */

static void read_papers(int fd)
{
	static char text[65536];
	const ssize_t len = io_read_full(fd, text, sizeof text - 1, NULL);
	OK(len > 0, "papers came back");
	char *save = NULL, stage[32] = "";
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (line[0] == '=')
			printf("# isolation: %s\n", line + 2);
		else if (line[0] == '#')
			snprintf(stage, sizeof stage, "%s", line + 2);
		else
			OK(line[0] == '1', "%s: %s", stage, line + 2);
	}
}

static void test_jails(void)
{
	int pipe_fds[2];
	pid_t pid;
	struct err err = {0};
	OK(pipe2(pipe_fds, O_CLOEXEC) == 0, "pipe");
	setenv("TALKOO_TEST_SECRET", "1", 1);
	if (!OK(jail_cradle(body, &pipe_fds[1], &pid, &err) == 0, "a cradle: %s", err.what))
		return;
	close(pipe_fds[1]);
	read_papers(pipe_fds[0]);
	close(pipe_fds[0]);
	int status;
	OK(waitpid(pid, &status, 0) == pid && status == 0, "process 1 ended well");
}

/* Process 1 dies with whoever made it, at once, and takes along what it started. */
static int body_forever(const struct jail_facts *facts, int alive_fd, void *ctx)
{
	(void)alive_fd;
	const int fd = *(int *)ctx;
	(void)facts;
	if (fork() == 0)
		for (;;)
			pause();
	if (write(fd, "x", 1) != 1)
		return 1;
	for (;;)
		pause();
}

static void test_dies_with_caller(void)
{
	int pipe_fds[2];
	OK(pipe2(pipe_fds, O_CLOEXEC) == 0, "pipe");
	const pid_t middle = fork();
	if (middle == 0) {
		pid_t pid;
		close(pipe_fds[0]);
		if (jail_cradle(body_forever, &pipe_fds[1], &pid, NULL) < 0)
			_exit(1);
		close(pipe_fds[1]);
		for (;;)
			pause();
	}
	close(pipe_fds[1]);
	char byte;
	OK(read(pipe_fds[0], &byte, 1) == 1, "process 1 runs");
	kill(middle, SIGKILL);
	waitpid(middle, NULL, 0);
	/* both of the tree hold the pipe: it ends when both are gone */
	struct pollfd p = {.fd = pipe_fds[0], .events = POLLIN};
	OK(poll(&p, 1, 20000) == 1 && read(pipe_fds[0], &byte, 1) == 0, "nobody is left");
	close(pipe_fds[0]);
}

static void test_describe(void)
{
	char out[128];
	STREQ(jail_describe(&(struct jail_facts){.landlock_abi = 5, .has_seccomp = true}, out, sizeof out), "none");
	STREQ(jail_describe(&(struct jail_facts){.has_namespaces = true, .has_seccomp = true}, out, sizeof out),
	      "pidns,mountns,netns,ipcns,utsns,nonewprivs,seccomp");
	const struct jail_facts all = {.has_userns = true, .has_namespaces = true, .uids = {[STAGE_VM] = 1}, .has_cgroup = true, .has_seccomp = true, .landlock_abi = 1};
	OK(strlen(jail_describe(&all, out, sizeof out)) < sizeof((struct job_report *)0)->isolation - 1, "all of it fits the report");
}

static bool make_folder(void)
{
	char path[sizeof folder + 16];
	if (!mkdtemp(folder) || chmod(folder, 0755) < 0)
		return false;
	snprintf(path, sizeof path, "%s/ro", folder);
	if (mkdir(path, 0755) < 0)
		return false;
	snprintf(path, sizeof path, "%s/rw", folder);
	if (mkdir(path, 0755) < 0)
		return false;
	snprintf(path, sizeof path, "%s/ro/file", folder);
	const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int main(void)
{
	OK(make_folder(), "a folder");
	test_jails();
	test_dies_with_caller();
	test_describe();
	OK(io_remove_tree(folder, NULL) == 0, "tidied up");
	return tap_done();
}
