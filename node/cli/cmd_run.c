/* talkoo run: a commit's job here, without a node. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/cli/cmds.h"
#include "node/cli/exitcode.h"
#include "node/cli/failview.h"
#include "node/cli/client.h"
#include "node/cli/launch.h"
#include "node/cli/runsource.h"
#include "node/cli/shellterm.h"
#include "node/cli/treeplan.h"
#include "node/cli/view.h"
#include "node/cli/workplace.h"
#include "node/cli/writeout.h"
#include "node/blobs.h"
#include "node/config.h"
#include "proto/base/cleanup.h"
#include "proto/base/io.h"
#include "runner/cachekey.h"
#include "runner/image.h"

#define TICK_MS 100
#define LOG_READ_SIZE (256u << 10)
#define INLINE_IMAGE "mini"
#define EMULATION_FACTOR 15
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define CACHES_CAP (4 * GIB)
#define HOUR_MS (UINT64_C(3600000))

struct run {
	struct cli *c;
	const char *cell;     /* NULL: the plan must have none */
	const char *snapshot; /* folder for the working tree's objects; NULL: what is committed runs */
	char out[PATH_MAX]; /* where artifacts go; "" = nowhere */
	struct workplace place;
	struct workplace_run folder;
	struct runsource source;
	struct job_plan plan;
	struct view view;
	struct launch *launch;
	int log_fd;
	int shell_fd; /* our end of the VM's shell port, or -1 */
	uint64_t log_at;
	bool is_cancelled;
	json_t *report_json;
	struct job_report report;
	bool has_report;
};

static void run_release(struct run *r)
{
	launch_free(&r->launch);
	cleanup_fd(&r->log_fd);
	cleanup_fd(&r->shell_fd);
	runsource_release(&r->source);
	workplace_run_release(&r->folder);
	json_decref(r->report_json);
	job_report_release(&r->report);
}

/* One's own job on one's own machine: ceilings against accidents, not against strangers. What a plan does not say is
 * taken from here too, so a plan that is known already (asked, else NULL) only raises what it names. */
static void set_limits(struct job_plan *plan, const struct plan_resources *asked)
{
	struct config_machine machine;
	config_machine(&machine);
	const uint64_t half = machine.memory_bytes / 2, most = machine.memory_bytes / 4 * 3;
	plan->limits = (struct job_limits){
		.cpus = machine.cores,
		.memory_bytes = half < 4 * GIB ? half : asked ? 2 * GIB : 4 * GIB,
		.disk_bytes = asked ? 10 * GIB : 64 * GIB,
		.timeout_ms = asked ? HOUR_MS / 2 : 4 * HOUR_MS,
		.log_bytes = 64 * MIB,
		.artifact_bytes = 4 * GIB,
		.artifact_count = JOB_ARTIFACTS_MAX,
		.source_bytes = 4 * GIB,
	};
	plan->accel = JOB_ACCEL_AUTO;
	plan->emulation_allowed = true;
	plan->timeout_factor_emulated = EMULATION_FACTOR;
	if (!asked)
		return;
	struct job_limits *l = &plan->limits;
	if (asked->memory_bytes > l->memory_bytes)
		l->memory_bytes = asked->memory_bytes < most ? asked->memory_bytes : most;
	if (asked->disk_bytes > l->disk_bytes)
		l->disk_bytes = asked->disk_bytes < 256 * GIB ? asked->disk_bytes : 256 * GIB;
	if (asked->timeout_ms > l->timeout_ms)
		l->timeout_ms = asked->timeout_ms;
}

static int set_text(char *out, size_t size, const char *text, const char *what, struct err *err)
{
	if (strlen(text) >= size)
		return err_set(err, ERR_USAGE, "%s: longer than %zu bytes", what, size - 1);
	strcpy(out, text);
	return 0;
}

