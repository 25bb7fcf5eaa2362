/* The ids that gossip keeps track of: which are wanted, who is asked now, what intake is judging, who else has them. */
#include <stdlib.h>

#include "p2p/gossip_impl.h"

/* ---- lists */

static struct track_list *list_of(struct gossip *g, const struct track *t)
{
	switch ((enum track_state)t->state) {
	case TRACK_WAITING: return &g->waiting[t->urgency];
	case TRACK_ASKED: return &g->peers[t->slot].asked;
	case TRACK_JUDGED: return &g->judged;
	case TRACK_LATER: return &g->later;
	case TRACK_RECENT: return &g->recent;
	case TRACK_REFUSED: return &g->refused;
	}
	return NULL;
}

static bool is_want(const struct track *t) { return t->state < TRACK_RECENT; }

/* Out of its state: its list, and what is counted for it. */
static void leave(struct gossip *g, struct track *t)
{
	struct track_list *l = list_of(g, t);
	*(t->prev ? &t->prev->next : &l->first) = t->next;
	*(t->next ? &t->next->prev : &l->last) = t->prev;
	l->len--;
	g->wants_len -= is_want(t);
	struct peer *p = t->slot == NO_SLOT ? NULL : &g->peers[t->slot];
	if (p && (t->state == TRACK_ASKED || (t->state == TRACK_JUDGED && !t->is_unasked)))
		p->busy--;
	if (p && t->state == TRACK_JUDGED && t->is_unasked) {
		p->inbox_len--;
		p->inbox_bytes -= t->len;
	}
}

static void enter(struct gossip *g, struct track *t, enum track_state state)
{
	t->state = (uint8_t)state;
	t->since_ms = g->now_ms;
	struct track_list *l = list_of(g, t);
	t->next = NULL;
	t->prev = l->last;
	*(l->last ? &l->last->next : &l->first) = t;
	l->last = t;
	l->len++;
	g->wants_len += is_want(t);
	struct peer *p = t->slot == NO_SLOT ? NULL : &g->peers[t->slot];
	if (p && (state == TRACK_ASKED || (state == TRACK_JUDGED && !t->is_unasked)))
		p->busy++;
	if (p && state == TRACK_JUDGED && t->is_unasked) {
		p->inbox_len++;
		p->inbox_bytes += t->len;
	}
}

struct track *gossip_track(const struct gossip *g, const struct id32 *id)
{
	return idmap_get(&g->tracks, id);
}

static void disown(struct gossip *g, struct track *t)
{
	if (t->owner != NO_SLOT)
		g->peers[t->owner].owned--;
	t->owner = NO_SLOT;
}

void gossip_track_drop(struct gossip *g, struct track *t)
{
	leave(g, t);
	disown(g, t);
	idmap_remove(&g->tracks, &t->id);
	free(t);
}

static void hint(struct gossip *g, const struct track *t)
{
	for (uint64_t left = t->has & ~t->tried; left; left &= left - 1)
		g->peers[__builtin_ctzll(left)].has_waiting = true;
}

void gossip_track_move(struct gossip *g, struct track *t, enum track_state state)
{
	leave(g, t);
	if (state == TRACK_RECENT || state == TRACK_REFUSED)
		disown(g, t);
	if (state != TRACK_ASKED && state != TRACK_JUDGED)
		t->slot = NO_SLOT;
	enter(g, t, state);
	if (state == TRACK_WAITING)
		hint(g, t);
	if (state == TRACK_RECENT && g->recent.len > GOSSIP_RECENT_MAX)
		gossip_track_drop(g, g->recent.first);
	if (state == TRACK_REFUSED && g->refused.len > REFUSED_MAX)
		gossip_track_drop(g, g->refused.first);
}

void gossip_track_judge(struct gossip *g, struct track *t, const struct peer *p, bool is_unasked, size_t len)
{
	leave(g, t);
	t->slot = gossip_peer_slot(g, p);
	t->has |= gossip_bit(g, p);
	t->is_unasked = is_unasked;
	t->len = (uint32_t)len;
	enter(g, t, TRACK_JUDGED);
}

