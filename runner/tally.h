/* What a job has come to so far: the stages' messages applied to its report, and the outcome judged from them.
 *
 * Pure: checked messages (stage.h) and times in, report out; what happened is also put into events. The first outcome that
 * is settled stays; what comes later cannot change it.
 * Must not know: processes, descriptors, files, clocks. Links: base, job, image (names only). */
#ifndef TALKOO_RUNNER_TALLY_H
#define TALKOO_RUNNER_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "runner/events.h"
#include "runner/job.h"
#include "runner/stage.h"

#define TALLY_PACKAGES_MAX 256

struct tally {
	struct job_plan plan;     /* commit and ref are filled in when fetch resolved them */
	struct job_report report;
	struct events *events;
	uint64_t start_ms;        /* monotonic */
	bool is_settled;
	bool has_plan;            /* pack said what the plan is … */
	uint32_t steps_named;     /* … and this many of its steps' names */
	struct job_limits wanted; /* what the plan asks; 0 = did not say */
	char image_asked[128];    /* image to run on, as asked by plan or job */
	bool guest_is_ready, guest_is_done;
	bool any_order;           /* the plan's steps may run side by side */
	uint32_t steps_started, steps_running;
	uint8_t step_states[JOB_STEPS_MAX]; /* 0 = not started, 1 = runs, 2 = ended */
	uint8_t limits_met[JOB_STEPS_MAX];  /* enum guest_limit that the step met, 0 = none */
	uint64_t tar_bytes;       /* of the guest's artifacts, by its own account; below limits' size when guest_is_done */
	bool wants_network[JOB_STEPS_MAX];  /* the step's output says so */
	bool has_shell;           /* a person got a shell in the guest */
	bool has_cache;           /* the plan keeps one */
	uint64_t cache_bytes;     /* of the guest's cache, by its own account; 0 = none */
	uint32_t fetches;         /* items that the plan fetches */
	bool has_deps;            /* they are all there */
	bool cache_is_taken;      /* collect looked it through and copied it */
	char packages[TALLY_PACKAGES_MAX][128]; /* that the image must have */
	size_t packages_len;
	uint64_t vm_started_ms, first_step_ms;
	uint64_t log_bytes;
	uint32_t notes;
	uint64_t stat_ms;
};

/* plan is copied. now_ms: monotonic; unix_ms: the same instant. */
void tally_init(struct tally *t, const struct job_plan *plan, struct events *events, uint64_t now_ms, uint64_t unix_ms);
void tally_release(struct tally *t);

/* Settles the outcome unless it is settled already. hint may be NULL. */
void tally_settle(struct tally *t, enum job_outcome outcome, const char *hint, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* One message that stage_check() let pass. False: it makes no sense here (a step before the plan, too many files);
 * the caller ends the stage. */
bool tally_message(struct tally *t, enum stage_id from, const struct stage_msg *msg, uint64_t now_ms);

/* After pack: whether what the plan asks fits the ceilings; fills report.limits (timeout before any factor). Settles
 * `refused` when it does not. Returns whether the job goes on. */
bool tally_check_limits(struct tally *t);
/* Whether an image with these packages ("NAME=VERSION") has what the plan asks for. Settles `refused`, naming what it lacks. */
bool tally_check_packages(struct tally *t, char *const *packages, size_t len);
/* After the accelerator is known: the time limit in force, into report.limits. */
void tally_set_timeout(struct tally *t);
/* A VM starts (again). */
void tally_vm_started(struct tally *t, uint64_t now_ms);
/* The time limit ran out. */
void tally_timed_out(struct tally *t);
/* The machine is gone and its log is read: what the steps came to, unless settled. */
void tally_judge(struct tally *t);
/* Last: times, sums. The report is complete afterwards. */
void tally_finish(struct tally *t, uint64_t now_ms, uint64_t unix_ms);

/* Size of the artifact disk for these ceilings: the files' bytes, and headers, padding, long names. */
uint64_t tally_tar_bytes_max(const struct job_limits *limits);
/* Whether image `given` (NAME or NAME@VERSION) is one that `asked` accepts: same name, and same version where asked
 * names one. Pure. */
bool tally_image_fits(const char *asked, const char *given);

#endif
