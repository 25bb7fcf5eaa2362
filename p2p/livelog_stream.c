/* One stream: from the node's own log or a peer, to a reader here or a peer. PROTOCOL "Live log". */
#include "p2p/livelog_impl.h"
#include "proto/ed25519.h"

#define SOURCE_BURST LIVELOG_RATE
#define FORWARD_BURST (2 * LIVELOG_RATE) /* what an honest source sent evenly may arrive at once */
#define FEED_MIN 4096                    /* bytes that a long wait for the rate is worth: 62 ms */

void bucket_fill(struct bucket *b, uint64_t most_bytes, uint64_t now_ms)
{
	const uint64_t passed_ms = now_ms > b->at_ms ? now_ms - b->at_ms : 0;
	b->milli += passed_ms < 1000000 ? passed_ms * LIVELOG_RATE : most_bytes * 1000;
	b->at_ms = now_ms > b->at_ms ? now_ms : b->at_ms;
	if (b->milli > most_bytes * 1000)
		b->milli = most_bytes * 1000;
}

static uint64_t cost_of(size_t len)
{
	return UINT64_C(1000) * (len < LIVELOG_CHUNK_COST_MIN ? LIVELOG_CHUNK_COST_MIN : len);
}

struct stream *stream_new(struct livelog *l, const struct id32 *job, const struct node_id *volunteer, uint64_t offset)
{
	for (size_t i = 0; i < LIVELOG_STREAMS_MAX; i++) {
		struct stream *s = &l->streams[i];
		if (s->state != STREAM_FREE)
			continue;
		if (!++l->last_number)
			l->last_number = 1;
		*s = (struct stream){.number = l->last_number, .state = STREAM_WAITING, .job = *job, .volunteer = *volunteer, .offset = offset,
				     .reader = LIVELOG_HERE, .source = LIVELOG_HERE, .hops = LIVELOG_HOPS_MAX};
		return s;
	}
	return NULL;
}

static void release(struct stream *s)
{
	*s = (struct stream){0};
}

struct stream *stream_of_reader(struct livelog *l, int slot, uint64_t stream)
{
	for (size_t i = 0; i < LIVELOG_STREAMS_MAX; i++)
		if (l->streams[i].state && l->streams[i].reader == slot && l->streams[i].reader_stream == stream)
			return &l->streams[i];
	return NULL;
}

struct stream *stream_of_source(struct livelog *l, int slot, uint64_t stream)
{
	for (size_t i = 0; i < LIVELOG_STREAMS_MAX; i++)
		if (l->streams[i].state && l->streams[i].source == slot && l->streams[i].source_stream == stream)
			return &l->streams[i];
	return NULL;
}

/* ---- ends ---- */

void stream_lose(struct livelog *l, struct stream *s, enum livelog_end why, enum livelog_end say_source)
{
	if (s->source != LIVELOG_HERE && say_source)
		livelog_send_pair(l, s->source, MSG_LOG_END, s->source_stream, say_source);
	if (s->reader != LIVELOG_HERE) {
		livelog_send_pair(l, s->reader, MSG_LOG_END, s->reader_stream, why);
		release(s);
		return;
	}
	s->source = LIVELOG_HERE;
	s->state = STREAM_LOST;
	s->why = why;
}

void stream_cancel(struct livelog *l, struct stream *s)
{
	if (s->source != LIVELOG_HERE)
		livelog_send_pair(l, s->source, MSG_LOG_END, s->source_stream, LIVELOG_END_CANCELLED);
	release(s);
}

/* ---- from a peer ---- */

void stream_move(struct livelog *l, struct stream *s, int source, uint64_t now_ms)
{
	if (s->source != LIVELOG_HERE)
		livelog_send_pair(l, s->source, MSG_LOG_END, s->source_stream, LIVELOG_END_CANCELLED);
	s->source = source;
	s->source_stream = 2 * ++l->last_stream + (memcmp(&l->o.self, &l->peers[source].id, sizeof l->o.self) > 0);
	s->source_owed = 0;
	s->bucket = (struct bucket){.milli = UINT64_C(1000) * FORWARD_BURST, .at_ms = now_ms};
	const struct livelog_sub v = {.stream = s->source_stream, .job = s->job, .volunteer = s->volunteer, .offset = s->offset, .hops = s->hops - 1};
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, 256);
	livelog_sub_encode(&v, &body);
	livelog_send(l, source, MSG_LOG_SUB, &body);
}

