#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/dsse.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(buf_release) struct buf payload = {0};
	struct node_id key;
	uint8_t signature[64];
	struct err err;
	if (sodium_init() < 0 || !data)
		return 0;
	buf_init(&payload, 1 << 16);
	if (!dsse_envelope_open((const char *)data, size, &payload, &key, signature, &err))
		assert(dsse_verify(DSSE_INTOTO_TYPE, payload.data, payload.len, &key, signature));
	return 0;
}
