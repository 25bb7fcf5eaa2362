#include "node/home.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"

static int path_set(char out[PATH_MAX], struct err *err, const char *fmt, ...) PRINTF_LIKE(3, 4);

static int path_set(char out[PATH_MAX], struct err *err, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	const int n = vsnprintf(out, PATH_MAX, fmt, args);
	va_end(args);
	if (n < 0 || n >= PATH_MAX)
		return err_set(err, ERR_LIMIT, "path of the node's home is too long");
	return 0;
}

static bool exists(const char *path)
{
	struct stat st;
	return !stat(path, &st);
}

static const char *env_nonempty(const char *name)
{
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

/* A folder from an XDG variable (only absolute ones count, as that specification says), else below $HOME. */
static int xdg_folder(char out[PATH_MAX], const char *variable, const char *below_home, struct err *err)
{
	const char *base = env_nonempty(variable);
	if (base && *base == '/')
		return path_set(out, err, "%s/talkoo", base);
	const char *user_home = env_nonempty("HOME");
	if (!user_home || *user_home != '/') {
		err_set(err, ERR_USAGE, "cannot tell where this user's node lives: HOME is not set");
		return err_hint(err, "name a folder with --home DIR or TALKOO_HOME");
	}
	return path_set(out, err, "%s/%s/talkoo", user_home, below_home);
}

static int folders_of_dir(const char *dir, struct home *h, struct err *err)
{
	h->kind = HOME_DIR;
	char absolute[PATH_MAX];
	if (*dir == '/') {
		if (path_set(absolute, err, "%s", dir))
			return ERR_LIMIT;
	} else {
		char cwd[PATH_MAX];
		if (!getcwd(cwd, sizeof cwd))
			return err_set(err, ERR_IO, "cannot tell the current folder");
		if (path_set(absolute, err, "%s/%s", cwd, dir))
			return ERR_LIMIT;
	}
	for (size_t len = strlen(absolute); len > 1 && absolute[len - 1] == '/'; len--)
		absolute[len - 1] = 0;
	int rc = path_set(h->config, err, "%s", absolute);
	if (!rc)
		rc = path_set(h->state, err, "%s/state", absolute);
	return rc ? rc : path_set(h->run, err, "%s/run", absolute);
}

static int folders_of_user(struct home *h, struct err *err)
{
	h->kind = HOME_USER;
	int rc = xdg_folder(h->config, "XDG_CONFIG_HOME", ".config", err);
	if (!rc)
		rc = xdg_folder(h->state, "XDG_STATE_HOME", ".local/state", err);
	if (rc)
		return rc;
	const char *runtime = env_nonempty("XDG_RUNTIME_DIR");
	if (runtime && *runtime == '/')
		return path_set(h->run, err, "%s/talkoo", runtime);
	return path_set(h->run, err, "%s/run", h->state);
}

static int folders_of_system(struct home *h, struct err *err)
{
	h->kind = HOME_SYSTEM;
	const char *prefix = env_nonempty("TALKOO_SYSTEM_PREFIX");
	prefix = prefix ? prefix : "";
	int rc = path_set(h->config, err, "%s/etc/talkoo", prefix);
	if (!rc)
		rc = path_set(h->state, err, "%s/var/lib/talkoo", prefix);
	return rc ? rc : path_set(h->run, err, "%s/run/talkoo", prefix);
}

static int choose_folders(const char *dir, struct home *h, struct err *err)
{
	if (dir && !*dir)
		return err_set(err, ERR_USAGE, "--home needs a folder");
	dir = dir ? dir : env_nonempty("TALKOO_HOME");
	if (dir)
		return folders_of_dir(dir, h, err);
	struct home system;
	int rc = folders_of_system(&system, err);
	if (rc)
		return rc;
	rc = folders_of_user(h, err);
	if (!rc && exists(h->config))
		return 0;
	if (exists(system.config))
		return folders_of_system(h, err);
	return rc;
}

static int fill_paths(struct home *h, struct err *err)
{
	const struct {
		char *out;
		const char *folder, *name;
	} paths[] = {
		{h->policy_dir, h->config, "policy.d"},
		{h->images, h->state, "images"},
		{h->mirrors, h->state, "mirrors"},
		{h->caches, h->state, "caches"},
		{h->fetched, h->state, "fetched"},
		{h->jobs, h->state, "jobs"},
		{h->blobs, h->state, "blobs"},
		{h->config_file, h->config, "config.yml"},
		{h->policy_file, h->config, "policy.yml"},
		{h->policy_cli, h->config, "policy.d/cli.yml"},
		{h->key, h->state, "key"},
		{h->database, h->state, "talkoo.db"},
		{h->log, h->state, "talkood.log"},
		{h->accel_cache, h->state, "accel.json"},
		{h->socket, h->run, "control.sock"},
		{h->lock, h->state, "lock"},
	};
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		const int rc = path_set(paths[i].out, err, "%s/%s", paths[i].folder, paths[i].name);
		if (rc)
			return rc;
	}
	if (strlen(h->socket) >= sizeof ((struct sockaddr_un *)0)->sun_path) {
		err_set(err, ERR_LIMIT, "%s: too long for a socket (107 bytes)", h->socket);
		return err_hint(err, "name a folder with a shorter path by --home or TALKOO_HOME");
	}
	return 0;
}

int home_find(const char *dir, struct home *ret, struct err *err)
{
	CLEANUP(cleanup_free) struct home *h = calloc(1, sizeof *h);
	if (!h)
		return err_set(err, ERR_NOMEM, "out of memory");
	int rc = choose_folders(dir, h, err);
	if (!rc)
		rc = fill_paths(h, err);
	if (!rc)
		*ret = *h;
	return rc;
}

bool home_is_made(const struct home *h)
{
	return exists(h->key) && exists(h->config_file);
}

int home_make_folders(const struct home *h, struct err *err)
{
	const char *const folders[] = {h->config, h->state,   h->run,  h->policy_dir,
				       h->images, h->mirrors, h->caches, h->fetched, h->jobs, h->blobs};
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		const int rc = io_mkdirs(folders[i], 0700, err);
		if (rc)
			return rc;
	}
	return 0;
}
