#include "node/cli/workplace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "node/config.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"

#define RUN_PREFIX "run-"
#define KEPT_PREFIX "kept-"
#define SWEEP_AGE_S 60 /* younger than that may not have its lock yet */

static int below(char out[PATH_MAX], const char *folder, const char *name, struct err *err)
{
	if (snprintf(out, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
		return err_set(err, ERR_LIMIT, "%s/%s: the path is too long", folder, name);
	return 0;
}

/* The person's own state folder, when the node that was found is the system's and not theirs to write. */
static int own_state(char out[PATH_MAX], struct err *err)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	if (state && *state == '/')
		return below(out, state, "talkoo", err);
	if (home && *home == '/')
		return below(out, home, ".local/state/talkoo", err);
	err_set(err, ERR_USAGE, "HOME is not set");
	return err_hint(err, "set it, or name a folder with --home");
}

int workplace_find(const char *home_option, struct workplace *ret, struct err *err)
{
	struct workplace w = {0};
	int code = home_find(home_option, &w.home, err);
	if (code)
		return code;
	struct config config;
	struct config_machine machine;
	config_machine(&machine);
	config_defaults(&machine, &config);
	if (home_is_made(&w.home)) {
		code = config_load(&w.home, &config, err);
		if (code)
			return code;
	}
	w.images_cap_bytes = config.caps.images_bytes;
	memcpy(w.images, w.home.images, sizeof w.images);
	memcpy(w.mirrors, w.home.mirrors, sizeof w.mirrors);
	memcpy(w.caches, w.home.caches, sizeof w.caches);
	memcpy(w.fetched, w.home.fetched, sizeof w.fetched);
	memcpy(w.accel_cache, w.home.accel_cache, sizeof w.accel_cache);
	if (w.home.kind != HOME_SYSTEM || !access(w.home.state, W_OK)) {
		code = below(w.runs, w.home.state, "runs", err);
	} else {
		char state[PATH_MAX];
		code = own_state(state, err);
		if (!code)
			code = below(w.runs, state, "runs", err);
		if (!code)
			code = below(w.mirrors, state, "mirrors", err);
		if (!code)
			code = below(w.caches, state, "caches", err);
		if (!code)
			code = below(w.fetched, state, "fetched", err);
		if (!code)
			code = below(w.accel_cache, state, "accel.json", err);
		if (!code && access(w.images, R_OK | X_OK))
			code = below(w.images, state, "images", err);
	}
	if (!code)
		*ret = w;
	return code;
}

static void sweep_one(const char *runs, const char *name)
{
	char path[PATH_MAX];
	struct stat st;
	if (below(path, runs, name, NULL))
		return;
	CLEANUP(cleanup_fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || time(NULL) - st.st_mtime < SWEEP_AGE_S || flock(fd, LOCK_EX | LOCK_NB))
		return;
	if (io_remove_tree(path, NULL))
		return; /* the next run tries again */
}

static void sweep(const char *runs)
{
	DIR *dir = opendir(runs);
	if (!dir)
		return;
	for (const struct dirent *entry; (entry = readdir(dir));)
		if (!strncmp(entry->d_name, RUN_PREFIX, sizeof RUN_PREFIX - 1))
			sweep_one(runs, entry->d_name);
	closedir(dir);
}

int workplace_run_new(const struct workplace *w, struct workplace_run *ret, struct err *err)
{
	struct workplace_run run = {.lock_fd = -1};
	int code = io_mkdirs(w->runs, 0700, err);
	if (code)
		return code;
	sweep(w->runs);
	code = below(run.folder, w->runs, RUN_PREFIX "XXXXXX", err);
	if (code)
		return code;
	if (!mkdtemp(run.folder))
		return err_errno(err, errno, "cannot make a folder in %s", w->runs);
	run.lock_fd = open(run.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (run.lock_fd < 0 || flock(run.lock_fd, LOCK_EX | LOCK_NB)) {
		code = err_errno(err, errno, "cannot lock %s", run.folder);
		workplace_run_release(&run);
		return code;
	}
	*ret = run;
	return 0;
}

int workplace_run_keep(struct workplace_run *run, struct err *err)
{
	char kept[PATH_MAX];
	const char *slash = strrchr(run->folder, '/');
	const char *random = slash + sizeof RUN_PREFIX; /* behind "/run-" */
	if (snprintf(kept, sizeof kept, "%.*s" KEPT_PREFIX "%s", (int)(slash + 1 - run->folder), run->folder, random) >=
	    (int)sizeof kept)
		return err_set(err, ERR_LIMIT, "%s: the path is too long", run->folder);
	if (rename(run->folder, kept))
		return err_errno(err, errno, "cannot rename %s to %s", run->folder, kept);
	memcpy(run->folder, kept, sizeof kept);
	return 0;
}

void workplace_run_release(struct workplace_run *run)
{
	const char *slash = strrchr(run->folder, '/');
	if (slash && !strncmp(slash + 1, RUN_PREFIX, sizeof RUN_PREFIX - 1) && io_remove_tree(run->folder, NULL))
		fprintf(stderr, "note: %s could not be removed whole\n", run->folder);
	cleanup_fd(&run->lock_fd);
	*run = (struct workplace_run){.lock_fd = -1};
}
