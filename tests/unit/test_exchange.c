/* Exchange: sizes, bad sources, forwarding, serving, floods, malformed messages. The nodes and what lies between them are exchange_world's. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/exchange_impl.h"
#include "proto/base/cleanup.h"
#include "tests/unit/exchange_world.h"
#include "tests/unit/tap.h"

static void test_sizes(void)
{
	static const size_t sizes[] = {0, 1, 16383, 16384, 16385, 1 << 20, 16 << 20};
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct world w;
		char what[64];
		world_init(&w, sizes[i]);
		w.n[1].has_blob = true;
		link_nodes(&w, 0, 1);
		want(&w, 0);
		run(&w);
		snprintf(what, sizeof what, "%zu bytes", sizes[i]);
		expect(&w, 0, true, what);
		INTEQ(exchange_stats(w.n[0].e)->bytes_in, sizes[i]);
		world_release(&w);
	}
	struct world w;
	world_init(&w, 10);
	link_nodes(&w, 0, 1);
	w.ref.size = EXCHANGE_SIZE_MAX + 1;
	INTEQ(exchange_want(w.n[0].e, &w.ref, 0, 0), 0);
	exchange_offer(w.n[1].e, number(0), &w.ref);
	const struct exchange_get get = {.stream = 2, .ref = w.ref, .until = 1}; /* node 1 is the higher: the other takes even numbers */
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, 4096);
	exchange_get_encode(&get, &b);
	exchange_input(w.n[1].e, number(0), MSG_BLOB_GET, b.data, b.len, w.now_ms);
	run(&w);
	OK(!w.n[0].offered && exchange_stats(w.n[0].e)->refused == 1 && !w.n[1].opens && exchange_stats(w.n[1].e)->refused == 1,
	   "over the cap: neither wanted, offered nor served");
	w.ref.size = 0;
	want(&w, 0);
	run(&w);
	OK(w.n[0].failed == 1 && w.n[0].why == EXCHANGE_END_FALSE, "an empty blob with another root is false");
	world_release(&w);
}

/* Whatever a source does in the middle, the next goes on at the verified leaf. */
static void test_bad_sources(void)
{
	static const struct { enum spoil spoil; const char *what; } cases[] = {
		{SPOIL_BYTES, "wrong bytes"}, {SPOIL_PATH, "wrong path"}, {SPOIL_INDEX, "wrong index"}, {SPOIL_SHORT, "a short leaf"},
		{SPOIL_GARBAGE, "garbage"}, {SPOIL_SILENT, "silence"}, {SPOIL_HANG_UP, "hanging up"},
	};
	for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
		struct world w;
		world_init(&w, 10 * MERKLE_LEAF_LEN + 5);
		w.ref.author = w.n[1].id; /* asked first */
		w.n[1].has_blob = w.n[2].has_blob = i < ARRAY_LEN(cases);
		w.n[1].has_blob = true;
		w.n[1].spoil = cases[i % ARRAY_LEN(cases)].spoil;
		w.n[1].spoil_after = 4;
		link_nodes(&w, 0, 1);
		link_nodes(&w, 0, 2);
		want(&w, 0);
		run(&w);
		if (w.n[1].spoil == SPOIL_SILENT) {
			pass(&w, EXCHANGE_STALL_MS - 1);
			OK(!w.n[2].opens, "silence is borne until the limit");
			pass(&w, 1);
			INTEQ(exchange_stats(w.n[0].e)->stalls, 1);
		}
		expect(&w, 0, i < ARRAY_LEN(cases), cases[i % ARRAY_LEN(cases)].what);
		if (i < ARRAY_LEN(cases))
			OK(w.n[2].data_out == 7 && w.n[0].gets_out == 2, "the other sent only what was missing (%u)", w.n[2].data_out);
		world_release(&w);
	}
	struct world w; /* the same source, single leaf, path that is too long */
	world_init(&w, 100);
	w.n[1].has_blob = true;
	w.n[1].spoil = SPOIL_PATH;
	link_nodes(&w, 0, 1);
	want(&w, 0);
	run(&w);
	expect(&w, 0, false, "a path where none belongs");
	INTEQ(w.n[0].why, EXCHANGE_END_FALSE);
	world_release(&w);
}

