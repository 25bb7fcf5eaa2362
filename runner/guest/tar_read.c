#include "runner/guest/tar_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_LEN (256u * 1024)

/* POSIX.1-2017, pax, "ustar Interchange Format" */
struct ustar {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6], version[2],
		uname[32], gname[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct ustar) == TAR_BLOCK, "a header is one block");

int tar_reader_init(struct tar_reader *r, tar_source_fn source, void *ctx, struct err *err)
{
	memset(r, 0, sizeof *r);
	r->buf = malloc(BUFFER_LEN);
	if (!r->buf)
		return err_set(err, ERR_NOMEM, "out of memory for a tar buffer");
	r->source = source;
	r->ctx = ctx;
	return 0;
}

void tar_reader_release(struct tar_reader *r)
{
	if (!r)
		return;
	free(r->buf);
	r->buf = NULL;
}

ssize_t tar_source_fd(void *ctx, void *bytes, size_t len, struct err *err)
{
	const int fd = *(const int *)ctx;
	for (;;) {
		const ssize_t n = read(fd, bytes, len);
		if (n >= 0)
			return n;
		if (errno != EINTR)
			return err_errno(err, errno, "reading a tar");
	}
}

/* Makes at least one byte available; 0 at the end of the stream. */
static ssize_t fill(struct tar_reader *r, struct err *err)
{
	if (r->start < r->end)
		return (ssize_t)(r->end - r->start);
	const ssize_t n = r->source(r->ctx, r->buf, BUFFER_LEN, err);
	if (n <= 0)
		return n;
	r->start = 0;
	r->end = (size_t)n;
	return n;
}

/* Copies exactly len bytes (out NULL: skips them). 1, 0 when the stream ended before the first byte, or an error. */
static int take(struct tar_reader *r, void *out, uint64_t len, struct err *err)
{
	uint64_t done = 0;
	while (done < len) {
		const ssize_t have = fill(r, err);
		if (have < 0)
			return (int)have;
		if (have == 0 && done == 0)
			return 0;
		if (have == 0)
			return err_set(err, ERR_INVALID, "the tar ends in the middle of an entry");
		const size_t n = (uint64_t)have < len - done ? (size_t)have : (size_t)(len - done);
		if (out)
			memcpy((uint8_t *)out + done, r->buf + r->start, n);
		r->start += n;
		done += n;
	}
	return 1;
}

/* Octal digits, ended by a space, a 0 byte or the field's end. The binary form of GNU tar is refused. */
static bool parse_octal(const char *field, size_t len, uint64_t *ret)
{
	uint64_t value = 0;
	size_t i = 0, digits = 0;
	while (i < len && field[i] == ' ')
		i++;
	for (; i < len && field[i] >= '0' && field[i] <= '7'; i++, digits++)
		value = value * 8 + (uint64_t)(field[i] - '0');
	for (; i < len; i++) {
		if (field[i] != ' ' && field[i] != 0)
			return false;
	}
	*ret = value;
	return digits > 0;
}

static bool checksum_is_right(const uint8_t *block)
{
	uint64_t want = 0, sum = 0;
	if (!parse_octal((const char *)block + offsetof(struct ustar, checksum), 8, &want))
		return false;
	for (size_t i = 0; i < TAR_BLOCK; i++) {
		const bool in_field = i >= offsetof(struct ustar, checksum) && i < offsetof(struct ustar, checksum) + 8;
		sum += in_field ? ' ' : block[i];
	}
	return sum == want;
}

