#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/gossip.h"
#include "p2p/gossip_wire.h"
#include "proto/base/cleanup.h"
#include "proto/idmap.h"
#include "proto/mp.h"
#include "tests/unit/samples.h"
#include "tests/unit/tap.h"

/* Engines joined by an in-test router: what one sends the other gets at once, unless `lose` says otherwise. Node i knows node j as
 * peer j + 1. */
#define NODES_MAX 5
enum verdict { ADMIT, REFUSE, UNPROVEN, POSTPONE, SILENT };

struct stored { struct id32 id; struct record *record; };
struct node {
	struct gossip *g;
	struct idmap store;
	enum verdict verdict; /* on what is offered */
	unsigned offers, answers, copies; /* OFFER; LOOKUP; RECORD messages that came */
	unsigned sent[256];
	size_t bytes_out;
	bool is_mute;         /* answers no LOOKUP */
	struct id32 last_offer;
};
struct net {
	struct node nodes[NODES_MAX];
	size_t len;
	bool linked[NODES_MAX][NODES_MAX];
	unsigned lose; /* one message in so many; 0: none */
	unsigned count;
	uint64_t now_ms;
	unsigned malformed;
	size_t newer; /* this node + 1 writes a trailing element into every message; 0: none */
};
#define UNIX_MS SAMPLE_CREATED_MS

static struct id32 topic_a = {{1}}, topic_b = {{2}};

static struct record *make_kind(uint32_t kind, unsigned number, const struct id32 *topic, size_t body_len)
{
	static struct sample_key author;
	if (!author.secret[0])
		sample_key_init(&author, 9);
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, 1 << 14);
	mp_put_array(&body, 1);
	CLEANUP(cleanup_free) uint8_t *filler = calloc(1, body_len + 1);
	mp_put_bin(&body, filler, body_len);
	const struct record_fields f = {.kind = kind, .topic = *topic, .created_ms = UNIX_MS + number % 7, .sequence = number, .body = body.data,
					.body_len = body.len, .key = (const uint8_t *)&number, .key_len = sizeof number,
					.expires_ms = record_kind_lifetime_ms(kind) ? 0 : UNIX_MS + number % 7 + DAY_MS};
	struct record *r = NULL;
	struct err err = {0};
	if (record_sign(&f, author.secret, SAMPLE_NETWORK, &r, &err)) {
		OK(false, "sign: %s", err.what);
		abort();
	}
	return r;
}

static struct record *make(unsigned number) { return make_kind(RECORD_JOB, number, &topic_a, 10); }

static void net_init(struct net *n, size_t len)
{
	memset(n, 0, sizeof *n);
	n->len = len;
	n->now_ms = 1000;
	for (size_t i = 0; i < len; i++) {
		uint8_t seed[32] = {(uint8_t)i, 77};
		n->nodes[i].g = gossip_new(seed);
		idmap_init(&n->nodes[i].store, 1000000, seed);
		gossip_follow(n->nodes[i].g, &topic_a);
		gossip_tick(n->nodes[i].g, n->now_ms, UNIX_MS + n->now_ms);
	}
}

static void net_release(struct net *n)
{
	for (size_t i = 0; i < n->len; i++) {
		struct stored *s;
		for (size_t at = 0; (s = idmap_next(&n->nodes[i].store, &at));) {
			record_unref(s->record);
			free(s);
		}
		idmap_release(&n->nodes[i].store);
		gossip_free(n->nodes[i].g);
	}
}

static bool keep(struct node *node, struct record *r)
{
	if (idmap_get(&node->store, record_id(r)))
		return false;
	struct stored *s = malloc(sizeof *s);
	*s = (struct stored){*record_id(r), record_ref(r)};
	return idmap_put(&node->store, s);
}

/* Held from the start. */
static void load(struct net *n, size_t i, struct record *r)
{
	const struct recset_item item = {.expires_ms = record_get(r)->expires_ms, .id = *record_id(r)};
	if (keep(&n->nodes[i], r))
		gossip_load(n->nodes[i].g, &record_get(r)->topic, record_get(r)->kind, &item);
}

