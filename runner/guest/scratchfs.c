#include "runner/guest/scratchfs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/cleanup.h"

#define BLOCK 4096u
#define BLOCKS_PER_GROUP (BLOCK * 8)
#define INODE_LEN 256u
#define INODES_PER_BLOCK (BLOCK / INODE_LEN)
#define DESC_LEN 32u
#define ROOT_INODE 2u
#define LOST_INODE 11u /* the first that is not reserved: /lost+found */

enum { GROUP_INODE_UNINIT = 1, GROUP_BLOCK_UNINIT = 2, GROUP_INODE_ZEROED = 4 };

struct layout {
	uint32_t blocks, groups, desc_blocks;
	uint32_t inodes_per_group, table_blocks;
	uint32_t root_block, lost_block;
	uint64_t free_blocks;
};

static const uint8_t fs_uuid[16] = {0x7a, 0x1c, 0x00, 0x00, 0x73, 0x63, 0x40, 0x72, 0x80, 0x61, 0x74, 0x63, 0x68, 0, 0, 1};

static void put16(uint8_t *at, uint32_t v)
{
	at[0] = (uint8_t)v;
	at[1] = (uint8_t)(v >> 8);
}

static void put32(uint8_t *at, uint64_t v)
{
	put16(at, (uint32_t)v);
	put16(at + 2, (uint32_t)(v >> 16));
}

static int put_block(int fd, uint64_t block, const uint8_t *bytes, struct err *err)
{
	for (size_t done = 0; done < BLOCK;) {
		const ssize_t n = pwrite(fd, bytes + done, BLOCK - done, (off_t)(block * BLOCK + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "formatting the scratch disk");
		done += (size_t)n;
	}
	return 0;
}

/* Blocks of a group that hold its own tables: in the first, the superblock and the descriptors too (the feature
 * sparse_super2 without backups leaves them out everywhere else). */
static uint32_t tables_start(const struct layout *l, uint32_t group)
{
	return group == 0 ? 1 + l->desc_blocks : 0;
}

static uint32_t tables_len(const struct layout *l, uint32_t group)
{
	return tables_start(l, group) + 2 + l->table_blocks + (group == 0 ? 2 : 0);
}

static uint32_t group_blocks(const struct layout *l, uint32_t group)
{
	return group + 1 < l->groups ? BLOCKS_PER_GROUP : l->blocks - group * BLOCKS_PER_GROUP;
}

static struct layout plan_layout(uint64_t size_bytes)
{
	struct layout l = {.blocks = (uint32_t)(size_bytes / BLOCK)};
	l.inodes_per_group = l.blocks < BLOCKS_PER_GROUP ? l.blocks / 4 : BLOCKS_PER_GROUP / 4;
	l.inodes_per_group = (l.inodes_per_group + INODES_PER_BLOCK * 8 - 1) / (INODES_PER_BLOCK * 8) * INODES_PER_BLOCK * 8;
	l.table_blocks = l.inodes_per_group / INODES_PER_BLOCK;
	/* a last group too small for its own tables and some use is left out */
	const uint32_t tail = l.blocks % BLOCKS_PER_GROUP;
	if (l.blocks > BLOCKS_PER_GROUP && tail && tail < l.table_blocks + 2 + 50)
		l.blocks -= tail;
	l.groups = (l.blocks + BLOCKS_PER_GROUP - 1) / BLOCKS_PER_GROUP;
	l.desc_blocks = (l.groups * DESC_LEN + BLOCK - 1) / BLOCK;
	l.root_block = tables_start(&l, 0) + 2 + l.table_blocks;
	l.lost_block = l.root_block + 1;
	for (uint32_t g = 0; g < l.groups; g++)
		l.free_blocks += group_blocks(&l, g) - tables_len(&l, g);
	return l;
}

/* "Super Block" */
static void make_superblock(const struct layout *l, uint8_t *sb)
{
	put32(sb + 0x00, (uint64_t)l->inodes_per_group * l->groups);
	put32(sb + 0x04, l->blocks);
	put32(sb + 0x0c, l->free_blocks);
	put32(sb + 0x10, (uint64_t)l->inodes_per_group * l->groups - LOST_INODE);
	put32(sb + 0x18, 2); /* 1024 << 2 */
	put32(sb + 0x1c, 2);
	put32(sb + 0x20, BLOCKS_PER_GROUP);
	put32(sb + 0x24, BLOCKS_PER_GROUP);
	put32(sb + 0x28, l->inodes_per_group);
	put16(sb + 0x36, 0xffff); /* mounts until a check: never */
	put16(sb + 0x38, 0xef53);
	put16(sb + 0x3a, 1); /* clean */
	put16(sb + 0x3c, 1); /* errors: go on */
	put32(sb + 0x4c, 1); /* dynamic revision */
	put32(sb + 0x54, LOST_INODE);
	put16(sb + 0x58, INODE_LEN);
	put32(sb + 0x5c, 0x8 | 0x20 | 0x200);              /* ext_attr, dir_index, sparse_super2 */
	put32(sb + 0x60, 0x2 | 0x40);                      /* filetype, extents */
	put32(sb + 0x64, 0x1 | 0x2 | 0x8 | 0x10 | 0x20 | 0x40); /* sparse_super, large_file, huge_file, gdt_csum, dir_nlink, extra_isize */
	memcpy(sb + 0x68, fs_uuid, sizeof fs_uuid);
	memcpy(sb + 0x78, "scratch", 7);
	memcpy(sb + 0xec, fs_uuid, sizeof fs_uuid); /* hash seed */
	sb[0xfc] = 1;                               /* half md4 */
	put32(sb + 0x100, 0x4 | 0x8);               /* user_xattr, acl */
	put16(sb + 0x15c, 32);
	put16(sb + 0x15e, 32);
	put32(sb + 0x160, 1); /* signed directory hash */
}

/* CRC-16 as lib/crc16 of the kernel */
static uint16_t crc16(uint16_t crc, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (uint16_t)((crc >> 1) ^ (crc & 1 ? 0xa001 : 0));
	}
	return crc;
}

