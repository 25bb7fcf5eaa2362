#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "runner/plan/plan.h"
#include "tests/unit/tap.h"

#define HEAD "image: mini\nsteps: [{run: x}]\n" /* good; what follows starts on line 3 */
#define TEN "xxxxxxxxxx"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static int parse(const char *text, struct plan *plan, struct err *err)
{
	return plan_parse(".talkoo.yml", text, strlen(text), plan, err);
}

static void test_whole(void)
{
	static const char text[] =
		"project: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"
		"image: debian@12\n"
		"resources: {cpus: 2, memory: 2G, disk: 8G, timeout: 30m}\n"
		"environment:\n"
		"  GREETING: no\n"
		"  EMPTY: \"\"\n"
		"steps:\n"
		"  - name: build it\n"
		"    run: |\n"
		"      ./configure\n"
		"      make\n"
		"  - run: make check\n"
		"  - run: \"\\n\\n  \\tprintf 'a\\tb'  \\nx\"\n"
		"  - run: >\n"
		"      folded\n"
		"      text\n"
		"artifacts: [\"*.log\", out/**/report.txt, ..hidden]\n";
	CLEANUP(plan_release) struct plan plan = {0};
	struct err err = {0};
	OK(parse(text, &plan, &err) == 0, "parses: %s", err.what);
	STREQ(plan.image, "debian@12");
	OK(!strncmp(plan.project, "0123456789", 10), "project");
	INTEQ(plan.resources.cpus, 2);
	INTEQ(plan.resources.memory_bytes, 2147483648);
	INTEQ(plan.resources.disk_bytes, 8589934592);
	INTEQ(plan.resources.timeout_ms, 1800000);
	INTEQ(plan.env_len, 2);
	STREQ(plan.env[0].name, "GREETING");
	STREQ(plan.env[0].value, "no");
	STREQ(plan.env[1].value, "");
	INTEQ(plan.steps_len, 4);
	STREQ(plan.steps[0].name, "build it");
	STREQ(plan.steps[0].run, "./configure\nmake\n");
	INTEQ(plan.steps[0].line, 9);
	INTEQ(plan.steps[0].first_line, 10);
	STREQ(plan.steps[1].name, "make check");
	INTEQ(plan.steps[1].first_line, 12);
	STREQ(plan.steps[2].name, "printf 'a b'");
	INTEQ(plan.steps[2].first_line, 0);
	STREQ(plan.steps[3].name, "folded text");
	INTEQ(plan.globs_len, 3);
	STREQ(plan.globs[1], "out/**/report.txt");
}

