/* From a source URL to a connected socket: names are resolved once, every address is judged (remote.h), and only judged
 * addresses are connected to. Blocking; for the fetch stage alone. Must not know: git, HTTP. */
#ifndef TALKOO_RUNNER_DIAL_H
#define TALKOO_RUNNER_DIAL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "runner/remote.h"

#define DIAL_ADDRESSES_MAX 16
#define DIAL_TEXT_MAX 64 /* an address as text, with the 0 */

struct dial_address {
	struct sockaddr_storage address;
	socklen_t len;
};

struct dial_addresses {
	struct dial_address list[DIAL_ADDRESSES_MAX];
	size_t count;
};

/* All addresses of url's host, each allowed by the rules: one that is not makes it ERR_REFUSED as a whole. Past
 * DIAL_ADDRESSES_MAX they are judged but not kept. ERR_UNREACHABLE: the name does not resolve. */
int dial_resolve(const struct remote_url *url, const struct remote_rules *rules, struct dial_addresses *ret,
		 struct err *err) MUST_CHECK;

/* Tries the addresses in order, each for at most timeout_ms. *ret_fd: a non-blocking socket, the caller's.
 * ERR_UNREACHABLE with the last reason. */
int dial_connect(const struct dial_addresses *addresses, int timeout_ms, int *ret_fd, struct err *err) MUST_CHECK;

/* The address as digits, without the port. Returns out. */
const char *dial_text(char out[DIAL_TEXT_MAX], const struct sockaddr *address);

#endif
