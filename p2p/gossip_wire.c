#include "p2p/gossip_wire.h"

#include <msgpack.h>

#include "proto/mp.h"

static const struct mp_limits limits = {.bytes_max = SESSION_MESSAGE_MAX, .depth_max = 3, .items_max = 2 * GOSSIP_IDS_MAX};

/* What passed the pre-scan, as a cursor over its array; the zone goes with the caller's scope. */
static int open_array(const uint8_t *bytes, size_t len, msgpack_unpacked *zone, struct mp_cursor *ret)
{
	const int code = mp_scan(bytes, len, &limits, NULL);
	if (code)
		return code;
	if (msgpack_unpack_next(zone, (const char *)bytes, len, NULL) != MSGPACK_UNPACK_SUCCESS)
		return ERR_INVALID;
	mp_cursor_init(ret, &zone->data, "message");
	return 0;
}

static void put_ids(struct buf *b, const struct id32 *ids, size_t len)
{
	mp_put_array(b, (uint32_t)len);
	for (size_t i = 0; i < len; i++)
		mp_put_bin(b, ids[i].b, sizeof ids[i].b);
}

static void get_ids(struct mp_cursor *c, struct id32 *ret, size_t max, size_t *ret_len)
{
	struct mp_cursor list;
	mp_get_array(c, "ids", (uint32_t)max, &list);
	size_t n = 0;
	while (!c->failed && !list.failed && mp_more(&list) && n < max)
		mp_get_bin_exact(&list, "id", ret[n++].b, sizeof ret->b);
	if (!c->failed && list.failed)
		c->failed = true;
	*ret_len = n;
}

void gossip_ids_encode(const struct gossip_ids *v, bool with_topic, struct buf *b)
{
	mp_put_array(b, with_topic ? 2 : 1);
	if (with_topic)
		mp_put_bin(b, v->topic.b, sizeof v->topic.b);
	put_ids(b, v->ids, v->len);
}

int gossip_ids_decode(const uint8_t *bytes, size_t len, bool with_topic, struct gossip_ids *ret)
{
	msgpack_unpacked zone;
	msgpack_unpacked_init(&zone);
	struct mp_cursor c;
	int code = open_array(bytes, len, &zone, &c);
	if (!code) {
		ret->topic = (struct id32){{0}};
		if (with_topic)
			mp_get_bin_exact(&c, "topic", ret->topic.b, sizeof ret->topic.b);
		get_ids(&c, ret->ids, GOSSIP_IDS_MAX, &ret->len);
		code = c.failed ? ERR_INVALID : 0;
	}
	msgpack_unpacked_destroy(&zone);
	return code;
}

void gossip_record_encode(const struct gossip_record *v, struct buf *b)
{
	mp_put_array(b, 2);
	mp_put_bin(b, v->bytes, v->len);
	mp_put_bin(b, v->signature, 64);
}

int gossip_record_decode(const uint8_t *bytes, size_t len, struct gossip_record *ret)
{
	msgpack_unpacked zone;
	msgpack_unpacked_init(&zone);
	struct mp_cursor c;
	int code = open_array(bytes, len, &zone, &c);
	if (!code) {
		size_t signature_len = 0;
		mp_get_bin(&c, "record", RECORD_RESULT_LEN_MAX, &ret->bytes, &ret->len);
		mp_get_bin(&c, "signature", 64, &ret->signature, &signature_len);
		code = c.failed || signature_len != 64 ? ERR_INVALID : 0;
	}
	msgpack_unpacked_destroy(&zone); /* what was lent lies in `bytes`: msgpack-c refers to binaries where they are */
	return code;
}

void gossip_range_encode(const struct gossip_range *v, struct buf *b)
{
	mp_put_array(b, 8);
	mp_put_bin(b, v->topic.b, sizeof v->topic.b);
	mp_put_uint(b, v->kind);
	mp_put_uint(b, v->cutoff_ms);
	mp_put_uint(b, v->from.expires_ms);
	mp_put_bin(b, v->from.id.b, sizeof v->from.id.b);
	mp_put_uint(b, v->to.expires_ms);
	mp_put_bin(b, v->to.id.b, sizeof v->to.id.b);
	put_ids(b, v->ids, v->len);
}

int gossip_range_decode(const uint8_t *bytes, size_t len, struct gossip_range *ret)
{
	msgpack_unpacked zone;
	msgpack_unpacked_init(&zone);
	struct mp_cursor c;
	int code = open_array(bytes, len, &zone, &c);
	if (!code) {
		mp_get_bin_exact(&c, "topic", ret->topic.b, sizeof ret->topic.b);
		ret->kind = (uint32_t)mp_get_uint(&c, "kind", UINT32_MAX);
		ret->cutoff_ms = mp_get_uint(&c, "cutoff", UINT64_MAX);
		ret->from.expires_ms = mp_get_uint(&c, "from", UINT64_MAX);
		mp_get_bin_exact(&c, "from id", ret->from.id.b, sizeof ret->from.id.b);
		ret->to.expires_ms = mp_get_uint(&c, "to", UINT64_MAX);
		mp_get_bin_exact(&c, "to id", ret->to.id.b, sizeof ret->to.id.b);
		get_ids(&c, ret->ids, GOSSIP_IDS_MAX, &ret->len);
		code = c.failed ? ERR_INVALID : 0;
	}
	msgpack_unpacked_destroy(&zone);
	return code;
}

void gossip_topics_encode(const struct id32 *topics, size_t len, struct buf *b)
{
	mp_put_array(b, 1);
	put_ids(b, topics, len);
}

int gossip_topics_decode(const uint8_t *bytes, size_t len, struct id32 *ret, size_t max, size_t *ret_len)
{
	msgpack_unpacked zone;
	msgpack_unpacked_init(&zone);
	struct mp_cursor c;
	int code = open_array(bytes, len, &zone, &c);
	if (!code) {
		get_ids(&c, ret, max, ret_len);
		code = c.failed ? ERR_INVALID : 0;
	}
	msgpack_unpacked_destroy(&zone);
	return code;
}
