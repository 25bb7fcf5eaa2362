#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/session.h"
#include "proto/base/cleanup.h"
#include "tests/unit/tap.h"

/* Two sessions joined by hand; what each got is counted. */
struct side {
	struct session *s;
	struct node_id id;
	uint8_t secret[64];
	struct session_hello hello;
	unsigned proven, open, closed, messages;
	uint8_t last_type;
	struct buf last;
};
struct pair { struct side a, b; uint64_t now_ms; };

static void side_init(struct side *s, uint8_t seed)
{
	uint8_t bytes[32];
	memset(bytes, seed, sizeof bytes);
	memset(s, 0, sizeof *s);
	crypto_sign_seed_keypair(s->id.b, s->secret, bytes);
	s->hello = (struct session_hello){.version_min = 1, .version_max = 1, .kinds = {1, 2}, .kinds_len = 2, .time_ms = 1000};
	memset(s->hello.topics[0].b, seed, 32);
	s->hello.topics_len = 1;
	buf_init(&s->last, 1 << 16);
}

static void side_start(struct side *s, enum noise_role role, const char *network, const struct node_id *dialled, uint8_t seed)
{
	struct session_options o = {.role = role, .network = network, .identity_secret = s->secret, .dialled = dialled,
				    .hello = &s->hello, .now_ms = 0, .unix_ms = 1000000000};
	memset(o.static_secret, seed, 32);
	memset(o.ephemeral_secret, seed + 1, 32);
	struct err err = {0};
	OK(!session_new(&o, &s->s, &err), "session_new %s", err.what);
}

static void pair_init(struct pair *p)
{
	side_init(&p->a, 1);
	side_init(&p->b, 2);
	p->now_ms = 0;
}

static void pair_start(struct pair *p)
{
	side_start(&p->a, NOISE_INITIATOR, "main", &p->b.id, 11);
	side_start(&p->b, NOISE_RESPONDER, "main", NULL, 22);
}

static void pair_release(struct pair *p)
{
	session_free(p->a.s);
	session_free(p->b.s);
	buf_release(&p->a.last);
	buf_release(&p->b.last);
}

static void drain(struct side *s)
{
	struct session_event e;
	while (session_next(s->s, &e)) {
		switch (e.type) {
		case SESSION_EVENT_PROVEN: s->proven++; break;
		case SESSION_EVENT_OPEN: s->open++; break;
		case SESSION_EVENT_CLOSED: s->closed++; break;
		case SESSION_EVENT_MESSAGE:
			s->messages++;
			s->last_type = e.message;
			buf_reset(&s->last);
			buf_append(&s->last, e.bytes, e.len);
			break;
		}
	}
	session_flush(s->s);
}

/* Carries bytes in pieces of at most `cut` until nothing moves. */
static void carry(struct pair *p, size_t cut)
{
	for (bool moved = true; moved;) {
		moved = false;
		for (int i = 0; i < 2; i++) {
			struct side *from = i ? &p->b : &p->a, *to = i ? &p->a : &p->b;
			drain(from);
			size_t len;
			const uint8_t *bytes = session_output(from->s, &len);
			if (!len)
				continue;
			if (len > cut)
				len = cut;
			session_input(to->s, bytes, len, p->now_ms, 1000000000);
			session_output_done(from->s, len);
			drain(to);
			moved = true;
		}
	}
}

static void test_opens(size_t cut)
{
	struct pair p;
	pair_init(&p);
	pair_start(&p);
	carry(&p, cut);
	OK(session_state(p.a.s) == SESSION_OPEN && session_state(p.b.s) == SESSION_OPEN, "both open, %zu bytes at a time", cut);
	OK(node_id_eq(session_peer(p.a.s), &p.b.id) && node_id_eq(session_peer(p.b.s), &p.a.id), "ids are proven");
	OK(p.a.proven == 1 && p.a.open == 1 && p.b.proven == 1 && p.b.open == 1, "said once each");
	INTEQ(session_peer_hello(p.b.s)->topics[0].b[5], 1);
	uint8_t big[SESSION_MESSAGE_MAX];
	memset(big, 'x', sizeof big);
	OK(session_send(p.a.s, MSG_RECORD, big, sizeof big) && session_send(p.a.s, MSG_GET, "abc", 3), "two messages");
	OK(!session_send(p.a.s, MSG_RECORD, big, sizeof big + 1), "one that is too long is not sent");
	carry(&p, cut);
	INTEQ(p.b.messages, 2);
	STREQ(buf_cstr(&p.b.last), "abc");
	session_close(p.b.s, CLOSE_BY_US);
	carry(&p, cut);
	OK(session_close_reason(p.a.s) == CLOSE_BY_PEER && p.a.closed == 1, "bye is heard");
	pair_release(&p);
}

static void test_rekey(void)
{
	struct pair p;
	pair_init(&p);
	pair_start(&p);
	carry(&p, 65536);
	for (unsigned i = 0; i < SESSION_REKEY_FRAMES + 10; i++) {
		session_send(p.a.s, MSG_GET, &i, sizeof i);
		session_flush(p.a.s);
		if (i % 1024 == 0)
			carry(&p, 65536);
	}
	carry(&p, 65536);
	INTEQ(p.b.messages, SESSION_REKEY_FRAMES + 10);
	INTEQ(session_state(p.b.s), SESSION_OPEN);
	pair_release(&p);
}

