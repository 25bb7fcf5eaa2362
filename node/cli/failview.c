#include "node/cli/failview.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/nodecall.h"
#include "proto/base/buf.h"
#include "proto/base/cleanup.h"

#define CHUNK 65536
#define JOBS_MAX 3 /* of a commit's: one is mended after the other */
#define WORD_MAX 8300 /* --cmd's 2048 bytes, each quoted */

/* which step */

static bool has_failed(const char *outcome)
{
	return !strcmp(outcome, "failed") || !strcmp(outcome, "timeout") || !strcmp(outcome, "error");
}

/* The first that ended badly, or that never ended: those behind it never began. */
static bool is_the_one(const char *outcome, int exit_code)
{
	return exit_code > 0 || (exit_code < 0 && strcmp(outcome, "failed") != 0);
}

static void set_step(struct failview_step *s, size_t index, size_t count, const char *name, int exit_code)
{
	*s = (struct failview_step){.step = (unsigned)index + 1, .steps = (unsigned)count, .exit_code = exit_code};
	sanitise_line(s->name, sizeof s->name, name);
}

bool failview_of_report(const struct job_report *r, struct failview_step *ret)
{
	const char *outcome = job_outcome_name(r->outcome);
	for (size_t i = 0; i < r->steps_len && has_failed(outcome); i++) {
		if (!is_the_one(outcome, r->steps[i].exit_code) || (r->steps[i].on_failure && r->steps[i].exit_code < 0))
			continue;
		if (r->steps[i].exit_code < 0 && !r->steps[i].started_ms)
			return false; /* it never came to a step */
		set_step(ret, i, r->steps_len, r->steps[i].name, r->steps[i].exit_code);
		return true;
	}
	return false;
}

bool failview_of_result(const json_t *result, struct failview_step *ret)
{
	const json_t *steps = json_object_get(result, "steps"), *one;
	const char *outcome = jtext(result, "outcome");
	size_t i;
	json_array_foreach(steps, i, one) {
		const int exit_code = (int)json_integer_value(json_object_get(one, "exit_code"));
		if (!has_failed(outcome) || !is_the_one(outcome, exit_code))
			continue;
		set_step(ret, i, json_array_size(steps), jtext(one, "name"), exit_code);
		return true;
	}
	return false;
}

/* its last lines */

struct tail {
	unsigned step, current;           /* wanted; whose output this is, 0 = nobody's */
	char (*lines)[FAILVIEW_LINE_MAX]; /* a ring */
	size_t seen;
	char line[FAILVIEW_LINE_MAX];     /* the one being read; what is longer is cut */
	size_t line_len;
};

static void end_line(struct tail *t)
{
	unsigned step, of;
	int end = 0;
	t->line[t->line_len] = '\0';
	t->line_len = 0;
	if (sscanf(t->line, "--- step %u/%u%n", &step, &of, &end) == 2 && end) {
		t->current = !strncmp(t->line + end, ": exit ", 7) ? 0 : step;
		return;
	}
	if (t->current != t->step)
		return;
	sanitise_line(t->lines[t->seen++ % FAILVIEW_LINES], FAILVIEW_LINE_MAX, t->line);
}

static void feed(struct tail *t, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '\n')
			end_line(t);
		else if (t->line_len < sizeof t->line - 1)
			t->line[t->line_len++] = bytes[i] ? bytes[i] : ' ';
	}
}

static void turn(char lines[FAILVIEW_LINES][FAILVIEW_LINE_MAX], size_t by)
{
	char first[FAILVIEW_LINE_MAX];
	for (; by; by--) {
		memcpy(first, lines[0], sizeof first);
		memmove(lines[0], lines[1], (FAILVIEW_LINES - 1) * sizeof first);
		memcpy(lines[FAILVIEW_LINES - 1], first, sizeof first);
	}
}

size_t failview_last_lines(int log_fd, unsigned step, char ret[FAILVIEW_LINES][FAILVIEW_LINE_MAX])
{
	struct tail t = {.step = step, .lines = ret};
	CLEANUP(cleanup_free) char *chunk = malloc(CHUNK);
	ssize_t got = chunk ? 1 : 0;
	for (off_t at = 0; got > 0; at += got) {
		got = pread(log_fd, chunk, CHUNK, at);
		if (got > 0)
			feed(&t, chunk, (size_t)got);
	}
	if (t.line_len)
		end_line(&t);
	if (t.seen <= FAILVIEW_LINES)
		return t.seen;
	turn(ret, t.seen % FAILVIEW_LINES);
	return FAILVIEW_LINES;
}

