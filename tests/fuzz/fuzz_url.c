#include <assert.h>
#include <string.h>

#include "proto/url.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[4096], out[URL_TEXT_MAX], again[URL_TEXT_MAX];
	struct err err;
	if (size >= sizeof text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = 0;
	if (!url_normalise(text, out, &err)) {
		for (const char *p = out; *p; p++)
			assert(*p > 0x20 && *p < 0x7f);
		assert(!url_normalise(out, again, &err) && !strcmp(out, again));
	}
	ref_name_is_valid(text);
	return 0;
}
