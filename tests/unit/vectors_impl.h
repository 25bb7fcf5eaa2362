/* What the makers of vectors share: JSON without memory ends the program. */
#ifndef TALKOO_TESTS_VECTORS_IMPL_H
#define TALKOO_TESTS_VECTORS_IMPL_H

#include "tests/unit/vectors.h"

void *must(void *p);
json_t *hex_json(const void *bytes, size_t len);
void add(json_t *array, json_t *element /* takes */);

json_t *make_gossip(void); /* vectors_gossip.c */

#endif
