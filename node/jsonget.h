/* Reads fields of JSON that may lack them or hold something else (an older or newer node, a runner's event): then the
 * value is "", 0 or false. Borrowed: valid as long as the object. Must not know: what the objects mean. */
#ifndef TALKOO_NODE_JSONGET_H
#define TALKOO_NODE_JSONGET_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

const char *jtext(const json_t *object, const char *key);
/* A negative number is 0 too. */
uint64_t jnumber(const json_t *object, const char *key);
bool jbool(const json_t *object, const char *key);

#endif
