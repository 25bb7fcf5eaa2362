/* Signed results in the forms in which they leave and come back: a DSSE envelope, a Sigstore bundle (v0.3) around one, and
 * files that hold several, one JSON object after the other. And their parts, for plain openssl.
 *
 * Pure but for bundle_write_parts(). Must not know: who is trusted. Links: base, proto (dsse). */
#ifndef TALKOO_CLI_BUNDLE_H
#define TALKOO_CLI_BUNDLE_H

#include <jansson.h>
#include <stddef.h>

#include "proto/base/buf.h"
#include "proto/base/err.h"
#include "proto/ids.h"

#define BUNDLE_FILE_MAX (64u << 20)
#define BUNDLE_ENVELOPES_MAX 10000

#define BUNDLE_FORMATS(X)                                                                                              \
	X(BUNDLE_DSSE, 1, "dsse")                                                                                      \
	X(BUNDLE_JSONL, 2, "jsonl")                                                                                    \
	X(BUNDLE_SIGSTORE, 3, "sigstore")

enum bundle_format {
#define X(name, value, text) name = value,
	BUNDLE_FORMATS(X)
#undef X
};

bool bundle_format_parse(const char *text, enum bundle_format *ret);

/* The envelope of an object: itself, what is under "envelope" or "dsseEnvelope"; NULL if there is none. Lent. */
const json_t *bundle_envelope(const json_t *object);
/* Only the envelope's own fields, in their order (new reference). */
json_t *bundle_bare(const json_t *envelope);
/* An envelope as a Sigstore bundle with the signer's id as key hint (new reference). Source: sigstore/protobuf-specs, bundle v0.3. */
json_t *bundle_sigstore(const json_t *envelope);

/* One envelope that verified under the key that it names. */
struct bundle_signed {
	struct node_id key;
	uint8_t signature[64];
	struct buf payload;
};
void bundle_signed_release(struct bundle_signed *s);
int bundle_open(const json_t *envelope, struct bundle_signed *ret, struct err *err) MUST_CHECK;

/* Calls fn for each object of a file's text; name is for sentences ("result.json: the second signed result: …"). Stops at
 * the first error: a file in which one does not verify is refused whole. ERR_INVALID also for an empty file. */
typedef int (*bundle_fn)(void *user, const struct bundle_signed *s, struct err *err);
int bundle_each(const char *name, const char *text, size_t len, bundle_fn fn, void *user, struct err *err) MUST_CHECK;

/* Writes payload, pae, signature, key.pem into folder (made if absent); ERR_REFUSED when one of them is there. */
int bundle_write_parts(const struct bundle_signed *s, const char *folder, struct err *err) MUST_CHECK;

#endif
