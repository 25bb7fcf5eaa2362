/* Sample keys, bodies and signed records from fixed seeds: for the unit tests of everything that handles records, and for
 * the program that writes proto/vectors. Nothing random, so the same bytes in every run. */
#ifndef TALKOO_TESTS_SAMPLES_H
#define TALKOO_TESTS_SAMPLES_H

#include "proto/body.h"
#include "proto/record.h"
#include "proto/statement.h"

#define SAMPLE_NETWORK "main"
#define SAMPLE_CREATED_MS UINT64_C(1790000000000)
#define SAMPLE_COMMIT "d20ace7968ba43c0219f62d71334c1095bab1602"

/* Key number n: the seed is 31 zero bytes and n. secret: 64 bytes, libsodium's layout. */
struct sample_key { struct node_id id; uint8_t secret[64]; };
void sample_key_init(struct sample_key *k, uint8_t n);

/* Bodies that the decoders accept. founder: of the project; it is key 1 in the records below. */
void sample_project(struct project_body *p);
void sample_job(struct job_body *p);
void sample_project_id(struct id32 *ret);
void sample_node(struct node_body *p);

/* Signs; an error ends the program. key, depends may be NULL. topic NULL: the sample project's. */
struct record *sample_record(uint32_t kind, const struct sample_key *author, const struct id32 *topic, const void *key, size_t key_len,
			     const struct id32 *depends, const struct buf *body);
/* Whole records: the project and the job by key 1; the others by the key given, about the sample job. */
struct record *sample_project_record(void);
struct record *sample_job_record(void);
struct record *sample_claim_record(const struct sample_key *author, const struct record *job);
struct record *sample_cancel_record(const struct sample_key *author, const struct record *job);
/* A result without a statement. */
struct record *sample_error_record(const struct sample_key *author, const struct record *job, enum result_outcome outcome);
struct record *sample_node_record(const struct sample_key *author);
/* A statement about the sample job: statement_release() it. outcome 1 to 3. */
void sample_statement(struct statement *s, const struct sample_key *author, const struct record *job, uint8_t outcome);
/* A result that carries it, signed by author whatever the statement says. */
struct record *sample_result_record(const struct sample_key *author, const struct record *job, const struct statement *s);

#endif
