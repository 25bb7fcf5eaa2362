#include "p2p/reconcile.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"

#define BUCKETS 16
#define FINGERPRINT_LEN 16
#define SLACK 200 /* room for what ends a message: an id, two bounds and a fingerprint */
#define IDS_IN_MESSAGE_MAX (RECONCILE_MESSAGE_MAX / 32)

enum range_mode { MODE_SKIP = 0, MODE_FINGERPRINT = 1, MODE_LIST = 2 };

/* ---- the wire: PROTOCOL 14.3 */

struct reader { const uint8_t *at, *end; uint64_t last_ms; bool failed; };
struct writer { struct buf *out; uint64_t last_ms; };

static void put_number(struct buf *out, uint64_t value)
{
	unsigned groups = 1;
	while (groups < 10 && value >> 7 * groups)
		groups++;
	while (groups--)
		buf_byte(out, (uint8_t)((value >> 7 * groups & 0x7f) | (groups ? 0x80 : 0)));
}

static uint64_t get_number(struct reader *r)
{
	uint64_t value = 0;
	const uint8_t *const first = r->at;
	for (bool more = true; more; r->at++) {
		if (r->failed || r->at == r->end || value >> 57 || (r->at == first && *r->at == 0x80)) {
			r->failed = true;
			return 0;
		}
		value = value << 7 | (*r->at & 0x7f);
		more = *r->at & 0x80;
	}
	return value;
}

static const uint8_t *get_bytes(struct reader *r, size_t len)
{
	if (r->failed || (size_t)(r->end - r->at) < len) {
		r->failed = true;
		return NULL;
	}
	r->at += len;
	return r->at - len;
}

/* A bound is an item whose id ends in zeros; they are not sent. Infinity: expires 2^64-1. */
static void put_bound(struct writer *w, const struct recset_item *bound, size_t prefix_len)
{
	if (bound->expires_ms == UINT64_MAX) {
		put_number(w->out, 0);
	} else {
		put_number(w->out, bound->expires_ms - w->last_ms + 1);
		w->last_ms = bound->expires_ms;
	}
	put_number(w->out, prefix_len);
	buf_append(w->out, bound->id.b, prefix_len);
}

static size_t significant_len(const struct recset_item *bound)
{
	size_t len = sizeof bound->id.b;
	while (len && !bound->id.b[len - 1])
		len--;
	return len;
}

static struct recset_item get_bound(struct reader *r)
{
	struct recset_item bound = {0};
	const uint64_t offset = get_number(r);
	bound.expires_ms = offset ? r->last_ms + offset - 1 : UINT64_MAX;
	if (offset && bound.expires_ms < r->last_ms)
		r->failed = true;
	r->last_ms = bound.expires_ms;
	const uint64_t len = get_number(r);
	const uint8_t *prefix = len <= sizeof bound.id.b ? get_bytes(r, len) : NULL;
	if (prefix)
		memcpy(bound.id.b, prefix, len);
	else
		r->failed = true;
	return bound;
}

static const struct recset_item infinity = {.expires_ms = UINT64_MAX};

/* The shortest bound above `before` that is not above item. */
static void put_bound_between(struct writer *w, const struct recset_item *before, const struct recset_item *item)
{
	size_t len = 0;
	if (before->expires_ms == item->expires_ms) {
		while (len < sizeof item->id.b && before->id.b[len] == item->id.b[len])
			len++;
		len++;
	}
	put_bound(w, item, len);
}

/* ---- ranges of the set */

struct span { size_t from, to; };

static void fingerprint(struct recset *s, struct span span, uint8_t out[FINGERPRINT_LEN])
{
	const struct recset_sum sum = recset_sum(s, span.from, span.to);
	CLEANUP(buf_release) struct buf in;
	buf_init(&in, 64);
	for (size_t i = 0; i < 32; i++)
		buf_byte(&in, (uint8_t)(sum.w[i / 8] >> i % 8 * 8));
	put_number(&in, span.to - span.from);
	uint8_t hash[crypto_hash_sha256_BYTES];
	crypto_hash_sha256(hash, in.data, in.len);
	memcpy(out, hash, FINGERPRINT_LEN);
}

static void put_fingerprint(struct writer *w, struct recset *s, struct span span)
{
	uint8_t print[FINGERPRINT_LEN];
	fingerprint(s, span, print);
	put_number(w->out, MODE_FINGERPRINT);
	buf_append(w->out, print, sizeof print);
}

