/* The control socket: clients, lines, descriptors. What is asked and answered is control_ops.c's. node/CONTROL.md */
#include "node/control_uv.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/control_parts.h"
#include "proto/base/buf.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"
#include "proto/base/sanitise.h"

#define REQUEST_MAX 65536
#define WAITING_MAX (4u << 20) /* bytes that a client has not taken: past it it is hung up on */
#define ROOM (256u << 10)      /* below it streams go on, and the next request is looked at */

/* A client; while has_call, also its call. */
struct control_call {
	uv_pipe_t pipe;
	struct control *ctl;
	struct control_call *next;
	struct buf in;
	uint64_t id; /* of the call under way */
	bool has_call, is_closing, is_serving;
	bool hang_up;    /* once what waits is written */
	bool wants_room; /* somebody asked and was told that there is none */
};

struct write {
	uv_write_t req;
	uv_buf_t bytes;
};

static void serve(struct control_call *c);

static void on_client_closed(uv_handle_t *handle)
{
	struct control_call *c = handle->data;
	buf_release(&c->in);
	free(c);
}

static void client_close(struct control_call *c)
{
	if (c->is_closing)
		return;
	c->is_closing = true;
	struct control *ctl = c->ctl;
	for (struct control_call **at = &ctl->clients; *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			break;
		}
	ctl->clients_len--;
	if (c->has_call) {
		c->has_call = false;
		control_ops_gone(ctl->state, c->id);
	}
	uv_close((uv_handle_t *)&c->pipe, on_client_closed);
}

static void on_written(uv_write_t *req, int status)
{
	struct write *w = (struct write *)req;
	struct control_call *c = req->handle->data;
	free(w->bytes.base);
	free(w);
	if (status < 0 || (c->hang_up && !c->pipe.write_queue_size))
		client_close(c);
	if (c->is_closing || c->pipe.write_queue_size > ROOM)
		return;
	if (c->wants_room && c->has_call) {
		c->wants_room = false;
		control_ops_room(c->ctl->state, c->id);
	}
	serve(c);
}

/* Queues a text. False: the client is being hung up on. */
static bool say(struct control_call *c, char *text /* takes */, size_t len)
{
	struct write *w = text && !c->is_closing ? calloc(1, sizeof *w) : NULL;
	if (!w || c->pipe.write_queue_size > WAITING_MAX || len > UINT_MAX) {
		free(text);
		free(w);
		client_close(c);
		return false;
	}
	w->bytes = uv_buf_init(text, (unsigned)len);
	if (uv_write(&w->req, (uv_stream_t *)&c->pipe, &w->bytes, 1, on_written)) {
		free(text);
		free(w);
		client_close(c);
		return false;
	}
	return true;
}

/* One line: the newline takes the place of the 0 byte. */
static bool say_line(struct control_call *c, char *text /* takes */)
{
	const size_t len = text ? strlen(text) : 0;
	if (text)
		text[len] = '\n';
	return say(c, text, len + 1);
}

static bool say_object(struct control_call *c, json_t *object /* takes */)
{
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	return say_line(c, text);
}

static json_t *with_version(json_t *object)
{
	if (!object)
		object = json_object();
	json_object_set_new(object, "v", json_integer(1));
	return object;
}

bool control_send(struct control_call *c, json_t *object /* takes */)
{
	return say_object(c, with_version(object));
}

bool control_send_text(struct control_call *c, char *text /* takes */)
{
	return say(c, text, text ? strlen(text) : 0);
}

bool control_has_room(struct control_call *c)
{
	c->wants_room = c->pipe.write_queue_size > ROOM;
	return !c->wants_room;
}

static void call_ended(struct control_call *c)
{
	c->has_call = false;
	if (!c->is_closing)
		serve(c);
}

void control_end(struct control_call *c, json_t *object /* takes */)
{
	control_end_line(c, control_line(object), -1);
}

/* A sentence may be cut within a character, or hold a file's bytes; JSON wants UTF-8. */
static json_t *text_json(const char *text)
{
	char safe[1024];
	return json_string(sanitise_line(safe, sizeof safe, text));
}

