/* sim.h: connections. Bytes arrive whole and in order, or the connection dies: what TCP gives. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define WINDOW 65536
#define CALL_MS 5000 /* then a call that reached nobody is given up */
#define HELD_MS 250 /* bytes that a partition holds back are looked at again */

struct segment { struct segment *next; size_t len; uint8_t bytes[]; };

struct end {
	struct sim_node *node;
	unsigned life;
	uint32_t connection; /* 0: not (any more) known to the node */
	struct segment *first, *last; /* on the way to this end */
	size_t waiting;
	uint64_t arrives_ms; /* of the last of them */
	bool is_closed;      /* the other end has closed: after the last segment */
};

struct sim_link {
	struct sim_link *next;
	uint32_t number;
	struct end ends[2]; /* 0: who called */
	uint64_t passed, dies_at, stalls_at, corrupts_at;
	bool is_reached;
};

static bool is_up(const struct end *e)
{
	return e->connection && e->node && e->node->n && e->node->life == e->life;
}

static bool is_held(const struct sim_link *l)
{
	const struct sim_node *a = l->ends[0].node, *b = l->ends[1].node;
	return (a->sim->is_parted && a->side != b->side) || sim_node_is_asleep(a) || sim_node_is_asleep(b);
}

static struct sim_link *find(struct sim *s, uint32_t number)
{
	struct sim_link *l = s->links;
	while (l && l->number != number)
		l = l->next;
	return l;
}

static struct sim_link *find_end(struct sim_node *n, uint32_t connection, unsigned *ret_side)
{
	for (struct sim_link *l = n->sim->links; l; l = l->next)
		for (unsigned side = 0; side < 2; side++)
			if (l->ends[side].node == n && l->ends[side].life == n->life && l->ends[side].connection == connection) {
				*ret_side = side;
				return l;
			}
	return NULL;
}

static void later(struct sim_link *l, enum sim_event_type type, unsigned side, uint64_t delay_ms)
{
	const struct sim_event e = {.type = type, .number = l->number, .side = side};
	sim_at(l->ends[0].node->sim, delay_ms, &e);
}

static uint64_t delay(struct sim *s)
{
	return 1 + sim_draw(s, s->odds.delay_max_ms);
}

static void lose(struct sim_link *l, unsigned side)
{
	struct end *e = &l->ends[side];
	const uint32_t connection = e->connection;
	if (!is_up(e)) {
		e->connection = 0;
		return;
	}
	if (sim_node_is_asleep(e->node)) {
		later(l, SIM_LOST, side, e->node->asleep_until_ms - e->node->sim->now_ms);
		return;
	}
	e->connection = 0;
	sim_say(e->node->sim, "lost node=%u connection=%u", e->node->index, connection);
	network_lost(net_network(e->node->n), connection, e->node->sim->now_ms + 1000);
	sim_node_poke(e->node);
}

/* ---- calling */

void sim_link_dial(struct sim_node *from, const struct network_action *a)
{
	struct sim *s = from->sim;
	struct sim_link *l = calloc(1, sizeof *l);
	if (!l)
		abort();
	l->number = ++s->last_link;
	l->ends[0] = (struct end){.node = from, .life = from->life, .connection = a->connection};
	for (size_t i = 0; i < s->nodes_len; i++)
		if (node_id_eq(&s->nodes[i].id, &a->addr.id))
			l->ends[1].node = &s->nodes[i];
	/* half of them while hands are shaken */
	l->dies_at = sim_draw(s, 1000) < s->odds.dies ? sim_draw(s, sim_draw(s, 2) ? 20000 : 1000) : UINT64_MAX;
	l->corrupts_at = sim_draw(s, 1000) < s->odds.corrupts ? sim_draw(s, sim_draw(s, 2) ? 20000 : 1000) : UINT64_MAX;
	l->stalls_at = sim_draw(s, 1000) < s->odds.stalls ? sim_draw(s, 20000) : UINT64_MAX;
	l->next = s->links;
	s->links = l;
	if (!l->ends[1].node || is_held(l) || sim_draw(s, 1000) < s->odds.dial_lost)
		later(l, SIM_LOST, 0, CALL_MS);
	else
		later(l, SIM_REACH, 0, delay(s));
}

static void reach(struct sim_link *l)
{
	struct end *caller = &l->ends[0], *called = &l->ends[1];
	struct sim *s = caller->node->sim;
	char from[32];
	if (!is_up(caller))
		return;
	if (sim_node_is_asleep(called->node)) {
		later(l, SIM_LOST, 0, CALL_MS);
		return;
	}
	snprintf(from, sizeof from, "10.0.0.%u:%u", caller->node->index + 1, 1024 + l->number % 60000);
	if (called->node->n && !called->node->is_deaf)
		called->connection = network_accepted(net_network(called->node->n), from, s->now_ms + 1000);
	called->life = called->node->life;
	if (!called->connection) {
		lose(l, 0);
		return;
	}
	sim_say(s, "reached from=%u to=%u link=%u", caller->node->index, called->node->index, l->number);
	l->is_reached = true;
	network_connected(net_network(caller->node->n), caller->connection, s->now_ms + 1000);
	sim_node_poke(called->node);
	sim_node_poke(caller->node);
}

