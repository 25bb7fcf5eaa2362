#include "node/cli/view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "node/jsonget.h"
#include "proto/base/cleanup.h"
#include "proto/base/units.h"
#include "proto/outcome.h"

#define REDRAW_MS 250
#define TICKER_NAME_MAX 16
#define LOG_CHUNK_MAX (256u << 10)

uint64_t view_now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void view_init(struct view *v, struct out *o, bool shows_log)
{
	*v = (struct view){.out = o, .shows_log = shows_log, .at_line_start = true, .began_ms = view_now_ms()};
	v->says_steps = !(shows_log && isatty(fileno(o->answer)));
	sanitise_init(&v->log_state, false);
}

enum out_style view_style(const char *name)
{
	static const struct {
		const char *name;
		enum out_style style;
	} table[] = {{"passed", OUT_GOOD},  {"failed", OUT_BAD},      {"timeout", OUT_BAD},      {"error", OUT_WARN},
		     {"refused", OUT_WARN}, {"abandoned", OUT_WARN},  {"disputed", OUT_BAD},     {"pending", OUT_WARN},
		     {"unknown", OUT_WARN}, {"inconclusive", OUT_WARN}};
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (!strcmp(table[i].name, name))
			return table[i].style;
	return OUT_PLAIN;
}

static void erase(struct view *v)
{
	if (v->is_ticking)
		fputs("\r\033[K", v->out->notes);
	v->is_ticking = false;
}

void view_pause(struct view *v)
{
	erase(v);
	if (!v->at_line_start) {
		fputc('\n', v->out->answer);
		fflush(v->out->answer);
	}
	v->at_line_start = true;
}

static const char *stage_says(const char *stage)
{
	static const struct {
		const char *stage, *text;
	} table[] = {{"fetch", "fetching the commit"},
		     {"pack", "packing the source"},
		     {"get", "fetching what the plan names"},
		     {"accel", "looking for an accelerator"},
		     {"vm", "starting the VM"},
		     {"log", "starting the VM"},
		     {"collect", "collecting artifacts"}};
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (!strcmp(table[i].stage, stage))
			return table[i].text;
	return stage;
}

/* Tenths of a second at most: what ticks more is restless. */
static const char *ticking(char out[UNITS_TEXT_MAX], uint64_t ms)
{
	if (ms < 1000)
		snprintf(out, UNITS_TEXT_MAX, "0.%u s", (unsigned)(ms / 100));
	else
		units_format_duration(out, ms);
	return out;
}

/* The ticker must not reach the terminal's edge: a wrapped line cannot be erased. Bytes of whole characters. */
static int fits(const char *name)
{
	size_t len = strlen(name);
	if (len <= TICKER_NAME_MAX)
		return (int)len;
	for (len = TICKER_NAME_MAX; len && ((unsigned char)name[len] & 0xc0) == 0x80;)
		len--;
	return (int)len;
}

void view_tick(struct view *v)
{
	const uint64_t now = view_now_ms();
	if (!v->out->notes_terminal || !v->at_line_start || now - v->drawn_ms < REDRAW_MS || (!v->step && !*v->stage))
		return;
	char took[UNITS_TEXT_MAX], memory[UNITS_TEXT_MAX], cpu[UNITS_TEXT_MAX], bytes[UNITS_TEXT_MAX];
	erase(v);
	if (v->step)
		out_note(v->out, OUT_DIM, "[%u/%u] %.*s  %s", v->step, v->steps, fits(v->step_name), v->step_name,
			 ticking(took, now - v->step_began_ms));
	else
		out_note(v->out, OUT_DIM, "%s  %s", stage_says(v->stage), ticking(took, now - v->stage_began_ms));
	if (v->step && v->memory_bytes)
		out_note(v->out, OUT_DIM, "  cpu %s  mem %s  log %s", ticking(cpu, v->cpu_ms),
			 units_format_size(memory, v->memory_bytes), units_format_size(bytes, v->log_bytes));
	v->is_ticking = true;
	v->drawn_ms = now;
}

