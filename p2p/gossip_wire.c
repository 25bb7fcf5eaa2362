#include "p2p/gossip_wire.h"

#include "proto/base/cleanup.h"
#include "proto/mp.h"

static const struct mp_limits limits = {.bytes_max = SESSION_MESSAGE_MAX, .depth_max = 8, .items_max = 1024};

/* The message as a cursor over its array. What is lent by the cursor lies in `bytes`, not in the document. */
static int open_array(const uint8_t *bytes, size_t len, struct mp_doc *doc, struct mp_cursor *ret)
{
	const int code = mp_doc_open(bytes, len, &limits, doc, NULL);
	if (!code)
		mp_cursor_init(ret, &doc->root, "message");
	return code;
}

static void put_ids(struct buf *b, const struct id32 *ids, size_t len)
{
	mp_put_array(b, (uint32_t)len);
	for (size_t i = 0; i < len; i++)
		mp_put_bin(b, ids[i].b, sizeof ids[i].b);
}

static size_t get_ids(struct mp_cursor *c, struct id32 *ret, size_t max)
{
	struct mp_cursor list;
	size_t n = 0;
	mp_get_array(c, "ids", (uint32_t)max, &list);
	while (!list.failed && mp_more(&list) && n < max)
		mp_get_bin_exact(&list, "id", ret[n++].b, sizeof ret->b);
	if (list.failed)
		mp_cursor_join(c, &list);
	return n;
}

void gossip_ids_encode(const struct id32 *topic, const struct id32 *ids, size_t len, struct buf *b)
{
	mp_put_array(b, topic ? 2 : 1);
	if (topic)
		mp_put_bin(b, topic->b, sizeof topic->b);
	put_ids(b, ids, len);
}

int gossip_ids_decode(const uint8_t *bytes, size_t len, bool with_topic, struct gossip_ids *ret)
{
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c;
	const int code = open_array(bytes, len, &doc, &c);
	if (code)
		return code;
	ret->topic = (struct id32){{0}};
	if (with_topic)
		mp_get_bin_exact(&c, "topic", ret->topic.b, sizeof ret->topic.b);
	ret->len = get_ids(&c, ret->ids, GOSSIP_IDS_MAX);
	return c.failed ? ERR_INVALID : 0;
}

void gossip_record_encode(const struct gossip_record *v, struct buf *b)
{
	mp_put_array(b, 2);
	mp_put_bin(b, v->bytes, v->len);
	mp_put_bin(b, v->signature, 64);
}

/* PROTOCOL 4.1: kind and topic are elements 1 and 3 of the envelope. Whether the rest is a record is for record_open(). */
static int peek_record(struct gossip_record *v)
{
	static const struct mp_limits record = {.bytes_max = RECORD_RESULT_LEN_MAX, .depth_max = RECORD_DEPTH_MAX, .items_max = RECORD_ITEMS_MAX};
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	const int code = mp_doc_open(v->bytes, v->len, &record, &doc, NULL);
	if (code)
		return code;
	struct mp_cursor c;
	mp_cursor_init(&c, &doc.root, "record");
	mp_get_uint(&c, "version", RECORD_VERSION);
	v->kind = (uint32_t)mp_get_uint(&c, "kind", RECORD_KIND_MAX);
	mp_skip(&c);
	mp_get_bin_exact(&c, "topic", v->topic.b, sizeof v->topic.b);
	return c.failed ? ERR_INVALID : 0;
}

int gossip_record_decode(const uint8_t *bytes, size_t len, struct gossip_record *ret)
{
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c;
	size_t signature_len = 0;
	const int code = open_array(bytes, len, &doc, &c);
	if (code)
		return code;
	mp_get_bin(&c, "record", RECORD_RESULT_LEN_MAX, &ret->bytes, &ret->len);
	mp_get_bin(&c, "signature", 64, &ret->signature, &signature_len);
	if (c.failed || signature_len != 64)
		return ERR_INVALID;
	return peek_record(ret);
}

void gossip_range_encode(const struct gossip_range *v, struct buf *b)
{
	mp_put_array(b, 5);
	mp_put_bin(b, v->topic.b, sizeof v->topic.b);
	mp_put_uint(b, v->kind);
	mp_put_uint(b, v->cutoff_ms);
	mp_put_uint(b, v->role);
	mp_put_bin(b, v->message, v->len);
}

int gossip_range_decode(const uint8_t *bytes, size_t len, struct gossip_range *ret)
{
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c;
	const int code = open_array(bytes, len, &doc, &c);
	if (code)
		return code;
	mp_get_bin_exact(&c, "topic", ret->topic.b, sizeof ret->topic.b);
	ret->kind = (uint32_t)mp_get_uint(&c, "kind", RECORD_KIND_MAX);
	ret->cutoff_ms = mp_get_uint(&c, "cutoff", RECORD_NEVER);
	ret->role = (enum reconcile_role)mp_get_uint(&c, "role", RECONCILE_RESPONDER);
	mp_get_bin(&c, "message", RECONCILE_MESSAGE_MAX, &ret->message, &ret->len);
	return c.failed || !ret->role ? ERR_INVALID : 0;
}

void gossip_topics_encode(const struct id32 *topics, size_t len, struct buf *b)
{
	mp_put_array(b, 1);
	put_ids(b, topics, len);
}

int gossip_topics_decode(const uint8_t *bytes, size_t len, struct id32 *ret, size_t max, size_t *ret_len)
{
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c;
	const int code = open_array(bytes, len, &doc, &c);
	if (code)
		return code;
	*ret_len = get_ids(&c, ret, max);
	return c.failed ? ERR_INVALID : 0;
}
