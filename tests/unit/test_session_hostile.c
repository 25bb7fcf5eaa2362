/* The session against peers that do not keep to the protocol, and against a stream cut anywhere. The peer here speaks Noise by
 * hand (noise.h), so that it can say what a session never would. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/session.h"
#include "proto/base/cleanup.h"
#include "proto/ed25519.h"
#include "tests/unit/tap.h"

#define NOW_UNIX UINT64_C(1700000000000)
#define DAY UINT64_C(86400000)

static void make_session(enum noise_role role, uint8_t seed, uint8_t ephemeral, struct session **ret)
{
	uint8_t secret[64], public[32], bytes[32];
	struct session_hello hello = {.version_min = 1, .version_max = 1, .kinds = {1, 2, 5}, .kinds_len = 3};
	memset(bytes, seed, sizeof bytes);
	crypto_sign_seed_keypair(public, secret, bytes);
	struct session_options o = {.role = role, .network = "main", .identity_secret = secret, .hello = &hello, .unix_ms = NOW_UNIX};
	memset(o.static_secret, seed + 100, 32);
	memset(o.ephemeral_secret, ephemeral, 32);
	if (session_new(&o, ret, NULL))
		abort();
}

static enum session_close reason_of(struct session *s)
{
	struct session_event e;
	while (session_next(s, &e)) {
	}
	return session_state(s) == SESSION_CLOSED ? session_close_reason(s) : CLOSE_NONE;
}

/* ---- the hand-made initiator */

struct proof {
	const char *network;
	uint8_t role, tail;
	uint64_t not_after;
	bool is_forged, is_short, has_other_key;
};

struct evil {
	struct noise noise;
	uint8_t secret[64], public[32];
	struct session *victim;
	struct proof proof;
};

static void evil_init(struct evil *e)
{
	uint8_t seed[32], key[32], ephemeral[32];
	memset(e, 0, sizeof *e);
	e->proof = (struct proof){.network = "main", .role = 1, .not_after = NOW_UNIX + DAY};
	memset(seed, 77, sizeof seed);
	memset(key, 78, sizeof key);
	memset(ephemeral, 79, sizeof ephemeral);
	crypto_sign_seed_keypair(e->public, e->secret, seed);
	noise_init(&e->noise, NOISE_INITIATOR, key, ephemeral, "talkoomain", 10);
	make_session(NOISE_RESPONDER, 5, 6, &e->victim);
}

static void evil_release(struct evil *e)
{
	session_free(e->victim);
	noise_release(&e->noise);
}

static void give(struct session *s, const void *bytes, size_t len)
{
	session_input(s, bytes, len, 1, NOW_UNIX);
}

static void give_prefixed(struct session *s, const void *bytes, size_t len)
{
	uint8_t wire[70000] = {(uint8_t)(len >> 8), (uint8_t)len};
	memcpy(wire + 2, bytes, len);
	give(s, wire, len + 2);
}

static size_t evil_proof(const struct evil *e, uint8_t out[200])
{
	const struct proof *p = &e->proof;
	uint8_t input[160] = "talkoo-session-v1";
	size_t n = 18;
	input[n++] = (uint8_t)strlen(p->network);
	memcpy(input + n, p->network, strlen(p->network));
	n += strlen(p->network);
	input[n++] = p->role;
	memcpy(input + n, e->noise.static_public, 32);
	input[n] ^= p->has_other_key;
	n += 32;
	memcpy(out, e->public, 32);
	for (int i = 0; i < 8; i++)
		input[n++] = out[32 + i] = (uint8_t)(p->not_after >> (56 - 8 * i));
	ed25519_sign(input, n, e->secret, out + 40);
	out[60] ^= p->is_forged;
	memset(out + 104, 1, p->tail);
	return p->is_short ? 103 : 104u + p->tail;
}

