/* What the store's tests share: signed records made from a few numbers, stores in a temporary folder. */
#ifndef TALKOO_TESTS_STORE_UTIL_H
#define TALKOO_TESTS_STORE_UTIL_H

#include "node/store/store.h"

/* A record of author number `author`, signed under "test". key may be NULL. body_len: bytes of its one body field. */
struct record *make_record(unsigned author, uint32_t kind, const char *key, uint64_t sequence, uint64_t created_ms, size_t body_len);
struct node_id author_id(unsigned author);
struct id32 test_id(unsigned number);

/* A fresh folder under TMPDIR; remove it with temp_remove(). Static storage, one at a time. */
const char *temp_make(void);
void temp_remove(void);
/* FOLDER/name. Static storage, the last four stay valid. */
const char *temp_path(const char *name);

/* On disk, or in memory (path NULL); an error ends the program. */
struct store *open_store(const char *path, uint64_t max_bytes);
/* Submits and waits; false, with err printed as a comment, when it failed. */
bool submit_ok(struct store *s, struct store_batch *b);
bool put_kv_ok(struct store *s, const char *space, const char *key, const char *text);
/* How many records fit; -1 on an error. */
int count_records(struct store *s, const struct store_filter *f);
/* The value as text, "" for none. Static storage. */
const char *kv_text(struct store *s, const char *space, const char *key);

#endif
