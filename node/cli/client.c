#include "node/cli/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "proto/base/buf.h"
#include "proto/base/cleanup.h"

#define READ_SIZE (64u << 10)
#define IDLE_MS 250
#define FDS_MAX 4 /* in one packet; the node sends one */

struct client {
	int fd;
	int passed_fd;  /* descriptor received and not yet given away, or -1 */
	struct buf in;
	char socket[PATH_MAX];
};

void client_free_json(json_t **object)
{
	json_decref(*object);
}

void client_close(struct client **c)
{
	if (!*c)
		return;
	cleanup_fd(&(*c)->fd);
	cleanup_fd(&(*c)->passed_fd);
	buf_release(&(*c)->in);
	free(*c);
	*c = NULL;
}

static int unreachable(const struct home *home, int why, struct err *err)
{
	if (why == EACCES || why == EPERM) {
		err_set(err, ERR_UNREACHABLE, "the node's socket %s is not yours to use", home->socket);
		return err_hint(err, "be the user that runs the node, or name your own node with --home");
	}
	if (why == ENOENT || why == ECONNREFUSED)
		err_set(err, ERR_UNREACHABLE, "the node is not running (nothing answers at %s)", home->socket);
	else
		err_set(err, ERR_UNREACHABLE, "the node does not answer at %s: %s", home->socket, strerror(why));
	if (!home_is_made(home))
		return err_hint(err, "make a node with 'talkoo init', then 'talkoo start'");
	return err_hint(err, "start it with 'talkoo start'; its log is %s", home->log);
}

int client_open(const struct home *home, struct client **ret, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const size_t len = strlen(home->socket);
	if (len >= sizeof address.sun_path)
		return err_set(err, ERR_LIMIT, "the socket's path is too long: %s", home->socket);
	memcpy(address.sun_path, home->socket, len);
	CLEANUP(cleanup_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, errno, "cannot make a socket");
	if (connect(fd, (const struct sockaddr *)&address, sizeof address))
		return unreachable(home, errno, err);
	struct client *c = calloc(1, sizeof *c);
	if (!c)
		return err_set(err, ERR_NOMEM, "out of memory");
	c->fd = fd_take(&fd);
	c->passed_fd = -1;
	buf_init(&c->in, CLIENT_ANSWER_MAX);
	memcpy(c->socket, home->socket, sizeof c->socket);
	*ret = c;
	return 0;
}

static int hung_up(const struct client *c, struct err *err)
{
	err_set(err, ERR_UNREACHABLE, "the node hung up before its answer (%s)", c->socket);
	return err_hint(err, "'talkoo status' says whether it still runs; its log says why");
}

static void keep_passed(struct client *c, struct msghdr *msg)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(msg); h; h = CMSG_NXTHDR(msg, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		const size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
			cleanup_fd(&c->passed_fd);
			c->passed_fd = fd;
		}
	}
}

static void wait_idly(const struct client *c, const struct client_call *call)
{
	struct pollfd fd = {.fd = c->fd, .events = POLLIN};
	while (call && call->on_idle && poll(&fd, 1, IDLE_MS) == 0)
		call->on_idle(call->user);
}

/* Reads what has come, at least one byte. */
static int receive(struct client *c, const struct client_call *call, struct err *err)
{
	wait_idly(c, call);
	uint8_t *room = buf_reserve(&c->in, READ_SIZE);
	if (!room)
		return err_set(err, ERR_LIMIT, "the node's answer is larger than %u MiB", CLIENT_ANSWER_MAX >> 20);
	union {
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = room, .iov_len = READ_SIZE};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	ssize_t got;
	do
		got = recvmsg(c->fd, &msg, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return hung_up(c, err);
	keep_passed(c, &msg);
	buf_commit(&c->in, (size_t)got);
	return 0;
}

/* The next line as an object (new reference). */
static int next_object(struct client *c, const struct client_call *call, json_t **ret, struct err *err)
{
	size_t searched = 0;
	const uint8_t *end = NULL;
	while (!(end = c->in.len > searched ? memchr(c->in.data + searched, '\n', c->in.len - searched) : NULL)) {
		searched = c->in.len;
		const int code = receive(c, call, err);
		if (code)
			return code;
	}
	const size_t len = (size_t)(end - c->in.data);
	json_error_t why;
	json_t *object = json_loadb((const char *)c->in.data, len, JSON_REJECT_DUPLICATES, &why);
	buf_consume(&c->in, len + 1);
	if (!json_is_object(object)) {
		json_decref(object);
		return err_set(err, ERR_INVALID, "the node's answer is no JSON object: %s", why.text);
	}
	*ret = object;
	return 0;
}

static int code_of_name(const char *name)
{
#define X(code, value, text)                                                                                           \
	if (name && !strcmp(name, text))                                                                               \
		return code;
	ERR_CODES(X)
#undef X
	return ERR_BUG;
}

static int take_refusal(const json_t *answer, struct err *err)
{
	const char *what = json_string_value(json_object_get(answer, "error"));
	const char *hint = json_string_value(json_object_get(answer, "hint"));
	const int code = code_of_name(json_string_value(json_object_get(answer, "code")));
	err_set(err, code, "%s", what ? what : "the node refused, and did not say why");
	if (hint && *hint)
		err_hint(err, "%s", hint);
	return code;
}

static int send_request(struct client *c, json_t *request, struct err *err)
{
	json_object_set_new(request, "v", json_integer(1));
	CLEANUP(cleanup_free) char *text = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	if (!text)
		return err_set(err, ERR_USAGE, "a text of the request is not UTF-8");
	size_t len = strlen(text);
	if (len + 1 > CLIENT_REQUEST_MAX)
		return err_set(err, ERR_USAGE, "the request is longer than %u KiB", CLIENT_REQUEST_MAX >> 10);
	text[len++] = '\n';
	for (size_t at = 0; at < len;) {
		const ssize_t sent = send(c->fd, text + at, len - at, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
			break; /* it may have said why before it hung up */
		if (sent < 0)
			return hung_up(c, err);
		at += (size_t)sent;
	}
	return 0;
}

int client_call(struct client *c, json_t *request, const struct client_call *call, json_t **ret_answer, struct err *err)
{
	int code = send_request(c, request, err);
	if (code)
		return code;
	if (call && call->ret_fd)
		*call->ret_fd = -1;
	for (;;) {
		CLEANUP(client_free_json) json_t *object = NULL;
		code = next_object(c, call, &object, err);
		if (code)
			return code;
		const json_t *ok = json_object_get(object, "ok");
		if (ok && !json_is_true(ok))
			return take_refusal(object, err);
		if (ok) {
			if (call && call->ret_fd)
				*call->ret_fd = fd_take(&c->passed_fd);
			if (ret_answer)
				*ret_answer = json_incref(object);
			return 0;
		}
		if (call && call->on_event && !call->on_event(call->user, object)) {
			if (ret_answer)
				*ret_answer = NULL;
			return 0;
		}
	}
}