/* "Block Group Descriptors" */
static void make_descriptor(const struct layout *l, uint32_t group, uint8_t *desc)
{
	const uint32_t first = group * BLOCKS_PER_GROUP + tables_start(l, group);
	const bool last = group + 1 == l->groups;
	const uint32_t used = group == 0 ? LOST_INODE : 0;
	put32(desc + 0x00, first);
	put32(desc + 0x04, first + 1);
	put32(desc + 0x08, first + 2);
	put16(desc + 0x0c, group_blocks(l, group) - tables_len(l, group));
	put16(desc + 0x0e, l->inodes_per_group - used);
	put16(desc + 0x10, group == 0 ? 2 : 0);
	put16(desc + 0x12, GROUP_INODE_ZEROED | (group ? GROUP_INODE_UNINIT : 0) | (group && !last ? GROUP_BLOCK_UNINIT : 0));
	put16(desc + 0x1c, l->inodes_per_group - used);
	uint8_t number[4];
	put32(number, group);
	uint16_t crc = crc16(0xffff, fs_uuid, sizeof fs_uuid);
	crc = crc16(crc, number, sizeof number);
	put16(desc + 0x1e, crc16(crc, desc, 0x1e));
}

static int put_descriptors(int fd, const struct layout *l, struct err *err)
{
	uint8_t block[BLOCK];
	for (uint32_t b = 0; b < l->desc_blocks; b++) {
		memset(block, 0, sizeof block);
		for (uint32_t i = 0; i < BLOCK / DESC_LEN; i++) {
			const uint32_t group = b * (BLOCK / DESC_LEN) + i;
			if (group < l->groups)
				make_descriptor(l, group, block + i * DESC_LEN);
		}
		const int rc = put_block(fd, 1 + b, block, err);
		if (rc)
			return rc;
	}
	return 0;
}

