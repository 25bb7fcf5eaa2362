/* Ambient's plans and Radicle's native ones: what they become, and what is refused, where. */
#include <string.h>

#include "proto/base/cleanup.h"
#include "runner/plan/plan.h"
#include "tests/unit/tap.h"

struct tree {
	const char *path, *text, *lock;
	bool is_shrinkwrap; /* the lock file is npm's other one, too */
};

static int read_tree(void *context, const char *path, struct buf *ret, struct err *err)
{
	const struct tree *t = context;
	const bool is_lock = !strcmp(path, "Cargo.lock") || (!strcmp(path, "npm-shrinkwrap.json") ? t->is_shrinkwrap : !strcmp(path, "package-lock.json"));
	const char *text = is_lock ? t->lock : !strcmp(path, t->path) ? t->text : NULL;
	if (!text)
		return err_set(err, ERR_NOT_FOUND, "%s is not there", path);
	buf_str(ret, text);
	return buf_check(ret, path, err);
}

static int discover(const char *path, const char *text, const char *lock, struct plan_found *ret, struct err *err)
{
	struct tree t = {path, text, lock};
	return plan_discover(&(struct plan_tree){read_tree, NULL, &t}, NULL, ret, err);
}

/* Of npm's two lock files the one that counts for npm counts here. */
static void test_shrinkwrap(void)
{
	static const char plan[] = "pre_plan: [{action: npm_get}]\nplan: [{action: shell, shell: x}]\n";
	CLEANUP(plan_found_release) struct plan_found f = {0};
	struct plan_found none = {0};
	struct err err = {0};
	struct tree t = {PLAN_FILE_AMBIENT, plan, "{\n  \"lockfileVersion\": 3\n}\n", true};
	OK(plan_discover(&(struct plan_tree){read_tree, NULL, &t}, NULL, &f, &err) == 0, "nothing to fetch: %s", err.what);
	STREQ(f.plan.notes[0], "npm_get: npm-shrinkwrap.json names nothing to fetch");
	t.lock = "{\n  \"resolved\": \"x\"\n}\n";
	OK(plan_discover(&(struct plan_tree){read_tree, NULL, &t}, NULL, &none, &err) == ERR_INVALID && strstr(err.what, "npm-shrinkwrap.json names"),
	   "refused: %s", err.what);
}

static void test_small_plan(void)
{
	CLEANUP(plan_found_release) struct plan_found f = {0};
	struct err err = {0};
	static const char text[] = "pre_plan:\n"
				   "plan:\n"
				   "  - action: shell\n"
				   "    shell: |\n"
				   "      echo one\n"
				   "  - action: setenv\n"
				   "    set: { GREETING: it's, N: 1.10 }\n"
				   "  - action: mkdir\n"
				   "    pathname: /ci/artifacts/out\n"
				   "  - action: custom\n"
				   "    name: greet\n"
				   "    args: { whom: it's, times: 2, deep: {a: [true, \"2\", 1.5, ~]} }\n"
				   "  - action: cargo_test\n"
				   "post_plan:\n"
				   "  - action: rsync\n";
	OK(discover(PLAN_FILE_AMBIENT, text, NULL, &f, &err) == 0, "read: %s", err.what);
	STREQ(plan_format_name(f.format), "ambient");
	STREQ(f.path, PLAN_FILE_AMBIENT);
	STREQ(f.plan.image, "");
	INTEQ(f.origin, JOB_ORIGIN_TREE);
	INTEQ(f.plan.steps_len, 4);
	if (f.plan.steps_len != 4)
		return;
	const struct plan_step *s = f.plan.steps;
	STREQ(s[0].name, "echo one");
	STREQ(s[0].prelude, "set -xeuo pipefail\n");
	INTEQ(s[0].first_line, 5);
	STREQ(s[1].run, "mkdir -p -- '/ci/artifacts/out'");
	STREQ(s[1].prelude, "export GREETING='it'\\''s'\nexport N='1.10'\nset -xeuo pipefail\n");
	STREQ(s[2].name, "custom greet");
	STREQ(s[2].file, ".ambient/greet");
	STREQ(s[2].run, "env 'AMBIENT_CI_whom=''\"it'\\''s\"' 'AMBIENT_CI_times=''2' "
			"'AMBIENT_CI_deep=''{\"a\":[true,\"2\",1.5,null]}' ./.ambient/greet <<'TALKOO_ARGS'\n"
			"{\"whom\":\"it's\",\"times\":2,\"deep\":{\"a\":[true,\"2\",1.5,null]}}\nTALKOO_ARGS\n");
	OK(strstr(s[3].run, "cargo test --offline --locked --workspace") != NULL, "cargo test");
	INTEQ(f.plan.notes_len, 1);
	STREQ(f.plan.env[1].name, "CARGO_HOME");
	STREQ(f.plan.env[1].value, "/ci/deps");
}

