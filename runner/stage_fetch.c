/* stage fetch (stage.h): one ref of one remote into the project's mirror, and the proof that the commit is on it.
 *
 * ref_seen (ARCHITECTURE 4, 6): the remote itself is asked for the ref's tip each time, also when the mirror already has
 * the commit, and a commit that is not in that tip's history is refused: forges serve commits of forks by id. The fetch is
 * always of the ref, never of an id; libgit2 1.5 can do no other with a stock git daemon, and needs no other. */
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/units.h"
#include "proto/url.h"
#include "runner/fetch_link.h"
#include "runner/gitlib.h"
#include "runner/mirror.h"
#include "runner/stage.h"

#define PROGRESS_NS 200000000 /* between two messages */
#define OBJECT_LEAST_BYTES 8  /* no object takes less in a pack */
#define OBJECTS_MAX 20000000u
#define MIRROR_FACTOR 2       /* a mirror may hold that many fetches' worth of bytes */
#define SHORT_COMMIT_MIN 7

struct fetch {
	const struct stage_fetch *stage;
	const struct job_source *source;
	struct fetch_link link;
	struct mirror mirror;
	char ref[256];
	git_oid tip, commit;
	struct timespec last_progress;
	enum job_outcome outcome; /* of the failure in the struct err that is passed beside */
	bool is_mirror_broken;
};

int fetch_link_fail(struct fetch_link *link, const struct err *err)
{
	if (!link->err.code)
		link->err = *err;
	git_error_set_str(GIT_ERROR_NET, link->err.what);
	return -1;
}

int fetch_link_count(struct fetch_link *link, size_t len)
{
	link->received_bytes += len;
	if (link->received_bytes <= link->max_bytes)
		return 0;
	struct err err = {0};
	char text[UNITS_TEXT_MAX];
	err_set(&err, ERR_LIMIT, "the remote sends more than %s", units_format_size(text, link->max_bytes));
	err_hint(&err, "the repository is larger than this node allows a source to be, or its server lies");
	fetch_link_fail(link, &err);
	return ERR_LIMIT;
}

static int refused(struct fetch *f, int code)
{
	f->outcome = JOB_REFUSED;
	return code;
}

/* Our own word for what went wrong if there is one, else libgit2's. */
static int failed(struct fetch *f, int git_code, const char *what, struct err *err)
{
	if (f->link.err.code)
		*err = f->link.err;
	else
		gitlib_err(err, git_code, "%s", what);
	if (!err->hint[0])
		err_hint(err, "try it by hand: git ls-remote %.300s", f->source->url);
	err_context(err, "cannot fetch from %.300s", f->source->url);
	return err->code;
}

static void send_progress(struct fetch *f, uint64_t bytes)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	const int64_t passed = (int64_t)(now.tv_sec - f->last_progress.tv_sec) * 1000000000 + (now.tv_nsec - f->last_progress.tv_nsec);
	if (passed < PROGRESS_NS)
		return;
	f->last_progress = now;
	const struct stage_msg msg = {.type = STAGE_MSG_PROGRESS, .u.size_bytes = bytes};
	(void)!stage_send(f->stage->msg_fd, &msg, NULL); /* no supervisor: the jail ends us */
}

static uint64_t objects_max(const struct fetch *f)
{
	const uint64_t most = f->link.max_bytes / OBJECT_LEAST_BYTES;
	return most < OBJECTS_MAX ? most : OBJECTS_MAX;
}

/* libgit2 makes room for as many objects as a pack's first bytes say, before it tells anybody. */
static int limit_objects(const struct fetch *f, struct err *err)
{
	if (git_libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECTS, (size_t)objects_max(f)) < 0)
		return gitlib_err(err, -1, "cannot limit a pack's objects");
	return 0;
}

static int on_transfer_progress(const git_indexer_progress *stats, void *ctx)
{
	struct fetch *f = ctx;
	send_progress(f, stats->received_bytes);
	if (stats->received_bytes <= f->link.max_bytes && stats->total_objects <= objects_max(f))
		return 0;
	struct err err = {0};
	err_set(&err, ERR_LIMIT, "the remote announces %u objects in %zu bytes, more than is allowed", stats->total_objects,
		stats->received_bytes);
	err_hint(&err, "the repository is larger than this node allows a source to be, or its server lies");
	return fetch_link_fail(&f->link, &err);
}

