/* Whose results count, from a file: for `talkoo verify`, which asks no node.
 *
 * Either JSON, as `talkoo trust list --json` prints it ({"trust":[{"node":…,"operator":…}]}, or that list alone), or the
 * same as strict YAML:
 *   trust:
 *     - {node: "did:key:z6Mk…", operator: alice}
 *     - {node: "did:key:z6Mk…"}        # an operator of its own
 * Full ids only. In YAML unknown keys are refused; JSON ones (written by programs) are passed over. Pure. Links: base, proto. */
#ifndef TALKOO_CLI_TRUSTFILE_H
#define TALKOO_CLI_TRUSTFILE_H

#include <jansson.h>
#include <stddef.h>

#include "proto/base/err.h"
#include "proto/ids.h"

#define TRUSTFILE_BYTES_MAX (1u << 20)
#define TRUSTFILE_NODES_MAX 10000

struct trustfile_entry {
	struct node_id node;
	char operator_name[64]; /* "" = its own */
};

struct trustfile {
	struct trustfile_entry *entries; /* owned */
	size_t len;
};

/* name: for sentences. ERR_INVALID names file, line and key. */
int trustfile_parse(const char *name, const char *text, size_t len, struct trustfile *ret, struct err *err) MUST_CHECK;
/* The JSON form, parsed already (a node's answer). */
int trustfile_from_json(const char *name, const json_t *root, struct trustfile *ret, struct err *err) MUST_CHECK;
void trustfile_release(struct trustfile *t);
/* NULL when that node is not on it. */
const struct trustfile_entry *trustfile_find(const struct trustfile *t, const struct node_id *node);

#endif
