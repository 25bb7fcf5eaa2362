#include "runner/guest/disks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runner/guest/system.h"

static const char *const serials[GUEST_DISKS_LEN] = {
#define X(name, value, serial) [value] = serial,
	GUEST_DISKS(X)
#undef X
};

static void take(struct disk *disks, const char *name)
{
	char path[320], text[64];
	snprintf(path, sizeof path, "/sys/block/%s/serial", name);
	if (strlen(name) > 20 || !system_read_line(path, text, sizeof text))
		return;
	for (int i = 0; i < GUEST_DISKS_LEN; i++) {
		if (strcmp(text, serials[i]) || disks[i].path[0])
			continue;
		snprintf(disks[i].path, sizeof disks[i].path, "/dev/%.20s", name);
		snprintf(path, sizeof path, "/sys/block/%s/size", name);
		if (system_read_line(path, text, sizeof text))
			disks[i].size_bytes = strtoull(text, NULL, 10) * 512;
	}
}

/* The first disk that is still missing, or NULL. */
static const char *scan(struct disk *disks)
{
	memset(disks, 0, GUEST_DISKS_LEN * sizeof *disks);
	DIR *const dir = opendir("/sys/block");
	const struct dirent *e;
	while (dir && (e = readdir(dir))) {
		if (!strncmp(e->d_name, "vd", 2))
			take(disks, e->d_name);
	}
	if (dir)
		closedir(dir);
	for (int i = 0; i < GUEST_DISKS_LEN; i++) {
		if (!disks[i].path[0])
			return serials[i];
	}
	return NULL;
}

int disks_find(struct disk ret[GUEST_DISKS_LEN], unsigned wait_ms, struct err *err)
{
	struct disk disks[GUEST_DISKS_LEN];
	const char *missing;
	for (const uint64_t end = system_now_ms() + wait_ms; (missing = scan(disks));) {
		if (system_now_ms() >= end)
			return err_set(err, ERR_NOT_FOUND, "the machine has no disk with the serial %s", missing);
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
	}
	memcpy(ret, disks, sizeof disks);
	return 0;
}

bool disk_is_empty(const struct disk *d)
{
	return d->size_bytes <= DISK_EMPTY_BYTES;
}

int disk_open(const struct disk *d, int flags, struct err *err)
{
	const int fd = open(d->path, flags | O_CLOEXEC);
	return fd >= 0 ? fd : err_errno(err, errno, "opening the disk %s", d->path);
}
