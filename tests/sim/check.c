/* play.h: what must hold. */
#include <stdlib.h>

#include "proto/statement.h"
#include "tests/sim/play.h"

bool play_counts(const struct sim_node *n)
{
	return !n->is_evil && llabs(n->skew_ms) <= SLIGHT_MS;
}

static bool on_found(void *user, struct record *r)
{
	(void)r;
	*(bool *)user = true;
	return false;
}

static bool is_stored(const struct sim_node *n, const struct id32 *id)
{
	const struct store_filter f = {.id = id, .limit = 1};
	bool found = false;
	return !store_each_now(n->store, &f, on_found, &found, NULL) && found;
}

/* ---- at any moment */

static void check_acked(struct play *p)
{
	struct sim_node *n = &p->s->nodes[1];
	for (size_t i = 0; i < p->acked_len; i++)
		if (!is_stored(n, &p->acked[i]) || (n->n && !index_job(node_index(n->n), &p->acked[i])))
			p->why = "an acknowledged job is lost";
	const struct ix_project *project = n->n ? index_project(node_index(n->n), &p->project) : NULL;
	if (n->n && p->acked_sequence && (!project || project->entry.sequence < p->acked_sequence))
		p->why = "an acknowledged project is lost, or its older state is back";
	if (project && !is_stored(n, &project->entry.id) && !p->is_changed)
		p->why = "the project's record is not in the store";
}

static void check_forged(struct play *p, const struct sim_node *n)
{
	for (size_t i = 0; p->evil && i < p->evil->lies_len; i++) {
		const struct record *r = p->evil->lies[i];
		if (!play_is_forged(p, r))
			continue;
		if ((n->n && index_entry(node_index(n->n), record_id(r))) || is_stored(n, record_id(r)))
			p->why = "a lie is stored";
	}
}

/* Our own reading of who may write what, beside intake's. */
static void check_rights(struct play *p, const struct sim_node *n)
{
	const struct node_id *maintainer = &p->s->nodes[1].id;
	size_t at = 0;
	for (const struct ix_entry *e; (e = idmap_next(&node_index(n->n)->entries, &at));) {
		const bool is_order = e->kind == RECORD_JOB || e->kind == RECORD_CANCEL || e->kind == RECORD_PROJECT;
		if (is_order && !node_id_eq(&e->author, maintainer))
			p->why = "somebody without the right has given orders";
		if (e->kind == RECORD_CANCEL)
			p->why = "a job was cancelled by nobody";
		if (e->created_ms > sim_node_unix_ms(n) + INTAKE_AHEAD_MS)
			p->why = "a record from the future was taken";
	}
	const struct ix_project *project = index_project(node_index(n->n), &p->project);
	if (project && !node_id_eq(&project->entry.author, maintainer))
		p->why = "the project is somebody else's";
}

static bool is_unlisted(const struct play *p, const struct node_id *key)
{
	return !node_id_eq(key, &p->s->nodes[1].id) && !node_id_eq(key, &p->listed);
}

static size_t unlisted_claims(const struct play *p, const struct sim_node *n, const struct ix_job *job)
{
	size_t len = 0;
	for (const struct ix_entry *e = job->claims; e; e = e->next_of_job)
		len += is_unlisted(p, &e->author) && !node_id_eq(&e->author, &n->id);
	return len;
}

static void check_caps(struct play *p, const struct sim_node *n)
{
	struct network_peer peers[NETWORK_CONNECTIONS_MAX];
	for (size_t i = 0; i < p->jobs_len; i++) {
		const struct ix_job *job = index_job(node_index(n->n), &p->jobs[i]);
		if (job && unlisted_claims(p, n, job) > 16)
			p->why = "more than sixteen unlisted keys stand at a job";
	}
	if (intake_parked_len(n->n->intake) > 2 * 50 * p->s->nodes_len)
		p->why = "more is parked than each source may";
	if (network_peers(net_network(n->n), peers, NETWORK_CONNECTIONS_MAX) > NETWORK_CONNECTIONS_MAX - 1)
		p->why = "connections to the ceiling";
}

void play_check(struct play *p)
{
	check_acked(p);
	for (size_t i = 0; i < p->s->nodes_len; i++) {
		const struct sim_node *n = &p->s->nodes[i];
		if (n->is_evil)
			continue;
		check_forged(p, n);
		if (!n->n)
			continue;
		check_rights(p, n);
		check_caps(p, n);
	}
}

/* ---- in the end */

static bool same_set(const struct play *p, const struct node *a, const struct node *b)
{
	size_t at = 0;
	const struct ix_project *pa = index_project(node_index(a), &p->project), *pb = index_project(node_index(b), &p->project);
	if (!pa || !pb || !id32_eq(&pa->entry.id, &pb->entry.id))
		return false;
	for (const struct ix_entry *e; (e = idmap_next(&node_index(a)->entries, &at));) {
		const struct ix_entry *same = index_entry(node_index(b), &e->id);
		if (e->authority != IX_BESIDE && (!same || same->authority == IX_BESIDE)) /* what found no room stays at its author's */
			return false;
	}
	return true;
}

