/* git over HTTP (gitprotocol-http(5), smart, version 0) by libcurl, for fetch_link.h.
 *
 * curl gets the addresses that were judged, each socket's address is judged once more when it is opened, and nothing of
 * the environment (proxy, netrc, cookies) counts. A redirect is followed only for the list of refs, and only within
 * the same scheme, host and port. */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/buf.h"
#include "proto/base/cleanup.h"
#include "runner/fetch_link.h"

#define REQUEST_MAX (16u << 20) /* wants and haves */
#define HELD_MAX (1u << 20)     /* received, not yet read: then curl pauses */
#define REDIRECTS_MAX 3
#define REFS_QUERY "/info/refs?service=git-upload-pack"

struct http_link {
	git_smart_subtransport base; /* first: libgit2 hands this pointer back */
	struct fetch_link *link;
	char path[REMOTE_URL_MAX]; /* of the repository, without a slash at its end; a redirect may change it */
	CURLM *multi;
};

struct http_stream {
	git_smart_subtransport_stream base; /* first */
	struct http_link *owner;
	bool is_refs; /* GET of the list of refs, else POST */
	bool started, ended, paused, checked;
	unsigned redirects;
	CURL *easy;
	struct curl_slist *headers, *resolve;
	struct buf request, held;
	uint64_t last_ms; /* when something came or went last */
	char curl_error[CURL_ERROR_SIZE];
};

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int fail(struct fetch_link *link, int code, const char *hint, const char *what)
{
	struct err err = {0};
	err_set(&err, code, "%s", what);
	if (hint)
		err_hint(&err, "%s", hint);
	return fetch_link_fail(link, &err);
}

/* The answer's status and type, before its first byte is believed. 0 or -1. */
static int check_answer(struct http_stream *s)
{
	struct fetch_link *link = s->owner->link;
	const char *want = s->is_refs ? "application/x-git-upload-pack-advertisement" : "application/x-git-upload-pack-result";
	long status = 0;
	const char *type = NULL;
	curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(s->easy, CURLINFO_CONTENT_TYPE, &type);
	char text[64];
	snprintf(text, sizeof text, "the server answered %ld", status);
	if (status == 401 || status == 403)
		return fail(link, ERR_UNREACHABLE, "no passwords are ever sent: the repository must be readable by everybody", text);
	if (status == 404)
		return fail(link, ERR_UNREACHABLE, "there is no repository at that path", text);
	if (status != 200)
		return fail(link, ERR_UNREACHABLE, NULL, text);
	if (!type || strcmp(type, want) != 0)
		return fail(link, ERR_UNREACHABLE, "the URL must be a git repository's, served by git's smart protocol",
			    "the server's answer is not git's");
	return 0;
}

static size_t on_body(char *bytes, size_t one, size_t len, void *ctx)
{
	(void)one;
	struct http_stream *s = ctx;
	long status = 0;
	curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
	s->last_ms = now_ms();
	if (status >= 300 && status < 400)
		return fetch_link_count(s->owner->link, len) ? 0 : len; /* a redirect's page */
	if (!s->checked && check_answer(s))
		return 0;
	s->checked = true;
	if (s->held.len + len > HELD_MAX) {
		s->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	buf_append(&s->held, bytes, len);
	return buf_failed(&s->held) || fetch_link_count(s->owner->link, len) ? 0 : len;
}

static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)purpose;
	struct fetch_link *link = ctx;
	struct err err = {0};
	if (remote_check_address(link->url.scheme, &address->addr, &link->rules, &err)) {
		fetch_link_fail(link, &err);
		return CURL_SOCKET_BAD;
	}
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

CURLcode fetch_curl_options(CURL *easy, char *error_text, struct curl_slist *resolve, curl_opensocket_callback open_socket,
			    void *user)
{
	CURLcode e = CURLE_OK;
#define SET(option, value) (e = e ? e : curl_easy_setopt(easy, option, value))
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_ERRORBUFFER, error_text);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
#if LIBCURL_VERSION_NUM >= 0x075500
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
	SET(CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)FETCH_CONNECT_MS);
	SET(CURLOPT_RESOLVE, resolve);
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(CURLOPT_OPENSOCKETDATA, user);
#undef SET
	return e;
}

struct curl_slist *fetch_resolve_list(const struct remote_url *url, const struct dial_addresses *addresses)
{
	CLEANUP(buf_release) struct buf line;
	buf_init(&line, 4096);
	buf_printf(&line, "%s:%u:", url->host, url->port);
	for (size_t i = 0; i < addresses->count; i++) {
		const struct dial_address *a = &addresses->list[i];
		char text[DIAL_TEXT_MAX];
		dial_text(text, (const struct sockaddr *)&a->address);
		buf_printf(&line, a->address.ss_family == AF_INET6 ? "%s[%s]" : "%s%s", i ? "," : "", text);
	}
	return buf_failed(&line) ? NULL : curl_slist_append(NULL, buf_cstr(&line));
}

