#include "runner/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/base/cleanup.h"
#include "proto/base/units.h"

#define CLOSE_MS 1000
#define CPU_PERIOD_US 100000
#define ROOM 128 /* for the names below a group */

static const char *leaf_name(enum cgroup_leaf leaf)
{
	switch (leaf) {
	case CGROUP_STAGES:
		return "stages";
	case CGROUP_VM:
		return "vm";
	}
	return "";
}

static int put(const struct cgroup_io *io, const char *folder, const char *file, const char *text)
{
	char path[PATH_MAX + ROOM];
	snprintf(path, sizeof path, "%s/%s", folder, file);
	return io->write(io->ctx, path, text);
}

static int put_number(const struct cgroup_io *io, const char *folder, const char *file, uint64_t value)
{
	char text[32];
	snprintf(text, sizeof text, "%" PRIu64, value);
	return put(io, folder, file, text);
}

static int sub(const struct cgroup_io *io, const char *path, const char *name, int (*call)(void *, const char *))
{
	char folder[PATH_MAX + ROOM];
	snprintf(folder, sizeof folder, "%s/%s", path, name);
	return call(io->ctx, folder);
}

/* what is left of a group */

/* cgroup.kill came with 5.14; before it each process is told by its number. */
static void end_all(const struct cgroup_io *io, const char *path)
{
	static const char *const leaves[] = {"stages", "vm"};
	char file[PATH_MAX + ROOM], pids[8192], *save = NULL;
	if (put(io, path, "cgroup.kill", "1") == 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(leaves); i++) {
		snprintf(file, sizeof file, "%s/%s/cgroup.procs", path, leaves[i]);
		if (io->read(io->ctx, file, pids, sizeof pids))
			continue;
		for (char *pid = strtok_r(pids, "\n", &save); pid; pid = strtok_r(NULL, "\n", &save)) {
			const long number = strtol(pid, NULL, 10);
			if (number > 1)
				kill((pid_t)number, SIGKILL);
		}
	}
}

/* False: something is still in it. */
static bool remove_group(const struct cgroup_io *io, const char *path)
{
	(void)sub(io, path, "stages", io->drop);
	(void)sub(io, path, "vm", io->drop);
	const int error = io->drop(io->ctx, path);
	return !error || error == ENOENT;
}

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void cgroup_close(struct cgroup *c)
{
	if (!c || !c->path[0])
		return;
	end_all(c->io, c->path);
	for (const uint64_t end = now_ms() + CLOSE_MS; !remove_group(c->io, c->path) && now_ms() < end;)
		nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
	c->path[0] = '\0';
}

static void cleanup_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* Groups whose first process is gone: it had no time to remove them. */
static void sweep(const struct cgroup_io *io, const char *base)
{
	CLEANUP(cleanup_dir) DIR *dir = opendir(base);
	for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
		uint64_t pid;
		char path[PATH_MAX];
		if (strncmp(entry->d_name, CGROUP_JOB_PREFIX, strlen(CGROUP_JOB_PREFIX)) != 0 ||
		    !units_parse_number(entry->d_name + strlen(CGROUP_JOB_PREFIX), &pid) || pid < 2 || pid > INT32_MAX ||
		    kill((pid_t)pid, 0) == 0 || errno != ESRCH ||
		    (size_t)snprintf(path, sizeof path, "%s/%s", base, entry->d_name) >= sizeof path - ROOM)
			continue;
		end_all(io, path);
		(void)remove_group(io, path); /* else the next runner will */
	}
}

/* a new one */

static int make_group(const struct cgroup *c, const struct cgroup_limits *limits)
{
	const struct cgroup_io *io = c->io;
	char stages[PATH_MAX + ROOM];
	snprintf(stages, sizeof stages, "%s/stages", c->path);
	int error = io->make(io->ctx, c->path);
	if (!error)
		error = put_number(io, c->path, "pids.max", limits->processes);
	if (!error)
		error = put(io, c->path, "cgroup.subtree_control", "+memory");
	if (!error)
		error = sub(io, c->path, "stages", io->make);
	if (!error)
		error = sub(io, c->path, "vm", io->make);
	if (!error)
		error = put_number(io, stages, "memory.max", limits->stages_memory_bytes);
	return error;
}