/* text, sentence, hint */
static const char *const bad[][3] = {
	{"", ".talkoo.yml:1:1: the file is empty", "a plan needs at least image and steps"},
	{"# only a comment\n", ".talkoo.yml:1:1: the file is empty", "a plan needs at least image and steps"},
	{"\xef\xbb\xbf" HEAD, ".talkoo.yml:1:1: a byte order mark", "save the file as plain UTF-8 text without it"},
	{"- image: mini", ".talkoo.yml:1:1: expected a map (lines like \"key: value\"), not a list", ""},
	{"steps: [{run: x}]", ".talkoo.yml:1:1: the key \"image\" is missing",
	 "add \"image: mini\"; `talkoo image list` shows what is here"},
	{"image: mini", ".talkoo.yml:1:1: the key \"steps\" is missing", ""},
	{HEAD "image: c", ".talkoo.yml:3:1: the key \"image\" is already on line 1", "keep one of the two"},
	{HEAD "---\nimage: c", ".talkoo.yml:3:1: a second document",
	 "one file holds one document: remove this \"---\" and what follows"},
	{HEAD "environment: &e {A: b}\n", ".talkoo.yml:3:14: environment: anchors (&name) are not allowed",
	 "write the value out where it is needed"},
	{HEAD "environment: *e\n", ".talkoo.yml:3:14: environment: aliases (*name) are not allowed",
	 "write the value out; quote a text that starts with \"*\""},
	{HEAD "environment: {<<: x}", ".talkoo.yml:3:15: environment: merge keys (<<) are not allowed",
	 "write the keys out"},
	{HEAD "environment: {A: !!int 1}", ".talkoo.yml:3:18: environment.A: tags (!name) are not allowed",
	 "leave the tag out; quote a text that starts with \"!\""},
	{"image: mini\nsteps:\n\t- run: x", ".talkoo.yml:3:1: steps: a tab where YAML wants spaces", "indent with spaces"},
	{"stages: []", ".talkoo.yml:1:1: stages: unknown key", "known here: project, image, matrix, resources, environment, steps, artifacts, fetch, cache"},
	{HEAD "on: {}", ".talkoo.yml:3:1: on: unknown key",
	 "known here: project, image, matrix, resources, environment, steps, artifacts, fetch, cache"},
	{HEAD "artefacts: []", ".talkoo.yml:3:1: artefacts: unknown key", "did you mean \"artifacts\"?"},
	{HEAD "resources: {time_out: 3}", ".talkoo.yml:3:13: resources.time_out: unknown key", "did you mean \"timeout\"?"},
	{HEAD "resources: {time-out: 3}", ".talkoo.yml:3:13: resources.time-out: unknown key", "did you mean \"timeout\"?"},
	{HEAD "resources: 4", ".talkoo.yml:3:12: resources: expected a map (lines like \"key: value\"), not \"4\"", ""},
	{HEAD "resources: {cpus: no}", ".talkoo.yml:3:19: resources.cpus: expected a whole number, not \"no\"", ""},
	{HEAD "resources: {cpus: 0}", ".talkoo.yml:3:19: resources.cpus: \"0\" is less than 1", ""},
	{HEAD "resources: {cpus: 99999999999999999999}",
	 ".talkoo.yml:3:19: resources.cpus: expected a whole number, not \"99999999999999999999\"", ""},
	{HEAD "resources: {memory: 2 gigs}", ".talkoo.yml:3:21: resources.memory: expected a size, not \"2 gigs\"",
	 "a whole number with K, M, G or T, for example 512M"},
	{HEAD "resources: {memory: 1M}", ".talkoo.yml:3:21: resources.memory: \"1M\" is less than 64.0 MiB", ""},
	{HEAD "resources: {timeout: 30d}", ".talkoo.yml:3:22: resources.timeout: \"30d\" is more than 7 d 0 h", ""},
	{"image: [mini]\nsteps: [{run: x}]", ".talkoo.yml:1:8: image: expected a text, not a list", ""},
	{"image: Mini!\nsteps: [{run: x}]", ".talkoo.yml:1:8: image: \"Mini!\" is no image name",
	 "NAME or NAME@VERSION in lower case, for example mini; `talkoo image list` shows what is here"},
	{"image: ../mini\nsteps: [{run: x}]", ".talkoo.yml:1:8: image: \"../mini\" is no image name",
	 "NAME or NAME@VERSION in lower case, for example mini; `talkoo image list` shows what is here"},
	{HEAD "project: p", ".talkoo.yml:3:10: project: is neither a project link nor a project id",
	 "paste the link that `talkoo project show` prints (talkoo:\xe2\x80\xa6), or leave the key out"},
	{HEAD "environment: [A]", ".talkoo.yml:3:14: environment: expected a map (lines like \"key: value\"), not a list", ""},
	{HEAD "environment:\n  A-B: c", ".talkoo.yml:4:3: environment.A-B: is no name for an environment variable",
	 "letters, digits and _ only, not starting with a digit, at most 63"},
	{HEAD "environment: {1A: c}", ".talkoo.yml:3:15: environment.1A: is no name for an environment variable",
	 "letters, digits and _ only, not starting with a digit, at most 63"},
	{HEAD "environment: {TALKOO_REF: c}",
	 ".talkoo.yml:3:15: environment.TALKOO_REF: names that start with TALKOO_ are Talkoo's own", "choose another name"},
	{HEAD "environment: {A: [b]}", ".talkoo.yml:3:18: environment.A: expected a text, not a list", ""},
	{HEAD "environment: {A: \"b\\0c\"}", ".talkoo.yml:3:18: environment.A: a text with a NUL in it", ""},
	{"image: mini\nsteps: []", ".talkoo.yml:2:8: steps: expected at least 1 entry", ""},
	{"image: mini\nsteps: make", ".talkoo.yml:2:8: steps: expected a list (lines that start with \"- \"), not \"make\"", ""},
	{"image: mini\nsteps:\n  - make", ".talkoo.yml:3:5: steps[0]: expected a map with the key run, not a text",
	 "write \"- run: COMMANDS\""},
	{"image: mini\nsteps:\n  - run: x\n  - name: y", ".talkoo.yml:4:5: steps[1]: the key \"run\" is missing", ""},
	{"image: mini\nsteps:\n  - run: |\n\n", ".talkoo.yml:3:10: steps[0].run: has no commands",
	 "write \"run: |\" and the commands below it, indented"},
	{"image: mini\nsteps:\n  - run:\n    - a", ".talkoo.yml:4:5: steps[0].run: expected a text, not a list", ""},
	{"image: mini\nsteps:\n  - {run: x, name: \"\"}", ".talkoo.yml:3:20: steps[0].name: must not be empty", ""},
	{"image: mini\nsteps:\n  - {run: x, name: \"a\\nb\"}", ".talkoo.yml:3:20: steps[0].name: a step's name is one line", ""},
	{"image: mini\nsteps:\n  - {run: x, name: " HUNDRED TEN TEN TEN "}",
	 ".talkoo.yml:3:20: steps[0].name: is longer than 127 bytes", ""},
	{"image: mini\nsteps:\n  - {run: x, script: y}", ".talkoo.yml:3:14: steps[0].script: unknown key",
	 "known here: name, run, needs, if, timeout"},
	{"image: mini\nsteps:\n  - run: echo a: b", ".talkoo.yml:3:16: steps[0]: mapping values are not allowed in this context",
	 "quote a text that contains \": \", or use \"|\" and a new line"},
	{"image: mini\nsteps:\n  - {run: x, needs: y}", ".talkoo.yml:3:21: steps[0].needs: expected a list (lines that start with \"- \"), not \"y\"", ""},
	{"image: mini\nsteps:\n  - {run: x, needs: [x]}", ".talkoo.yml:3:22: steps[0].needs[0]: no step before it is named \"x\"",
	 "a step can need those that stand above it, by their name"},
	{"image: mini\nsteps:\n  - {run: x, name: build}\n  - {run: y, needs: [biuld]}",
	 ".talkoo.yml:4:22: steps[1].needs[0]: no step before it is named \"biuld\"", "did you mean \"build\"?"},
	{"image: mini\nsteps:\n  - run: x\n  - run: x\n  - {run: y, needs: [x]}",
	 ".talkoo.yml:5:22: steps[2].needs[0]: there are 2 steps named \"x\" before it", "give each a name of its own"},
	{"image: mini\nsteps:\n  - run: x\n  - {run: y, needs: [x, x]}", ".talkoo.yml:4:25: steps[1].needs[1]: stands there twice", ""},
	{"image: mini\nsteps:\n  - run: x\n  - {run: y, needs: [[x]]}", ".talkoo.yml:4:22: steps[1].needs[0]: expected a text, not a list", ""},
	{"image: mini\nsteps:\n  - run: x\n  - {run: y, if: failed}\n  - {run: z, needs: [y]}",
	 ".talkoo.yml:5:22: steps[2].needs[0]: \"y\" only runs when a step failed", ""},
	{"image: mini\nsteps:\n  - run: x\n  - {run: y, if: failed, needs: [x]}", ".talkoo.yml:4:33: steps[1].needs: has no meaning with `if: failed`",
	 "such a step runs after all others"},
	{"image: mini\nsteps:\n  - {run: y, if: passed}", ".talkoo.yml:3:18: steps[0].if: is not \"failed\"",
	 "`if: failed` runs a step only when another one failed; leave the key out otherwise"},
	{"image: mini\nsteps:\n  - {run: y, if: failed}", ".talkoo.yml:3:3: steps: every one of them is for failures only",
	 "at least one step must run without `if: failed`"},
	{HEAD "artifacts: x", ".talkoo.yml:3:12: artifacts: expected a list (lines that start with \"- \"), not \"x\"", ""},
	{HEAD "artifacts: [/etc/passwd]", ".talkoo.yml:3:13: artifacts[0]: must be relative to the source",
	 "a path below the source, for example build/*.log; copy other files to /ci/artifacts"},
	{HEAD "artifacts: [a, b/../c]", ".talkoo.yml:3:16: artifacts[1]: has a part \"..\"",
	 "a path below the source, for example build/*.log; copy other files to /ci/artifacts"},
	{HEAD "artifacts: [\"a\\nb\"]", ".talkoo.yml:3:13: artifacts[0]: must be one line",
	 "a path below the source, for example build/*.log; copy other files to /ci/artifacts"},
	{HEAD "artifacts: [a//b]", ".talkoo.yml:3:13: artifacts[0]: has an empty part",
	 "a path below the source, for example build/*.log; copy other files to /ci/artifacts"},
	{HEAD "artifacts: [out/]", ".talkoo.yml:3:13: artifacts[0]: has an empty part",
	 "a path below the source, for example build/*.log; copy other files to /ci/artifacts"},
	{HEAD "artifacts: [./a]", ".talkoo.yml:3:13: artifacts[0]: has a part \".\"",
	 "a path below the source, for example build/*.log; copy other files to /ci/artifacts"},
	{HEAD "artifacts: [\"/ci/artifacts/*\"]", ".talkoo.yml:3:13: artifacts[0]: must be relative to the source",
	 "leave it out: what lies in /ci/artifacts is collected anyway"},
};

