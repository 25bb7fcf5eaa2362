#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "node/dossier.h"
#include "proto/base/cleanup.h"
#include "proto/dsse.h"
#include "tests/unit/tap.h"

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define COMMIT "0123456789012345678901234567890123456789"
#define NOW UINT64_C(1700000000000)

struct key { struct node_id id; uint8_t secret[64]; };

/* Records of one project, as a store would give them. */
struct fixture {
	struct key maintainer, volunteer, other;
	struct id32 project, topic;
	struct record *rows[16];
	size_t len;
};

static void make_key(struct key *k, uint8_t seed)
{
	uint8_t bytes[32];
	memset(bytes, seed, sizeof bytes);
	crypto_sign_seed_keypair(k->id.b, k->secret, bytes);
}

static struct record *sign(struct fixture *f, const struct key *by, uint32_t kind, const struct id32 *depends, const struct id32 *record_key,
			   const struct buf *body)
{
	struct record_fields r = {.kind = kind, .topic = f->topic, .created_ms = NOW, .expires_ms = NOW + record_kind_lifetime_ms(kind),
				  .sequence = NOW + f->len, .body = body->data, .body_len = body->len};
	if (depends) {
		r.depends[0] = *depends;
		r.depends_len = 1;
	}
	if (record_key) {
		r.key = record_key->b;
		r.key_len = 32;
	}
	struct err err = {0};
	struct record *made = NULL;
	if (!OK(!record_sign(&r, by->secret, "main", &made, &err), "signed %s", err.what))
		exit(1);
	f->rows[f->len++] = made;
	return made;
}

static struct record *add_job_in(struct fixture *f, enum plan_origin origin, char plan, const char *cell, uint32_t cells)
{
	CLEANUP(buf_release) struct buf body;
	struct job_body *j = calloc(1, sizeof *j);
	buf_init(&body, 4096);
	j->project = f->project;
	j->project_sequence = 1;
	strcpy(j->commit, COMMIT);
	strcpy(j->ref, "refs/heads/main");
	strcpy(j->arch, "x86_64");
	strcpy(j->image, "mini@1");
	j->claim_until_ms = NOW + 3600000;
	j->wanted = 1;
	j->plan_origin = origin;
	/* an inline plan's digest is its text's: sha256("true") */
	strcpy(j->plan_sha256, origin == PLAN_INLINE ? "b5bea41b6c623f7c09f1bf24dcae58ebab3c0cdd90ad966bc43a45b44867e12b" : HEX64);
	strcpy(origin == PLAN_INLINE ? j->plan_inline : j->plan_path, origin == PLAN_INLINE ? "true" : ".talkoo.yml");
	if (origin != PLAN_INLINE)
		j->plan_sha256[0] = plan;
	strcpy(j->cell, cell);
	j->cells = cells;
	job_body_encode(j, &body);
	free(j);
	return sign(f, &f->maintainer, RECORD_JOB, NULL, NULL, &body);
}

static struct record *add_job_of(struct fixture *f, enum plan_origin origin, char plan)
{
	return add_job_in(f, origin, plan, "", 0);
}

static struct record *add_job(struct fixture *f, enum plan_origin origin)
{
	return add_job_of(f, origin, '0');
}