/* Each bad beginning ends in its own reason, at the side named. */
static void test_refusals(void)
{
	struct pair p;
	pair_init(&p);
	side_start(&p.a, NOISE_INITIATOR, "main", &p.b.id, 11);
	side_start(&p.b, NOISE_RESPONDER, "other", NULL, 22);
	carry(&p, 65536);
	INTEQ(session_close_reason(p.a.s), CLOSE_HANDSHAKE_BAD);
	pair_release(&p);

	pair_init(&p);
	side_start(&p.a, NOISE_INITIATOR, "main", &p.a.id, 11); /* dials somebody else */
	side_start(&p.b, NOISE_RESPONDER, "main", NULL, 22);
	carry(&p, 65536);
	INTEQ(session_close_reason(p.a.s), CLOSE_ID_OTHER);
	pair_release(&p);

	pair_init(&p);
	memcpy(p.b.secret, p.a.secret, 64); /* ourselves, through a loop */
	side_start(&p.a, NOISE_INITIATOR, "main", NULL, 11);
	side_start(&p.b, NOISE_RESPONDER, "main", NULL, 22);
	carry(&p, 65536);
	INTEQ(session_close_reason(p.a.s), CLOSE_ID_SELF);
	pair_release(&p);

	pair_init(&p);
	p.b.hello.version_min = p.b.hello.version_max = 7;
	pair_start(&p);
	carry(&p, 65536);
	INTEQ(session_close_reason(p.a.s), CLOSE_VERSION);
	pair_release(&p);

	pair_init(&p);
	p.b.hello.version_max = 2; /* N+1 meshes with N */
	p.b.hello.kinds[p.b.hello.kinds_len++] = 99;
	pair_start(&p);
	carry(&p, 65536);
	OK(session_version(p.a.s) == 1 && session_version(p.b.s) == 1, "versions 1 and 1-2 meet at 1");
	session_send(p.b.s, (enum session_message)77, "?", 1);
	session_send(p.b.s, MSG_GET, "!", 1);
	carry(&p, 65536);
	OK(p.a.messages == 1 && session_stats(p.a.s)->messages_unknown == 1, "an unknown message is skipped and counted");
	pair_release(&p);
}

static void test_garbage(void)
{
	for (uint8_t seed = 0; seed < 50; seed++) {
		struct pair p;
		pair_init(&p);
		side_start(&p.b, NOISE_RESPONDER, "main", NULL, 22);
		uint8_t bytes[3000], key[32] = {seed};
		randombytes_buf_deterministic(bytes, sizeof bytes, key);
		session_input(p.b.s, bytes, sizeof bytes, 1, 1000000000);
		session_tick(p.b.s, SESSION_HANDSHAKE_MS);
		drain(&p.b);
		if (session_state(p.b.s) != SESSION_CLOSED || p.b.proven)
			OK(false, "garbage %u", seed);
		p.a.s = NULL;
		pair_release(&p);
	}
	struct pair p;
	pair_init(&p);
	pair_start(&p);
	carry(&p, 65536);
	uint8_t bad[40] = {0, 38};
	session_input(p.b.s, bad, sizeof bad, 1, 1000000000);
	drain(&p.b);
	INTEQ(session_close_reason(p.b.s), CLOSE_FRAME_BAD);
	const uint8_t oversize[2] = {0xff, 0xff};
	session_input(p.a.s, oversize, 2, 1, 1000000000);
	drain(&p.a);
	INTEQ(session_close_reason(p.a.s), CLOSE_FRAME_BAD);
	pair_release(&p);
}

static void test_time(void)
{
	struct pair p;
	pair_init(&p);
	pair_start(&p);
	INTEQ(session_tick(p.b.s, 0), SESSION_HANDSHAKE_MS);
	session_tick(p.b.s, SESSION_HANDSHAKE_MS);
	INTEQ(session_close_reason(p.b.s), CLOSE_HANDSHAKE_TIMEOUT);
	size_t len;
	session_output(p.b.s, &len);
	INTEQ(len, 0); /* nothing is said before the handshake is begun */
	pair_release(&p);

	pair_init(&p);
	pair_start(&p);
	carry(&p, 65536);
	p.now_ms = SESSION_PING_MS;
	session_tick(p.a.s, p.now_ms);
	carry(&p, 65536); /* ping, pong */
	OK(session_tick(p.a.s, p.now_ms + 1) > p.now_ms + SESSION_PING_MS / 2, "heard again: no hurry");
	session_tick(p.a.s, p.now_ms + SESSION_IDLE_MS);
	INTEQ(session_close_reason(p.a.s), CLOSE_IDLE);
	pair_release(&p);

	pair_init(&p);
	pair_start(&p);
	carry(&p, 65536);
	uint8_t big[SESSION_MESSAGE_MAX] = {0};
	unsigned sent = 0;
	while (sent < 1000 && session_send(p.a.s, MSG_RECORD, big, sizeof big))
		sent++;
	INTEQ(session_close_reason(p.a.s), CLOSE_SLOW);
	OK(sent < 60, "a peer that takes nothing costs at most the ceiling (%u messages)", sent);
	pair_release(&p);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_opens(65536);
	test_opens(1);
	test_opens(1000);
	test_rekey();
	test_refusals();
	test_garbage();
	test_time();
	return tap_done();
}