static void test_relay(void)
{
	struct world w;
	world_init(&w, 100 * MERKLE_LEAF_LEN);
	w.n[2].has_blob = true;
	link_nodes(&w, 0, 1);
	link_nodes(&w, 1, 2);
	want(&w, 0);
	w.blocked[1][0] = true;
	run(&w);
	INTEQ(w.n[1].data_in, EXCHANGE_RELAY_WINDOW);
	pass(&w, EXCHANGE_RELAY_STALL_MS);
	INTEQ(exchange_stats(w.n[1].e)->stalls, 0); /* the source was not allowed more */
	w.blocked[1][0] = false;
	run(&w);
	expect(&w, 0, true, "one hop");
	INTEQ(exchange_stats(w.n[1].e)->relayed, 100);
	world_release(&w);

	world_init(&w, 100);
	w.n[3].has_blob = true;
	link_nodes(&w, 0, 1);
	link_nodes(&w, 1, 2);
	link_nodes(&w, 2, 3);
	want(&w, 0);
	run(&w);
	expect(&w, 0, false, "never two hops");
	OK(!w.n[3].opens && w.n[0].why == EXCHANGE_END_NOT_FOUND, "who is two hops away is not asked");
	OK(!w.n[0].opens, "nor is who asks");
	world_release(&w);

	world_init(&w, 50 * MERKLE_LEAF_LEN); /* a liar behind the hop is found out there, and the next asked */
	w.n[2].has_blob = w.n[3].has_blob = true;
	w.ref.author = w.n[2].id;
	w.n[2].spoil = SPOIL_BYTES;
	w.n[2].spoil_after = 20;
	link_nodes(&w, 0, 1);
	link_nodes(&w, 1, 2);
	link_nodes(&w, 1, 3);
	want(&w, 0);
	run(&w);
	expect(&w, 0, true, "a liar behind the hop");
	OK(exchange_stats(w.n[1].e)->false_data == 1 && !exchange_stats(w.n[0].e)->false_data && w.n[0].gets_out == 1, "the hop is not blamed for it");
	world_release(&w);

	world_init(&w, 100 * MERKLE_LEAF_LEN); /* the asker goes */
	w.n[2].has_blob = true;
	link_nodes(&w, 0, 1);
	link_nodes(&w, 1, 2);
	want(&w, 0);
	w.blocked[1][0] = true;
	run(&w);
	INTEQ(w.n[2].opens - w.n[2].closes, 1);
	unlink_nodes(&w, 0, 1);
	run(&w);
	expect(&w, 0, false, "the asker goes");
	OK(w.n[2].closes == 1 && w.n[2].data_out < 100, "the source was told");
	world_release(&w);

	world_init(&w, 100 * MERKLE_LEAF_LEN); /* an asker that takes nothing */
	w.n[2].has_blob = true;
	link_nodes(&w, 0, 1);
	link_nodes(&w, 1, 2);
	want(&w, 0);
	w.blocked[1][0] = true;
	run(&w);
	exchange_cancel(w.n[0].e, w.n[0].last_want);
	unsigned passed = 0;
	for (; passed < 40 && w.n[2].closes == 0; passed++)
		pass(&w, 1000);
	OK(w.n[2].closes == 1 && !w.n[0].done && !w.n[0].failed, "a want that is cancelled cancels upstream, and says nothing more");
	world_release(&w);
}

/* A true leaf that the source was not allowed to send yet: a hop that took it would hold more than it said. */
static void test_window(void)
{
	struct world w;
	world_init(&w, 100 * MERKLE_LEAF_LEN);
	w.n[2].has_blob = true;
	link_nodes(&w, 0, 1);
	link_nodes(&w, 1, 2);
	want(&w, 0);
	w.blocked[1][0] = true;
	run(&w);
	CLEANUP(cleanup_free) struct merkle_hash *nodes = calloc(merkle_tree_len(w.leaves_len), sizeof *nodes);
	CLEANUP(buf_release) struct buf b;
	if (!nodes)
		abort();
	memcpy(nodes, w.leaves, w.leaves_len * sizeof *nodes);
	merkle_build(nodes, w.leaves_len);
	struct exchange_leaf leaf = {.stream = 2, .index = EXCHANGE_RELAY_WINDOW, .bytes = w.blob + EXCHANGE_RELAY_WINDOW * MERKLE_LEAF_LEN,
				     .len = MERKLE_LEAF_LEN};
	leaf.path_len = merkle_path(nodes, w.leaves_len, EXCHANGE_RELAY_WINDOW, leaf.path);
	buf_init(&b, SESSION_MESSAGE_MAX);
	exchange_leaf_encode(&leaf, &b);
	exchange_input(w.n[1].e, number(2), MSG_BLOB_DATA, b.data, b.len, w.now_ms);
	run(&w);
	INTEQ(exchange_stats(w.n[1].e)->false_data, 1);
	INTEQ(w.n[2].closes, 1);
	world_release(&w);
}

