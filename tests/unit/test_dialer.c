/* Whom to call and when: tables of situations, and two engines against each other. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "p2p/dialer.h"
#include "p2p/peers_wire.h"
#include "proto/base/cleanup.h"
#include "proto/base/err.h"
#include "tests/unit/samples.h"
#include "tests/unit/tap.h"

#define T0 UINT64_C(1000000)
#define U0 (SAMPLE_CREATED_MS + 1000)

static const struct id32 zero, topic_a = {{1}}, topic_b = {{2}};

struct seen { struct node_addr dials[64]; size_t dials_len, asks, hang_ups; uint32_t hung_up; bool may_be_private; };

static void drain(struct dialer *d, struct seen *s)
{
	struct dialer_action a;
	*s = (struct seen){0};
	for (unsigned guard = 0; guard < 10000 && dialer_next(d, &a); guard++) {
		switch (a.type) {
		case DIALER_DIAL:
			s->may_be_private = a.may_be_private;
			if (s->dials_len < ARRAY_LEN(s->dials))
				s->dials[s->dials_len++] = a.addr;
			break;
		case DIALER_ASK: s->asks++; break;
		case DIALER_HANG_UP: s->hang_ups++; s->hung_up = a.peer; break;
		}
	}
}

static struct node_id id_of(uint32_t n)
{
	struct node_id id = {{0x40}};
	memcpy(id.b + 1, &n, sizeof n);
	return id;
}

static struct node_addr addr_of(uint32_t n)
{
	struct node_addr a = {.id = id_of(n), .port = 8255};
	snprintf(a.host, sizeof a.host, "1.%u.%u.1", n >> 8 & 255, n & 255);
	return a;
}

static struct dialer *new_dialer(bool is_private)
{
	const uint8_t seed[32] = {7};
	const struct node_id self = id_of(0);
	struct dialer *d = dialer_new(&self, seed, is_private);
	if (!d)
		abort();
	dialer_tick(d, T0, U0);
	return d;
}

static void opened(struct dialer *d, uint32_t number, const struct node_id *id, const struct id32 *topic, bool is_outbound, uint64_t now)
{
	char from[64];
	snprintf(from, sizeof from, "1.%u.%u.1:8255", number >> 8 & 255, number & 255);
	const struct dialer_peer p = {number, id, from, topic, topic ? 1 : 0, is_outbound};
	dialer_opened(d, &p, now, U0);
}

/* A node record that carries one address, by key `seed`. */
static struct record *node_record(uint32_t seed, const char *host, uint64_t later_ms, struct node_id *ret_id)
{
	struct node_body body = {.addresses_len = 1, .arch = "x86_64"};
	uint8_t key_seed[32] = {1}, secret[64];
	struct node_id id;
	memcpy(key_seed + 4, &seed, sizeof seed);
	crypto_sign_seed_keypair(id.b, secret, key_seed);
	snprintf(body.addresses[0].host, sizeof body.addresses[0].host, "%s", host);
	body.addresses[0].port = 8255;
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, RECORD_LEN_MAX);
	node_body_encode(&body, &b);
	const struct record_fields f = {.kind = RECORD_NODE, .created_ms = SAMPLE_CREATED_MS + later_ms, .sequence = SAMPLE_CREATED_MS + later_ms,
					.body = b.data, .body_len = b.len};
	struct record *r = NULL;
	if (record_sign(&f, secret, SAMPLE_NETWORK, &r, NULL))
		abort();
	if (ret_id)
		*ret_id = id;
	return r;
}

static bool learn(struct dialer *d, uint32_t peer, uint32_t seed, const char *host, const struct id32 *topic)
{
	CLEANUP(record_unrefp) struct record *r = node_record(seed, host, 0, NULL);
	return dialer_learn(d, peer, r, topic, T0, U0);
}

