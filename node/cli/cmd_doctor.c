/* talkoo doctor: what this machine can do, and how to mend what it cannot. Works with and without a running node. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "node/cli/client.h"
#include "node/cli/cmds.h"
#include "node/cli/exitcode.h"
#include "node/cli/launch.h"
#include "node/cli/nodecall.h"
#include "node/cli/workplace.h"
#include "node/config.h"
#include "node/identity.h"
#include "policy/policy.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "proto/base/units.h"
#include "runner/image.h"
#include "runner/machine.h"

#define PROBE_ANSWER_MAX 8192
#define POLICY_FILE_MAX (1u << 20)
#define GIB (UINT64_C(1) << 30)
#define LANDLOCK_SINCE "5.13"

#define STATES(X) X(CHECK_OK, "ok", OUT_GOOD) X(CHECK_WARN, "warn", OUT_WARN) X(CHECK_FAIL, "FAIL", OUT_BAD)

enum check_state {
#define X(name, text, style) name,
	STATES(X)
#undef X
};

struct doctor {
	struct cli *c;
	struct workplace place;
	struct config config;
	bool has_config;
	struct image image;   /* what the accelerator is proven with; name "" when there is none */
	json_t *checks;
	size_t failed, warned;
};

static void doctor_release(struct doctor *d)
{
	image_release(&d->image);
	json_decref(d->checks);
}

static void say(struct doctor *d, const char *name, enum check_state state, const char *text, const char *fix)
{
	static const struct {
		const char *text;
		enum out_style style;
	} states[] = {
#define X(id, label, colour) {label, colour},
		STATES(X)
#undef X
	};
	static const char *const json_names[] = {"ok", "warn", "fail"};
	struct out *o = &d->c->out;
	d->failed += state == CHECK_FAIL;
	d->warned += state == CHECK_WARN;
	out_print(o, states[state].style, "%-5s", states[state].text);
	out_print(o, OUT_BOLD, "%-12s", name);
	out_print(o, OUT_PLAIN, "%s\n", OUT_FOREIGN(text));
	if (state != CHECK_OK && fix && *fix)
		out_print(o, OUT_PLAIN, "     %-12sfix: %s\n", "", OUT_FOREIGN(fix));
	fflush(o->answer);
	json_array_append_new(d->checks, json_pack("{s:s,s:s,s:s,s:s}", "name", name, "state", json_names[state], "text", OUT_FOREIGN(text), "fix",
						   state != CHECK_OK && fix ? OUT_FOREIGN(fix) : ""));
}

static void say_err(struct doctor *d, const char *name, enum check_state state, const struct err *err)
{
	say(d, name, state, err->what, err->hint);
}

static void check_node(struct doctor *d)
{
	struct home *home = &d->place.home;
	struct err err = {0};
	struct identity *identity = NULL;
	char text[PATH_MAX + 64];
	if (!home_is_made(home)) {
		snprintf(text, sizeof text, "no node in %s ('talkoo run' works without one)", home->state);
		say(d, "node", CHECK_WARN, text, "talkoo init");
		return;
	}
	if (identity_load(home->key, &identity, &err)) {
		say_err(d, "node", CHECK_FAIL, &err);
		return;
	}
	char id[NODE_ID_TEXT_MAX];
	say(d, "node", CHECK_OK, node_id_format(id, identity_id(identity)), NULL);
	identity_free(identity);
	if (config_load(home, &d->config, &err))
		say_err(d, "config", CHECK_FAIL, &err);
	else
		d->has_config = true;
}

