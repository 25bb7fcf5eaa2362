#include "p2p/session.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/wirebuf.h"
#include "proto/ed25519.h"

#define PREFIX_LEN 2          /* big-endian length before every handshake message and frame */
#define HANDSHAKE_MAX 1024    /* a handshake message is never longer */
#define MESSAGE_HEADER_LEN 3  /* type, big-endian length */
#define PROOF_LEN (32 + 8 + crypto_sign_BYTES) /* node id, not-after, signature */
#define PROOF_LIFE_MS UINT64_C(86400000)
#define CLOCK_SLACK_MS UINT64_C(86400000) /* a session is not the place to judge clocks: a day is enough against hoarded proofs */

#define FRAME_MAX (PREFIX_LEN + SESSION_FRAME_PLAIN_MAX + NOISE_TAG_LEN)
#define QUIET_MS 1000 /* nothing heard for so long: empty buffers are given back */

struct session {
	enum session_state state;
	enum session_close reason;
	struct noise noise;
	struct node_id self, peer, dialled;
	bool has_dialled;
	char network[33];
	uint8_t proof[PROOF_LEN];     /* ours */
	struct buf hello;             /* ours, encoded, until it leaves */
	uint32_t version_min, version_max, version;
	struct session_hello *peer_hello;
	/* in: from `at` on, what is left of the opened frame (plain_left bytes and its tag), then what was not opened yet */
	struct wirebuf in;
	bool in_frame;
	size_t plain_left;
	/* out: sealed frames, then the one being filled: its prefix's place and frame_len bytes in the clear */
	struct wirebuf out;
	bool is_filling;
	size_t frame_len;
	bool said_proven, said_closed, has_ended;
	uint64_t began_ms, heard_ms, asked_ms, unix_ms;
	uint64_t sent_in_key, got_in_key;
	struct session_stats stats;
};

const char *session_close_name(enum session_close why)
{
	switch (why) {
	case CLOSE_NONE: return "none";
#define X(name, value, text)                                                                                           \
	case name: return text;
		SESSION_CLOSES(X)
#undef X
	}
	return "unknown";
}

/* Where the sealed frames end. */
static size_t sealed_end(const struct session *s)
{
	return s->out.end - (s->is_filling ? PREFIX_LEN + s->frame_len : 0);
}

/* The one place where a session ends: what led here stays the reason. The keys are not needed any more; `in` stays, for the
 * caller of end() may be reading it. */
static void end(struct session *s, enum session_close why)
{
	if (s->state == SESSION_CLOSED)
		return;
	s->state = SESSION_CLOSED;
	s->reason = why;
	s->out.end = sealed_end(s);
	s->is_filling = s->in_frame = false;
	s->frame_len = s->plain_left = 0;
	noise_release(&s->noise);
}

static void put_u64(uint8_t *out, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(value >> (56 - 8 * i));
}

static uint64_t get_u64(const uint8_t *in)
{
	uint64_t value = 0;
	for (int i = 0; i < 8; i++)
		value = value << 8 | in[i];
	return value;
}

/* PROTOCOL 11.2: tag, network, role, X25519 key, not-after. Returns the length. */
static size_t proof_input(uint8_t out[160], const char *network, enum noise_role role, const uint8_t static_public[32], uint64_t not_after)
{
	static const char tag[] = "talkoo-session-v1"; /* with its 0 byte */
	size_t n = 0;
	const size_t network_len = strlen(network);
	memcpy(out, tag, sizeof tag);
	n += sizeof tag;
	out[n++] = (uint8_t)network_len;
	memcpy(out + n, network, network_len);
	n += network_len;
	out[n++] = role == NOISE_INITIATOR ? 1 : 2;
	memcpy(out + n, static_public, 32);
	n += 32;
	put_u64(out + n, not_after);
	return n + 8;
}

static void make_proof(struct session *s, const uint8_t *secret)
{
	uint8_t input[160];
	const uint64_t not_after = s->unix_ms + PROOF_LIFE_MS;
	const size_t len = proof_input(input, s->network, s->noise.role, s->noise.static_public, not_after);
	memcpy(s->proof, s->self.b, 32);
	put_u64(s->proof + 32, not_after);
	ed25519_sign(input, len, secret, s->proof + 40);
}

