/* What every Linux init does first: the kernel's own file systems, modules, names, loopback; and how it ends.
 * Must not know: jobs, frames. */
#ifndef TALKOO_RUNNER_GUEST_SYSTEM_H
#define TALKOO_RUNNER_GUEST_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

/* Milliseconds since boot. */
uint64_t system_now_ms(void);
/* First line of a small file, without its newline; false when it cannot be read. */
bool system_read_line(const char *path, char *out, size_t size);

/* Mounts /proc, /sys, /dev, /dev/pts, /dev/shm, /run; takes /dev/console as descriptors 0 to 2. */
int system_mounts(struct err *err) MUST_CHECK;
/* Loads those modules that folder/modules lists, in that order. A line is "FILE WHEN"; a WHEN other than
 * `when` is left out. Already there, or no such hardware, is fine. */
int system_load_modules(const char *folder, const char *when, struct err *err) MUST_CHECK;
/* Host name, loopback up, Ctrl-Alt-Del off. What fails of it is no matter. */
void system_identity(void);

/* How gladly the kernel ends the calling process when memory is short: -1000 to 1000. */
void system_oom_score(const char *score);

/* Powers off; where the machine cannot, resets it (the host runs QEMU with -no-reboot). */
void system_off(void) __attribute__((noreturn));

#endif
