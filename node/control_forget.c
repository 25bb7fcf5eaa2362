/* Control operation: forget a project: no longer followed, and what its jobs left here is removed. Records stay until they expire (a
 * verdict is worth having when the log is gone), rules stay as they are. */
#include <string.h>

#include "node/blobs.h"
#include "node/control_ask.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/log.h"

#define JOBS_MAX 1000000

struct forget {
	struct ask ask;
	struct id32 project;
	struct id32 live[SCHED_SLOTS_MAX]; /* their files are being written */
	size_t live_len;
	uint64_t jobs, kept, bytes;
	struct err err;
};

static bool forget_job(void *user, struct record *r)
{
	struct forget *f = user;
	const struct id32 *job = record_id(r);
	char path[PATH_MAX], text[ID32_TEXT_MAX];
	for (size_t i = 0; i < f->live_len; i++)
		if (id32_eq(&f->live[i], job)) {
			f->kept++;
			return true;
		}
	if (snprintf(path, sizeof path, "%s/%s", f->ask.st->node->home.blobs, id32_format(text, job)) >= (int)sizeof path)
		return true; /* nothing can be there */
	const uint64_t used = blobs_used(path);
	if (!used)
		return true;
	if (io_remove_tree(path, &f->err))
		return false;
	f->jobs++;
	f->bytes += used;
	return true;
}

static int run(struct ask *a, struct store *view, struct err *err)
{
	struct forget *f = (struct forget *)a;
	const struct store_filter jobs = {.kind = RECORD_JOB, .project = &f->project, .limit = JOBS_MAX};
	const int code = store_each_now(view, &jobs, forget_job, f, err);
	if (code)
		return code;
	if (f->err.code) {
		*err = f->err;
		return err->code;
	}
	a->answer = json_pack("{s:I,s:I,s:I}", "jobs", (json_int_t)f->jobs, "bytes", (json_int_t)f->bytes, "running", (json_int_t)f->kept);
	return 0;
}

/* With a client or without: what was begun is ended. */
static void done(struct ask *a, struct control_call *c)
{
	struct forget *f = (struct forget *)a;
	struct node *n = a->st->node;
	struct err err;
	if (a->code)
		return ask_finish(a, c);
	struct store_batch *b = store_batch_new();
	if (!b) {
		if (c)
			op_fail(c, ERR_NOMEM, NULL, "out of memory");
		return;
	}
	state_follow_remove(&n->state, &f->project, b);
	if (c)
		op_commit(n, c, b, json_incref(a->answer));
	else if (node_commit(n, b, NULL, NULL, &err))
		log_warn("event=still-followed why=\"%s\"", err.what);
}

void op_forget(struct node *n, struct control_call *c, const json_t *args)
{
	struct id32 project;
	const char *text = op_text_needed(c, args, "project");
	if (!text || !op_project(n, c, text, &project))
		return;
	struct forget *f = ask_new(c, sizeof *f, run);
	if (!f)
		return;
	f->ask.done = done;
	f->project = project;
	for (size_t i = 0; i < n->runs_len && f->live_len < SCHED_SLOTS_MAX; i++)
		if (n->runs[i].is_live)
			f->live[f->live_len++] = n->runs[i].job;
	intake_unfollow(n->intake, &project); /* at once: or what is removed would be fetched again */
	ask_start(c, &f->ask);
}
