/* Control operations that stream: watch a job or commit until its verdict, follow a job's log.
 *
 * A stream does one thing at a time: it reads a piece of a log (in another thread), then says what happened, then asks for the
 * verdict (on a reader thread); and it waits while its client has not taken what was sent. While one of these is under way the
 * stream is busy and is not freed. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/control_files.h"
#include "node/control_results.h"
#include "proto/base/cleanup.h"

#define STREAMS_MAX 64
#define CHUNK 32768
#define TAILS_MAX 8     /* logs at once: of a commit that several jobs build here */
#define EVENTS_MAX 1000 /* that a client has not taken */
#define RECHECK_MS UINT64_C(5000) /* leases, claim_until and the wait after an error end without an event */

/* A log that is sent as it grows. */
struct tail {
	struct id32 job;
	struct node_id node;
	int fd; /* -1: not opened yet */
	off_t offset;
	bool is_dirty; /* there may be more */
};

struct stream {
	struct stream *next;
	uint64_t call;
	bool is_over, is_busy;
	bool is_watch;    /* else it follows one log, tails[0] */
	bool is_known;    /* the target was found */
	bool must_check;  /* the verdict may be another */
	bool is_ending;   /* the log does not grow any more */
	struct target target;
	uint64_t deadline_ms, recheck_ms; /* unix; 0: none */
	struct tail tails[TAILS_MAX];
	size_t tails_len;
	json_t *events; /* owned: what happened and is not sent yet */
};

/* Over: what it holds is given back, the struct stays until drop_over(). A busy one's descriptors are in use. */
static void stream_end(struct stream *s)
{
	s->is_over = true;
	for (size_t i = 0; i < s->tails_len && !s->is_busy; i++) {
		cleanup_fd(&s->tails[i].fd);
		s->tails[i].fd = -1;
	}
	json_decref(s->events);
	s->events = NULL;
}

static void drop_over(struct control_state *st)
{
	for (struct stream **at = &st->streams; *at;) {
		struct stream *s = *at;
		if (!s->is_over || s->is_busy) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		stream_end(s);
		free(s);
		st->streams_len--;
	}
}

static struct stream *stream_new(struct control_call *c)
{
	struct control_state *st = control_state_of(control_of(c));
	struct stream *s = st->streams_len < STREAMS_MAX ? calloc(1, sizeof *s) : NULL;
	if (!s) {
		op_fail(c, ERR_LIMIT, "end one of the others", "too many clients watch");
		return NULL;
	}
	s->next = st->streams;
	s->call = control_call_id(c);
	s->events = json_array();
	st->streams = s;
	st->streams_len++;
	return s;
}

static struct stream *stream_find(struct control_state *st, uint64_t call)
{
	for (struct stream *s = st->streams; s; s = s->next)
		if (s->call == call)
			return s;
	return NULL;
}

/* The log of a job, from the next piece on; NULL: it follows too many already. */
static struct tail *tail_of(struct stream *s, const struct id32 *job, const struct node_id *node)
{
	for (size_t i = 0; i < s->tails_len; i++)
		if (id32_eq(&s->tails[i].job, job))
			return &s->tails[i];
	if (s->tails_len == TAILS_MAX)
		return NULL;
	struct tail *t = &s->tails[s->tails_len++];
	*t = (struct tail){.job = *job, .node = *node, .fd = -1};
	return t;
}

static void go(struct control_state *st, struct stream *s);

/* ---- a piece of a log, in another thread */

struct piece {
	struct control_state *st;
	uint64_t call;
	struct tail tail; /* a copy: the stream is busy meanwhile */
	bool is_running;
	ssize_t got;
	char text[sodium_base64_ENCODED_LEN(CHUNK, sodium_base64_VARIANT_ORIGINAL)];
};

static void read_piece(void *user)
{
	struct piece *p = user;
	uint8_t chunk[CHUNK];
	if (p->tail.fd < 0)
		p->tail.fd = files_open_log(&p->st->node->home, &p->tail.job, &p->tail.node, p->is_running, NULL);
	p->got = p->tail.fd < 0 ? 0 : pread(p->tail.fd, chunk, sizeof chunk, p->tail.offset);
	if (p->got > 0)
		sodium_bin2base64(p->text, sizeof p->text, chunk, (size_t)p->got, sodium_base64_VARIANT_ORIGINAL);
}

static json_t *piece_json(const struct stream *s, const struct piece *p)
{
	char job[ID32_TEXT_MAX];
	return json_pack("{s:s,s:s,s:I,s:s}", "event", s->is_watch ? "output" : "log", "job", id32_format(job, &p->tail.job), "offset",
			 (json_int_t)p->tail.offset, "text_base64", p->text);
}