static void test_pinned(void)
{
	struct dialer *d = new_dialer(false);
	struct seen s;
	const struct node_addr a = addr_of(1), b = addr_of(2);
	const struct node_addr own = addr_of(0);
	OK(dialer_tick(d, T0, U0) == UINT64_MAX, "nothing to do, nothing waits");
	OK(dialer_pin(d, &a, T0) && dialer_pin(d, &b, T0), "pinned");
	OK(!dialer_pin(d, &own, T0), "our own id is not called");
	drain(d, &s);
	INTEQ(s.dials_len, 2);
	OK(s.may_be_private, "who pins may name a private address");
	drain(d, &s);
	INTEQ(s.dials_len, 0);
	uint64_t now = T0, last = 0;
	for (unsigned i = 1; i <= 9; i++) {
		dialer_failed(d, &a, false, now);
		const uint64_t at = dialer_tick(d, now, U0), wait = at - now;
		drain(d, &s);
		const uint64_t most = DIALER_BACKOFF_FIRST_MS << (i - 1) < DIALER_BACKOFF_PINNED_MS ? DIALER_BACKOFF_FIRST_MS << (i - 1) : DIALER_BACKOFF_PINNED_MS;
		OK(!s.dials_len && wait > most / 2 && wait <= most && wait != last, "failure %u: again after %llu ms", i, (unsigned long long)wait);
		last = wait;
		dialer_tick(d, at - 1, U0);
		drain(d, &s);
		INTEQ(s.dials_len, 0);
		dialer_tick(d, now = at, U0);
		drain(d, &s);
		INTEQ(s.dials_len, 1);
	}
	dialer_failed(d, &a, false, now);
	dialer_woke(d, now);
	drain(d, &s);
	OK(s.dials_len == 1, "awake again: called at once");
	dialer_failed(d, &a, true, now);
	OK(dialer_tick(d, now, U0) >= now + DIALER_BACKOFF_MOST_MS, "another id there: no hurry");
	OK(dialer_pin(d, &a, now), "a person asks again");
	drain(d, &s);
	INTEQ(s.dials_len, 1);
	struct dialer_stats stats;
	dialer_stats(d, &stats);
	OK(stats.pinned == 2 && stats.calls_under_way == 2, "figures");
	dialer_free(d);
}

static void test_closed(void)
{
	struct dialer *d = new_dialer(false);
	struct seen s;
	const struct node_addr a = addr_of(1);
	dialer_pin(d, &a, T0);
	drain(d, &s);
	opened(d, 1, &a.id, NULL, true, T0);
	drain(d, &s);
	INTEQ(s.dials_len, 0);
	dialer_closed(d, 1, T0 + 100000);
	const uint64_t at = dialer_tick(d, T0 + 100000, U0);
	OK(at > T0 + 100000 && at <= T0 + 101000, "a long connection that ended is called back within a second");
	dialer_tick(d, at, U0);
	drain(d, &s);
	INTEQ(s.dials_len, 1);
	for (unsigned i = 0; i < 5; i++) {
		opened(d, 2 + i, &a.id, NULL, true, at);
		dialer_closed(d, 2 + i, at);
	}
	OK(dialer_tick(d, at, U0) > at + 8000, "five that ended at once are failures");
	dialer_free(d);
}

static void test_quota(void)
{
	struct dialer *d = new_dialer(false);
	struct seen s;
	const struct node_id first = id_of(500);
	dialer_follow(d, &topic_a, T0);
	drain(d, &s);
	INTEQ(s.asks, 0);
	opened(d, 1, &first, &topic_b, false, T0);
	drain(d, &s);
	OK(s.asks == 1, "a topic without carriers: who came is asked");
	const uint64_t at = dialer_tick(d, T0, U0);
	OK(at > T0 + DIALER_ASK_MS / 2 && at <= T0 + DIALER_ASK_MS, "and again later");
	dialer_tick(d, at, U0);
	drain(d, &s);
	INTEQ(s.asks, 1);
	for (uint32_t i = 0; i < 20; i++) {
		char host[32];
		snprintf(host, sizeof host, "2.%u.0.1", i);
		OK(learn(d, 1, i, host, i < 10 ? &topic_a : &topic_b), "learned %s", host);
	}
	drain(d, &s);
	OK(s.dials_len == DIALER_PER_TOPIC + DIALER_RANDOM, "three for the topic, four others: %zu", s.dials_len);
	OK(!s.may_be_private, "a stranger's address is to be public");
	unsigned carriers = 0;
	for (size_t i = 0; i < s.dials_len; i++) {
		carriers += atoi(s.dials[i].host + 2) < 10;
		opened(d, 100 + (uint32_t)i, &s.dials[i].id, atoi(s.dials[i].host + 2) < 10 ? &topic_a : &topic_b, true, T0);
	}
	OK(carriers >= DIALER_PER_TOPIC, "of them %u carriers", carriers);
	INTEQ(dialer_carriers(d, &topic_a), carriers);
	drain(d, &s);
	OK(!s.asks && !s.dials_len, "enough");
	OK(dialer_tick(d, T0, U0) == UINT64_MAX, "nothing waits");
	dialer_unfollow(d, &topic_a);
	dialer_free(d);
}

