/* Plans with cells: a matrix of .talkoo.yml, and SourceHut's .build.yml and .builds/. */
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "runner/plan/plan.h"
#include "tests/unit/tap.h"

/* "PATH\0text\0PATH\0text\0\0" */
static int read_tree(void *context, const char *path, struct buf *ret, struct err *err)
{
	for (const char *at = context; *at;) {
		const char *text = at + strlen(at) + 1;
		if (!strcmp(at, path)) {
			buf_str(ret, text);
			return buf_check(ret, path, err);
		}
		at = text + strlen(text) + 1;
	}
	return err_set(err, ERR_NOT_FOUND, "%s is not there", path);
}

static int list_tree(void *context, const char *folder, struct buf *ret, struct err *err)
{
	const size_t len = strlen(folder);
	bool is_there = false;
	for (const char *at = context; *at;) {
		if (!strncmp(at, folder, len) && at[len] == '/') {
			buf_printf(ret, "%s\n", at + len + 1);
			is_there = true;
		}
		at += strlen(at) + 1;
		at += strlen(at) + 1;
	}
	return is_there ? 0 : err_set(err, ERR_NOT_FOUND, "no %s", folder);
}

static int discover(const char *tree, const char *cell, struct plan_found *ret, struct err *err)
{
	return plan_discover(&(struct plan_tree){read_tree, list_tree, (void *)(uintptr_t)tree}, cell, ret, err);
}

#define STEPS "steps: [{run: make check}]\n"

static void test_matrix(void)
{
	static const char tree[] = ".talkoo.yml\0matrix:\n  image: [mini, debian@12]\n  environment:\n    CC: [gcc, clang]\n"
				   "    OPT: [\"-O0\", \"-O2\"]\nenvironment: {A: b}\n" STEPS "\0";
	static const char *const names[] = {
		"image=mini,CC=gcc,OPT=-O0",      "image=mini,CC=gcc,OPT=-O2",      "image=mini,CC=clang,OPT=-O0",
		"image=mini,CC=clang,OPT=-O2",    "image=debian@12,CC=gcc,OPT=-O0", "image=debian@12,CC=gcc,OPT=-O2",
		"image=debian@12,CC=clang,OPT=-O0", "image=debian@12,CC=clang,OPT=-O2"};
	char last[65] = "";
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		CLEANUP(plan_found_release) struct plan_found f = {0};
		struct err err = {0};
		OK(discover(tree, names[i], &f, &err) == 0, "%s: %s", names[i], err.what);
		INTEQ(f.cells_len, ARRAY_LEN(names));
		STREQ(f.cells[i], names[i]);
		STREQ(f.cell, names[i]);
		STREQ(f.plan.image, i < 4 ? "mini" : "debian@12");
		INTEQ(f.plan.env_len, 3);
		STREQ(f.plan.env[1].name, "CC");
		STREQ(f.plan.env[1].value, i / 2 % 2 ? "clang" : "gcc");
		STREQ(f.plan.env[2].value, i % 2 ? "-O2" : "-O0");
		OK(strcmp(last, f.canonical_sha256) != 0, "each is a plan of its own");
		memcpy(last, f.canonical_sha256, sizeof last);
		INTEQ(f.plan.matrix.images_len + f.plan.matrix.axes_len, 0);
	}
	CLEANUP(plan_found_release) struct plan_found first = {0};
	struct plan_found none = {0};
	struct err err = {0};
	OK(discover(tree, NULL, &first, &err) == 0 && !strcmp(first.cell, names[0]), "whoever does not say gets the first");
	INTEQ(discover(tree, "", &none, &err), ERR_REFUSED);
	STREQ(err.what, ".talkoo.yml has 8 cells: one of them must be named");
	INTEQ(discover(tree, "image=mini", &none, &err), ERR_REFUSED);
	STREQ(err.what, ".talkoo.yml has no cell named image=mini");
	OK(!strncmp(err.hint, "its cells: image=mini,CC=gcc,OPT=-O0; image=", 40), "the hint lists them: %s", err.hint);
	INTEQ(discover(".talkoo.yml\0image: mini\n" STEPS "\0", "x", &none, &err), ERR_REFUSED);
	STREQ(err.what, ".talkoo.yml has no cells, and so none named x");
}