static void publish(struct net *n, size_t i, struct record *r)
{
	keep(&n->nodes[i], r);
	gossip_admitted(n->nodes[i].g, r, 0, n->now_ms);
}

static void on_offer(struct net *n, struct node *node, const struct gossip_action *a)
{
	struct record *r = NULL;
	struct err err;
	node->offers++;
	node->last_offer = a->id;
	const bool is_bad = record_open(a->bytes, a->len, a->signature, SAMPLE_NETWORK, &r, NULL, &err);
	if (is_bad || node->verdict == UNPROVEN) {
		gossip_unproven(node->g, &a->id, n->now_ms);
	} else if (node->verdict == REFUSE) {
		gossip_refused(node->g, &a->id);
	} else if (node->verdict == POSTPONE) {
		gossip_postponed(node->g, &a->id, n->now_ms);
	} else if (node->verdict == ADMIT) {
		keep(node, r);
		gossip_admitted(node->g, r, a->peer, n->now_ms);
	}
	record_unref(r);
}

static void on_lookup(struct node *node, const struct gossip_action *a)
{
	struct stored *s = idmap_get(&node->store, &a->id);
	node->answers++;
	if (node->is_mute)
		return;
	if (s)
		gossip_found(node->g, a->peer, s->record);
	else
		gossip_not_found(node->g, a->peer, &a->id);
}

static void carry(struct net *n, size_t from, const struct gossip_action *a)
{
	const size_t to = a->peer - 1;
	n->nodes[from].sent[a->message]++;
	n->nodes[from].bytes_out += a->len;
	n->count = n->count * 1664525u + 1013904223u;
	if (n->lose && (n->count >> 16) % n->lose == 0)
		return;
	if (!n->linked[from][to])
		return;
	n->nodes[to].copies += a->message == MSG_RECORD;
	CLEANUP(cleanup_free) uint8_t *bytes = malloc(a->len + 3);
	memcpy(bytes, a->bytes, a->len);
	size_t len = a->len;
	if (n->newer == from + 1) { /* an array of one more: [7] */
		bytes[0]++;
		bytes[len++] = 0x91;
		bytes[len++] = 7;
	}
	if (!gossip_input(n->nodes[to].g, (uint32_t)from + 1, a->message, bytes, len, n->now_ms))
		n->malformed++;
}

static void settle(struct net *n)
{
	for (bool moved = true; moved;) {
		moved = false;
		for (size_t i = 0; i < n->len; i++) {
			struct gossip_action a;
			while (gossip_next(n->nodes[i].g, &a)) {
				moved = true;
				if (a.type == GOSSIP_SEND)
					carry(n, i, &a);
				else if (a.type == GOSSIP_OFFER)
					on_offer(n, &n->nodes[i], &a);
				else
					on_lookup(&n->nodes[i], &a);
			}
		}
	}
}

/* Time passes, event by event. */
static void run(struct net *n, uint64_t ms)
{
	const uint64_t end = n->now_ms + ms;
	for (;;) {
		settle(n);
		uint64_t next = end;
		for (size_t i = 0; i < n->len; i++) {
			const uint64_t at = gossip_tick(n->nodes[i].g, n->now_ms, UNIX_MS + n->now_ms);
			settle(n);
			next = at < next ? at : next;
		}
		if (n->now_ms >= end)
			break;
		n->now_ms = next > n->now_ms ? next : n->now_ms + 1;
	}
}

static struct session_hello hello_of(const struct net *n, size_t i)
{
	(void)n, (void)i;
	struct session_hello h = {.version_min = 1, .version_max = 1, .kinds = {1, 2, 3, 4, 5, 6}, .kinds_len = 6, .topics = {topic_a}, .topics_len = 1};
	return h;
}

