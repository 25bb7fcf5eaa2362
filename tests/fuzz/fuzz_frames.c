/* The guest's frames: first byte = number of steps, the rest the stream, in two pieces as well as in one. */
#include <stdlib.h>
#include <string.h>

#include "runner/frame_reader.h"
#include "tests/fuzz/fuzz.h"

static size_t drain(struct frame_reader *r, const uint8_t *bytes, size_t len, bool *ret_broken)
{
	size_t at = 0, used;
	struct frame f;
	enum frame_result got;
	while ((got = frame_reader_next(r, bytes + at, len - at, &used, &f)) == FRAME_GOT) {
		if (used < FRAME_HEADER_LEN || used > len - at || f.payload_len > FRAME_PAYLOAD_MAX)
			abort();
		if (f.payload_len && (f.payload < bytes || f.payload + f.payload_len > bytes + len))
			abort();
		at += used;
	}
	*ret_broken = got == FRAME_BROKEN;
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct frame_reader whole, split;
	bool whole_broken, split_broken;
	frame_reader_init(&whole, data[0], data[0] & 1);
	frame_reader_init(&split, data[0], data[0] & 1);
	const size_t taken = drain(&whole, data + 1, size - 1, &whole_broken);
	size_t at = drain(&split, data + 1, (size - 1) / 2, &split_broken);
	if (!split_broken)
		at += drain(&split, data + 1 + at, size - 1 - at, &split_broken);
	if (at != taken || split_broken != whole_broken || split.next != whole.next)
		abort();
	return 0;
}
