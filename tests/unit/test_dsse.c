#include <jansson.h>
#include <sodium.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/dsse.h"
#include "tests/unit/tap.h"

static void test_pae_vectors(void)
{
	const char *path = tap_vector_file("dsse/pae.json");
	if (!path)
		return;
	json_t *root = json_load_file(path, 0, NULL);
	size_t i;
	const json_t *v;
	json_array_foreach(json_object_get(root, "vectors"), i, v)
	{
		CLEANUP(buf_release) struct buf b;
		buf_init(&b, 4096);
		const char *body = json_string_value(json_object_get(v, "payload_utf8"));
		dsse_pae(json_string_value(json_object_get(v, "payloadType")), (const uint8_t *)body, strlen(body), &b);
		STREQ(buf_cstr(&b), json_string_value(json_object_get(v, "pae_utf8")));
	}
	OK(i > 0, "%zu vectors", i);
	json_decref(root);
}

static int open_text(const char *text, size_t len, struct buf *payload, struct node_id *key, struct err *err)
{
	uint8_t signature[64];
	return dsse_envelope_open(text, len, payload, key, signature, err);
}

static void test_published_envelope(void)
{
	const char *path = tap_vector_file("attestation/att.dsse.json");
	if (!path)
		return;
	CLEANUP(buf_release) struct buf text, payload, pem, want;
	buf_init(&text, 1 << 20);
	buf_init(&payload, 1 << 20);
	buf_init(&pem, 4096);
	buf_init(&want, 4096);
	struct err err = {0};
	struct node_id key;
	INTEQ(io_read_file(path, &text, &err), 0);
	OK(!open_text(buf_cstr(&text), text.len, &payload, &key, &err), "accepted %s", err.what);
	char id[NODE_ID_TEXT_MAX];
	STREQ(node_id_format(id, &key), "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp");
	INTEQ(ed25519_pem(&key, &pem, &err), 0);
	path = tap_vector_file("attestation/node.pem");
	if (path && !io_read_file(path, &want, &err))
		STREQ(buf_cstr(&pem), buf_cstr(&want));
	/* a flipped bit anywhere in payload or signature is refused; in the JSON around them it may be harmless white space */
	json_t *root = json_loadb(buf_cstr(&text), text.len, 0, NULL);
	unsigned accepted = 0;
	for (size_t i = 0; i < payload.len * 8; i++) {
		payload.data[i / 8] ^= (uint8_t)(1 << i % 8);
		uint8_t signature[64];
		size_t len;
		const char *sig = json_string_value(json_object_get(json_array_get(json_object_get(root, "signatures"), 0), "sig"));
		sodium_base642bin(signature, 64, sig, strlen(sig), NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL);
		accepted += dsse_verify(DSSE_INTOTO_TYPE, payload.data, payload.len, &key, signature);
		payload.data[i / 8] ^= (uint8_t)(1 << i % 8);
		if (i < 512) {
			signature[i / 8] ^= (uint8_t)(1 << i % 8);
			accepted += dsse_verify(DSSE_INTOTO_TYPE, payload.data, payload.len, &key, signature);
		}
	}
	INTEQ(accepted, 0);
	json_decref(root);
}

/* The published envelope's payload, signed by the same all-zero seed, gives the published signature; the Sigstore bundle
 * holds the same envelope. */