/* Messages 1 to 3; the victim answers 2. */
static void evil_shake(struct evil *e)
{
	CLEANUP(buf_release) struct buf message, payload;
	uint8_t proof[200];
	size_t len;
	buf_init(&message, 2000);
	buf_init(&payload, 2000);
	if (noise_write(&e->noise, NULL, 0, &message, NULL))
		abort();
	give_prefixed(e->victim, message.data, message.len);
	const uint8_t *answer = session_output(e->victim, &len);
	if (!answer || noise_read(&e->noise, answer + 2, len - 2, &payload, NULL))
		abort();
	session_output_done(e->victim, len);
	buf_reset(&message);
	if (noise_write(&e->noise, proof, evil_proof(e, proof), &message, NULL))
		abort();
	give_prefixed(e->victim, message.data, message.len);
}

static void evil_frame(struct evil *e, const void *plain, size_t len)
{
	uint8_t frame[66000];
	if (noise_seal(&e->noise, plain, len, frame, NULL))
		abort();
	give_prefixed(e->victim, frame, len + NOISE_TAG_LEN);
}

static void evil_message(struct evil *e, uint8_t type, const void *bytes, size_t len)
{
	uint8_t plain[21000] = {type, (uint8_t)(len >> 8), (uint8_t)len};
	if (len)
		memcpy(plain + 3, bytes, len);
	evil_frame(e, plain, len + 3);
}

static void evil_hello(struct evil *e)
{
	CLEANUP(buf_release) struct buf body;
	const struct session_hello hello = {.version_min = 1, .version_max = 1};
	buf_init(&body, 1000);
	session_hello_encode(&hello, &body);
	evil_message(e, MSG_HELLO, body.data, body.len);
}

/* ---- proofs of the node id */

static void test_proofs(void)
{
	static const struct {
		const char *what;
		struct proof is;
		enum session_close want;
	} table[] = {
		{"a good one", {.network = "main"}, CLOSE_NONE},
		{"a longer one, of a later version", {.tail = 9}, CLOSE_NONE},
		{"a forged signature", {.is_forged = true}, CLOSE_ID_BAD},
		{"cut short", {.is_short = true}, CLOSE_HANDSHAKE_BAD},
		{"of another network", {.network = "other"}, CLOSE_ID_BAD},
		{"of the other role: a responder's, passed on", {.role = 2}, CLOSE_ID_BAD},
		{"of another session key", {.has_other_key = true}, CLOSE_ID_BAD},
		{"out of date", {.not_after = NOW_UNIX - DAY - 1}, CLOSE_ID_BAD},
		{"a day late: clocks differ", {.not_after = NOW_UNIX - DAY + 1}, CLOSE_NONE},
		{"valid for too long", {.not_after = NOW_UNIX + 2 * DAY + 1}, CLOSE_ID_BAD},
		{"valid for ever", {.not_after = UINT64_MAX}, CLOSE_ID_BAD},
	};
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct evil e;
		evil_init(&e);
		const struct proof usual = e.proof;
		e.proof = table[i].is;
		e.proof.role = e.proof.role ? e.proof.role : usual.role;
		e.proof.network = e.proof.network ? e.proof.network : usual.network;
		e.proof.not_after = e.proof.not_after ? e.proof.not_after : usual.not_after;
		evil_shake(&e);
		const enum session_close why = reason_of(e.victim);
		OK(why == table[i].want, "proof, %s: %s", table[i].what, session_close_name(why));
		OK((session_state(e.victim) == SESSION_HELLO) == (why == CLOSE_NONE), "and its state");
		evil_release(&e);
	}
}

/* ---- what comes in the wrong state, or is none */

