/* A plan for a tree that has none: what its build system's own commands are. First hit wins. */
#include <jansson.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "runner/plan/plan_parts.h"

#define FILE_MAX (1u << 20)
#define JOBS "-j \"$(nproc)\""

struct seen {
	const struct plan_tree *tree;
	struct plan *plan;
	struct buf text; /* of the file that was found, cut at FILE_MAX: then empty */
};

/* Adds the steps. False: the file is there, but says nothing of tests; others are looked for. */
typedef int (*make_fn)(struct seen *s, bool *ret_fits, struct err *err);

static int read_file(const struct plan_tree *tree, const char *path, struct buf *ret, bool *ret_is_there, struct err *err)
{
	struct err why = {0};
	const int rc = tree->read(tree->context, path, ret, &why);
	*ret_is_there = rc == 0 || rc == ERR_LIMIT;
	if (rc == ERR_LIMIT)
		buf_reset(ret);
	if (rc && rc != ERR_LIMIT && rc != ERR_NOT_FOUND && rc != ERR_INVALID) {
		if (err)
			*err = why;
		return rc;
	}
	return 0;
}

static bool has_file(const struct seen *s, const char *path)
{
	CLEANUP(buf_release) struct buf text;
	bool is_there = false;
	buf_init(&text, FILE_MAX);
	return read_file(s->tree, path, &text, &is_there, NULL) == 0 && is_there;
}

static int step(struct seen *s, const char *name, const char *run, struct err *err)
{
	return plan_add_step(s->plan, &(struct plan_new_step){.name = name, .run = run}, err);
}

static int make_meson(struct seen *s, bool *ret_fits, struct err *err)
{
	*ret_fits = true;
	int rc = step(s, "configure", "meson setup build", err);
	if (!rc)
		rc = step(s, "build", "meson compile -C build", err);
	return rc ? rc : step(s, "test", "meson test -C build --print-errorlogs", err);
}

static int make_cmake(struct seen *s, bool *ret_fits, struct err *err)
{
	*ret_fits = true;
	int rc = step(s, "configure", "cmake -S . -B build", err);
	if (!rc)
		rc = step(s, "build", "cmake --build build " JOBS, err);
	return rc ? rc : step(s, "test", "ctest --test-dir build --output-on-failure", err);
}

static int make_configure(struct seen *s, bool *ret_fits, struct err *err)
{
	int rc = 0;
	*ret_fits = true;
	if (!has_file(s, "configure"))
		rc = step(s, "prepare", has_file(s, "autogen.sh") ? "NOCONFIGURE=1 ./autogen.sh" : "autoreconf -fi", err);
	if (!rc)
		rc = step(s, "configure", "./configure", err);
	if (!rc)
		rc = step(s, "build", "make " JOBS, err);
	return rc ? rc : step(s, "test", "make check", err);
}

/* Whether a makefile has a rule for that target. */
static bool has_target(const char *text, const char *target)
{
	const size_t len = strlen(target);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		const size_t to_colon = strcspn(line, ":=#\t\n");
		if (line[to_colon] != ':' || line[to_colon + 1] == '=')
			continue;
		for (const char *at = line; at + len <= line + to_colon; at += strcspn(at, " ") + 1) {
			if (!strncmp(at, target, len) && (at[len] == ' ' || at[len] == ':'))
				return true;
		}
	}
	return false;
}

static int make_makefile(struct seen *s, bool *ret_fits, struct err *err)
{
	const char *text = buf_cstr(&s->text);
	const bool has_check = has_target(text, "check");
	*ret_fits = has_check || has_target(text, "test");
	if (!*ret_fits)
		return 0;
	const int rc = step(s, "build", "make " JOBS, err);
	return rc ? rc : step(s, "test", has_check ? "make check" : "make test", err);
}

static int make_cargo(struct seen *s, bool *ret_fits, struct err *err)
{
	*ret_fits = true;
	const bool is_locked = has_file(s, "Cargo.lock");
	const int rc = step(s, "build", is_locked ? "cargo build --offline --locked --workspace --all-targets"
						 : "cargo build --offline --workspace --all-targets", err);
	return rc ? rc : step(s, "test", is_locked ? "cargo test --offline --locked --workspace" : "cargo test --offline --workspace", err);
}

static int make_go(struct seen *s, bool *ret_fits, struct err *err)
{
	*ret_fits = true;
	int rc = plan_add_env(s->plan, "GOPROXY", "off", err);
	if (!rc)
		rc = step(s, "build", "go build ./...", err);
	return rc ? rc : step(s, "test", "go test ./...", err);
}

static int make_node(struct seen *s, bool *ret_fits, struct err *err)
{
	json_t *package = json_loadb((const char *)s->text.data, s->text.len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *test = json_object_get(json_object_get(package, "scripts"), "test");
	const bool has_needs = json_object_size(json_object_get(package, "dependencies")) ||
			       json_object_size(json_object_get(package, "devDependencies"));
	*ret_fits = json_is_string(test);
	json_decref(package);
	if (!*ret_fits)
		return 0;
	const int rc = has_needs ? step(s, "install", "npm ci --offline", err) : 0;
	return rc ? rc : step(s, "test", "npm test", err);
}

static int make_python(struct seen *s, bool *ret_fits, struct err *err)
{
	*ret_fits = true;
	const bool has_pytest = strstr(buf_cstr(&s->text), "pytest") || has_file(s, "pytest.ini") || has_file(s, "conftest.py") ||
				has_file(s, "tests/conftest.py");
	const int rc = plan_add_env(s->plan, "PYTHONPATH", "src:.", err);
	return rc ? rc : step(s, "test", has_pytest ? "python3 -m pytest" : "python3 -m unittest discover -v", err);
}

static const struct {
	const char *file, *image;
	make_fn make;
} builds[] = {
	{"meson.build", "c", make_meson},	{"CMakeLists.txt", "c", make_cmake}, {"configure", "c", make_configure},
	{"configure.ac", "c", make_configure},	{"GNUmakefile", "c", make_makefile}, {"makefile", "c", make_makefile},
	{"Makefile", "c", make_makefile},	{"Cargo.toml", "rust", make_cargo},  {"go.mod", "go", make_go},
	{"package.json", "node", make_node},	{"pyproject.toml", "python", make_python}, {"setup.py", "python", make_python},
};

int plan_detect(const struct plan_tree *tree, struct plan *ret, const char **ret_file, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(builds); i++) {
		CLEANUP(plan_release) struct plan plan = {0};
		struct seen s = {.tree = tree, .plan = &plan};
		bool is_there = false, fits = false;
		buf_init(&s.text, FILE_MAX);
		int rc = read_file(tree, builds[i].file, &s.text, &is_there, err);
		if (!rc && is_there)
			rc = builds[i].make(&s, &fits, err);
		buf_release(&s.text);
		if (rc)
			return rc;
		if (!fits)
			continue;
		memcpy(plan.image, builds[i].image, strlen(builds[i].image) + 1);
		plan_note(&plan, "no plan file: this is what %s becomes", builds[i].file);
		*ret = plan;
		*ret_file = builds[i].file;
		memset(&plan, 0, sizeof plan);
		return 0;
	}
	return err_set(err, ERR_NOT_FOUND, "no build that is known");
}