#define N8 "[a, b, c, d, e, f, g, h]"
static const char *const bad_matrix[][3] = {
	{"matrix: x", ":1:9: matrix: expected a map (lines like \"key: value\"), not \"x\"", NULL},
	{"image: mini\nmatrix: {}", ":2:9: matrix: is empty", "name images, variables or both, or leave the key out"},
	{"matrix: {images: [mini]}", ":1:10: matrix.images: unknown key", "did you mean \"image\"?"},
	{"matrix: {image: mini}", ":1:17: matrix.image: expected a list (lines that start with \"- \"), not \"mini\"", NULL},
	{"matrix: {image: []}", ":1:17: matrix.image: ", NULL},
	{"matrix: {image: [Mini]}", ":1:18: matrix.image[0]: is no image name", NULL},
	{"matrix: {image: [mini, mini]}", ":1:24: matrix.image[1]: stands there twice", NULL},
	{"image: mini\nmatrix: {image: [mini]}", ":1:8: image: the matrix names the images already", NULL},
	{"matrix: {environment: {CC: [gcc]}}", ":1:1: the key \"image\" is missing", NULL},
	{"image: mini\nmatrix: {environment: {}}", ":2:23: matrix.environment: ", NULL},
	{"image: mini\nmatrix: {environment: {CC: gcc}}", ":2:28: matrix.environment.CC: expected a list", NULL},
	{"image: mini\nmatrix: {environment: {CC: []}}", ":2:28: matrix.environment.CC: ", NULL},
	{"image: mini\nmatrix: {environment: {CC: [[gcc]]}}", ":2:29: matrix.environment.CC[0]: ", NULL},
	{"image: mini\nmatrix: {environment: {CC: [\"\"]}}", ":2:29: matrix.environment.CC[0]: ", NULL},
	{"image: mini\nmatrix: {environment: {CC: [\"a,b\"]}}", ":2:29: matrix.environment.CC[0]: has a blank or a comma", NULL},
	{"image: mini\nmatrix: {environment: {CC: [a b]}}", ":2:29: matrix.environment.CC[0]: has a blank or a comma", NULL},
	{"image: mini\nmatrix: {environment: {C-C: [a]}}", ":2:24: matrix.environment.C-C: is no name for", NULL},
	{"image: mini\nmatrix: {environment: {TALKOO_X: [a]}}", ":2:24: matrix.environment.TALKOO_X: names that start", NULL},
	{"image: mini\nmatrix: {environment: {A: [x], A: [y]}}", ":2:32: ", NULL},
	{"image: mini\nmatrix: {environment: {A: &a [x]}}", ":2:27: ", NULL},
	{"image: mini\nenvironment: {A: b}\nmatrix: {environment: {A: [x]}}", ":2:18: environment.A: the matrix sets this", NULL},
	{"image: mini\nmatrix: {environment: {A: " N8 ", B: " N8 "}}", ":2:9: matrix: has more than 32 cells", NULL},
	{"image: mini\nmatrix: {environment: {A: " N8 ", B: " N8 ", C: " N8 ", D: " N8 ", E: " N8 ", F: " N8 ", G: " N8 ", H: " N8 "}}",
	 ":2:9: matrix: has more than 32 cells", NULL},
};

static void test_bad_matrix(void)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_matrix); i++) {
		CLEANUP(buf_release) struct buf text;
		buf_init(&text, 4096);
		buf_printf(&text, "%s\n" STEPS, bad_matrix[i][0]);
		struct plan plan = {.env_len = 77};
		struct err err = {0};
		INTEQ(plan_parse(".talkoo.yml", text.data, text.len, &plan, &err), ERR_INVALID);
		OK(!strncmp(err.what, ".talkoo.yml", 11) && !strncmp(err.what + 11, bad_matrix[i][1], strlen(bad_matrix[i][1])), "%s: %s",
		   bad_matrix[i][0], err.what);
		if (bad_matrix[i][2])
			STREQ(err.hint, bad_matrix[i][2]);
		INTEQ(plan.env_len, 77);
	}
}

