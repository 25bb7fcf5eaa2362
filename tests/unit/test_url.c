#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/url.h"
#include "tests/unit/tap.h"

static void test_normal_forms(void)
{
	static const struct { const char *text, *want; } cases[] = {
		{"https://example.org/a/b", "https://example.org/a/b"},
		{"HTTPS://Example.ORG/A/b.git", "https://example.org/A/b.git"},
		{"https://example.org:443/a", "https://example.org/a"},
		{"https://example.org:8443/a", "https://example.org:8443/a"},
		{"git://example.org:9418/a", "git://example.org/a"},
		{"http://127.0.0.1:80/a", "http://127.0.0.1/a"},
		{"https://example.org/a/", "https://example.org/a"},
		{"https://example.org//a///b//", "https://example.org/a/b"},
		{"https://[2001:DB8:0::1]:443/a", "https://[2001:db8::1]/a"},
		{"git://[::1]:9000/a", "git://[::1]:9000/a"},
		/* PROTOCOL 2.4: where the last 32 bits stand as an IPv4 address */
		{"git://[::0102:0304]/a", "git://[::1.2.3.4]/a"},
		{"git://[0:0:0:0:0:0:1:0]/a", "git://[::0.1.0.0]/a"},
		{"git://[::ffff:a00:1]/a", "git://[::ffff:10.0.0.1]/a"},
		{"git://[::ffff:0:0]/a", "git://[::ffff:0.0.0.0]/a"},
		{"git://[64:ff9b::1.2.3.4]/a", "git://[64:ff9b::102:304]/a"},
		{"git://[1:0:0:2:0:0:0:3]/a", "git://[1:0:0:2::3]/a"},
		{"git://[1:0:2:3:4:5:6:7]/a", "git://[1:0:2:3:4:5:6:7]/a"},
		{"https://example.org/%7euser/a", "https://example.org/~user/a"},
		{"https://example.org/a%20b%c3%a4", "https://example.org/a%20b%C3%A4"},
		{"https://example.org/a%2b", "https://example.org/a%2B"},
		{"https://example.org/a+b,c=d;e@f:g", "https://example.org/a+b,c=d;e@f:g"},
		{"file:///srv/git/a.git", "file:///srv/git/a.git"},
		{"file://localhost/srv/a/", "file:///srv/a"},
		{"https://example.org/...", "https://example.org/..."},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char out[URL_TEXT_MAX] = "?", again[URL_TEXT_MAX] = "?";
		struct err err = {0};
		INTEQ(url_normalise(cases[i].text, out, &err), 0);
		STREQ(out, cases[i].want);
		OK(!url_normalise(out, again, NULL) && !strcmp(out, again), "its own output stays");
	}
}

static void test_refused(void)
{
	static const char *const cases[] = {
		"", "example.org/a", "/srv/git/a", "ssh://example.org/a", "git@example.org:a/b", "git+https://example.org/a", "ext::sh -c x",
		"https:/example.org/a", "https:///a", "https://example.org", "https://example.org/", "https://example.org//", "file:///", "file://",
		"https://user@example.org/a", "https://user:secret@example.org/a", "https://@example.org/a",
		"https://example.org/a?x=1", "https://example.org/a#x", "https://example.org?a", "https://example.org#/a",
		"https://example.org:/a", "https://example.org:0/a", "https://example.org:65536/a", "https://example.org:44 3/a",
		"https://example.org:+443/a", "https://exa mple.org/a", "https://example..org/a", "https://example.org./a", "https://-x/a",
		"https://ex%61mple.org/a", "https://\xc3\xbc.example/a", "https://[::1/a", "https://[::g]/a", "https://::1/a",
		"https://example.org/../a", "https://example.org/a/./b", "https://example.org/a/..", "https://example.org/%2e%2E/a",
		"https://example.org/a%", "https://example.org/a%2", "https://example.org/a%zz", "https://example.org/a%00", "https://example.org/a%0a",
		"https://example.org/a%2fb", "https://example.org/a%5c", "https://example.org/a b", "https://example.org/a\nb", "https://example.org/a\\b",
		"https://example.org/a\"b", "https://example.org/<a>", "https://example.org/\xc3\xa4", "https://example.org/a|b", "https://example.org/a\x7f",
		"file://example.org/a", "file://127.0.0.1/a", "file:a", "\x20https://example.org/a", "https://example.org/a ", "javascript://x/y",
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char out[URL_TEXT_MAX] = "?";
		struct err err = {0};
		OK(url_normalise(cases[i], out, &err) == ERR_INVALID && !strcmp(out, "?") && err.hint[0], "refused: %s", cases[i]);
	}
	char text[2 * URL_TEXT_MAX] = "https://example.org/", out[URL_TEXT_MAX];
	memset(text + 20, 'a', URL_TEXT_MAX - 21);
	INTEQ(url_normalise(text, out, NULL), 0);
	text[URL_TEXT_MAX - 1] = 'a';
	INTEQ(url_normalise(text, out, NULL), ERR_INVALID);
	memset(text + 20, '/', 900);
	memcpy(text + 900, "a", 2);
	INTEQ(url_normalise(text, out, NULL), 0);
	STREQ(out, "https://example.org/a");
}

static void test_refs(void)
{
	static const char *const good[] = {"refs/heads/main", "refs/tags/v1.0", "refs/heads/a/b-c_d", "refs/heads/\xc3\xa4", "refs/pull/1/head",
					   "refs/heads/@", "refs/heads/a.b", "refs/heads/lock", "refs/heads/x.lockx"};
	static const char *const bad[] = {"", "main", "HEAD", "refs/", "refs/heads/", "/refs/heads/a", "refs//heads", "refs/heads/a..b", "refs/heads/.a",
					  "refs/heads/a.", "refs/heads/a.lock", "refs/heads/a.lock/b", "refs/heads/a b", "refs/heads/a~1", "refs/heads/a^",
					  "refs/heads/a:b", "refs/heads/a?", "refs/heads/*", "refs/heads/[a", "refs/heads/a\\b", "refs/heads/@{u}",
					  "refs/heads/a\n", "refs/heads/a\x7f", "refs/heads/\xff", "heads/main", "refs/heads/a/"};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		OK(ref_name_is_valid(good[i]), "taken: %s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		OK(!ref_name_is_valid(bad[i]), "refused: %s", bad[i]);
	char text[300] = "refs/";
	memset(text + 5, 'a', 250);
	OK(ref_name_is_valid(text), "255 bytes");
	text[255] = 'a';
	OK(!ref_name_is_valid(text), "256 bytes");
}

int main(void)
{
	test_normal_forms();
	test_refused();
	test_refs();
	return tap_done();
}
