/* sim.h: who lies to peers, and who is none. */
#include <string.h>

#include "proto/base/cleanup.h"
#include "tests/sim/sim.h"

#define MONO_MS(n) ((n)->sim->now_ms + 1000)

static void hear(struct sim_node *n, const struct network_action *a)
{
	struct record *r = NULL;
	if (n->heard_len < SIM_HEARD_MAX && !record_open(a->bytes, a->len, a->signature, n->config.network, &r, NULL, NULL))
		n->heard[n->heard_len++] = r;
}

void sim_evil_act(struct sim_node *n, const struct network_action *a)
{
	if (a->type == NETWORK_RECORD)
		hear(n, a);
	for (size_t i = 0; a->type == NETWORK_LOOKUP && i < n->lies_len; i++)
		if (id32_eq(record_id(n->lies[i]), &a->id)) {
			network_found(net_network(n->n), a->connection, n->lies[i]);
			return;
		}
	net_act(n->n, a);
}

void sim_evil_tell(struct sim_node *n, struct record *r /* takes */)
{
	if (!r || n->lies_len == SIM_LIES_MAX) {
		record_unref(r);
		return;
	}
	n->lies[n->lies_len++] = r;
	if (n->n)
		network_admitted(net_network(n->n), r, 0, MONO_MS(n));
}

void sim_evil_tell_again(struct sim_node *n)
{
	for (size_t i = 0; i < n->lies_len; i++)
		network_admitted(net_network(n->n), n->lies[i], 0, MONO_MS(n));
}

void sim_evil_replay(struct sim_node *n)
{
	for (size_t i = n->heard_len; n->n && i-- > 0;)
		network_admitted(net_network(n->n), n->heard[i], 0, MONO_MS(n));
}

void sim_evil_release(struct sim_node *n)
{
	for (size_t i = 0; i < n->lies_len; i++)
		record_unref(n->lies[i]);
	for (size_t i = 0; i < n->heard_len; i++)
		record_unref(n->heard[i]);
}

void sim_prank(struct sim_node *n)
{
	struct sim *s = n->sim;
	uint8_t bytes[3000];
	char from[40];
	const size_t len = sim_draw(s, sizeof bytes);
	if (!n->n || n->is_deaf || sim_node_is_asleep(n))
		return;
	randombytes_buf(bytes, sizeof bytes);
	if (sim_draw(s, 2)) /* the length of a handshake message that could be right */
		bytes[0] = 0;
	snprintf(from, sizeof from, "10.9.9.9:%u", 1024 + (unsigned)s->pranks++ % 60000);
	const struct sim_event end = {.type = SIM_PRANK_END, .node = n->index, .life = n->life,
				      .number = network_accepted(net_network(n->n), from, MONO_MS(n))};
	sim_say(s, "prank node=%u len=%zu", n->index, len);
	if (!end.number)
		return;
	network_input(net_network(n->n), end.number, bytes, len, MONO_MS(n));
	sim_at(s, sim_draw(s, 20000), &end);
	sim_node_poke(n);
}
