/* The log stage: everything the guest says, turned into the log file and a few messages. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/cleanup.h"
#include "proto/base/hex.h"
#include "proto/base/io.h"
#include "proto/base/sanitise.h"
#include "proto/base/units.h"
#include "proto/merkle.h"
#include "runner/frame_reader.h"
#include "runner/netscan.h"
#include "runner/runlog.h"
#include "runner/stage.h"

#define GUEST_BUFFER (1u << 20)
#define CONSOLE_BYTES_MAX (256u << 10)
#define SIZE_EVERY_MS 50   /* 20 a second */
#define STAT_EVERY_MS 500
#define NOTES_MAX 200      /* a guest's notes in a log; more are dropped */
#define NOTE_BYTES_MAX 1000
#define HELD_MAX 4096      /* of a line that is not whole yet, while other steps write too */

struct log {
	const struct stage_log *s;
	struct frame_reader reader;
	struct digest_stream digest;
	uint64_t size, told_size;
	bool is_cut, at_line_start, is_broken;
	unsigned notes;
	uint32_t limits;
	uint64_t now_ms, told_ms, stat_ms;
	uint32_t shown;    /* the step whose output comes now */
	struct {
		uint64_t started_ms;
		struct netscan scan;
		size_t held_len;
		char *held; /* HELD_MAX bytes, owned; NULL = never needed */
	} steps[JOB_STEPS_MAX];
	uint64_t console_size;
	uint8_t *buffer; /* GUEST_BUFFER bytes; the first `held` wait to be read */
	size_t held;
	struct runlog runlog;
	struct err err;  /* why the stage failed */
};

static uint64_t clock_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* the file */

static int append_raw(struct log *l, const void *bytes, size_t len)
{
	if (io_write_full(l->s->log_fd, bytes, len, &l->err) < 0)
		return err_context(&l->err, "cannot write the log");
	digest_update(&l->digest, bytes, len);
	l->size += len;
	if (len)
		l->at_line_start = ((const uint8_t *)bytes)[len - 1] == '\n';
	return 0;
}

/* The mark comes behind the cap: the cap is the project's, the mark is ours. */
static int cut(struct log *l)
{
	char size[UNITS_TEXT_MAX], mark[96];
	const int len = snprintf(mark, sizeof mark, "%s--- the log is cut here: more than %s\n",
				 l->at_line_start ? "" : "\n", units_format_size(size, l->s->log_bytes));
	l->is_cut = true;
	return append_raw(l, mark, (size_t)len);
}

static int append(struct log *l, const void *bytes, size_t len)
{
	if (l->is_cut)
		return 0;
	const uint64_t room = l->s->log_bytes > l->size ? l->s->log_bytes - l->size : 0;
	const int rc = append_raw(l, bytes, len < room ? len : (size_t)room);
	return rc < 0 || len <= room ? rc : cut(l);
}

/* A line of the runner's own. */
static int heading(struct log *l, const char *text)
{
	char line[NOTE_BYTES_MAX * 3 + 64]; /* a byte may become U+FFFD */
	const int len = snprintf(line, sizeof line, "%s--- %s\n", l->at_line_start ? "" : "\n", text);
	return append(l, line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1);
}

/* messages */

static int tell(struct log *l, struct stage_msg *msg, enum stage_msg_type type)
{
	msg->type = type;
	return stage_send(l->s->msg_fd, msg, &l->err);
}

static int tell_size(struct log *l, bool now)
{
	if (l->size == l->told_size || (!now && l->now_ms - l->told_ms < SIZE_EVERY_MS))
		return 0;
	struct stage_msg msg = {.u.size_bytes = l->size};
	l->told_size = l->size;
	l->told_ms = l->now_ms;
	return tell(l, &msg, STAGE_MSG_LOG_SIZE);
}

static int tell_done(struct log *l)
{
	struct blob_digest d;
	digest_final(&l->digest, &d);
	struct stage_msg msg = {.u.digest = {.digest.size_bytes = d.size, .truncated = l->is_cut}};
	hex_encode(msg.u.digest.digest.sha256, d.sha256, sizeof d.sha256);
	hex_encode(msg.u.digest.digest.root, d.root, sizeof d.root);
	return tell(l, &msg, STAGE_MSG_LOG_DONE);
}

