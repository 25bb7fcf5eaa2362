#include "proto/host.h"

#include <arpa/inet.h>
#include <string.h>

#include "proto/base/units.h"

#define NAME_LEN_MAX 253

bool host_is_ipv6(const char *host)
{
	struct in6_addr unused;
	return inet_pton(AF_INET6, host, &unused) == 1;
}

/* Letters, digits, '-', '_' and '.', no empty label, none that begins with '-'. Lower-cases in place. */
static bool name_normalise(char *host)
{
	char previous = '.';
	size_t len = 0;
	for (char *p = host; *p; p++, len++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
		const bool is_label = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-' || *p == '_';
		if (!is_label && *p != '.')
			return false;
		if (previous == '.' && (*p == '.' || *p == '-'))
			return false;
		previous = *p;
	}
	return len && len <= NAME_LEN_MAX && previous != '.';
}

static bool ipv6_normalise(char *host, size_t size)
{
	struct in6_addr address;
	return inet_pton(AF_INET6, host, &address) == 1 && inet_ntop(AF_INET6, &address, host, (socklen_t)size);
}

static bool port_parse(const char *text, size_t len, uint16_t *ret)
{
	char digits[8];
	uint64_t port;
	if (len >= sizeof digits)
		return false;
	memcpy(digits, text, len);
	digits[len] = 0;
	if (!units_parse_number(digits, &port) || !port || port > 65535)
		return false;
	*ret = (uint16_t)port;
	return true;
}

bool host_port_parse(const char *text, size_t len, uint16_t port_default, struct host_port *ret)
{
	const char *end = text + len;
	ret->is_ipv6 = len && *text == '[';
	ret->port = port_default;
	const char *host = ret->is_ipv6 ? text + 1 : text;
	const char *host_end = memchr(host, ret->is_ipv6 ? ']' : ':', (size_t)(end - host));
	if (ret->is_ipv6 && !host_end)
		return false;
	if (!host_end)
		host_end = end;
	const size_t host_len = (size_t)(host_end - host);
	if (host_len >= sizeof ret->host || memchr(host, 0, host_len))
		return false;
	memset(ret->host, 0, sizeof ret->host);
	memcpy(ret->host, host, host_len);
	const char *rest = host_end + ret->is_ipv6;
	if (rest != end && (*rest != ':' || !port_parse(rest + 1, (size_t)(end - rest) - 1, &ret->port)))
		return false;
	return ret->is_ipv6 ? ipv6_normalise(ret->host, sizeof ret->host) : name_normalise(ret->host);
}
