/* Artifacts into a folder that a person named: by the hardened rules of runner/outfiles.h (nothing outside the folder,
 * nothing that exists is replaced). */
#ifndef TALKOO_CLI_WRITEOUT_H
#define TALKOO_CLI_WRITEOUT_H

#include <stdint.h>

#include "proto/base/err.h"
#include "runner/job.h"

/* Whether the folder can be written to: made if absent, and empty. ERR_USAGE says what is in the way. */
int writeout_check(const char *folder, struct err *err) MUST_CHECK;
/* Copies a report's artifacts from DIR/artifacts. */
int writeout_run(const char *dir, const struct job_report *report, const char *folder, struct err *err) MUST_CHECK;

/* The same, one file after the other (their bytes come from a node). */
struct writeout;
int writeout_open(const char *folder, struct writeout **ret, struct err *err) MUST_CHECK;
/* Copies all of fd, which must be size_bytes long. */
int writeout_file(struct writeout *w, const char *path, int fd, uint64_t size_bytes, struct err *err) MUST_CHECK;
void writeout_close(struct writeout **w);

#endif
