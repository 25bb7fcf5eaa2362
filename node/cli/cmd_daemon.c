/* talkoo start, stop: the node's process. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/cli/cmds.h"
#include "node/cli/launch.h"
#include "node/cli/nodecall.h"
#include "node/cli/view.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"

#define START_WAIT_MS 20000 /* an integrity check and migrations of a large database are in it */
#define STOP_WAIT_MS 15000
#define POLL_MS 20

/* The id of the node that answers, or a code (quietly). */
static int ask_id(const struct home *home, char out[80])
{
	CLEANUP(client_close) struct client *client = NULL;
	CLEANUP(client_free_json) json_t *answer = NULL;
	int code = client_open(home, &client, NULL);
	if (!code)
		code = nodecall_on(client, json_pack("{s:s}", "op", "status"), &answer, NULL);
	if (!code)
		snprintf(out, 80, "%s", jtext(answer, "node"));
	return code;
}

static int answer_id(struct cli *c, const char *id, bool is_new)
{
	if (c->out.json) {
		CLEANUP(client_free_json) json_t *answer = json_pack("{s:i,s:b,s:s,s:b}", "v", 1, "ok", 1, "node", id, "started", (int)is_new);
		out_json(&c->out, answer);
		return 0;
	}
	out_print(&c->out, OUT_PLAIN, "%s\n", id);
	out_note(&c->out, OUT_PLAIN, is_new ? "the node runs\n" : "the node was running already\n");
	return 0;
}

/* talkood with the options that make it the same node as ours. */
static void daemon_args(const struct cli *c, const char *program, bool foreground, const char *argv[6])
{
	size_t n = 0;
	argv[n++] = program;
	if (c->home) {
		argv[n++] = "--home";
		argv[n++] = c->home;
	}
	if (foreground)
		argv[n++] = "--foreground";
	argv[n] = NULL;
}

static void become_daemon(const char *const *argv, int said)
{
	/* its own session: closing this terminal does not end it */
	setsid();
	signal(SIGPIPE, SIG_DFL);
	const int null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(said, 2) < 0 || chdir("/"))
		_exit(127);
	/* what the caller's shell has open (a lock, a pipe that somebody reads to its end) is not the node's to keep */
	close_range(3, ~0u, 0);
	execv(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* What it said before it ended, for the error. */
static int ended(int said, const char *program, const struct home *home, struct err *err)
{
	struct pollfd fd = {.fd = said, .events = POLLIN};
	char text[400] = "";
	size_t len = 0;
	while (len < sizeof text - 1 && poll(&fd, 1, 0) > 0) {
		const ssize_t got = read(said, text + len, sizeof text - 1 - len);
		if (got <= 0)
			break;
		len += (size_t)got;
	}
	while (len && text[len - 1] == '\n')
		text[--len] = 0;
	const char *what = !strncmp(text, "error: ", 7) ? text + 7 : text;
	char *hint = strstr(text, "\nhint: ");
	if (hint)
		*hint = 0;
	if (!len)
		err_set(err, ERR_IO, "%s ended at once", program);
	else
		err_set(err, ERR_IO, "the node did not start: %s", what);
	return err_hint(err, "%s%s", hint ? hint + 7 : "its log: ", hint ? "" : home->log);
}

static int wait_for_answer(struct cli *c, const struct home *home, pid_t pid, int said, const char *program, struct err *err)
{
	char id[80];
	for (const uint64_t until = view_now_ms() + START_WAIT_MS; view_now_ms() < until; poll(NULL, 0, POLL_MS)) {
		int status;
		if (!ask_id(home, id))
			return answer_id(c, id, true);
		if (waitpid(pid, &status, WNOHANG) == pid)
			return ended(said, program, home, err);
	}
	err_set(err, ERR_TIMEOUT, "the node started (process %ld) but did not answer within %d s", (long)pid, START_WAIT_MS / 1000);
	err_hint(err, "it may still be checking a large database; its log: %s", home->log);
	return err ? (err->code = ERR_IO) : ERR_IO;
}

int cmd_start(struct cli *c, struct err *err)
{
	struct home home;
	char id[80], program[PATH_MAX];
	const char *argv[6];
	int code = home_find(c->home, &home, err);
	if (code)
		return code;
	if (!home_is_made(&home)) {
		err_set(err, ERR_USAGE, "there is no node yet: %s is missing", home.key);
		return err_hint(err, "make one with 'talkoo init'");
	}
	if (!ask_id(&home, id))
		return answer_id(c, id, false);
	code = launch_find_program("talkood", program, err);
	if (code)
		return code;
	daemon_args(c, program, cli_has(c, "foreground"), argv);
	if (cli_has(c, "foreground")) {
		signal(SIGPIPE, SIG_DFL);
		execv(program, (char *const *)(uintptr_t)argv);
		return err_errno(err, errno, "cannot start %s", program);
	}
	int said[2];
	if (pipe2(said, O_CLOEXEC))
		return err_errno(err, errno, "cannot make a pipe");
	const pid_t pid = fork();
	if (!pid)
		become_daemon(argv, said[1]);
	code = pid < 0 ? err_errno(err, errno, "cannot start %s", program) : 0;
	cleanup_fd(&said[1]);
	if (!code)
		code = wait_for_answer(c, &home, pid, said[0], program, err);
	cleanup_fd(&said[0]);
	return code;
}

int cmd_stop(struct cli *c, struct err *err)
{
	struct home home;
	CLEANUP(client_free_json) json_t *answer = NULL;
	int code = home_find(c->home, &home, err);
	if (!code)
		code = nodecall(c, json_pack("{s:s}", "op", "stop"), &answer, err);
	if (code)
		return code;
	/* the socket goes last: then nothing of it is left running */
	const uint64_t until = view_now_ms() + STOP_WAIT_MS;
	while (!access(home.socket, F_OK) && view_now_ms() < until)
		poll(NULL, 0, POLL_MS);
	if (!access(home.socket, F_OK)) {
		err_set(err, ERR_IO, "the node said that it stops, but %s is still there", home.socket);
		return err_hint(err, "its log: %s", home.log);
	}
	if (c->out.json)
		out_json(&c->out, answer);
	const json_t *abandoned = json_object_get(answer, "abandoned");
	size_t i;
	const json_t *job;
	json_array_foreach(abandoned, i, job)
		out_print(&c->out, OUT_WARN, "abandoned %s\n", json_is_string(job) ? json_string_value(job) : jtext(job, "job"));
	out_print(&c->out, OUT_PLAIN, "stopped\n");
	return 0;
}
