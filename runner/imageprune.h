/* Keeps an image store under a cap: what was used least lately goes first. An image's last use is its folder's time, which
 * image_touch() sets at each job. Only whole images go; whatever else is in the folder (another's files, a build that is
 * under way) is left alone and not counted.
 *
 *   struct image_pruned pruned;
 *   if (image_prune(store, cap, "c@1", &pruned, err)) …;   // c@1 was just made, and stays even when it alone is over
 * Must not know: configuration, who uses images. Links: base, libtalkoo-image. */
#ifndef TALKOO_RUNNER_IMAGEPRUNE_H
#define TALKOO_RUNNER_IMAGEPRUNE_H

#include "runner/image.h"

struct image_pruned {
	char names[IMAGE_LIST_MAX][IMAGE_REF_MAX]; /* what was removed, in that order */
	size_t len;
	uint64_t left_bytes;                       /* what the rest takes on the disk */
};

/* Removes until the rest takes at most cap_bytes, never keep ("NAME@VERSION" or NULL). *ret is set on failure of a removal
 * too, with what was done. ERR_IO: something could not be removed; else as image_list(). */
int image_prune(const char *store, uint64_t cap_bytes, const char *keep, struct image_pruned *ret, struct err *err) MUST_CHECK;

#endif
