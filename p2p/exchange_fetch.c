/* Asking: which source, what it owes, whether what it sends is true. */
#include "p2p/exchange_impl.h"

static struct want *want_of(struct exchange *e, const struct fetch *f)
{
	for (size_t i = 0; i < EXCHANGE_WANTS_MAX; i++)
		if (&e->wants[i].f == f)
			return &e->wants[i];
	return NULL;
}

/* Every fetch in use that asks somebody, of wants first; NULL past the end. */
static struct fetch *fetch_at(struct exchange *e, size_t i)
{
	return i < EXCHANGE_WANTS_MAX ? &e->wants[i].f : i < EXCHANGE_WANTS_MAX + EXCHANGE_RELAYS_MAX ? &e->relays[i - EXCHANGE_WANTS_MAX].f : NULL;
}

struct fetch *fetch_find(struct exchange *e, int slot, uint64_t stream)
{
	struct fetch *f;
	for (size_t i = 0; (f = fetch_at(e, i)); i++)
		if (f->number && f->source == slot && f->stream == stream)
			return f;
	return NULL;
}

static bool follows(const struct exchange_peer *p, const struct id32 *topic)
{
	for (size_t i = 0; i < p->topics_len; i++)
		if (id32_eq(&p->topics[i], topic))
			return true;
	return false;
}

/* The next source: who offered it, the author, then those who follow the topic, each time from another one on. -1: none is left. */
static int choose(const struct exchange *e, const struct fetch *f)
{
	int author = -1, other = -1;
	for (int i = 0; i < EXCHANGE_PEERS_MAX; i++) {
		const int slot = (int)((e->last_stream + (unsigned)i) % EXCHANGE_PEERS_MAX);
		const struct exchange_peer *p = &e->peers[slot];
		if (!p->number || f->tried >> slot & 1)
			continue;
		if (p->number == f->first)
			return slot;
		if (node_id_eq(&p->id, &f->ref.author))
			author = slot;
		else if (other < 0 && follows(p, &f->ref.topic))
			other = slot;
	}
	return author >= 0 ? author : other;
}

static void send_get(struct exchange *e, const struct fetch *f)
{
	const struct exchange_get v = {.stream = f->stream, .ref = f->ref, .first = f->next, .hops = f->hops, .until = f->until};
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, SESSION_MESSAGE_MAX);
	exchange_get_encode(&v, &body);
	exchange_send(e, f->source, MSG_BLOB_GET, &body);
}

static void give_up(struct exchange *e, struct fetch *f)
{
	struct want *w = want_of(e, f);
	f->deadline_ms = EXCHANGE_NEVER;
	if (w)
		w->state = WANT_FAILED;
	else
		relay_failed(e, fetch_relay(e, f));
}

/* How far a source may send: a want takes all, a forwarded request what fits the window behind what its asker has not taken. */
static uint64_t limit_of(struct exchange *e, struct fetch *f)
{
	const struct relay *r = fetch_relay(e, f);
	const uint64_t most = r ? r->asker.next + EXCHANGE_RELAY_WINDOW : f->leaves;
	return most < f->leaves ? most : f->leaves;
}

void fetch_start(struct exchange *e, struct fetch *f, uint64_t now_ms)
{
	f->source = f->tries ? choose(e, f) : -1;
	if (f->source < 0) {
		give_up(e, f);
		return;
	}
	f->tries--;
	f->tried |= UINT64_C(1) << f->source;
	f->until = limit_of(e, f);
	f->deadline_ms = f->next < f->until ? now_ms + f->stall_ms : EXCHANGE_NEVER;
	const bool is_higher = memcmp(&e->self, &e->peers[f->source].id, sizeof e->self) > 0;
	f->stream = 2 * ++e->last_stream + is_higher;
	send_get(e, f);
}

void fetch_more(struct exchange *e, struct fetch *f, uint64_t now_ms)
{
	const uint64_t limit = limit_of(e, f);
	if (f->source < 0 || limit <= f->until)
		return;
	if (limit < f->leaves && limit - f->next <= EXCHANGE_RELAY_WINDOW / 2) /* not a message for every leaf */
		return;
	f->until = limit;
	if (f->deadline_ms == EXCHANGE_NEVER)
		f->deadline_ms = now_ms + f->stall_ms;
	exchange_send_pair(e, f->source, MSG_BLOB_MORE, f->stream, limit);
}

void fetch_stop(struct exchange *e, struct fetch *f, enum exchange_end say_why)
{
	if (f->source >= 0)
		exchange_send_pair(e, f->source, MSG_BLOB_END, f->stream, say_why);
	f->source = -1;
	f->deadline_ms = EXCHANGE_NEVER;
}

void fetch_fail(struct exchange *e, struct fetch *f, enum exchange_end why, bool say, uint64_t now_ms)
{
	if (say)
		fetch_stop(e, f, why);
	f->source = -1;
	if (why != EXCHANGE_END_NOT_FOUND || !f->why) /* that one was busy says more than that another has not got it */
		f->why = why;
	fetch_start(e, f, now_ms);
}

/* Why a leaf is not the one that comes next; 0: it is. */
static enum exchange_end judge(const struct fetch *f, const struct exchange_leaf *leaf)
{
	struct merkle_hash hash;
	const uint64_t rest = f->ref.size - f->next * MERKLE_LEAF_LEN;
	if (leaf->index != f->next || leaf->index >= f->until || leaf->len != (rest < MERKLE_LEAF_LEN ? rest : MERKLE_LEAF_LEN))
		return EXCHANGE_END_FALSE;
	merkle_leaf(leaf->bytes, leaf->len, &hash);
	return merkle_verify(&hash, leaf->index, f->leaves, leaf->path, leaf->path_len, f->ref.root) ? 0 : EXCHANGE_END_FALSE;
}

