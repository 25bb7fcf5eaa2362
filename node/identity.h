/* The node's identity: its Ed25519 key. This is the only file of the program that sees the secret; it lies in
 * sodium_malloc memory, and others ask here for signatures.
 *
 * The key file is one line of text, "talkoo-secret-key:1:HEX" (HEX: the 32-byte seed), mode 0600; a backup is the same
 * text. Only what proves our id to peers and signs live logs borrows the secret itself. Must not know: records' meaning, home, store. Links: base, proto. sodium_init() has been called. */
#ifndef TALKOO_NODE_IDENTITY_H
#define TALKOO_NODE_IDENTITY_H

#include "proto/base/buf.h"
#include "proto/base/err.h"
#include "proto/ids.h"
#include "proto/record.h"

struct identity;

/* Makes a new key and its file, which must not exist (ERR_REFUSED). fsynced. */
int identity_create(const char *path, struct identity **ret, struct err *err) MUST_CHECK;
/* Reads a key file. ERR_REFUSED when others may read it or it is not ours, with the chmod in the hint; ERR_INVALID for other text;
 * ERR_NOT_FOUND with `talkoo init` in the hint. */
int identity_load(const char *path, struct identity **ret, struct err *err) MUST_CHECK;
/* Copies a key file (a backup given to `talkoo init --key`, or the backup itself): reads from, checks it as identity_load does,
 * creates to (ERR_REFUSED when it exists), mode 0600, fsynced. */
int identity_copy(const char *from, const char *to, struct identity **ret, struct err *err) MUST_CHECK;
void identity_free(struct identity *id);

const struct node_id *identity_id(const struct identity *id);

/* fields without version and author; see record_sign(). */
int identity_sign_record(const struct identity *id, const struct record_fields *fields, const char *network, struct record **ret,
			 struct err *err) MUST_CHECK;
/* The 64 bytes in libsodium's layout, lent as long as the identity lives: for p2p's handshakes and live logs, which sign while the loop
 * runs. Never copied. */
const uint8_t *identity_lend_secret(const struct identity *id);
/* Signature over the DSSE PAE. */
int identity_sign_dsse(const struct identity *id, const char *payload_type, const uint8_t *payload, size_t len, uint8_t ret_signature[64],
		       struct err *err) MUST_CHECK;

#endif
