#include "proto/base/base58.h"

#include <assert.h>
#include <string.h>

static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

size_t base58_encode(char *out, const uint8_t *bytes, size_t len)
{
	assert(len <= BASE58_BYTES_MAX);
	uint8_t digits[BASE58_TEXT_MAX] = {0}; /* least significant first */
	size_t used = 0, zeros = 0;
	while (zeros < len && bytes[zeros] == 0)
		zeros++;
	for (size_t i = zeros; i < len; i++) {
		unsigned carry = bytes[i];
		for (size_t j = 0; j < used || carry; j++) {
			carry += (unsigned)digits[j] << 8;
			digits[j] = (uint8_t)(carry % 58);
			carry /= 58;
			if (j >= used)
				used = j + 1;
		}
	}
	size_t n = 0;
	for (size_t i = 0; i < zeros; i++)
		out[n++] = alphabet[0];
	while (used)
		out[n++] = alphabet[digits[--used]];
	out[n] = 0;
	return n;
}

int base58_decode(uint8_t *out, size_t max, const char *text)
{
	if (max > BASE58_BYTES_MAX)
		max = BASE58_BYTES_MAX;
	uint8_t value[BASE58_BYTES_MAX] = {0}; /* least significant first */
	size_t used = 0, zeros = 0;
	while (text[zeros] == alphabet[0])
		zeros++;
	for (const char *p = text + zeros; *p; p++) {
		const char *at = strchr(alphabet, *p);
		if (!at)
			return -1;
		unsigned carry = (unsigned)(at - alphabet);
		for (size_t j = 0; j < used || carry; j++) {
			if (j >= max)
				return -1;
			carry += (unsigned)value[j] * 58;
			value[j] = (uint8_t)carry;
			carry >>= 8;
			if (j >= used)
				used = j + 1;
		}
	}
	if (zeros + used > max)
		return -1;
	memset(out, 0, zeros);
	for (size_t i = 0; i < used; i++)
		out[zeros + i] = value[used - 1 - i];
	return (int)(zeros + used);
}
