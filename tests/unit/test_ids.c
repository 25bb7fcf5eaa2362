#include <jansson.h>
#include <sodium.h>
#include <string.h>

#include "proto/base/base58.h"
#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/ids.h"
#include "tests/unit/tap.h"

#define NODE "z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp" /* of the all-zero seed */
#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void test_did_key_vectors(void)
{
	const char *path = tap_vector_file("didkey/ed25519-x25519.json");
	if (!path)
		return;
	json_t *all = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	OK(json_object_size(all) == 5, "five vectors");
	const char *did;
	json_t *one;
	json_object_foreach(all, did, one) {
		const char *seed_hex = json_string_value(json_object_get(one, "seed"));
		const char *base58 = json_string_value(json_object_get(json_object_get(one, "verificationKeyPair"), "publicKeyBase58"));
		uint8_t seed[32], secret[64], key[32];
		struct node_id id, parsed;
		char text[NODE_ID_TEXT_MAX];
		if (!OK(seed_hex && hex_decode(seed, 32, seed_hex), "vector reads"))
			continue;
		crypto_sign_seed_keypair(id.b, secret, seed);
		if (base58) /* one of the five gives its key as a JWK instead; the did itself is compared for all */
			OK(base58_decode(key, 32, base58) == 32 && !memcmp(id.b, key, 32), "publicKeyBase58");
		STREQ(node_id_format(text, &id), did);
		INTEQ(node_id_parse(did, &parsed, NULL), 0);
		OK(node_id_eq(&id, &parsed), "round trip");
		INTEQ(node_id_parse(did + 8, &parsed, NULL), 0);
	}
	json_decref(all);
}

static void test_node_id_hostile(void)
{
	static const char *const bad[] = {
		"", "did:key:", "z6Mk", "did:key:z6MkiTBz1ymuepAQ", NODE "x", "did:key:" NODE "1", "DID:KEY:" NODE, " " NODE, NODE " ",
		"did:key:did:key:" NODE, "z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooW0", /* 0 is not in the alphabet */
		"z6LShs9GGnqk85isEBzzshkuVWrVKsRp24GnDuHk8QWkARMW",                         /* X25519 */
		"f" HEX64, HEX64, "z6Mkzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct node_id id = {{7}};
		struct err err;
		OK(node_id_parse(bad[i], &id, &err) == ERR_INVALID && id.b[0] == 7 && err.hint[0], "refused: %s", bad[i]);
	}
	struct err err;
	struct node_id id;
	OK(node_id_parse("z6MkiTBz1ymu", &id, &err) && strstr(err.hint, "a full node id is needed here"), "a prefix gets its hint");
	OK(!node_id_parse(NODE, &id, NULL), "a full one is taken");
	char text[16];
	STREQ(node_id_short(text, &id), "z6MkiTBz1ymu");
}

static void test_id32(void)
{
	struct id32 id;
	char text[ID32_TEXT_MAX];
	INTEQ(id32_parse(HEX64, &id, NULL), 0);
	STREQ(id32_format(text, &id), HEX64);
	INTEQ(id32_parse("", &id, NULL), ERR_INVALID);
	INTEQ(id32_parse(HEX64 "0", &id, NULL), ERR_INVALID);
	INTEQ(id32_parse("g" HEX64, &id, NULL), ERR_INVALID);
	INTEQ(id32_parse("0011223344556677", &id, NULL), ERR_INVALID);
}

static void test_derivations(void)
{
	struct node_id founder;
	uint8_t nonce[16];
	for (unsigned i = 0; i < 32; i++)
		founder.b[i] = (uint8_t)i;
	for (unsigned i = 0; i < 16; i++)
		nonce[i] = (uint8_t)(0x40 + i);
	struct id32 project, topic;
	char text[ID32_TEXT_MAX];
	project_id_derive(&founder, nonce, &project);
	STREQ(id32_format(text, &project), "396bc1f89cc326c2b40c3a19b5c9c11119edf257f9fbe8a6bbf24ff05b1f733e");
	topic_derive(&project, &topic);
	STREQ(id32_format(text, &topic), "1ea12379205a8ca225ea20563636f748aacf7bd1d8a4b7a9c34684cb112de939");
}