static enum session_close check_proof(struct session *s, const uint8_t *proof, size_t len)
{
	if (len < PROOF_LEN) /* longer: a later version's; what it adds is not ours to read */
		return CLOSE_HANDSHAKE_BAD;
	const enum noise_role role = s->noise.role == NOISE_INITIATOR ? NOISE_RESPONDER : NOISE_INITIATOR;
	const uint64_t not_after = get_u64(proof + 32);
	uint8_t input[160];
	const size_t input_len = proof_input(input, s->network, role, s->noise.remote_static, not_after);
	struct node_id peer;
	memcpy(peer.b, proof, sizeof peer.b);
	if (!ed25519_verify(input, input_len, proof + 40, &peer))
		return CLOSE_ID_BAD;
	if (not_after + CLOCK_SLACK_MS < s->unix_ms || not_after > s->unix_ms + PROOF_LIFE_MS + CLOCK_SLACK_MS)
		return CLOSE_ID_BAD;
	s->peer = peer;
	if (node_id_eq(&s->peer, &s->self))
		return CLOSE_ID_SELF;
	if (s->has_dialled && !node_id_eq(&s->peer, &s->dialled))
		return CLOSE_ID_OTHER;
	return CLOSE_NONE;
}

static void put_prefixed(struct session *s, const uint8_t *bytes, size_t len)
{
	uint8_t *room = wirebuf_room(&s->out, PREFIX_LEN + len);
	if (!room) {
		end(s, CLOSE_SLOW);
		return;
	}
	room[0] = (uint8_t)(len >> 8);
	room[1] = (uint8_t)len;
	memcpy(room + PREFIX_LEN, bytes, len);
	s->out.end += PREFIX_LEN + len;
}

static void handshake_write(struct session *s, bool with_proof)
{
	struct buf message;
	buf_init(&message, HANDSHAKE_MAX);
	if (noise_write(&s->noise, s->proof, with_proof ? PROOF_LEN : 0, &message, NULL))
		end(s, CLOSE_HANDSHAKE_BAD);
	else
		put_prefixed(s, message.data, message.len);
	buf_release(&message);
}

int session_new(const struct session_options *o, struct session **ret, struct err *err)
{
	if (!network_name_is_valid(o->network))
		return err_set(err, ERR_USAGE, "%.40s: not a network name ([a-z0-9-], at most 32)", o->network);
	struct session *s = calloc(1, sizeof *s);
	if (!s)
		return err_set(err, ERR_NOMEM, "out of memory");
	s->state = SESSION_HANDSHAKE;
	s->began_ms = s->heard_ms = s->asked_ms = o->now_ms;
	s->unix_ms = o->unix_ms;
	s->version_min = o->hello->version_min;
	s->version_max = o->hello->version_max;
	buf_init(&s->hello, SESSION_MESSAGE_MAX);
	session_hello_encode(o->hello, &s->hello);
	const int code = buf_check(&s->hello, "our hello", err);
	if (code) {
		session_free(s);
		return code;
	}
	strcpy(s->network, o->network);
	crypto_sign_ed25519_sk_to_pk(s->self.b, o->identity_secret);
	if (o->dialled) {
		s->dialled = *o->dialled;
		s->has_dialled = true;
	}
	wirebuf_init(&s->in, SESSION_INPUT_MAX);
	wirebuf_init(&s->out, SESSION_OUTPUT_MAX);
	char prologue[40] = "talkoo";
	strcat(prologue, s->network);
	noise_init(&s->noise, o->role, o->static_secret, o->ephemeral_secret, prologue, strlen(prologue));
	make_proof(s, o->identity_secret);
	if (o->role == NOISE_INITIATOR)
		handshake_write(s, false);
	*ret = s;
	return 0;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	noise_release(&s->noise);
	wirebuf_release(&s->in);
	wirebuf_release(&s->out);
	buf_release(&s->hello);
	free(s->peer_hello);
	free(s);
}

