/* Engines against each other through a router in this file: it carries messages, plays the log file, and spoils what it is told to. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/livelog.h"
#include "p2p/livelog_wire.h"
#include "proto/base/cleanup.h"
#include "tests/unit/tap.h"

#define NODES 5
#define LOG_MAX (2u << 20)

struct node {
	struct livelog *l;
	struct node_id id;
	uint8_t secret[64];
	bool spoils;         /* it changes the data it sends */
	bool is_unreadable;  /* its log file */
	bool is_deaf;        /* it confirms nothing */
	unsigned subs_out, chunks, lost, ended, gaps;
	enum livelog_end why;
	uint64_t offset;     /* what its reader has */
	uint64_t got;        /* bytes */
	bool is_wrong;
};
struct message { struct message *next; int from, to; enum session_message type; size_t len; uint8_t bytes[]; };
struct world {
	struct node n[NODES];
	bool linked[NODES][NODES];
	struct message *first, **end;
	struct id32 job;
	uint8_t *log;
	size_t log_len;
	uint64_t now_ms;
};

static uint32_t number(int node) { return (uint32_t)node + 1; }

/* A chain 0 - 1 - 2 - 3: 0 is the volunteer, each knows the way towards it. */
static void link_nodes(struct world *w, int a, int b)
{
	w->linked[a][b] = w->linked[b][a] = true;
	livelog_peer_open(w->n[a].l, number(b), &w->n[b].id);
	livelog_peer_open(w->n[b].l, number(a), &w->n[a].id);
}

static void unlink_nodes(struct world *w, int a, int b)
{
	w->linked[a][b] = w->linked[b][a] = false;
	livelog_peer_close(w->n[a].l, number(b), w->now_ms);
	livelog_peer_close(w->n[b].l, number(a), w->now_ms);
}

static void route(struct world *w, int at, int to)
{
	livelog_route(w->n[at].l, &w->job, &w->n[0].id, number(to), w->now_ms);
}

static void world_init(struct world *w)
{
	memset(w, 0, sizeof *w);
	w->end = &w->first;
	w->now_ms = 1000;
	memset(w->job.b, 5, 32);
	w->log = malloc(LOG_MAX);
	if (!w->log)
		abort();
	for (size_t i = 0; i < LOG_MAX; i++)
		w->log[i] = (uint8_t)(i * 7 + i / 251);
	for (int i = 0; i < NODES; i++) {
		uint8_t seed[32] = {(uint8_t)(i + 1)};
		crypto_sign_seed_keypair(w->n[i].id.b, w->n[i].secret, seed);
		const struct livelog_options o = {.self = w->n[i].id, .identity_secret = w->n[i].secret, .network = "main"};
		w->n[i].l = livelog_new(&o);
	}
	for (int i = 0; i + 1 < 4; i++) {
		link_nodes(w, i, i + 1);
		route(w, i + 1, i);
	}
}

static void world_release(struct world *w)
{
	for (int i = 0; i < NODES; i++) {
		OK(!w->n[i].is_wrong, "what node %d read is what was written", i);
		livelog_free(w->n[i].l);
	}
	for (struct message *m = w->first, *next; m; m = next) {
		next = m->next;
		free(m);
	}
	free(w->log);
}

static void put(struct world *w, int from, int to, enum session_message type, const uint8_t *bytes, size_t len)
{
	if (!w->linked[from][to] || (w->n[from].is_deaf && type == MSG_LOG_MORE))
		return;
	struct message *m = malloc(sizeof *m + len);
	if (!m)
		abort();
	*m = (struct message){.from = from, .to = to, .type = type, .len = len};
	memcpy(m->bytes, bytes, len);
	if (w->n[from].spoils && type == MSG_LOG_DATA)
		m->bytes[len - 70] ^= 1; /* the last byte of the text */
	*w->end = m;
	w->end = &m->next;
}