static void link_as(struct net *n, size_t a, size_t b, const struct session_hello *of_a, const struct session_hello *of_b)
{
	n->linked[a][b] = n->linked[b][a] = true;
	OK(gossip_peer_open(n->nodes[a].g, (uint32_t)b + 1, of_b, false, true, n->now_ms) &&
	   gossip_peer_open(n->nodes[b].g, (uint32_t)a + 1, of_a, false, false, n->now_ms), "%zu and %zu meet", a, b);
}

static void link_up(struct net *n, size_t a, size_t b)
{
	const struct session_hello h = hello_of(n, a);
	link_as(n, a, b, &h, &h);
}

static void unlink_them(struct net *n, size_t a, size_t b)
{
	n->linked[a][b] = n->linked[b][a] = false;
	gossip_peer_close(n->nodes[a].g, (uint32_t)b + 1, n->now_ms);
	gossip_peer_close(n->nodes[b].g, (uint32_t)a + 1, n->now_ms);
}

static size_t held(const struct net *n, size_t i) { return gossip_count(n->nodes[i].g, &topic_a, RECORD_JOB); }

static void test_relay(void)
{
	struct net n;
	net_init(&n, 3);
	link_up(&n, 0, 1);
	link_up(&n, 1, 2);
	run(&n, 10);
	CLEANUP(record_unrefp) struct record *r = make(1);
	publish(&n, 0, r);
	run(&n, 200);
	OK(held(&n, 1) == 1 && held(&n, 2) == 1, "a record reaches the one behind");
	OK(n.nodes[1].copies == 1 && n.nodes[2].copies == 1 && n.nodes[0].copies == 0, "one copy each");
	CLEANUP(record_unrefp) struct record *large = make_kind(RECORD_JOB, 2, &topic_a, 3000);
	publish(&n, 0, large);
	run(&n, 200);
	OK(held(&n, 2) == 2 && n.nodes[0].sent[MSG_HAVE] == 1 && n.nodes[1].sent[MSG_GET] == 1, "a long one is announced, then asked for");
	n.nodes[1].verdict = REFUSE;
	CLEANUP(record_unrefp) struct record *bad = make(3);
	publish(&n, 0, bad);
	run(&n, 300000);
	OK(held(&n, 2) == 2 && n.nodes[1].offers == 3, "what is refused is not relayed, nor asked for again (%u)", n.nodes[1].offers);
	n.nodes[1].verdict = ADMIT;
	run(&n, 700000);
	INTEQ(held(&n, 2), 3);
	net_release(&n);
}

static void test_copies(void)
{
	struct net n;
	net_init(&n, 5);
	for (size_t a = 0; a < 5; a++)
		for (size_t b = a + 1; b < 5; b++)
			link_up(&n, a, b);
	run(&n, 100);
	unsigned copies = 0, all = 0;
	for (unsigned i = 0; i < 50; i++) {
		CLEANUP(record_unrefp) struct record *r = make(i);
		publish(&n, i % 5, r);
		run(&n, 100);
	}
	for (size_t i = 0; i < 5; i++) {
		copies += n.nodes[i].copies;
		all += held(&n, i) == 50;
	}
	INTEQ(all, 5);
	OK(copies <= 50 * 5 * GOSSIP_EAGER_PEERS, "no more copies than each node sends to two (%u)", copies);
	net_release(&n);
}