/* Inbound carriers alone do not satisfy: who calls us may be anybody. */
static void test_inbound(void)
{
	struct dialer *d = new_dialer(false);
	struct seen s;
	dialer_follow(d, &topic_a, T0);
	for (uint32_t i = 1; i <= 10; i++) {
		const struct node_id id = id_of(i);
		opened(d, i, &id, &topic_a, false, T0);
	}
	drain(d, &s);
	OK(s.asks > 0 && dialer_carriers(d, &topic_a) == 10, "ten that called us: still one is looked for");
	const struct node_id id = id_of(11);
	opened(d, 11, &id, &topic_a, true, T0);
	drain(d, &s);
	OK(!s.asks && !s.dials_len, "one of our own choice: enough");
	dialer_free(d);
}

static void test_refused(void)
{
	static const struct { const char *host; bool is_taken, is_taken_private; } cases[] = {
		{"2.2.2.2", true, true}, {"seed.example.org", true, true}, {"2a00::1", true, true},
		{"127.0.0.1", false, true}, {"::1", false, true}, {"10.0.0.1", false, true}, {"192.168.3.4", false, true},
		{"fd00::1", false, true}, {"169.254.169.254", false, false}, {"0.0.0.0", false, false}, {"224.0.0.1", false, false},
		{"::ffff:127.0.0.1", false, true},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (int private = 0; private < 2; private++) {
			struct dialer *d = new_dialer(private);
			const struct node_id id = id_of(9);
			opened(d, 1, &id, NULL, false, T0);
			OK(learn(d, 1, 5, cases[i].host, &topic_a) == (private ? cases[i].is_taken_private : cases[i].is_taken), "%s private=%d",
			   cases[i].host, private);
			dialer_free(d);
		}
	}
	struct dialer *d = new_dialer(false);
	const struct node_id id = id_of(9);
	OK(!learn(d, 1, 5, "2.2.2.2", &topic_a), "from nobody");
	opened(d, 1, &id, NULL, false, T0);
	OK(!learn(d, 1, 5, "2.2.2.2", &zero), "another's record as its own");
	CLEANUP(record_unrefp) struct record *r = node_record(5, "2.2.2.2", 0, NULL);
	OK(!dialer_learn(d, 1, r, &topic_a, T0, SAMPLE_CREATED_MS + DAY_MS), "expired");
	OK(!dialer_learn(d, 1, r, &topic_a, T0, SAMPLE_CREATED_MS - 700000), "from the future");
	dialer_free(d);
}

static void test_newest_and_wrong(void)
{
	struct dialer *d = new_dialer(false);
	struct seen s;
	const struct node_id id = id_of(9);
	opened(d, 1, &id, NULL, false, T0);
	CLEANUP(record_unrefp) struct record *old = node_record(5, "2.2.2.2", 0, NULL);
	CLEANUP(record_unrefp) struct record *new = node_record(5, "3.3.3.3", 10, NULL);
	OK(dialer_learn(d, 1, new, &topic_a, T0, U0), "the newer");
	OK(!dialer_learn(d, 1, old, &topic_a, T0, U0), "the older after it");
	drain(d, &s);
	INTEQ(s.dials_len, 1);
	STREQ(s.dials[0].host, "3.3.3.3");
	dialer_failed(d, &s.dials[0], true, T0);
	struct dialer_stats stats;
	dialer_stats(d, &stats);
	OK(stats.learned == 0 && stats.failures == 1, "another id answered: forgotten");
	OK(learn(d, 1, 6, "4.4.4.4", &topic_a), "one that never answers");
	uint64_t now = T0;
	unsigned calls = 0;
	for (; calls < 20; calls++) {
		now = dialer_tick(d, now, U0) == UINT64_MAX ? now : dialer_tick(d, now, U0);
		dialer_tick(d, now, U0);
		drain(d, &s);
		if (!s.dials_len)
			break;
		dialer_failed(d, &s.dials[0], false, now);
	}
	INTEQ(calls, DIALER_LEARNED_FAILS_MAX);
	dialer_free(d);
}

