#include "runner/plan/shell_check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"

#define SIDE_BY_SIDE 4
#define SAID_MAX 2048
#define BATCH_MIN 8      /* fewer scripts are asked about one by one */
#define BATCH_MAX 256    /* scripts of one shell: each is an open file */
#define BATCH_TRIES 8    /* shells that may end early at a syntax error */
#define BATCH_SAID_MAX (256u << 10)
#define SCRIPT_PATH "/proc/self/fd/0" /* as a file, because some shells number lines only then */

static const struct shell {
	enum shell_kind kind;
	const char *name;
	const char *argv[5];
} shells[] = {
	{SHELL_ASH, "busybox ash", {"busybox", "ash", "-n", SCRIPT_PATH}},
	{SHELL_ASH, "dash", {"dash", "-n", SCRIPT_PATH}},
	{SHELL_ASH, "sh", {"sh", "-n", SCRIPT_PATH}},
	{SHELL_BASH, "bash", {"bash", "-n", SCRIPT_PATH}},
};

/* One running shell. */
struct slot {
	pid_t pid; /* 0 = free */
	int fd;    /* its standard error */
	size_t script;
	uint64_t deadline_ms;
	char said[SAID_MAX];
	size_t said_len;
};

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A file in memory with a first line and the script, readable from its start; -1 and err. */
static int script_file(const char *first, const char *script, unsigned flags, struct err *err)
{
	CLEANUP(cleanup_fd) int fd = memfd_create("step", flags);
	if (fd < 0) {
		err_errno(err, errno, "cannot hold a step's commands");
		return -1;
	}
	if (io_write_full(fd, first, strlen(first), err) < 0 || io_write_full(fd, script, strlen(script), err) < 0)
		return -1;
	lseek(fd, 0, SEEK_SET);
	return fd_take(&fd);
}

