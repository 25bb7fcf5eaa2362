/* git:// over a connection of our own (fetch_link.h). Protocol: gitprotocol-pack(5), "Git Transport", version 0. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "runner/fetch_link.h"

struct git_link {
	git_smart_subtransport base; /* first: libgit2 hands this pointer back */
	struct fetch_link *link;
	struct git_stream *stream; /* the open one */
};

struct git_stream {
	git_smart_subtransport_stream base; /* first */
	struct git_link *owner;
	int fd;
};

static int silent(struct fetch_link *link)
{
	struct err err = {0};
	err_set(&err, ERR_TIMEOUT, "the remote was silent for %u s", link->idle_ms / 1000);
	return fetch_link_fail(link, &err);
}

static int io_failed(struct fetch_link *link)
{
	struct err err = {0};
	err_set(&err, ERR_UNREACHABLE, "the connection broke: %s", strerror(errno));
	return fetch_link_fail(link, &err);
}

/* 0 when fd is ready. */
static int wait_for(struct fetch_link *link, int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	int n;
	do
		n = poll(&p, 1, (int)link->idle_ms);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return io_failed(link);
	return n == 0 ? silent(link) : 0;
}

static int send_all(struct git_stream *s, const char *bytes, size_t len)
{
	struct fetch_link *link = s->owner->link;
	while (len) {
		const ssize_t n = send(s->fd, bytes, len, MSG_NOSIGNAL);
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return io_failed(link);
		if (wait_for(link, s->fd, POLLOUT))
			return -1;
	}
	return 0;
}

static int on_stream_read(git_smart_subtransport_stream *stream, char *buffer, size_t size, size_t *ret_len)
{
	struct git_stream *s = (struct git_stream *)stream;
	struct fetch_link *link = s->owner->link;
	for (;;) {
		const ssize_t n = recv(s->fd, buffer, size, 0);
		if (n >= 0) {
			*ret_len = (size_t)n;
			return fetch_link_count(link, (size_t)n) ? -1 : 0;
		}
		if (errno != EAGAIN && errno != EINTR)
			return io_failed(link);
		if (wait_for(link, s->fd, POLLIN))
			return -1;
	}
}

static int on_stream_write(git_smart_subtransport_stream *stream, const char *bytes, size_t len)
{
	return send_all((struct git_stream *)stream, bytes, len);
}

static void on_stream_free(git_smart_subtransport_stream *stream)
{
	struct git_stream *s = (struct git_stream *)stream;
	if (!s)
		return;
	if (s->owner->stream == s)
		s->owner->stream = NULL;
	close(s->fd);
	free(s);
}

/* "git-upload-pack PATH" 0 "host=HOST[:PORT]" 0, as one pkt-line. */
static int send_request(struct git_stream *s)
{
	const struct remote_url *url = &s->owner->link->url;
	char line[REMOTE_URL_MAX + REMOTE_HOST_MAX + 64], text[sizeof line];
	const int len = snprintf(text, sizeof text, url->host_is_ipv6 ? "git-upload-pack %s%chost=[%s]:%u%c" : "git-upload-pack %s%chost=%s:%u%c",
				 url->plain_path, 0, url->host, url->port, 0);
	snprintf(line, 5, "%04x", (unsigned)len + 4);
	memcpy(line + 4, text, (size_t)len);
	return send_all(s, line, (size_t)len + 4);
}

static int open_stream(struct git_link *g, struct git_stream **ret)
{
	struct err err = {0};
	CLEANUP(cleanup_fd) int fd = -1;
	if (dial_connect(&g->link->addresses, FETCH_CONNECT_MS, &fd, &err))
		return fetch_link_fail(g->link, &err);
	struct git_stream *s = calloc(1, sizeof *s);
	if (!s)
		return -1;
	s->base = (git_smart_subtransport_stream){.subtransport = &g->base, .read = on_stream_read, .write = on_stream_write,
						  .free = on_stream_free};
	s->owner = g;
	s->fd = fd_take(&fd);
	if (send_request(s)) {
		on_stream_free(&s->base);
		return -1;
	}
	*ret = s;
	return 0;
}

static int on_action(git_smart_subtransport_stream **ret, git_smart_subtransport *transport, const char *url,
		     git_smart_service_t action)
{
	(void)url;
	struct git_link *g = (struct git_link *)transport;
	if (action == GIT_SERVICE_UPLOADPACK_LS && !g->stream && open_stream(g, &g->stream))
		return -1;
	if ((action != GIT_SERVICE_UPLOADPACK_LS && action != GIT_SERVICE_UPLOADPACK) || !g->stream)
		return -1;
	*ret = &g->stream->base;
	return 0;
}

static int on_close(git_smart_subtransport *transport)
{
	struct git_link *g = (struct git_link *)transport;
	if (g->stream)
		on_stream_free(&g->stream->base);
	return 0;
}

static void on_free(git_smart_subtransport *transport)
{
	if (!transport)
		return;
	on_close(transport);
	free(transport);
}

static int new_subtransport(git_smart_subtransport **ret, git_transport *owner, void *link)
{
	(void)owner;
	struct git_link *g = calloc(1, sizeof *g);
	if (!g)
		return -1;
	g->base = (git_smart_subtransport){.action = on_action, .close = on_close, .free = on_free};
	g->link = link;
	*ret = &g->base;
	return 0;
}

int transport_git_new(git_transport **ret, git_remote *owner, void *link)
{
	git_smart_subtransport_definition definition = {.callback = new_subtransport, .rpc = 0, .param = link};
	return git_transport_smart(ret, owner, &definition);
}
