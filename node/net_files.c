/* net.h: files of results, from peers and for them. What touches the disk runs in tasks; what a result says is read on the store's reader
 * threads. */
#include "node/net_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/blobs.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/log.h"
#include "proto/body.h"
#include "proto/statement.h"

#define OFFER_LIFE_MS UINT64_C(120000)
#define OFFER_CARRIERS 2

/* ---- which files a result names */

/* The digest of a result's file by name; index_path: where the result's index blob would lie, for lists that were moved there. */
static bool digest_in(const struct statement *s, const char *name, struct blob_digest *ret)
{
	if (!strncmp(name, "artifacts/", 10))
		for (size_t i = 0; i < s->artifacts_len; i++)
			if (!strcmp(s->artifacts[i].path, name + 10)) {
				*ret = s->artifacts[i].digest;
				return true;
			}
	return false;
}

static bool read_index(struct statement *s, const char *dir)
{
	CLEANUP(buf_release) struct buf text;
	char path[PATH_MAX];
	buf_init(&text, EXCHANGE_SIZE_MAX);
	return (size_t)snprintf(path, sizeof path, "%s/index.json", dir) < sizeof path && !io_read_file(path, &text, NULL) &&
	       !statement_read_index(s, text.data, text.len, NULL);
}

static int find_digest(struct record *r, const char *name, const char *dir, struct blob_digest *ret, struct err *err)
{
	struct result_body body;
	struct statement s = {0};
	bool has_statement = false, is_found = false;
	const int rc = result_open(r, &body, &s, &has_statement, err);
	if (rc)
		return rc;
	if (!strcmp(name, "log")) {
		is_found = has_statement || body.has_log;
		*ret = has_statement ? s.log : body.log;
	} else if (has_statement && !strcmp(name, "index.json")) {
		is_found = s.has_index;
		*ret = s.index;
	} else if (has_statement) {
		if (s.has_index)
			(void)read_index(&s, dir);
		is_found = digest_in(&s, name, ret);
	}
	statement_release(&s);
	return is_found ? 0 : err_set(err, ERR_NOT_FOUND, "the result names no file %.80s", name);
}

/* ---- fetching: what does the result say of it -> is it here -> ask peers -> keep it */

struct fetch {
	struct node *n;
	uint32_t number;
	struct id32 result;
	char name[EXCHANGE_NAME_MAX];
	char dir[PATH_MAX];
	struct blob_digest digest;
	bool is_here;
	uint8_t *bytes; /* owned, to be written */
	size_t len;
	char blobs[PATH_MAX], job[ID32_TEXT_MAX];
	uint64_t cap;
	int rc;
	struct err err;
};

static void free_fetch(struct fetch *f)
{
	free(f->bytes);
	free(f);
}

static struct net_fetching *fetching(struct node *n, uint32_t number)
{
	for (size_t i = 0; n->net && number && i < NET_FETCHES_MAX; i++)
		if (n->net->fetches[i].number == number)
			return &n->net->fetches[i];
	return NULL;
}

static void finish(struct node *n, uint32_t number, int rc, const struct err *err)
{
	struct net_fetching *g = fetching(n, number);
	if (!g)
		return;
	const struct net_fetching was = *g;
	*g = (struct net_fetching){0};
	if (was.done)
		was.done(n, was.user, rc, err);
	n->hooks.want_work(n->hooks.user);
}

static bool keep_one(void *user, struct record *r)
{
	*(struct record **)user = record_ref(r);
	return false;
}