/* Before anything starts: the plan must be right and its image here. For a URL the runner finds out after the fetch. */
static int check_image(struct run *r, const char *image, struct err *err)
{
	struct image found = {0};
	const int code = image_find(r->place.images, image, &found, err);
	if (!code)
		image_touch(&found);
	image_release(&found);
	return code;
}

/* For a plan that names no image: the only one that is here. */
static int choose_image(struct run *r, const char *path, struct err *err)
{
	struct image_list list = {0};
	const int code = image_list(r->place.images, &list, err);
	const bool is_clear = !code && list.len == 1;
	if (is_clear)
		snprintf(r->plan.image, sizeof r->plan.image, "%s@%s", list.images[0].name, list.images[0].version);
	image_list_release(&list);
	if (code || is_clear)
		return code;
	err_set(err, ERR_USAGE, "%s names no image, and not exactly one is here", path);
	return err_hint(err, "say which with --image; 'talkoo image list' shows what is here");
}

static int set_plan(struct run *r, struct err *err)
{
	const char *cmd = cli_option(r->c, "cmd"), *image = cli_option(r->c, "image"), *cell = r->cell;
	int code = image ? set_text(r->plan.image, sizeof r->plan.image, image, "--image", err) : 0;
	if (!code && image)
		code = check_image(r, image, err);
	if (code)
		return code;
	if (cmd) {
		struct plan_found found = {0};
		r->plan.plan_origin = JOB_ORIGIN_INLINE;
		set_limits(&r->plan, &(struct plan_resources){0});
		if (!image)
			strcpy(r->plan.image, INLINE_IMAGE);
		code = plan_inline(cmd, r->plan.image, &found, err);
		plan_found_release(&found);
		if (!code)
			code = check_image(r, r->plan.image, err);
		return code ? code : set_text(r->plan.inline_cmd, sizeof r->plan.inline_cmd, cmd, "--cmd", err);
	}
	r->plan.plan_origin = JOB_ORIGIN_TREE;
	code = cell ? set_text(r->plan.cell, sizeof r->plan.cell, cell, "--cell", err) : 0;
	if (code)
		return code;
	if (!r->source.repo)
		return 0;
	CLEANUP(plan_found_release) struct plan_found found = {0};
	code = treeplan_find_cell(r->source.repo, r->source.commit.id, cell, &found, err);
	if (!code && !cell && found.cells_len > 1)
		code = treeplan_find_cell(r->source.repo, r->source.commit.id, "", &found, err); /* refuses, and lists them */
	if (code)
		return code;
	memcpy(r->plan.cell, found.cell, sizeof r->plan.cell);
	r->plan.plan_origin = found.origin;
	set_limits(&r->plan, &found.plan.resources);
	memcpy(r->plan.plan_path, found.path, sizeof r->plan.plan_path);
	memcpy(r->plan.plan_sha256, found.sha256, sizeof r->plan.plan_sha256);
	if (image)
		return 0;
	if (*found.plan.image)
		return check_image(r, found.plan.image, err);
	return choose_image(r, found.path, err);
}

/* The checkout, or the URL, is the project; a detached HEAD is a ref of its own. */
static void set_cache(struct run *r)
{
	const struct job_source *s = &r->plan.source;
	const bool is_trusted = !*s->ref || cachekey_ref_is_trusted(s->ref);
	memcpy(r->plan.cache_store, r->place.caches, sizeof r->plan.cache_store);
	cachekey_scope(runsource_place(s, r->source.is_snapshot), is_trusted ? s->ref : CACHEKEY_REF_READ, r->plan.cache_scope);
	r->plan.cache_bytes = 2 * GIB;
	r->plan.cache_may_write = is_trusted && !*r->plan.shell; /* what a person did by hand is not for later runs */
	memcpy(r->plan.fetch_store, r->place.fetched, sizeof r->plan.fetch_store);
	r->plan.fetch_any_host = true;
	r->plan.fetch_bytes = 4 * GIB;
}

