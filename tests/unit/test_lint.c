/* With real shells where they are installed, and with a pretended one for those that hang, flood or are missing. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/plan/lint.h"
#include "tests/unit/tap.h"

static char folder[] = "/tmp/talkoo-test-lint-XXXXXX";

static void write_file(const char *name, const char *text, mode_t mode)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	if (io_replace_file(path, text, strlen(text), mode, NULL) < 0)
		abort();
}

static int lint_text(const char *text, struct lint *ret, struct err *err)
{
	write_file(PLAN_FILE, text, 0644);
	return lint_folder(folder, NULL, ret, err);
}

static bool has_program(const char *name)
{
	char command[64];
	snprintf(command, sizeof command, "command -v %s >/dev/null", name);
	return system(command) == 0;
}

/* The only finding of a plan: its place and text. */
static void expect_one(const char *plan, uint32_t line, const char *text, enum lint_severity severity)
{
	CLEANUP(lint_release) struct lint lint = {0};
	struct err err = {0};
	OK(lint_text(plan, &lint, &err) == 0 && lint.len == 1, "one finding, %zu: %s", lint.len, err.what);
	if (lint.len != 1)
		return;
	INTEQ(lint.findings[0].severity, severity);
	INTEQ(lint.errors, severity == LINT_ERROR);
	INTEQ(lint.findings[0].line, line);
	STREQ(lint.findings[0].text, text);
}

static void test_parse_errors(void)
{
	CLEANUP(lint_release) struct lint lint = {0};
	struct err err = {0};
	OK(lint_text("image: mini\nstep: []\n", &lint, &err) == 0 && lint.errors == 1 && !lint.has_plan, "a finding");
	const struct lint_finding *f = &lint.findings[0];
	STREQ(f->file, ".talkoo.yml");
	INTEQ(f->line, 2);
	INTEQ(f->column, 1);
	STREQ(f->text, "step: unknown key");
	STREQ(f->hint, "did you mean \"steps\"?");
}

static void test_no_plan(void)
{
	char path[256], what[512];
	snprintf(path, sizeof path, "%s/%s", folder, PLAN_FILE);
	unlink(path);
	struct lint lint = {0};
	struct err err = {0};
	INTEQ(lint_folder(folder, NULL, &lint, &err), ERR_NOT_FOUND);
	snprintf(what, sizeof what, "no plan: there is no " PLAN_FILES_TEXT " in %s", folder);
	STREQ(err.what, what);
	INTEQ(lint_folder("/nonexistent", NULL, &lint, &err), ERR_NOT_FOUND);
	STREQ(err.what, "/nonexistent: there is no such folder");

	/* what is no regular file is not read: a fifo would hang, a link would leave the folder */
	OK(symlink("/etc/passwd", path) == 0 && lint_folder(folder, NULL, &lint, &err) == 0 && lint.errors == 1, "a link");
	STREQ(lint.findings[0].text, "is a link; a plan must be a regular file");
	lint_release(&lint);
	unlink(path);
	OK(mkfifo(path, 0600) == 0 && lint_folder(folder, NULL, &lint, &err) == 0 && lint.errors == 1, "a fifo");
	STREQ(lint.findings[0].text, "is not a regular file");
	lint_release(&lint);
	unlink(path);
	CLEANUP(cleanup_free) char *huge = malloc(PLAN_BYTES_MAX + 2);
	memset(huge, '#', PLAN_BYTES_MAX + 1);
	huge[PLAN_BYTES_MAX + 1] = 0;
	OK(lint_text(huge, &lint, &err) == 0 && lint.errors == 1, "too long");
	STREQ(lint.findings[0].text, "more than 65536 bytes");
	lint_release(&lint);
}

