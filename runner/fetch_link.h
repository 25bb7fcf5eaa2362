/* What the fetch stage and its two transports share: where to, what is allowed, how much came, what went wrong.
 *
 * The connections are ours, not libgit2's: so the address that was judged is the one connected to, silence ends in a
 * sentence instead of a hang, every byte counts (the list of refs too), and a redirect leads nowhere else. libgit2 speaks
 * the git protocol through them. */
#ifndef TALKOO_RUNNER_FETCH_LINK_H
#define TALKOO_RUNNER_FETCH_LINK_H

#include <curl/curl.h>
#include <git2.h>
#if __has_include(<git2/sys/errors.h>) /* libgit2 from 1.8 on has git_error_set_str() there */
#include <git2/sys/errors.h>
#endif
#include <git2/sys/transport.h>

#include "runner/dial.h"
#include "runner/remote.h"

#define FETCH_CONNECT_MS 10000
#define FETCH_IDLE_MS 30000 /* longest silence of a remote */

struct fetch_link {
	struct remote_url url;
	struct remote_rules rules;
	struct dial_addresses addresses;
	uint64_t max_bytes, received_bytes;
	uint32_t idle_ms;
	struct err err; /* the first failure, in our words; libgit2's own are worse */
};

/* Counts received bytes; ERR_LIMIT into link->err past the ceiling. */
int fetch_link_count(struct fetch_link *link, size_t len) MUST_CHECK;
/* Keeps the first failure in link->err and tells libgit2 too. Returns -1, as its callbacks must. */
int fetch_link_fail(struct fetch_link *link, const struct err *err);

/* "HOST:PORT:ADDRESS,ADDRESS" for CURLOPT_RESOLVE, so that curl asks no resolver; NULL without memory. The caller's to free. */
struct curl_slist *fetch_resolve_list(const struct remote_url *url, const struct dial_addresses *addresses);

/* What every transfer of ours has in common: HTTP alone, no redirect, proxy, netrc or signal, errors as text
 * (CURL_ERROR_SIZE bytes, which must live as long as easy), the judged addresses (resolve, NULL: none), each socket
 * judged once more by open_socket. */
CURLcode fetch_curl_options(CURL *easy, char *error_text, struct curl_slist *resolve, curl_opensocket_callback open_socket,
			    void *user) MUST_CHECK;

/* git_transport_cb; param is the struct fetch_link, which outlives the transport. */
int transport_git_new(git_transport **ret, git_remote *owner, void *link);
int transport_http_new(git_transport **ret, git_remote *owner, void *link);

#endif
