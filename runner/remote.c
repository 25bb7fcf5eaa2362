#include "runner/remote.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/units.h"

static const struct {
	const char *text;
	enum remote_scheme scheme;
	uint16_t port;
} schemes[] = {
#define X(name, value, text, port) {text, name, port},
	REMOTE_SCHEMES(X)
#undef X
};

const char *remote_scheme_name(enum remote_scheme s)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (schemes[i].scheme == s)
			return schemes[i].text;
	return "unknown";
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 1123: labels of letters, digits and inner hyphens; a trailing dot is not needed by anybody. */
static bool is_dns_name(const char *host)
{
	size_t label = 0;
	for (const char *p = host;; p++) {
		if (*p == '.' || !*p) {
			if (label == 0 || label > 63 || p[-1] == '-')
				return false;
			if (!*p)
				return true;
			label = 0;
		} else if (is_alnum(*p) || *p == '_' || (*p == '-' && label > 0)) {
			label++;
		} else {
			return false;
		}
	}
}

/* A name whose last label is a number is an address to the resolver ("127.1", "0x7f000001", "017700000001"). */
static bool ends_in_number(const char *host)
{
	const char *dot = strrchr(host, '.');
	const char *last = dot ? dot + 1 : host;
	if (last[0] == '0' && (last[1] == 'x' || last[1] == 'X'))
		return true;
	return last[strspn(last, "0123456789")] == 0;
}

static bool host_is_valid(const struct remote_url *url)
{
	struct in6_addr address6;
	struct in_addr address4;
	if (url->host_is_ipv6)
		return inet_pton(AF_INET6, url->host, &address6) == 1;
	if (!is_dns_name(url->host))
		return false;
	return !ends_in_number(url->host) || inet_pton(AF_INET, url->host, &address4) == 1;
}

/* %XX read. False for what is no such pair, or stands for a control character. */
static bool decode_path(char out[REMOTE_URL_MAX], const char *path)
{
	size_t len = 0;
	for (const char *p = path; *p; p++, len++) {
		uint8_t byte = (uint8_t)*p;
		if (*p == '%') {
			char pair[3] = {p[1], p[1] ? p[2] : 0, 0};
			if (!hex_decode(&byte, 1, pair) || byte < 0x20 || byte == 0x7f)
				return false;
			p += 2;
		}
		out[len] = (char)byte;
	}
	out[len] = 0;
	return true;
}

static bool path_is_valid(const char *path)
{
	if (path[0] != '/' || !path[1])
		return false;
	for (const char *p = path; *p;) {
		const size_t len = strcspn(p, "/");
		if (len == 2 && p[0] == '.' && p[1] == '.')
			return false;
		p += len + (p[len] == '/');
	}
	return true;
}

/* authority: "host", "host:port", "[v6]", "[v6]:port", of len bytes. */
static bool parse_authority(const char *authority, size_t len, struct remote_url *url)
{
	const char *const end = authority + len;
	const char *host = authority, *host_end;
	url->host_is_ipv6 = len > 0 && authority[0] == '[';
	if (url->host_is_ipv6) {
		host++;
		host_end = memchr(host, ']', (size_t)(end - host));
		if (!host_end)
			return false;
	} else {
		host_end = memchr(host, ':', len);
		if (!host_end)
			host_end = end;
	}
	const size_t host_len = (size_t)(host_end - host);
	if (host_len == 0 || host_len >= sizeof url->host)
		return false;
	memcpy(url->host, host, host_len);
	url->host[host_len] = 0;
	const char *rest = host_end + url->host_is_ipv6;
	if (rest == end)
		return host_is_valid(url);
	char digits[6];
	const size_t digits_len = (size_t)(end - rest) - 1;
	if (*rest != ':' || digits_len == 0 || digits_len >= sizeof digits)
		return false;
	memcpy(digits, rest + 1, digits_len);
	digits[digits_len] = 0;
	uint64_t port;
	if (!units_parse_number(digits, &port) || port > 65535 || (port < 1024 && port != url->port))
		return false;
	url->port = (uint16_t)port;
	return host_is_valid(url);
}

static int bad_url(const char *text, const char *why, struct err *err)
{
	err_set(err, ERR_INVALID, "source URL '%.200s': %s", text, why);
	err_hint(err, "use https://HOST/PATH or git://HOST/PATH");
	return ERR_INVALID;
}