/* Sixteen wants whose refs claim 16 MiB each: memory comes with the leaves. */
static void test_memory(void)
{
	struct world w;
	size_t held = 0;
	world_init(&w, EXCHANGE_SIZE_MAX);
	w.n[1].has_blob = true;
	w.n[1].spoil = SPOIL_SILENT;
	w.n[1].spoil_after = 1; /* one leaf in all */
	link_nodes(&w, 0, 1);
	for (size_t i = 0; i < EXCHANGE_WANTS_MAX; i++) {
		w.ref.result.b[0] = (uint8_t)i;
		want(&w, 0);
	}
	OK(w.n[0].last_want && !exchange_want(w.n[0].e, &(struct exchange_ref){.size = 1}, 0, w.now_ms), "so many wants and no more");
	run(&w);
	for (size_t i = 0; i < EXCHANGE_WANTS_MAX; i++)
		held += w.n[0].e->wants[i].bytes.cap;
	OK(held >= MERKLE_LEAF_LEN && held <= 2 * MERKLE_LEAF_LEN, "wants of 256 MiB hold what came: %zu bytes for one leaf", held);
	pass(&w, EXCHANGE_STALL_MS);
	INTEQ(w.n[0].failed, EXCHANGE_WANTS_MAX);
	held = 0;
	for (size_t i = 0; i < EXCHANGE_WANTS_MAX; i++)
		held += w.n[0].e->wants[i].bytes.cap;
	INTEQ(held, 0);
	world_release(&w);
}

static void test_serving(void)
{
	struct world w;
	world_init(&w, 30 * MERKLE_LEAF_LEN);
	w.n[1].has_blob = w.n[1].is_slow = true;
	link_nodes(&w, 0, 1);
	want(&w, 0);
	const uint32_t again = exchange_want(w.n[0].e, &w.ref, 0, w.now_ms);
	INTEQ(again, w.n[0].last_want);
	run(&w);
	unlink_nodes(&w, 0, 1); /* gone while the node opens the file */
	run(&w);
	exchange_opened(w.n[1].e, w.n[1].last_serve, w.blob, w.leaves, w.leaves_len, w.now_ms);
	run(&w);
	OK(w.n[1].opens == 1 && w.n[1].closes == 1 && w.n[0].why == EXCHANGE_END_GONE, "an answer that comes too late is ignored");

	link_nodes(&w, 0, 1);
	want(&w, 0);
	run(&w);
	w.leaves[3].b[0] ^= 1;
	exchange_opened(w.n[1].e, w.n[1].last_serve, w.blob, w.leaves, w.leaves_len, w.now_ms);
	run(&w);
	OK(w.n[1].opens == 2 && w.n[1].closes == 2 && w.n[0].failed == 2 && w.n[0].why == EXCHANGE_END_NOT_FOUND, "leaves of another file");
	want(&w, 0);
	run(&w);
	exchange_opened(w.n[1].e, w.n[1].last_serve, w.blob, w.leaves, 0, w.now_ms);
	run(&w);
	OK(w.n[1].closes == 3 && w.n[0].failed == 3, "no leaves");
	w.leaves[3].b[0] ^= 1;

	w.n[1].is_slow = false;
	w.blocked[1][0] = true; /* takes nothing */
	want(&w, 0);
	run(&w);
	w.now_ms += EXCHANGE_SERVE_STALL_MS;
	exchange_tick(w.n[1].e, w.now_ms);
	run(&w);
	OK(w.n[1].closes == 4 && w.n[0].failed == 4 && w.n[0].why == EXCHANGE_END_STALLED, "an asker that takes nothing is left");

	want(&w, 0);
	run(&w);
	w.blocked[1][0] = false;
	step(&w);
	exchange_cancel(w.n[0].e, w.n[0].last_want);
	run(&w);
	OK(w.n[1].closes == 5 && w.n[0].failed == 4 && !w.n[0].done, "cancelled");
	OK(!exchange_stats(w.n[0].e)->unasked && !exchange_stats(w.n[0].e)->malformed, "what was on its way is nobody's fault");

	w.n[1].has_blob = false;
	w.n[1].is_busy = true;
	link_nodes(&w, 0, 2);
	want(&w, 0);
	run(&w);
	OK(w.n[0].failed == 5 && w.n[0].why == EXCHANGE_END_BUSY, "busy says more than not found");
	world_release(&w);

	world_init(&w, 100); /* an offer, and who offers is asked first */
	w.n[3].has_blob = true;
	for (int i = 1; i < NODES; i++)
		link_nodes(&w, 0, i);
	w.ref.author = w.n[1].id;
	exchange_offer(w.n[3].e, number(0), &w.ref);
	run(&w);
	OK(w.n[0].offered == 1 && w.n[0].offer_from == number(3), "offered");
	exchange_want(w.n[0].e, &w.ref, w.n[0].offer_from, w.now_ms);
	run(&w);
	expect(&w, 0, true, "taken");
	INTEQ(w.n[0].gets_out, 1);
	world_release(&w);
}

