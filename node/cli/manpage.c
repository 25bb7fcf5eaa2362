#include "node/cli/manpage.h"

#include <string.h>

#include "config.h"
#include "node/cli/cli.h"
#include "node/cli/exitcode.h"
#include "node/cli/table.h"
#include "proto/base/buf.h"
#include "proto/base/cleanup.h"

#define TEXT_MAX 4096 /* of one text, escaped */

/* ---- talkoo(1) */

/* A text as roff input: what starts a request or an escape there is a character again, a "-" is one to be copied. */
static void put(struct out *o, const char *text)
{
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, TEXT_MAX);
	for (const char *c = text; *c; c++) {
		if ((*c == '.' || *c == '\'') && (c == text || c[-1] == '\n'))
			buf_str(&b, "\\&");
		if (*c == '\\')
			buf_str(&b, "\\e");
		else if (*c == '-')
			buf_str(&b, "\\-");
		else
			buf_byte(&b, (uint8_t)*c);
	}
	out_print(o, OUT_PLAIN, "%s", buf_failed(&b) ? "" : buf_cstr(&b));
}

/* Lines that keep their breaks, for what was laid out by hand. */
static void put_lines(struct out *o, const char *text)
{
	out_print(o, OUT_PLAIN, ".PP\n.nf\n");
	put(o, text);
	out_print(o, OUT_PLAIN, "\n.fi\n");
}

static void put_options(struct out *o, const struct cli_option *options)
{
	for (const struct cli_option *option = options; option && option->name; option++) {
		out_print(o, OUT_PLAIN, ".TP\n");
		if (option->letter)
			out_print(o, OUT_PLAIN, "\\fB\\-%c\\fR, ", option->letter);
		out_print(o, OUT_PLAIN, "\\fB\\-\\-");
		put(o, option->name);
		out_print(o, OUT_PLAIN, "\\fR");
		if (option->arg)
			out_print(o, OUT_PLAIN, " \\fI%s\\fR", option->arg);
		out_print(o, OUT_PLAIN, "\n");
		put(o, option->help);
		out_print(o, OUT_PLAIN, "%s\n", option->repeats ? " (may be repeated)" : "");
	}
}

static void put_examples(struct out *o, const struct cli_command *c)
{
	for (const char *const *example = c->examples; example && *example; example++) {
		const size_t len = strcspn(*example, "\t");
		char line[512];
		snprintf(line, sizeof line, "    %.*s", (int)len, *example);
		if ((*example)[len] && (*example)[len + 1])
			out_print(o, OUT_PLAIN, ".PP\n"), put(o, *example + len + 1), out_print(o, OUT_PLAIN, ":\n");
		put_lines(o, line);
	}
}

static void put_command(struct out *o, const struct cli_command *c)
{
	out_print(o, OUT_PLAIN, ".SS talkoo %s%s", c->name, *c->args ? " " : "");
	put(o, c->args);
	out_print(o, OUT_PLAIN, "\n");
	put(o, c->summary);
	out_print(o, OUT_PLAIN, ".\n");
	if (c->text)
		put_lines(o, c->text);
	put_options(o, c->options);
	put_examples(o, c);
}

static void put_environment(struct out *o)
{
	static const char *const variables[][2] = {
		{"TALKOO_HOME", "The node's folder, where \\-\\-home does not say it. Without both: the user's own node if there is one, else "
				"the system's."},
		{"NO_COLOR", "When set: no colours, on a terminal either."},
		{"XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_RUNTIME_DIR", "Where the user's own node has its configuration, its state and its "
								 "socket."}};
	out_print(o, OUT_PLAIN, ".SH ENVIRONMENT\n");
	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
		out_print(o, OUT_PLAIN, ".TP\n.B %s\n%s\n", variables[i][0], variables[i][1]);
}

