/* The daemon's log: one line an event, `key=value`, to one descriptor. The layer that decides logs once; pure code
 * returns reasons instead. Foreign text goes through log_text(). Never keys, tokens or whole payloads. */
#ifndef TALKOO_BASE_LOG_H
#define TALKOO_BASE_LOG_H

#include "proto/base/err.h"

enum log_level { LOG_DEBUG = 1, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Before any thread starts. fd stays the caller's; name is put on every line (static storage). */
void log_setup(int fd, enum log_level least, const char *name);
/* fmt without a newline, for example "event=job-start job=%s". Lines are cut at 1,024 bytes. Thread-safe. */
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Foreign text made safe for a log value: control and non-ASCII bytes become '?', cut at size-1. Returns out. */
const char *log_text(char *out, size_t size, const char *foreign);

#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)

#endif
