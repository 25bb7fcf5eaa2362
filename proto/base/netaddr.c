#include "proto/base/netaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "proto/base/cleanup.h"

const char *netaddr_class_name(enum netaddr_class c)
{
	switch (c) {
#define X(name, value, text)                                                                                           \
	case name: return text;
		NETADDR_CLASSES(X)
#undef X
	}
	return "unknown";
}

/* The special-purpose registries of RFC 6890, first match counts; what is in none of them is public. */
static const struct {
	uint32_t net;
	uint8_t bits;
	enum netaddr_class class;
} special4[] = {
	{0x00000000, 8, NETADDR_SPECIAL},     /* this network */
	{0x0a000000, 8, NETADDR_PRIVATE},     /* 10/8 */
	{0x64400000, 10, NETADDR_PRIVATE},    /* 100.64/10, shared */
	{0x7f000000, 8, NETADDR_LOOPBACK},
	{0xa9fe0000, 16, NETADDR_LINK_LOCAL},
	{0xac100000, 12, NETADDR_PRIVATE},    /* 172.16/12 */
	{0xc0000000, 24, NETADDR_SPECIAL},    /* 192.0.0/24, protocol assignments */
	{0xc0000200, 24, NETADDR_SPECIAL},    /* documentation */
	{0xc0586300, 24, NETADDR_SPECIAL},    /* 6to4 relay */
	{0xc0a80000, 16, NETADDR_PRIVATE},    /* 192.168/16 */
	{0xc6120000, 15, NETADDR_SPECIAL},    /* benchmarks */
	{0xc6336400, 24, NETADDR_SPECIAL},    /* documentation */
	{0xcb007100, 24, NETADDR_SPECIAL},    /* documentation */
	{0xe0000000, 4, NETADDR_MULTICAST},
	{0xf0000000, 4, NETADDR_SPECIAL},     /* reserved, broadcast */
};

static enum netaddr_class classify4(uint32_t address)
{
	for (size_t i = 0; i < ARRAY_LEN(special4); i++)
		if ((address ^ special4[i].net) >> (32 - special4[i].bits) == 0)
			return special4[i].class;
	return NETADDR_PUBLIC;
}

static const struct {
	uint8_t net[16];
	uint8_t bits;
	enum netaddr_class class;
} special6[] = {
	{{0xfc}, 7, NETADDR_PRIVATE},                    /* unique local */
	{{0xfe, 0x80}, 10, NETADDR_LINK_LOCAL},
	{{0xff}, 8, NETADDR_MULTICAST},
	{{0x20, 0x01, 0x00}, 23, NETADDR_SPECIAL},       /* protocol assignments: Teredo, ORCHID, benchmarks */
	{{0x20, 0x01, 0x0d, 0xb8}, 32, NETADDR_SPECIAL}, /* documentation */
	{{0x3f, 0xff, 0x00}, 20, NETADDR_SPECIAL},       /* documentation */
};

/* Prefixes that carry an IPv4 address, and where in them it stands. */
static const struct {
	uint8_t net[16];
	uint8_t bits, at;
} carriers[] = {
	{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, 12}, /* mapped */
	{{0}, 96, 12},                                        /* compatible; :: and ::1 are seen before */
	{{0x20, 0x02}, 16, 2},                                /* 6to4 */
	{{0x00, 0x64, 0xff, 0x9b}, 96, 12},                   /* NAT64 */
};

static bool has_prefix(const uint8_t address[16], const uint8_t net[16], unsigned bits)
{
	const unsigned whole = bits / 8, rest = bits % 8;
	if (memcmp(address, net, whole) != 0)
		return false;
	return rest == 0 || ((address[whole] ^ net[whole]) >> (8 - rest)) == 0;
}

static enum netaddr_class classify6(const uint8_t a[16])
{
	static const uint8_t loopback[16] = {[15] = 1}, unspecified[16] = {0};
	if (!memcmp(a, loopback, 16))
		return NETADDR_LOOPBACK;
	if (!memcmp(a, unspecified, 16))
		return NETADDR_SPECIAL;
	for (size_t i = 0; i < ARRAY_LEN(carriers); i++) {
		if (!has_prefix(a, carriers[i].net, carriers[i].bits))
			continue;
		const uint8_t *v4 = a + carriers[i].at;
		return classify4((uint32_t)v4[0] << 24 | (uint32_t)v4[1] << 16 | (uint32_t)v4[2] << 8 | v4[3]);
	}
	for (size_t i = 0; i < ARRAY_LEN(special6); i++)
		if (has_prefix(a, special6[i].net, special6[i].bits))
			return special6[i].class;
	/* Only 2000::/3 is handed out as global unicast. */
	return a[0] >> 5 == 1 ? NETADDR_PUBLIC : NETADDR_SPECIAL;
}

enum netaddr_class netaddr_classify(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, address, sizeof in);
		return classify4(ntohl(in.sin_addr.s_addr));
	}
	if (address->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, address, sizeof in6);
		return classify6(in6.sin6_addr.s6_addr);
	}
	return NETADDR_SPECIAL;
}

bool netaddr_parse(const char *host, struct sockaddr_storage *ret)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	if (inet_pton(AF_INET, host, &in.sin_addr) == 1)
		memcpy(ret, &in, sizeof in);
	else if (inet_pton(AF_INET6, host, &in6.sin6_addr) == 1)
		memcpy(ret, &in6, sizeof in6);
	else
		return false;
	return true;
}
