/* One file over http or https, by libcurl, in the get stage: to a descriptor, within a budget, from judged addresses only.
 *
 * A redirect may lead to another place, which is judged like the first. Nothing of the environment counts (proxy, netrc, cookies).
 * Must not know: plans, digests, stores. */
#ifndef TALKOO_RUNNER_DOWNLOAD_H
#define TALKOO_RUNNER_DOWNLOAD_H

#include "runner/remote.h"

struct download {
	struct remote_rules rules;
	const char *hosts;     /* allowed, joined by commas; NULL = any */
	uint64_t budget_bytes; /* what may still come; counted down */
};

/* Whether host is one of the list's, whatever the case of its letters. Pure. */
bool download_host_is_listed(const char *hosts, const char *host);
/* url's content to fd, an empty file. Tried up to four times, after 1, 2 and 4 seconds, each going on where the last broke off.
 * ERR_REFUSED: a place that may not be asked; ERR_LIMIT: over the budget; ERR_NOT_FOUND: the server has no such file;
 * ERR_UNREACHABLE: the rest of what may go wrong out there. ERR_IO, ERR_NOMEM. */
int download(struct download *d, const char *url, int fd, struct err *err) MUST_CHECK;

#endif
