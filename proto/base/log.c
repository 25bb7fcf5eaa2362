#include "proto/base/log.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

/* The one mutable global of the program: set before any thread starts, read-only afterwards. */
static struct {
	int fd;
	enum log_level least;
	const char *name;
} log_state = {.fd = STDERR_FILENO, .least = LOG_INFO, .name = "talkoo"};

void log_setup(int fd, enum log_level least, const char *name)
{
	log_state.fd = fd;
	log_state.least = least;
	log_state.name = name;
}

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_DEBUG: return "debug";
	case LOG_INFO: return "info";
	case LOG_WARN: return "warn";
	case LOG_ERROR: return "error";
	}
	return "?";
}

void log_line(enum log_level level, const char *fmt, ...)
{
	if (level < log_state.least)
		return;
	char line[1024];
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	struct tm utc;
	gmtime_r(&now.tv_sec, &utc);
	size_t used = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
	used += (size_t)snprintf(line + used, sizeof line - used, ".%03ldZ %s %s ", now.tv_nsec / 1000000, log_state.name,
				 level_name(level));
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line + used, sizeof line - used - 1, fmt, ap);
	va_end(ap);
	used = strlen(line);
	line[used++] = '\n';
	if (write(log_state.fd, line, used) < 0) {
		/* nowhere left to say it */
	}
}

const char *log_text(char *out, size_t size, const char *foreign)
{
	size_t n = 0;
	for (; foreign[n] && n + 1 < size; n++)
		out[n] = foreign[n] >= 0x21 && foreign[n] < 0x7f ? foreign[n] : '?';
	out[n] = 0;
	return out;
}