/* signer: who signs the statement's envelope; by: the record's author. bend: what makes it a statement about something else. */
static void add_bent(struct fixture *f, const struct key *by, const struct key *signer, const struct record *job, uint8_t outcome,
		     enum plan_origin origin, char plan, void (*bend)(struct statement *s))
{
	CLEANUP(buf_release) struct buf body, payload, index;
	struct statement s = {.node = by->id, .project = f->project, .job = *record_id(job), .outcome = outcome, .plan_origin = origin,
			      .started_ms = NOW, .finished_ms = NOW + 5, .duration_ms = 5, .cpus = 1};
	buf_init(&body, 16384);
	buf_init(&payload, 16384);
	buf_init(&index, 16384);
	strcpy(s.commit, COMMIT);
	strcpy(s.ref, "refs/heads/main");
	strcpy(s.ref_seen, "refs/heads/main");
	strcpy(s.plan_path, origin == PLAN_INLINE ? "" : ".talkoo.yml");
	strcpy(s.plan_sha256, origin == PLAN_INLINE ? "b5bea41b6c623f7c09f1bf24dcae58ebab3c0cdd90ad966bc43a45b44867e12b" : HEX64);
	if (origin != PLAN_INLINE)
		s.plan_sha256[0] = plan;
	strcpy(s.plan_format, "talkoo");
	strcpy(s.image_name, "mini@1");
	strcpy(s.image_digest, HEX64);
	strcpy(s.arch, "x86_64");
	strcpy(s.accel, "tcg");
	strcpy(s.machine, "q35");
	s.steps = calloc(1, sizeof *s.steps);
	s.steps_len = 1;
	strcpy(s.steps[0].name, "one");
	s.steps[0].exit_code = outcome == 1 ? 0 : 1;
	digest_bytes("a", 1, &s.source);
	digest_bytes("b", 1, &s.log);
	if (bend)
		bend(&s);
	struct err err = {0};
	OK(!statement_write(&s, &payload, &index, &err), "statement %s", err.what);
	statement_release(&s);
	struct result_body r = {.job = *record_id(job), .payload = payload.data, .payload_len = payload.len};
	OK(!dsse_sign(DSSE_INTOTO_TYPE, payload.data, payload.len, signer->secret, r.signature, &err), "dsse");
	result_body_encode(&r, &body);
	sign(f, by, RECORD_RESULT, record_id(job), NULL, &body);
}

static void add_result(struct fixture *f, const struct key *by, const struct record *job, uint8_t outcome, enum plan_origin origin, char plan)
{
	add_bent(f, by, by, job, outcome, origin, plan, NULL);
}

static void add_plain(struct fixture *f, const struct key *by, const struct record *job, uint8_t outcome)
{
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, 4096);
	const struct result_body r = {.job = *record_id(job), .outcome = outcome, .reason = "its disk was full"};
	result_body_encode(&r, &body);
	sign(f, by, RECORD_RESULT, record_id(job), NULL, &body);
}

static void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof *f);
	make_key(&f->maintainer, 1);
	make_key(&f->volunteer, 2);
	make_key(&f->other, 3);
	uint8_t nonce[16] = {7};
	project_id_derive(&f->maintainer.id, nonce, &f->project);
	topic_derive(&f->project, &f->topic);
}

static void fixture_release(struct fixture *f)
{
	for (size_t i = 0; i < f->len; i++)
		record_unref(f->rows[i]);
}

/* The verdict for the commit (or the only job) among `trusted`, and how many results are listed. */
static void expect_at(const struct fixture *f, uint64_t now_ms, bool by_commit, const struct key *trusted, enum verdict want, size_t listed,
		      const char *what)
{
	CLEANUP(dossier_release) struct dossier d = {0};
	struct trust_entry entry = {.operator_name = "someone"};
	const struct trust_list trust = {&entry, trusted ? 1 : 0};
	if (trusted)
		entry.node = trusted->id;
	const struct results_query q = {.commit = by_commit ? COMMIT : NULL, .trust = &trust, .need = 1, .now_ms = now_ms};
	json_t *answer = NULL;
	enum verdict got = 0;
	struct err err = {0};
	if (!OK(!dossier_build(f->rows, f->len, &d, &err) && !dossier_results(&d, &q, &answer, &got, &err), "%s: answered %s", what, err.what))
		return;
	STREQ(verdict_name(got), verdict_name(want));
	OK(json_array_size(json_object_get(answer, "results")) == listed, "%s: %zu listed", what, listed);
	json_decref(answer);
}

static void expect(const struct fixture *f, bool by_commit, const struct key *trusted, enum verdict want, size_t listed, const char *what)
{
	expect_at(f, NOW + 7200000, by_commit, trusted, want, listed, what);
}

static void test_verdicts(void)
{
	struct fixture f;
	fixture_init(&f);
	const struct record *job = add_job(&f, PLAN_TREE);
	expect(&f, true, &f.volunteer, VERDICT_UNKNOWN, 0, "nobody built it");
	add_result(&f, &f.volunteer, job, 1, PLAN_TREE, '0');
	expect(&f, true, NULL, VERDICT_UNKNOWN, 1, "nobody is trusted");
	expect(&f, true, &f.other, VERDICT_UNKNOWN, 1, "somebody else is trusted");
	expect(&f, true, &f.volunteer, VERDICT_PASSED, 1, "trusted");
	add_result(&f, &f.other, job, 2, PLAN_TREE, '0');
	expect(&f, true, &f.volunteer, VERDICT_PASSED, 2, "an untrusted failure changes nothing");
	expect(&f, true, &f.other, VERDICT_FAILED, 2, "the other one is trusted");
	fixture_release(&f);
}

