/* Live log's messages as bytes (canonical msgpack arrays, trailing elements ignored), and what a chunk's signature covers. PROTOCOL
 * "Live log". Inside livelog and its tests only. */
#ifndef TALKOO_P2P_LIVELOG_WIRE_H
#define TALKOO_P2P_LIVELOG_WIRE_H

#include "p2p/livelog.h"
#include "proto/base/buf.h"

#define LIVELOG_UINT_MAX UINT64_C(0x1fffffffffffff) /* 2^53-1: of stream numbers and offsets */

/* LOG_SUB [stream, job, volunteer, offset, hops] */
struct livelog_sub { uint64_t stream; struct id32 job; struct node_id volunteer; uint64_t offset; uint32_t hops; };
void livelog_sub_encode(const struct livelog_sub *v, struct buf *b);
int livelog_sub_decode(const uint8_t *bytes, size_t len, struct livelog_sub *ret) MUST_CHECK;

/* LOG_DATA [stream, offset, is_end, bytes, signature]; bytes are lent. */
struct livelog_chunk { uint64_t stream, offset; bool is_end; const uint8_t *bytes; size_t len; uint8_t signature[64]; };
void livelog_chunk_encode(const struct livelog_chunk *v, struct buf *b);
int livelog_chunk_decode(const uint8_t *bytes, size_t len, struct livelog_chunk *ret) MUST_CHECK;

/* LOG_END [stream, why], LOG_MORE [stream, bytes taken] */
void livelog_pair_encode(uint64_t stream, uint64_t value, struct buf *b);
int livelog_pair_decode(const uint8_t *bytes, size_t len, uint64_t *ret_stream, uint64_t *ret_value) MUST_CHECK;

/* "talkoo-log-v1" 00 || network's length || network || job || offset || end flag || bytes. Appends. */
void livelog_signed_bytes(const char *network, const struct id32 *job, const struct livelog_chunk *chunk, struct buf *b);

#endif
