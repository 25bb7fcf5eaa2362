/* `talkoo-runner convert`: a foreign disk image (qcow2 or raw) becomes a raw file, by qemu-img in the vm stage's jail: no network,
 * no file but these two (so that a backing or data file that the image names does not exist), a ceiling for what is written,
 * a deadline. The format is the caller's word and never guessed; a backing file is switched off besides.
 * Must not know: stores, manifests. */
#ifndef TALKOO_RUNNER_CONVERT_H
#define TALKOO_RUNNER_CONVERT_H

#include <stdint.h>

#include "runner/jail.h"

struct convert_request {
	const char *format;      /* "qcow2" or "raw" */
	const char *from, *to;   /* absolute paths; `to` is an existing empty file */
	const char *mount_point; /* an existing folder, for the jail's root */
	uint64_t max_bytes;      /* largest disk */
};

/* Whether it is one that is known. */
bool convert_format_is_known(const char *format);
/* A jail_body_fn; ctx: struct convert_request. 0 when the file is there and whole; what qemu-img says goes to standard error. */
int convert_run(const struct jail_facts *facts, int alive_fd, void *ctx);

#endif
