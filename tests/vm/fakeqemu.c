/* A program in QEMU's place, for the ways in which a QEMU can fail: what it does is in its own name's ending, since a jail
 * leaves no environment: -hang never says a word, -fail prints and exits 1, -crash dies of a signal, -chatter fills standard
 * error for ever, -silent exits 0 at once. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *dash = argc > 0 ? strrchr(argv[0], '-') : NULL;
	const char *what = dash ? dash + 1 : "";
	if (!strcmp(what, "fail")) {
		fputs("qemu: could not load the moon\033[2J\n", stderr);
		return 1;
	}
	if (!strcmp(what, "crash"))
		raise(SIGSEGV);
	if (!strcmp(what, "silent"))
		return 0;
	while (!strcmp(what, "chatter"))
		fputs("qemu: warning: chatter\n", stderr);
	for (;;)
		pause();
}
