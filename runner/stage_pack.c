/* stage pack (stage.h): a commit's tree -> the plan it holds, its canonical source tar, and the plan tar.
 *
 * The plan is established here from the tree itself, whatever the announcer says (ARCHITECTURE 4, "Job"): the job's
 * expectation is only compared, and a difference is refused. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "runner/gitlib.h"
#include "runner/plan/plan.h"
#include "runner/plantar.h"
#include "runner/srctree.h"
#include "runner/stage.h"

struct pack {
	const struct stage_pack *stage;
	const struct job_plan *job;
	git_repository *repo;
	git_odb *odb;
	git_commit *commit;
	git_tree *tree;
	struct plan_found found;
	enum job_outcome outcome; /* of the failure in the struct err that is passed beside */
};

static int refused(struct pack *p, int code)
{
	p->outcome = JOB_REFUSED;
	return code;
}

static int open_objects(struct pack *p, struct err *err)
{
	int e = gitlib_setup(err);
	if (e)
		return e;
	if (access(p->stage->objects_path, R_OK | X_OK))
		return err_set(err, ERR_IO, "no git objects at %.300s", p->stage->objects_path);
	e = git_odb_open(&p->odb, p->stage->objects_path);
	if (!e)
		e = git_repository_wrap_odb(&p->repo, p->odb);
	return e ? gitlib_err(err, e, "cannot open the git objects at %.300s", p->stage->objects_path) : 0;
}

static int missing(struct pack *p, int git_code, const char *what, struct err *err)
{
	const int code = gitlib_err(err, git_code, "%s of commit %.64s", what, p->job->source.commit);
	if (p->job->source.local_objects[0])
		err_hint(err, "a shallow, partial or damaged clone: git fsck, or git fetch --unshallow");
	else
		err_hint(err, "the mirror is damaged: remove %.300s and try again", p->job->source.mirror);
	return code;
}

static int open_commit(struct pack *p, struct err *err)
{
	git_oid id;
	if (!hex_is_digits(p->job->source.commit, GIT_OID_HEXSZ, GIT_OID_HEXSZ) || git_oid_fromstr(&id, p->job->source.commit)) {
		err_set(err, ERR_INVALID, "'%.64s' is no full commit id", p->job->source.commit);
		err_hint(err, "40 hexadecimal digits; repositories with SHA-256 ids cannot be packed yet");
		return refused(p, ERR_INVALID);
	}
	int e = git_commit_lookup(&p->commit, p->repo, &id);
	if (e == GIT_ENOTFOUND && git_odb_exists(p->odb, &id)) {
		err_set(err, ERR_INVALID, "%.64s is no commit", p->job->source.commit);
		return refused(p, ERR_INVALID);
	}
	if (e == GIT_ENOTFOUND) {
		err_set(err, ERR_NOT_FOUND, "there is no commit %.64s", p->job->source.commit);
		err_hint(err, "is it committed here? git cat-file -t %.64s", p->job->source.commit);
		return refused(p, ERR_NOT_FOUND);
	}
	if (e)
		return missing(p, e, "cannot read the object", err);
	e = git_commit_tree(&p->tree, p->commit);
	return e ? missing(p, e, "cannot read the tree", err) : 0;
}

/* plan_read_fn */
static int read_from_tree(void *context, const char *path, struct buf *ret, struct err *err)
{
	struct pack *p = context;
	git_tree_entry *entry = NULL;
	int e = git_tree_entry_bypath(&entry, p->tree, path);
	if (e == GIT_ENOTFOUND)
		return err_set(err, ERR_NOT_FOUND, "there is no %.200s", path);
	if (e)
		return missing(p, e, "cannot read the tree", err);
	const git_oid id = *git_tree_entry_id(entry);
	const git_filemode_t mode = git_tree_entry_filemode(entry);
	git_tree_entry_free(entry);
	if (mode != GIT_FILEMODE_BLOB && mode != GIT_FILEMODE_BLOB_EXECUTABLE)
		return err_set(err, ERR_INVALID, "%.200s is not a regular file", path);
	size_t size;
	git_object_t type;
	e = git_odb_read_header(&size, &type, p->odb, &id);
	if (!e && size > ret->max - ret->len)
		return err_set(err, ERR_LIMIT, "%.200s has %zu bytes, more than %zu", path, size, ret->max);
	CLEANUP(gitlib_odb_object_release) git_odb_object *blob = NULL;
	if (!e)
		e = git_odb_read(&blob, p->odb, &id);
	if (e)
		return missing(p, e, "cannot read the plan", err);
	buf_append(ret, git_odb_object_data(blob), git_odb_object_size(blob));
	return buf_check(ret, path, err);
}

