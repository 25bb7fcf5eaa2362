/* Boots one machine for a test: QEMU from runner/machine.h, hand-made disks, the frames read into a struct.
 * No jail, no supervisor: what is under test is the guest and the machine. */
#ifndef TALKOO_TESTS_VM_VM_H
#define TALKOO_TESTS_VM_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "runner/machine.h"
#include "tests/vm/vm_tar.h"

#define VM_STEPS_MAX 8

/* What goes in. Texts that are NULL are left out. */
struct vm_spec {
	enum machine_profile profile;
	const char *kernel, *initramfs;
	const char *root;                    /* squashfs file */
	const char *shell;                   /* "sh" */
	const char *steps[VM_STEPS_MAX];     /* scripts, NULL ends */
	const char *env;                     /* NAME=VALUE\n… */
	const char *globs;
	const char *kernel_mode;             /* "probe" or "off" behind "--" */
	const struct buf *source;            /* tar */
	uint64_t memory_bytes, scratch_bytes, artifact_disk_bytes;
	uint64_t artifact_bytes, artifact_count; /* limits in the plan */
	uint32_t cpus;
	unsigned deadline_ms;
	bool ack_late;                       /* never acknowledges FRAME_DONE */
};

/* What came out. Times in ms since QEMU's exec; 0 = did not happen. */
struct vm_result {
	bool hello, done, is_partial, was_killed, protocol_broken;
	int exit_status;                     /* QEMU's */
	struct buf output[VM_STEPS_MAX];
	int limit;                           /* enum guest_limit that a step met; 0: none */
	int exit_codes[VM_STEPS_MAX];        /* -1: never ended */
	unsigned started, ended, stats;
	struct buf notes, error, console, artifacts;
	uint64_t tar_bytes, last_memory;
	unsigned hello_ms, first_step_ms, done_ms, exit_ms;
	uint64_t output_bytes;
};
void vm_result_release(struct vm_result *r);

/* Defaults: this host's profile, the image in TALKOO_TEST_IMAGES/mini@1, 1 cpu, 512 MiB, 1 GiB scratch, 16 MiB artifacts, 60 s. */
struct vm_spec vm_spec_default(void);
/* 0, or -1 with a line on stderr when the machine could not even be started. */
int vm_run(const struct vm_spec *spec, struct vm_result *ret);

#endif
