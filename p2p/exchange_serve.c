/* Answering: from the node's own bytes (serves), or with what a source sends (relays). PROTOCOL "Blobs". */
#include "p2p/exchange_impl.h"

static void end_asker(struct exchange *e, const struct asker *a, enum exchange_end why)
{
	exchange_send_pair(e, a->slot, MSG_BLOB_END, a->stream, why == EXCHANGE_END_GONE ? EXCHANGE_END_NOT_FOUND : why);
}

/* ---- serves ---- */

static struct serve *find_serve(struct exchange *e, uint32_t number)
{
	for (size_t i = 0; number && i < EXCHANGE_SERVES_MAX; i++)
		if (e->serves[i].number == number)
			return &e->serves[i];
	return NULL;
}

void serve_release(struct serve *s)
{
	free(s->nodes);
	*s = (struct serve){0};
}

/* The asker has its answer; the node is told unless it was never asked. */
static void close_serve(struct serve *s, enum exchange_end why)
{
	if (s->state == SERVE_ASKED) {
		serve_release(s);
		return;
	}
	s->state = SERVE_CLOSING;
	s->why = why;
	s->bytes = NULL;
}

static bool is_answering(const struct serve *s)
{
	return s->state == SERVE_ASKED || s->state == SERVE_OPENING || s->state == SERVE_OPEN;
}

/* Room for one more of this peer; NULL: none. */
static struct serve *free_serve(struct exchange *e, int slot)
{
	struct serve *room = NULL;
	unsigned of_peer = 0;
	for (size_t i = 0; i < EXCHANGE_SERVES_MAX; i++) {
		struct serve *s = &e->serves[i];
		of_peer += is_answering(s) && s->asker.slot == slot;
		if (s->state == SERVE_FREE)
			room = s;
	}
	return of_peer < EXCHANGE_SERVES_PER_PEER ? room : NULL;
}

static bool is_stream_used(const struct exchange *e, int slot, uint64_t stream)
{
	for (size_t i = 0; i < EXCHANGE_SERVES_MAX; i++)
		if (is_answering(&e->serves[i]) && e->serves[i].asker.slot == slot && e->serves[i].asker.stream == stream)
			return true;
	for (size_t i = 0; i < EXCHANGE_RELAYS_MAX; i++)
		if (e->relays[i].f.number && e->relays[i].asker.slot == slot && e->relays[i].asker.stream == stream)
			return true;
	return false;
}

void serve_get(struct exchange *e, int slot, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
	struct exchange_get v;
	if (exchange_get_decode(bytes, len, &v) || exchange_is_own_stream(e, slot, v.stream) || is_stream_used(e, slot, v.stream) ||
	    v.first >= merkle_leaf_count(v.ref.size)) {
		e->stats.malformed++;
		return;
	}
	const struct asker asker = {.slot = slot, .stream = v.stream, .next = v.first, .until = v.until, .moved_ms = now_ms};
	struct serve *s = free_serve(e, slot);
	const bool is_too_large = v.ref.size > EXCHANGE_SIZE_MAX;
	if (is_too_large || !s || !exchange_take_token(&e->peers[slot], now_ms)) {
		e->stats.refused++;
		end_asker(e, &asker, is_too_large ? EXCHANGE_END_NOT_FOUND : EXCHANGE_END_BUSY);
		return;
	}
	*s = (struct serve){.number = exchange_number(e), .state = SERVE_ASKED, .asker = asker, .ref = v.ref, .hops = v.hops};
}

/* The tree above the leaves, if it is that of the root; else what the node opened is another file by now, or the leaves are not of it. */
static enum exchange_end build_tree(struct serve *s, const struct merkle_hash *leaves, size_t count)
{
	if (count != merkle_leaf_count(s->ref.size))
		return EXCHANGE_END_NOT_FOUND;
	s->nodes = calloc(merkle_tree_len(count), sizeof *s->nodes);
	if (!s->nodes)
		return EXCHANGE_END_BUSY;
	memcpy(s->nodes, leaves, count * sizeof *leaves);
	merkle_build(s->nodes, count);
	return memcmp(merkle_root(s->nodes, count), s->ref.root, sizeof s->ref.root) ? EXCHANGE_END_NOT_FOUND : EXCHANGE_END_DONE;
}

void exchange_opened(struct exchange *e, uint32_t serve, const uint8_t *bytes, const struct merkle_hash *leaves, size_t leaves_len, uint64_t now_ms)
{
	struct serve *s = find_serve(e, serve);
	if (!s || s->state != SERVE_OPENING)
		return;
	const enum exchange_end why = build_tree(s, leaves, leaves_len);
	if (why != EXCHANGE_END_DONE) {
		end_asker(e, &s->asker, why);
		close_serve(s, why);
		return;
	}
	s->state = SERVE_OPEN;
	s->bytes = bytes;
	s->asker.moved_ms = now_ms;
}

/* ---- relays ---- */

void relay_release(struct relay *r)
{
	for (size_t i = 0; i < EXCHANGE_RELAY_WINDOW; i++)
		free(r->held[i]);
	*r = (struct relay){0};
}

