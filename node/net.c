/* net.h: life, records, clock. */
#include "node/net_impl.h"

#include <config.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/netaddr.h"
#include "proto/body.h"
#include "runner/image.h"

uint64_t net_mono(const struct node *n)
{
	return n->hooks.mono_ms(n->hooks.user);
}

struct network *net_network(struct node *n)
{
	return n->net ? n->net->network : NULL;
}

/* ---- what is followed, and where its carriers are */

static void follow(struct node *n, const struct state_follow *f)
{
	struct id32 topic;
	topic_derive(&f->project, &topic);
	if (!network_follow(n->net->network, &topic, net_mono(n)))
		log_warn("event=follow-full");
	for (size_t i = 0; i < f->seeds_len; i++)
		if (!node_id_eq(&f->seeds[i].id, &n->self))
			network_pin(n->net->network, &f->seeds[i], true, net_mono(n));
}

static void load_entries(struct node *n)
{
	size_t at = 0;
	for (const struct ix_entry *e; (e = idmap_next(&node_index(n)->entries, &at));) {
		const struct recset_item item = {e->expires_ms, e->id};
		struct id32 topic;
		if (e->authority == IX_BESIDE)
			continue; /* kept for ourselves, beside the set */
		topic_derive(&e->project->id, &topic);
		network_load(n->net->network, &topic, e->kind, &item);
	}
	at = 0;
	for (const struct ix_project *p; (p = idmap_next(&node_index(n)->projects, &at));) {
		const struct recset_item item = {p->entry.expires_ms, p->entry.id};
		struct id32 topic;
		topic_derive(&p->id, &topic);
		network_load(n->net->network, &topic, RECORD_PROJECT, &item);
	}
}

/* Follows are the core's; the network's are made the same when they changed. */
static void sync_follows(struct node *n)
{
	struct net *net = n->net;
	struct id32 topic;
	if (net->is_follow_known && net->follow_generation == intake_follow_generation(n->intake))
		return;
	net->is_follow_known = true;
	net->follow_generation = intake_follow_generation(n->intake);
	for (size_t i = network_topics_len(net->network); i-- > 0;) {
		const struct id32 *have = network_topic(net->network, i);
		bool is_wanted = false;
		for (size_t k = 0; k < n->state.follow_len && !is_wanted; k++) {
			topic_derive(&n->state.follow[k].project, &topic);
			is_wanted = id32_eq(&topic, have);
		}
		if (!is_wanted) {
			topic = *have;
			network_unfollow(net->network, &topic, net_mono(n));
		}
	}
	for (size_t i = 0; i < n->state.follow_len; i++)
		follow(n, &n->state.follow[i]);
	load_entries(n);
}

/* ---- our own node record */

static void fill_images(const struct node *n, struct node_body *body)
{
	struct image_list list = {0};
	if (image_list(n->home.images, &list, NULL))
		return;
	for (size_t i = 0; i < list.len && body->images_len < NODE_IMAGES_MAX; i++) {
		char *name = body->images[body->images_len];
		const int len = snprintf(name, sizeof body->images[0], "%s@%s", list.images[i].name, list.images[i].version);
		body->images_len += len < (int)sizeof body->images[0] && image_name_is_valid(name);
	}
	image_list_release(&list);
}

static int sign_self(struct node *n, struct store_batch *b, struct record **ret, struct err *err)
{
	struct node_body body = {.addresses_len = 1};
	struct utsname machine;
	CLEANUP(buf_release) struct buf bytes;
	buf_init(&bytes, RECORD_LEN_MAX);
	snprintf(body.addresses[0].host, sizeof body.addresses[0].host, "%s", n->net->address.host);
	body.addresses[0].port = n->net->address.port;
	snprintf(body.arch, sizeof body.arch, "%.31s", uname(&machine) ? "unknown" : machine.machine);
	snprintf(body.software, sizeof body.software, "talkoo %s", PACKAGE_VERSION);
	fill_images(n, &body);
	node_body_encode(&body, &bytes);
	const int rc = buf_check(&bytes, "the node record", err);
	if (rc)
		return rc;
	const struct record_fields f = {.kind = RECORD_NODE,
					.created_ms = node_now(n),
					.sequence = state_next_sequence(&n->state, node_now(n), b),
					.body = bytes.data,
					.body_len = bytes.len};
	return identity_sign_record(n->identity, &f, n->config.network, ret, err);
}

