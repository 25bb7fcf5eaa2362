#include "proto/dsse.h"

#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/ed25519.h"

#define SIGNATURES_MAX 16
#define TYPE_MAX 128
#define ENVELOPE_LEN_MAX (1u << 20)
#define B64_STANDARD sodium_base64_VARIANT_ORIGINAL

/* DSSE protocol.md "Signature Definition": PAE(type, body) */
void dsse_pae(const char *payload_type, const uint8_t *payload, size_t len, struct buf *b)
{
	buf_printf(b, "DSSEv1 %zu %s %zu ", strlen(payload_type), payload_type, len);
	buf_append(b, payload, len);
}

static int make_pae(const char *type, const uint8_t *payload, size_t len, struct buf *ret, struct err *err)
{
	buf_init(ret, len + TYPE_MAX + 64);
	dsse_pae(type, payload, len, ret);
	return buf_check(ret, "signed payload", err);
}

int dsse_sign(const char *payload_type, const uint8_t *payload, size_t len, const uint8_t secret[64], uint8_t ret_signature[64],
	      struct err *err)
{
	CLEANUP(buf_release) struct buf pae;
	const int code = make_pae(payload_type, payload, len, &pae, err);
	if (code)
		return code;
	ed25519_sign(pae.data, pae.len, secret, ret_signature);
	return 0;
}

bool dsse_verify(const char *payload_type, const uint8_t *payload, size_t len, const struct node_id *key, const uint8_t signature[64])
{
	CLEANUP(buf_release) struct buf pae;
	if (make_pae(payload_type, payload, len, &pae, NULL))
		return false;
	return ed25519_verify(pae.data, pae.len, signature, key);
}

static void put_base64(struct buf *b, const uint8_t *bytes, size_t len)
{
	const size_t size = sodium_base64_ENCODED_LEN(len, B64_STANDARD);
	uint8_t *room = buf_reserve(b, size);
	if (!room)
		return;
	sodium_bin2base64((char *)room, size, bytes, len, B64_STANDARD);
	buf_commit(b, size - 1);
}

int dsse_envelope_write(const char *payload_type, const uint8_t *payload, size_t len, const struct node_id *key,
			const uint8_t signature[64], struct buf *ret, struct err *err)
{
	char id[NODE_ID_TEXT_MAX];
	buf_str(ret, "{\"payload\":\"");
	put_base64(ret, payload, len);
	buf_printf(ret, "\",\"payloadType\":\"%s\",\"signatures\":[{\"keyid\":\"%s\",\"sig\":\"", payload_type, node_id_format(id, key));
	put_base64(ret, signature, 64);
	buf_str(ret, "\"}]}");
	return buf_check(ret, "envelope", err);
}

/* Either alphabet, padded or not: the specification lets producers choose. */
static bool get_base64(const char *text, uint8_t *out, size_t max, size_t *ret_len)
{
	static const int variants[] = {sodium_base64_VARIANT_ORIGINAL, sodium_base64_VARIANT_URLSAFE,
				       sodium_base64_VARIANT_ORIGINAL_NO_PADDING, sodium_base64_VARIANT_URLSAFE_NO_PADDING};
	for (size_t i = 0; i < ARRAY_LEN(variants); i++)
		if (!sodium_base642bin(out, max, text, strlen(text), NULL, ret_len, NULL, variants[i]))
			return true;
	return false;
}

static int read_payload(const json_t *root, struct buf *ret, struct err *err)
{
	const json_t *payload = json_object_get(root, "payload");
	if (!json_is_string(payload))
		return err_set(err, ERR_INVALID, "envelope: payload: not a text");
	const size_t most = json_string_length(payload) / 4 * 3 + 3;
	size_t len = 0;
	uint8_t *room = buf_reserve(ret, most);
	if (!room)
		return buf_check(ret, "envelope's payload", err);
	if (!get_base64(json_string_value(payload), room, most, &len))
		return err_set(err, ERR_INVALID, "envelope: payload: not base64");
	buf_commit(ret, len);
	return 0;
}

/* The first signature that holds under the key that it names. */
static int find_signature(const json_t *root, const struct buf *payload, struct node_id *ret_key, uint8_t ret_signature[64],
			  struct err *err)
{
	const json_t *signatures = json_object_get(root, "signatures");
	const size_t len = json_array_size(signatures);
	if (!len || len > SIGNATURES_MAX)
		return err_set(err, ERR_INVALID, "envelope: signatures: 1 to %d are wanted, not %zu", SIGNATURES_MAX, len);
	bool knows_a_key = false;
	for (size_t i = 0; i < len; i++) {
		const json_t *one = json_array_get(signatures, i);
		const char *keyid = json_string_value(json_object_get(one, "keyid"));
		const char *text = json_string_value(json_object_get(one, "sig"));
		struct node_id key;
		uint8_t signature[64];
		size_t signature_len = 0;
		if (!keyid || !text || node_id_parse(keyid, &key, NULL))
			continue;
		knows_a_key = true;
		if (!get_base64(text, signature, sizeof signature, &signature_len) || signature_len != 64)
			continue;
		if (!dsse_verify(DSSE_INTOTO_TYPE, payload->data, payload->len, &key, signature))
			continue;
		*ret_key = key;
		memcpy(ret_signature, signature, 64);
		return 0;
	}
	return err_set(err, ERR_INVALID, "envelope: %s",
		       knows_a_key ? "no signature holds under the key that it names" : "no signature names a node id (did:key) as its key");
}

int dsse_envelope_open(const char *text, size_t len, struct buf *ret_payload, struct node_id *ret_key, uint8_t ret_signature[64],
		       struct err *err)
{
	json_error_t why;
	if (len > ENVELOPE_LEN_MAX)
		return err_set(err, ERR_LIMIT, "envelope: %zu bytes; at most %u are read", len, ENVELOPE_LEN_MAX);
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		return err_set(err, ERR_INVALID, "envelope: not JSON: line %d: %s", why.line, why.text);
	const char *type = json_string_value(json_object_get(root, "payloadType"));
	CLEANUP(buf_release) struct buf payload;
	buf_init(&payload, ENVELOPE_LEN_MAX);
	int code;
	if (!type || strcmp(type, DSSE_INTOTO_TYPE))
		code = err_set(err, ERR_INVALID, "envelope: payloadType is not %s", DSSE_INTOTO_TYPE);
	else
		code = read_payload(root, &payload, err);
	if (!code)
		code = find_signature(root, &payload, ret_key, ret_signature, err);
	json_decref(root);
	if (code)
		return code;
	/* only now: what no signature vouches for never leaves */
	buf_append(ret_payload, payload.data, payload.len);
	return buf_check(ret_payload, "envelope's payload", err);
}

/* RFC 8410 section 4: SubjectPublicKeyInfo of id-Ed25519 is this prefix and the 32 bytes */
int ed25519_pem(const struct node_id *key, struct buf *ret, struct err *err)
{
	static const uint8_t prefix[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
	uint8_t der[sizeof prefix + 32];
	memcpy(der, prefix, sizeof prefix);
	memcpy(der + sizeof prefix, key->b, 32);
	buf_str(ret, "-----BEGIN PUBLIC KEY-----\n");
	put_base64(ret, der, sizeof der);
	buf_str(ret, "\n-----END PUBLIC KEY-----\n");
	return buf_check(ret, "key", err);
}
