/* talkoo: the command line. Parses, runs one command, prints its error, exits by the one table (exitcode.h). */
#include <locale.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>

#include "node/cli/cli.h"
#include "node/cli/exitcode.h"
#include "node/cli/help.h"

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

static int dispatch(struct cli *c, struct err *err)
{
	if (c->wants_version) {
		printf("talkoo %s\n", PACKAGE_VERSION);
		return 0;
	}
	if (c->command && c->wants_help)
		help_command(&c->out, c->command);
	else if (c->wants_help && c->args_len)
		help_family(&c->out, c->args[0]);
	else if (!c->command)
		help_overview(&c->out);
	else
		return c->command->run(c, err);
	return 0;
}

int main(int argc, char **argv)
{
	struct err err = {0};
	struct cli cli;
	setlocale(LC_CTYPE, "C.UTF-8");
	signal(SIGPIPE, SIG_IGN); /* `talkoo log J | head` ends by a failed write, and still cleans up */
	int code = cli_parse(argc, argv, &cli, &err);
	if (!code && sodium_init() < 0)
		code = err_set(&err, ERR_BUG, "libsodium could not be initialised");
	if (!code)
		code = dispatch(&cli, &err);
	if (code < 0) {
		out_error(&cli.out, &err);
		code = exitcode_of_error(code);
	}
	if (out_flush(&cli.out, &err) && code == EXITCODE_DONE) {
		out_error(&cli.out, &err);
		code = EXITCODE_OWN;
	}
	return code;
}
