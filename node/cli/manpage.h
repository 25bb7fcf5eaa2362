/* What else is made of the command table, by the build: talkoo(1), and completion for bash. Links: base, table. */
#ifndef TALKOO_CLI_MANPAGE_H
#define TALKOO_CLI_MANPAGE_H

#include "node/cli/out.h"

/* The man page, in man(7)'s macros; the same bytes from the same table. */
void manpage_print(struct out *o);
/* A script for bash to source: commands, then each one's options; else files. */
void completion_print(struct out *o);

#endif
