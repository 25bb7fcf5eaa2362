#include "proto/base/utf8.h"

int utf8_next(const uint8_t *bytes, size_t len, uint32_t *ret_code)
{
	const uint8_t lead = bytes[0];
	if (lead < 0x80) {
		*ret_code = lead;
		return 1;
	}
	const int need = lead >= 0xc2 && lead <= 0xdf ? 2 : (lead & 0xf0) == 0xe0 ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
	if (!need)
		return 0;
	uint32_t code = lead & (0xffu >> (need + 1));
	for (int i = 1; i < need; i++) {
		if ((size_t)i >= len)
			return -1;
		/* the second byte's narrower ranges rule out overlong forms, surrogates and values past U+10FFFF */
		const uint8_t low = i > 1 ? 0x80 : lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
		const uint8_t high = i > 1 ? 0xbf : lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
		if (bytes[i] < low || bytes[i] > high)
			return 0;
		code = code << 6 | (bytes[i] & 0x3f);
	}
	*ret_code = code;
	return need;
}

bool utf8_is_valid(const uint8_t *bytes, size_t len)
{
	while (len) {
		uint32_t code;
		const int n = utf8_next(bytes, len, &code);
		if (n <= 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}
