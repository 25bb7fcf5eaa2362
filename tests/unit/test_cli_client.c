/* The control client against a node of the test's own: answers, events, refusals, descriptors, and nonsense. */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "node/cli/client.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "tests/unit/tap.h"

struct node {
	int listener;
	const char *answer; /* NULL: hang up */
	int pass_fd;        /* or -1 */
	char request[512];
};

static void *serve(void *arg)
{
	struct node *n = arg;
	CLEANUP(cleanup_fd) int fd = accept(n->listener, NULL, NULL);
	size_t len = 0;
	while (len < sizeof n->request - 1 && !memchr(n->request, '\n', len)) {
		const ssize_t got = read(fd, n->request + len, sizeof n->request - 1 - len);
		if (got <= 0)
			return NULL;
		len += (size_t)got;
	}
	n->request[len] = 0;
	if (!n->answer)
		return NULL;
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)n->answer, .iov_len = strlen(n->answer)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	if (n->pass_fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof control.bytes;
		struct cmsghdr *h = CMSG_FIRSTHDR(&msg);
		*h = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
		memcpy(CMSG_DATA(h), &n->pass_fd, sizeof(int));
	}
	sendmsg(fd, &msg, MSG_NOSIGNAL);
	return NULL;
}

static bool count_event(void *user, const json_t *event)
{
	(void)event;
	return ++*(int *)user < 3;
}

struct exchange {
	int code, events, fd;
	json_t *answer;
	struct err err;
	char request[512];
};

static void exchange(const struct home *home, int listener, const char *answer, int pass_fd, struct exchange *x)
{
	struct node n = {.listener = listener, .answer = answer, .pass_fd = pass_fd};
	pthread_t thread;
	*x = (struct exchange){.fd = -1};
	pthread_create(&thread, NULL, serve, &n);
	struct client *client = NULL;
	x->code = client_open(home, &client, &x->err);
	const struct client_call call = {.on_event = count_event, .user = &x->events, .ret_fd = &x->fd};
	if (!x->code)
		x->code = client_call(client, json_pack("{s:s}", "op", "status"), &call, &x->answer, &x->err);
	client_close(&client);
	pthread_join(thread, NULL);
	memcpy(x->request, n.request, sizeof x->request);
}

static void test_answers(const struct home *home, int listener)
{
	static const struct {
		const char *answer;
		int code, events;
		const char *what, *hint;
	} cases[] = {
		{"{\"v\":1,\"ok\":true,\"state\":\"idle\"}\n", 0, 0, "", ""},
		{"{\"v\":1,\"event\":\"a\"}\n{\"v\":1,\"event\":\"b\"}\n{\"v\":1,\"ok\":true}\n", 0, 2, "", ""},
		{"{\"v\":1,\"event\":\"a\"}\n{\"v\":1,\"event\":\"b\"}\n{\"v\":1,\"event\":\"c\"}\n", 0, 3, "", ""},
		{"{\"v\":1,\"ok\":false,\"error\":\"no such job\",\"hint\":\"look\",\"code\":\"not-found\"}\n", ERR_NOT_FOUND, 0, "no such job", "look"},
		{"{\"v\":1,\"ok\":false,\"error\":\"x\",\"code\":\"a later code\"}\n", ERR_BUG, 0, "x", ""},
		{"{\"v\":1,\"ok\":false}\n", ERR_BUG, 0, "the node refused, and did not say why", ""},
		{"{\"v\":1,\"ok\":\"yes\"}\n", ERR_BUG, 0, "the node refused, and did not say why", ""},
		{"not JSON\n", ERR_INVALID, 0, "no JSON object", ""},
		{"[1]\n", ERR_INVALID, 0, "no JSON object", ""},
		{"{\"v\":1,\"ok\":true,\"ok\":true}\n", ERR_INVALID, 0, "no JSON object", ""},
		{"{\"v\":1,\"ok\":true}", ERR_UNREACHABLE, 0, "hung up before its answer", "talkoo status"},
		{NULL, ERR_UNREACHABLE, 0, "hung up before its answer", ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct exchange x;
		exchange(home, listener, cases[i].answer, -1, &x);
		INTEQ(x.code, cases[i].code);
		INTEQ(x.events, cases[i].events);
		OK(strstr(x.err.what, cases[i].what) && strstr(x.err.hint, cases[i].hint), "%zu: %s / %s", i, x.err.what, x.err.hint);
		OK((x.answer != NULL) == (!cases[i].code && cases[i].events < 3), "%zu: an answer only when it ended well", i);
		STREQ(x.request, "{\"op\":\"status\",\"v\":1}\n");
		json_decref(x.answer);
	}
}

static void test_descriptor(const struct home *home, int listener, const char *top)
{
	char path[PATH_MAX], text[8] = "";
	snprintf(path, sizeof path, "%s/log", top);
	CLEANUP(cleanup_fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	OK(write(fd, "hello", 5) == 5, "a file");
	struct exchange x;
	exchange(home, listener, "{\"v\":1,\"ok\":true,\"size\":5}\n", fd, &x);
	OK(!x.code && x.fd >= 0 && pread(x.fd, text, 5, 0) == 5 && !strcmp(text, "hello"), "its descriptor came along");
	OK(fcntl(x.fd, F_GETFD) & FD_CLOEXEC, "closed on exec");
	cleanup_fd(&x.fd);
	json_decref(x.answer);
	exchange(home, listener, "{\"v\":1,\"ok\":false,\"error\":\"no\",\"code\":\"refused\"}\n", fd, &x);
	OK(x.code == ERR_REFUSED && x.fd < 0, "not with a refusal");
}

int main(void)
{
	char top[] = "/tmp/talkoo-client-XXXXXX";
	struct home home;
	struct err err = {0};
	struct client *client = NULL;
	if (!OK(mkdtemp(top) && !home_find(top, &home, &err), "a home"))
		return tap_done();
	INTEQ(client_open(&home, &client, &err), ERR_UNREACHABLE);
	OK(strstr(err.hint, "talkoo init"), "no node made: %s", err.hint);
	OK(!home_make_folders(&home, &err), "folders");
	CLEANUP(cleanup_fd) int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	strcpy(address.sun_path, home.socket);
	OK(!bind(listener, (struct sockaddr *)&address, sizeof address), "a socket");
	INTEQ(client_open(&home, &client, &err), ERR_UNREACHABLE);
	OK(strstr(err.what, "is not running"), "a socket that nobody serves: %s", err.what);
	OK(!listen(listener, 4), "served");
	test_answers(&home, listener);
	test_descriptor(&home, listener, top);
	OK(!io_remove_tree(top, NULL), "cleaned up");
	return tap_done();
}
