/* The guest contract between pack, vm and talkoo-init: disks and the plan tar. (ARCHITECTURE 6.)
 *
 * Disks: raw virtio-blk, always all attached, in this order and found by serial. An empty one is one zero sector.
 * Plan tar (on GUEST_DISK_PLAN), ustar, regular files only:
 *   version        "1\n"
 *   shell          "auto\n", "sh\n" or "bash\n": what runs the steps (auto: /bin/bash where the guest has it, else /bin/sh: ash in
 *                  mini). `set -euo pipefail` is put before
 *   env            NAME=VALUE, each ended by a 0 byte; exported to every step
 *   globs          artifact globs, relative to /ci/src or absolute below /ci/artifacts, each ended by a newline
 *   cache          only where the plan keeps one: paths relative to /ci/src that are kept with /ci/cache, each ended by a newline
 *   steps/NNN.name one line; steps/NNN.run the script; steps/NNN.rules where there are any, lines of: "needs N N…" (indices of
 *                  earlier steps; may be none; without the line it needs the step before it), "if failed" (only when a step
 *                  failed, after all others), "timeout_ms N"
 *   limits         "artifact_bytes N\nartifact_count N\n"
 * What lies in /ci/artifacts is collected always; what the globs name is copied there under its path in the source. */
#ifndef TALKOO_RUNNER_GUEST_H
#define TALKOO_RUNNER_GUEST_H

#define GUEST_DISKS(X)                                                                                                 \
	X(GUEST_DISK_ROOT, 0, "root")           /* vda, ro: squashfs, ext4, partitions with one, or a zero sector */   \
	X(GUEST_DISK_PLAN, 1, "plan")           /* vdb, ro: plan tar */                                                \
	X(GUEST_DISK_SOURCE, 2, "source")       /* vdc, ro: canonical source tar */                                    \
	X(GUEST_DISK_ARTIFACTS, 3, "artifacts") /* vdd, rw: init writes a tar */                                       \
	X(GUEST_DISK_CACHE, 4, "cache")         /* vde, rw: tar in, tar out (FRAME_CACHE) */                                         \
	X(GUEST_DISK_DEPS, 5, "deps")           /* vdf, ro: tar */                                                     \
	X(GUEST_DISK_SCRATCH, 6, "scratch")     /* vdg, rw: sparse, formatted by init */

enum guest_disk {
#define X(name, value, serial) name = value,
	GUEST_DISKS(X)
#undef X
	GUEST_DISKS_LEN = 7
};

/* An argument of init (behind the kernel line's --): GUEST_SLOW "N" multiplies the steps' own timeouts by N. */
#define GUEST_SLOW "slow="
/* GUEST_SHELL "failed" or "always": at home, when a person is to get a shell in the machine (guest/shell.h), on a port of its own. */
#define GUEST_SHELL "shell="
#define GUEST_SHELL_PORT "talkoo.shell"
#define GUEST_LOG_PORT "talkoo.log" /* virtserialport name: /sys/class/virtio-ports/.../name */

#endif