/* What differs on both sides, and the union after the connection. */
static void test_repair(unsigned only_a, unsigned only_b, unsigned common, uint64_t ms)
{
	struct net n;
	net_init(&n, 2);
	for (unsigned i = 0; i < only_a + only_b + common; i++) {
		CLEANUP(record_unrefp) struct record *r = make(i);
		if (i < only_a + common)
			load(&n, 0, r);
		if (i < common || i >= only_a + common)
			load(&n, 1, r);
	}
	link_up(&n, 0, 1);
	run(&n, ms);
	const size_t all = only_a + only_b + common;
	OK(held(&n, 0) == all && held(&n, 1) == all, "%u and %u beside %u: %zu and %zu after %u ms, %zu bytes", only_a, only_b, common, held(&n, 0),
	   held(&n, 1), (unsigned)ms, n.nodes[0].bytes_out + n.nodes[1].bytes_out);
	OK(n.nodes[0].copies == only_b && n.nodes[1].copies == only_a, "and each was sent once");
	const size_t before = n.nodes[0].bytes_out + n.nodes[1].bytes_out;
	run(&n, 600000);
	const size_t quiet = n.nodes[0].bytes_out + n.nodes[1].bytes_out - before;
	OK(quiet < 90000, "in sync: %zu bytes in ten minutes", quiet);
	net_release(&n);
}

static void test_sources(void)
{
	struct net n;
	net_init(&n, 3);
	link_up(&n, 0, 1);
	link_up(&n, 0, 2);
	run(&n, 70000);
	CLEANUP(record_unrefp) struct record *r = make_kind(RECORD_JOB, 5, &topic_a, 2000);
	n.nodes[1].is_mute = n.nodes[2].is_mute = true;
	keep(&n.nodes[1], r);
	keep(&n.nodes[2], r);
	struct buf have;
	buf_init(&have, 1000);
	gossip_ids_encode(&topic_a, record_id(r), 1, &have);
	gossip_input(n.nodes[0].g, 2, MSG_HAVE, have.data, have.len, n.now_ms);
	gossip_input(n.nodes[0].g, 3, MSG_HAVE, have.data, have.len, n.now_ms);
	settle(&n);
	OK(n.nodes[1].answers + n.nodes[2].answers == 1, "one is asked");
	n.nodes[1].is_mute = n.nodes[2].is_mute = false;
	run(&n, GOSSIP_GET_MS - 10);
	INTEQ(n.nodes[1].answers + n.nodes[2].answers, 1);
	run(&n, 20);
	OK(n.nodes[1].answers == 1 && n.nodes[2].answers == 1 && held(&n, 0) == 1, "after 400 ms the other");

	const struct id32 nowhere = {{9, 9}};
	buf_reset(&have);
	gossip_ids_encode(&topic_a, &nowhere, 1, &have);
	gossip_input(n.nodes[0].g, 2, MSG_HAVE, have.data, have.len, n.now_ms);
	gossip_input(n.nodes[0].g, 3, MSG_HAVE, have.data, have.len, n.now_ms);
	settle(&n);
	OK(n.nodes[1].answers == 2 && n.nodes[2].answers == 2, "not found: the other at once");
	buf_release(&have);

	CLEANUP(record_unrefp) struct record *dependency = make(6);
	keep(&n.nodes[2], dependency);
	gossip_want(n.nodes[0].g, record_id(dependency), 2, n.now_ms);
	run(&n, 10);
	OK(held(&n, 0) == 2, "a dependency is asked of the one, then of the others");

	CLEANUP(record_unrefp) struct record *vanished = make(7);
	n.nodes[1].is_mute = true;
	keep(&n.nodes[1], vanished);
	keep(&n.nodes[2], vanished);
	gossip_want(n.nodes[0].g, record_id(vanished), 2, n.now_ms);
	settle(&n);
	unlink_them(&n, 0, 1);
	settle(&n);
	OK(held(&n, 0) == 3, "the peer vanishes while it is asked: the others are");
	net_release(&n);
}

