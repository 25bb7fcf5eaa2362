/* How intake.c (and nobody else) changes the index. Every function keeps all lists, groups and counts consistent.
 * Must not know: rules. Links: index. */
#ifndef TALKOO_NODE_INDEX_EDIT_H
#define TALKOO_NODE_INDEX_EDIT_H

#include "node/index.h"

/* One (author, topic, kind). */
struct ix_group {
	struct id32 id; /* hash of the three */
	struct ix_entry *entries;
	size_t len;
};

/* Called for each entry that leaves, before it is freed. */
typedef void (*index_drop_fn)(void *user, const struct ix_entry *e);

struct index_edit {
	struct index ix;
	struct idmap groups;
	struct ixheap expiry; /* every entry */
};

void index_edit_init(struct index_edit *e, size_t records_max, const uint8_t hash_key[crypto_shorthash_KEYBYTES]);
void index_edit_release(struct index_edit *e);

/* New entries; NULL without memory or past the ceiling. The fields of r are copied; a job keeps a reference. */
struct ix_project *index_add_project(struct index_edit *e, const struct record *r, const struct id32 *project, const struct project_body *body);
struct ix_job *index_add_job(struct index_edit *e, struct record *r, struct ix_project *p, const struct job_body *body);
/* claim, result, cancel (authority IX_NONE); the caller fills e->u. */
struct ix_entry *index_add_about(struct index_edit *e, const struct record *r, struct ix_job *job, enum ix_authority authority);
void index_set_authority(struct ix_entry *entry, enum ix_authority authority);
/* The project's newer state takes the older one's place. */
bool index_replace_project(struct index_edit *e, const struct record *r, struct ix_project *p, const struct project_body *body);

/* Takes an entry out; a job with all that is about it, a project with everything. fn may be NULL. */
void index_drop(struct index_edit *e, struct ix_entry *entry, index_drop_fn fn, void *user);

#endif
