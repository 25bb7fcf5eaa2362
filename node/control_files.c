/* Control operations: what a job left, its log and artifacts, as read-only descriptors. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "node/blobs.h"
#include "node/control_files.h"
#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/io.h"

#define INDEX_MAX (16u << 20)

bool files_ask_is_live(const struct files_ask *f)
{
	for (size_t i = 0; i < f->live_len; i++)
		if (id32_eq(&f->live[i], &f->target.job))
			return !f->has_node || node_id_eq(&f->node, &f->ask.st->node->self);
	return false;
}

int files_open_log(const struct home *home, const struct id32 *job, const struct node_id *node, bool is_running, struct err *err)
{
	char path[PATH_MAX], text[ID32_TEXT_MAX], dir[PATH_MAX];
	int fd = -1;
	snprintf(path, sizeof path, "%.4000s/%s/log", home->jobs, id32_format(text, job));
	if (is_running)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && !blobs_dir(home, job, node, dir, NULL)) {
		snprintf(path, sizeof path, "%.4080s/log", dir);
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	}
	if (fd >= 0)
		return fd;
	err_set(err, ERR_NOT_FOUND, "no log of this job is here");
	return err_hint(err, is_running ? "the job has not started its VM yet" : "it was never run here, or its files are gone (the blobs' cap)");
}

/* The nodes whose files of the job may be here: the asked one, or our own and then the results' authors. */
static size_t candidates(const struct files_ask *f, const struct dossier *d, struct node_id *ret, size_t max)
{
	size_t len = 0;
	ret[len++] = f->has_node ? f->node : f->ask.st->node->self;
	for (size_t i = 0; !f->has_node && d->jobs_len && i < d->jobs[0].results_len && len < max; i++)
		ret[len++] = record_get(d->jobs[0].results[i].record)->author;
	return len;
}

#define CANDIDATES_MAX 128

static int find_log(struct ask *a, struct store *view, struct err *err)
{
	struct files_ask *f = (struct files_ask *)a;
	CLEANUP(dossier_release) struct dossier d = {0};
	struct node_id nodes[CANDIDATES_MAX];
	struct stat st;
	int code = target_find(view, &f->target, err);
	if (!code)
		code = target_load(view, &f->target, &d, err);
	if (code)
		return code;
	const size_t len = candidates(f, &d, nodes, ARRAY_LEN(nodes));
	for (size_t i = 0; i < len && a->fd < 0; i++)
		a->fd = files_open_log(&a->st->node->home, &f->target.job, &nodes[i], files_ask_is_live(f), err);
	if (a->fd < 0) {
		code = a->fd;
		a->fd = -1;
		return code;
	}
	a->answer = json_pack("{s:I,s:b}", "size", (json_int_t)(fstat(a->fd, &st) ? 0 : st.st_size), "live", (int)files_ask_is_live(f));
	return 0;
}

/* ---- artifacts */

/* The long lists of a statement are in a file beside the artifacts. */
static int complete(struct dossier_result *r, const char *dir, struct err *err)
{
	CLEANUP(buf_release) struct buf index;
	char path[PATH_MAX];
	buf_init(&index, INDEX_MAX);
	if (!r->statement.has_index || r->statement.steps)
		return 0;
	snprintf(path, sizeof path, "%.4080s/index.json", dir);
	const int code = io_read_file(path, &index, err);
	return code ? code : statement_read_index(&r->statement, index.data, index.len, err);
}

/* The wanted (or first) result whose files are here, its lists complete; its folder. */
static int find_statement(const struct files_ask *f, struct dossier *d, const struct statement **ret, char dir[PATH_MAX], struct err *err)
{
	struct node_id nodes[CANDIDATES_MAX];
	struct stat st;
	const size_t len = candidates(f, d, nodes, ARRAY_LEN(nodes));
	bool has_files = false;
	for (size_t i = 0; i < len; i++) {
		if (blobs_dir(&f->ask.st->node->home, &f->target.job, &nodes[i], dir, NULL) || stat(dir, &st))
			continue;
		has_files = true;
		for (size_t k = 0; d->jobs_len && k < d->jobs[0].results_len; k++) {
			struct dossier_result *r = &d->jobs[0].results[k];
			if (!r->has_statement || !node_id_eq(&record_get(r->record)->author, &nodes[i]))
				continue;
			*ret = &r->statement;
			return complete(r, dir, err);
		}
	}
	if (has_files)
		return err_set(err, ERR_NOT_FOUND, "no signed result with artifacts");
	err_set(err, ERR_NOT_FOUND, "no files of this job are here");
	return err_hint(err, "it was never run here, or they are gone (the blobs' cap)");
}

