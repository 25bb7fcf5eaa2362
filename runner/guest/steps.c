#include "runner/guest/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/guest/system.h"

#define ENV_MAX 4096
#define STAT_EVERY_MS 1000
#define SCRATCH_LEFT_BYTES 65536 /* what less is left of a disk is full */
#define KILL_WAIT_MS 5000
#define SCRIPT_FOLDER "/run/talkoo"
#define PIPE_BYTES (1 << 20)

struct steps {
	const struct guest_plan *plan;
	struct port *port;
	char **env; /* owned; points into the plan */
	bool has_pipefail;
	int signal_fd;
	uint64_t next_stat_ms;
	uint8_t frame[FRAME_HEADER_LEN + FRAME_PAYLOAD_MAX];
};

/* One running step. */
struct running {
	uint16_t index;
	pid_t pid;
	int output;    /* read end of its pipe */
	bool has_ended;
	int exit_code; /* once it has ended */
};

static const char *shell_path(const struct guest_plan *plan)
{
	static const char bash[] = "/bin/bash";
	const bool is_auto = !strcmp(plan->shell, "auto");
	return !strcmp(plan->shell, "bash") || (is_auto && access(bash, X_OK) == 0) ? bash : "/bin/sh";
}

/* dash has no `set -o pipefail`: asked of the name that sh really has, as a try would cost a process each boot. */
static bool shell_has_pipefail(const char *shell)
{
	char *const real = realpath(shell, NULL);
	const char *const slash = real ? strrchr(real, '/') : NULL;
	const char *const base = slash ? slash + 1 : "";
	const bool has = !strcmp(base, "busybox") || !strcmp(base, "bash");
	free(real);
	return has;
}

/* Sets one variable; a later setting of a name takes the place of an earlier one. */
static void env_set(char **env, size_t *len, char *setting)
{
	const size_t name = strcspn(setting, "=") + 1;
	for (size_t i = 0; i < *len; i++) {
		if (!strncmp(env[i], setting, name)) {
			env[i] = setting;
			return;
		}
	}
	if (*len < ENV_MAX)
		env[(*len)++] = setting;
}

/* What every step has, then the plan's variables, which win. */
static char **make_env(const struct buf *plan_env)
{
	static char defaults[][80] = {"HOME=/root", "USER=root", "LOGNAME=root", "LANG=C.UTF-8", "TZ=UTC",
				      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
	char **const env = calloc(ENV_MAX + 1, sizeof *env);
	if (!env)
		return NULL;
	size_t len = 0;
	for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
		env_set(env, &len, defaults[i]);
	for (size_t at = 0; at < plan_env->len;) {
		char *const setting = (char *)plan_env->data + at;
		at += strlen(setting) + 1;
		if (strchr(setting, '='))
			env_set(env, &len, setting);
	}
	return env;
}

/* "NAME VALUE" lines of /proc/vmstat and /proc/meminfo */
static uint64_t proc_number(const char *path, const char *name)
{
	CLEANUP(cleanup_file) FILE *f = fopen(path, "re");
	char line[160];
	const size_t len = strlen(name);
	while (f && fgets(line, sizeof line, f)) {
		if (!strncmp(line, name, len) && (line[len] == ' ' || line[len] == ':'))
			return strtoull(line + len + 1, NULL, 10);
	}
	return 0;
}

static uint64_t cpu_ms(void)
{
	char line[256];
	unsigned long long user = 0, nice = 0, sys = 0, idle = 0, iowait = 0, irq = 0, soft = 0;
	if (!system_read_line("/proc/stat", line, sizeof line) ||
	    sscanf(line, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &sys, &idle, &iowait, &irq, &soft) != 7)
		return 0;
	return (user + nice + sys + irq + soft) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
}

static void send_stat(struct steps *s, uint16_t step)
{
	struct statfs fs;
	const uint64_t total = proc_number("/proc/meminfo", "MemTotal"), free_kb = proc_number("/proc/meminfo", "MemAvailable");
	const uint64_t scratch = statfs("/ci", &fs) ? 0 : (uint64_t)(fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize;
	uint8_t payload[24];
	port_put_le(payload, cpu_ms(), 8);
	port_put_le(payload + 8, total > free_kb ? (total - free_kb) * 1024 : 0, 8);
	port_put_le(payload + 16, scratch, 8);
	port_frame(s->port, FRAME_STAT, step, payload, sizeof payload);
}

static void stat_if_due(struct steps *s, uint16_t step)
{
	const uint64_t now = system_now_ms();
	if (now < s->next_stat_ms)
		return;
	send_stat(s, step);
	s->next_stat_ms = now + STAT_EVERY_MS;
}

static void write_oom_score(const char *score)
{
	CLEANUP(cleanup_fd) int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, score, strlen(score)) < 0) {
		/* the kernel spares pid 1 anyway */
	}
}

