#include "node/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/cleanup.h"

#define LOGFILE_BYTES_MAX (8 << 20)

static int open_at(const char *path, int fd)
{
	CLEANUP(cleanup_fd) int opened = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	return opened < 0 || dup2(opened, fd) < 0 ? -1 : 0;
}

int logfile_open(const struct home *home, int *ret_fd, struct err *err)
{
	if (open_at(home->log, STDERR_FILENO))
		return err_errno(err, errno, "cannot open the log %s", home->log);
	*ret_fd = STDERR_FILENO;
	logfile_turn_over(home, STDERR_FILENO);
	return 0;
}

void logfile_turn_over(const struct home *home, int fd)
{
	struct stat st;
	if (fstat(fd, &st) || st.st_size < LOGFILE_BYTES_MAX)
		return;
	char one[PATH_MAX + 2], two[PATH_MAX + 2];
	snprintf(one, sizeof one, "%s.1", home->log);
	snprintf(two, sizeof two, "%s.2", home->log);
	rename(one, two);
	if (!rename(home->log, one) && open_at(home->log, fd)) {
		/* the old file goes on: nothing is lost but the turn-over */
	}
}
