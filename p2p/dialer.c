#include "p2p/dialer.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/dialer_impl.h"

#define FUTURE_MS UINT64_C(600000) /* PROTOCOL 4.4: created that far ahead is not judged yet */

uint64_t dialer_draw(struct dialer *d, uint64_t below)
{
	uint64_t out;
	crypto_generichash((uint8_t *)&out, sizeof out, (const uint8_t *)&d->draws, sizeof d->draws, d->seed, sizeof d->seed);
	d->draws++;
	return below ? out % below : 0;
}

uint64_t dialer_wait(struct dialer *d, unsigned fails, uint64_t most_ms)
{
	uint64_t wait = DIALER_BACKOFF_FIRST_MS;
	for (unsigned i = 1; i < fails && wait < most_ms; i++)
		wait *= 2;
	if (wait > most_ms)
		wait = most_ms;
	return wait - dialer_draw(d, wait / 2);
}

/* ---- life */

struct dialer *dialer_new(const struct node_id *self, const uint8_t seed[32], bool is_private)
{
	struct dialer *d = calloc(1, sizeof *d);
	uint8_t salt[16];
	if (!d)
		return NULL;
	d->self = *self;
	d->is_private = is_private;
	memcpy(d->seed, seed, sizeof d->seed);
	for (size_t i = 0; i < sizeof salt; i++)
		salt[i] = (uint8_t)dialer_draw(d, 256);
	d->next_ms = UINT64_MAX;
	d->pinned = calloc(DIALER_PINNED_MAX, sizeof *d->pinned);
	d->topics = calloc(DIALER_TOPICS_MAX, sizeof *d->topics);
	d->actions = calloc(ACTIONS_MAX, sizeof *d->actions);
	if (!addrbook_init(&d->book, salt) || !d->pinned || !d->topics || !d->actions) {
		dialer_free(d);
		return NULL;
	}
	return d;
}

void dialer_free(struct dialer *d)
{
	if (!d)
		return;
	addrbook_release(&d->book);
	for (size_t i = 0; i < d->peers_len; i++)
		free(d->peers[i].topics);
	free(d->pinned);
	free(d->topics);
	free(d->actions);
	free(d);
}

/* Something happened at now_ms that the next plan must see. */
static void happened(struct dialer *d, uint64_t now_ms)
{
	d->now_ms = now_ms;
	d->is_due = true;
}

/* ---- actions and time */

bool dialer_push(struct dialer *d, const struct dialer_action *a)
{
	if (d->actions_len == ACTIONS_MAX)
		return false;
	d->actions[(d->actions_at + d->actions_len++) % ACTIONS_MAX] = *a;
	return true;
}

bool dialer_next(struct dialer *d, struct dialer_action *ret)
{
	if (!d->actions_len && d->is_due)
		dialer_plan(d);
	if (!d->actions_len)
		return false;
	*ret = d->actions[d->actions_at];
	d->actions_at = (d->actions_at + 1) % ACTIONS_MAX;
	d->actions_len--;
	return true;
}

uint64_t dialer_tick(struct dialer *d, uint64_t now_ms, uint64_t unix_ms)
{
	d->now_ms = now_ms;
	d->unix_ms = unix_ms;
	if (d->is_due || now_ms >= d->next_ms)
		dialer_plan(d);
	return d->next_ms;
}

/* ---- what is wanted */

static struct followed *find_topic(struct dialer *d, const struct id32 *topic)
{
	for (size_t i = 0; i < d->topics_len; i++)
		if (id32_eq(&d->topics[i].id, topic))
			return &d->topics[i];
	return NULL;
}

bool dialer_follow(struct dialer *d, const struct id32 *topic, uint64_t now_ms)
{
	if (find_topic(d, topic))
		return true;
	if (d->topics_len == DIALER_TOPICS_MAX)
		return false;
	d->topics[d->topics_len++] = (struct followed){.id = *topic};
	happened(d, now_ms);
	return true;
}

void dialer_unfollow(struct dialer *d, const struct id32 *topic)
{
	struct followed *f = find_topic(d, topic);
	if (f)
		*f = d->topics[--d->topics_len];
}

static bool same_addr(const struct node_addr *a, const struct node_addr *b)
{
	return node_id_eq(&a->id, &b->id) && a->port == b->port && !strcmp(a->host, b->host);
}

static struct pinned *find_pinned(struct dialer *d, const struct node_addr *addr)
{
	for (size_t i = 0; i < d->pinned_len; i++)
		if (same_addr(&d->pinned[i].addr, addr))
			return &d->pinned[i];
	return NULL;
}

bool dialer_pin(struct dialer *d, const struct node_addr *addr, uint64_t now_ms)
{
	struct pinned *p = find_pinned(d, addr);
	if (node_id_eq(&addr->id, &d->self) || (!p && d->pinned_len == DIALER_PINNED_MAX))
		return false;
	if (!p)
		p = &d->pinned[d->pinned_len++];
	*p = (struct pinned){.addr = *addr};
	happened(d, now_ms);
	return true;
}

