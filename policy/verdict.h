/* The verdict among the nodes that the reader trusts, and the exit code: one table.
 *
 * Only trusted operators count, each once; conflicting ones are disputed, never averaged; error, abandoned and refused
 * never count as failed; a timeout counts as failed under proven KVM, and as error under emulation. What is untrusted
 * changes neither verdict nor code, however much of it there is (it is mentioned in the sentence, no more).
 *
 * The table. P, F: distinct trusted operators of one cell that say passed, or failed (failed, timeout under KVM);
 * E: some trusted result says error, abandoned, refused, or timeout under emulation. The state of a cell:
 *
 *   P > 0 and F > 0              disputed     also when it is the same operator twice, whatever N
 *   P >= N                       passed
 *   F >= N                       failed
 *   P = 0, F = 0, E              neutral
 *   else                         too few      (0 < P < N, 0 < F < N, or nothing trusted)
 *
 * The verdict, first line that fits, and the exit code (CLI.md):
 *
 *   some cell disputed           disputed      3   beats all, failed and live included
 *   some cell failed             failed        1   the other cells and what is live cannot mend it
 *   every cell passed            passed        0   even while more is live
 *   something is live            pending       8
 *   some cell too few            unknown       4   only untrusted results, none at all, or fewer than N
 *   else (the rest neutral)      inconclusive  6   not the project's fault
 *
 * Results of cells that are not required do not count.
 * Pure. Must not know: records, store, clock. */
#ifndef TALKOO_POLICY_VERDICT_H
#define TALKOO_POLICY_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

#define VERDICTS(X)                                                                                                    \
	X(VERDICT_PASSED, 1, "passed", 0)                                                                              \
	X(VERDICT_FAILED, 2, "failed", 1)                                                                              \
	X(VERDICT_DISPUTED, 3, "disputed", 3)                                                                          \
	X(VERDICT_UNKNOWN, 4, "unknown", 4)                                                                            \
	X(VERDICT_INCONCLUSIVE, 5, "inconclusive", 6)                                                                  \
	X(VERDICT_PENDING, 6, "pending", 8)

#define VERDICT_OPERATORS_MAX 1000 /* operators of one cell past these are not counted (a conflict is still seen); --need goes as far */

enum verdict {
#define X(name, value, text, code) name = value,
	VERDICTS(X)
#undef X
};

/* One result as the verdict sees it. */
enum verdict_vote { VOTE_PASSED = 1, VOTE_FAILED, VOTE_TIMEOUT_KVM, VOTE_TIMEOUT_EMULATED, VOTE_ERROR, VOTE_ABANDONED, VOTE_REFUSED };

struct verdict_result {
	enum verdict_vote vote;
	bool trusted;
	const char *operator_name; /* lent; equal names are one operator. NULL: its own */
	const char *node;          /* full node id; stands for the operator where that is NULL */
	const char *cell;          /* "" without a matrix */
};

struct verdict_input {
	const struct verdict_result *results;
	size_t results_len;
	const char *const *cells; /* the cells that are required; at least one ("") */
	size_t cells_len;
	unsigned need;            /* trusted operators asked for; at least 1 */
	bool is_live;             /* some job for it is announced and unclaimed within its time, or claimed and leased */
};

struct verdict_answer {
	enum verdict verdict;
	unsigned have; /* trusted operators agreeing: in the failed cell if failed, else the least over the cells; 0 in a disputed one */
	char why[256]; /* a sentence for people */
};

void verdict_decide(const struct verdict_input *in, struct verdict_answer *ret);
const char *verdict_name(enum verdict v);
bool verdict_parse(const char *text, enum verdict *ret);
/* CLI.md "Exit codes". */
int verdict_exit_code(enum verdict v);

#endif