static void test_messages(void)
{
	static const struct {
		const char *what;
		bool says_hello;
		uint8_t plain[8];
		size_t len;
		enum session_close want;
	} table[] = {
		{"nothing but the tag", true, {0}, 0, CLOSE_NONE},
		{"a message before hello", false, {MSG_GET, 0, 0}, 3, CLOSE_MESSAGE_BAD},
		{"a ping before hello", false, {MSG_PING, 0, 0}, 3, CLOSE_MESSAGE_BAD},
		{"a message of no known type before hello", false, {200, 0, 0}, 3, CLOSE_MESSAGE_BAD},
		{"a hello that is no msgpack", false, {MSG_HELLO, 0, 1, 0xc1}, 4, CLOSE_MESSAGE_BAD},
		{"an empty hello", false, {MSG_HELLO, 0, 0}, 3, CLOSE_MESSAGE_BAD},
		{"a hello that claims a gigabyte", false, {MSG_HELLO, 0, 5, 0xdd, 0x40, 0, 0, 0}, 8, CLOSE_MESSAGE_BAD},
		{"a second hello", true, {MSG_HELLO, 0, 0}, 3, CLOSE_MESSAGE_BAD},
		{"half a head", true, {MSG_GET, 0}, 2, CLOSE_MESSAGE_BAD},
		{"a message longer than its frame", true, {MSG_GET, 0, 2, 'x'}, 4, CLOSE_MESSAGE_BAD},
		{"the longest length there is", true, {MSG_GET, 0xff, 0xff, 'x'}, 4, CLOSE_MESSAGE_BAD},
		{"an unknown type", true, {0, 0, 1, 'x'}, 4, CLOSE_NONE},
		{"two, the second broken", true, {MSG_GET, 0, 0, MSG_GET, 0, 9}, 6, CLOSE_MESSAGE_BAD},
		{"goodbye", true, {MSG_BYE, 0, 0, MSG_GET, 0, 0}, 6, CLOSE_BY_PEER},
	};
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct evil e;
		evil_init(&e);
		evil_shake(&e);
		if (table[i].says_hello)
			evil_hello(&e);
		evil_frame(&e, table[i].plain, table[i].len);
		const enum session_close why = reason_of(e.victim);
		OK(why == table[i].want, "%s: %s", table[i].what, session_close_name(why));
		evil_release(&e);
	}
}

static void test_frames(void)
{
	static const struct { const char *what; uint8_t bytes[4]; size_t len; enum session_close want; } table[] = {
		{"a length below the tag's", {0, 15}, 2, CLOSE_FRAME_BAD},
		{"a length past the longest", {(SESSION_FRAME_PLAIN_MAX + NOISE_TAG_LEN + 1) >> 8, (SESSION_FRAME_PLAIN_MAX + NOISE_TAG_LEN + 1) & 255},
		 2, CLOSE_FRAME_BAD},
		{"a part of a frame", {0, 200, 1, 2}, 4, CLOSE_NONE},
	};
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct evil e;
		evil_init(&e);
		evil_shake(&e);
		evil_hello(&e);
		give(e.victim, table[i].bytes, table[i].len);
		const enum session_close why = reason_of(e.victim);
		OK(why == table[i].want, "%s: %s", table[i].what, session_close_name(why));
		session_input_end(e.victim);
		if (!why)
			INTEQ(reason_of(e.victim), CLOSE_BY_PEER);
		evil_release(&e);
	}
	struct evil e; /* the longest that is allowed passes */
	evil_init(&e);
	evil_shake(&e);
	evil_hello(&e);
	static uint8_t plain[SESSION_FRAME_PLAIN_MAX] = {MSG_RECORD, SESSION_MESSAGE_MAX >> 8, SESSION_MESSAGE_MAX & 255};
	evil_frame(&e, plain, sizeof plain);
	struct session_event event;
	bool got = false;
	while (session_next(e.victim, &event))
		got = event.type == SESSION_EVENT_MESSAGE && event.len == SESSION_MESSAGE_MAX;
	OK(got, "a frame of the greatest length");
	uint8_t frame[3 + NOISE_TAG_LEN];
	const uint8_t ping[3] = {MSG_PING, 0, 0};
	OK(!noise_seal(&e.noise, ping, 3, frame, NULL), "sealed");
	give_prefixed(e.victim, frame, sizeof frame);
	give_prefixed(e.victim, frame, sizeof frame);
	INTEQ(reason_of(e.victim), CLOSE_FRAME_BAD); /* the same frame twice is not genuine */
	evil_release(&e);
}

/* ---- replay: all that one session heard, said to another with fresh keys */