enum session_state session_state(const struct session *s) { return s->state; }
enum session_close session_close_reason(const struct session *s) { return s->reason; }
const struct node_id *session_peer(const struct session *s) { return &s->peer; }
const struct session_hello *session_peer_hello(const struct session *s) { return s->peer_hello; }
uint32_t session_version(const struct session *s) { return s->version; }
const struct session_stats *session_stats(const struct session *s) { return &s->stats; }

/* Queues a message; ends the session when too much waits. */
static void put_message(struct session *s, uint8_t type, const void *bytes, size_t len)
{
	if (s->is_filling && s->frame_len + MESSAGE_HEADER_LEN + len > SESSION_FRAME_PLAIN_MAX)
		session_flush(s);
	if (s->state == SESSION_CLOSED)
		return;
	const size_t prefix = s->is_filling ? 0 : PREFIX_LEN, header = MESSAGE_HEADER_LEN;
	uint8_t *room = wirebuf_room(&s->out, prefix + header + len + NOISE_TAG_LEN); /* the tag's room is kept for session_flush() */
	if (!room) {
		end(s, CLOSE_SLOW);
		return;
	}
	room += prefix;
	room[0] = type;
	room[1] = (uint8_t)(len >> 8);
	room[2] = (uint8_t)len;
	if (len)
		memcpy(room + header, bytes, len);
	s->out.end += prefix + header + len;
	s->frame_len += header + len;
	s->is_filling = true;
	s->stats.messages_out++;
}

/* The handshake is done on our side: our hello leaves. */
static void enter_hello(struct session *s)
{
	s->state = SESSION_HELLO;
	put_message(s, MSG_HELLO, s->hello.data, s->hello.len);
	buf_release(&s->hello);
	session_flush(s);
}

static void handshake_input(struct session *s, const uint8_t *message, size_t len)
{
	struct buf payload;
	buf_init(&payload, HANDSHAKE_MAX);
	if (noise_read(&s->noise, message, len, &payload, NULL))
		end(s, CLOSE_HANDSHAKE_BAD);
	else if (s->noise.message >= 2) { /* messages 2 and 3 carry the proof */
		const enum session_close why = check_proof(s, payload.data, payload.len);
		if (why)
			end(s, why);
	}
	buf_release(&payload);
	if (s->state == SESSION_CLOSED)
		return;
	if (s->noise.state == NOISE_HANDSHAKE)
		handshake_write(s, true);
	if (s->state != SESSION_CLOSED && s->noise.state == NOISE_TRANSPORT)
		enter_hello(s);
}

static void hello_input(struct session *s, const uint8_t *bytes, size_t len)
{
	struct session_hello h;
	if (session_hello_decode(bytes, len, &h, NULL)) {
		end(s, CLOSE_MESSAGE_BAD);
		return;
	}
	const uint32_t least = h.version_min > s->version_min ? h.version_min : s->version_min;
	const uint32_t most = h.version_max < s->version_max ? h.version_max : s->version_max;
	if (least > most || !most) {
		end(s, CLOSE_VERSION);
		return;
	}
	s->peer_hello = malloc(sizeof h);
	if (!s->peer_hello) {
		end(s, CLOSE_BY_US);
		return;
	}
	*s->peer_hello = h;
	s->version = most;
	s->state = SESSION_OPEN;
}

/* Opens the frame at the front of `in` where it lies. */
static void frame_input(struct session *s, uint8_t *frame, size_t len)
{
	if (noise_open(&s->noise, frame, len, frame, NULL)) {
		end(s, CLOSE_FRAME_BAD);
		return;
	}
	s->in_frame = true;
	s->plain_left = len - NOISE_TAG_LEN;
	s->stats.frames_in++;
	if (++s->got_in_key == SESSION_REKEY_FRAMES) {
		noise_rekey_receive(&s->noise);
		s->got_in_key = 0;
	}
}

