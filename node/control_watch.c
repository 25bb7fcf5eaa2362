/* Control operations that stream: watch a job or commit until its verdict, follow a job's log. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/control_jobs.h"
#include "proto/base/cleanup.h"

#define STREAMS_MAX 64
#define CHUNK 32768

/* One client that watches or follows. call 0: it is over, and dropped at the next tick. */
struct stream {
	struct stream *next;
	uint64_t call;
	struct control *ctl;
	bool is_watch;
	struct target target;
	uint64_t deadline_ms; /* unix; 0: none */
	struct id32 job;      /* whose log fd is */
	int fd;               /* -1: none yet */
	off_t offset;
};

/* Over: what it holds is given back; the struct stays until drop_gone(). */
static void stream_end(struct stream *s)
{
	cleanup_fd(&s->fd);
	s->fd = -1;
	s->call = 0;
}

static void drop_gone(struct control_state *st)
{
	for (struct stream **at = &st->streams; *at;) {
		struct stream *s = *at;
		if (s->call) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		free(s);
		st->streams_len--;
	}
}

static struct stream *stream_new(struct control_call *c)
{
	struct control_state *st = control_state_of(control_of(c));
	struct stream *s = st->streams_len < STREAMS_MAX ? malloc(sizeof *s) : NULL;
	if (!s) {
		op_fail(c, ERR_LIMIT, NULL, "too many clients watch");
		return NULL;
	}
	*s = (struct stream){.next = st->streams, .call = control_call_id(c), .ctl = control_of(c), .fd = -1};
	st->streams = s;
	st->streams_len++;
	return s;
}

/* What the log has grown by. False: the client is gone. */
static bool pump(struct stream *s, const char *event)
{
	uint8_t chunk[CHUNK];
	char text[sodium_base64_ENCODED_LEN(CHUNK, sodium_base64_VARIANT_ORIGINAL)];
	for (;;) {
		const ssize_t got = s->fd < 0 ? 0 : pread(s->fd, chunk, sizeof chunk, s->offset);
		if (got <= 0)
			return true;
		struct control_call *c = control_call_find(s->ctl, s->call);
		sodium_bin2base64(text, sizeof text, chunk, (size_t)got, sodium_base64_VARIANT_ORIGINAL);
		if (!c || !control_send(c, json_pack("{s:s,s:I,s:s}", "event", event, "offset", (json_int_t)s->offset, "text_base64", text)))
			return false;
		s->offset += got;
	}
}

static void open_log(struct node *n, struct stream *s, const struct id32 *job)
{
	bool is_live;
	if (s->fd >= 0 && id32_eq(&s->job, job))
		return;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->offset = 0;
	s->job = *job;
	if (job_log_open(n, job, NULL, &s->fd, &is_live, NULL))
		s->fd = -1;
}

/* The verdict if it is not pending any more, or the time is up: ends the call. */
static bool end_watch(struct node *n, struct stream *s)
{
	struct control_call *c = control_call_find(s->ctl, s->call);
	struct err err;
	json_t *answer;
	enum verdict verdict;
	if (!c)
		return true;
	if (target_results(n, &s->target, &answer, &verdict, &err)) {
		control_fail(c, &err);
		return true;
	}
	if (verdict == VERDICT_PENDING && !(s->deadline_ms && node_now(n) >= s->deadline_ms)) {
		json_decref(answer);
		return false;
	}
	control_end(c, answer);
	return true;
}

void op_watch(struct node *n, struct control_call *c, const json_t *args)
{
	struct target t;
	if (!target_read(n, c, args, &t))
		return;
	struct stream *s = stream_new(c);
	if (!s)
		return;
	const uint64_t wait = op_number(args, "timeout_ms", 0);
	s->is_watch = true;
	s->target = t;
	s->deadline_ms = wait ? node_now(n) + wait : 0;
	if (t.is_job && node_run(n, &t.job)) {
		open_log(n, s, &t.job);
		if (!pump(s, "output"))
			return stream_end(s);
	}
	if (end_watch(n, s))
		stream_end(s);
}

static int64_t size_of(int fd)
{
	struct stat st;
	return fstat(fd, &st) ? 0 : st.st_size;
}

void op_log(struct node *n, struct control_call *c, const json_t *args)
{
	struct id32 job;
	struct node_id id;
	struct err err;
	const char *node = op_text(args, "node");
	int fd = -1;
	bool is_live = false;
	if (!op_job(n, c, args, &job))
		return;
	if (node && node_id_parse(node, &id, &err))
		return control_fail(c, &err);
	const int code = job_log_open(n, &job, node ? &id : NULL, &fd, &is_live, &err);
	if (code && !(is_live && op_bool(args, "follow")))
		return control_fail(c, &err);
	if (!op_bool(args, "follow"))
		return control_end_fd(c, json_pack("{s:I,s:b}", "size", (json_int_t)size_of(fd), "live", (int)is_live), fd);
	struct stream *s = stream_new(c);
	if (!s) {
		cleanup_fd(&fd);
		return;
	}
	s->target = (struct target){.is_job = true, .job = job};
	s->job = job;
	s->fd = fd;
	s->offset = (off_t)op_number(args, "offset", 0);
	if (!pump(s, "log"))
		return stream_end(s);
	if (!is_live) {
		control_end(c, json_pack("{s:I,s:b}", "size", (json_int_t)s->offset, "live", 0));
		stream_end(s);
	}
}

static bool is_about(const struct node *n, const struct stream *s, const struct id32 *job)
{
	if (s->target.is_job)
		return id32_eq(&s->target.job, job);
	const struct ix_job *j = index_job(node_index(n), job);
	return j && !strcmp(j->commit, s->target.commit);
}

/* True: the stream is over. */
static bool hear(struct node *n, struct stream *s, const char *type, const struct id32 *job, const json_t *event)
{
	const bool is_end = !strcmp(type, "result") || !strcmp(type, "cancelled");
	struct control_call *c = control_call_find(s->ctl, s->call);
	if (!c)
		return true;
	if (!strcmp(type, "log") || is_end)
		open_log(n, s, job);
	if (!pump(s, s->is_watch ? "output" : "log"))
		return true;
	if (!s->is_watch && is_end) {
		control_end(c, json_pack("{s:I,s:b}", "size", (json_int_t)s->offset, "live", 0));
		return true;
	}
	if (s->is_watch && strcmp(type, "log") && !control_send(c, json_deep_copy(event)))
		return true;
	return s->is_watch && is_end && end_watch(n, s);
}

void control_watch_heard(struct control_state *st, const char *type, const struct id32 *job, const json_t *event)
{
	for (struct stream *s = job ? st->streams : NULL; s; s = s->next)
		if (s->call && is_about(st->node, s, job) && hear(st->node, s, type, job, event))
			stream_end(s);
}

uint64_t control_watch_tick(struct control_state *st)
{
	uint64_t next = UINT64_MAX;
	for (struct stream *s = st->streams; s; s = s->next) {
		if (!s->call || !s->deadline_ms)
			continue;
		if (node_now(st->node) >= s->deadline_ms && end_watch(st->node, s))
			stream_end(s);
		else if (s->deadline_ms < next)
			next = s->deadline_ms;
	}
	drop_gone(st);
	return next;
}

void control_watch_gone(struct control_state *st, uint64_t call_id)
{
	for (struct stream *s = st->streams; s; s = s->next)
		if (s->call == call_id)
			stream_end(s);
}

void control_watch_release(struct control_state *st)
{
	for (struct stream *s = st->streams; s; s = s->next)
		stream_end(s);
	drop_gone(st);
}
