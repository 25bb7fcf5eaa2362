#include "tests/unit/samples.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/dsse.h"

void sample_key_init(struct sample_key *k, uint8_t n)
{
	uint8_t seed[32] = {0};
	seed[31] = n;
	if (sodium_init() < 0)
		abort();
	crypto_sign_seed_keypair(k->id.b, k->secret, seed);
}

static void sample_nonce(uint8_t nonce[16])
{
	for (uint8_t i = 0; i < 16; i++)
		nonce[i] = (uint8_t)(0x10 + i);
}

void sample_project(struct project_body *p)
{
	struct sample_key founder, second, third, fourth;
	sample_key_init(&founder, 1);
	sample_key_init(&second, 2);
	sample_key_init(&third, 3);
	sample_key_init(&fourth, 4);
	memset(p, 0, sizeof *p);
	sample_nonce(p->nonce);
	strcpy(p->name, "example");
	strcpy(p->urls[0], "https://example.org/repo.git");
	strcpy(p->urls[1], "git://[2001:db8::1]:9419/repo");
	p->urls_len = 2;
	p->maintainers[0] = founder.id;
	p->maintainers[1] = second.id;
	p->maintainers_len = 2;
	p->former[0].key = third.id;
	p->former[0].removed_at_ms = SAMPLE_CREATED_MS - 1000;
	p->former_len = 1;
	p->volunteers[0] = fourth.id;
	p->volunteers_len = 1;
}

void sample_project_id(struct id32 *ret)
{
	struct sample_key founder;
	uint8_t nonce[16];
	sample_key_init(&founder, 1);
	sample_nonce(nonce);
	project_id_derive(&founder.id, nonce, ret);
}

void sample_job(struct job_body *p)
{
	memset(p, 0, sizeof *p);
	sample_project_id(&p->project);
	p->project_sequence = SAMPLE_CREATED_MS;
	strcpy(p->commit, SAMPLE_COMMIT);
	strcpy(p->ref, "refs/heads/main");
	strcpy(p->arch, "x86_64");
	strcpy(p->image, "mini@1");
	p->cpus = 2;
	p->memory_bytes = UINT64_C(1) << 30;
	p->disk_bytes = UINT64_C(4) << 30;
	p->timeout_ms = 600000;
	p->claim_until_ms = SAMPLE_CREATED_MS + DAY_MS;
	p->wanted = 1;
	p->plan_origin = PLAN_TREE;
	strcpy(p->plan_path, ".talkoo.yml");
	strcpy(p->plan_sha256, "97633f2f45ac15f7b2acdb3083feca4f3f7a7d0057f9711fa3a6833273f365d0");
}

void sample_node(struct node_body *p)
{
	memset(p, 0, sizeof *p);
	strcpy(p->addresses[0].host, "seed.example.org");
	p->addresses[0].port = PORT_DEFAULT;
	strcpy(p->addresses[1].host, "2001:db8::1");
	p->addresses[1].port = 443;
	p->addresses_len = 2;
	strcpy(p->arch, "x86_64");
	strcpy(p->images[0], "mini@1");
	strcpy(p->images[1], "debian-c@12.1");
	p->images_len = 2;
	strcpy(p->software, "talkoo 0.1.0");
}

struct record *sample_record(uint32_t kind, const struct sample_key *author, const struct id32 *topic, const void *key, size_t key_len,
			     const struct id32 *depends, const struct buf *body)
{
	struct record_fields f = {.kind = kind, .created_ms = SAMPLE_CREATED_MS, .key = key, .key_len = key_len,
				  .sequence = SAMPLE_CREATED_MS, .body = body->data, .body_len = body->len};
	struct id32 project;
	sample_project_id(&project);
	if (topic)
		f.topic = *topic;
	else
		topic_derive(&project, &f.topic);
	if (depends) {
		f.depends[0] = *depends;
		f.depends_len = 1;
	}
	struct record *r = NULL;
	struct err err = {0};
	if (buf_failed(body) || record_sign(&f, author->secret, SAMPLE_NETWORK, &r, &err)) {
		err_print(&err, stderr);
		abort();
	}
	return r;
}

struct record *sample_project_record(void)
{
	struct sample_key founder;
	struct project_body p;
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_LEN_MAX);
	sample_key_init(&founder, 1);
	sample_project(&p);
	project_body_encode(&p, &body);
	return sample_record(RECORD_PROJECT, &founder, NULL, p.nonce, sizeof p.nonce, NULL, &body);
}

struct record *sample_job_record(void)
{
	struct sample_key maintainer;
	struct job_body p;
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_LEN_MAX);
	sample_key_init(&maintainer, 1);
	sample_job(&p);
	job_body_encode(&p, &body);
	return sample_record(RECORD_JOB, &maintainer, NULL, NULL, 0, NULL, &body);
}

