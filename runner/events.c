#include "runner/events.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/cleanup.h"

#define OUT_BYTES_MAX (64u << 20) /* a report with JOB_ARTIFACTS_MAX long paths */
#define LAGGING_BYTES (64u << 10)

void events_init(struct events *e, int fd, uint64_t start_ms)
{
	*e = (struct events){.fd = fd, .start_ms = start_ms};
	buf_init(&e->out, OUT_BYTES_MAX);
}

void events_release(struct events *e)
{
	buf_release(&e->out);
}

static void put_line(struct events *e, const char *text)
{
	if (e->reader_is_gone)
		return;
	buf_str(&e->out, text);
	buf_byte(&e->out, '\n');
	/* over the ceiling, or no memory: whoever lags that far is as good as gone */
	e->reader_is_gone = buf_failed(&e->out);
}

static bool is_lagging(const struct events *e)
{
	return e->out.len > LAGGING_BYTES;
}

/* Adds version, type and time, prints, takes fields. */
static void put(struct events *e, uint64_t now_ms, const char *type, json_t *fields)
{
	json_t *all = json_pack("{s:i, s:s, s:I}", "v", 1, "type", type, "t_ms", (json_int_t)(now_ms - e->start_ms));
	if (all && fields && json_object_update(all, fields) == 0) {
		CLEANUP(cleanup_free) char *text = json_dumps(all, JSON_COMPACT);
		if (text)
			put_line(e, text);
	}
	json_decref(fields);
	json_decref(all);
}

void events_stage(struct events *e, uint64_t now_ms, enum stage_id stage, bool is_start)
{
	put(e, now_ms, "stage", json_pack("{s:s, s:s}", "stage", stage_name(stage), "state", is_start ? "start" : "end"));
}

void events_plan(struct events *e, uint64_t now_ms, const struct job_report *r)
{
	json_t *names = json_array();
	for (size_t i = 0; names && i < r->steps_len; i++)
		json_array_append_new(names, json_string(r->steps[i].name));
	put(e, now_ms, "plan",
	    json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "commit", r->commit, "path", r->plan_path, "origin",
		      job_origin_name(r->plan_origin), "image", r->image_name, "accel", job_accel_name(r->accel), "steps", names));
}

void events_step(struct events *e, uint64_t now_ms, const struct job_report *r, uint32_t index, bool is_start)
{
	const struct job_step_report *step = &r->steps[index];
	json_t *fields = json_pack("{s:i, s:i, s:s, s:s}", "index", (int)index, "count", (int)r->steps_len, "name", step->name,
				   "state", is_start ? "start" : "end");
	if (fields && !is_start) {
		json_object_set_new(fields, "exit_code", json_integer(step->exit_code));
		json_object_set_new(fields, "duration_ms", json_integer((json_int_t)step->duration_ms));
	}
	put(e, now_ms, "step", fields);
}

void events_log(struct events *e, uint64_t now_ms, uint64_t size_bytes)
{
	if (!is_lagging(e))
		put(e, now_ms, "log", json_pack("{s:I}", "size_bytes", (json_int_t)size_bytes));
}

void events_stat(struct events *e, uint64_t now_ms, uint64_t cpu_ms, uint64_t memory_bytes, uint64_t log_bytes)
{
	if (!is_lagging(e))
		put(e, now_ms, "stat",
		    json_pack("{s:I, s:I, s:I}", "cpu_ms", (json_int_t)(cpu_ms & INT64_MAX), "memory_bytes",
			      (json_int_t)(memory_bytes & INT64_MAX), "log_bytes", (json_int_t)log_bytes));
}

void events_shell(struct events *e, uint64_t now_ms)
{
	put(e, now_ms, "shell", json_object());
}

void events_note(struct events *e, uint64_t now_ms, const char *text)
{
	put(e, now_ms, "note", json_pack("{s:s}", "text", text));
}

void events_report(struct events *e, const char *text)
{
	put_line(e, text);
}

bool events_pending(const struct events *e)
{
	return e->out.len > 0 && !e->reader_is_gone;
}

void events_flush(struct events *e)
{
	if (!events_pending(e))
		return;
	/* a pipe that polls writable takes this much without blocking; its other end is not ours to make non-blocking */
	const size_t piece = e->out.len < PIPE_BUF ? e->out.len : PIPE_BUF;
	const ssize_t sent = write(e->fd, e->out.data, piece);
	if (sent > 0)
		buf_consume(&e->out, (size_t)sent);
	else if (sent < 0 && errno != EINTR && errno != EAGAIN)
		e->reader_is_gone = true;
}

void events_drain(struct events *e, int timeout_ms)
{
	struct pollfd p = {.fd = e->fd, .events = POLLOUT};
	while (events_pending(e) && poll(&p, 1, timeout_ms) > 0) {
		if (!(p.revents & POLLOUT))
			e->reader_is_gone = true;
		events_flush(e);
	}
}
