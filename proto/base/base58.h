/* base58btc (the Bitcoin alphabet), as multibase's "z" form uses it. */
#ifndef TALKOO_BASE_BASE58_H
#define TALKOO_BASE_BASE58_H

#include <stddef.h>
#include <stdint.h>

#define BASE58_BYTES_MAX 64
#define BASE58_TEXT_MAX 89 /* characters for 64 bytes, and the 0 byte */

/* Writes the text and a 0 byte to out. len at most BASE58_BYTES_MAX; out at least BASE58_TEXT_MAX. Returns the
 * text's length. */
size_t base58_encode(char *out, const uint8_t *bytes, size_t len);
/* Decodes the whole string into at most max bytes (max <= BASE58_BYTES_MAX). Returns the number of bytes, or -1 for a
 * character outside the alphabet or too long a value. */
int base58_decode(uint8_t *out, size_t max, const char *text);

#endif