static git_remote_callbacks callbacks(struct fetch *f)
{
	git_remote_callbacks c = GIT_REMOTE_CALLBACKS_INIT;
	c.transfer_progress = on_transfer_progress;
	c.payload = f;
	return c;
}

/* git_transport_cb: the payload is the struct fetch. file goes by libgit2's own. */
static int on_transport(git_transport **ret, git_remote *owner, void *ctx)
{
	struct fetch *f = ctx;
	switch (f->link.url.scheme) {
	case REMOTE_GIT: return transport_git_new(ret, owner, &f->link);
	case REMOTE_HTTP:
	case REMOTE_HTTPS: return transport_http_new(ret, owner, &f->link);
	case REMOTE_FILE: return git_transport_local(ret, owner, NULL);
	}
	return -1;
}

static int judge_source(struct fetch *f, struct err *err)
{
	const struct job_source *s = f->source;
	const struct remote_rules rules = {s->allow_loopback, s->allow_private, s->allow_file};
	int e = remote_parse(s->url, &f->link.url, err);
	if (!e)
		e = remote_check_scheme(f->link.url.scheme, &rules, err);
	if (e)
		return refused(f, e);
	f->link.rules = rules;
	f->link.idle_ms = f->stage->idle_ms ? f->stage->idle_ms : FETCH_IDLE_MS;
	f->link.max_bytes = f->stage->plan->limits.source_bytes;
	if (f->link.url.scheme == REMOTE_FILE)
		return 0;
	e = dial_resolve(&f->link.url, &rules, &f->link.addresses, err);
	if (!e)
		return 0;
	err_context(err, "cannot fetch from %.300s", s->url);
	return e == ERR_REFUSED ? refused(f, e) : e;
}

static int open_remote(struct fetch *f, git_remote **ret, struct err *err)
{
	git_remote_create_options create = GIT_REMOTE_CREATE_OPTIONS_INIT;
	create.repository = f->mirror.repo;
	create.flags = GIT_REMOTE_CREATE_SKIP_INSTEADOF | GIT_REMOTE_CREATE_SKIP_DEFAULT_FETCHSPEC;
	CLEANUP(gitlib_remote_release) git_remote *remote = NULL;
	int e = git_remote_create_with_opts(&remote, f->source->url, &create);
	if (e)
		return failed(f, e, "the URL is not usable", err);
	git_remote_connect_options options = GIT_REMOTE_CONNECT_OPTIONS_INIT;
	options.callbacks = callbacks(f);
	options.callbacks.transport = on_transport;
	options.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
	e = git_remote_connect_ext(remote, GIT_DIRECTION_FETCH, &options);
	if (e)
		return failed(f, e, "no answer that makes sense", err);
	*ret = remote;
	remote = NULL;
	return 0;
}

/* Which ref is read: the job's, or the one that HEAD names. Only a plain name can become a refspec. */
static int choose_ref(struct fetch *f, git_remote *remote, struct err *err)
{
	if (f->source->ref[0]) {
		snprintf(f->ref, sizeof f->ref, "%s", f->source->ref);
		if (ref_name_is_valid(f->ref))
			return 0;
		err_set(err, ERR_INVALID, "'%.200s' is no full ref name", f->ref);
		err_hint(err, "write it like refs/heads/main");
		return refused(f, ERR_INVALID);
	}
	git_buf name = GIT_BUF_INIT;
	const int e = git_remote_default_branch(&name, remote);
	const bool fits = !e && name.size < sizeof f->ref && ref_name_is_valid(name.ptr);
	if (fits)
		snprintf(f->ref, sizeof f->ref, "%s", name.ptr);
	git_buf_dispose(&name);
	if (fits)
		return 0;
	err_set(err, ERR_NOT_FOUND, "%.300s does not say which branch is its own", f->source->url);
	err_hint(err, "name a ref");
	return refused(f, ERR_NOT_FOUND);
}