static json_t *error_object(const struct err *err)
{
	json_t *o = with_version(json_pack("{s:b,s:o,s:s}", "ok", 0, "error", text_json(err->what), "code", err_code_name(err->code)));
	if (err->hint[0])
		json_object_set_new(o, "hint", text_json(err->hint));
	return o;
}

void control_fail(struct control_call *c, const struct err *err)
{
	c->has_call = false;
	if (say_object(c, error_object(err)))
		call_ended(c);
}

/* SCM_RIGHTS is nothing that libuv does for plain files: the line goes out by hand, which is only right while nothing waits. */
static bool send_with_fd(int sock, const char *line, size_t len, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = (void *)(uintptr_t)line, .iov_len = len};
	struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	return sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
}

void control_end_line(struct control_call *c, char *line /* takes */, int fd /* takes */)
{
	CLEANUP(cleanup_fd) int given = fd;
	uv_os_fd_t sock;
	c->has_call = false;
	if (given < 0) {
		if (say_line(c, line))
			call_ended(c);
		return;
	}
	bool sent = false;
	if (line && !c->is_closing && !c->pipe.write_queue_size && !uv_fileno((uv_handle_t *)&c->pipe, &sock)) {
		const size_t len = strlen(line);
		line[len] = '\n';
		sent = send_with_fd(sock, line, len + 1, given);
	}
	free(line);
	if (sent)
		call_ended(c);
	else
		client_close(c);
}

uint64_t control_call_id(const struct control_call *c) { return c->id; }
struct control *control_of(const struct control_call *c) { return c->ctl; }
struct control_state *control_state_of(struct control *ctl) { return ctl->state; }

struct control_call *control_call_find(struct control *ctl, uint64_t id)
{
	for (struct control_call *c = ctl->clients; c; c = c->next)
		if (c->has_call && c->id == id)
			return c;
	return NULL;
}

void control_request_stop(struct control *ctl)
{
	ctl->on_stop(ctl->user);
}

static void refuse(struct control_call *c, int code, const char *what)
{
	struct err err;
	(void)err_set(&err, code, "%s", what);
	control_fail(c, &err);
}

static void request(struct control_call *c, const char *line, size_t len)
{
	json_error_t why;
	json_t *object = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);
	c->has_call = true;
	c->id = ++c->ctl->calls;
	if (!json_is_object(object))
		refuse(c, ERR_INVALID, "request: not a JSON object in one line");
	else if (json_integer_value(json_object_get(object, "v")) != 1)
		refuse(c, ERR_UNSUPPORTED, "request: v: this node speaks version 1");
	else if (!json_is_string(json_object_get(object, "op")))
		refuse(c, ERR_INVALID, "request: op: missing");
	else
		control_ops_request(c->ctl->node, c, object);
	json_decref(object);
}

/* The next whole line, if no call is under way. An answer given at once comes back here: the loop that is on goes on. */
static void serve(struct control_call *c)
{
	if (c->is_serving)
		return;
	c->is_serving = true;
	while (!c->has_call && !c->is_closing && !c->hang_up && c->pipe.write_queue_size <= ROOM) {
		const uint8_t *end = c->in.len ? memchr(c->in.data, '\n', c->in.len) : NULL;
		const size_t len = end ? (size_t)(end - c->in.data) : c->in.len;
		if (len >= REQUEST_MAX) {
			c->hang_up = true;
			refuse(c, ERR_LIMIT, "request: longer than 64 KiB");
			break;
		}
		if (!end)
			break;
		char *line = strndup((const char *)c->in.data, len);
		buf_consume(&c->in, len + 1);
		if (line)
			request(c, line, len);
		else
			client_close(c);
		free(line);
	}
	c->is_serving = false;
}

static void on_client_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	(void)suggested;
	struct control_call *c = handle->data;
	const size_t room = c->in.len < 2 * REQUEST_MAX ? 4096 : 0;
	uint8_t *at = room ? buf_reserve(&c->in, room) : NULL;
	*ret = uv_buf_init((char *)at, at ? (unsigned)room : 0);
}

