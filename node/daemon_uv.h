/* talkood's life on libuv: gives the node its clock, wake-ups, threads and runner processes, and listens on the control
 * socket; ends when asked (SIGTERM, SIGINT, op stop) and nothing is under way any more. */
#ifndef TALKOO_NODE_DAEMON_UV_H
#define TALKOO_NODE_DAEMON_UV_H

#include "node/config.h"
#include "node/home.h"
#include "node/identity.h"

/* Runs until the node ended. log_fd: the log file, kept below its size (-1: standard error, not ours to turn over). Takes id. */
int daemon_run(const struct home *home, const struct config *config, struct identity *id /* takes */, int log_fd, struct err *err) MUST_CHECK;

#endif
