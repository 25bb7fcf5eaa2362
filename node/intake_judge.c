#include "node/intake_judge.h"

#include <stdio.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/statement.h"

/* ---- quota */

/* Of a replaceable kind it is the sequence that makes newer (PROTOCOL 4.5). */
static uint64_t age_of(const struct ix_entry *e)
{
	return e->kind == RECORD_CLAIM ? e->sequence : e->created_ms;
}

static bool is_older(const struct ix_entry *a, const struct ix_entry *b)
{
	return age_of(a) != age_of(b) ? age_of(a) < age_of(b) : memcmp(a->id.b, b->id.b, 32) < 0;
}

/* The newcomer goes as it came: the store never had it. */
static void drop(const struct intake_case *c, struct ix_entry *e)
{
	index_drop(&c->in->edit, e, id32_eq(&e->id, record_id(c->r)) ? NULL : c->drop, c->user);
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
		drop(c, oldest);
	}
}

static bool is_here(const struct intake_case *c)
{
	return idmap_get(&c->in->edit.ix.entries, record_id(c->r));
}

static bool is_over(const struct intake *in)
{
	const struct index *ix = &in->edit.ix;
	return ix->entries.len > in->limits.records || (in->limits.bytes && ix->bytes > in->limits.bytes);
}

/* The topic that takes most and has something to give up. */
static struct ix_project *greediest(const struct intake *in)
{
	struct ix_project *most = NULL;
	size_t at = 0;
	for (struct ix_project *p; (p = idmap_next(&in->edit.ix.projects, &at));)
		if (p->ranked.len && (!most || p->bytes > most->bytes))
			most = p;
	return most;
}

/* What a full topic, or a full node, gives up; the newcomer where there is nothing that ranks lower. */
static void make_room(struct intake_case *c, struct ix_project *p)
{
	while (p->records > c->in->limits.per_topic || is_over(c->in)) {
		struct ix_project *const from = p->records > c->in->limits.per_topic ? p : greediest(c->in);
		struct ix_entry *victim = from ? ixheap_first(&from->ranked) : NULL;
		if (!victim) /* jobs and cancels alone: no more of them */
			victim = idmap_get(&c->in->edit.ix.entries, record_id(c->r));
		if (!victim)
			return;
		drop(c, victim);
	}
}

/* A new entry stands in the index: trims what is too much. The newcomer itself may be what goes. */
static enum intake_reason settle(struct intake_case *c, struct ix_entry *e)
{
	if (!e)
		return INTAKE_NO_MEMORY;
	struct ix_project *const p = e->project;
	trim_group(c, e->group);
	if (!is_here(c))
		return INTAKE_QUOTA;
	if (e->kind != RECORD_PROJECT) /* what is followed has a ceiling of its own */
		make_room(c, p);
	if (!is_here(c))
		return INTAKE_TOPIC_FULL;
	c->entry = e;
	return INTAKE_ADMITTED;
}

/* ---- project */

/* A newer state may take authority away, or give it: what would not be admitted now goes. */
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
			if (!index_was_maintainer(p, &e->author, e->created_ms))
				index_drop(&c->in->edit, e, c->drop, c->user);
		}
		crowd_rebuild(c, job);
	}
}

/* Whether the record is older than what stands in its place. */
static bool is_superseded(const struct intake_case *c, const struct ix_entry *old)
{
	return c->f->sequence < old->sequence || (c->f->sequence == old->sequence && memcmp(record_id(c->r)->b, old->id.b, 32) < 0);
}

static bool same_keys(const struct project_body *a, const struct project_body *b)
{
	return a->maintainers_len == b->maintainers_len && a->former_len == b->former_len && a->volunteers_len == b->volunteers_len &&
	       !memcmp(a->maintainers, b->maintainers, sizeof a->maintainers) && !memcmp(a->former, b->former, sizeof a->former) &&
	       !memcmp(a->volunteers, b->volunteers, sizeof a->volunteers);
}

