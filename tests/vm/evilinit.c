/* A guest whose process 1 is the attacker's, in a real machine: what a step that took over everything could do to the host's side
 * of the contract. The word evil-WHAT anywhere in the plan says what:
 *   tar    an artifact disk full of entries, as a tar without end, and no power-off afterwards
 *   past   writes behind the artifact disk's end, then claims a tar longer than the disk
 *   stay   an error of its own, and no power-off afterwards
 *   flood  frames for the log, notes and figures without end */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "runner/guest/disks.h"
#include "runner/guest/port.h"
#include "runner/guest/system.h"

#define MODULE_FOLDER "/talkoo"
#define WAIT_MS 10000
#define BLOCK (1u << 20)
#define PLAN_LOOK (1u << 16)

static char block[BLOCK];

__attribute__((noreturn)) static void stay(void)
{
	for (;;)
		;
}

static void say_done(struct port *port, uint64_t tar_bytes)
{
	uint8_t payload[9] = {0};
	port_put_le(payload, tar_bytes, 8);
	port_frame(port, FRAME_DONE, 0, payload, sizeof payload);
}

/* 2048 headers of empty files, each with a name of its own. */
static void fill_block(unsigned from)
{
	memset(block, 0, sizeof block);
	for (unsigned i = 0; i < BLOCK / 512; i++) {
		char *h = block + i * 512;
		unsigned sum = 0;
		snprintf(h, 100, "e%u", from + i);
		memcpy(h + 100, "0000644\0" "0000000\0" "0000000\0" "00000000000\0" "00000000000\0" "        0", 57);
		memcpy(h + 257, "ustar\00000", 8);
		for (int k = 0; k < 512; k++)
			sum += (unsigned char)h[k];
		snprintf(h + 148, 8, "%06o", sum);
	}
}

static void endless_tar(struct port *port, const struct disk *disk)
{
	CLEANUP(cleanup_fd) int fd = disk_open(disk, O_RDWR, NULL);
	uint64_t at = 0;
	for (unsigned n = 0; at + BLOCK <= disk->size_bytes; at += BLOCK, n += BLOCK / 512) {
		fill_block(n);
		if (pwrite(fd, block, BLOCK, (off_t)at) != (ssize_t)BLOCK)
			break;
	}
	memset(block, 0, sizeof block); /* an end mark, so that the entries are what is met */
	if (pwrite(fd, block, 1024, (off_t)(disk->size_bytes / 512 * 512 - 1024)) != 1024 || fsync(fd))
		port_error(port, "the disk does not take it");
	say_done(port, disk->size_bytes / 512 * 512);
}

static void write_past(struct port *port, const struct disk *disk)
{
	CLEANUP(cleanup_fd) int fd = disk_open(disk, O_RDWR, NULL);
	const uint64_t end = disk->size_bytes;
	bool was_taken = false;
	for (unsigned i = 0; i < 64; i++)
		was_taken = pwrite(fd, block, BLOCK, (off_t)(end + (uint64_t)i * BLOCK)) > 0 || was_taken;
	if (was_taken)
		port_error(port, "the machine took bytes behind the disk's end");
	say_done(port, end + (1u << 30));
}

static void flood(struct port *port)
{
	static const enum frame_type types[] = {FRAME_NOTE, FRAME_OUTPUT, FRAME_STAT, FRAME_OUTPUT};
	memset(block, 'x', sizeof block);
	for (;;)
		for (size_t i = 0; i < ARRAY_LEN(types); i++)
			port_frame(port, types[i], 0, block, types[i] == FRAME_STAT ? 24 : types[i] == FRAME_NOTE ? 60 : FRAME_PAYLOAD_MAX);
}

static const char *plan_text(const struct disk *disk)
{
	static char text[PLAN_LOOK + 1];
	CLEANUP(cleanup_fd) int fd = disk_open(disk, O_RDONLY, NULL);
	const ssize_t len = fd < 0 ? -1 : pread(fd, text, PLAN_LOOK, 0);
	for (ssize_t i = 0; i < len; i++)
		text[i] = text[i] ? text[i] : ' ';
	return text;
}

int main(int argc, char **argv)
{
	static struct disk disks[GUEST_DISKS_LEN];
	struct port port = {.fd = -1};
	struct err err = {0};
	static const uint8_t version = 1;
	(void)argc;
	(void)argv;
	if (getpid() != 1 || system_mounts(&err) || system_load_modules(MODULE_FOLDER, "port", &err) ||
	    port_open(&port, GUEST_LOG_PORT, WAIT_MS, &err) || system_load_modules(MODULE_FOLDER, "disk", &err) ||
	    disks_find(disks, WAIT_MS, &err)) {
		err_print(&err, stderr);
		return 2;
	}
	port_frame(&port, FRAME_HELLO, 0, &version, 1);
	port_frame(&port, FRAME_STEP_START, 0, NULL, 0);
	const char *plan = plan_text(&disks[GUEST_DISK_PLAN]);
	if (strstr(plan, "evil-flood"))
		flood(&port);
	const uint8_t exit_code[4] = {0};
	if (!strstr(plan, "evil-stay"))
		port_frame(&port, FRAME_STEP_END, 0, exit_code, sizeof exit_code);
	if (strstr(plan, "evil-tar"))
		endless_tar(&port, &disks[GUEST_DISK_ARTIFACTS]);
	else if (strstr(plan, "evil-past"))
		write_past(&port, &disks[GUEST_DISK_ARTIFACTS]);
	else
		port_error(&port, "I give up, and stay");
	stay();
}
