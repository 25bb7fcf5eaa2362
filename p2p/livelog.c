#include "p2p/livelog.h"

#include <stdlib.h>

#include "p2p/livelog_impl.h"

const char *livelog_end_name(enum livelog_end why)
{
	switch (why) {
#define X(name, value, text) case name: return text;
		LIVELOG_ENDS(X)
#undef X
	}
	return "unknown";
}

struct livelog *livelog_new(const struct livelog_options *o)
{
	struct livelog *l = calloc(1, sizeof *l);
	if (!l)
		return NULL;
	l->o = *o;
	snprintf(l->network, sizeof l->network, "%s", o->network);
	l->queue_end = &l->queue;
	buf_init(&l->input, 2 * LIVELOG_CHUNK_MAX);
	return l;
}

void livelog_free(struct livelog *l)
{
	if (!l)
		return;
	for (struct log_queued *q = l->queue, *next; q; q = next) {
		next = q->next;
		free(q);
	}
	free(l->given);
	buf_release(&l->input);
	free(l);
}

static int slot_of(const struct livelog *l, uint32_t peer)
{
	for (int i = 0; peer && i < LIVELOG_PEERS_MAX; i++)
		if (l->peers[i].number == peer)
			return i;
	return LIVELOG_HERE;
}

bool livelog_is_own_stream(const struct livelog *l, int slot, uint64_t stream)
{
	const bool is_higher = memcmp(&l->o.self, &l->peers[slot].id, sizeof l->o.self) > 0;
	return (stream & 1) == is_higher;
}

/* ---- actions ---- */

bool livelog_push(struct livelog *l, struct livelog_action action, const uint8_t *bytes, size_t len)
{
	struct log_queued *q = l->queue_bytes + sizeof *q + len > LIVELOG_QUEUE_MAX ? NULL : malloc(sizeof *q + len);
	if (!q) {
		l->stats.refused++;
		return false;
	}
	*q = (struct log_queued){.action = action};
	if (len)
		memcpy(q->data, bytes, len);
	q->action.bytes = q->data;
	q->action.len = len;
	*l->queue_end = q;
	l->queue_end = &q->next;
	l->queue_bytes += sizeof *q + len;
	return true;
}

void livelog_send(struct livelog *l, int slot, enum session_message type, const struct buf *body)
{
	const uint32_t number = l->peers[slot].number;
	if (number && !buf_failed(body))
		livelog_push(l, (struct livelog_action){.type = LIVELOG_SEND, .peer = number, .message = type}, body->data, body->len);
}

void livelog_send_pair(struct livelog *l, int slot, enum session_message type, uint64_t stream, uint64_t value)
{
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, 64);
	livelog_pair_encode(stream, value, &body);
	livelog_send(l, slot, type, &body);
}

static bool next_queued(struct livelog *l, struct livelog_action *ret)
{
	free(l->given);
	l->given = l->queue;
	if (!l->given)
		return false;
	l->queue = l->given->next;
	if (!l->queue)
		l->queue_end = &l->queue;
	l->queue_bytes -= sizeof *l->given + l->given->action.len;
	*ret = l->given->action;
	return true;
}

bool livelog_next(struct livelog *l, struct livelog_action *ret)
{
	if (next_queued(l, ret))
		return true;
	for (size_t i = 0; i < LIVELOG_STREAMS_MAX; i++) {
		struct stream *s = &l->streams[i];
		if (s->state == STREAM_READ_DUE) {
			s->state = STREAM_READING;
			*ret = (struct livelog_action){.type = LIVELOG_READ, .stream = s->number, .job = s->job, .offset = s->offset, .len = s->read_len};
			return true;
		}
		if (s->state == STREAM_LOST) {
			*ret = (struct livelog_action){.type = LIVELOG_LOST, .subscription = s->number, .job = s->job, .why = s->why};
			*s = (struct stream){0};
			return true;
		}
	}
	return false;
}

/* ---- ways ---- */

/* routes_len: there is none. */
static size_t find_route(const struct livelog *l, const struct id32 *job, const struct node_id *volunteer)
{
	size_t i = 0;
	while (i < l->routes_len && !(id32_eq(&l->routes[i].job, job) && node_id_eq(&l->routes[i].volunteer, volunteer)))
		i++;
	return i;
}

