/* What passes over a machine's shell port (guest.h, GUEST_SHELL_PORT), both ways: a person's terminal on one side, a shell on the other.
 *
 * A frame: 1 byte type, 1 byte zero, 2 bytes payload length (little endian), payload of at most SHELLWIRE_PAYLOAD_MAX bytes.
 * Must not know: terminals, ports, processes. Pure: bytes in, values out; libc only, as the guest has nothing else. */
#ifndef TALKOO_RUNNER_SHELLWIRE_H
#define TALKOO_RUNNER_SHELLWIRE_H

#include <stdint.h>
#include <stddef.h>

#define SHELLWIRE_HEADER_LEN 4
#define SHELLWIRE_PAYLOAD_MAX 4096
#define SHELLWIRE_FRAME_MAX (SHELLWIRE_HEADER_LEN + SHELLWIRE_PAYLOAD_MAX)

enum shellwire_type {
	SHELLWIRE_BYTES = 1, /* what was typed, or what the shell shows */
	SHELLWIRE_SIZE,      /* to the guest: 2 bytes rows, 2 bytes columns, little endian */
	SHELLWIRE_END,       /* to the host: the shell has ended */
};

/* What has come and was not taken yet: fill bytes from len on, raise len. */
struct shellwire {
	uint8_t bytes[SHELLWIRE_FRAME_MAX];
	size_t len;
};

struct shellwire_frame {
	enum shellwire_type type;
	uint8_t payload[SHELLWIRE_PAYLOAD_MAX];
	size_t len;
	uint16_t rows, columns; /* SIZE */
};

enum shellwire_got {
	SHELLWIRE_MORE = 1, /* not a whole frame yet: there is room for the rest */
	SHELLWIRE_FRAME,    /* *ret is filled, its bytes are gone from w */
	SHELLWIRE_BROKEN,   /* no frame can begin like this */
};

/* A frame into out (SHELLWIRE_FRAME_MAX bytes); len at most SHELLWIRE_PAYLOAD_MAX. Returns its length. */
size_t shellwire_put(uint8_t *out, enum shellwire_type type, const void *payload, size_t len);
size_t shellwire_put_size(uint8_t *out, uint16_t rows, uint16_t columns);
enum shellwire_got shellwire_take(struct shellwire *w, struct shellwire_frame *ret);

#endif