/* A range that differs: its ids when they are few, else the fingerprints of its parts. */
static void put_split(struct writer *w, struct recset *s, struct span span, const struct recset_item *upper)
{
	const size_t len = span.to - span.from;
	if (len < 2 * BUCKETS) {
		put_bound(w, upper, significant_len(upper));
		put_number(w->out, MODE_LIST);
		put_number(w->out, len);
		for (size_t i = span.from; i < span.to; i++)
			buf_append(w->out, recset_at(s, i)->id.b, 32);
		return;
	}
	size_t at = span.from;
	for (size_t i = 0; i < BUCKETS; i++) {
		const struct span part = {at, at + len / BUCKETS + (i < len % BUCKETS)};
		at = part.to;
		if (at == span.to)
			put_bound(w, upper, significant_len(upper));
		else
			put_bound_between(w, recset_at(s, at - 1), recset_at(s, at));
		put_fingerprint(w, s, part);
	}
}

/* First position of what is compared at all. */
static size_t first_of(const struct reconcile_side *side)
{
	if (side->cutoff_ms == UINT64_MAX)
		return side->set->len;
	return recset_lower_bound(side->set, &(struct recset_item){.expires_ms = side->cutoff_ms + 1});
}

void reconcile_open(const struct reconcile_side *side, struct buf *out)
{
	struct writer w = {.out = out};
	buf_byte(out, RECONCILE_VERSION);
	put_split(&w, side->set, (struct span){first_of(side), side->set->len}, &infinity);
}

/* ---- lists */

void reconcile_ids_release(struct reconcile_ids *l)
{
	free(l->ids);
	*l = (struct reconcile_ids){.max = l->max};
}

static void add_id(struct reconcile_ids *l, const uint8_t id[32])
{
	if (l->len == l->cap && l->cap < l->max) {
		const size_t cap = l->cap ? l->cap * 2 : 64;
		struct id32 *ids = reallocarray(l->ids, cap, sizeof *ids);
		if (ids) {
			l->ids = ids;
			l->cap = cap;
		}
	}
	if (l->len == l->cap || l->len == l->max) {
		l->is_cut = true;
		return;
	}
	memcpy(l->ids[l->len++].b, id, 32);
}

struct their { const uint8_t *id; bool is_here; };

static int compare_their(const void *a, const void *b)
{
	return memcmp(((const struct their *)a)->id, ((const struct their *)b)->id, 32);
}

/* ---- one message */

struct step {
	const struct reconcile_side *side;
	struct reader in;
	struct writer w;
	struct recset_item told;  /* upper bound of what `out` covers, and its position in the set */
	size_t told_at;
	struct recset_item bound; /* lower bound of the range at hand */
	size_t at;
	bool is_full;
	struct reconcile_ids *have, *need;
	struct their theirs[IDS_IN_MESSAGE_MAX];
};

/* What was skipped since the last range that was told. */
static void put_skip(struct step *s)
{
	if (!recset_compare(&s->told, &s->bound))
		return;
	put_bound(&s->w, &s->bound, significant_len(&s->bound));
	put_number(s->w.out, MODE_SKIP);
}

static bool is_over(const struct step *s)
{
	return s->w.out->len > RECONCILE_MESSAGE_MAX - SLACK;
}

static void learn(struct step *s, struct span ours, size_t theirs_len)
{
	qsort(s->theirs, theirs_len, sizeof s->theirs[0], compare_their);
	for (size_t i = ours.from; i < ours.to && !s->have->is_cut; i++) {
		const struct recset_item *item = recset_at(s->side->set, i);
		const struct their key = {.id = item->id.b};
		struct their *same = bsearch(&key, s->theirs, theirs_len, sizeof key, compare_their);
		if (same)
			same->is_here = true;
		else
			add_id(s->have, item->id.b);
	}
	for (size_t i = 0; i < theirs_len; i++)
		if (!s->theirs[i].is_here)
			add_id(s->need, s->theirs[i].id);
}

