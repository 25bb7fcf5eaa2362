#include "p2p/exchange_wire.h"

#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/mp.h"

#define UINT53_MAX EXCHANGE_STREAM_MAX

static const struct mp_limits limits = {.bytes_max = SESSION_MESSAGE_MAX, .depth_max = 4, .items_max = 64};

static int open_array(const uint8_t *bytes, size_t len, struct mp_doc *doc, struct mp_cursor *ret)
{
	const int code = mp_doc_open(bytes, len, &limits, doc, NULL);
	if (!code)
		mp_cursor_init(ret, &doc->root, "blob");
	return code;
}

static void put_ref(struct buf *b, const struct exchange_ref *ref)
{
	mp_put_bin(b, ref->topic.b, sizeof ref->topic.b);
	mp_put_bin(b, ref->result.b, sizeof ref->result.b);
	mp_put_bin(b, ref->author.b, sizeof ref->author.b);
	mp_put_str(b, ref->name);
	mp_put_bin(b, ref->root, sizeof ref->root);
	mp_put_uint(b, ref->size);
}

static void get_ref(struct mp_cursor *c, struct exchange_ref *ret)
{
	memset(ret, 0, sizeof *ret); /* whole, so that refs compare as bytes */
	mp_get_bin_exact(c, "topic", ret->topic.b, sizeof ret->topic.b);
	mp_get_bin_exact(c, "result", ret->result.b, sizeof ret->result.b);
	mp_get_bin_exact(c, "author", ret->author.b, sizeof ret->author.b);
	mp_get_line(c, "name", ret->name, sizeof ret->name);
	if (!ret->name[0])
		mp_cursor_fail(c, "name", "is empty");
	mp_get_bin_exact(c, "root", ret->root, sizeof ret->root);
	ret->size = mp_get_uint(c, "size", UINT53_MAX);
}

void exchange_get_encode(const struct exchange_get *v, struct buf *b)
{
	mp_put_array(b, 10);
	mp_put_uint(b, v->stream);
	put_ref(b, &v->ref);
	mp_put_uint(b, v->first);
	mp_put_uint(b, v->hops);
	mp_put_uint(b, v->until);
}

int exchange_get_decode(const uint8_t *bytes, size_t len, struct exchange_get *ret)
{
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c;
	struct exchange_get v = {0};
	const int code = open_array(bytes, len, &doc, &c);
	if (code)
		return code;
	v.stream = mp_get_uint(&c, "stream", EXCHANGE_STREAM_MAX);
	get_ref(&c, &v.ref);
	v.first = mp_get_uint(&c, "first", UINT53_MAX);
	v.hops = (uint32_t)mp_get_uint(&c, "hops", 255);
	v.until = mp_get_uint(&c, "until", UINT53_MAX);
	if (c.failed)
		return ERR_INVALID;
	*ret = v;
	return 0;
}

void exchange_leaf_encode(const struct exchange_leaf *v, struct buf *b)
{
	mp_put_array(b, 4);
	mp_put_uint(b, v->stream);
	mp_put_uint(b, v->index);
	mp_put_bin(b, v->bytes, v->len);
	mp_put_bin(b, v->path, v->path_len * sizeof *v->path);
}

int exchange_leaf_decode(const uint8_t *bytes, size_t len, struct exchange_leaf *ret)
{
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c;
	struct exchange_leaf v = {0};
	const uint8_t *path;
	size_t path_bytes;
	const int code = open_array(bytes, len, &doc, &c);
	if (code)
		return code;
	v.stream = mp_get_uint(&c, "stream", EXCHANGE_STREAM_MAX);
	v.index = mp_get_uint(&c, "index", UINT53_MAX);
	mp_get_bin(&c, "bytes", MERKLE_LEAF_LEN, &v.bytes, &v.len);
	mp_get_bin(&c, "path", sizeof v.path, &path, &path_bytes);
	if (c.failed || path_bytes % sizeof *v.path)
		return ERR_INVALID;
	v.path_len = path_bytes / sizeof *v.path;
	if (path_bytes)
		memcpy(v.path, path, path_bytes);
	*ret = v; /* bytes lie in the message: msgpack-c refers to binaries where they are */
	return 0;
}

void exchange_pair_encode(uint64_t stream, uint64_t value, struct buf *b)
{
	mp_put_array(b, 2);
	mp_put_uint(b, stream);
	mp_put_uint(b, value);
}

int exchange_pair_decode(const uint8_t *bytes, size_t len, uint64_t *ret_stream, uint64_t *ret_value)
{
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c;
	const int code = open_array(bytes, len, &doc, &c);
	if (code)
		return code;
	const uint64_t stream = mp_get_uint(&c, "stream", EXCHANGE_STREAM_MAX), value = mp_get_uint(&c, "value", UINT53_MAX);
	if (c.failed)
		return ERR_INVALID;
	*ret_stream = stream;
	*ret_value = value;
	return 0;
}

void exchange_offer_encode(const struct exchange_ref *ref, struct buf *b)
{
	mp_put_array(b, 6);
	put_ref(b, ref);
}

int exchange_offer_decode(const uint8_t *bytes, size_t len, struct exchange_ref *ret)
{
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c;
	struct exchange_ref ref;
	const int code = open_array(bytes, len, &doc, &c);
	if (code)
		return code;
	get_ref(&c, &ref);
	if (c.failed)
		return ERR_INVALID;
	*ret = ref;
	return 0;
}