/* ---- node records */

static struct peer *find_peer(struct dialer *d, uint32_t number)
{
	for (size_t i = 0; i < d->peers_len; i++)
		if (d->peers[i].number == number)
			return &d->peers[i];
	return NULL;
}

/* Whether a stranger may have us call it. A name is judged by what it leads to, where it is resolved. */
static bool may_call(const char *host, bool may_be_private, bool may_be_loopback)
{
	struct sockaddr_storage address;
	if (!netaddr_parse(host, &address))
		return true;
	switch (netaddr_classify((const struct sockaddr *)&address)) {
	case NETADDR_PUBLIC: return true;
	case NETADDR_LOOPBACK: return may_be_loopback;
	case NETADDR_PRIVATE: return may_be_private;
	case NETADDR_LINK_LOCAL:
	case NETADDR_MULTICAST:
	case NETADDR_SPECIAL: break;
	}
	return false;
}

static void keep_addresses(const struct dialer *d, const struct peer *p, struct node_body *body)
{
	const bool may_be_loopback = d->is_private || p->is_loopback;
	size_t kept = 0;
	for (size_t i = 0; i < body->addresses_len; i++)
		if (may_call(body->addresses[i].host, may_be_loopback || p->is_private, may_be_loopback))
			body->addresses[kept++] = body->addresses[i];
	body->addresses_len = kept;
}

static void keep_record(struct addrbook_entry *e, struct record *r, const struct node_body *body, bool may_be_private)
{
	record_unref(e->record);
	e->record = record_ref(r);
	memcpy(e->addresses, body->addresses, sizeof e->addresses);
	e->addresses_len = body->addresses_len;
	e->address_at = 0;
	e->fails = 0;
	e->next_ms = 0;
	e->may_be_private = may_be_private;
}

/* The entry for a record that is worth keeping; NULL: it is not. */
static struct addrbook_entry *keep(struct dialer *d, const struct peer *p, struct record *r, bool is_own)
{
	struct node_body body;
	if (node_body_decode(r, &body, NULL))
		return NULL;
	keep_addresses(d, p, &body);
	struct addrbook_entry *e = addrbook_find(&d->book, &record_get(r)->author);
	if (e && id32_eq(record_id(e->record), record_id(r)))
		return e;
	if (!body.addresses_len || (e && !record_supersedes(r, e->record)))
		return NULL;
	if (!e) {
		const uint64_t group = addrbook_group(&d->book, body.addresses[0].host, body.addresses[0].port);
		e = addrbook_place(&d->book, &record_get(r)->author, p->source, group, is_own, d->unix_ms);
	}
	if (e)
		keep_record(e, r, &body, d->is_private || p->is_private || p->is_loopback);
	return e;
}

bool dialer_learn(struct dialer *d, uint32_t peer, struct record *node_record, const struct id32 *topic, uint64_t now_ms, uint64_t unix_ms)
{
	const struct record_fields *f = record_get(node_record);
	const struct peer *p = find_peer(d, peer);
	const bool is_own = sodium_is_zero(topic->b, sizeof topic->b);
	d->unix_ms = unix_ms;
	if (!p || f->kind != RECORD_NODE || f->expires_ms <= unix_ms || f->created_ms > unix_ms + FUTURE_MS || node_id_eq(&f->author, &d->self))
		return false;
	if (is_own && !node_id_eq(&f->author, &p->id))
		return false;
	struct addrbook_entry *e = keep(d, p, node_record, is_own);
	if (!e)
		return false;
	if (is_own)
		addrbook_said(e, p->topics, p->topics_len, unix_ms);
	else
		addrbook_tag_add(e, addrbook_tag(topic));
	if (is_own && p->is_outbound)
		e->has_answered = true;
	happened(d, now_ms);
	return true;
}

size_t dialer_referrals(struct dialer *d, const struct id32 *topic, struct record **ret, size_t max, uint64_t unix_ms)
{
	size_t len = 0, seen = 0;
	for (size_t i = 0; i < ADDRBOOK_BUCKETS * ADDRBOOK_SLOTS && max; i++) {
		const struct addrbook_entry *e = &d->book.entries[i];
		if (!e->record || !e->said_unix_ms || !addrbook_carries(e, topic) || record_get(e->record)->expires_ms <= unix_ms)
			continue;
		if (e->said_unix_ms + DIALER_REFERRAL_LIFE_MS <= unix_ms)
			continue;
		seen++;
		const size_t at = len < max ? len++ : dialer_draw(d, seen); /* each with the same chance */
		if (at < max)
			ret[at] = e->record;
	}
	for (size_t i = 0; i < len; i++)
		record_ref(ret[i]);
	return len;
}

