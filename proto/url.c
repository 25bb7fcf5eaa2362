#include "proto/url.h"

#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/utf8.h"
#include "proto/host.h"

static const struct scheme { const char *name; uint16_t port; /* 0: no host */ } schemes[] = {
	{"https", 443}, {"git", 9418}, {"http", 80}, {"file", 0},
};

/* A bounded text being written; full stays full. */
struct out { char *text; size_t len; bool is_full; };

static void put(struct out *o, const char *bytes, size_t len)
{
	if (o->is_full || o->len + len >= URL_TEXT_MAX) {
		o->is_full = true;
		return;
	}
	memcpy(o->text + o->len, bytes, len);
	o->len += len;
	o->text[o->len] = 0;
}

static int refuse(const char *text, const char *why, struct err *err)
{
	err_set(err, ERR_INVALID, "\"%.200s\" is no clone URL: %s", text, why);
	err_hint(err, "a clone URL reads https://HOST/PATH or git://HOST/PATH, without user, query or fragment");
	return ERR_INVALID;
}

static bool is_unreserved(uint8_t c)
{
	return c && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", c);
}

/* One character of a path in its one form: what needs no percent sign has none, hex digits are upper case.
 * Returns how many bytes of the input it took, 0 if it may not stand there. */
static size_t path_char(const char *p, struct out *o)
{
	if (*p != '%') {
		if (!is_unreserved((uint8_t)*p) && !strchr("!$&'()*+,;=:@", *p))
			return 0;
		put(o, p, 1);
		return 1;
	}
	uint8_t byte;
	const char digits[3] = {p[1], p[1] ? p[2] : 0, 0};
	if (!hex_decode(&byte, 1, digits) || byte < 0x20 || byte == 0x7f || byte == '/' || byte == '\\')
		return 0;
	char encoded[4];
	snprintf(encoded, sizeof encoded, "%%%02X", (unsigned)byte);
	if (is_unreserved(byte))
		put(o, (const char *)&byte, 1);
	else
		put(o, encoded, 3);
	return 3;
}

static const char *path_normalise(const char *p, struct out *o)
{
	while (*p) {
		while (*p == '/')
			p++;
		if (!*p)
			break;
		put(o, "/", 1);
		const size_t part = o->len;
		while (*p && *p != '/') {
			const size_t n = path_char(p, o);
			if (!n)
				return "a character of its path may not stand there (write it as %XX)";
			p += n;
		}
		if (!o->is_full && (!strcmp(o->text + part, ".") || !strcmp(o->text + part, "..")))
			return "its path has a part \".\" or \"..\"";
	}
	return NULL;
}

static const char *authority_normalise(const struct scheme *s, const char *text, size_t len, struct out *o)
{
	if (!s->port) /* file: this machine, which has no name here */
		return len && !(len == 9 && !memcmp(text, "localhost", 9)) ? "a file URL names no host" : NULL;
	if (memchr(text, '@', len))
		return "it names a user";
	struct host_port place;
	if (!host_port_parse(text, len, s->port, &place))
		return "its host or port is none";
	char authority[HOST_TEXT_MAX + 16];
	int n = snprintf(authority, sizeof authority, place.is_ipv6 ? "[%s]" : "%s", place.host);
	if (place.port != s->port)
		n += snprintf(authority + n, sizeof authority - (size_t)n, ":%u", (unsigned)place.port);
	put(o, authority, (size_t)n);
	return NULL;
}

static const struct scheme *scheme_find(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (strlen(schemes[i].name) == len && !strncasecmp(schemes[i].name, text, len))
			return &schemes[i];
	return NULL;
}

int url_normalise(const char *text, char out[URL_TEXT_MAX], struct err *err)
{
	char result[URL_TEXT_MAX] = "";
	struct out o = {.text = result};
	const char *colon = strstr(text, "://");
	const struct scheme *s = colon ? scheme_find(text, (size_t)(colon - text)) : NULL;
	if (!s)
		return refuse(text, "it begins with none of https://, git://, http://, file://", err);
	put(&o, s->name, strlen(s->name));
	put(&o, "://", 3);
	const char *authority = colon + 3;
	const size_t authority_len = strcspn(authority, "/?#");
	const char *why = authority_normalise(s, authority, authority_len, &o);
	if (!why && strpbrk(authority + authority_len, "?#"))
		why = "it has a query or a fragment";
	const size_t head = o.len;
	if (!why)
		why = path_normalise(authority + authority_len, &o);
	if (!why && !o.is_full && o.len == head)
		why = "it has no path";
	if (!why && o.is_full)
		why = "it is longer than 511 characters";
	if (why)
		return refuse(text, why, err);
	memcpy(out, result, o.len + 1);
	return 0;
}

/* One part between slashes. */
static bool ref_part_is_valid(const char *part, size_t len)
{
	return len && part[0] != '.' && !(len >= 5 && !memcmp(part + len - 5, ".lock", 5));
}

bool ref_name_is_valid(const char *name)
{
	const size_t len = strnlen(name, 256);
	if (len > 255 || strncmp(name, "refs/", 5) || name[len - 1] == '.' || !utf8_is_valid((const uint8_t *)name, len))
		return false;
	for (const char *p = name; *p; p++)
		if ((uint8_t)*p < 0x20 || *p == 0x7f || strchr(" ~^:?*[\\", *p) || (p[0] == '.' && p[1] == '.') || (p[0] == '@' && p[1] == '{'))
			return false;
	for (const char *p = name;; p++) {
		const size_t n = strcspn(p, "/");
		if (!ref_part_is_valid(p, n))
			return false;
		p += n;
		if (!*p)
			return true;
	}
}
