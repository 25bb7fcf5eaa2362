/* The person's terminal while a shell runs in the machine: raw, its keys (Ctrl-C too) and its size go to the shell, what the shell shows
 * comes back. What comes is the machine's and goes to the terminal as it is, as with any remote shell; only `talkoo run --shell` asks for it.
 *
 * Must not know: jobs, the runner. Links: base, shellwire. */
#ifndef TALKOO_CLI_SHELLTERM_H
#define TALKOO_CLI_SHELLTERM_H

#include "proto/base/err.h"

#define SHELLTERM_LEAVE 0x1d /* Ctrl-]: ends the shell even when it does not answer */

/* Whether there is a terminal. ERR_USAGE with a hint. */
int shellterm_check(struct err *err) MUST_CHECK;
/* Until the shell ends, the machine is gone, SHELLTERM_LEAVE is typed, or wake_fd can be read. fd: a connected stream socket whose other
 * end is the machine's shell port. ERR_IO; the terminal is as it was in every case. */
int shellterm_run(int fd, int wake_fd, struct err *err) MUST_CHECK;

#endif