/* The responder's own ids of the range; as many as the message holds. */
static void put_list(struct step *s, struct span ours, const struct recset_item *upper)
{
	put_skip(s);
	const size_t room = RECONCILE_MESSAGE_MAX - SLACK > s->w.out->len ? (RECONCILE_MESSAGE_MAX - SLACK - s->w.out->len) / 32 : 0;
	struct recset_item end = *upper;
	if (ours.to - ours.from > room) {
		ours.to = ours.from + room;
		end = *recset_at(s->side->set, ours.to);
		s->is_full = true;
	}
	put_bound(&s->w, &end, significant_len(&end));
	put_number(s->w.out, MODE_LIST);
	put_number(s->w.out, ours.to - ours.from);
	for (size_t i = ours.from; i < ours.to; i++)
		buf_append(s->w.out, recset_at(s->side->set, i)->id.b, 32);
	s->told = end;
	s->told_at = ours.to;
}

static void on_list(struct step *s, struct span ours, const struct recset_item *upper)
{
	const uint64_t len = get_number(&s->in);
	if (len > IDS_IN_MESSAGE_MAX)
		s->in.failed = true;
	for (size_t i = 0; !s->in.failed && i < len; i++)
		s->theirs[i] = (struct their){.id = get_bytes(&s->in, 32)};
	if (s->in.failed)
		return;
	if (s->side->role == RECONCILE_INITIATOR)
		learn(s, ours, len);
	else
		put_list(s, ours, upper);
}

static void on_fingerprint(struct step *s, struct span ours, const struct recset_item *upper)
{
	uint8_t print[FINGERPRINT_LEN];
	const uint8_t *theirs = get_bytes(&s->in, FINGERPRINT_LEN);
	if (!theirs)
		return;
	fingerprint(s->side->set, ours, print);
	if (!memcmp(theirs, print, sizeof print))
		return;
	const size_t mark = s->w.out->len;
	put_skip(s);
	put_split(&s->w, s->side->set, ours, upper);
	if (is_over(s)) { /* as if it had not been looked at */
		s->w.out->len = mark;
		s->is_full = true;
		return;
	}
	s->told = *upper;
	s->told_at = ours.to;
}

static void on_range(struct step *s)
{
	const struct recset_item upper = get_bound(&s->in);
	const uint64_t mode = get_number(&s->in);
	if (s->in.failed || recset_compare(&upper, &s->bound) < 0) {
		s->in.failed = true;
		return;
	}
	struct span ours = {s->at, recset_lower_bound(s->side->set, &upper)};
	if (ours.to < ours.from) /* below the cut-off */
		ours.to = ours.from;
	if (mode == MODE_FINGERPRINT)
		on_fingerprint(s, ours, &upper);
	else if (mode == MODE_LIST)
		on_list(s, ours, &upper);
	else if (mode != MODE_SKIP)
		s->in.failed = true;
	s->bound = upper;
	s->at = ours.to;
}

int reconcile_step(const struct reconcile_side *side, const uint8_t *message, size_t len, struct buf *out, struct reconcile_ids *have,
		   struct reconcile_ids *need, struct err *err)
{
	if (!len || len > RECONCILE_MESSAGE_MAX || (message[0] & 0xf0) != (RECONCILE_VERSION & 0xf0))
		return err_set(err, ERR_INVALID, "reconciliation: not a message");
	if (message[0] != RECONCILE_VERSION && side->role == RECONCILE_INITIATOR)
		return err_set(err, ERR_LIMIT, "reconciliation: version %u is spoken there", message[0] & 15u);
	const size_t begin = out->len;
	buf_byte(out, RECONCILE_VERSION);
	if (message[0] != RECONCILE_VERSION)
		return 0;
	CLEANUP(cleanup_free) struct step *s = calloc(1, sizeof *s);
	if (!s)
		return err_set(err, ERR_NOMEM, "out of memory");
	*s = (struct step){.side = side, .in = {.at = message + 1, .end = message + len}, .w = {.out = out}, .have = have, .need = need};
	s->at = s->told_at = first_of(side);
	while (s->in.at < s->in.end && !s->in.failed && !s->is_full)
		on_range(s);
	if (s->in.failed) {
		out->len = begin;
		return err_set(err, ERR_INVALID, "reconciliation: malformed");
	}
	if (s->is_full) { /* what did not fit is one range that is looked at in the next round */
		put_bound(&s->w, &infinity, 0);
		put_fingerprint(&s->w, side->set, (struct span){s->told_at, side->set->len});
	}
	if (side->role == RECONCILE_INITIATOR && out->len == begin + 1)
		out->len = begin;
	return 0;
}
