#include "runner/guest/steps.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/guest/shell.h"
#include "runner/guest/system.h"

#define ENV_MAX 4096
#define STAT_EVERY_MS 1000
#define SCRATCH_LEFT_BYTES 65536 /* what less is left of a disk is full */
#define KILL_WAIT_MS 5000
#define SCRIPT_FOLDER "/run/talkoo"
#define PIPE_BYTES (1 << 20)
#define GROUPS_FOLDER "/run/talkoo-groups"
#define RUNNING_MAX 16           /* side by side; more wait */

/* One running step. */
struct running {
	uint16_t index;
	pid_t pid;
	int output;    /* read end of its pipe; -1 once it is closed */
	bool has_ended, is_timed_out;
	int exit_code; /* once it has ended */
	uint64_t deadline_ms; /* 0 = none */
	uint64_t oom_before;
};

enum step_state { STEP_WAITS, STEP_RUNS, STEP_PASSED, STEP_FAILED, STEP_SKIPPED };

struct steps {
	const struct guest_plan *plan;
	struct port *port;
	unsigned slow;
	enum shell_when shell; /* NEVER once there was one */
	enum step_state states[JOB_STEPS_MAX];
	struct running running[RUNNING_MAX];
	size_t running_len;
	bool has_groups; /* each step has a control group of its own */
	char **env; /* owned; points into the plan */
	bool has_pipefail;
	int signal_fd;
	uint64_t next_stat_ms;
	uint8_t frame[FRAME_HEADER_LEN + FRAME_PAYLOAD_MAX];
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

/* Control groups tell what belongs to which step when several run: whatever a step starts stays in its group. */

static void make_groups(struct steps *s)
{
	s->has_groups = s->plan->is_any_order && (!mkdir(GROUPS_FOLDER, 0700) || errno == EEXIST) &&
			!mount("cgroup2", GROUPS_FOLDER, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

static bool write_group(uint16_t index, const char *file, const char *text)
{
	char path[64];
	snprintf(path, sizeof path, GROUPS_FOLDER "/step-%03u%s", index, file);
	CLEANUP(cleanup_fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, text, strlen(text)) > 0;
}

static void make_group(const struct steps *s, uint16_t index)
{
	char path[64];
	snprintf(path, sizeof path, GROUPS_FOLDER "/step-%03u", index);
	if (s->has_groups && mkdir(path, 0700) && errno != EEXIST)
		port_note(s->port, "no control group for step %u: %s", index + 1u, strerror(errno));
}

static void join_group(const struct steps *s, uint16_t index)
{
	if (s->has_groups && !write_group(index, "/cgroup.procs", "0"))
		dprintf(2, "talkoo-init: no control group: %s\n", strerror(errno));
}

/* In the child: never returns. */
static void exec_step(const struct steps *s, uint16_t index, const char *script, int output)
{
	sigset_t none;
	join_group(s, index);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	system_oom_score("500");
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

static struct running *find_running(struct steps *s, pid_t pid)
{
	for (size_t i = 0; i < s->running_len; i++) {
		if (s->running[i].pid == pid)
			return &s->running[i];
	}
	return NULL;
}

/* Collects every child that has ended. False when there are none at all any more. */
static bool reap(struct steps *s)
{
	for (;;) {
		int status = 0;
		const pid_t pid = waitpid(-1, &status, WNOHANG);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid <= 0)
			return pid == 0;
		struct running *const r = find_running(s, pid);
		if (r) {
			r->has_ended = true;
			r->exit_code = exit_code_of(status);
		}
	}
}

/* Everything of one step while others run; what has left its group lives until the last of them ends. */
static void kill_step(const struct steps *s, const struct running *r)
{
	if (s->running_len == 1)
		kill(-1, SIGKILL);
	else if (!s->has_groups || !write_group(r->index, "/cgroup.kill", "1"))
		kill(-r->pid, SIGKILL);
}

/* After a step: nothing of it is left. When it was the only one everything goes but init and the kernel's own threads;
 * whoever was reparented to us is waited for. */
static void kill_rest(struct steps *s, const struct running *r)
{
	kill_step(s, r);
	for (const uint64_t end = system_now_ms() + KILL_WAIT_MS; s->running_len == 1;) {
		if (!reap(s) || system_now_ms() > end)
			return;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		kill(-1, SIGKILL);
	}
}

/* One read of a step's output. False at its end, or when there is none now. */
static bool forward(struct steps *s, struct running *r)
{
	if (r->output < 0)
		return false;
	const ssize_t n = read(r->output, s->frame + FRAME_HEADER_LEN, FRAME_PAYLOAD_MAX);
	if (n < 0 && errno == EINTR)
		return true;
	if (n == 0)
		cleanup_fd(&r->output); /* the step closed its output and perhaps lives on */
	if (n <= 0)
		return false;
	port_output(s->port, r->index, s->frame, (size_t)n);
	return true;
}

static void tell_limit(struct steps *s, const struct running *r, enum guest_limit limit)
{
	const uint8_t which = (uint8_t)limit;
	port_frame(s->port, FRAME_LIMIT, r->index, &which, sizeof which);
}

/* Ends the steps whose own time ran out. Returns how long until the next one's does, at most most_ms. */
static int end_late(struct steps *s, uint64_t now, int most_ms)
{
	for (size_t i = 0; i < s->running_len; i++) {
		struct running *const r = &s->running[i];
		if (!r->deadline_ms || r->is_timed_out)
			continue;
		if (now < r->deadline_ms) {
			most_ms = r->deadline_ms - now < (uint64_t)most_ms ? (int)(r->deadline_ms - now) : most_ms;
			continue;
		}
		r->is_timed_out = true;
		port_note(s->port, "step %u ran longer than its timeout and is ended", r->index + 1u);
		tell_limit(s, r, GUEST_LIMIT_TIME);
		kill_step(s, r);
	}
	return most_ms;
}

/* Until a step has ended, its output is forwarded. */
static void watch(struct steps *s)
{
	struct pollfd fds[1 + RUNNING_MAX] = {{.fd = s->signal_fd, .events = POLLIN}};
	const uint64_t now = system_now_ms();
	const int wait = end_late(s, now, now >= s->next_stat_ms ? 0 : (int)(s->next_stat_ms - now));
	for (size_t i = 0; i < s->running_len; i++)
		fds[1 + i] = (struct pollfd){.fd = s->running[i].output, .events = POLLIN};
	if (poll(fds, 1 + s->running_len, wait) > 0) {
		for (size_t i = 0; i < s->running_len; i++) {
			if (fds[1 + i].revents)
				forward(s, &s->running[i]);
		}
		struct signalfd_siginfo info;
		while (fds[0].revents & POLLIN && read(s->signal_fd, &info, sizeof info) > 0) {
		}
		reap(s);
	}
	stat_if_due(s, s->running[0].index);
}

static int write_script(const struct steps *s, size_t index, char *ret_path, size_t size, struct err *err)
{
	snprintf(ret_path, size, SCRIPT_FOLDER "/step-%03zu", index);
	if (mkdir(SCRIPT_FOLDER, 0755) && errno != EEXIST)
		return err_errno(err, errno, "making " SCRIPT_FOLDER);
	unlink(ret_path);
	CLEANUP(cleanup_fd) int fd = open(ret_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	if (fd < 0)
		return err_errno(err, errno, "writing %s", ret_path);
	const struct buf *const script = &s->plan->steps[index].script;
	char trap[512] = "";
	if (s->shell)
		shell_trap(trap, sizeof trap, ret_path);
	int rc = io_write_full(fd, trap, strlen(trap), err);
	if (!rc)
		rc = io_write_full(fd, script->data, script->len, err);
	return rc ? err_context(err, "writing %s", ret_path) : 0;
}

static int start(struct steps *s, struct running *r, struct err *err)
{
	char script[256];
	int pipe_fds[2];
	const int rc = write_script(s, r->index, script, sizeof script, err);
	if (rc)
		return rc;
	if (pipe2(pipe_fds, O_CLOEXEC))
		return err_errno(err, errno, "making a pipe");
	CLEANUP(cleanup_fd) int output = pipe_fds[1];
	r->output = pipe_fds[0];
	fcntl(r->output, F_SETPIPE_SZ, PIPE_BYTES);
	fcntl(r->output, F_SETFL, O_NONBLOCK);
	make_group(s, r->index);
	port_frame(s->port, FRAME_STEP_START, r->index, NULL, 0);
	r->pid = fork();
	if (r->pid < 0)
		return err_errno(err, errno, "starting step %u", r->index + 1u);
	if (r->pid == 0)
		exec_step(s, r->index, script, output);
	return 0;
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

/* Takes a step that has ended off the list. */
static void finish_step(struct steps *s, size_t at)
{
	struct running *const r = &s->running[at];
	uint8_t payload[4];
	kill_rest(s, r);
	while (forward(s, r)) {
	}
	if (!r->is_timed_out)
		tell_limits(s, r, proc_number("/proc/vmstat", "oom_kill") - r->oom_before);
	else if (!r->exit_code)
		r->exit_code = 128 + SIGKILL; /* it ended by itself just then: too late all the same */
	port_put_le(payload, (uint64_t)r->exit_code, 4);
	send_stat(s, r->index);
	port_frame(s->port, FRAME_STEP_END, r->index, payload, sizeof payload);
	s->states[r->index] = r->exit_code ? STEP_FAILED : STEP_PASSED;
	cleanup_fd(&r->output);
	memmove(r, r + 1, (s->running_len - at - 1) * sizeof *r);
	s->running_len--;
}

/* Whether all that the step needs has passed; a step that needs what did not pass will never run. */
static bool is_ready(struct steps *s, size_t index)
{
	const struct guest_step *const step = &s->plan->steps[index];
	bool has_all = true;
	for (size_t i = 0; i < index; i++) {
		if (!guest_step_needs(step, i))
			continue;
		if (s->states[i] == STEP_FAILED || s->states[i] == STEP_SKIPPED)
			s->states[index] = STEP_SKIPPED;
		has_all = has_all && s->states[i] == STEP_PASSED;
	}
	return has_all;
}

static bool has_failed(const struct steps *s)
{
	for (size_t i = 0; i < s->plan->steps_len; i++) {
		if (s->states[i] == STEP_FAILED)
			return true;
	}
	return false;
}

static int start_at(struct steps *s, size_t index, struct err *err)
{
	struct running *const r = &s->running[s->running_len];
	*r = (struct running){.index = (uint16_t)index, .pid = -1, .output = -1};
	r->oom_before = proc_number("/proc/vmstat", "oom_kill");
	const int rc = start(s, r, err);
	if (rc) {
		cleanup_fd(&r->output);
		return rc;
	}
	const uint64_t timeout_ms = s->plan->steps[index].timeout_ms;
	if (timeout_ms)
		r->deadline_ms = timeout_ms > UINT64_MAX / 2 / s->slow ? 0 : system_now_ms() + timeout_ms * s->slow;
	s->states[index] = STEP_RUNS;
	s->running_len++;
	return 0;
}

/* The step that failed, else the last one. */
static size_t step_to_show(const struct steps *s)
{
	for (size_t i = 0; i < s->plan->steps_len; i++) {
		if (s->states[i] == STEP_FAILED)
			return i;
	}
	return s->plan->steps_len - 1;
}

/* A person may look around where the steps left things; then all of it goes on as if nobody had. */
static void offer_shell(struct steps *s)
{
	char notes[64];
	struct err err = {0};
	snprintf(notes, sizeof notes, SCRIPT_FOLDER "/step-%03zu", step_to_show(s));
	s->shell = SHELL_NEVER;
	port_frame(s->port, FRAME_SHELL, 0, NULL, 0);
	if (shell_run(shell_path(s->plan), s->env, notes, &err))
		port_note(s->port, "no shell: %s", err.what);
	for (const uint64_t end = system_now_ms() + KILL_WAIT_MS; reap(s) && system_now_ms() < end;) {
		kill(-1, SIGKILL);
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
}

/* Starts what can run now: of the ordinary steps all that have what they need (what needs a step that did not pass is
 * skipped); when none is left, and one has failed, those for failures, one by one. */
static int start_ready(struct steps *s, struct err *err)
{
	int rc = 0;
	for (size_t i = 0; i < s->plan->steps_len && s->running_len < RUNNING_MAX && !rc; i++) {
		if (s->states[i] == STEP_WAITS && !s->plan->steps[i].on_failure && is_ready(s, i))
			rc = start_at(s, i, err);
	}
	if (s->shell && !s->running_len && !rc && has_failed(s))
		offer_shell(s);
	for (size_t i = 0; i < s->plan->steps_len && !s->running_len && !rc && has_failed(s); i++) {
		if (s->states[i] == STEP_WAITS && s->plan->steps[i].on_failure)
			rc = start_at(s, i, err);
	}
	return rc;
}

static int run_steps(struct steps *s, struct err *err)
{
	for (;;) {
		const int rc = start_ready(s, err);
		if (rc || !s->running_len)
			return rc;
		watch(s);
		for (size_t i = s->running_len; i-- > 0;) {
			if (s->running[i].has_ended)
				finish_step(s, i);
		}
	}
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
	system_oom_score("-1000");
	/* before whatever the steps start, were it thousands; they themselves get the ordinary class back */
	const struct sched_param priority = {.sched_priority = 1};
	sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &priority);
	s->has_pipefail = shell_has_pipefail(shell_path(s->plan));
	s->next_stat_ms = system_now_ms() + STAT_EVERY_MS;
	make_groups(s);
	const int rc = run_steps(s, err);
	if (!rc && s->shell == SHELL_ALWAYS)
		offer_shell(s);
	*ret_all_passed = !has_failed(s);
	return rc;
}

int steps_run(const struct guest_plan *plan, struct port *port, const struct steps_options *options, bool *ret_all_passed, struct err *err)
{
	struct steps *const s = calloc(1, sizeof *s);
	if (!s)
		return err_set(err, ERR_NOMEM, "out of memory for the steps");
	s->plan = plan;
	s->port = port;
	s->slow = options->slow ? options->slow : 1;
	s->shell = options->shell;
	s->signal_fd = -1;
	const int rc = run_all(s, ret_all_passed, err);
	cleanup_fd(&s->signal_fd);
	free(s->env);
	free(s);
	return rc;
}
