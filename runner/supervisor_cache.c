/* Caches: STORE/NAME/tar (cachekey.h) goes onto the cache disk before the machine starts, and what collect took off it
 * afterwards takes its place. Whatever goes wrong here costs time, never the job. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/cachekey.h"
#include "runner/supervisor_parts.h"

#define FILE_CACHE "cache.raw"
#define SECTOR 512
#define NAME_ROOM (CACHEKEY_LEN + 32)

static bool has_cache(const struct supervisor *s)
{
	return s->tally.has_cache && s->tally.plan.cache_store[0] && s->tally.plan.cache_bytes >= SECTOR &&
	       s->tally.report.plan_sha256[0];
}

/* STORE/NAME; false when it does not fit. */
static bool folder_of(const struct supervisor *s, char ret[PATH_MAX])
{
	const struct job_plan *p = &s->tally.plan;
	char name[CACHEKEY_LEN];
	cachekey_name(p->cache_scope, s->tally.report.plan_sha256, p->cell, s->image.digest, name);
	return (size_t)snprintf(ret, PATH_MAX, "%s/%s", p->cache_store, name) < PATH_MAX - NAME_ROOM;
}

static void note(struct supervisor *s, const char *what, int code)
{
	struct err err = {0};
	err_errno(&err, code, "the cache: %s", what);
	events_note(&s->events, supervisor_now_ms(), err.what);
}

static int copy(int from, int to, uint64_t bytes)
{
	uint8_t chunk[65536];
	for (uint64_t done = 0; done < bytes;) {
		const ssize_t n = copy_file_range(from, NULL, to, NULL, bytes - done, 0);
		if (n > 0) {
			done += (uint64_t)n;
			continue;
		}
		const ssize_t got = read(from, chunk, sizeof chunk);
		if (got <= 0 || io_write_full(to, chunk, (size_t)got, NULL))
			return -1;
		done += (uint64_t)got;
	}
	return 0;
}

/* False: there is none that fits. */
static bool fill(struct supervisor *s, int disk)
{
	char path[PATH_MAX];
	struct stat st;
	if (!folder_of(s, path))
		return false;
	snprintf(path + strlen(path), NAME_ROOM, "/" CACHEKEY_FILE);
	CLEANUP(cleanup_fd) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > s->tally.plan.cache_bytes)
		return false;
	if (copy(fd, disk, (uint64_t)st.st_size) == 0)
		return true;
	note(s, "it cannot be read", errno);
	return false;
}

int supervisor_cache_disk(struct supervisor *s, int *ret_fd, struct err *err)
{
	const bool is_wanted = has_cache(s);
	const uint64_t size = is_wanted ? s->tally.plan.cache_bytes / SECTOR * SECTOR : SECTOR;
	CLEANUP(cleanup_fd) int fd = -1;
	int rc = workdir_create(&s->dir, FILE_CACHE, size, &fd, err);
	/* half a cache is worse than none: then the disk is made anew */
	if (rc == 0 && is_wanted && !fill(s, fd)) {
		cleanup_fd(&fd);
		fd = -1;
		rc = workdir_create(&s->dir, FILE_CACHE, size, &fd, err);
	}
	if (rc == 0)
		*ret_fd = fd_take(&fd);
	return rc;
}

int supervisor_cache_new(struct supervisor *s)
{
	char folder[PATH_MAX];
	struct err err = {0};
	if (!has_cache(s) || !s->tally.plan.cache_may_write || !s->tally.cache_bytes || !folder_of(s, folder))
		return -1;
	if (io_mkdirs(folder, 0700, &err)) {
		events_note(&s->events, supervisor_now_ms(), err.what);
		return -1;
	}
	snprintf(s->cache_new, sizeof s->cache_new, "%.*s/new.XXXXXX", PATH_MAX - NAME_ROOM, folder);
	const int fd = mkostemp(s->cache_new, O_CLOEXEC);
	if (fd < 0) {
		note(s, "no file can be made in its store", errno);
		s->cache_new[0] = '\0';
	}
	return fd;
}

void supervisor_cache_settle(struct supervisor *s)
{
	char path[PATH_MAX];
	if (!s->cache_new[0] || !folder_of(s, path))
		return;
	snprintf(path + strlen(path), NAME_ROOM, "/" CACHEKEY_FILE);
	if (!s->tally.cache_is_taken || rename(s->cache_new, path)) {
		if (s->tally.cache_is_taken)
			note(s, "it cannot be kept", errno);
		unlink(s->cache_new);
	}
	s->cache_new[0] = '\0';
}
