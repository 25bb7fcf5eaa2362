#include "p2p/network.h"

#include <sodium.h>
#include <stdlib.h>

#include "p2p/network_impl.h"

void network_draw(struct network *n, void *out, size_t len)
{
	uint8_t counter[8];
	memcpy(counter, &n->draws, sizeof counter);
	n->draws++;
	crypto_generichash(out, len, counter, sizeof counter, n->seed, sizeof n->seed);
}

/* ---- life */

static bool open_engines(struct network *n, const struct network_options *o)
{
	uint8_t seed[32];
	const struct livelog_options lo = {.self = n->self, .identity_secret = o->identity_secret, .network = n->name};
	network_draw(n, seed, sizeof seed);
	n->gossip = gossip_new(seed);
	network_draw(n, seed, sizeof seed);
	n->dialer = dialer_new(&n->self, seed, n->is_private);
	n->exchange = exchange_new(&n->self);
	n->livelog = livelog_new(&lo);
	n->topics = calloc(GOSSIP_TOPICS_MAX, sizeof *n->topics);
	for (size_t i = 0; n->gossip && i < o->more_kinds_len; i++)
		if (!gossip_carry(n->gossip, o->more_kinds[i]))
			return false;
	return n->gossip && n->dialer && n->exchange && n->livelog && n->topics;
}

int network_new(const struct network_options *o, struct network **ret, struct err *err)
{
	if (!network_name_is_valid(o->network))
		return err_set(err, ERR_USAGE, "%.40s: not a network name ([a-z0-9-], at most 32)", o->network);
	struct network *n = calloc(1, sizeof *n);
	if (!n)
		return err_set(err, ERR_NOMEM, "out of memory");
	snprintf(n->name, sizeof n->name, "%s", o->network);
	n->identity_secret = o->identity_secret;
	crypto_sign_ed25519_sk_to_pk(n->self.b, o->identity_secret);
	memcpy(n->seed, o->seed, sizeof n->seed);
	n->is_private = o->is_private;
	n->now_ms = o->now_ms;
	n->unix_ms = o->unix_ms;
#define X(name, value, text, life, replaceable) n->kinds[n->kinds_len++] = value;
	RECORD_KINDS(X)
#undef X
	for (size_t i = 0; i < o->more_kinds_len && n->kinds_len < SESSION_KINDS_MAX; i++)
		n->kinds[n->kinds_len++] = o->more_kinds[i];
	network_draw(n, n->static_secret, sizeof n->static_secret);
	if (!open_engines(n, o)) {
		network_free(n);
		return err_set(err, ERR_NOMEM, "out of memory");
	}
	*ret = n;
	return 0;
}

void network_free(struct network *n)
{
	if (!n)
		return;
	while (n->conns_len)
		network_conn_free(n, n->conns[0]);
	record_unref(n->self_record);
	gossip_free(n->gossip);
	dialer_free(n->dialer);
	exchange_free(n->exchange);
	livelog_free(n->livelog);
	free(n->topics);
	sodium_memzero(n->static_secret, sizeof n->static_secret);
	sodium_memzero(n->seed, sizeof n->seed);
	free(n);
}

/* ---- actions */

static bool take_dialer(struct network *n, struct network_action *ret)
{
	struct dialer_action a;
	while (dialer_next(n->dialer, &a)) {
		struct conn *c = network_conn(n, a.peer);
		switch (a.type) {
		case DIALER_ASK:
			if (c)
				network_conn_ask_peers(n, c, &a.topic);
			break;
		case DIALER_HANG_UP:
			if (c && c->session) {
				session_close(c->session, CLOSE_DUPLICATE);
				network_conn_drain(n, c);
			}
			break;
		case DIALER_DIAL:
			c = network_conn_new(n);
			if (!c) {
				dialer_failed(n->dialer, &a.addr, false, n->now_ms);
				break;
			}
			c->state = CONN_DIALLING;
			c->is_outbound = true;
			c->addr = a.addr;
			snprintf(c->from, sizeof c->from, strchr(a.addr.host, ':') ? "[%s]:%u" : "%s:%u", a.addr.host, a.addr.port);
			*ret = (struct network_action){.type = NETWORK_DIAL, .connection = c->number, .addr = a.addr,
						       .may_be_private = a.may_be_private};
			return true;
		}
	}
	return false;
}

