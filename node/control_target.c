#include "node/control_target.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"

#define ROWS_MAX 10000
#define ID_PREFIX_MIN 4

static bool copy_text(struct control_call *c, const char *what, const char *text, char out[65])
{
	if (strlen(text) < 65) {
		snprintf(out, 65, "%s", text);
		return true;
	}
	op_fail(c, ERR_USAGE, NULL, "%s: %.80s…: longer than any id", what, text);
	return false;
}

bool target_read(struct node *n, struct control_call *c, const json_t *args, struct target *ret)
{
	memset(ret, 0, sizeof *ret);
	const uint64_t need = op_number(args, "need", 1);
	const char *project = op_text(args, "project"), *commit = op_text(args, "commit"), *job = op_text(args, "job");
	if (!need || need > 1000) {
		op_fail(c, ERR_USAGE, NULL, "need: a number from 1 to 1000");
		return false;
	}
	if (!commit && !job) {
		op_fail(c, ERR_USAGE, NULL, "request: commit or job is wanted");
		return false;
	}
	ret->need = (unsigned)need;
	ret->has_project = project != NULL;
	ret->is_job = job != NULL;
	return (!project || op_project(n, c, project, &ret->project)) && copy_text(c, job ? "job" : "commit", job ? job : commit, ret->text);
}

/* ---- rows */

static bool keep_row(void *user, struct record *r)
{
	struct rows *rows = user;
	if (!(rows->len & (rows->len - 1))) {
		struct record **grown = reallocarray(rows->list, rows->len ? rows->len * 2 : 1, sizeof *grown);
		if (!grown) {
			rows->failed = true;
			return false;
		}
		rows->list = grown;
	}
	rows->list[rows->len++] = record_ref(r);
	return true;
}

void rows_release(struct rows *rows)
{
	for (size_t i = 0; i < rows->len; i++)
		record_unref(rows->list[i]);
	free(rows->list);
	*rows = (struct rows){0};
}

int rows_load(struct store *view, const struct store_filter *f, struct rows *ret, struct err *err)
{
	CLEANUP(rows_release) struct rows rows = {0};
	const int code = store_each_now(view, f, keep_row, &rows, err);
	if (code)
		return code;
	if (rows.failed)
		return err_set(err, ERR_NOMEM, "out of memory");
	*ret = rows;
	rows = (struct rows){0};
	return 0;
}

/* ---- finding */

int target_find_record(struct store *view, uint32_t kind, const char *prefix, struct id32 *ret, struct err *err)
{
	CLEANUP(rows_release) struct rows rows = {0};
	const char *const what = record_kind_name(kind);
	const struct store_filter f = {.kind = kind, .id_prefix = prefix, .limit = 2};
	if (!hex_is_digits(prefix, ID_PREFIX_MIN, 64))
		return err_set(err, ERR_NOT_FOUND, "%s %.80s: no such %s: an id is %d to 64 hex digits", what, prefix, what, ID_PREFIX_MIN);
	const int code = rows_load(view, &f, &rows, err);
	if (code)
		return code;
	if (!rows.len)
		return err_set(err, ERR_NOT_FOUND, "%s %s: no such %s is known here", what, prefix, what);
	if (rows.len > 1) {
		err_set(err, ERR_AMBIGUOUS, "%s %s: more than one begins like that", what, prefix);
		return err_hint(err, "give more digits");
	}
	*ret = *record_id(rows.list[0]);
	return 0;
}

struct commits {
	char first[65];
	bool is_ambiguous, is_damaged;
};

static bool note_commit(void *user, struct record *r)
{
	struct commits *found = user;
	CLEANUP(cleanup_free) struct job_body *body = malloc(sizeof *body);
	found->is_damaged = !body || job_body_decode(r, body, NULL);
	if (found->is_damaged)
		return false;
	found->is_ambiguous = found->first[0] && strcmp(found->first, body->commit);
	snprintf(found->first, sizeof found->first, "%s", body->commit);
	return !found->is_ambiguous;
}

int target_find_commit(struct store *view, const char *prefix, char ret[65], struct err *err)
{
	const size_t len = strlen(prefix);
	struct commits found = {0};
	const struct store_filter f = {.kind = RECORD_JOB, .commit = prefix, .limit = ROWS_MAX};
	if (!hex_is_digits(prefix, 7, 64))
		return err_set(err, ERR_USAGE, "%.80s: not a commit: 7 or more hexadecimal digits", prefix);
	for (size_t i = 0; i <= len; i++)
		ret[i] = (char)(prefix[i] | (prefix[i] >= 'A' && prefix[i] <= 'F' ? 0x20 : 0));
	if (len == 40 || len == 64)
		return 0;
	const int code = store_each_now(view, &f, note_commit, &found, err);
	if (code)
		return code;
	if (found.is_damaged)
		return err_set(err, ERR_IO, "%s: a job of this commit cannot be read", prefix);
	if (found.is_ambiguous) {
		err_set(err, ERR_AMBIGUOUS, "%s: more than one commit begins so", prefix);
		return err_hint(err, "give more digits");
	}
	if (!found.first[0])
		return err_set(err, ERR_NOT_FOUND, "%s: no announced commit begins so", prefix);
	snprintf(ret, 65, "%s", found.first);
	return 0;
}

int target_find(struct store *view, struct target *t, struct err *err)
{
	return t->is_job ? target_find_record(view, RECORD_JOB, t->text, &t->job, err) : target_find_commit(view, t->text, t->commit, err);
}

int target_load(struct store *view, const struct target *t, struct dossier *ret, struct err *err)
{
	CLEANUP(rows_release) struct rows rows = {0};
	const struct store_filter f = {.job = t->is_job ? &t->job : NULL, .commit = t->is_job ? NULL : t->commit, .limit = ROWS_MAX};
	const int code = rows_load(view, &f, &rows, err);
	if (code)
		return code;
	if (rows.len < ROWS_MAX)
		return dossier_build(rows.list, rows.len, ret, err);
	err_set(err, ERR_LIMIT, "more than %d records are about this %s", ROWS_MAX, t->is_job ? "job" : "commit");
	return err_hint(err, t->is_job ? "its announcer must announce it anew" : "ask about one of its jobs: 'talkoo job list' names them");
}

bool trust_copy(const struct node *n, struct trust_list *ret)
{
	struct trust_entry *list = calloc(n->state.trust_len + 1, sizeof *list);
	for (size_t i = 0; list && i < n->state.trust_len; i++) {
		list[i].node = n->state.trust[i].node;
		list[i].since_ms = n->state.trust[i].since_ms;
		snprintf(list[i].operator_name, sizeof list[i].operator_name, "%s", n->state.trust[i].operator_name);
	}
	*ret = (struct trust_list){list, list ? n->state.trust_len : 0};
	return list != NULL;
}