static int find_tip(struct fetch *f, git_remote *remote, struct err *err)
{
	const git_remote_head **heads;
	size_t count;
	const int e = git_remote_ls(&heads, &count, remote);
	if (e)
		return failed(f, e, "no list of refs", err);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(heads[i]->name, f->ref) != 0)
			continue;
		git_oid_cpy(&f->tip, &heads[i]->oid);
		return 0;
	}
	err_set(err, ERR_NOT_FOUND, "%.300s has no %.200s", f->source->url, f->ref);
	err_hint(err, "push the ref first, or announce one that is there: git ls-remote %.300s", f->source->url);
	return refused(f, ERR_NOT_FOUND);
}

static int download(struct fetch *f, git_remote *remote, struct err *err)
{
	char spec[2 * sizeof f->ref + 2];
	snprintf(spec, sizeof spec, "%s:%s", f->ref, f->ref);
	char *specs[] = {spec};
	const git_strarray refspecs = {specs, 1};
	git_fetch_options options = GIT_FETCH_OPTIONS_INIT;
	options.callbacks = callbacks(f);
	options.callbacks.transport = on_transport;
	options.prune = GIT_FETCH_NO_PRUNE;
	options.update_fetchhead = 0;
	options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
	options.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
	const int e = git_remote_download(remote, &refspecs, &options);
	if (!e)
		return 0;
	/* our own objects are at fault when they, and not the connection or the pack, cannot be read */
	const git_error *last = git_error_last();
	f->is_mirror_broken = !f->link.err.code && last && last->klass == GIT_ERROR_ODB;
	return failed(f, e, "what it sent is no valid pack", err);
}

/* A mirror whose history has holes is thrown away once. */
static int broken(struct fetch *f, int git_code, const char *what, struct err *err)
{
	f->is_mirror_broken = true;
	const int code = gitlib_err(err, git_code, "the history of %.200s from %.200s: %s", f->ref, f->source->url, what);
	err_hint(err, "remove the mirror %.300s and try again", f->mirror.path);
	return code;
}

/* The ref's tip as a commit (a tag leads to one). */
static int peel_tip(struct fetch *f, git_oid *ret, struct err *err)
{
	CLEANUP(gitlib_object_release) git_object *object = NULL;
	CLEANUP(gitlib_object_release) git_object *commit = NULL;
	int e = git_object_lookup(&object, f->mirror.repo, &f->tip, GIT_OBJECT_ANY);
	if (e)
		return broken(f, e, "its tip is missing", err);
	e = git_object_peel(&commit, object, GIT_OBJECT_COMMIT);
	if (e == GIT_EINVALIDSPEC || e == GIT_EPEEL) {
		err_set(err, ERR_REFUSED, "%.200s of %.200s leads to no commit", f->ref, f->source->url);
		return refused(f, ERR_REFUSED);
	}
	if (e)
		return broken(f, e, "its tip is damaged", err);
	git_oid_cpy(ret, git_object_id(commit));
	return 0;
}

static int not_on_ref(struct fetch *f, const char *why, struct err *err)
{
	err_set(err, ERR_REFUSED, "the commit %.64s %s %.200s of %.200s", f->source->commit, why, f->ref, f->source->url);
	err_hint(err, "push it to that ref first, or announce the ref that it is on");
	return refused(f, ERR_REFUSED);
}

/* The one commit in tip's history whose id begins with the digits. */
static int find_short(struct fetch *f, const git_oid *tip, struct err *err)
{
	CLEANUP(gitlib_revwalk_release) git_revwalk *walk = NULL;
	int e = git_revwalk_new(&walk, f->mirror.repo);
	if (!e)
		e = git_revwalk_push(walk, tip);
	const size_t digits = strlen(f->source->commit);
	git_oid id;
	unsigned found = 0;
	while (!e && !(e = git_revwalk_next(&id, walk))) {
		char text[GIT_OID_HEXSZ + 1];
		git_oid_tostr(text, sizeof text, &id);
		if (strncasecmp(text, f->source->commit, digits) != 0)
			continue;
		git_oid_cpy(&f->commit, &id);
		found++;
	}
	if (e != GIT_ITEROVER)
		return broken(f, e, "it cannot be walked", err);
	if (found == 1)
		return 0;
	return not_on_ref(f, found ? "is not the only one that begins so on" : "is not on", err);
}

