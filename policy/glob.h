/* The patterns of policy rules: a star stands for any characters (none and '/' included), '?' for exactly one byte,
 * everything else for itself. Pure, linear space, at most len(pattern) * len(text) steps. */
#ifndef TALKOO_POLICY_GLOB_H
#define TALKOO_POLICY_GLOB_H

#include <stdbool.h>

bool glob_match(const char *pattern, const char *text);

#endif
