#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "runner/remote.h"
#include "tests/unit/tap.h"

static void test_good_urls(void)
{
	static const struct {
		const char *url, *host, *path;
		enum remote_scheme scheme;
		int port;
		bool v6;
	} good[] = {
		{"https://example.org/a/b.git", "example.org", "/a/b.git", REMOTE_HTTPS, 443, false},
		{"https://Example.ORG:8443/x", "Example.ORG", "/x", REMOTE_HTTPS, 8443, false},
		{"https://example.org:443/x", "example.org", "/x", REMOTE_HTTPS, 443, false},
		{"git://127.0.0.1:9418/repo", "127.0.0.1", "/repo", REMOTE_GIT, 9418, false},
		{"git://[::1]/repo", "::1", "/repo", REMOTE_GIT, 9418, true},
		{"git://[2001:db8::1]:2000/repo", "2001:db8::1", "/repo", REMOTE_GIT, 2000, true},
		{"http://localhost:8080/r", "localhost", "/r", REMOTE_HTTP, 8080, false},
		{"https://h/~user/a%20b", "h", "/~user/a%20b", REMOTE_HTTPS, 443, false},
		{"https://h/a..b", "h", "/a..b", REMOTE_HTTPS, 443, false},
		{"file:///srv/git/a.git", "", "/srv/git/a.git", REMOTE_FILE, 0, false},
		{"https://a1.2b.example/x", "a1.2b.example", "/x", REMOTE_HTTPS, 443, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct remote_url url;
		struct err err = {0};
		const bool ok = remote_parse(good[i].url, &url, &err) == 0;
		OK(ok, "%s %s", good[i].url, err.what);
		if (!ok)
			continue;
		STREQ(url.host, good[i].host);
		STREQ(url.path, good[i].path);
		INTEQ(url.scheme, good[i].scheme);
		INTEQ(url.port, good[i].port);
		INTEQ(url.host_is_ipv6, good[i].v6);
	}
}

static void test_bad_urls(void)
{
	static const struct {
		const char *url;
		int code;
	} bad[] = {
		{"", ERR_INVALID}, {"/srv/git/x", ERR_INVALID}, {"example.org:a/b", ERR_INVALID},
		{"git@example.org:a/b", ERR_INVALID}, {"ext::sh -c id", ERR_INVALID}, {"ext::https://h/x", ERR_REFUSED},
		{"ext://h/x", ERR_REFUSED}, {"ssh://example.org/x", ERR_REFUSED}, {"ssh://-oProxyCommand=id/x", ERR_REFUSED},
		{"git+ssh://h/x", ERR_REFUSED}, {"ftp://h/x", ERR_REFUSED}, {"HTTPS://h/x", ERR_REFUSED},
		{"fd::17/x", ERR_INVALID}, {"://h/x", ERR_REFUSED}, {"gopher://h/x", ERR_REFUSED},
		{"https://", ERR_INVALID}, {"https://h", ERR_INVALID}, {"https://h/", ERR_INVALID}, {"https:///x", ERR_INVALID},
		{"https://user@h/x", ERR_INVALID}, {"https://user:pass@h/x", ERR_INVALID}, {"https://h@127.0.0.1/x", ERR_INVALID},
		{"https://h/x?y", ERR_INVALID}, {"https://h/x#y", ERR_INVALID}, {"https://h/a b", ERR_INVALID},
		{"https://h/a\nb", ERR_INVALID}, {"https://h\\@127.0.0.1/x", ERR_INVALID}, {"https://h/\xc3\xa4", ERR_INVALID},
		{"https://h/../x", ERR_INVALID}, {"https://h/a/..", ERR_INVALID}, {"https://h/a/../b", ERR_INVALID},
		{"https://-h/x", ERR_INVALID}, {"https://h-/x", ERR_INVALID}, {"https://h..x/x", ERR_INVALID},
		{"https://.h/x", ERR_INVALID}, {"https://h./x", ERR_INVALID}, {"https://h%41/x", ERR_INVALID},
		{"https://127.1/x", ERR_INVALID}, {"https://2130706433/x", ERR_INVALID}, {"https://0x7f000001/x", ERR_INVALID},
		{"https://0177.0.0.1/x", ERR_INVALID}, {"https://127.0.0.0x1/x", ERR_INVALID}, {"https://1.2.3.4.5/x", ERR_INVALID},
		{"https://256.1.1.1/x", ERR_INVALID}, {"https://[::1/x", ERR_INVALID}, {"https://[::1]x/x", ERR_INVALID},
		{"https://[fe80::1%eth0]/x", ERR_INVALID}, {"https://[h]/x", ERR_INVALID}, {"https://::1/x", ERR_INVALID},
		{"https://h:/x", ERR_INVALID}, {"https://h:0/x", ERR_INVALID}, {"https://h:22/x", ERR_INVALID},
		{"git://h:25/x", ERR_INVALID}, {"https://h:65536/x", ERR_INVALID}, {"https://h:+443/x", ERR_INVALID},
		{"https://h:0443/x", ERR_INVALID}, {"https://h:443:443/x", ERR_INVALID}, {"git://h:443/x", ERR_INVALID},
		{"file://host/x", ERR_INVALID}, {"file://localhost/x", ERR_INVALID}, {"file:/x", ERR_INVALID},
		{"file:///", ERR_INVALID}, {"file:///a/../b", ERR_INVALID},
		{"https://h/%2e%2e/x", ERR_INVALID}, {"https://h/a%2f..%2fb", ERR_INVALID}, {"git://h/a%00b", ERR_INVALID},
		{"git://h/a%0ab", ERR_INVALID}, {"git://h/a%7f", ERR_INVALID}, {"git://h/a%", ERR_INVALID}, {"git://h/a%4", ERR_INVALID},
		{"git://h/a%zz", ERR_INVALID},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct remote_url url = {.port = 7};
		struct err err = {0};
		const int code = remote_parse(bad[i].url, &url, &err);
		OK(code == bad[i].code, "'%s' gives %d (%s)", bad[i].url, code, err.what);
		OK(err.what[0] && err.hint[0] && url.port == 7, "sentence and hint, nothing returned");
	}
	struct remote_url plain;
	OK(remote_parse("file:///a%20b/%c3%a4%25", &plain, NULL) == 0, "percent signs");
	STREQ(plain.path, "/a%20b/%c3%a4%25");
	STREQ(plain.plain_path, "/a b/\xc3\xa4%");
	char url[2000] = "https://h/";
	memset(url + 10, 'a', sizeof url - 11);
	struct remote_url parsed;
	INTEQ(remote_parse(url, &parsed, NULL), ERR_INVALID);
	char host[400] = "https://";
	memset(host + 8, 'a', 300);
	strcpy(host + 308, "/x");
	INTEQ(remote_parse(host, &parsed, NULL), ERR_INVALID);
}

static enum netaddr_class class_of(const char *text)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
		return netaddr_classify((const struct sockaddr *)&in);
	if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
		return netaddr_classify((const struct sockaddr *)&in6);
	return 0;
}