/* Normal form of a path: "./" in front and a slash behind are dropped; anything but plain parts is refused. */
static bool clean_path(char *path)
{
	size_t len = strlen(path);
	while (len >= 2 && path[0] == '.' && path[1] == '/') {
		memmove(path, path + 2, len - 1);
		len -= 2;
	}
	if (len && path[len - 1] == '/')
		path[--len] = 0;
	if (!strcmp(path, "."))
		path[0] = 0;
	if (!path[0])
		return true;
	for (const char *part = path;;) {
		const size_t n = strcspn(part, "/");
		if (n == 0 || n > 255 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		if (!part[n])
			break;
		part += n + 1;
	}
	return true;
}

/* One "LENGTH KEY=VALUE\n" record of a pax header. */
static int pax_record(struct tar_reader *r, const char *key, const char *value, size_t value_len, struct err *err)
{
	char *text = !strcmp(key, "path") ? r->pax_path : !strcmp(key, "linkpath") ? r->pax_link : NULL;
	if (text) {
		if (value_len == 0 || value_len >= TAR_PATH_MAX || memchr(value, 0, value_len))
			return err_set(err, ERR_INVALID, "the tar has a pax %s that is empty, too long or not text", key);
		memcpy(text, value, value_len);
		text[value_len] = 0;
		return 0;
	}
	if (strcmp(key, "size"))
		return 0; /* mtime, comment, uname …: nothing we need */
	uint64_t size = 0;
	for (size_t i = 0; i < value_len; i++) {
		if (value[i] < '0' || value[i] > '9' || size > TAR_FILE_MAX)
			return err_set(err, ERR_INVALID, "the tar has a pax size that is no number");
		size = size * 10 + (uint64_t)(value[i] - '0');
	}
	r->pax_size = size;
	r->has_pax_size = value_len > 0;
	return 0;
}

static int pax_header(struct tar_reader *r, char *text, size_t len, struct err *err)
{
	for (size_t at = 0; at < len;) {
		size_t n = 0, i = at;
		while (i < len && text[i] >= '0' && text[i] <= '9' && n <= len)
			n = n * 10 + (size_t)(text[i++] - '0');
		if (i >= len || text[i] != ' ' || n > len - at || at + n <= i + 2 || text[at + n - 1] != '\n')
			return err_set(err, ERR_INVALID, "the tar has a damaged pax header");
		char *const key = text + i + 1;
		char *const equals = memchr(key, '=', (size_t)(text + at + n - 1 - key));
		if (!equals)
			return err_set(err, ERR_INVALID, "the tar has a damaged pax header");
		*equals = 0;
		const int rc = pax_record(r, key, equals + 1, (size_t)(text + at + n - 1 - (equals + 1)), err);
		if (rc)
			return rc;
		at += n;
	}
	return 0;
}

/* Reads the content of a pax header entry ('x' counts for the next entry, 'g' is skipped). */
static int read_pax(struct tar_reader *r, char type, uint64_t size, struct err *err)
{
	char text[TAR_PAX_MAX];
	if (size == 0 || size > sizeof text)
		return err_set(err, ERR_INVALID, "the tar has a pax header of %llu bytes", (unsigned long long)size);
	const uint64_t padded = (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
	int got = take(r, text, size, err);
	if (got > 0 && padded > size)
		got = take(r, NULL, padded - size, err);
	if (got < 0)
		return got;
	if (got == 0)
		return err_set(err, ERR_INVALID, "the tar ends in the middle of an entry");
	return type == 'x' ? pax_header(r, text, (size_t)size, err) : 0;
}

static void join_name(const struct ustar *h, char *out)
{
	size_t at = 0;
	const size_t prefix = strnlen(h->prefix, sizeof h->prefix), name = strnlen(h->name, sizeof h->name);
	if (prefix) {
		memcpy(out, h->prefix, prefix);
		out[prefix] = '/';
		at = prefix + 1;
	}
	memcpy(out + at, h->name, name);
	out[at + name] = 0;
}

/* Header and pax values -> entry. */
static int make_entry(struct tar_reader *r, const struct ustar *h, uint64_t size, struct tar_entry *ret, struct err *err)
{
	uint64_t mode = 0, mtime = 0;
	if (!parse_octal(h->mode, sizeof h->mode, &mode) || !parse_octal(h->mtime, sizeof h->mtime, &mtime))
		return err_set(err, ERR_INVALID, "the tar has a header with a bad mode or time");
	if (r->pax_path[0])
		memcpy(ret->path, r->pax_path, sizeof ret->path);
	else
		join_name(h, ret->path);
	if (!clean_path(ret->path))
		return err_set(err, ERR_INVALID, "the tar has a path that is not plain and relative");
	ret->link[0] = 0;
	if (r->pax_link[0])
		memcpy(ret->link, r->pax_link, sizeof ret->link);
	else {
		memcpy(ret->link, h->link, sizeof h->link);
		ret->link[sizeof h->link] = 0;
	}
	ret->type = h->type == '0' || h->type == 0 ? TAR_FILE : h->type == '2' ? TAR_SYMLINK : TAR_FOLDER;
	if (ret->type == TAR_SYMLINK && !ret->link[0])
		return err_set(err, ERR_INVALID, "the tar has a symbolic link to nothing");
	if (ret->type != TAR_FOLDER && !ret->path[0])
		return err_set(err, ERR_INVALID, "the tar has a file without a name");
	if (ret->type != TAR_FILE && size)
		return err_set(err, ERR_INVALID, "the tar has a link or folder with content");
	ret->size_bytes = size;
	ret->mode = (uint32_t)(mode & 0777);
	ret->mtime = mtime;
	r->left = size;
	r->padding = (uint32_t)((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
	r->pax_path[0] = r->pax_link[0] = 0;
	r->has_pax_size = false;
	return 1;
}

/* Reads one header block. 1, 0 at the end, or an error. */
static int read_header(struct tar_reader *r, struct ustar *h, uint64_t *ret_size, struct err *err)
{
	const int got = take(r, h, sizeof *h, err);
	if (got <= 0)
		return got;
	static const uint8_t zeros[TAR_BLOCK];
	if (!memcmp(h, zeros, sizeof zeros))
		return 0;
	if (memcmp(h->magic, "ustar", 5) || !checksum_is_right((const uint8_t *)h))
		return err_set(err, ERR_INVALID, "this is no tar, or it is damaged");
	if (!parse_octal(h->size, sizeof h->size, ret_size))
		return err_set(err, ERR_INVALID, "the tar has a header with a bad size");
	return 1;
}

int tar_next(struct tar_reader *r, struct tar_entry *ret, struct err *err)
{
	if (r->ended)
		return 0;
	const uint64_t rest = r->left + r->padding;
	if (rest) {
		const int got = take(r, NULL, rest, err);
		if (got <= 0)
			return got < 0 ? got : err_set(err, ERR_INVALID, "the tar ends in the middle of an entry");
		r->left = r->padding = 0;
	}
	for (int pax = 0;; pax++) {
		struct ustar h;
		uint64_t size = 0;
		const int got = read_header(r, &h, &size, err);
		if (got == 0 && pax && r->pax_path[0])
			return err_set(err, ERR_INVALID, "the tar ends behind a pax header");
		r->ended = got <= 0;
		if (got <= 0)
			return got;
		if ((h.type == 'x' || h.type == 'g') && pax < 4) {
			const int rc = read_pax(r, h.type, size, err);
			if (rc)
				return rc;
			continue;
		}
		if (!memchr("0\0" "25", h.type, 4))
			return err_set(err, ERR_INVALID, "the tar has an entry that is no file, link or folder (type %d)", h.type);
		if (r->has_pax_size)
			size = r->pax_size;
		if (size > TAR_FILE_MAX)
			return err_set(err, ERR_INVALID, "the tar has a file of impossible size");
		return make_entry(r, &h, size, ret, err);
	}
}

ssize_t tar_read(struct tar_reader *r, const uint8_t **ret_bytes, struct err *err)
{
	if (!r->left)
		return 0;
	const ssize_t have = fill(r, err);
	if (have < 0)
		return have;
	if (have == 0)
		return err_set(err, ERR_INVALID, "the tar ends in the middle of an entry");
	const size_t n = (uint64_t)have < r->left ? (size_t)have : (size_t)r->left;
	*ret_bytes = r->buf + r->start;
	r->start += n;
	r->left -= n;
	return (ssize_t)n;
}

ssize_t tar_read_text(struct tar_reader *r, char *out, size_t size, struct err *err)
{
	size_t len = 0;
	const uint8_t *bytes = NULL;
	ssize_t n;
	while ((n = tar_read(r, &bytes, err)) > 0) {
		if ((size_t)n >= size - len)
			return err_set(err, ERR_LIMIT, "a file in the tar is longer than %zu bytes", size - 1);
		memcpy(out + len, bytes, (size_t)n);
		len += (size_t)n;
	}
	if (n < 0)
		return n;
	out[len] = 0;
	return (ssize_t)len;
}
