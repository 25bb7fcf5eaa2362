/* Any messages of a peer into an engine that holds records and has two peers: a row of (type index, length in two bytes, body). What it
 * offers is admitted, refused, not proven or postponed by turns; what it looks up is found nowhere. Then time passes. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/gossip.h"
#include "tests/fuzz/fuzz.h"

static const struct id32 topic = {{1}};

static struct gossip *start(void)
{
	static const uint8_t seed[32];
	struct gossip *g = gossip_new(seed);
	if (!g || !gossip_follow(g, &topic))
		abort();
	for (unsigned i = 0; i < 100; i++) {
		struct recset_item item = {.expires_ms = 1000000 + i % 7 * 1000};
		crypto_generichash(item.id.b, 32, (const uint8_t *)&i, sizeof i, NULL, 0);
		gossip_load(g, &topic, 1 + i % 5, &item);
	}
	const struct session_hello h = {.kinds = {1, 2, 3, 4, 5, 6}, .kinds_len = 6, .topics = {topic}, .topics_len = 1};
	if (!gossip_peer_open(g, 1, &h, false, true, 1000) || !gossip_peer_open(g, 2, &h, true, false, 1000))
		abort();
	return g;
}

static void settle(struct gossip *g, uint64_t now_ms, unsigned *turn)
{
	for (struct gossip_action a; gossip_next(g, &a);) {
		if (a.type == GOSSIP_LOOKUP && ++*turn % 5)
			gossip_not_found(g, a.peer, &a.id);
		if (a.type != GOSSIP_OFFER)
			continue;
		struct record *r = NULL;
		const struct id32 id = a.id;
		const bool is_record = !record_reopen(a.bytes, a.len, a.signature, &r, NULL);
		switch (++*turn % 4) {
		case 0: gossip_refused(g, &id); break;
		case 1: gossip_postponed(g, &id, now_ms); break;
		case 2: gossip_unproven(g, &id, now_ms); break;
		default:
			if (is_record)
				gossip_admitted(g, r, a.peer, now_ms);
			gossip_want(g, &id, a.peer, now_ms);
		}
		record_unref(r);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum session_message types[] = {MSG_HAVE, MSG_GET, MSG_RECORD, MSG_NOT_FOUND, MSG_RECONCILE, MSG_TOPICS};
	if (sodium_init() < 0 || size > 1 << 16)
		return 0;
	struct gossip *g = start();
	uint64_t now_ms = 1000;
	unsigned turn = 0;
	gossip_tick(g, now_ms, 900000);
	while (size >= 3) {
		const uint8_t what = data[0];
		size_t len = (size_t)data[1] << 8 | data[2];
		len = len < size - 3 ? len : size - 3;
		gossip_input(g, 1 + (what >> 6 & 1), types[what % 6], data + 3, len, now_ms);
		settle(g, now_ms, &turn);
		now_ms += what >> 7 ? 450 : 1;
		gossip_tick(g, now_ms, 900000 + now_ms);
		data += 3 + len;
		size -= 3 + len;
	}
	gossip_peer_close(g, 2, now_ms);
	for (unsigned i = 0; i < 20; i++) {
		settle(g, now_ms, &turn);
		now_ms += 5000;
		gossip_tick(g, now_ms, 900000 + now_ms);
	}
	gossip_unfollow(g, &topic);
	gossip_free(g);
	return 0;
}