static int find_source(struct cli *c, const char *mirrors, const char *snapshot, struct runsource *ret, struct err *err)
{
	const struct runsource_ask ask = {cli_arg(c, 0), cli_option(c, "commit"), cli_option(c, "ref"), mirrors, snapshot};
	return runsource_find(&ask, ret, err);
}

static int set_shell(struct run *r, struct err *err)
{
	struct cli *c = r->c;
	const char *when = cli_option(c, "shell");
	if (!cli_has(c, "shell"))
		return 0;
	if (when && strcmp(when, "always") != 0)
		return err_set(err, ERR_USAGE, "--shell=%s: only 'always' can be said", when);
	if (c->out.json)
		return err_set(err, ERR_USAGE, "--shell: is for a person, --json for a program");
	strcpy(r->plan.shell, when ? "always" : "failed");
	return shellterm_check(err);
}

static int prepare(struct run *r, struct err *err)
{
	struct cli *c = r->c;
	int code = workplace_find(c->home, &r->place, err);
	if (!code)
		code = set_shell(r, err);
	if (!code)
		code = find_source(c, r->place.mirrors, r->snapshot, &r->source, err);
	if (code)
		return code;
	r->plan.source = r->source.source;
	set_limits(&r->plan, NULL);
	memcpy(r->plan.image_store, r->place.images, sizeof r->plan.image_store);
	memcpy(r->plan.accel_cache, r->place.accel_cache, sizeof r->plan.accel_cache);
	set_cache(r);
	code = set_plan(r, err);
	if (!code && *r->out)
		code = writeout_check(r->out, err);
	if (!code && !r->source.repo)
		code = io_mkdirs(r->place.mirrors, 0700, err);
	if (!code)
		code = workplace_run_new(&r->place, &r->folder, err);
	if (code)
		return code;
	if (snprintf(r->plan.dir, sizeof r->plan.dir, "%s/job", r->folder.folder) >= (int)sizeof r->plan.dir)
		return err_set(err, ERR_LIMIT, "%s: the path is too long", r->folder.folder);
	return mkdir(r->plan.dir, 0700) ? err_errno(err, errno, "cannot make %s", r->plan.dir) : 0;
}

static void say_what(struct run *r)
{
	struct out *o = &r->c->out;
	if (!r->source.repo) {
		out_note(o, OUT_DIM, "commit ");
		out_note(o, OUT_PLAIN, "%s of %s\n", *r->plan.source.commit ? r->plan.source.commit : "the tip", r->plan.source.url);
		return;
	}
	out_note(o, OUT_DIM, r->source.is_snapshot ? "working tree on " : "commit ");
	if (r->cell)
		out_note(o, OUT_PLAIN, "cell %s of ", OUT_FOREIGN(r->cell));
	out_note(o, OUT_PLAIN, "%.12s  %s\n", r->source.commit.id, OUT_FOREIGN(r->source.commit.subject));
	if (r->source.changes)
		out_note(o, OUT_WARN, "note: %zu file%s of this checkout differ%s from the commit; what runs is %s\n", r->source.changes,
			 r->source.changes == 1 ? "" : "s", r->source.changes == 1 ? "s" : "",
			 r->source.is_snapshot ? "the files as they are" : "the commit (--dirty runs the files as they are)");
}

