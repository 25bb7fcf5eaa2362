/* The supervisor's children: one process a stage, each started with its descriptors, put into its jail, and run.
 *
 * A crew_* call forks and returns at once. What the child reports comes as messages on child.msg_fd; how it ended comes
 * from waitpid. Must not know: what the messages mean, deadlines. */
#ifndef TALKOO_RUNNER_CREW_H
#define TALKOO_RUNNER_CREW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "runner/accel.h"
#include "runner/cgroup.h"
#include "runner/image.h"
#include "runner/jail.h"
#include "runner/machine.h"
#include "runner/stage.h"
#include "runner/workdir.h"

struct child {
	pid_t pid;            /* 0: none */
	int msg_fd;           /* -1: none */
	bool is_killed;       /* by us: its status says nothing */
	uint64_t started_ms, deadline_ms; /* monotonic; deadline 0: none. The supervisor's */
};

/* What the stages are made from; all lent. */
struct crew {
	const struct jail_facts *facts;
	const struct workdir *dir;
	const struct job_plan *plan;
	const struct image *image; /* from accel on */
	const char *qemu;          /* path, from accel on */
	enum machine_profile profile;
	int diagnostics_fd;        /* becomes standard output and error of every child */
	const struct cgroup *cgroup; /* QEMU goes into its leaf; NULL = none */
};

void child_init(struct child *c);
/* SIGKILL; waitpid is the caller's. */
void child_kill(struct child *c);
/* Lets go of a child that was reaped. */
void child_forget(struct child *c);

int crew_start_fetch(const struct crew *crew, struct child *ret, struct err *err) MUST_CHECK;
int crew_start_pack(const struct crew *crew, int source_fd, int plan_fd, struct child *ret, struct err *err) MUST_CHECK;
/* deps_fd: an empty file. Waits for what the plan fetches. */
int crew_start_get(const struct crew *crew, int deps_fd, struct child *ret, struct err *err) MUST_CHECK;
int crew_start_accel(const struct crew *crew, struct child *ret, struct err *err) MUST_CHECK;
int crew_start_log(const struct crew *crew, const struct stage_log *s, struct child *ret, struct err *err) MUST_CHECK;
struct crew_vm {
	const struct machine *machine; /* complete; disks' descriptors and sockets are inherited by QEMU under their numbers */
	uint64_t file_bytes_max;       /* its largest disk */
	uint64_t cpu_seconds_max;      /* past them it is ended by SIGXCPU */
};
int crew_start_vm(const struct crew *crew, const struct crew_vm *vm, struct child *ret, struct err *err) MUST_CHECK;
/* The artifacts' folder is the stage's from then on: jail_give() takes it back when the stage is gone. */
int crew_start_collect(const struct crew *crew, const struct stage_collect *s, struct child *ret, struct err *err) MUST_CHECK;

/* accel_prove() with its QEMU in the vm jail, in this process: blocks. cache_path: "" = none. */
int crew_prove(const struct crew *crew, const char *cache_path, bool force, struct accel_proof *ret, struct err *err) MUST_CHECK;
/* The most memory that all stages but vm have a use for at once, files in memory (a job's folder on tmpfs) included. */
uint64_t crew_memory_max(const struct job_plan *plan);
/* Whether QEMU under the job's own uid could read the image. */
bool crew_others_can_read(const struct image *image);

#endif
