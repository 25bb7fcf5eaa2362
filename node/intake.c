#include "node/intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/intake_judge.h"
#include "proto/base/cleanup.h"

#define EXPIRE_EVERY_MS UINT64_C(3600000)

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

static void drop_effect(void *user, const struct ix_entry *e)
{
	struct intake_effects *fx = user;
	/* what this very batch would have put is not put */
	for (size_t i = 0; i < fx->puts_len; i++)
		if (id32_eq(record_id(fx->puts[i].record), &e->id)) {
			record_unref(fx->puts[i].record);
			fx->puts[i] = fx->puts[--fx->puts_len];
			return;
		}
	if (grow(fx, &fx->deletes, sizeof *fx->deletes, fx->deletes_len, &fx->deletes_cap))
		fx->deletes[fx->deletes_len++] = e->id;
}

/* ---- life */

struct intake *intake_new(const struct intake_limits *limits, const uint8_t hash_key[crypto_shorthash_KEYBYTES])
{
	struct intake *in = calloc(1, sizeof *in);
	if (!in)
		return NULL;
	in->limits = *limits;
	index_edit_init(&in->edit, limits->records, hash_key);
	idmap_init(&in->follows, limits->follows, hash_key);
	in->next_expire_ms = 0;
	return in;
}

static void unpark_at(struct intake *in, size_t i)
{
	record_unref(in->parked[i].record);
	in->parked[i] = in->parked[--in->parked_len];
}

void intake_free(struct intake *in)
{
	if (!in)
		return;
	while (in->parked_len)
		unpark_at(in, in->parked_len - 1);
	free(in->parked);
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
	return in->parked_len;
}

/* ---- following */

bool intake_follow(struct intake *in, const struct id32 *project)
{
	if (intake_follows(in, project))
		return true;
	struct intake_topic *t = calloc(1, sizeof *t);
	if (!t)
		return false;
	topic_derive(project, &t->topic);
	t->project = *project;
	if (idmap_put(&in->follows, t))
		return true;
	free(t);
	return false;
}

void intake_unfollow(struct intake *in, const struct id32 *project)
{
	struct id32 topic;
	topic_derive(project, &topic);
	free(idmap_remove(&in->follows, &topic));
}

bool intake_follows(const struct intake *in, const struct id32 *project)
{
	struct id32 topic;
	topic_derive(project, &topic);
	return idmap_get(&in->follows, &topic);
}

/* ---- parking */

static enum intake_reason park(struct intake *in, struct record *r, uint64_t source, const struct id32 *missing, uint64_t until_ms,
			       enum intake_reason why)
{
	size_t of_source = 0;
	for (size_t i = 0; i < in->parked_len; i++) {
		if (id32_eq(record_id(in->parked[i].record), record_id(r)))
			return why;
		of_source += in->parked[i].source == source;
	}
	if (in->parked_len >= in->limits.parked || of_source >= in->limits.parked_per_source)
		return INTAKE_PARKED_FULL;
	if (in->parked_len == in->parked_cap) {
		const size_t cap = in->parked_cap ? in->parked_cap * 2 : 16;
		struct intake_parked *larger = reallocarray(in->parked, cap, sizeof *larger);
		if (!larger)
			return INTAKE_NO_MEMORY;
		in->parked = larger;
		in->parked_cap = cap;
	}
	struct intake_parked *p = &in->parked[in->parked_len++];
	*p = (struct intake_parked){.record = record_ref(r), .source = source, .until_ms = until_ms, .is_aside = why == INTAKE_ASIDE};
	if (missing)
		p->missing = *missing;
	return why;
}

