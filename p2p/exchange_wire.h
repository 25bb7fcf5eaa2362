/* Exchange's messages as bytes: canonical msgpack arrays, trailing elements ignored. PROTOCOL "Blobs". Inside exchange only. */
#ifndef TALKOO_P2P_EXCHANGE_WIRE_H
#define TALKOO_P2P_EXCHANGE_WIRE_H

#include "p2p/exchange.h"
#include "proto/base/buf.h"

#define EXCHANGE_STREAM_MAX UINT64_C(0x1fffffffffffff) /* 2^53-1 */

/* BLOB_GET [stream, topic, result, author, name, root, size, first leaf, hops, until leaf] */
struct exchange_get { uint64_t stream; struct exchange_ref ref; uint64_t first; uint32_t hops; uint64_t until; };
void exchange_get_encode(const struct exchange_get *v, struct buf *b);
int exchange_get_decode(const uint8_t *bytes, size_t len, struct exchange_get *ret) MUST_CHECK;

/* BLOB_DATA [stream, leaf index, bytes, path]; bytes are lent from the message. */
struct exchange_leaf {
	uint64_t stream, index;
	const uint8_t *bytes;
	size_t len;
	struct merkle_hash path[MERKLE_PATH_MAX];
	size_t path_len;
};
void exchange_leaf_encode(const struct exchange_leaf *v, struct buf *b);
int exchange_leaf_decode(const uint8_t *bytes, size_t len, struct exchange_leaf *ret) MUST_CHECK;

/* BLOB_END [stream, why], BLOB_MORE [stream, until leaf] */
void exchange_pair_encode(uint64_t stream, uint64_t value, struct buf *b);
int exchange_pair_decode(const uint8_t *bytes, size_t len, uint64_t *ret_stream, uint64_t *ret_value) MUST_CHECK;

/* BLOB_OFFER [topic, result, author, name, root, size] */
void exchange_offer_encode(const struct exchange_ref *ref, struct buf *b);
int exchange_offer_decode(const uint8_t *bytes, size_t len, struct exchange_ref *ret) MUST_CHECK;

#endif
