/* talkood: the node. Options, one instance a home, the log, then daemon_run(). */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <config.h>
#include "node/daemon_uv.h"
#include "node/logfile.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

struct options {
	const char *home;
	bool foreground;
};

static const char usage[] = "usage: talkood [--home DIR] [--foreground]\n"
			    "The node; people start it with `talkoo start`.\n"
			    "  --home DIR     all of the node's files are below DIR\n"
			    "  --foreground   log to standard error instead of the log file\n"
			    "  --version, --help\n";

/* -1: go on; else the exit code. */
static int parse(int argc, char **argv, struct options *ret)
{
	static const struct option table[] = {{"home", required_argument, NULL, 'H'}, {"foreground", no_argument, NULL, 'f'},
					      {"version", no_argument, NULL, 'V'}, {"help", no_argument, NULL, 'h'}, {0}};
	for (int c; (c = getopt_long(argc, argv, "h", table, NULL)) != -1;) {
		if (c == 'H') {
			ret->home = optarg;
		} else if (c == 'f') {
			ret->foreground = true;
		} else if (c == 'V') {
			printf("talkood %s\n", PACKAGE_VERSION);
			return 0;
		} else {
			fputs(usage, c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "error: %s: talkood takes no words\n%s", argv[optind], usage);
		return 2;
	}
	return -1;
}

/* Held until the process ends. */
static int take_lock(const struct home *home, struct err *err)
{
	const int fd = open(home->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_errno(err, errno, "cannot open %s", home->lock);
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return 0;
	close(fd);
	if (errno != EWOULDBLOCK)
		return err_errno(err, errno, "cannot lock %s", home->lock);
	err_set(err, ERR_REFUSED, "a node runs in this home already");
	return err_hint(err, "stop it with `talkoo stop`");
}

static int run(const struct options *o, struct err *err)
{
	struct home home;
	struct config config;
	struct identity *id = NULL;
	int log_fd = -1;
	int code = home_find(o->home, &home, err);
	if (!code)
		code = config_load(&home, &config, err);
	if (!code)
		code = home_make_folders(&home, err);
	if (!code)
		code = take_lock(&home, err);
	if (!code)
		code = identity_load(home.key, &id, err);
	if (code)
		return code;
	/* what goes wrong from here on is said on the old standard error, too: `talkoo start` reads it */
	CLEANUP(cleanup_fd) int said = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (!o->foreground)
		code = logfile_open(&home, &log_fd, err);
	if (code) {
		identity_free(id);
		return code;
	}
	log_setup(STDERR_FILENO, LOG_INFO, "talkood");
	code = daemon_run(&home, &config, id, log_fd, err);
	if (code)
		log_error("event=ended why=\"%s\"", err->what);
	if (code && log_fd >= 0 && said >= 0)
		dup2(said, STDERR_FILENO);
	return code;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	const int done = parse(argc, argv, &o);
	if (done >= 0)
		return done;
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	struct err err = {0};
	if (sodium_init() < 0) {
		fputs("error: libsodium cannot start\n", stderr);
		return 7;
	}
	const int code = run(&o, &err);
	if (!code)
		return 0;
	err_print(&err, stderr);
	return code == ERR_USAGE || code == ERR_INVALID || code == ERR_NOT_FOUND ? 2 : 7;
}
