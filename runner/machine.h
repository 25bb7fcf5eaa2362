/* Machine profiles: what QEMU is told for each kind of machine, in one table. A struct goes in, QEMU's argument vector
 * with the guest kernel's command line comes out.
 *
 * Must not know: jobs, images, jails, processes. Pure, but for machine_tsc_khz() and machine_qemu_find(). Links: base.
 *
 * Every disk, QMP, the console and the log port are descriptors that QEMU inherits under the numbers given here (so
 * they must not be close-on-exec, and be 3 or more); kernel and initramfs are paths as QEMU sees them (in the jail;
 * "/proc/self/fd/N" works where there is a /proc). The vm stage execs the vector as it is: it opens nothing else but
 * QEMU's own libraries, its firmware folder, /dev/urandom's replacement getrandom(2) and, with KVM, /dev/kvm.
 * The guest sees seven virtio-blk disks in guest.h's order with their serials, one virtio-serial port GUEST_LOG_PORT, one
 * UART (ttyS0), virtio-rng. Never a network device. */
#ifndef TALKOO_RUNNER_MACHINE_H
#define TALKOO_RUNNER_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "runner/guest.h"
#include "runner/job.h"

#define MACHINE_PROFILES(X)                                                                                            \
	X(MACHINE_X86_64_Q35, 1, "q35", "x86_64")                                                                      \
	X(MACHINE_X86_64_MICROVM, 2, "microvm", "x86_64")

enum machine_profile {
#define X(name, value, text, arch) name = value,
	MACHINE_PROFILES(X)
#undef X
};

#define MACHINE_CPUS_MAX 64
#define MACHINE_MEMORY_MIN (128ull << 20)

struct machine {
	enum machine_profile profile;
	enum job_accel accel;      /* JOB_ACCEL_KVM or JOB_ACCEL_TCG; never auto */
	const char *qemu;          /* QEMU's path, becomes argv[0] */
	const char *firmware_dir;  /* -L; NULL = QEMU's own */
	uint32_t cpus;
	uint64_t memory_bytes;     /* rounded down to whole MiB */
	const char *kernel, *initramfs;
	int disk_fds[GUEST_DISKS_LEN]; /* by enum guest_disk; opened read-only where guest.h says ro, else read-write */
	int qmp_fd, console_fd, log_fd; /* connected stream sockets; qmp_fd -1: no QMP */
	uint32_t tsc_khz;          /* the host's, from machine_tsc_khz(); microvm refuses to be built without it */
	uint64_t slow;             /* factor for the steps' own timeouts; 0 and 1 = none */
	const char *shell;         /* "failed" or "always": init offers a shell on the shell port, whose socket is shell_fd; NULL, "": none */
	int shell_fd;
	bool probe;                /* the guest only says that it is up, then powers off (accel.h) */
};

struct machine_argv {
	char **argv; /* argv[len] is NULL; owned */
	size_t len;
};
void machine_argv_release(struct machine_argv *a);

/* Builds the vector. ERR_USAGE names the field that makes no sense (cpus 0, memory under MACHINE_MEMORY_MIN, a descriptor
 * below 3 or used twice, a path with a comma). */
int machine_argv(const struct machine *m, struct machine_argv *ret, struct err *err) MUST_CHECK;

/* The most memory that this machine's QEMU has a use for: the guest's, 256 MiB of its own, and the emulator's cache of translations. */
uint64_t machine_memory_max(const struct machine *m);

/* Whether the guest writes to this disk. */
bool machine_disk_is_read_only(enum guest_disk disk);

/* The profile that an arch's machines get on this host, or 0 when this build has none for it. Takes 5 ms. */
enum machine_profile machine_profile_default(const char *arch);
/* What is tried where a machine of this kind does not come up: another of the same architecture that needs no measured
 * counter, else p itself. */
enum machine_profile machine_profile_other(enum machine_profile p);
/* "q35"; "unknown". */
const char *machine_profile_name(enum machine_profile p);
bool machine_profile_parse(const char *text, enum machine_profile *ret);

/* Frequency of this host's time stamp counter in kHz, measured against the monotonic clock (5 ms); 0 where there is none.
 * Guests need it on microvm: their own calibration hangs when the host is busy. */
uint32_t machine_tsc_khz(void);
/* Path of the QEMU for an arch: TALKOO_QEMU, else the first of PATH and the usual folders. out: size bytes.
 * ERR_NOT_FOUND with the package's name in the hint. */
int machine_qemu_find(const char *arch, char *out, size_t size, struct err *err) MUST_CHECK;

#endif
