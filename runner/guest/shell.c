#include "runner/guest/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/guest.h"
#include "runner/guest/port.h"
#include "runner/guest/system.h"
#include "runner/shellwire.h"

#define RC_FILE "/run/talkoo/shell.rc"
#define PORT_WAIT_MS 5000
#define LOOK_MS 200 /* whether the shell has ended while something else holds its terminal */

enum shell_when shell_when_of(const char *text)
{
	if (!strcmp(text, "failed"))
		return SHELL_FAILED;
	return !strcmp(text, "always") ? SHELL_ALWAYS : SHELL_NEVER;
}

void shell_trap(char *out, size_t size, const char *notes)
{
	/* the outer redirection also hides what `set -x` would say */
	snprintf(out, size, "trap '{ pwd >%s.cwd; export -p >%s.env; } 2>/dev/null || :' EXIT; ", notes, notes);
}

/* Read by the shell before its first prompt. */
static int write_rc(const char *notes, struct err *err)
{
	char text[1024];
	const int len = snprintf(text, sizeof text,
				 "[ ! -s '%s.env' ] || . '%s.env' 2>/dev/null\n"
				 "cd \"$(cat '%s.cwd' 2>/dev/null)\" 2>/dev/null || cd /ci/src\n"
				 "PS1='talkoo:\\w\\$ '\n",
				 notes, notes, notes);
	mkdir("/run/talkoo", 0755);
	unlink(RC_FILE);
	CLEANUP(cleanup_fd) int fd = open(RC_FILE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 ? err_errno(err, errno, "writing " RC_FILE) : io_write_full(fd, text, (size_t)len, err);
}

/* In the child: never returns. */
static void exec_shell(const char *program, char **env, int terminal)
{
	static char bash[] = "bash", sh[] = "sh", rcfile[] = "--rcfile", rc[] = RC_FILE, interactive[] = "-i";
	const bool is_bash = strstr(program, "bash") != NULL;
	char *with_file[] = {bash, rcfile, rc, interactive, NULL}, *plain[] = {sh, interactive, NULL};
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	system_oom_score("0");
	umask(022);
	if (ioctl(terminal, TIOCSCTTY, 0) || dup2(terminal, 0) < 0 || dup2(terminal, 1) < 0 || dup2(terminal, 2) < 0 || chdir("/ci/src"))
		_exit(126);
	environ = env;
	if (setenv("TERM", "xterm", 0) || (!is_bash && setenv("ENV", RC_FILE, 1)))
		_exit(126);
	execv(program, is_bash ? with_file : plain);
	_exit(127);
}

struct shell {
	int port, terminal; /* the shell port; the master of the shell's terminal */
	pid_t pid;
	struct shellwire in;
};

static int open_terminal(int *ret_slave, int *ret_master, struct err *err)
{
	int unlocked = 0;
	CLEANUP(cleanup_fd) int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlocked))
		return err_errno(err, errno, "making a terminal");
	const int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return err_errno(err, errno, "making a terminal");
	*ret_slave = slave;
	*ret_master = fd_take(&master);
	return 0;
}

/* Whole frames of what came. False: they make no sense, or the terminal is gone. */
static bool take_frames(struct shell *s)
{
	struct shellwire_frame f;
	for (;;) {
		const enum shellwire_got got = shellwire_take(&s->in, &f);
		if (got != SHELLWIRE_FRAME)
			return got == SHELLWIRE_MORE;
		const struct winsize size = {.ws_row = f.rows, .ws_col = f.columns};
		if (f.type == SHELLWIRE_SIZE)
			ioctl(s->terminal, TIOCSWINSZ, &size);
		else if (f.type == SHELLWIRE_BYTES && io_write_full(s->terminal, f.payload, f.len, NULL))
			return false;
	}
}

/* False: the person is gone. */
static bool from_person(struct shell *s)
{
	const ssize_t got = read(s->port, s->in.bytes + s->in.len, sizeof s->in.bytes - s->in.len);
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (got <= 0)
		return false;
	s->in.len += (size_t)got;
	return take_frames(s);
}

/* False: nobody has the terminal open any more, or nobody looks. */
static bool to_person(struct shell *s)
{
	uint8_t bytes[SHELLWIRE_PAYLOAD_MAX], frame[SHELLWIRE_FRAME_MAX];
	const ssize_t got = read(s->terminal, bytes, sizeof bytes);
	if (got < 0 && errno == EINTR)
		return true;
	return got > 0 && !io_write_full(s->port, frame, shellwire_put(frame, SHELLWIRE_BYTES, bytes, (size_t)got), NULL);
}

static bool has_ended(const struct shell *s)
{
	return waitpid(s->pid, NULL, WNOHANG) != 0;
}

static void relay(struct shell *s)
{
	struct pollfd fds[2] = {{s->port, POLLIN, 0}, {s->terminal, POLLIN, 0}};
	uint8_t end[SHELLWIRE_FRAME_MAX];
	for (;;) {
		const int ready = poll(fds, ARRAY_LEN(fds), LOOK_MS);
		if (ready > 0 && fds[1].revents && !to_person(s))
			break;
		if (ready > 0 && fds[0].revents && !from_person(s))
			return;
		if (ready == 0 && has_ended(s))
			break;
	}
	if (io_write_full(s->port, end, shellwire_put(end, SHELLWIRE_END, NULL, 0), NULL)) {
		/* nobody is there to be told */
	}
}

int shell_run(const char *program, char **env, const char *notes, struct err *err)
{
	CLEANUP(cleanup_fd) int slave = -1;
	CLEANUP(cleanup_fd) int master = -1;
	struct port port = {.fd = -1};
	int rc = write_rc(notes, err);
	if (!rc)
		rc = port_open(&port, GUEST_SHELL_PORT, PORT_WAIT_MS, err);
	CLEANUP(cleanup_fd) int port_fd = port.fd;
	if (!rc)
		rc = open_terminal(&slave, &master, err);
	if (rc)
		return rc;
	struct shell s = {.port = port_fd, .terminal = master, .pid = fork()};
	if (s.pid < 0)
		return err_errno(err, errno, "starting a shell");
	if (s.pid == 0)
		exec_shell(program, env, slave);
	close(fd_take(&slave));
	relay(&s);
	return 0;
}
