#include "runner/mirror.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/io.h"

#define LOCK_NAME "talkoo.lock"
static const char config_text[] = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";

static void cleanup_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int join(char out[PATH_MAX], const char *folder, const char *name, struct err *err)
{
	if ((size_t)snprintf(out, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
		return err_set(err, ERR_LIMIT, "mirror %.200s: path too long", folder);
	return 0;
}

static int remove_content(const char *folder, struct err *err)
{
	CLEANUP(cleanup_dir) DIR *dir = opendir(folder);
	if (!dir)
		return err_errno(err, errno, "cannot read the mirror %s", folder);
	for (struct dirent *d; (d = readdir(dir));) {
		char path[PATH_MAX];
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, "..") || !strcmp(d->d_name, LOCK_NAME))
			continue;
		int e = join(path, folder, d->d_name, err);
		if (!e)
			e = io_remove_tree(path, err);
		if (e)
			return e;
	}
	return 0;
}

static bool has_suffix(const char *text, const char *suffix)
{
	const size_t len = strlen(text), tail = strlen(suffix);
	return len > tail && !strcmp(text + len - tail, suffix);
}

/* Removes what a killed fetch left of its pack; the size of the others. */
static uint64_t sweep_packs(const char *mirror)
{
	char folder[PATH_MAX];
	if (join(folder, mirror, "objects/pack", NULL))
		return 0;
	CLEANUP(cleanup_dir) DIR *dir = opendir(folder);
	uint64_t bytes = 0;
	for (struct dirent *d; dir && (d = readdir(dir));) {
		struct stat st;
		if (fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) || S_ISDIR(st.st_mode))
			continue;
		if (S_ISREG(st.st_mode) && (has_suffix(d->d_name, ".pack") || has_suffix(d->d_name, ".idx")))
			bytes += (uint64_t)st.st_size;
		else
			unlinkat(dirfd(dir), d->d_name, 0);
	}
	return bytes;
}

static int make(struct mirror *m, struct err *err)
{
	git_repository_init_options options = GIT_REPOSITORY_INIT_OPTIONS_INIT;
	options.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_NO_REINIT;
	CLEANUP(gitlib_repository_release) git_repository *repo = NULL;
	const int e = git_repository_init_ext(&repo, m->path, &options);
	return e ? gitlib_err(err, e, "cannot make the mirror %.200s", m->path) : 0;
}

static int open_repo(struct mirror *m, struct err *err)
{
	char path[PATH_MAX];
	int e = join(path, m->path, "config", err);
	if (!e)
		e = io_replace_file(path, config_text, sizeof config_text - 1, 0600, err);
	if (!e)
		e = join(path, m->path, "objects/info/alternates", err);
	if (e)
		return e;
	unlink(path);
	const int g = git_repository_open_bare(&m->repo, m->path);
	return g ? gitlib_err(err, g, "cannot open the mirror %.200s", m->path) : 0;
}

int mirror_reset(struct mirror *m, struct err *err)
{
	git_repository_free(m->repo);
	m->repo = NULL;
	int e = remove_content(m->path, err);
	if (!e)
		e = make(m, err);
	return e ? e : open_repo(m, err);
}

static int take_lock(struct mirror *m, struct err *err)
{
	char path[PATH_MAX];
	int e = io_mkdirs(m->path, 0700, err);
	if (!e)
		e = join(path, m->path, LOCK_NAME, err);
	if (e)
		return e;
	m->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (m->lock_fd < 0)
		return err_errno(err, errno, "cannot lock the mirror %.200s", m->path);
	while (flock(m->lock_fd, LOCK_EX))
		if (errno != EINTR)
			return err_errno(err, errno, "cannot lock the mirror %.200s", m->path);
	return 0;
}

int mirror_open(struct mirror *m, const char *path, uint64_t max_bytes, struct err *err)
{
	*m = (struct mirror){.lock_fd = -1};
	if (!path[0] || strlen(path) >= sizeof m->path)
		return err_set(err, ERR_LIMIT, "mirror %.200s: path empty or too long", path);
	snprintf(m->path, sizeof m->path, "%s", path);
	int e = take_lock(m, err);
	if (!e) {
		char head[PATH_MAX];
		e = join(head, m->path, "HEAD", err);
		const bool is_there = !e && access(head, F_OK) == 0;
		if (!e && (!is_there || sweep_packs(m->path) > max_bytes || open_repo(m, NULL)))
			e = mirror_reset(m, err);
	}
	if (e)
		mirror_release(m);
	return e;
}

void mirror_release(struct mirror *m)
{
	if (!m)
		return;
	git_repository_free(m->repo);
	m->repo = NULL;
	if (m->lock_fd >= 0)
		close(m->lock_fd);
	m->lock_fd = -1;
}

int mirror_keep(struct mirror *m, const char *ref, const git_oid *tip, struct err *err)
{
	uint8_t hash[16];
	char name[64] = "refs/talkoo/";
	crypto_generichash(hash, sizeof hash, (const uint8_t *)ref, strlen(ref), NULL, 0);
	hex_encode(name + strlen(name), hash, sizeof hash);
	CLEANUP(gitlib_reference_release) git_reference *made = NULL;
	const int e = git_reference_create(&made, m->repo, name, tip, 1, NULL);
	return e ? gitlib_err(err, e, "cannot note the tip of %.200s", ref) : 0;
}
