#include "runner/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/supervisor_parts.h"

#define DIAGNOSTICS_BYTES_MAX (64u << 10)
#define DRAIN_MS 1000     /* the launcher's time to take the report */
#define ROUND_MESSAGES 64 /* of one stage before deadlines and the launcher are looked at again: a flood starves nothing */
#define ROUND_BYTES (64u << 10) /* the same for what children print */

static const uint64_t default_deadlines[DEADLINES_LEN] = {
#define X(name, ms, text) [name] = ms,
	DEADLINES(X)
#undef X
};

void supervisor_options_init(struct supervisor_options *o)
{
	*o = (struct supervisor_options){0};
	memcpy(o->deadline_ms, default_deadlines, sizeof default_deadlines);
}

static uint64_t clock_read_ms(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t supervisor_now_ms(void)
{
	/* goes on while the machine sleeps: a deadline is real time */
	return clock_read_ms(CLOCK_BOOTTIME);
}

void supervisor_stage_began(struct supervisor *s, enum stage_id id, enum deadline deadline)
{
	struct child *c = &s->children[id];
	c->started_ms = supervisor_now_ms();
	c->deadline_ms = deadline == DEADLINES_LEN ? 0 : c->started_ms + s->options->deadline_ms[deadline];
	events_stage(&s->events, c->started_ms, id, true);
}

static bool is_running(const struct supervisor *s, enum stage_id id)
{
	return s->children[id].pid > 0;
}

bool supervisor_anything_runs(const struct supervisor *s)
{
	for (int id = 0; id < STAGE_IDS_LEN; id++)
		if (is_running(s, (enum stage_id)id))
			return true;
	return false;
}

/* states */

/* The outcome is settled. The log stage may finish: once QEMU is gone it comes to the end by itself. */
void supervisor_enter_ending(struct supervisor *s)
{
	if (s->state >= SUPERVISOR_ENDING)
		return;
	s->state = SUPERVISOR_ENDING;
	s->ending_deadline_ms = supervisor_now_ms() + s->options->deadline_ms[DEADLINE_ENDING];
	for (int id = 0; id < STAGE_IDS_LEN; id++)
		if (id != STAGE_LOG)
			child_kill(&s->children[id]);
}

static void enter_collect(struct supervisor *s)
{
	bool skip = false;
	s->state = SUPERVISOR_COLLECT;
	if (!supervisor_start_collect(s, &skip)) {
		supervisor_enter_ending(s);
	} else if (skip) {
		tally_judge(&s->tally);
		supervisor_enter_ending(s);
	}
}

void supervisor_enter_vm(struct supervisor *s)
{
	struct tally *t = &s->tally;
	if (t->report.accel != JOB_ACCEL_KVM && (!t->plan.emulation_allowed || t->plan.accel == JOB_ACCEL_KVM)) {
		tally_settle(t, JOB_REFUSED,
			     "run 'talkoo doctor' to see why KVM is not proven here; a rule may say allow_emulation: true",
			     "the job needs a proven KVM, and this machine has none");
		supervisor_enter_ending(s);
		return;
	}
	if (s->boots == 0) {
		tally_set_timeout(t);
		events_plan(&s->events, supervisor_now_ms(), &t->report);
	}
	s->state = SUPERVISOR_VM;
	if (!supervisor_start_vm(s))
		supervisor_enter_ending(s);
}

static void enter_accel(struct supervisor *s)
{
	bool skip = false;
	s->state = SUPERVISOR_ACCEL;
	if (!supervisor_start_accel(s, &skip))
		supervisor_enter_ending(s);
	else if (skip)
		supervisor_enter_vm(s);
}

/* What the plan fetches; else the stage that waited for it goes. */
static void enter_get(struct supervisor *s)
{
	const struct stage_msg go = {.type = STAGE_MSG_FETCH_GO};
	if (!s->tally.fetches) {
		child_kill(&s->children[STAGE_GET]);
		enter_accel(s);
		return;
	}
	s->state = SUPERVISOR_GET;
	supervisor_stage_began(s, STAGE_GET, DEADLINE_FETCH);
	supervisor_tell_get(s, &go);
	if (s->tally.is_settled)
		supervisor_enter_ending(s);
}

/* Fetched, or not: then the stage said why not. */
static void after_get(struct supervisor *s)
{
	if (s->state != SUPERVISOR_GET)
		return;
	if (s->tally.has_deps) {
		enter_accel(s);
		return;
	}
	tally_settle(&s->tally, JOB_ERROR, NULL, "the get stage did not say what it fetched");
	supervisor_enter_ending(s);
}

static void enter_pack(struct supervisor *s)
{
	s->state = SUPERVISOR_PACK;
	if (!supervisor_start_pack(s))
		supervisor_enter_ending(s);
}

static void enter_first(struct supervisor *s)
{
	const struct job_plan *p = &s->tally.plan;
	if (p->isolation_required && !s->facts.has_namespaces) {
		tally_settle(&s->tally, JOB_REFUSED, "allow user namespaces, or run the node as root; 'talkoo doctor' says how",
			     "this machine cannot isolate a stranger's job");
		supervisor_enter_ending(s);
		return;
	}
	if (p->source.url[0] && !supervisor_start_fetch(s)) {
		supervisor_enter_ending(s);
		return;
	}
	if (!supervisor_start_get(s)) {
		supervisor_enter_ending(s);
		return;
	}
	/* fetch and get have the network; from here on nobody else does */
	struct err err = {0};
	if (jail_drop_network(&s->facts, &err) < 0) {
		tally_settle(&s->tally, JOB_ERROR, NULL, "%s", err.what);
		supervisor_enter_ending(s);
	} else if (p->source.url[0]) {
		s->state = SUPERVISOR_FETCH;
	} else {
		enter_pack(s);
	}
}

/* Both QEMU and the log stage are gone. */
static void after_vm(struct supervisor *s)
{
	struct tally *t = &s->tally;
	if (!t->is_settled && t->guest_is_done) {
		enter_collect(s);
		return;
	}
	tally_judge(t);
	supervisor_enter_ending(s);
}

static void advance(struct supervisor *s, enum stage_id ended)
{
	switch (ended) {
	case STAGE_FETCH:
		enter_pack(s);
		break;
	case STAGE_PACK:
		enter_get(s);
		break;
	case STAGE_GET:
		after_get(s);
		break;
	case STAGE_ACCEL:
		supervisor_enter_vm(s);
		break;
	case STAGE_VM:
	case STAGE_LOG:
		if (!is_running(s, STAGE_VM) && !is_running(s, STAGE_LOG))
			after_vm(s);
		break;
	case STAGE_COLLECT:
		tally_judge(&s->tally);
		supervisor_enter_ending(s);
		break;
	case STAGE_IDS_LEN:
		break;
	}
}

/* messages */

/* What a message means for deadlines and processes; what it says is the tally's. */
static void react(struct supervisor *s, const struct stage_msg *msg, uint64_t now_ms)
{
	struct child *vm = &s->children[STAGE_VM];
	if (msg->type == STAGE_MSG_GUEST_READY)
		vm->deadline_ms = s->tally.report.limits.timeout_ms > UINT64_MAX - now_ms ?
					  UINT64_MAX :
					  now_ms + s->tally.report.limits.timeout_ms;
	if (msg->type == STAGE_MSG_GUEST_READY && s->tally.plan.shell[0])
		close(JOB_SHELL_FD); /* this machine has it, and there will be no other */
	if (msg->type == STAGE_MSG_SHELL)
		vm->deadline_ms = 0; /* a person takes the time it takes */
	if (msg->type == STAGE_MSG_FETCH_ITEM)
		supervisor_tell_get(s, msg);
	/* the guest's last word; all it wrote is with the host. Its own power-off would only take time. */
	if (msg->type == STAGE_MSG_GUEST_DONE)
		child_kill(vm);
	if (s->tally.is_settled)
		supervisor_enter_ending(s);
}

/* The rest waits for the next round; what a stage left behind that is gone is read to its end (most: SIZE_MAX). */
static void read_messages(struct supervisor *s, enum stage_id id, size_t most)
{
	struct child *c = &s->children[id];
	for (size_t i = 0; i < most; i++) {
		struct stage_msg msg;
		const enum stage_recv got = c->msg_fd < 0 ? STAGE_RECV_END : stage_recv(c->msg_fd, id, &msg);
		if (got == STAGE_RECV_NOTHING)
			return;
		const uint64_t now_ms = supervisor_now_ms();
		if (got == STAGE_RECV_MSG && tally_message(&s->tally, id, &msg, now_ms)) {
			react(s, &msg, now_ms);
			continue;
		}
		if (got != STAGE_RECV_END) {
			tally_settle(&s->tally, JOB_ERROR, NULL, "the %s stage sent a message that makes no sense", stage_name(id));
			child_kill(c);
			supervisor_enter_ending(s);
		}
		cleanup_fd(&c->msg_fd);
		c->msg_fd = -1;
		return;
	}
}

/* ends of children */

static void keep_diagnostics(struct supervisor *s)
{
	char bytes[4096];
	ssize_t got;
	for (size_t read_bytes = 0; read_bytes < ROUND_BYTES && (got = read(s->diagnostics_fd, bytes, sizeof bytes)) > 0;
	     read_bytes += (size_t)got) {
		const uint64_t room = DIAGNOSTICS_BYTES_MAX - s->diagnostics_bytes;
		const size_t kept = (uint64_t)got < room ? (size_t)got : (size_t)room;
		s->diagnostics_bytes += kept;
		if (io_write_full(s->diagnostics_file_fd, bytes, kept, NULL) < 0)
			s->diagnostics_bytes = DIAGNOSTICS_BYTES_MAX; /* a full disk: the rest is read and dropped */
	}
}

static const char *how_it_ended(int status, char *out, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(out, size, "killed by signal %d, %s", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(out, size, "exit status %d", WEXITSTATUS(status));
	return out;
}

/* QEMU went by itself. With status 0 the guest powered off or reset: the log stage's messages tell which. */
static void vm_ended(struct supervisor *s, int status)
{
	char how[128], words[256];
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	keep_diagnostics(s);
	workdir_last_words(&s->dir, words, sizeof words);
	how_it_ended(status, how, sizeof how);
	if (cgroup_vm_was_ended(s->cgroup))
		tally_settle(&s->tally, JOB_ERROR, "this is a bug of QEMU's or an attack",
			     "QEMU took more memory than this machine needs, and was ended by its control group");
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		tally_settle(&s->tally, JOB_TIMEOUT, "give the job more time", "the job took more cpu time than its processors have in its time limit");
	else if (s->tally.guest_is_ready)
		tally_settle(&s->tally, JOB_ERROR, "if memory is short here, QEMU may have been killed for it: see the system's log",
			     "QEMU died while the job ran (%s)", how);
	else
		tally_settle(&s->tally, JOB_ERROR, "see qemu.log in the job's folder", "QEMU could not start (%s)%s%s", how,
			     words[0] ? ": " : "", words);
}

static void stage_ended(struct supervisor *s, enum stage_id id, int status)
{
	struct child *c = &s->children[id];
	const uint64_t now_ms = supervisor_now_ms();
	read_messages(s, id, SIZE_MAX); /* what it said before it went */
	if (id == STAGE_VM && is_running(s, STAGE_LOG))
		s->children[STAGE_LOG].deadline_ms = now_ms + s->options->deadline_ms[DEADLINE_LOG];
	uint64_t *const timings[STAGE_IDS_LEN] = {
		[STAGE_FETCH] = &s->tally.report.timings.fetch_ms,
		[STAGE_PACK] = &s->tally.report.timings.pack_ms,
		[STAGE_COLLECT] = &s->tally.report.timings.collect_ms,
	};
	if (id == STAGE_GET && c->started_ms)
		s->tally.report.timings.fetch_ms += now_ms - c->started_ms;
	if (timings[id])
		*timings[id] = now_ms - c->started_ms;
	if (c->started_ms) /* get may have waited in vain */
		events_stage(&s->events, now_ms, id, false);
	const bool was_killed = c->is_killed;
	child_forget(c);
	if (!was_killed && id == STAGE_VM && !s->tally.is_settled) {
		vm_ended(s, status);
	} else if (!was_killed && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
		char how[128];
		tally_settle(&s->tally, JOB_ERROR, "see qemu.log in the job's folder; this is a bug of Talkoo's or an attack",
			     "the %s stage crashed (%s)", stage_name(id), how_it_ended(status, how, sizeof how));
	}
	if (s->tally.is_settled)
		supervisor_enter_ending(s);
	if (s->state < SUPERVISOR_ENDING)
		advance(s, id);
}

static void reap(struct supervisor *s)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int id = 0; id < STAGE_IDS_LEN; id++)
			if (s->children[id].pid == pid) {
				stage_ended(s, (enum stage_id)id, status);
				break;
			}
}

