#include "runner/srctar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"

#define BUFFER_LEN 262144
#define END_LEN (2 * SRCTAR_BLOCK)
#define SIZE_FIELD_MAX UINT64_C(077777777777)

/* POSIX.1-2017, pax, "ustar Header Block" */
struct ustar {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], chksum[8], typeflag, linkname[100], magic[6],
		version[2], uname[32], gname[32], devmajor[8], devminor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct ustar) == SRCTAR_BLOCK, "a header is one block");

struct entry {
	const char *path; /* with its slash, for a folder */
	const char *target;
	uint64_t size_bytes;
	uint32_t mode;
	char type;
};

int64_t srctar_mtime(int64_t seconds)
{
	return seconds < 0 ? 0 : seconds > SRCTAR_MTIME_MAX ? SRCTAR_MTIME_MAX : seconds;
}

int srctar_init(struct srctar *t, int fd, int64_t mtime, uint64_t max_bytes, struct err *err)
{
	uint8_t *buf = malloc(BUFFER_LEN);
	if (!buf)
		return err_set(err, ERR_NOMEM, "out of memory for a tar buffer");
	*t = (struct srctar){.fd = fd, .mtime = srctar_mtime(mtime), .max_bytes = max_bytes, .buf = buf};
	digest_init(&t->digest);
	return 0;
}

void srctar_release(struct srctar *t)
{
	if (!t)
		return;
	free(t->buf);
	t->buf = NULL;
}

static int flush(struct srctar *t, struct err *err)
{
	const size_t len = t->buf_len;
	t->buf_len = 0;
	digest_update(&t->digest, t->buf, len);
	return io_write_full(t->fd, t->buf, len, err);
}

/* bytes NULL: zeros */
static int put(struct srctar *t, const void *bytes, size_t len, struct err *err)
{
	const uint8_t *from = bytes;
	while (len) {
		const size_t room = BUFFER_LEN - t->buf_len;
		const size_t n = len < room ? len : room;
		if (from)
			memcpy(t->buf + t->buf_len, from, n);
		else
			memset(t->buf + t->buf_len, 0, n);
		from = from ? from + n : NULL;
		t->buf_len += n;
		t->at_bytes += n;
		len -= n;
		if (t->buf_len < BUFFER_LEN)
			continue;
		const int e = flush(t, err);
		if (e)
			return e;
	}
	return 0;
}

static size_t padding(uint64_t len)
{
	return (size_t)(-len % SRCTAR_BLOCK);
}

/* Where the path is cut into prefix and name: the length of prefix, 0 for none, -1 if it does not fit. */
static int split_path(const char *path)
{
	const size_t len = strlen(path);
	if (len <= 100)
		return 0;
	for (size_t i = 1; i + 1 < len && i <= 155; i++)
		if (path[i] == '/' && len - i - 1 <= 100)
			return (int)i;
	return -1;
}

static void octal(char *field, size_t digits, uint64_t value)
{
	field[digits] = 0;
	while (digits--) {
		field[digits] = (char)('0' + (value & 7));
		value >>= 3;
	}
}

static void copy_field(char *field, size_t size, const char *text)
{
	memcpy(field, text, strnlen(text, size));
}

static int put_header(struct srctar *t, const struct entry *e, struct err *err)
{
	struct ustar h = {0};
	const int cut = split_path(e->path);
	if (cut > 0)
		memcpy(h.prefix, e->path, (size_t)cut);
	copy_field(h.name, sizeof h.name, cut > 0 ? e->path + cut + 1 : e->path);
	if (e->target)
		copy_field(h.linkname, sizeof h.linkname, e->target);
	octal(h.mode, 7, e->mode);
	octal(h.uid, 7, 0);
	octal(h.gid, 7, 0);
	octal(h.size, 11, e->size_bytes > SIZE_FIELD_MAX ? 0 : e->size_bytes);
	octal(h.mtime, 11, (uint64_t)t->mtime);
	octal(h.devmajor, 7, 0);
	octal(h.devminor, 7, 0);
	h.typeflag = e->type;
	memcpy(h.magic, "ustar", 6);
	memcpy(h.version, "00", 2);
	memset(h.chksum, ' ', sizeof h.chksum);
	uint64_t sum = 0;
	for (size_t i = 0; i < sizeof h; i++)
		sum += ((const uint8_t *)&h)[i];
	octal(h.chksum, 6, sum);
	return put(t, &h, sizeof h, err);
}

/* One "LENGTH KEY=VALUE\n" record; LENGTH counts its own digits. */
static void pax_record(struct buf *out, const char *key, const char *value)
{
	const size_t rest = strlen(key) + strlen(value) + 3;
	size_t digits = 1;
	for (size_t ten = 10; rest + digits >= ten; ten *= 10)
		digits++;
	buf_printf(out, "%zu %s=", rest + digits, key);
	buf_str(out, value);
	buf_byte(out, '\n');
}

