#include "node/intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/intake_judge.h"
#include "proto/base/cleanup.h"

const char *intake_reason_name(enum intake_reason why)
{
	switch (why) {
#define X(name, value, text)                                                                                           \
	case name: return text;
		INTAKE_REASONS(X)
#undef X
	}
	return "unknown";
}

void intake_limits_default(struct intake_limits *ret)
{
	*ret = (struct intake_limits){.per_author = 1000,
				      .per_topic = 100000,
				      .crowd = 16,
				      .parked_per_source = 50,
				      .parked = 1000,
				      .follows = 1024,
				      .records = 2000000};
}

/* ---- effects */

void intake_effects_release(struct intake_effects *fx)
{
	for (size_t i = 0; i < fx->puts_len; i++)
		record_unref(fx->puts[i].record);
	free(fx->puts);
	free(fx->deletes);
	*fx = (struct intake_effects){0};
}

/* Room for one more; false and failed without memory. */
static bool grow(struct intake_effects *fx, void *array_pointer, size_t size, size_t len, size_t *cap)
{
	void **array = array_pointer;
	if (len < *cap)
		return true;
	const size_t larger = *cap ? *cap * 2 : 8;
	void *moved = reallocarray(*array, larger, size);
	if (!moved) {
		fx->failed = true;
		return false;
	}
	*array = moved;
	*cap = larger;
	return true;
}

static void put_effect(struct intake_effects *fx, struct record *r, uint64_t source, const struct ix_entry *e)
{
	if (!grow(fx, &fx->puts, sizeof *fx->puts, fx->puts_len, &fx->puts_cap))
		return;
	struct intake_put *put = &fx->puts[fx->puts_len++];
	*put = (struct intake_put){.record = record_ref(r), .project = e->project->id, .source = source};
	if (e->job) {
		put->has_job = true;
		put->job = e->job->entry.id;
		snprintf(put->commit, sizeof put->commit, "%s", e->job->commit);
	}
}

/* What this very batch would have put is not put: it leaves a gap, which close_gaps() closes once nobody counts any more. */
static bool take_back(struct intake_effects *fx, const struct ix_entry *e)
{
	for (size_t i = 0; i < fx->puts_len; i++)
		if (fx->puts[i].record && id32_eq(record_id(fx->puts[i].record), &e->id)) {
			record_unref(fx->puts[i].record);
			fx->puts[i].record = NULL;
			return true;
		}
	return false;
}

static void close_gaps(struct intake_effects *fx)
{
	size_t to = 0;
	for (size_t i = 0; i < fx->puts_len; i++)
		if (fx->puts[i].record)
			fx->puts[to++] = fx->puts[i];
	fx->puts_len = to;
}

/* Its successor takes its place in the store. */
static void drop_put_effect(void *user, const struct ix_entry *e)
{
	(void)take_back(user, e);
}

static void drop_effect(void *user, const struct ix_entry *e)
{
	struct intake_effects *fx = user;
	if (!take_back(fx, e) && grow(fx, &fx->deletes, sizeof *fx->deletes, fx->deletes_len, &fx->deletes_cap))
		fx->deletes[fx->deletes_len++] = e->id;
}

/* ---- life */

struct intake *intake_new(const struct intake_limits *limits, const uint8_t hash_key[crypto_shorthash_KEYBYTES])
{
	struct intake *in = calloc(1, sizeof *in);
	if (!in)
		return NULL;
	in->limits = *limits;
	index_edit_init(&in->edit, limits->records + 1, hash_key); /* the newcomer stands in it while it is judged what goes */
	idmap_init(&in->follows, limits->records + 1, hash_key);
	return in;
}

/* Takes the reference out. */
static struct intake_waiting take_at(struct intake_queue *q, size_t i)
{
	const struct intake_waiting w = q->items[i];
	q->items[i] = q->items[--q->len];
	return w;
}

static void empty(struct intake_queue *q)
{
	while (q->len)
		record_unref(take_at(q, q->len - 1).record);
	free(q->items);
}

void intake_free(struct intake *in)
{
	if (!in)
		return;
	empty(&in->parked);
	empty(&in->aside);
	size_t at = 0;
	for (void *f; (f = idmap_next(&in->follows, &at));)
		free(f);
	idmap_release(&in->follows);
	index_edit_release(&in->edit);
	free(in);
}

const struct index *intake_index(const struct intake *in)
{
	return &in->edit.ix;
}

size_t intake_parked_len(const struct intake *in)
{
	return in->parked.len + in->aside.len;
}

void intake_trust(struct intake *in, intake_trusts_fn fn, void *user)
{
	in->trusts = fn;
	in->trusts_user = user;
}

/* ---- following */

static struct intake_topic *topic_of(const struct intake *in, const struct id32 *project)
{
	struct id32 topic;
	topic_derive(project, &topic);
	return idmap_get(&in->follows, &topic);
}