/* The asker goes, or is told why it gets no more; the source is told too. */
static void end_relay(struct exchange *e, struct relay *r, enum exchange_end to_source)
{
	fetch_stop(e, &r->f, to_source);
	relay_release(r);
}

void relay_failed(struct exchange *e, struct relay *r)
{
	/* what is held is still true, but without a source nothing follows: the asker goes on elsewhere at the leaf it has reached */
	end_asker(e, &r->asker, r->f.why ? r->f.why : EXCHANGE_END_NOT_FOUND);
	relay_release(r);
}

void relay_hold(struct exchange *e, struct relay *r, const struct exchange_leaf *leaf, uint64_t now_ms)
{
	struct held *h = malloc(sizeof *h + leaf->len);
	if (!h) {
		end_asker(e, &r->asker, EXCHANGE_END_BUSY);
		end_relay(e, r, EXCHANGE_END_CANCELLED);
		return;
	}
	h->len = leaf->len;
	h->path_len = leaf->path_len;
	memcpy(h->path, leaf->path, sizeof h->path);
	memcpy(h->bytes, leaf->bytes, leaf->len);
	if (r->asker.next + 1 == r->f.next) /* the asker begins to owe taking it */
		r->asker.moved_ms = now_ms;
	r->held[leaf->index % EXCHANGE_RELAY_WINDOW] = h; /* free: judge() let nothing pass beyond the window */
}

static bool start_relay(struct exchange *e, const struct serve *s, uint64_t now_ms)
{
	struct relay *room = NULL;
	unsigned of_peer = 0;
	for (size_t i = 0; i < EXCHANGE_RELAYS_MAX; i++) {
		struct relay *r = &e->relays[i];
		of_peer += r->f.number && r->asker.slot == s->asker.slot;
		if (!r->f.number)
			room = r;
	}
	if (!room || of_peer >= EXCHANGE_RELAYS_PER_PEER)
		return false;
	room->asker = s->asker;
	room->f = (struct fetch){.number = exchange_number(e), .ref = s->ref, .leaves = merkle_leaf_count(s->ref.size), .next = s->asker.next,
				 .source = -1, .tries = EXCHANGE_RELAY_TRIES, .tried = UINT64_C(1) << s->asker.slot,
				 .deadline_ms = EXCHANGE_NEVER, .stall_ms = EXCHANGE_RELAY_STALL_MS};
	fetch_start(e, &room->f, now_ms);
	return true;
}

void exchange_refused(struct exchange *e, uint32_t serve, enum exchange_end why, uint64_t now_ms)
{
	struct serve *s = find_serve(e, serve);
	if (!s || s->state != SERVE_OPENING)
		return;
	if (why != EXCHANGE_END_NOT_FOUND || !s->hops)
		end_asker(e, &s->asker, why);
	else if (!start_relay(e, s, now_ms))
		end_asker(e, &s->asker, EXCHANGE_END_BUSY);
	close_serve(s, why);
}

/* ---- what askers say ---- */

void serve_cancel(struct exchange *e, int slot, uint64_t stream)
{
	for (size_t i = 0; i < EXCHANGE_SERVES_MAX; i++)
		if (is_answering(&e->serves[i]) && e->serves[i].asker.slot == slot && e->serves[i].asker.stream == stream)
			close_serve(&e->serves[i], EXCHANGE_END_CANCELLED);
	for (size_t i = 0; i < EXCHANGE_RELAYS_MAX; i++)
		if (e->relays[i].f.number && e->relays[i].asker.slot == slot && e->relays[i].asker.stream == stream)
			end_relay(e, &e->relays[i], EXCHANGE_END_CANCELLED);
}

static void raise_limit(struct asker *a, uint64_t until, uint64_t now_ms)
{
	if (until <= a->until)
		return;
	a->until = until;
	a->moved_ms = now_ms;
}

void serve_more(struct exchange *e, int slot, uint64_t stream, uint64_t until, uint64_t now_ms)
{
	for (size_t i = 0; i < EXCHANGE_SERVES_MAX; i++)
		if (is_answering(&e->serves[i]) && e->serves[i].asker.slot == slot && e->serves[i].asker.stream == stream)
			raise_limit(&e->serves[i].asker, until, now_ms);
	for (size_t i = 0; i < EXCHANGE_RELAYS_MAX; i++)
		if (e->relays[i].f.number && e->relays[i].asker.slot == slot && e->relays[i].asker.stream == stream)
			raise_limit(&e->relays[i].asker, until, now_ms);
}

void serve_peer_close(struct exchange *e, int slot)
{
	for (size_t i = 0; i < EXCHANGE_SERVES_MAX; i++)
		if (is_answering(&e->serves[i]) && e->serves[i].asker.slot == slot)
			close_serve(&e->serves[i], EXCHANGE_END_GONE);
	for (size_t i = 0; i < EXCHANGE_RELAYS_MAX; i++)
		if (e->relays[i].f.number && e->relays[i].asker.slot == slot)
			end_relay(e, &e->relays[i], EXCHANGE_END_CANCELLED);
}

/* ---- bulk ---- */

