/* Files that `talkoo verify` reads: trust sets and signed results, good and hostile. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/bundle.h"
#include "node/cli/trustfile.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/dsse.h"
#include "tests/unit/tap.h"

/* the key of an all-zero seed, as in the published vectors */
#define NODE "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"

static void test_good_trust(void)
{
	static const struct {
		const char *text, *operator_name;
		size_t len;
	} cases[] = {
		{"{\"v\":1,\"ok\":true,\"trust\":[{\"node\":\"" NODE "\",\"operator\":\"alice\",\"since\":\"x\"}]}", "alice", 1},
		{" \n[{\"node\":\"" NODE "\"}]", "", 1},
		{"[{\"node\":\"" NODE "\",\"operator\":null}]", "", 1},
		{"{\"trust\":[]}", NULL, 0},
		{"trust: []\n", NULL, 0},
		{"trust:\n  - {node: \"" NODE "\", operator: alice}\n", "alice", 1},
		{"# mine\ntrust:\n  - node: " NODE "\n", "", 1},
	};
	struct node_id id;
	OK(!node_id_parse(NODE, &id, NULL), "the node");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct trustfile t = {0};
		struct err err = {0};
		OK(!trustfile_parse("f", cases[i].text, strlen(cases[i].text), &t, &err), "%zu: %s", i, err.what);
		INTEQ(t.len, cases[i].len);
		const struct trustfile_entry *entry = trustfile_find(&t, &id);
		OK((entry != NULL) == (cases[i].len > 0), "%zu: finds it", i);
		if (entry)
			STREQ(entry->operator_name, cases[i].operator_name);
		id.b[0] ^= 1;
		OK(!trustfile_find(&t, &id), "and nobody else");
		id.b[0] ^= 1;
		trustfile_release(&t);
	}
}