static void test_replay(void)
{
	CLEANUP(buf_release) struct buf heard;
	struct session *a, *b, *c;
	struct session_event e;
	size_t len;
	buf_init(&heard, 100000);
	make_session(NOISE_INITIATOR, 1, 2, &a);
	make_session(NOISE_RESPONDER, 3, 4, &b);
	for (int i = 0; i < 4; i++) {
		const uint8_t *bytes = session_output(a, &len);
		if (len) {
			buf_append(&heard, bytes, len);
			give(b, bytes, len);
			session_output_done(a, len);
		}
		bytes = session_output(b, &len);
		if (len) {
			give(a, bytes, len);
			session_output_done(b, len);
		}
		while (session_next(a, &e) || session_next(b, &e)) {
		}
	}
	OK(session_state(b) == SESSION_OPEN, "the first is open");
	make_session(NOISE_RESPONDER, 3, 44, &c);
	give(c, heard.data, heard.len);
	INTEQ(reason_of(c), CLOSE_HANDSHAKE_BAD);
	OK(session_peer_hello(c) == NULL && session_version(c) == 0, "a replayed handshake proves nothing");
	session_free(a);
	session_free(b);
	session_free(c);
}

/* ---- time, memory */

static void test_slow_handshake(void)
{
	struct session *s;
	make_session(NOISE_RESPONDER, 3, 4, &s);
	const uint8_t first[2] = {0, 200};
	session_input(s, first, 2, 0, NOW_UNIX);
	uint64_t now = 0;
	for (; session_state(s) == SESSION_HANDSHAKE && now < 100000; now += 100) {
		session_input(s, first, 1, now, NOW_UNIX); /* a byte now and then */
		session_tick(s, now);
	}
	OK(now <= SESSION_HANDSHAKE_MS + 100 && session_close_reason(s) == CLOSE_HANDSHAKE_TIMEOUT, "a byte each 100 ms: over after %u ms",
	   (unsigned)now);
	session_free(s);
	struct evil e;
	evil_init(&e);
	evil_shake(&e); /* and never says hello */
	session_tick(e.victim, SESSION_HANDSHAKE_MS);
	INTEQ(reason_of(e.victim), CLOSE_HANDSHAKE_TIMEOUT);
	evil_release(&e);
}

static void test_floods(void)
{
	struct evil e;
	evil_init(&e);
	evil_shake(&e);
	evil_hello(&e);
	(void)reason_of(e.victim);
	static uint8_t pings[20478];
	for (size_t i = 0; i < sizeof pings; i += 3)
		pings[i] = MSG_PING;
	size_t len = 0, most = 0;
	unsigned frames = 0;
	for (; frames < 200 && session_state(e.victim) == SESSION_OPEN; frames++) {
		evil_frame(&e, pings, sizeof pings);
		(void)reason_of(e.victim);
		session_flush(e.victim);
		(void)session_output(e.victim, &len);
		most = len > most ? len : most;
	}
	OK(reason_of(e.victim) == CLOSE_SLOW && most <= SESSION_OUTPUT_MAX, "pings whose answers are not read: over at %zu bytes", most);
	evil_release(&e);

	evil_init(&e);
	evil_shake(&e);
	evil_hello(&e);
	static uint8_t small[20480];
	for (size_t i = 0; i + 3 <= sizeof small; i += 4)
		small[i] = MSG_GET, small[i + 2] = 1;
	unsigned taken = 0;
	for (frames = 0; frames < 100; frames++)
		evil_frame(&e, small, sizeof small);
	INTEQ(session_state(e.victim), SESSION_CLOSED); /* nobody took them: the ceiling is the session's, whoever is to blame */
	INTEQ(session_close_reason(e.victim), CLOSE_BY_US);
	evil_release(&e);

	evil_init(&e);
	evil_shake(&e);
	evil_hello(&e);
	struct session_event event;
	for (frames = 0; frames < 300; frames++) {
		evil_frame(&e, small, sizeof small);
		while (session_next(e.victim, &event))
			taken += event.type == SESSION_EVENT_MESSAGE;
	}
	INTEQ(taken, 300 * (sizeof small / 4)); /* 1.5 million, one by one, as many as came */
	evil_release(&e);
}

