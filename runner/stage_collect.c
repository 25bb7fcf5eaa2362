/* stage collect (stage.h): the guest's artifact tar -> plain files. The tar is what a hostile guest wrote.
 *
 * libarchive reads it, with only its tar format and no filters; what comes out of an entry other than a regular file
 * or a folder ends the job. Names and counts are outfiles' business. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/io.h"
#include "proto/merkle.h"
#include "runner/cachetar.h"
#include "runner/outfiles.h"
#include "runner/stage.h"

#define READ_LEN 262144
#define END_LEN 1024 /* two zero blocks */

struct collect {
	const struct stage_collect *stage;
	struct outfiles out;
	struct archive *archive;
	uint64_t at;  /* bytes given to libarchive */
	uint64_t entry; /* number of the current one, from 1 */
	uint8_t buf[READ_LEN];
};

/* libarchive sees tar_bytes of the disk and no more. */
static la_ssize_t on_archive_read(struct archive *a, void *context, const void **ret)
{
	struct collect *c = context;
	const uint64_t left = c->stage->tar_bytes - c->at;
	const size_t want = left < READ_LEN ? (size_t)left : READ_LEN;
	ssize_t n;
	do
		n = pread(c->stage->artifacts_fd, c->buf, want, (off_t)c->at);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		archive_set_error(a, errno, "the disk cannot be read");
		return -1;
	}
	c->at += (uint64_t)n;
	*ret = c->buf;
	return n;
}

/* A regular file or a folder, without holes and further names. */
static const char *why_not_entry(struct archive_entry *e)
{
	if (archive_entry_hardlink(e))
		return "is a hard link";
	switch ((unsigned)archive_entry_filetype(e)) {
	case AE_IFREG: break;
	case AE_IFDIR: return archive_entry_size(e) > 0 ? "is a folder with content" : NULL;
	case AE_IFLNK: return "is a symbolic link";
	case AE_IFIFO: return "is a fifo";
	case AE_IFCHR:
	case AE_IFBLK: return "is a device";
	default: return "is neither a file nor a folder";
	}
	if (archive_entry_sparse_count(e) > 0)
		return "is sparse";
	if (!archive_entry_size_is_set(e) || archive_entry_size(e) < 0)
		return "has no size";
	return NULL;
}

static int write_content(struct collect *c, int fd, uint64_t size, struct blob_digest *ret, struct err *err)
{
	struct digest_stream digest;
	digest_init(&digest);
	uint64_t done = 0;
	for (;;) {
		const void *bytes;
		size_t len;
		la_int64_t offset;
		const int r = archive_read_data_block(c->archive, &bytes, &len, &offset);
		if (r == ARCHIVE_EOF)
			break;
		if (r != ARCHIVE_OK)
			return err_set(err, ERR_INVALID, "is damaged: %s", archive_error_string(c->archive));
		if (offset < 0 || (uint64_t)offset != done || len > size - done)
			return err_set(err, ERR_INVALID, "is sparse");
		const int e = io_write_full(fd, bytes, len, err);
		if (e)
			return e;
		digest_update(&digest, bytes, len);
		done += len;
	}
	if (done != size)
		return err_set(err, ERR_INVALID, "ends before its size");
	digest_final(&digest, ret);
	return 0;
}

static int announce(const struct collect *c, const char *path, const struct blob_digest *digest, struct err *err)
{
	struct stage_msg msg = {.type = STAGE_MSG_ARTIFACT};
	snprintf(msg.u.artifact.path, sizeof msg.u.artifact.path, "%s", path);
	hex_encode(msg.u.artifact.digest.sha256, digest->sha256, sizeof digest->sha256);
	hex_encode(msg.u.artifact.digest.root, digest->root, sizeof digest->root);
	msg.u.artifact.digest.size_bytes = digest->size;
	return stage_send(c->stage->msg_fd, &msg, err);
}

static int take_file(struct collect *c, const char *path, struct archive_entry *e, struct err *err)
{
	const uint64_t size = (uint64_t)archive_entry_size(e);
	CLEANUP(cleanup_fd) int fd = -1;
	int rc = outfiles_create(&c->out, path, archive_entry_perm(e) & 0100, size, &fd, err);
	if (rc)
		return rc;
	struct blob_digest digest;
	rc = write_content(c, fd, size, &digest, err);
	if (rc) {
		outfiles_discard(&c->out, path);
		return err ? err_context(err, "'%.300s'", path) : rc;
	}
	return announce(c, path, &digest, err);
}

static bool is_ascii(const char *text)
{
	while (*text)
		if ((unsigned char)*text++ >= 0x80)
			return false;
	return true;
}

