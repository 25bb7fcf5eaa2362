#include "runner/plan/script_check.h"

#include <stdio.h>
#include <string.h>

#include "proto/base/cleanup.h"

static const char *const endings[] = {".sh", ".bash", ".py", ".pl", ".rb"};
static const char *const interpreters[] = {"sh", "bash", "python3", "python", "perl", "ruby"};

/* Copies the word at *at (plain characters only) and moves on; false when there is none, or it has other characters. */
static bool next_word(const char **at, char *out, size_t size)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./+-";
	*at += strspn(*at, " \t");
	const size_t len = strspn(*at, plain);
	if (!len || len >= size || !strchr(" \t\n;&|", (*at)[len]))
		return false;
	memcpy(out, *at, len);
	out[len] = '\0';
	*at += len;
	return true;
}

static bool is_one_of(const char *word, const char *const *list, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strcmp(word, list[i]))
			return true;
	return false;
}

static bool is_script(const char *path)
{
	const size_t len = strlen(path);
	if (path[0] == '/' || strstr(path, "..") || path[0] == '-')
		return false;
	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		const size_t end = strlen(endings[i]);
		if (len > end && !strcmp(path + len - end, endings[i]))
			return true;
	}
	return false;
}

/* One line that starts with a command. */
static bool read_line(const char *line, struct script_use *ret)
{
	char word[sizeof ret->path];
	if (!next_word(&line, word, sizeof word))
		return false;
	ret->is_executed = strchr(word, '/') != NULL;
	if (!ret->is_executed && !(is_one_of(word, interpreters, ARRAY_LEN(interpreters)) && next_word(&line, word, sizeof word)))
		return false;
	const char *path = word;
	while (!strncmp(path, "./", 2))
		path += 2;
	if (!is_script(path))
		return false;
	snprintf(ret->path, sizeof ret->path, "%s", path);
	return true;
}

/* Where a command may change the folder, or a text of many lines begins, nothing is told any more. */
static bool ends_reading(const char *line, size_t len)
{
	for (size_t i = 0; i + 1 < len; i++) {
		const bool starts_word = i == 0 || strchr(" \t;&|(", line[i - 1]);
		if (starts_word && len - i > 2 && !memcmp(line + i, "cd", 2) && strchr(" \t", line[i + 2]))
			return true;
		if (starts_word && len - i > 5 && !memcmp(line + i, "pushd", 5))
			return true;
		if (line[i] == '<' && line[i + 1] == '<')
			return true;
	}
	return memchr(line, '\'', len) || memchr(line, '"', len) || memchr(line, '\\', len);
}

bool script_check_next(const char *commands, size_t *at, struct script_use *ret)
{
	uint32_t number = 1;
	for (size_t i = 0; i < *at; i++)
		number += commands[i] == '\n';
	while (commands[*at]) {
		const char *line = commands + *at;
		const size_t len = strcspn(line, "\n");
		const bool is_last = ends_reading(line, len);
		struct script_use use = {.line = number++, .offset = *at};
		*at += is_last ? strlen(line) : len + (line[len] == '\n');
		if (is_last || *line == ' ' || *line == '\t' || !read_line(line, &use))
			continue;
		*ret = use;
		return true;
	}
	return false;
}

bool script_check_mentions(const char *text, const char *path)
{
	const char *name = strrchr(path, '/');
	return strstr(text, name ? name + 1 : path) != NULL;
}