static struct log_route *oldest_route(struct livelog *l)
{
	struct log_route *oldest = &l->routes[0];
	if (l->routes_len < LIVELOG_ROUTES_MAX)
		return &l->routes[l->routes_len++];
	for (size_t i = 1; i < l->routes_len; i++)
		if (l->routes[i].stamp < oldest->stamp)
			oldest = &l->routes[i];
	return oldest;
}

int livelog_way(const struct livelog *l, const struct id32 *job, const struct node_id *volunteer)
{
	for (int i = 0; i < LIVELOG_PEERS_MAX; i++)
		if (l->peers[i].number && node_id_eq(&l->peers[i].id, volunteer))
			return i;
	const size_t at = find_route(l, job, volunteer);
	return at < l->routes_len ? slot_of(l, l->routes[at].peer) : LIVELOG_HERE;
}

void livelog_route(struct livelog *l, const struct id32 *job, const struct node_id *volunteer, uint32_t peer, uint64_t now_ms)
{
	const size_t at = find_route(l, job, volunteer);
	struct log_route *r = at < l->routes_len ? &l->routes[at] : NULL;
	if (slot_of(l, peer) == LIVELOG_HERE) {
		if (r)
			*r = l->routes[--l->routes_len];
		return;
	}
	if (!r)
		r = oldest_route(l);
	*r = (struct log_route){.job = *job, .volunteer = *volunteer, .peer = peer, .stamp = ++l->stamps};
	const int way = livelog_way(l, job, volunteer);
	for (size_t i = 0; i < LIVELOG_STREAMS_MAX; i++) {
		struct stream *s = &l->streams[i];
		if (s->state == STREAM_WAITING && s->source != LIVELOG_HERE && s->source != way && s->reader != way && id32_eq(&s->job, job) &&
		    node_id_eq(&s->volunteer, volunteer))
			stream_move(l, s, way, now_ms);
	}
}

/* ---- peers ---- */

void livelog_peer_open(struct livelog *l, uint32_t peer, const struct node_id *id)
{
	for (int i = 0; peer && slot_of(l, peer) == LIVELOG_HERE && i < LIVELOG_PEERS_MAX; i++)
		if (!l->peers[i].number)
			l->peers[i] = (struct log_peer){.number = peer, .id = *id};
}

void livelog_peer_close(struct livelog *l, uint32_t peer, uint64_t now_ms)
{
	(void)now_ms;
	const int slot = slot_of(l, peer);
	if (slot == LIVELOG_HERE)
		return;
	l->peers[slot].number = 0;
	for (size_t i = 0; i < l->routes_len;)
		if (l->routes[i].peer == peer)
			l->routes[i] = l->routes[--l->routes_len];
		else
			i++;
	for (size_t i = 0; i < LIVELOG_STREAMS_MAX; i++) {
		struct stream *s = &l->streams[i];
		if (s->state && s->reader == slot)
			stream_cancel(l, s);
		else if (s->state && s->source == slot)
			stream_lose(l, s, LIVELOG_END_GONE, 0);
	}
}

/* ---- messages ---- */

static size_t streams_to(const struct livelog *l, int slot)
{
	size_t count = 0;
	for (size_t i = 0; i < LIVELOG_STREAMS_MAX; i++)
		count += l->streams[i].state && l->streams[i].reader == slot;
	return count;
}

static void on_sub(struct livelog *l, int slot, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
	struct livelog_sub v;
	if (livelog_sub_decode(bytes, len, &v) || livelog_is_own_stream(l, slot, v.stream) || stream_of_reader(l, slot, v.stream)) {
		l->stats.malformed++;
		return;
	}
	struct stream *s = streams_to(l, slot) < LIVELOG_PER_PEER_MAX ? stream_new(l, &v.job, &v.volunteer, v.offset) : NULL;
	if (!s) {
		l->stats.refused++;
		livelog_send_pair(l, slot, MSG_LOG_END, v.stream, LIVELOG_END_REFUSED);
		return;
	}
	s->reader = slot;
	s->reader_stream = v.stream;
	s->hops = v.hops < LIVELOG_HOPS_MAX ? v.hops : LIVELOG_HOPS_MAX;
	stream_begin(l, s, now_ms);
}

static void on_data(struct livelog *l, int slot, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
	struct livelog_chunk chunk;
	if (livelog_chunk_decode(bytes, len, &chunk) || !livelog_is_own_stream(l, slot, chunk.stream) || chunk.stream / 2 > l->last_stream) {
		l->stats.malformed++;
		return;
	}
	struct stream *s = stream_of_source(l, slot, chunk.stream);
	if (s) /* else it was on its way when we ended the stream */
		stream_data(l, s, &chunk, now_ms);
}

