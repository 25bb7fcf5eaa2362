/* Which files of the source a step's commands run, as far as that can be told by reading: the first words of lines that are
 * scripts by their names ("./ci/test.sh", "bash ci/test.sh", "python3 tools/check.py"). What follows a cd, has a
 * variable in it, or was written by an earlier line is left alone: a guess is no finding.
 *
 * Must not know: files, findings. Pure. */
#ifndef TALKOO_RUNNER_SCRIPT_CHECK_H
#define TALKOO_RUNNER_SCRIPT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct script_use {
	char path[256];     /* relative to the source */
	size_t offset;      /* of that line in the commands */
	uint32_t line;      /* of the commands, from 1 */
	bool is_executed;   /* by itself: it must be executable; else an interpreter reads it */
};

/* The next script that the commands run, from *at (0 at first) on; moves *at. False when there is none any more. */
bool script_check_next(const char *commands, size_t *at, struct script_use *ret);
/* Whether the text speaks of that path: it may make the file. */
bool script_check_mentions(const char *text, const char *path);

#endif
