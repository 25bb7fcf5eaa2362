/* Control operations of the network: peers, connect, files and live logs of results that lie elsewhere. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "node/control_parts.h"
#include "node/net.h"
#include "proto/base/cleanup.h"
#include "proto/base/units.h"

/* ---- peers */

static json_t *peer_to_json(const struct node *n, const struct network_peer *p)
{
	char id[NODE_ID_TEXT_MAX];
	return json_pack("{s:s,s:s,s:s,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "node", node_id_format(id, &p->id), "address", p->from, "direction",
			 p->is_outbound ? "out" : "in", "seed", (int)p->is_seed, "age_ms", (json_int_t)(n->hooks.mono_ms(n->hooks.user) - p->since_ms),
			 "bytes_in", (json_int_t)p->bytes_in, "bytes_out", (json_int_t)p->bytes_out, "records_in", (json_int_t)p->records_in,
			 "faults", (json_int_t)p->faults, "topics", (json_int_t)p->topics, "clock_ahead_ms", (json_int_t)p->clock_ahead_ms);
}

void op_peers(struct node *n, struct control_call *c, const json_t *args)
{
	struct network_peer *peers = calloc(NETWORK_CONNECTIONS_MAX, sizeof *peers);
	struct node_addr address;
	char text[ADDR_TEXT_MAX];
	(void)args;
	if (!peers)
		return op_fail(c, ERR_NOMEM, NULL, "out of memory");
	const size_t len = net_peers(n, peers, NETWORK_CONNECTIONS_MAX);
	json_t *list = json_array();
	for (size_t i = 0; i < len; i++)
		json_array_append_new(list, peer_to_json(n, &peers[i]));
	free(peers);
	control_end(c, json_pack("{s:o,s:o}", "peers", list, "address",
				 net_address(n, &address) ? json_string(node_addr_format(text, &address)) : json_null()));
}

void op_connect(struct node *n, struct control_call *c, const json_t *args)
{
	struct node_addr addr;
	struct err err = {0};
	const char *text = op_text_needed(c, args, "address");
	if (!text)
		return;
	if (node_addr_parse(text, &addr, &err) || net_connect(n, &addr, &err))
		return control_fail(c, &err);
	control_end(c, NULL);
}

/* ---- files of results */

struct fetch_call {
	struct control *ctl;
	uint64_t call;
};

static void on_fetched(struct node *n, void *user, int code, const struct err *err)
{
	struct fetch_call *f = user;
	struct control_call *c = control_call_find(f->ctl, f->call);
	(void)n;
	free(f);
	if (c && code)
		control_fail(c, err);
	else if (c)
		control_end(c, NULL);
}

static bool read_job(struct node *n, struct control_call *c, const json_t *args, const struct ix_job **ret_job, struct node_id *ret_node, bool *ret_has_node)
{
	struct id32 id;
	struct err err;
	const char *text = op_text_needed(c, args, "job"), *node = op_text(args, "node");
	*ret_has_node = node;
	if (!text)
		return false;
	if ((node && node_id_parse(node, ret_node, &err)) || index_find_entry(node_index(n), RECORD_JOB, text, &id, &err)) {
		control_fail(c, &err);
		return false;
	}
	*ret_job = index_job(node_index(n), &id);
	if (!*ret_job)
		op_fail(c, ERR_NOT_FOUND, NULL, "no such job");
	return *ret_job;
}

/* Without a node: the newest result that has files. */
static const struct ix_entry *choose_result(const struct ix_job *job, const struct node_id *node)
{
	const struct ix_entry *best = NULL;
	for (const struct ix_entry *r = job->results; r; r = r->next_of_job) {
		if (node && !node_id_eq(&r->author, node))
			continue;
		const bool is_better = !best || (r->u.result.has_statement && !best->u.result.has_statement) ||
				       (r->u.result.has_statement == best->u.result.has_statement && r->created_ms > best->created_ms);
		if (is_better)
			best = r;
	}
	return best;
}

