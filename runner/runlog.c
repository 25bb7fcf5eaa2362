#include "runner/runlog.h"

#include <inttypes.h>
#include <string.h>

#include "proto/base/cleanup.h"
#include "proto/base/io.h"

#define TEXT_MAX (4u * 65536 + 64) /* a frame's payload, of which each byte may become a replacement character */
#define LINE_MAX_BYTES (6 * TEXT_MAX + 1024)

void runlog_init(struct runlog *r, int fd, uint64_t max_bytes, const char *const *names, uint32_t steps, uint64_t now_ms)
{
	*r = (struct runlog){.fd = fd, .room_bytes = max_bytes, .start_ms = now_ms, .names = names,
			     .steps = steps < JOB_STEPS_MAX ? steps : JOB_STEPS_MAX};
	buf_init(&r->line, LINE_MAX_BYTES);
	buf_init(&r->text, TEXT_MAX);
	for (uint32_t i = 0; i < r->steps; i++)
		sanitise_init(&r->states[i], false);
}

void runlog_release(struct runlog *r)
{
	buf_release(&r->line);
	buf_release(&r->text);
}

static void put_text(struct buf *out, const char *key, const char *text)
{
	buf_printf(out, ",\"%s\":\"", key);
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p == '"' || *p == '\\')
			buf_printf(out, "\\%c", *p);
		else if (*p < ' ' || *p == 0x7f)
			buf_printf(out, "\\u%04x", *p);
		else
			buf_byte(out, *p);
	}
	buf_byte(out, '"');
}

static void begin(struct runlog *r, const char *type, uint64_t now_ms)
{
	buf_reset(&r->line);
	buf_printf(&r->line, "{\"v\":1,\"t_ms\":%" PRIu64 ",\"type\":\"%s\"", now_ms - r->start_ms, type);
}

static void begin_step(struct runlog *r, const char *type, uint32_t step, uint64_t now_ms)
{
	begin(r, type, now_ms);
	buf_printf(&r->line, ",\"step\":%" PRIu32, step);
	put_text(&r->line, "name", r->names[step]);
}

static void end_line(struct runlog *r)
{
	buf_str(&r->line, "}\n");
	if (r->fd >= 0 && (buf_check(&r->line, "the run log", NULL) || io_write_full(r->fd, r->line.data, r->line.len, NULL)))
		r->fd = -1;
}

void runlog_start(struct runlog *r, uint32_t step, uint64_t now_ms)
{
	if (r->fd < 0 || step >= r->steps)
		return;
	begin_step(r, "step-start", step, now_ms);
	buf_printf(&r->line, ",\"count\":%" PRIu32, r->steps);
	end_line(r);
}

void runlog_output(struct runlog *r, uint32_t step, const void *bytes, size_t len, uint64_t now_ms)
{
	if (r->fd < 0 || r->is_cut || !len || step >= r->steps)
		return;
	buf_reset(&r->text);
	sanitise_feed(&r->states[step], bytes, len, &r->text);
	if (!r->text.len)
		return;
	begin_step(r, "output", step, now_ms);
	put_text(&r->line, "text", buf_cstr(&r->text));
	r->is_cut = r->line.len > r->room_bytes;
	if (r->is_cut)
		begin(r, "cut", now_ms);
	else
		r->room_bytes -= r->line.len;
	end_line(r);
}

void runlog_end(struct runlog *r, uint32_t step, int exit_code, uint64_t now_ms)
{
	if (r->fd < 0 || step >= r->steps)
		return;
	begin_step(r, "step-end", step, now_ms);
	buf_printf(&r->line, ",\"exit_code\":%d", exit_code);
	end_line(r);
}

void runlog_note(struct runlog *r, const char *text, uint64_t now_ms)
{
	if (r->fd < 0)
		return;
	begin(r, "note", now_ms);
	put_text(&r->line, "text", text);
	end_line(r);
}
