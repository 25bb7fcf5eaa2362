#include "node/runplan.h"

#include <string.h>

#include "proto/base/hex.h"
#include "runner/image.h"
#include "runner/cachekey.h"

#define EMULATION_FACTOR 15
#define ARTIFACT_COUNT_MAX JOB_ARTIFACTS_MAX

static uint64_t least(uint64_t cap, uint64_t granted, uint64_t wanted)
{
	if (granted && granted < cap)
		cap = granted;
	if (wanted && wanted < cap)
		cap = wanted;
	return cap;
}

static void fill_limits(const struct node *n, const struct job_body *body, const struct policy_limits *grant, struct job_limits *l)
{
	l->cpus = (uint32_t)least(n->config.limits.cpus, grant->cpus, body->cpus);
	l->memory_bytes = least(n->config.limits.memory_bytes, grant->memory_bytes, body->memory_bytes);
	l->disk_bytes = least(n->config.limits.disk_bytes, grant->disk_bytes, body->disk_bytes);
	l->timeout_ms = least(n->config.limits.timeout_ms, grant->timeout_ms, body->timeout_ms);
	l->log_bytes = n->config.limits.log_bytes;
	l->artifact_bytes = n->config.limits.artifact_bytes;
	l->artifact_count = ARTIFACT_COUNT_MAX;
	l->source_bytes = n->config.limits.source_bytes;
}

int runplan_url(const struct project_body *project, const struct policy_limits *grant, struct job_source *s, struct err *err)
{
	s->allow_loopback = grant->source_loopback;
	s->allow_private = grant->source_private;
	s->allow_file = grant->source_file;
	for (size_t i = 0; i < project->urls_len; i++) {
		if (!strncmp(project->urls[i], "file:", 5) && !grant->source_file)
			continue;
		snprintf(s->url, sizeof s->url, "%s", project->urls[i]);
		return 0;
	}
	err_set(err, ERR_REFUSED, "the project's repository is only to be had from a file, which the rule does not allow");
	return err_hint(err, "talkoo allow PROJECT --source file");
}

void runplan_dir(const struct node *n, const struct id32 *job, char ret[PATH_MAX])
{
	char id[ID32_TEXT_MAX];
	snprintf(ret, PATH_MAX, "%.4000s/%s", n->home.jobs, id32_format(id, job));
}

bool runplan_digest(const struct job_digest *d, struct blob_digest *ret)
{
	struct blob_digest value = {.size = d->size_bytes};
	if (!hex_decode(value.sha256, sizeof value.sha256, d->sha256) || !hex_decode(value.root, sizeof value.root, d->root))
		return false;
	*ret = value;
	return true;
}

static enum job_origin origin_of(enum plan_origin o)
{
	switch (o) {
	case PLAN_TREE: return JOB_ORIGIN_TREE;
	case PLAN_DETECTED: return JOB_ORIGIN_DETECTED;
	case PLAN_INLINE: return JOB_ORIGIN_INLINE;
	}
	return JOB_ORIGIN_INLINE;
}

/* A maintainer's job of a branch or a tag has a cache of its own; any other reads the main branch's. */
static void set_cache(struct node *n, const struct ix_job *job, const struct job_body *body, struct job_plan *ret)
{
	char project[ID32_TEXT_MAX];
	ret->cache_may_write = cachekey_ref_is_trusted(body->ref) && index_is_maintainer(job->entry.project, &job->entry.author);
	snprintf(ret->cache_store, sizeof ret->cache_store, "%s", n->home.caches);
	cachekey_scope(id32_format(project, &body->project), ret->cache_may_write ? body->ref : CACHEKEY_REF_READ, ret->cache_scope);
	ret->cache_bytes = n->config.limits.cache_bytes;
}

int runplan_make(struct node *n, const struct ix_job *job, const struct job_body *body, const struct node_opinion *opinion,
		 struct job_plan *ret, struct err *err)
{
	const struct policy_decision *d = &opinion->decision;
	char project[ID32_TEXT_MAX];
	*ret = (struct job_plan){.accel = JOB_ACCEL_AUTO};
	id32_format(ret->job, &job->entry.id);
	runplan_dir(n, &job->entry.id, ret->dir);
	snprintf(ret->source.ref, sizeof ret->source.ref, "%s", body->ref);
	snprintf(ret->source.commit, sizeof ret->source.commit, "%s", body->commit);
	snprintf(ret->source.mirror, sizeof ret->source.mirror, "%.4000s/%s", n->home.mirrors, id32_format(project, &body->project));
	ret->plan_origin = origin_of(body->plan_origin);
	snprintf(ret->plan_path, sizeof ret->plan_path, "%s", body->plan_path);
	snprintf(ret->plan_sha256, sizeof ret->plan_sha256, "%s", body->plan_sha256);
	snprintf(ret->cell, sizeof ret->cell, "%s", body->cell);
	/* without its number of cells a job with a cell may stand for any plan that has it */
	ret->cells = body->cell[0] ? body->cells : 0;
	snprintf(ret->inline_cmd, sizeof ret->inline_cmd, "%s", body->plan_inline);
	snprintf(ret->image, sizeof ret->image, "%s", body->image);
	snprintf(ret->image_store, sizeof ret->image_store, "%s", n->home.images);
	snprintf(ret->accel_cache, sizeof ret->accel_cache, "%s", n->home.accel_cache);
	struct image image = {0};
	if (body->image[0] && !image_find(ret->image_store, body->image, &image, NULL))
		image_touch(&image);
	image_release(&image);
	/* a stranger's job needs the whole jail and a proven KVM; one's own runs either way */
	ret->emulation_allowed = d->is_own || d->limits.allow_emulation;
	ret->isolation_required = !d->is_own;
	ret->timeout_factor_emulated = EMULATION_FACTOR;
	ret->timeout_cap_ms = n->config.limits.emulated_timeout_ms;
	fill_limits(n, body, &d->limits, &ret->limits);
	set_cache(n, job, body, ret);
	if (n->config.fetch_hosts[0]) {
		snprintf(ret->fetch_store, sizeof ret->fetch_store, "%s", n->home.fetched);
		snprintf(ret->fetch_hosts, sizeof ret->fetch_hosts, "%s", n->config.fetch_hosts);
		ret->fetch_bytes = n->config.limits.fetch_bytes;
	}
	return runplan_url(&job->entry.project->body, &d->limits, &ret->source, err);
}