static void test_refused(void)
{
	static const struct {
		const char *text, *lock, *what, *hint;
	} cases[] = {
		{"plan:\n  - action: cargo-fmt\n", NULL, ".radicle/ambient.yaml:2:13: plan[0].action: cargo-fmt: unknown action",
		 "did you mean `cargo_fmt`?"},
		{"plan:\n  - action: fly\n", NULL, ".radicle/ambient.yaml:2:13: plan[0].action: fly: unknown action", ""},
		{"pre_plan:\n  - action: shell\n    shell: x\n", NULL,
		 ".radicle/ambient.yaml:2:13: pre_plan[0].action: shell is no action of pre_plan", "it belongs into plan"},
		{"post_plan: [{action: shell, shell: x}]\n", NULL,
		 ".radicle/ambient.yaml:1:22: post_plan[0].action: shell is no action of post_plan", "it belongs into plan"},
		{"plan: [{action: shell}]\n", NULL, ".radicle/ambient.yaml:1:8: plan[0]: the field shell is missing", ""},
		{"plan: [{shell: x}]\n", NULL, ".radicle/ambient.yaml:1:8: plan[0]: the field action is missing", ""},
		{"plan: [{action: mkdir, path: x}]\n", NULL,
		 ".radicle/ambient.yaml:1:24: plan[0].path: the action mkdir has no such field", ""},
		{"plna: []\n", NULL, ".radicle/ambient.yaml:1:1: plna: unknown key", "did you mean `plan`?"},
		{"pre_plan: [{action: rustup}]\n", NULL,
		 ".radicle/ambient.yaml:1:21: pre_plan[0].action: rustup cannot be honoured: jobs have no network, and nothing "
		 "fetches for them yet",
		 "have what it fetches in the image or in the repository, and leave the action out"},
		{"pre_plan: [{action: http_get, items: [{url: \"ftp://h/x\", filename: x}]}]\n", NULL,
		 ".radicle/ambient.yaml:1:45: pre_plan[0].items[0].url: is no URL of a file",
		 "https://HOST/PATH, without a user, a query or a fragment"},
		{"pre_plan: [{action: http_get, items: [{url: \"https://h/x\", filename: ../x}]}]\n", NULL,
		 ".radicle/ambient.yaml:1:70: pre_plan[0].items[0].filename: is no file name below /ci/deps",
		 "relative, without empty, \".\" or \"..\" parts"},
		{"pre_plan: [{action: cargo_fetch}]\n", "[[package]]\nname = \"a\"\nsource = \"registry\"\n",
		 ".radicle/ambient.yaml:1:21: pre_plan[0].action: cargo_fetch cannot be honoured: Cargo.lock names dependencies, and "
		 "nothing fetches it yet",
		 "vendor the dependencies into the repository and leave the action out"},
		{"plan: [{action: custom, name: ../x}]\n", NULL,
		 ".radicle/ambient.yaml:1:31: plan[0].name: is no file name below .ambient", ""},
		{"plan: [{action: custom, name: x, args: {\"a'b\": 1}}]\n", NULL,
		 ".radicle/ambient.yaml:1:41: plan[0].args.a'b: is no name for an argument", ""},
		{"plan: [{action: setenv, set: {\"a b\": 1}}]\n", NULL,
		 ".radicle/ambient.yaml:1:31: plan[0].set.a b: is no name for an environment variable of a plan", ""},
		{"plan: x\n", NULL, NULL, NULL},
		{"- a\n", NULL, NULL, NULL},
		{"", NULL, ".radicle/ambient.yaml:1:1: the file is empty", ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct plan_found f = {0};
		struct err err = {0};
		INTEQ(discover(PLAN_FILE_AMBIENT, cases[i].text, cases[i].lock, &f, &err), ERR_INVALID);
		if (cases[i].what)
			STREQ(err.what, cases[i].what);
		if (cases[i].what)
			STREQ(err.hint, cases[i].hint);
		OK(!f.plan.steps, "case %zu: nothing is given", i);
	}
}

static void test_nothing_to_fetch(void)
{
	CLEANUP(plan_found_release) struct plan_found f = {0};
	struct err err = {0};
	OK(discover(PLAN_FILE_AMBIENT, "pre_plan: [{action: cargo_fetch}]\nplan: []\n", "[[package]]\nname = \"a\"\n", &f, &err) == 0,
	   "no dependencies: %s", err.what);
	INTEQ(f.plan.steps_len, 1);
	STREQ(f.plan.steps[0].name, "nothing to do");
	STREQ(f.plan.notes[0], "cargo_fetch: Cargo.lock names nothing to fetch");
}

static void test_native(void)
{
	CLEANUP(plan_found_release) struct plan_found f = {0};
	struct plan_found none = {0};
	struct err err = {0};
	OK(discover(PLAN_FILE_NATIVE, "shell: |\n  make\n  make check\n", NULL, &f, &err) == 0, "native: %s", err.what);
	STREQ(plan_format_name(f.format), "native");
	STREQ(f.plan.steps[0].run, "make\nmake check\n");
	INTEQ(f.plan.steps[0].first_line, 2);
	INTEQ(discover(PLAN_FILE_NATIVE, "shell: ' '\n", NULL, &none, &err), ERR_INVALID);
	INTEQ(discover(PLAN_FILE_NATIVE, "sell: x\n", NULL, &none, &err), ERR_INVALID);
	STREQ(err.hint, "did you mean \"shell\"?");
}

int main(void)
{
	test_shrinkwrap();
	test_small_plan();
	test_refused();
	test_nothing_to_fetch();
	test_native();
	return tap_done();
}
