/* The supervisor of one job: process 1 of the job's namespaces, holder of every deadline, and of the pipe to the launcher.
 *
 * It parses nothing hostile (stages do, in their jails, and speak to it in fixed messages) and has no network from the
 * moment fetch was started. One poll() loop; every child is started by crew.h and every fact goes into tally.h.
 *
 * States, and what holds in each:
 *   fetch    the fetch stage runs (skipped for a local source)
 *   pack     the pack stage runs; commit and ref are known
 *   accel    the plan is known and within its limits, the image was found; the accelerator is being proven (skipped where
 *            the job wants emulation)
 *   vm       QEMU and the log stage run: boot deadline until the guest is ready, then the job's time limit
 *   collect  the machine is gone; the collect stage reads its artifacts (skipped where there are none)
 *   ending   the outcome is settled; what still runs was killed, but for the log stage, which may finish its digest
 *   done     nothing runs; the report is complete
 * Transitions go forward only, but for vm -> vm: a machine that never booted is tried once more. */
#ifndef TALKOO_RUNNER_SUPERVISOR_H
#define TALKOO_RUNNER_SUPERVISOR_H

#include <limits.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "runner/cgroup.h"
#include "runner/jail.h"
#include "runner/job.h"
#include "runner/machine.h"

/* name, default in ms, text for --deadline */
#define DEADLINES(X)                                                                                                   \
	X(DEADLINE_FETCH, 600000, "fetch")                                                                             \
	X(DEADLINE_PACK, 300000, "pack")                                                                               \
	X(DEADLINE_ACCEL, 30000, "accel")                                                                              \
	X(DEADLINE_BOOT_KVM, 20000, "boot-kvm")                                                                        \
	X(DEADLINE_BOOT_TCG, 60000, "boot-tcg")                                                                        \
	X(DEADLINE_COLLECT, 300000, "collect")                                                                         \
	X(DEADLINE_LOG, 5000, "log")       /* the log stage, once the machine is gone */                               \
	X(DEADLINE_ENDING, 700, "ending")  /* the same, once the outcome is settled */

enum deadline {
#define X(name, ms, text) name,
	DEADLINES(X)
#undef X
	DEADLINES_LEN
};

struct supervisor_options {
	uint64_t deadline_ms[DEADLINES_LEN];
	char qemu[PATH_MAX];           /* "" = machine_qemu_find() */
	enum machine_profile profile;  /* 0 = the image's arch's default */
};
void supervisor_options_init(struct supervisor_options *o);

struct supervisor_job {
	const struct job_plan *plan;
	const struct supervisor_options *options;
	const char *rest; /* what followed the plan's line on standard input */
	const struct cgroup *cgroup; /* this job's; its path "" = none */
};

#define SUPERVISOR_UNREAD 3 /* the report is in the folder, but the launcher does not read */

/* A jail_body_fn; ctx: struct supervisor_job. Reads standard input, writes events and report to standard output.
 * 0 when a report was made, whatever the outcome; SUPERVISOR_UNREAD; anything else: there is none. */
int supervisor_run(const struct jail_facts *facts, int alive_fd, void *ctx);

#endif