/* On a reader thread. */
static void resolve(struct store *view, void *user)
{
	struct fetch *f = user;
	CLEANUP(record_unrefp) struct record *r = NULL;
	CLEANUP(cleanup_fd) int fd = -1;
	const struct store_filter filter = {.kind = RECORD_RESULT, .id = &f->result, .limit = 1};
	struct stat st;
	f->rc = store_each_now(view, &filter, keep_one, &r, &f->err);
	if (!f->rc && !r)
		f->rc = err_set(&f->err, ERR_NOT_FOUND, "no such result is stored here");
	if (!f->rc)
		f->rc = find_digest(r, f->name, f->dir, &f->digest, &f->err);
	if (!f->rc && !blobs_open(f->dir, f->name, &fd, NULL))
		f->is_here = !fstat(fd, &st) && (uint64_t)st.st_size == f->digest.size;
}

static void on_resolved(void *user)
{
	struct fetch *f = user;
	struct node *n = f->n;
	struct net_fetching *g = fetching(n, f->number);
	if (g && !f->rc && !f->is_here) {
		memcpy(g->ref.root, f->digest.root, sizeof g->ref.root);
		g->ref.size = f->digest.size;
		if (f->digest.size > EXCHANGE_SIZE_MAX)
			f->rc = err_set(&f->err, ERR_LIMIT, "%.80s is larger than 16 MiB: it is kept only where it was made", f->name);
		else if (!(g->want = exchange_want(network_exchange(n->net->network), &g->ref, g->from, net_mono(n))))
			f->rc = err_set(&f->err, ERR_LIMIT, "too many files are being fetched");
	}
	if (g && (f->rc || f->is_here))
		finish(n, f->number, f->rc, f->rc ? &f->err : NULL);
	if (g)
		n->hooks.want_work(n->hooks.user);
	free_fetch(f);
}

static struct fetch *new_fetch(struct node *n, const struct net_fetching *g)
{
	struct fetch *f = calloc(1, sizeof *f);
	if (!f)
		return NULL;
	*f = (struct fetch){.n = n, .number = g->number, .result = g->ref.result, .cap = n->config.caps.blobs_bytes};
	snprintf(f->name, sizeof f->name, "%s", g->ref.name);
	snprintf(f->blobs, sizeof f->blobs, "%s", n->home.blobs);
	id32_format(f->job, &g->job);
	if (!blobs_dir(&n->home, &g->job, &g->ref.author, f->dir, NULL))
		return f;
	free(f);
	return NULL;
}

int net_fetch(struct node *n, const struct id32 *result, const char *name, uint32_t from, node_done_fn done, void *user, struct err *err)
{
	const struct ix_entry *e = index_entry(node_index(n), result);
	struct net_fetching *g = NULL;
	if (!n->net)
		return err_set(err, ERR_UNREACHABLE, "this node has no network");
	if (!e || e->kind != RECORD_RESULT || !e->job)
		return err_set(err, ERR_NOT_FOUND, "no such result is known here");
	if (strlen(name) >= EXCHANGE_NAME_MAX)
		return err_set(err, ERR_LIMIT, "that path is too long to be fetched");
	for (size_t i = 0; i < NET_FETCHES_MAX && !g; i++)
		if (!n->net->fetches[i].number)
			g = &n->net->fetches[i];
	if (!g)
		return err_set(err, ERR_LIMIT, "too many files are being fetched");
	*g = (struct net_fetching){.number = ++n->net->last_fetch, .from = from, .job = e->job->entry.id, .done = done, .user = user};
	g->ref.result = *result;
	g->ref.author = e->author;
	topic_derive(&e->project->id, &g->ref.topic);
	snprintf(g->ref.name, sizeof g->ref.name, "%s", name);
	struct fetch *f = new_fetch(n, g);
	int rc = f ? store_read(n->store, resolve, on_resolved, f, err) : err_set(err, ERR_NOMEM, "out of memory");
	if (rc) {
		free(f);
		*g = (struct net_fetching){0};
	}
	return rc;
}

/* ---- keeping what came */

/* DIR/NAME, with the folders between, written beside its place and renamed. */
static int write_file(const char *dir, const char *name, const uint8_t *bytes, size_t len, struct err *err)
{
	char path[PATH_MAX], folder[PATH_MAX];
	if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path)
		return err_set(err, ERR_LIMIT, "%.80s: path too long", name);
	snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
	int rc = io_mkdirs(folder, 0700, err);
	if (!rc)
		rc = io_replace_file(path, bytes, len, 0600, err);
	return rc;
}