/* the launcher */

static void abandon(struct supervisor *s, const char *why)
{
	tally_settle(&s->tally, JOB_ABANDONED, NULL, "%s", why);
	supervisor_enter_ending(s);
}

/* Whole lines; the one that is known is "cancel". */
static void take_input(struct supervisor *s, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != '\n') {
			/* an overlong line is none that is known: its tail overwrites the last place */
			s->input[s->input_len] = bytes[i];
			s->input_len += s->input_len < sizeof s->input - 1;
			continue;
		}
		if (s->input_len == 6 && !memcmp(s->input, "cancel", 6))
			abandon(s, "the job was cancelled");
		s->input_len = 0;
	}
}

static void read_input(struct supervisor *s)
{
	char bytes[256];
	const ssize_t got = read(s->input_fd, bytes, sizeof bytes);
	if (got > 0) {
		take_input(s, bytes, (size_t)got);
	} else if (got == 0 || (errno != EINTR && errno != EAGAIN)) {
		s->input_fd = -1;
		abandon(s, "the launcher went away");
	}
}

static void read_signals(struct supervisor *s)
{
	struct signalfd_siginfo info;
	while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
		if (info.ssi_signo != SIGCHLD)
			abandon(s, "the runner was told to stop");
	reap(s);
}

/* the loop */