static void test_bad_trust(void)
{
	static const struct {
		const char *text, *what;
	} cases[] = {
		{"", "empty"},
		{"# nothing\n", "empty"},
		{"{", "f:1: not JSON"},
		{"{}", "no list 'trust'"},
		{"{\"trust\":{}}", "no list 'trust'"},
		{"{\"trust\":[7]}", "trust[0]"},
		{"[{\"node\":7}]", "trust[0]"},
		{"[{\"node\":\"z6Mk\"}]", "trust[0].node"},
		{"[{\"node\":\"" NODE "\",\"operator\":[]}]", "trust[0]"},
		{"[{\"node\":\"" NODE "\",\"operator\":\"1234567890123456789012345678901234567890123456789012345678901234\"}]", "longer than 63"},
		{"[{\"node\":\"" NODE "\",\"node\":\"" NODE "\"}]", "not JSON"},
		{"trust: yes\n", "f:1:8: trust"},
		{"trust:\n  - node: z6Mkabc\n", "f:2:11: trust[0].node"},
		{"trust:\n  - {operator: a}\n", "trust[0]"},
		{"trust:\n  - {node: \"" NODE "\", opperator: a}\n", "opperator"},
		{"trusted: []\n", "trusted"},
		{"trust: []\ntrust: []\n", "f:2"},
		{"trust: &a []\n", "f:1"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct trustfile t = {0};
		struct err err = {0};
		const int code = trustfile_parse("f", cases[i].text, strlen(cases[i].text), &t, &err);
		OK(code == ERR_INVALID && strstr(err.what, cases[i].what), "%zu: %s", i, err.what);
		OK(!t.entries, "nothing given");
	}
}

static int count(void *user, const struct bundle_signed *s, struct err *err)
{
	(void)err;
	*(size_t *)user += s->payload.len > 0;
	return 0;
}

static int try_file(const char *text, size_t len, size_t *ret_count, struct err *err)
{
	*ret_count = 0;
	return bundle_each("f", text, len, count, ret_count, err);
}

/* An envelope signed by the all-zero seed's key. */
static void make_envelope(struct buf *ret)
{
	static const char payload[] = "{\"_type\":\"https://in-toto.io/Statement/v1\"}";
	uint8_t seed[32] = {0}, public[32], secret[64], signature[64];
	struct node_id id;
	crypto_sign_seed_keypair(public, secret, seed);
	memcpy(id.b, public, 32);
	OK(!dsse_sign(DSSE_INTOTO_TYPE, (const uint8_t *)payload, strlen(payload), secret, signature, NULL) &&
		   !dsse_envelope_write(DSSE_INTOTO_TYPE, (const uint8_t *)payload, strlen(payload), &id, signature, ret, NULL),
	   "an envelope");
}

static void test_bundles(void)
{
	CLEANUP(buf_release) struct buf one;
	CLEANUP(buf_release) struct buf two;
	buf_init(&one, 10000);
	buf_init(&two, 100000);
	make_envelope(&one);
	size_t n;
	struct err err = {0};
	OK(!try_file(buf_cstr(&one), one.len, &n, &err) && n == 1, "an envelope verifies %s", err.what);
	buf_printf(&two, "%s\n%s\n\n", buf_cstr(&one), buf_cstr(&one));
	OK(!try_file(buf_cstr(&two), two.len, &n, &err) && n == 2, "several, one a line");
	json_t *envelope = json_loads(buf_cstr(&one), 0, NULL), *bundle = bundle_sigstore(envelope);
	char *text = json_dumps(bundle, JSON_COMPACT);
	OK(text && !try_file(text, strlen(text), &n, &err) && n == 1, "a Sigstore bundle around it %s", err.what);
	STREQ(json_string_value(json_object_get(bundle, "mediaType")), "application/vnd.dev.sigstore.bundle.v0.3+json");
	STREQ(json_string_value(json_object_get(json_object_get(json_object_get(bundle, "verificationMaterial"), "publicKey"), "hint")), NODE);
	free(text);
	json_decref(bundle);
	json_decref(envelope);
	size_t refused = 0, bits = 0;
	for (size_t i = 0; i < one.len * 8; i++, bits++) {
		one.data[i / 8] ^= (uint8_t)(1 << i % 8);
		refused += try_file(buf_cstr(&one), one.len, &n, &err) == ERR_INVALID;
		one.data[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	OK(refused == bits, "a flipped bit anywhere is refused (%zu of %zu)", refused, bits);
	two.data[one.len + 1 + 40] ^= 1;
	INTEQ(try_file(buf_cstr(&two), two.len, &n, &err), ERR_INVALID);
	OK(strstr(err.what, "f: signed result 2"), "a file with one bad result is refused whole: %s", err.what);
	static const char *const bad[] = {"", " \n", "{}", "[]", "7", "null", "{\"payload\":7}", "{\"dsseEnvelope\":[]}", "{\"envelope\":{}}", "{\"payload\":\"\"", "\xff"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		OK(try_file(bad[i], strlen(bad[i]), &n, &err) == ERR_INVALID, "'%s': %s", bad[i], err.what);
}

static void test_published(void)
{
	static const char *const names[] = {"attestation/att.dsse.json", "attestation/att.sigstore.json"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		CLEANUP(buf_release) struct buf text;
		buf_init(&text, 1u << 20);
		size_t n;
		struct err err = {0};
		const char *path = tap_vector_file(names[i]);
		if (path)
			OK(!io_read_file(path, &text, &err) && !try_file(buf_cstr(&text), text.len, &n, &err) && n == 1, "%s %s", names[i], err.what);
	}
}

static void test_parts(void)
{
	char top[] = "/tmp/talkoo-parts-XXXXXX", command[512];
	CLEANUP(buf_release) struct buf one;
	CLEANUP(bundle_signed_release) struct bundle_signed s = {0};
	struct err err = {0};
	buf_init(&one, 10000);
	make_envelope(&one);
	json_t *envelope = json_loads(buf_cstr(&one), 0, NULL);
	OK(mkdtemp(top) && !bundle_open(envelope, &s, &err) && !bundle_write_parts(&s, top, &err), "parts %s", err.what);
	INTEQ(bundle_write_parts(&s, top, &err), ERR_REFUSED);
	json_decref(envelope);
	if (system("openssl version >/dev/null 2>&1")) {
		tap_skip("no openssl");
	} else {
		snprintf(command, sizeof command,
			 "cd %s && openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in pae -sigfile signature >/dev/null 2>&1", top);
		OK(system(command) == 0, "openssl alone accepts them");
		snprintf(command + strlen(command), sizeof command - strlen(command), " </dev/null; false");
		char *pae = strstr(command, "-in pae");
		memcpy(pae, "-in key", 7);
		OK(system(command) != 0, "and not for other bytes");
	}
	OK(!io_remove_tree(top, NULL), "cleaned up");
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_good_trust();
	test_bad_trust();
	test_bundles();
	test_published();
	test_parts();
	return tap_done();
}