static void on_chunk(struct world *w, struct node *n, const struct livelog_action *a)
{
	n->chunks++;
	n->ended += a->is_end;
	n->gaps += a->offset > n->offset;
	if (a->offset < n->offset || a->offset + a->len > w->log_len || memcmp(w->log + a->offset, a->bytes, a->len))
		n->is_wrong = true;
	n->offset = a->offset + a->len;
	n->got += a->len;
}

static void act(struct world *w, int at, const struct livelog_action *a)
{
	struct node *n = &w->n[at];
	switch (a->type) {
	case LIVELOG_SEND:
		n->subs_out += a->message == MSG_LOG_SUB;
		put(w, at, (int)a->peer - 1, a->message, a->bytes, a->len);
		break;
	case LIVELOG_READ:
		livelog_data(n->l, a->stream, a->offset, w->log + a->offset, n->is_unreadable ? 0 : a->len, w->now_ms);
		break;
	case LIVELOG_CHUNK: on_chunk(w, n, a); break;
	case LIVELOG_LOST:
		n->lost++;
		n->why = a->why;
		break;
	}
}

/* Each round carries every message one hop. Returns how many rounds something moved. */
static unsigned run(struct world *w)
{
	for (unsigned rounds = 0;; rounds++) {
		struct livelog_action a;
		bool moved = false;
		for (int i = 0; i < NODES; i++)
			while (livelog_next(w->n[i].l, &a)) {
				act(w, i, &a);
				moved = true;
			}
		struct message *m = w->first;
		w->first = NULL;
		w->end = &w->first;
		for (struct message *next; m; m = next) {
			next = m->next;
			if (w->linked[m->from][m->to])
				livelog_input(w->n[m->to].l, number(m->from), m->type, m->bytes, m->len, w->now_ms);
			free(m);
			moved = true;
		}
		if (!moved || rounds == 10000)
			return rounds;
	}
}

static void grow(struct world *w, size_t len, bool is_end)
{
	w->log_len += len;
	livelog_grown(w->n[0].l, &w->job, w->log_len, is_end, w->now_ms);
}

static void pass(struct world *w, uint64_t ms)
{
	for (uint64_t end = w->now_ms + ms; w->now_ms < end;) {
		w->now_ms += 10;
		for (int i = 0; i < NODES; i++)
			livelog_tick(w->n[i].l, w->now_ms);
		run(w);
	}
}

static uint32_t subscribe(struct world *w, int at, uint64_t offset)
{
	w->n[at].offset = offset;
	return livelog_subscribe(w->n[at].l, &w->job, &w->n[0].id, offset, w->now_ms);
}

static void test_chain(int reader)
{
	struct world w;
	world_init(&w);
	grow(&w, 0, false);
	subscribe(&w, reader, 0);
	run(&w);
	INTEQ(w.n[reader].got, 0);
	grow(&w, 20, false);
	const unsigned rounds = run(&w);
	OK(w.n[reader].got == 20 && rounds <= (unsigned)reader + 4, "a line is there at once, %d hops (%u rounds, no time passed)", reader, rounds);
	grow(&w, 30000, false);
	run(&w);
	pass(&w, 100);
	INTEQ(w.n[reader].got, 30020);
	grow(&w, 0, true);
	run(&w);
	OK(w.n[reader].ended == 1 && !w.n[reader].lost && !w.n[reader].gaps, "the end, once");
	unsigned before = w.n[reader].chunks;
	grow(&w, 0, true);
	pass(&w, 100);
	INTEQ(w.n[reader].chunks, before);
	w.n[reader].offset = w.n[reader].got = 0;
	subscribe(&w, reader, 0); /* who comes after the end gets all of it */
	run(&w);
	pass(&w, 1000);
	OK(w.n[reader].ended == 2 && w.n[reader].got == 30020, "after the end too");
	subscribe(&w, reader, 40000);
	run(&w);
	OK(w.n[reader].ended == 2 && w.n[reader].lost == 1 && !livelog_stats(w.n[1].l)->malformed, "an offset past the end ends, as nobody's fault");
	world_release(&w);
}

