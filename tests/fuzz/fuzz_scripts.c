/* Any text as a step's commands, and as its output: what is found stands in it. */
#include <stdlib.h>
#include <string.h>

#include "runner/netscan.h"
#include "runner/plan/script_check.h"
#include "tests/fuzz/fuzz.h"

static void read_scripts(const char *text)
{
	struct script_use use;
	size_t at = 0, last = 0;
	uint32_t line = 0;
	while (script_check_next(text, &at, &use)) {
		if (!use.path[0] || use.path[0] == '/' || strstr(use.path, "..") || !strstr(text + use.offset, use.path))
			abort();
		if (at <= last || at > strlen(text) || use.line <= line || (use.offset && text[use.offset - 1] != '\n'))
			abort();
		last = at;
		line = use.line;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	read_scripts(text);
	free(text);
	/* in one piece or byte by byte: the same is found */
	struct netscan whole = {0}, split = {0};
	netscan_feed(&whole, data, size);
	for (size_t i = 0; i < size; i++)
		netscan_feed(&split, data + i, 1);
	if (whole.is_found != split.is_found)
		abort();
	return 0;
}