/* plan_list_fn */
static int list_tree(void *context, const char *folder, struct buf *ret, struct err *err)
{
	struct pack *p = context;
	git_tree_entry *entry = NULL;
	git_tree *tree = NULL;
	int e = git_tree_entry_bypath(&entry, p->tree, folder);
	if (e == GIT_ENOTFOUND || (!e && git_tree_entry_type(entry) != GIT_OBJECT_TREE)) {
		git_tree_entry_free(entry);
		return err_set(err, ERR_NOT_FOUND, "there is no folder %.200s", folder);
	}
	if (!e)
		e = git_tree_lookup(&tree, p->repo, git_tree_entry_id(entry));
	git_tree_entry_free(entry);
	if (e)
		return missing(p, e, "cannot read the tree", err);
	for (size_t i = 0; i < git_tree_entrycount(tree); i++)
		buf_printf(ret, "%s\n", git_tree_entry_name(git_tree_entry_byindex(tree, i)));
	git_tree_free(tree);
	return buf_check(ret, folder, err);
}

static int other_plan(struct pack *p, const char *what, const char *is, const char *said, struct err *err)
{
	err_set(err, ERR_REFUSED, "the plan of commit %.64s is not the announced one: its %s is %s, not %s", p->job->source.commit,
		what, is, said);
	err_hint(err, "announce the commit again: its plan is what its own tree says");
	return refused(p, ERR_REFUSED);
}

static int compare_plan(struct pack *p, struct err *err)
{
	const struct plan_found *f = &p->found;
	const struct job_plan *job = p->job;
	/* at home whatever discovery yields is meant */
	const bool is_any = !job->job[0] && !job->plan_path[0] && job->plan_origin != JOB_ORIGIN_INLINE;
	if (f->origin != job->plan_origin && !is_any)
		return other_plan(p, "origin", job_origin_name(f->origin), job_origin_name(job->plan_origin), err);
	if (job->plan_path[0] && strcmp(job->plan_path, f->path) != 0)
		return other_plan(p, "path", f->path, job->plan_path, err);
	if (job->plan_sha256[0] && strcmp(job->plan_sha256, f->sha256) != 0)
		return other_plan(p, "sha256", f->sha256, job->plan_sha256, err);
	if (job->cells && job->cells != f->cells_len) {
		char is[16], said[16];
		snprintf(is, sizeof is, "%zu", f->cells_len);
		snprintf(said, sizeof said, "%u", job->cells);
		return other_plan(p, "number of cells", is, said, err);
	}
	return 0;
}

static int establish_plan(struct pack *p, struct err *err)
{
	int e;
	if (p->job->plan_origin == JOB_ORIGIN_INLINE)
		e = plan_inline(p->job->inline_cmd, p->job->image, &p->found, err);
	else
		e = plan_discover(&(struct plan_tree){read_from_tree, list_tree, p}, p->job->cell, &p->found, err);
	if (e == ERR_NOT_FOUND || e == ERR_INVALID || e == ERR_LIMIT || e == ERR_REFUSED)
		return refused(p, e);
	return e ? e : compare_plan(p, err);
}

static void copy_text(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text);
}