static int set_common(struct http_stream *s)
{
	struct fetch_link *link = s->owner->link;
	CURL *c = s->easy;
	if (!link->url.host_is_ipv6 && !(s->resolve = fetch_resolve_list(&link->url, &link->addresses)))
		return -1;
	CURLcode e = fetch_curl_options(c, s->curl_error, s->resolve, on_open_socket, link);
#define SET(option, value) (e = e ? e : curl_easy_setopt(c, option, value))
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, s);
	SET(CURLOPT_USERAGENT, "git/2 (talkoo)"); /* some forges serve the protocol only to what calls itself git */
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
#undef SET
	return e ? -1 : 0;
}

static int set_url(struct http_stream *s)
{
	const struct remote_url *u = &s->owner->link->url;
	char url[2 * REMOTE_URL_MAX + 64];
	snprintf(url, sizeof url, u->host_is_ipv6 ? "%s://[%s]:%u%s%s" : "%s://%s:%u%s%s", remote_scheme_name(u->scheme), u->host,
		 u->port, s->owner->path, s->is_refs ? REFS_QUERY : "/git-upload-pack");
	return curl_easy_setopt(s->easy, CURLOPT_URL, url) ? -1 : 0;
}

static int set_post(struct http_stream *s)
{
	static const char *const lines[] = {"Content-Type: application/x-git-upload-pack-request",
					    "Accept: application/x-git-upload-pack-result", "Expect:"};
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct curl_slist *more = curl_slist_append(s->headers, lines[i]);
		if (!more)
			return -1;
		s->headers = more;
	}
	return curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, s->headers) ||
			       curl_easy_setopt(s->easy, CURLOPT_POST, 1L) ||
			       curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)s->request.len) ||
			       curl_easy_setopt(s->easy, CURLOPT_POSTFIELDS, buf_cstr(&s->request))
		       ? -1
		       : 0;
}

static int start(struct http_stream *s)
{
	struct fetch_link *link = s->owner->link;
	s->easy = curl_easy_init();
	if (!s->easy || set_common(s) || set_url(s) || (!s->is_refs && set_post(s)) ||
	    curl_multi_add_handle(s->owner->multi, s->easy))
		return fail(link, ERR_NOMEM, NULL, "libcurl does not start");
	s->started = true;
	s->last_ms = now_ms();
	return 0;
}

/* Takes a redirect of the list of refs, if it leads to the same place. 0 when the stream is to be started anew. */
static int follow(struct http_stream *s)
{
	struct fetch_link *link = s->owner->link;
	const char *where = NULL;
	curl_easy_getinfo(s->easy, CURLINFO_REDIRECT_URL, &where);
	char base[REMOTE_URL_MAX + sizeof REFS_QUERY];
	snprintf(base, sizeof base, "%s", where ? where : "");
	char text[REMOTE_URL_MAX / 2];
	snprintf(text, sizeof text, "the server redirects to %.300s", base);
	const size_t len = strlen(base), tail = sizeof REFS_QUERY - 1;
	struct remote_url to;
	const bool has_tail = len > tail && !strcmp(base + len - tail, REFS_QUERY);
	if (has_tail)
		base[len - tail] = 0;
	if (!s->is_refs || !has_tail || remote_parse(base, &to, NULL) || !remote_same_place(&link->url, &to))
		return fail(link, ERR_REFUSED, "redirects to another place are not followed: announce that URL itself", text);
	if (++s->redirects > REDIRECTS_MAX)
		return fail(link, ERR_UNREACHABLE, NULL, "the server redirects without end");
	snprintf(s->owner->path, sizeof s->owner->path, "%s", to.path);
	curl_multi_remove_handle(s->owner->multi, s->easy);
	if (set_url(s) || curl_multi_add_handle(s->owner->multi, s->easy))
		return fail(link, ERR_NOMEM, NULL, "libcurl does not start");
	return 0;
}

/* The transfer is over: well, or not. */
static int on_transfer_end(struct http_stream *s, CURLcode result)
{
	struct fetch_link *link = s->owner->link;
	long status = 0;
	curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
	if (result == CURLE_OK && status >= 300 && status < 400)
		return follow(s);
	s->ended = true;
	if (result == CURLE_OK)
		return s->checked ? 0 : check_answer(s);
	return fail(link, ERR_UNREACHABLE, NULL, s->curl_error[0] ? s->curl_error : curl_easy_strerror(result));
}