static void send_to(struct network *n, uint32_t peer, enum session_message type, const uint8_t *bytes, size_t len)
{
	struct conn *c = network_conn(n, peer);
	if (c && c->state == CONN_OPEN)
		session_send(c->session, type, bytes, len);
}

static bool take_gossip(struct network *n, struct network_action *ret)
{
	struct gossip_action a;
	while (gossip_next(n->gossip, &a)) {
		switch (a.type) {
		case GOSSIP_SEND: send_to(n, a.peer, a.message, a.bytes, a.len); break;
		case GOSSIP_OFFER:
			*ret = (struct network_action){.type = NETWORK_RECORD, .connection = a.peer, .bytes = a.bytes, .len = a.len,
						       .signature = a.signature, .id = a.id, .was_asked = a.was_asked};
			return true;
		case GOSSIP_LOOKUP:
			*ret = (struct network_action){.type = NETWORK_LOOKUP, .connection = a.peer, .id = a.id};
			return true;
		}
	}
	return false;
}

static bool take_streams(struct network *n, struct network_action *ret)
{
	*ret = (struct network_action){.type = NETWORK_EXCHANGE};
	while (exchange_next(n->exchange, &ret->exchange)) {
		if (ret->exchange.type != EXCHANGE_SEND)
			return true;
		send_to(n, ret->exchange.peer, ret->exchange.message, ret->exchange.bytes, ret->exchange.len);
	}
	*ret = (struct network_action){.type = NETWORK_LIVELOG};
	while (livelog_next(n->livelog, &ret->livelog)) {
		if (ret->livelog.type != LIVELOG_SEND)
			return true;
		send_to(n, ret->livelog.peer, ret->livelog.message, ret->livelog.bytes, ret->livelog.len);
	}
	return false;
}

/* Bulk goes only to a socket that has nothing else to write, one message at a time: gossip overtakes it. */
static void send_bulk(struct network *n, struct conn *c)
{
	enum session_message type;
	const uint8_t *bytes;
	size_t len, waiting;
	if (c->state != CONN_OPEN || !c->is_bulk_due || session_output(c->session, &waiting))
		return;
	if (!exchange_writable(n->exchange, c->number, n->now_ms, &type, &bytes, &len))
		return;
	c->is_bulk_due = false;
	session_send(c->session, type, bytes, len);
	session_flush(c->session);
}

/* What one connection still has to tell, in this order: that it opened, that there is output, that it is over. */
static bool tell(struct conn *c, struct network_action *ret)
{
	size_t waiting;
	*ret = (struct network_action){.connection = c->number};
	if (c->is_open_due && c->state == CONN_OPEN) {
		c->is_open_due = false;
		c->is_open_told = true;
		ret->type = NETWORK_PEER;
		ret->is_open = true;
		return true;
	}
	if (c->is_gone_due) {
		c->is_gone_due = false;
		ret->type = NETWORK_PEER;
		if (c->is_open_told)
			return true;
	}
	if (c->session && c->state != CONN_GONE && !c->is_output_told && session_output(c->session, &waiting)) {
		c->is_output_told = true;
		ret->type = NETWORK_OUTPUT;
		return true;
	}
	if (c->is_hang_up_due && c->state == CONN_CLOSING) {
		c->is_hang_up_due = false;
		ret->type = NETWORK_HANG_UP;
		return true;
	}
	return false;
}

static bool take_connections(struct network *n, struct network_action *ret)
{
	for (size_t i = 0; i < n->conns_len;) {
		struct conn *c = n->conns[i];
		if (c->state == CONN_OPEN) {
			session_flush(c->session);
			send_bulk(n, c);
		}
		network_conn_drain(n, c); /* a flush may have closed it */
		if (tell(c, ret))
			return true;
		if (c->state == CONN_GONE)
			network_conn_free(n, c);
		else
			i++;
	}
	return false;
}

