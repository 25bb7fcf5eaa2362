/* A growable byte buffer with a ceiling. Once an append failed the buffer stays failed (buf_failed()), so a series of
 * appends needs one check at its end. What is in it is always followed by a 0 byte that does not count. */
#ifndef TALKOO_BASE_BUF_H
#define TALKOO_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

struct buf {
	uint8_t *data; /* NULL only before the first append */
	size_t len;
	size_t cap;
	size_t max; /* ceiling of len, bytes */
	bool failed;
};

/* max_bytes: ceiling of the content's length. Allocates nothing. */
void buf_init(struct buf *b, size_t max_bytes);
void buf_release(struct buf *b);
/* Empties it and forgets a failure; keeps the memory and the ceiling. */
void buf_reset(struct buf *b);

void buf_append(struct buf *b, const void *bytes, size_t len);
void buf_byte(struct buf *b, uint8_t byte);
void buf_str(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Removes len bytes (at most all) from the front. */
void buf_consume(struct buf *b, size_t len);
/* Room for len more bytes at the end: a pointer to write to, then count them with buf_commit(); NULL when that would
 * pass the ceiling (the buffer is then failed). */
uint8_t *buf_reserve(struct buf *b, size_t len);
void buf_commit(struct buf *b, size_t len);

static inline bool buf_failed(const struct buf *b) { return b->failed; }
/* The content as a C string ("" when empty). Lent. */
const char *buf_cstr(const struct buf *b);
/* Gives the content to the caller (free()); the buffer is empty afterwards. NULL if it failed. */
char *buf_steal(struct buf *b);
/* 0, or ERR_LIMIT / ERR_NOMEM for a failed buffer, the sentence naming `what`. */
int buf_check(const struct buf *b, const char *what, struct err *err) MUST_CHECK;

#endif