/* One record through the rules; parks it where they say so. */
static enum intake_reason offer_one(struct intake *in, struct record *r, uint64_t source, uint64_t now_ms, bool is_restored,
				    struct intake_effects *fx)
{
	struct intake_case c = {.in = in, .r = r, .f = record_get(r), .now_ms = now_ms, .is_restored = is_restored, .drop = drop_effect, .user = fx};
	const enum intake_reason why = intake_judge(&c);
	switch (why) {
	case INTAKE_ADMITTED:
		/* a restored record is in the store already */
		if (!is_restored)
			put_effect(fx, r, source, c.entry);
		return why;
	case INTAKE_PARKED:
		fx->missing = c.missing;
		return is_restored ? why : park(in, r, source, &c.missing, now_ms + INTAKE_PARKED_MS, why);
	case INTAKE_ASIDE: return park(in, r, source, NULL, c.f->created_ms - INTAKE_AHEAD_MS, why);
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
static bool is_what_was_missing(const struct intake_parked *p, const struct record_fields *f, const struct id32 *id)
{
	return !p->is_aside && (f->kind == RECORD_JOB ? id32_eq(&p->missing, id) : f->kind == RECORD_PROJECT && id32_eq(&p->missing, &f->topic));
}

/* Judges the parked that waited for what was put since `from`, until nothing more comes of it. */
static void offer_parked(struct intake *in, size_t from, uint64_t now_ms, struct intake_effects *fx)
{
	for (size_t put = from; put < fx->puts_len && !fx->failed; put++) {
		struct record *came = record_ref(fx->puts[put].record);
		for (size_t i = in->parked_len; i-- > 0;) {
			if (i >= in->parked_len || !is_what_was_missing(&in->parked[i], record_get(came), record_id(came)))
				continue;
			struct record *waiting = record_ref(in->parked[i].record);
			const uint64_t source = in->parked[i].source;
			unpark_at(in, i);
			(void)offer_one(in, waiting, source, now_ms, false, fx);
			record_unref(waiting);
		}
		record_unref(came);
	}
}

enum intake_reason intake_offer(struct intake *in, struct record *r, uint64_t source, uint64_t now_ms, struct intake_effects *fx)
{
	const size_t from = fx->puts_len;
	const enum intake_reason why = offer_one(in, r, source, now_ms, false, fx);
	if (why == INTAKE_ADMITTED && in->parked_len)
		offer_parked(in, from, now_ms, fx);
	return why;
}

enum intake_reason intake_restore(struct intake *in, struct record *r, uint64_t now_ms, struct intake_effects *fx)
{
	return offer_one(in, r, INTAKE_OWN, now_ms, true, fx);
}

void intake_forget(struct intake *in, const struct id32 *project, struct intake_effects *fx)
{
	struct ix_project *p = idmap_get(&in->edit.ix.projects, project);
	if (p)
		index_drop(&in->edit, &p->entry, drop_effect, fx);
}

/* ---- time */

static void expire(struct intake *in, uint64_t now_ms, struct intake_effects *fx)
{
	/* dropping changes the table: gather first. A project takes its jobs along, so look each up again. */
	size_t at = 0, len = 0;
	CLEANUP(cleanup_free) struct id32 *due = calloc(in->edit.ix.entries.len + 1, sizeof *due);
	if (!due)
		return;
	for (const struct ix_entry *e; (e = idmap_next(&in->edit.ix.entries, &at));)
		if (e->expires_ms <= now_ms)
			due[len++] = e->id;
	for (size_t i = 0; i < len; i++) {
		struct ix_entry *e = idmap_get(&in->edit.ix.entries, &due[i]);
		if (e)
			index_drop(&in->edit, e, drop_effect, fx);
	}
}

void intake_tick(struct intake *in, uint64_t now_ms, struct intake_effects *fx)
{
	if (now_ms >= in->next_expire_ms || in->next_expire_ms > now_ms + 2 * EXPIRE_EVERY_MS /* the clock went back */) {
		expire(in, now_ms, fx);
		in->next_expire_ms = now_ms + EXPIRE_EVERY_MS;
	}
	const size_t from = fx->puts_len;
	for (size_t i = in->parked_len; i-- > 0;) {
		if (i >= in->parked_len || in->parked[i].until_ms > now_ms)
			continue;
		struct record *r = record_ref(in->parked[i].record);
		const bool is_aside = in->parked[i].is_aside;
		const uint64_t source = in->parked[i].source;
		unpark_at(in, i);
		if (is_aside)
			(void)offer_one(in, r, source, now_ms, false, fx);
		record_unref(r);
	}
	offer_parked(in, from, now_ms, fx);
}

uint64_t intake_next_ms(const struct intake *in)
{
	uint64_t next = in->edit.ix.entries.len ? in->next_expire_ms : UINT64_MAX;
	for (size_t i = 0; i < in->parked_len; i++)
		if (in->parked[i].until_ms < next)
			next = in->parked[i].until_ms;
	return next;
}