/* In another thread. */
static void keep(void *user)
{
	struct fetch *f = user;
	f->rc = write_file(f->dir, f->name, f->bytes, f->len, &f->err);
	(void)blobs_prune(f->blobs, f->cap, f->job);
}

static void on_written(struct node *n, void *user)
{
	struct fetch *f = user;
	n->pending--;
	finish(n, f->number, f->rc, f->rc ? &f->err : NULL);
	free_fetch(f);
}

static struct net_fetching *by_want(struct node *n, uint32_t want)
{
	for (size_t i = 0; want && i < NET_FETCHES_MAX; i++)
		if (n->net->fetches[i].number && n->net->fetches[i].want == want)
			return &n->net->fetches[i];
	return NULL;
}

/* Only a name that lies below its folder is written: artifacts' paths come from the verified statement, which knows no others. */
static void on_fetched(struct node *n, struct net_fetching *g, const struct exchange_action *a)
{
	struct err err = {0};
	struct fetch *f = tree_path_is_valid(g->ref.name) ? new_fetch(n, g) : NULL;
	uint8_t *copy = f ? malloc(a->len + 1) : NULL;
	if (copy) {
		if (a->len)
			memcpy(copy, a->bytes, a->len);
		f->bytes = copy;
		f->len = a->len;
		const struct node_task task = {.run = keep, .done = on_written, .user = f};
		if (!n->hooks.task(n->hooks.user, &task, &err)) {
			n->pending++;
			return;
		}
	}
	if (f)
		free_fetch(f);
	finish(n, g->number, err_set(&err, ERR_NOMEM, "out of memory"), &err);
}

static void on_fetch_failed(struct node *n, struct net_fetching *g, const struct exchange_action *a)
{
	struct err err;
	const int rc = err_set(&err, ERR_NOT_FOUND, "nobody who can be reached has %.80s (%s)", g->ref.name, exchange_end_name(a->why));
	finish(n, g->number, rc, &err);
}

/* The same blob may be wanted by several. */
static void on_want_over(struct node *n, const struct exchange_action *a)
{
	for (struct net_fetching *g; (g = by_want(n, a->want));) {
		g->want = 0;
		if (a->type == EXCHANGE_DONE)
			on_fetched(n, g, a);
		else
			on_fetch_failed(n, g, a);
	}
}

/* ---- serving */

struct opening {
	struct node *n;
	uint32_t serve;
	struct exchange_ref ref;
	char dir[PATH_MAX];
	uint8_t *map;
	struct merkle_hash *leaves; /* owned */
	size_t leaves_len;
};

/* In another thread. The file of that size, mapped; whether it is the one that is meant is for the asker to see, leaf by leaf. */
static void open_file(void *user)
{
	struct opening *o = user;
	CLEANUP(cleanup_fd) int fd = -1;
	struct stat st;
	if (blobs_open(o->dir, o->ref.name, &fd, NULL) || fstat(fd, &st) || (uint64_t)st.st_size != o->ref.size)
		return;
	o->leaves_len = (size_t)((o->ref.size + MERKLE_LEAF_LEN - 1) / MERKLE_LEAF_LEN);
	o->leaves = calloc(o->leaves_len ? o->leaves_len : 1, sizeof *o->leaves);
	void *map = mmap(NULL, o->ref.size ? o->ref.size : 1, PROT_READ, o->ref.size ? MAP_PRIVATE : MAP_PRIVATE | MAP_ANONYMOUS,
			 o->ref.size ? fd : -1, 0);
	if (map == MAP_FAILED || !o->leaves) {
		if (map != MAP_FAILED)
			munmap(map, o->ref.size ? o->ref.size : 1);
		return;
	}
	o->map = map;
	merkle_leaves(o->map, (size_t)o->ref.size, o->leaves);
}