void failview_print(struct out *o, const struct failview_step *s, int log_fd)
{
	CLEANUP(cleanup_free) char (*lines)[FAILVIEW_LINE_MAX] = log_fd < 0 ? NULL : malloc(FAILVIEW_LINES * sizeof *lines);
	const size_t len = lines ? failview_last_lines(log_fd, s->step, lines) : 0;
	out_print(o, OUT_BAD, "step %u/%u, %s,", s->step, s->steps, s->name);
	if (s->exit_code < 0)
		out_print(o, OUT_PLAIN, " did not end");
	else
		out_print(o, OUT_PLAIN, " failed with exit code %d", s->exit_code);
	if (log_fd < 0)
		out_print(o, OUT_PLAIN, "; its log is not here\n");
	else
		out_print(o, OUT_PLAIN, len ? "; its last lines:\n" : " and said nothing\n");
	for (size_t i = 0; i < len; i++)
		out_print(o, OUT_PLAIN, "  | %s\n", lines[i]);
}

/* the command */

const char *failview_quote(const char *word, char *out, size_t size)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=./:@,%^~";
	size_t len = 0;
	if (*word && *word != '~' && strspn(word, plain) == strlen(word)) {
		snprintf(out, size, "%s", word);
		return out;
	}
	const char *const around = "'";
	len += (size_t)snprintf(out, size, "%s", around);
	for (const char *p = word; *p && len + 6 < size; p++)
		len += (size_t)snprintf(out + len, size - len, *p == '\'' ? "'\\''" : "%c", *p);
	snprintf(out + len, size - len, "%s", around);
	return out;
}

void failview_again(struct out *o, const char *const *words, size_t len)
{
	CLEANUP(cleanup_free) char *word = malloc(WORD_MAX);
	if (!word)
		return;
	out_print(o, OUT_DIM, "again  ");
	for (size_t i = 0; i < len; i++) {
		if (!words[i])
			continue;
		out_print(o, OUT_PLAIN, "%s", i ? " " : "");
		/* foreign, and no longer a command if it were cut: made safe piece by piece */
		CLEANUP(buf_release) struct buf safe;
		struct sanitise state;
		buf_init(&safe, 4 * WORD_MAX);
		sanitise_init(&state, false);
		failview_quote(words[i], word, WORD_MAX);
		sanitise_feed(&state, word, strlen(word), &safe);
		sanitise_end(&state, &safe);
		if (!o->json && safe.len)
			fwrite(safe.data, 1, safe.len, o->answer);
	}
	out_print(o, OUT_PLAIN, "\n");
}

/* of the node's */

static void print_again(struct out *o, struct client *client, const char *job)
{
	CLEANUP(client_free_json) json_t *shown = NULL;
	CLEANUP(client_free_json) json_t *project = NULL;
	if (nodecall_on(client, json_pack("{s:s,s:s}", "op", "job.show", "job", job), &shown, NULL) ||
	    nodecall_on(client, json_pack("{s:s,s:s}", "op", "project.show", "project", jtext(shown, "project")), &project, NULL))
		return;
	const json_t *plan = json_object_get(shown, "plan");
	const char *url = json_string_value(json_array_get(json_object_get(project, "urls"), 0));
	const char *const pairs[][2] = {{"--commit", jtext(shown, "commit")}, {"--ref", jtext(shown, "ref")},	{"--cell", jtext(shown, "cell")},
					{"--image", jtext(shown, "image")},   {"--cmd", jtext(plan, "cmd")}};
	const char *words[FAILVIEW_WORDS_MAX] = {"talkoo", "run", url};
	size_t len = 3;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		if (*pairs[i][1]) {
			words[len++] = pairs[i][0];
			words[len++] = pairs[i][1];
		}
	if (url)
		failview_again(o, words, len);
}

static int open_log_here(struct client *client, const json_t *result)
{
	int fd = -1;
	const struct client_call call = {.ret_fd = &fd};
	json_t *request = json_pack("{s:s,s:s,s:s,s:b}", "op", "log", "job", jtext(result, "job"), "node", jtext(result, "node"), "follow", 0);
	(void)!client_call(client, request, &call, NULL, NULL);
	return fd;
}

/* Another's is got from the network, as `talkoo log` does; -1 when nobody who has it can be reached. */
static int open_log(struct client *client, const json_t *result)
{
	const int fd = open_log_here(client, result);
	json_t *request = fd >= 0 ? NULL : json_pack("{s:s,s:s,s:s,s:s}", "op", "fetch", "job", jtext(result, "job"), "node", jtext(result, "node"),
						      "name", "log");
	return fd >= 0 || nodecall_on(client, request, NULL, NULL) ? fd : open_log_here(client, result);
}

void failview_jobs(struct out *o, struct client *client, const json_t *results)
{
	const json_t *list = json_object_get(results, "results"), *one;
	const char *last = "";
	size_t i, shown = 0;
	json_array_foreach(list, i, one) {
		struct failview_step step;
		if (shown == JOBS_MAX || !strcmp(last, jtext(one, "job")) || !failview_of_result(one, &step))
			continue;
		shown++;
		last = jtext(one, "job");
		CLEANUP(cleanup_fd) int fd = open_log(client, one);
		failview_print(o, &step, fd);
		print_again(o, client, last);
	}
}
