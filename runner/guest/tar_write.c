#include "runner/guest/tar_write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/io.h"

#define BLOCK 512u
#define BUFFER_LEN (1u << 20)
#define END_LEN (2 * BLOCK)
#define USTAR_SIZE_MAX 077777777777ull
#define PATH_BYTES_MAX 4095

static uint64_t padded(uint64_t len)
{
	return (len + BLOCK - 1) / BLOCK * BLOCK;
}

int tar_writer_init(struct tar_writer *w, int fd, uint64_t limit_bytes, struct err *err)
{
	memset(w, 0, sizeof *w);
	w->buf = malloc(BUFFER_LEN);
	if (!w->buf)
		return err_set(err, ERR_NOMEM, "out of memory for a tar buffer");
	w->fd = fd;
	w->limit_bytes = limit_bytes;
	return 0;
}

void tar_writer_release(struct tar_writer *w)
{
	if (!w)
		return;
	free(w->buf);
	w->buf = NULL;
}

static int flush(struct tar_writer *w, struct err *err)
{
	const int rc = io_write_full(w->fd, w->buf, w->len, err);
	w->len = 0;
	return rc;
}

/* bytes NULL: zeros */
static int put(struct tar_writer *w, const void *bytes, uint64_t len, struct err *err)
{
	for (uint64_t done = 0; done < len;) {
		const size_t room = BUFFER_LEN - w->len;
		const size_t n = len - done < room ? (size_t)(len - done) : room;
		if (bytes)
			memcpy(w->buf + w->len, (const uint8_t *)bytes + done, n);
		else
			memset(w->buf + w->len, 0, n);
		w->len += n;
		w->at_bytes += n;
		done += n;
		if (w->len == BUFFER_LEN && flush(w, err))
			return err ? err->code : ERR_IO;
	}
	return 0;
}

static void octal(uint8_t *field, size_t len, uint64_t value)
{
	field[len - 1] = 0;
	for (size_t i = len - 1; i-- > 0; value >>= 3)
		field[i] = (uint8_t)('0' + (value & 7));
}

/* POSIX.1-2017, pax, "ustar Header Block" */
static int header(struct tar_writer *w, const char *name, const char *target, char type, uint32_t mode, uint64_t size, struct err *err)
{
	uint8_t h[BLOCK] = {0};
	memcpy(h, name, strnlen(name, 100));
	octal(h + 100, 8, mode);
	octal(h + 108, 8, 0);
	octal(h + 116, 8, 0);
	octal(h + 124, 12, size);
	octal(h + 136, 12, w->mtime < USTAR_SIZE_MAX ? w->mtime : USTAR_SIZE_MAX);
	memset(h + 148, ' ', 8);
	h[156] = (uint8_t)type;
	memcpy(h + 157, target, strnlen(target, 100));
	memcpy(h + 257, "ustar\00000", 8);
	octal(h + 329, 8, 0);
	octal(h + 337, 8, 0);
	uint64_t sum = 0;
	for (size_t i = 0; i < BLOCK; i++)
		sum += h[i];
	octal(h + 148, 7, sum);
	return put(w, h, BLOCK, err);
}

/* One "LENGTH KEY=VALUE\n" record, its length counting itself. */
static size_t pax_record(char *out, const char *key, const char *value)
{
	const size_t rest = strlen(key) + strlen(value) + 3;
	size_t len = rest + 1;
	for (size_t digits = 1, ten = 10; len >= ten; ten *= 10)
		len = rest + ++digits;
	return (size_t)sprintf(out, "%zu %s=%s\n", len, key, value);
}

static size_t pax_records(char *out, const char *path, const char *target, uint64_t size)
{
	char number[24];
	size_t len = 0;
	if (strlen(path) > 100)
		len += pax_record(out, "path", path);
	if (strlen(target) > 100)
		len += pax_record(out + len, "linkpath", target);
	if (size > USTAR_SIZE_MAX) {
		snprintf(number, sizeof number, "%llu", (unsigned long long)size);
		len += pax_record(out + len, "size", number);
	}
	return len;
}

/* Headers of one entry, if it fits with its content and the end mark. */
static int entry(struct tar_writer *w, const char *path, const char *target, char type, uint32_t mode, uint64_t size, struct err *err)
{
	if (strlen(path) > PATH_BYTES_MAX || strlen(target) > PATH_BYTES_MAX)
		return err_set(err, ERR_LIMIT, "a path is over %d bytes long", PATH_BYTES_MAX);
	char pax[2 * PATH_BYTES_MAX + 128];
	const size_t pax_len = pax_records(pax, path, target, size);
	const uint64_t need = (pax_len ? BLOCK + padded(pax_len) : 0) + BLOCK + END_LEN;
	const uint64_t room = w->limit_bytes - w->at_bytes;
	if (w->limit_bytes < w->at_bytes || need > room || size > room - need || padded(size) > room - need)
		return err_set(err, ERR_LIMIT, "the disk for it is full");
	int rc = 0;
	if (pax_len) {
		rc = header(w, "pax", "", 'x', 0644, pax_len, err);
		if (!rc)
			rc = put(w, pax, pax_len, err);
		if (!rc)
			rc = put(w, NULL, padded(pax_len) - pax_len, err);
	}
	return rc ? rc : header(w, path, target, type, mode, size > USTAR_SIZE_MAX ? 0 : size, err);
}

int tar_write_folder(struct tar_writer *w, const char *path, struct err *err)
{
	return entry(w, path, "", '5', 0755, 0, err);
}

int tar_write_link(struct tar_writer *w, const char *path, const char *target, struct err *err)
{
	return entry(w, path, target, '2', 0777, 0, err);
}

int tar_write_file(struct tar_writer *w, const char *path, bool executable, int content_fd, uint64_t size_bytes,
		   struct err *err)
{
	int rc = entry(w, path, "", '0', executable ? 0755 : 0644, size_bytes, err);
	if (rc)
		return rc;
	uint64_t left = size_bytes;
	while (left) {
		const size_t room = BUFFER_LEN - w->len;
		const ssize_t n = read(content_fd, w->buf + w->len, left < room ? (size_t)left : room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		w->len += (size_t)n;
		w->at_bytes += (uint64_t)n;
		left -= (uint64_t)n;
		if (w->len == BUFFER_LEN && (rc = flush(w, err)))
			return rc;
	}
	return put(w, NULL, left + padded(size_bytes) - size_bytes, err);
}

int tar_write_end(struct tar_writer *w, struct err *err)
{
	const int rc = put(w, NULL, END_LEN, err);
	return rc ? rc : flush(w, err);
}
