#include "node/intake_judge.h"

#include <stdio.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/statement.h"

#define CLAIM_UNTIL_MAX_MS (7 * DAY_MS)
#define CROWD_SEEN_MAX 128

/* ---- who is listed */

static bool is_in(const struct node_id *list, size_t len, const struct node_id *key)
{
	for (size_t i = 0; i < len; i++)
		if (node_id_eq(&list[i], key))
			return true;
	return false;
}

static bool is_listed(const struct ix_job *job, const struct node_id *key)
{
	const struct ix_project *p = job->entry.project;
	return index_is_maintainer(p, key) || is_in(job->volunteers, job->volunteers_len, key) ||
	       is_in(p->body.volunteers, p->body.volunteers_len, key);
}

/* ---- the crowd: claims and results of unlisted keys */

struct crowd {
	struct node_id authors[CROWD_SEEN_MAX];
	size_t len;
	struct node_id worst; /* the highest hash of (job, author) */
	uint8_t worst_hash[32];
};

static void crowd_add(struct crowd *c, const struct ix_job *job, const struct node_id *author)
{
	if (is_listed(job, author) || is_in(c->authors, c->len, author) || c->len == CROWD_SEEN_MAX)
		return;
	c->authors[c->len++] = *author;
	uint8_t pair[64], hash[32];
	memcpy(pair, job->entry.id.b, 32);
	memcpy(pair + 32, author->b, 32);
	crypto_generichash(hash, sizeof hash, pair, sizeof pair, NULL, 0);
	if (c->len > 1 && memcmp(hash, c->worst_hash, sizeof hash) <= 0)
		return;
	memcpy(c->worst_hash, hash, sizeof hash);
	c->worst = *author;
}

static void drop_author(struct intake_case *c, struct ix_job *job, const struct node_id *author)
{
	struct ix_entry *const lists[] = {job->claims, job->results};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (struct ix_entry *e = lists[i], *next; e; e = next) {
			next = e->next_of_job;
			if (node_id_eq(&e->author, author))
				index_drop(&c->in->edit, e, c->drop, c->user);
		}
}

/* Unlisted authors past the limit go, highest hash first: the set does not depend on who arrived when. */
static void trim_crowd(struct intake_case *c, struct ix_job *job)
{
	for (;;) {
		struct crowd crowd = {.len = 0};
		for (const struct ix_entry *e = job->claims; e; e = e->next_of_job)
			crowd_add(&crowd, job, &e->author);
		for (const struct ix_entry *e = job->results; e; e = e->next_of_job)
			crowd_add(&crowd, job, &e->author);
		if (crowd.len <= c->in->limits.crowd)
			return;
		drop_author(c, job, &crowd.worst);
	}
}

/* ---- quota */

static bool is_older(const struct ix_entry *a, const struct ix_entry *b)
{
	return a->created_ms != b->created_ms ? a->created_ms < b->created_ms : memcmp(a->id.b, b->id.b, 32) < 0;
}

/* The oldest of (author, topic, kind) go. */
static void trim_group(struct intake_case *c, struct ix_group *g)
{
	size_t excess = g->len > c->in->limits.per_author ? g->len - c->in->limits.per_author : 0;
	while (excess--) {
		struct ix_entry *oldest = g->entries;
		for (struct ix_entry *e = oldest->group_next; e; e = e->group_next)
			if (is_older(e, oldest))
				oldest = e;
		index_drop(&c->in->edit, oldest, c->drop, c->user);
	}
}

static bool is_here(const struct intake_case *c)
{
	return idmap_get(&c->in->edit.ix.entries, record_id(c->r));
}

/* A new entry stands in the index: trims what is too much. The newcomer itself may be what goes. */
static enum intake_reason settle(struct intake_case *c, struct ix_entry *e)
{
	if (!e)
		return INTAKE_NO_MEMORY;
	trim_group(c, e->group);
	if (!is_here(c))
		return INTAKE_QUOTA;
	if (e->kind == RECORD_CLAIM || e->kind == RECORD_RESULT) {
		trim_crowd(c, e->job);
		if (!is_here(c))
			return INTAKE_CROWDED;
	}
	c->entry = e;
	return INTAKE_ADMITTED;
}

/* ---- project */

static bool body_names(const struct project_body *body, const struct node_id *key)
{
	return is_in(body->maintainers, body->maintainers_len, key);
}