/* A node that others may call says where, to those who ask; the sequence it takes is stored first. */
static void renew_self(struct node *n)
{
	struct net *net = n->net;
	struct err err;
	if (!net->address.port || node_now(n) < net->self_renew_ms)
		return;
	net->self_renew_ms = node_now(n) + NET_SELF_RENEW_MS;
	struct store_batch *b = store_batch_new();
	CLEANUP(record_unrefp) struct record *r = NULL;
	if (!b || sign_self(n, b, &r, &err) || node_commit(n, b, NULL, NULL, &err)) {
		log_warn("event=no-node-record why=\"%s\"", b ? err.what : "out of memory");
		return;
	}
	network_set_self(net->network, r);
}

/* Where others may call us: `address` of config.yml, else the address that `listen` names, if it is a single one. */
static void find_address(struct node *n, uint16_t port)
{
	char text[ADDR_TEXT_MAX * 2], id[NODE_ID_TEXT_MAX];
	struct node_addr addr;
	const char *listen = n->config.listen, *colon = strrchr(listen, ':');
	node_id_format(id, &n->self);
	/* the port is the one that was bound: `listen: HOST:0` takes any */
	if (n->config.address[0])
		snprintf(text, sizeof text, "%s@%s", id, n->config.address);
	else
		snprintf(text, sizeof text, "%s@%.*s:%u", id, colon ? (int)(colon - listen) : (int)strlen(listen), listen, port);
	if (node_addr_parse(text, &addr, NULL))
		return;
	if (!strcmp(addr.host, "0.0.0.0") || !strcmp(addr.host, "::"))
		return;
	n->net->address = addr;
}

void net_listening(struct node *n, uint16_t port)
{
	network_set_listening(n->net->network, port);
	find_address(n, port);
	renew_self(n);
}

bool net_address(const struct node *n, struct node_addr *ret)
{
	if (!n->net || !n->net->address.port)
		return false;
	*ret = n->net->address;
	return true;
}

/* ---- life */

static bool is_private_host(const char *host)
{
	struct sockaddr_storage address;
	return netaddr_parse(host, &address) && netaddr_classify((const struct sockaddr *)&address) != NETADDR_PUBLIC;
}

/* A network of one machine or one house: then others' private addresses are worth calling. */
static bool is_private_network(const struct node *n)
{
	for (size_t i = 0; i < n->config.seeds_len; i++)
		if (is_private_host(n->config.seeds[i].host))
			return true;
	const char *colon = strrchr(n->config.listen, ':');
	char host[ADDR_TEXT_MAX];
	snprintf(host, sizeof host, "%.*s", colon ? (int)(colon - n->config.listen) : 0, n->config.listen);
	return is_private_host(host);
}

int net_open(struct node *n, const struct net_options *o, struct err *err)
{
	struct net *net = calloc(1, sizeof *net);
	if (!net)
		return err_set(err, ERR_NOMEM, "out of memory");
	n->net = net;
	struct network_options no = {.network = n->config.network,
				     .identity_secret = identity_lend_secret(n->identity),
				     .is_private = is_private_network(n),
				     .more_kinds = o->more_kinds,
				     .more_kinds_len = o->more_kinds_len,
				     .now_ms = net_mono(n),
				     .unix_ms = node_now(n)};
	memcpy(no.seed, o->seed, sizeof no.seed);
	net->waiting = calloc(NET_WAITING_MAX, sizeof *net->waiting);
	const int rc = net->waiting ? network_new(&no, &net->network, err) : err_set(err, ERR_NOMEM, "out of memory");
	sodium_memzero(&no, sizeof no);
	if (rc) {
		net_close(n);
		return rc;
	}
	for (size_t i = 0; i < n->config.seeds_len; i++)
		if (!node_id_eq(&n->config.seeds[i].id, &n->self))
			network_pin(net->network, &n->config.seeds[i], true, net_mono(n));
	net_work(n);
	return 0;
}

