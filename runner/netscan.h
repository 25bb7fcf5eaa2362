/* Whether a step's output says that it wanted a network: jobs have none, and whoever reads "could not resolve host" should not have
 * to know that. The words are those of the resolvers and the tools that people meet; a guess, good for a hint only.
 *
 * Must not know: logs, frames. Pure. */
#ifndef TALKOO_RUNNER_NETSCAN_H
#define TALKOO_RUNNER_NETSCAN_H

#include <stdbool.h>
#include <stddef.h>

#define NETSCAN_WORDS_MAX 48 /* bytes of the longest phrase */

struct netscan {
	char tail[NETSCAN_WORDS_MAX]; /* of what was seen: a phrase may come in two pieces */
	size_t tail_len;
	bool is_found;
};

/* An all-zero one is ready. True once, when the phrase is found. */
bool netscan_feed(struct netscan *s, const void *bytes, size_t len);

#endif
