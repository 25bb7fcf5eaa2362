#include "node/cli/shellterm.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/shellwire.h"

struct term {
	int tty, fd;
	struct shellwire in;
	uint8_t out[2 * SHELLWIRE_FRAME_MAX]; /* not sent yet: while there is any, nothing more is read from the keys */
	size_t out_len;
};

static int open_tty(struct err *err)
{
	const int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	err_set(err, ERR_USAGE, "--shell: there is no terminal here");
	return err_hint(err, "run it from one; without --shell the log says how a step failed, --keep keeps log and artifacts");
}

int shellterm_check(struct err *err)
{
	CLEANUP(cleanup_fd) int fd = open_tty(err);
	return fd < 0 ? fd : 0;
}

static void add_size(struct term *t)
{
	struct winsize size;
	if (sizeof t->out - t->out_len >= SHELLWIRE_FRAME_MAX && !ioctl(t->tty, TIOCGWINSZ, &size) && size.ws_row && size.ws_col)
		t->out_len += shellwire_put_size(t->out + t->out_len, size.ws_row, size.ws_col);
}

/* False: the person leaves. */
static bool read_keys(struct term *t)
{
	uint8_t bytes[SHELLWIRE_PAYLOAD_MAX];
	const ssize_t got = read(t->tty, bytes, sizeof bytes);
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (got <= 0 || memchr(bytes, SHELLTERM_LEAVE, (size_t)got))
		return false;
	t->out_len += shellwire_put(t->out + t->out_len, SHELLWIRE_BYTES, bytes, (size_t)got);
	return true;
}

static bool send_some(struct term *t)
{
	const ssize_t sent = send(t->fd, t->out, t->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0)
		return errno == EAGAIN || errno == EINTR;
	memmove(t->out, t->out + sent, t->out_len - (size_t)sent);
	t->out_len -= (size_t)sent;
	return true;
}

/* False: the shell has ended. */
static bool show(struct term *t)
{
	struct shellwire_frame f;
	const ssize_t got = recv(t->fd, t->in.bytes + t->in.len, sizeof t->in.bytes - t->in.len, MSG_DONTWAIT);
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (got <= 0)
		return false;
	t->in.len += (size_t)got;
	enum shellwire_got what;
	while ((what = shellwire_take(&t->in, &f)) == SHELLWIRE_FRAME) {
		if (f.type != SHELLWIRE_BYTES || io_write_full(t->tty, f.payload, f.len, NULL))
			return false;
	}
	return what == SHELLWIRE_MORE;
}

static void relay(struct term *t, int size_fd, int wake_fd)
{
	add_size(t);
	for (;;) {
		struct pollfd fds[] = {{t->out_len ? -1 : t->tty, POLLIN, 0},
				       {t->fd, (short)(POLLIN | (t->out_len ? POLLOUT : 0)), 0},
				       {size_fd, POLLIN, 0},
				       {wake_fd, POLLIN, 0}};
		struct signalfd_siginfo info;
		if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
			return;
		if (fds[3].revents)
			return;
		if (fds[2].revents && read(size_fd, &info, sizeof info) > 0)
			add_size(t);
		if ((fds[1].revents & POLLOUT && !send_some(t)) || (fds[1].revents & ~POLLOUT && !show(t)))
			return;
		if (fds[0].revents && !read_keys(t))
			return;
	}
}

int shellterm_run(int fd, int wake_fd, struct err *err)
{
	struct term t = {.fd = fd};
	struct termios before, raw;
	sigset_t size_changes, old;
	CLEANUP(cleanup_fd) int tty = open_tty(err);
	if (tty < 0)
		return tty;
	t.tty = tty;
	sigemptyset(&size_changes);
	sigaddset(&size_changes, SIGWINCH);
	if (tcgetattr(tty, &before))
		return err_errno(err, errno, "cannot set up the terminal");
	sigprocmask(SIG_BLOCK, &size_changes, &old);
	CLEANUP(cleanup_fd) int size_fd = signalfd(-1, &size_changes, SFD_CLOEXEC | SFD_NONBLOCK);
	raw = before;
	cfmakeraw(&raw);
	const bool is_ready = size_fd >= 0 && !tcsetattr(tty, TCSANOW, &raw);
	const int code = is_ready ? 0 : err_errno(err, errno, "cannot set up the terminal");
	if (is_ready)
		relay(&t, size_fd, wake_fd);
	tcsetattr(tty, TCSADRAIN, &before);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return code;
}
