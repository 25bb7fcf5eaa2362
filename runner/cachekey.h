/* Which cache is whose: names in a store of caches, STORE/NAME/tar.
 *
 * A cache belongs to a project, a ref of it, a plan (its digest and cell) and an image. Who may push to a project's branches and tags is
 * trusted by the project; whatever else a server calls a ref (a pull request's, a patch's) anybody may fill: a job of
 * such a ref reads what the main branch left, and leaves nothing.
 * Pure. Links: base, libsodium. */
#ifndef TALKOO_RUNNER_CACHEKEY_H
#define TALKOO_RUNNER_CACHEKEY_H

#include <stdbool.h>

#define CACHEKEY_LEN 65        /* hex digits with the 0 */
#define CACHEKEY_FILE "tar"    /* in the cache's folder */
#define CACHEKEY_REF_READ "refs/heads/main" /* whose cache an untrusted ref reads */

/* refs/heads/… and refs/tags/… */
bool cachekey_ref_is_trusted(const char *ref);
/* project: whatever names it here (its id; a path; a URL). */
void cachekey_scope(const char *project, const char *ref, char ret[CACHEKEY_LEN]);
/* The cache's name. */
void cachekey_name(const char *scope, const char *plan_sha256, const char *cell, const char *image_digest, char ret[CACHEKEY_LEN]);

#endif
