/* The canonical source tar: the one byte sequence that a commit's tree becomes, and its digest. Normative text:
 * proto/PROTOCOL.md, "Canonical source tar"; this is the writer, srctree.h walks a git tree into it.
 *
 * Must not know: git, plans, disks. Streaming: nothing grows with the source. The bytes go to a descriptor in blocks and are
 * hashed on the way. The plan tar (guest.h) is written with it too, so that there is one tar writer on the host.
 *
 *   CLEANUP(srctar_release) struct srctar t = {0};
 *   srctar_init(&t, fd, committer_time, max_bytes, err);
 *   srctar_folder(&t, "src", err);
 *   srctar_file_begin(&t, "src/a.c", false, size, err); srctar_bytes(&t, p, n, err) …; srctar_file_end(&t, err);
 *   srctar_link(&t, "b", "src/a.c", err);
 *   srctar_finish(&t, &digest, err);
 *
 * An entry is: a pax extended header (only if needed), a ustar header, content, zeros up to 512 bytes.
 *   name, prefix  the path (a folder's with a slash at its end). Up to 100 bytes: all in name. Else it is split at the first
 *                 slash that leaves at most 100 bytes for name (at least one byte) and at most 155 for prefix; the
 *                 slash is in neither. Else a pax `path` carries it, and name holds its first 100 bytes.
 *   mode          0000644 file, 0000755 executable file and folder, 0000777 symbolic link
 *   uid, gid, devmajor, devminor 0000000; uname, gname empty
 *   size          11 octal digits; from 8 GiB on a pax `size` carries it, and the field holds 0
 *   mtime         11 octal digits: committer time in seconds, below 0 is 0, above 8^11-1 is 8^11-1
 *   chksum        6 octal digits, 0 byte, space
 *   typeflag      '0' file, '2' symbolic link, '5' folder; magic "ustar" 0, version "00"
 *   linkname      the target up to 100 bytes; else a pax `linkpath`, and linkname holds its first 100 bytes
 * A pax extended header is an entry of type 'x' named "PaxHeader", mode 0000644, same mtime, whose content is the
 * records "LENGTH KEY=VALUE\n" in the order path, linkpath, size; values are the bytes as they are in the tree.
 * Octal fields end with a 0 byte. The tar ends with two zero blocks and nothing more. */
#ifndef TALKOO_RUNNER_SRCTAR_H
#define TALKOO_RUNNER_SRCTAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/merkle.h"

#define SRCTAR_BLOCK 512
#define SRCTAR_PATH_MAX 4000 /* bytes of a path, its slash included; the guest unpacks below /ci/src */
#define SRCTAR_LINK_MAX 4000 /* bytes of a link's target */
#define SRCTAR_MTIME_MAX INT64_C(077777777777)

struct srctar {
	int fd;
	int64_t mtime;
	uint64_t max_bytes, at_bytes;
	uint64_t left; /* bytes still due of the current file */
	struct digest_stream digest;
	uint8_t *buf; /* owned */
	size_t buf_len;
};

/* fd: written from its current position on; stays the caller's. mtime: seconds, clamped as said above. max_bytes: of the whole
 * tar with its end; an entry that would not fit is ERR_LIMIT. ERR_NOMEM. */
int srctar_init(struct srctar *t, int fd, int64_t mtime, uint64_t max_bytes, struct err *err) MUST_CHECK;
void srctar_release(struct srctar *t);
/* mtime clamped to what the format can say: also the value of SOURCE_DATE_EPOCH. */
int64_t srctar_mtime(int64_t seconds);

/* path: relative, no slash at the end (folders too), 1 to SRCTAR_PATH_MAX-1 bytes; whether its parts are harmless is the
 * caller's to check. ERR_LIMIT: too long, or the tar is over its ceiling. ERR_IO. After an error only release. */
int srctar_folder(struct srctar *t, const char *path, struct err *err) MUST_CHECK;
int srctar_link(struct srctar *t, const char *path, const char *target, struct err *err) MUST_CHECK;
/* A file's header, then exactly size_bytes by srctar_bytes(), then srctar_file_end(); ERR_BUG if the count differs. */
int srctar_file_begin(struct srctar *t, const char *path, bool is_executable, uint64_t size_bytes, struct err *err) MUST_CHECK;
int srctar_bytes(struct srctar *t, const void *bytes, size_t len, struct err *err) MUST_CHECK;
int srctar_file_end(struct srctar *t, struct err *err) MUST_CHECK;
/* The three in one. */
int srctar_file(struct srctar *t, const char *path, bool is_executable, const void *bytes, size_t len,
		struct err *err) MUST_CHECK;
/* Two zero blocks, everything written; the digest of all. Nothing may be appended afterwards. */
int srctar_finish(struct srctar *t, struct blob_digest *ret, struct err *err) MUST_CHECK;

#endif