static void test_rate(void)
{
	struct world w;
	world_init(&w);
	grow(&w, 0, false);
	subscribe(&w, 3, 0);
	run(&w);
	for (unsigned i = 0; i < 100; i++) { /* 10 s at 128 KiB/s: twice the rate */
		grow(&w, 13107, false);
		pass(&w, 100);
	}
	const uint64_t most = 11 * LIVELOG_RATE + LIVELOG_CHUNK_MAX;
	OK(w.n[3].got <= most && w.n[3].got > 9 * LIVELOG_RATE, "64 KiB/s (%llu in 10 s)", (unsigned long long)w.n[3].got);
	OK(w.n[3].gaps >= 1 && w.log_len - w.n[3].offset <= LIVELOG_LAG_MAX, "who lags is moved on (%u times)", w.n[3].gaps);
	OK(!livelog_stats(w.n[1].l)->malformed && !livelog_stats(w.n[2].l)->malformed && !w.n[3].lost, "no hop takes that for a fault");
	world_release(&w);

	world_init(&w); /* a reader that takes nothing holds a window, no more */
	grow(&w, 200000, false);
	w.n[3].is_deaf = true;
	subscribe(&w, 3, 0);
	run(&w);
	pass(&w, 5000);
	OK(w.n[3].got <= LIVELOG_WINDOW && w.n[3].got > LIVELOG_WINDOW / 2, "a window (%llu)", (unsigned long long)w.n[3].got);
	world_release(&w);

	world_init(&w); /* many short lines: few signatures */
	grow(&w, 0, false);
	subscribe(&w, 1, 0);
	run(&w);
	for (unsigned i = 0; i < 3000; i++) {
		grow(&w, 10, false);
		pass(&w, 10);
	}
	pass(&w, 1000);
	OK(w.n[1].got == 30000 && w.n[1].chunks < 30 * 64 + 128, "3000 lines in 30 s: %u chunks", w.n[1].chunks);
	world_release(&w);
}

static void test_false(void)
{
	struct world w;
	world_init(&w);
	grow(&w, 100, false);
	w.n[1].spoils = true; /* the hop next to the volunteer */
	subscribe(&w, 3, 0);
	run(&w);
	OK(livelog_stats(w.n[2].l)->bad_signatures == 1 && !livelog_stats(w.n[3].l)->bad_signatures && !w.n[3].got, "the first honest hop drops it");
	OK(w.n[3].lost == 1 && w.n[3].why == LIVELOG_END_GONE, "the reader's stream is over");
	w.n[1].spoils = false;
	subscribe(&w, 3, 0);
	run(&w);
	INTEQ(w.n[3].got, 100);
	world_release(&w);
}

