/* The question "what is the verdict": used by op results, and again and again by watch. */
#ifndef TALKOO_NODE_CONTROL_RESULTS_H
#define TALKOO_NODE_CONTROL_RESULTS_H

#include "node/control_ask.h"
#include "node/control_target.h"

struct results_ask {
	struct ask ask; /* answer: CLI.md's object of `results` */
	struct target target; /* found after run() */
	struct trust_list trust; /* entries are its own */
	enum verdict verdict;
};

/* NULL: the call has been failed. */
struct results_ask *results_ask_new(struct control_call *c, const struct target *t);

#endif