/* ---- connections */

bool dialer_is_sure(const struct dialer *d, const struct peer *p)
{
	return !p->is_going && p->doubt_until_ms <= d->now_ms;
}

const struct peer *dialer_sure_peer(const struct dialer *d, const struct node_id *id)
{
	for (size_t i = 0; i < d->peers_len; i++)
		if (node_id_eq(&d->peers[i].id, id) && dialer_is_sure(d, &d->peers[i]))
			return &d->peers[i];
	return NULL;
}

bool dialer_peer_carries(const struct peer *p, const struct id32 *topic)
{
	for (size_t i = 0; i < p->topics_len; i++)
		if (id32_eq(&p->topics[i], topic))
			return true;
	return false;
}

bool dialer_is_called(const struct dialer *d, const struct node_id *id)
{
	for (size_t i = 0; i < d->calls_len; i++)
		if (node_id_eq(&d->calls[i].addr.id, id))
			return true;
	return false;
}

static void set_topics(struct peer *p, const struct id32 *topics, size_t len)
{
	if (len > SESSION_TOPICS_MAX)
		len = SESSION_TOPICS_MAX;
	struct id32 *copy = len ? reallocarray(NULL, len, sizeof *copy) : NULL;
	free(p->topics);
	p->topics = copy;
	p->topics_len = copy ? len : 0;
	if (copy)
		memcpy(copy, topics, len * sizeof *copy);
}

static void hang_up(struct dialer *d, struct peer *p)
{
	const struct dialer_action a = {.type = DIALER_HANG_UP, .peer = p->number};
	if (!p->is_going && dialer_push(d, &a))
		p->is_going = true;
}

/* Which of two open connections with the same peer goes. Both sides come to the same answer: by the ids where the two crossed on
 * the way, else the older one, which the caller cannot have known to be alive. */
static struct peer *the_lesser(const struct dialer *d, struct peer *older, struct peer *newer)
{
	const bool has_crossed = newer->opened_ms - older->opened_ms < DIALER_CROSSED_MS && older->doubt_until_ms <= d->now_ms;
	if (!has_crossed || older->is_outbound == newer->is_outbound)
		return older;
	const bool is_ours_to_stay = memcmp(d->self.b, newer->id.b, 32) < 0;
	return newer->is_outbound == is_ours_to_stay ? older : newer;
}

static void end_call(struct dialer *d, const struct node_id *id)
{
	for (size_t i = 0; i < d->calls_len; i++)
		if (node_id_eq(&d->calls[i].addr.id, id)) {
			d->calls[i] = d->calls[--d->calls_len];
			return;
		}
}

/* "HOST:PORT" or "[HOST]:PORT" */
static void set_place(const struct dialer *d, struct peer *p, const char *from)
{
	char host[256];
	const char *colon = strrchr(from, ':');
	const bool is_bracketed = from[0] == '[' && colon > from + 1;
	const char *start = from + is_bracketed;
	const size_t len = colon ? (size_t)(colon - start) - is_bracketed : strlen(start);
	snprintf(host, sizeof host, "%.*s", (int)(len < sizeof host ? len : sizeof host - 1), start);
	struct sockaddr_storage address;
	if (netaddr_parse(host, &address)) {
		const enum netaddr_class class = netaddr_classify((const struct sockaddr *)&address);
		p->is_loopback = class == NETADDR_LOOPBACK;
		p->is_private = class == NETADDR_PRIVATE || class == NETADDR_LINK_LOCAL;
	}
	p->source = addrbook_group(&d->book, host, colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0);
}

void dialer_opened(struct dialer *d, const struct dialer_peer *in, uint64_t now_ms, uint64_t unix_ms)
{
	happened(d, now_ms);
	d->unix_ms = unix_ms;
	if (in->is_outbound)
		end_call(d, in->id);
	if (d->peers_len == DIALER_PEERS_MAX) {
		const struct dialer_action a = {.type = DIALER_HANG_UP, .peer = in->number};
		dialer_push(d, &a);
		return;
	}
	struct peer *p = &d->peers[d->peers_len++];
	*p = (struct peer){.number = in->number, .id = *in->id, .is_outbound = in->is_outbound, .opened_ms = now_ms};
	set_place(d, p, in->from);
	set_topics(p, in->topics, in->topics_len);
	for (size_t i = 0; i + 1 < d->peers_len; i++)
		if (node_id_eq(&d->peers[i].id, &p->id) && !d->peers[i].is_going && !p->is_going)
			hang_up(d, the_lesser(d, &d->peers[i], p));
	struct addrbook_entry *e = addrbook_find(&d->book, in->id);
	if (e && in->is_outbound)
		e->has_answered = true;
	if (e)
		addrbook_said(e, p->topics, p->topics_len, unix_ms);
	for (size_t i = 0; i < d->topics_len; i++)
		d->topics[i].ask_ms = 0; /* there is one more to ask */
}