static void test_judging(void)
{
	struct net n;
	net_init(&n, 3);
	link_up(&n, 0, 1);
	link_up(&n, 0, 2);
	run(&n, 10);
	n.nodes[0].verdict = SILENT;
	CLEANUP(record_unrefp) struct record *r = make(1);
	publish(&n, 1, r);
	publish(&n, 2, r);
	run(&n, 5000);
	INTEQ(n.nodes[0].offers, 1); /* while intake thinks */
	n.nodes[0].verdict = ADMIT;
	gossip_unproven(n.nodes[0].g, record_id(r), n.now_ms);
	run(&n, 10);
	OK(n.nodes[0].offers == 2 && held(&n, 0) == 1, "not genuine: the other is asked");

	CLEANUP(record_unrefp) struct record *later = make(2);
	n.nodes[0].verdict = POSTPONE;
	publish(&n, 1, later);
	run(&n, 100);
	n.nodes[0].verdict = ADMIT;
	INTEQ(held(&n, 0), 1);
	run(&n, GOSSIP_LATER_FIRST_MS + 100);
	OK(held(&n, 0) == 2, "no room at the moment: asked for again");

	n.nodes[0].verdict = REFUSE;
	CLEANUP(record_unrefp) struct record *parked = make(3);
	publish(&n, 1, parked);
	run(&n, 100);
	keep(&n.nodes[0], parked);
	gossip_admitted(n.nodes[0].g, parked, 2, n.now_ms);
	run(&n, 100);
	OK(held(&n, 0) == 3 && held(&n, 2) == 3, "what was parked spreads when it is taken");
	gossip_dropped(n.nodes[0].g, record_id(parked));
	const unsigned offers = n.nodes[0].offers;
	run(&n, 120000);
	OK(held(&n, 0) == 2 && n.nodes[0].offers == offers, "what was dropped is not fetched again at once");
	net_release(&n);
}

static void test_loss(void)
{
	struct net n;
	net_init(&n, 3);
	link_up(&n, 0, 1);
	link_up(&n, 1, 2);
	n.lose = 3;
	for (unsigned i = 0; i < 300; i++) {
		CLEANUP(record_unrefp) struct record *r = make(i);
		publish(&n, i % 3, r);
		run(&n, 20);
	}
	run(&n, 300000);
	OK(held(&n, 0) == 300 && held(&n, 1) == 300 && held(&n, 2) == 300, "every third message lost: %zu %zu %zu", held(&n, 0), held(&n, 1), held(&n, 2));
	net_release(&n);
}

/* PROTOCOL 14.5: N and N+1. The newer one has a kind more and writes an element more into every message. */
static void test_newer(bool newer_calls)
{
	struct net n;
	net_init(&n, 2);
	n.newer = 1;
	OK(gossip_carry(n.nodes[0].g, 99), "an extra kind");
	CLEANUP(record_unrefp) struct record *before = make_kind(99, 1, &topic_a, 5), *after = make_kind(99, 2, &topic_a, 5);
	load(&n, 0, before);
	for (unsigned i = 10; i < 110; i++) {
		CLEANUP(record_unrefp) struct record *r = make(i);
		load(&n, i % 2, r);
	}
	const struct session_hello ours = hello_of(&n, 1);
	struct session_hello newer = ours;
	newer.version_max = 2;
	newer.kinds[newer.kinds_len++] = 99;
	if (newer_calls)
		link_as(&n, 0, 1, &newer, &ours);
	else
		link_as(&n, 1, 0, &ours, &newer);
	run(&n, 1000);
	OK(held(&n, 0) == 100 && held(&n, 1) == 100, "repair meets: %zu, %zu", held(&n, 0), held(&n, 1));
	publish(&n, 0, after);
	for (unsigned i = 0; i < 4; i++) {
		CLEANUP(record_unrefp) struct record *r = make_kind(RECORD_JOB, i, &topic_a, i < 2 ? 5 : 2000);
		publish(&n, i % 2, r);
	}
	run(&n, 100000);
	OK(held(&n, 0) == 104 && held(&n, 1) == 104 && !n.malformed, "so does what is new, short or long");
	OK(n.nodes[1].copies == 52 && !gossip_stats(n.nodes[1].g)->faults[GOSSIP_FAULT_KIND], "kinds that it does not name are neither sent nor compared");
	net_release(&n);
}

