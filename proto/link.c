/* Addresses and links of ids.h: the texts that people exchange. */
#include <string.h>

#include "proto/base/hex.h"
#include "proto/base/utf8.h"
#include "proto/host.h"
#include "proto/ids.h"

static const char link_scheme[] = "talkoo:";

int node_addr_parse(const char *text, struct node_addr *ret, struct err *err)
{
	struct node_addr addr = {0};
	char id[NODE_ID_TEXT_MAX];
	const char *at = strchr(text, '@');
	if (!at || (size_t)(at - text) >= sizeof id) {
		err_set(err, ERR_INVALID, "\"%.80s\" is no node address", text);
		err_hint(err, "an address reads z6Mk...@host:port (port %d when left out)", PORT_DEFAULT);
		return ERR_INVALID;
	}
	memcpy(id, text, (size_t)(at - text));
	id[at - text] = 0;
	const int r = node_id_parse(id, &addr.id, err);
	if (r)
		return r;
	struct host_port place;
	if (!host_port_parse(at + 1, strlen(at + 1), PORT_DEFAULT, &place)) {
		err_set(err, ERR_INVALID, "\"%.80s\" is no host and port", at + 1);
		err_hint(err, "host, host:port, or [IPv6]:port with a port of 1 to 65535");
		return ERR_INVALID;
	}
	memcpy(addr.host, place.host, sizeof addr.host);
	addr.port = place.port;
	*ret = addr;
	return 0;
}

char *node_addr_format(char *out, const struct node_addr *addr)
{
	char id[NODE_ID_TEXT_MAX];
	node_id_format(id, &addr->id);
	const bool bracketed = host_is_ipv6(addr->host);
	snprintf(out, ADDR_TEXT_MAX, "%s@%s%s%s:%u", id + 8, bracketed ? "[" : "", addr->host, bracketed ? "]" : "",
		 (unsigned)addr->port);
	return out;
}

/* Percent-decodes text[0..len) into out; valid UTF-8 without control characters, or false. */
static bool percent_decode(const char *text, size_t len, char *out, size_t size)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)text[i];
		if (byte == '%') {
			if (len - i < 3)
				return false;
			const char digits[3] = {text[i + 1], text[i + 2], 0};
			if (!hex_decode(&byte, 1, digits))
				return false;
			i += 2;
		}
		if (byte < 0x20 || byte == 0x7f || n + 1 >= size)
			return false;
		out[n++] = (char)byte;
	}
	out[n] = 0;
	return utf8_is_valid((const uint8_t *)out, n);
}

static bool param_is(const char *text, size_t len, const char *name)
{
	return len == strlen(name) && !memcmp(text, name, len);
}

static int link_param(const char *text, size_t len, struct project_link *link, struct err *err)
{
	const char *equals = memchr(text, '=', len);
	const size_t name_len = equals ? (size_t)(equals - text) : len;
	const char *value = equals ? equals + 1 : text + len;
	const size_t value_len = (size_t)(text + len - value);
	if (param_is(text, name_len, "name")) {
		if (link->name[0] || !percent_decode(value, value_len, link->name, sizeof link->name))
			return err_set(err, ERR_INVALID, "link: name is given twice, longer than 63 bytes, or no printable text");
		return 0;
	}
	if (!param_is(text, name_len, "seed"))
		return 0;
	char addr[ADDR_TEXT_MAX];
	if (link->seeds_len == LINK_SEEDS_MAX)
		return err_set(err, ERR_LIMIT, "link: more than %d seeds", LINK_SEEDS_MAX);
	if (!percent_decode(value, value_len, addr, sizeof addr))
		return err_set(err, ERR_INVALID, "link: the seed is no address");
	return node_addr_parse(addr, &link->seeds[link->seeds_len++], err);
}

int project_link_parse(const char *text, struct project_link *ret, struct err *err)
{
	struct project_link link = {0};
	char id[ID32_TEXT_MAX];
	const size_t len = strnlen(text, LINK_TEXT_MAX);
	if (len == LINK_TEXT_MAX)
		return err_set(err, ERR_LIMIT, "link: longer than %d characters", LINK_TEXT_MAX - 1);
	const size_t head = sizeof link_scheme - 1 + 64;
	if (strncmp(text, link_scheme, sizeof link_scheme - 1) || len < head || (text[head] && text[head] != '?')) {
		err_set(err, ERR_INVALID, "\"%.100s\" is no project link", text);
		err_hint(err, "a link reads talkoo:PROJECTID?seed=z6Mk...@host:port&name=NAME, PROJECTID of 64 hexadecimal digits");
		return ERR_INVALID;
	}
	memcpy(id, text + sizeof link_scheme - 1, 64);
	id[64] = 0;
	int r = id32_parse(id, &link.project, err);
	const char *p = text[head] ? text + head + 1 : text + head;
	while (!r && *p) {
		const size_t n = strcspn(p, "&");
		r = link_param(p, n, &link, err);
		p += n + (p[n] == '&');
	}
	if (!r)
		*ret = link;
	return r;
}

static size_t percent_encode(const char *text, char *out)
{
	size_t n = 0;
	for (const char *p = text; *p; p++) {
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", *p))
			out[n++] = *p;
		else
			n += (size_t)sprintf(out + n, "%%%02X", (unsigned)(uint8_t)*p);
	}
	out[n] = 0;
	return n;
}

int project_link_format(const struct project_link *link, char *out, size_t size, struct err *err)
{
	char text[LINK_SEEDS_MAX * (ADDR_TEXT_MAX + 6) + 3 * sizeof link->name + 96];
	char id[ID32_TEXT_MAX], addr[ADDR_TEXT_MAX], name[3 * sizeof link->name];
	size_t n = (size_t)sprintf(text, "%s%s", link_scheme, id32_format(id, &link->project));
	char mark = '?';
	for (size_t i = 0; i < link->seeds_len && i < LINK_SEEDS_MAX; i++, mark = '&')
		n += (size_t)sprintf(text + n, "%cseed=%s", mark, node_addr_format(addr, &link->seeds[i]));
	if (link->name[0] && percent_encode(link->name, name))
		n += (size_t)sprintf(text + n, "%cname=%s", mark, name);
	if (n >= size || n >= LINK_TEXT_MAX)
		return err_set(err, ERR_LIMIT, "link: %zu characters, at most %zu fit", n,
			       size < LINK_TEXT_MAX ? size - 1 : (size_t)LINK_TEXT_MAX - 1);
	memcpy(out, text, n + 1);
	return 0;
}
