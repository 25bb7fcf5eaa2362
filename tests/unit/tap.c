#include "tests/unit/tap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int tests_run, tests_failed;

bool tap_ok(bool ok, const char *file, int line, const char *fmt, ...)
{
	char what[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	for (char *p = what; *p; p++)
		if (*p == '\n' || *p == '#')
			*p = ' ';
	printf("%sok %d - %s\n", ok ? "" : "not ", ++tests_run, what);
	if (!ok) {
		tests_failed++;
		printf("# at %s:%d\n", file, line);
	}
	fflush(stdout);
	return ok;
}

bool tap_streq(const char *got, const char *want, const char *file, int line, const char *what)
{
	const bool same = got && want ? !strcmp(got, want) : got == want;
	tap_ok(same, file, line, "%s", what);
	if (!same)
		printf("#   got: %s\n#  want: %s\n", got ? got : "(null)", want ? want : "(null)");
	return same;
}

bool tap_inteq(long long got, long long want, const char *file, int line, const char *what)
{
	tap_ok(got == want, file, line, "%s", what);
	if (got != want)
		printf("#   got: %lld\n#  want: %lld\n", got, want);
	return got == want;
}

bool tap_memeq(const void *got, const void *want, size_t len, const char *file, int line, const char *what)
{
	const bool same = !len || !memcmp(got, want, len);
	tap_ok(same, file, line, "%s", what);
	if (!same) {
		printf("#   got: ");
		for (size_t i = 0; i < len && i < 64; i++)
			printf("%02x", ((const unsigned char *)got)[i]);
		printf("\n#  want: ");
		for (size_t i = 0; i < len && i < 64; i++)
			printf("%02x", ((const unsigned char *)want)[i]);
		printf("\n");
	}
	return same;
}

void tap_skip(const char *why)
{
	printf("ok %d # SKIP %s\n", ++tests_run, why);
}

int tap_done(void)
{
	printf("1..%d\n", tests_run);
	return tests_failed || !tests_run;
}

const char *tap_vector_file(const char *name)
{
	static char path[1024];
	const char *folder = getenv("TALKOO_VECTORS");
	snprintf(path, sizeof path, "%s/%s", folder ? folder : "../shared/vectors", name);
	if (!access(path, R_OK))
		return path;
	char why[1200];
	snprintf(why, sizeof why, "no %s", path);
	tap_skip(why);
	return NULL;
}

const char *tap_source_file(const char *name)
{
	static char path[1024];
	const char *folder = getenv("TALKOO_SRCDIR");
	snprintf(path, sizeof path, "%s/%s", folder ? folder : ".", name);
	return path;
}