/* A newer state may take authority away: what would not be admitted now goes. */
static void rejudge(struct intake_case *c, struct ix_project *p)
{
	for (struct ix_job *job = p->jobs, *next; job; job = next) {
		next = job->next_of_project;
		if (!index_was_maintainer(p, &job->entry.author, job->entry.created_ms)) {
			index_drop(&c->in->edit, &job->entry, c->drop, c->user);
			continue;
		}
		for (struct ix_entry *e = job->cancels, *after; e; e = after) {
			after = e->next_of_job;
			if (!body_names(&p->body, &e->author) && !index_was_maintainer(p, &e->author, e->created_ms))
				index_drop(&c->in->edit, e, c->drop, c->user);
		}
		trim_crowd(c, job);
	}
}

static enum intake_reason judge_project(struct intake_case *c, const struct intake_topic *topic)
{
	CLEANUP(cleanup_free) struct project_body *body = malloc(sizeof *body);
	struct id32 id;
	if (!body)
		return INTAKE_NO_MEMORY;
	if (project_body_decode(c->r, body, &id, NULL))
		return INTAKE_BAD_BODY;
	if (!id32_eq(&id, &topic->project))
		return INTAKE_BAD_TOPIC;
	struct ix_project *p = idmap_get(&c->in->edit.ix.projects, &id);
	if (!p) {
		p = index_add_project(&c->in->edit, c->r, &id, body);
		return settle(c, p ? &p->entry : NULL);
	}
	const struct ix_entry *old = &p->entry;
	if (c->f->sequence < old->sequence || (c->f->sequence == old->sequence && memcmp(record_id(c->r)->b, old->id.b, 32) < 0))
		return INTAKE_SUPERSEDED;
	if (!index_replace_project(&c->in->edit, c->r, p, body))
		return INTAKE_NO_MEMORY;
	rejudge(c, p);
	c->entry = &p->entry;
	return INTAKE_ADMITTED;
}

/* ---- job */

static enum intake_reason judge_job(struct intake_case *c, const struct intake_topic *topic)
{
	CLEANUP(cleanup_free) struct job_body *body = malloc(sizeof *body);
	if (!body)
		return INTAKE_NO_MEMORY;
	if (job_body_decode(c->r, body, NULL))
		return INTAKE_BAD_BODY;
	if (!id32_eq(&body->project, &topic->project))
		return INTAKE_BAD_TOPIC;
	if (body->claim_until_ms < c->f->created_ms || body->claim_until_ms - c->f->created_ms > CLAIM_UNTIL_MAX_MS || !body->wanted)
		return INTAKE_BAD_BODY;
	struct ix_project *p = idmap_get(&c->in->edit.ix.projects, &body->project);
	if (!p || p->entry.sequence < body->project_sequence) {
		c->missing = topic->topic;
		return INTAKE_PARKED;
	}
	if (!index_was_maintainer(p, &c->f->author, c->f->created_ms))
		return INTAKE_NO_AUTHORITY;
	struct ix_job *job = index_add_job(&c->in->edit, c->r, p, body);
	return settle(c, job ? &job->entry : NULL);
}

/* ---- what is about a job */

/* The job that a cancel, claim or result is about: found in this very topic, or PARKED. */
static enum intake_reason find_job(struct intake_case *c, const struct intake_topic *topic, const struct id32 *id, struct ix_job **ret)
{
	struct ix_entry *e = idmap_get(&c->in->edit.ix.entries, id);
	if (!e) {
		c->missing = *id;
		return INTAKE_PARKED;
	}
	if (e->kind != RECORD_JOB)
		return INTAKE_BAD_BODY;
	if (!id32_eq(&e->project->id, &topic->project))
		return INTAKE_BAD_TOPIC;
	*ret = e->job;
	return INTAKE_ADMITTED;
}

static enum intake_reason judge_cancel(struct intake_case *c, const struct intake_topic *topic)
{
	struct cancel_body body;
	struct ix_job *job = NULL;
	if (cancel_body_decode(c->r, &body, NULL))
		return INTAKE_BAD_BODY;
	const enum intake_reason why = find_job(c, topic, &body.job, &job);
	if (why != INTAKE_ADMITTED)
		return why;
	if (!index_was_maintainer(job->entry.project, &c->f->author, c->f->created_ms))
		return INTAKE_NO_AUTHORITY;
	return settle(c, index_add_about(&c->in->edit, c->r, job));
}

/* No record's memory is unbounded: claims and results count against the topic, except those of listed keys. */
static bool topic_is_full(const struct intake_case *c, const struct ix_job *job)
{
	return job->entry.project->records >= c->in->limits.per_topic && !is_listed(job, &c->f->author);
}