/* Takes one handshake message or opens one frame of the input; false when there is no whole one. */
static bool step(struct session *s)
{
	const size_t have = wirebuf_len(&s->in);
	if (have < PREFIX_LEN)
		return false;
	uint8_t *at = s->in.bytes + s->in.at;
	const size_t len = (size_t)at[0] << 8 | at[1];
	const bool in_handshake = s->state == SESSION_HANDSHAKE;
	const size_t most = in_handshake ? HANDSHAKE_MAX : FRAME_MAX - PREFIX_LEN;
	if (len > most || (!in_handshake && len < NOISE_TAG_LEN)) {
		end(s, in_handshake ? CLOSE_HANDSHAKE_BAD : CLOSE_FRAME_BAD);
		return false;
	}
	if (have < PREFIX_LEN + len)
		return false;
	s->in.at += PREFIX_LEN;
	if (in_handshake) {
		s->in.at += len;
		handshake_input(s, at + PREFIX_LEN, len);
	} else {
		frame_input(s, at + PREFIX_LEN, len);
	}
	return s->state != SESSION_CLOSED;
}

uint8_t *session_input_room(struct session *s, size_t *ret_len)
{
	uint8_t *room = s->state == SESSION_CLOSED || s->has_ended ? NULL : wirebuf_room(&s->in, SESSION_INPUT_ROOM);
	*ret_len = room ? SESSION_INPUT_ROOM : 0;
	return room;
}

void session_input_done(struct session *s, size_t len, uint64_t now_ms, uint64_t unix_ms)
{
	if (s->state == SESSION_CLOSED || s->has_ended)
		return;
	s->in.end += len;
	s->unix_ms = unix_ms;
	s->heard_ms = s->stats.heard_ms = now_ms;
	s->stats.bytes_in += len;
	while (s->state == SESSION_HANDSHAKE && step(s)) {
	}
}

void session_input(struct session *s, const uint8_t *bytes, size_t len, uint64_t now_ms, uint64_t unix_ms)
{
	if (!len || s->state == SESSION_CLOSED || s->has_ended)
		return;
	uint8_t *room = wirebuf_room(&s->in, len);
	if (!room) {
		end(s, CLOSE_BY_US);
		return;
	}
	memcpy(room, bytes, len);
	session_input_done(s, len, now_ms, unix_ms);
}

void session_input_end(struct session *s)
{
	s->has_ended = true;
	if (!wirebuf_len(&s->in))
		end(s, CLOSE_BY_PEER);
}

/* The messages that the session answers itself. True if the message is the caller's business. */
static bool is_for_caller(struct session *s, uint8_t type, const uint8_t *bytes, size_t len)
{
	if (s->state == SESSION_HELLO) {
		if (type != MSG_HELLO)
			end(s, CLOSE_MESSAGE_BAD);
		else
			hello_input(s, bytes, len);
		return false;
	}
	switch (type) {
	case MSG_HELLO: end(s, CLOSE_MESSAGE_BAD); return false;
	case MSG_PING: put_message(s, MSG_PONG, NULL, 0); return false;
	case MSG_PONG: return false;
	case MSG_BYE: end(s, CLOSE_BY_PEER); return false;
#define X(name, value)                                                                                                 \
	case name:
		SESSION_MESSAGES_FOR_CALLER(X)
#undef X
		return true;
	}
	s->stats.messages_unknown++;
	return false;
}

/* The next message of the opened frame, as an event; false when the frame is used up. */
static bool next_message(struct session *s, struct session_event *ret)
{
	while (s->plain_left) {
		const uint8_t *at = s->in.bytes + s->in.at;
		const size_t len = s->plain_left < MESSAGE_HEADER_LEN ? 0 : (size_t)at[1] << 8 | at[2];
		if (s->plain_left < MESSAGE_HEADER_LEN + len) {
			end(s, CLOSE_MESSAGE_BAD);
			return false;
		}
		s->in.at += MESSAGE_HEADER_LEN + len;
		s->plain_left -= MESSAGE_HEADER_LEN + len;
		s->stats.messages_in++;
		const bool was_hello = s->state == SESSION_HELLO;
		if (is_for_caller(s, at[0], at + MESSAGE_HEADER_LEN, len)) {
			*ret = (struct session_event){SESSION_EVENT_MESSAGE, at[0], at + MESSAGE_HEADER_LEN, len};
			return true;
		}
		if (s->state == SESSION_CLOSED)
			return false;
		if (was_hello) {
			*ret = (struct session_event){.type = SESSION_EVENT_OPEN};
			return true;
		}
	}
	if (s->in_frame)
		s->in.at += NOISE_TAG_LEN;
	s->in_frame = false;
	return false;
}