static void test_topics(void)
{
	struct net n;
	net_init(&n, 2);
	CLEANUP(record_unrefp) struct record *r = make_kind(RECORD_JOB, 1, &topic_b, 5);
	gossip_follow(n.nodes[0].g, &topic_b);
	load(&n, 0, r);
	const struct session_hello plain = hello_of(&n, 1);
	struct session_hello both = plain;
	both.topics[both.topics_len++] = topic_b;
	link_as(&n, 0, 1, &both, &plain);
	run(&n, 1000);
	gossip_follow(n.nodes[1].g, &topic_b);
	struct buf b;
	buf_init(&b, 1000);
	gossip_topics_encode(both.topics, both.topics_len, &b);
	gossip_input(n.nodes[0].g, 2, MSG_TOPICS, b.data, b.len, n.now_ms);
	run(&n, 100);
	INTEQ(gossip_count(n.nodes[1].g, &topic_b, RECORD_JOB), 1);
	gossip_unfollow(n.nodes[1].g, &topic_b);
	INTEQ(gossip_count(n.nodes[1].g, &topic_b, RECORD_JOB), 0);
	CLEANUP(record_unrefp) struct record *again = make_kind(RECORD_JOB, 2, &topic_b, 5);
	publish(&n, 0, again);
	run(&n, 100);
	INTEQ(gossip_stats(n.nodes[1].g)->faults[GOSSIP_FAULT_TOPIC], 1);
	buf_release(&b);
	net_release(&n);
}

static void test_floods(void)
{
	struct net n;
	net_init(&n, 1);
	const struct session_hello h = hello_of(&n, 0);
	gossip_peer_open(n.nodes[0].g, 2, &h, false, false, n.now_ms);
	struct buf b;
	buf_init(&b, 1 << 15);
	for (unsigned i = 0; i < GOSSIP_UNASKED_BURST + 100; i++) {
		CLEANUP(record_unrefp) struct record *r = make(i);
		struct gossip_record v = {.signature = record_signature(r)};
		v.bytes = record_bytes(r, &v.len);
		buf_reset(&b);
		gossip_record_encode(&v, &b);
		gossip_input(n.nodes[0].g, 2, MSG_RECORD, b.data, b.len, n.now_ms);
		settle(&n);
	}
	INTEQ(held(&n, 0), GOSSIP_UNASKED_BURST);
	INTEQ(gossip_peer_stats(n.nodes[0].g, 2)->faults[GOSSIP_FAULT_RATE], 100);
	static const uint8_t bad[][4] = {{0xc1}, {0x90}, {0x91, 0x01}, {0xdd, 0xff, 0xff, 0xff}};
	static const enum session_message types[] = {MSG_HAVE, MSG_GET, MSG_RECORD, MSG_NOT_FOUND, MSG_RECONCILE, MSG_TOPICS};
	unsigned refused = 0;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		for (size_t k = 0; k < ARRAY_LEN(bad); k++)
			refused += !gossip_input(n.nodes[0].g, 2, types[i], bad[k], k ? k == 1 ? 1 : k == 2 ? 2 : 4 : 1, n.now_ms);
	INTEQ(refused, 24);
	INTEQ(gossip_peer_stats(n.nodes[0].g, 2)->faults[GOSSIP_FAULT_MALFORMED], 24);
	for (unsigned i = 0; i < 100; i++) { /* ids that nobody has */
		struct id32 ids[GOSSIP_IDS_MAX];
		randombytes_buf_deterministic(ids, sizeof ids, (const uint8_t[32]){(uint8_t)i});
		buf_reset(&b);
		gossip_ids_encode(&topic_a, ids, GOSSIP_IDS_MAX, &b);
		gossip_input(n.nodes[0].g, 2, MSG_HAVE, b.data, b.len, n.now_ms);
		buf_reset(&b);
		gossip_ids_encode(NULL, ids, GOSSIP_IDS_MAX, &b);
		gossip_input(n.nodes[0].g, 2, MSG_GET, b.data, b.len, n.now_ms);
	}
	OK(gossip_stats(n.nodes[0].g)->faults[GOSSIP_FAULT_FULL] >= 100 * 256 - GOSSIP_WANTS_PEER_MAX, "no more than its share is wanted");
	unsigned lookups = 0;
	for (struct gossip_action a; gossip_next(n.nodes[0].g, &a);)
		lookups += a.type == GOSSIP_LOOKUP;
	INTEQ(lookups, GOSSIP_LOOKUPS_MAX);
	buf_release(&b);
	net_release(&n);
}
/* An answer to a comparison that was never begun teaches nothing; every question takes one answer. */
static void test_unasked(void)
{
	struct net n;
	net_init(&n, 3);
	const struct session_hello h = hello_of(&n, 0);
	const struct recset_item item = {.expires_ms = UNIX_MS + DAY_MS, .id = {{42}}};
	struct recset set;
	CLEANUP(buf_release) struct buf message, b;
	buf_init(&message, RECONCILE_MESSAGE_MAX);
	buf_init(&b, 1 << 15);
	recset_init(&set, 10);
	OK(recset_insert(&set, &item), "an id that nobody else has");
	reconcile_open(&(struct reconcile_side){RECONCILE_INITIATOR, &set, UNIX_MS}, &message); /* lists it: so would an answer */
	gossip_range_encode(&(struct gossip_range){.topic = topic_a, .kind = RECORD_JOB, .cutoff_ms = UNIX_MS, .role = RECONCILE_RESPONDER,
						   .message = message.data, .len = message.len}, &b);
	struct gossip *g = n.nodes[0].g;
	OK(gossip_peer_open(g, 2, &h, false, false, n.now_ms) && gossip_input(g, 2, MSG_RECONCILE, b.data, b.len, n.now_ms), "well formed");
	settle(&n);
	OK(gossip_peer_stats(g, 2)->faults[GOSSIP_FAULT_UNASKED] == 1 && !n.nodes[0].sent[MSG_GET], "counted, and nothing learned");
	OK(gossip_peer_open(g, 3, &h, false, true, n.now_ms), "a peer that was called");
	run(&n, 10);
	const unsigned questions = n.nodes[0].sent[MSG_RECONCILE];
	for (unsigned i = 0; i < questions + 5; i++)
		gossip_input(g, 3, MSG_RECONCILE, b.data, b.len, n.now_ms);
	settle(&n);
	OK(questions > 0 && n.nodes[0].sent[MSG_GET] == 1, "what was asked for is believed: the id is fetched");
	INTEQ(gossip_peer_stats(g, 3)->faults[GOSSIP_FAULT_UNASKED], 5);
	recset_release(&set);
	net_release(&n);
}

