/* Folders that change hands between the launcher and a stage, walked without following a link. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "runner/jail.h"

#define DEPTH_MAX 64
#define LOOKED_AT_MAX 20000

struct walk {
	bool (*visit)(struct walk *w, int at, const char *name, const struct stat *st);
	uid_t uid;
	size_t seen;
};

static void close_all(DIR *(*open)[DEPTH_MAX])
{
	for (int i = 0; i < DEPTH_MAX; i++)
		if ((*open)[i])
			closedir((*open)[i]);
}

static DIR *enter(int at, const char *name)
{
	CLEANUP(cleanup_fd) int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir)
		(void)fd_take(&fd);
	return dir;
}

/* One name below open[depth]. False: it could not be visited. *depth: the folder to go on in. */
static bool step(struct walk *w, DIR **open, int *depth, const char *name)
{
	struct stat st;
	const int at = dirfd(open[*depth]);
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return true;
	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT; /* gone meanwhile */
	if (!w->visit(w, at, name, &st))
		return false;
	if (!S_ISDIR(st.st_mode))
		return true;
	if (*depth + 1 == DEPTH_MAX)
		return false;
	open[*depth + 1] = enter(at, name);
	*depth += open[*depth + 1] != NULL;
	return open[*depth] != NULL;
}

/* path and all below it; false as soon as one visit says so. */
static bool walk(struct walk *w, const char *path)
{
	CLEANUP(close_all) DIR *open[DEPTH_MAX] = {NULL};
	struct stat st;
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || !w->visit(w, AT_FDCWD, path, &st))
		return false;
	open[0] = enter(AT_FDCWD, path);
	for (int depth = 0; depth >= 0;) {
		const struct dirent *e = open[depth] ? readdir(open[depth]) : NULL;
		if (e) {
			if (!step(w, open, &depth, e->d_name))
				return false;
			continue;
		}
		if (!open[depth])
			return false;
		closedir(open[depth]);
		open[depth--] = NULL;
	}
	return true;
}

/* By a descriptor: between a look at a name and what is done to it, it may have become another file's. */
static bool give_file(struct walk *w, int at, const char *name)
{
	struct stat st;
	CLEANUP(cleanup_fd) int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !(S_ISDIR(st.st_mode) || S_ISREG(st.st_mode)))
		return false;
	if (st.st_uid != w->uid && fchown(fd, w->uid, w->uid) < 0)
		return false;
	const mode_t want = (st.st_mode | (st.st_mode & 0500) >> 3) & 0777;
	return !w->uid || want == (st.st_mode & 07777) || fchmod(fd, want) == 0;
}

static bool give(struct walk *w, int at, const char *name, const struct stat *st)
{
	if (S_ISDIR(st->st_mode) || S_ISREG(st->st_mode))
		return give_file(w, at, name);
	return st->st_uid == w->uid || fchownat(at, name, w->uid, w->uid, AT_SYMLINK_NOFOLLOW) == 0;
}

bool jail_give(const char *path, uid_t uid)
{
	struct walk w = {.visit = give, .uid = uid};
	return walk(&w, path);
}

static bool is_open(struct walk *w, int at, const char *name, const struct stat *st)
{
	(void)at;
	(void)name;
	const mode_t need = S_ISDIR(st->st_mode) ? 05 : 04;
	return ++w->seen <= LOOKED_AT_MAX && (S_ISLNK(st->st_mode) || (st->st_mode & need) == need);
}

bool jail_others_can_read(const char *path)
{
	struct walk w = {.visit = is_open};
	return walk(&w, path);
}
