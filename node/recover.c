/* node.h, node_recover(): what a node that was killed has left behind. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "node/attestor.h"
#include "node/blobs.h"
#include "node/node.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/log.h"

#define RUNS_MAX (SCHED_SLOTS_MAX * 4)
#define LEFT_REASON "the volunteer's node ended while the job ran"

struct left {
	struct id32 jobs[RUNS_MAX];
	size_t len;
};

static bool on_run(void *user, const char *key, const uint8_t *bytes, size_t len)
{
	struct left *left = user;
	(void)bytes;
	(void)len;
	if (left->len < RUNS_MAX && !id32_parse(key, &left->jobs[left->len], NULL))
		left->len++;
	return true;
}

static int forget_run(struct node *n, const struct id32 *job, struct err *err)
{
	struct store_batch *b = store_batch_new();
	if (!b)
		return err_set(err, ERR_NOMEM, "out of memory");
	state_run_remove(job, b);
	return node_commit(n, b, NULL, NULL, err);
}

static int abandon(struct node *n, const struct ix_job *job, struct err *err)
{
	const struct id32 id = job->entry.id;
	struct id32 topic;
	char text[ID32_TEXT_MAX];
	CLEANUP(buf_release) struct buf bytes;
	buf_init(&bytes, RECORD_RESULT_LEN_MAX);
	struct result_body body = {.job = id, .outcome = OUTCOME_ABANDONED};
	snprintf(body.reason, sizeof body.reason, LEFT_REASON);
	result_body_encode(&body, &bytes);
	topic_derive(&job->entry.project->id, &topic);
	const struct node_own own = {.kind = RECORD_RESULT, .topic = &topic, .depends = &id, .body = &bytes};
	struct store_batch *b = store_batch_new();
	if (!b)
		return err_set(err, ERR_NOMEM, "out of memory");
	state_run_remove(&id, b);
	node_event(n, b, "job-end", json_pack("{s:s,s:s}", "job", id32_format(text, &id), "outcome", "abandoned"));
	log_warn("event=run-abandoned job=%.12s", text);
	return node_publish(n, &own, b, NULL, NULL, NULL, err);
}

static void remove_blobs(struct node *n, const struct id32 *job)
{
	char dir[PATH_MAX];
	if (!blobs_dir(&n->home, job, &n->self, dir, NULL) && io_remove_tree(dir, NULL))
		log_warn("event=leftover-stays dir=%s", dir);
}

static int end_runs(struct node *n, struct err *err)
{
	CLEANUP(cleanup_free) struct left *left = calloc(1, sizeof *left);
	if (!left)
		return err_set(err, ERR_NOMEM, "out of memory");
	int rc = store_each_kv_now(n->store, "run", on_run, left, err);
	for (size_t i = 0; i < left->len && !rc; i++) {
		const struct ix_job *job = index_job(node_index(n), &left->jobs[i]);
		if (!job || index_result_of(job, &n->self)) {
			rc = forget_run(n, &left->jobs[i], err);
			continue;
		}
		remove_blobs(n, &left->jobs[i]);
		rc = abandon(n, job, err);
		if (rc == ERR_REFUSED) { /* e.g. crowded out: the rules, not our fault */
			log_warn("event=abandoned-not-published why=\"%s\"", err ? err->what : "");
			rc = forget_run(n, &left->jobs[i], err);
		}
	}
	return rc;
}

/* A runner whose node was killed ends within 2 s, so what it still writes is gone with the second sweep. */
#define SWEEP_AGAIN_S 3

struct sweep {
	char jobs[PATH_MAX];
	char names[RUNS_MAX][ID32_TEXT_MAX];
	size_t len;
};

static void list_leftovers(const char *folder, struct sweep *s)
{
	DIR *dir = opendir(folder);
	for (const struct dirent *d; dir && s->len < RUNS_MAX && (d = readdir(dir));)
		if (d->d_name[0] != '.' && strlen(d->d_name) < ID32_TEXT_MAX)
			snprintf(s->names[s->len++], ID32_TEXT_MAX, "%s", d->d_name);
	if (dir)
		closedir(dir);
}

/* In another thread. */
static void sweep(void *user)
{
	struct sweep *s = user;
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < s->len; i++) {
			char path[PATH_MAX];
			snprintf(path, sizeof path, "%.4000s/%s", s->jobs, s->names[i]);
			if (io_remove_tree(path, NULL))
				log_warn("event=not-removed");
		}
		if (!round)
			sleep(SWEEP_AGAIN_S);
	}
}

static void on_swept(struct node *n, void *user)
{
	const struct sweep *s = user;
	(void)n;
	log_info("event=swept leftovers=%zu", s->len);
	free(user);
}

static int sweep_jobs(struct node *n, struct err *err)
{
	struct sweep *s = calloc(1, sizeof *s);
	if (!s)
		return err_set(err, ERR_NOMEM, "out of memory");
	snprintf(s->jobs, sizeof s->jobs, "%s", n->home.jobs);
	list_leftovers(s->jobs, s);
	const struct node_task task = {.run = sweep, .done = on_swept, .user = s};
	int rc = s->len ? n->hooks.task(n->hooks.user, &task, err) : 0;
	if (rc || !s->len)
		free(s);
	return rc;
}

int node_recover(struct node *n, struct err *err)
{
	const int rc = end_runs(n, err);
	return rc ? rc : sweep_jobs(n, err);
}