static void test_bash(void)
{
	if (!has_program("bash")) {
		tap_skip("no bash");
		return;
	}
	CLEANUP(lint_release) struct lint lint = {0};
	struct err err = {0};
	OK(lint_text("image: debian\nsteps:\n  - run: |\n      a=(1 2)\n      [[ -n $a ]]\n", &lint, &err) == 0, "%s", err.what);
	OK(lint.len == 0 && lint.has_plan, "bash's own syntax is fine");
	STREQ(lint.shell, "bash");
	expect_one("image: debian\nsteps:\n  - run: |\n      true\n      fi\n", 5,
		   "steps[0].run: syntax error near unexpected token `fi'", LINT_ERROR);
	expect_one("image: debian\nsteps:\n  - run: true\n  - run: if true; then\n", 4,
		   "steps[1].run: syntax error: unexpected end of file", LINT_ERROR);
	expect_one("image: debian\nsteps:\n  - run: |\n      cat <<E\n      x\n", 5,
		   "steps[0].run: here-document at line 1 delimited by end-of-file (wanted `E')", LINT_WARNING);
	/* a quote left open in one step does not reach into the next */
	lint_release(&lint);
	OK(lint_text("image: debian\nsteps: [{run: 'echo \"a'}, {run: 'b\"'}]\n", &lint, &err) == 0, "%s", err.what);
	INTEQ(lint.errors, 2);
	/* nothing is executed */
	lint_release(&lint);
	char canary[256], plan[512];
	snprintf(canary, sizeof canary, "%s/canary", folder);
	snprintf(plan, sizeof plan, "image: debian\nsteps: [{run: 'touch %s; x=$(touch %s)'}]\n", canary, canary);
	OK(lint_text(plan, &lint, &err) == 0 && lint.len == 0 && access(canary, F_OK) != 0, "nothing is executed");
}

static void test_ash(void)
{
	if (!has_program("busybox")) {
		tap_skip("no busybox");
		return;
	}
	expect_one("image: mini@1\nsteps:\n  - run: |\n      true\n\n      a=(1 2)\n", 6,
		   "steps[0].run: syntax error: unexpected \"(\"", LINT_ERROR);
	expect_one("image: mini\nsteps:\n  - run: >\n      if true;\n\n      then\n", 3,
		   "steps[0].run: syntax error: unexpected end of file (expecting \"fi\") (line 2 of the commands)", LINT_ERROR);
}

static void test_many(void)
{
	CLEANUP(buf_release) struct buf plan;
	buf_init(&plan, 65536);
	buf_str(&plan, "image: debian\nsteps:\n");
	for (int i = 0; i < 200; i++)
		buf_printf(&plan, "  - {name: s%d, run: \"%s\"}\n", i, i % 50 == 49 ? "done" : "echo x | sort");
	CLEANUP(lint_release) struct lint lint = {0};
	struct err err = {0};
	OK(lint_text(buf_cstr(&plan), &lint, &err) == 0, "%s", err.what);
	INTEQ(lint.errors, 4);
	OK(lint.len == 4 && lint.findings[0].line == 52 && lint.findings[3].line == 202, "in the file's order");
}

/* With a PATH where bash is the given script, or where there is nothing at all. */
static void test_pretended(void)
{
	const char *path = getenv("PATH");
	CLEANUP(cleanup_free) char *saved = strdup(path ? path : "");
	static const char plan[] = "image: debian\nsteps: [{run: x}]\n";
	setenv("PATH", folder, 1);
	expect_one(plan, 0, "the shell syntax of the steps was not checked: there is no bash here", LINT_WARNING);

	write_file("bash", "#!/bin/sh\nexec /bin/sh -c 'while :; do echo flood >&2; done'\n", 0755);
	expect_one(plan, 2, "steps[0].run: flood", LINT_ERROR);

	write_file("bash", "#!/bin/sh\nexit 3\n", 0755);
	expect_one(plan, 2, "steps[0].run: the shell does not accept the commands", LINT_ERROR);

	write_file("bash", "#!/bin/sh\nprintf '/proc/self/fd/0: line 99999999999: \\033[31m\\n' >&2; exit 3\n", 0755);
	expect_one(plan, 2, "steps[0].run: \xef\xbf\xbd[31m", LINT_ERROR);

	write_file("bash", "#!/bin/sh\nexec /bin/sleep 1000\n", 0755);
	CLEANUP(lint_release) struct lint lint = {0};
	struct err err = {0};
	OK(plan_inline("x", "debian", &lint.found, &err) == 0 && lint_steps(&lint, 50, &err) == 0 && lint.len == 1,
	   "a shell that hangs is ended: %s", err.what);
	if (lint.len == 1)
		STREQ(lint.findings[0].text, "steps[0].run: the shell did not finish reading the commands within 50 ms");
	setenv("PATH", saved, 1);
}

static void test_own_plan(void)
{
	CLEANUP(lint_release) struct lint lint = {0};
	struct err err = {0};
	OK(lint_folder(tap_source_file("."), NULL, &lint, &err) == 0 && lint.has_plan && !lint.errors, "this project's own: %s",
	   lint.errors ? lint.findings[0].text : err.what);
}

