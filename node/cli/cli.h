/* One invocation of `talkoo`: which command, which options, which arguments; read from argv by the rules of the command
 * table (table.h), in getopt_long's conventions.
 *
 * How it is used: main() calls cli_parse(), then command->run(cli, err). A command asks by option name:
 *   const char *commit = cli_option(c, "commit");          // NULL when not given
 *   if (cli_number(c, "need", 1, 1000, &need, err)) …       // typed, with the message a person needs
 * Asking for an option that the command's table does not list is our own bug and asserts.
 * Must not know: what commands do. Links: base, out. */
#ifndef TALKOO_CLI_CLI_H
#define TALKOO_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "node/cli/out.h"
#include "proto/base/err.h"

#define CLI_VALUES_MAX 256
#define CLI_OPTIONS_MAX 32

struct cli;

/* An option. Lists end with a zeroed entry. */
struct cli_option {
	const char *name;    /* "commit": --commit */
	char letter;         /* 'f' for -f, or 0 */
	const char *arg;     /* "C": takes a value, called so in help; NULL: a flag;
	                        "[=C]": a flag that may take one */
	const char *help;    /* one line */
	bool repeats;        /* may be given more than once */
};

/* A command's way: returns an exit code (0-9), or a negative enum err_code with err set (printed and mapped by main). */
typedef int (*cli_run_fn)(struct cli *c, struct err *err);

struct cli_command {
	const char *name;     /* one or two words: "run", "job announce" */
	const char *args;     /* "[DIR or URL]", "" without */
	int args_min, args_max;
	const char *summary;  /* one line, for lists */
	const char *text;     /* a few lines more; may be NULL */
	const struct cli_option *options; /* beside the common ones; may be NULL */
	const char *const *examples;      /* NULL-terminated; "COMMAND LINE\tWHAT IT DOES" */
	cli_run_fn run;
};

struct cli_value {
	const struct cli_option *option;
	const char *text; /* NULL for a flag */
};

struct cli {
	const struct cli_command *command; /* NULL: no command was named */
	const char *home;                  /* --home, or NULL */
	bool wants_help, wants_version;
	struct cli_value values[CLI_VALUES_MAX];
	size_t values_len;
	char **args; /* lent from argv */
	int args_len;
	struct out out;
};

/* Options that every command takes. */
extern const struct cli_option cli_common_options[];

/* Fills *ret (out initialised too) from argv; strings are lent from argv, which getopt may reorder. With wants_help or
 * wants_version nothing else is checked. ERR_USAGE, with a hint naming what was probably meant. */
int cli_parse(int argc, char **argv, struct cli *ret, struct err *err) MUST_CHECK;

bool cli_has(const struct cli *c, const char *name);
/* The (last) value, or NULL. */
const char *cli_option(const struct cli *c, const char *name);
/* The i-th value of a repeating option, or NULL. */
const char *cli_option_at(const struct cli *c, const char *name, size_t i);
/* The i-th argument, or NULL. */
const char *cli_arg(const struct cli *c, int i);
/* Typed values. *ret keeps what it holds when the option was not given. ERR_USAGE names option and value. */
int cli_number(const struct cli *c, const char *name, uint64_t min, uint64_t max, uint64_t *ret, struct err *err) MUST_CHECK;
int cli_size(const struct cli *c, const char *name, uint64_t *ret_bytes, struct err *err) MUST_CHECK;
int cli_duration(const struct cli *c, const char *name, uint64_t *ret_ms, struct err *err) MUST_CHECK;

#endif