static void test_expiry(void)
{
	struct net n;
	net_init(&n, 1);
	CLEANUP(record_unrefp) struct record *r = make_kind(RECORD_CLAIM, 1, &topic_a, 5), *job = make(2);
	load(&n, 0, r);
	load(&n, 0, job);
	gossip_tick(n.nodes[0].g, 2000, record_get(r)->expires_ms - 1);
	INTEQ(gossip_count(n.nodes[0].g, &topic_a, RECORD_CLAIM), 1);
	gossip_tick(n.nodes[0].g, 2001, record_get(r)->expires_ms);
	OK(gossip_count(n.nodes[0].g, &topic_a, RECORD_CLAIM) == 0 && held(&n, 0) == 1, "an expired record leaves");
	net_release(&n);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_relay();
	test_copies();
	test_repair(0, 0, 0, 1000);
	test_repair(1, 0, 10, 1000);
	test_repair(0, 1, 1000, 1000);
	test_repair(300, 300, 300, 5000);
	test_repair(3000, 0, 0, 30000);
	test_repair(0, 3000, 0, 30000);
	test_repair(1500, 1500, 3000, 30000);
	test_sources();
	test_judging();
	test_loss();
	test_newer(true);
	test_newer(false);
	test_topics();
	test_floods();
	test_unasked();
	test_expiry();
	return tap_done();
}
