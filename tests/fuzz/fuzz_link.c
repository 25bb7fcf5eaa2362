#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "proto/ids.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[2 * LINK_TEXT_MAX], out[LINK_TEXT_MAX];
	if (sodium_init() < 0 || size >= sizeof text || !data)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	struct project_link link, again;
	struct err err;
	if (project_link_parse(text, &link, &err))
		return 0;
	/* percent-encoding may lengthen a name past the limit; whatever was written reads back the same */
	if (project_link_format(&link, out, sizeof out, &err))
		return 0;
	assert(!project_link_parse(out, &again, &err));
	assert(id32_eq(&link.project, &again.project) && !strcmp(link.name, again.name) && link.seeds_len == again.seeds_len);
	for (size_t i = 0; i < link.seeds_len; i++)
		assert(!strcmp(link.seeds[i].host, again.seeds[i].host) && link.seeds[i].port == again.seeds[i].port);
	return 0;
}