/* After the manifest reference and the tutorial of builds.sr.ht: the keys that it documents. */
static const char example[] = "image: alpine/edge\n"
			      "arch: x86_64\n"
			      "packages:\n"
			      "  - meson\n"
			      "  - gtk+3.0-dev\n"
			      "sources:\n"
			      "  - https://git.sr.ht/~sircmpwn/example.git#master\n"
			      "environment:\n"
			      "  deploy: user@example.org\n"
			      "  SOME_FLAG: \"1\"\n"
			      "secrets:\n"
			      "  - 46f739e5-4538-45dd-a79f-bf173b7a2ed9\n"
			      "tasks:\n"
			      "  - setup: |\n"
			      "      cd example\n"
			      "      meson setup build\n"
			      "  - build: |\n"
			      "      cd example\n"
			      "      ninja -C build\n"
			      "  - test-all: ninja -C example/build test\n"
			      "artifacts:\n"
			      "  - example/build/thing.tar.gz\n"
			      "  - report.txt\n"
			      "triggers:\n"
			      "  - action: email\n"
			      "    condition: failure\n"
			      "    to: Jim <jim@example.org>\n";

static void test_example(void)
{
	CLEANUP(buf_release) struct buf tree;
	CLEANUP(plan_found_release) struct plan_found f = {0};
	struct err err = {0};
	buf_init(&tree, 8192);
	buf_append(&tree, ".build.yml", 11);
	buf_append(&tree, example, sizeof example);
	buf_byte(&tree, 0);
	OK(discover((const char *)tree.data, NULL, &f, &err) == 0, "the example: %s", err.what);
	STREQ(plan_format_name(f.format), "sourcehut");
	STREQ(f.path, ".build.yml");
	INTEQ(f.cells_len, 0);
	STREQ(f.plan.image, "");
	INTEQ(f.plan.env_len, 2);
	STREQ(f.plan.env[0].name, "deploy");
	INTEQ(f.plan.steps_len, 3);
	INTEQ(f.plan.packages_len, 2);
	STREQ(f.plan.packages[1], "gtk+3.0-dev");
	STREQ(f.plan.steps[0].name, "setup");
	STREQ(f.plan.steps[0].run, "cd example\nmeson setup build\n");
	INTEQ(f.plan.steps[0].first_line, 15);
	OK(strstr(f.plan.steps[0].prelude, "ln -s /ci/src ~/example\n") != NULL, "the source has its name");
	OK(strstr(f.plan.steps[0].prelude, "for f in report.txt; do") != NULL, "what lies outside is copied");
	STREQ(f.plan.steps[2].name, "test-all");
	INTEQ(f.plan.globs_len, 1);
	STREQ(f.plan.globs[0], "build/thing.tar.gz");
	INTEQ(f.plan.notes_len, 3);
	STREQ(f.plan.notes[0], "the image alpine/edge is SourceHut's name: --image says which image it is here");
	OK(strstr(f.plan.notes[1], "secrets: ignored") && strstr(f.plan.notes[2], "triggers: ignored"), "says what it ignores");
}

#define OF(text) ".builds/" text ".yml\0image: " text "\ntasks: [{t: echo " text "}]\nsources: [https://h/~u/p]\n\0"

static void test_builds(void)
{
	static const char tree[] = OF("debian") OF("arch") ".builds/README\0x\0" OF("mini") "meson.build\0x\0";
	static const char *const names[] = {"arch", "debian", "mini"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		CLEANUP(plan_found_release) struct plan_found f = {0};
		struct err err = {0};
		char path[64];
		snprintf(path, sizeof path, ".builds/%s.yml", names[i]);
		OK(discover(tree, names[i], &f, &err) == 0, "%s: %s", names[i], err.what);
		INTEQ(f.cells_len, 3);
		STREQ(f.cells[i], names[i]);
		STREQ(f.path, path);
		STREQ(f.plan.image, names[i]);
		INTEQ(f.plan.steps_len, 1);
	}
	CLEANUP(plan_found_release) struct plan_found f = {0};
	CLEANUP(plan_found_release) struct plan_found other = {0};
	struct plan_found none = {0};
	struct err err = {0};
	INTEQ(discover(tree, "mesa", &none, &err), ERR_REFUSED);
	STREQ(err.what, ".builds has no cell named mesa");
	OK(discover(".build.yml\0image: mini\ntasks: [{t: x}]\n\0" OF("a"), NULL, &f, &err) == 0 && !f.cells_len, ".build.yml comes first");
	OK(discover(".builds/README\0x\0Makefile\0check:\n\0", NULL, &other, &err) == 0 && other.origin == JOB_ORIGIN_DETECTED,
	   "a folder without plans is none");
	INTEQ(discover(".builds/a\x01z.yml\0image: a\n\0", NULL, &none, &err), ERR_INVALID);
	INTEQ(discover(".builds/../x.yml\0image: a\n\0", NULL, &none, &err), ERR_INVALID);
	CLEANUP(buf_release) struct buf many;
	buf_init(&many, 8192);
	for (int i = 0; i <= PLAN_CELLS_MAX; i++) {
		buf_printf(&many, ".builds/f%d.yml", i);
		buf_append(&many, "\0x", 3);
	}
	buf_byte(&many, 0);
	INTEQ(discover((const char *)many.data, NULL, &none, &err), ERR_LIMIT);
}