/* One turn of the crank. */
static int turn(struct http_stream *s)
{
	struct fetch_link *link = s->owner->link;
	int running, left;
	if (curl_multi_perform(s->owner->multi, &running))
		return fail(link, ERR_UNREACHABLE, NULL, "libcurl failed");
	const CURLMsg *msg = curl_multi_info_read(s->owner->multi, &left);
	if (msg && msg->msg == CURLMSG_DONE)
		return on_transfer_end(s, msg->data.result);
	if (s->held.len)
		return 0;
	if (curl_multi_poll(s->owner->multi, NULL, 0, 500, NULL))
		return fail(link, ERR_UNREACHABLE, NULL, "libcurl failed");
	if (now_ms() - s->last_ms <= link->idle_ms)
		return 0;
	char text[64];
	snprintf(text, sizeof text, "the remote was silent for %u s", link->idle_ms / 1000);
	return fail(link, ERR_TIMEOUT, NULL, text);
}

static int on_stream_read(git_smart_subtransport_stream *stream, char *buffer, size_t size, size_t *ret_len)
{
	struct http_stream *s = (struct http_stream *)stream;
	if (!s->started && start(s))
		return -1;
	while (!s->held.len && !s->ended) {
		if (s->paused) {
			s->paused = false;
			curl_easy_pause(s->easy, CURLPAUSE_CONT);
		}
		if (!s->held.len && turn(s))
			return -1;
	}
	const size_t n = s->held.len < size ? s->held.len : size;
	if (n)
		memcpy(buffer, s->held.data, n);
	buf_consume(&s->held, n);
	*ret_len = n;
	return 0;
}

static int on_stream_write(git_smart_subtransport_stream *stream, const char *bytes, size_t len)
{
	struct http_stream *s = (struct http_stream *)stream;
	buf_append(&s->request, bytes, len);
	return s->started || s->is_refs || buf_failed(&s->request) ? -1 : 0;
}

static void on_stream_free(git_smart_subtransport_stream *stream)
{
	struct http_stream *s = (struct http_stream *)stream;
	if (!s)
		return;
	if (s->started)
		curl_multi_remove_handle(s->owner->multi, s->easy);
	curl_easy_cleanup(s->easy);
	curl_slist_free_all(s->headers);
	curl_slist_free_all(s->resolve);
	buf_release(&s->request);
	buf_release(&s->held);
	free(s);
}

static int on_action(git_smart_subtransport_stream **ret, git_smart_subtransport *transport, const char *url,
		     git_smart_service_t action)
{
	(void)url;
	if (action != GIT_SERVICE_UPLOADPACK_LS && action != GIT_SERVICE_UPLOADPACK)
		return -1;
	struct http_stream *s = calloc(1, sizeof *s);
	if (!s)
		return -1;
	s->base = (git_smart_subtransport_stream){.subtransport = transport, .read = on_stream_read, .write = on_stream_write,
						  .free = on_stream_free};
	s->owner = (struct http_link *)transport;
	s->is_refs = action == GIT_SERVICE_UPLOADPACK_LS;
	buf_init(&s->request, REQUEST_MAX);
	buf_init(&s->held, HELD_MAX);
	*ret = &s->base;
	return 0;
}

static int on_close(git_smart_subtransport *transport)
{
	(void)transport; /* streams are libgit2's to free */
	return 0;
}

static void on_free(git_smart_subtransport *transport)
{
	struct http_link *h = (struct http_link *)transport;
	if (!h)
		return;
	curl_multi_cleanup(h->multi);
	free(h);
}

static int new_subtransport(git_smart_subtransport **ret, git_transport *owner, void *param)
{
	(void)owner;
	struct fetch_link *link = param;
	struct http_link *h = calloc(1, sizeof *h);
	if (!h)
		return -1;
	h->base = (git_smart_subtransport){.action = on_action, .close = on_close, .free = on_free};
	h->link = link;
	snprintf(h->path, sizeof h->path, "%s", link->url.path);
	for (size_t len = strlen(h->path); len && h->path[len - 1] == '/';)
		h->path[--len] = 0;
	h->multi = curl_multi_init();
	if (!h->multi) {
		free(h);
		return -1;
	}
	*ret = &h->base;
	return 0;
}

int transport_http_new(git_transport **ret, git_remote *owner, void *link)
{
	git_smart_subtransport_definition definition = {.callback = new_subtransport, .rpc = 1, .param = link};
	return git_transport_smart(ret, owner, &definition);
}
