/* Whom to call and ask now: looks at everything that is known, starts what is due, and says when it must look again. */
#include <string.h>

#include "p2p/dialer_impl.h"
#include "proto/base/cleanup.h"

#define ASKED_PEERS 3     /* for one topic at a time */
#define ASKED_TOPICS_MAX 8 /* of one peer in one plan; the others are asked for in the next */
#define SOON_MS 1000

struct needs { bool is_topic; size_t others; size_t outbound; };

static void look_again(struct dialer *d, uint64_t at_ms)
{
	if (at_ms < d->next_ms)
		d->next_ms = at_ms;
}

/* Carriers that a topic lacks; those that were called come first, and of those that called us one less than enough counts. */
static unsigned lack_of(struct dialer *d, const struct id32 *topic)
{
	unsigned outbound = 0, inbound = 0;
	for (size_t i = 0; i < d->peers_len; i++) {
		struct peer *p = &d->peers[i];
		if (!dialer_is_sure(d, p) || !dialer_peer_carries(p, topic))
			continue;
		if (!p->is_outbound) {
			inbound++;
		} else if (outbound < DIALER_PER_TOPIC) {
			outbound++;
			p->is_counted = true;
		}
	}
	const unsigned have = outbound + (inbound < DIALER_PER_TOPIC ? inbound : DIALER_PER_TOPIC - 1);
	return have < DIALER_PER_TOPIC ? DIALER_PER_TOPIC - have : 0;
}

static bool is_pinned_id(const struct dialer *d, const struct node_id *id)
{
	for (size_t i = 0; i < d->pinned_len; i++)
		if (node_id_eq(&d->pinned[i].addr.id, id))
			return true;
	return false;
}

/* The topics that lack carriers, by their tags: an entry's few topics are looked up here, not compared with all that are followed. */
static void index_needs(struct dialer *d)
{
	memset(d->needy, 0, sizeof d->needy);
	for (size_t i = 0; i < d->topics_len; i++) {
		if (!d->topics[i].need)
			continue;
		size_t at = addrbook_tag(&d->topics[i].id) % ARRAY_LEN(d->needy);
		while (d->needy[at])
			at = (at + 1) % ARRAY_LEN(d->needy);
		d->needy[at] = (uint16_t)(i + 1);
	}
}

static struct followed *needy_topic(struct dialer *d, uint64_t tag)
{
	for (size_t at = tag % ARRAY_LEN(d->needy); d->needy[at]; at = (at + 1) % ARRAY_LEN(d->needy)) {
		struct followed *f = &d->topics[d->needy[at] - 1];
		if (f->need && addrbook_tag(&f->id) == tag)
			return f;
	}
	return NULL;
}

/* Whether it carries a topic that lacks carriers; is_taken: one need less for every such topic. */
static bool serve(struct dialer *d, const struct addrbook_entry *e, bool is_taken)
{
	const size_t len = e->said_unix_ms ? e->said_len : ADDRBOOK_TAGS; /* its own word before hearsay */
	bool serves = false;
	for (size_t i = 0; i < len && (is_taken || !serves); i++) {
		const uint64_t tag = e->said_unix_ms ? addrbook_tag(&e->said[i]) : e->tags[i];
		struct followed *f = tag ? needy_topic(d, tag) : NULL;
		serves |= f != NULL;
		if (f && is_taken)
			f->need--;
	}
	return serves;
}

static struct needs count_needs(struct dialer *d)
{
	struct needs n = {0};
	size_t others = 0;
	for (size_t i = 0; i < d->peers_len; i++)
		d->peers[i].is_counted = false;
	for (size_t i = 0; i < d->topics_len; i++) {
		d->topics[i].need = lack_of(d, &d->topics[i].id);
		n.is_topic |= d->topics[i].need > 0;
	}
	for (size_t i = 0; i < d->peers_len; i++) {
		const struct peer *p = &d->peers[i];
		n.outbound += p->is_outbound && !p->is_going;
		others += p->is_outbound && dialer_is_sure(d, p) && !p->is_counted && !is_pinned_id(d, &p->id);
		if (p->doubt_until_ms > d->now_ms)
			look_again(d, p->doubt_until_ms);
	}
	n.others = others < DIALER_RANDOM ? DIALER_RANDOM - others : 0;
	index_needs(d);
	return n;
}

static bool is_room(const struct dialer *d, const struct needs *n)
{
	return d->calls_len < DIALER_CALLS_MAX && n->outbound + d->calls_len < DIALER_OUTBOUND_MAX;
}

static void call(struct dialer *d, const struct node_addr *addr, bool is_pinned, bool may_be_private)
{
	const struct dialer_action a = {.type = DIALER_DIAL, .addr = *addr, .may_be_private = may_be_private};
	if (!dialer_push(d, &a))
		return;
	d->calls[d->calls_len++] = (struct call){*addr, is_pinned};
	d->stats.calls++;
}

