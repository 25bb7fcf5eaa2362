#include "p2p/livelog_wire.h"

#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/mp.h"

static const struct mp_limits limits = {.bytes_max = SESSION_MESSAGE_MAX, .depth_max = 4, .items_max = 64};

static int open_array(const uint8_t *bytes, size_t len, struct mp_doc *doc, struct mp_cursor *ret)
{
	const int code = mp_doc_open(bytes, len, &limits, doc, NULL);
	if (!code)
		mp_cursor_init(ret, &doc->root, "log");
	return code;
}

void livelog_sub_encode(const struct livelog_sub *v, struct buf *b)
{
	mp_put_array(b, 5);
	mp_put_uint(b, v->stream);
	mp_put_bin(b, v->job.b, sizeof v->job.b);
	mp_put_bin(b, v->volunteer.b, sizeof v->volunteer.b);
	mp_put_uint(b, v->offset);
	mp_put_uint(b, v->hops);
}

int livelog_sub_decode(const uint8_t *bytes, size_t len, struct livelog_sub *ret)
{
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c;
	struct livelog_sub v = {0};
	const int code = open_array(bytes, len, &doc, &c);
	if (code)
		return code;
	v.stream = mp_get_uint(&c, "stream", LIVELOG_UINT_MAX);
	mp_get_bin_exact(&c, "job", v.job.b, sizeof v.job.b);
	mp_get_bin_exact(&c, "volunteer", v.volunteer.b, sizeof v.volunteer.b);
	v.offset = mp_get_uint(&c, "offset", LIVELOG_UINT_MAX);
	v.hops = (uint32_t)mp_get_uint(&c, "hops", 255);
	if (c.failed)
		return ERR_INVALID;
	*ret = v;
	return 0;
}

void livelog_chunk_encode(const struct livelog_chunk *v, struct buf *b)
{
	mp_put_array(b, 5);
	mp_put_uint(b, v->stream);
	mp_put_uint(b, v->offset);
	mp_put_bool(b, v->is_end);
	mp_put_bin(b, v->bytes, v->len);
	mp_put_bin(b, v->signature, sizeof v->signature);
}

int livelog_chunk_decode(const uint8_t *bytes, size_t len, struct livelog_chunk *ret)
{
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c;
	struct livelog_chunk v = {0};
	const int code = open_array(bytes, len, &doc, &c);
	if (code)
		return code;
	v.stream = mp_get_uint(&c, "stream", LIVELOG_UINT_MAX);
	v.offset = mp_get_uint(&c, "offset", LIVELOG_UINT_MAX);
	v.is_end = mp_get_bool(&c, "end");
	mp_get_bin(&c, "bytes", LIVELOG_CHUNK_MAX, &v.bytes, &v.len);
	mp_get_bin_exact(&c, "signature", v.signature, sizeof v.signature);
	if (c.failed || (!v.len && !v.is_end) || v.offset + v.len > LIVELOG_UINT_MAX)
		return ERR_INVALID;
	*ret = v; /* bytes lie in the message: msgpack-c refers to binaries where they are */
	return 0;
}

void livelog_pair_encode(uint64_t stream, uint64_t value, struct buf *b)
{
	mp_put_array(b, 2);
	mp_put_uint(b, stream);
	mp_put_uint(b, value);
}

int livelog_pair_decode(const uint8_t *bytes, size_t len, uint64_t *ret_stream, uint64_t *ret_value)
{
	CLEANUP(mp_doc_release) struct mp_doc doc = {0};
	struct mp_cursor c;
	const int code = open_array(bytes, len, &doc, &c);
	if (code)
		return code;
	const uint64_t stream = mp_get_uint(&c, "stream", LIVELOG_UINT_MAX), value = mp_get_uint(&c, "value", LIVELOG_UINT_MAX);
	if (c.failed)
		return ERR_INVALID;
	*ret_stream = stream;
	*ret_value = value;
	return 0;
}

void livelog_signed_bytes(const char *network, const struct id32 *job, const struct livelog_chunk *chunk, struct buf *b)
{
	buf_append(b, "talkoo-log-v1", sizeof "talkoo-log-v1"); /* with its 00 */
	buf_byte(b, (uint8_t)strlen(network));
	buf_str(b, network);
	buf_append(b, job->b, sizeof job->b);
	for (int shift = 56; shift >= 0; shift -= 8)
		buf_byte(b, (uint8_t)(chunk->offset >> shift));
	buf_byte(b, chunk->is_end);
	if (chunk->len)
		buf_append(b, chunk->bytes, chunk->len);
}
