#include "node/cli/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/buf.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"

#define EVENT_MAX (16u << 20) /* a report with 10,000 artifacts */
#define WORDS_MAX 2048
#define END_WAIT_MS 10000 /* the tree ends within 2 s; ten times that is a bug of the runner's */

struct launch {
	pid_t pid;            /* 0 once reaped */
	int in, out, words;   /* the runner's standard streams, or -1 */
	int signals;
	sigset_t old_mask;
	struct buf lines;
	char last_words[WORDS_MAX + 1];
	size_t last_words_len;
	char how_ended[64];
	bool is_cancelled;
};

static bool is_executable(const char *path)
{
	return !access(path, X_OK);
}

/* DIR/NAME; false if it does not fit. */
static bool join(char out[PATH_MAX], const char *dir, const char *name)
{
	return dir && *dir && snprintf(out, PATH_MAX, "%s/%s", dir, name) < PATH_MAX;
}

int launch_find_program(const char *name, char out[PATH_MAX], struct err *err)
{
	char own[PATH_MAX] = "", path[PATH_MAX];
	const ssize_t len = readlink("/proc/self/exe", own, sizeof own - 1);
	char *slash = len > 0 ? strrchr(own, '/') : NULL;
	if (slash)
		*slash = 0;
	const char *const folders[] = {getenv("TALKOO_LIBEXECDIR"), own, TALKOO_LIBEXECDIR};
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		if (!join(path, folders[i], name) || !is_executable(path))
			continue;
		memcpy(out, path, sizeof path);
		return 0;
	}
	err_set(err, ERR_NOT_FOUND, "%s: not found in %s, nor beside this program", name, TALKOO_LIBEXECDIR);
	err_hint(err, "install Talkoo whole ('make install'), or set TALKOO_LIBEXECDIR");
	return err ? (err->code = ERR_UNSUPPORTED) : ERR_UNSUPPORTED;
}

int launch_find_data(const char *name, char out[PATH_MAX], struct err *err)
{
	char path[PATH_MAX];
	const char *const folders[] = {getenv("TALKOO_DATADIR"), TALKOO_DATADIR};
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		if (!join(path, folders[i], name) || access(path, R_OK))
			continue;
		memcpy(out, path, sizeof path);
		return 0;
	}
	err_set(err, ERR_UNSUPPORTED, "%s: not found in %s", name, TALKOO_DATADIR);
	return err_hint(err, "install Talkoo whole ('make install'), or set TALKOO_DATADIR");
}

static int make_pipe(int pair[2], struct err *err)
{
	return pipe2(pair, O_CLOEXEC) ? err_errno(err, errno, "cannot make a pipe") : 0;
}

struct streams {
	int in, out, words, shell; /* shell: -1 = none */
};

/* JOB_SHELL_FD comes last: one of the others may have had that number. */
static bool place(const struct streams *s)
{
	if (dup2(s->in, 0) != 0 || dup2(s->out, 1) != 1 || dup2(s->words, 2) != 2)
		return false;
	if (s->shell == JOB_SHELL_FD)
		return !fcntl(s->shell, F_SETFD, 0);
	return s->shell < 0 || dup2(s->shell, JOB_SHELL_FD) == JOB_SHELL_FD;
}

static void child(const char *program, const struct streams *streams, const sigset_t *mask)
{
	setpgid(0, 0);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	if (!place(streams))
		_exit(127);
	execl(program, program, "job", (char *)NULL);
	_exit(127);
}

static int spawn(struct launch *l, const char *program, int shell_fd, struct err *err)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1}, words[2] = {-1, -1};
	int code = make_pipe(in, err);
	if (!code)
		code = make_pipe(out, err);
	if (!code)
		code = make_pipe(words, err);
	l->in = in[1];
	l->out = out[0];
	l->words = words[0];
	if (!code) {
		l->pid = fork();
		if (!l->pid)
			child(program, &(struct streams){in[0], out[1], words[1], shell_fd}, &l->old_mask);
		if (l->pid < 0) {
			code = err_errno(err, errno, "cannot start %s", program);
			l->pid = 0;
		}
	}
	cleanup_fd(&in[0]);
	cleanup_fd(&out[1]);
	cleanup_fd(&words[1]);
	return code;
}

static int hand_over(struct launch *l, const struct job_plan *plan, struct err *err)
{
	json_t *object = job_plan_to_json(plan);
	CLEANUP(cleanup_free) char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	if (!text)
		return err_set(err, ERR_NOMEM, "out of memory");
	int code = io_write_full(l->in, text, strlen(text), err);
	if (!code)
		code = io_write_full(l->in, "\n", 1, err);
	return code;
}

int launch_start(const struct job_plan *plan, int shell_fd, struct launch **ret, struct err *err)
{
	char program[PATH_MAX];
	int code = launch_find_program("talkoo-runner", program, err);
	if (code)
		return code;
	CLEANUP(launch_free) struct launch *l = calloc(1, sizeof *l);
	if (!l)
		return err_set(err, ERR_NOMEM, "out of memory");
	l->in = l->out = l->words = l->signals = -1;
	buf_init(&l->lines, EVENT_MAX);
	sigset_t mask;
	sigemptyset(&mask);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGHUP);
	sigprocmask(SIG_BLOCK, &mask, &l->old_mask);
	l->signals = signalfd(-1, &mask, SFD_CLOEXEC);
	code = l->signals < 0 ? err_errno(err, errno, "cannot listen for signals") : spawn(l, program, shell_fd, err);
	if (!code)
		code = hand_over(l, plan, err);
	if (code)
		return code;
	*ret = l;
	l = NULL;
	return 0;
}

