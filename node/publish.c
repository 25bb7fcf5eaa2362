/* node.h, "publish.c": records in, ours and others', through intake and the store. */
#include <stdlib.h>
#include <string.h>

#include "node/net.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define LOAD_REFUSED_MAX 20000

/* A batch on its way to the disk. */
struct submission {
	struct node *n;
	struct intake_effects fx;
	node_done_fn done;
	void *user;
};

void node_event(struct node *n, struct store_batch *b, const char *type, json_t *object /* takes */)
{
	store_put_event(b, type, node_now(n), object);
	json_decref(object);
}

static void set_id(json_t *o, const char *key, const struct id32 *id)
{
	char text[ID32_TEXT_MAX];
	json_object_set_new(o, key, json_string(id32_format(text, id)));
}

static void set_node(json_t *o, const char *key, const struct node_id *id)
{
	char text[NODE_ID_TEXT_MAX];
	json_object_set_new(o, key, json_string(node_id_format(text, id)));
}

/* The event that a record of each kind is. */
static void event_of(struct node *n, struct store_batch *b, const struct intake_put *put)
{
	const struct record_fields *f = record_get(put->record);
	const char *type = f->kind == RECORD_PROJECT  ? "project"
			   : f->kind == RECORD_JOB    ? "job-announced"
			   : f->kind == RECORD_CANCEL ? "job-cancelled"
						      : record_kind_name(f->kind);
	json_t *o = json_object();
	set_id(o, "project", &put->project);
	if (put->has_job)
		set_id(o, "job", &put->job);
	if (put->commit[0])
		json_object_set_new(o, "commit", json_string(put->commit));
	set_id(o, "record", record_id(put->record));
	set_node(o, "node", &f->author);
	if (f->kind == RECORD_CLAIM) {
		struct claim_body claim;
		if (!claim_body_decode(put->record, &claim, NULL)) {
			json_object_set_new(o, "phase", json_string(claim.phase));
			json_object_set_new(o, "given_up", json_boolean(!claim.lease_until_ms));
		}
	}
	node_event(n, b, type, o);
}

static void fail_store(struct node *n, const struct err *err)
{
	n->store_failed = true;
	snprintf(n->store_why, sizeof n->store_why, "%s", err ? err->what : "the database cannot be written");
	log_error("event=store-failed why=\"%s\"", n->store_why);
}

static void on_durable(void *user, int code, const struct err *err)
{
	struct submission *s = user;
	struct node *n = s->n;
	n->pending--;
	n->durable_batches++;
	if (code) {
		/* the index, or the small state, is ahead of the store now; a probe says nothing new */
		if (s->user != &n->probe_ms)
			n->must_reload = true;
		fail_store(n, err);
		for (size_t i = 0; i < s->fx.puts_len; i++)
			net_not_stored(n, &s->fx.puts[i]);
	} else {
		n->store_failed = false;
		for (size_t i = 0; i < s->fx.puts_len; i++) {
			net_stored(n, &s->fx.puts[i]);
			node_react(n, &s->fx.puts[i]);
		}
	}
	if (s->done)
		s->done(n, s->user, code, err);
	intake_effects_release(&s->fx);
	free(s);
	n->hooks.want_work(n->hooks.user);
}

static void forget_record(struct store_batch *b, const struct id32 *id)
{
	char key[ID32_TEXT_MAX];
	store_delete_record(b, id);
	store_put_kv(b, "decision", id32_format(key, id), NULL, 0);
}

/* Takes fx's content and b. */
static int submit(struct node *n, struct intake_effects *fx, struct store_batch *b, node_done_fn done, void *user, struct err *err)
{
	struct submission *s = calloc(1, sizeof *s);
	if (!s || !b || fx->failed) {
		free(s);
		store_batch_free(b);
		n->must_reload = true;
		return err_set(err, ERR_NOMEM, "out of memory");
	}
	*s = (struct submission){.n = n, .fx = *fx, .done = done, .user = user};
	*fx = (struct intake_effects){0};
	for (size_t i = 0; i < s->fx.deletes_len; i++) {
		forget_record(b, &s->fx.deletes[i]);
		scheduler_forget(n->scheduler, &s->fx.deletes[i]);
		net_dropped(n, &s->fx.deletes[i]);
	}
	for (size_t i = 0; i < s->fx.puts_len; i++) {
		const struct intake_put *put = &s->fx.puts[i];
		store_put_record(b, put->record, &put->project, put->commit[0] ? put->commit : NULL, put->has_job ? &put->job : NULL);
		event_of(n, b, put);
		const struct ix_job *job = record_get(put->record)->kind == RECORD_JOB ? index_job(node_index(n), &put->job) : NULL;
		if (job) /* whoever is told of the job can ask why it is taken or not */
			node_decide(n, job, b);
	}
	n->pending++;
	const int rc = store_submit(n->store, b, on_durable, s, err);
	if (!rc)
		return 0;
	n->pending--;
	n->must_reload = s->fx.puts_len || s->fx.deletes_len;
	intake_effects_release(&s->fx);
	free(s);
	return rc;
}