static bool serve_has_leaf(const struct serve *s)
{
	return s->state == SERVE_OPEN && s->asker.next < s->asker.until;
}

static bool relay_has_leaf(const struct relay *r)
{
	return r->f.number && r->asker.next < r->f.next && r->asker.next < r->asker.until;
}

static void serve_leaf(struct exchange *e, struct serve *s, uint64_t now_ms)
{
	const uint64_t at = s->asker.next * MERKLE_LEAF_LEN, rest = s->ref.size - at;
	const size_t count = merkle_leaf_count(s->ref.size);
	struct exchange_leaf leaf = {.stream = s->asker.stream, .index = s->asker.next, .bytes = s->bytes + at,
				     .len = rest < MERKLE_LEAF_LEN ? rest : MERKLE_LEAF_LEN};
	leaf.path_len = merkle_path(s->nodes, count, leaf.index, leaf.path);
	exchange_leaf_encode(&leaf, &e->out);
	e->stats.bytes_out += leaf.len;
	s->asker.moved_ms = now_ms;
	if (++s->asker.next == count)
		close_serve(s, EXCHANGE_END_DONE);
}

static void relay_leaf(struct exchange *e, struct relay *r, uint64_t now_ms)
{
	struct held **place = &r->held[r->asker.next % EXCHANGE_RELAY_WINDOW];
	CLEANUP(cleanup_free) struct held *h = *place;
	struct exchange_leaf leaf = {.stream = r->asker.stream, .index = r->asker.next, .bytes = h->bytes, .len = h->len, .path_len = h->path_len};
	*place = NULL;
	memcpy(leaf.path, h->path, sizeof leaf.path);
	exchange_leaf_encode(&leaf, &e->out);
	e->stats.bytes_out += leaf.len;
	e->stats.relayed++;
	r->asker.moved_ms = now_ms;
	if (++r->asker.next == r->f.leaves)
		relay_release(r);
	else
		fetch_more(e, &r->f, now_ms);
}

#define STREAMS (EXCHANGE_SERVES_MAX + EXCHANGE_RELAYS_MAX)

/* The stream of this peer whose turn it is, of those that have a leaf; -1: none. */
static int turn_of(const struct exchange *e, int slot)
{
	for (size_t i = 1; i <= STREAMS; i++) {
		const size_t at = (e->peers[slot].turn + i) % STREAMS;
		const struct serve *s = at < EXCHANGE_SERVES_MAX ? &e->serves[at] : NULL;
		const struct relay *r = s ? NULL : &e->relays[at - EXCHANGE_SERVES_MAX];
		if (s ? s->asker.slot == slot && serve_has_leaf(s) : r->asker.slot == slot && relay_has_leaf(r))
			return (int)at;
	}
	return -1;
}

bool exchange_has_bulk(const struct exchange *e, uint32_t peer)
{
	const int slot = exchange_slot(e, peer);
	return slot >= 0 && turn_of(e, slot) >= 0;
}

bool exchange_writable(struct exchange *e, uint32_t peer, uint64_t now_ms, enum session_message *ret_type, const uint8_t **ret_bytes, size_t *ret_len)
{
	const int slot = exchange_slot(e, peer), at = slot < 0 ? -1 : turn_of(e, slot);
	if (at < 0)
		return false;
	e->peers[slot].turn = (size_t)at;
	buf_reset(&e->out);
	if (at < EXCHANGE_SERVES_MAX)
		serve_leaf(e, &e->serves[at], now_ms);
	else
		relay_leaf(e, &e->relays[at - EXCHANGE_SERVES_MAX], now_ms);
	if (buf_failed(&e->out)) /* no memory: the asker misses a leaf, stalls and goes on elsewhere */
		return false;
	*ret_type = MSG_BLOB_DATA;
	*ret_bytes = e->out.data;
	*ret_len = e->out.len;
	return true;
}

/* An asker that takes nothing of what is there keeps memory for nothing. */
uint64_t serve_tick(struct exchange *e, uint64_t now_ms)
{
	uint64_t next = EXCHANGE_NEVER;
	for (size_t i = 0; i < EXCHANGE_SERVES_MAX; i++) {
		struct serve *s = &e->serves[i];
		const uint64_t due = s->asker.moved_ms + EXCHANGE_SERVE_STALL_MS;
		if (s->state == SERVE_OPEN && due <= now_ms) {
			end_asker(e, &s->asker, EXCHANGE_END_STALLED);
			close_serve(s, EXCHANGE_END_STALLED);
		} else if (s->state == SERVE_OPEN && due < next) {
			next = due;
		}
	}
	for (size_t i = 0; i < EXCHANGE_RELAYS_MAX; i++) {
		struct relay *r = &e->relays[i];
		const uint64_t due = r->asker.moved_ms + EXCHANGE_SERVE_STALL_MS;
		if (!r->f.number || r->asker.next == r->f.next)
			continue;
		if (due <= now_ms) {
			end_asker(e, &r->asker, EXCHANGE_END_STALLED);
			end_relay(e, r, EXCHANGE_END_CANCELLED);
		} else if (due < next) {
			next = due;
		}
	}
	return next;
}
