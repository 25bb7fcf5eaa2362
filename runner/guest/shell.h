/* A shell in the machine for the person who runs it at home (`talkoo run --shell`): a terminal of the guest's own, whose other end is
 * the shell port. What a step leaves behind for it is its folder and its environment.
 *
 * Must not know: frames of the log, which steps there are. */
#ifndef TALKOO_RUNNER_GUEST_SHELL_H
#define TALKOO_RUNNER_GUEST_SHELL_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/base/err.h"

enum shell_when {
	SHELL_NEVER = 0,
	SHELL_FAILED, /* once a step failed, before the steps for failures */
	SHELL_ALWAYS, /* and once all have passed */
};

/* "failed", "always"; anything else is never. */
enum shell_when shell_when_of(const char *text);

/* What stands before a step's script, on its first line: when the script ends it leaves its folder and what it exports at NOTES.cwd
 * and NOTES.env. Its exit code stays. out: size bytes. */
void shell_trap(char *out, size_t size, const char *notes);

/* Blocks until the shell has ended, or the person is gone. program: the shell; env: of the step; notes: as given to shell_trap(), "" =
 * none. Whatever the shell started may still run. ERR_NOT_FOUND without a port, ERR_IO. */
int shell_run(const char *program, char **env, const char *notes, struct err *err) MUST_CHECK;

#endif
