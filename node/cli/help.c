#include "node/cli/help.h"

#include <string.h>

#include "node/cli/client.h"
#include "node/cli/cmds.h"
#include "node/cli/exitcode.h"
#include "node/cli/manpage.h"
#include "node/cli/table.h"
#include "node/config.h"
#include "proto/base/cleanup.h"

#define NAME_WIDTH 15
#define OPTION_WIDTH 22

static void print_command_line(struct out *o, const struct cli_command *c)
{
	out_print(o, OUT_BOLD, "  %-*s", NAME_WIDTH, c->name);
	out_print(o, OUT_PLAIN, " %s\n", c->summary);
}

void help_overview(struct out *o)
{
	out_print(o, OUT_PLAIN, "Talkoo: continuous integration by neighbours.\n\nusage: talkoo COMMAND [options]\n");
	for (const struct table_group *g = table_groups; g->title; g++) {
		out_print(o, OUT_BOLD, "\n%s\n", g->title);
		for (const struct cli_command *c = g->commands; c->name; c++)
			print_command_line(o, c);
	}
	out_print(o, OUT_PLAIN, "\nFirst steps:  talkoo image build mini && talkoo run --cmd 'uname -a'\n"
				"More:         talkoo COMMAND --help\n");
}

void help_family(struct out *o, const char *word)
{
	const size_t len = strlen(word);
	out_print(o, OUT_PLAIN, "usage: talkoo %s COMMAND [options]\n\n", word);
	for (const struct table_group *g = table_groups; g->title; g++)
		for (const struct cli_command *c = g->commands; c->name; c++)
			if (!strncmp(c->name, word, len) && (c->name[len] == ' ' || !c->name[len]))
				print_command_line(o, c);
	out_print(o, OUT_PLAIN, "\nMore: talkoo help %s COMMAND\n", word);
}

static void print_option(struct out *o, const struct cli_option *option)
{
	char name[64];
	int used = option->letter ? snprintf(name, sizeof name, "-%c, ", option->letter) : 0;
	used += snprintf(name + used, sizeof name - (size_t)used, "--%s", option->name);
	if (option->arg)
		snprintf(name + used, sizeof name - (size_t)used, "%s%s", *option->arg == '[' ? "" : " ", option->arg);
	out_print(o, OUT_PLAIN, "  %-*s %s%s\n", OPTION_WIDTH, name, option->help, option->repeats ? " (may be repeated)" : "");
}

static void print_example(struct out *o, const char *example)
{
	const char *tab = strchr(example, '\t');
	const int len = (int)(tab ? tab - example : (ptrdiff_t)strlen(example));
	if (tab && tab[1])
		out_print(o, OUT_DIM, "  # %s\n", tab + 1);
	out_print(o, OUT_PLAIN, "  %.*s\n", len, example);
}

void help_command(struct out *o, const struct cli_command *c)
{
	out_print(o, OUT_BOLD, "talkoo %s", c->name);
	out_print(o, OUT_PLAIN, "%s%s%s: %s\n", *c->args ? " " : "", c->args, c->options ? " [options]" : "", c->summary);
	if (c->text)
		out_print(o, OUT_PLAIN, "\n%s\n", c->text);
	out_print(o, OUT_BOLD, "\nOptions\n");
	for (const struct cli_option *option = c->options; option && option->name; option++)
		print_option(o, option);
	for (const struct cli_option *option = cli_common_options; option->name; option++)
		print_option(o, option);
	out_print(o, OUT_BOLD, c->examples && c->examples[0] && c->examples[1] ? "\nExamples\n" : "\nExample\n");
	for (const char *const *example = c->examples; example && *example; example++)
		print_example(o, *example);
}

static json_t *options_to_json(const struct cli_option *options)
{
	json_t *list = json_array();
	for (const struct cli_option *o = options; o && o->name; o++) {
		const char letter[2] = {o->letter, 0};
		json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s,s:b}", "name", o->name, "letter", letter, "arg",
						      o->arg ? o->arg : "", "help", o->help, "repeats", (int)o->repeats));
	}
	return list;
}

static json_t *command_to_json(const char *group, const struct cli_command *c)
{
	json_t *examples = json_array();
	for (const char *const *e = c->examples; e && *e; e++) {
		const size_t len = strcspn(*e, "\t");
		json_array_append_new(examples, json_pack("{s:o,s:s}", "command", json_stringn(*e, len), "does",
							  (*e)[len] ? *e + len + 1 : ""));
	}
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:o,s:o}", "group", group, "name", c->name, "args", c->args, "summary", c->summary,
			 "text", c->text ? c->text : "", "options", options_to_json(c->options), "examples", examples);
}

static void print_table_json(struct out *o)
{
	json_t *commands = json_array();
	for (const struct table_group *g = table_groups; g->title; g++)
		for (const struct cli_command *c = g->commands; c->name; c++)
			json_array_append_new(commands, command_to_json(g->title, c));
	json_t *codes = json_array();
#define X(name, code, text) json_array_append_new(codes, json_pack("{s:i,s:s}", "code", code, "meaning", text));
	EXITCODES(X)
#undef X
	CLEANUP(client_free_json)
	json_t *all = json_pack("{s:i,s:b,s:o,s:o,s:o}", "v", 1, "ok", 1, "common", options_to_json(cli_common_options),
				"commands", commands, "exit_codes", codes);
	out_json(o, all);
}

static void print_exit_codes(struct out *o)
{
	out_print(o, OUT_PLAIN, "'watch', 'run', 'verify', 'job announce --wait' and 'results --exit-code' exit by verdict;\n"
				"every other command exits with 0 when it could answer.\n\n");
#define X(name, code, text) out_print(o, OUT_PLAIN, "  %d  %s\n", code, text);
	EXITCODES(X)
#undef X
}

static void print_config_keys(struct out *o)
{
	CLEANUP(buf_release) struct buf keys;
	buf_init(&keys, 65536);
	config_describe(&keys);
	out_print(o, OUT_PLAIN, "config.yml of the node's config folder (~/.config/talkoo, or the --home), read at start. Unknown keys are errors.\n\n%s",
		  buf_cstr(&keys));
}

int cmd_help(struct cli *c, struct err *err)
{
	int words = 0;
	if (c->out.json) {
		print_table_json(&c->out);
	} else if (!c->args_len) {
		help_overview(&c->out);
	} else if (!strcmp(c->args[0], "exit-codes")) {
		print_exit_codes(&c->out);
	} else if (!strcmp(c->args[0], "man")) {
		manpage_print(&c->out);
	} else if (!strcmp(c->args[0], "completion")) {
		completion_print(&c->out);
	} else if (!strcmp(c->args[0], "config")) {
		print_config_keys(&c->out);
	} else {
		const struct cli_command *command = table_find(c->args_len, c->args, &words);
		if (command && words == c->args_len)
			help_command(&c->out, command);
		else if (c->args_len == 1 && table_is_family(c->args[0]))
			help_family(&c->out, c->args[0]);
		else {
			const char *nearest = table_nearest(c->args[0]);
			err_set(err, ERR_USAGE, "%s%s%s: no such command", c->args[0], c->args_len > 1 ? " " : "",
				c->args_len > 1 ? c->args[1] : "");
			return err_hint(err, nearest ? "did you mean '%s'?" : "'talkoo help' lists them all", nearest);
		}
	}
	return 0;
}
