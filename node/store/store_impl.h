/* What the store's own files share: batches, the two implementations' table of functions, work on its way. Nobody outside
 * this folder (but the store's tests) includes it. */
#ifndef TALKOO_NODE_STORE_IMPL_H
#define TALKOO_NODE_STORE_IMPL_H

#include "node/store/store.h"

#define STORE_WAITING_OPS_MAX 65536  /* back-pressure: operations that wait to be committed */
#define STORE_WAITING_BYTES_MAX (64u << 20) /* … and about their bytes; one batch alone may have more */
#define STORE_WAITING_READS_MAX 1024
#define STORE_ROWS_DEFAULT 10000
#define STORE_EVENTS_KEPT 100000
#define STORE_COMMIT_TEXT_MAX 65     /* a sha256 commit in hex, and the 0 byte */
#define STORE_KV_BYTES_MAX (4u << 20) /* one value */
#define STORE_SLOT_MAX (32 + 1 + RECORD_KEY_MAX)

enum op_kind { OP_PUT_RECORD = 1, OP_DELETE_RECORD, OP_PUT_EVENT, OP_PUT_KV, OP_DELETE_KV, OP_DELETE_SPACE };

struct op {
	enum op_kind kind;
	union {
		struct {
			struct record *record; /* a reference of its own */
			struct id32 project, job;
			bool has_project, has_job;
			char commit[STORE_COMMIT_TEXT_MAX]; /* lower case, "" = none */
		} put;
		struct id32 id;
		struct {
			char *type, *object; /* object: compact JSON */
			uint64_t at_ms;
		} event;
		struct {
			char *space, *key;
			uint8_t *bytes;
			size_t len;
		} kv;
	};
};

/* A batch or a reading on its way: first in a queue, then, done, in the list that store_poll() empties. */
struct work {
	struct work *next;
	void (*read)(struct work *w, struct store *view); /* on a reader thread; NULL: a batch */
	void (*deliver)(struct work *w); /* on the caller's thread: calls back, then frees w */
	struct err err;
};

struct work_list {
	struct work *first, *last;
};
void work_push(struct work_list *l, struct work *w);
struct work *work_pop(struct work_list *l); /* NULL when empty */
/* Moves all of from behind to. */
void work_move(struct work_list *to, struct work_list *from);
/* Delivers all; returns how many. */
unsigned work_deliver(struct work_list *l);

struct store_batch {
	struct work work;
	struct op *ops;
	size_t len, cap;
	size_t bytes; /* about what it adds to a database */
	int fault;    /* ERR_NOMEM or ERR_LIMIT: an operation could not be added */
	store_durable_fn on_durable;
	void *user;
	bool is_waited_for; /* by store_submit_now(): it is not delivered, is_done is waited for */
	bool is_done;
};

/* What waits to be committed. */
struct waiting {
	size_t ops, bytes;
};
/* Counts b and says so, or ERR_LIMIT: more than the ceilings would wait. */
int waiting_add(struct waiting *w, const struct store_batch *b, struct err *err) MUST_CHECK;
/* One that is let in whatever waits. */
void waiting_count(struct waiting *w, const struct store_batch *b);

/* A filter made safe: its own copy of what the caller lends, hex checked and in lower case. */
struct query {
	struct work work;
	uint32_t kind;
	bool has_project, has_job, has_id, has_author, has_id_range, has_key, newest_first;
	struct id32 project, job, id;
	struct node_id author;
	struct id32 id_from, id_to; /* inclusive */
	char commit[STORE_COMMIT_TEXT_MAX]; /* a prefix; "" = any */
	uint8_t key[RECORD_KEY_MAX];
	size_t key_len;
	uint64_t live_at_ms, limit;
	store_rows_fn on_rows;
	void *user;
	struct record **rows;
	size_t rows_len, rows_cap;
};
int query_init(struct query *q, const struct store_filter *f, struct err *err) MUST_CHECK;
/* Adds a row to q->rows, with a reference of its own. */
int query_keep(struct query *q, struct record *r, struct err *err) MUST_CHECK;
void query_free(struct query *q);
void query_read(struct work *w, struct store *view);
void query_deliver(struct work *w);

/* author || kind || key of a replaceable record: at most one record has it. Returns its length; 0 for other kinds. */
size_t record_slot(uint32_t kind, const struct node_id *author, const uint8_t *key, size_t key_len, uint8_t out[STORE_SLOT_MAX]);

struct store_vtable {
	void (*close)(struct store *s);
	unsigned (*poll)(struct store *s);
	void (*flush)(struct store *s);
	int (*submit)(struct store *s, struct store_batch *b /* takes */, struct err *err);
	int (*submit_now)(struct store *s, struct store_batch *b /* takes */, struct err *err);
	int (*read)(struct store *s, struct work *w /* takes, but not on failure */, struct err *err);
	int (*each)(struct store *s, struct query *q, store_record_fn fn, void *user, struct err *err);
	int (*get_kv)(struct store *s, const char *space, const char *key, struct buf *ret, struct err *err);
	int (*each_kv)(struct store *s, const char *space, store_kv_fn fn, void *user, struct err *err);
	int (*each_event)(struct store *s, uint64_t since, size_t limit, store_event_fn fn, void *user, uint64_t *ret_oldest,
			  uint64_t *ret_newest, struct err *err);
	int (*check)(struct store *s, struct err *err);
	uint64_t (*size)(struct store *s);
};

struct store {
	const struct store_vtable *v;
};

int store_memory_open(const struct store_options *o, struct store **ret, struct err *err) MUST_CHECK;
int store_sqlite_open(const struct store_options *o, struct store **ret, struct err *err) MUST_CHECK;

/* The object that an event's reader sees. New reference; NULL when text is no JSON object. */
json_t *event_object(uint64_t id, uint64_t at_ms, const char *type, const char *text);

#endif
