/* What gossip wants: which ids, who announced them, who is asked now. */
#include "p2p/gossip_impl.h"

struct want *gossip_find_want(struct gossip *g, const struct id32 *id)
{
	for (size_t i = 0; i < g->wants_len; i++)
		if (id32_eq(&g->wants[i].id, id))
			return &g->wants[i];
	return NULL;
}

void gossip_drop_want(struct gossip *g, const struct id32 *id)
{
	struct want *w = gossip_find_want(g, id);
	if (w)
		*w = g->wants[--g->wants_len];
}

struct want *gossip_add_want(struct gossip *g, const struct id32 *id, const struct peer *p)
{
	struct want *w = gossip_find_want(g, id);
	if (!w && g->wants_len == GOSSIP_WANTS_MAX) {
		g->stats.faults[GOSSIP_FAULT_FULL]++;
		return NULL;
	}
	if (!w) {
		w = &g->wants[g->wants_len++];
		*w = (struct want){.id = *id, .asked = -1};
	}
	if (!p || w->asked != p - g->peers)
		w->announcers |= p ? gossip_bit(g, p) : 0;
	return w;
}

/* Asks the next announcer of every want that nobody is asked for now; one GET per peer carries many ids. */
void gossip_ask(struct gossip *g, uint64_t now_ms)
{
	struct gossip_ids gets[1];
	for (size_t slot = 0; slot < GOSSIP_PEERS_MAX; slot++) {
		if (!g->peers[slot].number)
			continue;
		gets->len = 0;
		for (size_t i = 0; i < g->wants_len && gets->len < GOSSIP_IDS_MAX; i++) {
			struct want *w = &g->wants[i];
			if (w->asked >= 0 || !(w->announcers >> slot & 1))
				continue;
			w->announcers &= ~(UINT64_C(1) << slot);
			w->asked = (int)slot;
			w->deadline_ms = now_ms + GOSSIP_GET_MS;
			gets->ids[gets->len++] = w->id;
		}
		if (gets->len) {
			gossip_send_ids(g, &g->peers[slot], MSG_GET, gets);
			g->stats.gets_out++;
		}
	}
}

/* What nobody is left to be asked for is a gap: repair will find it. */
void gossip_overdue(struct gossip *g, uint64_t now_ms)
{
	for (size_t i = 0; i < g->wants_len;) {
		struct want *w = &g->wants[i];
		if (w->asked >= 0 && w->deadline_ms <= now_ms) {
			w->asked = -1;
			g->stats.gets_overdue++;
		}
		if (w->asked < 0 && !w->announcers) {
			*w = g->wants[--g->wants_len];
			gossip_gap(g, now_ms);
			continue;
		}
		i++;
	}
}

void gossip_want(struct gossip *g, const struct id32 *id, uint32_t peer, uint64_t now_ms)
{
	struct peer *p = gossip_peer(g, peer);
	if (p && gossip_add_want(g, id, p))
		gossip_ask(g, now_ms);
}