static int send_plan(const struct pack *p, struct err *err)
{
	const struct plan *plan = &p->found.plan;
	struct stage_msg msg = {.type = STAGE_MSG_PLAN};
	copy_text(msg.u.plan.path, sizeof msg.u.plan.path, p->found.path);
	copy_text(msg.u.plan.sha256, sizeof msg.u.plan.sha256, p->found.sha256);
	copy_text(msg.u.plan.format, sizeof msg.u.plan.format, plan_format_name(p->found.format));
	copy_text(msg.u.plan.image, sizeof msg.u.plan.image, plan->image);
	msg.u.plan.origin = p->found.origin;
	msg.u.plan.steps = (uint32_t)plan->steps_len;
	msg.u.plan.any_order = plan_is_any_order(plan);
	msg.u.plan.has_cache = plan->has_cache;
	msg.u.plan.wanted = (struct job_limits){.cpus = plan->resources.cpus < UINT32_MAX ? (uint32_t)plan->resources.cpus : UINT32_MAX,
						.memory_bytes = plan->resources.memory_bytes,
						.disk_bytes = plan->resources.disk_bytes,
						.timeout_ms = plan->resources.timeout_ms};
	int e = stage_send(p->stage->msg_fd, &msg, err);
	for (size_t i = 0; !e && i < plan->steps_len; i++) {
		msg = (struct stage_msg){.type = STAGE_MSG_STEP_NAME, .u.step = {.index = (uint32_t)i, .on_failure = plan->steps[i].on_failure}};
		copy_text(msg.u.step.name, sizeof msg.u.step.name, plan->steps[i].name);
		e = stage_send(p->stage->msg_fd, &msg, err);
	}
	for (size_t i = 0; !e && i < plan->packages_len; i++) {
		msg = (struct stage_msg){.type = STAGE_MSG_PACKAGE};
		copy_text(msg.u.text, sizeof msg.u.text, plan->packages[i]);
		e = stage_send(p->stage->msg_fd, &msg, err);
	}
	for (size_t i = 0; !e && i < plan->fetch_len; i++) {
		msg = (struct stage_msg){.type = STAGE_MSG_FETCH_ITEM};
		copy_text(msg.u.fetch.url, sizeof msg.u.fetch.url, plan->fetch[i].url);
		copy_text(msg.u.fetch.sha256, sizeof msg.u.fetch.sha256, plan->fetch[i].sha256);
		copy_text(msg.u.fetch.name, sizeof msg.u.fetch.name, plan->fetch[i].name);
		e = stage_send(p->stage->msg_fd, &msg, err);
	}
	return e;
}

static int send_source(const struct pack *p, const struct blob_digest *digest, struct err *err)
{
	struct stage_msg msg = {.type = STAGE_MSG_SOURCE};
	hex_encode(msg.u.digest.digest.sha256, digest->sha256, sizeof digest->sha256);
	hex_encode(msg.u.digest.digest.root, digest->root, sizeof digest->root);
	msg.u.digest.digest.size_bytes = digest->size;
	return stage_send(p->stage->msg_fd, &msg, err);
}

static int write_source(struct pack *p, struct err *err)
{
	CLEANUP(srctar_release) struct srctar tar = {0};
	struct blob_digest digest;
	int e = srctar_init(&tar, p->stage->source_fd, git_commit_time(p->commit), p->job->limits.source_bytes, err);
	if (!e)
		e = srctree_write(p->repo, git_tree_id(p->tree), &tar, err);
	if (!e)
		e = srctar_finish(&tar, &digest, err);
	if (!e)
		return send_source(p, &digest, err);
	if (e == ERR_REFUSED)
		err_hint(err, "such a tree cannot be built anywhere: change it and commit again");
	else if (e == ERR_LIMIT)
		err_hint(err, "the source is larger than this node allows");
	else if (e == ERR_IO)
		err_hint(err, "check the disk space of the job's folder");
	else if (e == ERR_NOT_FOUND || e == ERR_INVALID)
		err_hint(err, "the repository is incomplete or damaged: git fsck");
	err_context(err, "cannot pack commit %.64s", p->job->source.commit);
	return e == ERR_REFUSED || e == ERR_LIMIT ? refused(p, e) : e;
}

static int write_plan(const struct pack *p, struct err *err)
{
	const struct plantar tar = {.plan = &p->found.plan, .job = p->job, .commit = p->job->source.commit,
				    .source_date = srctar_mtime(git_commit_time(p->commit))};
	return plantar_write(&tar, p->stage->plan_fd, err);
}

static int pack_all(struct pack *p, struct err *err)
{
	int e = open_objects(p, err);
	if (!e)
		e = open_commit(p, err);
	if (!e)
		e = establish_plan(p, err);
	if (!e)
		e = send_plan(p, err);
	if (!e)
		e = write_plan(p, err);
	return e ? e : write_source(p, err);
}

int stage_pack_run(const struct stage_pack *s)
{
	struct pack p = {.stage = s, .job = s->plan, .outcome = JOB_ERROR};
	struct err err = {0};
	const int e = sodium_init() < 0 ? err_set(&err, ERR_BUG, "libsodium does not start") : pack_all(&p, &err);
	plan_found_release(&p.found);
	git_tree_free(p.tree);
	git_commit_free(p.commit);
	git_repository_free(p.repo);
	git_odb_free(p.odb);
	return e ? stage_fail(s->msg_fd, p.outcome, err.hint[0] ? err.hint : NULL, "%s", err.what) : 0;
}