static int find_full(struct fetch *f, const git_oid *tip, struct err *err)
{
	CLEANUP(gitlib_commit_release) git_commit *commit = NULL;
	int e = git_oid_fromstr(&f->commit, f->source->commit);
	if (!e)
		e = git_commit_lookup(&commit, f->mirror.repo, &f->commit);
	if (e == GIT_ENOTFOUND)
		return not_on_ref(f, "does not exist on", err);
	if (e)
		return broken(f, e, "the commit cannot be read", err);
	if (git_oid_equal(tip, &f->commit))
		return 0;
	e = git_graph_descendant_of(f->mirror.repo, tip, &f->commit);
	if (e < 0)
		return broken(f, e, "it cannot be walked", err);
	return e ? 0 : not_on_ref(f, "is not on", err);
}

static int find_commit(struct fetch *f, struct err *err)
{
	const char *commit = f->source->commit;
	git_oid tip;
	const int e = peel_tip(f, &tip, err);
	if (e)
		return e;
	if (!commit[0]) {
		git_oid_cpy(&f->commit, &tip);
		return 0;
	}
	if (hex_is_digits(commit, GIT_OID_HEXSZ, GIT_OID_HEXSZ))
		return find_full(f, &tip, err);
	if (hex_is_digits(commit, SHORT_COMMIT_MIN, GIT_OID_HEXSZ - 1))
		return find_short(f, &tip, err);
	err_set(err, ERR_INVALID, "'%.70s' is no commit id that can be fetched", commit);
	err_hint(err, "give 40 hexadecimal digits, or at least %d", SHORT_COMMIT_MIN);
	return refused(f, ERR_INVALID);
}

static int fetch_once(struct fetch *f, struct err *err)
{
	CLEANUP(gitlib_remote_release) git_remote *remote = NULL;
	f->link.err = (struct err){0};
	f->link.received_bytes = 0;
	f->is_mirror_broken = false;
	int e = open_remote(f, &remote, err);
	if (!e)
		e = choose_ref(f, remote, err);
	if (!e)
		e = find_tip(f, remote, err);
	if (!e)
		e = download(f, remote, err);
	if (!e)
		e = mirror_keep(&f->mirror, f->ref, &f->tip, err);
	return e ? e : find_commit(f, err);
}

static int send_text(struct fetch *f, enum stage_msg_type type, const char *text, struct err *err)
{
	struct stage_msg msg = {.type = type};
	snprintf(msg.u.text, sizeof msg.u.text, "%s", text);
	return stage_send(f->stage->msg_fd, &msg, err);
}

static int report(struct fetch *f, struct err *err)
{
	char text[GIT_OID_HEXSZ + 1];
	int e = 0;
	if (strlen(f->source->commit) != GIT_OID_HEXSZ)
		e = send_text(f, STAGE_MSG_COMMIT, git_oid_tostr(text, sizeof text, &f->commit), err);
	return e ? e : send_text(f, STAGE_MSG_REF_SEEN, f->ref, err);
}

static int fetch_all(struct fetch *f, struct err *err)
{
	int e = judge_source(f, err);
	if (!e)
		e = gitlib_setup(err);
	if (!e)
		e = limit_objects(f, err);
	if (!e)
		e = mirror_open(&f->mirror, f->stage->mirror_path, f->link.max_bytes * MIRROR_FACTOR, err);
	if (e)
		return e;
	e = fetch_once(f, err);
	if (e && f->is_mirror_broken && !mirror_reset(&f->mirror, NULL))
		e = fetch_once(f, err);
	return e ? e : report(f, err);
}

int stage_fetch_run(const struct stage_fetch *s)
{
	struct fetch f = {.stage = s, .source = &s->plan->source, .mirror = {.lock_fd = -1}, .outcome = JOB_ERROR};
	struct err err = {0};
	signal(SIGPIPE, SIG_IGN); /* TLS libraries write without MSG_NOSIGNAL */
	int e = sodium_init() < 0 ? err_set(&err, ERR_BUG, "libsodium does not start") : fetch_all(&f, &err);
	mirror_release(&f.mirror);
	return e ? stage_fail(s->msg_fd, f.outcome, err.hint[0] ? err.hint : NULL, "%s", err.what) : 0;
}
