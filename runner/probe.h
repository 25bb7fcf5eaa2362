/* `talkoo-runner probe`: proves the accelerator from inside the vm jail, for doctor and for the node's start.
 * Prints one JSON object: {"v":1,"type":"accel","accel","why","hint","cached","boot_ms","isolation",
 * "cgroup" (controllers in force; "" = none),"cgroup_why","cgroup_hint"}. */
#ifndef TALKOO_RUNNER_PROBE_H
#define TALKOO_RUNNER_PROBE_H

#include <stdbool.h>
#include <sys/types.h>

#include "runner/supervisor.h"

struct probe_request {
	const char *store, *image, *cache_path;
	bool force; /* whatever is cached */
	const struct supervisor_options *options;
	struct cgroup_host cgroup_host; /* the caller's findings */
	const struct cgroup *cgroup;    /* path "" = none */
};

/* A jail_body_fn; ctx: struct probe_request. 0 when it could answer, also when the answer is "no KVM". */
int probe_run(const struct jail_facts *facts, int alive_fd, void *ctx);

#endif
