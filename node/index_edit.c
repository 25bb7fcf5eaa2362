#include "node/index_edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void index_edit_init(struct index_edit *e, size_t records_max, const uint8_t hash_key[crypto_shorthash_KEYBYTES])
{
	idmap_init(&e->ix.projects, records_max, hash_key);
	idmap_init(&e->ix.entries, records_max, hash_key);
	idmap_init(&e->groups, records_max, hash_key);
	e->expiry = (struct ixheap){.order = IXHEAP_EXPIRY};
}

static void free_entry(struct ix_entry *entry)
{
	if (entry->kind == RECORD_JOB) {
		record_unref(entry->job->record);
		free(entry->job->crowd);
		free(entry->job->volunteers);
		free(entry->job);
	} else if (entry->kind == RECORD_PROJECT) {
		ixheap_release(&entry->project->ranked);
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
	ixheap_release(&e->expiry);
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
	size_t len;
	(void)record_bytes(r, &len);
	x->bytes = (uint16_t)len;
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

static bool is_ranked(const struct ix_entry *x)
{
	return x->kind == RECORD_CLAIM || x->kind == RECORD_RESULT;
}

/* The three that can fail, all or none. */
static bool enter(struct index_edit *e, struct ix_entry *x)
{
	if (!idmap_put(&e->ix.entries, x))
		return false;
	if (ixheap_push(&e->expiry, x)) {
		if (!is_ranked(x) || ixheap_push(&x->project->ranked, x))
			return true;
		ixheap_remove(&e->expiry, x);
	}
	idmap_remove(&e->ix.entries, &x->id);
	return false;
}

/* Puts an entry (project and job set) into entries, heaps and its group. */
static bool join(struct index_edit *e, struct ix_entry *x, const struct id32 *topic)
{
	struct ix_group *g = group_of(e, &x->author, topic, x->kind);
	if (!g)
		return false;
	if (!enter(e, x)) {
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
	x->project->bytes += index_cost(x);
	e->ix.bytes += index_cost(x);
	return true;
}

static void leave(struct index_edit *e, struct ix_entry *x)
{
	struct ix_group *g = x->group;
	idmap_remove(&e->ix.entries, &x->id);
	ixheap_remove(&e->expiry, x);
	if (is_ranked(x))
		ixheap_remove(&x->project->ranked, x);
	if (x->group_prev)
		x->group_prev->group_next = x->group_next;
	else
		g->entries = x->group_next;
	if (x->group_next)
		x->group_next->group_prev = x->group_prev;
	if (!--g->len)
		free(idmap_remove(&e->groups, &g->id));
	x->project->records--;
	x->project->bytes -= index_cost(x);
	e->ix.bytes -= index_cost(x);
}

struct ix_project *index_add_project(struct index_edit *e, const struct record *r, const struct id32 *project, const struct project_body *body)
{
	struct ix_project *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->id = *project;
	p->body = *body;
	p->ranked = (struct ixheap){.order = IXHEAP_RANK};
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

struct ix_job *index_add_job(struct index_edit *e, struct record *r, struct ix_project *p, const struct job_body *body)
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
	job->record = record_ref(r);
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

struct ix_entry *index_add_about(struct index_edit *e, const struct record *r, struct ix_job *job, enum ix_authority authority)
{
	struct ix_entry *x = calloc(1, sizeof *x);
	if (!x)
		return NULL;
	fill(x, r);
	x->project = job->entry.project;
	x->job = job;
	x->authority = (uint8_t)authority;
	if (!join(e, x, &record_get(r)->topic)) {
		free(x);
		return NULL;
	}
	struct ix_entry **list = list_of(job, x->kind);
	x->next_of_job = *list;
	if (*list)
		(*list)->prev_of_job = x;
	*list = x;
	return x;
}

void index_set_authority(struct ix_entry *entry, enum ix_authority authority)
{
	if (entry->authority == authority)
		return;
	entry->authority = (uint8_t)authority;
	ixheap_moved(&entry->project->ranked, entry);
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
	if (entry->next_of_job)
		entry->next_of_job->prev_of_job = entry->prev_of_job;
	if (entry->prev_of_job)
		entry->prev_of_job->next_of_job = entry->next_of_job;
	else
		*list_of(entry->job, entry->kind) = entry->next_of_job;
	drop_one(e, entry, fn, user);
}
