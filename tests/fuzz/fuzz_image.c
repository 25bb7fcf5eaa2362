/* Any bytes as an image manifest: what is accepted is whole. */
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "runner/image.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(image_release) struct image img = {0};
	struct err err = {0};
	if (image_manifest_parse(size ? (const void *)data : "", size, &img, &err)) {
		if (!err.what[0] || img.name[0] || img.packages)
			abort();
		return 0;
	}
	char ref[IMAGE_REF_MAX];
	snprintf(ref, sizeof ref, "%s@%s", img.name, img.version);
	if (!image_ref_parse(ref, NULL, NULL) || strlen(img.digest) != 64 || !img.files[IMAGE_FILE_KERNEL].size_bytes ||
	    !img.files[IMAGE_FILE_INITRAMFS].size_bytes)
		abort();
	return 0;
}
