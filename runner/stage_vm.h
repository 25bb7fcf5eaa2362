/* The vm stage: a process becomes QEMU inside the vm jail. Also used to prove an accelerator in that same jail (accel.h).
 * Must not know: jobs, messages. Links: base, jail, image. */
#ifndef TALKOO_RUNNER_STAGE_VM_H
#define TALKOO_RUNNER_STAGE_VM_H

#include <stddef.h>
#include <stdint.h>

#include "runner/image.h"
#include "runner/jail.h"

struct stage_vm {
	const struct jail_facts *facts;
	const char *mount_point;  /* jail.h */
	const struct image *image;
	char *const *argv;        /* argv[0]: QEMU's path */
	const int *fds;           /* that QEMU inherits, beside 0-2 */
	size_t fds_len;
	uint64_t file_bytes_max;  /* of its largest disk; 0: no limit */
	uint64_t cpu_seconds_max; /* 0: no limit */
	bool with_kvm;
	int msg_fd;               /* closed by the exec; -1: none */
};

/* Enters the jail and execs. Returns only on failure. */
int stage_vm_exec(const struct stage_vm *s, struct err *err);

#endif