enum { WATCH_INPUT, WATCH_SIGNALS, WATCH_ALIVE, WATCH_DIAGNOSTICS, WATCH_OUTPUT, WATCH_STAGES };

static void run_once(struct supervisor *s)
{
	struct pollfd fds[WATCH_STAGES + STAGE_IDS_LEN] = {
		[WATCH_INPUT] = {s->input_fd, POLLIN, 0},
		[WATCH_SIGNALS] = {s->signal_fd, POLLIN, 0},
		[WATCH_ALIVE] = {s->alive_fd, 0, 0},
		[WATCH_DIAGNOSTICS] = {s->diagnostics_fd, POLLIN, 0},
		[WATCH_OUTPUT] = {events_pending(&s->events) ? s->events.fd : -1, POLLOUT, 0},
	};
	for (int id = 0; id < STAGE_IDS_LEN; id++)
		fds[WATCH_STAGES + id] = (struct pollfd){s->children[id].msg_fd, POLLIN, 0};
	if (poll(fds, ARRAY_LEN(fds), supervisor_poll_timeout(s)) < 0)
		return; /* EINTR: the next round sees the same */
	if (fds[WATCH_DIAGNOSTICS].revents)
		keep_diagnostics(s);
	for (int id = 0; id < STAGE_IDS_LEN; id++)
		if (fds[WATCH_STAGES + id].revents && s->children[id].msg_fd == fds[WATCH_STAGES + id].fd)
			read_messages(s, (enum stage_id)id, ROUND_MESSAGES);
	if (fds[WATCH_SIGNALS].revents)
		read_signals(s);
	if (fds[WATCH_INPUT].revents)
		read_input(s);
	if (fds[WATCH_ALIVE].revents)
		abandon(s, "the runner's first process went away");
	if (fds[WATCH_OUTPUT].revents)
		events_flush(&s->events);
	supervisor_check_deadlines(s);
}

