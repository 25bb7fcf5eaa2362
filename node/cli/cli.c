#include "node/cli/cli.h"

#include <assert.h>
#include <getopt.h>
#include <string.h>

#include "node/cli/table.h"
#include "proto/base/cleanup.h"
#include "proto/base/suggest.h"
#include "proto/base/units.h"

const struct cli_option cli_common_options[] = {
	{"home", 0, "DIR", "the node's folder (default: $TALKOO_HOME, else your own node, else the system's)", false},
	{"json", 0, NULL, "answer in JSON, for programs", false},
	{"help", 'h', NULL, "this help", false},
	{0},
};

static const struct cli_option version_option = {"version", 0, NULL, "print the version", false};

/* getopt_long's tables for one pass. Long options' val is FIRST_LONG + index into options. */
#define FIRST_LONG 256

struct pass {
	const struct cli_option *options[CLI_OPTIONS_MAX];
	size_t len;
	struct option longs[CLI_OPTIONS_MAX + 1];
	char letters[3 + 2 * CLI_OPTIONS_MAX + 1];
};

static void pass_add(struct pass *p, const struct cli_option *option)
{
	assert(p->len < CLI_OPTIONS_MAX);
	p->longs[p->len] = (struct option){.name = option->name,
					   .has_arg = !option->arg ? no_argument : *option->arg == '[' ? optional_argument : required_argument,
					   .val = FIRST_LONG + (int)p->len};
	p->options[p->len++] = option;
	if (!option->letter)
		return;
	const size_t used = strlen(p->letters);
	p->letters[used] = option->letter;
	if (option->arg)
		p->letters[used + 1] = ':';
}

static void pass_init(struct pass *p, const struct cli_command *command)
{
	*p = (struct pass){0};
	/* "+": the global options end at the command's name; ":": we word the errors */
	strcpy(p->letters, command ? ":" : "+:");
	for (const struct cli_option *o = cli_common_options; o->name; o++)
		pass_add(p, o);
	if (!command)
		pass_add(p, &version_option);
	for (const struct cli_option *o = command ? command->options : NULL; o && o->name; o++)
		pass_add(p, o);
}

static const struct cli_option *pass_option(const struct pass *p, int value)
{
	if (value >= FIRST_LONG && (size_t)(value - FIRST_LONG) < p->len)
		return p->options[value - FIRST_LONG];
	for (size_t i = 0; i < p->len; i++)
		if (p->options[i]->letter && p->options[i]->letter == value)
			return p->options[i];
	return NULL;
}

static const char *help_of(const struct cli *c, char out[64])
{
	if (c->command)
		snprintf(out, 64, "talkoo help %s", c->command->name);
	else
		snprintf(out, 64, "talkoo help");
	return out;
}

static int unknown_option(const struct cli *c, const struct pass *p, const char *given, struct err *err)
{
	char help[64], name[64];
	const char *text = given ? given : "";
	while (*text == '-')
		text++;
	snprintf(name, sizeof name, "%.*s", (int)strcspn(text, "="), text);
	const char *names[CLI_OPTIONS_MAX];
	size_t starts = 0;
	for (size_t i = 0; i < p->len; i++) {
		names[i] = p->options[i]->name;
		starts += *name && !strncmp(name, names[i], strlen(name));
	}
	const char *nearest = suggest(name, names, p->len);
	err_set(err, ERR_USAGE, "%s: %s option%s%s", given ? given : "?", starts > 1 ? "an ambiguous" : "no such",
		c->command ? " of talkoo " : "", c->command ? c->command->name : "");
	if (nearest)
		return err_hint(err, "did you mean --%s? See '%s'", nearest, help_of(c, help));
	return err_hint(err, "see '%s'", help_of(c, help));
}

static int take_option(struct cli *c, const struct cli_option *option, const char *value, struct err *err)
{
	if (!strcmp(option->name, "help"))
		c->wants_help = true;
	else if (option == &version_option)
		c->wants_version = true;
	else if (!strcmp(option->name, "json"))
		c->out.json = true;
	else if (!strcmp(option->name, "home"))
		c->home = value;
	else {
		if (!option->repeats && cli_has(c, option->name))
			return err_set(err, ERR_USAGE, "--%s: given twice", option->name);
		if (c->values_len == CLI_VALUES_MAX)
			return err_set(err, ERR_USAGE, "too many options");
		c->values[c->values_len++] = (struct cli_value){option, value};
		return 0;
	}
	if (value && !*value)
		return err_set(err, ERR_USAGE, "--%s: its value is empty", option->name);
	return 0;
}

/* One getopt pass over argv[0..argc). Leaves *ret_rest at the first argument that is no option. */
static int parse_options(struct cli *c, int argc, char **argv, int *ret_rest, struct err *err)
{
	struct pass pass;
	pass_init(&pass, c->command);
	optind = 0; /* glibc: start afresh */
	opterr = 0;
	for (;;) {
		const int before = optind ? optind : 1;
		const int got = getopt_long(argc, argv, pass.letters, pass.longs, NULL);
		if (got == -1)
			break;
		const struct cli_option *option = got == '?' || got == ':' ? pass_option(&pass, optopt) : pass_option(&pass, got);
		if (got == ':' && option)
			return err_set(err, ERR_USAGE, "--%s: wants a value (%s)", option->name, option->arg);
		if (got == '?' && option && !option->arg)
			return err_set(err, ERR_USAGE, "--%s: takes no value", option->name);
		if (!option || got == '?') {
			char letter[3] = {'-', (char)optopt, 0};
			const bool is_letter = optopt > 0 && optopt < FIRST_LONG;
			return unknown_option(c, &pass, is_letter ? letter : argv[optind > before ? optind - 1 : before], err);
		}
		const int code = take_option(c, option, option->arg ? optarg : NULL, err);
		if (code)
			return code;
	}
	*ret_rest = optind;
	return 0;
}