bool network_next(struct network *n, struct network_action *ret)
{
	if (n->topics_changed) {
		for (size_t i = 0; i < n->conns_len; i++)
			if (n->conns[i]->state == CONN_OPEN)
				network_conn_tell_topics(n, n->conns[i]);
		n->topics_changed = false;
	}
	/* the engines first: what they say shares frames, and what a closed connection changed is theirs to answer */
	do {
		if (take_dialer(n, ret) || take_gossip(n, ret) || take_streams(n, ret))
			return true;
		const size_t before = n->conns_len;
		if (take_connections(n, ret))
			return true;
		if (before == n->conns_len)
			return false;
	} while (true);
}

/* ---- time */

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t network_tick(struct network *n, uint64_t now_ms, uint64_t unix_ms)
{
	uint64_t next = UINT64_MAX;
	n->now_ms = now_ms;
	n->unix_ms = unix_ms;
	for (size_t i = 0; i < n->conns_len; i++)
		if (n->conns[i]->session && n->conns[i]->state != CONN_CLOSING) {
			next = sooner(next, session_tick(n->conns[i]->session, now_ms));
			network_conn_drain(n, n->conns[i]);
		}
	next = sooner(next, dialer_tick(n->dialer, now_ms, unix_ms));
	next = sooner(next, gossip_tick(n->gossip, now_ms, unix_ms));
	next = sooner(next, exchange_tick(n->exchange, now_ms));
	return sooner(next, livelog_tick(n->livelog, now_ms));
}

void network_woke(struct network *n, uint64_t now_ms)
{
	n->now_ms = now_ms;
	dialer_woke(n->dialer, now_ms);
}

/* ---- the node's side */

bool network_follow(struct network *n, const struct id32 *topic, uint64_t now_ms)
{
	n->now_ms = now_ms;
	for (size_t i = 0; i < n->topics_len; i++)
		if (id32_eq(&n->topics[i], topic))
			return true;
	if (n->topics_len == GOSSIP_TOPICS_MAX || !gossip_follow(n->gossip, topic))
		return false;
	n->topics[n->topics_len++] = *topic;
	n->topics_changed = true;
	n->topics_generation++;
	return dialer_follow(n->dialer, topic, now_ms);
}

void network_unfollow(struct network *n, const struct id32 *topic, uint64_t now_ms)
{
	n->now_ms = now_ms;
	for (size_t i = 0; i < n->topics_len; i++)
		if (id32_eq(&n->topics[i], topic)) {
			memmove(&n->topics[i], &n->topics[i + 1], (n->topics_len - i - 1) * sizeof n->topics[0]);
			n->topics_len--;
			n->topics_changed = true;
			n->topics_generation++;
			break;
		}
	gossip_unfollow(n->gossip, topic);
	dialer_unfollow(n->dialer, topic);
}

size_t network_topics_len(const struct network *n)
{
	return n->topics_len;
}

const struct id32 *network_topic(const struct network *n, size_t i)
{
	return &n->topics[i];
}

void network_set_listening(struct network *n, uint16_t port)
{
	n->listen_port = port;
}

void network_set_self(struct network *n, struct record *node_record)
{
	record_unref(n->self_record);
	n->self_record = node_record ? record_ref(node_record) : NULL;
}

bool network_pin(struct network *n, const struct node_addr *addr, bool is_seed, uint64_t now_ms)
{
	n->now_ms = now_ms;
	if (is_seed && n->seeds_len < NETWORK_SEEDS_MAX)
		n->seeds[n->seeds_len++] = addr->id;
	return dialer_pin(n->dialer, addr, now_ms);
}

void network_load(struct network *n, const struct id32 *topic, uint32_t kind, const struct recset_item *item)
{
	gossip_load(n->gossip, topic, kind, item);
}

void network_admitted(struct network *n, const struct record *r, uint32_t from, uint64_t now_ms)
{
	n->now_ms = now_ms;
	gossip_admitted(n->gossip, r, from, now_ms);
}