static void on_end(struct livelog *l, int slot, const uint8_t *bytes, size_t len)
{
	uint64_t stream, why;
	if (livelog_pair_decode(bytes, len, &stream, &why)) {
		l->stats.malformed++;
		return;
	}
	const bool is_ours = livelog_is_own_stream(l, slot, stream);
	struct stream *s = is_ours ? stream_of_source(l, slot, stream) : stream_of_reader(l, slot, stream);
	if (s && is_ours)
		stream_lose(l, s, why >= LIVELOG_END_GONE && why <= LIVELOG_END_REFUSED ? (enum livelog_end)why : LIVELOG_END_GONE, 0);
	else if (s)
		stream_cancel(l, s);
}

static void on_more(struct livelog *l, int slot, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
	uint64_t stream, taken;
	if (livelog_pair_decode(bytes, len, &stream, &taken) || livelog_is_own_stream(l, slot, stream)) {
		l->stats.malformed++;
		return;
	}
	struct stream *s = stream_of_reader(l, slot, stream);
	if (s)
		stream_more(l, s, taken, now_ms);
}

void livelog_input(struct livelog *l, uint32_t peer, enum session_message type, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
	const int slot = slot_of(l, peer);
	if (slot == LIVELOG_HERE)
		return;
	if (type == MSG_LOG_SUB)
		on_sub(l, slot, bytes, len, now_ms);
	else if (type == MSG_LOG_DATA)
		on_data(l, slot, bytes, len, now_ms);
	else if (type == MSG_LOG_END)
		on_end(l, slot, bytes, len);
	else if (type == MSG_LOG_MORE)
		on_more(l, slot, bytes, len, now_ms);
}

/* ---- the node ---- */

uint32_t livelog_subscribe(struct livelog *l, const struct id32 *job, const struct node_id *volunteer, uint64_t offset, uint64_t now_ms)
{
	struct stream *s = stream_new(l, job, volunteer, offset);
	if (!s)
		return 0;
	const uint32_t number = s->number;
	stream_begin(l, s, now_ms);
	return number;
}

void livelog_unsubscribe(struct livelog *l, uint32_t subscription)
{
	for (size_t i = 0; subscription && i < LIVELOG_STREAMS_MAX; i++)
		if (l->streams[i].number == subscription && l->streams[i].reader == LIVELOG_HERE)
			stream_cancel(l, &l->streams[i]);
}

struct own_log *livelog_own(struct livelog *l, const struct id32 *job)
{
	for (size_t i = 0; i < l->own_len; i++)
		if (id32_eq(&l->own[i].job, job))
			return &l->own[i];
	return NULL;
}

static struct own_log *oldest_own(struct livelog *l)
{
	struct own_log *oldest = &l->own[0];
	if (l->own_len < LIVELOG_OWN_MAX)
		return &l->own[l->own_len++];
	for (size_t i = 1; i < l->own_len; i++)
		if (l->own[i].stamp < oldest->stamp)
			oldest = &l->own[i];
	return oldest;
}

void livelog_grown(struct livelog *l, const struct id32 *job, uint64_t size, bool is_end, uint64_t now_ms)
{
	struct own_log *o = livelog_own(l, job);
	if (!o) {
		o = oldest_own(l);
		*o = (struct own_log){.job = *job, .bucket = {.milli = UINT64_C(1000) * LIVELOG_RATE, .at_ms = now_ms}};
	}
	o->stamp = ++l->stamps;
	o->size = size;
	o->is_end = is_end;
	for (size_t i = 0; i < LIVELOG_STREAMS_MAX; i++)
		if (l->streams[i].state == STREAM_WAITING && id32_eq(&l->streams[i].job, job) && node_id_eq(&l->streams[i].volunteer, &l->o.self))
			stream_feed(l, &l->streams[i], now_ms);
}

uint64_t livelog_tick(struct livelog *l, uint64_t now_ms)
{
	uint64_t next = LIVELOG_NEVER;
	for (size_t i = 0; i < LIVELOG_STREAMS_MAX; i++) {
		if (l->streams[i].state != STREAM_WAITING || !node_id_eq(&l->streams[i].volunteer, &l->o.self))
			continue;
		const uint64_t again_ms = stream_feed(l, &l->streams[i], now_ms);
		if (again_ms < next)
			next = again_ms;
	}
	return next;
}

const struct livelog_stats *livelog_stats(const struct livelog *l)
{
	return &l->stats;
}
