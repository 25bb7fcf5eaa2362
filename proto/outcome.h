/* The outcome digest: what a run came to, without when, where and by whom. Two runs of the same inputs have the same one, so
 * a run at home and results of strangers can be compared by 64 digits.
 *
 * SHA-256 of these lines, each ended by "\n" (PROTOCOL 6.7): "talkoo-outcome-v1"; "outcome NAME"; "exit CODE", that of
 * the first step that did not exit 0, else 0; for each step in its order "step CODE NAME"; for each artifact, sorted by
 * the bytes of its path, "artifact SHA256 SIZE PATH". A step that was for failures only, and did not run, is left out.
 * Must not know: reports, records, times. Links: libsodium. */
#ifndef TALKOO_PROTO_OUTCOME_H
#define TALKOO_PROTO_OUTCOME_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

struct outcome_step {
	const char *name; /* lent; one line */
	int exit_code;
};

struct outcome_artifact {
	const char *path; /* lent; one line */
	char sha256[65];
	uint64_t size_bytes;
};

/* ret: 64 hex digits. artifacts is sorted in place. */
void outcome_digest(const char *outcome, const struct outcome_step *steps, size_t steps_len, struct outcome_artifact *artifacts,
		    size_t artifacts_len, char ret[65]);

struct statement;
/* Of a statement whose lists are there; "" when they are in an index blob that was not read. ERR_NOMEM. */
int outcome_digest_of_statement(const struct statement *s, char ret[65], struct err *err) MUST_CHECK;

#endif
