/* The hello message's body: [version_min, version_max, features, kinds, time_ms, topics, listen_port]. PROTOCOL 11.5 */
#include "p2p/session.h"

#include "proto/base/cleanup.h"
#include "proto/mp.h"

void session_hello_encode(const struct session_hello *h, struct buf *b)
{
	mp_put_array(b, 7);
	mp_put_uint(b, h->version_min);
	mp_put_uint(b, h->version_max);
	mp_put_uint(b, h->features);
	mp_put_array(b, (uint32_t)h->kinds_len);
	for (size_t i = 0; i < h->kinds_len; i++)
		mp_put_uint(b, h->kinds[i]);
	mp_put_uint(b, h->time_ms);
	mp_put_array(b, (uint32_t)h->topics_len);
	for (size_t i = 0; i < h->topics_len; i++)
		mp_put_bin(b, h->topics[i].b, sizeof h->topics[i].b);
	mp_put_uint(b, h->listen_port);
}

static int decode_fields(const msgpack_object *object, struct session_hello *ret, struct err *err)
{
	struct mp_cursor c, list;
	mp_cursor_init(&c, object, "hello");
	ret->version_min = (uint32_t)mp_get_uint(&c, "version_min", UINT32_MAX);
	ret->version_max = (uint32_t)mp_get_uint(&c, "version_max", UINT32_MAX);
	ret->features = mp_get_uint(&c, "features", UINT64_MAX);
	mp_get_array(&c, "kinds", SESSION_KINDS_MAX, &list);
	while (!c.failed && mp_more(&list) && ret->kinds_len < SESSION_KINDS_MAX)
		ret->kinds[ret->kinds_len++] = (uint32_t)mp_get_uint(&list, "kind", UINT32_MAX);
	if (!c.failed && list.failed)
		return err_set(err, ERR_INVALID, "%s", list.err.what);
	ret->time_ms = mp_get_uint(&c, "time_ms", INT64_MAX);
	mp_get_array(&c, "topics", SESSION_TOPICS_MAX, &list);
	while (!c.failed && mp_more(&list) && ret->topics_len < SESSION_TOPICS_MAX)
		mp_get_bin_exact(&list, "topic", ret->topics[ret->topics_len++].b, 32);
	if (!c.failed && list.failed)
		return err_set(err, ERR_INVALID, "%s", list.err.what);
	ret->listen_port = (uint16_t)mp_get_uint(&c, "listen_port", UINT16_MAX);
	if (c.failed)
		return err_set(err, ERR_INVALID, "%s", c.err.what);
	if (ret->version_min > ret->version_max)
		return err_set(err, ERR_INVALID, "hello: version_min is above version_max");
	return 0;
}

int session_hello_decode(const uint8_t *bytes, size_t len, struct session_hello *ret, struct err *err)
{
	const struct mp_limits limits = {.bytes_max = SESSION_MESSAGE_MAX, .depth_max = 4, .items_max = 1024};
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	int code = mp_doc_open(bytes, len, &limits, &doc, err);
	if (code)
		return code;
	struct session_hello hello = {0};
	code = decode_fields(&doc.root, &hello, err);
	if (!code)
		*ret = hello;
	return code;
}
