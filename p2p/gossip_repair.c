/* Gossip's repair: the sets of two peers compared, kind by kind (reconcile.h); what differs is asked for or announced. */
#include "p2p/gossip_impl.h"

#define LEARN_MAX 4096      /* ids of one message's differences; more are found the next time */
#define AT_ONCE 16          /* topics whose repair begins together, at one peer */
#define APART_MS 50
#define QUESTION_COST 1024  /* beside the answer's bytes: looking is work */

static void say(struct gossip *g, struct peer *p, const struct topic *t, uint32_t kind, const struct reconcile_side *side, const struct buf *message)
{
	if (buf_failed(message) || !message->len)
		return;
	const struct gossip_range range = {.topic = t->id, .kind = kind, .cutoff_ms = side->cutoff_ms, .role = side->role,
					   .message = message->data, .len = message->len};
	gossip_send_range(g, p, &range);
	p->answers_due += side->role == RECONCILE_INITIATOR;
}

void gossip_repair_kind(struct gossip *g, struct peer *p, struct topic *t, size_t kind)
{
	const struct reconcile_side side = {RECONCILE_INITIATOR, &t->kinds[kind], g->unix_ms};
	CLEANUP(buf_release) struct buf message;
	buf_init(&message, RECONCILE_MESSAGE_MAX);
	if (!(p->kinds >> kind & 1) || !gossip_peer_follows(g, p, t))
		return;
	reconcile_open(&side, &message);
	say(g, p, t, g->kinds[kind], &side, &message);
}

void gossip_repair(struct gossip *g, struct peer *p, struct topic *t)
{
	for (size_t kind = 0; kind < g->kinds_len; kind++)
		gossip_repair_kind(g, p, t, kind);
	g->stats.repairs++;
	p->stats.repairs++;
}

static uint8_t urgency_of(uint32_t kind)
{
	return kind == RECORD_PROJECT ? 0 : kind == RECORD_JOB ? 1 : URGENCIES - 1;
}

static bool learn(struct gossip *g, struct peer *p, struct topic *t, const struct gossip_range *range, int kind)
{
	const struct reconcile_side side = {RECONCILE_INITIATOR, &t->kinds[kind], range->cutoff_ms};
	CLEANUP(reconcile_ids_release) struct reconcile_ids have = {.max = LEARN_MAX}, need = {.max = LEARN_MAX};
	CLEANUP(buf_release) struct buf message;
	buf_init(&message, RECONCILE_MESSAGE_MAX);
	if (!p->answers_due) {
		gossip_fault(g, p, GOSSIP_FAULT_UNASKED);
		return true;
	}
	p->answers_due--;
	const int code = reconcile_step(&side, range->message, range->len, &message, &have, &need, NULL);
	if (code)
		return code != ERR_INVALID;
	say(g, p, t, range->kind, &side, &message);
	for (size_t i = 0; i < need.len; i++)
		gossip_heard(g, p, t, &need.ids[i], urgency_of(range->kind));
	for (size_t i = 0; i < have.len; i++) {
		struct track *track = gossip_track(g, &have.ids[i]);
		if (track) /* whatever was sent there got lost */
			track->has &= ~gossip_bit(g, p);
		gossip_announce(g, p, t, &have.ids[i]);
	}
	if (have.len || need.len)
		gossip_gap(g, t);
	gossip_ask(g);
	return true;
}

static bool answer(struct gossip *g, struct peer *p, struct topic *t, const struct gossip_range *range, int kind)
{
	const struct reconcile_side side = {RECONCILE_RESPONDER, &t->kinds[kind], range->cutoff_ms};
	CLEANUP(buf_release) struct buf message;
	buf_init(&message, RECONCILE_MESSAGE_MAX);
	if (!gossip_take(g, &p->answers, QUESTION_COST, ANSWER_PER_S, ANSWER_BURST)) {
		gossip_fault(g, p, GOSSIP_FAULT_RATE);
		return true;
	}
	const int code = reconcile_step(&side, range->message, range->len, &message, NULL, NULL, NULL);
	if (code)
		return code != ERR_INVALID;
	if (gossip_take(g, &p->answers, message.len, ANSWER_PER_S, ANSWER_BURST))
		say(g, p, t, range->kind, &side, &message);
	else
		gossip_fault(g, p, GOSSIP_FAULT_RATE);
	return true;
}

