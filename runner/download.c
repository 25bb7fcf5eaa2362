#include "runner/download.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/fetch_link.h"

#define TRIES_MAX 4
#define REDIRECTS_MAX 5
#define AGAIN 1 /* of one try: another may do better */

struct transfer {
	struct download *d;
	CURL *easy;
	struct remote_url url;
	struct dial_addresses addresses;
	int fd;
	uint64_t at; /* bytes of the file so far */
	bool has_begun;
	struct err err;
	char curl_error[CURL_ERROR_SIZE];
};

bool download_host_is_listed(const char *hosts, const char *host)
{
	const size_t host_len = strlen(host);
	for (const char *at = hosts; host_len && *at;) {
		const size_t len = strcspn(at, ",");
		if (len == host_len && !strncasecmp(at, host, len))
			return true;
		at += at[len] ? len + 1 : len;
	}
	return false;
}

/* A server that begins anew does so here too. */
static int begin(struct transfer *t, long status)
{
	t->has_begun = true;
	if (status == 206 || !t->at)
		return 0;
	t->at = 0;
	return ftruncate(t->fd, 0) || lseek(t->fd, 0, SEEK_SET) ? err_errno(&t->err, errno, "cannot begin anew") : 0;
}

static size_t on_body(char *bytes, size_t one, size_t len, void *ctx)
{
	(void)one;
	struct transfer *t = ctx;
	long status = 0;
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (len > t->d->budget_bytes) {
		err_set(&t->err, ERR_LIMIT, "more comes than a plan may fetch here");
		return 0;
	}
	t->d->budget_bytes -= len;
	if (status != 200 && status != 206)
		return len; /* a page that says so */
	if ((!t->has_begun && begin(t, status)) || io_write_full(t->fd, bytes, len, &t->err))
		return 0;
	t->at += len;
	return len;
}

static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)purpose;
	struct transfer *t = ctx;
	if (remote_check_address(t->url.scheme, &address->addr, &t->d->rules, &t->err))
		return CURL_SOCKET_BAD;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* A place is judged before anybody there hears of us. */
static int judge(struct transfer *t, const char *url, struct err *err)
{
	int rc = remote_parse(url, &t->url, err);
	if (!rc && t->url.scheme != REMOTE_HTTPS && t->url.scheme != REMOTE_HTTP)
		rc = err_set(err, ERR_REFUSED, "only https and http are fetched");
	if (!rc && t->d->hosts && !download_host_is_listed(t->d->hosts, t->url.host)) {
		err_set(err, ERR_REFUSED, "the host %.200s is none that this node fetches from", t->url.host);
		return err_hint(err, "its config.yml lists them: 'fetch: [HOST]'");
	}
	if (!rc)
		rc = remote_check_scheme(t->url.scheme, &t->d->rules, err);
	return rc ? rc : dial_resolve(&t->url, &t->d->rules, &t->addresses, err);
}

static CURLcode set_options(struct transfer *t, const char *url, struct curl_slist *resolve)
{
	CURLcode e = fetch_curl_options(t->easy, t->curl_error, resolve, on_open_socket, t);
#define SET(option, value) (e = e ? e : curl_easy_setopt(t->easy, option, value))
	SET(CURLOPT_URL, url);
	SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
	SET(CURLOPT_LOW_SPEED_TIME, (long)FETCH_IDLE_MS / 1000);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_RESUME_FROM_LARGE, (curl_off_t)t->at);
	SET(CURLOPT_USERAGENT, "talkoo");
#undef SET
	return e;
}

/* What an answer means. */
static int conclude(struct transfer *t, CURLcode e, struct err *err)
{
	long status = 0;
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (t->err.code) {
		*err = t->err;
		return err->code;
	}
	if (e) {
		err_set(err, ERR_UNREACHABLE, "%s", t->curl_error[0] ? t->curl_error : curl_easy_strerror(e));
		return AGAIN;
	}
	if (status == 200 || status == 206)
		return 0;
	err_set(err, ERR_UNREACHABLE, "the server answered %ld", status);
	if (status == 404 || status == 410)
		return err_set(err, ERR_NOT_FOUND, "the server has no such file (%ld)", status);
	/* a range behind the end: what is there came from another file */
	if (status == 416)
		t->at = 0;
	return status >= 500 || status == 408 || status == 416 || status == 429 ? AGAIN : ERR_UNREACHABLE;
}

/* One request, and those that it is redirected to. 0, AGAIN or negative. */
static int try_once(struct transfer *t, const char *first, struct err *err)
{
	char url[REMOTE_URL_MAX];
	snprintf(url, sizeof url, "%s", first);
	for (int redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
		int rc = judge(t, url, err);
		if (rc)
			return rc == ERR_UNREACHABLE ? AGAIN : rc;
		struct curl_slist *resolve = t->url.host_is_ipv6 ? NULL : fetch_resolve_list(&t->url, &t->addresses);
		t->easy = curl_easy_init();
		t->has_begun = false;
		t->curl_error[0] = '\0';
		CURLcode e = CURLE_OUT_OF_MEMORY;
		if (t->easy && !set_options(t, url, resolve))
			e = curl_easy_perform(t->easy);
		const char *where = NULL;
		long status = 0;
		curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &where);
		const bool is_redirect = !e && status >= 300 && status < 400 && where && strlen(where) < sizeof url;
		if (is_redirect)
			snprintf(url, sizeof url, "%s", where);
		else
			rc = conclude(t, e, err);
		curl_easy_cleanup(t->easy);
		curl_slist_free_all(resolve);
		if (!is_redirect)
			return rc;
	}
	return err_set(err, ERR_UNREACHABLE, "the server redirects without end");
}

int download(struct download *d, const char *url, int fd, struct err *err)
{
	struct transfer t = {.d = d, .fd = fd};
	int rc = AGAIN;
	for (int i = 0; i < TRIES_MAX && rc == AGAIN; i++) {
		if (i)
			nanosleep(&(struct timespec){.tv_sec = 1 << (i - 1)}, NULL);
		rc = try_once(&t, url, err);
	}
	return rc == AGAIN ? ERR_UNREACHABLE : rc;
}
