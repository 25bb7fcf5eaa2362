/* Canonical msgpack: the subset of the wire, its pre-scan, a writer and a bounded reader.
 *
 * Canonical: shortest form of every integer, str, bin and array header; unsigned integers, str (valid UTF-8), bin, array,
 * nil, bool only; no maps, floats, ext, negative integers; nothing after the value. mp_scan() checks that without
 * allocating, and only what passed it is given to msgpack-c (which would allocate from the untrusted count).
 * Must not know: records, kinds. */
#ifndef TALKOO_PROTO_MP_H
#define TALKOO_PROTO_MP_H

#include <msgpack.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"

struct mp_limits { size_t bytes_max; unsigned depth_max; unsigned items_max; /* all values together */ };

/* 0 when bytes are exactly one canonical value within the limits; ERR_INVALID / ERR_LIMIT with the offset. */
int mp_scan(const uint8_t *bytes, size_t len, const struct mp_limits *limits, struct err *err) MUST_CHECK;

/* Writers append canonical forms. */
void mp_put_uint(struct buf *b, uint64_t value);
void mp_put_bool(struct buf *b, bool value);
void mp_put_nil(struct buf *b);
void mp_put_str(struct buf *b, const char *text);
void mp_put_bin(struct buf *b, const void *bytes, size_t len);
void mp_put_array(struct buf *b, uint32_t len);

/* A cursor over a decoded array that fails once and stays failed, naming the first field that was wrong. Reading past
 * the end of the array fails for the required getters; mp_more() tells optional trailing elements. What is lent lives
 * as long as the msgpack zone it came from. */
struct mp_cursor { const msgpack_object *items; uint32_t len, at; bool failed; struct err err; };
void mp_cursor_init(struct mp_cursor *c, const msgpack_object *array, const char *what);
bool mp_more(const struct mp_cursor *c);
uint64_t mp_get_uint(struct mp_cursor *c, const char *field, uint64_t max);
bool mp_get_bool(struct mp_cursor *c, const char *field);
/* Copies a str of at most size-1 bytes, without NUL. */
void mp_get_str(struct mp_cursor *c, const char *field, char *out, size_t size);
/* A bin of exactly len bytes. */
void mp_get_bin_exact(struct mp_cursor *c, const char *field, void *out, size_t len);
/* A bin of at most max bytes, lent. */
void mp_get_bin(struct mp_cursor *c, const char *field, size_t max, const uint8_t **ret, size_t *ret_len);
/* A nested array of at most max elements, as its own cursor. */
void mp_get_array(struct mp_cursor *c, const char *field, uint32_t max, struct mp_cursor *ret);
void mp_skip(struct mp_cursor *c);

#endif
