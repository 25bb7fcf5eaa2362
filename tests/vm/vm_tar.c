#include "tests/vm/vm_tar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void vm_tar_checksum(uint8_t *header)
{
	unsigned sum = 0;
	memset(header + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += header[i];
	snprintf((char *)header + 148, 8, "%06o", sum);
}

void vm_tar_add(struct buf *tar, const char *path, char type, unsigned mode, const void *content, size_t len)
{
	uint8_t h[512] = {0};
	static const char zeros[512];
	const size_t size = type == '5' || type == '2' ? 0 : len;
	memcpy(h, path, strnlen(path, 100));
	snprintf((char *)h + 100, 8, "%07o", mode);
	memcpy(h + 108, "0000000\0000000000", 16);
	snprintf((char *)h + 124, 12, "%011zo", size);
	memcpy(h + 136, "14750000000", 12);
	h[156] = (uint8_t)type;
	if (type == '2')
		memcpy(h + 157, content, len < 100 ? len : 100);
	memcpy(h + 257, "ustar\00000", 8);
	vm_tar_checksum(h);
	buf_append(tar, h, sizeof h);
	if (size) {
		buf_append(tar, content, size);
		buf_append(tar, zeros, (512 - size % 512) % 512);
	}
}

void vm_tar_end(struct buf *tar)
{
	static const char zeros[1024];
	buf_append(tar, zeros, sizeof zeros);
}

const uint8_t *vm_tar_find(const struct buf *tar, const char *path, size_t *ret_len)
{
	for (size_t at = 0; at + 512 <= tar->len && tar->data[at];) {
		const char *const h = (const char *)tar->data + at;
		const size_t len = strtoul(h + 124, NULL, 8);
		if (!strncmp(h, path, 100) && at + 512 + len <= tar->len) {
			*ret_len = len;
			return tar->data + at + 512;
		}
		at += 512 + (len + 511) / 512 * 512;
	}
	return NULL;
}