/* beginning and end */

static int open_signals(int *ret_fd, struct err *err)
{
	sigset_t set;
	sigemptyset(&set);
	const int numbers[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT};
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		sigaddset(&set, numbers[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_errno(err, errno, "cannot block signals");
	signal(SIGPIPE, SIG_IGN);
	*ret_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *ret_fd < 0 ? err_errno(err, errno, "cannot watch signals") : 0;
}

static int open_all(struct supervisor *s, struct err *err)
{
	int pipe_fds[2];
	int rc = open_signals(&s->signal_fd, err);
	if (rc == 0)
		rc = workdir_open(&s->dir, s->tally.plan.dir, err);
	if (rc == 0)
		rc = workdir_create(&s->dir, WORKDIR_DIAGNOSTICS, 0, &s->diagnostics_file_fd, err);
	if (rc == 0 && pipe2(pipe_fds, O_CLOEXEC) < 0)
		rc = err_errno(err, errno, "cannot make a pipe");
	if (rc < 0)
		return rc;
	s->diagnostics_fd = pipe_fds[0];
	fcntl(s->diagnostics_fd, F_SETFL, O_NONBLOCK);
	s->crew = (struct crew){.facts = &s->facts, .dir = &s->dir, .plan = &s->tally.plan, .diagnostics_fd = pipe_fds[1], .cgroup = s->cgroup};
	return 0;
}

/* The artifacts, from the stage that wrote them. */
static void take_back(struct supervisor *s)
{
	char path[PATH_MAX + sizeof WORKDIR_ARTIFACTS];
	struct stat st;
	snprintf(path, sizeof path, "%s/" WORKDIR_ARTIFACTS, s->dir.path);
	if (s->dir.fd >= 0 && s->facts.uids[STAGE_COLLECT] && lstat(path, &st) == 0 && !jail_give(path, 0))
		events_note(&s->events, supervisor_now_ms(), "some artifacts still belong to the stage that collected them");
}

/* Folder swept, report written to it and to the launcher. Returns the exit status. */
static int report(struct supervisor *s)
{
	struct err err = {0};
	keep_diagnostics(s);
	supervisor_cache_settle(s);
	take_back(s);
	if (s->dir.fd >= 0 && workdir_sweep(&s->dir, &err) < 0)
		events_note(&s->events, supervisor_now_ms(), err.what);
	tally_finish(&s->tally, supervisor_now_ms(), clock_read_ms(CLOCK_REALTIME));
	json_t *json = job_report_to_json(&s->tally.report);
	CLEANUP(cleanup_free) char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (!text)
		return 1; /* no memory: the first process reports for us */
	if (s->dir.fd >= 0 && workdir_report(&s->dir, text, &err) < 0)
		events_note(&s->events, supervisor_now_ms(), err.what);
	events_report(&s->events, text);
	events_drain(&s->events, DRAIN_MS);
	return events_pending(&s->events) ? SUPERVISOR_UNREAD : 0;
}

/* Where memory runs out, a job goes before anything of the donor's own. Before the process is no longer dumpable: then its
 * /proc is root's. */
static void expect_little_mercy(void)
{
	CLEANUP(cleanup_fd) int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "500", 3) < 0) {
		/* a lower limit was set for us: that one holds */
	}
}

