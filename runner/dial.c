#include "runner/dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/cleanup.h"

static void cleanup_addrinfo(struct addrinfo **list)
{
	if (*list)
		freeaddrinfo(*list);
}

const char *dial_text(char out[DIAL_TEXT_MAX], const struct sockaddr *address)
{
	const void *bytes = NULL;
	if (address->sa_family == AF_INET)
		bytes = (const char *)address + offsetof(struct sockaddr_in, sin_addr);
	else if (address->sa_family == AF_INET6)
		bytes = (const char *)address + offsetof(struct sockaddr_in6, sin6_addr);
	if (!bytes || !inet_ntop(address->sa_family, bytes, out, DIAL_TEXT_MAX))
		snprintf(out, DIAL_TEXT_MAX, "?");
	return out;
}

int dial_resolve(const struct remote_url *url, const struct remote_rules *rules, struct dial_addresses *ret,
		 struct err *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	CLEANUP(cleanup_addrinfo) struct addrinfo *all = NULL;
	char port[8];
	snprintf(port, sizeof port, "%u", url->port);
	const int e = getaddrinfo(url->host, port, &hints, &all);
	if (e) {
		err_set(err, ERR_UNREACHABLE, "the name %.200s does not resolve: %s", url->host,
			e == EAI_SYSTEM ? strerror(errno) : gai_strerror(e));
		err_hint(err, "check the name, and this machine's resolver");
		return ERR_UNREACHABLE;
	}
	struct dial_addresses found = {.count = 0};
	for (const struct addrinfo *a = all; a; a = a->ai_next) {
		if (remote_check_address(url->scheme, a->ai_addr, rules, err)) {
			char text[DIAL_TEXT_MAX];
			dial_text(text, a->ai_addr);
			if (strcmp(text, url->host) != 0)
				err_context(err, "%.200s is %s", url->host, text);
			return ERR_REFUSED;
		}
		if (found.count == DIAL_ADDRESSES_MAX || a->ai_addrlen > sizeof found.list[0].address)
			continue;
		struct dial_address *slot = &found.list[found.count++];
		memcpy(&slot->address, a->ai_addr, a->ai_addrlen);
		slot->len = a->ai_addrlen;
	}
	if (!found.count)
		return err_set(err, ERR_UNREACHABLE, "the name %.200s has no address", url->host);
	*ret = found;
	return 0;
}

/* 0 or an errno value. */
static int connect_one(const struct dial_address *a, int timeout_ms, int *ret_fd)
{
	CLEANUP(cleanup_fd) int fd = socket(a->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno;
	if (connect(fd, (const struct sockaddr *)&a->address, a->len) && errno != EINPROGRESS)
		return errno;
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int n;
	do
		n = poll(&p, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? errno : ETIMEDOUT;
	int failure = 0;
	socklen_t len = sizeof failure;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len))
		return errno;
	if (!failure)
		*ret_fd = fd_take(&fd);
	return failure;
}

int dial_connect(const struct dial_addresses *addresses, int timeout_ms, int *ret_fd, struct err *err)
{
	int failure = EADDRNOTAVAIL;
	char text[DIAL_TEXT_MAX] = "?";
	for (size_t i = 0; i < addresses->count; i++) {
		failure = connect_one(&addresses->list[i], timeout_ms, ret_fd);
		if (!failure)
			return 0;
		dial_text(text, (const struct sockaddr *)&addresses->list[i].address);
	}
	return err_set(err, ERR_UNREACHABLE, "no connection to %s: %s", text, strerror(failure));
}
