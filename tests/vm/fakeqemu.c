/* A program in QEMU's place, for the ways in which a QEMU can fail: what it does is in its own name's ending, since a jail
 * leaves no environment: -hang never says a word, -fail prints and exits 1, -crash dies of a signal, -burn of the one for too much cpu time, -chatter fills standard
 * error for ever, -silent exits 0 at once. -notes, -limits, -stats, -output and -empty are a guest that has taken over its
 * init: up, in step 1, and then that frame without end. -again says hello twice. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner/frames.h"

static int log_port(int argc, char **argv)
{
	int fd = -1;
	for (int i = 1; i < argc; i++)
		sscanf(argv[i], "socket,id=log,fd=%d", &fd);
	return fd;
}

static void frame(int fd, enum frame_type type, unsigned len)
{
	static unsigned char bytes[FRAME_HEADER_LEN + FRAME_PAYLOAD_MAX];
	memset(bytes, 0, FRAME_HEADER_LEN);
	memset(bytes + FRAME_HEADER_LEN, 1, len);
	bytes[0] = (unsigned char)type;
	bytes[4] = (unsigned char)len;
	bytes[5] = (unsigned char)(len >> 8);
	for (size_t at = 0; at < FRAME_HEADER_LEN + len;) {
		const ssize_t n = write(fd, bytes + at, FRAME_HEADER_LEN + len - at);
		if (n <= 0)
			_exit(0);
		at += (size_t)n;
	}
}

/* Never returns if what is one of these. */
static void hostile_guest(const char *what, int fd)
{
	static const struct {
		const char *name;
		enum frame_type type;
		unsigned len;
	} floods[] = {{"notes", FRAME_NOTE, 40},
		      {"limits", FRAME_LIMIT, 1},
		      {"stats", FRAME_STAT, 24},
		      {"output", FRAME_OUTPUT, 65000},
		      {"empty", FRAME_OUTPUT, 0},
		      {"again", FRAME_HELLO, 1}};
	for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
		if (strcmp(floods[i].name, what) != 0)
			continue;
		frame(fd, FRAME_HELLO, 1);
		frame(fd, FRAME_STEP_START, 0);
		for (;;)
			frame(fd, floods[i].type, floods[i].len);
	}
}

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
	if (!strcmp(what, "burn"))
		raise(SIGXCPU); /* as the kernel does when its cpu time is used up */
	if (!strcmp(what, "silent"))
		return 0;
	hostile_guest(what, log_port(argc, argv));
	while (!strcmp(what, "chatter"))
		fputs("qemu: warning: chatter\n", stderr);
	for (;;)
		pause();
}
