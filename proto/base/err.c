#include "proto/base/err.h"

#include <errno.h>
#include <string.h>

/* The code that this thread set last: `return err_hint(err, …)` behind err_set(err, CODE, …) must give CODE also to a caller that
 * wants no sentence. Nothing else reads it. */
static _Thread_local int last_code = ERR_BUG;

int err_set(struct err *err, int code, const char *fmt, ...)
{
	last_code = code;
	if (!err)
		return code;
	char what[sizeof err->what]; /* an argument may be err->what itself */
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	memcpy(err->what, what, sizeof what);
	err->code = code;
	err->hint[0] = 0;
	return code;
}

int err_errno(struct err *err, int errno_value, const char *fmt, ...)
{
	const int code = errno_value == ENOMEM ? ERR_NOMEM : ERR_IO;
	last_code = code;
	if (!err)
		return code;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(err->what, sizeof err->what, fmt, ap);
	va_end(ap);
	const size_t used = strlen(err->what);
	snprintf(err->what + used, sizeof err->what - used, ": %s", strerror(errno_value));
	err->code = code;
	err->hint[0] = 0;
	return code;
}

int err_hint(struct err *err, const char *fmt, ...)
{
	if (!err)
		return last_code;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(err->hint, sizeof err->hint, fmt, ap);
	va_end(ap);
	return err->code;
}

int err_context(struct err *err, const char *fmt, ...)
{
	if (!err)
		return last_code;
	char text[sizeof err->what];
	va_list ap;
	va_start(ap, fmt);
	int used = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (used < 0 || (size_t)used >= sizeof text)
		used = (int)sizeof text - 1;
	snprintf(text + used, sizeof text - (size_t)used, ": %s", err->what);
	memcpy(err->what, text, sizeof text);
	return err->code;
}

const char *err_code_name(int code)
{
	switch (code) {
#define X(name, value, text)                                                                                           \
	case value: return text;
		ERR_CODES(X)
#undef X
	}
	return "unknown";
}

void err_print(const struct err *err, FILE *out)
{
	fprintf(out, "error: %s\n", err->what);
	if (err->hint[0])
		fprintf(out, "hint: %s\n", err->hint);
}
