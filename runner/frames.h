/* Frames on the virtio-serial log port, guest to host. Shared by talkoo-init (writes) and the log stage (reads).
 *
 * A frame: 1 byte type, 1 byte zero, 2 bytes step index (little endian), 4 bytes payload length (little endian), payload
 * of at most FRAME_PAYLOAD_MAX bytes. Everything is the guest's claim about itself: a malformed stream ends the job
 * (outcome error, "the guest broke the log protocol"), it can do no more. The port is opened exclusively by init
 * before any step, and its descriptor is close-on-exec.
 *
 * Host to guest, one byte only: FRAME_ACK, once FRAME_DONE or FRAME_ERROR has been read. Init powers off when it
 * has come (or after 2 s): what still lies in the virtqueue when the machine goes off would be lost. */
#ifndef TALKOO_RUNNER_FRAMES_H
#define TALKOO_RUNNER_FRAMES_H

#include <stdint.h>

#define FRAME_HEADER_LEN 8
#define FRAME_PAYLOAD_MAX 65536
#define FRAME_ACK 0x06 /* the host's answer, a bare byte */

enum frame_type {
	FRAME_HELLO = 1,   /* payload: 1 byte protocol version (1); init is up */
	FRAME_STEP_START,  /* step; no payload */
	FRAME_OUTPUT,      /* step; stdout and stderr bytes, as they came */
	FRAME_STEP_END,    /* step; 4 bytes exit code, little endian (0-255, 128+N for a signal) */
	FRAME_STAT,        /* 3 x 8 bytes little endian: guest cpu ms, guest memory used bytes, scratch used bytes */
	FRAME_DONE,        /* 8 bytes little endian: length of the artifact tar; 1 byte: 1 if it is partial */
	FRAME_ERROR,       /* payload: UTF-8 sentence; init could not do its part */
	FRAME_NOTE,        /* payload: UTF-8 sentence for the log (artifact left out, scratch full) */
	FRAME_LIMIT,       /* step; 1 byte enum guest_limit: the running step, or the one that just ended, met this ceiling of
	                      the machine. A step that fails so makes the job's outcome error, naming it, not failed; one whose own
	                      time ran out makes it timeout */
	FRAME_CACHE,       /* before DONE, once at most: 8 bytes little endian: length of the tar on the cache disk */
	FRAME_SHELL,       /* no payload: no step runs, and a shell begins on the shell port; only where the job's launcher asked for one */
};

enum guest_limit {
	GUEST_LIMIT_MEMORY = 1, /* the kernel killed a process for want of memory */
	GUEST_LIMIT_DISK,       /* the scratch disk is full */
	GUEST_LIMIT_TIME,       /* the step's own timeout ran out: the job's outcome is timeout */
};

#endif
