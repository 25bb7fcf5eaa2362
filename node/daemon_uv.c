#include "node/daemon_uv.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "node/control_parts.h"
#include "node/control_uv.h"
#include "node/logfile.h"
#include "node/net.h"
#include "node/runner_uv.h"
#include "p2p/transport_uv.h"
#include "proto/base/cleanup.h"
#include "proto/base/log.h"

#define STOP_MS 10000         /* then what still runs is killed */
#define SLEEP_MOST_MS 3600000 /* the wall clock may jump: look at least so often */

struct daemon {
	uv_loop_t loop;
	uv_async_t wake;
	uv_timer_t timer, stop_timer;
	uv_signal_t terminate, interrupt;
	struct control control;
	struct runners runners;
	struct node *node;
	struct transport *transport;
	int log_fd;
	bool is_stopping, is_closed;
};

struct task {
	uv_work_t req;
	struct daemon *d;
	struct node_task task;
};

static uint64_t hook_now_ms(void *user)
{
	(void)user;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t hook_mono_ms(void *user)
{
	(void)user;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void hook_wake(void *user)
{
	struct daemon *d = user;
	uv_async_send(&d->wake);
}

static int hook_run_start(void *user, const struct id32 *job, const struct job_plan *plan, struct err *err)
{
	struct daemon *d = user;
	return runners_start(&d->runners, job, plan, err);
}

static void hook_run_stop(void *user, const struct id32 *job)
{
	struct daemon *d = user;
	runners_stop(&d->runners, job);
}

static void on_task_run(uv_work_t *req)
{
	struct task *t = req->data;
	t->task.run(t->task.user);
}

static void on_task_done(uv_work_t *req, int status)
{
	(void)status;
	struct task *t = req->data;
	struct daemon *d = t->d;
	t->task.done(d->node, t->task.user);
	free(t);
	uv_async_send(&d->wake);
}

static int hook_task(void *user, const struct node_task *task, struct err *err)
{
	struct daemon *d = user;
	struct task *t = malloc(sizeof *t);
	if (!t)
		return err_set(err, ERR_NOMEM, "out of memory");
	*t = (struct task){.d = d, .task = *task};
	t->req.data = t;
	if (!uv_queue_work(&d->loop, &t->req, on_task_run, on_task_done))
		return 0;
	free(t);
	return err_set(err, ERR_IO, "no thread for the work");
}

static void close_all(struct daemon *d)
{
	if (d->is_closed)
		return;
	d->is_closed = true;
	control_close(&d->control);
	if (d->transport)
		transport_close(d->transport, NULL, NULL);
	d->transport = NULL;
	uv_unref((uv_handle_t *)&d->wake); /* the store's threads use it until node_close() */
	uv_close((uv_handle_t *)&d->timer, NULL);
	uv_close((uv_handle_t *)&d->stop_timer, NULL);
	uv_close((uv_handle_t *)&d->terminate, NULL);
	uv_close((uv_handle_t *)&d->interrupt, NULL);
}

static void on_timer(uv_timer_t *timer);

static void work(struct daemon *d)
{
	if (d->is_closed)
		return;
	node_work(d->node);
	transport_poke(d->transport);
	const uint64_t watch = control_ops_work(d->control.state);
	if (d->log_fd >= 0)
		logfile_turn_over(&d->node->home, d->log_fd);
	if (d->is_stopping && node_is_idle(d->node) && runners_are_gone(&d->runners)) {
		close_all(d);
		return;
	}
	const uint64_t own = node_next_ms(d->node), now = hook_now_ms(NULL), next = own < watch ? own : watch;
	const uint64_t wait = next <= now ? 1 : next - now;
	uv_timer_start(&d->timer, on_timer, wait < SLEEP_MOST_MS ? wait : SLEEP_MOST_MS, 0);
}

static void on_timer(uv_timer_t *timer)
{
	work(timer->data);
}

static void on_wake(uv_async_t *wake)
{
	work(wake->data);
}

static void on_stop_timer(uv_timer_t *timer)
{
	struct daemon *d = timer->data;
	log_warn("event=stop-late doing=kill");
	runners_kill(&d->runners);
}

static void stop(void *user)
{
	struct daemon *d = user;
	if (d->is_stopping)
		return;
	d->is_stopping = true;
	log_info("event=stop");
	node_shutdown(d->node);
	uv_timer_start(&d->stop_timer, on_stop_timer, STOP_MS, 0);
	uv_async_send(&d->wake);
}

static void on_signal(uv_signal_t *signal, int number)
{
	log_info("event=signal number=%d", number);
	stop(signal->data);
}

static void on_runner_line(void *user, const struct id32 *job, const char *line, size_t len)
{
	struct daemon *d = user;
	node_run_event(d->node, job, line, len);
	uv_async_send(&d->wake);
}

static void on_runner_end(void *user, const struct id32 *job, const char *how)
{
	struct daemon *d = user;
	node_run_ended(d->node, job, how);
	uv_async_send(&d->wake);
}

static int open_handles(struct daemon *d, struct err *err)
{
	int rc = uv_loop_init(&d->loop);
	if (rc)
		return err_set(err, ERR_IO, "event loop: %s", uv_strerror(rc));
	uv_async_init(&d->loop, &d->wake, on_wake);
	uv_timer_init(&d->loop, &d->timer);
	uv_timer_init(&d->loop, &d->stop_timer);
	uv_signal_init(&d->loop, &d->terminate);
	uv_signal_init(&d->loop, &d->interrupt);
	d->wake.data = d->timer.data = d->stop_timer.data = d->terminate.data = d->interrupt.data = d;
	uv_signal_start(&d->terminate, on_signal, SIGTERM);
	uv_signal_start(&d->interrupt, on_signal, SIGINT);
	runners_init(&d->runners, &d->loop, on_runner_line, on_runner_end, d);
	return 0;
}

static void on_network_action(void *user, const struct network_action *a)
{
	struct daemon *d = user;
	net_act(d->node, a);
}

static int open_network(struct daemon *d, const struct config *config, struct err *err)
{
	struct net_options no = {0};
	randombytes_buf(no.seed, sizeof no.seed);
	int rc = net_open(d->node, &no, err);
	sodium_memzero(no.seed, sizeof no.seed);
	if (rc)
		return rc;
	const struct transport_options to = {.loop = &d->loop,
					     .network = net_network(d->node),
					     .listen = config->listen[0] ? config->listen : NULL,
					     .on_action = on_network_action,
					     .user = d};
	rc = transport_open(&to, &d->transport, err);
	if (!rc && transport_port(d->transport)) {
		net_listening(d->node, transport_port(d->transport));
		log_info("event=listening port=%u", transport_port(d->transport));
	}
	return rc;
}

static int open_node(struct daemon *d, const struct home *home, const struct config *config, struct identity *id, struct err *err)
{
	const struct node_hooks hooks = {.user = d, .now_ms = hook_now_ms, .mono_ms = hook_mono_ms, .want_work = hook_wake, .store_wake = hook_wake,
					 .run_start = hook_run_start, .run_stop = hook_run_stop, .task = hook_task};
	const struct node_options options = {.home = home, .config = config, .identity = id, .hooks = &hooks};
	int rc = node_open(&options, &d->node, err);
	if (!rc)
		rc = open_network(d, config, err);
	if (!rc)
		rc = control_open(&d->control, &d->loop, d->node, home->socket, stop, d, err);
	return rc;
}

int daemon_run(const struct home *home, const struct config *config, struct identity *id /* takes */, int log_fd, struct err *err)
{
	struct daemon *d = calloc(1, sizeof *d);
	if (!d) {
		identity_free(id);
		return err_set(err, ERR_NOMEM, "out of memory");
	}
	d->log_fd = log_fd;
	int rc = open_handles(d, err);
	if (rc) {
		identity_free(id);
		free(d);
		return rc;
	}
	rc = open_node(d, home, config, id, err);
	if (rc) {
		close_all(d);
	} else {
		log_info("event=ready socket=%s", home->socket);
		uv_async_send(&d->wake);
	}
	uv_run(&d->loop, UV_RUN_DEFAULT);
	node_close(d->node);
	control_release(&d->control);
	uv_close((uv_handle_t *)&d->wake, NULL);
	uv_run(&d->loop, UV_RUN_DEFAULT);
	uv_loop_close(&d->loop);
	free(d);
	return rc;
}
