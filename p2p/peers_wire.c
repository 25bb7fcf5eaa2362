#include "p2p/peers_wire.h"

#include "p2p/session.h"
#include "proto/base/cleanup.h"
#include "proto/mp.h"

#define ANSWER_LEN_MAX (SESSION_MESSAGE_MAX - 256)
#define ENTRY_HEADS_LEN 80 /* a record's signature and headers */

static const struct mp_limits limits = {.bytes_max = SESSION_MESSAGE_MAX, .depth_max = 4, .items_max = 256};

void peers_get_encode(const struct id32 *topic, struct buf *b)
{
	mp_put_array(b, 1);
	mp_put_bin(b, topic->b, sizeof topic->b);
}

int peers_get_decode(const uint8_t *bytes, size_t len, struct id32 *ret)
{
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c;
	struct id32 topic;
	const int code = mp_doc_open(bytes, len, &limits, &doc, NULL);
	if (code)
		return code;
	mp_cursor_init(&c, &doc.root, "peers-get");
	mp_get_bin_exact(&c, "topic", topic.b, sizeof topic.b);
	if (c.failed)
		return ERR_INVALID;
	*ret = topic;
	return 0;
}

void peers_encode(const struct id32 *topic, struct record *const *records, size_t len, struct buf *b)
{
	size_t fit = 0, bytes = 0;
	for (size_t size; fit < len && fit < PEERS_RECORDS_MAX; fit++, bytes += size) {
		record_bytes(records[fit], &size);
		size += ENTRY_HEADS_LEN;
		if (bytes + size > ANSWER_LEN_MAX)
			break;
	}
	mp_put_array(b, 2);
	mp_put_bin(b, topic->b, sizeof topic->b);
	mp_put_array(b, (uint32_t)fit);
	for (size_t i = 0; i < fit; i++) {
		size_t size;
		const uint8_t *signed_bytes = record_bytes(records[i], &size);
		mp_put_array(b, 2);
		mp_put_bin(b, signed_bytes, size);
		mp_put_bin(b, record_signature(records[i]), 64);
	}
}

int peers_decode(const uint8_t *bytes, size_t len, struct peers_list *ret)
{
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c, list;
	const int code = mp_doc_open(bytes, len, &limits, &doc, NULL);
	if (code)
		return code;
	mp_cursor_init(&c, &doc.root, "peers");
	mp_get_bin_exact(&c, "topic", ret->topic.b, sizeof ret->topic.b);
	mp_get_array(&c, "records", PEERS_RECORDS_MAX, &list);
	if (c.failed)
		return ERR_INVALID;
	ret->len = 0;
	while (mp_more(&list) && !list.failed) {
		struct mp_cursor pair;
		struct peers_entry *e = &ret->entries[ret->len];
		size_t signature_len = 0;
		mp_get_array(&list, "record", limits.items_max, &pair);
		mp_get_bin(&pair, "bytes", RECORD_LEN_MAX, &e->bytes, &e->len);
		mp_get_bin(&pair, "signature", 64, &e->signature, &signature_len);
		if (pair.failed || signature_len != 64)
			return ERR_INVALID;
		ret->len++;
	}
	return list.failed ? ERR_INVALID : 0;
}