static void set_bits(uint8_t *bitmap, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		bitmap[i / 8] |= (uint8_t)(1u << (i % 8));
}

static int put_block_bitmap(int fd, const struct layout *l, uint32_t group, struct err *err)
{
	uint8_t bitmap[BLOCK] = {0};
	set_bits(bitmap, 0, tables_len(l, group));
	set_bits(bitmap, group_blocks(l, group), BLOCKS_PER_GROUP);
	return put_block(fd, (uint64_t)group * BLOCKS_PER_GROUP + tables_start(l, group), bitmap, err);
}

/* "Index Nodes": a directory of one block */
static void make_folder_inode(uint8_t *inode, uint32_t mode, uint32_t links, uint32_t block)
{
	put16(inode + 0x00, 0040000 | mode);
	put32(inode + 0x04, BLOCK);
	put16(inode + 0x1a, links);
	put32(inode + 0x1c, BLOCK / 512);
	put32(inode + 0x20, 0x80000); /* extents */
	put16(inode + 0x28, 0xf30a);
	put16(inode + 0x2a, 1);
	put16(inode + 0x2c, 4);
	put16(inode + 0x38, 1);
	put32(inode + 0x3c, block);
	put16(inode + 0x80, 32);
}

static size_t put_name(uint8_t *at, uint32_t inode, const char *name, uint32_t entry_len)
{
	put32(at, inode);
	put16(at + 4, entry_len);
	at[6] = (uint8_t)strlen(name);
	at[7] = 2; /* a directory */
	memcpy(at + 8, name, strlen(name));
	return entry_len;
}

static int put_folders(int fd, const struct layout *l, struct err *err)
{
	uint8_t block[BLOCK] = {0};
	make_folder_inode(block + (ROOT_INODE - 1) * INODE_LEN, 0755, 3, l->root_block);
	make_folder_inode(block + (LOST_INODE - 1) * INODE_LEN, 0700, 2, l->lost_block);
	int rc = put_block(fd, tables_start(l, 0) + 2, block, err);
	if (rc)
		return rc;
	memset(block, 0, sizeof block);
	size_t at = put_name(block, ROOT_INODE, ".", 12);
	at += put_name(block + at, ROOT_INODE, "..", 12);
	put_name(block + at, LOST_INODE, "lost+found", (uint32_t)(BLOCK - at));
	rc = put_block(fd, l->root_block, block, err);
	if (rc)
		return rc;
	memset(block, 0, sizeof block);
	at = put_name(block, LOST_INODE, ".", 12);
	put_name(block + at, ROOT_INODE, "..", (uint32_t)(BLOCK - at));
	return put_block(fd, l->lost_block, block, err);
}

int scratchfs_make(int fd, uint64_t size_bytes, struct err *err)
{
	if (size_bytes < SCRATCHFS_MIN || size_bytes > SCRATCHFS_MAX)
		return err_set(err, ERR_LIMIT, "the scratch disk has %llu bytes, which is too %s", (unsigned long long)size_bytes,
			       size_bytes < SCRATCHFS_MIN ? "small" : "large");
	const struct layout l = plan_layout(size_bytes);
	uint8_t block[BLOCK] = {0};
	make_superblock(&l, block + 1024);
	int rc = put_block(fd, 0, block, err);
	if (!rc)
		rc = put_descriptors(fd, &l, err);
	if (!rc)
		rc = put_block_bitmap(fd, &l, 0, err);
	if (!rc && l.groups > 1)
		rc = put_block_bitmap(fd, &l, l.groups - 1, err);
	if (rc)
		return rc;
	uint8_t inodes[BLOCK] = {0};
	set_bits(inodes, 0, LOST_INODE);
	set_bits(inodes, l.inodes_per_group, BLOCK * 8);
	rc = put_block(fd, tables_start(&l, 0) + 1, inodes, err);
	return rc ? rc : put_folders(fd, &l, err);
}
