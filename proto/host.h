/* Hosts as text: DNS names, IPv4 and bracketed IPv6 addresses, with a port. One normal form. PROTOCOL 2.4.
 * Pure: nothing is resolved. For link.c (node addresses) and url.c (clone URLs). */
#ifndef TALKOO_PROTO_HOST_H
#define TALKOO_PROTO_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOST_TEXT_MAX 256

struct host_port { char host[HOST_TEXT_MAX]; bool is_ipv6; uint16_t port; };

/* text[0..len): "host", "host:port", "[v6]", "[v6]:port"; port 1 to 65535, port_default when absent. host: lower case, an
 * IPv6 address in its shortest text (RFC 5952) and without brackets. False, ret unspecified, for anything else. */
bool host_port_parse(const char *text, size_t len, uint16_t port_default, struct host_port *ret);
/* Whether a host without brackets is an IPv6 address, and so is written with them. */
bool host_is_ipv6(const char *host);

#endif