static void test_reproduced(void)
{
	const char *path = tap_vector_file("attestation/att.dsse.json");
	if (!path)
		return;
	CLEANUP(buf_release) struct buf text, payload, ours;
	buf_init(&text, 1 << 20);
	buf_init(&payload, 1 << 20);
	buf_init(&ours, 1 << 20);
	uint8_t seed[32] = {0}, secret[64], published[64], signature[64];
	struct node_id key, got;
	crypto_sign_seed_keypair(key.b, secret, seed);
	INTEQ(io_read_file(path, &text, NULL), 0);
	INTEQ(dsse_envelope_open(buf_cstr(&text), text.len, &payload, &got, published, NULL), 0);
	INTEQ(dsse_sign(DSSE_INTOTO_TYPE, payload.data, payload.len, secret, signature, NULL), 0);
	MEMEQ(signature, published, 64);
	INTEQ(dsse_envelope_write(DSSE_INTOTO_TYPE, payload.data, payload.len, &key, signature, &ours, NULL), 0);
	json_t *theirs = json_loads(buf_cstr(&text), 0, NULL), *own = json_loads(buf_cstr(&ours), 0, NULL);
	OK(json_equal(theirs, own), "our envelope is the published one");
	json_decref(own);
	path = tap_vector_file("attestation/att.sigstore.json");
	json_t *bundle = path ? json_load_file(path, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (bundle) {
		const json_t *inner = json_object_get(bundle, "dsseEnvelope");
		STREQ(json_string_value(json_object_get(inner, "payload")), json_string_value(json_object_get(theirs, "payload")));
		json_decref(bundle);
	}
	json_decref(theirs);
}

/* Spellings that the specification leaves open, and which signature counts. */
static void test_spellings(void)
{
	uint8_t seed[32] = {9}, secret[64], signature[64];
	struct node_id key, got;
	crypto_sign_seed_keypair(key.b, secret, seed);
	/* bytes whose base64 has + and / */
	static const uint8_t payload[] = {0xfb, 0xff, 0xbf, 0xfe};
	INTEQ(dsse_sign(DSSE_INTOTO_TYPE, payload, sizeof payload, secret, signature, NULL), 0);
	static const int variants[] = {sodium_base64_VARIANT_ORIGINAL, sodium_base64_VARIANT_URLSAFE, sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
				       sodium_base64_VARIANT_URLSAFE_NO_PADDING};
	char id[NODE_ID_TEXT_MAX], p[16], sig[96], text[1024], other[NODE_ID_TEXT_MAX];
	const struct node_id nobody = {{1, 2, 3}};
	node_id_format(id, &key);
	node_id_format(other, &nobody);
	for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
		CLEANUP(buf_release) struct buf out;
		buf_init(&out, 64);
		sodium_bin2base64(p, sizeof p, payload, sizeof payload, variants[i]);
		sodium_bin2base64(sig, sizeof sig, signature, 64, variants[i]);
		snprintf(text, sizeof text, "{\"payloadType\":\"" DSSE_INTOTO_TYPE "\",\"payload\":\"%s\",\"later\":1,\"signatures\":[{\"sig\":\"%s\"},"
			 "{\"keyid\":\"%s\",\"sig\":\"%s\"},{\"keyid\":\"%s\",\"sig\":\"%s\"}]}", p, sig, other, sig, id, sig);
		OK(!open_text(text, strlen(text), &out, &got, NULL) && node_id_eq(&got, &key) && out.len == sizeof payload, "variant %zu", i);
		MEMEQ(out.data, payload, sizeof payload);
	}
	CLEANUP(buf_release) struct buf out;
	buf_init(&out, 64);
	snprintf(text, sizeof text, "{\"payloadType\":\"" DSSE_INTOTO_TYPE "\",\"payload\":\"%s\",\"signatures\":[{\"keyid\":\"%s\",\"sig\":\"%s\"}]}", p, other, sig);
	buf_str(&out, "before");
	INTEQ(open_text(text, strlen(text), &out, &got, NULL), ERR_INVALID);
	STREQ(buf_cstr(&out), "before"); /* what no signature vouches for does not leave */
	snprintf(text, sizeof text, "{\"payloadType\":\"" DSSE_INTOTO_TYPE "\",\"payload\":\"%s\",\"signatures\":[{\"keyid\":\"%s\",\"sig\":\"%s\"}]}", p, id, sig);
	OK(!open_text(text, strlen(text), &out, &got, NULL) && out.len == 6 + sizeof payload && !memcmp(out.data + 6, payload, sizeof payload),
	   "appended to what is there");
}

static void test_own_and_hostile(void)
{
	uint8_t seed[32] = {9}, secret[64], signature[64];
	struct node_id key, got;
	crypto_sign_seed_keypair(key.b, secret, seed);
	struct err err = {0};
	INTEQ(dsse_sign(DSSE_INTOTO_TYPE, (const uint8_t *)"{}", 2, secret, signature, &err), 0);
	CLEANUP(buf_release) struct buf text, payload;
	buf_init(&text, 4096);
	buf_init(&payload, 4096);
	INTEQ(dsse_envelope_write(DSSE_INTOTO_TYPE, (const uint8_t *)"{}", 2, &key, signature, &text, &err), 0);
	INTEQ(open_text(buf_cstr(&text), text.len, &payload, &got, &err), 0);
	OK(node_id_eq(&got, &key) && !strcmp(buf_cstr(&payload), "{}"), "round trip");

	static const struct {
		const char *text, *part;
	} bad[] = {
		{"", "not JSON"},
		{"[]", "payloadType"},
		{"{\"payloadType\":\"application/vnd.in-toto+json\"}", "payload"},
		{"{\"payloadType\":\"text/plain\",\"payload\":\"e30=\",\"signatures\":[{}]}", "payloadType"},
		{"{\"payloadType\":\"application/vnd.in-toto+json\",\"payload\":\"!\",\"signatures\":[{}]}", "base64"},
		{"{\"payloadType\":\"application/vnd.in-toto+json\",\"payload\":\"e30=\"}", "signatures"},
		{"{\"payloadType\":\"application/vnd.in-toto+json\",\"payload\":\"e30=\",\"signatures\":[]}", "signatures"},
		{"{\"payloadType\":\"application/vnd.in-toto+json\",\"payload\":\"e30=\",\"signatures\":[{\"keyid\":7,\"sig\":[]}]}", "node id"},
		{"{\"payload\":\"e30=\",\"payload\":\"e30=\"}", "duplicate"},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		buf_reset(&payload);
		OK(open_text(bad[i].text, strlen(bad[i].text), &payload, &got, &err) == ERR_INVALID && strstr(err.what, bad[i].part),
		   "refused: %s", err.what);
		INTEQ(payload.len, 0);
	}
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_pae_vectors();
	test_published_envelope();
	test_reproduced();
	test_spellings();
	test_own_and_hostile();
	return tap_done();
}