static int check_characters(const char *text, struct err *err)
{
	if (strnlen(text, REMOTE_URL_MAX) >= REMOTE_URL_MAX)
		return bad_url(text, "it is too long", err);
	for (const char *p = text; *p; p++) {
		if (*p <= ' ' || *p >= 0x7f || *p == '\\')
			return bad_url(text, "it holds a character that no URL has", err);
		if (*p == '?' || *p == '#')
			return bad_url(text, "queries and fragments are not taken", err);
	}
	return 0;
}

static int parse_scheme(const char *text, size_t len, struct remote_url *ret, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		if (strlen(schemes[i].text) != len || memcmp(schemes[i].text, text, len) != 0)
			continue;
		ret->scheme = schemes[i].scheme;
		ret->port = schemes[i].port;
		return 0;
	}
	err_set(err, ERR_REFUSED, "source URL '%.200s': this transport is never used", text);
	err_hint(err, "announce an https:// or git:// URL of the same repository");
	return ERR_REFUSED;
}

int remote_parse(const char *text, struct remote_url *ret, struct err *err)
{
	struct remote_url url = {0};
	int e = check_characters(text, err);
	if (e)
		return e;
	const char *colon = strstr(text, "://");
	if (!colon)
		return bad_url(text, "it has no scheme", err);
	if ((e = parse_scheme(text, (size_t)(colon - text), &url, err)))
		return e;
	const char *authority = colon + 3;
	const size_t authority_len = strcspn(authority, "/");
	if (memchr(authority, '@', authority_len))
		return bad_url(text, "user names and passwords are not taken", err);
	snprintf(url.path, sizeof url.path, "%s", authority + authority_len);
	if (!decode_path(url.plain_path, url.path) || !path_is_valid(url.path) || !path_is_valid(url.plain_path))
		return bad_url(text, "its path is empty, holds '..' or a bad percent sign", err);
	if (url.scheme == REMOTE_FILE && authority_len > 0)
		return bad_url(text, "a file URL has three slashes", err);
	if (url.scheme != REMOTE_FILE && !parse_authority(authority, authority_len, &url))
		return bad_url(text, "its host or port is not valid", err);
	*ret = url;
	return 0;
}

int remote_check_scheme(enum remote_scheme scheme, const struct remote_rules *rules, struct err *err)
{
	if (scheme == REMOTE_FILE && !rules->allow_file) {
		err_set(err, ERR_REFUSED, "file URLs are not allowed as a source");
		err_hint(err, "the donor can allow them for this project: sources: [file]");
		return ERR_REFUSED;
	}
	if (scheme == REMOTE_HTTP && !rules->allow_loopback && !rules->allow_private) {
		err_set(err, ERR_REFUSED, "http is not allowed as a source: anybody on the way could change it");
		err_hint(err, "use https");
		return ERR_REFUSED;
	}
	return 0;
}

static int refuse_class(enum netaddr_class class, const char *rule, struct err *err)
{
	err_set(err, ERR_REFUSED, "the source is at a %s address", netaddr_class_name(class));
	if (rule)
		err_hint(err, "the donor can allow it for this project: sources: [%s]", rule);
	else
		err_hint(err, "such addresses are never fetched from");
	return ERR_REFUSED;
}

int remote_check_address(enum remote_scheme scheme, const struct sockaddr *address, const struct remote_rules *rules,
			 struct err *err)
{
	const enum netaddr_class class = netaddr_classify(address);
	switch (class) {
	case NETADDR_PUBLIC:
		if (scheme != REMOTE_HTTP)
			return 0;
		err_set(err, ERR_REFUSED, "http to a public address is not allowed as a source");
		err_hint(err, "use https");
		return ERR_REFUSED;
	case NETADDR_LOOPBACK:
		return rules->allow_loopback ? 0 : refuse_class(class, "loopback", err);
	case NETADDR_PRIVATE:
		return rules->allow_private ? 0 : refuse_class(class, "private", err);
	case NETADDR_LINK_LOCAL:
	case NETADDR_MULTICAST:
	case NETADDR_SPECIAL:
		break;
	}
	return refuse_class(class, NULL, err);
}

bool remote_same_place(const struct remote_url *from, const struct remote_url *to)
{
	return from->scheme == to->scheme && from->port == to->port && from->host_is_ipv6 == to->host_is_ipv6 &&
	       strcasecmp(from->host, to->host) == 0;
}