static void test_bad(void)
{
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct plan plan = {.env_len = 77};
		struct err err = {0};
		INTEQ(parse(bad[i][0], &plan, &err), ERR_INVALID);
		STREQ(err.what, bad[i][1]);
		STREQ(err.hint, bad[i][2]);
		INTEQ(plan.env_len, 77);
	}
}

static void test_rules(void)
{
	static const char text[] = "image: mini\nsteps:\n  - {name: a, run: a}\n  - {name: b, run: b, needs: []}\n"
				   "  - {name: c, run: c, needs: [b, a], timeout: 90s}\n  - {run: d, if: failed}\n";
	CLEANUP(plan_release) struct plan plan = {0};
	CLEANUP(buf_release) struct buf canonical;
	struct err err = {0};
	buf_init(&canonical, 4096);
	OK(parse(text, &plan, &err) == 0, "parses: %s", err.what);
	OK(!plan.steps[0].has_needs && plan.steps[1].has_needs && !plan.steps[1].needs_len, "none, and an empty list, are not the same");
	OK(plan.steps[2].needs_len == 2 && plan.steps[2].needs[0] == 1 && plan.steps[2].needs[1] == 0, "by their places");
	INTEQ(plan.steps[2].timeout_ms, 90000);
	OK(plan.steps[3].on_failure && plan_is_any_order(&plan), "for failures");
	OK(plan_canonical(&plan, &canonical, &err) == 0 &&
		   strstr(buf_cstr(&canonical), "\"name\":\"c\",\"needs\":[1,0],\"run\":\"c\",\"timeout_ms\":90000}") != NULL,
	   "canonical: %s", buf_cstr(&canonical));
}

