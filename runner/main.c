/* talkoo-runner: runs one job (job.h says how it is spoken to), or proves this machine's accelerator. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "proto/base/buf.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/units.h"
#include "runner/cgroup.h"
#include "runner/convert.h"
#include "runner/crew.h"
#include "runner/events.h"
#include "runner/probe.h"
#include "runner/supervisor.h"
#include "runner/workdir.h"

#define PLAN_BYTES_MAX (256u << 10)
#define REPORT_MS 1000 /* a launcher's time to read on */
#define STOP_MS 2000 /* from a SIGTERM to the end of the whole tree */

extern char **environ;

static const char usage[] =
	"Usage: talkoo-runner job [--deadline NAME=MS]... [--machine PROFILE]\n"
	"       talkoo-runner probe STORE IMAGE CACHEFILE [--again]\n"
	"       talkoo-runner convert FORMAT MAXBYTES FROM TO\n"
	"Runs one job of Talkoo's in a virtual machine. Started by talkoo and talkood, not by hand:\n"
	"job reads a plan as one line of JSON from standard input and writes events and the report to\n"
	"standard output, one JSON object a line. probe says which accelerator works here. convert makes\n"
	"a raw disk of a qcow2 or raw one, in a jail; TO exists and is empty.\n"
	"  --deadline NAME=MS  for tests: fetch, pack, accel, boot-kvm, boot-tcg, collect, log, ending\n"
	"  --machine PROFILE   q35 or microvm\n"
	"  -h, --help          this text\n"
	"      --version       version\n"
	"Environment: TALKOO_QEMU names another QEMU program.\n";

static int fail_usage(const char *what)
{
	fprintf(stderr, "error: %s\nhint: talkoo-runner --help\n", what);
	return 2;
}

/* options */

static const char *const deadline_names[DEADLINES_LEN] = {
#define X(name, ms, text) [name] = text,
	DEADLINES(X)
#undef X
};

static bool parse_deadline(struct supervisor_options *o, const char *text)
{
	const char *equals = strchr(text, '=');
	uint64_t ms;
	if (!equals || !units_parse_number(equals + 1, &ms) || ms == 0 || ms > 86400000)
		return false;
	for (size_t i = 0; i < DEADLINES_LEN; i++)
		if (strlen(deadline_names[i]) == (size_t)(equals - text) && !strncmp(deadline_names[i], text, strlen(deadline_names[i]))) {
			o->deadline_ms[i] = ms;
			return true;
		}
	return false;
}