int node_commit(struct node *n, struct store_batch *batch /* takes */, node_done_fn done, void *user, struct err *err)
{
	struct intake_effects fx = {0};
	return submit(n, &fx, batch, done, user, err);
}

static int sign(struct node *n, const struct node_own *own, struct store_batch *batch, struct record **ret, struct err *err)
{
	const uint64_t now = own->created_ms ? own->created_ms : node_now(n);
	struct record_fields f = {.kind = own->kind, .topic = *own->topic, .created_ms = now, .key = own->key, .key_len = own->key_len};
	f.expires_ms = now + record_kind_lifetime_ms(own->kind);
	f.sequence = own->sequence ? own->sequence : state_next_sequence(&n->state, now, batch);
	if (own->depends) {
		f.depends[0] = *own->depends;
		f.depends_len = 1;
	}
	const int rc = buf_check(own->body, "the record", err);
	if (rc)
		return rc;
	f.body = own->body->data;
	f.body_len = own->body->len;
	return identity_sign_record(n->identity, &f, n->config.network, ret, err);
}

static int refuse(enum intake_reason why, uint32_t kind, struct err *err)
{
	err_set(err, ERR_REFUSED, "cannot publish this %s: %s", record_kind_name(kind), intake_reason_name(why));
	if (why == INTAKE_NO_AUTHORITY)
		return err_hint(err, "this node is not a maintainer of the project: its founder names maintainers (talkoo project create --maintainer)");
	if (why == INTAKE_EXPIRED || why == INTAKE_ASIDE)
		return err_hint(err, "is this machine's clock right?");
	return ERR_REFUSED;
}

int node_publish(struct node *n, const struct node_own *own, struct store_batch *batch /* takes */, node_done_fn done, void *user,
		 struct id32 *ret_id, struct err *err)
{
	CLEANUP(record_unrefp) struct record *r = NULL;
	CLEANUP(intake_effects_release) struct intake_effects fx = {0};
	batch = batch ? batch : store_batch_new();
	if (!batch)
		return err_set(err, ERR_NOMEM, "out of memory");
	/* what runs already is still renewed and reported: nothing new is begun */
	if (n->clock_off_ms && own->kind != RECORD_CLAIM && own->kind != RECORD_RESULT) {
		store_batch_free(batch);
		err_set(err, ERR_REFUSED, "this machine's clock is %lld min off its peers': nothing is signed with it", (long long)(n->clock_off_ms / 60000));
		return err_hint(err, "set the clock (timedatectl set-ntp true)");
	}
	int rc = sign(n, own, batch, &r, err);
	enum intake_reason why = INTAKE_ADMITTED;
	if (!rc)
		why = intake_offer(n->intake, r, INTAKE_OWN, own->created_ms ? own->created_ms : node_now(n), &fx);
	if (!rc && why != INTAKE_ADMITTED)
		rc = refuse(why, own->kind, err);
	if (rc) {
		store_batch_free(batch);
		return rc;
	}
	if (ret_id)
		*ret_id = *record_id(r);
	return submit(n, &fx, batch, done, user, err);
}

/* PROTOCOL 4.5: a restored backup would go mute where its own newer records are known already. */
static void adopt_sequence(struct node *n, const struct record *r)
{
	const struct record_fields *f = record_get(r);
	if (!node_id_eq(&f->author, &n->self) || f->sequence <= n->state.last_sequence)
		return;
	struct store_batch *b = store_batch_new();
	if (!b)
		return;
	state_adopt_sequence(&n->state, f->sequence, b);
	log_warn("event=sequence-adopted sequence=%llu", (unsigned long long)f->sequence);
	if (node_commit(n, b, NULL, NULL, NULL))
		log_warn("event=sequence-not-stored");
}

