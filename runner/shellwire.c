#include "runner/shellwire.h"

#include <string.h>

size_t shellwire_put(uint8_t *out, enum shellwire_type type, const void *payload, size_t len)
{
	out[0] = (uint8_t)type;
	out[1] = 0;
	out[2] = (uint8_t)len;
	out[3] = (uint8_t)(len >> 8);
	if (len)
		memcpy(out + SHELLWIRE_HEADER_LEN, payload, len);
	return SHELLWIRE_HEADER_LEN + len;
}

size_t shellwire_put_size(uint8_t *out, uint16_t rows, uint16_t columns)
{
	const uint8_t payload[4] = {(uint8_t)rows, (uint8_t)(rows >> 8), (uint8_t)columns, (uint8_t)(columns >> 8)};
	return shellwire_put(out, SHELLWIRE_SIZE, payload, sizeof payload);
}

enum shellwire_got shellwire_take(struct shellwire *w, struct shellwire_frame *ret)
{
	if (w->len < SHELLWIRE_HEADER_LEN)
		return SHELLWIRE_MORE;
	const size_t len = w->bytes[2] | (size_t)w->bytes[3] << 8, whole = SHELLWIRE_HEADER_LEN + len;
	const uint8_t type = w->bytes[0], *const payload = w->bytes + SHELLWIRE_HEADER_LEN;
	if (type < SHELLWIRE_BYTES || type > SHELLWIRE_END || w->bytes[1] || len > SHELLWIRE_PAYLOAD_MAX ||
	    (type == SHELLWIRE_SIZE && len != 4) || (type == SHELLWIRE_END && len))
		return SHELLWIRE_BROKEN;
	if (w->len < whole)
		return SHELLWIRE_MORE;
	ret->type = (enum shellwire_type)type;
	ret->len = len;
	memcpy(ret->payload, payload, len);
	if (type == SHELLWIRE_SIZE) {
		ret->rows = (uint16_t)(payload[0] | payload[1] << 8);
		ret->columns = (uint16_t)(payload[2] | payload[3] << 8);
	}
	memmove(w->bytes, w->bytes + whole, w->len - whole);
	w->len -= whole;
	return SHELLWIRE_FRAME;
}
