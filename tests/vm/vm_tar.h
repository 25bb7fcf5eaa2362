/* Tars made and read by hand, for tests: not by the code under test. */
#ifndef TALKOO_TESTS_VM_VM_TAR_H
#define TALKOO_TESTS_VM_VM_TAR_H

#include "proto/base/buf.h"

/* type '0' file, '2' link (content is its target), '5' folder, or any other byte. */
void vm_tar_add(struct buf *tar, const char *path, char type, unsigned mode, const void *content, size_t len);
void vm_tar_end(struct buf *tar);
/* Makes a changed header's checksum right again. */
void vm_tar_checksum(uint8_t *header);
/* Content of a file (short ustar names only), or NULL; *ret_len its length. Lent. */
const uint8_t *vm_tar_find(const struct buf *tar, const char *path, size_t *ret_len);

#endif