static bool add_topic(struct intake *in, const struct id32 *project, bool is_followed)
{
	struct intake_topic *t = topic_of(in, project);
	const bool is_one_more = is_followed && !(t && t->is_followed);
	if (is_one_more && in->follows_len >= in->limits.follows)
		return false;
	if (!t) {
		t = calloc(1, sizeof *t);
		if (!t)
			return false;
		topic_derive(project, &t->topic);
		t->project = *project;
		if (!idmap_put(&in->follows, t)) {
			free(t);
			return false;
		}
	}
	t->is_followed |= is_followed;
	in->follows_len += is_one_more;
	in->follow_generation += is_one_more;
	return true;
}

bool intake_follow(struct intake *in, const struct id32 *project)
{
	return add_topic(in, project, true);
}

void intake_unfollow(struct intake *in, const struct id32 *project)
{
	struct intake_topic *t = topic_of(in, project);
	if (!t)
		return;
	in->follows_len -= t->is_followed;
	free(idmap_remove(&in->follows, &t->topic));
	in->follow_generation++;
}

unsigned intake_follow_generation(const struct intake *in)
{
	return in->follow_generation;
}

bool intake_follows(const struct intake *in, const struct id32 *project)
{
	const struct intake_topic *t = topic_of(in, project);
	return t && t->is_followed;
}

/* ---- parking */

static enum intake_reason enqueue(struct intake_queue *q, const struct intake_waiting *w)
{
	if (q->len == q->cap) {
		const size_t cap = q->cap ? q->cap * 2 : 16;
		struct intake_waiting *larger = reallocarray(q->items, cap, sizeof *larger);
		if (!larger)
			return INTAKE_NO_MEMORY;
		q->items = larger;
		q->cap = cap;
	}
	q->items[q->len] = *w;
	record_ref(q->items[q->len++].record);
	return INTAKE_ADMITTED;
}

static bool is_waiting(const struct intake_queue *q, const struct record *r)
{
	for (size_t i = 0; i < q->len; i++)
		if (id32_eq(record_id(q->items[i].record), record_id(r)))
			return true;
	return false;
}

static size_t of_source(const struct intake_queue *q, uint64_t source)
{
	size_t n = 0;
	for (size_t i = 0; i < q->len; i++)
		n += q->items[i].source == source;
	return n;
}

static enum intake_reason park(struct intake *in, struct record *r, uint64_t source, const struct id32 *missing, uint64_t now_ms)
{
	struct intake_queue *q = &in->parked;
	const struct intake_waiting w = {.record = r, .source = source, .until_ms = now_ms + INTAKE_PARKED_MS, .missing = *missing};
	if (is_waiting(q, r))
		return INTAKE_PARKED;
	if (q->len >= in->limits.parked || of_source(q, source) >= in->limits.parked_per_source)
		return INTAKE_PARKED_FULL;
	return enqueue(q, &w) == INTAKE_ADMITTED ? INTAKE_PARKED : INTAKE_NO_MEMORY;
}

/* Where there is no room the one whose time is farthest goes: else a few dated in the next century would fill it for good. */
static enum intake_reason keep_aside(struct intake *in, struct record *r, uint64_t source)
{
	struct intake_queue *q = &in->aside;
	const struct intake_waiting w = {.record = r, .source = source, .until_ms = record_get(r)->created_ms - INTAKE_AHEAD_MS};
	if (is_waiting(q, r))
		return INTAKE_ASIDE;
	const bool is_source_full = of_source(q, source) >= in->limits.parked_per_source;
	if (is_source_full || q->len >= in->limits.parked) {
		size_t farthest = SIZE_MAX;
		for (size_t i = 0; i < q->len; i++)
			if ((!is_source_full || q->items[i].source == source) &&
			    (farthest == SIZE_MAX || q->items[i].until_ms > q->items[farthest].until_ms))
				farthest = i;
		if (farthest == SIZE_MAX || q->items[farthest].until_ms <= w.until_ms)
			return INTAKE_PARKED_FULL;
		record_unref(take_at(q, farthest).record);
	}
	return enqueue(q, &w) == INTAKE_ADMITTED ? INTAKE_ASIDE : INTAKE_NO_MEMORY;
}

/* One record through the rules; parks it where they say so. */
static enum intake_reason offer_one(struct intake *in, struct record *r, uint64_t source, uint64_t now_ms, bool is_restored,
				    struct intake_effects *fx)
{
	struct intake_case c = {.in = in, .r = r, .f = record_get(r), .now_ms = now_ms, .is_restored = is_restored,
				.drop = drop_effect, .drop_put = drop_put_effect, .user = fx};
	const enum intake_reason why = intake_judge(&c);
	switch (why) {
	case INTAKE_ADMITTED:
		/* a restored record is in the store already */
		if (!is_restored)
			put_effect(fx, r, source, c.entry);
		return why;
	case INTAKE_PARKED:
		fx->missing = c.missing;
		return source == INTAKE_OWN ? why : park(in, r, source, &c.missing, now_ms);
	case INTAKE_ASIDE: return source == INTAKE_OWN ? why : keep_aside(in, r, source);
	case INTAKE_NO_MEMORY: fx->failed = true; return why;
	case INTAKE_DUPLICATE:
	case INTAKE_SUPERSEDED:
	case INTAKE_EXPIRED:
	case INTAKE_PARKED_FULL:
	case INTAKE_NOT_FOLLOWED:
	case INTAKE_UNKNOWN_KIND:
	case INTAKE_NOT_KEPT:
	case INTAKE_BAD_BODY:
	case INTAKE_BAD_TOPIC:
	case INTAKE_NO_AUTHORITY:
	case INTAKE_MISMATCH:
	case INTAKE_CROWDED:
	case INTAKE_QUOTA:
	case INTAKE_TOPIC_FULL: return why;
	}
	return why;
}

