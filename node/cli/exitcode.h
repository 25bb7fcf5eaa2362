/* Exit codes: CLI.md's table, as one list, and what maps to it.
 *
 * Must not know: commands. Links: base, policy's verdict, runner's job.h. Pure. */
#ifndef TALKOO_CLI_EXITCODE_H
#define TALKOO_CLI_EXITCODE_H

#include "proto/base/err.h"
#include "runner/job.h"

/* name, code, meaning (printed by `talkoo help exit-codes`) */
#define EXITCODES(X)                                                                                                   \
	X(EXITCODE_DONE, 0, "done; the verdict is passed, with the asked number of trusted operators")                 \
	X(EXITCODE_FAILED, 1, "the verdict is failed: the project's fault (its own timeout under KVM included)")       \
	X(EXITCODE_USAGE, 2, "usage; a bad config, plan, policy or signed result; no trust set")                       \
	X(EXITCODE_DISPUTED, 3, "disputed: trusted results conflict")                                                  \
	X(EXITCODE_UNKNOWN, 4, "unknown, or only untrusted results")                                                   \
	X(EXITCODE_NO_NODE, 5, "the node is not reachable")                                                            \
	X(EXITCODE_INCONCLUSIVE, 6, "inconclusive: only errors, abandoned or refused jobs; not the project's fault")   \
	X(EXITCODE_OWN, 7, "Talkoo's own failure (disk, memory, bug)")                                                 \
	X(EXITCODE_PENDING, 8, "still pending when --timeout ran out")                                                 \
	X(EXITCODE_NO_SUCH, 9, "no such id, or an ambiguous one")

enum exitcode {
#define X(name, code, text) name = code,
	EXITCODES(X)
#undef X
};

/* Of an error (an enum err_code; 0 gives EXITCODE_DONE). Unknown codes are ours: EXITCODE_OWN. */
enum exitcode exitcode_of_error(int err_code);
/* Of one run at home: that of the verdict over this single, trusted result. */
enum exitcode exitcode_of_outcome(enum job_outcome outcome, enum job_accel accel);
/* Of a verdict's name as the node writes it; EXITCODE_UNKNOWN for a name that this version does not know. */
enum exitcode exitcode_of_verdict(const char *name);

#endif
