/* What a job leaves behind: everything below /ci/artifacts, and what the plan's globs name in /ci/src, as one tar on the
 * artifacts disk. Regular files and folders only. Must not know: steps.
 *
 * Globs: `*`, `?` and `[…]` within a part of the path, `**` for any number of parts. A folder that matches
 * is taken whole. */
#ifndef TALKOO_RUNNER_GUEST_ARTIFACTS_H
#define TALKOO_RUNNER_GUEST_ARTIFACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "runner/guest/disks.h"
#include "runner/guest/guest_plan.h"
#include "runner/guest/port.h"

/* Whether glob matches path or a folder above it; both relative, without empty parts. Pure. */
bool artifacts_glob_matches(const char *glob, const char *path);

struct artifacts {
	const char *source_folder, *folder; /* "/ci/src", "/ci/artifacts" */
	struct port *port;                  /* what was left out is said here */
	uint64_t max_bytes, max_count;
	bool is_partial;                    /* something was left out */
	uint64_t tar_bytes;
};

/* Links what the globs name from the source folder into the artifacts' folder, under the same path. What is there
 * already stays. */
int artifacts_pick(struct artifacts *a, const char *globs, struct err *err) MUST_CHECK;
/* Writes the folder as a tar of at most disk_bytes to fd and sets tar_bytes. Leaves out, with a note, what is no file or
 * folder and what passes a limit. */
int artifacts_write(struct artifacts *a, int fd, uint64_t disk_bytes, struct err *err) MUST_CHECK;

#endif