static void pax_records(struct buf *out, const struct entry *e)
{
	char number[24];
	if (split_path(e->path) < 0)
		pax_record(out, "path", e->path);
	if (e->target && strlen(e->target) > 100)
		pax_record(out, "linkpath", e->target);
	snprintf(number, sizeof number, "%llu", (unsigned long long)e->size_bytes);
	if (e->size_bytes > SIZE_FIELD_MAX)
		pax_record(out, "size", number);
}

static int check_room(const struct srctar *t, size_t pax_len, uint64_t size, struct err *err)
{
	const uint64_t headers = (pax_len ? SRCTAR_BLOCK + pax_len + padding(pax_len) : 0) + SRCTAR_BLOCK + END_LEN;
	const uint64_t room = t->max_bytes > t->at_bytes ? t->max_bytes - t->at_bytes : 0;
	if (headers <= room && size <= room - headers && padding(size) <= room - headers - size)
		return 0;
	return err_set(err, ERR_LIMIT, "the source tar is larger than %llu bytes", (unsigned long long)t->max_bytes);
}

static int put_entry(struct srctar *t, const struct entry *e, struct err *err)
{
	if (t->left)
		return err_set(err, ERR_BUG, "source tar: the file before was not finished");
	if (!e->path[0] || strlen(e->path) > SRCTAR_PATH_MAX)
		return err_set(err, ERR_LIMIT, "the path %.80s… is longer than %d bytes", e->path, SRCTAR_PATH_MAX);
	if (e->target && (!e->target[0] || strlen(e->target) > SRCTAR_LINK_MAX))
		return err_set(err, ERR_LIMIT, "the symbolic link %.200s has an empty or overlong target", e->path);
	CLEANUP(buf_release) struct buf pax;
	buf_init(&pax, 16384);
	pax_records(&pax, e);
	int rc = buf_check(&pax, "pax header", err);
	if (!rc)
		rc = check_room(t, pax.len, e->size_bytes, err);
	if (!rc && pax.len) {
		rc = put_header(t, &(struct entry){.path = "PaxHeader", .size_bytes = pax.len, .mode = 0644, .type = 'x'}, err);
		if (!rc)
			rc = put(t, pax.data, pax.len, err);
		if (!rc)
			rc = put(t, NULL, padding(pax.len), err);
	}
	return rc ? rc : put_header(t, e, err);
}

int srctar_folder(struct srctar *t, const char *path, struct err *err)
{
	char with_slash[SRCTAR_PATH_MAX + 2];
	snprintf(with_slash, sizeof with_slash, "%s/", path);
	return put_entry(t, &(struct entry){.path = with_slash, .mode = 0755, .type = '5'}, err);
}

int srctar_link(struct srctar *t, const char *path, const char *target, struct err *err)
{
	return put_entry(t, &(struct entry){.path = path, .target = target, .mode = 0777, .type = '2'}, err);
}

int srctar_file_begin(struct srctar *t, const char *path, bool is_executable, uint64_t size_bytes, struct err *err)
{
	const struct entry e = {.path = path, .size_bytes = size_bytes, .mode = is_executable ? 0755 : 0644, .type = '0'};
	const int rc = put_entry(t, &e, err);
	if (!rc)
		t->left = size_bytes;
	return rc;
}

int srctar_bytes(struct srctar *t, const void *bytes, size_t len, struct err *err)
{
	if (len > t->left)
		return err_set(err, ERR_BUG, "source tar: a file is longer than was said");
	t->left -= len;
	return put(t, bytes, len, err);
}

int srctar_file_end(struct srctar *t, struct err *err)
{
	if (t->left)
		return err_set(err, ERR_BUG, "source tar: a file is shorter than was said");
	return put(t, NULL, padding(t->at_bytes), err);
}

int srctar_file(struct srctar *t, const char *path, bool is_executable, const void *bytes, size_t len, struct err *err)
{
	int rc = srctar_file_begin(t, path, is_executable, len, err);
	if (!rc)
		rc = srctar_bytes(t, bytes, len, err);
	return rc ? rc : srctar_file_end(t, err);
}

int srctar_finish(struct srctar *t, struct blob_digest *ret, struct err *err)
{
	if (t->left)
		return err_set(err, ERR_BUG, "source tar: the last file was not finished");
	int rc = put(t, NULL, END_LEN, err);
	if (!rc)
		rc = flush(t, err);
	if (rc)
		return rc;
	digest_final(&t->digest, ret);
	return 0;
}