static void on_plan(struct view *v, const json_t *event)
{
	const size_t steps = json_array_size(json_object_get(event, "steps"));
	const char *path = jtext(event, "path"), *origin = jtext(event, "origin");
	snprintf(v->accel, sizeof v->accel, "%s", jtext(event, "accel"));
	view_pause(v);
	out_note(v->out, OUT_DIM, "plan   ");
	if (!strcmp(origin, "inline"))
		out_note(v->out, OUT_PLAIN, "--cmd");
	else
		out_note(v->out, OUT_PLAIN, "%s%s, %zu step%s", *path ? path : "detected",
			 !strcmp(origin, "detected") && *path ? " (detected)" : "", steps, steps == 1 ? "" : "s");
	out_note(v->out, OUT_PLAIN, ", image %s\n", OUT_FOREIGN(jtext(event, "image")));
}

static void on_stage(struct view *v, const json_t *event)
{
	const char *stage = jtext(event, "stage");
	if (strcmp(jtext(event, "state"), "start") || !strcmp(stage, "log"))
		return;
	snprintf(v->stage, sizeof v->stage, "%s", stage);
	v->stage_began_ms = view_now_ms();
	v->step = 0;
	view_pause(v);
	if (!v->out->notes_terminal)
		out_note(v->out, OUT_PLAIN, "%s\n", stage_says(stage));
}

static void on_step(struct view *v, const json_t *event)
{
	char took[UNITS_TEXT_MAX];
	const unsigned index = (unsigned)jnumber(event, "index") + 1;
	v->step = index;
	v->steps = (unsigned)jnumber(event, "count");
	sanitise_line(v->step_name, sizeof v->step_name, jtext(event, "name"));
	view_pause(v);
	if (!strcmp(jtext(event, "state"), "start")) {
		v->step_began_ms = view_now_ms();
		if (!v->out->notes_terminal && v->says_steps)
			out_note(v->out, OUT_PLAIN, "[%u/%u] %s\n", v->step, v->steps, v->step_name);
		return;
	}
	const json_int_t exit_code = json_integer_value(json_object_get(event, "exit_code"));
	v->step = 0;
	if (!v->says_steps)
		return;
	out_note(v->out, exit_code ? OUT_BAD : OUT_GOOD, "[%u/%u] %s", index, v->steps, v->step_name);
	out_note(v->out, OUT_PLAIN, "  %s", exit_code ? "failed" : "ok");
	if (exit_code)
		out_note(v->out, OUT_PLAIN, " (exit code %" JSON_INTEGER_FORMAT ")", exit_code);
	out_note(v->out, OUT_DIM, "  %s\n", units_format_duration(took, jnumber(event, "duration_ms")));
}

void view_event(struct view *v, const json_t *event)
{
	const char *type = *jtext(event, "type") ? jtext(event, "type") : jtext(event, "event");
	if (!strcmp(type, "stage")) {
		on_stage(v, event);
	} else if (!strcmp(type, "plan")) {
		on_plan(v, event);
	} else if (!strcmp(type, "step")) {
		on_step(v, event);
	} else if (!strcmp(type, "stat")) {
		v->cpu_ms = jnumber(event, "cpu_ms");
		v->memory_bytes = jnumber(event, "memory_bytes");
		v->log_bytes = jnumber(event, "log_bytes");
	} else if (!strcmp(type, "note")) {
		view_pause(v);
		out_note(v->out, OUT_WARN, "note: %s\n", OUT_FOREIGN(jtext(event, "text")));
	}
}

void view_log(struct view *v, const void *bytes, size_t len)
{
	if (!v->shows_log || !len)
		return;
	CLEANUP(buf_release) struct buf safe;
	buf_init(&safe, 4 * (size_t)LOG_CHUNK_MAX);
	for (const uint8_t *at = bytes; len;) {
		const size_t chunk = len < LOG_CHUNK_MAX ? len : LOG_CHUNK_MAX;
		sanitise_feed(&v->log_state, at, chunk, &safe);
		erase(v);
		fwrite(safe.data, 1, safe.len, v->out->answer);
		if (safe.len)
			v->at_line_start = safe.data[safe.len - 1] == '\n';
		buf_reset(&safe);
		at += chunk;
		len -= chunk;
	}
	fflush(v->out->answer);
}

