/* What is played in a simulation, for test_sim.c (what happens), lies.c (what a hostile node tells) and check.c (what must hold). */
#ifndef TALKOO_TESTS_SIM_PLAY_H
#define TALKOO_TESTS_SIM_PLAY_H

#include "tests/sim/sim.h"

#define JOBS_MAX 4
#define SLIGHT_MS 240000 /* a clock that is off by no more is nobody's trouble */

struct play {
	struct sim *s;
	struct id32 project, topic;
	uint8_t nonce[16];
	struct id32 jobs[JOBS_MAX]; /* published, perhaps lost with a crash */
	size_t jobs_len;
	struct id32 acked[JOBS_MAX]; /* durable at the maintainer, which was told so */
	size_t acked_len;
	uint64_t acked_sequence;  /* of the project's state, likewise; 0: none */
	bool is_changed;          /* the project has got its second state */
	struct sim_node *evil;    /* NULL: all are honest */
	struct node_id listed;    /* a volunteer that the project names */
	const char *why;          /* "": all holds */
};

/* Kinds of lies; each tells one or more of them. Those in `forged` must never be found at an honest node. */
#define LIES(X)                                                                                                        \
	X(LIE_JOB, 1, "a job by one who may announce none")                                                            \
	X(LIE_CANCEL, 2, "a cancel by one who may not")                                                                \
	X(LIE_PROJECT, 3, "another project's state in this topic")                                                     \
	X(LIE_ORPHANS, 4, "claims for jobs that nobody announced")                                                     \
	X(LIE_FUTURE, 5, "a claim dated tomorrow")                                                                     \
	X(LIE_SIGNATURE, 6, "a claim with a broken signature")                                                         \
	X(LIE_BODY, 7, "a body that is none")                                                                          \
	X(LIE_SYBILS, 8, "claims by forty new keys")                                                                   \
	X(LIE_REPLAY, 9, "what was heard before, again")                                                               \
	X(LIE_BROTHER, 10, "a claim under another's key: its record's key and its body disagree")
enum lie {
#define X(name, value, text) name = value,
	LIES(X)
#undef X
	LIES_LEN
};
void play_lie(struct play *p, enum lie lie);
/* Of those, what is forged. */
bool play_is_forged(const struct play *p, const struct record *r);

/* An honest node with a clock that is about right: what is promised is promised to it. */
bool play_counts(const struct sim_node *n);
/* At any moment: what is lost, or stored against the rules. Sets p->why. */
void play_check(struct play *p);
/* NULL: all agree, and every acknowledged job has a verdict. */
const char *play_unsettled(struct play *p);
/* Into the trace: what each node has. */
void play_tell(struct play *p);
/* After it: nobody was blamed without a reason. */
void play_check_end(struct play *p);

#endif
