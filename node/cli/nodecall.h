/* What most commands do: one request to the chosen node, its answer shown.
 *
 * Links: base, client. Must not know: what answers mean. */
#ifndef TALKOO_CLI_NODECALL_H
#define TALKOO_CLI_NODECALL_H

#include "node/cli/cli.h"
#include "node/cli/client.h"
#include "node/jsonget.h"

/* The node that the options mean, connected. *ret: client_close(). */
int nodecall_open(const struct cli *c, struct client **ret, struct err *err) MUST_CHECK;
/* Connects, sends request (takes it; NULL is out of memory), gives the answer. */
int nodecall(const struct cli *c, json_t *request /* takes */, json_t **ret_answer, struct err *err) MUST_CHECK;
/* The same, shown where the user asked for JSON: then *ret_answer is NULL, and nothing is left to do. */
int nodecall_shown(struct cli *c, json_t *request /* takes */, json_t **ret_answer, struct err *err) MUST_CHECK;
/* As nodecall(), on a connection that stands. */
int nodecall_on(struct client *client, json_t *request /* takes */, json_t **ret_answer, struct err *err) MUST_CHECK;

/* Sets a text or a number where it is not NULL or 0: absent arguments are left out of a request. */
void jset_text(json_t *object, const char *key, const char *text);
void jset_number(json_t *object, const char *key, uint64_t number);

/* "z6Mkabcdefgh" of a full node id, for tables; other texts are cut to 12 bytes. out: 16 bytes. Returns out. */
const char *short_node(char out[16], const char *id);
/* "2 min ago", "in 5 s" for an RFC 3339 instant; the text itself when it is none. out: UNITS_TEXT_MAX + 8 bytes. */
const char *time_ago(char *out, const char *rfc3339);

#endif
