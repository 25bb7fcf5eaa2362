/* DSSE v1: PAE and envelope with one Ed25519 signature. Source: secure-systems-lab/dsse, envelope.md, protocol.md. */
#ifndef TALKOO_PROTO_DSSE_H
#define TALKOO_PROTO_DSSE_H

#include "proto/base/buf.h"
#include "proto/base/err.h"
#include "proto/ids.h"

#define DSSE_INTOTO_TYPE "application/vnd.in-toto+json"

/* "DSSEv1 LEN TYPE LEN BODY" appended to b. */
void dsse_pae(const char *payload_type, const uint8_t *payload, size_t len, struct buf *b);
int dsse_sign(const char *payload_type, const uint8_t *payload, size_t len, const uint8_t secret[64], uint8_t ret_signature[64],
	      struct err *err) MUST_CHECK;
/* Strict verification (as record.h). False if it does not verify. */
bool dsse_verify(const char *payload_type, const uint8_t *payload, size_t len, const struct node_id *key, const uint8_t signature[64]);

/* The JSON envelope {"payloadType","payload","signatures":[{"keyid","sig"}]}, standard base64; keyid = did:key of the signer. */
int dsse_envelope_write(const char *payload_type, const uint8_t *payload, size_t len, const struct node_id *key,
			const uint8_t signature[64], struct buf *ret, struct err *err) MUST_CHECK;
/* Reads one (both base64 alphabets are taken, as the specification asks), finds the first signature that verifies under the key
 * that its keyid names. Gives the payload (appended to ret_payload) and the key. ERR_INVALID says what is wrong. */
int dsse_envelope_open(const char *text, size_t len, struct buf *ret_payload, struct node_id *ret_key, uint8_t ret_signature[64],
		       struct err *err) MUST_CHECK;
/* SubjectPublicKeyInfo PEM of an Ed25519 key, for plain openssl. */
int ed25519_pem(const struct node_id *key, struct buf *ret, struct err *err) MUST_CHECK;

#endif
