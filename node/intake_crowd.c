/* intake_judge.h: the unlisted keys among a job's claims and results. The 16 that have the lowest hash of (job, author) find
 * room, of all that ever wrote a valid record which is not expired; so the choice depends on the records alone. A key keeps its
 * place though its records went for another reason (a quota): otherwise what stays would depend on the order again. */
#include <stdlib.h>
#include <string.h>

#include "node/intake_judge.h"
#include "proto/base/cleanup.h"

static void hash_of(const struct ix_job *job, const struct node_id *author, uint8_t ret[32])
{
	uint8_t pair[64];
	memcpy(pair, job->entry.id.b, 32);
	memcpy(pair + 32, author->b, 32);
	crypto_generichash(ret, 32, pair, sizeof pair, NULL, 0);
}

static struct ix_member *member_of(const struct ix_job *job, const struct node_id *author)
{
	for (size_t i = 0; i < job->crowd_len; i++)
		if (node_id_eq(&job->crowd[i].author, author))
			return &job->crowd[i];
	return NULL;
}

static struct ix_member *worst_of(const struct ix_job *job)
{
	struct ix_member *worst = job->crowd;
	for (size_t i = 1; i < job->crowd_len; i++)
		if (memcmp(job->crowd[i].hash, worst->hash, sizeof worst->hash) > 0)
			worst = &job->crowd[i];
	return worst;
}

static bool has_room(const struct intake *in, const struct ix_job *job, const struct node_id *author)
{
	uint8_t hash[32];
	if (job->crowd_len < in->limits.crowd || member_of(job, author))
		return true;
	hash_of(job, author, hash);
	return job->crowd_len && memcmp(hash, worst_of(job)->hash, sizeof hash) < 0;
}

/* Takes a place, or keeps it for longer. False: no room, or no memory. The one that is pushed out is found by its records. */
static bool offer_place(const struct intake *in, struct ix_job *job, const struct node_id *author, uint64_t until_ms)
{
	struct ix_member *m = member_of(job, author);
	if (m) {
		m->until_ms = m->until_ms > until_ms ? m->until_ms : until_ms;
		return true;
	}
	if (!has_room(in, job, author))
		return false;
	if (!job->crowd)
		job->crowd = calloc(in->limits.crowd, sizeof *job->crowd);
	if (!job->crowd)
		return false;
	m = job->crowd_len < in->limits.crowd ? &job->crowd[job->crowd_len++] : worst_of(job);
	*m = (struct ix_member){.author = *author, .until_ms = until_ms};
	hash_of(job, author, m->hash);
	return true;
}

static enum ix_authority standing(const struct intake *in, const struct ix_job *job, const struct node_id *author)
{
	const enum ix_authority listed = index_listed(job, author);
	if (listed != IX_NONE)
		return listed;
	if (member_of(job, author))
		return IX_CROWD;
	return in->trusts && in->trusts(in->trusts_user, author) ? IX_BESIDE : IX_NONE;
}

/* Every claim and result of the job as it stands now; what does not stand goes. */
static void regrade(struct intake_case *c, struct ix_job *job)
{
	struct ix_entry *const lists[] = {job->claims, job->results};
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (struct ix_entry *e = lists[i], *next; e; e = next) {
			next = e->next_of_job;
			const enum ix_authority a = standing(c->in, job, &e->author);
			if (a == IX_NONE)
				index_drop(&c->in->edit, e, c->drop, c->user);
			else
				index_set_authority(e, a);
		}
}

void crowd_rebuild(struct intake_case *c, struct ix_job *job)
{
	const struct ix_entry *const lists[] = {job->claims, job->results};
	for (size_t i = job->crowd_len; i-- > 0;)
		if (job->crowd[i].until_ms <= c->now_ms || index_listed(job, &job->crowd[i].author) != IX_NONE)
			job->crowd[i] = job->crowd[--job->crowd_len];
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (const struct ix_entry *e = lists[i]; e; e = e->next_of_job)
			if (e->expires_ms > c->now_ms && index_listed(job, &e->author) == IX_NONE)
				(void)offer_place(c->in, job, &e->author, e->expires_ms);
	regrade(c, job);
}

static bool some_place_is_over(const struct ix_job *job, uint64_t now_ms)
{
	for (size_t i = 0; i < job->crowd_len; i++)
		if (job->crowd[i].until_ms <= now_ms)
			return true;
	return false;
}

enum ix_authority crowd_ask(struct intake_case *c, struct ix_job *job)
{
	if (some_place_is_over(job, c->now_ms))
		crowd_rebuild(c, job);
	const enum ix_authority now = standing(c->in, job, &c->f->author);
	if (now != IX_NONE && now != IX_BESIDE)
		return now;
	return has_room(c->in, job, &c->f->author) ? IX_CROWD : now;
}

void crowd_take(struct intake_case *c, struct ix_job *job)
{
	const bool is_new = !member_of(job, &c->f->author), was_full = job->crowd_len == c->in->limits.crowd;
	(void)offer_place(c->in, job, &c->f->author, c->f->expires_ms);
	if (is_new && was_full)
		regrade(c, job);
}
