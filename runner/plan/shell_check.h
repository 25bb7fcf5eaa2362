/* Asks a shell what it thinks of scripts, with -n: it reads them, it executes nothing. Many scripts are read by one shell,
 * each as a file of its own; those it objects to, and few, by a shell each: two scripts in one file could close each
 * other's quotes.
 *
 * The script is the shell's standard input (a memfd), never a part of a command line. */
#ifndef TALKOO_RUNNER_SHELL_CHECK_H
#define TALKOO_RUNNER_SHELL_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

enum shell_kind {
	SHELL_ASH = 1, /* busybox ash; dash or the system's sh where there is none */
	SHELL_BASH,
};

enum shell_status {
	SHELL_OK = 1,
	SHELL_REFUSED, /* a syntax error: text, line */
	SHELL_WARNED,  /* it would run, the shell has doubts: text, line */
	SHELL_HUNG,    /* no answer before the deadline: text */
};

struct shell_result {
	enum shell_status status;
	uint32_t line;  /* of the script, from 1; 0 = not said. May be one past the last */
	char text[256]; /* the shell's own words without its name and the line; not safe to print */
};

/* Checks scripts[0..len) into results[0..len). deadline_ms: for each. *ret_shell: which shell it was, static.
 * ERR_UNSUPPORTED: none of them is here; ERR_IO, ERR_NOMEM. */
int shell_check(enum shell_kind kind, const char *const *scripts, size_t len, unsigned deadline_ms,
		struct shell_result *results, const char **ret_shell, struct err *err) MUST_CHECK;

#endif