/* 10^4 false nodes from one network: what honest ones told stays, and is what gets called. */
static void test_flood(void)
{
	struct dialer *d = new_dialer(false);
	struct seen s;
	struct dialer_stats stats;
	for (uint32_t i = 0; i < 20; i++) {
		char host[32];
		const struct node_id id = id_of(1000 + (i << 8));
		opened(d, 1 + (i << 8), &id, NULL, false, T0);
		snprintf(host, sizeof host, "5.%u.0.1", i);
		OK(learn(d, 1 + (i << 8), i, host, &topic_a), "honest %u", i);
	}
	drain(d, &s);
	const size_t calls = s.dials_len;
	for (size_t i = 0; i < calls; i++)
		opened(d, 9000 + (uint32_t)i, &s.dials[i].id, &topic_a, true, T0);
	const struct node_id liar = id_of(7777);
	opened(d, 3 << 16 | 77, &liar, NULL, false, T0);
	size_t taken = 0;
	for (uint32_t i = 0; i < 10000; i++) {
		char host[32];
		snprintf(host, sizeof host, "%u.%u.%u.9", 20 + i % 100, i / 100, i % 251);
		taken += learn(d, 3 << 16 | 77, 100000 + i, host, &topic_a);
	}
	dialer_stats(d, &stats);
	OK(taken > 0 && taken <= 512 && stats.learned <= 20 + 512, "of 10000 false ones %zu have room", taken);
	for (size_t i = 0; i < calls; i++)
		dialer_closed(d, 9000 + (uint32_t)i, T0 + 100000);
	dialer_follow(d, &topic_a, T0 + 100000);
	dialer_tick(d, T0 + 102000, U0);
	drain(d, &s);
	size_t honest = 0;
	for (size_t i = 0; i < s.dials_len; i++)
		honest += !strncmp(s.dials[i].host, "5.", 2);
	OK(honest >= 3, "of %zu calls %zu go to honest ones", s.dials_len, honest);
	dialer_free(d);
}

static void test_referrals(void)
{
	struct dialer *d = new_dialer(false);
	struct record *list[PEERS_RECORDS_MAX];
	for (uint32_t i = 0; i < 50; i++) {
		struct node_id id;
		char host[32];
		snprintf(host, sizeof host, "6.%u.0.1", i);
		CLEANUP(record_unrefp) struct record *r = node_record(i, host, 0, &id);
		opened(d, 10 + (i << 8), &id, &topic_a, false, T0);
		OK(dialer_learn(d, 10 + (i << 8), r, &zero, T0, U0), "its own record");
		dialer_closed(d, 10 + (i << 8), T0 + 1000);
	}
	const struct node_id id = id_of(9);
	opened(d, 1, &id, NULL, false, T0);
	OK(learn(d, 1, 999, "7.7.7.7", &topic_b), "hearsay");
	size_t len = dialer_referrals(d, &topic_a, list, PEERS_RECORDS_MAX, U0);
	INTEQ(len, PEERS_RECORDS_MAX);
	for (size_t i = 0; i < len; i++)
		record_unref(list[i]);
	INTEQ(dialer_referrals(d, &topic_b, list, PEERS_RECORDS_MAX, U0), 0);
	INTEQ(dialer_referrals(d, &topic_a, list, PEERS_RECORDS_MAX, U0 + DIALER_REFERRAL_LIFE_MS), 0);
	dialer_free(d);
}

