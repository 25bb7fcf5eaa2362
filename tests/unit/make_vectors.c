/* make_vectors FOLDER: writes our own vectors (proto/vectors of the sources) anew. Run by hand when the protocol has grown. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "tests/unit/vectors.h"

int main(int argc, char **argv)
{
	struct err err = {0};
	if (argc != 2 || sodium_init() < 0) {
		fprintf(stderr, "usage: make_vectors FOLDER\n");
		return 2;
	}
	for (unsigned i = 0; i < vector_files_len; i++) {
		CLEANUP(cleanup_free) char *text = vector_text(&vector_files[i]);
		char path[4096];
		snprintf(path, sizeof path, "%s/%s", argv[1], vector_files[i].name);
		if (io_replace_file(path, text, strlen(text), 0644, &err)) {
			err_print(&err, stderr);
			return 7;
		}
	}
	return 0;
}
