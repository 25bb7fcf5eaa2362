#include "node/cli/out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/cleanup.h"

#define OUT_TEXT_MAX (1u << 20)
#define CELL_MAX 256
#define ROWS_MAX 100000

static bool colour_on(FILE *f)
{
	const char *no = getenv("NO_COLOR");
	const char *term = getenv("TERM");
	return isatty(fileno(f)) && !(no && *no) && term && strcmp(term, "dumb");
}

void out_init(struct out *o)
{
	const char *term = getenv("TERM");
	*o = (struct out){.answer = stdout, .notes = stderr};
	o->answer_colour = colour_on(stdout);
	o->notes_colour = colour_on(stderr);
	o->notes_terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb");
}

static const char *style_start(enum out_style style)
{
	switch (style) {
	case OUT_PLAIN: return "";
	case OUT_BOLD: return "\033[1m";
	case OUT_DIM: return "\033[2m";
	case OUT_GOOD: return "\033[32m";
	case OUT_BAD: return "\033[31m";
	case OUT_WARN: return "\033[33m";
	}
	return "";
}

static void put_styled(FILE *f, bool colour, enum out_style style, const char *text, size_t len)
{
	const bool styled = colour && style != OUT_PLAIN;
	/* the newline stays outside, else a terminal paints the rest of the next line */
	const bool newline = len && text[len - 1] == '\n';
	if (styled)
		fputs(style_start(style), f);
	fwrite(text, 1, len - newline, f);
	if (styled)
		fputs("\033[0m", f);
	if (newline)
		fputc('\n', f);
}

__attribute__((format(printf, 4, 0)))
static void put_va(FILE *f, bool colour, enum out_style style, const char *fmt, va_list ap)
{
	char *text = NULL;
	if (vasprintf(&text, fmt, ap) < 0)
		return;
	CLEANUP(buf_release) struct buf safe;
	buf_init(&safe, OUT_TEXT_MAX);
	struct sanitise s;
	sanitise_init(&s, false);
	sanitise_feed(&s, text, strlen(text), &safe);
	sanitise_end(&s, &safe);
	free(text);
	put_styled(f, colour, style, buf_cstr(&safe), safe.len);
}

void out_print(struct out *o, enum out_style style, const char *fmt, ...)
{
	if (o->json)
		return;
	va_list ap;
	va_start(ap, fmt);
	put_va(o->answer, o->answer_colour, style, fmt, ap);
	va_end(ap);
}

void out_note(struct out *o, enum out_style style, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	put_va(o->notes, o->notes_colour, style, fmt, ap);
	va_end(ap);
	fflush(o->notes);
}

void out_json(struct out *o, const json_t *object)
{
	if (!object)
		return;
	json_dumpf(object, o->answer, JSON_COMPACT | JSON_ENCODE_ANY);
	fputc('\n', o->answer);
	fflush(o->answer);
}

void out_error(struct out *o, const struct err *err)
{
	fflush(o->answer);
	out_note(o, OUT_BAD, "error: ");
	out_note(o, OUT_PLAIN, "%s\n", err->what);
	if (err->hint[0])
		out_note(o, OUT_PLAIN, "hint: %s\n", err->hint);
	if (!o->json)
		return;
	json_t *object = json_pack("{s:i,s:b,s:s,s:s,s:s}", "v", 1, "ok", 0, "error", OUT_FOREIGN(err->what), "hint",
				   OUT_FOREIGN(err->hint), "code", err_code_name(err->code));
	out_json(o, object);
	json_decref(object);
}

int out_flush(struct out *o, struct err *err)
{
	fflush(o->notes);
	errno = 0;
	if (fflush(o->answer) || ferror(o->answer))
		return err_errno(err, errno ? errno : EIO, "cannot write the answer");
	return 0;
}

struct cell {
	char *text;
	size_t width;
	enum out_style style;
};

struct out_table {
	struct cell *cells; /* the headings are the first row */
	size_t len, cap, columns;
};

/* Code points: good enough for ids, names and times; a wide character only shifts its own row. */
static size_t text_width(const char *text)
{
	size_t width = 0;
	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

struct out_table *out_table_new(const char *const *columns, size_t columns_len)
{
	struct out_table *t = calloc(1, sizeof *t);
	if (!t)
		return NULL;
	t->columns = columns_len;
	for (size_t i = 0; i < columns_len; i++)
		out_table_cell(t, OUT_DIM, columns[i]);
	return t;
}

void out_table_free(struct out_table **t)
{
	if (!*t)
		return;
	for (size_t i = 0; i < (*t)->len; i++)
		free((*t)->cells[i].text);
	free((*t)->cells);
	free(*t);
	*t = NULL;
}

void out_table_cell(struct out_table *t, enum out_style style, const char *text)
{
	if (!t || t->len >= (size_t)ROWS_MAX * OUT_COLUMNS_MAX)
		return;
	if (t->len == t->cap) {
		const size_t cap = t->cap ? 2 * t->cap : 64;
		struct cell *cells = reallocarray(t->cells, cap, sizeof *cells);
		if (!cells)
			return;
		t->cells = cells;
		t->cap = cap;
	}
	char safe[CELL_MAX];
	sanitise_line(safe, sizeof safe, text ? text : "");
	struct cell *cell = &t->cells[t->len++];
	*cell = (struct cell){.text = strdup(safe), .width = text_width(safe), .style = style};
}

void out_table_print(const struct out_table *t, struct out *o)
{
	if (!t || o->json || t->len <= t->columns)
		return;
	size_t widths[OUT_COLUMNS_MAX] = {0};
	for (size_t i = 0; i < t->len; i++)
		if (t->cells[i].width > widths[i % t->columns])
			widths[i % t->columns] = t->cells[i].width;
	for (size_t i = 0; i < t->len; i++) {
		const size_t column = i % t->columns;
		const struct cell *cell = &t->cells[i];
		const char *text = cell->text ? cell->text : "";
		put_styled(o->answer, o->answer_colour, cell->style, text, strlen(text));
		if (column + 1 < t->columns)
			fprintf(o->answer, "%*s", (int)(widths[column] - cell->width + 2), "");
		else
			fputc('\n', o->answer);
	}
}