/* Each changes one thing of a statement that fits its job. */
static void bend_commit(struct statement *s) { s->commit[0] = 'f'; }
static void bend_project(struct statement *s) { s->project.b[0] ^= 1; }
static void bend_job(struct statement *s) { s->job.b[0] ^= 1; }
static void bend_ref(struct statement *s) { strcpy(s->ref, "refs/heads/fork"); }
static void bend_cell(struct statement *s) { strcpy(s->cell, "easy"); }
static void bend_arch(struct statement *s) { strcpy(s->arch, "aarch64"); }
static void bend_plan(struct statement *s) { s->plan_sha256[0] = '1'; }
static void bend_plan_path(struct statement *s) { strcpy(s->plan_path, "true.yml"); }
static void bend_plan_origin(struct statement *s) { s->plan_origin = PLAN_DETECTED; }
static void bend_image(struct statement *s) { strcpy(s->image_name, "doctored@1"); }
static void bend_image_version(struct statement *s) { strcpy(s->image_name, "mini@2"); }
static void bend_node(struct statement *s) { s->node.b[0] ^= 1; }

/* "Verdict by a side door": genuine statements of the very node that is trusted, for the right commit, in results of the right
 * job; but about another plan, image, project … than it asks for. None counts, none is shown. */
static void test_bent_statements(void)
{
	static const struct { const char *what; void (*bend)(struct statement *s); } doors[] = {
		{"another commit", bend_commit}, {"another project", bend_project}, {"another job", bend_job}, {"another ref", bend_ref},
		{"another cell", bend_cell}, {"another architecture", bend_arch}, {"the plan `true`", bend_plan},
		{"another plan file", bend_plan_path}, {"a detected plan", bend_plan_origin}, {"a doctored image", bend_image},
		{"another version of the image", bend_image_version}, {"a spoofed author", bend_node},
	};
	for (size_t i = 0; i < ARRAY_LEN(doors); i++) {
		struct fixture f;
		fixture_init(&f);
		const struct record *job = add_job(&f, PLAN_TREE);
		add_bent(&f, &f.volunteer, &f.volunteer, job, 1, PLAN_TREE, '0', doors[i].bend);
		expect(&f, true, &f.volunteer, VERDICT_UNKNOWN, 0, doors[i].what);
		expect(&f, false, &f.volunteer, VERDICT_UNKNOWN, 0, doors[i].what);
		fixture_release(&f);
	}
}

/* Another's statement under the own key: the record is the trusted node's, the statement is not; and the other way round. */
static void test_copied_results(void)
{
	struct fixture f;
	fixture_init(&f);
	const struct record *job = add_job(&f, PLAN_TREE);
	add_bent(&f, &f.other, &f.volunteer, job, 1, PLAN_TREE, '0', NULL);
	add_bent(&f, &f.volunteer, &f.other, job, 1, PLAN_TREE, '0', NULL);
	expect(&f, true, &f.volunteer, VERDICT_UNKNOWN, 0, "a copied result");
	expect(&f, true, &f.other, VERDICT_UNKNOWN, 0, "a copied result");
	fixture_release(&f);
}

/* The other side doors of facts/threats: a plan that is not the tree's, two plans, errors. */
static void test_side_doors(void)
{
	struct fixture f;
	fixture_init(&f);
	add_result(&f, &f.volunteer, add_job(&f, PLAN_INLINE), 1, PLAN_INLINE, '0');
	expect(&f, true, &f.volunteer, VERDICT_UNKNOWN, 1, "an inline plan says nothing of the commit");
	expect(&f, false, &f.volunteer, VERDICT_PASSED, 1, "but answers for its job");
	fixture_release(&f);

	fixture_init(&f);
	const struct record *job = add_job(&f, PLAN_TREE);
	add_result(&f, &f.volunteer, job, 1, PLAN_INLINE, '0');
	expect(&f, true, &f.volunteer, VERDICT_UNKNOWN, 0, "a statement that admits another plan does not count");
	fixture_release(&f);

	fixture_init(&f);
	add_result(&f, &f.volunteer, add_job(&f, PLAN_TREE), 1, PLAN_TREE, '0');
	add_result(&f, &f.volunteer, add_job_of(&f, PLAN_TREE, '1'), 1, PLAN_TREE, '1');
	expect(&f, true, &f.volunteer, VERDICT_DISPUTED, 2, "two plans for one commit");
	fixture_release(&f);

	fixture_init(&f);
	job = add_job(&f, PLAN_TREE);
	add_plain(&f, &f.volunteer, job, 4);
	expect(&f, true, &f.volunteer, VERDICT_INCONCLUSIVE, 1, "an error is not the project's");
	expect_at(&f, NOW + JOB_RETRY_MS - 1, true, &f.volunteer, VERDICT_PENDING, 1, "another volunteer may take it");
	expect_at(&f, NOW + JOB_RETRY_MS, true, &f.volunteer, VERDICT_INCONCLUSIVE, 1, "none has");
	add_result(&f, &f.volunteer, job, 1, PLAN_TREE, '0');
	expect_at(&f, NOW + 1, true, &f.volunteer, VERDICT_PASSED, 2, "it was taken again, and passed");
	fixture_release(&f);
}

