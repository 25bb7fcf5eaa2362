/* Network's connections: from the first byte to the last, and what their messages mean to whom. */
#include <sodium.h>
#include <stdlib.h>

#include "p2p/gossip_wire.h"
#include "p2p/network_impl.h"
#include "p2p/peers_wire.h"
#include "proto/body.h"

struct conn *network_conn(const struct network *n, uint32_t number)
{
	for (size_t i = 0; number && i < n->conns_len; i++)
		if (n->conns[i]->number == number && n->conns[i]->state != CONN_GONE)
			return n->conns[i];
	return NULL;
}

struct conn *network_conn_new(struct network *n)
{
	if (n->conns_len == NETWORK_CONNECTIONS_MAX)
		return NULL;
	struct conn *c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	c->number = ++n->last_number;
	c->since_ms = n->now_ms;
	n->conns[n->conns_len++] = c;
	return c;
}

void network_conn_free(struct network *n, struct conn *c)
{
	for (size_t i = 0; i < n->conns_len; i++)
		if (n->conns[i] == c) {
			n->conns[i] = n->conns[--n->conns_len];
			break;
		}
	session_free(c->session);
	free(c->topics);
	free(c);
}

static void fill_hello(const struct network *n, struct session_hello *h)
{
	*h = (struct session_hello){.version_min = SESSION_VERSION_MIN,
				    .version_max = SESSION_VERSION_MAX,
				    .time_ms = n->unix_ms,
				    .listen_port = n->listen_port};
	memcpy(h->kinds, n->kinds, n->kinds_len * sizeof n->kinds[0]);
	h->kinds_len = n->kinds_len;
	h->topics_len = n->topics_len < SESSION_TOPICS_MAX ? n->topics_len : SESSION_TOPICS_MAX;
	memcpy(h->topics, n->topics, h->topics_len * sizeof n->topics[0]);
}

bool network_conn_begin(struct network *n, struct conn *c)
{
	struct session_hello *hello = malloc(sizeof *hello);
	if (!hello)
		return false;
	fill_hello(n, hello);
	struct session_options o = {
		.role = c->is_outbound ? NOISE_INITIATOR : NOISE_RESPONDER,
		.network = n->name,
		.identity_secret = n->identity_secret,
		.dialled = c->is_outbound ? &c->addr.id : NULL,
		.hello = hello,
		.now_ms = n->now_ms,
		.unix_ms = n->unix_ms,
	};
	c->told_generation = n->topics_generation;
	memcpy(o.static_secret, n->static_secret, sizeof o.static_secret);
	network_draw(n, o.ephemeral_secret, sizeof o.ephemeral_secret);
	const int rc = session_new(&o, &c->session, NULL);
	sodium_memzero(&o, sizeof o);
	free(hello);
	c->state = rc ? c->state : CONN_SHAKING;
	return !rc;
}

/* ---- PEERS: who else is there */

static void send_peers(struct network *n, struct conn *c, const struct id32 *topic)
{
	static const struct id32 own;
	struct record *records[PEERS_RECORDS_MAX];
	CLEANUP(buf_release) struct buf body;
	size_t len = 0;
	if (!id32_eq(topic, &own))
		len = dialer_referrals(n->dialer, topic, records, PEERS_RECORDS_MAX, n->unix_ms);
	else if (n->self_record)
		records[len++] = record_ref(n->self_record);
	buf_init(&body, SESSION_MESSAGE_MAX);
	peers_encode(topic, records, len, &body);
	for (size_t i = 0; i < len; i++)
		record_unref(records[i]);
	if (!buf_failed(&body))
		session_send(c->session, MSG_PEERS, body.data, body.len);
}

void network_conn_ask_peers(struct network *n, struct conn *c, const struct id32 *topic)
{
	(void)n;
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, 64); /* before any return: it is released on each of them */
	if (c->state != CONN_OPEN || c->asked >= NETWORK_ASKED_MAX)
		return;
	peers_get_encode(topic, &body);
	c->asked += !buf_failed(&body) && session_send(c->session, MSG_PEERS_GET, body.data, body.len);
}

static bool on_peers_get(struct network *n, struct conn *c, const uint8_t *bytes, size_t len)
{
	struct id32 topic;
	if (peers_get_decode(bytes, len, &topic))
		return false;
	send_peers(n, c, &topic);
	return true;
}

/* Every node record in the answer is verified; those that are not what was asked for are left out. */
static bool on_peers(struct network *n, struct conn *c, const uint8_t *bytes, size_t len)
{
	struct peers_list list;
	if (!c->asked || peers_decode(bytes, len, &list))
		return false; /* nobody asked: not worth a signature's check */
	c->asked--;
	for (size_t i = 0; i < list.len; i++) {
		CLEANUP(record_unrefp) struct record *r = NULL;
		const struct peers_entry *e = &list.entries[i];
		if (!record_open(e->bytes, e->len, e->signature, n->name, &r, NULL, NULL) && record_get(r)->kind == RECORD_NODE)
			dialer_learn(n->dialer, c->number, r, &list.topic, n->now_ms, n->unix_ms);
	}
	return true;
}

