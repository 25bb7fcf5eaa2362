#include "node/index.h"

#include <string.h>

#include "proto/base/hex.h"

const struct ix_project *index_project(const struct index *ix, const struct id32 *id)
{
	return idmap_get(&ix->projects, id);
}

const struct ix_entry *index_entry(const struct index *ix, const struct id32 *id)
{
	return idmap_get(&ix->entries, id);
}

const struct ix_job *index_job(const struct index *ix, const struct id32 *id)
{
	const struct ix_entry *e = index_entry(ix, id);
	return e && e->kind == RECORD_JOB ? e->job : NULL;
}

#define PREFIX_MIN 4

static int check_prefix(const char *what, const char *prefix, struct err *err)
{
	if (hex_is_digits(prefix, PREFIX_MIN, 64))
		return 0;
	err_set(err, ERR_NOT_FOUND, "no such %s: an id is %d to 64 hex digits", what, PREFIX_MIN);
	return ERR_NOT_FOUND;
}

/* Asked for every entry: bytes are compared, not text. */
struct prefix {
	struct id32 id;
	size_t digits;
};

static struct prefix prefix_of(const char *text)
{
	struct prefix p = {.digits = strlen(text)};
	for (size_t i = 0; i < p.digits; i++) {
		const unsigned digit = text[i] <= '9' ? (unsigned)(text[i] - '0') : (unsigned)((text[i] | 0x20) - 'a' + 10);
		p.id.b[i / 2] |= (uint8_t)(i % 2 ? digit : digit << 4);
	}
	return p;
}

static bool fits(const struct id32 *id, const struct prefix *p)
{
	const size_t whole = p->digits / 2;
	return !memcmp(id->b, p->id.b, whole) && (p->digits % 2 == 0 || id->b[whole] >> 4 == p->id.b[whole] >> 4);
}

static int found(const char *what, const char *prefix, unsigned hits, struct err *err)
{
	if (hits == 1)
		return 0;
	if (hits > 1) {
		err_set(err, ERR_AMBIGUOUS, "%s %s: more than one begins like that", what, prefix);
		return err_hint(err, "give more digits");
	}
	return err_set(err, ERR_NOT_FOUND, "%s %s: no such %s is known here", what, prefix, what);
}

int index_find_project(const struct index *ix, const char *prefix, struct id32 *ret, struct err *err)
{
	if (!strncmp(prefix, "talkoo:", 7))
		prefix += 7;
	int rc = check_prefix("project", prefix, err);
	if (rc)
		return rc;
	const struct prefix wanted = prefix_of(prefix);
	unsigned hits = 0;
	size_t at = 0;
	struct id32 hit = {{0}};
	for (const struct ix_project *p; (p = idmap_next(&ix->projects, &at));)
		if (fits(&p->id, &wanted)) {
			hits++;
			hit = p->id;
		}
	rc = found("project", prefix, hits, err);
	if (!rc)
		*ret = hit;
	return rc;
}

int index_find_entry(const struct index *ix, uint32_t kind, const char *prefix, struct id32 *ret, struct err *err)
{
	const char *const what = record_kind_name(kind);
	int rc = check_prefix(what, prefix, err);
	if (rc)
		return rc;
	const struct prefix wanted = prefix_of(prefix);
	unsigned hits = 0;
	size_t at = 0;
	struct id32 hit = {{0}};
	for (const struct ix_entry *e; (e = idmap_next(&ix->entries, &at));)
		if (e->kind == kind && fits(&e->id, &wanted)) {
			hits++;
			hit = e->id;
		}
	rc = found(what, prefix, hits, err);
	if (!rc)
		*ret = hit;
	return rc;
}

#define ROW_BYTES 600 /* of a row's columns, indices and event, without the record's own bytes */

uint64_t index_cost(const struct ix_entry *e)
{
	return (uint64_t)e->bytes + ROW_BYTES;
}

int index_job_body(const struct ix_job *job, struct job_body *ret, struct err *err)
{
	return job_body_decode(job->record, ret, err);
}

static bool is_in(const struct node_id *list, size_t len, const struct node_id *key)
{
	for (size_t i = 0; i < len; i++)
		if (node_id_eq(&list[i], key))
			return true;
	return false;
}

bool index_is_maintainer(const struct ix_project *p, const struct node_id *key)
{
	return node_id_eq(&p->entry.author, key) || is_in(p->body.maintainers, p->body.maintainers_len, key);
}

enum ix_authority index_listed(const struct ix_job *job, const struct node_id *key)
{
	const struct ix_project *p = job->entry.project;
	if (index_is_maintainer(p, key))
		return IX_MAINTAINER;
	const bool is_listed = is_in(job->volunteers, job->volunteers_len, key) || is_in(p->body.volunteers, p->body.volunteers_len, key);
	return is_listed ? IX_VOLUNTEER : IX_NONE;
}

bool index_was_maintainer(const struct ix_project *p, const struct node_id *key, uint64_t created_ms)
{
	for (size_t i = 0; i < p->body.former_len; i++)
		if (node_id_eq(&p->body.former[i].key, key) && created_ms < p->body.former[i].removed_at_ms)
			return true;
	return index_is_maintainer(p, key);
}

bool index_is_cancelled(const struct ix_job *job)
{
	return job->cancels;
}

static const struct ix_entry *by_author(const struct ix_entry *list, const struct node_id *key)
{
	for (; list; list = list->next_of_job)
		if (node_id_eq(&list->author, key))
			return list;
	return NULL;
}

const struct ix_entry *index_claim_of(const struct ix_job *job, const struct node_id *key)
{
	return by_author(job->claims, key);
}

const struct ix_entry *index_result_of(const struct ix_job *job, const struct node_id *key)
{
	return by_author(job->results, key);
}

bool index_claim_is_live(const struct ix_job *job, const struct ix_entry *claim, uint64_t now_ms)
{
	return claim->u.claim.lease_until_ms > now_ms && !index_result_of(job, &claim->author);
}

unsigned index_live_claims(const struct ix_job *job, const struct node_id *but, uint64_t now_ms)
{
	unsigned n = 0;
	for (const struct ix_entry *c = job->claims; c; c = c->next_of_job)
		if (!(but && node_id_eq(&c->author, but)) && index_claim_is_live(job, c, now_ms))
			n++;
	return n;
}
