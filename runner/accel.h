/* Proves an accelerator instead of believing in it: /dev/kvm can open and still hang every guest, so the image's own
 * kernel and initramfs are booted under KVM with a deadline, twice. What came out is kept in a small file, keyed on
 * boot id, QEMU (path, size, mtime), kernel digest and uid; a "no" is asked again after an hour.
 *
 * Must not know: jobs, policy. Blocks for up to 2 * ACCEL_DEADLINE_MS + 1 s when the answer is not cached: never on the
 * node's loop thread. Links: base, image, machine.
 *
 * Each probe is one QEMU child in a process group of its own, killed at the deadline and with its parent. */
#ifndef TALKOO_RUNNER_ACCEL_H
#define TALKOO_RUNNER_ACCEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/err.h"
#include "runner/image.h"
#include "runner/job.h"
#include "runner/machine.h"

#define ACCEL_DEADLINE_MS 5000
#define ACCEL_PROBES 2
#define ACCEL_NO_EXPIRES_MS (60 * 60 * 1000)

/* A QEMU to start: exactly keep_fds (and 0-2) are open in it, stderr_fd as its descriptor 2, 0 and 1 nowhere. */
struct accel_child {
	char *const *argv;
	int stderr_fd;
	const int *keep_fds;
	size_t keep_len;
};

/* Starts it in whatever jail the caller wants the proof to hold. *ret_pid: a child of this process that leads its own
 * process group. NULL in a request: plain fork and exec. */
typedef int (*accel_spawn_fn)(void *ctx, const struct accel_child *child, pid_t *ret_pid, struct err *err);

struct accel_request {
	const struct image *image;
	enum machine_profile profile; /* 0: the arch's default */
	const char *qemu;             /* NULL: machine_qemu_find() */
	const char *cache_path;       /* NULL: prove now, remember nothing */
	bool force;                   /* prove now, whatever is cached */
	accel_spawn_fn spawn;
	void *spawn_ctx;
	const char *kvm_device;       /* NULL: /dev/kvm (a test names another, or which need not be one) */
	enum job_accel probe_with;    /* 0: KVM; a test says TCG, where there is no KVM */
	unsigned deadline_ms;         /* 0: ACCEL_DEADLINE_MS */
};

struct accel_proof {
	enum job_accel accel; /* JOB_ACCEL_KVM or JOB_ACCEL_TCG */
	bool cached;
	uint32_t boot_ms;     /* of the slower probe; 0 without one */
	char why[256];        /* one sentence: "KVM booted the image's kernel twice in 0.4 s" or what was in the way */
	char hint[256];       /* what would give KVM; "" with KVM */
};

/* 0 with *ret filled, also when the answer is "no KVM": that is an answer. Errors only when the probe itself could not be
 * made (no QEMU, no memory). A cache that cannot be read or written is no error, it is as if there were none. */
int accel_prove(const struct accel_request *req, struct accel_proof *ret, struct err *err) MUST_CHECK;

#endif
