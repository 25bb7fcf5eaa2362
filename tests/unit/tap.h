/* The unit tests' ok/not ok lines (TAP). main() ends with `return tap_done();`. */
#ifndef TALKOO_TESTS_TAP_H
#define TALKOO_TESTS_TAP_H

#include <stdbool.h>
#include <stddef.h>

/* One result line; a failure also names file and line. Returns ok. */
bool tap_ok(bool ok, const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
bool tap_streq(const char *got, const char *want, const char *file, int line, const char *what);
bool tap_inteq(long long got, long long want, const char *file, int line, const char *what);
bool tap_memeq(const void *got, const void *want, size_t len, const char *file, int line, const char *what);
/* Counts one test as skipped. */
void tap_skip(const char *why);
/* Prints the plan; 0 if nothing failed and something ran. */
int tap_done(void);
/* TALKOO_VECTORS/name, or NULL (counted as skipped, saying which) when that file is absent. Static storage. */
const char *tap_vector_file(const char *name);
/* TALKOO_SRCDIR/name. Static storage, one at a time. */
const char *tap_source_file(const char *name);

#define OK(cond, ...) tap_ok((cond), __FILE__, __LINE__, __VA_ARGS__)
#define STREQ(got, want) tap_streq((got), (want), __FILE__, __LINE__, #got)
#define INTEQ(got, want) tap_inteq((long long)(got), (long long)(want), __FILE__, __LINE__, #got)
#define MEMEQ(got, want, len) tap_memeq((got), (want), (len), __FILE__, __LINE__, #got)

#endif