static json_t *artifact_json(const struct statement_artifact *a)
{
	char sha256[65], root[65];
	return json_pack("{s:s,s:s,s:s,s:I}", "path", a->path, "sha256", hex_encode(sha256, a->digest.sha256, 32), "root",
			 hex_encode(root, a->digest.root, 32), "size", (json_int_t)a->digest.size);
}

static int open_artifact(struct files_ask *f, const struct statement *s, const char *dir, struct err *err)
{
	char below[PATH_MAX];
	for (size_t i = 0; i < s->artifacts_len; i++) {
		if (strcmp(s->artifacts[i].path, f->path))
			continue;
		snprintf(below, sizeof below, "artifacts/%.4000s", f->path);
		f->ask.answer = artifact_json(&s->artifacts[i]);
		return blobs_open(dir, below, &f->ask.fd, err);
	}
	err_set(err, ERR_NOT_FOUND, "%.200s: no such artifact", f->path);
	return err_hint(err, "'talkoo artifacts JOB' lists them");
}

static int find_artifacts(struct ask *a, struct store *view, struct err *err)
{
	struct files_ask *f = (struct files_ask *)a;
	CLEANUP(dossier_release) struct dossier d = {0};
	const struct statement *s = NULL;
	char dir[PATH_MAX];
	int code = target_find(view, &f->target, err);
	if (!code)
		code = target_load(view, &f->target, &d, err);
	if (!code)
		code = find_statement(f, &d, &s, dir, err);
	if (code || f->path[0])
		return code ? code : open_artifact(f, s, dir, err);
	json_t *list = json_array();
	for (size_t i = 0; i < s->artifacts_len; i++)
		json_array_append_new(list, artifact_json(&s->artifacts[i]));
	a->answer = json_pack("{s:o,s:b}", "artifacts", list, "partial", (int)s->artifacts_partial);
	return 0;
}

/* ---- operations */

/* Job and node. NULL: the call has been failed. */
static struct files_ask *files_ask_new(struct node *n, struct control_call *c, const json_t *args,
				       int (*run)(struct ask *, struct store *, struct err *))
{
	struct target t;
	struct node_id id;
	struct err err;
	const char *node = op_text(args, "node");
	if (!op_text_needed(c, args, "job") || !target_read(n, c, args, &t))
		return NULL;
	if (node && node_id_parse(node, &id, &err)) {
		control_fail(c, &err);
		return NULL;
	}
	struct files_ask *f = ask_new(c, sizeof *f, run);
	if (!f)
		return NULL;
	f->target = t;
	f->has_node = node != NULL;
	if (node)
		f->node = id;
	for (size_t i = 0; i < n->runs_len; i++)
		if (n->runs[i].is_live)
			f->live[f->live_len++] = n->runs[i].job;
	return f;
}

struct files_ask *files_ask_log(struct node *n, struct control_call *c, const json_t *args)
{
	return files_ask_new(n, c, args, find_log);
}

void op_log(struct node *n, struct control_call *c, const json_t *args)
{
	if (op_bool(args, "follow"))
		return op_log_follow(n, c, args);
	struct files_ask *f = files_ask_log(n, c, args);
	if (f)
		ask_start(c, &f->ask);
}

void op_artifacts(struct node *n, struct control_call *c, const json_t *args)
{
	struct files_ask *f = files_ask_new(n, c, args, find_artifacts);
	if (f)
		ask_start(c, &f->ask);
}

void op_artifact(struct node *n, struct control_call *c, const json_t *args)
{
	const char *path = op_text_needed(c, args, "path");
	struct files_ask *f = path ? files_ask_new(n, c, args, find_artifacts) : NULL;
	if (!f)
		return;
	if (strlen(path) >= sizeof f->path) {
		ask_free(&f->ask);
		return op_fail(c, ERR_USAGE, NULL, "path: longer than any artifact's");
	}
	snprintf(f->path, sizeof f->path, "%s", path);
	ask_start(c, &f->ask);
}
