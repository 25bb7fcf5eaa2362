/* Foreign text made safe for a terminal: the one sanitiser, used at the printing edge.
 *
 * Kept: printable UTF-8, newline, tab. Replaced by U+FFFD: other C0 and C1 controls (so every ESC, CSI, OSC and DCS
 * loses its head), DEL, bidirectional and invisible format characters, surrogates, bytes that are not UTF-8.
 * A carriage return before a newline vanishes, any other becomes a newline (a progress bar stays readable).
 * It is a stream: a character split over two calls is joined, an escape sequence split over calls cannot slip by,
 * because no state but "the incomplete character" and "just saw CR" matters. */
#ifndef TALKOO_BASE_SANITISE_H
#define TALKOO_BASE_SANITISE_H

#include "proto/base/buf.h"

struct sanitise {
	uint8_t held[4]; /* incomplete character */
	size_t held_len;
	bool saw_cr;
	bool one_line; /* newline and tab become a space: for names and reasons within a line */
};

void sanitise_init(struct sanitise *s, bool one_line);
/* Appends the safe form of bytes to out. */
void sanitise_feed(struct sanitise *s, const void *bytes, size_t len, struct buf *out);
/* End of input: what is held back is appended as U+FFFD. */
void sanitise_end(struct sanitise *s, struct buf *out);
/* One string within a line, cut at size-1 bytes on a character's boundary. Returns out. */
const char *sanitise_line(char *out, size_t size, const char *foreign);

#endif