static void test_ways(void)
{
	struct world w;
	world_init(&w);
	grow(&w, 100, false);
	subscribe(&w, 4, 0);
	run(&w);
	OK(w.n[4].lost == 1 && w.n[4].why == LIVELOG_END_NO_WAY, "no way");
	link_nodes(&w, 3, 4);
	route(&w, 4, 3);
	subscribe(&w, 4, 0);
	run(&w);
	INTEQ(w.n[4].got, 100);
	unlink_nodes(&w, 1, 2);
	run(&w);
	OK(w.n[4].lost == 2 && w.n[4].why == LIVELOG_END_GONE, "the loss of the way is told along it");
	grow(&w, 100, false);
	run(&w);
	INTEQ(livelog_stats(w.n[0].l)->chunks_out, 1); /* nobody is left to send to */
	subscribe(&w, 4, 0);
	run(&w);
	OK(w.n[4].lost == 3 && w.n[4].why == LIVELOG_END_NO_WAY, "a way is forgotten with its peer");
	world_release(&w);

	world_init(&w); /* a newer claim comes by another peer */
	link_nodes(&w, 3, 4);
	link_nodes(&w, 0, 4);
	grow(&w, 100, false);
	subscribe(&w, 3, 0);
	run(&w);
	route(&w, 3, 4);
	run(&w);
	grow(&w, 50, false);
	run(&w);
	OK(w.n[3].got == 150 && !w.n[3].gaps && !w.n[3].lost && w.n[3].subs_out == 2, "the new way goes on where the old one was");
	INTEQ(livelog_stats(w.n[2].l)->chunks_out, 1);
	world_release(&w);

	world_init(&w); /* a newer claim that came by the reader */
	grow(&w, 100, false);
	subscribe(&w, 3, 0);
	run(&w);
	route(&w, 2, 3);
	grow(&w, 50, false);
	run(&w);
	OK(w.n[3].got == 150 && !w.n[3].lost && w.n[2].subs_out == 1, "a way that leads back moves nothing");
	world_release(&w);

	world_init(&w); /* round in circles: two, then three */
	route(&w, 2, 3);
	grow(&w, 100, false);
	subscribe(&w, 3, 0);
	run(&w);
	OK(w.n[3].lost == 1 && w.n[3].why == LIVELOG_END_NO_WAY && w.n[2].subs_out == 0, "a way back to the asker is refused");
	link_nodes(&w, 4, 2);
	link_nodes(&w, 4, 3);
	route(&w, 3, 2);
	route(&w, 2, 4);
	route(&w, 4, 3);
	subscribe(&w, 3, 0);
	run(&w);
	unsigned subs = w.n[2].subs_out + w.n[3].subs_out + w.n[4].subs_out;
	OK(w.n[3].lost == 2 && subs <= LIVELOG_HOPS_MAX + 1, "a circle ends (%u asked)", subs);
	world_release(&w);

	world_init(&w); /* nobody reads any more */
	grow(&w, 100, false);
	const uint32_t s = subscribe(&w, 3, 0);
	run(&w);
	livelog_unsubscribe(w.n[3].l, s);
	run(&w);
	grow(&w, 100, false);
	run(&w);
	OK(livelog_stats(w.n[0].l)->chunks_out == 1 && !w.n[3].lost, "unsubscribing cascades to the source");
	subscribe(&w, 0, 0);
	run(&w);
	INTEQ(w.n[0].got, 200); /* the volunteer's own reader */
	w.n[0].is_unreadable = true;
	subscribe(&w, 1, 0);
	subscribe(&w, 0, 0);
	run(&w);
	OK(w.n[1].lost == 1 && w.n[0].lost == 1 && w.n[1].why == LIVELOG_END_GONE, "a log that cannot be read");
	w.job.b[0] ^= 1;
	subscribe(&w, 1, 0);
	run(&w);
	OK(w.n[1].lost == 2 && w.n[1].why == LIVELOG_END_NO_WAY, "a job that is not the volunteer's");
	w.n[0].is_wrong = false;
	world_release(&w);
}

static void sub_from(struct world *w, int from, int to, uint64_t stream)
{
	const struct livelog_sub v = {.stream = stream, .job = w->job, .volunteer = w->n[0].id, .hops = 200};
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, 256);
	livelog_sub_encode(&v, &b);
	livelog_input(w->n[to].l, number(from), MSG_LOG_SUB, b.data, b.len, w->now_ms);
}

static void test_ceilings(void)
{
	struct world w;
	world_init(&w);
	grow(&w, 10, false);
	const uint64_t parity = memcmp(&w.n[1].id, &w.n[0].id, 32) > 0;
	for (uint64_t i = 1; i <= 500; i++)
		sub_from(&w, 1, 0, 2 * i + parity);
	INTEQ(livelog_stats(w.n[0].l)->refused, 500 - LIVELOG_PER_PEER_MAX);
	sub_from(&w, 1, 0, 2 + parity);
	sub_from(&w, 1, 0, 3 + parity);
	INTEQ(livelog_stats(w.n[0].l)->malformed, 2); /* a number in use, one of the other's */
	unsigned taken = 0;
	for (unsigned i = 0; i < 2 * LIVELOG_STREAMS_MAX; i++)
		taken += subscribe(&w, 3, 0) != 0;
	INTEQ(taken, LIVELOG_STREAMS_MAX);
	run(&w);
	OK(w.n[3].lost >= LIVELOG_STREAMS_MAX - LIVELOG_PER_PEER_MAX && w.n[3].why == LIVELOG_END_REFUSED, "more than a peer takes are refused");
	for (unsigned i = 0; i < LIVELOG_ROUTES_MAX + 100; i++) {
		struct id32 job = {{(uint8_t)i, (uint8_t)(i >> 8), 77}};
		livelog_route(w.n[3].l, &job, &w.n[0].id, number(2), w.now_ms);
	}
	w.n[3].is_wrong = false; /* many readers share the counters here */
	world_release(&w);
}

