/* The command line's own rules: table, option parsing, exit codes, the printing edge. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/cli.h"
#include "node/cli/exitcode.h"
#include "node/cli/failview.h"
#include "node/cli/table.h"
#include "node/cli/view.h"
#include "policy/verdict.h"
#include "proto/base/cleanup.h"
#include "tests/unit/tap.h"

#define WORDS_MAX 16

/* One line, split at spaces ('_' stands for a space within a word). */
static int parse(const char *line, struct cli *ret, struct err *err)
{
	static char text[512];
	static char *argv[WORDS_MAX + 1];
	int argc = 0;
	snprintf(text, sizeof text, "talkoo %s", line);
	for (char *word = strtok(text, " "); word && argc < WORDS_MAX; word = strtok(NULL, " ")) {
		for (char *p = word; *p; p++)
			if (*p == '_')
				*p = ' ';
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	return cli_parse(argc, argv, ret, err);
}

static void test_good_lines(void)
{
	static const struct {
		const char *line, *command, *home, *option, *value, *arg;
	} cases[] = {
		{"run", "run", NULL, NULL, NULL, NULL},
		{"run .", "run", NULL, NULL, NULL, "."},
		{"--home /x status", "status", "/x", NULL, NULL, NULL},
		{"status --home /x", "status", "/x", NULL, NULL, NULL},
		{"status --home=/x", "status", "/x", NULL, NULL, NULL},
		{"--json --home /x job list", "job list", "/x", NULL, NULL, NULL},
		{"run --commit HEAD~2 dir", "run", NULL, "commit", "HEAD~2", "dir"},
		{"run dir --commit HEAD~2", "run", NULL, "commit", "HEAD~2", "dir"},
		{"run --cmd=make_check", "run", NULL, "cmd", "make check", NULL},
		{"run --cmd -- dir", "run", NULL, "cmd", "--", "dir"},
		{"run -- --commit", "run", NULL, NULL, NULL, "--commit"},
		{"job announce P --want 2", "job announce", NULL, "want", "2", "P"},
		{"log -f 1234567", "log", NULL, "follow", NULL, "1234567"},
		{"log 1234567 --follow", "log", NULL, "follow", NULL, "1234567"},
		{"allow P --by a --by b", "allow", NULL, "by", "b", "P"},
		{"run --comm HEAD", "run", NULL, "commit", "HEAD", NULL}, /* an unambiguous start, as getopt_long has it */
		{"key backup f", "key backup", NULL, NULL, NULL, "f"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cli c;
		struct err err = {0};
		const int code = parse(cases[i].line, &c, &err);
		OK(!code && c.command && !strcmp(c.command->name, cases[i].command), "'%s' is %s %s", cases[i].line, cases[i].command, err.what);
		if (code || !c.command)
			continue;
		STREQ(c.home, cases[i].home);
		STREQ(cli_arg(&c, 0), cases[i].arg);
		if (cases[i].option && cases[i].value) {
			const size_t last = !strcmp(cases[i].option, "by") ? 1 : 0;
			STREQ(cli_option_at(&c, cases[i].option, last), cases[i].value);
		} else if (cases[i].option) {
			OK(cli_has(&c, cases[i].option), "has --%s", cases[i].option);
		}
	}
}

static void test_bad_lines(void)
{
	static const struct {
		const char *line, *what, *hint;
	} cases[] = {
		{"rnu", "no such command", "talkoo run"},
		{"announce", "no such command", "talkoo job announce"},
		{"job lsit", "job lsit: no such command", "talkoo job list"},
		{"run --comit x", "--comit: no such option of talkoo run", "--commit"},
		{"run --comit=x", "--comit=x: no such option of talkoo run", "--commit"},
		{"run -x", "-x: no such option", "talkoo help run"},
		{"--hmoe x run", "--hmoe: no such option", "--home"},
		{"run --commit", "--commit: wants a value", ""},
		{"run --keep=yes", "--keep: takes no value", ""},
		{"run --commit a --commit b", "--commit: given twice", ""},
		{"run a b", "'b' is one argument too many", "talkoo help run"},
		{"status x", "takes no argument", "talkoo help status"},
		{"log", "wants J", "talkoo help log"},
		{"--home= status", "--home: its value is empty", ""},
		{"run --c x", "--c: an ambiguous option", ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cli c;
		struct err err = {0};
		const int code = parse(cases[i].line, &c, &err);
		INTEQ(code, ERR_USAGE);
		OK(strstr(err.what, cases[i].what) && strstr(err.hint, cases[i].hint), "'%s': %s / %s", cases[i].line, err.what, err.hint);
	}
}

static void test_help_lines(void)
{
	static const struct {
		const char *line;
		bool has_command;
		int args;
	} cases[] = {{"run --help", true, 0}, {"run -h a b c", true, 3}, {"--help", false, 0}, {"", false, 0}, {"job", false, 1}, {"job --help", false, 1},
		     {"--help job", false, 1}, {"log --help", true, 0}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cli c;
		const int code = parse(cases[i].line, &c, NULL);
		OK(!code && (c.command != NULL) == cases[i].has_command && c.args_len == cases[i].args, "'%s'", cases[i].line);
		OK(c.wants_help == (*cases[i].line != 0), "'%s' asks for help", cases[i].line);
	}
	struct cli c;
	OK(!parse("--version", &c, NULL) && c.wants_version, "--version");
	OK(!parse("run --json", &c, NULL) && c.out.json, "--json");
}

static void test_values(void)
{
	struct cli c;
	struct err err = {0};
	uint64_t n = 7;
	OK(!parse("allow P --cpus 4 --memory 2G --timeout 30m", &c, NULL), "parses");
	OK(!cli_number(&c, "cpus", 1, 64, &n, &err) && n == 4, "a number");
	OK(!cli_size(&c, "memory", &n, &err) && n == UINT64_C(2) << 30, "a size");
	OK(!cli_duration(&c, "timeout", &n, &err) && n == 1800000, "a duration");
	OK(!cli_size(&c, "disk", &n, &err) && n == 1800000, "absent: kept");
	OK(!parse("allow P --cpus 4x --memory much --timeout soon --disk 0", &c, NULL), "parses");
	INTEQ(cli_number(&c, "cpus", 1, 64, &n, &err), ERR_USAGE);
	STREQ(err.what, "--cpus 4x: not a number from 1 to 64");
	INTEQ(cli_size(&c, "memory", &n, &err), ERR_USAGE);
	STREQ(err.hint, "like 512M or 2G");
	INTEQ(cli_size(&c, "disk", &n, &err), ERR_USAGE);
	INTEQ(cli_duration(&c, "timeout", &n, &err), ERR_USAGE);
	OK(!parse("allow P --cpus 65", &c, NULL) && cli_number(&c, "cpus", 1, 64, &n, NULL) == ERR_USAGE, "out of range");
}

static void test_table(void)
{
	size_t commands = 0;
	for (const struct table_group *g = table_groups; g->title; g++)
		for (const struct cli_command *c = g->commands; c->name; c++) {
			commands++;
			size_t options = 0;
			for (const struct cli_option *o = c->options; o && o->name; o++) {
				options++;
				OK(o->help && *o->help, "%s --%s has help", c->name, o->name);
			}
			OK(c->run && c->summary && strlen(c->summary) < 90 && options <= 16, "%s is whole", c->name);
			OK(c->examples && c->examples[0] && !strncmp(c->examples[0], "talkoo ", 7), "%s has an example", c->name);
			OK(!*c->args == !c->args_max, "%s says its arguments", c->name);
		}
	OK(commands > 40, "%zu commands", commands);
	OK(table_is_family("job") && !table_is_family("run") && !table_is_family("jo"), "families");
	STREQ(table_nearest("statsu"), "status");
	STREQ(table_nearest("job anounce"), "job announce");
	STREQ(table_nearest("frobnicate"), NULL);
}

static void test_exit_codes(void)
{
	static const struct {
		int err_code;
		enum exitcode code;
	} errors[] = {{0, 0},          {ERR_USAGE, 2},       {ERR_INVALID, 2}, {ERR_REFUSED, 2}, {ERR_NOT_FOUND, 9},   {ERR_AMBIGUOUS, 9}, {ERR_UNREACHABLE, 5},
		      {ERR_TIMEOUT, 8}, {ERR_IO, 7},          {ERR_NOMEM, 7},   {ERR_LIMIT, 7},   {ERR_UNSUPPORTED, 7}, {ERR_BUG, 7},       {-99, 7}};
	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		INTEQ(exitcode_of_error(errors[i].err_code), errors[i].code);
	static const struct {
		enum job_outcome outcome;
		enum job_accel accel;
		enum exitcode code;
	} outcomes[] = {{JOB_PASSED, JOB_ACCEL_TCG, 0},    {JOB_PASSED, JOB_ACCEL_KVM, 0},  {JOB_FAILED, JOB_ACCEL_TCG, 1}, {JOB_FAILED, JOB_ACCEL_KVM, 1},
			{JOB_TIMEOUT, JOB_ACCEL_KVM, 1},   {JOB_TIMEOUT, JOB_ACCEL_TCG, 6}, {JOB_ERROR, JOB_ACCEL_TCG, 6},  {JOB_ERROR, JOB_ACCEL_AUTO, 6},
			{JOB_ABANDONED, JOB_ACCEL_KVM, 6}, {JOB_REFUSED, JOB_ACCEL_AUTO, 6}};
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		INTEQ(exitcode_of_outcome(outcomes[i].outcome, outcomes[i].accel), outcomes[i].code);
	static const struct {
		const char *verdict;
		enum exitcode code;
	} verdicts[] = {{"passed", 0}, {"failed", 1}, {"disputed", 3}, {"unknown", 4}, {"inconclusive", 6}, {"pending", 8}, {"a later word", 4}, {"", 4}, {NULL, 4}};
	for (size_t i = 0; i < ARRAY_LEN(verdicts); i++)
		INTEQ(exitcode_of_verdict(verdicts[i].verdict), verdicts[i].code);
}

/* What the printing edge writes, read back. */
static char *printed(struct out *o, FILE **file, char **text, size_t *len)
{
	*file = open_memstream(text, len);
	o->answer = *file;
	o->notes = *file;
	return *text;
}

static void test_out(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *file;
	struct out o = {0};
	printed(&o, &file, &text, &len);
	out_print(&o, OUT_BAD, "a %s\n", "x\033[31m\x9b y\xff");
	fflush(file);
	OK(!strchr(text, '\033') && !strchr(text, (char)0x9b) && strstr(text, "[31m"), "escapes lose their head: %s", text);
	o.answer_colour = true;
	out_print(&o, OUT_BAD, "red\n");
	fflush(file);
	OK(strstr(text, "\033[31mred\033[0m\n"), "colour is ours, the newline outside");
	const char *const columns[] = {"A", "LONGER"};
	struct out_table *table = out_table_new(columns, 2);
	out_table_cell(table, OUT_PLAIN, "first\ncell");
	out_table_cell(table, OUT_PLAIN, "x");
	o.answer_colour = false;
	out_table_print(table, &o);
	fflush(file);
	OK(strstr(text, "A           LONGER\nfirst cell  x\n"), "columns line up: %s", text);
	out_table_free(&table);
	const size_t before = len;
	o.json = true;
	out_print(&o, OUT_PLAIN, "for people\n");
	fflush(file);
	OK(len == before, "people's answer is silent with JSON");
	struct err err = {0};
	err_set(&err, ERR_NOT_FOUND, "it: \033]0;gone");
	err_hint(&err, "look elsewhere");
	out_error(&o, &err);
	fflush(file);
	OK(strstr(text, "{\"v\":1,\"ok\":false,") && strstr(text, "\"code\":\"not-found\"}") && !strchr(text + before, '\033'), "an error as JSON");
	fclose(file);
	free(text);
}

static void feed(struct view *v, const char *json)
{
	json_t *event = json_loads(json, 0, NULL);
	view_event(v, event);
	json_decref(event);
}

static void test_view(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *file;
	struct out o = {0};
	struct view v;
	printed(&o, &file, &text, &len);
	view_init(&v, &o, true);
	feed(&v, "{\"type\":\"stage\",\"stage\":\"fetch\",\"state\":\"start\"}");
	feed(&v, "{\"type\":\"plan\",\"path\":\".talkoo.yml\",\"origin\":\"tree\",\"image\":\"mini@1\",\"steps\":[\"a\",\"b\"]}");
	feed(&v, "{\"type\":\"step\",\"index\":0,\"count\":2,\"name\":\"build\\u001b[2J\",\"state\":\"start\"}");
	view_log(&v, "half a line\033[2J", 15);
	feed(&v, "{\"type\":\"step\",\"index\":0,\"count\":2,\"name\":\"build\",\"state\":\"end\",\"exit_code\":3,\"duration_ms\":1500}");
	feed(&v, "{\"type\":\"note\",\"text\":\"mind\"}");
	feed(&v, "{\"type\":\"of the future\",\"x\":[]}");
	feed(&v, "{\"type\":\"step\",\"index\":\"no number\"}");
	struct job_report report = {.outcome = JOB_FAILED, .reason = "step 1/2, build, exit code 3", .hint = "see above", .accel = JOB_ACCEL_TCG};
	view_summary(&v, &report);
	fflush(file);
	OK(strstr(text, "fetching the commit\n"), "a stage");
	OK(strstr(text, "plan   .talkoo.yml, 2 steps, image mini@1\n"), "the plan");
	OK(strstr(text, "[1/2] build") && !strchr(text, '\033'), "a step's name is harmless");
	OK(strstr(text, "[2J\n[1/2] build  failed (exit code 3)  1.5 s\n"), "an open line of the log is ended: %s", text);
	OK(strstr(text, "note: mind\n"), "a note");
	OK(strstr(text, "failed  (emulated: no KVM): step 1/2, build, exit code 3\nhint: see above\n"), "the summary");
	fclose(file);
	free(text);
}

static void test_last_lines(void)
{
	static char lines[FAILVIEW_LINES][FAILVIEW_LINE_MAX];
	FILE *log = tmpfile();
	for (int i = 1; i <= 30; i++)
		fprintf(log, "%s%d\n", i == 1 ? "--- step 1/3: one\n" : i == 20 ? "--- step 2/3: two\n\033[31mred\n" : "", i);
	fprintf(log, "--- step 1/3 goes on: one\nlate\n--- step 1/3: exit 1 after 2 s\nnobody's\n--- step 3/3: three\n--- step 2/3 goes on: two\nopen");
	fflush(log);
	INTEQ(failview_last_lines(fileno(log), 1, lines), FAILVIEW_LINES);
	STREQ(lines[0], "1");
	STREQ(lines[FAILVIEW_LINES - 1], "late");
	INTEQ(failview_last_lines(fileno(log), 2, lines), 13);
	OK(!strchr(lines[0], '\033') && strstr(lines[0], "red"), "escapes are harmless: %s", lines[0]);
	STREQ(lines[12], "open");
	INTEQ(failview_last_lines(fileno(log), 3, lines), 0);
	fprintf(log, "%0*d\n--- step 3/3: x\n%*s", 5000, 1, 100000, "");
	fflush(log);
	INTEQ(failview_last_lines(fileno(log), 3, lines), 1);
	INTEQ(failview_last_lines(fileno(log), 1000, lines), 0);
	for (int i = 0; i < 47; i++)
		fprintf(log, "\nn%d", i);
	fflush(log);
	INTEQ(failview_last_lines(fileno(log), 3, lines), FAILVIEW_LINES);
	STREQ(lines[0], "n27");
	STREQ(lines[FAILVIEW_LINES - 1], "n46");
	fclose(log);
}

static void test_quoting(void)
{
	static const struct {
		const char *word, *quoted;
	} cases[] = {{"main", "main"}, {"", "''"}, {"a b", "'a b'"}, {"it's", "'it'\\''s'"}, {"$(x)", "'$(x)'"}, {"~", "'~'"}, {"a;b", "'a;b'"},
		     {"file:///a/b.git", "file:///a/b.git"}, {"x\ny", "'x\ny'"}, {"*", "'*'"}};
	char out[64];
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		STREQ(failview_quote(cases[i].word, out, sizeof out), cases[i].quoted);
	OK(strlen(failview_quote("''''''''''''''''''''''''''''''''''''''''", out, sizeof out)) < sizeof out, "cut");
}

static void test_failed_step(void)
{
	struct failview_step s;
	json_t *r = json_pack("{s:s,s:[{s:s,s:i},{s:s,s:i},{s:s,s:i}]}", "outcome", "failed", "steps", "name", "a", "exit_code", 0, "name", "b",
			      "exit_code", -1, "name", "c", "exit_code", 7);
	OK(failview_of_result(r, &s) && s.step == 3 && s.steps == 3 && s.exit_code == 7 && !strcmp(s.name, "c"), "the one with an exit code");
	json_object_set_new(r, "outcome", json_string("timeout"));
	OK(failview_of_result(r, &s) && s.step == 2 && s.exit_code == -1, "the one that did not end");
	json_object_set_new(r, "outcome", json_string("passed"));
	OK(!failview_of_result(r, &s), "none of what passed");
	json_decref(r);
	OK(!failview_of_result(NULL, &s), "none of nothing");
}

int main(void)
{
	test_good_lines();
	test_bad_lines();
	test_help_lines();
	test_values();
	test_table();
	test_exit_codes();
	test_out();
	test_view();
	test_last_lines();
	test_quoting();
	test_failed_step();
	return tap_done();
}