void network_refused(struct network *n, const struct id32 *id)
{
	gossip_refused(n->gossip, id);
}

void network_postponed(struct network *n, const struct id32 *id, uint64_t now_ms)
{
	n->now_ms = now_ms;
	gossip_postponed(n->gossip, id, now_ms);
}

void network_want(struct network *n, const struct id32 *id, uint32_t from, uint64_t now_ms)
{
	n->now_ms = now_ms;
	gossip_want(n->gossip, id, from, now_ms);
}

void network_found(struct network *n, uint32_t connection, const struct record *r)
{
	gossip_found(n->gossip, connection, r);
}

void network_not_found(struct network *n, uint32_t connection, const struct id32 *id)
{
	gossip_not_found(n->gossip, connection, id);
}

void network_unproven(struct network *n, const struct id32 *id, uint32_t from, uint64_t now_ms)
{
	struct conn *c = network_conn(n, from);
	n->now_ms = now_ms;
	if (c)
		network_conn_blame(c);
	gossip_unproven(n->gossip, id, now_ms);
}

void network_dropped(struct network *n, const struct id32 *id)
{
	gossip_dropped(n->gossip, id);
}

struct exchange *network_exchange(struct network *n)
{
	return n->exchange;
}

struct livelog *network_livelog(struct network *n)
{
	return n->livelog;
}

/* ---- for people */

static size_t shared_topics(const struct network *n, const struct conn *c)
{
	size_t shared = 0;
	for (size_t i = 0; i < c->topics_len; i++)
		for (size_t k = 0; k < n->topics_len; k++)
			shared += id32_eq(&c->topics[i], &n->topics[k]);
	return shared;
}

size_t network_peers(const struct network *n, struct network_peer *ret, size_t max)
{
	size_t len = 0;
	for (size_t i = 0; i < n->conns_len && len < max; i++) {
		const struct conn *c = n->conns[i];
		if (c->state != CONN_OPEN)
			continue;
		const struct session_stats *s = session_stats(c->session);
		struct network_peer *p = &ret[len++];
		*p = (struct network_peer){.connection = c->number, .id = *session_peer(c->session), .is_outbound = c->is_outbound,
					   .is_seed = c->is_seed, .since_ms = c->since_ms, .clock_ahead_ms = c->clock_ahead_ms,
					   .bytes_in = s->bytes_in, .bytes_out = s->bytes_out, .records_in = c->records_in,
					   .faults = c->faults, .topics = shared_topics(n, c)};
		snprintf(p->from, sizeof p->from, "%s", c->from);
	}
	return len;
}

uint32_t network_find(const struct network *n, const struct node_id *id)
{
	for (size_t i = 0; i < n->conns_len; i++)
		if (n->conns[i]->state == CONN_OPEN && node_id_eq(session_peer(n->conns[i]->session), id))
			return n->conns[i]->number;
	return 0;
}

static bool carries(const struct conn *c, const struct id32 *topic)
{
	for (size_t i = 0; i < c->topics_len; i++)
		if (id32_eq(&c->topics[i], topic))
			return c->state == CONN_OPEN;
	return false;
}

size_t network_carriers(const struct network *n, const struct id32 *topic, uint32_t *ret, size_t max)
{
	size_t len = 0;
	for (int seeds = 0; seeds < 2; seeds++)
		for (size_t i = 0; i < n->conns_len && len < max; i++)
			if (n->conns[i]->is_seed == (bool)seeds && carries(n->conns[i], topic))
				ret[len++] = n->conns[i]->number;
	return len;
}

const struct network_stats *network_stats(struct network *n)
{
	n->stats.open = n->stats.shaking = n->stats.dialling = 0;
	for (size_t i = 0; i < n->conns_len; i++) {
		n->stats.open += n->conns[i]->state == CONN_OPEN;
		n->stats.shaking += n->conns[i]->state == CONN_SHAKING;
		n->stats.dialling += n->conns[i]->state == CONN_DIALLING;
	}
	return &n->stats;
}

const struct gossip_stats *network_gossip_stats(const struct network *n)
{
	return gossip_stats(n->gossip);
}