static enum intake_reason judge_claim(struct intake_case *c, const struct intake_topic *topic)
{
	struct claim_body body;
	struct ix_job *job = NULL;
	if (claim_body_decode(c->r, &body, NULL))
		return INTAKE_BAD_BODY;
	enum intake_reason why = find_job(c, topic, &body.job, &job);
	if (why != INTAKE_ADMITTED)
		return why;
	struct ix_entry *old = NULL;
	for (struct ix_entry *e = job->claims; e && !old; e = e->next_of_job)
		if (node_id_eq(&e->author, &c->f->author))
			old = e;
	if (old && (c->f->sequence < old->sequence || (c->f->sequence == old->sequence && memcmp(record_id(c->r)->b, old->id.b, 32) < 0)))
		return INTAKE_SUPERSEDED;
	if (!old && topic_is_full(c, job))
		return INTAKE_TOPIC_FULL;
	if (old)
		index_drop(&c->in->edit, old, NULL, NULL); /* the store replaces it by itself */
	struct ix_entry *e = index_add_about(&c->in->edit, c->r, job);
	if (e) {
		e->u.claim.lease_until_ms = body.lease_until_ms;
		e->u.claim.step = body.step;
		e->u.claim.steps = body.steps;
		snprintf(e->u.claim.phase, sizeof e->u.claim.phase, "%s", body.phase);
	}
	why = settle(c, e);
	return why;
}

static void cleanup_statement(struct statement **s)
{
	if (*s)
		statement_release(*s);
	free(*s);
}

/* The signed statement speaks of this very job, commit, project and cell. */
static enum intake_reason check_statement(const struct intake_case *c, const struct ix_job *job, struct result_body *body)
{
	CLEANUP(cleanup_statement) struct statement *s = calloc(1, sizeof *s);
	bool has_statement = false;
	if (!s)
		return INTAKE_NO_MEMORY;
	if (result_open(c->r, body, s, &has_statement, NULL))
		return INTAKE_BAD_BODY;
	if (!has_statement)
		return INTAKE_ADMITTED;
	const bool agrees = id32_eq(&s->job, &job->entry.id) && id32_eq(&s->project, &job->entry.project->id) && !strcmp(s->commit, job->commit);
	return agrees ? INTAKE_ADMITTED : INTAKE_MISMATCH;
}

static enum intake_reason judge_result(struct intake_case *c, const struct intake_topic *topic)
{
	struct result_body body;
	struct ix_job *job = NULL;
	if (result_body_decode(c->r, &body, NULL))
		return INTAKE_BAD_BODY;
	enum intake_reason why = find_job(c, topic, &body.job, &job);
	if (why == INTAKE_ADMITTED && !c->is_restored)
		why = check_statement(c, job, &body);
	if (why != INTAKE_ADMITTED)
		return why;
	if (topic_is_full(c, job))
		return INTAKE_TOPIC_FULL;
	struct ix_entry *e = index_add_about(&c->in->edit, c->r, job);
	if (e) {
		e->u.result.has_statement = body.payload;
		e->u.result.outcome = body.outcome;
	}
	return settle(c, e);
}

/* ---- all kinds */

enum intake_reason intake_judge(struct intake_case *c)
{
	if (idmap_get(&c->in->edit.ix.entries, record_id(c->r)))
		return INTAKE_DUPLICATE;
	if (c->f->kind == RECORD_NODE)
		return INTAKE_NOT_KEPT;
	if (c->f->kind < RECORD_PROJECT || c->f->kind > RECORD_NODE)
		return INTAKE_UNKNOWN_KIND;
	const struct intake_topic *topic = idmap_get(&c->in->follows, &c->f->topic);
	if (!topic)
		return INTAKE_NOT_FOLLOWED;
	if (c->f->expires_ms <= c->now_ms)
		return INTAKE_EXPIRED;
	if (c->f->created_ms > c->now_ms && c->f->created_ms - c->now_ms > INTAKE_AHEAD_MS && !c->is_restored)
		return INTAKE_ASIDE;
	switch ((enum record_kind)c->f->kind) {
	case RECORD_PROJECT: return judge_project(c, topic);
	case RECORD_JOB: return judge_job(c, topic);
	case RECORD_CANCEL: return judge_cancel(c, topic);
	case RECORD_CLAIM: return judge_claim(c, topic);
	case RECORD_RESULT: return judge_result(c, topic);
	case RECORD_NODE: break;
	}
	return INTAKE_UNKNOWN_KIND;
}
