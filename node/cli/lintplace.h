/* What `talkoo lint` knows beyond the file: whether the plan's image is one that can be had, and whether this machine has what it
 * asks for. Warnings, as other machines have other images and more memory; an image that is but a slip of the pen away from one
 * that is here is an error.
 * Links: lint, workplace, node/config, runner/image. */
#ifndef TALKOO_CLI_LINTPLACE_H
#define TALKOO_CLI_LINTPLACE_H

#include "runner/plan/lint.h"

/* Adds findings to l, which has a plan. home: --home, or NULL. */
void lintplace_check(struct lint *l, const char *home);

#endif