void net_close(struct node *n)
{
	struct net *net = n->net;
	if (!net)
		return;
	net_files_close(n);
	network_free(net->network);
	for (size_t i = 0; i < net->waiting_len; i++)
		free(net->waiting[i].bytes);
	free(net->waiting);
	free(net);
	n->net = NULL;
}

/* ---- records from peers: a batch at a time on a worker thread, then intake */

struct verifying {
	struct net_offered items[NET_VERIFY_MAX];
	size_t len;
	char network[33];
};

/* In another thread. */
static void verify(void *user)
{
	struct verifying *v = user;
	for (size_t i = 0; i < v->len; i++) {
		struct net_offered *o = &v->items[i];
		if (record_open(o->bytes, o->len, o->signature, v->network, &o->record, &o->why, NULL))
			o->record = NULL;
	}
}

/* What becomes of an offered record in gossip, by intake's reason. */
static void answer(struct node *n, const struct net_offered *o, enum intake_reason why, const struct id32 *missing)
{
	struct network *net = n->net->network;
	switch (why) {
	case INTAKE_ADMITTED: return; /* net_stored() spreads it */
	case INTAKE_PARKED:
		network_refused(net, &o->id);
		network_want(net, missing, o->from, net_mono(n)); /* a job, or the topic whose project is missing */
		return;
	case INTAKE_PARKED_FULL:
	case INTAKE_TOPIC_FULL:
	case INTAKE_NO_MEMORY: network_postponed(net, &o->id, net_mono(n)); return;
	case INTAKE_DUPLICATE:
	case INTAKE_SUPERSEDED:
	case INTAKE_EXPIRED:
	case INTAKE_ASIDE:
	case INTAKE_NOT_FOLLOWED:
	case INTAKE_UNKNOWN_KIND:
	case INTAKE_NOT_KEPT:
	case INTAKE_BAD_BODY:
	case INTAKE_BAD_TOPIC:
	case INTAKE_NO_AUTHORITY:
	case INTAKE_MISMATCH:
	case INTAKE_CROWDED:
	case INTAKE_QUOTA: network_refused(net, &o->id); return;
	}
}

static void judge(struct node *n, const struct net_offered *o)
{
	struct net *net = n->net;
	struct id32 missing = {{0}};
	char id[ID32_TEXT_MAX];
	if (!o->record) {
		net->counts.rejects[o->why]++;
		log_debug("event=record-bad id=%.12s from=%u why=%s", id32_format(id, &o->id), o->from, record_reject_name(o->why));
		/* RECORD_OK: no memory here, which is nobody's fault */
		network_unproven(net->network, &o->id, o->why == RECORD_OK ? 0 : o->from, net_mono(n));
		return;
	}
	const enum intake_reason why = node_receive(n, o->record, o->from, &missing);
	net->counts.reasons[why]++;
	if (why != INTAKE_ADMITTED && why != INTAKE_DUPLICATE)
		log_debug("event=record-not-taken id=%.12s from=%u why=%s", id32_format(id, &o->id), o->from, intake_reason_name(why));
	answer(n, o, why, &missing);
}

static void begin_verifying(struct node *n);

static void on_verified(struct node *n, void *user)
{
	struct verifying *v = user;
	n->pending--;
	for (size_t i = 0; i < v->len; i++) {
		if (n->net)
			judge(n, &v->items[i]);
		record_unref(v->items[i].record);
		free(v->items[i].bytes);
	}
	free(v);
	if (n->net) {
		n->net->is_verifying = false;
		begin_verifying(n);
	}
	n->hooks.want_work(n->hooks.user);
}