/* The environment is the launcher's business: what a stage needs is set anew, and nothing lies about in memory. */
static void forget_environment(struct supervisor_options *o)
{
	const char *qemu = getenv("TALKOO_QEMU");
	if (qemu)
		snprintf(o->qemu, sizeof o->qemu, "%s", qemu);
	for (char **entry = environ; *entry; entry++)
		if (strncmp(*entry, "PATH=", 5) != 0)
			memset(*entry, 0, strlen(*entry));
	char path[4096];
	snprintf(path, sizeof path, "%s", getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
	clearenv();
	setenv("PATH", path, 1);
}

/* the plan */

/* Up to the first newline; what came with it stays behind in *ret_rest (lent, inside b). */
static int read_plan_line(struct buf *b, char **ret_rest, struct err *err)
{
	char *newline = NULL;
	while (!newline) {
		uint8_t *room = buf_reserve(b, 4096);
		if (!room)
			return err_set(err, ERR_LIMIT, "the plan on standard input is too long");
		const ssize_t got = read(STDIN_FILENO, room, 4096);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return err_set(err, ERR_INVALID, "standard input ended before the plan's line did");
		buf_commit(b, (size_t)got);
		newline = memchr(room, '\n', (size_t)got);
	}
	*newline = '\0';
	*ret_rest = newline + 1;
	return 0;
}

static int parse_plan(const char *line, struct job_plan *ret, struct err *err)
{
	json_error_t why;
	json_t *json = json_loads(line, JSON_REJECT_DUPLICATES, &why);
	if (!json)
		return err_set(err, ERR_INVALID, "the plan is not JSON: %s", why.text);
	const int rc = job_plan_from_json(json, ret, err);
	json_decref(json);
	return rc;
}

/* waiting for the supervisor */

static volatile sig_atomic_t told_to_stop;

static void on_signal(int number)
{
	(void)number;
	told_to_stop = 1;
}

static void watch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		sigaddset(&set, numbers[i]);
		sigaction(numbers[i], &action, NULL);
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static uint64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The child's wait status. A signal to us is passed on once; who does not end in time is killed. */
static int wait_for(pid_t pid)
{
	uint64_t stop_ms = 0;
	sigset_t none;
	sigemptyset(&none);
	CLEANUP(cleanup_fd) int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = {.fd = pid_fd, .events = POLLIN};
	for (;;) {
		int status;
		const pid_t got = waitpid(pid, &status, WNOHANG);
		if (got == pid)
			return status;
		if (told_to_stop && !stop_ms) {
			stop_ms = now_ms() + STOP_MS;
			kill(pid, SIGTERM);
		}
		if (stop_ms && now_ms() >= stop_ms)
			kill(pid, SIGKILL);
		/* signals are let in here alone, so none is missed */
		const struct timespec soon = {.tv_nsec = 50000000};
		ppoll(&p, 1, p.fd < 0 || stop_ms ? &soon : NULL, &none);
	}
}

/* The supervisor left no report: we say what is known. */
static int report_for_it(const struct job_plan *plan, int status)
{
	struct job_report r = {.outcome = JOB_ERROR, .accel = JOB_ACCEL_AUTO, .plan_origin = plan->plan_origin, .limits = plan->limits};
	snprintf(r.reason, sizeof r.reason, "the runner's supervisor died (%s %d)", WIFSIGNALED(status) ? "signal" : "exit status",
		 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	const size_t commit_len = strlen(plan->source.commit);
	if (commit_len == 40 || commit_len == 64) /* a report's commit is never a short id */
		snprintf(r.commit, sizeof r.commit, "%s", plan->source.commit);
	snprintf(r.hint, sizeof r.hint, "if memory is short here, it may have been killed for it; try again");
	r.finished_unix_ms = r.started_unix_ms = (uint64_t)time(NULL) * 1000;
	json_t *json = job_report_to_json(&r);
	CLEANUP(cleanup_free) char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	struct workdir dir = {.fd = -1};
	if (text && workdir_open(&dir, plan->dir, NULL) == 0 &&
	    (workdir_sweep(&dir, NULL) < 0 || workdir_report(&dir, text, NULL) < 0))
		fprintf(stderr, "error: cannot tidy up %s\n", plan->dir);
	workdir_close(&dir);
	CLEANUP(events_release) struct events events;
	events_init(&events, STDOUT_FILENO, 0);
	events_report(&events, ""); /* ends what the supervisor may have left half said */
	events_report(&events, text ? text : "");
	events_drain(&events, REPORT_MS);
	return text && !events_pending(&events) ? 0 : 1;
}

/* The control group of a job, where there is one to be had; ret->path "" else, and the result's isolation says so. */
#define JOB_PROCESSES 640 /* QEMU's threads, and the stages' */
static void open_group(const struct job_plan *plan, struct cgroup_host *host, struct cgroup *ret)
{
	const struct cgroup_limits limits = {
		.stages_memory_bytes = crew_memory_max(plan),
		.processes = JOB_PROCESSES,
		.yields = plan->isolation_required, /* a stranger's */
	};
	struct err err = {0};
	*ret = (struct cgroup){.io = cgroup_kernel()};
	if (cgroup_find(cgroup_kernel(), host) && cgroup_open(cgroup_kernel(), host, getpid(), &limits, ret, &err) < 0)
		snprintf(host->why, sizeof host->why, "%.250s", err.what);
}

static int run_job(struct supervisor_options *options)
{
	static struct job_plan plan;
	CLEANUP(buf_release) struct buf line;
	buf_init(&line, PLAN_BYTES_MAX);
	char *rest = NULL;
	struct err err = {0};
	if (read_plan_line(&line, &rest, &err) < 0 || parse_plan((const char *)line.data, &plan, &err) < 0) {
		err_print(&err, stderr);
		return 2;
	}
	if (plan.shell[0] && fcntl(JOB_SHELL_FD, F_SETFD, FD_CLOEXEC) < 0)
		return fail_usage("the plan has a shell, but there is no descriptor for it");
	watch_signals();
	struct cgroup_host host;
	CLEANUP(cgroup_close) struct cgroup cgroup;
	open_group(&plan, &host, &cgroup);
	struct supervisor_job job = {&plan, options, rest, &cgroup};
	pid_t pid;
	if (jail_cradle(supervisor_run, &job, &pid, &err) < 0) {
		err_print(&err, stderr);
		return 1;
	}
	if (plan.shell[0])
		close(JOB_SHELL_FD); /* its end is to be seen when QEMU is gone */
	const int status = wait_for(pid);
	cgroup_close(&cgroup);
	if (WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == SUPERVISOR_UNREAD))
		return WEXITSTATUS(status) == 0 ? 0 : 1;
	return report_for_it(&plan, status);
}

/* body as the first process of new namespaces; its exit status. */
static int run_jailed(jail_body_fn body, void *ctx)
{
	watch_signals();
	pid_t pid;
	struct err err = {0};
	if (jail_cradle(body, ctx, &pid, &err) < 0) {
		err_print(&err, stderr);
		return 1;
	}
	const int status = wait_for(pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int run_convert(char **args)
{
	struct convert_request r = {.format = args[0], .from = args[2], .to = args[3]};
	char folder[PATH_MAX];
	snprintf(folder, sizeof folder, "%s", r.to);
	if (!convert_format_is_known(r.format) || !units_parse_number(args[1], &r.max_bytes) || !r.max_bytes || r.from[0] != '/' || r.to[0] != '/' ||
	    strlen(r.to) >= sizeof folder)
		return fail_usage("convert: FORMAT is qcow2 or raw, MAXBYTES a number, FROM and TO absolute paths");
	*strrchr(folder, '/') = 0;
	r.mount_point = folder;
	return run_jailed(convert_run, &r);
}

static int run_probe(struct probe_request *req)
{
	static const struct job_plan none;
	CLEANUP(cgroup_close) struct cgroup cgroup;
	open_group(&none, &req->cgroup_host, &cgroup);
	req->cgroup = &cgroup;
	return run_jailed(probe_run, req);
}

enum { OPTION_VERSION = 256, OPTION_DEADLINE, OPTION_MACHINE, OPTION_AGAIN };

static const struct option long_options[] = {
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"deadline", required_argument, NULL, OPTION_DEADLINE},
	{"machine", required_argument, NULL, OPTION_MACHINE},
	{"again", no_argument, NULL, OPTION_AGAIN},
	{NULL, 0, NULL, 0},
};

int main(int argc, char **argv)
{
	struct supervisor_options options;
	struct probe_request probe = {.options = &options};
	supervisor_options_init(&options);
	for (int c; (c = getopt_long(argc, argv, "h", long_options, NULL)) != -1;) {
		if (c == 'h')
			return fputs(usage, stdout) < 0;
		if (c == OPTION_VERSION)
			return puts("talkoo-runner " PACKAGE_VERSION) < 0;
		if (c == OPTION_AGAIN)
			probe.force = true;
		else if (c == OPTION_DEADLINE ? !parse_deadline(&options, optarg)
					      : c != OPTION_MACHINE || !machine_profile_parse(optarg, &options.profile))
			return fail_usage("an option makes no sense");
	}
	forget_environment(&options);
	if (argc - optind == 1 && !strcmp(argv[optind], "job"))
		return run_job(&options);
	if (argc - optind == 4 && !strcmp(argv[optind], "probe")) {
		probe.store = argv[optind + 1];
		probe.image = argv[optind + 2];
		probe.cache_path = argv[optind + 3];
		return run_probe(&probe);
	}
	if (argc - optind == 5 && !strcmp(argv[optind], "convert"))
		return run_convert(argv + optind + 1);
	return fail_usage("what should be done?");
}
