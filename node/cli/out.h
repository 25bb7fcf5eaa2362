/* The printing edge: everything that `talkoo` shows goes through here, so that foreign text is sanitised once and colour
 * is used only on a terminal and without NO_COLOR.
 *
 * stdout: the answer (for people, or JSON). stderr: progress, errors, what a person should know beside it.
 * Formatted text is sanitised whole before a style is put around it; a "\n" of the format stays (foreign text within a
 * line goes in with OUT_FOREIGN()). Must not know: commands. Links: base. */
#ifndef TALKOO_CLI_OUT_H
#define TALKOO_CLI_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "proto/base/err.h"
#include "proto/base/sanitise.h"

enum out_style { OUT_PLAIN = 0, OUT_BOLD, OUT_DIM, OUT_GOOD, OUT_BAD, OUT_WARN };

struct out {
	FILE *answer; /* stdout */
	FILE *notes;  /* stderr */
	bool answer_colour, notes_colour;
	bool notes_terminal; /* a one-line ticker may be drawn there */
	bool json;
};

/* stdout and stderr as they are. */
void out_init(struct out *o);
/* People's answer: nothing when JSON was asked for. */
void out_print(struct out *o, enum out_style style, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Progress and remarks, on stderr, with --json too. */
void out_note(struct out *o, enum out_style style, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* One object, one line, flushed. NULL is ignored. */
void out_json(struct out *o, const json_t *object);
/* "error: …" and "hint: …" on stderr; with JSON also an object {"v":1,"ok":false,…} on stdout. */
void out_error(struct out *o, const struct err *err);
/* Flushes; ERR_IO when something could not be written (a full disk behind a redirection, a closed pipe). */
int out_flush(struct out *o, struct err *err) MUST_CHECK;

/* A foreign string as one printf argument: sanitised into a line, cut. Lives until the end of the enclosing block. */
#define OUT_FOREIGN(text) sanitise_line((char[512]){0}, 512, (text))

/* A table for people: cells are copied and sanitised, columns padded to the widest, the last not padded. */
#define OUT_COLUMNS_MAX 8
struct out_table;
/* columns: the headings. NULL without memory. */
struct out_table *out_table_new(const char *const *columns, size_t columns_len);
void out_table_free(struct out_table **t);
/* One cell, filling rows from left to right. NULL is "". */
void out_table_cell(struct out_table *t, enum out_style style, const char *text);
/* Prints headings and rows; nothing without rows. */
void out_table_print(const struct out_table *t, struct out *o);

#endif