static void test_classes(void)
{
	static const struct {
		const char *address;
		enum netaddr_class class;
	} known[] = {
		{"1.1.1.1", NETADDR_PUBLIC}, {"9.255.255.255", NETADDR_PUBLIC}, {"11.0.0.0", NETADDR_PUBLIC},
		{"100.63.255.255", NETADDR_PUBLIC}, {"100.128.0.0", NETADDR_PUBLIC}, {"172.15.255.255", NETADDR_PUBLIC},
		{"172.32.0.0", NETADDR_PUBLIC}, {"192.167.255.255", NETADDR_PUBLIC}, {"192.169.0.0", NETADDR_PUBLIC},
		{"223.255.255.255", NETADDR_PUBLIC}, {"128.0.0.1", NETADDR_PUBLIC}, {"169.253.0.1", NETADDR_PUBLIC},
		{"10.0.0.0", NETADDR_PRIVATE}, {"10.255.255.255", NETADDR_PRIVATE}, {"172.16.0.1", NETADDR_PRIVATE},
		{"172.31.255.255", NETADDR_PRIVATE}, {"192.168.0.0", NETADDR_PRIVATE}, {"192.168.255.255", NETADDR_PRIVATE},
		{"100.64.0.0", NETADDR_PRIVATE}, {"100.127.255.255", NETADDR_PRIVATE},
		{"127.0.0.1", NETADDR_LOOPBACK}, {"127.255.255.254", NETADDR_LOOPBACK},
		{"169.254.169.254", NETADDR_LINK_LOCAL}, {"169.254.0.0", NETADDR_LINK_LOCAL},
		{"0.0.0.0", NETADDR_SPECIAL}, {"0.1.2.3", NETADDR_SPECIAL}, {"192.0.0.8", NETADDR_SPECIAL},
		{"192.0.2.1", NETADDR_SPECIAL}, {"198.18.0.1", NETADDR_SPECIAL}, {"198.19.255.255", NETADDR_SPECIAL},
		{"198.51.100.7", NETADDR_SPECIAL}, {"203.0.113.9", NETADDR_SPECIAL}, {"240.0.0.1", NETADDR_SPECIAL},
		{"255.255.255.255", NETADDR_SPECIAL}, {"192.88.99.1", NETADDR_SPECIAL},
		{"224.0.0.1", NETADDR_MULTICAST}, {"239.255.255.255", NETADDR_MULTICAST},
		{"2606:4700::1", NETADDR_PUBLIC}, {"2a00::1", NETADDR_PUBLIC}, {"2001:4860::8888", NETADDR_PUBLIC},
		{"::1", NETADDR_LOOPBACK}, {"::", NETADDR_SPECIAL}, {"fc00::1", NETADDR_PRIVATE}, {"fdff::1", NETADDR_PRIVATE},
		{"fe80::1", NETADDR_LINK_LOCAL}, {"febf::1", NETADDR_LINK_LOCAL}, {"fec0::1", NETADDR_SPECIAL},
		{"ff02::1", NETADDR_MULTICAST}, {"2001:db8::1", NETADDR_SPECIAL}, {"2001::1", NETADDR_SPECIAL},
		{"2001:1ff::1", NETADDR_SPECIAL}, {"3fff:fff::1", NETADDR_SPECIAL}, {"3fff:1000::1", NETADDR_PUBLIC},
		{"100::1", NETADDR_SPECIAL}, {"4000::1", NETADDR_SPECIAL}, {"64:ff9b:1::1", NETADDR_SPECIAL},
		{"::ffff:127.0.0.1", NETADDR_LOOPBACK}, {"::ffff:10.0.0.1", NETADDR_PRIVATE}, {"::ffff:1.1.1.1", NETADDR_PUBLIC},
		{"::ffff:169.254.169.254", NETADDR_LINK_LOCAL}, {"::ffff:224.0.0.1", NETADDR_MULTICAST},
		{"::127.0.0.1", NETADDR_LOOPBACK}, {"::192.168.1.1", NETADDR_PRIVATE}, {"::2", NETADDR_SPECIAL},
		{"2002:7f00:1::", NETADDR_LOOPBACK}, {"2002:c0a8:101::1", NETADDR_PRIVATE}, {"2002:101:101::1", NETADDR_PUBLIC},
		{"64:ff9b::10.1.2.3", NETADDR_PRIVATE}, {"64:ff9b::8.8.8.8", NETADDR_PUBLIC},
	};
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		OK(class_of(known[i].address) == known[i].class, "%s is %s, want %s", known[i].address,
		   netaddr_class_name(class_of(known[i].address)), netaddr_class_name(known[i].class));
	const struct sockaddr other = {.sa_family = AF_UNIX};
	INTEQ(netaddr_classify(&other), NETADDR_SPECIAL);
}

