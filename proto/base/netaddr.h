/* What kind of network address an address is: whether a stranger may make us talk to it. Pure: no resolver, no socket.
 * For fetching sources (runner/remote.h) and for calling peers (p2p). Source: the special-purpose registries of RFC 6890. */
#ifndef TALKOO_BASE_NETADDR_H
#define TALKOO_BASE_NETADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Only the first three can ever be allowed. */
#define NETADDR_CLASSES(X)                                                                                             \
	X(NETADDR_PUBLIC, 1, "public")                                                                                 \
	X(NETADDR_LOOPBACK, 2, "loopback")                                                                             \
	X(NETADDR_PRIVATE, 3, "private")   /* RFC 1918, shared (RFC 6598), unique local (RFC 4193) */                  \
	X(NETADDR_LINK_LOCAL, 4, "link-local") /* cloud metadata services live there */                                \
	X(NETADDR_MULTICAST, 5, "multicast")                                                                           \
	X(NETADDR_SPECIAL, 6, "special")   /* unspecified, broadcast, documentation, reserved, tunnels */

enum netaddr_class {
#define X(name, value, text) name = value,
	NETADDR_CLASSES(X)
#undef X
};

/* Judged by its last meaning: an IPv4 address inside IPv6 (mapped, compatible, 6to4, NAT64) counts as that IPv4 address. What is
 * neither IPv4 nor IPv6 is special. */
enum netaddr_class netaddr_classify(const struct sockaddr *address);
/* "public", "loopback", …; static storage. */
const char *netaddr_class_name(enum netaddr_class c);
/* A literal address, IPv6 without brackets; no port. False: it is none (a name), ret is untouched. */
bool netaddr_parse(const char *host, struct sockaddr_storage *ret);

#endif
