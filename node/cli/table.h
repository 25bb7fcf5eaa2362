/* The command table: the one list from which parsing, help, the man page and completion are made. */
#ifndef TALKOO_CLI_TABLE_H
#define TALKOO_CLI_TABLE_H

#include "node/cli/cli.h"

/* Commands in the order of help, in groups; each group's list ends with a zeroed entry. */
struct table_group {
	const char *title;
	const struct cli_command *commands;
};

extern const struct table_group table_groups[]; /* ends with a zeroed entry */

/* The command named by the first words of argv[0..argc): the longest match. *ret_words: how many it took. NULL if none. */
const struct cli_command *table_find(int argc, char *const *argv, int *ret_words);
/* Whether some command starts with that word ("job" of "job list"). */
bool table_is_family(const char *word);
/* What was probably meant by an unknown command, or NULL. */
const char *table_nearest(const char *text);

#endif
