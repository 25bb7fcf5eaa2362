#include "runner/gitlib.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/cleanup.h"

#define CACHE_BYTES (16 << 20)
#define WINDOW_BYTES (32u << 20)  /* of a pack that is mapped at once */
#define WINDOWS_BYTES (512u << 20) /* of all packs together: the address space is limited */

int gitlib_setup(struct err *err)
{
	if (git_libgit2_init() < 0)
		return gitlib_err(err, -1, "cannot start libgit2");
	static const git_config_level_t levels[] = {GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM, GIT_CONFIG_LEVEL_XDG,
						    GIT_CONFIG_LEVEL_GLOBAL};
	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		if (git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "") < 0)
			return gitlib_err(err, -1, "cannot leave out git's configuration");
	if (git_libgit2_opts(GIT_OPT_SET_TEMPLATE_PATH, "") < 0 || git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0) < 0 ||
	    git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, (ssize_t)CACHE_BYTES) < 0 ||
	    git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, (size_t)WINDOW_BYTES) < 0 ||
	    git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, (size_t)WINDOWS_BYTES) < 0)
		return gitlib_err(err, -1, "cannot set up libgit2");
	return 0;
}

int gitlib_err(struct err *err, int git_code, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	const git_error *last = git_error_last();
	int code = ERR_INVALID;
	if (git_code == GIT_ENOTFOUND)
		code = ERR_NOT_FOUND;
	else if (git_code == GIT_EAMBIGUOUS)
		code = ERR_AMBIGUOUS;
	else if (last && last->klass == GIT_ERROR_NOMEMORY)
		code = ERR_NOMEM;
	else if (last && last->klass == GIT_ERROR_OS)
		code = ERR_IO;
	return err_set(err, code, "%s: %s", text, last && last->message ? last->message : "no reason was given");
}
