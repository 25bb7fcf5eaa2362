/* What a topic holds is a function of its records: the same pile, offered in hundreds of orders, ends as the same set. Beside it,
 * that what the store was told to keep is what the index has, and that a restart finds the same. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "node/intake.h"
#include "proto/base/cleanup.h"
#include "tests/unit/samples.h"
#include "tests/unit/tap.h"

#define T0 SAMPLE_CREATED_MS
#define MINUTE UINT64_C(60000)
#define REMOVED_MS (T0 + 10 * MINUTE)
#define NOW (T0 + 20 * MINUTE)
#define LATE (T0 + 70 * MINUTE) /* what was dated ahead is due, the claims of the beginning are over */
#define KEYS 40
#define PILE_MAX 600
#define ORDERS 150

enum { FOUNDER = 1, STAYS = 2, REMOVED = 3, LISTED = 4, LISTED_LATER = 5, STRANGERS = 6 };

static struct sample_key keys[KEYS];
static uint64_t dice;

static uint32_t roll(uint32_t below)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (uint32_t)((dice >> 11) % below);
}

/* ---- the pile */

struct pile {
	struct record *items[PILE_MAX];
	size_t len;
	struct id32 project, topic;
};

static struct record *put(struct pile *p, uint32_t kind, unsigned author, uint64_t created_ms, const struct id32 *job, const struct buf *body)
{
	struct record_fields f = {.kind = kind, .topic = p->topic, .created_ms = created_ms, .sequence = created_ms, .body = body->data, .body_len = body->len};
	uint8_t nonce[16];
	for (uint8_t i = 0; i < sizeof nonce; i++)
		nonce[i] = (uint8_t)(0x10 + i);
	if (kind == RECORD_PROJECT) {
		f.key = nonce;
		f.key_len = sizeof nonce;
	} else if (kind == RECORD_CLAIM) {
		f.key = job->b;
		f.key_len = sizeof job->b;
	}
	if (job) {
		f.depends[0] = *job;
		f.depends_len = 1;
	}
	struct err err;
	if (p->len == PILE_MAX || record_sign(&f, keys[author].secret, SAMPLE_NETWORK, &p->items[p->len], &err))
		abort();
	return p->items[p->len++];
}

/* state 0: nobody removed. state 1: one maintainer is gone, and another volunteer is listed. */
static void put_project(struct pile *p, unsigned state, uint64_t created_ms)
{
	struct project_body b;
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_LEN_MAX);
	sample_project(&b);
	b.maintainers_len = b.former_len = 0;
	b.maintainers[b.maintainers_len++] = keys[STAYS].id;
	if (!state)
		b.maintainers[b.maintainers_len++] = keys[REMOVED].id;
	else
		b.former[b.former_len++].key = keys[REMOVED].id, b.former[0].removed_at_ms = REMOVED_MS;
	b.volunteers[0] = keys[LISTED].id;
	b.volunteers[1] = keys[LISTED_LATER].id;
	b.volunteers_len = state ? 2 : 1;
	project_body_encode(&b, &body);
	put(p, RECORD_PROJECT, FOUNDER, created_ms, NULL, &body);
}

static const struct id32 *put_job(struct pile *p, unsigned author, uint64_t created_ms, uint64_t project_sequence)
{
	struct job_body b;
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_LEN_MAX);
	sample_job(&b);
	b.project_sequence = project_sequence;
	b.claim_until_ms = created_ms + DAY_MS;
	job_body_encode(&b, &body);
	return record_id(put(p, RECORD_JOB, author, created_ms, NULL, &body));
}

static void put_claim(struct pile *p, unsigned author, uint64_t created_ms, const struct id32 *job)
{
	const struct claim_body b = {.job = *job, .lease_until_ms = created_ms + CLAIM_LEASE_MAX_MS};
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_LEN_MAX);
	claim_body_encode(&b, &body);
	put(p, RECORD_CLAIM, author, created_ms, job, &body);
}

static void put_result(struct pile *p, unsigned author, uint64_t created_ms, const struct id32 *job)
{
	const struct result_body b = {.job = *job, .outcome = OUTCOME_ERROR, .reason = "it rained"};
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_RESULT_LEN_MAX);
	result_body_encode(&b, &body);
	put(p, RECORD_RESULT, author, created_ms, job, &body);
}

static void put_cancel(struct pile *p, unsigned author, uint64_t created_ms, const struct id32 *job)
{
	const struct cancel_body b = {.job = *job, .reason = "superseded"};
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_LEN_MAX);
	cancel_body_encode(&b, &body);
	put(p, RECORD_CANCEL, author, created_ms, job, &body);
}

