/* A fuzz target's main() in ordinary builds: feeds it every file of its corpus and prints TAP.
 *
 *   fuzz_NAME [FOLDER or FILE]…     default: TALKOO_SRCDIR/tests/fuzz/corpus/NAME
 *
 * Each input is given whole, then cut short at a few places and with single bytes changed, so that a small corpus
 * covers the neighbourhood of its files too; the changes are the same in every run. */
#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX (4u << 20)
#define CHANGES 200

static int tests_run, tests_failed;

static void result(bool ok, const char *path)
{
	tests_run++;
	tests_failed += !ok;
	printf("%sok %d - %s\n", ok ? "" : "not ", tests_run, path);
	fflush(stdout);
}

/* The target gets an allocation of exactly len bytes, so that ASan sees a read past the end. */
static void feed(const uint8_t *bytes, size_t len)
{
	CLEANUP(cleanup_free) uint8_t *copy = malloc(len ? len : 1);
	if (!copy)
		abort();
	if (len)
		memcpy(copy, bytes, len);
	LLVMFuzzerTestOneInput(copy, len);
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static void feed_neighbours(uint8_t *bytes, size_t len)
{
	uint32_t seed = 1;
	for (unsigned i = 0; len && i < CHANGES; i++) {
		const size_t at = next_random(&seed) % len;
		const uint8_t was = bytes[at];
		if (i % 4 == 0) {
			feed(bytes, at);
			continue;
		}
		bytes[at] = (uint8_t)next_random(&seed);
		feed(bytes, len);
		bytes[at] = was;
	}
}

static void replay_file(const char *path)
{
	CLEANUP(cleanup_file) FILE *file = fopen(path, "rb");
	CLEANUP(cleanup_free) uint8_t *bytes = malloc(INPUT_MAX);
	if (!file || !bytes) {
		result(false, path);
		return;
	}
	const size_t len = fread(bytes, 1, INPUT_MAX, file);
	feed(bytes, len);
	if (len <= 65536)
		feed_neighbours(bytes, len);
	result(true, path);
}

static void replay_folder(const char *folder)
{
	struct dirent **names;
	const int count = scandir(folder, &names, NULL, alphasort);
	if (count < 0) {
		result(false, folder);
		return;
	}
	for (int i = 0; i < count; i++) {
		char path[PATH_MAX];
		const int len = snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
		if (names[i]->d_name[0] != '.' && len > 0 && (size_t)len < sizeof path)
			replay_file(path);
		free(names[i]);
	}
	free(names);
}

static void replay(const char *path)
{
	struct stat st;
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		replay_folder(path);
	else
		replay_file(path);
}

int main(int argc, char **argv)
{
	feed(NULL, 0);
	if (argc > 1) {
		for (int i = 1; i < argc; i++)
			replay(argv[i]);
	} else {
		const char *slash = strrchr(argv[0], '/');
		const char *name = slash ? slash + 1 : argv[0];
		const char *root = getenv("TALKOO_SRCDIR");
		char path[PATH_MAX];
		snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%s", root ? root : ".",
			 strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name);
		replay(path);
	}
	printf("1..%d\n", tests_run);
	return tests_failed || !tests_run;
}