/* An honest reader: takes what is there, but late. What it took does not count against it. */
static void test_output_ceiling(void)
{
	struct evil e;
	evil_init(&e);
	evil_shake(&e);
	evil_hello(&e);
	(void)reason_of(e.victim);
	static uint8_t big[SESSION_BULK_LEN];
	size_t len, all = 0;
	bool open = true;
	for (unsigned i = 0; i < 1000 && open; i++) { /* half of what waits is taken each time: the rest grows to two messages */
		open = session_send(e.victim, MSG_BLOB_DATA, big, sizeof big) && session_send(e.victim, MSG_BLOB_DATA, big, sizeof big);
		session_flush(e.victim);
		(void)session_output(e.victim, &len);
		if (i > 20) {
			session_output_done(e.victim, len < 32810 ? len : 32810);
			all += 32810;
		}
	}
	OK(open, "a reader 700 KiB behind stays, %zu bytes later", all);
	(void)session_output(e.victim, &len);
	OK(len > 600000 && len <= SESSION_OUTPUT_MAX, "%zu bytes wait", len);
	unsigned more = 0;
	while (more < 1000 && session_send(e.victim, MSG_BLOB_DATA, big, sizeof big))
		more++;
	OK(session_close_reason(e.victim) == CLOSE_SLOW && len + more * sizeof big <= SESSION_OUTPUT_MAX, "past the ceiling it goes");
	(void)session_output(e.victim, &all);
	session_flush(e.victim);
	OK(!session_send(e.victim, MSG_GET, "x", 1) && session_output(e.victim, &len) && len == all, "closed: nothing more is said");
	evil_release(&e);
}

/* ---- any cut */

static void note_event(struct buf *log, const struct session_event *e)
{
	uint8_t hash[8];
	crypto_generichash(hash, sizeof hash, e->len ? e->bytes : (const uint8_t *)"", e->len, NULL, 0);
	buf_printf(log, "%d.%u.%zu.%02x%02x%02x ", (int)e->type, e->message, e->len, hash[0], hash[1], hash[2]);
}

/* What the initiator of a fixed conversation says, all of it. */
static void record_conversation(struct buf *said, uint32_t seed)
{
	struct session *a, *b;
	struct session_event e;
	static uint8_t bytes[SESSION_MESSAGE_MAX];
	uint8_t key[32] = {(uint8_t)seed};
	randombytes_buf_deterministic(bytes, sizeof bytes, key);
	make_session(NOISE_INITIATOR, 1, 2, &a);
	make_session(NOISE_RESPONDER, 3, 4, &b);
	for (unsigned i = 0; i < 60; i++) {
		size_t len;
		const uint8_t *out = session_output(a, &len);
		buf_append(said, out, len);
		give(b, out, len);
		session_output_done(a, len);
		while (session_next(b, &e)) {
		}
		out = session_output(b, &len);
		give(a, out, len);
		session_output_done(b, len);
		while (session_next(a, &e)) {
		}
		if (i < 4)
			continue;
		const size_t sizes[] = {0, 1, 40, 700, SESSION_BULK_LEN, SESSION_MESSAGE_MAX};
		const size_t n = sizes[bytes[i] % ARRAY_LEN(sizes)];
		(void)session_send(a, bytes[i + 100] % 7 ? MSG_RECORD : (enum session_message)99, bytes, n);
		if (bytes[i + 200] % 2)
			session_flush(a);
	}
	session_close(a, CLOSE_BY_US);
	size_t len;
	const uint8_t *out = session_output(a, &len);
	buf_append(said, out, len);
	session_free(a);
	session_free(b);
}

/* The events of the responder when that comes in pieces of up to `most` bytes, then the end of the stream. patience: how many pieces
 * come before the events are taken. */