/* Claims that are renewed, and results, of many keys; some are dated ahead. */
static void put_work(struct pile *p, const struct id32 *job, uint64_t created_ms, unsigned authors, unsigned each)
{
	for (unsigned i = 0; i < authors; i++) {
		const unsigned author = 1 + roll(KEYS - 1);
		for (unsigned n = roll(each) + 1; n > 0; n--)
			put_claim(p, author, created_ms + n * MINUTE + roll(1000), job);
		for (unsigned n = roll(each + 1); n > 0; n--)
			put_result(p, author, created_ms + n * MINUTE + roll(1000), job);
	}
	put_claim(p, STRANGERS + roll(KEYS - STRANGERS), NOW + 15 * MINUTE, job);
	put_result(p, STRANGERS + roll(KEYS - STRANGERS), NOW + 15 * MINUTE, job);
}

/* grows: the newer state also gives authority, and authors have more than their quota: then it takes repair to get there. */
static void make_pile(struct pile *p, bool grows)
{
	p->len = 0;
	sample_project_id(&p->project);
	topic_derive(&p->project, &p->topic);
	put_project(p, 0, T0);
	put_project(p, 1, T0 + 12 * MINUTE);
	if (grows)
		put_project(p, 0, T0 + 5 * MINUTE);
	const struct {
		unsigned author;
		uint64_t created_ms, sequence;
	} jobs[] = {
		{FOUNDER, T0 + 1, T0},                  {STAYS, T0 + 2, T0},
		{REMOVED, REMOVED_MS - 1, T0},          {REMOVED, REMOVED_MS, T0},
		{REMOVED, REMOVED_MS + MINUTE, T0},     {STRANGERS, T0 + 3, T0},
		{STAYS, T0 + 13 * MINUTE, T0 + 12 * MINUTE}, /* relies on the newer state */
		{STAYS, T0 + 4, T0 + 99 * MINUTE},           /* on one that never comes */
		{FOUNDER, NOW + 15 * MINUTE, T0},            /* dated ahead */
	};
	for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
		const struct id32 *job = put_job(p, jobs[i].author, jobs[i].created_ms, jobs[i].sequence);
		put_work(p, job, jobs[i].created_ms, grows ? 12 : 9, grows ? 3 : 1);
		put_cancel(p, i % 2 ? STRANGERS + 1 : REMOVED, jobs[i].created_ms + i * MINUTE, job);
		if (i == 1)
			put_cancel(p, STAYS, T0 + MINUTE, job);
	}
}

static void shuffle(struct pile *p)
{
	for (size_t i = p->len; i > 1; i--) {
		const size_t at = roll((uint32_t)i);
		struct record *swapped = p->items[i - 1];
		p->items[i - 1] = p->items[at];
		p->items[at] = swapped;
	}
}

static void pile_release(struct pile *p)
{
	for (size_t i = 0; i < p->len; i++)
		record_unref(p->items[i]);
}

/* ---- a store that does what it is told */

struct model {
	struct record *rows[PILE_MAX];
	size_t len;
};

static void model_delete(struct model *m, const struct id32 *id)
{
	for (size_t i = 0; i < m->len; i++)
		if (id32_eq(record_id(m->rows[i]), id)) {
			m->rows[i] = m->rows[--m->len];
			return;
		}
}

static void apply(struct model *m, struct intake_effects *fx)
{
	for (size_t i = 0; i < fx->deletes_len; i++)
		model_delete(m, &fx->deletes[i]);
	for (size_t i = 0; i < fx->puts_len; i++) {
		bool is_older = false;
		for (size_t k = m->len; k-- > 0;) {
			if (record_supersedes(fx->puts[i].record, m->rows[k]))
				m->rows[k] = m->rows[--m->len];
			else if (record_supersedes(m->rows[k], fx->puts[i].record))
				is_older = true;
		}
		if (!is_older && m->len < PILE_MAX)
			m->rows[m->len++] = fx->puts[i].record;
	}
	intake_effects_release(fx); /* the pile keeps the records */
}

static int by_id(const void *a, const void *b)
{
	return memcmp(a, b, 32);
}

static void digest(struct id32 *ids, size_t len, struct id32 *ret)
{
	qsort(ids, len, sizeof *ids, by_id);
	crypto_generichash(ret->b, 32, (const uint8_t *)ids, len * sizeof *ids, NULL, 0);
}

static size_t index_digest(const struct intake *in, struct id32 *ret)
{
	struct id32 ids[PILE_MAX];
	size_t at = 0, len = 0;
	for (const struct ix_entry *e; (e = idmap_next(&intake_index(in)->entries, &at));)
		ids[len++] = e->id;
	digest(ids, len, ret);
	return len;
}

static void model_digest(const struct model *m, struct id32 *ret)
{
	struct id32 ids[PILE_MAX];
	for (size_t i = 0; i < m->len; i++)
		ids[i] = *record_id(m->rows[i]);
	digest(ids, m->len, ret);
}

/* ---- one order */