static void test_ceilings(void)
{
	CLEANUP(buf_release) struct buf text;
	buf_init(&text, 1 << 20);
	buf_str(&text, "image: mini\nsteps:\n");
	for (int i = 0; i < 257; i++)
		buf_str(&text, "- run: x\n");
	struct plan plan = {0};
	struct err err = {0};
	INTEQ(parse(buf_cstr(&text), &plan, &err), ERR_INVALID);
	STREQ(err.what, ".talkoo.yml:3:1: steps: 257 entries, at most 256 are allowed");

	buf_reset(&text);
	buf_str(&text, HEAD "environment:\n  A: ");
	for (int i = 0; i < 41; i++)
		buf_str(&text, HUNDRED);
	INTEQ(parse(buf_cstr(&text), &plan, &err), ERR_INVALID);
	STREQ(err.what, ".talkoo.yml:4:6: environment.A: is longer than 4096 bytes");

	buf_reset(&text);
	buf_str(&text, "image: mini\nsteps:\n  - run: |\n      ");
	for (int i = 0; i < 656; i++)
		buf_str(&text, HUNDRED);
	INTEQ(parse(buf_cstr(&text), &plan, &err), ERR_LIMIT);
	STREQ(err.what, ".talkoo.yml: more than 65536 bytes");
}

static void test_crlf(void)
{
	CLEANUP(plan_release) struct plan plan = {0};
	struct err err = {0};
	OK(parse("image: mini\r\nsteps:\r\n  - run: |\r\n      a\r\n      b\r\n", &plan, &err) == 0, "CRLF: %s", err.what);
	STREQ(plan.steps[0].run, "a\nb\n");
}