struct track *gossip_track_new(struct gossip *g, const struct id32 *id, struct peer *owner)
{
	struct track *t = NULL;
	if (g->wants_len < GOSSIP_WANTS_MAX && (!owner || owner->owned < GOSSIP_WANTS_PEER_MAX))
		t = malloc(sizeof *t);
	if (t)
		*t = (struct track){.id = *id, .topic = NO_TOPIC, .slot = NO_SLOT, .owner = NO_SLOT, .urgency = URGENCIES - 1};
	if (!t || !idmap_put(&g->tracks, t)) {
		g->stats.faults[GOSSIP_FAULT_FULL]++;
		free(t);
		return NULL;
	}
	if (owner) {
		t->owner = gossip_peer_slot(g, owner);
		owner->owned++;
	}
	enter(g, t, TRACK_WAITING);
	return t;
}

/* ---- wanting and asking */

void gossip_heard(struct gossip *g, struct peer *p, const struct topic *topic, const struct id32 *id, uint8_t urgency)
{
	struct track *t = gossip_track(g, id);
	if (!t && gossip_held(g, id))
		return;
	if (!t) {
		t = gossip_track_new(g, id, p);
		if (!t) {
			if (topic) /* it will have to be found again */
				gossip_gap(g, &g->topics[gossip_slot(g, topic)]);
			return;
		}
		leave(g, t);
		t->urgency = urgency;
		t->topic = gossip_slot(g, topic);
		enter(g, t, TRACK_WAITING);
	}
	t->has |= gossip_bit(g, p);
	if (t->state == TRACK_WAITING)
		hint(g, t);
	if (t->state == TRACK_ASKED && g->peers[t->slot].check_ms > t->since_ms + GOSSIP_GET_MS)
		g->peers[t->slot].check_ms = t->since_ms + GOSSIP_GET_MS; /* there is somebody else now */
}

static void send_gets(struct gossip *g, struct peer *p, size_t fresh)
{
	struct id32 ids[GOSSIP_WINDOW];
	struct track *t = p->asked.last;
	for (size_t i = 1; i < fresh; i++)
		t = t->prev;
	for (size_t i = 0; i < fresh; i++, t = t->next)
		ids[i] = t->id;
	gossip_send_ids(g, p, MSG_GET, NULL, ids, fresh);
	g->stats.gets_out++;
	p->stats.gets_out++;
	if (p->check_ms > g->now_ms + GOSSIP_GET_MS)
		p->check_ms = g->now_ms + GOSSIP_GET_MS;
}

/* Of the peers in the mask the one that is asked for least. */
static struct peer *idlest(struct gossip *g, uint64_t mask)
{
	struct peer *best = NULL;
	for (; mask; mask &= mask - 1) {
		struct peer *p = &g->peers[__builtin_ctzll(mask)];
		if (!best || p->busy < best->busy)
			best = p;
	}
	return best;
}

static uint64_t free_peers(const struct gossip *g)
{
	uint64_t mask = 0;
	for (size_t i = 0; i < GOSSIP_PEERS_MAX; i++)
		if (g->peers[i].number && g->peers[i].has_waiting && g->peers[i].busy <= GOSSIP_WINDOW / 2)
			mask |= UINT64_C(1) << i;
	return mask;
}

void gossip_ask(struct gossip *g)
{
	size_t fresh[GOSSIP_PEERS_MAX] = {0};
	const uint64_t looked_at = free_peers(g);
	uint64_t mask = looked_at;
	for (size_t u = 0; u < URGENCIES; u++)
		for (struct track *t = g->waiting[u].first, *next; t && mask; t = next) {
			next = t->next;
			struct peer *p = idlest(g, t->has & ~t->tried & mask);
			if (!p)
				continue;
			leave(g, t);
			t->slot = gossip_peer_slot(g, p);
			t->tried |= gossip_bit(g, p);
			enter(g, t, TRACK_ASKED);
			fresh[t->slot]++;
			if (p->busy == GOSSIP_WINDOW)
				mask &= ~gossip_bit(g, p);
		}
	for (size_t i = 0; i < GOSSIP_PEERS_MAX; i++) {
		if (mask >> i & 1) /* all was looked at: there is nothing more to ask here */
			g->peers[i].has_waiting = false;
		if (fresh[i])
			send_gets(g, &g->peers[i], fresh[i]);
	}
}

/* A dependency is asked for all around, once. */
static void widen(struct gossip *g, struct track *t)
{
	t->is_widened = true;
	for (size_t i = 0; i < GOSSIP_PEERS_MAX; i++)
		if (g->peers[i].number)
			t->has |= UINT64_C(1) << i;
}

