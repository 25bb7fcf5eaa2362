#include "node/runner_uv.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/base/buf.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define LINE_MAX_BYTES (32u << 20) /* a report with 10,000 artifacts is one line */
#define READ_BYTES 65536
#define STEP_MS 2000

struct runner {
	uv_process_t process;
	uv_pipe_t in, out;
	uv_timer_t timer;
	struct runners *all;
	struct runner *next;
	struct id32 job;
	struct buf line;
	char how[128];
	bool has_exited, has_ended, is_stopping, in_closed;
	unsigned handles; /* open; the last close callback frees */
};

struct write {
	uv_write_t req;
	uv_buf_t bytes;
};

static void on_runner_closed(uv_handle_t *handle)
{
	struct runner *r = handle->data;
	if (--r->handles)
		return;
	buf_release(&r->line);
	free(r);
}

static void close_input(struct runner *r)
{
	if (r->in_closed)
		return;
	r->in_closed = true;
	uv_close((uv_handle_t *)&r->in, on_runner_closed);
}

/* The process is reaped and all it said is read: the end, once. */
static void finish(struct runner *r)
{
	if (!r->has_exited || !r->has_ended)
		return;
	struct runners *all = r->all;
	for (struct runner **at = &all->first; *at; at = &(*at)->next)
		if (*at == r) {
			*at = r->next;
			break;
		}
	const struct id32 job = r->job;
	char how[sizeof r->how];
	memcpy(how, r->how, sizeof how);
	close_input(r);
	uv_close((uv_handle_t *)&r->out, on_runner_closed);
	uv_close((uv_handle_t *)&r->timer, on_runner_closed);
	uv_close((uv_handle_t *)&r->process, on_runner_closed);
	all->on_end(all->user, &job, how);
}

static void on_runner_exit(uv_process_t *process, int64_t status, int number)
{
	struct runner *r = process->data;
	if (number)
		snprintf(r->how, sizeof r->how, "the runner was killed by signal %d", number);
	else if (status)
		snprintf(r->how, sizeof r->how, "the runner ended with status %d", (int)status);
	r->has_exited = true;
	finish(r);
}

static void on_runner_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	(void)suggested;
	struct runner *r = handle->data;
	uint8_t *at = buf_reserve(&r->line, READ_BYTES);
	*ret = uv_buf_init((char *)at, at ? READ_BYTES : 0);
}

static void give_lines(struct runner *r)
{
	size_t begin = 0;
	for (;;) {
		const uint8_t *at = r->line.data + begin, *end = memchr(at, '\n', r->line.len - begin);
		if (!end)
			break;
		r->all->on_line(r->all->user, &r->job, (const char *)at, (size_t)(end - at));
		begin = (size_t)(end - r->line.data) + 1;
	}
	buf_consume(&r->line, begin);
}

static void on_runner_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *bytes)
{
	(void)bytes;
	struct runner *r = stream->data;
	if (len > 0) {
		buf_commit(&r->line, (size_t)len);
		give_lines(r);
		return;
	}
	if (len == 0)
		return;
	if (len == UV_ENOBUFS) {
		log_warn("event=runner-line-too-long");
		uv_process_kill(&r->process, SIGKILL);
	}
	uv_read_stop(stream);
	r->has_ended = true;
	finish(r);
}

static void on_runner_written(uv_write_t *req, int status)
{
	(void)status; /* a runner that does not read ends by itself or by its deadline */
	struct write *w = (struct write *)req;
	free(w->bytes.base);
	free(w);
}

static int say(struct runner *r, char *text /* takes */)
{
	struct write *w = text ? calloc(1, sizeof *w) : NULL;
	if (w)
		w->bytes = uv_buf_init(text, (unsigned)strlen(text));
	if (w && !uv_write(&w->req, (uv_stream_t *)&r->in, &w->bytes, 1, on_runner_written))
		return 0;
	free(text);
	free(w);
	return ERR_IO;
}

/* What a donor never notices: last in line for processor and disk. Inherited by all that it forks. */
static void step_back(int pid)
{
	const struct sched_param none = {0};
	setpriority(PRIO_PROCESS, (id_t)pid, 19);
	sched_setscheduler(pid, SCHED_IDLE, &none);
	syscall(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, pid, 3 << 13 /* IOPRIO_CLASS_IDLE */);
}