void op_fetch(struct node *n, struct control_call *c, const json_t *args)
{
	const struct ix_job *job;
	struct node_id node;
	bool has_node;
	struct err err;
	const char *name = op_text_needed(c, args, "name");
	if (!name || !read_job(n, c, args, &job, &node, &has_node))
		return;
	const struct ix_entry *r = choose_result(job, has_node ? &node : NULL);
	if (!r)
		return op_fail(c, ERR_NOT_FOUND, NULL, "there is no result of that job yet");
	struct fetch_call *f = malloc(sizeof *f);
	if (!f)
		return op_fail(c, ERR_NOMEM, NULL, "out of memory");
	*f = (struct fetch_call){.ctl = control_of(c), .call = control_call_id(c)};
	if (net_fetch(n, &r->id, name, 0, on_fetched, f, &err)) {
		free(f);
		control_fail(c, &err);
	}
}

/* ---- live logs */

/* A reader of somebody else's running job. Owned by control_state's list. */
struct live_reader {
	struct live_reader *next;
	struct control_state *st;
	struct control *ctl;
	uint64_t call;
	uint32_t subscription;
};

static void drop_reader(struct live_reader *r)
{
	for (struct live_reader **at = &r->st->live; *at; at = &(*at)->next)
		if (*at == r) {
			*at = r->next;
			free(r);
			return;
		}
}

static void on_log(void *user, uint64_t offset, const uint8_t *bytes, size_t len, const char *why)
{
	struct live_reader *r = user;
	struct control_call *c = control_call_find(r->ctl, r->call);
	char text[sodium_base64_ENCODED_LEN(LIVELOG_CHUNK_MAX, sodium_base64_VARIANT_ORIGINAL)];
	if (bytes && c) {
		sodium_bin2base64(text, sizeof text, bytes, len, sodium_base64_VARIANT_ORIGINAL);
		control_send(c, json_pack("{s:s,s:I,s:s}", "event", "log", "offset", (json_int_t)offset, "text_base64", text));
		return;
	}
	if (bytes)
		return;
	drop_reader(r);
	if (c && why[0])
		op_fail(c, ERR_UNREACHABLE, "the whole log comes with the result", "the live log was lost: %s", why);
	else if (c)
		control_end(c, json_pack("{s:I,s:b}", "size", (json_int_t)offset, "live", 0));
}

void op_log_live(struct node *n, struct control_call *c, const json_t *args)
{
	const struct ix_job *job;
	struct node_id node;
	bool has_node;
	const struct ix_entry *claim = NULL;
	if (!read_job(n, c, args, &job, &node, &has_node))
		return;
	for (const struct ix_entry *e = job->claims; e && !claim; e = e->next_of_job)
		if (!node_id_eq(&e->author, &n->self) && (!has_node || node_id_eq(&e->author, &node)) && index_claim_is_live(job, e, node_now(n)))
			claim = e;
	if (!claim)
		return op_fail(c, ERR_NOT_FOUND, NULL, "nobody runs that job now");
	struct control_state *st = control_state_of(control_of(c));
	struct live_reader *r = calloc(1, sizeof *r);
	if (!r)
		return op_fail(c, ERR_NOMEM, NULL, "out of memory");
	*r = (struct live_reader){.next = st->live, .st = st, .ctl = control_of(c), .call = control_call_id(c)};
	st->live = r;
	r->subscription = net_log_subscribe(n, &job->entry.id, &claim->author, op_number(args, "offset", 0), on_log, r);
	if (!r->subscription) {
		drop_reader(r);
		op_fail(c, ERR_LIMIT, NULL, "no live log can be read now");
	}
}

void control_net_gone(struct control_state *st, uint64_t call_id)
{
	for (struct live_reader *r = st->live, *next; r; r = next) {
		next = r->next;
		if (r->call != call_id)
			continue;
		net_log_unsubscribe(st->node, r->subscription);
		drop_reader(r);
	}
}

void control_net_release(struct control_state *st)
{
	while (st->live) {
		net_log_unsubscribe(st->node, st->live->subscription);
		drop_reader(st->live);
	}
}