static void test_image_names(void)
{
	static const char *const good[] = {"mini", "c@1", "debian-12.1@2026-01-01", "a_b@v1.0-RC"};
	static const char *const wrong[] = {"", "@1", "Mini", "mini@", "mini@1@2", "-mini", ".mini", "mi ni", "a/b", "m@../x"};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		OK(plan_image_is_valid(good[i]), "image %s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		OK(!plan_image_is_valid(wrong[i]), "no image %s", wrong[i]);
	OK(!plan_image_is_valid("m" HUNDRED), "too long");
}

static void test_inline(void)
{
	CLEANUP(plan_found_release) struct plan_found found = {0};
	struct err err = {0};
	OK(plan_inline("make\nmake check", "mini", &found, &err) == 0, "inline: %s", err.what);
	INTEQ(found.origin, JOB_ORIGIN_INLINE);
	INTEQ(found.plan.steps_len, 1);
	STREQ(found.plan.steps[0].name, "make");
	STREQ(found.plan.steps[0].run, "make\nmake check");
	STREQ(found.path, "");
	/* printf 'make\nmake check' | sha256sum */
	STREQ(found.sha256, "b91955c512adc4fc41a45f94b98071cedc026b5e079d1c5d36febd42e644321a");
	struct plan plan = {0};
	INTEQ(plan_from_cmd(" \n", "mini", &plan, &err), ERR_INVALID);
	STREQ(err.what, "inline plan: there are no commands");
	INTEQ(plan_from_cmd("x \xff", "mini", &plan, &err), ERR_INVALID);
	INTEQ(plan_from_cmd("true", "", &plan, &err), ERR_INVALID);
	STREQ(err.what, "inline plan: \"\" is no image name");
	char *longer = calloc(1, PLAN_INLINE_MAX + 2);
	memset(longer, 'x', PLAN_INLINE_MAX + 1);
	INTEQ(plan_from_cmd(longer, "mini", &plan, &err), ERR_LIMIT);
	free(longer);
}

static int read_one(void *context, const char *path, struct buf *ret, struct err *err)
{
	const char *text = context;
	if (!text || strcmp(path, PLAN_FILE) != 0)
		return err_set(err, ERR_NOT_FOUND, "%s is not there", path);
	if (!strcmp(text, "broken"))
		return err_set(err, ERR_IO, "the disk is gone");
	buf_str(ret, text);
	return buf_check(ret, path, err);
}

static int discover(const char *text, struct plan_found *ret, struct err *err)
{
	return plan_discover(&(struct plan_tree){read_one, NULL, (void *)(uintptr_t)text}, NULL, ret, err);
}

static void test_discovery(void)
{
	CLEANUP(plan_found_release) struct plan_found a = {0};
	CLEANUP(plan_found_release) struct plan_found b = {0};
	struct err err = {0};
	OK(discover("image: mini\nsteps: [{run: x}]\n", &a, &err) == 0, "found: %s", err.what);
	INTEQ(a.origin, JOB_ORIGIN_TREE);
	STREQ(a.path, ".talkoo.yml");
	STREQ(plan_format_name(a.format), "talkoo");
	/* printf 'image: mini\nsteps: [{run: x}]\n' | sha256sum */
	STREQ(a.sha256, "38cfdb11bd7d79f493921c25d048ab671660ddc55eae2f6e6382f56267f88613");
	CLEANUP(buf_release) struct buf canonical;
	buf_init(&canonical, 4096);
	OK(plan_canonical(&a.plan, &canonical, &err) == 0, "canonical: %s", err.what);
	STREQ(buf_cstr(&canonical),
	      "{\"artifacts\":[],\"environment\":{},\"image\":\"mini\",\"resources\":{\"cpus\":0,\"disk_bytes\":0,"
	      "\"memory_bytes\":0,\"timeout_ms\":0},\"steps\":[{\"name\":\"x\",\"run\":\"x\"}],\"v\":1}");
	OK(discover("# other\nsteps:\n  - run: x\nimage: 'mini'\n", &b, &err) == 0, "again");
	OK(strcmp(a.sha256, b.sha256) != 0, "another file");
	STREQ(a.canonical_sha256, b.canonical_sha256);

	struct plan_found none = {0};
	INTEQ(discover(NULL, &none, &err), ERR_NOT_FOUND);
	STREQ(err.what, "no plan: the commit has no .talkoo.yml, .radicle/ambient.yaml, .radicle/native.yaml, .build.yml or .builds/*.yml");
	STREQ(err.hint, "commit a .talkoo.yml with image and steps, or say what to run with --cmd");
	INTEQ(discover("broken", &none, &err), ERR_IO);
	STREQ(err.what, "the disk is gone");
	INTEQ(discover("image: 1\n", &none, &err), ERR_INVALID);
	OK(!none.path[0] && !none.plan.steps, "untouched");
}

int main(void)
{
	test_whole();
	test_bad();
	test_rules();
	test_ceilings();
	test_crlf();
	test_image_names();
	test_inline();
	test_discovery();
	return tap_done();
}
