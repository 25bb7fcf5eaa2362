/* Bytes on their way through a connection: appended at the end, taken from the front, with a ceiling, and moved as seldom as
 * possible. Positions are kept by their distance to `at` or `end`: a move changes both.
 * Must not know: what the bytes are. For session.c. */
#ifndef TALKOO_P2P_WIREBUF_H
#define TALKOO_P2P_WIREBUF_H

#include <stddef.h>
#include <stdint.h>

struct wirebuf {
	uint8_t *bytes; /* NULL: nothing is allocated */
	size_t cap;
	size_t at, end; /* bytes[at] to bytes[end - 1] wait */
	size_t max;     /* ceiling of end - at; the memory is at most twice that and what was asked for last */
};

/* Allocates nothing. max: ceiling of what may wait, bytes. */
void wirebuf_init(struct wirebuf *w, size_t max);
/* Frees the memory; it may be used again. NULL is fine. */
void wirebuf_release(struct wirebuf *w);
/* Room for len bytes behind the end, which the caller may write and then count in `end`. NULL past the ceiling, or without
 * memory: nothing has changed then. What was lent from it before is void. */
uint8_t *wirebuf_room(struct wirebuf *w, size_t len);
static inline size_t wirebuf_len(const struct wirebuf *w) { return w->end - w->at; }

#endif
