/* Which places a fetch may talk to: the form of a source URL, and which network addresses it may end at.
 *
 * Pure: text and addresses in, an answer out; no resolver, no socket (dial.h does those). Everything a record says
 * about a source passes here first. (ARCHITECTURE 6 "libgit2", threats "hostile git remote".)
 *
 * Allowed from records are https and git to public addresses. http, and any scheme to a loopback or private address,
 * and file, only where the donor's rule says so. ssh, ext and every other transport never. */
#ifndef TALKOO_RUNNER_REMOTE_H
#define TALKOO_RUNNER_REMOTE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proto/base/err.h"
#include "proto/base/netaddr.h"

#define REMOTE_URL_MAX 1024 /* bytes with the 0 */
#define REMOTE_HOST_MAX 254

#define REMOTE_SCHEMES(X)                                                                                              \
	X(REMOTE_HTTPS, 1, "https", 443)                                                                               \
	X(REMOTE_GIT, 2, "git", 9418)                                                                                  \
	X(REMOTE_HTTP, 3, "http", 80) /* only where the address is an allowed loopback or private one */               \
	X(REMOTE_FILE, 4, "file", 0)

enum remote_scheme {
#define X(name, value, text, port) name = value,
	REMOTE_SCHEMES(X)
#undef X
};

struct remote_url {
	enum remote_scheme scheme;
	char host[REMOTE_HOST_MAX];  /* as written, an IPv6 address without its brackets; "" for file */
	bool host_is_ipv6;           /* it was written in brackets */
	uint16_t port;               /* the scheme's where the URL names none; 0 for file */
	char path[REMOTE_URL_MAX];   /* begins with '/', as written: what an http request says */
	char plain_path[REMOTE_URL_MAX]; /* with %XX read: what git:// and file mean */
};

/* What the donor's rule permits beyond public addresses. */
struct remote_rules {
	bool allow_loopback, allow_private, allow_file;
};

/* Reads a source URL strictly: printable ASCII without space, backslash, user, query or fragment; a DNS name, a plain
 * dotted IPv4 address or a bracketed IPv6 address; a port that is the scheme's own or at least 1024; a path without ".."
 * components and, %XX read, without control characters. ERR_INVALID for a bad form, ERR_REFUSED for a scheme that is never used; the sentence names the URL. */
int remote_parse(const char *text, struct remote_url *ret, struct err *err) MUST_CHECK;

/* The scheme's name; static storage. */
const char *remote_scheme_name(enum remote_scheme s);

/* Whether a scheme may be spoken to an address under the rules. 0 or ERR_REFUSED with a hint naming the rule that would
 * allow it, if there is one. */
int remote_check_address(enum remote_scheme scheme, const struct sockaddr *address, const struct remote_rules *rules,
			 struct err *err) MUST_CHECK;
/* The part that needs no address: ERR_REFUSED for file (and http) where the rules do not say so. */
int remote_check_scheme(enum remote_scheme scheme, const struct remote_rules *rules, struct err *err) MUST_CHECK;

/* Whether `to` is the same place as `from` but for its path: what a redirect may lead to. */
bool remote_same_place(const struct remote_url *from, const struct remote_url *to);

#endif
