/* What a tree without a plan file becomes. */
#include <string.h>

#include "proto/base/cleanup.h"
#include "runner/plan/plan.h"
#include "tests/unit/tap.h"

/* "PATH\0text\0PATH\0text\0\0" */
static int read_tree(void *context, const char *path, struct buf *ret, struct err *err)
{
	for (const char *at = context; *at;) {
		const char *text = at + strlen(at) + 1;
		if (!strcmp(at, path) && !strcmp(text, "IO"))
			return err_set(err, ERR_IO, "the disk is gone");
		if (!strcmp(at, path) && !strcmp(text, "LINK"))
			return err_set(err, ERR_INVALID, "%s is a link", path);
		if (!strcmp(at, path)) {
			buf_str(ret, text);
			return buf_check(ret, path, err);
		}
		at = text + strlen(text) + 1;
	}
	return err_set(err, ERR_NOT_FOUND, "%s is not there", path);
}

static int discover(const char *tree, struct plan_found *ret, struct err *err)
{
	return plan_discover(&(struct plan_tree){read_tree, NULL, (void *)(uintptr_t)tree}, NULL, ret, err);
}

static const struct {
	const char *tree, *file, *image, *first, *last;
	size_t steps;
} cases[] = {
	{"meson.build\0\0Makefile\0check:\0", "meson.build", "c", "meson setup build", "meson test -C build --print-errorlogs", 3},
	{"CMakeLists.txt\0x\0", "CMakeLists.txt", "c", "cmake -S . -B build", "ctest --test-dir build --output-on-failure", 3},
	{"configure\0x\0configure.ac\0x\0", "configure", "c", "./configure", "make check", 3},
	{"configure.ac\0x\0", "configure.ac", "c", "autoreconf -fi", "make check", 4},
	{"configure.ac\0x\0autogen.sh\0x\0", "configure.ac", "c", "NOCONFIGURE=1 ./autogen.sh", "make check", 4},
	{"Makefile\0all:\n\ncheck: all\n\0", "Makefile", "c", "make -j \"$(nproc)\"", "make check", 2},
	{"Makefile\0.PHONY: x\nlint test: all\n\0", "Makefile", "c", "make -j \"$(nproc)\"", "make test", 2},
	{"Cargo.toml\0x\0Cargo.lock\0x\0", "Cargo.toml", "rust", "cargo build --offline --locked --workspace --all-targets",
	 "cargo test --offline --locked --workspace", 2},
	{"go.mod\0module x\0", "go.mod", "go", "go build ./...", "go test ./...", 2},
	{"package.json\0{\"scripts\":{\"test\":\"node t.js\"}}\0", "package.json", "node", "npm test", "npm test", 1},
	{"package.json\0{\"scripts\":{\"test\":\"t\"},\"dependencies\":{\"a\":\"1\"}}\0", "package.json", "node", "npm ci --offline",
	 "npm test", 2},
	{"package.json\0{\"scripts\":{}}\0setup.py\0x\0", "setup.py", "python", "python3 -m unittest discover -v",
	 "python3 -m unittest discover -v", 1},
	{"pyproject.toml\0[tool.pytest]\0", "pyproject.toml", "python", "python3 -m pytest", "python3 -m pytest", 1},
};

static void test_builds(void)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP(plan_found_release) struct plan_found f = {0};
		struct err err = {0};
		OK(discover(cases[i].tree, &f, &err) == 0, "%s: %s", cases[i].file, err.what);
		STREQ(f.path, cases[i].file);
		STREQ(f.plan.image, cases[i].image);
		INTEQ(f.origin, JOB_ORIGIN_DETECTED);
		STREQ(f.sha256, f.canonical_sha256);
		OK(f.plan.steps_len == cases[i].steps && !strcmp(f.plan.steps[0].run, cases[i].first) &&
			   !strcmp(f.plan.steps[cases[i].steps - 1].run, cases[i].last),
		   "its steps, %zu", f.plan.steps_len);
	}
}

static void test_none(void)
{
	static const char *const trees[] = {
		"", "README\0x\0", "Makefile\0all:\ncheck := x\n#test:\n\tcheck: x\nchecked: x\n\0", "package.json\0{\"scripts\":\0",
		"package.json\0{\"scripts\":{\"test\":1}}\0", "package.json\0[]\0", "Makefile\0LINK\0", ".github/workflows/ci.yml\0x\0",
		".gitlab-ci.yml\0x\0",
	};
	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		struct plan_found f = {0};
		struct err err = {0};
		INTEQ(discover(trees[i], &f, &err), ERR_NOT_FOUND);
		OK(!strncmp(err.what, "no plan: ", 9) && !f.plan.steps, "%s", err.what);
	}
	struct plan_found f = {0};
	INTEQ(discover("Makefile\0IO\0", &f, NULL), ERR_IO);
}

int main(void)
{
	test_builds();
	test_none();
	return tap_done();
}
