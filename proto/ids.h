/* Identifiers as values and as text: node ids, record ids, project ids, links, topics. PROTOCOL 2.
 * Texts that people exchange (addresses, links) are in link.c, the rest in ids.c.
 * Pure. Needs: base, libsodium. sodium_init() has been called. Parsers leave ret untouched on failure. */
#ifndef TALKOO_PROTO_IDS_H
#define TALKOO_PROTO_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

struct node_id { uint8_t b[32]; };  /* an Ed25519 public key */
struct id32 { uint8_t b[32]; };     /* a BLAKE2b-256: record, project, topic */

#define NODE_ID_TEXT_MAX 57 /* "did:key:z6Mk…" and the 0 byte */
#define ID32_TEXT_MAX 65    /* 64 hex digits and the 0 byte */
#define LINK_TEXT_MAX 1024
#define ADDR_TEXT_MAX 320   /* "z6Mk…@host:port" and the 0 byte */
#define PORT_DEFAULT 8255

static inline bool node_id_eq(const struct node_id *a, const struct node_id *b) { return !__builtin_memcmp(a, b, 32); }
static inline bool id32_eq(const struct id32 *a, const struct id32 *b) { return !__builtin_memcmp(a, b, 32); }

/* did:key with multicodec 0xed01, base58btc. out: NODE_ID_TEXT_MAX. Returns out. */
char *node_id_format(char *out, const struct node_id *id);
/* The full form, "did:key:z6Mk…" or bare "z6Mk…"; checks multicodec and length. ERR_INVALID, with a hint when text is
 * a prefix ("a full node id is needed here"). */
int node_id_parse(const char *text, struct node_id *ret, struct err *err) MUST_CHECK;
/* "z6Mkabcdefgh": z6Mk and 8 characters, for people. out: 16 bytes. */
char *node_id_short(char *out, const struct node_id *id);

char *id32_format(char *out, const struct id32 *id); /* 64 hex digits. Returns out */
int id32_parse(const char *text, struct id32 *ret, struct err *err) MUST_CHECK;

/* BLAKE2b-256("talkoo-project" || founder || nonce) */
void project_id_derive(const struct node_id *founder, const uint8_t nonce[16], struct id32 *ret);
/* BLAKE2b-256("talkoo-topic" || project id) */
void topic_derive(const struct id32 *project, struct id32 *ret);

struct node_addr { struct node_id id; char host[256]; uint16_t port; };
/* z6Mk…@host:port, did:key form taken too; IPv6 in brackets (kept without, in its shortest text); a host name is kept
 * in lower case; port optional (PORT_DEFAULT). */
int node_addr_parse(const char *text, struct node_addr *ret, struct err *err) MUST_CHECK;
char *node_addr_format(char *out, const struct node_addr *addr); /* ADDR_TEXT_MAX */

/* talkoo:PROJECTID?seed=z6Mk…@host:port&name=N ; name percent-encoded; up to 4 seeds; unknown parameters are ignored. */
#define LINK_SEEDS_MAX 4
struct project_link { struct id32 project; char name[64]; struct node_addr seeds[LINK_SEEDS_MAX]; size_t seeds_len; };
int project_link_parse(const char *text, struct project_link *ret, struct err *err) MUST_CHECK;
int project_link_format(const struct project_link *link, char *out, size_t size, struct err *err) MUST_CHECK;

/* Network name: [a-z0-9-]{1,32}. */
bool network_name_is_valid(const char *name);

#endif