static void check_policy(struct doctor *d)
{
	struct err err = {0};
	struct policy *policy = NULL;
	const struct node_id nobody = {0};
	CLEANUP(buf_release) struct buf person;
	CLEANUP(buf_release) struct buf cli;
	buf_init(&person, POLICY_FILE_MAX);
	buf_init(&cli, POLICY_FILE_MAX);
	if (!home_is_made(&d->place.home))
		return;
	int code = io_read_file(d->place.home.policy_file, &person, &err);
	if (!code || code == ERR_NOT_FOUND)
		code = io_read_file(d->place.home.policy_cli, &cli, &err);
	if (!code || code == ERR_NOT_FOUND)
		code = policy_parse(person.len ? buf_cstr(&person) : NULL, person.len, cli.len ? buf_cstr(&cli) : NULL, cli.len, &nobody, &policy,
				    &err);
	if (code) {
		say_err(d, "policy", CHECK_FAIL, &err);
		return;
	}
	json_t *rules = policy_to_json(policy);
	char text[64];
	snprintf(text, sizeof text, "%zu rule%s; what no rule allows is denied", json_array_size(rules), json_array_size(rules) == 1 ? "" : "s");
	say(d, "policy", CHECK_OK, text, NULL);
	json_decref(rules);
	policy_free(policy);
}

static void check_running(struct doctor *d)
{
	struct home *home = &d->place.home;
	CLEANUP(client_close) struct client *client = NULL;
	CLEANUP(client_free_json) json_t *status = NULL;
	struct err err = {0};
	char text[PATH_MAX + 64];
	if (!home_is_made(home))
		return;
	int code = client_open(home, &client, &err);
	if (!code)
		code = nodecall_on(client, json_pack("{s:s}", "op", "status"), &status, &err);
	if (code) {
		say_err(d, "running", CHECK_WARN, &err);
		return;
	}
	snprintf(text, sizeof text, "%s, version %s; log: %s", jtext(status, "state"), jtext(status, "version"), home->log);
	say(d, "running", CHECK_OK, text, NULL);
}

static void check_images(struct doctor *d)
{
	CLEANUP(image_list_release) struct image_list list = {0};
	struct err err = {0};
	char text[PATH_MAX + 64];
	if (image_list(d->place.images, &list, &err)) {
		say_err(d, "images", CHECK_FAIL, &err);
		return;
	}
	if (!list.len) {
		snprintf(text, sizeof text, "none in %s", d->place.images);
		say(d, "images", CHECK_FAIL, text, "talkoo image build mini");
		return;
	}
	snprintf(text, sizeof text, "%zu, the first is %s@%s", list.len, list.images[0].name, list.images[0].version);
	if (list.broken)
		snprintf(text, sizeof text, "%zu, and %zu broken", list.len, list.broken);
	say(d, "images", list.broken ? CHECK_WARN : CHECK_OK, text, "'talkoo image list' names the folder: build them again, or remove them");
	char ref[IMAGE_REF_MAX];
	snprintf(ref, sizeof ref, "%s@%s", list.images[0].name, list.images[0].version);
	if (image_find(d->place.images, ref, &d->image, &err))
		say_err(d, "images", CHECK_FAIL, &err);
}

static void check_qemu(struct doctor *d)
{
	char path[PATH_MAX], runner[PATH_MAX];
	struct err err = {0};
	if (launch_find_program("talkoo-runner", runner, &err))
		say_err(d, "runner", CHECK_FAIL, &err);
	if (machine_qemu_find("x86_64", path, sizeof path, &err))
		say_err(d, "qemu", CHECK_FAIL, &err);
	else
		say(d, "qemu", CHECK_OK, path, NULL);
}

