/* runner/cgroup.h against a real kernel: run as root in a guest of the test's own, where control groups of version 2 are to be had
 * whatever the host is. Static. Its name must begin with "talkoo". Prints "ok …" or "not ok …", at last "all N". */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runner/cgroup.h"

#define MIB (1ull << 20)

struct score {
	int count, failed;
};

static void ok(struct score *s, bool is_so, const char *what, const char *more)
{
	s->count++;
	s->failed += !is_so;
	printf("%s %d %s: %s\n", is_so ? "ok" : "not ok", s->count, what, more);
	fflush(stdout);
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* A child in a leaf; its wait status. */
static int run_in(const struct cgroup *c, enum cgroup_leaf leaf, int (*body)(void))
{
	int status = -1;
	const pid_t pid = fork();
	if (pid == 0)
		_exit(cgroup_enter(c, leaf, NULL) < 0 ? 99 : body());
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

static int take_memory(void)
{
	const size_t size = 96 * MIB;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; p != MAP_FAILED && i < size; i += 4096)
		p[i] = 1;
	return 0;
}

static int take_little(void)
{
	char *p = malloc(4 * MIB);
	if (p)
		memset(p, 1, 4 * MIB);
	return 0;
}

/* How many could be had. */
static int take_processes(void)
{
	int n = 0;
	for (; n < 60; n++) {
		const pid_t pid = fork();
		if (pid < 0)
			break;
		if (pid == 0)
			for (;;)
				pause();
	}
	return n; /* they stay: closing the group is to end them */
}

static void use(struct score *s, const struct cgroup_host *host, const char *name)
{
	const struct cgroup_limits limits = {.stages_memory_bytes = 64 * MIB, .processes = 20, .yields = true};
	struct cgroup c = {.io = NULL};
	struct err err = {0};
	char path[PATH_MAX];
	ok(s, cgroup_open(cgroup_kernel(), host, getpid(), &limits, &c, &err) == 0, name, err.what);
	snprintf(path, sizeof path, "%s", c.path);
	ok(s, cgroup_limit_vm(&c, 32 * MIB, 2, &err) == 0, "a ceiling for vm", err.what);
	int status = run_in(&c, CGROUP_VM, take_little);
	ok(s, status == 0 && !cgroup_vm_was_ended(&c), "below it nothing happens", "");
	status = run_in(&c, CGROUP_VM, take_memory);
	ok(s, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && cgroup_vm_was_ended(&c), "past it the kernel ends it, and we know", "");
	status = run_in(&c, CGROUP_STAGES, take_memory);
	ok(s, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "past the stages' too", "");
	status = run_in(&c, CGROUP_STAGES, take_processes);
	ok(s, WIFEXITED(status) && WEXITSTATUS(status) > 10 && WEXITSTATUS(status) < 20, "processes have a ceiling", "");
	char events[256] = "";
	char file[PATH_MAX + 32];
	snprintf(file, sizeof file, "%s/cgroup.events", path);
	(void)cgroup_kernel()->read(NULL, file, events, sizeof events);
	ok(s, strstr(events, "populated 1") != NULL, "some are still there", "");
	struct timespec from, to;
	clock_gettime(CLOCK_MONOTONIC, &from);
	cgroup_close(&c);
	clock_gettime(CLOCK_MONOTONIC, &to);
	ok(s, !exists(path) && to.tv_sec - from.tv_sec <= 2, "closed: all ended, the group is gone", path);
}

int main(void)
{
	struct score s = {0};
	struct cgroup_host host;
	char names[64];
	struct err err = {0};
	if (mount("none", "/sys/fs/cgroup", "cgroup2", 0, NULL) < 0) {
		printf("not ok no cgroup2: %s\n", strerror(errno));
		return 1;
	}
	/* the machine's root, as on a host without systemd */
	ok(&s, cgroup_find(cgroup_kernel(), &host), "found in the root group", host.why);
	ok(&s, (host.controllers & CGROUP_NEEDED) == CGROUP_NEEDED, "controllers", cgroup_names(host.controllers, names, sizeof names));
	use(&s, &host, "a job's group below the root");
	/* a group that was handed to us, as systemd does with Delegate=yes: we are in it ourselves */
	char own[32];
	snprintf(own, sizeof own, "%ld", (long)getpid());
	ok(&s, mkdir("/sys/fs/cgroup/service", 0755) == 0 && cgroup_kernel()->write(NULL, "/sys/fs/cgroup/service/cgroup.procs", own) == 0,
	   "a service's group", "");
	ok(&s, cgroup_find(cgroup_kernel(), &host), "found in the service's group", host.why);
	ok(&s, !strcmp(host.base, "/sys/fs/cgroup/service") && exists("/sys/fs/cgroup/service/" CGROUP_HOME), "we moved down", host.base);
	use(&s, &host, "a job's group below the service's");
	ok(&s, cgroup_find(cgroup_kernel(), &host) && !strcmp(host.base, "/sys/fs/cgroup/service"), "found again from below", host.base);
	/* what a killed runner leaves */
	const pid_t gone = fork();
	if (gone == 0) {
		const struct cgroup_limits limits = {.stages_memory_bytes = 64 * MIB, .processes = 20};
		struct cgroup c = {.io = NULL};
		if (cgroup_open(cgroup_kernel(), &host, getpid(), &limits, &c, &err) < 0)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	waitpid(gone, NULL, 0);
	char left[PATH_MAX];
	snprintf(left, sizeof left, "/sys/fs/cgroup/service/" CGROUP_JOB_PREFIX "%ld", (long)gone);
	ok(&s, exists(left), "a killed runner leaves its group", left);
	use(&s, &host, "the next job's group");
	ok(&s, !exists(left), "which removed it", left);
	printf("all %d, %d failed\n", s.count, s.failed);
	return s.failed != 0;
}
