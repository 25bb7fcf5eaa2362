/* `talkoo init`: key, config.yml and a policy that denies everything. Never overwrites.
 *
 * Must not know: how it is printed. Links: node/home, node/config, node/identity. */
#ifndef TALKOO_NODE_INIT_H
#define TALKOO_NODE_INIT_H

#include <stdbool.h>

#include "node/home.h"
#include "proto/ids.h"

struct init_options {
	const char *alias;        /* NULL: none */
	const char *listen;       /* "HOST:PORT", NULL: dial out only */
	const char *network;      /* NULL: main */
	const char *const *seeds; /* "ID@HOST:PORT" */
	size_t seeds_len;
	const char *key_file;     /* a backup to take the identity from; NULL: a new one */
};

struct init_result {
	struct node_id id;
	bool made_key, made_config, made_policy; /* false: it was there (an init that was cut short is completed) */
};

/* ERR_REFUSED when the home is made already (its id is in the sentence); ERR_USAGE for an option that makes no sense;
 * everything is checked before anything is written. */
int init_home(const struct home *home, const struct init_options *o, struct init_result *ret, struct err *err) MUST_CHECK;

#endif
