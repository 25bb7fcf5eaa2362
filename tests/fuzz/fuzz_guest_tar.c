/* Any bytes as a tar: every entry that comes out has a plain relative path, and the sizes add up. */
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "runner/guest/tar_read.h"
#include "tests/fuzz/fuzz.h"

struct input {
	const uint8_t *data;
	size_t size, at, step; /* step: bytes a read, so that entries straddle reads */
};

static ssize_t next_bytes(void *ctx, void *bytes, size_t len, struct err *err)
{
	struct input *const in = ctx;
	(void)err;
	size_t n = in->size - in->at;
	n = n < len ? n : len;
	n = n < in->step ? n : in->step;
	if (n)
		memcpy(bytes, in->data + in->at, n);
	in->at += n;
	return (ssize_t)n;
}

static void check_path(const char *path)
{
	if (path[0] == '/' || strstr(path, "//") || (path[0] && path[strlen(path) - 1] == '/'))
		abort();
	for (const char *part = path; *part; part += strcspn(part, "/"), part += *part == '/') {
		if (!strncmp(part, "../", 3) || !strcmp(part, "..") || !strncmp(part, "./", 2) || !strcmp(part, "."))
			abort();
	}
}

static void read_all(const uint8_t *data, size_t size, size_t step)
{
	struct input in = {.data = data, .size = size, .step = step};
	CLEANUP(tar_reader_release) struct tar_reader r = {0};
	struct err err = {0};
	static struct tar_entry e;
	if (tar_reader_init(&r, next_bytes, &in, &err))
		return;
	int rc;
	while ((rc = tar_next(&r, &e, &err)) == 1) {
		check_path(e.path);
		if ((e.type == TAR_SYMLINK) != (e.link[0] != 0) && e.type == TAR_SYMLINK)
			abort();
		uint64_t got = 0;
		const uint8_t *bytes = NULL;
		ssize_t n;
		while ((n = tar_read(&r, &bytes, &err)) > 0)
			got += (uint64_t)n;
		if (n < 0)
			return;
		if (got != e.size_bytes)
			abort();
	}
	if (rc < 0 && !err.what[0])
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_all(data, size, 1 << 20);
	read_all(data, size, 100);
	return 0;
}
