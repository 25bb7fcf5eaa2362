#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "proto/ids.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[2048], out[ADDR_TEXT_MAX];
	if (sodium_init() < 0 || size >= sizeof text || !data)
		return 0;
	memcpy(text, data, size);
	text[size] = 0;
	struct err err;
	struct node_id id, id_again;
	if (!node_id_parse(text, &id, &err)) {
		/* one text per id, but for the short form */
		node_id_format(out, &id);
		assert(!strcmp(out, text) || !strcmp(out + 8, text));
	}
	struct id32 hash;
	if (!id32_parse(text, &hash, &err))
		assert(!strcasecmp(id32_format(out, &hash), text));
	struct node_addr addr, again;
	if (!node_addr_parse(text, &addr, &err)) {
		assert(!node_addr_parse(node_addr_format(out, &addr), &again, &err));
		assert(node_id_eq(&addr.id, &again.id) && !strcmp(addr.host, again.host) && addr.port == again.port);
	}
	if (size >= 32) {
		memcpy(id.b, data, 32);
		assert(!node_id_parse(node_id_format(out, &id), &id_again, &err) && node_id_eq(&id, &id_again));
	}
	network_name_is_valid(text);
	return 0;
}