#define T "tasks: [{t: x}]\n"
static const char *const bad_build[][2] = {
	{"", ":1:1: "},
	{"x", ":1:1: expected a map"},
	{"image: mini\n", ":1:1: the key \"tasks\" is missing"},
	{T, ":1:1: the key \"image\" is missing"},
	{T "image: [a]\n", ":2:8: image: "},
	{T "image: \"a b\"\n", ":2:8: image: is no image name"},
	{T "image: mini\narch: aarch64\n", ":3:7: arch: only x86_64 can be had"},
	{T "image: mini\nrepositories: {x: https://h}\n", ":3:15: repositories: cannot be honoured"},
	{T "image: mini\nsources: [https://h/a, https://h/b]\n", ":3:24: sources[1]: cannot be fetched"},
	{T "image: mini\nsources: [\"https://h/..\"]\n", ":3:11: sources[0]: does not end in the name of a repository"},
	{T "image: mini\nsources: [\"https://h/$(x)\"]\n", ":3:11: sources[0]: does not end"},
	{T "image: mini\nsources: [\"\"]\n", ":3:11: sources[0]: "},
	{T "image: mini\nsources: x\n", ":3:10: sources: "},
	{T "image: mini\npackages: [\"a;rm -rf /\"]\n", ":3:12: packages[0]: is no package name"},
	{T "image: mini\npackages: [\"--force\"]\n", ":3:12: packages[0]: is no package name"},
	{T "image: mini\nartifacts: [\"a;b\"]\n", ":3:13: artifacts[0]: has characters"},
	{T "image: mini\nartifacts: [\"$(x)\"]\n", ":3:13: artifacts[0]: has characters"},
	{T "image: mini\nartifacts: [\"`x`\"]\n", ":3:13: artifacts[0]: has characters"},
	{T "image: mini\nenvironment: {a: [b]}\n", ":3:18: environment.a: a list cannot be given to a job"},
	{T "image: mini\nenvironment: {a-b: c}\n", ":3:15: environment.a-b: is no name"},
	{T "image: mini\nenviroment: {a: b}\n", ":3:1: enviroment: unknown key"},
	{"image: mini\ntasks: []\n", ":2:8: tasks: "},
	{"image: mini\ntasks: {a: b}\n", ":2:8: tasks: "},
	{"image: mini\ntasks: [x]\n", ":2:9: tasks[0]: "},
	{"image: mini\ntasks: [{a: b, c: d}]\n", ":2:9: tasks[0]: "},
	{"image: mini\ntasks: [{}]\n", ":2:9: tasks[0]: "},
	{"image: mini\ntasks: [{\"a b\": x}]\n", ":2:10: tasks[0].a b: is no name for a task"},
	{"image: mini\ntasks: [{a: x}, {a: y}]\n", ":2:18: tasks[1].a: there is another task of that name"},
	{"image: mini\ntasks: [{a: [x]}]\n", ":2:13: tasks[0].a: "},
	{"image: mini\nimage: mini\n" T, ":2:1: "},
	{"image: &a mini\n" T, ":1:8: "},
};

static void test_bad_build(void)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_build); i++) {
		CLEANUP(buf_release) struct buf tree;
		struct plan_found none = {0};
		struct err err = {0};
		buf_init(&tree, 4096);
		buf_append(&tree, ".build.yml", 11);
		buf_append(&tree, bad_build[i][0], strlen(bad_build[i][0]) + 1);
		buf_byte(&tree, 0);
		INTEQ(discover((const char *)tree.data, NULL, &none, &err), ERR_INVALID);
		OK(!strncmp(err.what, ".build.yml", 10) && !strncmp(err.what + 10, bad_build[i][1], strlen(bad_build[i][1])), "%s: %s",
		   bad_build[i][0], err.what);
		OK(!none.path[0] && !none.cells, "untouched");
	}
}

int main(void)
{
	test_matrix();
	test_bad_matrix();
	test_example();
	test_builds();
	test_bad_build();
	return tap_done();
}