void dialer_topics(struct dialer *d, uint32_t peer, const struct id32 *topics, size_t topics_len, uint64_t unix_ms)
{
	struct peer *p = find_peer(d, peer);
	d->unix_ms = unix_ms;
	if (!p)
		return;
	set_topics(p, topics, topics_len);
	struct addrbook_entry *e = addrbook_find(&d->book, &p->id);
	if (e)
		addrbook_said(e, p->topics, p->topics_len, unix_ms);
	d->is_due = true;
}

/* How a node is remembered after a call or a connection ended. */
static void settle(struct dialer *d, const struct node_id *id, bool is_failure)
{
	for (size_t i = 0; i < d->pinned_len; i++) {
		struct pinned *p = &d->pinned[i];
		if (!node_id_eq(&p->addr.id, id))
			continue;
		p->fails = is_failure ? p->fails + 1 : 0;
		p->next_ms = d->now_ms + dialer_wait(d, p->fails, DIALER_BACKOFF_PINNED_MS);
	}
	struct addrbook_entry *e = addrbook_find(&d->book, id);
	if (!e)
		return;
	e->fails = is_failure ? e->fails + 1 : 0;
	e->next_ms = d->now_ms + dialer_wait(d, e->fails, DIALER_BACKOFF_MOST_MS);
	if (is_failure)
		e->address_at = (e->address_at + 1) % e->addresses_len;
	if (!e->has_answered && e->fails >= DIALER_LEARNED_FAILS_MAX * e->addresses_len && !e->said_unix_ms)
		addrbook_forget(&d->book, e);
}

void dialer_closed(struct dialer *d, uint32_t peer, uint64_t now_ms)
{
	struct peer *p = find_peer(d, peer);
	happened(d, now_ms);
	if (!p)
		return;
	const struct peer gone = *p;
	struct addrbook_entry *e = addrbook_find(&d->book, &gone.id);
	if (e && e->said_unix_ms)
		e->said_unix_ms = d->unix_ms; /* its word held until now */
	free(gone.topics);
	*p = d->peers[--d->peers_len];
	if (!gone.is_going)
		settle(d, &gone.id, now_ms - gone.opened_ms < DIALER_SHORT_MS);
}

/* Another id answered at this address of a learned node: nobody is called there for it again. */
static void forget_address(struct dialer *d, struct addrbook_entry *e, const struct node_addr *addr)
{
	for (size_t i = 0; i < e->addresses_len; i++)
		if (e->addresses[i].port == addr->port && !strcmp(e->addresses[i].host, addr->host)) {
			e->addresses[i] = e->addresses[--e->addresses_len];
			break;
		}
	e->address_at = 0;
	if (!e->addresses_len)
		addrbook_forget(&d->book, e);
}

void dialer_failed(struct dialer *d, const struct node_addr *addr, bool is_wrong, uint64_t now_ms)
{
	happened(d, now_ms);
	if (!dialer_is_called(d, &addr->id))
		return;
	end_call(d, &addr->id);
	d->stats.failures++;
	settle(d, &addr->id, true);
	struct addrbook_entry *e = addrbook_find(&d->book, &addr->id);
	struct pinned *p = find_pinned(d, addr);
	if (is_wrong && e)
		forget_address(d, e, addr);
	if (is_wrong && p) /* a person must put it right: no need to hurry */
		p->next_ms = now_ms + DIALER_BACKOFF_MOST_MS;
}

void dialer_woke(struct dialer *d, uint64_t now_ms)
{
	happened(d, now_ms);
	for (size_t i = 0; i < d->pinned_len; i++)
		d->pinned[i].next_ms = d->pinned[i].fails = 0;
	for (size_t i = 0; i < ADDRBOOK_BUCKETS * ADDRBOOK_SLOTS; i++)
		d->book.entries[i].next_ms = d->book.entries[i].fails = 0;
	for (size_t i = 0; i < d->topics_len; i++)
		d->topics[i].ask_ms = 0;
	for (size_t i = 0; i < d->peers_len; i++)
		d->peers[i].doubt_until_ms = now_ms + DIALER_DOUBT_MS;
}

/* ---- figures */

void dialer_stats(const struct dialer *d, struct dialer_stats *ret)
{
	*ret = d->stats;
	ret->pinned = d->pinned_len;
	ret->learned = d->book.len;
	ret->calls_under_way = d->calls_len;
}

size_t dialer_carriers(const struct dialer *d, const struct id32 *topic)
{
	size_t len = 0;
	for (size_t i = 0; i < d->peers_len; i++)
		len += !d->peers[i].is_going && dialer_peer_carries(&d->peers[i], topic);
	return len;
}
