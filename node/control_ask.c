#include "node/control_ask.h"

#include <stdlib.h>
#include <unistd.h>

#include "proto/base/cleanup.h"

void *ask_new(struct control_call *c, size_t size, int (*run)(struct ask *, struct store *, struct err *))
{
	struct ask *a = calloc(1, size);
	if (!a) {
		op_fail(c, ERR_NOMEM, NULL, "out of memory");
		return NULL;
	}
	a->st = control_state_of(control_of(c));
	a->call = control_call_id(c);
	a->now_ms = node_now(a->st->node);
	a->run = run;
	a->fd = -1;
	return a;
}

void ask_free(struct ask *a)
{
	if (!a)
		return;
	if (a->release)
		a->release(a);
	cleanup_fd(&a->fd);
	json_decref(a->answer);
	free(a->line);
	free(a);
}

/* On a reader thread. A large answer takes its time to write, too. */
static void run(struct store *view, void *user)
{
	struct ask *a = user;
	a->code = a->run(a, view, &a->err);
	if (a->code || a->done)
		return;
	a->line = control_line(a->answer);
	a->answer = NULL;
	if (!a->line)
		a->code = err_set(&a->err, ERR_NOMEM, "out of memory");
}

void ask_finish(struct ask *a, struct control_call *c)
{
	if (!c)
		return;
	if (a->code) {
		control_fail(c, &a->err);
	} else if (a->line) {
		char *line = a->line;
		a->line = NULL;
		control_end_line(c, line, fd_take(&a->fd));
	} else {
		json_t *answer = a->answer;
		a->answer = NULL;
		control_end(c, answer);
	}
}

static void done(void *user)
{
	struct ask *a = user;
	struct control_call *c = control_call_find(a->st->ctl, a->call);
	if (a->done)
		a->done(a, c);
	else
		ask_finish(a, c);
	ask_free(a);
}

void ask_start(struct control_call *c, struct ask *a /* takes */)
{
	(void)c;
	struct err err; /* a is the reader thread's from here on */
	const int code = store_read(a->st->node->store, run, done, a, &err);
	if (!code)
		return;
	a->code = code;
	a->err = err;
	done(a);
}