static void begin_verifying(struct node *n)
{
	struct net *net = n->net;
	if (net->is_verifying || !net->waiting_len)
		return;
	struct verifying *v = calloc(1, sizeof *v);
	if (!v)
		return; /* tried again with the next record, or tick */
	v->len = net->waiting_len < NET_VERIFY_MAX ? net->waiting_len : NET_VERIFY_MAX;
	memcpy(v->items, net->waiting, v->len * sizeof v->items[0]);
	snprintf(v->network, sizeof v->network, "%s", n->config.network);
	const struct node_task task = {.run = verify, .done = on_verified, .user = v};
	if (n->hooks.task(n->hooks.user, &task, NULL)) {
		free(v);
		return;
	}
	n->pending++;
	net->is_verifying = true;
	net->waiting_len -= v->len;
	memmove(net->waiting, net->waiting + v->len, net->waiting_len * sizeof net->waiting[0]);
}

static void on_offered(struct node *n, const struct network_action *a)
{
	struct net *net = n->net;
	uint8_t *copy = net->waiting_len < NET_WAITING_MAX ? malloc(a->len + 1) : NULL;
	if (!copy) {
		network_unproven(net->network, &a->id, 0, net_mono(n));
		return;
	}
	memcpy(copy, a->bytes, a->len);
	struct net_offered *o = &net->waiting[net->waiting_len++];
	*o = (struct net_offered){.bytes = copy, .len = a->len, .from = a->connection, .id = a->id};
	memcpy(o->signature, a->signature, sizeof o->signature);
}

void net_stored(struct node *n, const struct intake_put *put)
{
	const struct record_fields *f = record_get(put->record);
	if (!n->net)
		return;
	const struct ix_entry *e = index_entry(node_index(n), record_id(put->record));
	if (e && e->authority == IX_BESIDE)
		network_refused(n->net->network, record_id(put->record));
	else
		network_admitted(n->net->network, put->record, (uint32_t)put->source, net_mono(n));
	if (f->kind == RECORD_CLAIM)
		livelog_route(network_livelog(n->net->network), &put->job, &f->author, (uint32_t)put->source, net_mono(n));
	if (f->kind == RECORD_RESULT)
		net_files_result(n, put);
}

void net_not_stored(struct node *n, const struct intake_put *put)
{
	if (n->net)
		network_unproven(n->net->network, record_id(put->record), 0, net_mono(n));
}

void net_dropped(struct node *n, const struct id32 *id)
{
	if (n->net)
		network_dropped(n->net->network, id);
}

void net_reloaded(struct node *n)
{
	if (n->net)
		n->net->is_follow_known = false;
}

/* ---- what peers ask for */

struct lookup {
	struct node *n;
	uint32_t peer;
	struct id32 id;
};

static void on_looked_up(void *user, struct record *const *rows, size_t len, const struct err *err)
{
	struct lookup *l = user;
	struct node *n = l->n;
	(void)err;
	if (n->net) {
		n->net->lookups--;
		if (len)
			network_found(n->net->network, l->peer, rows[0]);
		else
			network_not_found(n->net->network, l->peer, &l->id);
		n->hooks.want_work(n->hooks.user);
	}
	free(l);
}

static void on_lookup(struct node *n, const struct network_action *a)
{
	struct net *net = n->net;
	struct lookup *l = net->lookups < NET_LOOKUPS_MAX ? malloc(sizeof *l) : NULL;
	const struct store_filter filter = {.id = &a->id, .limit = 1};
	if (l)
		*l = (struct lookup){.n = n, .peer = a->connection, .id = a->id};
	if (l && !store_query(n->store, &filter, on_looked_up, l, NULL)) {
		net->lookups++;
		return;
	}
	free(l);
	network_not_found(net->network, a->connection, &a->id);
}

/* ---- peers */

