/* The operation `events`: what is stored, then, with follow, what comes. Read and written as text on a reader thread, a piece at a
 * time; the next piece when the client has taken the last one. */
#include <stdlib.h>
#include <string.h>

#include "node/control_ask.h"
#include "proto/base/cleanup.h"

#define AT_ONCE 500
#define TEXT_MAX (8u << 20)
#define FOLLOWERS_MAX 64

struct follower {
	struct follower *next;
	uint64_t call, since;
	bool follows, is_over;
	bool is_busy; /* a piece is being read */
	bool is_due;  /* there may be more */
};

struct events_ask {
	struct ask ask;
	uint64_t since;
	size_t count;
	struct buf text;
};

static void release(struct ask *a)
{
	buf_release(&((struct events_ask *)a)->text);
}

static void add_line(struct buf *text, json_t *object /* takes */)
{
	json_object_set_new(object, "v", json_integer(1));
	char *line = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	if (line) {
		buf_str(text, line);
		buf_str(text, "\n");
	}
	free(line);
}

static bool on_event(void *user, uint64_t id, const json_t *object)
{
	struct events_ask *e = user;
	if (!e->count && id > e->since + 1) /* what is older than kept is said first */
		add_line(&e->text, json_pack("{s:s,s:I,s:I}", "type", "gap", "from", (json_int_t)(e->since + 1), "to", (json_int_t)(id - 1)));
	add_line(&e->text, json_copy((json_t *)(uintptr_t)object));
	e->since = id;
	e->count++;
	return true;
}

static int read_events(struct ask *a, struct store *view, struct err *err)
{
	struct events_ask *e = (struct events_ask *)a;
	buf_init(&e->text, TEXT_MAX);
	const int code = store_each_event_now(view, e->since, AT_ONCE, on_event, e, NULL, NULL, err);
	return code ? code : buf_check(&e->text, "events", err);
}

static struct follower *find(struct control_state *st, uint64_t call)
{
	for (struct follower *f = st->followers; f; f = f->next)
		if (f->call == call && !f->is_over)
			return f;
	return NULL;
}

static void go(struct control_state *st, struct follower *f);

static void on_read(struct ask *a, struct control_call *c)
{
	struct events_ask *e = (struct events_ask *)a;
	struct follower *f = find(a->st, a->call);
	if (!f || !c)
		return;
	f->is_busy = false;
	f->since = e->since;
	if (a->code) {
		f->is_over = true;
		return control_fail(c, &a->err);
	}
	if (e->text.len && !control_send_text(c, strdup(buf_cstr(&e->text))))
		return; /* which marked f as over */
	f->is_due = f->is_due || e->count == AT_ONCE;
	go(a->st, f);
	if (f->is_over || f->is_busy || f->is_due || f->follows)
		return;
	f->is_over = true;
	control_end(c, NULL);
}

/* Reads on, if there may be something, and the client has taken what there was. */
static void go(struct control_state *st, struct follower *f)
{
	struct control_call *c = control_call_find(st->ctl, f->call);
	if (f->is_over || f->is_busy || !f->is_due || !c || !control_has_room(c))
		return;
	struct events_ask *e = ask_new(c, sizeof *e, read_events);
	if (!e) {
		f->is_over = true;
		return;
	}
	f->is_busy = true;
	f->is_due = false;
	e->since = f->since;
	e->ask.done = on_read;
	e->ask.release = release;
	ask_start(c, &e->ask);
}

void op_events(struct node *n, struct control_call *c, const json_t *args)
{
	struct control_state *st = control_state_of(control_of(c));
	struct follower *f = st->followers_len < FOLLOWERS_MAX ? malloc(sizeof *f) : NULL;
	(void)n;
	if (!f)
		return op_fail(c, ERR_LIMIT, "end one of the others", "too many clients follow the events");
	*f = (struct follower){.next = st->followers, .call = control_call_id(c), .since = op_number(args, "since", 0),
			       .follows = op_bool(args, "follow"), .is_due = true};
	st->followers = f;
	st->followers_len++;
	go(st, f);
}

/* Not where one goes: that may be within a send to that very client. */
static void drop_over(struct control_state *st)
{
	for (struct follower **at = &st->followers; *at;) {
		struct follower *f = *at;
		if (!f->is_over) {
			at = &f->next;
			continue;
		}
		*at = f->next;
		free(f);
		st->followers_len--;
	}
}

void control_events_work(struct control_state *st)
{
	const bool is_new = st->seen_batches != st->node->durable_batches;
	st->seen_batches = st->node->durable_batches;
	for (struct follower *f = is_new ? st->followers : NULL; f; f = f->next) {
		f->is_due = true;
		go(st, f);
	}
	drop_over(st);
}

void control_events_room(struct control_state *st, uint64_t call_id)
{
	struct follower *f = find(st, call_id);
	if (f)
		go(st, f);
}

void control_events_gone(struct control_state *st, uint64_t call_id)
{
	struct follower *f = find(st, call_id);
	if (f)
		f->is_over = true;
}

void control_events_release(struct control_state *st)
{
	for (struct follower *f = st->followers; f; f = f->next)
		f->is_over = true;
	drop_over(st);
}