enum intake_reason node_receive(struct node *n, struct record *r, uint64_t source, struct id32 *ret_missing)
{
	CLEANUP(intake_effects_release) struct intake_effects fx = {0};
	adopt_sequence(n, r);
	const enum intake_reason why = intake_offer(n->intake, r, source, node_now(n), &fx);
	*ret_missing = fx.missing;
	node_apply(n, &fx);
	return why;
}

void node_apply(struct node *n, struct intake_effects *fx)
{
	struct err err;
	if ((fx->puts_len || fx->deletes_len || fx->failed) && submit(n, fx, store_batch_new(), NULL, NULL, &err))
		log_error("event=store-refused why=\"%s\"", err.what);
}

/* ---- loading */

struct loading {
	struct node *n;
	struct intake_effects fx;
	struct id32 refused[LOAD_REFUSED_MAX]; /* more of them leave at the next start */
	size_t refused_len;
};

static bool on_row(void *user, struct record *r)
{
	struct loading *l = user;
	const struct record_fields *f = record_get(r);
	/* a restored backup: our own records elsewhere may have gone further */
	if (node_id_eq(&f->author, &l->n->self) && f->sequence > l->n->state.last_sequence)
		l->n->state.last_sequence = f->sequence;
	const enum intake_reason why = intake_restore(l->n->intake, r, node_now(l->n), &l->fx);
	if (why == INTAKE_NO_MEMORY)
		l->fx.failed = true;
	else if (why != INTAKE_ADMITTED && why != INTAKE_DUPLICATE && l->refused_len < LOAD_REFUSED_MAX)
		l->refused[l->refused_len++] = *record_id(r);
	return !l->fx.failed;
}

static bool trusts(void *user, const struct node_id *key)
{
	const struct node *n = user;
	return node_id_eq(key, &n->self) || state_trust_find(&n->state, key);
}

static int new_intake(struct node *n, struct intake_limits *limits, struct err *err)
{
	uint8_t hash_key[crypto_shorthash_KEYBYTES];
	intake_limits_default(limits);
	limits->bytes = n->config.caps.database_bytes / 4 * 3;
	randombytes_buf(hash_key, sizeof hash_key);
	intake_free(n->intake);
	n->intake = intake_new(limits, hash_key);
	if (!n->intake)
		return err_set(err, ERR_NOMEM, "out of memory");
	intake_trust(n->intake, trusts, n);
	for (size_t i = 0; i < n->state.follow_len; i++)
		intake_follow(n->intake, &n->state.follow[i].project);
	return 0;
}

/* What the rules refuse now (its job is gone, its author was removed) leaves the store too: answers are made from there. */
static void drop_refused(struct node *n, const struct loading *l)
{
	struct store_batch *b = l->refused_len + l->fx.deletes_len ? store_batch_new() : NULL;
	if (!b)
		return;
	for (size_t i = 0; i < l->refused_len; i++)
		forget_record(b, &l->refused[i]);
	for (size_t i = 0; i < l->fx.deletes_len && i < LOAD_REFUSED_MAX; i++)
		forget_record(b, &l->fx.deletes[i]);
	log_info("event=load dropped=%zu", l->refused_len + l->fx.deletes_len);
	if (node_commit(n, b, NULL, NULL, NULL))
		log_warn("event=load-not-cleared");
}

int node_load(struct node *n, struct err *err)
{
	static const uint32_t order[] = {RECORD_PROJECT, RECORD_JOB, RECORD_CANCEL, RECORD_CLAIM, RECORD_RESULT};
	struct intake_limits limits;
	CLEANUP(cleanup_free) struct loading *l = calloc(1, sizeof *l);
	if (!l)
		return err_set(err, ERR_NOMEM, "out of memory");
	l->n = n;
	int rc = new_intake(n, &limits, err);
	for (size_t i = 0; i < ARRAY_LEN(order) && !rc; i++) {
		const struct store_filter filter = {.kind = order[i], .limit = limits.records};
		rc = store_each_now(n->store, &filter, on_row, l, err);
	}
	if (!rc && l->fx.failed)
		rc = err_set(err, ERR_NOMEM, "out of memory");
	if (!rc)
		drop_refused(n, l);
	intake_effects_release(&l->fx);
	n->must_reload = rc != 0;
	net_reloaded(n);
	return rc;
}