static void test_addresses(void)
{
	static const struct {
		const char *text, *host, *formatted; /* host NULL: refused */
		unsigned port;
	} cases[] = {
		{NODE "@example.org", "example.org", NODE "@example.org:8255", 8255},
		{NODE "@Example.ORG:1", "example.org", NODE "@example.org:1", 1},
		{"did:key:" NODE "@127.0.0.1:65535", "127.0.0.1", NODE "@127.0.0.1:65535", 65535},
		{NODE "@[::1]:9", "::1", NODE "@[::1]:9", 9},
		{NODE "@[0:0::0001]", "::1", NODE "@[::1]:8255", 8255},
		{NODE "@a_b-c.d", "a_b-c.d", NODE "@a_b-c.d:8255", 8255},
		{NODE, NULL}, {"@example.org", NULL}, {NODE "@", NULL}, {NODE "@:80", NULL}, {NODE "@h:", NULL}, {NODE "@h:0", NULL},
		{NODE "@h:65536", NULL}, {NODE "@h:080", NULL}, {NODE "@h:+8", NULL}, {NODE "@h:8 ", NULL}, {NODE "@h h", NULL},
		{NODE "@h/p", NULL}, {NODE "@h@h", NULL}, {NODE "@::1", NULL}, {NODE "@[::1", NULL}, {NODE "@[]", NULL},
		{NODE "@[::1]x", NULL}, {NODE "@[example.org]", NULL}, {NODE "@[fe80::1%eth0]", NULL}, {NODE "@.h", NULL}, {NODE "@h..h", NULL},
		{NODE "@h.", NULL}, {NODE "@-h", NULL}, {NODE "@h\xc3\xa4", NULL}, {"z6MkiTBz1ymu@example.org", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct node_addr addr = {.port = 7};
		char text[ADDR_TEXT_MAX];
		const int r = node_addr_parse(cases[i].text, &addr, NULL);
		OK(r == (cases[i].host ? 0 : ERR_INVALID), "%s: %s", cases[i].text, cases[i].host ? "taken" : "refused");
		if (r) {
			OK(addr.port == 7 && !addr.host[0], "untouched");
			continue;
		}
		STREQ(addr.host, cases[i].host);
		INTEQ(addr.port, cases[i].port);
		STREQ(node_addr_format(text, &addr), cases[i].formatted);
	}
	char longest[400] = NODE "@";
	memset(longest + 49, 'h', 254);
	struct node_addr addr;
	INTEQ(node_addr_parse(longest, &addr, NULL), ERR_INVALID);
	longest[49 + 253] = 0;
	INTEQ(node_addr_parse(longest, &addr, NULL), 0);
}

static void test_links(void)
{
	static const char full[] = "talkoo:" HEX64 "?seed=" NODE "@example.org:8255&seed=" NODE "@[::1]:9&name=a%20b%26%C3%A4";
	struct project_link link;
	char text[LINK_TEXT_MAX];
	INTEQ(project_link_parse(full, &link, NULL), 0);
	INTEQ(link.seeds_len, 2);
	STREQ(link.name, "a b&\xc3\xa4");
	INTEQ(project_link_format(&link, text, sizeof text, NULL), 0);
	STREQ(text, full);
	INTEQ(project_link_format(&link, text, sizeof full - 1, NULL), ERR_LIMIT);
	INTEQ(project_link_format(&link, text, sizeof full, NULL), 0);
	INTEQ(project_link_parse("talkoo:" HEX64, &link, NULL), 0);
	INTEQ(project_link_format(&link, text, sizeof text, NULL), 0);
	STREQ(text, "talkoo:" HEX64);
	INTEQ(project_link_parse("talkoo:" HEX64 "?later=1&name=x&also", &link, NULL), 0);
	STREQ(link.name, "x");
	INTEQ(project_link_parse("talkoo:" HEX64 "?", &link, NULL), 0);

	static const struct { const char *text; int code; } bad[] = {
		{"", ERR_INVALID}, {"talkoo:", ERR_INVALID}, {HEX64, ERR_INVALID}, {"talkoo:" HEX64 "0", ERR_INVALID},
		{"talkoo:" HEX64 "&name=x", ERR_INVALID}, {"talkoo:g" HEX64, ERR_INVALID}, {"TALKOO:" HEX64, ERR_INVALID},
		{"talkoo:" HEX64 "?name=a&name=b", ERR_INVALID}, {"talkoo:" HEX64 "?name=%0a", ERR_INVALID},
		{"talkoo:" HEX64 "?name=%00", ERR_INVALID}, {"talkoo:" HEX64 "?name=%", ERR_INVALID}, {"talkoo:" HEX64 "?name=%4", ERR_INVALID},
		{"talkoo:" HEX64 "?name=%zz", ERR_INVALID}, {"talkoo:" HEX64 "?name=%ff", ERR_INVALID}, {"talkoo:" HEX64 "?seed=", ERR_INVALID},
		{"talkoo:" HEX64 "?seed=h:1", ERR_INVALID}, {"talkoo:" HEX64 "?seed", ERR_INVALID},
		{"talkoo:" HEX64 "?name=1234567890123456789012345678901234567890123456789012345678901234", ERR_INVALID},
		{"talkoo:" HEX64 "?seed=" NODE "@a&seed=" NODE "@b&seed=" NODE "@c&seed=" NODE "@d&seed=" NODE "@e", ERR_LIMIT},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct project_link untouched = {.seeds_len = 99};
		OK(project_link_parse(bad[i].text, &untouched, NULL) == bad[i].code && untouched.seeds_len == 99, "refused: %s", bad[i].text);
	}
	char huge[LINK_TEXT_MAX + 1];
	snprintf(huge, sizeof huge, "talkoo:" HEX64 "?x=%0*d", LINK_TEXT_MAX, 0);
	INTEQ(project_link_parse(huge, &link, NULL), ERR_LIMIT);
}

static void test_network_names(void)
{
	OK(network_name_is_valid("main") && network_name_is_valid("a-1") && network_name_is_valid("12345678901234567890123456789012"), "taken");
	OK(!network_name_is_valid("") && !network_name_is_valid("Main") && !network_name_is_valid("a b") &&
	   !network_name_is_valid("123456789012345678901234567890123") && !network_name_is_valid("a_b"), "refused");
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	test_did_key_vectors();
	test_node_id_hostile();
	test_id32();
	test_derivations();
	test_addresses();
	test_links();
	test_network_names();
	return tap_done();
}
