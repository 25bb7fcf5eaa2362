/* Canonical msgpack: the subset of the wire, its pre-scan, a writer and a bounded reader. PROTOCOL 1.
 *
 * Canonical: shortest form of every integer, str, bin and array header; unsigned integers, str (valid UTF-8), bin, array,
 * nil, bool only; no maps, floats, ext, negative integers; nothing after the value. mp_scan() checks that without
 * allocating, and only what passed it is given to msgpack-c (which would allocate from the untrusted count).
 * Must not know: records, kinds. Links: base, msgpack-c.
 *
 * Reading: mp_doc_open() (scan, then decode), mp_cursor_init() on its root, mp_get_*() field by field without checking
 * each, mp_cursor_check() once at the end. */
#ifndef TALKOO_PROTO_MP_H
#define TALKOO_PROTO_MP_H

#include <msgpack.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"

#define MP_DEPTH_MAX 16 /* ceiling of mp_limits.depth_max */

/* bytes: of the whole value; depth: of arrays within arrays (a bare array is 1); items: all values together, arrays
 * counted themselves. */
struct mp_limits { size_t bytes_max; unsigned depth_max; unsigned items_max; };

/* 0 when bytes are exactly one canonical value within the limits; ERR_INVALID / ERR_LIMIT with the offset. An array that
 * claims more elements than there are bytes left is ERR_INVALID, so a decoder's allocation is bounded by len. */
int mp_scan(const uint8_t *bytes, size_t len, const struct mp_limits *limits, struct err *err) MUST_CHECK;

/* Offset of element `index` of an array, in bytes that passed mp_scan() and are an array of more than index elements
 * (asserted). index may be the array's length: then the end. */
size_t mp_element_offset(const uint8_t *bytes, size_t len, uint32_t index);

/* Writers append canonical forms. mp_put_str: text is valid UTF-8, the caller's duty (mp_put_text mends foreign text). */
void mp_put_uint(struct buf *b, uint64_t value);
void mp_put_bool(struct buf *b, bool value);
void mp_put_nil(struct buf *b);
void mp_put_str(struct buf *b, const char *text);
void mp_put_bin(struct buf *b, const void *bytes, size_t len);
void mp_put_array(struct buf *b, uint32_t len);
/* Text for people, made fit for a one-line field of at most size-1 bytes: what is no UTF-8 and every control character
 * becomes a space, what is too long is cut on a character's boundary. */
void mp_put_text(struct buf *b, const char *text, size_t size);

/* A decoded value. The objects lend from `bytes`: both live together. */
struct mp_doc { msgpack_zone *zone; msgpack_object root; };
/* mp_scan(), then msgpack-c. ret: mp_doc_release() it. */
int mp_doc_open(const uint8_t *bytes, size_t len, const struct mp_limits *limits, struct mp_doc *ret, struct err *err) MUST_CHECK;
void mp_doc_release(struct mp_doc *d);

/* A cursor over a decoded array that fails once and stays failed, naming the first field that was wrong. Reading past
 * the end of the array fails for the required getters; mp_more() tells optional trailing elements. What is lent lives
 * as long as the mp_doc and its bytes. After a failure every getter gives 0, false, "" or an empty, failed cursor. */
struct mp_cursor {
	const msgpack_object *items;
	uint32_t len, at;
	const char *what; /* static storage: "job", "job.plan" */
	bool failed;
	struct err err;
};
/* An object that is no array makes a failed cursor. */
void mp_cursor_init(struct mp_cursor *c, const msgpack_object *array, const char *what);
/* 0, or the failure's code with its sentence in err. */
int mp_cursor_check(const struct mp_cursor *c, struct err *err) MUST_CHECK;
/* Fails the cursor (if it has not failed yet): "WHAT: FIELD WHY". */
void mp_cursor_fail(struct mp_cursor *c, const char *field, const char *why);
/* Takes over the failure of a nested cursor. */
void mp_cursor_join(struct mp_cursor *c, const struct mp_cursor *nested);

bool mp_more(const struct mp_cursor *c);
/* Steps over a nil and says so; anything else is left for a getter. */
bool mp_take_nil(struct mp_cursor *c);
uint64_t mp_get_uint(struct mp_cursor *c, const char *field, uint64_t max);
bool mp_get_bool(struct mp_cursor *c, const char *field);
/* Copies a str of at most size-1 bytes, without NUL. */
void mp_get_str(struct mp_cursor *c, const char *field, char *out, size_t size);
/* As mp_get_str, and without control characters (U+0000 to U+001F, U+007F): one line of text. */
void mp_get_line(struct mp_cursor *c, const char *field, char *out, size_t size);
/* A bin of exactly len bytes. */
void mp_get_bin_exact(struct mp_cursor *c, const char *field, void *out, size_t len);
/* A bin of at most max bytes, lent. */
void mp_get_bin(struct mp_cursor *c, const char *field, size_t max, const uint8_t **ret, size_t *ret_len);
/* A nested array of at most max elements, as its own cursor. field: static storage. */
void mp_get_array(struct mp_cursor *c, const char *field, uint32_t max, struct mp_cursor *ret);
void mp_skip(struct mp_cursor *c);

#endif
