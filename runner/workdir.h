/* The job's own folder: the files that stages work on, and what remains afterwards.
 *
 * While the job runs it holds tars and raw disks; after it only WORKDIR_KEPT's names. Everything is opened relative to one
 * folder descriptor. Must not know: what is in the files. Links: base. */
#ifndef TALKOO_RUNNER_WORKDIR_H
#define TALKOO_RUNNER_WORKDIR_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/err.h"

#define WORKDIR_LOG "log"
#define WORKDIR_RUNLOG "run.jsonl" /* runlog.h */
#define WORKDIR_CONSOLE "console.log"
#define WORKDIR_DIAGNOSTICS "qemu.log" /* what QEMU and the stages said on standard error */
#define WORKDIR_ARTIFACTS "artifacts"
#define WORKDIR_REPORT "report.json"

struct workdir {
	char path[PATH_MAX];
	int fd;
};

/* path: an existing folder. */
int workdir_open(struct workdir *w, const char *path, struct err *err) MUST_CHECK;
void workdir_close(struct workdir *w);
/* A new (or emptied) file of mode 0600, read and write, size_bytes long and sparse. */
int workdir_create(const struct workdir *w, const char *name, uint64_t size_bytes, int *ret_fd, struct err *err) MUST_CHECK;
/* An existing file, read only. */
int workdir_reopen(const struct workdir *w, const char *name, int *ret_fd, struct err *err) MUST_CHECK;
/* The folder for artifacts, made empty. */
int workdir_artifacts(const struct workdir *w, int *ret_fd, struct err *err) MUST_CHECK;
/* Removes everything but the names above (unread). */
int workdir_sweep(const struct workdir *w, struct err *err) MUST_CHECK;
/* Writes report.json, whole or not at all. */
int workdir_report(const struct workdir *w, const char *text, struct err *err) MUST_CHECK;
/* The last line of WORKDIR_DIAGNOSTICS that is not empty, made safe for one line; "" without one. */
void workdir_last_words(const struct workdir *w, char *out, size_t size);

#endif
