#include "runner/imageprune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"

struct used {
	const struct image *image;
	struct timespec at;
	uint64_t bytes;
};

static uint64_t bytes_of(const struct image *img)
{
	uint64_t bytes = 0;
	for (int id = 0; id < IMAGE_FILES_LEN; id++) {
		char path[PATH_MAX];
		struct stat st;
		/* what it takes on the disk: an imported one may be sparse */
		if (img->files[id].size_bytes && !image_file_path(img, (enum image_file_id)id, path, sizeof path, NULL) && !stat(path, &st))
			bytes += (uint64_t)st.st_blocks * 512;
	}
	return bytes;
}

static int least_lately_first(const void *a, const void *b)
{
	const struct used *const x = a, *const y = b;
	if (x->at.tv_sec != y->at.tv_sec)
		return x->at.tv_sec < y->at.tv_sec ? -1 : 1;
	return x->at.tv_nsec < y->at.tv_nsec ? -1 : x->at.tv_nsec > y->at.tv_nsec;
}

static bool is_kept(const struct image *img, const char *keep)
{
	char ref[IMAGE_REF_MAX];
	snprintf(ref, sizeof ref, "%s@%s", img->name, img->version);
	return keep && !strcmp(ref, keep);
}

int image_prune(const char *store, uint64_t cap_bytes, const char *keep, struct image_pruned *ret, struct err *err)
{
	CLEANUP(image_list_release) struct image_list list = {0};
	int rc = image_list(store, &list, err);
	CLEANUP(cleanup_free) struct used *used = rc ? NULL : calloc(list.len + 1, sizeof *used);
	if (!rc && !used)
		rc = err_set(err, ERR_NOMEM, "out of memory for the list of images");
	if (rc)
		return rc;
	struct image_pruned done = {0};
	for (size_t i = 0; i < list.len; i++) {
		struct stat st = {0};
		used[i].image = &list.images[i];
		used[i].bytes = bytes_of(&list.images[i]);
		if (!stat(list.images[i].dir, &st))
			used[i].at = st.st_mtim;
		done.left_bytes += used[i].bytes;
	}
	qsort(used, list.len, sizeof *used, least_lately_first);
	for (size_t i = 0; i < list.len && done.left_bytes > cap_bytes && !rc; i++) {
		if (is_kept(used[i].image, keep))
			continue;
		rc = io_remove_tree(used[i].image->dir, err);
		if (rc)
			break;
		snprintf(done.names[done.len++], IMAGE_REF_MAX, "%s@%s", used[i].image->name, used[i].image->version);
		done.left_bytes -= used[i].bytes;
	}
	*ret = done;
	return rc;
}
