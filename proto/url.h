/* Texts that name sources: the normal form of clone URLs, and which ref names are taken. PROTOCOL 7.
 * Pure: nothing is resolved or fetched; what a fetch may really talk to is the runner's business. */
#ifndef TALKOO_PROTO_URL_H
#define TALKOO_PROTO_URL_H

#include <stdbool.h>

#include "proto/base/err.h"

#define URL_TEXT_MAX 512

/* The normal form of a clone URL: https, git, http or file; lower-case scheme and host, the scheme's own port dropped; no user,
 * query or fragment (refused, not dropped); path with single slashes, none at its end, no "." or ".." part, percent
 * signs in one form. A ".git" stays: servers tell the two apart. ERR_INVALID, with a hint, for what is no acceptable URL.
 * Local paths become file:// only through the caller. Applied to its own output it changes nothing. */
int url_normalise(const char *text, char out[URL_TEXT_MAX], struct err *err) MUST_CHECK;

/* A full ref name ("refs/heads/main") as git-check-ref-format(1) has it, of at most 255 bytes. */
bool ref_name_is_valid(const char *name);

#endif
