/* A script of what peers and the node may do to livelog: opening, closing, any message, time, claims' ways, readers, a growing log. Each
 * step is a byte that says what, a byte that says who, and for a message its type, two bytes of length and its bytes. What a reader gets is
 * what the volunteer signed, in order, and ends once. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/livelog.h"
#include "proto/base/cleanup.h"
#include "tests/fuzz/fuzz.h"

#define PEERS 4
#define READERS 8

struct run {
	struct livelog *l;
	struct node_id self, volunteer;
	uint8_t secret[64];
	struct id32 job;
	uint64_t size, now_ms;
	struct { uint32_t number; uint64_t offset; } readers[READERS];
};

static void on_reader(struct run *r, const struct livelog_action *a)
{
	for (size_t i = 0; i < READERS; i++) {
		if (r->readers[i].number != a->subscription)
			continue;
		if (a->type == LIVELOG_LOST || a->is_end)
			r->readers[i].number = 0;
		if (a->type == LIVELOG_CHUNK && a->offset < r->readers[i].offset)
			abort();
		r->readers[i].offset = a->offset + a->len;
		return;
	}
	abort(); /* of nobody, or after its end */
}

static void act(struct run *r)
{
	static const uint8_t text[LIVELOG_CHUNK_MAX];
	struct livelog_action a;
	while (livelog_next(r->l, &a)) {
		switch (a.type) {
		case LIVELOG_SEND: break;
		case LIVELOG_READ:
			if (a.len > LIVELOG_CHUNK_MAX || a.offset + a.len > r->size || !a.len)
				abort();
			livelog_data(r->l, a.stream, a.offset, text, a.len, r->now_ms);
			break;
		case LIVELOG_CHUNK: on_reader(r, &a); break;
		case LIVELOG_LOST: on_reader(r, &a); break;
		}
	}
}

static void read_or_stop(struct run *r, uint8_t what)
{
	const size_t i = what % READERS;
	if (r->readers[i].number) {
		livelog_unsubscribe(r->l, r->readers[i].number);
		r->readers[i].number = 0;
		return;
	}
	r->readers[i].offset = 0;
	r->readers[i].number = livelog_subscribe(r->l, &r->job, what & 64 ? &r->self : &r->volunteer, 0, r->now_ms);
}

/* One step; returns how many bytes it used. */
static size_t step(struct run *r, const uint8_t *p, size_t len)
{
	static const enum session_message types[] = {MSG_LOG_SUB, MSG_LOG_DATA, MSG_LOG_END, MSG_LOG_MORE};
	const uint32_t peer = p[1] % PEERS + 1;
	struct node_id id;
	memset(id.b, (int)peer * 50, sizeof id.b);
	switch (p[0] % 8) {
	case 0: livelog_peer_open(r->l, peer, p[1] & 64 ? &r->volunteer : &id); break;
	case 1: livelog_peer_close(r->l, peer, r->now_ms); break;
	case 2: r->now_ms += p[1]; break;
	case 3: livelog_route(r->l, &r->job, &r->volunteer, p[1] % (PEERS + 1), r->now_ms); break;
	case 4: read_or_stop(r, p[1]); break;
	case 5: livelog_grown(r->l, &r->job, r->size += 200u * p[1], p[1] == 255, r->now_ms); break;
	case 6: r->now_ms += 1000u * p[1]; break;
	case 7: {
		if (len < 5)
			return len;
		const size_t said = (size_t)p[3] << 8 | p[4], rest = len - 5, n = said < rest ? said : rest;
		livelog_input(r->l, peer, types[p[2] % ARRAY_LEN(types)], p + 5, n, r->now_ms);
		return 5 + n;
	}
	}
	return 2;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(cleanup_free) struct run *r = calloc(1, sizeof *r);
	if (!r || sodium_init() < 0)
		abort();
	uint8_t seed[32] = {1}, secret[64];
	crypto_sign_seed_keypair(r->self.b, r->secret, seed);
	seed[0] = 2;
	crypto_sign_seed_keypair(r->volunteer.b, secret, seed);
	memset(r->job.b, 5, sizeof r->job.b);
	const struct livelog_options o = {.self = r->self, .identity_secret = r->secret, .network = "main"};
	r->l = livelog_new(&o);
	if (!r->l)
		abort();
	for (size_t at = 0; at + 1 < size;) {
		at += step(r, data + at, size - at);
		act(r);
		livelog_tick(r->l, r->now_ms);
		act(r);
	}
	livelog_free(r->l);
	return 0;
}