static void runner_path(char *out, size_t size)
{
	const char *folder = getenv("TALKOO_LIBEXECDIR");
	snprintf(out, size, "%s/talkoo-runner", folder && folder[0] ? folder : TALKOO_LIBEXECDIR);
}

static int spawn(struct runner *r, struct err *err)
{
	char path[PATH_MAX], verb[] = "job";
	runner_path(path, sizeof path);
	char *args[] = {path, verb, NULL};
	uv_stdio_container_t stdio[3] = {
		{.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&r->in},
		{.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&r->out},
		{.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
	};
	const uv_process_options_t options = {
		.exit_cb = on_runner_exit, .file = path, .args = args, .stdio = stdio, .stdio_count = 3, .flags = UV_PROCESS_DETACHED};
	const int rc = uv_spawn(r->all->loop, &r->process, &options);
	if (!rc) {
		step_back(r->process.pid);
		return 0;
	}
	err_set(err, ERR_IO, "cannot start %s: %s", path, uv_strerror(rc));
	return err_hint(err, "it belongs to Talkoo's installation: install it again");
}

void runners_init(struct runners *rs, uv_loop_t *loop, void (*on_line)(void *, const struct id32 *, const char *, size_t),
		  void (*on_end)(void *, const struct id32 *, const char *), void *user)
{
	*rs = (struct runners){.loop = loop, .on_line = on_line, .on_end = on_end, .user = user};
}

static struct runner *runner_new(struct runners *rs, const struct id32 *job)
{
	struct runner *r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	r->all = rs;
	r->job = *job;
	buf_init(&r->line, LINE_MAX_BYTES);
	uv_pipe_init(rs->loop, &r->in, 0);
	uv_pipe_init(rs->loop, &r->out, 0);
	uv_timer_init(rs->loop, &r->timer);
	r->handles = 4; /* uv_spawn makes the process handle, also when it fails */
	r->process.data = r->in.data = r->out.data = r->timer.data = r;
	return r;
}

/* One line of JSON and its newline; NULL without memory. */
static char *plan_line(const struct job_plan *plan)
{
	json_t *object = job_plan_to_json(plan);
	char *text = object ? json_dumps(object, JSON_COMPACT) : NULL, *line = NULL;
	json_decref(object);
	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	return line;
}

int runners_start(struct runners *rs, const struct id32 *job, const struct job_plan *plan, struct err *err)
{
	char *line = plan_line(plan);
	struct runner *r = line ? runner_new(rs, job) : NULL;
	if (!r) {
		free(line);
		return err_set(err, ERR_NOMEM, "out of memory");
	}
	const int rc = spawn(r, err);
	if (rc) {
		free(line);
		close_input(r);
		uv_close((uv_handle_t *)&r->out, on_runner_closed);
		uv_close((uv_handle_t *)&r->timer, on_runner_closed);
		uv_close((uv_handle_t *)&r->process, on_runner_closed);
		return rc;
	}
	r->next = rs->first;
	rs->first = r;
	uv_read_start((uv_stream_t *)&r->out, on_runner_alloc, on_runner_read);
	if (say(r, line))
		uv_process_kill(&r->process, SIGKILL);
	return 0;
}

/* cancel was said: now harder, step by step */
static void on_runner_timer(uv_timer_t *timer)
{
	struct runner *r = timer->data;
	if (!r->in_closed)
		close_input(r);
	else if (!r->has_exited)
		uv_process_kill(&r->process, SIGKILL);
}

void runners_stop(struct runners *rs, const struct id32 *job)
{
	struct runner *r = rs->first;
	while (r && !id32_eq(&r->job, job))
		r = r->next;
	if (!r || r->is_stopping)
		return;
	r->is_stopping = true;
	if (say(r, strdup("cancel\n")))
		close_input(r);
	uv_timer_start(&r->timer, on_runner_timer, STEP_MS, STEP_MS);
}

void runners_kill(struct runners *rs)
{
	for (struct runner *r = rs->first; r; r = r->next)
		if (!r->has_exited)
			uv_process_kill(&r->process, SIGKILL);
}

bool runners_are_gone(const struct runners *rs)
{
	return rs->first == NULL;
}