/* ---- topics */

void network_conn_tell_topics(struct network *n, struct conn *c)
{
	CLEANUP(buf_release) struct buf body;
	const size_t len = n->topics_len < SESSION_TOPICS_MAX ? n->topics_len : SESSION_TOPICS_MAX;
	buf_init(&body, SESSION_MESSAGE_MAX);
	gossip_topics_encode(n->topics, len, &body);
	if (!buf_failed(&body))
		session_send(c->session, MSG_TOPICS, body.data, body.len);
}

static void set_topics(struct conn *c, const struct id32 *topics, size_t len)
{
	struct id32 *copy = len ? reallocarray(NULL, len, sizeof *copy) : NULL;
	free(c->topics);
	c->topics = copy;
	c->topics_len = copy ? len : 0;
	if (copy)
		memcpy(copy, topics, len * sizeof *copy);
}

static bool on_topics(struct network *n, struct conn *c, const uint8_t *bytes, size_t len)
{
	struct id32 *topics = reallocarray(NULL, SESSION_TOPICS_MAX, sizeof *topics);
	size_t topics_len = 0;
	const bool is_fine = topics && !gossip_topics_decode(bytes, len, topics, SESSION_TOPICS_MAX, &topics_len);
	if (is_fine) {
		set_topics(c, topics, topics_len);
		gossip_input(n->gossip, c->number, MSG_TOPICS, bytes, len, n->now_ms);
		dialer_topics(n->dialer, c->number, topics, topics_len, n->unix_ms);
		exchange_peer_topics(n->exchange, c->number, topics, topics_len);
	}
	free(topics);
	return is_fine;
}

/* ---- the session's events */

void network_conn_blame(struct conn *c)
{
	if (++c->faults > NETWORK_FAULTS_MAX && c->state == CONN_OPEN)
		session_close(c->session, CLOSE_MESSAGE_BAD);
}

static void on_open(struct network *n, struct conn *c)
{
	static const struct id32 own;
	const struct session_hello *h = session_peer_hello(c->session);
	const struct node_id *id = session_peer(c->session);
	for (size_t i = 0; i < n->seeds_len; i++)
		c->is_seed |= node_id_eq(&n->seeds[i], id);
	c->state = CONN_OPEN;
	c->is_open_due = c->is_bulk_due = true;
	c->clock_ahead_ms = (int64_t)h->time_ms - (int64_t)n->unix_ms;
	set_topics(c, h->topics, h->topics_len);
	if (!gossip_peer_open(n->gossip, c->number, h, c->is_seed, c->is_outbound, n->now_ms)) {
		session_close(c->session, CLOSE_BY_US);
		return;
	}
	exchange_peer_open(n->exchange, c->number, id, h->topics, h->topics_len, n->now_ms);
	livelog_peer_open(n->livelog, c->number, id);
	const struct dialer_peer p = {c->number, id, c->from, h->topics, h->topics_len, c->is_outbound};
	dialer_opened(n->dialer, &p, n->now_ms, n->unix_ms);
	if (c->told_generation != n->topics_generation) /* something was followed while hands were shaken */
		network_conn_tell_topics(n, c);
	network_conn_ask_peers(n, c, &own);
}

static void on_message(struct network *n, struct conn *c, const struct session_event *e)
{
	bool is_fine = true;
	c->records_in += e->message == MSG_RECORD;
	switch ((enum session_message)e->message) {
	case MSG_HELLO:
	case MSG_PING:
	case MSG_PONG:
	case MSG_BYE: break; /* the session's own */
	case MSG_TOPICS: is_fine = on_topics(n, c, e->bytes, e->len); break;
	case MSG_PEERS_GET: is_fine = on_peers_get(n, c, e->bytes, e->len); break;
	case MSG_PEERS: is_fine = on_peers(n, c, e->bytes, e->len); break;
	case MSG_RECORD:
	case MSG_HAVE:
	case MSG_GET:
	case MSG_NOT_FOUND:
	case MSG_RECONCILE: is_fine = gossip_input(n->gossip, c->number, (enum session_message)e->message, e->bytes, e->len, n->now_ms); break;
	case MSG_BLOB_GET:
	case MSG_BLOB_DATA:
	case MSG_BLOB_END:
	case MSG_BLOB_OFFER:
	case MSG_BLOB_MORE: exchange_input(n->exchange, c->number, (enum session_message)e->message, e->bytes, e->len, n->now_ms); break;
	case MSG_LOG_SUB:
	case MSG_LOG_DATA:
	case MSG_LOG_END:
	case MSG_LOG_MORE: livelog_input(n->livelog, c->number, (enum session_message)e->message, e->bytes, e->len, n->now_ms); break;
	}
	if (!is_fine)
		network_conn_blame(c);
}

