/* Inside livelog only: what its files share. livelog.c peers, ways, messages, actions; livelog_stream.c one stream from its source to its
 * reader. */
#ifndef TALKOO_P2P_LIVELOG_IMPL_H
#define TALKOO_P2P_LIVELOG_IMPL_H

#include <string.h>

#include "p2p/livelog.h"
#include "p2p/livelog_wire.h"
#include "proto/base/buf.h"
#include "proto/base/cleanup.h"

#define LIVELOG_PEERS_MAX 64
#define LIVELOG_QUEUE_MAX (4u << 20) /* bytes of actions nobody took yet */
#define LIVELOG_HERE (-1)            /* a slot: the reader, or the source, is this node */
#define LIVELOG_NEVER UINT64_MAX

struct log_peer { uint32_t number; struct node_id id; }; /* number 0: the slot is free */
struct log_route { struct id32 job; struct node_id volunteer; uint32_t peer; uint64_t stamp; };

/* Bytes that may pass now, in thousandths: LIVELOG_RATE a second, at most `most`. */
struct bucket { uint64_t milli, at_ms; };

struct own_log { struct id32 job; uint64_t size, stamp; bool is_end; struct bucket bucket; };

enum stream_state {
	STREAM_FREE = 0,
	STREAM_WAITING,  /* nothing to do until something happens */
	STREAM_READ_DUE, /* own source: READ is to be said */
	STREAM_READING,  /* own source: the node's answer is awaited */
	STREAM_LOST,     /* a reader here: LOST is to be said */
};
struct stream {
	uint32_t number;
	enum stream_state state;
	struct id32 job;
	struct node_id volunteer;
	int reader, source;      /* slots, or LIVELOG_HERE */
	uint64_t reader_stream, source_stream;
	uint32_t hops;           /* that the source may still forward it */
	uint64_t offset;         /* of the next byte for the reader */
	size_t read_len;
	uint64_t reader_owes, source_owed; /* bytes on their way: sent to the reader, got from the source, both not confirmed */
	struct bucket bucket;    /* of what a source sends */
	enum livelog_end why;    /* LOST */
};

struct log_queued { struct log_queued *next; struct livelog_action action; uint8_t data[]; };

struct livelog {
	struct livelog_options o;
	char network[33];
	struct log_peer peers[LIVELOG_PEERS_MAX];
	struct stream streams[LIVELOG_STREAMS_MAX];
	struct log_route routes[LIVELOG_ROUTES_MAX];
	size_t routes_len;
	struct own_log own[LIVELOG_OWN_MAX];
	size_t own_len;
	uint64_t stamps;
	uint32_t last_number;
	uint64_t last_stream; /* pairs of stream numbers used */
	struct log_queued *queue, **queue_end, *given;
	size_t queue_bytes;
	struct buf input; /* of signatures */
	struct livelog_stats stats;
};

/* livelog.c */
bool livelog_push(struct livelog *l, struct livelog_action action, const uint8_t *bytes, size_t len);
void livelog_send(struct livelog *l, int slot, enum session_message type, const struct buf *body);
void livelog_send_pair(struct livelog *l, int slot, enum session_message type, uint64_t stream, uint64_t value);
/* PROTOCOL "Live log": of a pair the lower id takes even stream numbers. Whether this one is ours. */
bool livelog_is_own_stream(const struct livelog *l, int slot, uint64_t stream);
/* The slot to ask: the volunteer's own connection, else the way of its claim. LIVELOG_HERE: none. */
int livelog_way(const struct livelog *l, const struct id32 *job, const struct node_id *volunteer);
struct own_log *livelog_own(struct livelog *l, const struct id32 *job);

/* livelog_stream.c */
struct stream *stream_new(struct livelog *l, const struct id32 *job, const struct node_id *volunteer, uint64_t offset);
/* From the reader's side or the source's; the other may be told. */
struct stream *stream_of_reader(struct livelog *l, int slot, uint64_t stream);
struct stream *stream_of_source(struct livelog *l, int slot, uint64_t stream);
/* Finds its source and begins. */
void stream_begin(struct livelog *l, struct stream *s, uint64_t now_ms);
/* Asks another peer from where it is. */
void stream_move(struct livelog *l, struct stream *s, int source, uint64_t now_ms);
/* The reader is told; the source too where there is one and say_source is not 0. */
void stream_lose(struct livelog *l, struct stream *s, enum livelog_end why, enum livelog_end say_source);
/* The reader went, or does not want it. */
void stream_cancel(struct livelog *l, struct stream *s);
void stream_data(struct livelog *l, struct stream *s, const struct livelog_chunk *chunk, uint64_t now_ms);
void stream_more(struct livelog *l, struct stream *s, uint64_t bytes, uint64_t now_ms);
/* Own source: asks the node for what may be sent now. Returns when it may be tried again, NEVER: something must happen first. */
uint64_t stream_feed(struct livelog *l, struct stream *s, uint64_t now_ms);
void bucket_fill(struct bucket *b, uint64_t most_bytes, uint64_t now_ms);

#endif