/* Two nodes dial each other at the same time: both keep the same connection. */
static void test_crossed(void)
{
	for (int order = 0; order < 4; order++) {
		const uint8_t seed[32] = {1};
		const struct node_id low = id_of(1), high = id_of(2);
		struct dialer *a = dialer_new(&low, seed, true), *b = dialer_new(&high, seed, true);
		struct seen sa, sb;
		/* connection 1 was dialled by the low id, 2 by the high one; each side sees them open in either order */
		for (uint32_t k = 0; k < 2; k++) {
			const uint32_t at_a = (order & 1) ? 2 - k : 1 + k, at_b = (order & 2) ? 2 - k : 1 + k;
			opened(a, at_a, &high, NULL, at_a == 1, T0 + k * 50);
			opened(b, at_b, &low, NULL, at_b == 2, T0 + k * 50);
		}
		drain(a, &sa);
		drain(b, &sb);
		OK(sa.hang_ups == 1 && sb.hang_ups == 1 && sa.hung_up == 2 && sb.hung_up == 2, "order %d: the lower id's dial stays", order);
		dialer_closed(a, 2, T0 + 60);
		dialer_closed(b, 2, T0 + 60);
		opened(a, 3, &high, NULL, false, T0 + 60 + DIALER_CROSSED_MS);
		drain(a, &sa);
		OK(sa.hang_ups == 1 && sa.hung_up == 1, "much later the newer one stays: the old one may be dead");
		dialer_free(a);
		dialer_free(b);
	}
}

static void test_woke(void)
{
	struct dialer *d = new_dialer(false);
	struct seen s;
	const struct node_addr a = addr_of(1);
	dialer_pin(d, &a, T0);
	drain(d, &s);
	opened(d, 1, &a.id, NULL, true, T0);
	drain(d, &s);
	dialer_woke(d, T0 + 5000);
	drain(d, &s);
	OK(s.dials_len == 1, "an open connection may be dead: called anew");
	opened(d, 2, &a.id, NULL, true, T0 + 5100);
	drain(d, &s);
	OK(s.hang_ups == 1 && s.hung_up == 1 && !s.dials_len, "the doubtful one goes");
	dialer_free(d);
}

static void test_ceilings(void)
{
	struct dialer *d = new_dialer(false);
	struct seen s;
	size_t pinned = 0;
	for (uint32_t i = 1; i < 300; i++) {
		const struct node_addr a = addr_of(i);
		pinned += dialer_pin(d, &a, T0);
	}
	INTEQ(pinned, DIALER_PINNED_MAX);
	drain(d, &s);
	INTEQ(s.dials_len, DIALER_CALLS_MAX);
	OK(dialer_tick(d, T0, U0) == UINT64_MAX, "what waits for room does not spin");
	for (unsigned i = 0; i < 100; i++)
		drain(d, &s);
	INTEQ(s.dials_len, 0);
	size_t topics = 0;
	for (uint32_t i = 1; i < 1200; i++) {
		struct id32 t = {{9}};
		memcpy(t.b + 1, &i, sizeof i);
		topics += dialer_follow(d, &t, T0);
	}
	INTEQ(topics, DIALER_TOPICS_MAX);
	const struct node_id id = id_of(4000);
	opened(d, 1, &id, NULL, false, T0);
	drain(d, &s);
	OK(s.asks <= 8, "one peer is asked for few topics at a time: %zu", s.asks);
	OK(dialer_tick(d, T0, U0) > T0, "no busy loop");
	dialer_free(d);
}

