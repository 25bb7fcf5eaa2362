/* The arguments of Ambient's `custom` action: a YAML map as JSON, with the types that YAML readers give plain scalars (the
 * strict tree has none). Pure. */
#ifndef TALKOO_RUNNER_PLAN_AMBIENT_ARGS_H
#define TALKOO_RUNNER_PLAN_AMBIENT_ARGS_H

#include <jansson.h>

#include "proto/base/yaml.h"

/* A new reference; NULL without memory. */
json_t *ambient_args_json(const struct yaml_node *node);

#endif