static void take_wanted(struct exchange *e, struct want *w, const struct exchange_leaf *leaf)
{
	buf_append(&w->bytes, leaf->bytes, leaf->len);
	if (buf_failed(&w->bytes)) {
		w->f.why = EXCHANGE_END_FULL;
		fetch_stop(e, &w->f, EXCHANGE_END_CANCELLED);
		w->state = WANT_FAILED;
	} else if (w->f.next == w->f.leaves) {
		w->state = WANT_DONE;
	}
}

void fetch_data(struct exchange *e, int slot, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
	struct exchange_leaf leaf;
	if (exchange_leaf_decode(bytes, len, &leaf)) {
		e->stats.malformed++;
		fetch_peer_close(e, slot, EXCHANGE_END_MALFORMED, true, now_ms); /* which stream it was meant for is not known */
		return;
	}
	struct fetch *f = fetch_find(e, slot, leaf.stream);
	if (!f) { /* what was on its way when we ended a stream is nobody's fault */
		if (!exchange_is_own_stream(e, slot, leaf.stream) || leaf.stream / 2 > e->last_stream)
			e->stats.unasked++;
		return;
	}
	if (judge(f, &leaf)) {
		e->stats.false_data++;
		fetch_fail(e, f, EXCHANGE_END_FALSE, true, now_ms);
		return;
	}
	e->stats.bytes_in += leaf.len;
	f->next++;
	f->deadline_ms = f->next < f->until ? now_ms + f->stall_ms : EXCHANGE_NEVER;
	if (f->next == f->leaves)
		f->source = -1; /* the last leaf ends the stream */
	struct want *w = want_of(e, f);
	if (w)
		take_wanted(e, w, &leaf);
	else
		relay_hold(e, fetch_relay(e, f), &leaf, now_ms);
}

/* The source ended it. A reason that cannot come from it is a fault. */
void fetch_end(struct exchange *e, struct fetch *f, uint64_t why, uint64_t now_ms)
{
	const bool is_known = why > EXCHANGE_END_DONE && why < EXCHANGE_END_GONE;
	e->stats.malformed += !is_known;
	fetch_fail(e, f, is_known ? (enum exchange_end)why : EXCHANGE_END_MALFORMED, false, now_ms);
}

void fetch_peer_close(struct exchange *e, int slot, enum exchange_end why, bool say, uint64_t now_ms)
{
	struct fetch *f;
	for (size_t i = 0; (f = fetch_at(e, i)); i++) {
		if (f->number && f->source == slot)
			fetch_fail(e, f, why, say, now_ms);
		if (!e->peers[slot].number)
			f->tried &= ~(UINT64_C(1) << slot); /* who comes into this slot is somebody else */
	}
}

uint64_t fetch_tick(struct exchange *e, uint64_t now_ms)
{
	struct fetch *f;
	uint64_t next = EXCHANGE_NEVER;
	for (size_t i = 0; (f = fetch_at(e, i)); i++) {
		if (f->number && f->source >= 0 && f->deadline_ms <= now_ms) {
			e->stats.stalls++;
			fetch_fail(e, f, EXCHANGE_END_STALLED, true, now_ms);
		}
		if (f->number && f->source >= 0 && f->deadline_ms < next)
			next = f->deadline_ms;
	}
	return next;
}

/* ---- wants ---- */

void want_release(struct want *w)
{
	buf_release(&w->bytes);
	*w = (struct want){0};
}

uint32_t exchange_want(struct exchange *e, const struct exchange_ref *ref, uint32_t first, uint64_t now_ms)
{
	struct want *w = NULL;
	if (ref->size > EXCHANGE_SIZE_MAX)
		return 0;
	for (size_t i = 0; i < EXCHANGE_WANTS_MAX; i++) {
		struct want *at = &e->wants[i];
		if (at->state == WANT_FREE)
			w = w ? w : at;
		else if (at->state != WANT_GIVEN && exchange_ref_eq(&at->f.ref, ref)) {
			at->f.first = first ? first : at->f.first;
			return at->f.number;
		}
	}
	if (!w)
		return 0;
	struct blob_digest empty;
	digest_bytes(NULL, 0, &empty);
	buf_init(&w->bytes, ref->size);
	w->f = (struct fetch){.number = exchange_number(e), .ref = *ref, .leaves = merkle_leaf_count(ref->size), .source = -1, .hops = 1,
			      .tries = EXCHANGE_PEERS_MAX, .first = first, .deadline_ms = EXCHANGE_NEVER, .stall_ms = EXCHANGE_STALL_MS};
	w->state = WANT_ASKING;
	if (w->f.leaves) {
		fetch_start(e, &w->f, now_ms);
	} else { /* nobody needs to be asked for nothing */
		w->state = memcmp(empty.root, ref->root, sizeof empty.root) ? WANT_FAILED : WANT_DONE;
		w->f.why = EXCHANGE_END_FALSE;
	}
	return w->f.number;
}

void exchange_cancel(struct exchange *e, uint32_t want)
{
	for (size_t i = 0; want && i < EXCHANGE_WANTS_MAX; i++) {
		struct want *w = &e->wants[i];
		if (w->f.number != want || w->state == WANT_GIVEN)
			continue;
		fetch_stop(e, &w->f, EXCHANGE_END_CANCELLED);
		want_release(w);
	}
}