static void on_piece(struct node *n, void *user)
{
	struct piece *p = user;
	struct stream *s = stream_find(p->st, p->call); /* a busy stream is there */
	struct control_call *c = control_call_find(p->st->ctl, p->call);
	struct tail *t = tail_of(s, &p->tail.job, &p->tail.node);
	(void)n;
	s->is_busy = false;
	t->fd = p->tail.fd < 0 ? -1 : p->tail.fd;
	if (s->is_over) {
		stream_end(s);
	} else if (p->got > 0 && c) {
		t->offset += p->got;
		t->is_dirty = t->is_dirty || p->got == CHUNK;
		(void)control_send(c, piece_json(s, p));
	}
	if (!s->is_over)
		go(p->st, s);
	free(p);
}

/* False: nothing could be started; the log is passed over. */
static bool start_piece(struct control_state *st, struct stream *s, struct tail *t)
{
	const struct run *run = node_run(st->node, &t->job);
	struct piece *p = malloc(sizeof *p);
	const struct node_task task = {.run = read_piece, .done = on_piece, .user = p};
	t->is_dirty = false;
	if (!p)
		return false;
	p->st = st;
	p->call = s->call;
	p->tail = *t;
	p->is_running = run && run->is_live;
	if (st->node->hooks.task(st->node->hooks.user, &task, NULL)) {
		free(p);
		return false;
	}
	s->is_busy = true;
	return true;
}

/* ---- the verdict */

static bool is_about(const struct node *n, const struct stream *s, const struct id32 *job)
{
	if (s->target.is_job)
		return id32_eq(&s->target.job, job);
	const struct ix_job *j = index_job(node_index(n), job);
	return j && !strcmp(j->commit, s->target.commit) && (!s->target.has_project || id32_eq(&j->entry.project->id, &s->target.project));
}

/* What runs here of it is shown from its beginning. */
static void add_running(struct node *n, struct stream *s)
{
	for (size_t i = 0; i < n->runs_len; i++) {
		struct tail *t = is_about(n, s, &n->runs[i].job) ? tail_of(s, &n->runs[i].job, &n->self) : NULL;
		if (t)
			t->is_dirty = true;
	}
}

static bool has_more(const struct stream *s)
{
	for (size_t i = 0; i < s->tails_len; i++)
		if (s->tails[i].is_dirty)
			return true;
	return json_array_size(s->events) > 0;
}

static void on_verdict(struct ask *a, struct control_call *c)
{
	const struct results_ask *r = (const struct results_ask *)a;
	struct stream *s = stream_find(a->st, a->call);
	struct node *n = a->st->node;
	s->is_busy = false;
	if (s->is_over || !c)
		return stream_end(s);
	const bool is_late = s->deadline_ms && node_now(n) >= s->deadline_ms;
	if (a->code || (r->verdict != VERDICT_PENDING && !has_more(s)) || (r->verdict == VERDICT_PENDING && is_late)) {
		stream_end(s);
		return ask_finish(a, c);
	}
	s->must_check = s->must_check || r->verdict != VERDICT_PENDING; /* what happened meanwhile is said first */
	s->recheck_ms = node_now(n) + RECHECK_MS;
	if (!s->is_known) {
		s->is_known = true;
		s->target = r->target;
		add_running(n, s);
	}
	go(a->st, s);
	n->hooks.want_work(n->hooks.user); /* the loop's timer is to know of the deadline */
}

static void start_check(struct stream *s, struct control_call *c)
{
	struct results_ask *r = results_ask_new(c, &s->target);
	s->must_check = false;
	if (!r)
		return stream_end(s);
	r->ask.done = on_verdict;
	s->is_busy = true;
	ask_start(c, &r->ask);
}

/* ---- what is next */

static struct tail *next_tail(struct stream *s)
{
	for (size_t i = 0; i < s->tails_len; i++)
		if (s->tails[i].is_dirty)
			return &s->tails[i];
	return NULL;
}

static void go(struct control_state *st, struct stream *s)
{
	while (!s->is_over && !s->is_busy) {
		struct control_call *c = control_call_find(st->ctl, s->call);
		struct tail *t = next_tail(s);
		if (!c)
			return stream_end(s);
		if (!control_has_room(c))
			return;
		if (t) {
			(void)start_piece(st, s, t);
		} else if (json_array_size(s->events)) {
			json_t *event = json_incref(json_array_get(s->events, 0));
			json_array_remove(s->events, 0);
			(void)control_send(c, event);
		} else if (s->is_watch && s->must_check) {
			start_check(s, c);
		} else if (s->is_ending) {
			const off_t size = s->tails[0].offset;
			stream_end(s);
			control_end(c, json_pack("{s:I,s:b}", "size", (json_int_t)size, "live", 0));
		} else {
			return;
		}
	}
}

