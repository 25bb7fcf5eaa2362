/* What a step's output says of a network that is not there, in one piece or in many. */
#include <string.h>

#include "proto/base/cleanup.h"
#include "runner/netscan.h"
#include "tests/unit/tap.h"

/* as the tools say it */
static const char *const wanted[] = {
	"curl: (6) Could not resolve host: example.org\n",
	"fatal: unable to access 'https://example.org/x.git/': Could not resolve host: example.org\n",
	"ssh: Could not resolve hostname example.org: Temporary failure in name resolution\n",
	"Err:1 http://deb.example.org stable InRelease\n  Temporary failure resolving 'deb.example.org'\n",
	"wget: bad address 'example.org'\n",
	"wget: unable to resolve host address 'example.org'\n",
	"dial tcp: lookup proxy.example.org: no such host\n",
	"npm ERR! request to https://example.org/x failed, reason: getaddrinfo EAI_AGAIN example.org\n",
	"socket.gaierror: [Errno -2] Name or service not known\n",
	"dns error: failed to lookup address information: Name does not resolve\n",
	"connect: Network is unreachable\n",
};
static const char *const other[] = {"", "host", "all tests passed\n", "could not open host key\n", "network\nis unreachable\n", "no such file\n"};

static bool feed(const char *text, size_t piece)
{
	struct netscan s = {0};
	bool is_found = false;
	for (size_t at = 0, len = strlen(text); at < len; at += piece) {
		const bool now = netscan_feed(&s, text + at, len - at < piece ? len - at : piece);
		if (now && is_found)
			return false; /* said twice */
		is_found = is_found || now;
	}
	return is_found;
}

int main(void)
{
	static const size_t pieces[] = {1, 2, 7, 47, 48, 49, 1000};
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		for (size_t k = 0; k < ARRAY_LEN(pieces); k++)
			OK(feed(wanted[i], pieces[k]), "%zu at a time: %s", pieces[k], wanted[i]);
	for (size_t i = 0; i < ARRAY_LEN(other); i++)
		for (size_t k = 0; k < ARRAY_LEN(pieces); k++)
			OK(!feed(other[i], pieces[k]), "%zu at a time, not: %s", pieces[k], other[i]);
	return tap_done();
}