static void keep_words(struct launch *l)
{
	char chunk[WORDS_MAX];
	const ssize_t got = read(l->words, chunk, sizeof chunk);
	if (got <= 0) {
		cleanup_fd(&l->words);
		l->words = -1;
		return;
	}
	const size_t len = (size_t)got;
	const size_t keep = l->last_words_len + len > WORDS_MAX ? WORDS_MAX - len : l->last_words_len;
	memmove(l->last_words, l->last_words + l->last_words_len - keep, keep);
	memcpy(l->last_words + keep, chunk, len);
	l->last_words_len = keep + len;
	l->last_words[l->last_words_len] = 0;
}

static int take_line(struct launch *l, enum launch_what *ret, json_t **ret_event, struct err *err)
{
	const uint8_t *end = l->lines.len ? memchr(l->lines.data, '\n', l->lines.len) : NULL;
	if (!end)
		return 0;
	const size_t len = (size_t)(end - l->lines.data);
	json_error_t why;
	json_t *event = json_loadb((const char *)l->lines.data, len, 0, &why);
	buf_consume(&l->lines, len + 1);
	if (!json_is_object(event)) {
		json_decref(event);
		return err_set(err, ERR_BUG, "talkoo-runner wrote a line that is no event: %s", why.text);
	}
	*ret = LAUNCH_EVENT;
	*ret_event = event;
	return 1;
}

static int reap(struct launch *l, struct err *err)
{
	int status = 0;
	if (l->pid && waitpid(l->pid, &status, 0) < 0)
		return err_errno(err, errno, "cannot wait for talkoo-runner");
	if (l->pid && WIFSIGNALED(status))
		snprintf(l->how_ended, sizeof l->how_ended, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (l->pid)
		snprintf(l->how_ended, sizeof l->how_ended, "exit code %d", WEXITSTATUS(status));
	l->pid = 0;
	return 0;
}

static int read_lines(struct launch *l, enum launch_what *ret, struct err *err)
{
	uint8_t *room = buf_reserve(&l->lines, 64u << 10);
	if (!room)
		return err_set(err, ERR_BUG, "talkoo-runner wrote a line of over %u MiB", EVENT_MAX >> 20);
	const ssize_t got = read(l->out, room, 64u << 10);
	if (got > 0)
		buf_commit(&l->lines, (size_t)got);
	if (got > 0 || (got < 0 && errno == EINTR))
		return 0;
	while (l->words >= 0)
		keep_words(l);
	const int code = reap(l, err);
	*ret = LAUNCH_END;
	return code ? code : 1;
}

int launch_next(struct launch *l, int timeout_ms, enum launch_what *ret, json_t **ret_event, struct err *err)
{
	for (;;) {
		int code = take_line(l, ret, ret_event, err);
		if (code)
			return code < 0 ? code : 0;
		struct pollfd fds[] = {
			{.fd = l->out, .events = POLLIN}, {.fd = l->signals, .events = POLLIN}, {.fd = l->words, .events = POLLIN}};
		const int ready = poll(fds, ARRAY_LEN(fds), timeout_ms);
		if (ready < 0 && errno != EINTR)
			return err_errno(err, errno, "cannot wait for talkoo-runner");
		if (ready <= 0) {
			*ret = LAUNCH_TICK;
			return 0;
		}
		if (fds[1].revents) {
			struct signalfd_siginfo info;
			*ret = LAUNCH_SIGNAL;
			return read(l->signals, &info, sizeof info) < 0 ? err_errno(err, errno, "cannot read a signal") : 0;
		}
		if (fds[2].revents)
			keep_words(l);
		if (fds[0].revents) {
			code = read_lines(l, ret, err);
			if (code)
				return code < 0 ? code : 0;
		}
	}
}

int launch_signals(const struct launch *l)
{
	return l->signals;
}

void launch_cancel(struct launch *l)
{
	if (l->in < 0)
		return;
	if (!l->is_cancelled && !io_write_full(l->in, "cancel\n", 7, NULL)) {
		l->is_cancelled = true;
		return;
	}
	cleanup_fd(&l->in);
	l->in = -1;
}

const char *launch_how_ended(const struct launch *l)
{
	return l->how_ended;
}

const char *launch_last_words(const struct launch *l)
{
	return l->last_words;
}

/* The closed pipe ends it; a runner that does not is killed, with what is in its group. */
static void end(struct launch *l)
{
	int status;
	for (unsigned waited_ms = 0; l->pid && waited_ms < END_WAIT_MS; waited_ms += 20) {
		if (waitpid(l->pid, &status, WNOHANG) != 0)
			l->pid = 0;
		else
			poll(NULL, 0, 20);
	}
	if (!l->pid)
		return;
	kill(-l->pid, SIGKILL);
	waitpid(l->pid, &status, 0);
}

void launch_free(struct launch **handle)
{
	struct launch *l = *handle;
	if (!l)
		return;
	cleanup_fd(&l->in);
	cleanup_fd(&l->out);
	cleanup_fd(&l->words);
	end(l);
	if (l->signals >= 0) {
		cleanup_fd(&l->signals);
		sigprocmask(SIG_SETMASK, &l->old_mask, NULL);
	}
	buf_release(&l->lines);
	free(l);
	*handle = NULL;
}
