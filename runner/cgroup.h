/* Control groups (version 2): one group a job, so that memory, processes, cpu and disk of all of its processes have a ceiling
 * that the kernel keeps, and one write ends them all.
 *
 * cgroup_find() says once whether this process may make groups: in its own group, where memory and pids are handed on to it
 * (systemd: Delegate=yes; a group that systemd keeps for itself is left alone, even by root). A group that hands controllers on may hold no processes itself, so ours move into the group
 * CGROUP_HOME below it; where others' programs share the group nothing is moved, and there are no groups.
 * A job's group has two leaves: `vm` for QEMU, `stages` for everything else. It is made by the runner's first process, which
 * stays outside, entered by the supervisor, and closed by the first process. What one leaves behind that was killed, the
 * next cgroup_open() removes.
 * Must not know: jobs, QEMU. Blocks for up to 1 s in cgroup_close(). Links: base. Source: the kernel's cgroup-v2.rst. */
#ifndef TALKOO_RUNNER_CGROUP_H
#define TALKOO_RUNNER_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/err.h"

#define CGROUP_HOME "talkoo" /* where the node and its runners live, below a group that was handed to them */
#define CGROUP_JOB_PREFIX "talkoo-job-"

/* value, the kernel's name */
#define CGROUP_CONTROLLERS(X) X(CGROUP_MEMORY, 1, "memory") X(CGROUP_PIDS, 2, "pids") X(CGROUP_CPU, 4, "cpu") X(CGROUP_IO, 8, "io")

enum cgroup_controller {
#define X(name, value, text) name = value,
	CGROUP_CONTROLLERS(X)
#undef X
};
#define CGROUP_NEEDED (CGROUP_MEMORY | CGROUP_PIDS)

/* The kernel's files, or a test's. Each returns 0 or an errno; read leaves a text, cut to its room. */
struct cgroup_io {
	int (*make)(void *ctx, const char *path);
	int (*drop)(void *ctx, const char *path);
	int (*write)(void *ctx, const char *path, const char *text);
	int (*read)(void *ctx, const char *path, char *out, size_t size);
	/* Whether the group is its processes' to divide: there is no systemd, or it says so of this one. */
	bool (*is_handed_over)(void *ctx, const char *path);
	void *ctx;
};
/* Of this machine. */
const struct cgroup_io *cgroup_kernel(void);

struct cgroup_host {
	char base[PATH_MAX];   /* groups of jobs are made in this folder; "" = there are none */
	unsigned controllers;  /* handed on there: of enum cgroup_controller */
	char why[256], hint[256]; /* without: the reason, and what would give them */
};
/* Whether there are groups to be had. Moves this process and the node's others, where the kernel asks for it (above). */
bool cgroup_find(const struct cgroup_io *io, struct cgroup_host *ret);
/* "memory,pids,cpu,io"; "" for 0. Returns out. */
const char *cgroup_names(unsigned controllers, char *out, size_t size);

struct cgroup_limits {
	uint64_t stages_memory_bytes;
	uint32_t processes; /* and threads, of the whole job */
	bool yields;        /* takes only what nobody else wants of cpu and disk */
};

enum cgroup_leaf { CGROUP_STAGES = 1, CGROUP_VM };

struct cgroup {
	const struct cgroup_io *io;
	char path[PATH_MAX]; /* "" = none: all calls below do nothing, and well */
	unsigned controllers;
};
/* Makes the group of job `id` (the first process's number) with its limits. Removes what dead runners left. On failure nothing
 * is left. */
int cgroup_open(const struct cgroup_io *io, const struct cgroup_host *host, pid_t id, const struct cgroup_limits *limits,
		struct cgroup *ret, struct err *err) MUST_CHECK;
/* The calling process, and what it forks from now on. */
int cgroup_enter(const struct cgroup *c, enum cgroup_leaf leaf, struct err *err) MUST_CHECK;
/* The ceiling of QEMU's memory, without swap: past it the kernel ends QEMU. And how many processors the whole job may keep busy, where
 * that can be said. */
int cgroup_limit_vm(const struct cgroup *c, uint64_t memory_bytes, uint32_t cpus, struct err *err) MUST_CHECK;
/* Whether it came to that. */
bool cgroup_vm_was_ended(const struct cgroup *c);
/* Ends whatever is in it and removes it. */
void cgroup_close(struct cgroup *c);

#endif