/* frames */

/* Output of a step while others run too: under its own heading, whole lines at a time. */
static int show(struct log *l, uint32_t step, const void *bytes, size_t len)
{
	char text[JOB_STEP_NAME_MAX + 64];
	if (l->shown != step) {
		snprintf(text, sizeof text, "step %u/%u goes on: %s", step + 1, l->s->steps, l->s->step_names[step]);
		const int rc = len ? heading(l, text) : 0;
		if (rc < 0)
			return rc;
	}
	if (len)
		l->shown = step;
	return append(l, bytes, len);
}

/* What was kept of a line that is not whole. */
static int show_held(struct log *l, uint32_t step)
{
	const size_t len = l->steps[step].held_len;
	l->steps[step].held_len = 0;
	return len ? show(l, step, l->steps[step].held, len) : 0;
}

static int on_output(struct log *l, const struct frame *f)
{
	struct stage_msg wanted = {.u.step.index = f->step};
	runlog_output(&l->runlog, f->step, f->payload, f->payload_len, l->now_ms);
	if (netscan_feed(&l->steps[f->step].scan, f->payload, f->payload_len) && tell(l, &wanted, STAGE_MSG_NETWORK_WANTED) < 0)
		return l->err.code ? l->err.code : ERR_IO;
	const uint8_t *bytes = f->payload;
	size_t whole = f->payload_len;
	if (l->reader.running > 1) {
		while (whole && bytes[whole - 1] != '\n')
			whole--;
		if (!l->steps[f->step].held && !(l->steps[f->step].held = malloc(HELD_MAX)))
			return err_set(&l->err, ERR_NOMEM, "the log stage is out of memory");
	}
	const size_t rest = f->payload_len - whole;
	const bool must_show = whole || l->steps[f->step].held_len + rest > HELD_MAX;
	int rc = must_show ? show_held(l, f->step) : 0;
	if (rc == 0)
		rc = show(l, f->step, bytes, whole);
	if (rc < 0 || !rest)
		return rc;
	if (rest > HELD_MAX)
		return show(l, f->step, bytes + whole, rest);
	memcpy(l->steps[f->step].held + l->steps[f->step].held_len, bytes + whole, rest);
	l->steps[f->step].held_len += rest;
	return 0;
}

static int on_step_start(struct log *l, const struct frame *f)
{
	char text[JOB_STEP_NAME_MAX + 64];
	snprintf(text, sizeof text, "step %u/%u: %s", f->step + 1, l->s->steps, l->s->step_names[f->step]);
	l->steps[f->step].started_ms = l->now_ms;
	l->shown = f->step;
	runlog_start(&l->runlog, f->step, l->now_ms);
	struct stage_msg msg = {.u.step.index = f->step};
	const int rc = heading(l, text);
	return rc < 0 ? rc : tell(l, &msg, STAGE_MSG_STEP_START);
}

static int on_step_end(struct log *l, const struct frame *f)
{
	char text[96], took[UNITS_TEXT_MAX];
	snprintf(text, sizeof text, "step %u/%u: exit %u after %s", f->step + 1, l->s->steps, f->exit_code,
		 units_format_duration(took, l->now_ms - l->steps[f->step].started_ms));
	struct stage_msg msg = {.u.step = {.index = f->step, .exit_code = f->exit_code}};
	int rc = show_held(l, f->step);
	if (rc == 0)
		rc = heading(l, text);
	runlog_end(&l->runlog, f->step, f->exit_code, l->now_ms);
	l->shown = JOB_STEPS_MAX; /* what another step says now wants a heading */
	if (rc == 0)
		rc = tell_size(l, true);
	return rc < 0 ? rc : tell(l, &msg, STAGE_MSG_STEP_END);
}

