/* A script of what peers and the node may do to exchange: opening, closing, any message, time, wants, answers. Each step is a byte that
 * says what, a byte that says who, and for a message its type, two bytes of length and its bytes. Every OPEN must get one CLOSE. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/exchange.h"
#include "p2p/exchange_wire.h"
#include "proto/base/cleanup.h"
#include "tests/fuzz/fuzz.h"

#define BLOB_LEN 40000
#define PEERS 4

struct run {
	struct exchange *e;
	struct exchange_ref ref;
	uint8_t blob[BLOB_LEN];
	struct merkle_hash leaves[3];
	uint32_t open[EXCHANGE_SERVES_MAX]; /* serves that were opened and not closed */
	uint32_t wants[EXCHANGE_WANTS_MAX];
	uint64_t now_ms;
};

static void take(uint32_t *list, size_t len, uint32_t from, uint32_t to)
{
	for (size_t i = 0; i < len; i++)
		if (list[i] == from) {
			list[i] = to;
			return;
		}
	abort(); /* an OPEN too many, a CLOSE or an end of what never was */
}

static void act(struct run *r)
{
	struct exchange_action a;
	while (exchange_next(r->e, &a)) {
		switch (a.type) {
		case EXCHANGE_SEND: break;
		case EXCHANGE_OFFERED: break;
		case EXCHANGE_OPEN: take(r->open, EXCHANGE_SERVES_MAX, 0, a.serve); break;
		case EXCHANGE_CLOSE: take(r->open, EXCHANGE_SERVES_MAX, a.serve, 0); break;
		case EXCHANGE_FAILED: take(r->wants, EXCHANGE_WANTS_MAX, a.want, 0); break;
		case EXCHANGE_DONE:
			take(r->wants, EXCHANGE_WANTS_MAX, a.want, 0);
			if (a.len != BLOB_LEN || memcmp(a.bytes, r->blob, BLOB_LEN))
				abort(); /* only true bytes come out */
			break;
		}
	}
}

static void want(struct run *r, uint32_t first)
{
	const uint32_t number = exchange_want(r->e, &r->ref, first, r->now_ms);
	for (size_t i = 0; i < EXCHANGE_WANTS_MAX; i++)
		if (r->wants[i] == number)
			return;
	if (number)
		take(r->wants, EXCHANGE_WANTS_MAX, 0, number);
}

static void write_bulk(struct run *r, uint32_t peer)
{
	enum session_message type;
	const uint8_t *bytes;
	size_t len;
	const bool has = exchange_has_bulk(r->e, peer);
	if (exchange_writable(r->e, peer, r->now_ms, &type, &bytes, &len) != has)
		abort();
	struct exchange_leaf leaf;
	if (has && (type != MSG_BLOB_DATA || exchange_leaf_decode(bytes, len, &leaf)))
		abort();
}

/* One step; returns how many bytes it used. */
static size_t step(struct run *r, const uint8_t *p, size_t len)
{
	static const enum session_message types[] = {MSG_BLOB_GET, MSG_BLOB_DATA, MSG_BLOB_END, MSG_BLOB_OFFER, MSG_BLOB_MORE};
	const uint32_t peer = p[1] % PEERS + 1;
	struct node_id id;
	memset(id.b, (int)peer * 50, sizeof id.b);
	switch (p[0] % 8) {
	case 0: exchange_peer_open(r->e, peer, &id, &r->ref.topic, peer != 2, r->now_ms); break;
	case 1: exchange_peer_close(r->e, peer, r->now_ms); break;
	case 2: r->now_ms += 100 * p[1]; break;
	case 3: want(r, peer); break;
	case 4: write_bulk(r, peer); break;
	case 5: exchange_opened(r->e, r->open[p[1] % EXCHANGE_SERVES_MAX], r->blob, r->leaves, 3, r->now_ms); break;
	case 6: exchange_refused(r->e, r->open[p[1] % EXCHANGE_SERVES_MAX], EXCHANGE_END_NOT_FOUND, r->now_ms); break;
	case 7: {
		if (len < 5)
			return len;
		const size_t said = (size_t)p[3] << 8 | p[4], rest = len - 5, n = said < rest ? said : rest;
		exchange_input(r->e, peer, types[p[2] % ARRAY_LEN(types)], p + 5, n, r->now_ms);
		return 5 + n;
	}
	}
	return 2;
}

static void begin(struct run *r)
{
	struct blob_digest d;
	const struct node_id self = {{120}};
	for (size_t i = 0; i < BLOB_LEN; i++)
		r->blob[i] = (uint8_t)(i * 7);
	digest_bytes(r->blob, BLOB_LEN, &d);
	merkle_leaves(r->blob, BLOB_LEN, r->leaves);
	r->ref = (struct exchange_ref){.topic = {{1}}, .result = {{2}}, .size = BLOB_LEN, .name = "log"};
	memset(r->ref.author.b, 150, sizeof r->ref.author.b); /* peer 3 */
	memcpy(r->ref.root, d.root, sizeof d.root);
	r->e = exchange_new(&self);
	if (!r->e)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(cleanup_free) struct run *r = calloc(1, sizeof *r);
	if (!r || sodium_init() < 0)
		abort();
	begin(r);
	for (size_t at = 0; at + 1 < size;) {
		at += step(r, data + at, size - at);
		exchange_tick(r->e, r->now_ms);
		act(r);
	}
	for (uint32_t peer = 1; peer <= PEERS; peer++)
		exchange_peer_close(r->e, peer, r->now_ms);
	act(r);
	for (size_t i = 0; i < EXCHANGE_SERVES_MAX; i++)
		if (r->open[i] || r->wants[i])
			abort(); /* with nobody left nothing is open */
	exchange_free(r->e);
	return 0;
}