/* In the child: never returns. */
static void exec_step(const struct steps *s, const char *script, int output)
{
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	write_oom_score("500");
	const int null = open("/dev/null", O_RDONLY);
	const char *const shell = shell_path(s->plan);
	char options[] = "-euo", pipefail[] = "pipefail", plain[] = "-eu", path[256], shell_name[32];
	snprintf(path, sizeof path, "%s", script);
	snprintf(shell_name, sizeof shell_name, "%s", shell);
	char *with[] = {shell_name, options, pipefail, path, NULL};
	char *without[] = {shell_name, plain, path, NULL};
	umask(022);
	if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		_exit(126);
	if (chdir("/ci/src"))
		dprintf(2, "talkoo-init: /ci/src: %s\n", strerror(errno));
	else {
		execve(shell, s->has_pipefail ? with : without, s->env);
		dprintf(2, "talkoo-init: cannot run %s: %s\n", shell, strerror(errno));
	}
	_exit(127);
}

static int exit_code_of(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Collects every child that has ended. False when there are none at all any more. */
static bool reap(struct running *r)
{
	for (;;) {
		int status = 0;
		const pid_t pid = waitpid(-1, &status, WNOHANG);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid <= 0)
			return pid == 0;
		if (pid == r->pid) {
			r->has_ended = true;
			r->exit_code = exit_code_of(status);
		}
	}
}