/* serve 0: a free one. NULL: none, or the asker has gone meanwhile. */
static struct net_serve *find_serve(struct node *n, uint32_t serve)
{
	for (size_t i = 0; n->net && i < EXCHANGE_SERVES_MAX; i++)
		if (n->net->serves[i].serve == serve)
			return &n->net->serves[i];
	return NULL;
}

static void on_opened(struct node *n, void *user)
{
	struct opening *o = user;
	struct net_serve *s = find_serve(n, o->serve);
	const size_t len = (size_t)(o->ref.size ? o->ref.size : 1);
	n->pending--;
	if (o->map && s) {
		*s = (struct net_serve){.serve = o->serve, .map = o->map, .len = len};
		exchange_opened(network_exchange(n->net->network), o->serve, o->map, o->leaves, o->leaves_len, net_mono(n));
	} else {
		if (o->map)
			munmap(o->map, len);
		if (n->net)
			exchange_refused(network_exchange(n->net->network), o->serve, EXCHANGE_END_NOT_FOUND, net_mono(n));
	}
	free(o->leaves);
	free(o);
	n->hooks.want_work(n->hooks.user);
}

static void on_open(struct node *n, const struct exchange_action *a)
{
	const struct ix_entry *e = index_entry(node_index(n), &a->ref.result);
	struct opening *o = e && e->kind == RECORD_RESULT && e->job ? calloc(1, sizeof *o) : NULL;
	const struct node_task task = {.run = open_file, .done = on_opened, .user = o};
	struct net_serve *s = find_serve(n, 0);
	if (o && s) {
		*o = (struct opening){.n = n, .serve = a->serve, .ref = a->ref};
		if (!blobs_dir(&n->home, &e->job->entry.id, &e->author, o->dir, NULL) && !n->hooks.task(n->hooks.user, &task, NULL)) {
			n->pending++;
			*s = (struct net_serve){.serve = a->serve};
			return;
		}
	}
	free(o);
	exchange_refused(network_exchange(n->net->network), a->serve, EXCHANGE_END_NOT_FOUND, net_mono(n));
}

static void on_close(struct node *n, uint32_t serve)
{
	for (size_t i = 0; i < EXCHANGE_SERVES_MAX; i++)
		if (n->net->serves[i].serve == serve) {
			if (n->net->serves[i].map)
				munmap(n->net->serves[i].map, n->net->serves[i].len);
			n->net->serves[i] = (struct net_serve){0};
		}
}

void net_files_close(struct node *n)
{
	for (size_t i = 0; i < EXCHANGE_SERVES_MAX; i++)
		if (n->net->serves[i].serve)
			on_close(n, n->net->serves[i].serve);
}

/* ---- offers */

static void on_offer_done(struct node *n, void *user, int code, const struct err *err)
{
	(void)n;
	(void)user;
	if (code)
		log_debug("event=offer-not-fetched why=\"%s\"", err ? err->what : "");
}

/* False: its result is not here yet. */
static bool take_offer(struct node *n, const struct net_offer *o)
{
	struct err err;
	if (!index_entry(node_index(n), &o->ref.result))
		return false;
	if (net_fetch(n, &o->ref.result, o->ref.name, o->from, on_offer_done, NULL, &err))
		log_debug("event=offer-not-taken why=\"%s\"", err.what);
	return true;
}

static void on_offered(struct node *n, const struct exchange_action *a)
{
	struct net *net = n->net;
	const struct net_offer o = {.from = a->peer, .until_ms = net_mono(n) + OFFER_LIFE_MS, .ref = a->ref};
	bool is_followed = false;
	for (size_t i = 0; i < network_topics_len(net->network) && !is_followed; i++)
		is_followed = id32_eq(network_topic(net->network, i), &a->ref.topic);
	if (!is_followed || a->ref.size > EXCHANGE_SIZE_MAX || take_offer(n, &o) || net->offers_len == NET_OFFERS_MAX)
		return;
	net->offers[net->offers_len++] = o; /* the result itself is on its way */
}

