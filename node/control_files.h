/* Where a job's log and artifacts are (control_files.c; control_watch.c follows logs). Must not know: sockets. */
#ifndef TALKOO_NODE_CONTROL_FILES_H
#define TALKOO_NODE_CONTROL_FILES_H

#include <limits.h>

#include "node/control_ask.h"
#include "node/control_target.h"

struct files_ask {
	struct ask ask;
	struct target target;
	bool has_node;
	struct node_id node;
	char path[PATH_MAX]; /* of the artifact asked for; "" = list them */
	uint64_t offset; /* where a log is followed from */
	struct id32 live[SCHED_SLOTS_MAX]; /* jobs that run now */
	size_t live_len;
};

/* The question for a log, from the arguments job and node: ask.fd, and an answer with "size" and "live". NULL: the call has been failed. */
struct files_ask *files_ask_log(struct node *n, struct control_call *c, const json_t *args);
/* Whether what is asked for is still growing. */
bool files_ask_is_live(const struct files_ask *f);
/* The log of a job that runs here, or the one that is kept of that node's result: a read-only descriptor, or a code. Blocks. */
int files_open_log(const struct home *home, const struct id32 *job, const struct node_id *node, bool is_running, struct err *err) MUST_CHECK;

#endif
