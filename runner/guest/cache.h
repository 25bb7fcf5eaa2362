/* The cache: what an earlier job of the same plan and ref left in /ci/cache, and paths of the source that are kept with it
 * (in /ci/cache/.paths while no step runs). A tar comes in on the cache disk, and a tar goes out on it.
 *
 * A cache that cannot be read or written is a note, never the job's failure. Must not know: steps, artifacts. */
#ifndef TALKOO_RUNNER_GUEST_CACHE_H
#define TALKOO_RUNNER_GUEST_CACHE_H

#include "proto/base/err.h"
#include "runner/guest/disks.h"
#include "runner/guest/guest_plan.h"
#include "runner/guest/port.h"

struct cache {
	const char *source_folder, *folder; /* "/ci/src", "/ci/cache" */
	const char *paths;                  /* of the source, one a line */
	struct port *port;
};

/* Unpacks the tar that fd is read to the end of, and moves the paths to where they belong in the source; what the source
 * has itself stays. A broken tar leaves an empty folder. */
void cache_bring(const struct cache *c, int fd);
/* Moves the paths back and writes the folder as a tar of at most disk_bytes. The tar's length; 0 when it is not kept. */
uint64_t cache_keep(const struct cache *c, int fd, uint64_t disk_bytes);

#endif