/* A seed with everything full: a plan must not hold up the loop. Counted in cpu time, with a guard of far more than it takes. */
static void test_full(void)
{
	struct dialer *d = new_dialer(false);
	struct seen s;
	size_t learned = 0;
	for (uint32_t i = 1; i <= DIALER_TOPICS_MAX; i++) {
		struct id32 t = {{0}};
		crypto_generichash(t.b, sizeof t.b, (const uint8_t *)&i, sizeof i, NULL, 0);
		dialer_follow(d, &t, T0);
	}
	for (uint32_t i = 0; i < 40; i++) {
		const struct node_id id = id_of(1000 + (i << 8));
		opened(d, 1 + (i << 8), &id, NULL, false, T0);
		for (uint32_t k = 0; k < 100; k++) {
			char host[32];
			struct id32 t = {{0}};
			const uint32_t topic = 1 + (i * 100 + k) % DIALER_TOPICS_MAX;
			crypto_generichash(t.b, sizeof t.b, (const uint8_t *)&topic, sizeof topic, NULL, 0);
			snprintf(host, sizeof host, "%u.%u.0.1", 11 + i, k);
			learned += learn(d, 1 + (i << 8), i * 100 + k, host, &t);
		}
	}
	drain(d, &s);
	OK(learned > 1000 && s.dials_len == DIALER_CALLS_MAX, "%zu learned, %zu calls", learned, s.dials_len);
	const clock_t start = clock();
	for (unsigned i = 0; i < 100; i++) {
		dialer_failed(d, &s.dials[0], false, T0 + i);
		drain(d, &s);
		if (s.dials_len != 1)
			break;
	}
	const double ms = (double)(clock() - start) * 1000 / CLOCKS_PER_SEC / 100;
	OK(ms < 50, "a plan takes %.2f ms", ms);
	dialer_free(d);
}

/* What a stranger may say where PEERS is due. */
static void test_wire(void)
{
	static const struct { const char *what; uint8_t bytes[48]; size_t len; } refused[] = {
		{"nothing", {0}, 0},
		{"no array", {0x07}, 1},
		{"an array without a topic", {0x90}, 1},
		{"a short topic", {0x92, 0xc4, 0x02, 1, 2, 0x90}, 6},
		{"no list", {0x91, 0xc4, 0x20}, 35},
		{"a list that ends", {0x92, 0xc4, 0x20, [35] = 0x91}, 36},
		{"a number for a record", {0x92, 0xc4, 0x20, [35] = 0x91, [36] = 0x07}, 37},
		{"a record without a signature", {0x92, 0xc4, 0x20, [35] = 0x91, [36] = 0x91, [37] = 0xc4}, 39},
		{"a short signature", {0x92, 0xc4, 0x20, [35] = 0x91, [36] = 0x92, [37] = 0xc4, [39] = 0xc4}, 41},
		{"a length that is not the shortest", {0x92, 0xc5, 0x00, 0x20, [36] = 0x90}, 37},
		{"bytes behind it", {0x92, 0xc4, 0x20, [35] = 0x90, [36] = 0x00}, 37},
	};
	struct peers_list list;
	struct id32 topic;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		OK(peers_decode(refused[i].bytes, refused[i].len, &list), "PEERS: %s is refused", refused[i].what);
	OK(peers_get_decode(refused[3].bytes, 5, &topic), "PEERS_GET: a short topic is refused");
	/* as many as fit, whole */
	struct record *records[PEERS_RECORDS_MAX];
	struct sample_key k;
	struct buf b;
	for (uint8_t i = 0; i < PEERS_RECORDS_MAX; i++) {
		sample_key_init(&k, (uint8_t)(i + 1));
		records[i] = sample_node_record(&k);
	}
	buf_init(&b, SESSION_MESSAGE_MAX);
	peers_encode(&topic_a, records, PEERS_RECORDS_MAX, &b);
	OK(!buf_failed(&b) && !peers_decode(b.data, b.len, &list) && id32_eq(&list.topic, &topic_a), "PEERS: there and back");
	INTEQ(list.len, PEERS_RECORDS_MAX);
	size_t size;
	const uint8_t *first = record_bytes(records[0], &size);
	OK(list.entries[0].len == size && !memcmp(list.entries[0].bytes, first, size) && !memcmp(list.entries[0].signature, record_signature(records[0]), 64),
	   "byte for byte");
	buf_release(&b);
	for (size_t i = 0; i < PEERS_RECORDS_MAX; i++)
		record_unref(records[i]);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_pinned();
	test_closed();
	test_quota();
	test_inbound();
	test_refused();
	test_newest_and_wrong();
	test_flood();
	test_referrals();
	test_crossed();
	test_woke();
	test_ceilings();
	test_full();
	test_wire();
	dialer_free(NULL);
	return tap_done();
}