int supervisor_run(const struct jail_facts *facts, int alive_fd, void *ctx)
{
	const struct supervisor_job *job = ctx;
	static struct supervisor s; /* large, and there is one a process */
	s.options = job->options;
	s.facts = *facts;
	s.alive_fd = alive_fd;
	s.input_fd = STDIN_FILENO;
	s.dir.fd = s.diagnostics_fd = s.diagnostics_file_fd = s.signal_fd = -1;
	for (int id = 0; id < STAGE_IDS_LEN; id++)
		child_init(&s.children[id]);
	expect_little_mercy();
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	const uint64_t now_ms = supervisor_now_ms();
	events_init(&s.events, STDOUT_FILENO, now_ms);
	tally_init(&s.tally, job->plan, &s.events, now_ms, clock_read_ms(CLOCK_REALTIME));
	struct err err = {0};
	s.cgroup = job->cgroup;
	const int entered = cgroup_enter(s.cgroup, CGROUP_STAGES, &err);
	s.facts.has_cgroup = entered == 0 && s.cgroup->path[0];
	jail_describe(&s.facts, s.tally.report.isolation, sizeof s.tally.report.isolation);
	if (entered < 0 || open_all(&s, &err) < 0) {
		tally_settle(&s.tally, JOB_ERROR, err.hint, "%s", err.what);
		supervisor_enter_ending(&s);
	} else {
		enter_first(&s);
		take_input(&s, job->rest, strlen(job->rest));
	}
	supervisor_check_deadlines(&s);
	while (s.state != SUPERVISOR_DONE)
		run_once(&s);
	return report(&s);
}