/* Many steps are read by one shell: what is wrong is still found, at its place, and nothing is executed. */
static void test_one_shell(const char *image, const char *shell)
{
	char text[16384], executed[300], command[400];
	if (!has_program(shell)) {
		OK(true, "no %s here", shell);
		return;
	}
	snprintf(executed, sizeof executed, "%s/executed", folder);
	int len = snprintf(text, sizeof text, "image: %s\nsteps:\n", image);
	for (int i = 0; i < 60; i++) {
		const char *run = "touch EXECUTED; exit 3";
		if (i == 7)
			run = "echo \"open";
		else if (i == 8)
			run = "set +n; set +o noexec; touch EXECUTED";
		else if (i == 30)
			run = "if true; then";
		else if (i == 59)
			run = "echo )";
		snprintf(command, sizeof command, "%s", run);
		char *mark = strstr(command, "EXECUTED");
		if (mark)
			snprintf(mark, sizeof command - (size_t)(mark - command), "%s%s", executed, i == 8 ? "" : "; exit 3");
		len += snprintf(text + len, sizeof text - (size_t)len, "  - run: |\n      true\n      %s\n", command);
	}
	CLEANUP(lint_release) struct lint lint = {0};
	struct err err = {0};
	OK(lint_text(text, &lint, &err) == 0 && lint.len == 3 && lint.errors == 3, "%s: three of 60, %zu: %s", image, lint.len, err.what);
	if (lint.len == 3) {
		OK(!strncmp(lint.findings[0].text, "steps[7].run: ", 14), "%s", lint.findings[0].text);
		INTEQ(lint.findings[0].line, 3 + 7 * 3 + 2);
		OK(!strncmp(lint.findings[1].text, "steps[30].run: ", 15), "%s", lint.findings[1].text);
		OK(!strncmp(lint.findings[2].text, "steps[59].run: ", 15), "%s", lint.findings[2].text);
		INTEQ(lint.findings[2].line, 3 + 59 * 3 + 2);
	}
	OK(access(executed, F_OK) != 0, "nothing was executed");
}

static void test_scripts(void)
{
	CLEANUP(lint_release) struct lint lint = {0};
	struct err err = {0};
	write_file("there.sh", "true\n", 0755);
	write_file("plain.sh", "true\n", 0644);
	expect_one("image: debian\nsteps:\n  - run: |\n      true\n      ./ci/missing.sh --all\n", 5,
		   "steps[0].run: ci/missing.sh is not there", LINT_ERROR);
	expect_one("image: debian\nsteps:\n  - run: bash missing.sh\n", 3, "steps[0].run: missing.sh is not there", LINT_ERROR);
	expect_one("image: debian\nsteps:\n  - run: ./plain.sh\n", 3, "steps[0].run: plain.sh is not executable", LINT_ERROR);
	static const char *const fine[] = {
		"./there.sh; sh plain.sh", "./configure", "./build/made", "cd sub\n./other.sh", "cd sub && ./other.sh", "(cd sub; ./x.sh)",
		"make x.sh\n./x.sh", "cp a x.sh && ./x.sh", "cat >x.sh <<E\n./y.sh\nE\n./x.sh", "if false; then\n  ./never.sh\nfi",
		"$tool.sh", "\"a b.sh\"", "echo '\n./quoted.sh\n'", "echo \\\n./argument.sh", "/usr/bin/else.sh", "../outside.sh",
		"bash -c ./x.sh", "sh -e", "python3 -m tool.py", "./*.sh", "./x.sh.in", "pushd sub\n./x.sh",
	};
	for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
		CLEANUP(buf_release) struct buf plan;
		buf_init(&plan, 4096);
		buf_str(&plan, "image: debian\nsteps:\n  - run: |\n      ");
		for (const char *p = fine[i]; *p; p++) {
			buf_byte(&plan, (uint8_t)*p);
			if (*p == '\n')
				buf_str(&plan, "      ");
		}
		buf_byte(&plan, '\n');
		lint_release(&lint);
		OK(lint_text(buf_cstr(&plan), &lint, &err) == 0 && !lint.errors, "no guess: %s %s", fine[i], lint.len ? lint.findings[0].text : "");
	}
	lint_release(&lint);
	OK(lint_text("image: debian\nsteps:\n  - run: make gen.sh\n  - run: ./gen.sh\n", &lint, &err) == 0 && !lint.errors,
	   "an earlier step may make it");
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	test_parse_errors();
	test_one_shell("debian", "bash");
	test_one_shell("mini", "busybox");
	test_no_plan();
	test_bash();
	test_ash();
	test_many();
	test_scripts();
	test_pretended();
	test_own_plan();
	OK(io_remove_tree(folder, NULL) == 0, "cleaned");
	return tap_done();
}
