#include "runner/cachetar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"

#define READ_LEN 262144
#define END_LEN 1024 /* two zero blocks */
#define NAME_LEN_MAX 4095
#define PART_LEN_MAX 255

struct reading {
	int fd;
	uint64_t at, end;
	uint8_t buf[READ_LEN];
};

static ssize_t read_at(int fd, void *bytes, size_t len, uint64_t at)
{
	ssize_t n;
	do
		n = pread(fd, bytes, len, (off_t)at);
	while (n < 0 && errno == EINTR);
	return n;
}

static la_ssize_t on_read(struct archive *a, void *context, const void **ret)
{
	struct reading *r = context;
	const uint64_t left = r->end - r->at;
	const ssize_t n = read_at(r->fd, r->buf, left < READ_LEN ? (size_t)left : READ_LEN, r->at);
	if (n < 0) {
		archive_set_error(a, errno, "the disk cannot be read");
		return -1;
	}
	r->at += (uint64_t)n;
	*ret = r->buf;
	return n;
}

static const char *why_not_name(const char *name)
{
	size_t len = name ? strlen(name) : 0;
	if (!len || len > NAME_LEN_MAX)
		return "has no name, or one that is too long";
	if (name[len - 1] == '/') /* a folder's */
		len--;
	for (const char *part = name; part < name + len;) {
		const size_t part_len = strcspn(part, "/");
		if (!part_len || part_len > PART_LEN_MAX || (part_len <= 2 && !strncmp(part, "..", part_len)))
			return "has a name that is not relative and plain";
		part += part_len + 1;
	}
	return NULL;
}

static const char *why_not(struct archive_entry *e)
{
	const char *why = why_not_name(archive_entry_pathname(e));
	if (why)
		return why;
	if (archive_entry_hardlink(e))
		return "is a hard link";
	if (archive_entry_sparse_count(e) > 0)
		return "is sparse";
	switch ((unsigned)archive_entry_filetype(e)) {
	case AE_IFREG: return archive_entry_size_is_set(e) && archive_entry_size(e) >= 0 ? NULL : "has no size";
	case AE_IFDIR:
	case AE_IFLNK: return archive_entry_size(e) > 0 ? "has content, and is no file" : NULL;
	default: return "is neither a file nor a folder nor a link";
	}
}

static int check_entries(struct archive *a, struct err *err)
{
	for (unsigned long long count = 1;; count++) {
		struct archive_entry *e;
		const int r = archive_read_next_header(a, &e);
		if (r == ARCHIVE_EOF)
			return 0;
		/* without a locale libarchive warns of every name beyond ASCII */
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
			return err_set(err, ERR_INVALID, "entry %llu is damaged: %s", count, archive_error_string(a));
		const char *why = why_not(e);
		if (why)
			return err_set(err, ERR_REFUSED, "entry %llu %s", count, why);
		if (archive_read_data_skip(a) != ARCHIVE_OK)
			return err_set(err, ERR_INVALID, "entry %llu is cut off", count);
	}
}

static int check_end(int fd, uint64_t bytes, struct err *err)
{
	uint8_t end[END_LEN];
	if (bytes < END_LEN || bytes % 512 || bytes > INT64_MAX)
		return err_set(err, ERR_INVALID, "it cannot have %llu bytes", (unsigned long long)bytes);
	if (read_at(fd, end, END_LEN, bytes - END_LEN) != END_LEN)
		return err_set(err, ERR_INVALID, "it is shorter than the guest said");
	for (size_t i = 0; i < END_LEN; i++)
		if (end[i])
			return err_set(err, ERR_INVALID, "it is cut off: it has no end mark");
	return 0;
}

static int check(struct reading *r, struct err *err)
{
	int rc = check_end(r->fd, r->end, err);
	if (rc)
		return rc;
	struct archive *a = archive_read_new();
	if (!a || archive_read_support_format_tar(a) != ARCHIVE_OK)
		rc = err_set(err, ERR_NOMEM, "libarchive does not start");
	else if (archive_read_open(a, r, NULL, on_read, NULL) != ARCHIVE_OK)
		rc = err_set(err, ERR_INVALID, "it is no tar: %s", archive_error_string(a));
	else
		rc = check_entries(a, err);
	if (a)
		archive_read_free(a);
	return rc;
}

int cachetar_take(int disk_fd, uint64_t bytes, int out_fd, struct err *err)
{
	CLEANUP(cleanup_free) struct reading *r = calloc(1, sizeof *r);
	if (!r)
		return err_set(err, ERR_NOMEM, "out of memory");
	r->fd = disk_fd;
	r->end = bytes;
	int rc = check(r, err);
	for (uint64_t at = 0; !rc && at < bytes;) {
		const size_t want = bytes - at < READ_LEN ? (size_t)(bytes - at) : READ_LEN;
		const ssize_t n = read_at(disk_fd, r->buf, want, at);
		if (n <= 0)
			return err_set(err, ERR_IO, "its disk cannot be read");
		rc = io_write_full(out_fd, r->buf, (size_t)n, err);
		at += (uint64_t)n;
	}
	return rc;
}