static int unknown_command(const char *word, struct err *err)
{
	const char *nearest = table_nearest(word);
	err_set(err, ERR_USAGE, "%s: no such command", word);
	if (nearest)
		return err_hint(err, "did you mean 'talkoo %s'? 'talkoo help' lists them all", nearest);
	return err_hint(err, "'talkoo help' lists them all");
}

static int check_args(const struct cli *c, struct err *err)
{
	char help[64];
	const struct cli_command *command = c->command;
	if (c->args_len >= command->args_min && (command->args_max < 0 || c->args_len <= command->args_max))
		return 0;
	if (c->args_len < command->args_min)
		err_set(err, ERR_USAGE, "talkoo %s: wants %s", command->name, command->args);
	else if (!command->args_max)
		err_set(err, ERR_USAGE, "talkoo %s: takes no argument, but got '%s'", command->name, c->args[0]);
	else
		err_set(err, ERR_USAGE, "talkoo %s: '%s' is one argument too many", command->name, c->args[command->args_max]);
	return err_hint(err, "see '%s'", help_of(c, help));
}

int cli_parse(int argc, char **argv, struct cli *ret, struct err *err)
{
	*ret = (struct cli){0};
	out_init(&ret->out);
	int rest = 0;
	int code = parse_options(ret, argc, argv, &rest, err);
	if (code || ret->wants_version || rest >= argc)
		return code;
	int words = 0;
	const struct cli_command *command = table_find(argc - rest, argv + rest, &words);
	if (!command && table_is_family(argv[rest]) && (rest + 1 >= argc || argv[rest + 1][0] == '-' || ret->wants_help)) {
		ret->wants_help = true; /* "talkoo job", "talkoo job --help" */
		ret->args = argv + rest;
		ret->args_len = 1;
		return 0;
	}
	if (!command) {
		char text[64];
		const bool two = rest + 1 < argc && argv[rest + 1][0] != '-' && table_is_family(argv[rest]);
		snprintf(text, sizeof text, "%s%s%s", argv[rest], two ? " " : "", two ? argv[rest + 1] : "");
		return unknown_command(text, err);
	}
	ret->command = command;
	/* the command's last word stands where getopt expects the program's name */
	char **own = argv + rest + words - 1;
	int own_rest = 0;
	code = parse_options(ret, argc - rest - words + 1, own, &own_rest, err);
	if (code)
		return code;
	ret->args = own + own_rest;
	ret->args_len = argc - rest - words + 1 - own_rest;
	return ret->wants_help ? 0 : check_args(ret, err);
}

static void assert_known(const struct cli *c, const char *name)
{
	for (const struct cli_option *o = c->command->options; o && o->name; o++)
		if (!strcmp(o->name, name))
			return;
	assert(!"the command's table lists that option");
}

const char *cli_option_at(const struct cli *c, const char *name, size_t i)
{
	assert_known(c, name);
	for (size_t k = 0; k < c->values_len; k++)
		if (!strcmp(c->values[k].option->name, name) && !i--)
			return c->values[k].text;
	return NULL;
}

bool cli_has(const struct cli *c, const char *name)
{
	for (size_t k = 0; k < c->values_len; k++)
		if (!strcmp(c->values[k].option->name, name))
			return true;
	if (c->command)
		assert_known(c, name);
	return false;
}

const char *cli_option(const struct cli *c, const char *name)
{
	return cli_option_at(c, name, 0);
}

const char *cli_arg(const struct cli *c, int i)
{
	return i < c->args_len ? c->args[i] : NULL;
}

int cli_number(const struct cli *c, const char *name, uint64_t min, uint64_t max, uint64_t *ret, struct err *err)
{
	const char *text = cli_option(c, name);
	uint64_t value;
	if (!text)
		return 0;
	if (!units_parse_number(text, &value) || value < min || value > max)
		return err_set(err, ERR_USAGE, "--%s %s: not a number from %llu to %llu", name, text, (unsigned long long)min,
			       (unsigned long long)max);
	*ret = value;
	return 0;
}

int cli_size(const struct cli *c, const char *name, uint64_t *ret_bytes, struct err *err)
{
	const char *text = cli_option(c, name);
	uint64_t value;
	if (!text)
		return 0;
	if (!units_parse_size(text, &value) || !value) {
		err_set(err, ERR_USAGE, "--%s %s: not a size", name, text);
		return err_hint(err, "like 512M or 2G");
	}
	*ret_bytes = value;
	return 0;
}

int cli_duration(const struct cli *c, const char *name, uint64_t *ret_ms, struct err *err)
{
	const char *text = cli_option(c, name);
	uint64_t value;
	if (!text)
		return 0;
	if (!units_parse_duration(text, &value)) {
		err_set(err, ERR_USAGE, "--%s %s: not a duration", name, text);
		return err_hint(err, "like 90s, 30m or 2h");
	}
	*ret_ms = value;
	return 0;
}