void op_watch(struct node *n, struct control_call *c, const json_t *args)
{
	struct target t;
	uint64_t wait;
	if (!target_read(n, c, args, &t) || !op_range(c, args, "timeout_ms", 0, 0, UINT64_C(1) << 48, &wait))
		return;
	struct stream *s = stream_new(c);
	if (!s)
		return;
	s->is_watch = true;
	s->must_check = true;
	s->target = t;
	s->deadline_ms = wait ? node_now(n) + wait : 0;
	go(control_state_of(control_of(c)), s);
}

/* ---- following a log */


static void on_log_found(struct ask *a, struct control_call *c)
{
	const struct files_ask *f = (const struct files_ask *)a;
	const bool is_live = files_ask_is_live(f);
	if (!c || (a->code && !is_live))
		return ask_finish(a, c);
	struct stream *s = stream_new(c);
	if (!s)
		return;
	struct node *n = a->st->node;
	struct tail *t = tail_of(s, &f->target.job, f->has_node ? &f->node : &n->self);
	t->fd = a->code ? -1 : fd_take(&a->fd);
	t->offset = (off_t)f->offset;
	t->is_dirty = true;
	s->is_known = true;
	s->target = f->target;
	s->is_ending = !is_live;
	go(a->st, s);
}

void op_log_follow(struct node *n, struct control_call *c, const json_t *args)
{
	uint64_t offset;
	struct files_ask *f = op_range(c, args, "offset", 0, 0, INT64_MAX, &offset) ? files_ask_log(n, c, args) : NULL;
	if (!f)
		return;
	f->offset = offset;
	f->ask.done = on_log_found;
	ask_start(c, &f->ask);
}

/* ---- what happens */

/* The client is told in its turn. */
static void push(struct stream *s, struct control_call *c, const json_t *event)
{
	if (json_array_size(s->events) < EVENTS_MAX) {
		json_array_append_new(s->events, json_deep_copy(event));
		return;
	}
	stream_end(s);
	op_fail(c, ERR_LIMIT, "watch again", "this client does not read what it is told");
}

static void hear(struct control_state *st, struct stream *s, const char *type, const struct id32 *job, const json_t *event)
{
	const bool is_log = !strcmp(type, "log");
	const bool is_end = !strcmp(type, "result") || !strcmp(type, "cancelled");
	struct control_call *c = control_call_find(st->ctl, s->call);
	struct tail *t = NULL;
	if (!c)
		return stream_end(s);
	if (s->is_watch && !s->is_known) {
		s->must_check = true;
		return;
	}
	if (!is_about(st->node, s, job))
		return;
	if (is_log)
		t = tail_of(s, job, &st->node->self);
	for (size_t i = 0; i < s->tails_len && is_end; i++)
		if (id32_eq(&s->tails[i].job, job))
			t = &s->tails[i];
	if (t)
		t->is_dirty = true;
	if (s->is_watch && !is_log)
		push(s, c, event);
	s->must_check = s->must_check || is_end || !strcmp(type, "given-up");
	go(st, s);
}

void control_watch_heard(struct control_state *st, const char *type, const struct id32 *job, const json_t *event)
{
	for (struct stream *s = job ? st->streams : NULL; s; s = s->next)
		if (!s->is_over)
			hear(st, s, type, job, event);
}

/* Unix ms of what it waits for; UINT64_MAX: nothing but events. */
static uint64_t tick(struct control_state *st, struct stream *s)
{
	const uint64_t now = node_now(st->node);
	const struct run *run = s->is_watch || !s->is_known ? NULL : node_run(st->node, &s->target.job);
	if (!s->is_watch && s->is_known && !s->is_ending && !(run && run->is_live)) {
		s->is_ending = s->tails[0].is_dirty = true;
		go(st, s);
	}
	if (!s->is_watch || s->is_busy || s->must_check)
		return UINT64_MAX;
	const uint64_t next = s->deadline_ms && s->deadline_ms < s->recheck_ms ? s->deadline_ms : s->recheck_ms;
	if (now < next)
		return next;
	s->must_check = true;
	go(st, s);
	return UINT64_MAX;
}

uint64_t control_watch_tick(struct control_state *st)
{
	uint64_t next = UINT64_MAX;
	for (struct stream *s = st->streams; s; s = s->next) {
		const uint64_t own = s->is_over ? UINT64_MAX : tick(st, s);
		next = own < next ? own : next;
	}
	drop_over(st);
	return next;
}

void control_watch_room(struct control_state *st, uint64_t call_id)
{
	struct stream *s = stream_find(st, call_id);
	if (s && !s->is_over)
		go(st, s);
}

void control_watch_gone(struct control_state *st, uint64_t call_id)
{
	struct stream *s = stream_find(st, call_id);
	if (s)
		stream_end(s);
}

void control_watch_release(struct control_state *st)
{
	for (struct stream *s = st->streams; s; s = s->next) {
		s->is_busy = false;
		stream_end(s);
	}
	drop_over(st);
}