/* Node 0 is played by hand: 2 reads from it by way of 1. */
static void play_source(struct world *w)
{
	world_init(w);
	w->log_len = LOG_MAX;
	unlink_nodes(w, 0, 1);
	livelog_peer_open(w->n[1].l, number(0), &w->n[0].id);
	subscribe(w, 2, 0);
	run(w);
}

static void play_chunk(struct world *w, uint64_t offset, size_t len)
{
	struct livelog_chunk chunk = {.stream = 2 + (memcmp(&w->n[1].id, &w->n[0].id, 32) > 0), .offset = offset, .bytes = w->log + offset, .len = len};
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, 20000);
	livelog_signed_bytes("main", &w->job, &chunk, &b);
	crypto_sign_detached(chunk.signature, NULL, b.data, b.len, w->n[0].secret);
	buf_reset(&b);
	livelog_chunk_encode(&chunk, &b);
	livelog_input(w->n[1].l, number(0), MSG_LOG_DATA, b.data, b.len, w->now_ms);
	run(w);
}

/* A source that sends what it must not: older bytes, more than the window, more than the rate, data nobody asked for. */
static void test_malformed(void)
{
	struct world w;
	static const uint8_t bad[][6] = {{0xc0}, {0x90}, {0x91, 0x00}, {0x92, 0xa1, 0x61, 0x00}, {0xdd, 0xff, 0xff, 0xff, 0xff}, {0x80}};
	static const enum session_message types[] = {MSG_LOG_SUB, MSG_LOG_DATA, MSG_LOG_END, MSG_LOG_MORE};
	world_init(&w);
	for (size_t t = 0; t < ARRAY_LEN(types); t++)
		for (size_t i = 0; i < ARRAY_LEN(bad); i++)
			livelog_input(w.n[1].l, number(0), types[t], bad[i], sizeof bad[i], w.now_ms);
	INTEQ(livelog_stats(w.n[1].l)->malformed, ARRAY_LEN(types) * ARRAY_LEN(bad));
	world_release(&w);

	static const struct { uint64_t offsets[5]; size_t len, taken; const char *what; } cases[] = {
		{{100, 50}, 50, 50, "bytes again"},
		{{0, 8192, 16384, 24576, 32768}, 8192, 3 * 8192, "more than the window"},
	};
	for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
		play_source(&w);
		w.n[2].is_deaf = true; /* confirms nothing, so that the window of 1 fills */
		for (size_t i = 0; i < ARRAY_LEN(cases[c].offsets) && (i < 2 || cases[c].offsets[i]); i++)
			play_chunk(&w, cases[c].offsets[i], cases[c].len);
		OK(w.n[2].lost == 1 && livelog_stats(w.n[1].l)->malformed == 1 && w.n[2].got == cases[c].taken, "%s (%llu taken)", cases[c].what,
		   (unsigned long long)w.n[2].got);
		world_release(&w);
	}
	play_source(&w);
	const unsigned burst = 2 * LIVELOG_RATE / LIVELOG_CHUNK_COST_MIN;
	for (unsigned i = 0; i < burst + 1; i++)
		play_chunk(&w, i, 1);
	OK(w.n[2].got == burst && livelog_stats(w.n[1].l)->malformed == 1 && w.n[2].lost == 1, "more than the rate, byte by byte (%llu taken)",
	   (unsigned long long)w.n[2].got);
	world_release(&w);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_chain(1);
	test_chain(2);
	test_chain(3);
	test_rate();
	test_false();
	test_ways();
	test_ceilings();
	test_malformed();
	return tap_done();
}
