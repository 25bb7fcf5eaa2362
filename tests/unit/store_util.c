#include "tests/unit/store_util.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/mp.h"
#include "tests/unit/tap.h"

static char folder[256];

const char *temp_make(void)
{
	const char *base = getenv("TMPDIR");
	snprintf(folder, sizeof folder, "%s/talkoo-store-XXXXXX", base && *base ? base : "/tmp");
	if (!mkdtemp(folder)) {
		perror(folder);
		exit(1);
	}
	return folder;
}

void temp_remove(void)
{
	struct err err;
	if (io_remove_tree(folder, &err))
		err_print(&err, stderr);
}

const char *temp_path(const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof paths[0], "%s/%s", folder, name);
	return path;
}

static void keypair(unsigned author, struct node_id *ret, uint8_t secret[64])
{
	uint8_t seed[crypto_sign_SEEDBYTES] = {(uint8_t)author, (uint8_t)(author >> 8), 7};
	crypto_sign_seed_keypair(ret->b, secret, seed);
}

struct node_id author_id(unsigned author)
{
	struct node_id id;
	uint8_t secret[64];
	keypair(author, &id, secret);
	return id;
}

struct id32 test_id(unsigned number)
{
	struct id32 id;
	crypto_generichash(id.b, 32, (const uint8_t *)&number, sizeof number, NULL, 0);
	return id;
}

struct record *make_record(unsigned author, uint32_t kind, const char *key, uint64_t sequence, uint64_t created_ms, size_t body_len)
{
	static const uint8_t filler[8192];
	struct record_fields f = {.kind = kind, .created_ms = created_ms, .sequence = sequence, .topic = test_id(1),
				  .key = (const uint8_t *)key, .key_len = key ? strlen(key) : 0};
	struct node_id id;
	uint8_t secret[64];
	keypair(author, &id, secret);
	CLEANUP(buf_release) struct buf body;
	buf_init(&body, 16384);
	mp_put_array(&body, 1);
	mp_put_bin(&body, filler, body_len);
	f.body = body.data;
	f.body_len = body.len;
	f.expires_ms = created_ms + record_kind_lifetime_ms(kind);
	struct record *r = NULL;
	struct err err;
	if (record_sign(&f, secret, "test", &r, &err)) {
		err_print(&err, stderr);
		exit(1);
	}
	return r;
}

bool submit_ok(struct store *s, struct store_batch *b)
{
	struct err err = {0};
	if (store_submit_now(s, b, &err) == 0)
		return true;
	printf("# %s\n", err.what);
	return false;
}

bool put_kv_ok(struct store *s, const char *space, const char *key, const char *text)
{
	struct store_batch *b = store_batch_new();
	store_put_kv(b, space, key, text, text ? strlen(text) : 0);
	return submit_ok(s, b);
}

static bool count_one(void *user, struct record *r)
{
	(void)r;
	++*(int *)user;
	return true;
}

int count_records(struct store *s, const struct store_filter *f)
{
	int count = 0;
	struct err err = {0};
	if (store_each_now(s, f, count_one, &count, &err)) {
		printf("# %s\n", err.what);
		return -1;
	}
	return count;
}

const char *kv_text(struct store *s, const char *space, const char *key)
{
	static char text[256];
	CLEANUP(buf_release) struct buf b;
	buf_init(&b, sizeof text - 1);
	struct err err;
	const int code = store_get_kv_now(s, space, key, &b, &err);
	snprintf(text, sizeof text, "%s", code ? "" : buf_cstr(&b));
	return text;
}

struct store *open_store(const char *path, uint64_t max_bytes)
{
	const struct store_options o = {.path = path, .max_bytes = max_bytes, .batch_wait_ms = 1};
	struct store *s = NULL;
	struct err err = {0};
	if (!OK(store_open(&o, &s, &err) == 0, "open %s %s", path ? "on disk" : "in memory", err.what))
		exit(1);
	return s;
}