static int compare_ahead(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

/* The median; of two in the middle the one that finds less wrong: half of the peers convince nobody. */
static int64_t median(int64_t *values, size_t len)
{
	qsort(values, len, sizeof *values, compare_ahead);
	const int64_t upper = values[len / 2], lower = values[(len - 1) / 2];
	return llabs(lower) < llabs(upper) ? lower : upper;
}

bool net_clock(const struct node *n, int64_t *ret_ahead_ms)
{
	struct network_peer *peers = n->net ? calloc(NETWORK_CONNECTIONS_MAX, sizeof *peers) : NULL;
	int64_t dialled[NETWORK_CONNECTIONS_MAX], all[NETWORK_CONNECTIONS_MAX];
	size_t dialled_len = 0, len = peers ? network_peers(n->net->network, peers, NETWORK_CONNECTIONS_MAX) : 0;
	for (size_t i = 0; i < len; i++) {
		all[i] = -peers[i].clock_ahead_ms;
		if (peers[i].is_outbound)
			dialled[dialled_len++] = all[i];
	}
	free(peers);
	/* those who call us may be one liar's: by themselves they speak only where we called nobody, and not fewer than three of them … */
	if (!dialled_len && len < 3)
		return false;
	const int64_t of_all = median(all, len), of_dialled = dialled_len ? median(dialled, dialled_len) : of_all;
	/* … but one or two that we called, and that all others contradict, do not stop this node either */
	*ret_ahead_ms = dialled_len < 3 && len >= 3 && llabs(of_all) < llabs(of_dialled) ? of_all : of_dialled;
	return true;
}

static void on_peer(struct node *n, const struct network_action *a)
{
	struct network_peer *peers = calloc(NETWORK_CONNECTIONS_MAX, sizeof *peers);
	const size_t len = peers ? network_peers(n->net->network, peers, NETWORK_CONNECTIONS_MAX) : 0;
	char id[NODE_ID_TEXT_MAX];
	for (size_t i = 0; a->is_open && i < len; i++)
		if (peers[i].connection == a->connection) {
			log_info("event=peer-open id=%s from=%s out=%d", node_id_format(id, &peers[i].id), peers[i].from, peers[i].is_outbound);
			node_tell(n, "peer-open", NULL, json_pack("{s:s,s:s}", "node", id, "address", peers[i].from));
		}
	free(peers);
	if (!a->is_open) {
		log_info("event=peer-gone connection=%u", a->connection);
		node_tell(n, "peer-gone", NULL, json_object());
	}
	int64_t ahead = 0;
	const bool was_off = n->clock_off_ms;
	n->clock_off_ms = net_clock(n, &ahead) && llabs(ahead) > NET_CLOCK_OFF_MS ? ahead : 0;
	if (was_off != (n->clock_off_ms != 0))
		node_check_holds(n);
}

size_t net_peers(const struct node *n, struct network_peer *ret, size_t max)
{
	return n->net ? network_peers(n->net->network, ret, max) : 0;
}

int net_connect(struct node *n, const struct node_addr *addr, struct err *err)
{
	if (!n->net)
		return err_set(err, ERR_UNREACHABLE, "this node has no network");
	if (node_id_eq(&addr->id, &n->self))
		return err_set(err, ERR_USAGE, "that is this node itself");
	if (!network_pin(n->net->network, addr, false, net_mono(n)))
		return err_set(err, ERR_LIMIT, "no room for another address");
	n->hooks.want_work(n->hooks.user);
	return 0;
}

const struct net_counts *net_counts(const struct node *n)
{
	return n->net ? &n->net->counts : NULL;
}

/* ---- the two ends */

void net_act(struct node *n, const struct network_action *a)
{
	if (!n->net)
		return;
	switch (a->type) {
	case NETWORK_DIAL:
	case NETWORK_OUTPUT:
	case NETWORK_HANG_UP: return; /* the transport's */
	case NETWORK_RECORD: on_offered(n, a); break;
	case NETWORK_LOOKUP: on_lookup(n, a); break;
	case NETWORK_PEER: on_peer(n, a); break;
	case NETWORK_EXCHANGE: net_files_act(n, &a->exchange); break;
	case NETWORK_LIVELOG: net_logs_act(n, &a->livelog); break;
	}
	n->hooks.want_work(n->hooks.user);
}

void net_work(struct node *n)
{
	if (!n->net)
		return;
	sync_follows(n);
	renew_self(n);
	begin_verifying(n);
	net_files_tick(n);
}

uint64_t net_next_ms(const struct node *n)
{
	return n->net && n->net->address.port ? n->net->self_renew_ms : UINT64_MAX;
}
