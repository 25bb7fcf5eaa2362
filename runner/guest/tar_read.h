/* A small strict reader of tar streams, for what pack writes and talkoo-init reads: ustar, and pax headers for long paths,
 * link targets and sizes. A stream goes in, entries and lent chunks of their bytes come out.
 *
 * Must not know: file systems, disks, frames. Links: base. The host's collector does not use it (libarchive does that
 * there, in its own jail); what a hostile stream could do here it does to its own guest, and even so every length is
 * bounded, every checksum compared, and an unknown type is refused.
 *
 *   CLEANUP(tar_reader_release) struct tar_reader r = {0};
 *   if (tar_reader_init(&r, tar_source_fd, &fd, err)) …;
 *   while ((got = tar_next(&r, &entry, err)) == 1)
 *       while ((n = tar_read(&r, &bytes, err)) > 0) …;   // may be left out: tar_next() skips what was not read */
#ifndef TALKOO_RUNNER_GUEST_TAR_READ_H
#define TALKOO_RUNNER_GUEST_TAR_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/err.h"

#define TAR_BLOCK 512
#define TAR_PATH_MAX 4096 /* bytes with the 0, of a path or a link target */
#define TAR_PAX_MAX 16384 /* bytes of one pax header */
#define TAR_FILE_MAX (1ull << 40)

enum tar_type { TAR_FILE = 1, TAR_SYMLINK, TAR_FOLDER };

struct tar_entry {
	enum tar_type type;
	/* Relative, no empty, "." or ".." part, none over 255 bytes, no slash at the end. "" = the root folder "./". */
	char path[TAR_PATH_MAX];
	char link[TAR_PATH_MAX]; /* TAR_SYMLINK: its target, as it came, not empty */
	uint64_t size_bytes;     /* 0 but for TAR_FILE */
	uint32_t mode;           /* 0-0777 */
	uint64_t mtime;          /* seconds */
};

/* Up to len bytes into bytes; 0 at the end; a negative code with err set. */
typedef ssize_t (*tar_source_fn)(void *ctx, void *bytes, size_t len, struct err *err);

struct tar_reader {
	tar_source_fn source;
	void *ctx;
	uint8_t *buf; /* owned */
	size_t start, end; /* what is in buf, not yet used */
	uint64_t left;     /* bytes of the current entry not yet read */
	uint32_t padding;  /* behind them */
	bool ended;
	char pax_path[TAR_PATH_MAX], pax_link[TAR_PATH_MAX];
	uint64_t pax_size;
	bool has_pax_size;
};

/* ctx stays the caller's. ERR_NOMEM. */
int tar_reader_init(struct tar_reader *r, tar_source_fn source, void *ctx, struct err *err) MUST_CHECK;
void tar_reader_release(struct tar_reader *r);
/* A source that reads the descriptor that ctx, an int *, points to. */
ssize_t tar_source_fd(void *ctx, void *bytes, size_t len, struct err *err);

/* 1 with *ret filled; 0 at the end (a zero block, or the stream's end between entries); ERR_INVALID naming what is wrong.
 * After an error or the end nothing more may be called. */
int tar_next(struct tar_reader *r, struct tar_entry *ret, struct err *err) MUST_CHECK;
/* The next bytes of the entry's content: their number, 0 at its end; lent until the next call. ERR_INVALID when the
 * stream ends within. */
ssize_t tar_read(struct tar_reader *r, const uint8_t **ret_bytes, struct err *err) MUST_CHECK;
/* A whole small file's content, 0-terminated, into a buffer of size bytes. Its length, or ERR_LIMIT. */
ssize_t tar_read_text(struct tar_reader *r, char *out, size_t size, struct err *err) MUST_CHECK;

#endif