static void open_log(struct run *r)
{
	char path[PATH_MAX + 8];
	if (r->log_fd >= 0)
		return;
	snprintf(path, sizeof path, "%s/log", r->plan.dir);
	r->log_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static void log_as_json(struct run *r, const uint8_t *bytes, size_t len)
{
	CLEANUP(buf_release) struct buf safe;
	buf_init(&safe, 4 * (size_t)LOG_READ_SIZE);
	sanitise_feed(&r->view.log_state, bytes, len, &safe);
	CLEANUP(client_free_json) json_t *event = json_pack("{s:i,s:s,s:s}", "v", 1, "type", "output", "text", buf_cstr(&safe));
	out_json(&r->c->out, event);
}

/* Shows what the log file has beyond what was shown. */
static void follow_log(struct run *r)
{
	open_log(r);
	CLEANUP(cleanup_free) uint8_t *chunk = r->log_fd >= 0 ? malloc(LOG_READ_SIZE) : NULL;
	for (ssize_t got = 1; chunk && got > 0;) {
		got = pread(r->log_fd, chunk, LOG_READ_SIZE, (off_t)r->log_at);
		if (got <= 0)
			break;
		r->log_at += (uint64_t)got;
		if (r->c->out.json)
			log_as_json(r, chunk, (size_t)got);
		else
			view_log(&r->view, chunk, (size_t)got);
	}
}

static int run_shell(struct run *r, struct err *err)
{
	struct out *o = &r->c->out;
	view_pause(&r->view);
	if (r->shell_fd < 0)
		return 0;
	out_note(o, OUT_BOLD, "a shell in the VM, where the step left off; 'exit' (or Ctrl-]) ends it, and the run goes on\n");
	const int code = shellterm_run(r->shell_fd, launch_signals(r->launch), err);
	cleanup_fd(&r->shell_fd); /* the shell's end, whatever it thinks of that */
	r->shell_fd = -1;
	out_note(o, OUT_DIM, "the shell has ended\n");
	return code;
}

static int take_event(struct run *r, json_t *event, struct err *err)
{
	const char *type = json_string_value(json_object_get(event, "type"));
	follow_log(r);
	if (type && !strcmp(type, "report")) {
		job_report_release(&r->report);
		const int code = job_report_from_json(event, &r->report, err);
		r->has_report = !code;
		json_decref(r->report_json);
		r->report_json = json_incref(event);
		return code;
	}
	if (type && !strcmp(type, "shell"))
		return run_shell(r, err);
	if (r->c->out.json && (!type || strcmp(type, "log")))
		out_json(&r->c->out, event);
	else
		view_event(&r->view, event);
	return 0;
}

static void cancel(struct run *r)
{
	view_pause(&r->view);
	out_note(&r->c->out, OUT_WARN, r->is_cancelled ? "ending it at once\n" : "cancelling (once more to end it at once)\n");
	r->is_cancelled = true;
	launch_cancel(r->launch);
}

static int no_report(struct run *r, struct err *err)
{
	view_pause(&r->view);
	if (r->is_cancelled) {
		r->report.outcome = JOB_ABANDONED;
		snprintf(r->report.reason, sizeof r->report.reason, "cancelled");
		return 0;
	}
	err_set(err, ERR_BUG, "talkoo-runner ended without a report (%s)", launch_how_ended(r->launch));
	const char *words = launch_last_words(r->launch);
	if (*words)
		return err_hint(err, "it said: %s", words);
	return err_hint(err, "'talkoo doctor' may know what is wrong with this machine");
}

static int follow(struct run *r, struct err *err)
{
	for (;;) {
		enum launch_what what;
		CLEANUP(client_free_json) json_t *event = NULL;
		int code = launch_next(r->launch, TICK_MS, &what, &event, err);
		if (code)
			return code;
		switch (what) {
		case LAUNCH_EVENT:
			code = take_event(r, event, err);
			if (code)
				return code;
			break;
		case LAUNCH_TICK: follow_log(r); break;
		case LAUNCH_SIGNAL: cancel(r); break;
		case LAUNCH_END: follow_log(r); return r->has_report ? 0 : no_report(r, err);
		}
		if (ferror(r->c->out.answer) && !r->is_cancelled)
			cancel(r); /* nobody reads on */
		if (!r->c->out.json)
			view_tick(&r->view);
	}
}

/* Which step failed, what it said last, and how to have it again: this very commit. */
static void show_failure(struct run *r)
{
	const struct cli *c = r->c;
	struct failview_step step;
	struct out notes = c->out;
	notes.answer = c->out.notes;
	notes.answer_colour = c->out.notes_colour;
	if (c->out.json || !failview_of_report(&r->report, &step))
		return;
	failview_print(&notes, &step, r->log_fd);
	const char *const pairs[][2] = {{"--commit", *r->report.commit && !r->source.is_snapshot ? r->report.commit : NULL},
					{"--ref", cli_option(c, "ref")},
					{"--cell", r->cell},
					{"--image", cli_option(c, "image")},
					{"--cmd", cli_option(c, "cmd")}};
	const char *words[FAILVIEW_WORDS_MAX] = {"talkoo", "run", cli_arg(c, 0)};
	size_t len = 3;
	if (r->source.is_snapshot)
		words[len++] = "--dirty";
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		if (pairs[i][1]) {
			words[len++] = pairs[i][0];
			words[len++] = pairs[i][1];
		}
	failview_again(&notes, words, len);
}

/* Artifacts out, the folder kept: what a person asked for beside the outcome. */
static int finish(struct run *r, struct err *err)
{
	const char *out = *r->out ? r->out : NULL;
	struct out *o = &r->c->out;
	int code = 0;
	if (out && r->report.artifacts_len) {
		code = writeout_run(r->plan.dir, &r->report, out, err);
		if (!code && !o->json)
			out_note(o, OUT_PLAIN, "%zu artifact%s in %s%s\n", r->report.artifacts_len, r->report.artifacts_len == 1 ? "" : "s",
				 out, r->report.artifacts_partial ? " (partial: the log says what is missing)" : "");
	}
	if (!code && cli_has(r->c, "keep"))
		code = workplace_run_keep(&r->folder, err);
	if (code)
		return code;
	if (cli_has(r->c, "keep") && !o->json)
		out_note(o, OUT_PLAIN, "kept: %s/job (log, artifacts)\n", r->folder.folder);
	else if (!out && r->report.artifacts_len && !o->json)
		out_note(o, OUT_PLAIN, "%zu artifact%s not kept (--out DIR puts them there)\n", r->report.artifacts_len,
			 r->report.artifacts_len == 1 ? " was" : "s were");
	if (o->json && r->report_json) {
		char digest[65];
		view_outcome_digest(&r->report, digest);
		if (*digest)
			json_object_set_new(r->report_json, "outcome_digest", json_string(digest));
		json_object_set_new(r->report_json, "dirty", json_boolean(r->source.is_snapshot));
		if (r->cell)
			json_object_set_new(r->report_json, "cell", json_string(r->cell));
		if (out)
			json_object_set_new(r->report_json, "out", json_string(out));
		if (cli_has(r->c, "keep"))
			json_object_set_new(r->report_json, "kept", json_string(r->folder.folder));
		out_json(o, r->report_json);
	}
	return 0;
}

static int start_runner(struct run *r, struct err *err)
{
	int pair[2] = {-1, -1};
	if (*r->plan.shell && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return err_errno(err, errno, "cannot make the shell's socket");
	r->shell_fd = pair[0];
	const int code = launch_start(&r->plan, pair[1], &r->launch, err);
	cleanup_fd(&pair[1]);
	return code;
}

/* One job, from its plan to its exit code. *ret_go_on: nobody cancelled it. */
static int run_one(struct cli *c, const char *snapshot, const char *cell, const char *out, bool *ret_go_on, struct err *err)
{
	CLEANUP(run_release) struct run r = {.c = c, .snapshot = snapshot, .cell = cell, .folder = {.lock_fd = -1}, .log_fd = -1, .shell_fd = -1};
	int code = set_text(r.out, sizeof r.out, out ? out : "", "--out", err);
	if (!code)
		code = prepare(&r, err);
	if (code)
		return code;
	say_what(&r);
	view_init(&r.view, &c->out, !c->out.json);
	code = start_runner(&r, err);
	if (!code)
		code = follow(&r, err);
	if (code)
		return code;
	*ret_go_on = !r.is_cancelled;
	(void)blobs_prune(r.place.caches, CACHES_CAP, NULL);
	(void)blobs_prune(r.place.fetched, CACHES_CAP, NULL);
	view_summary(&r.view, &r.report);
	show_failure(&r);
	code = finish(&r, err);
	return code ? code : (int)exitcode_of_outcome(r.report.outcome, r.report.accel);
}

/* The cells of the commit's plan, when they are known before a fetch and none was chosen. */
static int find_cells(struct cli *c, const char *snapshot, struct plan_found *ret, struct err *err)
{
	const char *where = cli_arg(c, 0);
	CLEANUP(runsource_release) struct runsource source = {0};
	if (cli_option(c, "cmd") || cli_option(c, "cell") || (where && runsource_kind_of(where) != RUNSOURCE_DIR))
		return 0;
	const int code = find_source(c, "", snapshot, &source, err);
	return code ? code : treeplan_find_cell(source.repo, source.commit.id, NULL, ret, err);
}

/* DIR/CELL, with what is no part of a file's name replaced. */
static int out_of_cell(const char *dir, const char *cell, char ret[PATH_MAX], struct err *err)
{
	const int len = snprintf(ret, PATH_MAX, "%s/%s", dir, cell);
	if (len >= PATH_MAX)
		return err_set(err, ERR_LIMIT, "%s: the path is too long", dir);
	for (char *p = ret + strlen(dir) + 1; *p; p++)
		*p = *p == '/' ? '_' : *p;
	return 0;
}

/* All of them, one after the other: every cell counts for the verdict, so a failed one does not end the rest. A failure outweighs what
 * is nobody's fault, as in a verdict. */
static int run_cells(struct cli *c, const char *snapshot, const struct plan_found *plan, struct err *err)
{
	const char *dir = cli_option(c, "out");
	int worst = 0;
	bool goes_on = true;
	for (size_t i = 0; i < plan->cells_len && goes_on; i++) {
		char out[PATH_MAX] = "";
		int code = dir ? out_of_cell(dir, plan->cells[i], out, err) : 0;
		if (!code && dir)
			code = io_mkdirs(dir, 0755, err);
		if (!code)
			code = run_one(c, snapshot, plan->cells[i], out, &goes_on, err);
		if (code < 0)
			return err_context(err, "cell %s", plan->cells[i]);
		if (!worst || code == EXITCODE_FAILED)
			worst = code;
	}
	return worst;
}

static int run_all(struct cli *c, const char *snapshot, struct err *err)
{
	CLEANUP(plan_found_release) struct plan_found plan = {0};
	bool goes_on = true;
	const int code = find_cells(c, snapshot, &plan, err);
	if (code)
		return code;
	if (plan.cells_len)
		return run_cells(c, snapshot, &plan, err);
	return run_one(c, snapshot, cli_option(c, "cell"), cli_option(c, "out"), &goes_on, err);
}

/* The working tree's objects lie in a folder of their own, as long as the command: every cell runs the same files. */
static int run_dirty(struct cli *c, struct err *err)
{
	CLEANUP(workplace_run_release) struct workplace_run folder = {.lock_fd = -1};
	struct workplace place;
	char objects[PATH_MAX];
	int code = workplace_find(c->home, &place, err);
	if (!code)
		code = workplace_run_new(&place, &folder, err);
	if (code)
		return code;
	if (snprintf(objects, sizeof objects, "%s/objects", folder.folder) >= (int)sizeof objects)
		return err_set(err, ERR_LIMIT, "%s: the path is too long", folder.folder);
	if (mkdir(objects, 0700))
		return err_errno(err, errno, "cannot make %s", objects);
	return run_all(c, objects, err);
}

int cmd_run(struct cli *c, struct err *err)
{
	return cli_has(c, "dirty") ? run_dirty(c, err) : run_all(c, NULL, err);
}