static void set_cc_gcc(struct statement *s) { strcpy(s->cell, "CC=gcc"); }
static void set_cc_clang(struct statement *s) { strcpy(s->cell, "CC=clang"); }

/* A matrix of two: the verdict needs both, also while only one of them is known here. */
static void test_cells(void)
{
	struct fixture f;
	fixture_init(&f);
	const struct record *gcc = add_job_in(&f, PLAN_TREE, '0', "CC=gcc", 2);
	add_bent(&f, &f.volunteer, &f.volunteer, gcc, 1, PLAN_TREE, '0', set_cc_gcc);
	expect(&f, false, &f.volunteer, VERDICT_PASSED, 1, "the job itself passed");
	expect(&f, true, &f.volunteer, VERDICT_UNKNOWN, 1, "the other cell was never announced");
	/* another file of .builds/, and so another plan: no dispute */
	const struct record *clang = add_job_in(&f, PLAN_TREE, '1', "CC=clang", 2);
	expect(&f, true, &f.volunteer, VERDICT_UNKNOWN, 1, "the other cell was not built");
	const size_t before = f.len;
	add_bent(&f, &f.volunteer, &f.volunteer, clang, 2, PLAN_TREE, '1', set_cc_clang);
	expect(&f, true, &f.volunteer, VERDICT_FAILED, 2, "one cell failed");
	record_unref(f.rows[before]);
	f.len = before;
	add_bent(&f, &f.volunteer, &f.volunteer, clang, 1, PLAN_TREE, '1', set_cc_clang);
	expect(&f, true, &f.volunteer, VERDICT_PASSED, 2, "both passed");
	const struct record *again = add_job_in(&f, PLAN_TREE, '2', "CC=clang", 2);
	add_bent(&f, &f.volunteer, &f.volunteer, again, 1, PLAN_TREE, '2', set_cc_clang);
	expect(&f, true, &f.volunteer, VERDICT_DISPUTED, 3, "two plans for one cell");
	fixture_release(&f);
}

static void test_two_projects(void)
{
	struct fixture f, g;
	fixture_init(&f);
	fixture_init(&g);
	add_job(&f, PLAN_TREE);
	uint8_t nonce[16] = {8};
	project_id_derive(&g.maintainer.id, nonce, &g.project);
	topic_derive(&g.project, &g.topic);
	f.rows[f.len++] = record_ref(add_job(&g, PLAN_TREE));
	CLEANUP(dossier_release) struct dossier d = {0};
	const struct trust_list trust = {NULL, 0};
	struct results_query q = {.commit = COMMIT, .trust = &trust, .need = 1, .now_ms = NOW};
	json_t *answer = NULL;
	enum verdict verdict = 0;
	INTEQ(dossier_build(f.rows, f.len, &d, NULL), 0);
	struct err err;
	INTEQ(dossier_results(&d, &q, &answer, &verdict, &err), ERR_AMBIGUOUS);
	q.project = &f.project;
	INTEQ(dossier_results(&d, &q, &answer, &verdict, &err), 0);
	INTEQ(verdict, VERDICT_PENDING);
	json_decref(answer);
	fixture_release(&f);
	fixture_release(&g);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_verdicts();
	test_side_doors();
	test_bent_statements();
	test_copied_results();
	test_cells();
	test_two_projects();
	return tap_done();
}
