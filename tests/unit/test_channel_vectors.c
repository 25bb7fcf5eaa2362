/* proto/vectors/channel.json as committed: a whole conversation between two fixed nodes, from the first byte to hello, is what this code says.
 *   test_channel_vectors --write      prints the file */
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "p2p/session.h"
#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/io.h"
#include "proto/record.h"
#include "tests/unit/tap.h"

#define NETWORK "main"
#define UNIX_MS UINT64_C(1790000000000)

/* One of the two: everything about it follows from its number. */
struct node {
	struct session *s;
	enum noise_role role;
	uint8_t seed[32], static_secret[32], ephemeral_secret[32], secret[64];
	struct node_id id;
	struct session_hello hello;
	json_t *says; /* pieces, in order */
};

static json_t *hex_json(const void *bytes, size_t len)
{
	char text[8200];
	if (len > 4096)
		abort();
	return json_string(hex_encode(text, bytes, len));
}

static void node_init(struct node *n, uint8_t number, enum noise_role role)
{
	*n = (struct node){.role = role, .says = json_array(),
			   .hello = {.version_min = 1, .version_max = number, .features = 0, .kinds = {1, 2, 3, 4, 5, 300}, .kinds_len = 4 + number,
				     .time_ms = UNIX_MS + number, .topics_len = number, .listen_port = number == 1 ? 0 : 8255}};
	memset(n->seed, number, 32);
	memset(n->static_secret, 16 + number, 32);
	memset(n->ephemeral_secret, 32 + number, 32);
	for (size_t i = 0; i < number; i++)
		memset(n->hello.topics[i].b, (int)(0xa0 + i), 32);
	crypto_sign_seed_keypair(n->id.b, n->secret, n->seed);
	struct session_options o = {.role = role, .network = NETWORK, .identity_secret = n->secret, .hello = &n->hello, .unix_ms = UNIX_MS};
	memcpy(o.static_secret, n->static_secret, 32);
	memcpy(o.ephemeral_secret, n->ephemeral_secret, 32);
	if (session_new(&o, &n->s, NULL))
		abort();
}

static bool say(struct node *from, struct node *to)
{
	struct session_event e;
	size_t len;
	const uint8_t *bytes = session_output(from->s, &len);
	if (!len)
		return false;
	json_array_append_new(from->says, hex_json(bytes, len));
	session_input(to->s, bytes, len, 0, UNIX_MS);
	session_output_done(from->s, len);
	while (session_next(to->s, &e)) {
	}
	return true;
}

/* PROTOCOL 11.2, written anew. */
static json_t *proof_json(const struct node *n, json_t *object)
{
	static const char tag[] = "talkoo-session-v1";
	uint8_t static_public[32], input[128], proof[104];
	size_t len = sizeof tag;
	crypto_scalarmult_base(static_public, n->static_secret);
	memcpy(input, tag, sizeof tag);
	input[len++] = sizeof NETWORK - 1;
	memcpy(input + len, NETWORK, sizeof NETWORK - 1);
	len += sizeof NETWORK - 1;
	input[len++] = n->role == NOISE_INITIATOR ? 1 : 2;
	memcpy(input + len, static_public, 32);
	len += 32;
	memcpy(proof, n->id.b, 32);
	for (int i = 0; i < 8; i++)
		input[len++] = proof[32 + i] = (uint8_t)((UNIX_MS + DAY_MS) >> (56 - 8 * i));
	crypto_sign_detached(proof + 40, NULL, input, len, n->secret);
	json_object_set_new(object, "static_public", hex_json(static_public, 32));
	json_object_set_new(object, "proof", hex_json(proof, sizeof proof));
	return object;
}

static json_t *node_json(struct node *n)
{
	CLEANUP(buf_release) struct buf hello;
	buf_init(&hello, 4000);
	session_hello_encode(&n->hello, &hello);
	json_t *object = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "role", n->role == NOISE_INITIATOR ? "initiator" : "responder", "identity_seed",
				   hex_json(n->seed, 32), "static_secret", hex_json(n->static_secret, 32), "ephemeral_secret",
				   hex_json(n->ephemeral_secret, 32), "id", hex_json(n->id.b, 32), "hello", hex_json(hello.data, hello.len));
	(void)proof_json(n, object);
	json_object_set_new(object, "says", n->says);
	return object;
}

/* Message 2 opened by hand: the proof in it is the one that is listed. */
static bool proof_is_said(const struct node *a, const struct node *b, const json_t *listed)
{
	struct noise noise;
	uint8_t bytes[1024];
	CLEANUP(buf_release) struct buf first, payload;
	buf_init(&first, 1024);
	buf_init(&payload, 1024);
	const char *said = json_string_value(json_array_get(b->says, 0));
	noise_init(&noise, NOISE_INITIATOR, a->static_secret, a->ephemeral_secret, "talkoo" NETWORK, 10);
	bool good = !noise_write(&noise, NULL, 0, &first, NULL) && said && strlen(said) / 2 <= sizeof bytes && hex_decode(bytes, strlen(said) / 2, said) &&
		    !noise_read(&noise, bytes + 2, strlen(said) / 2 - 2, &payload, NULL);
	char text[2100];
	good = good && payload.len <= 1024 && !strcmp(hex_encode(text, payload.data, payload.len), json_string_value(listed));
	noise_release(&noise);
	return good;
}

int main(int argc, char **argv)
{
	struct node a, b;
	if (sodium_init() < 0)
		return 1;
	node_init(&a, 1, NOISE_INITIATOR);
	node_init(&b, 2, NOISE_RESPONDER);
	while (say(&a, &b) || say(&b, &a)) {
	}
	OK(session_state(a.s) == SESSION_OPEN && session_state(b.s) == SESSION_OPEN && session_version(a.s) == 1, "both are open");
	json_t *listed = json_array();
	json_array_append_new(listed, node_json(&a));
	json_array_append_new(listed, node_json(&b));
	OK(proof_is_said(&a, &b, json_object_get(json_array_get(listed, 1), "proof")), "the listed proof is what the responder says");
	json_t *root = json_pack("{s:s, s:I, s:o}", "network", NETWORK, "unix_ms", (json_int_t)UNIX_MS, "nodes", listed);
	char *ours = json_dumps(root, JSON_INDENT(1));
	if (argc > 1 && !strcmp(argv[1], "--write")) {
		printf("%s\n", ours);
		return 0;
	}
	CLEANUP(buf_release) struct buf committed;
	buf_init(&committed, 1u << 20);
	OK(!io_read_file(tap_source_file("proto/vectors/channel.json"), &committed, NULL) && committed.len == strlen(ours) + 1 &&
		   !strncmp(buf_cstr(&committed), ours, strlen(ours)), "channel.json is what this code makes");
	free(ours);
	json_decref(root);
	session_free(a.s);
	session_free(b.s);
	return tap_done();
}
