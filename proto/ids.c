#include "proto/ids.h"

#include <sodium.h>
#include <string.h>

#include "proto/base/base58.h"
#include "proto/base/hex.h"

/* multicodec ed25519-pub (0xed) as a varint; did:key's prefix of the key */
static const uint8_t ed25519_multicodec[2] = {0xed, 0x01};
static const char did_key[] = "did:key:";

char *node_id_format(char *out, const struct node_id *id)
{
	uint8_t bytes[34];
	memcpy(bytes, ed25519_multicodec, 2);
	memcpy(bytes + 2, id->b, 32);
	char text[BASE58_TEXT_MAX];
	base58_encode(text, bytes, sizeof bytes);
	snprintf(out, NODE_ID_TEXT_MAX, "%sz%.47s", did_key, text);
	return out;
}

int node_id_parse(const char *text, struct node_id *ret, struct err *err)
{
	const char *multibase = strncmp(text, did_key, 8) ? text : text + 8;
	uint8_t bytes[34];
	const bool is_alike = !strncmp(multibase, "z6Mk", 4);
	if (is_alike && strlen(multibase) == 48 && base58_decode(bytes, sizeof bytes, multibase + 1) == sizeof bytes &&
	    !memcmp(bytes, ed25519_multicodec, 2)) {
		memcpy(ret->b, bytes + 2, 32);
		return 0;
	}
	err_set(err, ERR_INVALID, "\"%.64s\" is no node id", text);
	if (is_alike && strlen(multibase) < 48)
		err_hint(err, "a full node id is needed here (did:key:z6Mk and 44 more characters): a prefix can be forged");
	else
		err_hint(err, "a node id reads did:key:z6Mk... (56 characters); \"talkoo id\" prints a node's own");
	return ERR_INVALID;
}

char *node_id_short(char *out, const struct node_id *id)
{
	char text[NODE_ID_TEXT_MAX];
	node_id_format(text, id);
	snprintf(out, 16, "%.12s", text + 8);
	return out;
}

char *id32_format(char *out, const struct id32 *id)
{
	return hex_encode(out, id->b, 32);
}

int id32_parse(const char *text, struct id32 *ret, struct err *err)
{
	struct id32 id;
	if (!hex_decode(id.b, 32, text)) {
		err_set(err, ERR_INVALID, "\"%.80s\" is no id", text);
		err_hint(err, "an id is 64 hexadecimal digits");
		return ERR_INVALID;
	}
	*ret = id;
	return 0;
}

static void tagged_hash(const char *tag, const void *first, size_t first_len, const void *second, size_t second_len, struct id32 *ret)
{
	crypto_generichash_state h;
	crypto_generichash_init(&h, NULL, 0, 32);
	crypto_generichash_update(&h, (const uint8_t *)tag, strlen(tag));
	crypto_generichash_update(&h, first, first_len);
	crypto_generichash_update(&h, second, second_len);
	crypto_generichash_final(&h, ret->b, 32);
}

void project_id_derive(const struct node_id *founder, const uint8_t nonce[16], struct id32 *ret)
{
	tagged_hash("talkoo-project", founder->b, 32, nonce, 16, ret);
}

void topic_derive(const struct id32 *project, struct id32 *ret)
{
	struct id32 topic;
	tagged_hash("talkoo-topic", project->b, 32, NULL, 0, &topic);
	*ret = topic;
}

bool network_name_is_valid(const char *name)
{
	const size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
	return len >= 1 && len <= 32 && !name[len];
}
