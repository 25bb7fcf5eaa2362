/* The supervisor's clock: what each stage may take, a machine that does not come up, the disk that a job writes to. */
#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "proto/base/cleanup.h"
#include "proto/base/units.h"
#include "runner/supervisor_parts.h"

#define BOOTS_MAX 2
#define REAP_MS 500       /* what was killed has to be gone by then; later the kernel sees to it when we end */
#define DISK_LOOK_MS 1000
#define DISK_LEFT_MIN (32ull << 20) /* free space below which the machine could stop at any write */

/* The machine did not say that it is up: what hangs once, as seen with busy hosts, is given another chance, as the kind of
 * machine that was never seen to hang. */
static void boot_timed_out(struct supervisor *s)
{
	char waited[UNITS_TEXT_MAX];
	const uint64_t now_ms = supervisor_now_ms();
	units_format_duration(waited, now_ms - s->children[STAGE_VM].started_ms);
	if (s->boots < BOOTS_MAX) {
		char note[128];
		snprintf(note, sizeof note, "the machine did not come up within %s; starting it once more", waited);
		events_note(&s->events, now_ms, note);
		const enum stage_id both[] = {STAGE_VM, STAGE_LOG};
		for (size_t i = 0; i < ARRAY_LEN(both); i++) {
			struct child *c = &s->children[both[i]];
			child_kill(c);
			if (c->pid > 0)
				waitpid(c->pid, NULL, 0);
			child_forget(c);
			events_stage(&s->events, now_ms, both[i], false);
		}
		if (!s->options->profile)
			s->crew.profile = machine_profile_other(s->crew.profile);
		snprintf(s->tally.report.machine, sizeof s->tally.report.machine, "%s", machine_profile_name(s->crew.profile));
		supervisor_enter_vm(s);
		return;
	}
	tally_settle(&s->tally, JOB_ERROR, "see console.log and qemu.log in the job's folder; 'talkoo doctor' boots the image by itself",
		     "the machine did not come up within %s, twice", waited);
	supervisor_enter_ending(s);
}

static void stage_timed_out(struct supervisor *s, enum stage_id id)
{
	struct child *c = &s->children[id];
	c->deadline_ms = 0;
	if (id == STAGE_VM && !s->tally.guest_is_ready) {
		boot_timed_out(s);
		return;
	}
	char waited[UNITS_TEXT_MAX];
	if (id == STAGE_VM)
		tally_timed_out(&s->tally);
	else
		tally_settle(&s->tally, JOB_ERROR,
			     id == STAGE_FETCH ? "the remote may hang, or the repository is large; try again" : NULL,
			     "the %s stage did not end within %s", stage_name(id),
			     units_format_duration(waited, supervisor_now_ms() - c->started_ms));
	child_kill(c);
	supervisor_enter_ending(s);
}

/* QEMU stops its guest when the host's disk is full, and says so to nobody: that would end as a timeout, long after. */
static void check_disk(struct supervisor *s, uint64_t now_ms)
{
	struct statvfs fs;
	if (s->state != SUPERVISOR_VM || now_ms < s->next_disk_look_ms)
		return;
	s->next_disk_look_ms = now_ms + DISK_LOOK_MS;
	if (fstatvfs(s->dir.fd, &fs) < 0)
		return;
	const uint64_t left = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (left >= DISK_LEFT_MIN)
		return;
	char text[UNITS_TEXT_MAX];
	tally_settle(&s->tally, JOB_ERROR, "make room there, or give the node's home another disk",
		     "the disk of this machine is full: %s are left where the job's folder is", units_format_size(text, left));
	supervisor_enter_ending(s);
}

void supervisor_check_deadlines(struct supervisor *s)
{
	const uint64_t now_ms = supervisor_now_ms();
	check_disk(s, now_ms);
	for (int id = 0; id < STAGE_IDS_LEN && s->state < SUPERVISOR_ENDING; id++) {
		const struct child *c = &s->children[id];
		if (c->pid > 0 && !c->is_killed && c->deadline_ms && now_ms >= c->deadline_ms)
			stage_timed_out(s, (enum stage_id)id);
	}
	if (s->state != SUPERVISOR_ENDING)
		return;
	if (now_ms >= s->ending_deadline_ms)
		child_kill(&s->children[STAGE_LOG]);
	if (!supervisor_anything_runs(s) || now_ms >= s->ending_deadline_ms + REAP_MS)
		s->state = SUPERVISOR_DONE;
}

int supervisor_poll_timeout(const struct supervisor *s)
{
	uint64_t next_ms = UINT64_MAX;
	for (int id = 0; id < STAGE_IDS_LEN; id++)
		if (s->children[id].deadline_ms && s->children[id].deadline_ms < next_ms)
			next_ms = s->children[id].deadline_ms;
	if (s->state == SUPERVISOR_VM && s->next_disk_look_ms < next_ms)
		next_ms = s->next_disk_look_ms;
	if (s->state == SUPERVISOR_ENDING)
		next_ms = supervisor_now_ms() < s->ending_deadline_ms ? s->ending_deadline_ms : s->ending_deadline_ms + REAP_MS;
	const uint64_t now_ms = supervisor_now_ms();
	if (next_ms <= now_ms)
		return 0;
	return next_ms - now_ms > 60000 ? 60000 : (int)(next_ms - now_ms) + 1;
}
