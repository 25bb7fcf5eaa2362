/* What supervisor.c is made of; nobody else includes this. */
#ifndef TALKOO_RUNNER_SUPERVISOR_PARTS_H
#define TALKOO_RUNNER_SUPERVISOR_PARTS_H

#include "runner/crew.h"
#include "runner/supervisor.h"
#include "runner/tally.h"

#define SUPERVISOR_STATES(X)                                                                                           \
	X(SUPERVISOR_FETCH, "fetch")                                                                                   \
	X(SUPERVISOR_PACK, "pack")                                                                                     \
	X(SUPERVISOR_GET, "get")                                                                                       \
	X(SUPERVISOR_ACCEL, "accel")                                                                                   \
	X(SUPERVISOR_VM, "vm")                                                                                         \
	X(SUPERVISOR_COLLECT, "collect")                                                                               \
	X(SUPERVISOR_ENDING, "ending")                                                                                 \
	X(SUPERVISOR_DONE, "done")

enum supervisor_state {
#define X(name, text) name,
	SUPERVISOR_STATES(X)
#undef X
};

struct supervisor {
	const struct supervisor_options *options;
	struct jail_facts facts;
	struct events events;
	struct tally tally;
	struct workdir dir;
	struct image image;
	char qemu[PATH_MAX];
	struct crew crew;
	const struct cgroup *cgroup; /* the job's; path "" = none */
	struct child children[STAGE_IDS_LEN]; /* by enum stage_id */
	enum supervisor_state state;
	uint64_t ending_deadline_ms, next_disk_look_ms;
	unsigned boots;          /* machines started */
	char cache_new[PATH_MAX];/* the cache that collect is writing; "" = none */
	char input[64];          /* the launcher's line so far */
	size_t input_len;
	int input_fd, signal_fd, alive_fd; /* input -1: closed */
	int diagnostics_fd;      /* read end of the children's standard error */
	int diagnostics_file_fd;
	uint64_t diagnostics_bytes;
};

uint64_t supervisor_now_ms(void);
/* Gives a stage its deadline from now, and says that it began. */
void supervisor_stage_began(struct supervisor *s, enum stage_id id, enum deadline deadline);

/* supervisor.c. The machine is started (again); the outcome is settled, what runs is ended. */
void supervisor_enter_vm(struct supervisor *s);
void supervisor_enter_ending(struct supervisor *s);
bool supervisor_anything_runs(const struct supervisor *s);

/* supervisor_deadlines.c. Acts on whatever is due; how long poll() may wait until the next is, in ms. */
void supervisor_check_deadlines(struct supervisor *s);
int supervisor_poll_timeout(const struct supervisor *s);

/* supervisor_stages.c: what each state starts. False: nothing runs, the outcome is settled. */
bool supervisor_start_fetch(struct supervisor *s);
bool supervisor_start_pack(struct supervisor *s);
/* Before the network is given up: the stage that may be told to fetch. */
bool supervisor_start_get(struct supervisor *s);
/* Passes on what pack said, and at last that this was all. */
void supervisor_tell_get(struct supervisor *s, const struct stage_msg *msg);
/* Image and limits; *ret_skip: the accelerator is known already. */
bool supervisor_start_accel(struct supervisor *s, bool *ret_skip);
bool supervisor_start_vm(struct supervisor *s);
/* *ret_skip: the guest has no artifacts. */
bool supervisor_start_collect(struct supervisor *s, bool *ret_skip);

/* supervisor_cache.c. The cache disk, filled from the store; a sector where the plan keeps no cache. What cannot be read is
 * left out, with a note. */
int supervisor_cache_disk(struct supervisor *s, int *ret_fd, struct err *err) MUST_CHECK;
/* Where collect is to put the cache: a descriptor of a new file in the store, or -1. */
int supervisor_cache_new(struct supervisor *s);
/* After collect: it becomes the cache, or is removed. */
void supervisor_cache_settle(struct supervisor *s);

#endif