bool session_next(struct session *s, struct session_event *ret)
{
	if (!s->said_proven && (s->state == SESSION_HELLO || s->state == SESSION_OPEN)) {
		s->said_proven = true;
		*ret = (struct session_event){.type = SESSION_EVENT_PROVEN};
		return true;
	}
	while (s->state == SESSION_HELLO || s->state == SESSION_OPEN) {
		if (next_message(s, ret))
			return true;
		if (s->state == SESSION_CLOSED || !step(s))
			break;
	}
	if (s->has_ended) /* and no whole message is left */
		end(s, CLOSE_BY_PEER);
	if (s->state != SESSION_CLOSED || s->said_closed)
		return false;
	s->said_closed = true;
	*ret = (struct session_event){.type = SESSION_EVENT_CLOSED};
	return true;
}

void session_flush(struct session *s)
{
	if (!s->is_filling)
		return;
	uint8_t *frame = s->out.bytes + sealed_end(s);
	const size_t len = s->frame_len + NOISE_TAG_LEN;
	if (noise_seal(&s->noise, frame + PREFIX_LEN, s->frame_len, frame + PREFIX_LEN, NULL)) {
		end(s, CLOSE_BY_US);
		return;
	}
	frame[0] = (uint8_t)(len >> 8);
	frame[1] = (uint8_t)len;
	s->out.end += NOISE_TAG_LEN;
	s->is_filling = false;
	s->frame_len = 0;
	s->stats.frames_out++;
	if (++s->sent_in_key == SESSION_REKEY_FRAMES) {
		noise_rekey_send(&s->noise);
		s->sent_in_key = 0;
	}
}

bool session_send(struct session *s, enum session_message type, const void *bytes, size_t len)
{
	if (s->state != SESSION_OPEN || len > SESSION_MESSAGE_MAX)
		return false;
	put_message(s, (uint8_t)type, bytes, len);
	return s->state == SESSION_OPEN;
}

void session_close(struct session *s, enum session_close why)
{
	if (s->state == SESSION_OPEN) {
		put_message(s, MSG_BYE, NULL, 0);
		session_flush(s);
	}
	end(s, why);
}

uint64_t session_tick(struct session *s, uint64_t now_ms)
{
	if (s->state == SESSION_CLOSED)
		return UINT64_MAX;
	if (s->state != SESSION_OPEN) {
		if (now_ms >= s->began_ms + SESSION_HANDSHAKE_MS)
			end(s, CLOSE_HANDSHAKE_TIMEOUT);
		return s->began_ms + SESSION_HANDSHAKE_MS;
	}
	if (now_ms >= s->heard_ms + SESSION_IDLE_MS) {
		session_close(s, CLOSE_IDLE);
		return UINT64_MAX;
	}
	if (now_ms >= s->heard_ms + SESSION_PING_MS && now_ms >= s->asked_ms + SESSION_PING_MS) {
		put_message(s, MSG_PING, NULL, 0);
		session_flush(s);
		s->asked_ms = now_ms;
	}
	if (now_ms >= s->heard_ms + QUIET_MS && !wirebuf_len(&s->in))
		wirebuf_release(&s->in);
	if (now_ms >= s->heard_ms + QUIET_MS && !wirebuf_len(&s->out))
		wirebuf_release(&s->out);
	const uint64_t ping = (s->heard_ms > s->asked_ms ? s->heard_ms : s->asked_ms) + SESSION_PING_MS;
	const uint64_t idle = s->heard_ms + SESSION_IDLE_MS;
	return ping < idle ? ping : idle;
}

const uint8_t *session_output(struct session *s, size_t *ret_len)
{
	*ret_len = sealed_end(s) - s->out.at;
	return *ret_len ? s->out.bytes + s->out.at : NULL;
}

void session_output_done(struct session *s, size_t len)
{
	assert(len <= sealed_end(s) - s->out.at);
	s->out.at += len;
	s->stats.bytes_out += len;
}