static int take_entry(struct collect *c, struct archive_entry *e, int status, struct err *err)
{
	const char *name = archive_entry_pathname(e);
	if (!name || !name[0])
		return err_set(err, ERR_INVALID, "has no name");
	/* Without a locale libarchive warns of every pax name beyond ASCII, and gives its bytes; outfiles checks them. Any
	 * other warning is a header that it could only guess at. */
	if (status != ARCHIVE_OK && is_ascii(name))
		return err_set(err, ERR_INVALID, "'%.300s' is damaged: %s", name, archive_error_string(c->archive));
	const char *why = why_not_entry(e);
	if (why)
		return err_set(err, ERR_REFUSED, "'%.300s' %s", name, why);
	if (archive_entry_filetype(e) == AE_IFREG)
		return take_file(c, name, e, err);
	char folder[OUTFILES_PATH_MAX + 1];
	snprintf(folder, sizeof folder, "%s", name);
	const size_t len = strlen(folder);
	if (len > 1 && folder[len - 1] == '/')
		folder[len - 1] = 0;
	return outfiles_folder(&c->out, folder, err);
}

/* Whether the disk holds only zeros from..to. */
static int check_zeros(const struct collect *c, uint64_t from, uint64_t to, const char *what, struct err *err)
{
	uint8_t block[16384];
	while (from < to) {
		const size_t want = to - from < sizeof block ? (size_t)(to - from) : sizeof block;
		const ssize_t n = pread(c->stage->artifacts_fd, block, want, (off_t)from);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, ERR_INVALID, "ends before the %llu bytes that the guest said",
				       (unsigned long long)c->stage->tar_bytes);
		for (ssize_t i = 0; i < n; i++)
			if (block[i])
				return err_set(err, ERR_INVALID, "%s", what);
		from += (uint64_t)n;
	}
	return 0;
}

static int read_entries(struct collect *c, struct err *err)
{
	for (;;) {
		struct archive_entry *e;
		const int r = archive_read_next_header(c->archive, &e);
		if (r == ARCHIVE_EOF)
			break;
		c->entry++;
		int rc;
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
			rc = err_set(err, ERR_INVALID, "is damaged: %s", archive_error_string(c->archive));
		else
			rc = take_entry(c, e, r, err);
		if (rc)
			return err ? err_context(err, "entry %llu", (unsigned long long)c->entry) : rc;
	}
	return check_zeros(c, (uint64_t)archive_filter_bytes(c->archive, -1), c->stage->tar_bytes, "has bytes behind its end", err);
}

/* libarchive takes a tar without its end for a whole one; a guest that was cut off looks like that. */
static int check_end(const struct collect *c, struct err *err)
{
	const uint64_t len = c->stage->tar_bytes;
	if (len < END_LEN || len % 512 || len > INT64_MAX)
		return err_set(err, ERR_INVALID, "cannot have %llu bytes", (unsigned long long)len);
	return check_zeros(c, len - END_LEN, len, "is cut off: it has no end mark", err);
}

static int collect_all(struct collect *c, struct err *err)
{
	int rc = check_end(c, err);
	if (rc)
		return rc;
	c->archive = archive_read_new();
	if (!c->archive || archive_read_support_format_tar(c->archive) != ARCHIVE_OK)
		return err_set(err, ERR_NOMEM, "cannot be read: libarchive does not start");
	if (archive_read_open(c->archive, c, NULL, on_archive_read, NULL) != ARCHIVE_OK)
		return err_set(err, ERR_INVALID, "is no tar: %s", archive_error_string(c->archive));
	return read_entries(c, err);
}

/* What the job came to does not hang on its cache. */
static void take_cache(const struct stage_collect *s)
{
	struct err err = {0};
	struct stage_msg msg = {.type = STAGE_MSG_CACHE_TAKEN};
	if (!s->cache_bytes)
		return;
	if (cachetar_take(s->cache_fd, s->cache_bytes, s->cache_out_fd, &err)) {
		msg.type = STAGE_MSG_NOTE;
		snprintf(msg.u.text, sizeof msg.u.text, "the cache is not kept: %s", err.what);
	}
	(void)!stage_send(s->msg_fd, &msg, NULL); /* no supervisor: the jail ends us */
}

int stage_collect_run(const struct stage_collect *s)
{
	take_cache(s);
	if (s->tar_bytes == 0)
		return 0;
	CLEANUP(cleanup_free) struct collect *c = calloc(1, sizeof *c);
	struct err err = {0};
	const uint32_t max_count = s->max_count < JOB_ARTIFACTS_MAX ? s->max_count : JOB_ARTIFACTS_MAX;
	int rc = c ? outfiles_init(&c->out, s->out_fd, max_count, s->max_bytes, &err) : ERR_NOMEM;
	if (!c || rc)
		return stage_fail(s->msg_fd, JOB_ERROR, NULL, "collect has no memory");
	c->stage = s;
	rc = collect_all(c, &err);
	if (c->archive)
		archive_read_free(c->archive);
	outfiles_release(&c->out);
	if (!rc)
		return 0;
	return stage_fail(s->msg_fd, JOB_ERROR,
			  rc == ERR_IO ? "check the disk space of the job's folder"
				       : "this is what the guest wrote; its artifacts are not trusted further",
			  rc == ERR_IO ? "artifacts: %s" : "artifact tar: %s", err.what);
}
