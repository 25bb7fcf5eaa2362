/* Help, made from the command table: the overview, a family ("job"), one command. On stdout, for people; with JSON the
 * table itself, of which other programs may make what they like; manpage.h makes the man page and completion. */
#ifndef TALKOO_CLI_HELP_H
#define TALKOO_CLI_HELP_H

#include "node/cli/cli.h"

void help_overview(struct out *o);
void help_family(struct out *o, const char *word);
void help_command(struct out *o, const struct cli_command *command);

#endif