/* ---- bytes */

static void put(struct sim_link *l, unsigned to, const uint8_t *bytes, size_t len)
{
	struct end *e = &l->ends[to];
	struct sim *s = l->ends[0].node->sim;
	struct segment *g = malloc(sizeof *g + len);
	if (!g)
		abort();
	g->next = NULL;
	g->len = len;
	memcpy(g->bytes, bytes, len);
	if (e->last)
		e->last->next = g;
	else
		e->first = g;
	e->last = g;
	e->waiting += len;
	if (l->corrupts_at < l->passed + len && l->corrupts_at >= l->passed) {
		g->bytes[l->corrupts_at - l->passed] ^= (uint8_t)(1u << sim_draw(s, 8));
		s->corrupted++;
		sim_say(s, "corrupted link=%u", l->number);
	}
	l->passed += len;
	const uint64_t at = s->now_ms + delay(s);
	e->arrives_ms = at > e->arrives_ms ? at : e->arrives_ms;
	if (l->passed >= l->dies_at) {
		later(l, SIM_LOST, 0, delay(s));
		later(l, SIM_LOST, 1, delay(s));
	} else {
		later(l, SIM_BYTES, to, e->arrives_ms - s->now_ms);
	}
}

static void flush(struct sim_link *l, unsigned from)
{
	struct end *e = &l->ends[from];
	const uint8_t *bytes;
	size_t len;
	if (!l->is_reached || !is_up(e))
		return;
	struct network *network = net_network(e->node->n);
	while (l->ends[!from].waiting < WINDOW && (bytes = network_output(network, e->connection, &len))) {
		put(l, !from, bytes, len);
		network_output_done(network, e->connection, len);
	}
	if (l->ends[!from].waiting < WINDOW)
		network_writable(network, e->connection, e->node->sim->now_ms + 1000);
}

void sim_link_flush(struct sim_node *n, uint32_t connection)
{
	unsigned side;
	struct sim_link *l = find_end(n, connection, &side);
	if (l)
		flush(l, side);
}

void sim_link_hang_up(struct sim_node *n, uint32_t connection)
{
	unsigned side;
	struct sim_link *l = find_end(n, connection, &side);
	if (!l)
		return;
	flush(l, side);
	l->ends[!side].is_closed = true;
	later(l, SIM_LOST, side, 0);
	if (l->ends[!side].node)
		later(l, SIM_BYTES, !side, n->sim->odds.delay_max_ms + 1);
}

static void arrive(struct sim_link *l, unsigned to)
{
	struct end *e = &l->ends[to];
	struct sim *s = l->ends[0].node->sim;
	struct segment *g = e->first;
	if (is_held(l)) {
		later(l, SIM_BYTES, to, HELD_MS);
		return;
	}
	if (l->passed >= l->stalls_at)
		return;
	if (g) {
		e->first = g->next;
		e->last = g->next ? e->last : NULL;
		e->waiting -= g->len;
		if (is_up(e)) {
			sim_say(s, "bytes to=%u link=%u len=%zu", e->node->index, l->number, g->len);
			network_input(net_network(e->node->n), e->connection, g->bytes, g->len, s->now_ms + 1000);
			sim_node_poke(e->node);
		}
		free(g);
		flush(l, !to);
		if (is_up(&l->ends[!to]))
			sim_node_poke(l->ends[!to].node);
	}
	if (!e->first && e->is_closed)
		lose(l, to);
}

void sim_link_event(struct sim *s, const struct sim_event *e)
{
	struct sim_link *l = find(s, e->number);
	if (!l)
		return;
	if (e->type == SIM_REACH)
		reach(l);
	else if (e->type == SIM_BYTES)
		arrive(l, e->side);
	else
		lose(l, e->side);
}

void sim_link_cut_all(struct sim_node *n)
{
	for (struct sim_link *l = n->sim->links; l; l = l->next)
		for (unsigned side = 0; side < 2; side++) {
			if (l->ends[side].node != n || !l->ends[side].connection)
				continue;
			l->ends[side].connection = 0;
			if (sim_draw(n->sim, 2)) /* a machine that vanished says nothing: the silence is noticed */
				later(l, SIM_LOST, !side, delay(n->sim));
		}
}

void sim_link_free_all(struct sim *s)
{
	for (struct sim_link *l = s->links, *next; l; l = next) {
		next = l->next;
		for (unsigned side = 0; side < 2; side++)
			for (struct segment *g = l->ends[side].first, *after; g; g = after) {
				after = g->next;
				free(g);
			}
		free(l);
	}
	s->links = NULL;
}