/* Everything but init and the kernel's own threads. Whoever was reparented to us is waited for. */
static void kill_rest(struct running *r)
{
	for (const uint64_t end = system_now_ms() + KILL_WAIT_MS;;) {
		kill(-1, SIGKILL);
		if (!reap(r) || system_now_ms() > end)
			return;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

/* One read of the step's output. False at its end, or when there is none now. */
static bool forward(struct steps *s, const struct running *r)
{
	const ssize_t n = read(r->output, s->frame + FRAME_HEADER_LEN, FRAME_PAYLOAD_MAX);
	if (n < 0 && errno == EINTR)
		return true;
	if (n <= 0)
		return false;
	port_output(s->port, r->index, s->frame, (size_t)n);
	return true;
}

static void watch(struct steps *s, struct running *r)
{
	bool is_open = true;
	while (!r->has_ended) {
		const uint64_t now = system_now_ms();
		const int wait = now >= s->next_stat_ms ? 0 : (int)(s->next_stat_ms - now);
		struct pollfd fds[] = {{.fd = s->signal_fd, .events = POLLIN},
				       {.fd = is_open ? r->output : -1, .events = POLLIN}};
		if (poll(fds, 2, wait) > 0 && fds[1].revents && !forward(s, r) && errno != EAGAIN)
			is_open = false; /* the step closed its output and lives on */
		if (fds[0].revents & POLLIN) {
			struct signalfd_siginfo info;
			while (read(s->signal_fd, &info, sizeof info) > 0) {
			}
			reap(r);
		}
		stat_if_due(s, r->index);
	}
	kill_rest(r);
	while (forward(s, r)) {
	}
}

static int write_script(const struct guest_plan *plan, size_t index, char *ret_path, size_t size, struct err *err)
{
	snprintf(ret_path, size, SCRIPT_FOLDER "/step-%03zu", index);
	if (mkdir(SCRIPT_FOLDER, 0755) && errno != EEXIST)
		return err_errno(err, errno, "making " SCRIPT_FOLDER);
	unlink(ret_path);
	CLEANUP(cleanup_fd) int fd = open(ret_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	if (fd < 0)
		return err_errno(err, errno, "writing %s", ret_path);
	const struct buf *const script = &plan->steps[index].script;
	const int rc = io_write_full(fd, script->data, script->len, err);
	return rc ? err_context(err, "writing %s", ret_path) : 0;
}

static int start(struct steps *s, struct running *r, struct err *err)
{
	char script[256];
	int pipe_fds[2];
	const int rc = write_script(s->plan, r->index, script, sizeof script, err);
	if (rc)
		return rc;
	if (pipe2(pipe_fds, O_CLOEXEC))
		return err_errno(err, errno, "making a pipe");
	CLEANUP(cleanup_fd) int output = pipe_fds[1];
	r->output = pipe_fds[0];
	fcntl(r->output, F_SETPIPE_SZ, PIPE_BYTES);
	fcntl(r->output, F_SETFL, O_NONBLOCK);
	port_frame(s->port, FRAME_STEP_START, r->index, NULL, 0);
	r->pid = fork();
	if (r->pid < 0)
		return err_errno(err, errno, "starting step %u", r->index + 1u);
	if (r->pid == 0)
		exec_step(s, script, output);
	return 0;
}

static void tell_limit(struct steps *s, const struct running *r, enum guest_limit limit)
{
	const uint8_t which = (uint8_t)limit;
	port_frame(s->port, FRAME_LIMIT, r->index, &which, sizeof which);
}

static bool scratch_is_full(void)
{
	struct statfs fs;
	return !statfs("/ci", &fs) && ((uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize < SCRATCH_LEFT_BYTES || !fs.f_ffree);
}

/* Which ceiling of the machine a step met: a step that failed for that says nothing about the project. */
static void tell_limits(struct steps *s, const struct running *r, uint64_t oom_kills)
{
	if (oom_kills) {
		port_note(s->port, "the guest ran out of memory: the kernel killed %llu process%s of step %u (the machine has %llu MiB)",
			  (unsigned long long)oom_kills, oom_kills == 1 ? "" : "es", r->index + 1u,
			  (unsigned long long)(proc_number("/proc/meminfo", "MemTotal") / 1024));
		tell_limit(s, r, GUEST_LIMIT_MEMORY);
	} else if (r->exit_code && scratch_is_full()) {
		port_note(s->port, "the scratch disk is full");
		tell_limit(s, r, GUEST_LIMIT_DISK);
	}
}

static int run_one(struct steps *s, uint16_t index, int *ret_exit_code, struct err *err)
{
	struct running r = {.index = index, .pid = -1, .output = -1};
	const uint64_t oom_before = proc_number("/proc/vmstat", "oom_kill");
	const int rc = start(s, &r, err);
	if (!rc) {
		watch(s, &r);
		tell_limits(s, &r, proc_number("/proc/vmstat", "oom_kill") - oom_before);
		uint8_t payload[4];
		port_put_le(payload, (uint64_t)r.exit_code, 4);
		send_stat(s, index);
		port_frame(s->port, FRAME_STEP_END, index, payload, sizeof payload);
		*ret_exit_code = r.exit_code;
	}
	cleanup_fd(&r.output);
	return rc;
}

static int run_all(struct steps *s, bool *ret_all_passed, struct err *err)
{
	sigset_t child;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	s->signal_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	s->env = make_env(&s->plan->env);
	if (s->signal_fd < 0 || !s->env)
		return err_errno(err, errno, "preparing the steps");
	write_oom_score("-1000");
	/* before whatever the steps start, were it thousands; they themselves get the ordinary class back */
	const struct sched_param priority = {.sched_priority = 1};
	sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &priority);
	s->has_pipefail = shell_has_pipefail(shell_path(s->plan));
	s->next_stat_ms = system_now_ms() + STAT_EVERY_MS;
	for (size_t i = 0; i < s->plan->steps_len; i++) {
		int exit_code = 0;
		const int rc = run_one(s, (uint16_t)i, &exit_code, err);
		if (rc)
			return rc;
		if (exit_code) {
			*ret_all_passed = false;
			return 0;
		}
	}
	*ret_all_passed = true;
	return 0;
}

int steps_run(const struct guest_plan *plan, struct port *port, bool *ret_all_passed, struct err *err)
{
	struct steps *const s = calloc(1, sizeof *s);
	if (!s)
		return err_set(err, ERR_NOMEM, "out of memory for the steps");
	s->plan = plan;
	s->port = port;
	s->signal_fd = -1;
	const int rc = run_all(s, ret_all_passed, err);
	cleanup_fd(&s->signal_fd);
	free(s->env);
	free(s);
	return rc;
}