/* `talkoo-runner probe`: its one line of JSON, or the error it printed. */
static int probe(struct doctor *d, json_t **ret, struct err *err)
{
	char program[PATH_MAX], ref[IMAGE_REF_MAX];
	int pair[2];
	int code = launch_find_program("talkoo-runner", program, err);
	if (!code)
		code = io_mkdirs(d->place.home.state, 0700, NULL);
	if (code)
		return code;
	snprintf(ref, sizeof ref, "%s@%s", d->image.name, d->image.version);
	if (pipe(pair))
		return err_errno(err, errno, "cannot make a pipe");
	const pid_t pid = fork();
	if (!pid) {
		signal(SIGPIPE, SIG_DFL);
		dup2(pair[1], 1);
		dup2(pair[1], 2);
		close(pair[0]);
		close(pair[1]);
		execl(program, program, "probe", d->place.images, ref, d->place.accel_cache, cli_has(d->c, "again") ? "--again" : (char *)NULL,
		      (char *)NULL);
		_exit(127);
	}
	cleanup_fd(&pair[1]);
	char text[PROBE_ANSWER_MAX] = "";
	const ssize_t got = pid < 0 ? -1 : io_read_full(pair[0], text, sizeof text - 1, NULL);
	cleanup_fd(&pair[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	*ret = got > 0 ? json_loads(text, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	if (*ret)
		return 0;
	char *hint = strstr(text, "\nhint: ");
	if (hint)
		*hint = 0;
	err_set(err, ERR_IO, "%s", !strncmp(text, "error: ", 7) ? text + 7 : *text ? text : "talkoo-runner probe said nothing");
	return hint ? err_hint(err, "%s", hint + 7) : err->code;
}

static void check_isolation(struct doctor *d, const char *isolation)
{
	char text[256];
	struct utsname kernel;
	if (!strcmp(isolation, "none")) {
		say(d, "isolation", CHECK_FAIL, "no namespaces: strangers' jobs are refused",
		    "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, or an AppArmor profile), or run the node as root");
		return;
	}
	if (!strstr(isolation, ",uid,"))
		say(d, "uid", CHECK_WARN, "QEMU runs under the node's own uid",
		    "install uidmap and give the user sub-uids: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER; an image"
		    " that others may not read has the same effect");
	if (!strstr(isolation, "seccomp"))
		say(d, "seccomp", CHECK_WARN, "no filter of system calls", "a kernel with CONFIG_SECCOMP_FILTER adds a layer");
	if (strstr(isolation, "landlock")) {
		say(d, "isolation", CHECK_OK, isolation, NULL);
		return;
	}
	snprintf(text, sizeof text, "%s; no Landlock on kernel %s", isolation, uname(&kernel) ? "?" : kernel.release);
	say(d, "isolation", CHECK_WARN, text, "a kernel since " LANDLOCK_SINCE " with 'landlock' among its lsm= adds a layer");
}

static void check_cgroup(struct doctor *d, const json_t *answer)
{
	char text[400];
	if (*jtext(answer, "cgroup")) {
		snprintf(text, sizeof text, "a group of its own for each job: %s", jtext(answer, "cgroup"));
		say(d, "cgroup", CHECK_OK, text, NULL);
		return;
	}
	snprintf(text, sizeof text, "none for jobs: %s; QEMU's own memory has no ceiling beside the guest's",
		 *jtext(answer, "cgroup_why") ? jtext(answer, "cgroup_why") : "the runner is of another version");
	say(d, "cgroup", CHECK_WARN, text, jtext(answer, "cgroup_hint"));
}

static void check_accel(struct doctor *d)
{
	CLEANUP(client_free_json) json_t *answer = NULL;
	struct err err = {0};
	char text[512];
	if (!*d->image.name)
		return; /* said already: without an image nothing can be proven */
	if (probe(d, &answer, &err)) {
		say_err(d, "accelerator", CHECK_FAIL, &err);
		return;
	}
	const bool is_kvm = !strcmp(jtext(answer, "accel"), "kvm");
	snprintf(text, sizeof text, "%s: %s%s", is_kvm ? "KVM" : "emulation only", jtext(answer, "why"), jbool(answer, "cached") ? " (remembered)" : "");
	say(d, "accelerator", is_kvm ? CHECK_OK : CHECK_WARN, text, jtext(answer, "hint"));
	check_isolation(d, jtext(answer, "isolation"));
	check_cgroup(d, answer);
}

static void check_disk(struct doctor *d)
{
	struct statvfs fs;
	char text[PATH_MAX], free_text[UNITS_TEXT_MAX], min_text[UNITS_TEXT_MAX];
	/* the nearest folder that is there: the state folder may not be made yet */
	char path[PATH_MAX];
	memcpy(path, d->place.home.state, sizeof path);
	while (statvfs(path, &fs) && strrchr(path, '/') != path)
		*strrchr(path, '/') = 0;
	const uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize, all = (uint64_t)fs.f_blocks * fs.f_frsize;
	const uint64_t least = d->has_config ? d->config.caps.free_disk_bytes : 5 * GIB;
	const bool is_tight = free_bytes < least || free_bytes < all / 10;
	snprintf(text, sizeof text, "%s free on %s%s%s", units_format_size(free_text, free_bytes), path, is_tight ? "; nothing is built with less than 10 % or " : "",
		 is_tight ? units_format_size(min_text, least) : "");
	say(d, "disk", is_tight ? CHECK_FAIL : CHECK_OK, text, "free some space, or put the node elsewhere with --home");
}

static void check_memory(struct doctor *d)
{
	const long pages = sysconf(_SC_AVPHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	char text[128], free_text[UNITS_TEXT_MAX], all_text[UNITS_TEXT_MAX];
	struct config_machine machine;
	config_machine(&machine);
	const uint64_t free_bytes = (uint64_t)pages * (uint64_t)size;
	snprintf(text, sizeof text, "%u cores, %s, %s of it free", machine.cores, units_format_size(all_text, machine.memory_bytes),
		 units_format_size(free_text, free_bytes));
	say(d, "machine", machine.memory_bytes < GIB ? CHECK_WARN : CHECK_OK, text, "a job wants about 512 MiB: use small 'memory:' limits");
}

static void check_clock(struct doctor *d)
{
	struct timex now = {0};
	char text[UNITS_TEXT_MAX + 64], at[UNITS_TEXT_MAX];
	const int state = adjtimex(&now);
	struct timespec real;
	clock_gettime(CLOCK_REALTIME, &real);
	units_format_time(at, (uint64_t)real.tv_sec * 1000);
	const bool is_synchronised = state >= 0 && state != TIME_ERROR && !(now.status & STA_UNSYNC);
	snprintf(text, sizeof text, "%s%s", at, is_synchronised ? ", kept by a time service" : "; no time service keeps it");
	say(d, "clock", is_synchronised ? CHECK_OK : CHECK_WARN, text, "install systemd-timesyncd or chrony: results carry times, and peers refuse a wrong clock");
}

static void check_network(struct doctor *d)
{
	char text[ADDR_TEXT_MAX + 64];
	if (!d->has_config)
		return;
	snprintf(text, sizeof text, "%s%s; %zu seed%s", *d->config.listen ? "listens on " : "dials out only", d->config.listen, d->config.seeds_len,
		 d->config.seeds_len == 1 ? "" : "s");
	say(d, "network", CHECK_OK, text, NULL);
}

int cmd_doctor(struct cli *c, struct err *err)
{
	CLEANUP(doctor_release) struct doctor d = {.c = c, .checks = json_array()};
	const int code = workplace_find(c->home, &d.place, NULL);
	/* a broken config.yml is one of the findings, not the end of them */
	if (code && home_find(c->home, &d.place.home, err))
		return err->code;
	if (code) {
		memcpy(d.place.images, d.place.home.images, sizeof d.place.images);
		memcpy(d.place.accel_cache, d.place.home.accel_cache, sizeof d.place.accel_cache);
	}
	check_node(&d);
	check_policy(&d);
	check_running(&d);
	check_qemu(&d);
	check_images(&d);
	check_accel(&d);
	check_disk(&d);
	check_memory(&d);
	check_clock(&d);
	check_network(&d);
	CLEANUP(client_free_json)
	json_t *answer = json_pack("{s:i,s:b,s:O,s:I,s:I}", "v", 1, "ok", d.failed == 0, "checks", d.checks, "failed", (json_int_t)d.failed, "warned",
				   (json_int_t)d.warned);
	if (c->out.json)
		out_json(&c->out, answer);
	if (d.failed)
		out_print(&c->out, OUT_BAD, "%zu thing%s to mend before jobs can run\n", d.failed, d.failed == 1 ? "" : "s");
	else
		out_print(&c->out, OUT_GOOD, "jobs can run here\n");
	return d.failed ? EXITCODE_OWN : EXITCODE_DONE;
}