static void get_from(struct world *w, int from, int to, uint64_t stream, uint64_t first, uint64_t until)
{
	const struct exchange_get v = {.stream = stream, .ref = w->ref, .first = first, .hops = 200, .until = until};
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, 4096);
	exchange_get_encode(&v, &b);
	exchange_input(w->n[to].e, number(from), MSG_BLOB_GET, b.data, b.len, w->now_ms);
}

static void test_floods(void)
{
	struct world w;
	world_init(&w, 40 * MERKLE_LEAF_LEN);
	link_nodes(&w, 0, 1);
	link_nodes(&w, 1, 2);
	w.n[1].has_blob = true;
	w.blocked[1][0] = true;
	for (uint64_t i = 1; i <= 1000; i++)
		get_from(&w, 0, 1, 2 * i, 0, 40);
	run(&w);
	OK(w.n[1].opens == EXCHANGE_SERVES_PER_PEER && exchange_stats(w.n[1].e)->refused >= 1000 - EXCHANGE_SERVES_PER_PEER,
	   "a flood of GETs opens %u", w.n[1].opens);
	w.n[2].done = 0;
	want(&w, 2);
	run(&w);
	OK(w.n[2].done == 1 && w.n[2].is_right, "another peer is served meanwhile");
	unlink_nodes(&w, 0, 1);
	run(&w);
	INTEQ(w.n[1].opens, w.n[1].closes);

	link_nodes(&w, 0, 1); /* one that nobody has: the rate holds */
	w.n[1].has_blob = false;
	const unsigned before = w.n[1].opens;
	for (uint64_t i = 0; i < 1000; i++) {
		get_from(&w, 0, 1, 4000 + 2 * i, 0, 40);
		run(&w);
	}
	OK(w.n[1].opens - before == EXCHANGE_ASKS_BURST && w.n[1].opens == w.n[1].closes, "asks over the rate are refused (%u taken)", w.n[1].opens - before);
	world_release(&w);
}

/* Messages that are none, and data nobody asked for: counted, nothing else. */
static void test_malformed(void)
{
	struct world w;
	world_init(&w, 3 * MERKLE_LEAF_LEN);
	w.n[1].has_blob = true;
	link_nodes(&w, 0, 1);
	get_from(&w, 0, 1, 3, 0, 3);  /* its own stream number */
	get_from(&w, 0, 1, 2, 3, 3);  /* past the end */
	get_from(&w, 0, 1, 2, 99, 3);
	INTEQ(exchange_stats(w.n[1].e)->malformed, 3);
	get_from(&w, 0, 1, 2, 0, 1);
	get_from(&w, 0, 1, 2, 0, 1); /* twice */
	run(&w);
	OK(exchange_stats(w.n[1].e)->malformed == 4 && w.n[1].data_out == 1, "no more than was allowed is sent (%u)", w.n[1].data_out);
	OK(exchange_stats(w.n[0].e)->unasked == 1, "data of a request that was never made");
	static const uint8_t bad[][6] = {{0xc0}, {0x90}, {0x91, 0x00}, {0x92, 0xa1, 0x61, 0x00}, {0xdd, 0xff, 0xff, 0xff, 0xff}, {0x80}};
	static const enum session_message types[] = {MSG_BLOB_GET, MSG_BLOB_DATA, MSG_BLOB_END, MSG_BLOB_OFFER, MSG_BLOB_MORE};
	for (size_t t = 0; t < ARRAY_LEN(types); t++)
		for (size_t i = 0; i < ARRAY_LEN(bad); i++)
			exchange_input(w.n[1].e, number(0), types[t], bad[i], sizeof bad[i], w.now_ms);
	INTEQ(exchange_stats(w.n[1].e)->malformed, 4 + ARRAY_LEN(types) * ARRAY_LEN(bad));
	exchange_input(w.n[1].e, 77, MSG_BLOB_GET, bad[0], 1, w.now_ms);
	/* trailing elements are ignored */
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, 100);
	buf_append(&b, "\x94\x02\x04\xc0\x91\x01", 6); /* END [2, 4, nil, [1]] */
	exchange_input(w.n[1].e, number(0), MSG_BLOB_END, b.data, b.len, w.now_ms);
	run(&w);
	OK(w.n[1].opens == 1 && w.n[1].closes == 1, "an END that has grown ends");
	want(&w, 0);
	run(&w);
	OK(w.n[0].done == 1 && w.n[0].is_right, "and all goes on");
	world_release(&w);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_sizes();
	test_bad_sources();
	test_relay();
	test_window();
	test_memory();
	test_serving();
	test_floods();
	test_malformed();
	return tap_done();
}
