/* The run log: every line is JSON, whatever a step writes, and its cap holds. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "runner/runlog.h"
#include "tests/unit/tap.h"

static const char *const names[] = {"build \"it\"", "check\\"};

static size_t read_lines(FILE *f, json_t **lines, size_t max)
{
	char *line = NULL;
	size_t room = 0, len = 0;
	rewind(f);
	while (len < max && getline(&line, &room, f) > 0) {
		lines[len] = json_loads(line, 0, NULL);
		if (!OK(lines[len] != NULL, "a line is JSON: %s", line))
			break;
		len++;
	}
	free(line);
	return len;
}

static const char *text(const json_t *o, const char *key)
{
	const char *t = json_string_value(json_object_get(o, key));
	return t ? t : "";
}

static void test_lines(void)
{
	static const char nasty[] = "a\"\\\x1b[31mred\x1b[0m\x01\xff\n";
	FILE *f = tmpfile();
	struct runlog r;
	json_t *lines[16];
	if (!f)
		abort();
	runlog_init(&r, fileno(f), 1 << 20, names, 2, 1000);
	runlog_start(&r, 0, 1005);
	runlog_start(&r, 1, 1006);
	runlog_output(&r, 0, nasty, sizeof nasty - 1, 1007);
	/* a character in two pieces, with another step's output between */
	runlog_output(&r, 0, "\xc3", 1, 1008);
	runlog_output(&r, 1, "other", 5, 1009);
	runlog_output(&r, 0, "\xa4", 1, 1010);
	runlog_end(&r, 1, 137, 1011);
	runlog_note(&r, "a \"note\"", 1012);
	runlog_output(&r, 2, "no such step", 12, 1013);
	const size_t len = read_lines(f, lines, ARRAY_LEN(lines));
	INTEQ(len, 7);
	if (len == 7) {
		STREQ(text(lines[0], "name"), names[0]);
		INTEQ(json_integer_value(json_object_get(lines[0], "count")), 2);
		OK(!strchr(text(lines[2], "text"), '\x1b') && strstr(text(lines[2], "text"), "a\"\\"), "safe: %s", text(lines[2], "text"));
		STREQ(text(lines[3], "text"), "other");
		STREQ(text(lines[4], "text"), "\xc3\xa4");
		INTEQ(json_integer_value(json_object_get(lines[5], "exit_code")), 137);
		INTEQ(json_integer_value(json_object_get(lines[5], "t_ms")), 11);
		STREQ(text(lines[6], "text"), "a \"note\"");
	}
	for (size_t i = 0; i < len; i++)
		json_decref(lines[i]);
	runlog_release(&r);
	fclose(f);
}

static void test_cap(void)
{
	FILE *f = tmpfile();
	struct runlog r;
	json_t *lines[16];
	if (!f)
		abort();
	runlog_init(&r, fileno(f), 200, names, 2, 0);
	for (int i = 0; i < 10; i++)
		runlog_output(&r, 0, "0123456789", 10, 1);
	runlog_end(&r, 0, 0, 2);
	const size_t len = read_lines(f, lines, ARRAY_LEN(lines));
	OK(len >= 3 && len < 6 && !strcmp(text(lines[len - 2], "type"), "cut") && !strcmp(text(lines[len - 1], "type"), "step-end"),
	   "output is cut, what happens is not");
	for (size_t i = 0; i < len; i++)
		json_decref(lines[i]);
	runlog_release(&r);
	fclose(f);
}

static void test_unwritable(void)
{
	struct runlog r;
	int fds[2];
	if (pipe(fds))
		abort();
	close(fds[1]);
	runlog_init(&r, fds[0], 200, names, 2, 0); /* a read end: every write fails */
	runlog_start(&r, 0, 1);
	INTEQ(r.fd, -1);
	runlog_output(&r, 0, "x", 1, 2);
	runlog_release(&r);
	close(fds[0]);
}

int main(void)
{
	test_lines();
	test_cap();
	test_unwritable();
	return tap_done();
}