static void hear(const struct buf *said, size_t most, unsigned patience, bool into_room, uint32_t seed, struct buf *log)
{
	struct session *b;
	struct session_event e;
	make_session(NOISE_RESPONDER, 3, 4, &b);
	uint32_t state = seed;
	unsigned waiting = 0;
	for (size_t at = 0; at < said->len;) {
		state = state * 1664525u + 1013904223u;
		size_t room_len = SIZE_MAX, n = 1 + (state >> 8) % most;
		uint8_t *room = into_room ? session_input_room(b, &room_len) : NULL;
		n = n < said->len - at ? n : said->len - at;
		n = n < room_len ? n : room_len;
		if (into_room && room) {
			memcpy(room, said->data + at, n);
			session_input_done(b, n, 1, NOW_UNIX);
		} else if (!into_room) {
			session_input(b, said->data + at, n, 1, NOW_UNIX);
		}
		at += n;
		if (++waiting < patience)
			continue;
		waiting = 0;
		while (session_next(b, &e))
			note_event(log, &e);
	}
	session_input_end(b);
	while (session_next(b, &e))
		note_event(log, &e);
	buf_printf(log, "%s", session_close_name(session_close_reason(b)));
	session_free(b);
}

static void test_any_cut(void)
{
	static const size_t most[] = {1, 2, 17, 1000, 16405, 65536, 100000, 900000};
	CLEANUP(buf_release) struct buf said, whole, cut;
	buf_init(&said, 1u << 20);
	buf_init(&whole, 1u << 20);
	buf_init(&cut, 1u << 20);
	for (uint32_t seed = 1; seed <= 12; seed++) {
		buf_reset(&said);
		buf_reset(&whole);
		record_conversation(&said, seed);
		hear(&said, SIZE_MAX >> 1, 1, false, seed, &whole);
		unsigned same = 0;
		for (size_t i = 0; i < ARRAY_LEN(most); i++) {
			for (int way = 0; way < 3; way++) { /* copied, read into the room, and a caller that lets some gather */
				buf_reset(&cut);
				hear(&said, most[i], way == 2 ? 3 : 1, way == 1, seed * 100 + (uint32_t)i, &cut);
				same += !buf_failed(&cut) && cut.len == whole.len && !strcmp(buf_cstr(&cut), buf_cstr(&whole));
			}
		}
		OK(same == 3 * ARRAY_LEN(most) && whole.len > 400 && strstr(buf_cstr(&whole), "closed-by-peer"),
		   "seed %u: %zu bytes in any cut give the same events (%u of %zu)", seed, said.len, same, 3 * ARRAY_LEN(most));
	}
}

/* Whole messages that came before the stream's end are given, whoever takes them late. */
static void test_end(void)
{
	struct evil e;
	struct session_event event;
	evil_init(&e);
	evil_shake(&e);
	evil_hello(&e);
	evil_message(&e, MSG_GET, "abc", 3);
	evil_message(&e, MSG_RECORD, "de", 2);
	give(e.victim, "\0\x40", 2); /* and a part */
	session_input_end(e.victim);
	give(e.victim, "xyz", 3);
	char got[64] = "";
	while (session_next(e.victim, &event))
		snprintf(got + strlen(got), sizeof got - strlen(got), "%d%.*s ", (int)event.type, (int)event.len, (const char *)event.bytes);
	STREQ(got, "1 2 3abc 3de 4 ");
	INTEQ(session_close_reason(e.victim), CLOSE_BY_PEER);
	evil_release(&e);
}

static void test_quiet(void)
{
	struct evil e;
	size_t len;
	evil_init(&e);
	evil_shake(&e);
	evil_hello(&e);
	(void)reason_of(e.victim);
	(void)session_output(e.victim, &len);
	session_output_done(e.victim, len);
	(void)session_tick(e.victim, 5000); /* gives its buffers back */
	evil_message(&e, MSG_GET, "abc", 3);
	INTEQ(reason_of(e.victim), CLOSE_NONE);
	OK(session_send(e.victim, MSG_GET, "x", 1), "and goes on after that");
	session_flush(e.victim);
	OK(session_output(e.victim, &len) && len == 2 + 3 + 1 + NOISE_TAG_LEN, "%zu bytes", len);
	session_tick(e.victim, 1 + SESSION_IDLE_MS); /* half-open: the other side is gone and does not say so */
	INTEQ(reason_of(e.victim), CLOSE_IDLE);
	evil_release(&e);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_proofs();
	test_messages();
	test_frames();
	test_replay();
	test_slow_handshake();
	test_floods();
	test_output_ceiling();
	test_any_cut();
	test_end();
	test_quiet();
	return tap_done();
}