bool gossip_on_reconcile(struct gossip *g, struct peer *p, const uint8_t *bytes, size_t len)
{
	struct gossip_range range;
	if (gossip_range_decode(bytes, len, &range))
		return false;
	struct topic *t = gossip_topic(g, &range.topic);
	const int kind = gossip_kind(g, range.kind);
	if (!t || kind < 0) {
		gossip_fault(g, p, t ? GOSSIP_FAULT_KIND : GOSSIP_FAULT_TOPIC);
		return true;
	}
	return range.role == RECONCILE_INITIATOR ? answer(g, p, t, &range, kind) : learn(g, p, t, &range, kind);
}

/* ---- when */

void gossip_gap(struct gossip *g, struct topic *t)
{
	t->repair_wait_ms = GOSSIP_REPAIR_FIRST_MS;
	if (t->repair_at_ms > g->now_ms + GOSSIP_REPAIR_FIRST_MS)
		t->repair_at_ms = g->now_ms + GOSSIP_REPAIR_FIRST_MS;
}

/* With one of those who follow it, by lot. */
static void repair_somewhere(struct gossip *g, struct topic *t)
{
	const size_t first = gossip_draw(g, GOSSIP_PEERS_MAX);
	bool has_peer = false;
	for (size_t i = 0; i < GOSSIP_PEERS_MAX && !has_peer; i++) {
		struct peer *p = &g->peers[(first + i) % GOSSIP_PEERS_MAX];
		has_peer = p->number && gossip_peer_follows(g, p, t);
		if (has_peer)
			gossip_repair(g, p, t);
	}
	t->repair_at_ms = has_peer ? g->now_ms + t->repair_wait_ms : UINT64_MAX;
	t->repair_wait_ms = t->repair_wait_ms * 2 < GOSSIP_REPAIR_MOST_MS ? t->repair_wait_ms * 2 : GOSSIP_REPAIR_MOST_MS;
}

/* What a new connection, or a new topic of it, calls for. A few at a time, so that they fit into the session's output. */
static void repair_due(struct gossip *g, struct peer *p)
{
	size_t begun = 0;
	for (size_t i = 0; i < GOSSIP_TOPICS_MAX && begun < AT_ONCE; i++)
		if (bits_have(p->due, i)) {
			bits_clear(p->due, i);
			gossip_repair(g, p, &g->topics[i]);
			begun++;
		}
	p->due_ms = g->now_ms + APART_MS;
}

static bool is_any(const uint64_t bits[GOSSIP_TOPICS_MAX / 64])
{
	for (size_t i = 0; i < GOSSIP_TOPICS_MAX / 64; i++)
		if (bits[i])
			return true;
	return false;
}

uint64_t gossip_repair_tick(struct gossip *g)
{
	uint64_t next = UINT64_MAX;
	for (size_t i = 0; i < GOSSIP_PEERS_MAX; i++) {
		struct peer *p = &g->peers[i];
		if (!p->number || !is_any(p->due))
			continue;
		if (p->due_ms <= g->now_ms)
			repair_due(g, p);
		if (is_any(p->due) && p->due_ms < next)
			next = p->due_ms;
	}
	for (size_t i = 0; i < GOSSIP_TOPICS_MAX; i++) {
		struct topic *t = &g->topics[i];
		if (!t->is_used)
			continue;
		if (t->repair_at_ms <= g->now_ms)
			repair_somewhere(g, t);
		if (t->repair_at_ms < next)
			next = t->repair_at_ms;
	}
	return next;
}
