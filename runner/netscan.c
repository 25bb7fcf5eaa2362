#include "runner/netscan.h"

#include <string.h>

#include "proto/base/cleanup.h"

static const char *const phrases[] = {
	"ould not resolve host",                 /* curl, git, cargo */
	"Temporary failure in name resolution",  /* glibc */
	"Temporary failure resolving",           /* apt */
	"Name or service not known",             /* glibc */
	"Name does not resolve",                 /* musl */
	"failed to lookup address information",  /* Rust's standard library */
	"Network is unreachable",
	"getaddrinfo EAI_AGAIN",                 /* Node */
	"getaddrinfo ENOTFOUND",
	"no such host",                          /* Go */
	"wget: bad address",                     /* busybox */
	"unable to resolve host address",        /* wget */
	"Could not resolve proxy",
};

static bool has_phrase(const char *bytes, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(phrases); i++)
		if (memmem(bytes, len, phrases[i], strlen(phrases[i])))
			return true;
	return false;
}

bool netscan_feed(struct netscan *s, const void *bytes, size_t len)
{
	if (s->is_found || !len)
		return false;
	char joint[2 * NETSCAN_WORDS_MAX];
	const size_t head = len < NETSCAN_WORDS_MAX ? len : NETSCAN_WORDS_MAX;
	memcpy(joint, s->tail, s->tail_len);
	memcpy(joint + s->tail_len, bytes, head);
	const size_t joined = s->tail_len + head;
	s->is_found = has_phrase(joint, joined) || has_phrase(bytes, len);
	/* the last bytes of all that came */
	const char *end = len >= NETSCAN_WORDS_MAX ? (const char *)bytes + len : joint + joined;
	const size_t kept = joined < NETSCAN_WORDS_MAX ? joined : NETSCAN_WORDS_MAX;
	memcpy(s->tail, end - kept, kept);
	s->tail_len = kept;
	return s->is_found;
}
