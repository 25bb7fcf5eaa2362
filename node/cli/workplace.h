/* Where a run at home keeps its things: images, mirrors, the accelerator's proof, and one folder for each run.
 *
 * The chosen node's state folder; but a person who may not write the system's node gets their own. A run's folder is
 * locked while its run lives; what a killed run left behind is swept by the next one.
 * Must not know: jobs. Links: base, node/home, node/config. */
#ifndef TALKOO_CLI_WORKPLACE_H
#define TALKOO_CLI_WORKPLACE_H

#include <limits.h>
#include <stdint.h>

#include "node/home.h"
#include "proto/base/err.h"

struct workplace {
	struct home home;
	uint64_t images_cap_bytes; /* config.yml's storage of images, or its default */
	char images[PATH_MAX], mirrors[PATH_MAX], runs[PATH_MAX], caches[PATH_MAX], fetched[PATH_MAX], accel_cache[PATH_MAX];
};

/* home_option: --home, or NULL. Computes paths (and reads config.yml for `images`), creates nothing. */
int workplace_find(const char *home_option, struct workplace *ret, struct err *err) MUST_CHECK;

struct workplace_run {
	char folder[PATH_MAX]; /* "" = none */
	int lock_fd;           /* or -1 */
};

/* A new folder of mode 0700, after sweeping dead ones. */
int workplace_run_new(const struct workplace *w, struct workplace_run *ret, struct err *err) MUST_CHECK;
/* Renames it so that no sweep takes it; folder says the new name. */
int workplace_run_keep(struct workplace_run *run, struct err *err) MUST_CHECK;
/* Removes the folder, unless it was kept; unlocks. For CLEANUP(). */
void workplace_run_release(struct workplace_run *run);

#endif