static void on_closed(struct network *n, struct conn *c)
{
	const enum session_close why = session_close_reason(c->session);
	n->stats.closed[why]++;
	if (c->state == CONN_OPEN) {
		gossip_peer_close(n->gossip, c->number, n->now_ms);
		exchange_peer_close(n->exchange, c->number, n->now_ms);
		livelog_peer_close(n->livelog, c->number, n->now_ms);
		dialer_closed(n->dialer, c->number, n->now_ms);
		c->is_gone_due = true;
	} else if (c->is_outbound) {
		dialer_failed(n->dialer, &c->addr, why == CLOSE_ID_OTHER || why == CLOSE_ID_SELF, n->now_ms);
	}
	c->state = CONN_CLOSING;
	c->is_hang_up_due = true;
}

void network_conn_drain(struct network *n, struct conn *c)
{
	struct session_event e;
	while (c->state != CONN_CLOSING && c->state != CONN_GONE && c->session && session_next(c->session, &e)) {
		switch (e.type) {
		case SESSION_EVENT_PROVEN: break;
		case SESSION_EVENT_OPEN: on_open(n, c); break;
		case SESSION_EVENT_MESSAGE: on_message(n, c, &e); break;
		case SESSION_EVENT_CLOSED: on_closed(n, c); break;
		}
	}
}

/* ---- the transport's side */

static bool is_loopback(const char *host)
{
	return !strncmp(host, "127.", 4) || !strcmp(host, "::1");
}

uint32_t network_accepted(struct network *n, const char *from, uint64_t now_ms)
{
	char host[256];
	const char *colon = strrchr(from, ':');
	size_t inbound = 0, of_host = 0;
	n->now_ms = now_ms;
	snprintf(host, sizeof host, "%.*s", colon ? (int)(colon - from) : 255, from);
	for (size_t i = 0; i < n->conns_len; i++) {
		inbound += !n->conns[i]->is_outbound;
		of_host += !n->conns[i]->is_outbound && !strcmp(n->conns[i]->host, host);
	}
	const bool is_crowded = of_host >= NETWORK_INBOUND_PER_HOST && !is_loopback(host);
	struct conn *c = inbound >= NETWORK_INBOUND_MAX || is_crowded ? NULL : network_conn_new(n);
	if (!c) {
		n->stats.refused_accepts++;
		return 0;
	}
	snprintf(c->from, sizeof c->from, "%s", from);
	snprintf(c->host, sizeof c->host, "%s", host);
	if (!network_conn_begin(n, c)) {
		network_conn_free(n, c);
		return 0;
	}
	return c->number;
}

void network_connected(struct network *n, uint32_t connection, uint64_t now_ms)
{
	struct conn *c = network_conn(n, connection);
	n->now_ms = now_ms;
	if (!c || c->state != CONN_DIALLING)
		return;
	if (!network_conn_begin(n, c)) {
		dialer_failed(n->dialer, &c->addr, false, now_ms);
		c->state = CONN_CLOSING;
		c->is_hang_up_due = true;
	}
}

/* Fed in pieces that the session's input surely holds beside the rest of a frame. */
#define PIECE_LEN 32768

void network_input(struct network *n, uint32_t connection, const uint8_t *bytes, size_t len, uint64_t now_ms)
{
	struct conn *c = network_conn(n, connection);
	n->now_ms = now_ms;
	while (c && len && (c->state == CONN_SHAKING || c->state == CONN_OPEN)) {
		const size_t piece = len < PIECE_LEN ? len : PIECE_LEN;
		session_input(c->session, bytes, piece, now_ms, n->unix_ms);
		network_conn_drain(n, c);
		bytes += piece;
		len -= piece;
	}
}

void network_lost(struct network *n, uint32_t connection, uint64_t now_ms)
{
	struct conn *c = network_conn(n, connection);
	n->now_ms = now_ms;
	if (!c)
		return;
	if (c->session) {
		session_input_end(c->session);
		network_conn_drain(n, c);
	} else if (c->state == CONN_DIALLING) {
		dialer_failed(n->dialer, &c->addr, false, now_ms);
	}
	c->state = CONN_GONE;
	c->is_hang_up_due = false;
}

const uint8_t *network_output(struct network *n, uint32_t connection, size_t *ret_len)
{
	struct conn *c = network_conn(n, connection);
	*ret_len = 0;
	return c && c->session ? session_output(c->session, ret_len) : NULL;
}

void network_output_done(struct network *n, uint32_t connection, size_t len)
{
	struct conn *c = network_conn(n, connection);
	size_t left;
	if (!c || !c->session)
		return;
	session_output_done(c->session, len);
	if (!session_output(c->session, &left))
		c->is_output_told = false;
}

void network_writable(struct network *n, uint32_t connection, uint64_t now_ms)
{
	struct conn *c = network_conn(n, connection);
	n->now_ms = now_ms;
	if (c)
		c->is_bulk_due = true;
}
