#include "node/index_edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void index_edit_init(struct index_edit *e, size_t records_max, const uint8_t hash_key[crypto_shorthash_KEYBYTES])
{
	idmap_init(&e->ix.projects, records_max, hash_key);
	idmap_init(&e->ix.entries, records_max, hash_key);
	idmap_init(&e->groups, records_max, hash_key);
}

static void free_entry(struct ix_entry *entry)
{
	if (entry->kind == RECORD_JOB) {
		free(entry->job->volunteers);
		free(entry->job);
	} else if (entry->kind == RECORD_PROJECT) {
		free(entry->project);
	} else {
		free(entry);
	}
}

void index_edit_release(struct index_edit *e)
{
	if (!e)
		return;
	size_t at = 0;
	for (struct ix_entry *x; (x = idmap_next(&e->ix.entries, &at));)
		free_entry(x);
	at = 0;
	for (struct ix_group *g; (g = idmap_next(&e->groups, &at));)
		free(g);
	idmap_release(&e->ix.projects);
	idmap_release(&e->ix.entries);
	idmap_release(&e->groups);
}

static void fill(struct ix_entry *x, const struct record *r)
{
	const struct record_fields *f = record_get(r);
	x->id = *record_id(r);
	x->author = f->author;
	x->kind = f->kind;
	x->created_ms = f->created_ms;
	x->expires_ms = f->expires_ms;
	x->sequence = f->sequence;
}

static struct ix_group *group_of(struct index_edit *e, const struct node_id *author, const struct id32 *topic, uint32_t kind)
{
	struct {
		struct node_id author;
		struct id32 topic;
		uint32_t kind;
	} name = {*author, *topic, kind};
	struct id32 id;
	crypto_generichash(id.b, sizeof id.b, (const uint8_t *)&name, sizeof name, NULL, 0);
	struct ix_group *g = idmap_get(&e->groups, &id);
	if (g)
		return g;
	g = calloc(1, sizeof *g);
	if (!g)
		return NULL;
	g->id = id;
	if (idmap_put(&e->groups, g))
		return g;
	free(g);
	return NULL;
}

/* Puts an entry (project and job set) into entries and its group. */
static bool join(struct index_edit *e, struct ix_entry *x, const struct id32 *topic)
{
	struct ix_group *g = group_of(e, &x->author, topic, x->kind);
	if (!g)
		return false;
	if (!idmap_put(&e->ix.entries, x)) {
		if (!g->len)
			free(idmap_remove(&e->groups, &g->id));
		return false;
	}
	x->group = g;
	x->group_prev = NULL;
	x->group_next = g->entries;
	if (g->entries)
		g->entries->group_prev = x;
	g->entries = x;
	g->len++;
	x->project->records++;
	return true;
}

static void leave(struct index_edit *e, struct ix_entry *x)
{
	struct ix_group *g = x->group;
	idmap_remove(&e->ix.entries, &x->id);
	if (x->group_prev)
		x->group_prev->group_next = x->group_next;
	else
		g->entries = x->group_next;
	if (x->group_next)
		x->group_next->group_prev = x->group_prev;
	if (!--g->len)
		free(idmap_remove(&e->groups, &g->id));
	x->project->records--;
}

struct ix_project *index_add_project(struct index_edit *e, const struct record *r, const struct id32 *project, const struct project_body *body)
{
	struct ix_project *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->id = *project;
	p->body = *body;
	fill(&p->entry, r);
	p->entry.project = p;
	if (idmap_put(&e->ix.projects, p)) {
		if (join(e, &p->entry, &record_get(r)->topic))
			return p;
		idmap_remove(&e->ix.projects, &p->id);
	}
	free(p);
	return NULL;
}

bool index_replace_project(struct index_edit *e, const struct record *r, struct ix_project *p, const struct project_body *body)
{
	leave(e, &p->entry);
	fill(&p->entry, r);
	p->body = *body;
	return join(e, &p->entry, &record_get(r)->topic);
}

struct ix_job *index_add_job(struct index_edit *e, const struct record *r, struct ix_project *p, const struct job_body *body)
{
	struct ix_job *job = calloc(1, sizeof *job);
	struct node_id *volunteers = calloc(body->volunteers_len ? body->volunteers_len : 1, sizeof *volunteers);
	if (!job || !volunteers)
		goto no;
	fill(&job->entry, r);
	job->entry.project = p;
	job->entry.job = job;
	job->project_sequence = body->project_sequence;
	job->claim_until_ms = body->claim_until_ms;
	job->wanted = body->wanted;
	job->plan_origin = body->plan_origin;
	snprintf(job->commit, sizeof job->commit, "%s", body->commit);
	memcpy(volunteers, body->volunteers, body->volunteers_len * sizeof *volunteers);
	job->volunteers = volunteers;
	job->volunteers_len = body->volunteers_len;
	if (!join(e, &job->entry, &record_get(r)->topic))
		goto no;
	job->next_of_project = p->jobs;
	if (p->jobs)
		p->jobs->prev_of_project = job;
	p->jobs = job;
	return job;
no:
	free(volunteers);
	free(job);
	return NULL;
}

/* The list of a job that this kind stands in. */
static struct ix_entry **list_of(struct ix_job *job, uint32_t kind)
{
	return kind == RECORD_CLAIM ? &job->claims : kind == RECORD_RESULT ? &job->results : &job->cancels;
}

struct ix_entry *index_add_about(struct index_edit *e, const struct record *r, struct ix_job *job)
{
	struct ix_entry *x = calloc(1, sizeof *x);
	if (!x)
		return NULL;
	fill(x, r);
	x->project = job->entry.project;
	x->job = job;
	if (!join(e, x, &record_get(r)->topic)) {
		free(x);
		return NULL;
	}
	struct ix_entry **list = list_of(job, x->kind);
	x->next_of_job = *list;
	*list = x;
	return x;
}

static void drop_one(struct index_edit *e, struct ix_entry *x, index_drop_fn fn, void *user)
{
	if (fn)
		fn(user, x);
	leave(e, x);
	free_entry(x);
}

static void drop_job(struct index_edit *e, struct ix_job *job, index_drop_fn fn, void *user)
{
	struct ix_entry **const lists[] = {&job->claims, &job->results, &job->cancels};
	for (size_t i = 0; i < 3; i++)
		while (*lists[i]) {
			struct ix_entry *x = *lists[i];
			*lists[i] = x->next_of_job;
			drop_one(e, x, fn, user);
		}
	if (job->prev_of_project)
		job->prev_of_project->next_of_project = job->next_of_project;
	else
		job->entry.project->jobs = job->next_of_project;
	if (job->next_of_project)
		job->next_of_project->prev_of_project = job->prev_of_project;
	drop_one(e, &job->entry, fn, user);
}

void index_drop(struct index_edit *e, struct ix_entry *entry, index_drop_fn fn, void *user)
{
	if (entry->kind == RECORD_JOB) {
		drop_job(e, entry->job, fn, user);
		return;
	}
	if (entry->kind == RECORD_PROJECT) {
		while (entry->project->jobs)
			drop_job(e, entry->project->jobs, fn, user);
		idmap_remove(&e->ix.projects, &entry->project->id);
		drop_one(e, entry, fn, user);
		return;
	}
	struct ix_entry **link = list_of(entry->job, entry->kind);
	while (*link != entry)
		link = &(*link)->next_of_job;
	*link = entry->next_of_job;
	drop_one(e, entry, fn, user);
}