void stream_begin(struct livelog *l, struct stream *s, uint64_t now_ms)
{
	if (node_id_eq(&s->volunteer, &l->o.self)) {
		if (livelog_own(l, &s->job))
			stream_feed(l, s, now_ms);
		else
			stream_lose(l, s, LIVELOG_END_NO_WAY, 0);
		return;
	}
	const int way = livelog_way(l, &s->job, &s->volunteer);
	if (way == LIVELOG_HERE || way == s->reader || !s->hops) /* back to who asks: it would go round */
		stream_lose(l, s, LIVELOG_END_NO_WAY, 0);
	else
		stream_move(l, s, way, now_ms);
}

/* A chunk that is signed and in order goes on to the reader. */
static void deliver(struct livelog *l, struct stream *s, struct livelog_chunk chunk)
{
	bool is_given = true;
	s->offset = chunk.offset + chunk.len;
	if (s->reader == LIVELOG_HERE) {
		const struct livelog_action a = {.type = LIVELOG_CHUNK, .subscription = s->number, .job = s->job, .offset = chunk.offset, .is_end = chunk.is_end};
		is_given = livelog_push(l, a, chunk.bytes, chunk.len);
	} else {
		CLEANUP(buf_release) struct buf body;
		buf_init(&body, SESSION_MESSAGE_MAX);
		chunk.stream = s->reader_stream;
		livelog_chunk_encode(&chunk, &body);
		livelog_send(l, s->reader, MSG_LOG_DATA, &body);
		s->reader_owes += chunk.len;
		l->stats.chunks_out++;
		l->stats.bytes_out += chunk.len;
	}
	if (!is_given)
		stream_lose(l, s, LIVELOG_END_GONE, LIVELOG_END_CANCELLED);
	else if (chunk.is_end) /* the end chunk ends the stream on all hops */
		release(s);
}

static bool is_signed(struct livelog *l, const struct stream *s, const struct livelog_chunk *chunk)
{
	buf_reset(&l->input);
	livelog_signed_bytes(l->network, &s->job, chunk, &l->input);
	return !buf_failed(&l->input) && ed25519_verify(l->input.data, l->input.len, chunk->signature, &s->volunteer);
}

void stream_data(struct livelog *l, struct stream *s, const struct livelog_chunk *chunk, uint64_t now_ms)
{
	bucket_fill(&s->bucket, FORWARD_BURST, now_ms);
	if (chunk->offset < s->offset || s->source_owed + chunk->len > LIVELOG_WINDOW || s->bucket.milli < cost_of(chunk->len)) {
		l->stats.malformed++;
		stream_lose(l, s, LIVELOG_END_GONE, LIVELOG_END_MALFORMED);
		return;
	}
	s->bucket.milli -= cost_of(chunk->len);
	if (!is_signed(l, s, chunk)) {
		l->stats.bad_signatures++;
		stream_lose(l, s, LIVELOG_END_GONE, LIVELOG_END_FALSE);
		return;
	}
	l->stats.chunks_in++;
	l->stats.bytes_in += chunk->len;
	s->source_owed += chunk->len;
	if (s->reader == LIVELOG_HERE && !chunk->is_end)
		stream_more(l, s, chunk->len, now_ms);
	deliver(l, s, *chunk);
}

/* The reader took bytes; a source that is a peer may send as many again. */
void stream_more(struct livelog *l, struct stream *s, uint64_t bytes, uint64_t now_ms)
{
	s->reader_owes -= bytes < s->reader_owes ? bytes : s->reader_owes;
	if (s->source == LIVELOG_HERE) {
		stream_feed(l, s, now_ms);
		return;
	}
	const uint64_t owed = bytes < s->source_owed ? bytes : s->source_owed;
	s->source_owed -= owed;
	if (owed)
		livelog_send_pair(l, s->source, MSG_LOG_MORE, s->source_stream, owed);
}

