/* What a question is about (one job, or a commit), found in the store, and the records of it put together as a dossier.
 * Everything but target_read() and trust_copy() runs on a reader thread: look-ups go by the store's indices (id, commit, job).
 * Must not know: sockets, who asks. */
#ifndef TALKOO_NODE_CONTROL_TARGET_H
#define TALKOO_NODE_CONTROL_TARGET_H

#include "node/control_parts.h"
#include "node/dossier.h"

struct target {
	bool is_job;
	char text[65]; /* as asked: the prefix of an id or of a commit */
	bool has_project;
	struct id32 project;
	unsigned need;
	/* from target_find() on */
	struct id32 job;
	char commit[65]; /* full; "" for a job */
};

/* From the arguments job or commit, project, need. False: the call has been failed. */
bool target_read(struct node *n, struct control_call *c, const json_t *args, struct target *ret);
/* The job's id or the commit in full. A whole commit that nobody announced is fine: the answer is unknown, not an error. */
int target_find(struct store *view, struct target *t, struct err *err) MUST_CHECK;
/* dossier_release() it. ERR_LIMIT when there is more than a dossier holds: half an answer would be a wrong one. */
int target_load(struct store *view, const struct target *t, struct dossier *ret, struct err *err) MUST_CHECK;

/* The one record of a kind whose id begins so: ERR_NOT_FOUND, ERR_AMBIGUOUS. */
int target_find_record(struct store *view, uint32_t kind, const char *prefix, struct id32 *ret, struct err *err) MUST_CHECK;
/* The one commit of announced jobs that begins so. */
int target_find_commit(struct store *view, const char *prefix, char ret[65], struct err *err) MUST_CHECK;

/* Rows of the store, gathered. rows_release() */
struct rows {
	struct record **list;
	size_t len;
	bool failed;
};
int rows_load(struct store *view, const struct store_filter *f, struct rows *ret, struct err *err) MUST_CHECK;
void rows_release(struct rows *rows);

/* The node's trust list as it is now, for a reader thread. Entries are the caller's (free); NULL without memory. */
bool trust_copy(const struct node *n, struct trust_list *ret);

#endif
