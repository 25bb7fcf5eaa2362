#include "node/cli/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/dsse.h"

#define PAYLOAD_MAX (1u << 20)
#define SIGSTORE_TYPE "application/vnd.dev.sigstore.bundle.v0.3+json"

bool bundle_format_parse(const char *text, enum bundle_format *ret)
{
#define X(name, value, format)                                                                                         \
	if (!strcmp(text, format)) {                                                                                   \
		*ret = name;                                                                                           \
		return true;                                                                                           \
	}
	BUNDLE_FORMATS(X)
#undef X
	return false;
}

const json_t *bundle_envelope(const json_t *object)
{
	const json_t *inner = json_object_get(object, "envelope");
	if (!inner)
		inner = json_object_get(object, "dsseEnvelope");
	if (inner)
		return json_is_object(inner) ? inner : NULL;
	return json_object_get(object, "payload") ? object : NULL;
}

json_t *bundle_bare(const json_t *envelope)
{
	return json_pack("{s:O*,s:O*,s:O*}", "payloadType", json_object_get(envelope, "payloadType"), "payload",
			 json_object_get(envelope, "payload"), "signatures", json_object_get(envelope, "signatures"));
}

json_t *bundle_sigstore(const json_t *envelope)
{
	const json_t *signature = json_array_get(json_object_get(envelope, "signatures"), 0);
	const char *keyid = json_string_value(json_object_get(signature, "keyid"));
	return json_pack("{s:s,s:{s:{s:s},s:[],s:{s:[]}},s:o}", "mediaType", SIGSTORE_TYPE, "verificationMaterial", "publicKey", "hint",
			 keyid ? keyid : "", "tlogEntries", "timestampVerificationData", "rfc3161Timestamps", "dsseEnvelope",
			 bundle_bare(envelope));
}

void bundle_signed_release(struct bundle_signed *s)
{
	buf_release(&s->payload);
}

int bundle_open(const json_t *envelope, struct bundle_signed *ret, struct err *err)
{
	struct bundle_signed s = {0};
	CLEANUP(cleanup_free) char *text = json_dumps(envelope, JSON_COMPACT);
	if (!text)
		return err_set(err, ERR_NOMEM, "out of memory");
	buf_init(&s.payload, PAYLOAD_MAX);
	const int code = dsse_envelope_open(text, strlen(text), &s.payload, &s.key, s.signature, err);
	if (code) {
		bundle_signed_release(&s);
		return code;
	}
	*ret = s;
	return 0;
}

static int open_one(const json_t *object, bundle_fn fn, void *user, struct err *err)
{
	CLEANUP(bundle_signed_release) struct bundle_signed s = {0};
	const json_t *envelope = bundle_envelope(object);
	if (!envelope) {
		err_set(err, ERR_INVALID, "no signed result in it");
		return err_hint(err, "it takes what 'talkoo export' writes: DSSE envelopes or Sigstore bundles");
	}
	const int code = bundle_open(envelope, &s, err);
	return code ? code : fn(user, &s, err);
}

int bundle_each(const char *name, const char *text, size_t len, bundle_fn fn, void *user, struct err *err)
{
	size_t count = 0;
	for (size_t at = 0;;) {
		at += strspn(text + at, " \t\r\n");
		if (at >= len)
			break;
		json_error_t why;
		json_t *object = json_loadb(text + at, len - at, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &why);
		if (!object)
			return err_set(err, ERR_INVALID, "%s: not JSON: %s", name, why.text);
		at += (size_t)why.position;
		int code = open_one(object, fn, user, err);
		json_decref(object);
		if (!code && ++count > BUNDLE_ENVELOPES_MAX)
			code = err_set(err, ERR_LIMIT, "more than %d signed results", BUNDLE_ENVELOPES_MAX);
		if (code)
			return count ? err_context(err, "%s: signed result %zu", name, count + 1) : err_context(err, "%s", name);
	}
	return count ? 0 : err_set(err, ERR_INVALID, "%s: empty", name);
}

static int write_part(const char *folder, const char *name, const void *bytes, size_t len, struct err *err)
{
	char path[PATH_MAX];
	if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
		return err_set(err, ERR_LIMIT, "%s/%s: the path is too long", folder, name);
	CLEANUP(cleanup_fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 && errno == EEXIST) {
		err_set(err, ERR_REFUSED, "%s is there already", path);
		return err_hint(err, "name an empty folder");
	}
	if (fd < 0)
		return err_errno(err, errno, "cannot write %s", path);
	return io_write_full(fd, bytes, len, err);
}

int bundle_write_parts(const struct bundle_signed *s, const char *folder, struct err *err)
{
	CLEANUP(buf_release) struct buf pae;
	CLEANUP(buf_release) struct buf pem;
	buf_init(&pae, PAYLOAD_MAX + 256);
	buf_init(&pem, 4096);
	dsse_pae(DSSE_INTOTO_TYPE, s->payload.data, s->payload.len, &pae);
	int code = buf_check(&pae, "the PAE", err);
	if (!code)
		code = ed25519_pem(&s->key, &pem, err);
	if (!code)
		code = io_mkdirs(folder, 0755, err);
	if (!code)
		code = write_part(folder, "payload", s->payload.data, s->payload.len, err);
	if (!code)
		code = write_part(folder, "pae", pae.data, pae.len, err);
	if (!code)
		code = write_part(folder, "signature", s->signature, sizeof s->signature, err);
	return code ? code : write_part(folder, "key.pem", pem.data, pem.len, err);
}