/* ---- from the node's own log ---- */

static void give_own(struct livelog *l, struct stream *s, struct own_log *o, const uint8_t *bytes, size_t len)
{
	struct livelog_chunk chunk = {.offset = s->offset, .bytes = bytes, .len = len, .is_end = o->is_end && s->offset + len >= o->size};
	if (s->reader != LIVELOG_HERE) {
		const uint64_t cost = cost_of(len);
		o->bucket.milli -= cost < o->bucket.milli ? cost : o->bucket.milli;
		buf_reset(&l->input);
		livelog_signed_bytes(l->network, &s->job, &chunk, &l->input);
		if (buf_failed(&l->input))
			return;
		ed25519_sign(l->input.data, l->input.len, l->o.identity_secret, chunk.signature);
	}
	deliver(l, s, chunk);
}

/* How much may go to the reader now: what is there, what its window and the job's rate allow; *ret_at: when the rate allows more. */
static size_t allowance(const struct stream *s, struct own_log *o, uint64_t now_ms, uint64_t *ret_at)
{
	const uint64_t rest = o->size - s->offset, room = LIVELOG_WINDOW - s->reader_owes;
	size_t len = rest < LIVELOG_CHUNK_MAX ? rest : LIVELOG_CHUNK_MAX;
	if (s->reader == LIVELOG_HERE)
		return len;
	if (room < len) { /* a window that is nearly full: not a signature for each few bytes */
		if (room < LIVELOG_CHUNK_COST_MIN)
			return 0;
		len = room;
	}
	bucket_fill(&o->bucket, SOURCE_BURST, now_ms);
	const uint64_t need = cost_of(len < FEED_MIN ? len : FEED_MIN);
	if (o->bucket.milli < need) {
		*ret_at = now_ms + (need - o->bucket.milli) / LIVELOG_RATE + 1;
		return 0;
	}
	const uint64_t allowed = o->bucket.milli / 1000;
	return allowed < len ? allowed : len;
}

uint64_t stream_feed(struct livelog *l, struct stream *s, uint64_t now_ms)
{
	uint64_t again_ms = LIVELOG_NEVER;
	struct own_log *o = livelog_own(l, &s->job);
	if (s->state != STREAM_WAITING || s->source != LIVELOG_HERE)
		return again_ms;
	if (!o) {
		stream_lose(l, s, LIVELOG_END_GONE, 0);
		return again_ms;
	}
	if (o->size > s->offset && o->size - s->offset > LIVELOG_LAG_MAX)
		s->offset = o->size - LIVELOG_RATE; /* moved on: the next chunk's offset says how much was left out */
	if (s->offset >= o->size) {
		if (o->is_end && s->offset > o->size) /* asked for what never was: no chunk can say so */
			stream_lose(l, s, LIVELOG_END_GONE, 0);
		else if (o->is_end)
			give_own(l, s, o, NULL, 0);
		return again_ms;
	}
	s->read_len = allowance(s, o, now_ms, &again_ms);
	if (s->read_len)
		s->state = STREAM_READ_DUE;
	return again_ms;
}

void livelog_data(struct livelog *l, uint32_t stream, uint64_t offset, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
	struct stream *s = NULL;
	for (size_t i = 0; stream && i < LIVELOG_STREAMS_MAX; i++)
		if (l->streams[i].number == stream)
			s = &l->streams[i];
	struct own_log *o = s ? livelog_own(l, &s->job) : NULL;
	if (!s || s->state != STREAM_READING || offset != s->offset)
		return;
	s->state = STREAM_WAITING;
	if (!o || !len) {
		stream_lose(l, s, LIVELOG_END_GONE, 0);
		return;
	}
	give_own(l, s, o, bytes, len < s->read_len ? len : s->read_len);
	if (s->number == stream) /* the end chunk ended it else */
		stream_feed(l, s, now_ms);
}