static void print_times(struct view *v, const struct job_report *r)
{
	const struct job_timings *t = &r->timings;
	const struct {
		const char *name;
		uint64_t ms;
	} parts[] = {{"fetch", t->fetch_ms}, {"pack", t->pack_ms}, {"boot", t->boot_ms}, {"steps", t->steps_ms}, {"collect", t->collect_ms}};
	char text[UNITS_TEXT_MAX];
	out_note(v->out, OUT_DIM, "time   ");
	out_note(v->out, OUT_PLAIN, "%s", units_format_duration(text, t->total_ms));
	const char *before = " = ";
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (!parts[i].ms)
			continue;
		out_note(v->out, OUT_DIM, "%s%s %s", before, parts[i].name, units_format_duration(text, parts[i].ms));
		before = ", ";
	}
	if (r->cpu_ms)
		out_note(v->out, OUT_PLAIN, "; cpu %s", units_format_duration(text, r->cpu_ms));
	if (r->memory_peak_bytes)
		out_note(v->out, OUT_PLAIN, ", memory %s at most", units_format_size(text, r->memory_peak_bytes));
	out_note(v->out, OUT_PLAIN, "\n");
}

void view_outcome_digest(const struct job_report *r, char ret[65])
{
	CLEANUP(cleanup_free) struct outcome_step *steps = calloc(r->steps_len + 1, sizeof *steps);
	CLEANUP(cleanup_free) struct outcome_artifact *artifacts = calloc(r->artifacts_len + 1, sizeof *artifacts);
	const bool has_outcome = r->outcome == JOB_PASSED || r->outcome == JOB_FAILED || r->outcome == JOB_TIMEOUT;
	size_t len = 0;
	ret[0] = '\0';
	if (!steps || !artifacts || !has_outcome)
		return;
	for (size_t i = 0; i < r->steps_len; i++)
		if (!r->steps[i].on_failure || r->steps[i].exit_code >= 0)
			steps[len++] = (struct outcome_step){r->steps[i].name, r->steps[i].exit_code};
	for (size_t i = 0; i < r->artifacts_len; i++) {
		artifacts[i] = (struct outcome_artifact){.path = r->artifacts[i].path, .size_bytes = r->artifacts[i].digest.size_bytes};
		memcpy(artifacts[i].sha256, r->artifacts[i].digest.sha256, sizeof artifacts[i].sha256);
	}
	outcome_digest(job_outcome_name(r->outcome), steps, len, artifacts, r->artifacts_len, ret);
}

void view_summary(struct view *v, const struct job_report *r)
{
	view_pause(v);
	if (v->out->json)
		return;
	const char *outcome = job_outcome_name(r->outcome);
	char digest[65];
	print_times(v, r);
	view_outcome_digest(r, digest);
	if (*digest) {
		out_note(v->out, OUT_DIM, "digest ");
		out_note(v->out, OUT_PLAIN, "%s\n", digest);
	}
	if (r->log_truncated)
		out_note(v->out, OUT_WARN, "note: the log was longer than its cap and is cut\n");
	out_note(v->out, view_style(outcome), "%s", outcome);
	if (*r->commit)
		out_note(v->out, OUT_PLAIN, "  %.12s", r->commit);
	if (r->accel == JOB_ACCEL_TCG)
		out_note(v->out, OUT_DIM, "  (emulated: no KVM)");
	if (*r->reason)
		out_note(v->out, OUT_PLAIN, ": %s", OUT_FOREIGN(r->reason));
	out_note(v->out, OUT_PLAIN, "\n");
	if (*r->hint)
		out_note(v->out, OUT_PLAIN, "hint: %s\n", OUT_FOREIGN(r->hint));
}
