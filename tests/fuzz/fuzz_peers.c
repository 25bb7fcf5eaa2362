/* A stranger's PEERS_GET (first byte even) or PEERS: what is decoded lies within the bytes, and is encoded to what decodes to the same. */
#include <stdlib.h>
#include <string.h>

#include "p2p/peers_wire.h"
#include "p2p/session.h"
#include "proto/base/cleanup.h"
#include "tests/fuzz/fuzz.h"

static bool is_within(const uint8_t *p, size_t size, const uint8_t *data, size_t len)
{
	return p >= data && size <= len && p <= data + (len - size);
}

static void check_list(const uint8_t *data, size_t size)
{
	struct peers_list list;
	if (peers_decode(data, size, &list))
		return;
	if (list.len > PEERS_RECORDS_MAX)
		abort();
	for (size_t i = 0; i < list.len; i++)
		if (list.entries[i].len > RECORD_LEN_MAX || !is_within(list.entries[i].bytes, list.entries[i].len, data, size) ||
		    !is_within(list.entries[i].signature, 64, data, size))
			abort();
}

static void check_get(const uint8_t *data, size_t size)
{
	struct id32 topic, again;
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, 64);
	if (peers_get_decode(data, size, &topic))
		return;
	peers_get_encode(&topic, &b);
	if (buf_failed(&b) || peers_get_decode(b.data, b.len, &again) || !id32_eq(&topic, &again))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size || size > SESSION_MESSAGE_MAX)
		return 0;
	if (data[0] % 2)
		check_list(data + 1, size - 1);
	else
		check_get(data + 1, size - 1);
	return 0;
}