struct record *sample_claim_record(const struct sample_key *author, const struct record *job)
{
	const struct claim_body p = {.lease_until_ms = SAMPLE_CREATED_MS + CLAIM_LEASE_MAX_MS, .step = 1, .steps = 3, .phase = "run"};
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_LEN_MAX);
	claim_body_encode(&p, &body);
	return sample_record(RECORD_CLAIM, author, NULL, record_id(job)->b, 32, record_id(job), &body);
}

struct record *sample_cancel_record(const struct sample_key *author, const struct record *job)
{
	const struct cancel_body p = {.job = *record_id(job), .reason = "superseded"};
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_LEN_MAX);
	cancel_body_encode(&p, &body);
	return sample_record(RECORD_CANCEL, author, NULL, NULL, 0, record_id(job), &body);
}

struct record *sample_error_record(const struct sample_key *author, const struct record *job, enum result_outcome outcome)
{
	struct result_body p = {.job = *record_id(job), .outcome = (uint8_t)outcome, .reason = "the image does not start", .has_log = true};
	digest_bytes("log\n", 4, &p.log);
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_RESULT_LEN_MAX);
	result_body_encode(&p, &body);
	return sample_record(RECORD_RESULT, author, NULL, NULL, 0, record_id(job), &body);
}

struct record *sample_node_record(const struct sample_key *author)
{
	static const struct id32 no_topic;
	struct node_body p;
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, RECORD_LEN_MAX);
	sample_node(&p);
	node_body_encode(&p, &body);
	return sample_record(RECORD_NODE, author, &no_topic, NULL, 0, NULL, &body);
}

static void sample_lists(struct statement *s, uint8_t outcome)
{
	s->steps = calloc(2, sizeof *s->steps);
	s->artifacts = calloc(1, sizeof *s->artifacts);
	if (!s->steps || !s->artifacts)
		abort();
	s->steps_len = 2;
	strcpy(s->steps[0].name, "build");
	s->steps[0].duration_ms = 1200;
	strcpy(s->steps[1].name, "test \"all\" \xc3\xa4");
	s->steps[1].exit_code = outcome == OUTCOME_PASSED ? 0 : outcome == OUTCOME_FAILED ? 2 : -1;
	s->steps[1].duration_ms = 3400;
	s->artifacts_len = 1;
	strcpy(s->artifacts[0].path, "out/report.txt");
	digest_bytes("report\n", 7, &s->artifacts[0].digest);
}

void sample_statement(struct statement *s, const struct sample_key *author, const struct record *job, uint8_t outcome)
{
	memset(s, 0, sizeof *s);
	s->node = author->id;
	sample_project_id(&s->project);
	s->job = *record_id(job);
	strcpy(s->commit, SAMPLE_COMMIT);
	strcpy(s->ref, "refs/heads/main");
	strcpy(s->ref_seen, "refs/heads/main");
	s->outcome = outcome;
	strcpy(s->reason, outcome == OUTCOME_PASSED ? "" : "the step \"test\" did not pass");
	s->plan_origin = PLAN_TREE;
	strcpy(s->plan_path, ".talkoo.yml");
	strcpy(s->plan_sha256, "97633f2f45ac15f7b2acdb3083feca4f3f7a7d0057f9711fa3a6833273f365d0");
	strcpy(s->plan_format, "talkoo");
	strcpy(s->image_name, "mini@1");
	strcpy(s->image_digest, "6105d6cc76af400325e94d588ce511be5bfdbb73b437dc51eca43917d7a43e3d");
	strcpy(s->arch, "x86_64");
	strcpy(s->accel, "tcg");
	strcpy(s->isolation, "userns,pidns,netns,seccomp");
	strcpy(s->machine, "q35");
	s->cpus = 2;
	s->memory_bytes = UINT64_C(1) << 30;
	s->disk_bytes = UINT64_C(4) << 30;
	s->timeout_ms = 9000000;
	s->log_bytes_max = 10 << 20;
	s->artifact_bytes_max = 16 << 20;
	s->artifact_count_max = 1000;
	s->started_ms = SAMPLE_CREATED_MS + 5000;
	s->finished_ms = s->started_ms + 6500;
	s->duration_ms = 6500;
	digest_bytes("source\n", 7, &s->source);
	digest_bytes("log\n", 4, &s->log);
	sample_lists(s, outcome);
}

struct record *sample_result_record(const struct sample_key *author, const struct record *job, const struct statement *s)
{
	CLEANUP(buf_release) struct buf text;
	CLEANUP(buf_release) struct buf index;
	CLEANUP(buf_release) struct buf body;
	buf_init(&text, STATEMENT_LEN_MAX);
	buf_init(&index, 1 << 24);
	buf_init(&body, RECORD_RESULT_LEN_MAX);
	struct result_body p = {.job = *record_id(job)};
	struct err err = {0};
	if (statement_write(s, &text, &index, &err) || dsse_sign(DSSE_INTOTO_TYPE, text.data, text.len, author->secret, p.signature, &err)) {
		err_print(&err, stderr);
		abort();
	}
	p.payload = text.data;
	p.payload_len = text.len;
	result_body_encode(&p, &body);
	return sample_record(RECORD_RESULT, author, NULL, NULL, 0, record_id(job), &body);
}