/* 0 or an errno. Nothing of our environment reaches the shell but where programs are. */
static int spawn(char *const *argv, int in, int err_fd, pid_t *ret)
{
	static char locale[] = "LC_ALL=C";
	char path[4096];
	const char *ours = getenv("PATH");
	snprintf(path, sizeof path, "PATH=%s", ours ? ours : "/usr/bin:/bin");
	char *env[] = {locale, path, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attr);
	posix_spawn_file_actions_adddup2(&actions, in, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, err_fd, 2);
	sigset_t none, all;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	const int rc = posix_spawnp(ret, argv[0], &actions, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

/* ERR_UNSUPPORTED: that shell is not here. */
static int start(struct slot *slot, const struct shell *shell, const char *script, struct err *err)
{
	CLEANUP(cleanup_fd) int in = script_file("", script, MFD_CLOEXEC, err);
	if (in < 0)
		return ERR_IO;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	CLEANUP(cleanup_fd) int theirs = ends[1];
	CLEANUP(cleanup_fd) int ours = ends[0];
	pid_t pid;
	char *argv[ARRAY_LEN(shell->argv)];
	for (size_t i = 0; i < ARRAY_LEN(argv); i++)
		argv[i] = (char *)(uintptr_t)shell->argv[i];
	const int rc = spawn(argv, in, theirs, &pid);
	if (rc == ENOENT || rc == EACCES)
		return err_set(err, ERR_UNSUPPORTED, "%s is not here", shell->name);
	if (rc)
		return err_errno(err, rc, "cannot start %s", shell->name);
	slot->pid = pid;
	slot->fd = fd_take(&ours);
	slot->said_len = 0;
	return 0;
}

/* "/proc/self/fd/0: line 3: text", or without "line": its parts from the first line of what was said. */
static void understand(const char *said, struct shell_result *r)
{
	const char *at = said;
	if (!strncmp(at, SCRIPT_PATH ": ", sizeof SCRIPT_PATH + 1)) {
		at += sizeof SCRIPT_PATH + 1;
		if (!strncmp(at, "line ", 5))
			at += 5;
		char *end;
		const unsigned long line = strtoul(at, &end, 10);
		if (end != at && !strncmp(end, ": ", 2)) {
			r->line = line < 1000000 ? (uint32_t)line : 0;
			at = end + 2;
		}
	}
	if (!strncmp(at, "warning: ", 9))
		at += 9;
	snprintf(r->text, sizeof r->text, "%.*s", (int)strcspn(at, "\n"), at);
}

static void finish(struct slot *slot, bool is_late, unsigned deadline_ms, struct shell_result *r)
{
	if (is_late)
		kill(slot->pid, SIGKILL);
	int status = 0;
	while (waitpid(slot->pid, &status, 0) < 0 && errno == EINTR)
		;
	close(slot->fd);
	slot->pid = 0;
	slot->said[slot->said_len] = 0;
	*r = (struct shell_result){.status = SHELL_OK};
	if (is_late) {
		r->status = SHELL_HUNG;
		snprintf(r->text, sizeof r->text, "the shell did not finish reading the commands within %u ms", deadline_ms);
		return;
	}
	const bool is_fine = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	if (is_fine && !slot->said_len)
		return;
	r->status = is_fine ? SHELL_WARNED : SHELL_REFUSED;
	understand(slot->said, r);
	if (!r->text[0])
		snprintf(r->text, sizeof r->text, "the shell does not accept the commands");
}

/* Reads what a shell says, up to SAID_MAX. True at its end, or when it says more than anybody would read. */
static bool listen_to(struct slot *slot)
{
	const size_t room = sizeof slot->said - 1 - slot->said_len;
	const ssize_t n = read(slot->fd, slot->said + slot->said_len, room);
	if (n < 0)
		return errno != EINTR && errno != EAGAIN;
	slot->said_len += (size_t)n;
	if (n > 0 && (size_t)n == room)
		kill(slot->pid, SIGKILL);
	return n == 0 || (size_t)n == room;
}

/* Waits until at least one slot is free, or all when is_last. */
static void wait_for(struct slot *slots, bool is_last, unsigned deadline_ms, struct shell_result *results)
{
	for (;;) {
		struct pollfd fds[SIDE_BY_SIDE];
		size_t running = 0;
		uint64_t next = UINT64_MAX;
		for (size_t i = 0; i < SIDE_BY_SIDE; i++) {
			fds[i] = (struct pollfd){.fd = slots[i].pid ? slots[i].fd : -1, .events = POLLIN};
			running += slots[i].pid != 0;
			if (slots[i].pid && slots[i].deadline_ms < next)
				next = slots[i].deadline_ms;
		}
		if (!running || (!is_last && running < SIDE_BY_SIDE))
			return;
		const uint64_t now = now_ms();
		poll(fds, SIDE_BY_SIDE, next > now ? (int)(next - now) : 0);
		for (size_t i = 0; i < SIDE_BY_SIDE; i++) {
			struct slot *s = &slots[i];
			const bool is_late = s->pid && s->deadline_ms <= now_ms();
			if (s->pid && (is_late || (fds[i].revents && listen_to(s))))
				finish(s, is_late, deadline_ms, &results[s->script]);
		}
	}
}

static void check_batch(const struct shell *shell, const char *const *scripts, size_t len, unsigned deadline_ms,
			struct shell_result *results);

static int check_all(const struct shell *shell, const char *const *scripts, size_t len, unsigned deadline_ms,
		     struct shell_result *results, struct err *err)
{
	struct slot slots[SIDE_BY_SIDE] = {0};
	int rc = 0;
	memset(results, 0, len * sizeof *results);
	if (len >= BATCH_MIN)
		check_batch(shell, scripts, len, deadline_ms, results);
	for (size_t next = 0; next < len && !rc; next++) {
		if (results[next].status == SHELL_OK)
			continue;
		wait_for(slots, false, deadline_ms, results);
		struct slot *slot = slots;
		while (slot->pid)
			slot++;
		rc = start(slot, shell, scripts[next], err);
		slot->script = next;
		slot->deadline_ms = now_ms() + deadline_ms;
	}
	wait_for(slots, true, deadline_ms, results);
	return rc;
}

/* many at once */

/* One shell reads all of them: each as a file whose first line is `set -n`, so that nothing behind it is executed, within a
 * function that puts the options back when it returns. Between any two the shell says a mark; a script between whose
 * marks nothing was said is fine. Any other is asked about on its own, for a syntax error may end this shell. */
static const char batch_driver[] = "f() { local -; . /proc/self/fd/$1; }\n"
				   "for s; do echo \"@@$s\" >&2; f $s; done\necho @@end >&2\n";

struct batch {
	int fds[BATCH_MAX];
	char *said; /* BATCH_SAID_MAX bytes */
};

static void batch_release(struct batch *b)
{
	for (size_t i = 0; i < BATCH_MAX; i++)
		cleanup_fd(&b->fds[i]);
	free(b->said);
}

/* What the shell says until its end. False: too much, or too late. */
static bool hear_all(int fd, char *said, unsigned deadline_ms)
{
	const uint64_t end = now_ms() + deadline_ms;
	for (size_t len = 0; len < BATCH_SAID_MAX - 1;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		const uint64_t now = now_ms();
		if (now >= end || poll(&p, 1, (int)(end - now)) <= 0)
			return false;
		const ssize_t n = read(fd, said + len, BATCH_SAID_MAX - 1 - len);
		if (n <= 0) {
			said[len] = 0;
			return n == 0;
		}
		len += (size_t)n;
	}
	return false;
}

static bool run_batch(const struct shell *shell, struct batch *b, size_t len, unsigned deadline_ms)
{
	static char numbers[BATCH_MAX][12], dash_c[] = "-c", name[] = "lint";
	char *argv[BATCH_MAX + 8];
	char driver[sizeof batch_driver];
	size_t argc = 0;
	memcpy(driver, batch_driver, sizeof driver);
	for (; shell->argv[argc] && strcmp(shell->argv[argc], "-n") != 0; argc++)
		argv[argc] = (char *)(uintptr_t)shell->argv[argc];
	argv[argc++] = dash_c;
	argv[argc++] = driver;
	argv[argc++] = name;
	for (size_t i = 0; i < len; i++) {
		snprintf(numbers[i], sizeof numbers[i], "%d", b->fds[i]);
		argv[argc++] = numbers[i];
	}
	argv[argc] = NULL;
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	CLEANUP(cleanup_fd) int ours = ends[0];
	CLEANUP(cleanup_fd) int theirs = ends[1];
	CLEANUP(cleanup_fd) int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pid_t pid;
	if (null < 0 || spawn(argv, null, theirs, &pid))
		return false;
	close(fd_take(&theirs));
	const bool is_heard = hear_all(ours, b->said, deadline_ms);
	if (!is_heard)
		kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return is_heard;
}

/* Marks those that are fine as SHELL_OK. Returns how many the shell came through; the one it ended at is the last. */
static size_t read_marks(const struct batch *b, size_t len, struct shell_result *results)
{
	const char *at = b->said;
	for (size_t i = 0; i < len; i++) {
		char mark[24], next[24];
		snprintf(mark, sizeof mark, "@@%d\n", b->fds[i]);
		snprintf(next, sizeof next, i + 1 < len ? "@@%d\n" : "@@end\n", i + 1 < len ? b->fds[i + 1] : 0);
		if (strncmp(at, mark, strlen(mark)) != 0)
			return i;
		at += strlen(mark);
		if (!strncmp(at, next, strlen(next))) {
			results[i].status = SHELL_OK;
			continue;
		}
		const char *found = strstr(at, next);
		if (!found || found[-1] != '\n')
			return i + 1;
		at = found;
	}
	return len;
}

/* Only ever says that scripts are fine; what it cannot say, the caller finds out one by one. */
static void check_batch(const struct shell *shell, const char *const *scripts, size_t len, unsigned deadline_ms,
			struct shell_result *results)
{
	struct batch b = {.said = malloc(BATCH_SAID_MAX)};
	memset(b.fds, -1, sizeof b.fds);
	size_t done = 0, tries = 0;
	while (b.said && done < len && tries++ < BATCH_TRIES) {
		const size_t some = len - done < BATCH_MAX ? len - done : BATCH_MAX;
		bool is_ready = true;
		for (size_t i = 0; i < some && is_ready; i++) {
			cleanup_fd(&b.fds[i]);
			b.fds[i] = script_file("set -n\n", scripts[done + i], 0, NULL);
			is_ready = b.fds[i] >= 0;
		}
		if (!is_ready || !run_batch(shell, &b, some, deadline_ms))
			break;
		const size_t through = read_marks(&b, some, results + done);
		if (!through)
			break;
		done += through;
	}
	batch_release(&b);
}

int shell_check(enum shell_kind kind, const char *const *scripts, size_t len, unsigned deadline_ms,
		struct shell_result *results, const char **ret_shell, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
		if (shells[i].kind != kind)
			continue;
		const int rc = check_all(&shells[i], scripts, len, deadline_ms, results, err);
		if (!rc)
			*ret_shell = shells[i].name;
		if (rc != ERR_UNSUPPORTED)
			return rc;
	}
	return err_set(err, ERR_UNSUPPORTED, "there is no shell to check with");
}