/* A verdict, not just an end: errors and what was given up free the job for another run. */
static const struct ix_entry *verdict_on(const struct play *p, const struct ix_job *job)
{
	for (size_t i = 2; job && i < p->s->nodes_len; i++) {
		const struct ix_entry *e = index_result_of(job, &p->s->nodes[i].id); /* a liar may run jobs like others */
		if (e && e->u.result.has_statement)
			return e;
	}
	return NULL;
}

/* Whoever has said something of a job, if only that it gave it up, does not run it again: that is its author's promise. */
static bool is_left(const struct play *p, const struct ix_job *job)
{
	for (size_t i = 2; i < p->s->nodes_len; i++) {
		const struct sim_node *n = &p->s->nodes[i];
		if (n->is_willing && play_counts(n) && (!job || !index_result_of(job, &n->id)))
			return true;
	}
	return false;
}

const char *play_unsettled(struct play *p)
{
	const struct node *first = p->s->nodes[0].n;
	for (size_t i = 0; i < p->s->nodes_len; i++) {
		const struct sim_node *n = &p->s->nodes[i];
		if (play_counts(n) && (!n->n || !first || !same_set(p, first, n->n) || !same_set(p, n->n, first)))
			return "the nodes do not agree, long after the trouble";
	}
	for (size_t i = 0; i < p->acked_len; i++) {
		const struct ix_job *job = index_job(node_index(first), &p->acked[i]);
		if (!verdict_on(p, job) && is_left(p, job))
			return "a job has no verdict, long after the trouble";
	}
	return NULL;
}

void play_tell(struct play *p)
{
	char id[ID32_TEXT_MAX], job[ID32_TEXT_MAX];
	for (size_t i = 0; i < p->s->nodes_len; i++) {
		const struct sim_node *n = &p->s->nodes[i];
		size_t at = 0;
		sim_say(p->s, "node=%zu evil=%d deaf=%d newer=%d skew_ms=%lld peers=%zu", i, n->is_evil, n->is_deaf, n->is_newer,
			(long long)n->skew_ms, n->n ? network_stats(net_network(n->n))->open : 0);
		for (const struct ix_entry *e; n->n && (e = idmap_next(&node_index(n->n)->entries, &at));)
			sim_say(p->s, "  %.12s kind=%s job=%.12s authority=%u expires_ms=%llu", id32_format(id, &e->id), record_kind_name(e->kind),
				e->job ? id32_format(job, &e->job->entry.id) : "", e->authority, (unsigned long long)(e->expires_ms - SIM_T0));
	}
}

static bool on_result(void *user, struct record *r)
{
	bool *is_right = user, has_statement = false;
	struct statement *s = calloc(1, sizeof *s);
	struct result_body body;
	*is_right = s && !result_open(r, &body, s, &has_statement, NULL) && has_statement && s->outcome == (unsigned)sim_outcome_of(&body.job);
	if (s)
		statement_release(s);
	free(s);
	return false;
}

/* What the third node reads is what the run at the volunteer's ended with. */
static void check_outcomes(struct play *p)
{
	const struct sim_node *n = &p->s->nodes[0];
	for (size_t i = 0; n->n && i < p->acked_len; i++) {
		const struct ix_entry *e = verdict_on(p, index_job(node_index(n->n), &p->acked[i]));
		const struct store_filter f = {.id = e ? &e->id : NULL, .limit = 1};
		bool is_right = false;
		if (e && (store_each_now(n->store, &f, on_result, &is_right, NULL) || !is_right))
			p->why = "a result does not say what the run ended with";
	}
}

void play_check_end(struct play *p)
{
	check_outcomes(p);
	uint64_t hung_up = 0, wrong = 0;
	for (size_t i = 0; i < p->s->nodes_len; i++) {
		struct sim_node *n = &p->s->nodes[i];
		if (!n->n)
			continue;
		const struct network_stats *stats = network_stats(net_network(n->n));
		const struct net_counts *counts = net_counts(n->n);
		hung_up += stats->closed[CLOSE_HANDSHAKE_BAD] + stats->closed[CLOSE_ID_BAD] + stats->closed[CLOSE_FRAME_BAD] + stats->closed[CLOSE_MESSAGE_BAD];
		const uint64_t *faults = network_gossip_stats(net_network(n->n))->faults;
		wrong += faults[GOSSIP_FAULT_MALFORMED] + faults[GOSSIP_FAULT_KIND] + faults[GOSSIP_FAULT_UNASKED];
		wrong += counts->reasons[INTAKE_BAD_BODY] + counts->reasons[INTAKE_BAD_TOPIC] + counts->reasons[INTAKE_NO_AUTHORITY] +
			 counts->reasons[INTAKE_MISMATCH] + counts->reasons[INTAKE_UNKNOWN_KIND];
		for (size_t k = RECORD_OK + 1; k <= RECORD_BAD_SIGNATURE; k++)
			wrong += counts->rejects[k];
	}
	if (p->evil)
		return;
	if (hung_up > p->s->corrupted + p->s->pranks)
		p->why = "an honest peer was hung up on for its bytes";
	if (wrong)
		p->why = "an honest peer's message or record was refused";
}