static void call_pinned(struct dialer *d, const struct needs *n)
{
	for (size_t i = 0; i < d->pinned_len; i++) {
		struct pinned *p = &d->pinned[i];
		const bool is_wanted = !p->is_called || n->is_topic || n->others;
		if (!is_wanted || dialer_is_called(d, &p->addr.id) || dialer_sure_peer(d, &p->addr.id))
			continue;
		if (p->next_ms > d->now_ms) {
			look_again(d, p->next_ms);
		} else if (is_room(d, n)) {
			p->is_called = true;
			call(d, &p->addr, true, true);
		}
	}
}

/* Calls under way serve topics too, and fill places of the others. */
static void count_calls(struct dialer *d, struct needs *n)
{
	for (size_t i = 0; i < d->calls_len; i++) {
		const struct addrbook_entry *e = addrbook_find(&d->book, &d->calls[i].addr.id);
		if (d->calls[i].is_pinned || !e)
			continue;
		if (!serve(d, e, true) && n->others)
			n->others--;
	}
}

static void call_entry(struct dialer *d, struct addrbook_entry *e, struct needs *n)
{
	struct node_addr addr = {.id = e->id, .port = e->addresses[e->address_at].port};
	memcpy(addr.host, e->addresses[e->address_at].host, sizeof addr.host);
	if (!serve(d, e, true) && n->others)
		n->others--;
	call(d, &addr, false, e->may_be_private);
}

/* Whether a call to it would help and may be made now. */
static bool is_callable(struct dialer *d, struct addrbook_entry *e, const struct needs *n)
{
	if (!e->record || !(n->others || serve(d, e, false)))
		return false;
	if (record_get(e->record)->expires_ms <= d->unix_ms || dialer_is_called(d, &e->id) || dialer_sure_peer(d, &e->id))
		return false;
	if (e->next_ms > d->now_ms) {
		look_again(d, e->next_ms);
		return false;
	}
	return true;
}

/* The best of a bucket: what serves a topic before what does not, what answered before what did not, else the first from a random start. */
static struct addrbook_entry *best_of(struct dialer *d, size_t bucket, const struct needs *n)
{
	struct addrbook_entry *best = NULL;
	unsigned best_rank = 0;
	const size_t start = dialer_draw(d, ADDRBOOK_SLOTS);
	for (size_t i = 0; i < ADDRBOOK_SLOTS; i++) {
		struct addrbook_entry *e = &d->book.entries[bucket * ADDRBOOK_SLOTS + (start + i) % ADDRBOOK_SLOTS];
		if (!is_callable(d, e, n))
			continue;
		const unsigned rank = 1 + 2u * serve(d, e, false) + e->has_answered;
		if (rank > best_rank) {
			best = e;
			best_rank = rank;
		}
	}
	return best;
}

/* One of each bucket in turn, from a random one on: who filled many places of few buckets gets no more calls than others. */
static void call_learned(struct dialer *d, struct needs *n)
{
	const size_t start = dialer_draw(d, ADDRBOOK_BUCKETS), stride = 2 * dialer_draw(d, ADDRBOOK_BUCKETS / 2) + 1;
	for (bool has_called = d->book.len > 0; has_called && is_room(d, n);) {
		has_called = false;
		for (size_t i = 0; i < ADDRBOOK_BUCKETS && is_room(d, n); i++) {
			struct addrbook_entry *e = best_of(d, (start + i * stride) % ADDRBOOK_BUCKETS, n);
			if (!e)
				continue;
			call_entry(d, e, n);
			has_called = true;
		}
	}
}

/* PEERS(topic) where carriers are missing. Few peers are asked at a time, each for few topics. */
static void ask(struct dialer *d)
{
	unsigned asked[DIALER_PEERS_MAX] = {0};
	for (size_t i = 0; i < d->topics_len && d->peers_len; i++) {
		struct followed *f = &d->topics[i];
		bool was_asked = false;
		if (!lack_of(d, &f->id))
			continue;
		const size_t start = dialer_draw(d, d->peers_len);
		size_t others = f->ask_ms > d->now_ms ? 0 : ASKED_PEERS;
		for (size_t k = 0; k < d->peers_len && others; k++) {
			const size_t at = (start + k) % d->peers_len;
			const struct dialer_action a = {.type = DIALER_ASK, .peer = d->peers[at].number, .topic = f->id};
			if (d->peers[at].is_going || asked[at] == ASKED_TOPICS_MAX || !dialer_push(d, &a))
				continue;
			asked[at]++;
			others--;
			was_asked = true;
		}
		if (was_asked)
			f->ask_ms = d->now_ms + DIALER_ASK_MS - dialer_draw(d, DIALER_ASK_MS / 4);
		else if (f->ask_ms <= d->now_ms)
			f->ask_ms = d->now_ms + SOON_MS;
		look_again(d, f->ask_ms);
	}
}

void dialer_plan(struct dialer *d)
{
	d->is_due = false;
	d->next_ms = UINT64_MAX;
	struct needs n = count_needs(d);
	call_pinned(d, &n);
	count_calls(d, &n);
	call_learned(d, &n);
	ask(d);
}