static struct intake *new_intake(const struct intake_limits *limits, const struct id32 *project)
{
	static const uint8_t hash_key[crypto_shorthash_KEYBYTES] = {1};
	struct intake *in = intake_new(limits, hash_key);
	if (!in || !intake_follow(in, project))
		abort();
	return in;
}

static void offer_all(struct intake *in, struct model *m, const struct pile *p, uint64_t now_ms)
{
	struct intake_effects fx = {0};
	for (size_t i = 0; i < p->len; i++) {
		(void)intake_offer(in, p->items[i], 1 + i % 7, now_ms, &fx);
		apply(m, &fx);
	}
	intake_tick(in, now_ms, &fx);
	apply(m, &fx);
}

/* What repair does: offers again what is missing, until that changes nothing. Returns how many rounds it took. */
static unsigned repair(struct intake *in, struct model *m, struct pile *p, uint64_t now_ms)
{
	struct id32 before, after;
	unsigned rounds = 0;
	do {
		index_digest(in, &before);
		shuffle(p);
		offer_all(in, m, p, now_ms);
		index_digest(in, &after);
	} while (!id32_eq(&before, &after) && ++rounds < 50);
	return rounds;
}

static bool restart_finds(const struct model *m, const struct intake_limits *limits, const struct id32 *project, const struct id32 *want, uint64_t now_ms)
{
	static const uint32_t order[] = {RECORD_PROJECT, RECORD_JOB, RECORD_CANCEL, RECORD_CLAIM, RECORD_RESULT};
	struct intake *in = new_intake(limits, project);
	struct intake_effects fx = {0};
	struct id32 got;
	bool ok = true;
	for (size_t k = 0; k < ARRAY_LEN(order); k++)
		for (size_t i = 0; i < m->len; i++)
			if (record_get(m->rows[i])->kind == order[k])
				ok = intake_restore(in, m->rows[i], now_ms, &fx) == INTAKE_ADMITTED && ok;
	index_digest(in, &got);
	ok = ok && !fx.puts_len && !fx.deletes_len && id32_eq(&got, want);
	intake_effects_release(&fx);
	intake_free(in);
	return ok;
}

/* The set at the end, of one shuffled order. */
static bool run_order(const struct intake_limits *limits, struct pile *p, bool with_repair, struct id32 *ret, size_t *ret_len)
{
	struct intake *in = new_intake(limits, &p->project);
	struct model m = {.len = 0};
	struct id32 stored;
	bool ok = true;
	shuffle(p);
	offer_all(in, &m, p, NOW);
	if (with_repair)
		ok = repair(in, &m, p, NOW) < 50;
	struct intake_effects fx = {0};
	intake_tick(in, LATE, &fx);
	apply(&m, &fx);
	if (with_repair)
		ok = repair(in, &m, p, LATE) < 50 && ok;
	*ret_len = index_digest(in, ret);
	model_digest(&m, &stored);
	ok = ok && id32_eq(ret, &stored) && restart_finds(&m, limits, &p->project, ret, LATE);
	intake_free(in);
	return ok;
}

static void test_orders(const char *what, const struct intake_limits *limits, bool grows, bool with_repair)
{
	struct id32 first, other;
	unsigned differ = 0, wrong = 0;
	size_t len = 0, least = PILE_MAX, most = 0, pile_len = 0;
	for (unsigned world = 0; world < 5; world++) {
		struct pile *p = calloc(1, sizeof *p);
		if (!p)
			abort();
		dice = 88172645463325252u + world;
		make_pile(p, grows);
		pile_len = p->len;
		for (unsigned order = 0; order < ORDERS / 5; order++) {
			wrong += !run_order(limits, p, with_repair, order ? &other : &first, &len);
			differ += order && !id32_eq(&first, &other);
			least = len < least ? len : least;
			most = len > most ? len : most;
		}
		pile_release(p);
		free(p);
	}
	INTEQ(differ, 0);
	INTEQ(wrong, 0);
	OK(least > 10 && most < pile_len, "%s: of %zu records %zu to %zu stay", what, pile_len, least, most);
}

int main(void)
{
	struct intake_limits limits;
	if (sodium_init() < 0)
		return 1;
	for (unsigned i = 0; i < KEYS; i++)
		sample_key_init(&keys[i], (uint8_t)i);
	intake_limits_default(&limits);
	limits.parked = limits.parked_per_source = PILE_MAX;
	test_orders("as it comes, once", &limits, false, false);
	test_orders("offered again", &limits, true, true);
	limits.crowd = 3;
	test_orders("a crowd", &limits, true, true);
	limits.per_author = 4;
	test_orders("a crowd and quotas", &limits, true, true);
	limits.per_topic = 40;
	test_orders("a full topic too", &limits, true, true);
	limits.parked = 5;
	limits.parked_per_source = 2;
	test_orders("and hardly room to wait", &limits, true, true);
	return tap_done();
}