void manpage_print(struct out *o)
{
	out_print(o, OUT_PLAIN, ".\\\" made by 'talkoo help man' from the table of commands\n"
				".TH TALKOO 1 \"\" \"talkoo %s\" \"User Commands\"\n.SH NAME\n"
				"talkoo \\- continuous integration by neighbours\n"
				".SH SYNOPSIS\n.B talkoo\n.I COMMAND\n[\\fIoptions\\fR] [\\fIarguments\\fR]\n", PACKAGE_VERSION);
	for (const struct table_group *g = table_groups; g->title; g++) {
		out_print(o, OUT_PLAIN, ".SH ");
		for (const char *t = g->title; *t; t++)
			out_print(o, OUT_PLAIN, "%c", *t >= 'a' && *t <= 'z' ? *t - ('a' - 'A') : *t);
		out_print(o, OUT_PLAIN, "\n");
		for (const struct cli_command *c = g->commands; c->name; c++)
			put_command(o, c);
	}
	out_print(o, OUT_PLAIN, ".SH OPTIONS OF EVERY COMMAND\n");
	put_options(o, cli_common_options);
	out_print(o, OUT_PLAIN, ".SH EXIT STATUS\n");
#define X(name, code, text) out_print(o, OUT_PLAIN, ".TP\n.B %d\n", code), put(o, text), out_print(o, OUT_PLAIN, "\n");
	EXITCODES(X)
#undef X
	put_environment(o);
	out_print(o, OUT_PLAIN, ".SH SEE ALSO\n.BR talkoo.yml (5)\n");
}

/* ---- completion */

static void put_option_words(struct out *o, const struct cli_option *options)
{
	for (const struct cli_option *option = options; option && option->name; option++)
		out_print(o, OUT_PLAIN, " --%s", option->name);
}

/* The second words of a family ("job": announce, cancel ...). */
static void put_family(struct out *o, const char *word, size_t len)
{
	for (const struct table_group *g = table_groups; g->title; g++)
		for (const struct cli_command *c = g->commands; c->name; c++)
			if (!strncmp(c->name, word, len) && c->name[len] == ' ')
				out_print(o, OUT_PLAIN, " %s", c->name + len + 1);
}

/* Whether an earlier command has the same first word. */
static bool is_repeated(const struct cli_command *command, size_t len)
{
	for (const struct table_group *g = table_groups; g->title; g++)
		for (const struct cli_command *c = g->commands; c->name; c++) {
			if (c == command)
				return false;
			if (!strncmp(c->name, command->name, len) && (c->name[len] == ' ' || !c->name[len]))
				return true;
		}
	return false;
}

/* visit: each first word once. */
static void each_first_word(struct out *o, void (*visit)(struct out *o, const char *word, size_t len))
{
	for (const struct table_group *g = table_groups; g->title; g++)
		for (const struct cli_command *c = g->commands; c->name; c++) {
			const size_t len = strcspn(c->name, " ");
			if (!is_repeated(c, len))
				visit(o, c->name, len);
		}
}

static void put_word(struct out *o, const char *word, size_t len)
{
	out_print(o, OUT_PLAIN, " %.*s", (int)len, word);
}

static void put_family_case(struct out *o, const char *word, size_t len)
{
	char family[64];
	snprintf(family, sizeof family, "%.*s", (int)len, word);
	if (!table_is_family(family))
		return;
	out_print(o, OUT_PLAIN, "\t'%s ') words='", family);
	put_family(o, word, len);
	out_print(o, OUT_PLAIN, "' ;;\n");
}

void completion_print(struct out *o)
{
	out_print(o, OUT_PLAIN, "# bash completion for talkoo, made by 'talkoo help completion' from the table of commands\n"
				"_talkoo() {\n"
				"\tlocal word=${COMP_WORDS[COMP_CWORD]} said='' words='' skip='' each\n"
				"\tfor each in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
				"\t\tif [ -n \"$skip\" ]; then skip=''; continue; fi\n"
				"\t\tcase $each in --home) skip=1 ;; -*) ;; *) said+=\"$each \" ;; esac\n"
				"\tdone\n"
				"\tcase $said in\n\t'' | 'help ') words='");
	each_first_word(o, put_word);
	out_print(o, OUT_PLAIN, "' ;;\n");
	each_first_word(o, put_family_case);
	for (const struct table_group *g = table_groups; g->title; g++)
		for (const struct cli_command *c = g->commands; c->name; c++) {
			out_print(o, OUT_PLAIN, "\t'%s '*) words='", c->name);
			put_option_words(o, c->options);
			out_print(o, OUT_PLAIN, "' ;;\n");
		}
	out_print(o, OUT_PLAIN, "\tesac\n\tcase $word in -*) words+='");
	put_option_words(o, cli_common_options);
	out_print(o, OUT_PLAIN, "' ;; esac\n"
				"\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
				"}\ncomplete -o default -F _talkoo talkoo\n");
}
