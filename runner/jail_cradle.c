/* The namespaces of a job, and the process that is number 1 in them. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/jail_parts.h"

#define NAMESPACES (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS)

const char *jail_describe(const struct jail_facts *facts, char *out, size_t size)
{
	const struct {
		bool is_there;
		const char *text;
	} parts[] = {
		{facts->has_userns, "userns"},     {facts->has_namespaces, "pidns,mountns,netns,ipcns,utsns"},
		{facts->uids[STAGE_VM] != 0, "uid"}, {true, "nonewprivs"},
		{facts->has_seccomp, "seccomp"},   {facts->landlock_abi > 0, "landlock"},
		{facts->has_cgroup, "cgroup"},
	};
	if (!facts->has_namespaces) {
		snprintf(out, size, "none");
		return out;
	}
	size_t used = 0;
	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (parts[i].is_there && used < size)
			used += (size_t)snprintf(out + used, size - used, "%s%s", used ? "," : "", parts[i].text);
	return out;
}

struct cradle {
	jail_body_fn body;
	void *ctx;
	unsigned long flags; /* of the attempt */
	pid_t job; /* the caller's number */
	struct jail_facts facts;
	int go[2];    /* caller -> child: one byte of enum mapping */
	int ready[2]; /* child -> caller: a byte when the namespaces work */
	int alive[2]; /* held open by the caller for good */
};

/* in the child */

static void fill_facts(struct cradle *c, uint8_t mapping)
{
	struct jail_facts *f = &c->facts;
	f->has_userns = c->flags & CLONE_NEWUSER;
	f->has_namespaces = c->flags != 0;
	f->landlock_abi = jail_landlock_abi();
	f->has_seccomp = jail_filter_available();
	jail_fill_ids(f, (enum mapping)mapping, c->job);
}

static bool namespaces_work(const struct cradle *c)
{
	if (!c->flags)
		return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
	/* where a security module lets a namespace be made but grants nothing in it, this is what fails */
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && sethostname("talkoo", 6) == 0;
}

static bool caller_is_gone(int alive_fd)
{
	struct pollfd p = {.fd = alive_fd};
	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

__attribute__((noreturn)) static void child_main(struct cradle *c)
{
	close(c->go[1]);
	close(c->ready[0]);
	close(c->alive[1]);
	uint8_t mapping = 0;
	if (read(c->go[0], &mapping, 1) != 1 || !mapping)
		_exit(1);
	fill_facts(c, mapping);
	/* a terminal's Ctrl-C is the launcher's to judge, not the tree's to die of */
	setsid();
	if (!namespaces_work(c) || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || caller_is_gone(c->alive[0]))
		_exit(1);
	const uint8_t ready = 1;
	if (write(c->ready[1], &ready, 1) != 1)
		_exit(1);
	close(c->go[0]);
	close(c->ready[1]);
	_exit(c->body(&c->facts, c->alive[0], c->ctx));
}

/* in the caller */

static void close_pair(int pair[2])
{
	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
	pair[0] = pair[1] = -1;
}

static int open_pipes(struct cradle *c, struct err *err)
{
	c->go[0] = c->go[1] = c->ready[0] = c->ready[1] = c->alive[0] = c->alive[1] = -1;
	if (pipe2(c->go, O_CLOEXEC) < 0 || pipe2(c->ready, O_CLOEXEC) < 0 || pipe2(c->alive, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	return 0;
}

/* One attempt with c->flags. 1: the child runs; 0: not so on this machine; negative: error. */
static int attempt(struct cradle *c, pid_t *ret_pid, struct err *err)
{
	int rc = open_pipes(c, err);
	if (rc < 0)
		return rc;
	/* the bare call: the C library has no fork with flags. Nothing but async-safe calls happens before the child
	 * forks again or ends, and it has one thread. */
	const pid_t pid = (pid_t)syscall(SYS_clone, c->flags | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		child_main(c);
	if (pid > 0) {
		close(c->go[0]);
		close(c->ready[1]);
		close(c->alive[0]);
		c->go[0] = c->ready[1] = c->alive[0] = -1;
		const uint8_t mapping = c->flags & CLONE_NEWUSER ? (uint8_t)jail_map_ids(pid, c->job) : MAPPING_NONE;
		uint8_t ready = 0;
		ssize_t got = write(c->go[1], &mapping, 1) == 1 ? read(c->ready[0], &ready, 1) : 0;
		if (got == 1) {
			close_pair(c->go);
			close_pair(c->ready);
			*ret_pid = pid;
			return 1;
		}
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	close_pair(c->go);
	close_pair(c->ready);
	close_pair(c->alive);
	return 0;
}

int jail_cradle(jail_body_fn body, void *ctx, pid_t *ret_pid, struct err *err)
{
	const unsigned long attempts[] = {CLONE_NEWUSER | NAMESPACES, NAMESPACES, 0};
	for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
		struct cradle c = {
			.body = body,
			.ctx = ctx,
			.flags = attempts[i],
			.job = getpid(),
		};
		const int rc = attempt(&c, ret_pid, err);
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	return err_set(err, ERR_IO, "cannot start the supervisor: no process to be had");
}