/* The newer state takes the older one's place. */
static enum intake_reason replace_project(struct intake_case *c, struct ix_project *p, const struct project_body *body)
{
	const bool is_as_before = same_keys(&p->body, body);
	c->drop_put(c->user, &p->entry);
	if (!index_replace_project(&c->in->edit, c->r, p, body))
		return INTAKE_NO_MEMORY;
	if (!is_as_before)
		rejudge(c, p);
	c->entry = &p->entry;
	return INTAKE_ADMITTED;
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
	return is_superseded(c, &p->entry) ? INTAKE_SUPERSEDED : replace_project(c, p, body);
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
	return settle(c, index_add_about(&c->in->edit, c->r, job, IX_NONE));
}

/* Finds the job of a claim or result, and by what right it stands there. */
static enum intake_reason ask(struct intake_case *c, const struct intake_topic *topic, const struct id32 *id, struct ix_job **ret,
			      enum ix_authority *ret_authority)
{
	const enum intake_reason why = find_job(c, topic, id, ret);
	if (why != INTAKE_ADMITTED)
		return why;
	*ret_authority = crowd_ask(c, *ret);
	return *ret_authority == IX_NONE ? INTAKE_CROWDED : INTAKE_ADMITTED;
}

static enum intake_reason judge_claim(struct intake_case *c, const struct intake_topic *topic)
{
	struct claim_body body;
	struct ix_job *job = NULL;
	enum ix_authority authority = IX_NONE;
	if (claim_body_decode(c->r, &body, NULL))
		return INTAKE_BAD_BODY;
	const enum intake_reason why = ask(c, topic, &body.job, &job, &authority);
	if (why != INTAKE_ADMITTED)
		return why;
	struct ix_entry *old = job->claims;
	while (old && !node_id_eq(&old->author, &c->f->author))
		old = old->next_of_job;
	if (old && is_superseded(c, old))
		return INTAKE_SUPERSEDED;
	if (old)
		index_drop(&c->in->edit, old, c->drop_put, c->user); /* the store replaces it by itself */
	if (authority == IX_CROWD)
		crowd_take(c, job);
	struct ix_entry *e = index_add_about(&c->in->edit, c->r, job, authority);
	if (e) {
		e->u.claim.lease_until_ms = body.lease_until_ms;
		e->u.claim.step = body.step;
		e->u.claim.steps = body.steps;
		snprintf(e->u.claim.phase, sizeof e->u.claim.phase, "%s", body.phase);
	}
	return settle(c, e);
}

static void cleanup_statement(struct statement **s)
{
	if (*s)
		statement_release(*s);
	free(*s);
}

/* PROTOCOL 6.5: the statement is its author's, and about this very job. */
static enum intake_reason check_statement(const struct intake_case *c, const struct ix_job *job, struct result_body *body)
{
	CLEANUP(cleanup_statement) struct statement *s = calloc(1, sizeof *s);
	CLEANUP(cleanup_free) struct job_body *asked = malloc(sizeof *asked);
	bool has_statement = false;
	if (!s || !asked)
		return INTAKE_NO_MEMORY;
	const int code = result_open(c->r, body, s, &has_statement, NULL);
	if (code)
		return code == ERR_NOMEM ? INTAKE_NO_MEMORY : INTAKE_BAD_BODY;
	if (!has_statement)
		return INTAKE_ADMITTED;
	if (index_job_body(job, asked, NULL))
		return INTAKE_NO_MEMORY; /* it was decoded before */
	return statement_check_job(s, &job->entry.id, asked, NULL) ? INTAKE_MISMATCH : INTAKE_ADMITTED;
}

static enum intake_reason judge_result(struct intake_case *c, const struct intake_topic *topic)
{
	struct result_body body;
	struct ix_job *job = NULL;
	enum ix_authority authority = IX_NONE;
	if (result_body_decode(c->r, &body, NULL))
		return INTAKE_BAD_BODY;
	enum intake_reason why = ask(c, topic, &body.job, &job, &authority);
	if (why == INTAKE_ADMITTED && !c->is_restored)
		why = check_statement(c, job, &body);
	if (why != INTAKE_ADMITTED)
		return why;
	if (authority == IX_CROWD)
		crowd_take(c, job);
	struct ix_entry *e = index_add_about(&c->in->edit, c->r, job, authority);
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
	if (!topic || !(topic->is_followed || c->is_restored))
		return INTAKE_NOT_FOLLOWED;
	if (c->f->expires_ms <= c->now_ms && !c->is_restored)
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
