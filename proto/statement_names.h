/* Words shared by the statement's writer and reader. Private to proto/statement*.c. */
#ifndef TALKOO_PROTO_STATEMENT_NAMES_H
#define TALKOO_PROTO_STATEMENT_NAMES_H

#include <stdint.h>

#define STATEMENT_TYPE "https://in-toto.io/Statement/v1"
#define STATEMENT_PREDICATE_TYPE "https://in-toto.io/attestation/test-result/v0.1"

extern const char *const statement_outcomes[4]; /* by number; 0 is none */
extern const char *const statement_origins[4];
/* The test-result predicate's word: a timeout under emulation says nothing about the project. */
const char *statement_result_word(uint8_t outcome, const char *accel);

#endif