static void take_offers_of(struct node *n, const struct id32 *result)
{
	struct net *net = n->net;
	for (size_t i = net->offers_len; i-- > 0;)
		if (id32_eq(&net->offers[i].ref.result, result) && take_offer(n, &net->offers[i]))
			net->offers[i] = net->offers[--net->offers_len];
}

void net_files_tick(struct node *n)
{
	struct net *net = n->net;
	const uint64_t now = net_mono(n);
	for (size_t i = net->offers_len; i-- > 0;)
		if (net->offers[i].until_ms <= now)
			net->offers[i] = net->offers[--net->offers_len];
}

/* To whom the files of our result are handed: the announcer, else two that carry the topic. */
static size_t choose_carriers(struct node *n, const struct id32 *topic, const struct id32 *job, uint32_t ret[OFFER_CARRIERS])
{
	const struct ix_job *j = index_job(node_index(n), job);
	size_t len = 0;
	const uint32_t announcer = j ? network_find(n->net->network, &j->entry.author) : 0;
	if (announcer)
		ret[len++] = announcer;
	else
		len = network_carriers(n->net->network, topic, ret, OFFER_CARRIERS);
	return len;
}

static void offer(struct node *n, const struct exchange_ref *about, const char *name, const struct blob_digest *d, const uint32_t *peers, size_t peers_len)
{
	struct exchange_ref ref = *about;
	if (d->size > EXCHANGE_SIZE_MAX || (size_t)snprintf(ref.name, sizeof ref.name, "%s", name) >= sizeof ref.name)
		return;
	memcpy(ref.root, d->root, sizeof ref.root);
	ref.size = d->size;
	for (size_t i = 0; i < peers_len; i++)
		exchange_offer(network_exchange(n->net->network), peers[i], &ref);
}

static void offer_all(struct node *n, const struct intake_put *put, const uint32_t *peers, size_t peers_len)
{
	struct exchange_ref ref = {.topic = record_get(put->record)->topic, .result = *record_id(put->record), .author = n->self};
	struct result_body body;
	struct statement s = {0};
	bool has_statement = false;
	char name[EXCHANGE_NAME_MAX];
	if (result_open(put->record, &body, &s, &has_statement, NULL))
		return;
	if (has_statement || body.has_log)
		offer(n, &ref, "log", has_statement ? &s.log : &body.log, peers, peers_len);
	if (has_statement && s.has_index)
		offer(n, &ref, "index.json", &s.index, peers, peers_len);
	for (size_t i = 0; has_statement && i < s.artifacts_len; i++)
		if ((size_t)snprintf(name, sizeof name, "artifacts/%s", s.artifacts[i].path) < sizeof name)
			offer(n, &ref, name, &s.artifacts[i].digest, peers, peers_len);
	statement_release(&s);
}

void net_files_result(struct node *n, const struct intake_put *put)
{
	uint32_t peers[OFFER_CARRIERS];
	if (!node_id_eq(&record_get(put->record)->author, &n->self)) {
		take_offers_of(n, record_id(put->record));
		return;
	}
	const size_t len = choose_carriers(n, &record_get(put->record)->topic, &put->job, peers);
	if (len)
		offer_all(n, put, peers, len);
}

void net_files_act(struct node *n, const struct exchange_action *a)
{
	switch (a->type) {
	case EXCHANGE_SEND: break; /* the network's own */
	case EXCHANGE_OPEN: on_open(n, a); break;
	case EXCHANGE_CLOSE: on_close(n, a->serve); break;
	case EXCHANGE_OFFERED: on_offered(n, a); break;
	case EXCHANGE_DONE:
	case EXCHANGE_FAILED: on_want_over(n, a); break;
	}
}