/* Shares, not ceilings: where a file is missing (no swap, an older kernel, another disk scheduler) the rest holds. */
static void share(const struct cgroup *c, const struct cgroup_limits *limits)
{
	const bool idles = limits->yields && put(c->io, c->path, "cpu.idle", "1") == 0;
	if ((c->controllers & CGROUP_CPU) && !idles)
		(void)put(c->io, c->path, "cpu.weight", limits->yields ? "1" : "50");
	if (c->controllers & CGROUP_IO)
		(void)put(c->io, c->path, "io.weight", limits->yields ? "default 10" : "default 50");
	(void)put(c->io, c->path, "stages/memory.swap.max", "0");
	(void)put(c->io, c->path, "vm/memory.swap.max", "0");
	(void)put(c->io, c->path, "vm/memory.oom.group", "1");
}

int cgroup_open(const struct cgroup_io *io, const struct cgroup_host *host, pid_t id, const struct cgroup_limits *limits,
		struct cgroup *ret, struct err *err)
{
	struct cgroup c = {.io = io, .controllers = host->controllers};
	if (!host->base[0])
		return err_set(err, ERR_UNSUPPORTED, "no control groups are to be had here: %s", host->why);
	sweep(io, host->base);
	if ((size_t)snprintf(c.path, sizeof c.path, "%s/" CGROUP_JOB_PREFIX "%ld", host->base, (long)id) >= sizeof c.path - ROOM)
		return err_set(err, ERR_LIMIT, "the control group's path is too long");
	int error = make_group(&c, limits);
	if (error == EEXIST) { /* of a runner that had our number, with processes that outlived it */
		end_all(io, c.path);
		error = remove_group(io, c.path) ? make_group(&c, limits) : EEXIST;
	}
	if (error) {
		(void)remove_group(io, c.path);
		return err_errno(err, error, "cannot make the control group %s", c.path);
	}
	share(&c, limits);
	*ret = c;
	return 0;
}

int cgroup_enter(const struct cgroup *c, enum cgroup_leaf leaf, struct err *err)
{
	char file[64];
	if (!c || !c->path[0])
		return 0;
	snprintf(file, sizeof file, "%s/cgroup.procs", leaf_name(leaf));
	const int error = put(c->io, c->path, file, "0");
	return error ? err_errno(err, error, "cannot enter the control group %s/%s", c->path, leaf_name(leaf)) : 0;
}

int cgroup_limit_vm(const struct cgroup *c, uint64_t memory_bytes, uint32_t cpus, struct err *err)
{
	char most[64];
	if (!c || !c->path[0])
		return 0;
	snprintf(most, sizeof most, "%" PRIu64 " %d", (uint64_t)cpus * CPU_PERIOD_US, CPU_PERIOD_US);
	if (c->controllers & CGROUP_CPU)
		(void)put(c->io, c->path, "cpu.max", most); /* a kernel without bandwidth control has none */
	const int error = put_number(c->io, c->path, "vm/memory.max", memory_bytes);
	return error ? err_errno(err, error, "cannot limit the memory of %s", c->path) : 0;
}

bool cgroup_vm_was_ended(const struct cgroup *c)
{
	char path[PATH_MAX + ROOM], text[1024];
	if (!c || !c->path[0])
		return false;
	snprintf(path, sizeof path, "%s/vm/memory.events", c->path);
	if (c->io->read(c->io->ctx, path, text, sizeof text))
		return false;
	const char *count = strstr(text, "oom_kill ");
	return count && strtoul(count + strlen("oom_kill "), NULL, 10) > 0;
}