void gossip_next_source(struct gossip *g, struct track *t)
{
	if (t->is_dependency && !t->is_widened && !(t->has & ~t->tried))
		widen(g, t);
	if (t->has & ~t->tried) {
		gossip_track_move(g, t, TRACK_WAITING);
		return;
	}
	if (t->topic != NO_TOPIC && g->topics[t->topic].is_used)
		gossip_gap(g, &g->topics[t->topic]);
	gossip_track_drop(g, t);
}

/* ---- time */

/* A peer that answers one after the other is not overdue with the last of them; nor is one that alone has a thing, for a while. */
static void overdue_of(struct gossip *g, struct peer *p)
{
	const uint64_t now = g->now_ms;
	const bool is_answering = now < p->answered_ms + GOSSIP_GET_MS;
	p->check_ms = UINT64_MAX;
	for (struct track *t = p->asked.first, *next; t; t = next) {
		next = t->next;
		const bool is_at_end = now >= t->since_ms + GOSSIP_GET_MOST_MS;
		const bool has_other = (t->has & ~t->tried) || (t->is_dependency && !t->is_widened);
		const uint64_t patience = is_answering ? p->answered_ms : t->since_ms;
		const uint64_t limit = has_other ? patience + GOSSIP_GET_MS : t->since_ms + GOSSIP_GET_MOST_MS;
		if (is_at_end || now >= limit) {
			g->stats.gets_overdue++;
			p->stats.gets_overdue++;
			gossip_next_source(g, t);
			continue;
		}
		const uint64_t end = t->since_ms + GOSSIP_GET_MOST_MS;
		const uint64_t at = limit < end ? limit : end;
		if (at < p->check_ms)
			p->check_ms = at;
	}
}

void gossip_overdue(struct gossip *g)
{
	for (size_t i = 0; i < GOSSIP_PEERS_MAX; i++)
		if (g->peers[i].number && g->peers[i].asked.len && g->peers[i].check_ms <= g->now_ms)
			overdue_of(g, &g->peers[i]);
}

static void retry_later(struct gossip *g)
{
	g->later_at_ms = UINT64_MAX;
	for (struct track *t = g->later.first, *next; t; t = next) {
		next = t->next;
		if (t->since_ms + t->wait_ms <= g->now_ms) {
			t->tried = 0;
			gossip_next_source(g, t);
		} else if (t->since_ms + t->wait_ms < g->later_at_ms) {
			g->later_at_ms = t->since_ms + t->wait_ms;
		}
	}
}

uint64_t gossip_lapse(struct gossip *g)
{
	while (g->refused.first && g->refused.first->since_ms + GOSSIP_REFUSED_MS <= g->now_ms)
		gossip_track_drop(g, g->refused.first);
	while (g->judged.first && g->judged.first->since_ms + GOSSIP_JUDGE_MS <= g->now_ms)
		gossip_next_source(g, g->judged.first);
	if (g->later_at_ms <= g->now_ms)
		retry_later(g);
	uint64_t next = g->later.len ? g->later_at_ms : UINT64_MAX;
	if (g->judged.first && g->judged.first->since_ms + GOSSIP_JUDGE_MS < next)
		next = g->judged.first->since_ms + GOSSIP_JUDGE_MS;
	return next;
}

void gossip_forget_peer(struct gossip *g, struct peer *p)
{
	const uint8_t slot = gossip_peer_slot(g, p);
	const uint64_t bit = gossip_bit(g, p);
	struct track *t;
	for (size_t at = 0; (t = idmap_next(&g->tracks, &at));) {
		t->has &= ~bit;
		t->tried &= ~bit;
		if (t->owner == slot)
			disown(g, t);
		if (t->state == TRACK_JUDGED && t->slot == slot) {
			t->slot = NO_SLOT; /* its inbox goes with it */
		}
	}
	while (p->asked.first)
		gossip_next_source(g, p->asked.first);
	for (size_t u = 0; u < URGENCIES; u++)
		for (struct track *next, *w = g->waiting[u].first; w; w = next) {
			next = w->next;
			if (!(w->has & ~w->tried))
				gossip_next_source(g, w);
		}
}

void gossip_forget_refused(struct gossip *g, uint16_t topic)
{
	for (struct track *t = g->refused.first, *next; t; t = next) {
		next = t->next;
		if (t->topic == topic)
			gossip_track_drop(g, t);
	}
}
