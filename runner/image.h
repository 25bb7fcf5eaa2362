/* VM images in a store: a folder STORE/NAME@VERSION/ with manifest.json, kernel, initramfs and, where the image has one,
 * root.img (a squashfs). The manifest names the others' sizes and sha256, so that an image's digest is the sha256 of the
 * manifest's bytes.
 *
 * Used by the runner (which image, where are its files), the command line (list, show) and the node (what to offer).
 * Must not know: QEMU, jobs, how an image is built (contrib/images). Links: base, libsodium.
 *
 * How it is used:
 *   CLEANUP(image_release) struct image img = {0};
 *   if (image_find(store, "mini", &img, err)) return …;   // newest version; "mini@1" = exactly that one
 *   char path[PATH_MAX]; image_file_path(&img, IMAGE_FILE_KERNEL, path, sizeof path);
 * image_find() has compared the files' sizes with the manifest; image_verify() reads and compares the digests too. */
#ifndef TALKOO_RUNNER_IMAGE_H
#define TALKOO_RUNNER_IMAGE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

#define IMAGE_NAME_MAX 64      /* bytes with the 0, of a name or a version */
#define IMAGE_REF_MAX 128      /* "NAME@VERSION" with the 0 */
#define IMAGE_MANIFEST_MAX (1u << 20)
#define IMAGE_PACKAGES_MAX 4096
#define IMAGE_LIST_MAX 256

/* enum name, file name in the folder and key of the manifest's entry */
#define IMAGE_FILES(X)                                                                                                 \
	X(IMAGE_FILE_KERNEL, 0, "kernel", "kernel")          /* ELF vmlinux or bzImage */                              \
	X(IMAGE_FILE_INITRAMFS, 1, "initramfs", "initramfs") /* cpio with talkoo-init as /init */                      \
	X(IMAGE_FILE_ROOT, 2, "root.img", "root")            /* squashfs, or the manifest says null */

enum image_file_id {
#define X(name, value, file, key) name = value,
	IMAGE_FILES(X)
#undef X
	IMAGE_FILES_LEN = 3
};

struct image_file {
	char sha256[65];
	uint64_t size_bytes; /* 0: the image has no such file (root only) */
};

struct image {
	char name[IMAGE_NAME_MAX], version[IMAGE_NAME_MAX];
	char arch[IMAGE_NAME_MAX];   /* "x86_64" */
	char shell[8];               /* "sh" or "bash": what runs steps */
	char recipe[IMAGE_NAME_MAX];
	struct image_file files[IMAGE_FILES_LEN];
	char **packages;             /* "name=version"; owned */
	size_t packages_len;
	char digest[65];             /* sha256 of the manifest's bytes */
	char dir[PATH_MAX];          /* its folder; "" when parsed from bytes alone */
};

struct image_list {
	struct image *images; /* by name, then newest version first; owned */
	size_t len;
	size_t broken;        /* folders that look like images but are not whole; image_find() says why */
};

void image_release(struct image *img);
void image_list_release(struct image_list *list);

/* Whether text is NAME or NAME@VERSION as image names are written: each part [a-z0-9][a-z0-9._+-]*, a version may have
 * capitals. Parts are copied to name and version ("" when absent), each IMAGE_NAME_MAX bytes; either may be NULL. */
bool image_ref_parse(const char *text, char *name, char *version);
/* Negative, 0, positive like strcmp: runs of digits compare as numbers, the rest as bytes. "10" is newer than "9". */
int image_version_compare(const char *a, const char *b);

/* Manifest bytes -> image (dir empty). Strict: unknown, missing or repeated keys, wrong types, a version other than 1 are
 * ERR_INVALID naming the key. Pure. */
int image_manifest_parse(const void *bytes, size_t len, struct image *ret, struct err *err) MUST_CHECK;

/* Finds ref ("NAME@VERSION", or "NAME" = its newest whole version) in the store folder. ERR_USAGE: ref is no image name;
 * ERR_NOT_FOUND: no such image, the hint saying how to build it; ERR_INVALID: it is there but its manifest or a file's
 * size is wrong. */
int image_find(const char *store, const char *ref, struct image *ret, struct err *err) MUST_CHECK;
/* All whole images of a store. A store that does not exist is empty. Past IMAGE_LIST_MAX folders: ERR_LIMIT. */
int image_list(const char *store, struct image_list *ret, struct err *err) MUST_CHECK;
/* Reads every file and compares its sha256 (about 1 s for each 300 MB). ERR_INVALID names the file that differs. */
int image_verify(const struct image *img, struct err *err) MUST_CHECK;

/* Fills in sizes and digests of the files that are in img->dir, and writes its manifest there: what an image that is being made
 * ends with. The other members are the caller's. ERR_NOT_FOUND without kernel or initramfs. */
int image_write_manifest(struct image *img, struct err *err) MUST_CHECK;
/* Notes that it is used now (its folder's time), for what is removed first when there are too many. */
void image_touch(const struct image *img);

/* Path of one of its files, or of "manifest.json" with image_manifest_path(). ERR_LIMIT when it does not fit,
 * ERR_NOT_FOUND when the image has no such file. */
int image_file_path(const struct image *img, enum image_file_id id, char *out, size_t size, struct err *err) MUST_CHECK;
int image_manifest_path(const struct image *img, char *out, size_t size, struct err *err) MUST_CHECK;

#endif
