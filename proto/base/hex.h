/* Lower-case hexadecimal. */
#ifndef TALKOO_BASE_HEX_H
#define TALKOO_BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes 2*len digits and a 0 byte to out (2*len+1 bytes). Returns out. */
char *hex_encode(char *out, const uint8_t *bytes, size_t len);
/* Reads exactly 2*len digits (either case) and the end of the string. False, out unspecified, if text is anything else. */
bool hex_decode(uint8_t *out, size_t len, const char *text);
/* Whether text is `min` to `max` hexadecimal digits (either case) and nothing else. */
bool hex_is_digits(const char *text, size_t min, size_t max);

#endif