static void on_client_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *bytes)
{
	(void)bytes;
	struct control_call *c = stream->data;
	if (len < 0) { /* end of file, error, or more than a client may send ahead */
		client_close(c);
		return;
	}
	if (len) {
		buf_commit(&c->in, (size_t)len);
		serve(c);
	}
}

/* Its own user or root, and of this pid namespace: a job's process is neither. Says why not, or NULL. */
static const char *peer_refused(uv_pipe_t *pipe)
{
	struct ucred who;
	socklen_t len = sizeof who;
	uv_os_fd_t fd;
	char path[64], theirs[64] = "", ours[64] = "";
	if (uv_fileno((uv_handle_t *)pipe, &fd) || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len))
		return "who asks cannot be told";
	if (who.uid != geteuid() && who.uid != 0)
		return "only the node's own user may ask";
	snprintf(path, sizeof path, "/proc/%ld/ns/pid", (long)who.pid);
	if (who.pid <= 0 || readlink(path, theirs, sizeof theirs - 1) < 0 || readlink("/proc/self/ns/pid", ours, sizeof ours - 1) < 0 ||
	    strcmp(theirs, ours))
		return "the asking process is of another pid namespace";
	return NULL;
}

static void on_control_connection(uv_stream_t *listener, int status)
{
	struct control *ctl = listener->data;
	struct control_call *c = status < 0 ? NULL : calloc(1, sizeof *c);
	if (!c || uv_pipe_init(listener->loop, &c->pipe, 0)) {
		free(c);
		return;
	}
	c->ctl = ctl;
	c->pipe.data = c;
	buf_init(&c->in, 2 * REQUEST_MAX + 4096);
	c->next = ctl->clients;
	ctl->clients = c;
	ctl->clients_len++;
	if (uv_accept(listener, (uv_stream_t *)&c->pipe)) {
		client_close(c);
		return;
	}
	const bool is_full = ctl->clients_len > CONTROL_CLIENTS_MAX;
	const char *why = is_full ? "the node answers too many clients already: end one of them" : peer_refused(&c->pipe);
	if (why) {
		log_debug("event=control-refused why=\"%s\"", why);
		c->hang_up = true;
		refuse(c, is_full ? ERR_LIMIT : ERR_REFUSED, why);
	} else if (uv_read_start((uv_stream_t *)&c->pipe, on_client_alloc, on_client_read)) {
		client_close(c);
	}
}

int control_open(struct control *ctl, uv_loop_t *loop, struct node *n, const char *path, void (*on_stop)(void *), void *user,
		 struct err *err)
{
	*ctl = (struct control){.node = n, .state = control_state_new(n, ctl), .on_stop = on_stop, .user = user};
	if (!ctl->state)
		return err_set(err, ERR_NOMEM, "out of memory");
	unlink(path); /* the lock says that no other node is here */
	int rc = uv_pipe_init(loop, &ctl->listener, 0);
	if (rc)
		return err_set(err, ERR_IO, "control socket: %s", uv_strerror(rc));
	ctl->listener.data = ctl;
	ctl->is_open = true;
	const mode_t before = umask(0177);
	rc = uv_pipe_bind(&ctl->listener, path);
	umask(before);
	if (!rc)
		rc = uv_listen((uv_stream_t *)&ctl->listener, 64, on_control_connection);
	if (!rc)
		return 0;
	err_set(err, ERR_IO, "control socket %s: %s", path, uv_strerror(rc));
	return err_hint(err, "its folder must be writable for this user");
}

void control_close(struct control *ctl)
{
	if (!ctl->is_open)
		return;
	ctl->is_open = false;
	while (ctl->clients)
		client_close(ctl->clients);
	uv_close((uv_handle_t *)&ctl->listener, NULL);
}

void control_release(struct control *ctl)
{
	control_state_free(ctl->state);
	ctl->state = NULL;
}