/* What a newly admitted record is to those parked: its own id for a job, its topic for a project. */
static bool is_what_was_missing(const struct intake_waiting *w, const struct record_fields *f, const struct id32 *id)
{
	return f->kind == RECORD_JOB ? id32_eq(&w->missing, id) : f->kind == RECORD_PROJECT && id32_eq(&w->missing, &f->topic);
}

/* Judges the parked that waited for what was put since `from`, until nothing more comes of it. */
static void offer_parked(struct intake *in, size_t from, uint64_t now_ms, struct intake_effects *fx)
{
	for (size_t put = from; put < fx->puts_len && !fx->failed && in->parked.len; put++) {
		if (!fx->puts[put].record)
			continue;
		struct record *came = record_ref(fx->puts[put].record);
		for (size_t i = in->parked.len; i-- > 0;) {
			if (i >= in->parked.len || !is_what_was_missing(&in->parked.items[i], record_get(came), record_id(came)))
				continue;
			const struct intake_waiting w = take_at(&in->parked, i);
			(void)offer_one(in, w.record, w.source, now_ms, false, fx);
			record_unref(w.record);
		}
		record_unref(came);
	}
}

enum intake_reason intake_offer(struct intake *in, struct record *r, uint64_t source, uint64_t now_ms, struct intake_effects *fx)
{
	const size_t from = fx->puts_len;
	const enum intake_reason why = offer_one(in, r, source, now_ms, false, fx);
	if (why == INTAKE_ADMITTED && in->parked.len)
		offer_parked(in, from, now_ms, fx);
	close_gaps(fx);
	return why;
}

enum intake_reason intake_restore(struct intake *in, struct record *r, uint64_t now_ms, struct intake_effects *fx)
{
	struct id32 project;
	/* a topic that is not followed any more: what is kept of it is known */
	if (record_get(r)->kind == RECORD_PROJECT) {
		if (record_get(r)->key_len != sizeof ((struct project_body *)NULL)->nonce)
			return INTAKE_BAD_BODY;
		project_id_derive(&record_get(r)->author, record_get(r)->key, &project);
		if (!add_topic(in, &project, false))
			return INTAKE_NO_MEMORY;
	}
	return offer_one(in, r, INTAKE_OWN, now_ms, true, fx);
}

void intake_forget(struct intake *in, const struct id32 *project, struct intake_effects *fx)
{
	struct ix_project *p = idmap_get(&in->edit.ix.projects, project);
	if (p)
		index_drop(&in->edit, &p->entry, drop_effect, fx);
	close_gaps(fx);
}

/* ---- time */

/* A job takes along what is about it, a project everything of its topic. */
static void expire(struct intake *in, uint64_t now_ms, struct intake_effects *fx)
{
	for (struct ix_entry *e; (e = ixheap_first(&in->edit.expiry)) && e->expires_ms <= now_ms && !fx->failed;)
		index_drop(&in->edit, e, drop_effect, fx);
}

static void judge_aside(struct intake *in, uint64_t now_ms, struct intake_effects *fx)
{
	const size_t from = fx->puts_len;
	for (size_t i = in->aside.len; i-- > 0 && !fx->failed;) {
		if (i >= in->aside.len || in->aside.items[i].until_ms > now_ms)
			continue;
		const struct intake_waiting w = take_at(&in->aside, i);
		(void)offer_one(in, w.record, w.source, now_ms, false, fx);
		record_unref(w.record);
	}
	offer_parked(in, from, now_ms, fx);
}

void intake_tick(struct intake *in, uint64_t now_ms, struct intake_effects *fx)
{
	expire(in, now_ms, fx);
	for (size_t i = in->parked.len; i-- > 0;)
		if (in->parked.items[i].until_ms <= now_ms)
			record_unref(take_at(&in->parked, i).record);
	judge_aside(in, now_ms, fx);
	close_gaps(fx);
}

static uint64_t earliest(const struct intake_queue *q, uint64_t next_ms)
{
	for (size_t i = 0; i < q->len; i++)
		if (q->items[i].until_ms < next_ms)
			next_ms = q->items[i].until_ms;
	return next_ms;
}

uint64_t intake_next_ms(const struct intake *in)
{
	const struct ix_entry *first = ixheap_first(&in->edit.expiry);
	return earliest(&in->parked, earliest(&in->aside, first ? first->expires_ms : UINT64_MAX));
}