static void sentence_of(const struct frame *f, char *out, size_t size)
{
	char foreign[NOTE_BYTES_MAX + 1];
	const size_t len = f->payload_len < NOTE_BYTES_MAX ? f->payload_len : NOTE_BYTES_MAX;
	memcpy(foreign, f->payload, len);
	foreign[len] = '\0';
	sanitise_line(out, size, foreign);
}

static int on_note(struct log *l, const struct frame *f)
{
	struct stage_msg msg = {0};
	sentence_of(f, msg.u.text, sizeof msg.u.text);
	if (l->notes++ >= NOTES_MAX)
		return 0;
	runlog_note(&l->runlog, msg.u.text, l->now_ms);
	const int rc = heading(l, msg.u.text);
	return rc < 0 ? rc : tell(l, &msg, STAGE_MSG_NOTE);
}

/* The guest may power off now. A QEMU that is gone needs no answer. */
static void acknowledge(const struct log *l)
{
	const uint8_t ack = FRAME_ACK;
	(void)!send(l->s->guest_fd, &ack, sizeof ack, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int on_error(struct log *l, const struct frame *f)
{
	struct stage_msg msg = {.u.failed.outcome = JOB_ERROR};
	sentence_of(f, msg.u.failed.reason, sizeof msg.u.failed.reason);
	acknowledge(l);
	const int rc = heading(l, msg.u.failed.reason);
	return rc < 0 ? rc : tell(l, &msg, STAGE_MSG_GUEST_ERROR);
}

static int on_stat(struct log *l, const struct frame *f)
{
	if (l->stat_ms && l->now_ms - l->stat_ms < STAT_EVERY_MS)
		return 0;
	l->stat_ms = l->now_ms;
	struct stage_msg msg = {.u.stat = {f->cpu_ms, f->memory_bytes, f->scratch_bytes}};
	return tell(l, &msg, STAGE_MSG_GUEST_STAT);
}

/* Init says one a step at most; what repeats itself beyond that is not passed on. */
static int on_limit(struct log *l, const struct frame *f)
{
	if (l->limits++ >= l->s->steps)
		return 0;
	struct stage_msg msg = {.u.step = {.index = f->step, .exit_code = (int32_t)f->limit}};
	return tell(l, &msg, STAGE_MSG_GUEST_LIMIT);
}

static int on_shell(struct log *l)
{
	struct stage_msg msg = {0};
	int rc = heading(l, "a shell, for the person at the terminal");
	if (rc == 0)
		rc = tell_size(l, true);
	return rc < 0 ? rc : tell(l, &msg, STAGE_MSG_SHELL);
}

static int on_frame(struct log *l, const struct frame *f)
{
	struct stage_msg msg = {0};
	switch (f->type) {
	case FRAME_HELLO:
		return tell(l, &msg, STAGE_MSG_GUEST_READY);
	case FRAME_STEP_START:
		return on_step_start(l, f);
	case FRAME_OUTPUT:
		return on_output(l, f);
	case FRAME_STEP_END:
		return on_step_end(l, f);
	case FRAME_STAT:
		return on_stat(l, f);
	case FRAME_DONE:
		msg.u.done.tar_bytes = f->tar_bytes;
		msg.u.done.is_partial = f->is_partial;
		acknowledge(l);
		return tell(l, &msg, STAGE_MSG_GUEST_DONE);
	case FRAME_CACHE:
		msg.u.size_bytes = f->tar_bytes;
		return tell(l, &msg, STAGE_MSG_CACHE);
	case FRAME_ERROR:
		return on_error(l, f);
	case FRAME_SHELL:
		return on_shell(l);
	case FRAME_LIMIT:
		return on_limit(l, f);
	case FRAME_NOTE:
		return on_note(l, f);
	}
	return 0;
}

static int take_frames(struct log *l)
{
	size_t at = 0;
	for (;;) {
		struct frame f;
		size_t used;
		const enum frame_result r = frame_reader_next(&l->reader, l->buffer + at, l->held - at, &used, &f);
		if (r == FRAME_BROKEN)
			l->is_broken = true;
		if (r != FRAME_GOT)
			break;
		const int rc = on_frame(l, &f);
		if (rc < 0)
			return rc;
		at += used;
	}
	memmove(l->buffer, l->buffer + at, l->held - at);
	l->held -= at;
	return 0;
}

/* descriptors */

/* 1: more may come; 0: end of file; negative: failed. */
static int read_guest(struct log *l)
{
	const ssize_t got = read(l->s->guest_fd, l->buffer + l->held, GUEST_BUFFER - l->held);
	if (got < 0)
		/* a QEMU that was killed resets its sockets: the end, too */
		return errno == EINTR || errno == EAGAIN ? 1 : 0;
	if (got == 0)
		return 0;
	l->held += (size_t)got;
	l->now_ms = clock_ms();
	const int rc = take_frames(l);
	if (rc < 0)
		return rc;
	return l->is_broken ? 0 : 1;
}

/* The kernel's console: kept as it is up to its cap, read on behind it so that the guest never waits. False at its end. */
static bool read_console(struct log *l)
{
	uint8_t bytes[16384];
	const ssize_t got = recv(l->s->console_fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (got < 0)
		return errno == EINTR || errno == EAGAIN;
	if (got == 0)
		return false;
	const uint64_t room = CONSOLE_BYTES_MAX - l->console_size;
	const size_t kept = (uint64_t)got < room ? (size_t)got : (size_t)room;
	l->console_size += kept;
	/* a console that cannot be kept is no reason to lose the job */
	if (io_write_full(l->s->console_log_fd, bytes, kept, NULL) < 0)
		l->console_size = CONSOLE_BYTES_MAX;
	return true;
}

/* Until the log port ends. 0, or negative with l->err. */
static int pump(struct log *l)
{
	struct pollfd fds[2] = {{l->s->guest_fd, POLLIN, 0}, {l->s->console_fd, POLLIN, 0}};
	int more = 1;
	while (more > 0) {
		const bool owes_size = l->size != l->told_size;
		if (poll(fds, 2, owes_size ? SIZE_EVERY_MS : -1) < 0 && errno != EINTR)
			return err_errno(&l->err, errno, "cannot wait for the guest");
		l->now_ms = clock_ms();
		if (fds[1].revents && !read_console(l))
			fds[1].fd = -1;
		if (fds[0].revents)
			more = read_guest(l);
		const int rc = more < 0 ? more : tell_size(l, false);
		if (rc < 0)
			return rc;
	}
	/* what the kernel said last: often why */
	while (fds[1].fd >= 0 && poll(&fds[1], 1, 0) > 0 && read_console(l))
		;
	return 0;
}

int stage_log_run(const struct stage_log *s)
{
	struct log l = {.s = s, .at_line_start = true, .shown = JOB_STEPS_MAX};
	CLEANUP(cleanup_free) uint8_t *buffer = malloc(GUEST_BUFFER);
	if (!buffer)
		return stage_fail(s->msg_fd, JOB_ERROR, NULL, "the log stage is out of memory");
	l.buffer = buffer;
	runlog_init(&l.runlog, s->run_log_fd, s->log_bytes, s->step_names, s->steps, clock_ms());
	frame_reader_init(&l.reader, s->steps, s->any_order);
	digest_init(&l.digest);
	int rc = pump(&l);
	/* what a step said last before the machine was gone */
	for (uint32_t i = 0; i < l.reader.steps && rc == 0; i++)
		rc = show_held(&l, i);
	for (size_t i = 0; i < JOB_STEPS_MAX; i++)
		free(l.steps[i].held);
	runlog_release(&l.runlog);
	if (rc == 0)
		rc = tell_size(&l, true);
	if (rc == 0)
		rc = tell_done(&l);
	if (rc < 0)
		return stage_fail(s->msg_fd, JOB_ERROR, "see whether the disk is full", "%s", l.err.what);
	if (l.is_broken)
		return stage_fail(s->msg_fd, JOB_ERROR, "the image may be of another version of Talkoo: 'talkoo image build' makes it anew",
				  "the guest broke the log protocol: %s", l.reader.why);
	return 0;
}
