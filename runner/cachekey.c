#include "runner/cachekey.h"

#include <sodium.h>
#include <stddef.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"

/* Each text with its 0, so that no two lists of texts are the same bytes. */
static void digest(const char *const *texts, size_t len, char ret[CACHEKEY_LEN])
{
	uint8_t hash[crypto_hash_sha256_BYTES];
	crypto_hash_sha256_state state;
	crypto_hash_sha256_init(&state);
	for (size_t i = 0; i < len; i++)
		crypto_hash_sha256_update(&state, (const uint8_t *)texts[i], strlen(texts[i]) + 1);
	crypto_hash_sha256_final(&state, hash);
	hex_encode(ret, hash, sizeof hash);
}

bool cachekey_ref_is_trusted(const char *ref)
{
	return !strncmp(ref, "refs/heads/", 11) || !strncmp(ref, "refs/tags/", 10);
}

void cachekey_scope(const char *project, const char *ref, char ret[CACHEKEY_LEN])
{
	const char *const texts[] = {"talkoo cache scope 1", project, ref};
	digest(texts, ARRAY_LEN(texts), ret);
}

void cachekey_name(const char *scope, const char *plan_sha256, const char *cell, const char *image_digest, char ret[CACHEKEY_LEN])
{
	const char *const texts[] = {"talkoo cache 1", scope, plan_sha256, cell, image_digest};
	digest(texts, ARRAY_LEN(texts), ret);
}
