/* The log port: frames (runner/frames.h) from init to the host. Opened by init alone and close-on-exec, so that no step has
 * it; the kernel gives a virtio port to one opener at a time.
 *
 * Must not know: steps, disks. A port that broke (the host went away) swallows what follows: there is nobody to tell. */
#ifndef TALKOO_RUNNER_GUEST_PORT_H
#define TALKOO_RUNNER_GUEST_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "runner/frames.h"

struct port {
	int fd; /* -1: no port, frames vanish */
	bool broken;
};

/* Finds the port by its name and opens it, waiting up to wait_ms for it to appear. ERR_NOT_FOUND, ERR_IO. */
int port_open(struct port *p, const char *name, unsigned wait_ms, struct err *err) MUST_CHECK;
/* One frame; len at most FRAME_PAYLOAD_MAX (cut to it). */
void port_frame(struct port *p, enum frame_type type, uint16_t step, const void *payload, size_t len);
/* A frame whose payload already lies FRAME_HEADER_LEN bytes into buf: spares a copy of the steps' output. */
void port_output(struct port *p, uint16_t step, uint8_t *buf, size_t len);
/* FRAME_NOTE and FRAME_ERROR with a sentence. */
void port_note(struct port *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
void port_error(struct port *p, const char *text);
/* Waits until the host says that it has read everything (FRAME_ACK), hung up, or wait_ms passed: what lies in the
 * virtqueue when the machine goes off is lost. */
void port_drain(struct port *p, unsigned wait_ms);

/* Little endian, as the frames have it. */
void port_put_le(uint8_t *out, uint64_t value, size_t len);

#endif
