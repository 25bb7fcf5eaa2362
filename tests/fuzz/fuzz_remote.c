/* Source URLs: whatever is taken has a host and a path that mean what they say. */
#include <stdlib.h>
#include <string.h>

#include "runner/remote.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[2048];
	if (size >= sizeof text)
		return 0;
	if (size)
		memcpy(text, data, size);
	text[size] = 0;
	struct remote_url url;
	if (remote_parse(text, &url, NULL))
		return 0;
	const bool is_file = url.scheme == REMOTE_FILE;
	if (is_file != !url.host[0] || is_file != !url.port || url.path[0] != '/' || url.plain_path[0] != '/' ||
	    strpbrk(url.host, "/@\\ %[]") || strstr(url.plain_path, "/../") || !remote_same_place(&url, &url))
		abort();
	return 0;
}
