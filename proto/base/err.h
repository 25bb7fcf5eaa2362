/* Errors: a code, a sentence saying what failed and why, and a hint saying what to do.
 *
 * A function that can fail returns 0 or a negative enum err_code and takes `struct err *err` last; err may be NULL.
 * Expected outcomes (duplicate, refused, stale) are not errors: they are values of their own enums.
 * What a person reads is printed by err_print(): "error: WHAT" and, where there is one, "hint: HINT".
 * Must not know: who reads it, exit codes (node/cli maps those). */
#ifndef TALKOO_BASE_ERR_H
#define TALKOO_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#define ERR_CODES(X)                                                                                                   \
	X(ERR_USAGE, -1, "usage")         /* the caller asked for something that makes no sense */                     \
	X(ERR_INVALID, -2, "invalid")     /* bytes or text that break their format */                                  \
	X(ERR_LIMIT, -3, "limit")         /* a ceiling was reached */                                                  \
	X(ERR_IO, -4, "io")               /* the system refused: errno is in the sentence */                           \
	X(ERR_NOMEM, -5, "memory")        /* out of memory */                                                          \
	X(ERR_NOT_FOUND, -6, "not-found") /* no such thing */                                                          \
	X(ERR_AMBIGUOUS, -7, "ambiguous") /* a prefix that fits more than one */                                       \
	X(ERR_REFUSED, -8, "refused")     /* a rule forbids it */                                                      \
	X(ERR_UNREACHABLE, -9, "unreachable") /* nobody answers there */                                               \
	X(ERR_TIMEOUT, -10, "timeout")    /* no answer in time */                                                      \
	X(ERR_UNSUPPORTED, -11, "unsupported") /* this machine or build cannot */                                      \
	X(ERR_BUG, -12, "bug")            /* ours */

enum err_code {
#define X(name, value, text) name = value,
	ERR_CODES(X)
#undef X
};

struct err {
	int code; /* 0 or an enum err_code */
	char what[512];
	char hint[512];
};

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))

/* Sets code and sentence, clears the hint. Returns code, so that `return err_set(...)` reads well. err may be NULL. */
int err_set(struct err *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Like err_set with ": strerror(errno_value)" behind the sentence; ENOMEM becomes ERR_NOMEM, else ERR_IO. */
int err_errno(struct err *err, int errno_value, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Adds the hint. Returns err's code; where err is NULL that of this thread's last err_set() or err_errno(), so that behind one of
 * them `return err_hint(err, …)` always returns its code. */
int err_hint(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Puts "CONTEXT: " before the sentence. Returns err's code, NULL as for err_hint(). */
int err_context(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "usage", "invalid", …; "unknown" for anything else. Static storage. */
const char *err_code_name(int code);
/* "error: WHAT\n" and "hint: HINT\n". */
void err_print(const struct err *err, FILE *out);

#endif