static int check(enum remote_scheme scheme, const char *text, bool loopback, bool private, struct err *err)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	inet_pton(AF_INET, text, &in.sin_addr);
	const struct remote_rules rules = {.allow_loopback = loopback, .allow_private = private};
	const int e = remote_check_scheme(scheme, &rules, err);
	return e ? e : remote_check_address(scheme, (const struct sockaddr *)&in, &rules, err);
}

static void test_rules(void)
{
	static const struct {
		enum remote_scheme scheme;
		const char *address;
		bool loopback, private, allowed;
	} cases[] = {
		{REMOTE_HTTPS, "1.1.1.1", false, false, true}, {REMOTE_GIT, "1.1.1.1", false, false, true},
		{REMOTE_HTTP, "1.1.1.1", false, false, false}, {REMOTE_HTTP, "1.1.1.1", true, true, false},
		{REMOTE_GIT, "127.0.0.1", false, false, false}, {REMOTE_GIT, "127.0.0.1", true, false, true},
		{REMOTE_GIT, "127.0.0.1", false, true, false}, {REMOTE_HTTP, "127.0.0.1", true, false, true},
		{REMOTE_HTTPS, "10.0.0.1", false, false, false}, {REMOTE_HTTPS, "10.0.0.1", true, false, false},
		{REMOTE_HTTPS, "10.0.0.1", false, true, true}, {REMOTE_HTTP, "10.0.0.1", false, true, true},
		{REMOTE_GIT, "169.254.169.254", true, true, false}, {REMOTE_GIT, "224.0.0.1", true, true, false},
		{REMOTE_GIT, "0.0.0.0", true, true, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = {0};
		const int e = check(cases[i].scheme, cases[i].address, cases[i].loopback, cases[i].private, &err);
		OK((e == 0) == cases[i].allowed && (e == 0 || (e == ERR_REFUSED && err.hint[0])), "%s to %s (%d%d): %d %s",
		   remote_scheme_name(cases[i].scheme), cases[i].address, cases[i].loopback, cases[i].private, e, err.what);
	}
	const struct remote_rules none = {0}, file = {.allow_file = true};
	INTEQ(remote_check_scheme(REMOTE_FILE, &none, NULL), ERR_REFUSED);
	INTEQ(remote_check_scheme(REMOTE_FILE, &file, NULL), 0);
	INTEQ(remote_check_scheme(REMOTE_HTTPS, &none, NULL), 0);
}

static void test_same_place(void)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{"https://h/x", "https://H/y.git", true}, {"https://h/x", "https://h:443/x", true},
		{"https://h/x", "http://h/x", false}, {"https://h/x", "https://h:8443/x", false},
		{"https://h/x", "https://g/x", false}, {"http://h:8080/x", "http://h:8081/x", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct remote_url a, b;
		OK(remote_parse(cases[i].a, &a, NULL) == 0 && remote_parse(cases[i].b, &b, NULL) == 0 &&
			   remote_same_place(&a, &b) == cases[i].same,
		   "%s and %s", cases[i].a, cases[i].b);
	}
}

int main(void)
{
	test_good_urls();
	test_bad_urls();
	test_classes();
	test_rules();
	test_same_place();
	return tap_done();
}
