/* The daemon's log file: STATE/talkood.log, 8 MiB, two older ones kept. Links: base. */
#ifndef TALKOO_NODE_LOGFILE_H
#define TALKOO_NODE_LOGFILE_H

#include "node/home.h"

/* Opens it for appending (0600) and makes it standard error, so that a child's last words land there too. *ret_fd: 2. */
int logfile_open(const struct home *home, int *ret_fd, struct err *err) MUST_CHECK;
/* Past its size: LOG becomes LOG.1, LOG.1 becomes LOG.2, fd goes on as a new LOG. Cheap to call often. */
void logfile_turn_over(const struct home *home, int fd);

#endif
