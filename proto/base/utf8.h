/* UTF-8 as RFC 3629 has it: shortest form, no surrogates, up to U+10FFFF. */
#ifndef TALKOO_BASE_UTF8_H
#define TALKOO_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes one character at bytes (len > 0). Returns its length 1..4 and sets *ret_code; 0 if it is not valid;
 * -1 if it is the valid start of a character that len cuts off. */
int utf8_next(const uint8_t *bytes, size_t len, uint32_t *ret_code);
bool utf8_is_valid(const uint8_t *bytes, size_t len);

#endif
